//! All vaults of one data folder.
//!
//! ```text
//! data/lock   data/ballast   data/vaults/142051/…
//! ```
//!
//! Always: one daemon for each data folder, one opening at a time for each vault, and a vault that does not open is left alone
//! for a while: it stops its own tenant only. Absent: when to sweep, tend and close; the daemon's timers say so.

use super::{
    anchors::Anchors,
    backup::{BackupError, KeyBackup},
    carry::CarryError,
    close::{self, KeyStanding},
    core::{Core, Listener, lock},
    event::VaultEvent,
    filter::FilterInstalled,
    handle::{Caretaker, DiskVault},
    known::Prints,
    limits::Tuning,
    open::{self, CreateError, Surroundings},
    outbox::Outbox,
    removal,
    room::DiskRoom,
    roots::{Roots, Wrapped},
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::RootKey,
    relay::ports::{self, Entropy, StopCause, VaultFault},
    tenant::{Permit, Unscoped},
};
use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};

/// How large the ballast is: room to open vaults in when the disk is full.
const BALLAST: u64 = 8 << 20;

/// A vault that fails again and again is left alone for twice as long each time, so many times.
const LONGEST_RETRY: u32 = 6;

/// How long [`Vaults::tend`] waits for what it began; the rest goes on without it.
const TEND_PATIENCE: Duration = Duration::from_secs(2);

/// What [`Vaults::new`] needs.
pub struct Settings {
    /// The data folder; made if it is not there.
    pub data: PathBuf,
    /// The key above all keyrings.
    pub root_key: RootKey,
    /// `trial` or `production`: keyrings open in their own only.
    pub environment: String,
    /// Salts and keys come from here.
    pub entropy: Arc<dyn Entropy>,
    /// Where parcels go.
    pub outbox: Outbox,
    /// Who hears what happens.
    pub listen: Listener,
    /// Where tree heads are anchored, if anywhere.
    pub anchors: Option<Anchors>,
    /// Sizes.
    pub tuning: Tuning,
}

/// Why the data folder cannot be used.
#[derive(Debug, Error)]
pub enum DataFolderError {
    /// Another daemon or command holds it.
    #[error("the data folder is in use by another process")]
    InUse,
    /// The system said no.
    #[error("the data folder cannot be used")]
    Folder(#[from] io::Error),
}

/// What the manager knows of one vault.
enum Slot {
    Open(Arc<Core>),
    /// It stopped or did not open; it is left alone for a while.
    Failed(VaultFault),
    /// The while is over. It failed so many times in a row before the last.
    Retry(u32),
}

impl Slot {
    const fn core(&self) -> Option<&Arc<Core>> {
        match self {
            Self::Open(core) => Some(core),
            Self::Failed(_) | Self::Retry(_) => None,
        }
    }
}

struct Shared {
    around: Surroundings,
    data: PathBuf,
    slots: Mutex<HashMap<VaultName, Slot>>,
    /// One opening at a time for each vault.
    opening: Mutex<HashMap<VaultName, Arc<tokio::sync::Mutex<()>>>>,
    /// Every vault is being closed: none is opened any more.
    closing: AtomicBool,
    /// Held as long as this lives.
    _lock: File,
}

/// All vaults of one data folder. Clones are the same.
#[derive(Clone)]
pub struct Vaults(Arc<Shared>);

impl Vaults {
    /// Takes hold of a data folder.
    ///
    /// # Errors
    /// [`DataFolderError`] if another process has it, or it cannot be used.
    pub fn new(filter: FilterInstalled, settings: Settings) -> Result<Self, DataFolderError> {
        let data = settings.data;
        let vaults = data.join("vaults");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&vaults)?;
        let lock = hold_data_folder(&data)?;
        let around = Surroundings {
            filter,
            vaults,
            roots: Arc::new(Roots::new(settings.root_key, settings.environment)),
            entropy: settings.entropy,
            outbox: settings.outbox,
            disk: Arc::new(DiskRoom::new(data.clone(), settings.tuning.free_bytes, Arc::clone(&settings.listen))),
            listen: settings.listen,
            prints: Prints::up_to(settings.tuning.known_ids),
            tuning: settings.tuning,
            anchors: settings.anchors,
        };
        let shared =
            Shared { around, data, slots: Mutex::default(), opening: Mutex::default(), closing: AtomicBool::new(false), _lock: lock };
        removal::finish(&shared.around.vaults)?;
        shared.lay_ballast();
        shared.around.disk.look();
        Ok(Self(Arc::new(shared)))
    }

