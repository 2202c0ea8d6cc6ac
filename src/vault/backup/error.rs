//! Why a backup could not be taken or brought back.

use super::super::{AnchorError, DataFolderError};
use crate::{identifier::VaultName, keyring::KeyringError, relay::ports::VaultFault};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a backup could not be taken or brought back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The vault cannot serve.
    #[error("{0}")]
    Fault(#[from] VaultFault),
    /// Its keys are being rotated, or another backup of it is being made.
    #[error("its keys are being rotated, or another backup of it is being made")]
    Busy,
    /// It begins as no backup does.
    #[error("{}: this is no backup of nakatsugi, or its beginning is damaged", .0.display())]
    NotABackup(PathBuf),
    /// Another vault's.
    #[error("{}: this is a backup of {found}, not of {wanted}", path.display())]
    OtherVault {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: VaultName,
        /// Whose it should be.
        wanted: VaultName,
    },
    /// Of trial and production the other one's.
    #[error("{}: this is a backup of another environment", .0.display())]
    OtherEnvironment(PathBuf),
    /// A chunk does not open.
    #[error("{}: it does not open: it was changed or cut, or was made under other keys", .0.display())]
    Sealed(PathBuf),
    /// It opens, and makes no sense.
    #[error("{}: its content is not what a backup holds", .0.display())]
    Content(PathBuf),
    /// A key backup that was changed, or belongs to another root key.
    #[error("{}: this is no key backup made under this root key, or it was changed or cut", .0.display())]
    KeyBackup(PathBuf),
    /// The key backup lacks a vault.
    #[error("{}: this key backup has no keyring of {vault}", path.display())]
    NoKeyring {
        /// The file.
        path: PathBuf,
        /// Whose is missing.
        vault: VaultName,
    },
    /// A keyring does not open.
    #[error("a keyring does not open: {0}")]
    Keyring(#[from] KeyringError),
    /// The vault lives.
    #[error("{}: there is a vault here, and none is overwritten; move it away, and keep it", .0.display())]
    Exists(PathBuf),
    /// A file that would be overwritten.
    #[error("{}: there is something here already, and nothing is overwritten", .0.display())]
    There(PathBuf),
    /// The place where it is brought back cannot be used.
    #[error("the place where it is brought back cannot be used: {0}")]
    Place(DataFolderError),
    /// What came back is not what was backed up.
    #[error("what came back does not have the tree that was backed up")]
    Tree,
    /// A value does not open.
    #[error("{rows} of its values do not open: their key was destroyed since, or this is not the newest key backup")]
    Values {
        /// How many.
        rows: u64,
    },
    /// The newest anchor cannot be used.
    #[error("{0}")]
    Anchor(#[from] AnchorError),
    /// The backup is older than what was anchored.
    #[error("this backup is older than the newest anchor: {} entries are lost with it, {has} to {}", anchored - has, anchored - 1)]
    Behind {
        /// Entries it has.
        has: u64,
        /// Entries that were anchored.
        anchored: u64,
    },
    /// The backup is not of the anchored ledger.
    #[error("this backup does not have the tree that its newest anchor speaks of: it is not a copy of that vault's ledger")]
    Forked,
    /// Someone else is bringing the same vault back, or the work was cut short by a fault of ours.
    #[error("the work was cut short")]
    CutShort,
}

impl BackupError {
    /// The system's word on a path.
    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
