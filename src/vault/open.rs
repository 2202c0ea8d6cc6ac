//! Making, opening, recovering and closing a vault.
//!
//! Always: a vault is made whole or not at all. Opening replays the journal from the manifest's position; a store that is lost,
//! behind or damaged is put aside and rebuilt from the first segment, with nothing missing. What cannot be trusted stops the
//! vault with the cause.

use super::{
    anchors::{self, Anchors},
    applied::{Applied, read_outbox_row},
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
    manifest::{self, Manifest, Position, sync_dir},
    outbox::{Outbox, Posted},
    replay::{Replayed, Shown, replay},
    room::DiskRoom,
    store::{Sentinel, Store, StoreError},
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::{Keyring, RootKey, Secrets, Tree, WrappedKeyring},
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
pub(super) const STORE: &str = "store";
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
    pub(super) root_key: RootKey,
    pub(super) environment: String,
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
    let wrapped = around.root_key.wrap(&keyring, &around.environment, 1, entropy.bytes())?;
    manifest::replace(&new, KEYRING, &serde_json::to_vec_pretty(&wrapped).map_err(io::Error::from)?)?;
    journal::create(&new.join(JOURNAL), keyring.journal())?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        vault: name.to_string(),
        epoch: 1,
        position: BEGINNING,
        ledger: Frontier::default(),
        links: Links::default(),
        outstanding: 0,
        floor: i64::MIN,
    };
    manifest.write(&new, keyring.manifest())?;
    fs::rename(&new, &dir)?;
    sync_dir(&around.vaults)?;
    Ok(())
}

/// What is on disk, opened as far as it can be trusted.
struct Found {
    manifest: Manifest,
    keyring: Keyring,
    heads: HeadKey,
    dir: PathBuf,
}

/// Where replay begins, and into what.
struct Base {
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
    let wrapped = fs::read(dir.join(KEYRING)).map_err(disk(StopCause::Keyring))?;
    let wrapped: WrappedKeyring = serde_json::from_slice(&wrapped).map_err(because(StopCause::Keyring))?;
    let keyring = around.root_key.open(&wrapped, name, &around.environment).map_err(because(StopCause::Keyring))?;
    let manifest = Manifest::read(&dir, keyring.manifest(), &name.to_string()).map_err(disk(StopCause::Manifest))?;
    let heads = keyring.heads(&around.environment).map_err(because(StopCause::Keyring))?;
    let found = Found { manifest: manifest.ok_or((StopCause::Manifest, None))?, keyring, heads, dir };

    journal::remove_unfinished(&found.dir.join(JOURNAL)).map_err(disk(StopCause::Journal))?;
    let mut base = base(around, name, &found)?;
    let (replayed, settling, anchor) = match catch_up(around, name, &found, &mut base) {
        Ok(caught_up) => caught_up,
        Err(failure) => {
            Store::close(Some(base.store));
            if failure.0 == StopCause::StoreDamaged && base.rebuild.is_none() {
                // It agreed with the manifest, and showed its damage only when it was used.
                fs::write(found.dir.join(SUSPECT), b"").map_err(disk(StopCause::Store))?;
                return recover(around, name, found.dir, runtime, began);
            }
            return Err(failure);
        }
    };
    let Base { store, ledger, applied, .. } = base;
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
        keyring: found.keyring,
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
fn catch_up(around: &Surroundings, name: VaultName, found: &Found, base: &mut Base) -> Result<CaughtUp, Failure> {
    let tuning = &around.tuning;
    let Base { store, ledger, applied, from, rebuild, reach } = base;
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
fn base(around: &Surroundings, name: VaultName, found: &Found) -> Result<Base, Failure> {
    match trusted(around, found)? {
        Ok(base) => Ok(base),
        Err(reason) => {
            (around.listen)(VaultEvent::StoreRebuilding { vault: name, reason });
            anew(around, found, reason)
        }
    }
}

fn trusted(around: &Surroundings, found: &Found) -> Result<Result<Base, RebuildReason>, Failure> {
    let (dir, position) = (&found.dir, &found.manifest.position);
    if dir.join(REBUILDING).exists() {
        return Ok(Err(RebuildReason::Unfinished));
    }
    if dir.join(SUSPECT).exists() {
        return Ok(Err(RebuildReason::RowDamaged));
    }
    let begun = position.sequence > 0;
    if begun && !dir.join(STORE).exists() {
        return Ok(Err(RebuildReason::Behind));
    }
    let opened = Store::open(around.filter, &dir.join(STORE), around.tuning.cache_bytes)
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
    Ok(Ok(Base {
        store,
        ledger,
        applied: Applied::new(position, found.manifest.ledger.clone(), found.manifest.links, floor, outstanding),
        from: *position,
        rebuild: None,
        reach: sentinel.map_or(0, |sentinel| sentinel.sequence),
    }))
}

/// The outbox rows of a store.
fn outstanding(store: &Store) -> Result<HashMap<ParcelKey, Location>, StoreError> {
    let rows = store.rows(&Tree::Outbox.row(&[]), usize::MAX)?;
    rows.iter().map(|(key, value)| read_outbox_row(key, value).ok_or(StoreError::Panicked)).collect()
}

/// Puts the store aside and begins a new one, to be filled from the whole journal.
fn anew(around: &Surroundings, found: &Found, reason: RebuildReason) -> Result<Base, Failure> {
    let (dir, store) = (&found.dir, found.dir.join(STORE));
    let reaches_back = journal::segments(&dir.join(JOURNAL)).map_err(disk(StopCause::Journal))?.first() == Some(&BEGINNING.segment);
    if !reaches_back {
        return Err((StopCause::StoreDamaged, Some("the journal does not reach back to the beginning".to_owned())));
    }
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
    Ok(Base {
        store,
        ledger: LedgerFiles::anew(dir.join(LEDGER)),
        applied: Applied::new(&BEGINNING, Frontier::default(), Links::default(), Timestamp::from_millis(i64::MIN), HashMap::new()),
        from: BEGINNING,
        rebuild: Some(reason),
        reach: found.manifest.position.sequence,
    })
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
    fn cut_in_replay(&mut self, position: Position) -> super::applied::Cut {
        let cut = self.cut(position);
        self.unsettled_from(u64::MAX);
        cut
    }

    /// Replay is done: what comes now is new.
    fn replayed(&mut self, position: Position) {
        self.unsettled_from(position.sequence);
    }
}
