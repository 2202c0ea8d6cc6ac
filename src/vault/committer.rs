//! The committer: makes frames durable in groups.
//!
//! Always: a frame is sealed and encoded by its own task before it queues; whoever finds no leader becomes it, on a blocking
//! thread, and writes one group after the other until the queue is empty. While one group syncs, the next gathers. A frame is
//! acknowledged after its group was synced and applied. There is no thread for a vault at rest.

use super::{
    core::{Core, lock, read, write},
    frame::{Location, ParcelKey, Record},
    group::Part,
    limits::{GROUP_BYTES, LONGEST_FRAME, MARKS, PLACE_BYTES, QUEUE_PLACES},
    outbox::Posted,
};
use crate::relay::ports::{Parcel, StopCause, VaultFault};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};
use tokio::sync::oneshot;

/// A frame that is ready to be written.
pub(super) struct Prepared {
    pub(super) record: Record,
    /// The envelopes that stand in this frame.
    pub(super) bodies: Vec<Arc<Parcel>>,
    /// What goes into the outbox once it is durable: envelopes of this frame, or of an earlier one.
    pub(super) posts: Posts,
}

/// What a frame puts into the outbox.
pub(super) enum Posts {
    /// Its own parcels.
    Own,
    /// Parcels of a frame before it.
    Again(Vec<(ParcelKey, Location, Arc<Parcel>)>),
}

/// What became of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    /// It is noted.
    Sent,
    /// The parcel is to be published once more.
    Wanted,
}

struct Waiting {
    frame: Vec<u8>,
    prepared: Prepared,
    done: oneshot::Sender<Result<Option<u64>, VaultFault>>,
}

/// Frames and marks that wait for the next group.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Parcels that were published; they ride in the next group.
    marks: Vec<ParcelKey>,
    /// Parcels that are outstanding and were asked for once more since a publisher last took them out.
    wanted: HashSet<ParcelKey>,
    led: bool,
    /// Write the marks even if no frame waits.
    flush: bool,
}

/// While one leads; if leading ends by a panic, the vault stops and nobody waits for ever.
struct Leading<'a>(&'a Core);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(StopCause::Journal, Some("the committer failed".to_owned()));
            // Who queued meanwhile, trusting this lead, is answered here; who comes later leads and finds the vault stopped.
            lock(&self.0.queue).led = false;
            self.0.fail_waiting();
        }
    }
}

/// How many places a frame of so many bytes takes in the queue.
fn places(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PLACE_BYTES)).unwrap_or(QUEUE_PLACES).clamp(1, QUEUE_PLACES)
}