    /// Makes a vault, with new keys. Waits for the disk, so not for an asynchronous task.
    ///
    /// # Errors
    /// [`CreateError::Exists`] if there is one; the others if it could not be made whole.
    pub fn create(&self, name: VaultName) -> Result<(), CreateError> {
        open::create(&self.0.around, name)
    }

    /// The vaults that exist.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn names(&self) -> io::Result<Vec<VaultName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0.around.vaults)? {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(|name| match name {
                "platform" => Some(VaultName::Platform),
                code => code.parse().ok().map(VaultName::Tenant),
            }));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Backs up every keyring into this folder, in the place of the key backup that was there. Returns how many. Waits for the
    /// disk, so not for an asynchronous task.
    ///
    /// # Errors
    /// [`BackupError`]; the key backup that was there stays then.
    pub fn back_up_keys(&self, folder: &Path, now: Timestamp) -> Result<usize, BackupError> {
        let around = &self.0.around;
        let names = self.names().map_err(|source| BackupError::Io { path: around.vaults.clone(), source })?;
        around.roots.with_newest(|root| KeyBackup::of(&around.vaults, &names, root, around.roots.environment(), now)?.write(folder, root))
    }

    /// The vaults that have something to do before anyone asks: frames behind their manifest, or parcels to publish.
    /// Found without opening them.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn unfinished(&self) -> io::Result<Vec<VaultName>> {
        let names = self.names()?;
        Ok(names.into_iter().filter(|name| close::is_unfinished(&self.0.around.vaults.join(name.to_string()))).collect())
    }

    /// How a vault stands with its data key, found without opening it.
    #[must_use]
    pub fn key_standing(&self, name: VaultName) -> Option<KeyStanding> {
        close::key_standing(&self.folder(name))
    }

    pub(super) fn folder(&self, name: VaultName) -> PathBuf {
        self.0.around.vaults.join(name.to_string())
    }

    /// Takes up a newer root key: keyrings open under it and under those before, and are wrapped under it.
    pub fn take_up_root(&self, key: RootKey) {
        self.0.around.roots.take_up(key);
    }

    /// Lets go of all root keys but the newest.
    pub fn only_newest_root(&self) {
        self.0.around.roots.only_newest();
    }

    /// Wraps the keyring of a vault under the newest root key, if it is not so already, whether the vault is open or not.
    ///
    /// # Errors
    /// [`CarryError::Root`] if it does not open under any root key, or cannot be written.
    ///
    /// # Cancel safety
    /// It is replaced whole or not at all.
    pub async fn wrap_again(&self, name: VaultName) -> Result<(), CarryError> {
        let _turn = self.turn(name).await;
        let open = lock(&self.0.slots).get(&name).and_then(Slot::core).filter(|core| core.serving().is_ok()).cloned();
        let (shared, dir) = (Arc::clone(&self.0), self.folder(name));
        let wrapped = tokio::task::spawn_blocking(move || {
            let roots = &shared.around.roots;
            let (keyring, wrapped) = roots.open(&dir, name)?;
            match (wrapped, open) {
                (Wrapped::ByNewest, _) => Ok(()),
                (Wrapped::ByOlder, Some(core)) => core.wrap_again(),
                (Wrapped::ByOlder, None) => Ok(roots.replace(&dir, keyring.vault(), &keyring.secrets(), &*shared.around.entropy)?),
            }
        });
        wrapped.await.unwrap_or(Err(CarryError::Ended))
    }

    /// One opening, wrapping or removal at a time.
    pub(super) async fn turn(&self, name: VaultName) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.0.opening).entry(name).or_default());
        turn.lock_owned().await
    }

    /// Opens a vault for what is not a message: start-up, timers, commands of the operator. Nothing can be read by it.
    ///
    /// # Errors
    /// [`VaultFault`] as [`ports::Vaults::open`].
    ///
    /// # Cancel safety
    /// Opening goes on when the future is dropped.
    pub async fn resume(&self, name: VaultName) -> Result<Caretaker, VaultFault> {
        self.core(name).await.map(Caretaker)
    }

    async fn core(&self, name: VaultName) -> Result<Arc<Core>, VaultFault> {
        if let Some(result) = self.known(name) {
            return result;
        }
        let turn = self.turn(name).await;
        if let Some(result) = self.known(name) {
            return result;
        }
        let vaults = self.clone();
        // A task of its own: whoever waits for it may go away, and the turn must not end before the opening does.
        let opening = tokio::spawn(async move {
            let _turn = turn;
            let (shared, runtime) = (Arc::clone(&vaults.0), Handle::current());
            let opened = tokio::task::spawn_blocking(move || shared.open(name, &runtime)).await;
            let opened = opened.unwrap_or(Err(VaultFault::Stopped(StopCause::Store)));
            match &opened {
                Ok(core) => drop(lock(&vaults.0.slots).insert(name, Slot::Open(Arc::clone(core)))),
                Err(fault) => vaults.leave_alone(name, *fault),
            }
            opened
        });
        opening.await.unwrap_or(Err(VaultFault::Stopped(StopCause::Store)))
    }

    /// What is known without opening. A vault that has stopped is opened again after a while, once it has let go of its files.
    fn known(&self, name: VaultName) -> Option<Result<Arc<Core>, VaultFault>> {
        if self.0.closing.load(Ordering::Acquire) {
            return Some(Err(VaultFault::Stopped(StopCause::Store)));
        }
        let (fault, released) = match lock(&self.0.slots).get(&name)? {
            Slot::Open(core) => match core.serving() {
                Ok(()) => return Some(Ok(Arc::clone(core))),
                Err(fault) => (fault, core.is_released()),
            },
            Slot::Failed(fault) => return Some(Err(*fault)),
            Slot::Retry(_) => return None,
        };
        if released {
            self.leave_alone(name, fault);
        }
        Some(Err(fault))
    }

    /// Remembers a failure for a while; longer each time in a row.
    fn leave_alone(&self, name: VaultName, fault: VaultFault) {
        if fault == VaultFault::Missing {
            return;
        }
        let tries = {
            let mut slots = lock(&self.0.slots);
            let tries = match slots.get(&name) {
                Some(Slot::Retry(tries)) => tries + 1,
                Some(Slot::Open(_)) | None => 0,
                Some(Slot::Failed(_)) => return,
            };
            slots.insert(name, Slot::Failed(fault));
            tries
        };
        let after = self.0.around.tuning.retry_after.saturating_mul(1 << tries.min(LONGEST_RETRY));
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(shared) = shared.upgrade()
                && let Some(slot @ Slot::Failed(_)) = lock(&shared.slots).get_mut(&name)
            {
                *slot = Slot::Retry(tries);
            }
        });
    }

    /// Takes a vault out of those that are known.
    pub(super) fn take_out(&self, name: VaultName) -> Option<Arc<Core>> {
        lock(&self.0.slots).remove(&name).and_then(|slot| slot.core().cloned())
    }

    /// The folder of all vaults.
    pub(super) fn all(&self) -> &Path {
        &self.0.around.vaults
    }

    fn cores(&self) -> Vec<Arc<Core>> {
        lock(&self.0.slots).values().filter_map(Slot::core).cloned().collect()
    }

    /// The vaults that are open and serve.
    #[must_use]
    pub fn open_vaults(&self) -> Vec<Caretaker> {
        self.cores().into_iter().filter(|core| core.serving().is_ok()).map(Caretaker).collect()
    }

    /// For a timer, every few seconds: opens vaults again that have stopped, when they were left alone long enough, so that
    /// their parcels go out; writes the marks of published parcels that wait for a next frame, which costs each vault that
    /// has some a sync; and looks how much room the disk has. All side by side, and it does not wait long: what takes longer
    /// goes on behind it.
    pub async fn tend(&self) {
        let mut work = JoinSet::new();
        let disk = Arc::clone(&self.0.around.disk);
        work.spawn_blocking(move || disk.look());
        for core in self.cores() {
            if let Err(fault) = core.serving()
                && core.is_released()
            {
                self.leave_alone(core.name(), fault);
            }
        }
        let again: Vec<_> = {
            let slots = lock(&self.0.slots);
            slots.iter().filter(|(_, slot)| matches!(slot, Slot::Retry(_))).map(|(name, _)| *name).collect()
        };
        for name in again.into_iter().filter(|name| !self.is_opening(*name)) {
            let vaults = self.clone();
            // Why it failed, if it did, was told to the listener.
            work.spawn(async move { drop(vaults.core(name).await) });
        }
        for core in self.cores().into_iter().filter(|core| core.marks() > 0) {
            // A panic in there has stopped the vault already.
            work.spawn_blocking(move || core.flush_marks());
        }
        if timeout(TEND_PATIENCE, async { while work.join_next().await.is_some() {} }).await.is_err() {
            work.detach_all();
        }
    }

    fn is_opening(&self, name: VaultName) -> bool {
        lock(&self.0.opening).get(&name).is_some_and(|turn| turn.try_lock().is_err())
    }

    /// Closes every vault in good order, each with a checkpoint, and opens none any more. Stop taking in and publishing before.
    ///
    /// # Cancel safety
    /// Closing goes on when the future is dropped. What was not closed is recovered from its journal.
    pub async fn close_all(&self) {
        self.0.closing.store(true, Ordering::Release);
        let cores: Vec<_> = {
            let mut slots = lock(&self.0.slots);
            slots.drain().filter_map(|(_, slot)| slot.core().cloned()).collect()
        };
        let closing: Vec<_> = cores.into_iter().map(|core| tokio::task::spawn_blocking(move || close::close(&core))).collect();
        for close in closing {
            // What could not be written stands in the journal; the vault has said why it stopped.
            let _ = close.await;
        }
    }
}

