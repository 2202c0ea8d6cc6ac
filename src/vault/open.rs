//! Making, opening, recovering and closing a vault.
//!
//! Always: a vault is made whole or not at all. Opening replays the journal from the manifest's position; a store that is lost,
//! behind or damaged is put aside and rebuilt from the first segment, with nothing missing. What cannot be trusted stops the
//! vault with the cause.

use super::{
    anchors::{self, Anchors},
    applied::{Applied, read_outbox_row},
    carry::{
        base::{Base, Begin},
        fill, sealed_in,
    },
    checkpoint::{CutError, Settling, finish_cut, write_cut},
    core::{Core, Listener, Parts},
    event::{RebuildReason, VaultEvent},
    filter::FilterInstalled,
    frame::{Location, ParcelKey},
    journal::{self, BEGINNING},
    known::{Known, Prints},
    ledger::LedgerFiles,
    limits::Tuning,
    links::Links,
    manifest::{self, Manifest, Position, Seals, sync_dir},
    outbox::{Outbox, Posted},
    replay::{Replayed, Shown, replay},
    room::DiskRoom,
    roots::{RootError, Roots},
    store::{Sentinel, Store, StoreError},
    walk,
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::{KeyVersion, Keyring, Secrets, Tree},
    ledger::{Frontier, HeadKey, SignedHead},
    relay::ports::{Entropy, StopCause, VaultFault},
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;
use tokio::{runtime::Handle, time::Instant};

pub(super) const JOURNAL: &str = "journal";
/// The store of the first epoch.
pub(super) const STORE: &str = "store";
/// The epoch in which a vault is made.
pub(super) const FIRST_EPOCH: u32 = 1;
pub(super) const LEDGER: &str = "ledger";
pub(super) const KEYRING: &str = "keyring.json";
/// A row was found damaged while the vault served: do not trust the store when opening.
pub(super) const SUSPECT: &str = "store.suspect";
/// The store is being rebuilt; if this is there when opening, what is in it is a part only.
pub(super) const REBUILDING: &str = "store.rebuilding";

/// How many damaged stores are kept for whoever wants to know what happened; all that is in them is in the journal.
const KEPT_DAMAGED: u32 = 3;

/// What all vaults of one daemon share.
pub(super) struct Surroundings {
    pub(super) filter: FilterInstalled,
    pub(super) vaults: PathBuf,
    pub(super) roots: Arc<Roots>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) outbox: Outbox,
    pub(super) listen: Listener,
    pub(super) tuning: Tuning,
    pub(super) prints: Prints,
    pub(super) disk: Arc<DiskRoom>,
    pub(super) anchors: Option<Anchors>,
}

/// Why a vault could not be made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// There is one already.
    #[error("this vault exists already")]
    Exists,
    /// Its keyring could not be made.
    #[error("its keyring could not be made")]
    Keyring(#[from] crate::keyring::KeyringError),
    /// Its keyring could not be written.
    #[error("{0}")]
    Root(#[from] RootError),
    /// The system said no.
    #[error("its folder could not be made")]
    Folder(#[from] io::Error),
}

/// Makes a vault: new keys, an empty journal, a manifest that begins at its beginning.
pub(super) fn create(around: &Surroundings, name: VaultName) -> Result<(), CreateError> {
    let dir = around.vaults.join(name.to_string());
    if dir.exists() {
        return Err(CreateError::Exists);
    }
    let new = around.vaults.join(format!(".new-{name}"));
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir(&new)?,
    }
    let entropy = &around.entropy;
    let keyring = Keyring::new(name, Secrets::new(entropy.bytes(), entropy.bytes()))?;
    around.roots.replace(&new, keyring.vault(), &keyring.secrets(), &**entropy)?;
    journal::create(&new.join(JOURNAL), keyring.journal())?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        vault: name.to_string(),
        epoch: FIRST_EPOCH,
        position: BEGINNING,
        ledger: Frontier::default(),
        links: Links::default(),
        outstanding: 0,
        floor: i64::MIN,
        seals: Seals::new(),
        keys_since: None,
    };
    manifest.write(&new, keyring.manifest())?;
    fs::rename(&new, &dir)?;
    sync_dir(&around.vaults)?;
    Ok(())
}

