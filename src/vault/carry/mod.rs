//! Carry-over: all that lives goes into a new store, under a new epoch and a new data key, while the vault serves.
//!
//! ```text
//! new data key → who sealed before is through → checkpoint: here the epoch begins
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
mod error;
mod pace;

use super::{
    applied::{Applied, Cut, MessageRow},
    checkpoint::{CutError, Running, finish_cut, write_cut, write_rows},
    core::{Core, lock, read, write},
    event::{CarryStep, VaultEvent},
    frame::Record,
    manifest::{self, Manifest, Position, sync_dir},
    open::{FIRST_EPOCH, JOURNAL, STORE, store_folder},
    replay::Shown,
    store::Store,
    walk::walk,
};
use crate::{
    calendar::Timestamp,
    keyring::{KeyVersion, Keyring, KeyringError, RowKey, Secrets, Tree},
    relay::ports::{StopCause, VaultFault},
    vault::committer::{Posts, Prepared},
};
use base::{Base, Begin, Writer};
pub use error::CarryError;
use pace::Pace;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};
use tokio::time::Instant;

/// Locked by whoever carries over, so that one that has not yet noticed that its vault stopped is alone.
const LOCK: &str = "carry.lock";
/// The key of the epoch before was destroyed, and nobody has recorded it yet.
pub(super) const UNRECORDED: &str = "unrecorded";
/// How many rows, and about how many bytes, are read at once.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;
/// With this many frames left the new store is near enough to be finished while no checkpoint can begin.
const NEAR: u64 = 2_000;
/// It never comes near a vault that is written faster than it reads: then the committer waits for it.
const MOST_ROUNDS: usize = 16;

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
            self.checkpoint()?;
            self.tidy(&[self.epoch(), epoch])?;
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

    /// Writes what the old store holds into the base, sealed again.
    fn write_base(&self, base: &Base<'_>) -> Result<(), CarryError> {
        if base.whole()?.is_some() {
            return Ok(());
        }
        let mut writer = Writer::resume(base)?;
        let mut pace = Pace::step(self, self.keyring.secrets().newest().0, CarryStep::Copy, writer.rows());
        loop {
            self.serving()?;
            let rows = match &*read(&self.store) {
                Some(store) => store.rows_after(writer.last(), BATCH_ROWS, BATCH_BYTES),
                None => return Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store)).into()),
            };
            let rows = rows.map_err(|error| self.store_fault(&error))?;
            if rows.is_empty() {
                break;
            }
            for (key, value) in rows {
                match carried(&self.keyring, &key, &value).map_err(|_| self.damaged())? {
                    Some(value) => writer.push(key, &value)?,
                    None => writer.pass(key),
                }
            }
            pace.done(writer.rows());
        }
        pace.tell();
        Ok(writer.finish()?)
    }

    /// Seals the ledger's entries again, beside the same leaves.
    fn seal_entries_again(&self, epoch: u32) -> Result<(), CarryError> {
        let mut sealed = 0;
        let mut pace = Pace::step(self, epoch, CarryStep::Entries, 0);
        for tile in 0.. {
            self.serving()?;
            let files = lock(&self.ledger);
            let again = files.seal_again(tile, |commitment, entry| {
                let row = Tree::Entry.row(&[&commitment.0]);
                let again = self.keyring.seal_again(&row, entry).ok()?;
                sealed += u64::from(again.is_some());
                Some(again.map(crate::keyring::Sealed::into_bytes))
            });
            drop(files);
            match again {
                Ok(Some(_)) => pace.done(sealed),
                Ok(None) => break,
                // Without its entry a promise could not be kept: the vault does not go on with a key that nobody could destroy.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.io_fault(StopCause::Ledger, &error).into()),
                Err(error) => return Err(error.into()),
            }
        }
        pace.tell();
        Ok(())
    }

    /// Makes the new store from base and journal, and lets the manifest name it.
    fn make_store(&self, base: &Base<'_>, begin: &Begin) -> Result<(), CarryError> {
        let folder = store_folder(&self.dir, begin.epoch);
        remove_folder(&folder)?;
        let store = Store::open(self.filter, &folder, self.tuning.cache_bytes)?;
        let mut following = Following { ahead: ahead(begin), position: begin.position };
        match self.fill(&store, &mut following, base) {
            Ok(()) => self.swap(store, following, base, begin),
            Err(error) => {
                Store::close(Some(store));
                Err(error)
            }
        }
    }

    /// Fills the new store, and follows the journal until it is near.
    fn fill(&self, store: &Store, following: &mut Following, base: &Base<'_>) -> Result<(), CarryError> {
        let mut pace = Pace::step(self, self.keyring.secrets().newest().0, CarryStep::Store, 0);
        fill(store, base, |rows| {
            pace.done(rows);
            self.serving().map_err(CarryError::Vault)
        })?;
        pace.tell();
        store.flush()?;
        for _ in 0..MOST_ROUNDS {
            let until = self.replayed_from().sequence;
            let left = until.saturating_sub(following.position.sequence);
            self.follow(store, following, until)?;
            store.flush()?;
            if left <= NEAR {
                break;
            }
        }
        Ok(())
    }

    /// Brings the new store up to this frame.
    fn follow(&self, store: &Store, following: &mut Following, until: u64) -> Result<(), CarryError> {
        let Following { ahead, position } = following;
        let write = |ahead: &mut Applied, position: &Position| -> Result<(), CarryError> {
            write_rows(store, &ahead.cut_in_replay(*position))?;
            ahead.settled();
            Ok(())
        };
        let journal = self.dir.join(JOURNAL);
        *position = walk(&journal, self.keyring.journal(), position, until, |group: Vec<Shown>, behind| {
            self.serving()?;
            for Shown { sequence, location, record } in group {
                ahead.apply(sequence, location, record);
            }
            if ahead.rows.len() >= self.tuning.checkpoint_rows { write(ahead, behind) } else { Ok(()) }
        })?;
        write(ahead, position)
    }

    /// Lets the next checkpoint go into the new store, whose manifest names the new epoch, and serves from it.
    fn swap(&self, store: Store, mut following: Following, base: &Base<'_>, begin: &Begin) -> Result<(), CarryError> {
        // Whoever would make a checkpoint waits, so both stores come to stand at the same place.
        self.next_checkpoint();
        let running = Running(self);
        let (cut, rows) = match self.cut_into(&store, &mut following, base, begin) {
            Ok(written) => written,
            Err(error) => {
                drop(running);
                Store::close(Some(store));
                return Err(error);
            }
        };
        self.enter(begin.epoch);
        self.begins.store(begin.position.segment, Ordering::Release);
        let old = {
            let mut place = write(&self.store);
            // If the vault has stopped, it is opened again with the new one.
            if place.is_some() { place.replace(store) } else { Some(store) }
        };
        // Until now what was cut was found in memory.
        self.settle(&cut, rows);
        drop(running);
        Store::close(old);
        Ok(())
    }

    fn cut_into(&self, store: &Store, following: &mut Following, base: &Base<'_>, begin: &Begin) -> Result<(Cut, u64), CarryError> {
        self.serving()?;
        self.follow(store, following, self.replayed_from().sequence)?;
        let sealed = sealed_in(base, begin)?;
        // As long as this is held, the vault does not let go of its files.
        let still = read(&self.store);
        self.serving()?;
        *write(&self.applied).seals.entry(begin.epoch).or_default() += sealed;
        let cut = self.cut();
        let mut ledger = lock(&self.ledger);
        let written = write_cut(store, &mut ledger, &cut).and_then(|rows| {
            finish_cut(&self.dir, self.keyring.manifest(), self.name, begin.epoch, store, &mut ledger, &cut).map(|()| rows)
        });
        drop((ledger, still));
        match written {
            Ok(rows) => Ok((cut, rows)),
            // As with any checkpoint: what was cut is in no store, only the journal has it.
            Err(CutError::Store(error)) => Err(self.stop(StopCause::Store, Some(error.detail())).into()),
            Err(CutError::Ledger(error)) => Err(self.io_fault(StopCause::Ledger, &error).into()),
            Err(CutError::Manifest(error)) => Err(self.io_fault(StopCause::Manifest, &error).into()),
        }
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

/// How far the new store follows the journal.
struct Following {
    ahead: Applied,
    position: Position,
}

/// What is in effect where an epoch begins, besides what its base holds.
fn ahead(begin: &Begin) -> Applied {
    Applied::new(&begin.position, begin.ledger.clone(), begin.links, Timestamp::from_millis(begin.floor), HashMap::new())
}

/// How many values an epoch took over from the one before, all of them sealed again.
pub(super) fn sealed_in(base: &Base<'_>, begin: &Begin) -> io::Result<u64> {
    Ok(base.whole()?.map_or(0, |whole| whole.sealed) + begin.ledger.size())
}

/// Writes all rows of a base into a store; shows how many there are so far.
pub(super) fn fill(store: &Store, base: &Base<'_>, mut each: impl FnMut(u64) -> Result<(), CarryError>) -> Result<(), CarryError> {
    let whole = base.whole()?.ok_or(CarryError::BaseDamaged)?;
    let mut done = 0;
    for number in 0..whole.parts {
        for rows in base.part(number)?.chunks(BATCH_ROWS) {
            done += store.write(rows.iter().map(|(key, value)| (key, Some(value.as_slice()))))?;
            each(done)?;
        }
    }
    if done == whole.rows { Ok(()) } else { Err(CarryError::BaseDamaged) }
}

/// A row as it stands in the new epoch; `None` if it has no place there.
fn carried<'v>(keyring: &Keyring, key: &RowKey, value: &'v [u8]) -> Result<Option<Cow<'v, [u8]>>, KeyringError> {
    let again = |sealed| keyring.seal_again(key, sealed).map(|again| again.map(crate::keyring::Sealed::into_bytes));
    let whole = |again: Option<Vec<u8>>| Some(again.map_or(Cow::Borrowed(value), Cow::Owned));
    match key.tree() {
        Some(Tree::Link | Tree::Person) => Ok(whole(again(value)?)),
        Some(Tree::Message) => {
            let (before, memory) = MessageRow::split(value).ok_or(KeyringError::Format)?;
            Ok(whole(again(memory)?.map(|memory| [before, &memory].concat())))
        }
        Some(Tree::Expiry | Tree::Outbox) => Ok(Some(Cow::Borrowed(value))),
        // The one lies beside the log, the other is written with each checkpoint.
        Some(Tree::Entry | Tree::Sentinel) | None => Ok(None),
    }
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
fn alone(dir: &Path) -> Result<File, CarryError> {
    let file = File::options().write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CarryError::Busy),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
