//! Why a carry-over could not be finished.
//!
//! Always: whatever it is, the vault goes on as it was, unless it says itself that it stopped; begun again, a carry-over goes on
//! where it was.

use crate::{
    keyring::KeyringError,
    relay::ports::{StopCause, VaultFault},
    vault::roots::RootError,
};
use std::io;
use thiserror::Error;

/// Why a carry-over could not be finished.
#[derive(Debug, Error)]
pub enum CarryError {
    /// The vault does not serve.
    #[error("{0}")]
    Vault(#[from] VaultFault),
    /// Another one of this vault is at work.
    #[error("a carry-over of this vault is at work already")]
    Busy,
    /// A file of the new epoch could not be written or read.
    #[error("the new epoch cannot be written: {0}")]
    Io(#[from] io::Error),
    /// What was written of the new epoch does not hold together; it is begun anew the next time.
    #[error("what was carried over so far is damaged")]
    BaseDamaged,
    /// The journal could not be read up to where the vault is.
    #[error("the journal does not lead to where the vault is: {0}")]
    Journal(StopCause),
    /// The new store failed.
    #[error("the new store failed: {0}")]
    Store(String),
    /// The keyring could not be replaced.
    #[error("{0}")]
    Root(#[from] RootError),
    /// A value could not be sealed or opened.
    #[error("{0}")]
    Keyring(#[from] KeyringError),
    /// The task ended by itself.
    #[error("the carry-over ended by itself")]
    Ended,
}

impl From<StopCause> for CarryError {
    fn from(cause: StopCause) -> Self {
        Self::Journal(cause)
    }
}

impl From<crate::vault::store::StoreError> for CarryError {
    fn from(error: crate::vault::store::StoreError) -> Self {
        Self::Store(error.detail())
    }
}