/// Where the store of an epoch lies in the vault's folder.
pub(super) fn store_folder(dir: &Path, epoch: u32) -> PathBuf {
    if epoch == FIRST_EPOCH { dir.join(STORE) } else { dir.join(format!("{STORE}.{epoch}")) }
}

/// What is on disk, opened as far as it can be trusted.
struct Found {
    manifest: Manifest,
    keyring: Keyring,
    heads: HeadKey,
    dir: PathBuf,
    /// Where in the journal its epoch begins; the first begins where the journal does.
    begin: Option<Begin>,
}

impl Found {
    fn store(&self) -> PathBuf {
        store_folder(&self.dir, self.manifest.epoch)
    }
}

/// Where replay begins, and into what.
struct Start {
    store: Store,
    ledger: LedgerFiles,
    applied: Applied,
    from: Position,
    rebuild: Option<RebuildReason>,
    /// The journal must reach at least to here.
    reach: u64,
}

/// Opens a vault, and puts what it has not published into the outbox.
pub(super) fn open(around: &Surroundings, name: VaultName, runtime: Handle) -> Result<Arc<Core>, VaultFault> {
    let dir = around.vaults.join(name.to_string());
    if !dir.exists() {
        return Err(VaultFault::Missing);
    }
    recover(around, name, dir, runtime, Instant::now()).map_err(|(cause, detail)| {
        (around.listen)(VaultEvent::Stopped { vault: name, cause, detail });
        VaultFault::Stopped(cause)
    })
}

type Failure = (StopCause, Option<String>);

fn because<E: std::fmt::Display>(cause: StopCause) -> impl Fn(E) -> Failure {
    move |error| (cause, Some(error.to_string()))
}

fn disk(cause: StopCause) -> impl Fn(io::Error) -> Failure {
    move |error| {
        let cause = if error.kind() == io::ErrorKind::StorageFull { StopCause::NoRoom } else { cause };
        (cause, Some(error.to_string()))
    }
}

fn cut_failure(error: CutError) -> Failure {
    match error {
        CutError::Store(error) => (error.cause(), Some(error.detail())),
        CutError::Ledger(error) => disk(StopCause::Ledger)(error),
        CutError::Manifest(error) => disk(StopCause::Manifest)(error),
    }
}

fn recover(around: &Surroundings, name: VaultName, dir: PathBuf, runtime: Handle, began: Instant) -> Result<Arc<Core>, Failure> {
    let (keyring, _) = around.roots.open(&dir, name).map_err(because(StopCause::Keyring))?;
    let manifest = Manifest::read(&dir, keyring.manifest(), &name.to_string()).map_err(disk(StopCause::Manifest))?;
    let heads = keyring.heads(around.roots.environment()).map_err(because(StopCause::Keyring))?;
    let manifest = manifest.ok_or((StopCause::Manifest, None))?;
    let begin = Base::of(&dir, name, manifest.epoch, keyring.manifest()).begin().map_err(disk(StopCause::Store))?;
    let found = Found { manifest, keyring, heads, dir, begin };

    journal::remove_unfinished(&found.dir.join(JOURNAL)).map_err(disk(StopCause::Journal))?;
    let mut start = start(around, name, &found)?;
    let (replayed, settling, anchor) = match catch_up(around, name, &found, &mut start) {
        Ok(caught_up) => caught_up,
        Err(failure) => {
            Store::close(Some(start.store));
            if failure.0 == StopCause::StoreDamaged && start.rebuild.is_none() {
                // It agreed with the manifest, and showed its damage only when it was used.
                fs::write(found.dir.join(SUSPECT), b"").map_err(disk(StopCause::Store))?;
                return recover(around, name, found.dir, runtime, began);
            }
            return Err(failure);
        }
    };
    let Start { store, ledger, applied, .. } = start;
    let outstanding: Vec<(ParcelKey, Location)> = applied.outstanding.iter().map(|(key, at)| (*key, *at)).collect();
    (around.listen)(VaultEvent::Opened {
        vault: name,
        frames: replayed.frames,
        cut: replayed.cut,
        outstanding: outstanding.len() as u64,
        entries: applied.ledger.size(),
        took: began.elapsed(),
    });
    let core = Arc::new(Core::new(Parts {
        name,
        dir: found.dir,
        epoch: found.manifest.epoch,
        begins: found.begin.map_or(BEGINNING.segment, |begin| begin.position.segment),
        keyring: found.keyring,
        roots: Arc::clone(&around.roots),
        filter: around.filter,
        tuning: around.tuning.clone(),
        entropy: Arc::clone(&around.entropy),
        outbox: around.outbox.clone(),
        listen: Arc::clone(&around.listen),
        runtime,
        journal: replayed.journal,
        applied,
        store,
        ledger,
        settling,
        disk: Arc::clone(&around.disk),
        environment: around.roots.environment().to_owned(),
        heads: found.heads,
        anchors: around.anchors.clone(),
        anchored: anchor.map(|anchor| *anchor.head()),
    }));
    core.weigh();
    repost(&core, outstanding);
    Ok(core)
}

