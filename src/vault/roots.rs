//! The root keys that a daemon holds: one, or two while the one takes over from the other.
//!
//! Always: what is wrapped is wrapped by the newest; what an older one wrapped opens as long as it is held. Every keyring is
//! replaced durably before anything is sealed under what is new in it. Absent: where root keys lie.

use super::{manifest, open::KEYRING};
use crate::{
    identifier::VaultName,
    keyring::{Keyring, KeyringError, RootKey, Secrets, WrappedKeyring},
    relay::ports::Entropy,
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};
use thiserror::Error;

/// Why a keyring could not be read or replaced.
#[derive(Debug, Error)]
pub enum RootError {
    /// The system said no.
    #[error("a keyring cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It does not open under any root key that is held.
    #[error("a keyring does not open under the root key")]
    Keyring(#[from] KeyringError),
}

/// Root keys, newest last, and the environment that keyrings are bound to.
pub(super) struct Roots {
    keys: RwLock<Vec<RootKey>>,
    environment: String,
}

/// Which root key wraps a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// The newest.
    ByNewest,
    /// One before it.
    ByOlder,
}

impl Roots {
    pub(super) fn new(key: RootKey, environment: String) -> Self {
        Self { keys: RwLock::new(vec![key]), environment }
    }

    /// Trial or production.
    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    fn held(&self) -> RwLockReadGuard<'_, Vec<RootKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a newer root key.
    pub(super) fn take_up(&self, key: RootKey) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    /// Lets go of all but the newest.
    pub(super) fn only_newest(&self) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let older = keys.len().saturating_sub(1);
        keys.drain(..older);
    }

    /// Does this with the newest.
    pub(super) fn with_newest<T, E: From<KeyringError>>(&self, with: impl FnOnce(&RootKey) -> Result<T, E>) -> Result<T, E> {
        with(self.held().last().ok_or(KeyringError::RootKey)?)
    }

    /// Opens the keyring in a vault's folder.
    pub(super) fn open(&self, dir: &Path, vault: VaultName) -> Result<(Keyring, Wrapped), RootError> {
        let wrapped: WrappedKeyring = serde_json::from_slice(&fs::read(dir.join(KEYRING))?).map_err(|_| KeyringError::Keyring)?;
        let mut refused = KeyringError::Keyring;
        for (age, key) in self.held().iter().rev().enumerate() {
            match key.open(&wrapped, vault, &self.environment) {
                Ok(keyring) => return Ok((keyring, if age == 0 { Wrapped::ByNewest } else { Wrapped::ByOlder })),
                Err(error) => refused = error,
            }
        }
        Err(refused.into())
    }

    /// Puts a keyring with these secrets in the place of the one in a vault's folder, durably.
    pub(super) fn replace(&self, dir: &Path, vault: &str, secrets: &Secrets, entropy: &dyn Entropy) -> Result<(), RootError> {
        let wrapped = {
            let keys = self.held();
            let newest = keys.last().ok_or(KeyringError::RootKey)?;
            newest.wrap_secrets(vault, secrets, &self.environment, 1, entropy.bytes())?
        };
        let before = File::options().write(true).open(dir.join(KEYRING)).ok();
        manifest::replace(dir, KEYRING, &serde_json::to_vec_pretty(&wrapped).map_err(io::Error::from)?)?;
        // What was wrapped before is gone from the folder; where the disk writes in place, also from the disk.
        before.map_or(Ok(()), |file| Ok(overwrite(&file)?))
    }

    /// Destroys the keyring in a folder, and with it all that was sealed under it.
    pub(super) fn destroy(dir: &Path) -> io::Result<()> {
        let file = match File::options().write(true).open(dir.join(KEYRING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        fs::remove_file(dir.join(KEYRING))?;
        manifest::sync_dir(dir)?;
        overwrite(&file)
    }
}

/// Writes zeros over a file.
fn overwrite(file: &File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    file.write_all_at(&vec![0; length], 0)?;
    file.sync_all()
}
