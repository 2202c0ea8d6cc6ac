//! Carry-over: all that lives goes into a new store, under a new epoch and a new data key, while the vault serves.
//!
//! ```text
//! new data key → who sealed before is through → all that is named is there → checkpoint: here the epoch begins
//!   → base: every row of the old store, sealed again → the ledger's entries, sealed again
//!   → new store: the base, then the journal from where the epoch began
//!   → the next checkpoint goes into the new store, and its manifest names the new epoch
//!   → the old key is destroyed → the old store and base are removed
//! ```
//!
//! Always: one operation for rotation, compaction and erasure: what was taken out of service is not carried over, and once the
//! old key is destroyed nothing opens it any more, in journal, store or backups. Each step is durable before the next begins
//! and is found again after an end at any moment: keyring, base and manifest say how far it is. The journal is read on from
//! where the epoch began, so what is copied may change meanwhile. Values keep their salts, so rows are carried over one by one.
//! Absent: when it is due, and the record of what was destroyed.

pub(super) mod base;
mod copy;
mod error;
mod pace;
mod swap;

use super::{
    committer::{Posts, Prepared},
    core::{Core, lock, read, write},
    event::VaultEvent,
    frame::Record,
    manifest::{self, Manifest, sync_dir},
    open::{FIRST_EPOCH, STORE},
};
use crate::{
    calendar::Timestamp,
    keyring::{KeyVersion, Secrets},
    relay::ports::{StopCause, VaultFault},
};
use base::Base;
pub use error::CarryError;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
pub(super) use swap::{fill, sealed_in};
use tokio::time::Instant;

/// Locked by whoever carries over, so that one that has not yet noticed that its vault stopped is alone.
const LOCK: &str = "carry.lock";
/// The key of the epoch before was destroyed, and nobody has recorded it yet.
pub(super) const UNRECORDED: &str = "unrecorded";
/// What a carry-over did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedOver {
    /// The epoch that has begun.
    pub epoch: u32,
    /// How many rows it began with.
    pub rows: u64,
}

/// A data key of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// Its version.
    pub version: KeyVersion,
    /// How many values were sealed under it, of those that are in the journal.
    pub seals: u64,
    /// Since when it seals, if that is known and it is the newest.
    pub since: Option<Timestamp>,
}

/// How far a carry-over is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// None was begun.
    Rest,
    /// The newest data key seals already, the manifest still names the epoch before.
    Carrying,
    /// The manifest names the new epoch; older keys are still there.
    Swapped,
}

impl Core {
    fn standing(&self) -> Standing {
        let versions = self.keyring.secrets().versions();
        match versions.last() {
            Some(newest) if newest.0 > self.epoch() => Standing::Carrying,
            Some(_) if versions.len() > 1 => Standing::Swapped,
            Some(_) | None => Standing::Rest,
        }
    }

    /// Whether a carry-over was begun and is not finished.
    pub(super) fn is_carrying(&self) -> bool {
        self.standing() != Standing::Rest
    }

    /// The data keys, oldest first.
    pub(super) fn key_uses(&self) -> Vec<KeyUse> {
        let secrets = self.keyring.secrets();
        let applied = read(&self.applied);
        let of = |version: KeyVersion| KeyUse {
            version,
            seals: applied.seals.get(&version.0).copied().unwrap_or_default(),
            since: applied.keys_since.filter(|_| version == secrets.newest()),
        };
        secrets.versions().into_iter().map(of).collect()
    }

    /// Since when the newest data key seals; from now on, if nobody knows.
    pub(super) fn keys_since(&self, now: Timestamp) -> Timestamp {
        *write(&self.applied).keys_since.get_or_insert(now)
    }

    /// Carries over, or finishes what was begun.
    pub(super) async fn carry_over(self: &Arc<Self>, now: Timestamp) -> Result<CarriedOver, CarryError> {
        let began = Instant::now();
        let result = self.carry_over_alone(now).await;
        match &result {
            Ok(CarriedOver { epoch, rows, .. }) => {
                (self.listen)(VaultEvent::CarriedOver { vault: self.name, epoch: *epoch, rows: *rows, took: began.elapsed() });
            }
            // It tells for itself.
            Err(CarryError::Busy) => {}
            Err(error) => (self.listen)(VaultEvent::NotCarriedOver { vault: self.name, detail: error.to_string() }),
        }
        result
    }