/// The journal's end, what has gathered since the manifest, and the newest anchor.
type CaughtUp = (Replayed, Settling, Option<SignedHead>);

/// Replays the journal into store and ledger, compares with the newest anchor, counts the links, and makes durable what must be.
fn catch_up(around: &Surroundings, name: VaultName, found: &Found, start: &mut Start) -> Result<CaughtUp, Failure> {
    let tuning = &around.tuning;
    let Start { store, ledger, applied, from, rebuild, reach } = start;
    let mut failure = None;
    let show = |group: Vec<Shown>, position: &Position| {
        for Shown { sequence, location, record } in group {
            applied.apply(sequence, location, record);
        }
        if applied.rows.len() >= tuning.checkpoint_rows {
            // Much to replay: what has gathered goes into the store now. Cut short here, replay begins anew.
            let cut = applied.cut_in_replay(*position);
            if let Err(error) = write_cut(store, ledger, &cut) {
                let (cause, _) = failure.insert(cut_failure(error));
                return Err(*cause);
            }
            applied.settled();
        }
        Ok(())
    };
    let result = replay(&found.dir.join(JOURNAL), found.keyring.journal(), from, tuning.segment_bytes, show);
    let replayed = result.map_err(|cause| failure.unwrap_or((cause, None)))?;
    let position = *replayed.journal.position();
    if position.sequence < *reach {
        // The store knows frames that the journal no longer has.
        return Err((StopCause::JournalDamaged, None));
    }
    let check = |anchors| anchors::check(anchors, &found.heads, name, ledger, applied);
    let anchor = around.anchors.as_ref().map(check).transpose()?.flatten();
    let held = Links::held(&found.keyring, store, applied).map_err(|error| (error.cause(), Some(error.detail())))?;
    if held != applied.links && rebuild.is_none() {
        return Err((StopCause::StoreDamaged, Some("a link was lost, or one came from elsewhere".to_owned())));
    }
    // After a rebuild the journal has said all.
    applied.links = held;
    applied.known = Known::held(store, applied, &around.prints).map_err(|error| (error.cause(), Some(error.detail())))?;
    applied.replayed(position);
    let mut settling = Settling::since(found.manifest.position);
    if rebuild.is_some() || ledger.size() > found.manifest.ledger.size() {
        let cut = applied.cut(position);
        write_cut(store, ledger, &cut)
            .and_then(|_| finish_cut(&found.dir, found.keyring.manifest(), name, found.manifest.epoch, store, ledger, &cut))
            .map_err(cut_failure)?;
        applied.settled();
        settling = Settling::since(position);
    }
    if rebuild.is_some() {
        unmark(&found.dir).map_err(disk(StopCause::Store))?;
        (around.listen)(VaultEvent::StoreRebuilt { vault: name, frames: replayed.frames });
    }
    Ok((replayed, settling, anchor))
}

