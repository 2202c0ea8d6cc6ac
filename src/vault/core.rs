//! One open vault: its parts, and how it stops.
//!
//! Always: after [`Core::stop`] nothing is read, committed or acknowledged; the first cause stays. Locks are taken in the order
//! journal, queue, applied, store; none is held while another vault's is taken.

use super::{
    anchors::Anchors,
    applied::Applied,
    checkpoint::Settling,
    committer::Queue,
    event::VaultEvent,
    filter::FilterInstalled,
    frame::{Location, ParcelKey},
    journal::{self, Journal, ReadError},
    ledger::LedgerFiles,
    limits::{QUEUE_PLACES, Tuning},
    outbox::Outbox,
    room::{DiskRoom, JournalRoom},
    roots::Roots,
    shrink::Segments,
    store::{Store, StoreError},
};
use crate::{
    identifier::VaultName,
    keyring::{Keyring, KeyringError, RowKey},
    ledger::{HeadKey, TreeHead},
    relay::ports::{Entropy, Parcel, StopCause, VaultFault},
};
use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
};

/// Hears what happens.
pub type Listener = Arc<dyn Fn(VaultEvent) + Send + Sync>;

// A panic under a lock stops the vault (see `committer::Leading`), so what a poisoned lock guards is not used again.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Does what may take long without holding up the other tasks of this worker.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // No worker, or one that has nobody to hand its tasks to.
        Ok(_) | Err(_) => work(),
    }
}

/// One open vault.
pub(super) struct Core {
    pub(super) name: VaultName,
    pub(super) dir: PathBuf,
    /// The generation of the store, and the version of the data key under which all in it is sealed.
    epoch: AtomicU32,
    pub(super) keyring: Keyring,
    pub(super) roots: Arc<Roots>,
    /// Shared from before a frame is sealed until it is queued; alone while a newer data key is taken up.
    pub(super) sealing: tokio::sync::RwLock<()>,
    /// Shared while sealed values are looked for and opened; whoever had it alone once knows that nobody still holds an old one.
    pub(super) reading: RwLock<()>,
    /// Held while the keyring is replaced.
    pub(super) keys: Mutex<()>,
    pub(super) filter: FilterInstalled,
    /// The segment of the journal in which the epoch begins.
    pub(super) begins: AtomicU64,
    pub(super) tuning: Tuning,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) outbox: Outbox,
    pub(super) listen: Listener,
    pub(super) runtime: Handle,
    pub(super) journal: Mutex<Journal>,
    pub(super) applied: RwLock<Applied>,
    /// Gone once the vault has stopped, so that it can be opened again.
    pub(super) store: RwLock<Option<Store>>,
    pub(super) ledger: Mutex<LedgerFiles>,
    pub(super) queue: Mutex<Queue>,
    pub(super) room: Semaphore,
    pub(super) settling: Mutex<Settling>,
    pub(super) settled: Condvar,
    /// The time that the last sweep was told, in milliseconds.
    pub(super) swept: AtomicI64,
    /// Who rewrites segments holds this; one at a time.
    pub(super) segments: Arc<tokio::sync::Mutex<Segments>>,
    /// Shared by those who put envelopes of earlier frames into the outbox again; alone while a segment loses its envelopes.
    pub(super) envelopes: Arc<tokio::sync::RwLock<()>>,
    pub(super) journal_room: JournalRoom,
    pub(super) disk: Arc<DiskRoom>,
    pub(super) environment: String,
    /// Signs tree heads.
    pub(super) heads: HeadKey,
    pub(super) anchors: Option<Anchors>,
    /// The tree head that was anchored last.
    pub(super) anchored: Mutex<Option<TreeHead>>,
    stopped: OnceLock<StopCause>,
    /// After it stopped: its files are let go, and it may be opened again.
    released: AtomicBool,
}

