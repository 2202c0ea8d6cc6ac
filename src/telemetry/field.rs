//! What may stand in a line.
//!
//! SECURITY: the list is closed. `PersonCode`, `AddresseeNumber`, `PersonName`, items, bodies, categories and free text have
//! no implementation, so that an event that carries one does not compile (the examples of [`Field`]). Never add `String` or
//! `&str` of any life time but `'static`.

use crate::{
    envelope::Environment,
    hex,
    identifier::{AmqpUser, BrokerName, Kid, MessageId, MessageType, PrincipalId, QueueName, TenantCode, VaultName},
    ledger::SignedHead,
};
use ring::digest::{SHA256, digest};
use std::{fmt, fmt::Write as _, time::Duration};
use tracing::field::{DisplayValue, display};

mod sealed {
    pub trait Sealed {}
}

/// What may stand in a line.
///
/// ```
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<nakatsugi::identifier::TenantCode>();
/// ```
/// ```compile_fail,E0277
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<nakatsugi::identifier::PersonCode>();
/// ```
/// ```compile_fail,E0277
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<nakatsugi::identifier::AddresseeNumber>();
/// ```
/// ```compile_fail,E0277
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<nakatsugi::identifier::Category>();
/// ```
/// ```compile_fail,E0277
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<String>();
/// ```
/// ```compile_fail,E0277
/// fn stands<F: nakatsugi::telemetry::Field>() {}
/// stands::<Vec<u8>>();
/// ```
pub trait Field: sealed::Sealed {
    /// How `tracing` takes it.
    type Value<'a>: tracing::Value
    where
        Self: 'a;

    /// The value.
    fn value(&self) -> Self::Value<'_>;
}

/// Fields that stand as text.
macro_rules! text {
    ($($name:ty),+ $(,)?) => {$(
        impl sealed::Sealed for $name {}
        impl Field for $name {
            type Value<'a> = DisplayValue<&'a Self>;
            fn value(&self) -> DisplayValue<&Self> {
                display(self)
            }
        }
    )+};
}
text!(
    AmqpUser,
    BrokerName,
    Digest,
    Environment,
    Kid,
    MessageId,
    MessageType,
    PrincipalId,
    QueueName,
    Route,
    SignedHead,
    TenantCode,
    VaultName,
    Words
);

/// Fields that stand as numbers.
macro_rules! number {
    ($($name:ty),+ $(,)?) => {$(
        impl sealed::Sealed for $name {}
        impl Field for $name {
            type Value<'a> = u64;
            fn value(&self) -> u64 {
                u64::from(*self)
            }
        }
    )+};
}
number!(u16, u32, u64, Micros);

impl sealed::Sealed for &'static str {}
impl Field for &'static str {
    type Value<'a> = &'static str;
    fn value(&self) -> &'static str {
        self
    }
}

impl<F: Field> sealed::Sealed for Option<F> {}
impl<F: Field> Field for Option<F> {
    type Value<'a>
        = Option<F::Value<'a>>
    where
        F: 'a;
    fn value(&self) -> Option<F::Value<'_>> {
        self.as_ref().map(Field::value)
    }
}

/// A duration in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Micros(pub Duration);

impl From<Micros> for u64 {
    fn from(Micros(duration): Micros) -> Self {
        Self::try_from(duration.as_micros()).unwrap_or(Self::MAX)
    }
}

/// SHA-256, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default())
    }

    /// From 64 digits of lower-case hexadecimal.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A routing key, as far as it is one: `<tenant>.<type>`, each half replaced by `?` unless it is known.
///
/// SECURITY: a stranger chooses routing keys; nothing of one that we do not know ourselves gets into a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    tenant: Option<TenantCode>,
    kind: Option<MessageType>,
}

impl From<&str> for Route {
    fn from(key: &str) -> Self {
        let (tenant, kind) = key.split_once('.').unwrap_or((key, ""));
        Self { tenant: tenant.parse().ok(), kind: kind.parse().ok() }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tenant.as_ref().map_or("?", TenantCode::as_str))?;
        f.write_char('.')?;
        f.write_str(self.kind.map_or("?", MessageType::as_str))
    }
}

/// The words of a broker or of the operating system about a connection, a queue or a file; at most 200 characters.
///
/// SECURITY: never of anything that read a message: what a peer wrote must not reach a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Box<str>);

impl Words {
    /// What a system says: an I/O error, a broker's reason for closing.
    #[must_use]
    pub fn of_system(words: &dyn fmt::Display) -> Self {
        let words: String = words.to_string().chars().map(|word| if word.is_control() { ' ' } else { word }).take(200).collect();
        Self(words.into())
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value of each type that may stand in a line.
#[cfg(test)]
pub(super) trait Sample {
    fn sample() -> Self;
}

#[cfg(test)]
mod samples {
    use super::*;

    macro_rules! sample {
        ($($name:ty: $value:expr),+ $(,)?) => {$(
            impl Sample for $name {
                fn sample() -> Self {
                    $value
                }
            }
        )+};
    }
    sample! {
        AmqpUser: "fujisawa".parse().unwrap(),
        BrokerName: "national".parse().unwrap(),
        Digest: Digest::of(b""),
        Environment: Environment::Trial,
        MessageId: MessageId::from_bytes([7; 16]),
        MessageType: MessageType::SelfInfoRequest,
        Micros: Micros(Duration::from_millis(2)),
        PrincipalId: "disclosure".parse().unwrap(),
        QueueName: "nakatsugi.self-info.3".parse().unwrap(),
        Route: Route::from("142051.secret"),
        TenantCode: "142051".parse().unwrap(),
        VaultName: VaultName::Platform,
        SignedHead: crate::ledger::HeadKey::from_seed(crate::ledger::origin("trial", "142051"), &[1; 32])
            .unwrap()
            .sign(crate::ledger::TreeHead { size: 3, root: [0; 32] }),
        Words: Words::of_system(&"No space left on device (os error 28)"),
        u16: 1,
        u32: 2,
        u64: 3,
        &'static str: "code",
    }

    impl<F: Sample> Sample for Option<F> {
        fn sample() -> Self {
            Some(F::sample())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_routing_key_only_what_we_know_gets_into_a_line() {
        let shown = |key: &str| Route::from(key).to_string();
        assert_eq!(shown("142051.record.put"), "142051.record.put");
        assert_eq!(shown("142051.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "142051.?");
        assert_eq!(shown("123456789018.record.put"), "?.record.put");
        assert_eq!(shown("\n\"}"), "?.?");
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::from_hex(text), Some(Digest::of(b"")));
        for text in [&text.to_uppercase(), &text[1..], &format!("{text}0"), &text.replace("e3", "+3"), &text.replace('b', "é")] {
            assert_eq!(Digest::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn the_words_of_a_system_are_short_and_on_one_line() {
        assert_eq!(Words::of_system(&"a\nb\u{1b}[31m").to_string(), "a b [31m");
        assert_eq!(Words::of_system(&"あ".repeat(500)).to_string().chars().count(), 200);
    }
}