/// Puts what was not published into the outbox, in order, in the place of what an earlier opening put there.
fn repost(core: &Arc<Core>, mut outstanding: Vec<(ParcelKey, Location)>) {
    outstanding.sort_unstable();
    core.outbox.withdraw(core.name);
    let posted =
        outstanding.into_iter().map(|(key, location)| Posted { vault: Arc::downgrade(core), name: core.name, key, location, parcel: None });
    core.outbox.post(posted);
}

/// Opens store and ledger where they agree with the manifest; otherwise begins to rebuild them.
fn start(around: &Surroundings, name: VaultName, found: &Found) -> Result<Start, Failure> {
    match trusted(around, found)? {
        Ok(start) => Ok(start),
        Err(reason) => {
            (around.listen)(VaultEvent::StoreRebuilding { vault: name, reason });
            anew(around, name, found, reason)
        }
    }
}

fn trusted(around: &Surroundings, found: &Found) -> Result<Result<Start, RebuildReason>, Failure> {
    let (dir, position) = (&found.dir, &found.manifest.position);
    if dir.join(REBUILDING).exists() {
        return Ok(Err(RebuildReason::Unfinished));
    }
    if dir.join(SUSPECT).exists() {
        return Ok(Err(RebuildReason::RowDamaged));
    }
    let begun = position.sequence > 0;
    if begun && !found.store().exists() {
        return Ok(Err(RebuildReason::Behind));
    }
    let opened = Store::open(around.filter, &found.store(), around.tuning.cache_bytes)
        .and_then(|store| Ok((store.sentinel(found.keyring.manifest())?, outstanding(&store)?, store)));
    let (sentinel, outstanding, store) = match opened {
        Ok(opened) => opened,
        Err(error) if error.cause() == StopCause::StoreDamaged => return Ok(Err(RebuildReason::Unreadable)),
        Err(error) => return Err((error.cause(), Some(error.detail()))),
    };
    let agrees = match sentinel {
        Some(sentinel) if sentinel.sequence == position.sequence => sentinel == Sentinel::of(position),
        Some(sentinel) => sentinel.sequence > position.sequence,
        None => !begun,
    };
    if !agrees {
        Store::close(Some(store));
        return Ok(Err(RebuildReason::Behind));
    }
    let ledger = LedgerFiles::open(dir.join(LEDGER), &found.manifest.ledger).map_err(disk(StopCause::Ledger))?;
    let Some(ledger) = ledger else {
        Store::close(Some(store));
        return Ok(Err(RebuildReason::Ledger));
    };
    let floor = Timestamp::from_millis(found.manifest.floor);
    let mut applied = Applied::new(position, found.manifest.ledger.clone(), found.manifest.links, floor, outstanding);
    applied.seals.clone_from(&found.manifest.seals);
    applied.keys_since = found.manifest.keys_since.map(Timestamp::from_millis);
    Ok(Ok(Start { store, ledger, applied, from: *position, rebuild: None, reach: sentinel.map_or(0, |sentinel| sentinel.sequence) }))
}

/// The outbox rows of a store.
fn outstanding(store: &Store) -> Result<HashMap<ParcelKey, Location>, StoreError> {
    let rows = store.rows(&Tree::Outbox.row(&[]), usize::MAX)?;
    rows.iter().map(|(key, value)| read_outbox_row(key, value).ok_or(StoreError::Panicked)).collect()
}

