//! What can go wrong with a broker.
//!
//! Always: names of exchanges, queues and files and the broker's own words; never a body.

use lapin::{ErrorKind, protocol::AMQPErrorKind};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a broker cannot be used.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// The address has another form.
    #[error("a broker's address is amqps://host:port/virtual-host, without user and password")]
    Address,
    /// A file of certificates, keys or revocations cannot be read.
    #[error("{path}: {}", unusable(what, source))]
    Credentials {
        /// Which file.
        path: PathBuf,
        /// What was looked for in it.
        what: &'static str,
        /// Why it was not found.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The TLS configuration was refused.
    #[error("tls cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificates of the authority or its revocation list were refused.
    #[error("the broker's certificates could not be checked with these files: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The broker did not answer in time.
    #[error("the broker did not answer in time ({doing})")]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
    },
    /// The broker or the connection to it failed.
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    /// The network failed before there was a connection.
    #[error("the broker cannot be reached")]
    Unreachable(#[from] io::Error),
    /// The broker ended the consumer: the queue was deleted or moved.
    #[error("the broker stopped delivering from the queue")]
    Cancelled,
    /// Our user lacks a right on an exchange or queue.
    #[error("our user may not use {name} ({reason}); run: nakatsugi topology definitions, and import them into the broker")]
    NotAllowed {
        /// Which one.
        name: String,
        /// The broker's words.
        reason: String,
    },
    /// A name is longer than AMQP allows.
    #[error("a name is longer than 255 bytes")]
    Name,
    /// Exchanges or queues are missing.
    #[error("missing on the broker: {}; run: nakatsugi topology apply", some(.0))]
    Missing(Vec<String>),
    /// An exchange or queue exists with other arguments.
    #[error(
        "{name} exists with other arguments ({reason}); they cannot be changed: drain and delete it, then run: nakatsugi topology apply"
    )]
    Different {
        /// Which one.
        name: String,
        /// The broker's words.
        reason: String,
    },
}

/// A file that is not there, or one that holds something else.
fn unusable(what: &str, source: &rustls::pki_types::pem::Error) -> String {
    match source {
        rustls::pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
        _ => format!("holds no usable {what}"),
    }
}

/// The first few of many, and how many more there are.
fn some(items: &[String]) -> String {
    const SHOWN: usize = 3;
    match items.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ")),
        Some(0) | None => items.join(", "),
    }
}

impl BrokerError {
    /// Whether it may go away by itself: the broker is down or slow. What is missing, different or unusable stays so.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Amqp(_) | Self::Unreachable(_) | Self::Cancelled => true,
            Self::Address
            | Self::Credentials { .. }
            | Self::Tls(_)
            | Self::Verifier(_)
            | Self::NotAllowed { .. }
            | Self::Name
            | Self::Missing(_)
            | Self::Different { .. } => false,
        }
    }

    /// Whether it is the end of a connection, and not of a channel alone.
    pub(super) fn ends_connection(&self) -> bool {
        let Self::Amqp(error) = self else { return false };
        match error.kind() {
            ErrorKind::ProtocolError(error) => matches!(error.kind(), AMQPErrorKind::Hard(_)),
            ErrorKind::IOError(_)
            | ErrorKind::MissingHeartbeatError
            | ErrorKind::ParsingError(_)
            | ErrorKind::InvalidConnectionState(_) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::{AMQPError, AMQPHardError, AMQPSoftError};

    #[test]
    fn of_much_that_is_missing_a_few_are_named_and_the_rest_is_counted() {
        let missing = |count: usize| BrokerError::Missing((1..=count).map(|item| format!("queue {item}")).collect()).to_string();
        assert_eq!(missing(3), "missing on the broker: queue 1, queue 2, queue 3; run: nakatsugi topology apply");
        assert_eq!(missing(45), "missing on the broker: queue 1, queue 2, queue 3 and 42 more; run: nakatsugi topology apply");
    }

    #[test]
    fn a_reset_or_forced_connection_is_told_from_a_closed_channel() {
        let of = |error: lapin::Error| BrokerError::Amqp(error).ends_connection();
        let protocol = |kind| of(ErrorKind::ProtocolError(AMQPError::new(kind, "".into())).into());
        assert!(of(io::Error::from(io::ErrorKind::ConnectionReset).into()));
        assert!(of(ErrorKind::MissingHeartbeatError.into()));
        assert!(protocol(AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED)));
        assert!(!protocol(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)));
        assert!(!BrokerError::Cancelled.ends_connection());
    }
}
