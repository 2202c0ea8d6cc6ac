//! Shrinking: closed segments are rewritten without envelopes when nobody can ask for these any more.
//!
//! ```text
//! closed, before the manifest, all forgotten, all published → new file, fsync → marks durable → rename → fsync of the folder
//! ```
//!
//! Always: a segment is there whole or shrunk, never in between, and its frames, their tags and their chain stay as they
//! were, so everything can be rebuilt from it. It is rewritten when every message in it expired at or below the floor, and no
//! parcel in it can come back: none is outstanding, the marks of all are durable, and nobody is repeating one. What does not
//! hold together is left as it is. Absent: when to shrink, and how fast.

use super::{
    committer::{Posts, Prepared},
    core::{Core, lock, read, write},
    event::VaultEvent,
    frame::Record,
    group::{self, Found},
    journal::{self, Form, SEGMENT_HEADER, SegmentHeader, segment_path},
    manifest::sync_dir,
    open::JOURNAL,
};
use crate::{
    calendar::Timestamp,
    keyring::MacKey,
    relay::ports::{StopCause, VaultFault},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    sync::OwnedMutexGuard,
    task::{JoinError, spawn_blocking},
};

/// What is known of closed segments, by number.
#[derive(Default)]
pub(super) struct Segments {
    known: BTreeMap<u64, Known>,
    /// They could not be read or exchanged; tried again in the next round.
    put_off: BTreeSet<u64>,
}

/// What is known of a closed segment.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// It holds envelopes, and a message that expires then.
    Whole { latest: Timestamp },
    /// It holds none.
    Shrunk,
    /// It does not hold together.
    Damaged,
}

/// What a look at the closed segments found.
enum Look {
    /// Nothing to do for now.
    Nothing,
    /// A segment whose time has not come, or that is no use; so many bytes were read.
    NotYet(u64),
    /// A segment that can be exchanged.
    Rewritten(Rewritten),
}

/// A segment's new file, durable, not yet in its place; removed if it never gets there.
struct Rewritten {
    number: u64,
    path: PathBuf,
    before: u64,
    after: u64,
}

impl Drop for Rewritten {
    fn drop(&mut self) {
        // Gone already when it is in its place; whatever else is left is removed when the vault opens.
        let _ = fs::remove_file(&self.path);
    }
}

fn joined<T>(result: Result<Result<T, VaultFault>, JoinError>) -> Result<T, VaultFault> {
    result.unwrap_or(Err(VaultFault::Stopped(StopCause::Journal)))
}

impl Core {
    /// Rewrites the next segment whose time has come. Returns how many bytes were read; `None` when there is none, which ends
    /// the round.
    pub(super) async fn shrink(self: &Arc<Self>) -> Result<Option<u64>, VaultFault> {
        let segments = Arc::clone(&self.segments).lock_owned().await;
        let core = Arc::clone(self);
        let (segments, look) = joined(spawn_blocking(move || core.look(segments)).await)?;
        let new = match look {
            Look::Nothing => return Ok(None),
            Look::NotYet(bytes) => return Ok(Some(bytes)),
            Look::Rewritten(new) => new,
        };
        let bytes = new.before;
        // From here nobody begins to bring a parcel of the segment back. Behind a frame that says nothing, whoever had begun
        // and gone away without waiting has brought it back, and the marks of all that were published are durable.
        let alone = Arc::clone(&self.envelopes).write_owned().await;
        self.commit(Prepared { record: Record::Sent(Vec::new()), bodies: Vec::new(), posts: Posts::Own }).await?;
        if self.awaited().contains(&new.number) {
            return Ok(Some(bytes));
        }
        let core = Arc::clone(self);
        let placed = spawn_blocking(move || {
            let result = core.place(segments, &new);
            drop(alone);
            result
        });
        joined(placed.await)?;
        Ok(Some(bytes))
    }

    /// The segments in which parcels stand that are not yet published.
    fn awaited(&self) -> BTreeSet<u64> {
        read(&self.applied).outstanding.values().map(|location| location.segment).collect()
    }

    /// Finds the first segment of which more must be known, or whose time has come; reads one at most.
    fn look(&self, mut segments: OwnedMutexGuard<Segments>) -> Result<(OwnedMutexGuard<Segments>, Look), VaultFault> {
        self.serving()?;
        let current = lock(&self.journal).position().segment;
        if self.replayed_from().segment < current {
            // Without this, what was closed last would stay until there is much more.
            self.checkpoint()?;
        }
        let (end, floor, awaited) = (self.replayed_from().segment, self.floor(), self.awaited());
        let dir = self.dir.join(JOURNAL);
        let numbers = journal::segments(&dir).map_err(|error| self.io_fault(StopCause::Journal, &error))?;
        self.remove_outlived(&segments, &numbers)?;
        for number in numbers.into_iter().filter(|number| *number < end && !awaited.contains(number)) {
            if segments.put_off.contains(&number) {
                continue;
            }
            let latest = match segments.known.get(&number) {
                Some(Known::Shrunk | Known::Damaged) => continue,
                Some(Known::Whole { latest }) => Some(*latest),
                None => read(&self.applied).latest.of(number),
            };
            if latest.is_some_and(|latest| latest > floor) {
                continue;
            }
            let (known, look) = match rewrite(&dir, self.keyring.journal(), number, floor) {
                Ok(Some((known, look))) => (known, look),
                Ok(None) => {
                    (self.listen)(VaultEvent::NotShrunk { vault: self.name, segment: number, detail: None });
                    (Known::Damaged, Look::Nothing)
                }
                Err(error) => {
                    (self.listen)(VaultEvent::NotShrunk { vault: self.name, segment: number, detail: Some(error.to_string()) });
                    if error.kind() == io::ErrorKind::StorageFull {
                        // So it is for all of them.
                        break;
                    }
                    segments.put_off.insert(number);
                    continue;
                }
            };
            segments.known.insert(number, known);
            match look {
                Look::Nothing => {}
                Look::NotYet(_) | Look::Rewritten(_) => return Ok((segments, look)),
            }
        }
        segments.put_off.clear();
        Ok((segments, Look::Nothing))
    }

