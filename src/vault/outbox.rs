//! The outbox: parcels that are durable and not yet published, of all vaults of this daemon.
//!
//! Always: a parcel that was taken out comes back unless it was settled; what was not settled when the daemon ended is put in
//! again when its vault opens. Envelopes are held in memory up to a limit, the others are read again from the journal.
//! Absent: publishing, deadlines and the time between tries.

use super::{
    committer::Marked,
    core::{Core, lock},
    frame::{Location, ParcelKey},
};
use crate::{
    identifier::VaultName,
    relay::ports::{Parcel, VaultFault},
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, Weak},
};
use tokio::sync::Notify;

/// How much the outbox takes.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// With this many parcels outstanding, [`Outbox::room`] waits.
    pub parcels: usize,
    /// How many bytes of envelopes are held in memory.
    pub held_bytes: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { parcels: 20_000, held_bytes: 256 << 20 }
    }
}

/// How full the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxLoad {
    /// Parcels that were not settled, those taken out included.
    pub parcels: usize,
    /// Bytes of envelopes in memory.
    pub held_bytes: usize,
}

/// A parcel in the outbox.
pub(super) struct Posted {
    /// Not its owner: a vault that ended takes its unread parcels with it.
    pub(super) vault: Weak<Core>,
    pub(super) name: VaultName,
    pub(super) key: ParcelKey,
    pub(super) location: Location,
    pub(super) parcel: Option<Arc<Parcel>>,
}

impl Posted {
    fn held(&self) -> usize {
        self.parcel.as_ref().map_or(0, |parcel| parcel.body.len())
    }
}

#[derive(Default)]
struct Queue {
    posted: VecDeque<Posted>,
    load: OutboxLoad,
}

struct Shared {
    limits: OutboxLimits,
    queue: Mutex<Queue>,
    arrived: Notify,
    left: Notify,
}

