//! Why a proven message was refused. One table: denial → wire code.

use super::ScannerFault;
use crate::ledger::Promise;
use serde::Serialize;

/// Why a proven message was refused; its author learns it in a signed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The directory does not let this author send this type.
    NotAllowed,
    /// The tenant has not started this function.
    NotInService,
    /// The catalogue does not know the category at this place.
    UnknownCategory(usize),
    /// The category at this place stood before.
    RepeatedCategory(usize),
    /// More categories than a request may name, or none.
    CategoryCount,
    /// More rows than a message may hold, or none.
    RowCount,
    /// Another message with this id was handled.
    Conflict,
    /// This message was answered, and the reply is no longer kept; its promise is.
    AlreadyAnswered(Promise),
    /// The scanner that must look at files cannot be reached.
    ScannerUnavailable,
    /// The scanner that must look at files knows only what was known long ago.
    ScannerStale,
    /// Handling it failed three times.
    Quarantined,
}

impl From<ScannerFault> for Denial {
    fn from(fault: ScannerFault) -> Self {
        match fault {
            ScannerFault::Unavailable => Self::ScannerUnavailable,
            ScannerFault::Stale => Self::ScannerStale,
        }
    }
}

impl Denial {
    /// The code on the wire; stable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NotInService => "not-in-service",
            Self::UnknownCategory(_) => "unknown-category",
            Self::RepeatedCategory(_) => "repeated-category",
            Self::CategoryCount => "category-count",
            Self::RowCount => "row-count",
            Self::Conflict => "conflict",
            Self::AlreadyAnswered(_) => "already-answered",
            Self::ScannerUnavailable => "scanner-unavailable",
            Self::ScannerStale => "scanner-stale",
            Self::Quarantined => "quarantined",
        }
    }

    /// Where in the body the reason stands, as a JSON pointer (RFC 6901).
    fn place(&self) -> Option<String> {
        match self {
            Self::UnknownCategory(index) | Self::RepeatedCategory(index) => Some(format!("/categories/{index}")),
            Self::CategoryCount => Some("/categories".to_owned()),
            Self::RowCount => Some("/rows".to_owned()),
            Self::NotAllowed
            | Self::NotInService
            | Self::Conflict
            | Self::AlreadyAnswered(_)
            | Self::ScannerUnavailable
            | Self::ScannerStale
            | Self::Quarantined => None,
        }
    }

    /// The body of the reply.
    pub(super) fn body(&self) -> impl Serialize + use<> {
        DeniedBody { status: "denied", code: self.code(), place: self.place(), answered: self.answered() }
    }

    fn answered(&self) -> Option<String> {
        match self {
            Self::AlreadyAnswered(promise) => Some(promise.to_string()),
            Self::NotAllowed
            | Self::NotInService
            | Self::UnknownCategory(_)
            | Self::RepeatedCategory(_)
            | Self::CategoryCount
            | Self::RowCount
            | Self::Conflict
            | Self::ScannerUnavailable
            | Self::ScannerStale
            | Self::Quarantined => None,
        }
    }
}

#[derive(Serialize)]
struct DeniedBody {
    status: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The promise of the reply that was sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<String>,
}
