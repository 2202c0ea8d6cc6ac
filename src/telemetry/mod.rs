//! Events as lines: one Rust type per event, one line per event.
//!
//! | level | means to those who run it |
//! | --- | --- |
//! | INFO | as it should be |
//! | WARN | somebody should look, in working hours: a service works, but not as meant |
//! | ERROR | somebody must act, now: something is not served until then |
//!
//! Always: a line holds identifiers, counts, durations and codes only; what an event may carry is a closed list of types
//! ([`Field`]), and neither a person's names nor a message's body is among them. No event tells the causes of
//! `nothing-to-show` apart. Lines are never dropped silently. `schemas/log/events.schema.json` describes every event.
//! Absent: what other crates say through `tracing`, for nobody knows what stands in it.

mod declare;
pub mod event;
mod field;
mod line;
mod report;
mod writer;

pub use declare::{Description, Event};
pub use event::EVENTS;
pub use field::{Digest, Field, Micros, Route, Words};
pub use line::Lines;
pub use report::{broker, examiner, vault};
pub use writer::{Flush, Writer};

use crate::{config::LogFormat, relay::ports::Clock};
use std::{io, sync::Arc};
use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;

/// Why telemetry could not begin.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The thread that writes could not be started.
    #[error("the thread that writes the log could not be started: {0}")]
    Thread(#[from] io::Error),
    /// It began before.
    #[error("the log was begun before")]
    Begun,
}

/// Begins telemetry for the whole process. Lines that wait are written when the [`Flush`] is dropped: keep it until the end.
///
/// # Errors
/// [`TelemetryError`].
pub fn begin(format: LogFormat, clock: impl Clock + 'static, output: impl io::Write + Send + 'static) -> Result<Flush, TelemetryError> {
    let (writer, flush) = Writer::start(output)?;
    let lines = Lines::new(format, Arc::new(move || clock.now()), writer);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines)).map_err(|_| TelemetryError::Begun)?;
    Ok(flush)
}