/// The outbox. Clones are the same one.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        Self(Arc::new(Shared { limits, queue: Mutex::default(), arrived: Notify::new(), left: Notify::new() }))
    }

    pub(super) fn post(&self, parcels: impl IntoIterator<Item = Posted>) {
        let mut queue = lock(&self.0.queue);
        for mut posted in parcels {
            if queue.load.held_bytes + posted.held() > self.0.limits.held_bytes {
                posted.parcel = None;
            }
            queue.load.parcels += 1;
            queue.load.held_bytes += posted.held();
            queue.posted.push_back(posted);
        }
        drop(queue);
        self.0.arrived.notify_one();
    }

    /// Takes out the parcels of a vault that is being closed or opened anew, and were not taken out yet.
    pub(super) fn withdraw(&self, vault: VaultName) {
        let mut queue = lock(&self.0.queue);
        let (gone, kept): (Vec<_>, Vec<_>) = queue.posted.drain(..).partition(|posted| posted.name == vault);
        queue.load.parcels -= gone.len().min(queue.load.parcels);
        queue.load.held_bytes -= gone.iter().map(Posted::held).sum::<usize>().min(queue.load.held_bytes);
        queue.posted = kept.into();
        drop(queue);
        self.0.left.notify_waiters();
    }

    /// How full it is.
    #[must_use]
    pub fn load(&self) -> OutboxLoad {
        lock(&self.0.queue).load
    }

    /// Waits until fewer parcels are outstanding than the limit: until then, take in nothing more.
    pub async fn room(&self) {
        loop {
            let left = self.0.left.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable();
            if self.load().parcels < self.0.limits.parcels {
                return;
            }
            left.await;
        }
    }

    /// The next parcel to publish; waits for one. Parcels come in the order in which they were posted, those that came back
    /// at the end. Any number of publishers may call this.
    ///
    /// # Cancel safety
    /// A parcel is not lost when the future is dropped.
    pub async fn next(&self) -> Dispatch {
        loop {
            let arrived = self.0.arrived.notified();
            if let Some(posted) = self.take() {
                match Dispatch::load(self, posted).await {
                    Ok(dispatch) => return dispatch,
                    // Its vault has stopped; it is put in again when the vault opens.
                    Err(_) => continue,
                }
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Posted> {
        let mut queue = lock(&self.0.queue);
        let posted = queue.posted.pop_front();
        if !queue.posted.is_empty() {
            self.0.arrived.notify_one();
        }
        drop(queue);
        if let Some(posted) = &posted
            && let Some(vault) = posted.vault.upgrade()
        {
            vault.taken_out(posted.key);
        }
        posted
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({:?})", self.load())
    }
}

/// A parcel on its way to a broker. Dropped without being settled, it goes back into the outbox.
pub struct Dispatch {
    outbox: Outbox,
    posted: Option<Posted>,
    parcel: Arc<Parcel>,
    vault: VaultName,
}

impl Dispatch {
    async fn load(outbox: &Outbox, posted: Posted) -> Result<Self, VaultFault> {
        let vault = posted.name;
        if let Some(parcel) = posted.parcel.clone() {
            return Ok(Self { outbox: outbox.clone(), posted: Some(posted), parcel, vault });
        }
        let (core, key, location) = (posted.vault.upgrade(), posted.key, posted.location);
        let returned = Returned { outbox: outbox.clone(), posted: Some(posted) };
        let read = move || core.map_or(Ok(None), |core| core.parcel(key, location));
        let read = tokio::task::spawn_blocking(read).await;
        let parcel = match read {
            Ok(Ok(Some(parcel))) => Arc::new(parcel),
            Ok(Ok(None)) => {
                // Let go of only once it was published; the mark was lost, with what came behind a backup.
                let _ = returned.mark();
                returned.leave();
                return Err(VaultFault::Missing);
            }
            Ok(Err(fault)) => {
                returned.leave();
                return Err(fault);
            }
            Err(_) => return Err(VaultFault::Missing),
        };
        Ok(Self { outbox: outbox.clone(), posted: returned.keep(), parcel, vault })
    }

    /// The parcel.
    #[must_use]
    pub const fn parcel(&self) -> &Arc<Parcel> {
        &self.parcel
    }

    /// The vault it comes from.
    #[must_use]
    pub const fn vault(&self) -> VaultName {
        self.vault
    }

    /// Whether its vault has stopped: then it can be settled no more, and is posted anew when the vault opens.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.posted.as_ref().is_none_or(|posted| posted.vault.upgrade().is_none_or(|core| core.serving().is_err()))
    }

    /// It was published and confirmed, or is past its deadline: it leaves the outbox for good, unless its message came again
    /// meanwhile; then it goes back. The mark becomes durable with the vault's next group; if it is lost, the same bytes are
    /// published again.
    pub fn settle(mut self) {
        let returned = Returned { outbox: self.outbox.clone(), posted: self.posted.take() };
        match returned.mark() {
            Marked::Sent => returned.leave(),
            Marked::Wanted => drop(returned),
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        drop(Returned { outbox: self.outbox.clone(), posted: self.posted.take() });
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dispatch({} from {})", self.parcel.id, self.vault)
    }
}

/// A parcel that was taken out: goes back when dropped.
struct Returned {
    outbox: Outbox,
    posted: Option<Posted>,
}

impl Returned {
    fn mark(&self) -> Marked {
        let vault = self.posted.as_ref().and_then(|posted| Some((posted.vault.upgrade()?, posted.key)));
        vault.map_or(Marked::Sent, |(vault, key)| vault.mark_sent(key))
    }

    fn keep(mut self) -> Option<Posted> {
        self.posted.take()
    }

    fn leave(mut self) {
        if let Some(posted) = self.posted.take() {
            let mut queue = lock(&self.outbox.0.queue);
            queue.load.parcels = queue.load.parcels.saturating_sub(1);
            queue.load.held_bytes = queue.load.held_bytes.saturating_sub(posted.held());
            drop(queue);
            self.outbox.0.left.notify_waiters();
        }
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        if let Some(posted) = self.posted.take() {
            lock(&self.outbox.0.queue).posted.push_back(posted);
            self.outbox.0.arrived.notify_one();
        }
    }
}
