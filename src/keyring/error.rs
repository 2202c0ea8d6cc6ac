//! Why a key could not be used.
//!
//! Always: no variant says more than that; the cause of a failed authentication is not known, and guessing helps attackers.

use thiserror::Error;

/// Why a keyring or a value did not open, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// The root key is not 32 bytes.
    #[error("a root key has 32 bytes")]
    RootKey,
    /// The keyring is not the one of this vault and environment, was changed, or belongs to another root key.
    #[error("the keyring does not open")]
    Keyring,
    /// A suite or format this version does not know.
    #[error("the format of a sealed value is not known")]
    Format,
    /// A value was sealed under a key that the keyring no longer holds.
    #[error("the key of a sealed value is not in the keyring")]
    KeyVersion,
    /// A value was changed, moved, or sealed by other keys.
    #[error("a sealed value does not open")]
    Value,
    /// The cryptographic library refused; cannot happen with the lengths used here.
    #[error("a value could not be sealed")]
    Seal,
}
