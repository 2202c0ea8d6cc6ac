//! What an event is, and the words to declare one with.
//!
//! Always: a type has one name, one level and named fields; what was declared stands in one list.

use tracing::Level;

/// The target of our events in `tracing`; the log takes no other.
pub(super) const TARGET: &str = "nakatsugi";

/// Something that happened.
pub trait Event {
    /// What is known of every event of this type.
    const DESCRIPTION: Description;

    /// Writes its line.
    fn emit(&self);
}

/// What is known of every event of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// Its fields, besides `time`, `level` and `event`.
    pub fields: &'static [&'static str],
}

/// Declares events: a type, its name and level, its fields; and the list of all of them.
macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal, $level:ident { $($(#[$about:meta])* $field:ident: $type:ty),* $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $event { $($(#[$about])* pub $field: $type),* }

            impl Event for $event {
                const DESCRIPTION: Description =
                    Description { name: $name, level: tracing::Level::$level, fields: &[$(stringify!($field)),*] };

                fn emit(&self) {
                    tracing::event!(target: $crate::telemetry::declare::TARGET, tracing::Level::$level, event = $name, $($field = $crate::telemetry::Field::value(&self.$field)),*);
                }
            }
        )+

        /// Every event.
        pub const EVENTS: &[Description] = &[$($event::DESCRIPTION),+];

        /// Emits one event of each type.
        #[cfg(test)]
        pub(super) fn emit_samples() {
            use $crate::telemetry::field::Sample;
            $($event { $($field: Sample::sample()),* }.emit();)+
        }
    };
}
pub(super) use events;
