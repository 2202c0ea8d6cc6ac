//! Removing a vault: its keyring is destroyed, and with it everything that was sealed under it, in backups too.
//!
//! ```text
//! closed → what it was is noted → out of the way, durably → keyring destroyed → all else removed ·· recorded → forgotten
//! ```
//!
//! Always: from the renaming on the vault is missing, and the removal is finished whatever happens, at the latest when the data
//! folder is taken hold of the next time. What it was stays noted until somebody says that it is recorded. Absent: copies of
//! the keyring that lie elsewhere.

use super::{
    carry::{self, CarryError},
    close,
    handle::Caretaker,
    manifest::{self, sync_dir},
    roots::Roots,
    vaults::Vaults,
};
use crate::{identifier::VaultName, relay::ports::VaultFault};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::Duration,
};
use thiserror::Error;

/// How the folder of a vault begins that is being removed.
const REMOVED: &str = ".removed-";
/// What the vault was.
const NOTE: &str = "removed";

/// Why a vault could not be removed.
#[derive(Debug, Error)]
pub enum RemovalError {
    /// It does not open, so nobody knows what is in it.
    #[error("{0}")]
    Vault(#[from] VaultFault),
    /// The system said no.
    #[error("the vault cannot be removed: {0}")]
    Io(#[from] io::Error),
}

/// What a vault was that is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Its name.
    pub vault: String,
    /// The version of its newest data key.
    pub key: u32,
    /// How many entries its ledger had.
    pub entries: u64,
}

impl Removed {
    /// What this vault is now.
    #[must_use]
    pub fn of(vault: &Caretaker) -> Self {
        let key = vault.keys().last().map_or(0, |key| key.version.0);
        Self { vault: vault.name().to_string(), key, entries: vault.ledger().size() }
    }
}

impl Vaults {
    /// Closes a vault for good, destroys its keyring, and removes what is left of it. From then on it is missing.
    ///
    /// # Errors
    /// [`RemovalError::Vault`] if it does not open; [`RemovalError::Io`] if the system says no. Once it is out of the way, the
    /// rest is done when the data folder is taken hold of the next time.
    pub async fn remove(&self, name: VaultName) -> Result<(), RemovalError> {
        let removed = Removed::of(&self.resume(name).await?);
        let _turn = self.turn(name).await;
        let core = self.take_out(name);
        let (vaults, dir) = (self.all().to_owned(), self.folder(name));
        let done = tokio::task::spawn_blocking(move || {
            if let Some(core) = core {
                // What could not be written any more is of no use to anyone.
                let _ = close::close(&core);
            }
            let _alone = alone(&dir)?;
            manifest::replace(&dir, NOTE, &serde_json::to_vec(&removed)?)?;
            let gone = vaults.join(format!("{REMOVED}{name}"));
            fs::rename(&dir, &gone)?;
            sync_dir(&vaults)?;
            empty(&gone)
        });
        Ok(done.await.unwrap_or_else(|error| Err(io::Error::other(error)))?)
    }

    /// The vaults that were removed, as long as nobody has said that it is recorded.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn removed(&self) -> io::Result<Vec<Removed>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.all())? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(REMOVED)) {
                found.push(serde_json::from_slice(&fs::read(entry.path().join(NOTE))?)?);
            }
        }
        Ok(found)
    }

    /// Says that a removal is recorded.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn removal_recorded(&self, removed: &Removed) -> io::Result<()> {
        fs::remove_dir_all(self.all().join(format!("{REMOVED}{}", removed.vault)))?;
        sync_dir(self.all())
    }
}

/// Waits until no carry-over works in the folder any more; one that does notices soon that the vault has closed.
fn alone(dir: &Path) -> io::Result<File> {
    loop {
        match carry::alone(dir) {
            Ok(alone) => return Ok(alone),
            Err(CarryError::Busy) => thread::sleep(Duration::from_millis(20)),
            Err(CarryError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// Destroys the keyring first, then removes all but the note.
fn empty(gone: &Path) -> io::Result<()> {
    Roots::destroy(gone)?;
    for entry in fs::read_dir(gone)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != NOTE {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Goes on with the removals that an end in the middle left.
pub(super) fn finish(vaults: &Path) -> io::Result<()> {
    for entry in fs::read_dir(vaults)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(REMOVED)) {
            empty(&entry.path())?;
        }
    }
    Ok(())
}
