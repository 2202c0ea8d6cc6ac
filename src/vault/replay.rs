//! Reading the journal again: from a position to its end.
//!
//! Always: groups chain by their tags from the position on. What cannot be read is cut only if it is the end: when no group
//! holds together behind it and no segment follows. The last group is written and synced once more: a sync that failed may
//! have left in memory what the disk never got, and reading cannot tell.

use super::{
    frame::{Location, Record},
    group::{self, Found},
    journal::{Journal, SEGMENT_HEADER, SegmentHeader, segment_path, segments},
    manifest::{Position, sync_dir},
};
use crate::{keyring::MacKey, relay::ports::StopCause};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

/// The end of the journal, after replay.
pub(super) struct Replayed {
    pub(super) journal: Journal,
    /// How many frames were shown.
    pub(super) frames: u64,
    /// How many bytes of an unfinished group were cut.
    pub(super) cut: u64,
}

/// A frame that is shown: its sequence, where it lies, what it says, and the position behind its group.
pub(super) struct Shown {
    pub(super) sequence: u64,
    pub(super) location: Location,
    pub(super) record: Record,
}

/// Shows every group from the position on, in order, and leaves the journal ready for appending.
///
/// # Errors
/// [`StopCause::JournalDamaged`] if the position is not there, a segment is missing, or a group that holds together stands
/// behind one that does not; [`StopCause::Journal`] if the system fails; and whatever `show` answers.
pub(super) fn replay(
    dir: &Path,
    key: &MacKey,
    from: &Position,
    segment_bytes: u64,
    mut show: impl FnMut(Vec<Shown>, &Position) -> Result<(), StopCause>,
) -> Result<Replayed, StopCause> {
    let damaged = StopCause::JournalDamaged;
    let numbers: Vec<u64> = segments(dir).map_err(|_| StopCause::Journal)?.into_iter().filter(|number| *number >= from.segment).collect();
    let last = *numbers.last().ok_or(damaged)?;
    if numbers.iter().zip(from.segment..).any(|(found, expected)| *found != expected) {
        return Err(damaged);
    }
    let (mut position, mut frames, mut cut) = (*from, 0_u64, 0_u64);
    let mut segment = from.segment;
    loop {
        let bytes = fs::read(segment_path(dir, segment)).map_err(|_| StopCause::Journal)?;
        let header = SegmentHeader::read(key, &bytes, segment);
        if segment == from.segment {
            begins(key, &bytes, header, from).ok_or(damaged)?;
        } else {
            match header {
                Some(header) if header.follows(position.sequence, &position.tag) => {
                    position = Position { segment, offset: SEGMENT_HEADER, previous: None, ..position };
                }
                Some(_) => return Err(damaged),
                // A new segment of which not even the header was finished: its making was cut short.
                None if segment == last && !group::stands_in(key, &bytes) => {
                    cut += bytes.len() as u64;
                    fs::remove_file(segment_path(dir, segment)).map_err(|_| StopCause::Journal)?;
                    sync_dir(dir).map_err(|_| StopCause::Journal)?;
                    let before = fs::read(segment_path(dir, position.segment)).map_err(|_| StopCause::Journal)?;
                    return finish(dir, &before, position, segment_bytes).map(|journal| Replayed { journal, frames, cut });
                }
                None => return Err(damaged),
            }
        }
        loop {
            let at = usize::try_from(position.offset).map_err(|_| damaged)?;
            match group::read(key, bytes.get(at..).ok_or(damaged)?) {
                Found::Group(group) => {
                    if group.first != position.sequence || group.previous != position.tag {
                        return Err(damaged);
                    }
                    let shown: Vec<Shown> = (group.first..)
                        .zip(0_u32..)
                        .zip(group.records)
                        .map(|((sequence, frame), record)| Shown {
                            sequence,
                            location: Location { segment, offset: position.offset, frame },
                            record,
                        })
                        .collect();
                    let count = shown.len() as u64;
                    position = Position {
                        segment,
                        offset: position.offset + group.length as u64,
                        sequence: position.sequence + count,
                        tag: group.tag,
                        previous: Some(position.offset),
                    };
                    frames += count;
                    show(shown, &position)?;
                }
                Found::Nothing if bytes.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0)) => break,
                Found::Nothing | Found::Invalid => {
                    // Torn, if this is the end. Otherwise something was acknowledged behind it, and the disk has lost it.
                    let rest = bytes.get(at..).ok_or(damaged)?;
                    if segment != last || group::stands_in(key, rest.get(group::ALIGN..).unwrap_or_default()) {
                        return Err(damaged);
                    }
                    let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |end| end + 1);
                    cut += written as u64;
                    break;
                }
            }
        }
        if segment == last {
            return finish(dir, &bytes, position, segment_bytes).map(|journal| Replayed { journal, frames, cut });
        }
        segment += 1;
    }
}

/// Whether the position stands in this segment: the group before it, or the header, has the tag it names.
fn begins(key: &MacKey, bytes: &[u8], header: Option<SegmentHeader>, from: &Position) -> Option<()> {
    let header = header?;
    match from.previous {
        None => (header.follows(from.sequence, &from.tag) && from.offset == SEGMENT_HEADER).then_some(()),
        Some(previous) => match group::read(key, bytes.get(usize::try_from(previous).ok()?..)?) {
            Found::Group(group) => (group.tag == from.tag && previous + group.length as u64 == from.offset).then_some(()),
            Found::Nothing | Found::Invalid => None,
        },
    }
}

/// Cuts the segment behind the position, writes its last group once more, and syncs.
fn finish(dir: &Path, bytes: &[u8], position: Position, segment_bytes: u64) -> Result<Journal, StopCause> {
    let file: File = OpenOptions::new().read(true).write(true).open(segment_path(dir, position.segment)).map_err(|_| StopCause::Journal)?;
    let begin = position.previous.unwrap_or(0);
    let again = usize::try_from(begin).ok().zip(usize::try_from(position.offset).ok());
    let again = again.and_then(|(begin, end)| bytes.get(begin..end)).ok_or(StopCause::JournalDamaged)?;
    file.set_len(position.offset)
        .and_then(|()| file.write_all_at(again, begin))
        .and_then(|()| file.sync_all())
        .map_err(|_| StopCause::Journal)?;
    Journal::resume(dir.to_owned(), file, position, segment_bytes).map_err(|_| StopCause::Journal)
}
