//! The two handles on an open vault: one that reads and commits for a message, one that takes care of it.
//!
//! Always: what a vault holds is read by a [`DiskVault`], which only a [`Permit`] opens and only a scope holds; a [`Caretaker`],
//! which anyone with the data folder gets, sees sizes, counts and hashes. Neither becomes the other. Held by `tests/compile_fail`.

use super::{
    backup::{Backup, BackupError},
    carry::{CarriedOver, CarryError, KeyDestroyed, KeyUse},
    core::{Core, read},
};
use crate::{
    calendar::Timestamp,
    identifier::{PersonName, VaultName},
    keyring::Tree,
    ledger::{Commitment, Frontier, Salt, Sealing, SignedHead},
    record::{ContentName, FileContent, PersonId, PersonNeed, View},
    relay::ports::{self, Frame, Journalled, MessageKey, Remembered, Repeated, StopCause, VaultFault},
    tenant::Permit,
};
use std::{fmt, io, path::PathBuf, sync::Arc};

/// An open vault in the hands of start-up, timers and the operator: it is kept in order, and nothing in it can be read. Clones
/// are the same.
#[derive(Clone)]
pub struct Caretaker(pub(super) Arc<Core>);

impl Caretaker {
    /// Which.
    #[must_use]
    pub fn name(&self) -> VaultName {
        self.0.name()
    }

    /// Forgets the messages that expired more than 10 minutes before this. Returns how many.
    ///
    /// # Errors
    /// [`VaultFault`] if the vault cannot be read or written.
    ///
    /// # Cancel safety
    /// What was forgotten so far stays forgotten.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, VaultFault> {
        self.0.sweep(now).await
    }

    /// Rewrites the next closed segment of the journal whose messages are all forgotten and whose parcels are all published,
    /// without the envelopes in it. Returns how many bytes were read for it, so that the caller can pace himself; `None` when
    /// there is none left for now.
    ///
    /// # Errors
    /// [`VaultFault`] if the vault cannot be written. A segment that cannot be rewritten stays, and is told to the listener.
    ///
    /// # Cancel safety
    /// Each segment is rewritten wholly or not at all.
    pub async fn shrink(&self) -> Result<Option<u64>, VaultFault> {
        self.0.shrink().await
    }

    /// Carries what lives over into a new epoch under a new data key while the vault serves, destroys the key of the epoch before,
    /// and removes what that sealed; or goes on with what was begun. It takes its time; how far it is, the listener hears.
    ///
    /// # Errors
    /// [`CarryError`]; begun again, it goes on where it was.
    ///
    /// # Cancel safety
    /// Once it works on the disk, it goes on when the future is dropped.
    pub async fn carry_over(&self, now: Timestamp) -> Result<CarriedOver, CarryError> {
        self.0.carry_over(now).await
    }

    /// Whether a carry-over was begun and is not finished.
    #[must_use]
    pub fn is_carrying(&self) -> bool {
        self.0.is_carrying()
    }

    /// The data keys, oldest first, with the number of values that were sealed under each.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyUse> {
        self.0.key_uses()
    }

    /// Since when the newest data key seals; if nobody knows, it does since now.
    pub fn keys_since(&self, now: Timestamp) -> Timestamp {
        self.0.keys_since(now)
    }

    /// The key that was destroyed last, as long as nobody has said that it is recorded.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn unrecorded(&self) -> io::Result<Option<KeyDestroyed>> {
        self.0.unrecorded()
    }

    /// Says that it is recorded.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn recorded(&self) -> io::Result<()> {
        self.0.recorded()
    }

    /// Makes a checkpoint now, if anything has happened since the last.
    ///
    /// # Errors
    /// [`VaultFault`] if it could not be written; the vault has stopped then.
    pub async fn checkpoint(&self) -> Result<(), VaultFault> {
        let core = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || if core.has_unsettled() { core.checkpoint() } else { core.serving() }).await;
        done.unwrap_or(Err(VaultFault::Stopped(StopCause::Store)))
    }

    /// The ledger's edge.
    #[must_use]
    pub fn ledger(&self) -> Frontier {
        self.0.ledger()
    }

    /// The ledger's tree head as far as it is durable, signed by the vault's own key.
    #[must_use]
    pub fn tree_head(&self) -> SignedHead {
        self.0.tree_head()
    }

    /// Writes an anchor, where anchors are kept, and tells the tree head, unless it is the one told last.
    ///
    /// # Cancel safety
    /// It goes on when the future is dropped.
    pub async fn anchor(&self) {
        let core = Arc::clone(&self.0);
        // What went wrong was told to the listener.
        let _ = tokio::task::spawn_blocking(move || core.anchor()).await;
    }

    /// Takes a sealed backup of the vault into this folder while it serves, and reads it back.
    ///
    /// # Errors
    /// [`BackupError`]; nothing is left in the folder then.
    ///
    /// # Cancel safety
    /// It goes on when the future is dropped.
    pub async fn back_up(
        &self,
        folder: PathBuf,
        now: Timestamp,
        progress: impl Fn(u64, Option<u64>) + Send + Sync + 'static,
    ) -> Result<Backup, BackupError> {
        let core = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || core.back_up(&folder, now, &progress)).await;
        done.unwrap_or(Err(BackupError::CutShort))
    }

    /// The ledger's edge, recomputed from every entry that is kept, none of which is opened: must be equal to
    /// [`Self::ledger`]. Waits for the disk, so not for an asynchronous task.
    ///
    /// # Errors
    /// [`VaultFault`] if an entry is missing.
    pub fn recompute_ledger(&self) -> Result<Frontier, VaultFault> {
        self.0.recompute_ledger()
    }

    /// How many parcels are not yet published.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.0.outstanding()
    }
}