    /// Removes the oldest segments, if they lie before the epoch and hold no envelopes: nothing is made from them any more.
    fn remove_outlived(&self, segments: &Segments, numbers: &[u64]) -> Result<(), VaultFault> {
        let begins = self.begins.load(Ordering::Acquire);
        let shrunk = |number: &&u64| matches!(segments.known.get(*number), Some(Known::Shrunk));
        for number in numbers.iter().take_while(|number| **number < begins).take_while(shrunk) {
            let removed = {
                let mut journal = lock(&self.journal);
                self.serving()?;
                journal.remove(*number)
            };
            removed.and_then(|()| sync_dir(&self.dir.join(JOURNAL))).map_err(|error| self.io_fault(StopCause::Journal, &error))?;
        }
        self.weigh();
        Ok(())
    }

    /// Puts a rewritten segment in its place.
    fn place(&self, mut segments: OwnedMutexGuard<Segments>, new: &Rewritten) -> Result<(), VaultFault> {
        let (number, before, after) = (new.number, new.before, new.after);
        let exchanged = {
            // A vault that has stopped may be open again already, and another's.
            let mut journal = lock(&self.journal);
            self.serving()?;
            journal.exchange(number, &new.path)
        };
        match exchanged.and_then(|()| sync_dir(&self.dir.join(JOURNAL))) {
            Ok(()) => {
                segments.known.insert(number, Known::Shrunk);
                write(&self.applied).latest.forget(number);
                (self.listen)(VaultEvent::Shrunk { vault: self.name, segment: number, before, after });
            }
            Err(error) => {
                segments.put_off.insert(number);
                (self.listen)(VaultEvent::NotShrunk { vault: self.name, segment: number, detail: Some(error.to_string()) });
            }
        }
        self.weigh();
        Ok(())
    }
}

/// Reads a closed segment, and writes it anew beside itself if its time has come. `None` if it does not hold together.
fn rewrite(dir: &Path, key: &MacKey, number: u64, floor: Timestamp) -> io::Result<Option<(Known, Look)>> {
    let Some((mut file, header)) = opened(dir, key, number)? else { return Ok(None) };
    match header.form {
        Form::Shrunk => return Ok(Some((Known::Shrunk, Look::Nothing))),
        Form::Whole => {}
    }
    let mut bytes = header.encode(key, number);
    file.read_to_end(&mut bytes)?;
    let Some((_, next)) = opened(dir, key, number + 1)? else { return Ok(None) };
    let Some((shrunk, latest)) = without_envelopes(key, number, &bytes, &next) else { return Ok(None) };
    let (known, before) = (Known::Whole { latest }, bytes.len() as u64);
    if latest > floor {
        return Ok(Some((known, Look::NotYet(before))));
    }
    // A vault that has stopped may still be writing another.
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let name = format!("{number:016}.{}.{}", UNIQUE.fetch_add(1, Ordering::Relaxed), journal::UNFINISHED);
    let new = Rewritten { number, path: dir.join(name), before, after: shrunk.len() as u64 };
    let mut file = File::create_new(&new.path)?;
    file.write_all(&shrunk)?;
    file.sync_all()?;
    Ok(Some((known, Look::Rewritten(new))))
}

/// A segment's file, read up to the end of its header; `None` if that does not hold.
fn opened(dir: &Path, key: &MacKey, number: u64) -> io::Result<Option<(File, SegmentHeader)>> {
    let mut file = File::open(segment_path(dir, number))?;
    let mut header = Vec::new();
    Read::by_ref(&mut file).take(SEGMENT_HEADER).read_to_end(&mut header)?;
    Ok(SegmentHeader::read(key, &header, number).map(|header| (file, header)))
}

/// A segment without its envelopes, and when the last of its messages expires. `None` if it does not hold together, up to the
/// next segment.
fn without_envelopes(key: &MacKey, number: u64, bytes: &[u8], next: &SegmentHeader) -> Option<(Vec<u8>, Timestamp)> {
    let header = SegmentHeader::read(key, bytes, number)?;
    let mut shrunk = SegmentHeader { form: Form::Shrunk, ..header }.encode(key, number);
    let (mut sequence, mut tag, mut latest) = (header.first, header.previous, Timestamp::from_millis(i64::MIN));
    let mut rest = bytes.get(usize::try_from(SEGMENT_HEADER).ok()?..)?;
    loop {
        match group::read(key, rest) {
            Found::Group(group) => {
                (group.first == sequence && group.previous == tag).then_some(())?;
                group::drop_envelopes(key, rest, &mut shrunk)?;
                latest = group.records.iter().filter_map(Record::expires).fold(latest, Timestamp::max);
                (sequence, tag) = (sequence + group.records.len() as u64, group.tag);
                rest = rest.get(group.length..)?;
            }
            Found::Nothing if rest.iter().all(|byte| *byte == 0) => break,
            Found::Nothing | Found::Invalid => return None,
        }
    }
    next.follows(sequence, &tag).then_some((shrunk, latest))
}