/// What an open vault is made of.
pub(super) struct Parts {
    pub(super) name: VaultName,
    pub(super) dir: PathBuf,
    pub(super) epoch: u32,
    pub(super) keyring: Keyring,
    pub(super) roots: Arc<Roots>,
    pub(super) filter: FilterInstalled,
    pub(super) begins: u64,
    pub(super) tuning: Tuning,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) outbox: Outbox,
    pub(super) listen: Listener,
    pub(super) runtime: Handle,
    pub(super) journal: Journal,
    pub(super) applied: Applied,
    pub(super) store: Store,
    pub(super) ledger: LedgerFiles,
    pub(super) settling: Settling,
    pub(super) disk: Arc<DiskRoom>,
    pub(super) environment: String,
    pub(super) heads: HeadKey,
    pub(super) anchors: Option<Anchors>,
    pub(super) anchored: Option<TreeHead>,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            journal_room: JournalRoom::new(parts.tuning.journal_bytes),
            disk: parts.disk,
            environment: parts.environment,
            heads: parts.heads,
            anchors: parts.anchors,
            anchored: Mutex::new(parts.anchored),
            swept: AtomicI64::new(i64::MIN),
            segments: Arc::default(),
            envelopes: Arc::default(),
            name: parts.name,
            dir: parts.dir,
            epoch: AtomicU32::new(parts.epoch),
            keyring: parts.keyring,
            roots: parts.roots,
            keys: Mutex::default(),
            filter: parts.filter,
            begins: AtomicU64::new(parts.begins),
            sealing: tokio::sync::RwLock::default(),
            reading: RwLock::default(),
            tuning: parts.tuning,
            entropy: parts.entropy,
            outbox: parts.outbox,
            listen: parts.listen,
            runtime: parts.runtime,
            journal: Mutex::new(parts.journal),
            applied: RwLock::new(parts.applied),
            store: RwLock::new(Some(parts.store)),
            ledger: Mutex::new(parts.ledger),
            queue: Mutex::default(),
            room: Semaphore::new(QUEUE_PLACES as usize),
            settling: Mutex::new(parts.settling),
            settled: Condvar::new(),
            stopped: OnceLock::new(),
            released: AtomicBool::new(false),
        }
    }

    pub(super) const fn name(&self) -> VaultName {
        self.name
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The manifest names another epoch from now on.
    pub(super) fn enter(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// How many parcels are not yet published.
    pub(super) fn outstanding(&self) -> usize {
        read(&self.applied).outstanding.len()
    }

    /// Why it stopped, if it did.
    pub(super) fn stopped(&self) -> Option<StopCause> {
        self.stopped.get().copied()
    }

    /// Refuses once it has stopped.
    pub(super) fn serving(&self) -> Result<(), VaultFault> {
        self.stopped().map_or(Ok(()), |cause| Err(VaultFault::Stopped(cause)))
    }

    /// Whether it has let go of its files.
    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Stops the vault. No lock of it may be held by the caller.
    pub(super) fn stop(&self, cause: StopCause, detail: Option<String>) -> VaultFault {
        if self.stopped.set(cause).is_ok() {
            aside(|| {
                if cause == StopCause::StoreDamaged {
                    // Opening it again must not trust the store; without the mark it would only stop once more.
                    let _ = fs::write(self.dir.join(super::open::SUSPECT), b"");
                }
                (self.listen)(VaultEvent::Stopped { vault: self.name, cause, detail });
                self.release();
            });
        }
        VaultFault::Stopped(self.stopped().unwrap_or(cause))
    }

    /// Ends it in good order; the caller has made everything durable.
    pub(super) fn shut(&self) {
        if self.stopped.set(StopCause::Store).is_ok() {
            self.release();
        }
    }

    /// Lets go of the files. Waits for the group and the checkpoint that are being written, so that nobody writes when the
    /// vault is opened again.
    // INVARIANT: a vault is opened again only behind this. Held by `stopping::a_vault_is_not_opened_again_before_it_let_go`.
    fn release(&self) {
        lock(&self.journal).retire();
        let store = write(&self.store).take();
        Store::close(store);
        self.fail_waiting();
        self.settled.notify_all();
        self.released.store(true, Ordering::Release);
    }

    pub(super) fn store_fault(&self, error: &StoreError) -> VaultFault {
        self.stop(error.cause(), Some(error.detail()))
    }

    /// A row that is missing, does not open or makes no sense.
    pub(super) fn damaged(&self) -> VaultFault {
        self.stop(StopCause::StoreDamaged, None)
    }

    pub(super) fn io_fault(&self, otherwise: StopCause, error: &io::Error) -> VaultFault {
        let cause = if error.kind() == io::ErrorKind::StorageFull { StopCause::NoRoom } else { otherwise };
        self.stop(cause, Some(error.to_string()))
    }

    pub(super) fn seal_fault(&self, error: KeyringError) -> VaultFault {
        self.stop(StopCause::Keyring, Some(error.to_string()))
    }

    /// The value of a row, wherever it lies.
    pub(super) fn row(&self, key: &RowKey) -> Result<Option<Arc<[u8]>>, VaultFault> {
        self.serving()?;
        if let Some(found) = read(&self.applied).rows.find(key) {
            return Ok(found);
        }
        let result = match &*read(&self.store) {
            Some(store) => store.row(key),
            None => return Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store))),
        };
        match result {
            Ok(value) => Ok(value.map(|value| Arc::from(&*value))),
            Err(error) => Err(self.store_fault(&error)),
        }
    }

    /// Seals a value for a row with a fresh salt.
    pub(super) fn seal(&self, row: &RowKey, value: &[u8]) -> Result<Vec<u8>, VaultFault> {
        let sealed = self.keyring.seal(row, &self.entropy.bytes(), value);
        sealed.map(crate::keyring::Sealed::into_bytes).map_err(|error| self.seal_fault(error))
    }

    /// All parcels of a frame, from the journal; `None` when their envelopes were dropped.
    pub(super) fn parcels(&self, sequence: u64, location: Location) -> Result<Option<Vec<Parcel>>, VaultFault> {
        self.serving()?;
        journal::read_parcels(&self.dir.join(super::open::JOURNAL), self.keyring.journal(), location, sequence).map_err(|error| {
            let cause = match error {
                ReadError::Io => StopCause::Journal,
                ReadError::Damaged => StopCause::JournalDamaged,
            };
            self.stop(cause, None)
        })
    }

    /// One parcel, from the journal.
    pub(super) fn parcel(&self, key: ParcelKey, location: Location) -> Result<Option<Parcel>, VaultFault> {
        let parcels = self.parcels(key.sequence, location)?;
        Ok(parcels.and_then(|parcels| parcels.into_iter().nth(usize::from(key.ordinal))))
    }
}