impl Core {
    /// Makes a frame durable and applies it. Returns the index of its ledger entry, if it has one.
    pub(super) async fn commit(self: &Arc<Self>, prepared: Prepared) -> Result<Option<u64>, VaultFault> {
        self.serving()?;
        let frame = prepared.record.encode();
        let bodies: usize = prepared.bodies.iter().map(|parcel| parcel.body.len()).sum();
        if frame.len() + bodies > LONGEST_FRAME || prepared.bodies.len() > usize::from(u16::MAX) {
            return Err(self.too_large());
        }
        // INVARIANT: the semaphore is never closed.
        let _place = self.room.acquire_many(places(frame.len() + bodies)).await.map_err(|_| VaultFault::Stopped(StopCause::Journal))?;
        let (done, waits) = oneshot::channel();
        lock(&self.queue).waiting.push_back(Waiting { frame, prepared, done });
        self.lead_if_nobody_does();
        waits.await.unwrap_or_else(|_| Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Journal))))
    }

    fn lead_if_nobody_does(self: &Arc<Self>) {
        if !std::mem::replace(&mut lock(&self.queue).led, true) {
            let core = Arc::clone(self);
            self.runtime.spawn_blocking(move || core.lead());
        }
    }

    /// Notes that a parcel was published, unless it was asked for once more meanwhile.
    // INVARIANT: whoever asks for a parcel finds it outstanding and makes it wanted, or finds it gone, and then its mark stands
    // before whatever brings it back. Held by `outbox::a_repeat_while_the_confirm_is_on_its_way_is_published_once_more`.
    pub(super) fn mark_sent(self: &Arc<Self>, key: ParcelKey) -> Marked {
        let mut queue = lock(&self.queue);
        if queue.wanted.remove(&key) {
            return Marked::Wanted;
        }
        write(&self.applied).outstanding.remove(&key);
        queue.marks.push(key);
        if queue.marks.len() >= MARKS && !queue.led {
            queue.flush = true;
            drop(queue);
            self.lead_if_nobody_does();
        }
        Marked::Sent
    }

    /// A publisher took a parcel out: who asked for it until now will get it.
    pub(super) fn taken_out(&self, key: ParcelKey) {
        lock(&self.queue).wanted.remove(&key);
    }

    /// Asks for parcels once more. Returns those that are not outstanding.
    pub(super) fn ask_again(&self, keys: impl Iterator<Item = ParcelKey>) -> Vec<ParcelKey> {
        let mut queue = lock(&self.queue);
        let applied = read(&self.applied);
        let mut missing = Vec::new();
        for key in keys {
            if applied.outstanding.contains_key(&key) {
                queue.wanted.insert(key);
            } else {
                missing.push(key);
            }
        }
        missing
    }

    /// Writes the marks that wait, on this thread or with the group that is being written.
    pub(super) fn flush_marks(self: &Arc<Self>) {
        let mut queue = lock(&self.queue);
        if queue.marks.is_empty() {
            return;
        }
        queue.flush = true;
        if !std::mem::replace(&mut queue.led, true) {
            drop(queue);
            self.lead();
        }
    }

    /// How many marks wait.
    pub(super) fn marks(&self) -> usize {
        lock(&self.queue).marks.len()
    }

    pub(super) fn fail_waiting(&self) {
        let waiting = std::mem::take(&mut lock(&self.queue).waiting);
        let fault = VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Journal));
        for frame in waiting {
            // Who no longer waits needs no answer.
            let _ = frame.done.send(Err(fault));
        }
    }

    /// The next group, marks first; `None` ends the lead.
    fn gather(&self) -> Option<(Vec<ParcelKey>, Vec<Waiting>)> {
        let mut queue = lock(&self.queue);
        if self.stopped().is_some() || (queue.waiting.is_empty() && !queue.flush) {
            queue.led = false;
            drop(queue);
            if self.stopped().is_some() {
                self.fail_waiting();
            }
            return None;
        }
        queue.flush = false;
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            let length = next.frame.len() + next.prepared.bodies.iter().map(|parcel| parcel.body.len()).sum::<usize>();
            if bytes + length > GROUP_BYTES && !group.is_empty() {
                break;
            }
            bytes += length;
            group.extend(queue.waiting.pop_front());
        }
        Some((std::mem::take(&mut queue.marks), group))
    }

    fn lead(self: &Arc<Self>) {
        let _leading = Leading(self);
        while let Some((marks, group)) = self.gather() {
            self.wait_for_checkpoint();
            let marks = (!marks.is_empty()).then_some(Record::Sent(marks));
            if let Err((fault, group)) = self.write_group(marks, group) {
                for waiting in group {
                    let _ = waiting.done.send(Err(fault));
                }
            }
            self.checkpoint_if_due();
        }
    }

    /// Writes, syncs and applies one group, and answers those who wait for it.
    fn write_group(self: &Arc<Self>, marks: Option<Record>, group: Vec<Waiting>) -> Result<(), (VaultFault, Vec<Waiting>)> {
        let marks_frame = marks.as_ref().map(Record::encode);
        let mark_parts = marks_frame.iter().map(|frame| Part { frame, parcels: &[] });
        let frames = group.iter().map(|waiting| Part { frame: &waiting.frame, parcels: &waiting.prepared.bodies });
        let parts: Vec<Part<'_>> = mark_parts.chain(frames).collect();

        let mut journal = lock(&self.journal);
        if let Err(fault) = self.serving() {
            drop((journal, parts));
            return Err((fault, group));
        }
        let before = *journal.position();
        let begin = match journal.append(self.keyring.journal(), &parts) {
            Ok(begin) => begin,
            Err(error) => {
                drop((journal, parts));
                return Err((self.io_fault(StopCause::Journal, &error), group));
            }
        };
        let written = journal.position().offset - begin.offset;
        let mut places = (before.sequence..).zip((0..).map(|frame| Location { frame, ..begin }));
        let (mut posts, mut answers) = (Vec::new(), Vec::new());
        {
            let mut applied = write(&self.applied);
            if let (Some(marks), Some((sequence, location))) = (marks, parts.len().gt(&group.len()).then(|| places.next()).flatten()) {
                applied.apply(sequence, location, marks);
            }
            for (waiting, (sequence, location)) in group.into_iter().zip(places) {
                let Prepared { record, bodies, posts: own } = waiting.prepared;
                let index = applied.apply(sequence, location, record);
                let vault = || Arc::downgrade(self);
                match own {
                    Posts::Own => posts.extend((0_u16..).zip(bodies).map(|(ordinal, parcel)| Posted {
                        vault: vault(),
                        name: self.name,
                        key: ParcelKey { sequence, ordinal },
                        location,
                        parcel: Some(parcel),
                    })),
                    Posts::Again(parcels) => posts.extend(parcels.into_iter().map(|(key, location, parcel)| Posted {
                        vault: vault(),
                        name: self.name,
                        key,
                        location,
                        parcel: Some(parcel),
                    })),
                }
                answers.push((waiting.done, index));
            }
        }
        drop(journal);
        self.weigh();
        self.count_towards_checkpoint(written);
        self.outbox.post(posts);
        for (done, index) in answers {
            let _ = done.send(Ok(index));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_places_by_its_length_and_never_more_than_there_are() {
        let taken = [0, 1, PLACE_BYTES, PLACE_BYTES + 1, 64 << 20, LONGEST_FRAME, usize::MAX].map(places);
        assert_eq!(taken, [1, 1, 1, 2, 1_024, QUEUE_PLACES, QUEUE_PLACES]);
    }
}