/// Takes the lock. One that was just left may linger for a moment, in a child that another thread is starting.
fn hold(lock: &File) -> Result<(), DataFolderError> {
    for _ in 0..50 {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(DataFolderError::InUse)
}

/// Takes hold of a data folder, so that no daemon or command has it, as long as this lives.
///
/// # Errors
/// [`DataFolderError`].
pub fn hold_data_folder(data: &Path) -> Result<File, DataFolderError> {
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(data.join("lock"))?;
    hold(&lock)?;
    Ok(lock)
}

impl Shared {
    fn open(&self, name: VaultName, runtime: &Handle) -> Result<Arc<Core>, VaultFault> {
        let result = open::open(&self.around, name, runtime.clone());
        if !matches!(result, Err(VaultFault::Stopped(StopCause::NoRoom))) || fs::remove_file(self.data.join("ballast")).is_err() {
            return result;
        }
        (self.around.listen)(VaultEvent::BallastFreed);
        open::open(&self.around, name, runtime.clone())
    }

    /// Lays the ballast if there is room for it; without room there is nothing it could be for.
    fn lay_ballast(&self) {
        let path = self.data.join("ballast");
        if path.exists() {
            return;
        }
        let laid = File::create(&path).and_then(|file| Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST)?));
        if laid.is_err() {
            let _ = fs::remove_file(&path);
        }
    }
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vaults({} open)", self.cores().len())
    }
}

impl ports::Vaults for Vaults {
    type Vault = DiskVault;

    async fn open(&self, permit: &Permit) -> Result<Unscoped<DiskVault>, VaultFault> {
        self.core(permit.vault()).await.map(|core| Unscoped::of(DiskVault::of(permit, core)))
    }
}
