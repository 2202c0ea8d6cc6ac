//! Reading a part of the journal while others write behind it.
//!
//! Always: nothing is changed; groups chain by their tags from the beginning of the segment in which the position lies, so it
//! is found also in a segment that was rewritten since. Absent: the end of the journal; whoever walks knows how far it reaches.

use super::{
    frame::Location,
    group::{self, Found, Group},
    journal::{SEGMENT_HEADER, SegmentHeader, segment_path},
    manifest::Position,
    replay::Shown,
};
use crate::{keyring::MacKey, relay::ports::StopCause};
use std::{fs, path::Path};

/// A segment, read up to a group.
struct Reading {
    bytes: Vec<u8>,
    position: Position,
}

impl Reading {
    /// The beginning of a segment, if it follows this position.
    fn segment(dir: &Path, key: &MacKey, number: u64, after: Option<&Position>) -> Result<Self, StopCause> {
        let bytes = fs::read(segment_path(dir, number)).map_err(|_| StopCause::Journal)?;
        let header = SegmentHeader::read(key, &bytes, number).ok_or(StopCause::JournalDamaged)?;
        if after.is_some_and(|after| !header.follows(after.sequence, &after.tag)) {
            return Err(StopCause::JournalDamaged);
        }
        let position = Position { segment: number, offset: SEGMENT_HEADER, sequence: header.first, tag: header.previous, previous: None };
        Ok(Self { bytes, position })
    }

    /// The next group, and the position behind it; `None` at the end of the segment.
    fn next(&self, key: &MacKey) -> Result<Option<(Group, Position)>, StopCause> {
        let at = usize::try_from(self.position.offset).map_err(|_| StopCause::JournalDamaged)?;
        match group::read(key, self.bytes.get(at..).unwrap_or_default()) {
            Found::Nothing => Ok(None),
            Found::Invalid => Err(StopCause::JournalDamaged),
            Found::Group(group) if group.first == self.position.sequence && group.previous == self.position.tag => {
                let behind = Position {
                    segment: self.position.segment,
                    offset: self.position.offset + group.length as u64,
                    sequence: group.first + group.records.len() as u64,
                    tag: group.tag,
                    previous: Some(self.position.offset),
                };
                Ok(Some((group, behind)))
            }
            Found::Group(_) => Err(StopCause::JournalDamaged),
        }
    }
}

/// Where a position lies now: its segment may have been rewritten, and then its groups lie elsewhere.
fn read_to(dir: &Path, key: &MacKey, position: &Position) -> Result<Reading, StopCause> {
    let mut reading = Reading::segment(dir, key, position.segment, None)?;
    while reading.position.sequence < position.sequence {
        let (_, behind) = reading.next(key)?.ok_or(StopCause::JournalDamaged)?;
        reading.position = behind;
    }
    if (reading.position.sequence, reading.position.tag) == (position.sequence, position.tag) {
        Ok(reading)
    } else {
        Err(StopCause::JournalDamaged)
    }
}

/// Where a position lies now.
///
/// # Errors
/// [`StopCause::JournalDamaged`] if it is not there; [`StopCause::Journal`] if the system fails.
pub(super) fn found(dir: &Path, key: &MacKey, position: &Position) -> Result<Position, StopCause> {
    read_to(dir, key, position).map(|reading| reading.position)
}

/// Shows every group from a position on, up to the frame with this sequence, before which a group ends and all is durable.
///
/// # Errors
/// As [`found`], and whatever `show` answers.
pub(super) fn walk<E: From<StopCause>>(
    dir: &Path,
    key: &MacKey,
    from: &Position,
    until: u64,
    mut show: impl FnMut(Vec<Shown>, &Position) -> Result<(), E>,
) -> Result<Position, E> {
    if from.sequence >= until {
        return Ok(*from);
    }
    let mut reading = read_to(dir, key, from)?;
    while reading.position.sequence < until {
        let Some((group, behind)) = reading.next(key)? else {
            reading = Reading::segment(dir, key, reading.position.segment + 1, Some(&reading.position))?;
            continue;
        };
        let Position { segment, offset, .. } = reading.position;
        let places = (group.first..).zip(0_u32..).zip(group.records);
        let shown = places.map(|((sequence, frame), record)| Shown { sequence, location: Location { segment, offset, frame }, record });
        show(shown.collect(), &behind)?;
        reading.position = behind;
    }
    Ok(reading.position)
}
