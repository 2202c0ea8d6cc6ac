//! Why a signed tree head is not believed.

use thiserror::Error;

/// Why a note is not a tree head of this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It is not a tree head.
    #[error("this is not a signed tree head")]
    Form,
    /// It speaks of another ledger.
    #[error("this tree head is of another ledger")]
    Origin,
    /// The ledger's key has not signed it.
    #[error("this tree head is not signed by the ledger's key")]
    Unsigned,
    /// The signature does not hold.
    #[error("the signature of this tree head does not hold")]
    Signature,
    /// A key could not be made; cannot happen with the lengths used here.
    #[error("the ledger's key could not be made")]
    Key,
}