impl fmt::Debug for Caretaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caretaker({})", self.0.name())
    }
}

/// An open vault in the hands of a message: made by a permit alone, and never outside a [`TenantScope`](crate::tenant::TenantScope).
pub struct DiskVault(Arc<Core>);

impl DiskVault {
    pub(super) const fn of(_: &Permit, core: Arc<Core>) -> Self {
        Self(core)
    }

    /// One entry of the ledger, opened; `None` behind its end.
    ///
    /// # Errors
    /// [`VaultFault`] if it does not open.
    pub fn entry(&self, index: u64) -> Result<Option<(Commitment, Sealing)>, VaultFault> {
        let _reading = read(&self.0.reading);
        let Some((commitment, sealed)) = self.0.sealed_entry(index)? else { return Ok(None) };
        let stop = || self.0.stop(StopCause::Ledger, None);
        let opened = self.0.keyring.open(&Tree::Entry.row(&[&commitment.0]), &sealed).map_err(|_| stop())?;
        let (salt, entry) = opened.split_first_chunk().ok_or_else(stop)?;
        Ok(Some((commitment, Sealing { salt: Salt(*salt), entry: entry.to_vec() })))
    }
}

impl fmt::Debug for DiskVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskVault({})", self.0.name())
    }
}

impl ports::Vault for DiskVault {
    fn recall(&self, message: &MessageKey) -> Result<Option<Remembered>, VaultFault> {
        let _reading = read(&self.0.reading);
        self.0.recall(message)
    }

    fn person(&self, name: &PersonName) -> Result<Option<PersonId>, VaultFault> {
        let _reading = read(&self.0.reading);
        self.0.person(name)
    }

    fn view(&self, needs: &[PersonNeed]) -> Result<View, VaultFault> {
        let _reading = read(&self.0.reading);
        self.0.view(needs)
    }

    fn contents(&self, names: &[ContentName]) -> Result<Vec<FileContent>, VaultFault> {
        self.0.contents(names)
    }

    fn floor(&self) -> Timestamp {
        self.0.floor()
    }

    fn takes_in(&self) -> Result<(), VaultFault> {
        self.0.has_room()
    }

    async fn commit(&self, frame: Frame) -> Result<Journalled, VaultFault> {
        self.0.commit_frame(frame).await
    }

    async fn repeat(&self, message: &MessageKey) -> Result<Repeated, VaultFault> {
        self.0.repeat(message).await
    }
}