    async fn carry_over_alone(self: &Arc<Self>, now: Timestamp) -> Result<CarriedOver, CarryError> {
        self.serving()?;
        let alone = alone(&self.dir)?;
        if self.standing() == Standing::Rest {
            self.begin_sealing(now).await?;
        }
        // What waits in the queue was sealed before, whoever waits for it or has gone away.
        self.commit(Prepared { record: Record::Sent(Vec::new()), bodies: Vec::new(), posts: Posts::Own }).await?;
        let core = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            core.carry()
        });
        done.await.unwrap_or(Err(CarryError::Ended))
    }

    /// Makes a new data key, and seals under it from now on.
    async fn begin_sealing(&self, now: Timestamp) -> Result<(), CarryError> {
        let _nobody = self.sealing.write().await;
        self.exchange_keys(|secrets| secrets.with_newer(self.entropy.bytes()))?;
        write(&self.applied).keys_since = Some(now);
        Ok(())
    }

    /// Replaces the data keys, on disk and then here.
    fn exchange_keys(&self, change: impl FnOnce(&Secrets) -> Secrets) -> Result<(), CarryError> {
        let _one = lock(&self.keys);
        self.serving()?;
        let secrets = change(&self.keyring.secrets());
        self.roots.replace(&self.dir, self.keyring.vault(), &secrets, &*self.entropy)?;
        self.keyring.take_up(&secrets);
        Ok(())
    }

    /// Wraps the keyring under the newest root key.
    pub(super) fn wrap_again(&self) -> Result<(), CarryError> {
        self.exchange_keys(Secrets::clone)
    }

    fn carry(&self) -> Result<CarriedOver, CarryError> {
        let epoch = self.keyring.secrets().newest().0;
        if self.standing() == Standing::Carrying {
            self.tidy(&[self.epoch(), epoch])?;
            if self.base(epoch).whole()?.is_none() {
                self.check_whole(epoch)?;
            }
            self.checkpoint()?;
            let manifest = Manifest::read(&self.dir, self.keyring.manifest(), &self.name.to_string())?;
            let manifest = manifest.ok_or(CarryError::Vault(VaultFault::Stopped(StopCause::Manifest)))?;
            let base = self.base(epoch);
            let begin = base.begin_at(&manifest)?;
            let made = self.write_base(&base).and_then(|()| self.seal_entries_again(epoch)).and_then(|()| self.make_store(&base, &begin));
            if let Err(CarryError::BaseDamaged) = made {
                // Begun anew from the old store, the next time.
                base.remove()?;
            }
            made?;
        }
        self.destroy(epoch)?;
        let rows = self.base(epoch).whole()?.map_or(0, |whole| whole.rows);
        Ok(CarriedOver { epoch, rows })
    }

    fn base(&self, epoch: u32) -> Base<'_> {
        Base::of(&self.dir, self.name, epoch, self.keyring.manifest())
    }

    /// Destroys all keys but the newest, and removes what they sealed.
    fn destroy(&self, epoch: u32) -> Result<(), CarryError> {
        // Who found a value in the old store has opened it behind this; who comes now finds the new one.
        drop(write(&self.reading));
        let unrecorded = Unrecorded { vault: self.name.to_string(), epoch, entries: self.ledger().size() };
        manifest::write_tagged(&self.dir, UNRECORDED, self.keyring.manifest(), &unrecorded)?;
        self.exchange_keys(Secrets::newest_only)?;
        write(&self.applied).seals.retain(|version, _| *version == epoch);
        self.tidy(&[epoch])
    }

    /// Removes the stores and bases of other epochs than these.
    fn tidy(&self, kept: &[u32]) -> Result<(), CarryError> {
        self.serving()?;
        for (epoch, path) in epochs(&self.dir)? {
            if !kept.contains(&epoch) {
                remove_folder(&path)?;
            }
        }
        Ok(sync_dir(&self.dir)?)
    }

    /// Which destroyed key nobody has recorded yet.
    pub(super) fn unrecorded(&self) -> io::Result<Option<KeyDestroyed>> {
        let unrecorded: Option<Unrecorded> = match manifest::read_tagged(&self.dir, UNRECORDED, self.keyring.manifest()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            unrecorded => unrecorded?,
        };
        let own = unrecorded.filter(|unrecorded| unrecorded.vault == self.name.to_string() && !self.is_carrying());
        Ok(own.map(|Unrecorded { epoch, entries, .. }| KeyDestroyed { version: KeyVersion(epoch.saturating_sub(1)), entries }))
    }

    /// It is recorded.
    pub(super) fn recorded(&self) -> io::Result<()> {
        fs::remove_file(self.dir.join(UNRECORDED))?;
        sync_dir(&self.dir)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unrecorded {
    vault: String,
    /// The epoch that had begun.
    epoch: u32,
    entries: u64,
}

/// A data key was destroyed: nothing that was sealed under it opens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDestroyed {
    /// Its version; those before it are gone too.
    pub version: KeyVersion,
    /// How many entries the ledger had then: what those before this took out of service is beyond recovery.
    pub entries: u64,
}

/// The stores and bases in a vault's folder, by epoch.
pub(super) fn epochs(dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let numbered = |name: &str| ["store.", "base."].iter().find_map(|kind| name.strip_prefix(kind)?.parse().ok());
        let epoch = name.to_str().and_then(|name| if name == STORE { Some(FIRST_EPOCH) } else { numbered(name) });
        found.extend(epoch.map(|epoch| (epoch, entry.path())));
    }
    Ok(found)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes the lock of whoever carries over in this folder.
pub(super) fn alone(dir: &Path) -> Result<File, CarryError> {
    let file = File::options().write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CarryError::Busy),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
