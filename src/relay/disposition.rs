//! What becomes of each failure: one exhaustive table (design §8).
//!
//! Always: the reason codes are stable; what a peer reads (a denial's code) and what an operator reads (these) are
//! different fields. Absent: denials; they are outcomes.

use super::ports::{BrokerFault, StopCause, VaultFault};
use crate::{
    command::DecodeError,
    directory::UnknownAuthor,
    envelope::EnvelopeError,
    tenant::{ScopeError, VerifyError},
};
use thiserror::Error;

/// Why a message did not reach its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// Its author or claims are not proven.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Its body is not a command.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The tenant does not agree in all places.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// It came after its time, and was never handled.
    #[error("the message has expired")]
    Expired,
    /// The vault cannot serve now.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The broker cannot take a dead letter or a reply now.
    #[error(transparent)]
    Broker(#[from] BrokerFault),
    /// The reply could not be signed or encrypted: no valid key of the author, or ours.
    #[error("the reply cannot be encrypted")]
    Encrypt,
    /// A panic, or what can only be a bug.
    #[error("handling the message failed inside")]
    Bug,
}

/// What becomes of a message that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// To `nakatsugi.dead`, with this reason.
    DeadLetter(&'static str),
    /// Round the wait queue, because of this.
    Wait(&'static str),
    /// Round the wait queue, and counted: after three it is quarantined.
    Blame,
}

impl From<EnvelopeError> for Failure {
    fn from(error: EnvelopeError) -> Self {
        Self::Verify(VerifyError::Envelope(error))
    }
}

impl Failure {
    /// The table.
    #[must_use]
    pub const fn disposition(self) -> Disposition {
        use Disposition::{Blame, DeadLetter, Wait};
        match self {
            Self::Verify(error) => DeadLetter(match error {
                VerifyError::Envelope(envelope) => envelope.reason(),
                VerifyError::Author(UnknownAuthor::Unknown) => "unknown-kid",
                VerifyError::Author(UnknownAuthor::NotYetValid) => "key-not-yet-valid",
                VerifyError::Author(UnknownAuthor::Expired) => "key-expired",
                VerifyError::Author(UnknownAuthor::Revoked) => "key-revoked",
                VerifyError::Issuer => "issuer-mismatch",
                VerifyError::Recipient => "wrong-recipient",
                VerifyError::Environment => "wrong-environment",
                VerifyError::IssuedAhead => "issued-ahead",
                VerifyError::Lifetime => "lifetime",
                VerifyError::NotACommand => "not-a-command",
            }),
            Self::Decode(error) => DeadLetter(match error {
                DecodeError::Form(form) => form.reason(),
                DecodeError::NotACommand => "not-a-command",
            }),
            Self::Scope(error) => DeadLetter(match error {
                ScopeError::Copied => "copies-not-allowed",
                ScopeError::Exchange => "wrong-exchange",
                ScopeError::RoutingKey => "routing-key-mismatch",
                ScopeError::TypeProperty => "type-mismatch",
                ScopeError::IdProperty => "message-id-mismatch",
                ScopeError::Carrier => "carrier-not-allowed",
                ScopeError::Author => "tenant-not-allowed",
                ScopeError::UnknownTenant => "unknown-tenant",
            }),
            Self::Expired => DeadLetter("expired"),
            Self::Vault(fault) => Wait(match fault {
                VaultFault::Missing => "vault-missing",
                VaultFault::Locked => "vault-locked",
                VaultFault::Stopped(cause) => match cause {
                    StopCause::Journal => "vault-journal",
                    StopCause::JournalDamaged => "vault-journal-damaged",
                    StopCause::StoreDamaged => "vault-store-damaged",
                    StopCause::Store => "vault-store",
                    StopCause::Keyring => "vault-keyring",
                    StopCause::Manifest => "vault-manifest",
                    StopCause::Ledger => "vault-ledger",
                    StopCause::Anchor => "vault-anchor",
                    StopCause::Behind => "vault-behind-anchor",
                    StopCause::Forked => "vault-forked",
                    StopCause::NoRoom => "vault-no-room",
                },
            }),
            Self::Broker(fault) => Wait(match fault {
                BrokerFault::Unconfirmed => "broker",
                BrokerFault::ReaderBehind => "reader-behind",
            }),
            Self::Encrypt => Wait("encrypt"),
            Self::Bug => Blame,
        }
    }
}