/// Puts the store aside and begins a new one, to be filled from all of the journal since its epoch began.
fn anew(around: &Surroundings, name: VaultName, found: &Found, reason: RebuildReason) -> Result<Start, Failure> {
    let (dir, store) = (&found.dir, found.store());
    let journal = dir.join(JOURNAL);
    let first = journal::segments(&journal).map_err(disk(StopCause::Journal))?.first().copied();
    let begins = journal::begins_with(&journal, found.keyring.journal()).map_err(disk(StopCause::Journal))?;
    let from = match &found.begin {
        None if found.manifest.epoch != FIRST_EPOCH => {
            let words = "the base of its epoch is not there: restore the vault from its backup";
            return Err((StopCause::StoreDamaged, Some(words.to_owned())));
        }
        None if first.max(Some(begins)) != Some(BEGINNING.segment) => {
            let words = "the journal does not reach back to the beginning: restore the vault from its backup";
            return Err((StopCause::StoreDamaged, Some(words.to_owned())));
        }
        None => BEGINNING,
        Some(begin) => walk::found(&journal, found.keyring.journal(), &begin.position).map_err(|cause| (cause, None))?,
    };
    let aside = || -> io::Result<()> {
        if store.exists() {
            match reason {
                RebuildReason::Unfinished => fs::remove_dir_all(&store)?,
                RebuildReason::Unreadable | RebuildReason::Behind | RebuildReason::RowDamaged | RebuildReason::Ledger => {
                    let places = (1..=KEPT_DAMAGED).map(|number| dir.join(format!("store.damaged-{number}")));
                    match places.into_iter().find(|place| !place.exists()) {
                        Some(place) => fs::rename(&store, place)?,
                        None => fs::remove_dir_all(&store)?,
                    }
                }
            }
        }
        File::create(dir.join(REBUILDING))?.sync_all()?;
        sync_dir(dir)
    };
    aside().map_err(disk(StopCause::Store))?;
    let store = Store::open(around.filter, &store, around.tuning.cache_bytes).map_err(|error| (error.cause(), Some(error.detail())))?;
    let (ledger, mut applied) = match &found.begin {
        None => {
            let floor = Timestamp::from_millis(i64::MIN);
            let applied = Applied::new(&BEGINNING, Frontier::default(), Links::default(), floor, HashMap::new());
            (LedgerFiles::anew(dir.join(LEDGER)), applied)
        }
        Some(begin) => {
            let (base, floor) = (Base::of(dir, name, begin.epoch, found.keyring.manifest()), Timestamp::from_millis(begin.floor));
            fill(&store, &base, |_| Ok(())).map_err(because(StopCause::StoreDamaged))?;
            let ledger = LedgerFiles::open(dir.join(LEDGER), &begin.ledger).map_err(disk(StopCause::Ledger))?;
            let ledger = ledger.ok_or((StopCause::Ledger, Some("entries from before its epoch are damaged".to_owned())))?;
            let outstanding = outstanding(&store).map_err(|error| (error.cause(), Some(error.detail())))?;
            let mut applied = Applied::new(&from, begin.ledger.clone(), begin.links, floor, outstanding);
            applied.seals.clone_from(&begin.seals);
            let sealed = sealed_in(&base, begin).map_err(disk(StopCause::Store))?;
            *applied.seals.entry(begin.epoch).or_default() += sealed;
            (ledger, applied)
        }
    };
    applied.keys_since = found.manifest.keys_since.map(Timestamp::from_millis);
    applied.seals.retain(|version, _| found.keyring.secrets().versions().contains(&KeyVersion(*version)));
    Ok(Start { store, ledger, applied, from, rebuild: Some(reason), reach: found.manifest.position.sequence })
}

/// The store is whole again.
fn unmark(dir: &Path) -> io::Result<()> {
    for mark in [SUSPECT, REBUILDING] {
        match fs::remove_file(dir.join(mark)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_dir(dir)
}

impl Applied {
    /// A cut in the middle of replay: the store may already have any row.
    pub(super) fn cut_in_replay(&mut self, position: Position) -> super::applied::Cut {
        let cut = self.cut(position);
        self.unsettled_from(u64::MAX);
        cut
    }

    /// Replay is done: what comes now is new.
    fn replayed(&mut self, position: Position) {
        self.unsettled_from(position.sequence);
    }
}
