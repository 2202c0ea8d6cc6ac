//! The journal: what happened, in order. A frame whose group was synced has happened; nothing else has.
//!
//! ```text
//! journal/<number, 16 digits>.seg = segment header(96) ‖ groups ‖ zeros
//! segment header = magic(8) ‖ number(8) ‖ first sequence(8) ‖ tag of the group before(32) ‖ form(8) ‖ tag(32)
//! ```
//!
//! Always: one write and one sync for each group; a segment is durable with its folder before a group goes into it. After a
//! failed write or sync the journal refuses everything: what the disk holds is only known after reading it again. Places in
//! a segment hold only while its form is [`Form::Whole`], and a file never changes its form: another takes its place.
//! Absent: what frames mean.

use super::{
    codec::{Put, Take},
    frame::Location,
    group::{self, Part},
    limits::{ZEROS, ZEROS_UP_TO_GROUP},
    manifest::{self, Position, sync_dir},
};
use crate::{hex, keyring::MacKey, relay::ports::Parcel};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"NKSEG1\0\0";
pub(super) const SEGMENT_HEADER: u64 = 96;
/// How the name of a segment that is being rewritten ends.
pub(super) const UNFINISHED: &str = "new";

/// The journal, open for appending. Only the committer has it.
pub(super) struct Journal {
    dir: PathBuf,
    file: File,
    position: Position,
    /// How long the file is; zeros from the position on.
    allocated: u64,
    /// How long the files of all other segments are.
    closed: u64,
    segment_bytes: u64,
    failed: bool,
    buffer: Vec<u8>,
}

/// Where a segment lies.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.seg"))
}

/// Whether a segment holds the envelopes of its parcels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Every group lies where it was written.
    Whole = 0,
    /// Rewritten without envelopes: the groups lie elsewhere than they did.
    Shrunk = 1,
}

/// What the header of a segment says besides its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The sequence of its first frame.
    pub(super) first: u64,
    /// The tag of the group before.
    pub(super) previous: [u8; 32],
    pub(super) form: Form,
}

impl SegmentHeader {
    pub(super) fn encode(&self, key: &MacKey, number: u64) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.u64(number);
        header.u64(self.first);
        header.extend_from_slice(&self.previous);
        header.u64(self.form as u64);
        let tag = key.tag(&[&header]);
        header.extend_from_slice(&tag);
        header
    }

    /// Reads the header at the beginning of these bytes, if its tag holds and it is this segment's.
    pub(super) fn read(key: &MacKey, bytes: &[u8], number: u64) -> Option<Self> {
        let bytes = bytes.get(..usize::try_from(SEGMENT_HEADER).ok()?)?;
        let mut from = Take(bytes);
        (&from.array()? == MAGIC && from.u64()? == number).then_some(())?;
        let (first, previous) = (from.u64()?, from.array()?);
        let form = match from.u64()? {
            0 => Form::Whole,
            1 => Form::Shrunk,
            _ => return None,
        };
        let header = Self { first, previous, form };
        (bytes == header.encode(key, number)).then_some(header)
    }

    /// Whether it follows the group with this tag, before this sequence.
    pub(super) fn follows(&self, sequence: u64, tag: &[u8; 32]) -> bool {
        (self.first, &self.previous) == (sequence, tag)
    }
}

/// Makes what was written into a segment durable.
fn sync(file: &File) -> io::Result<()> {
    #[cfg(feature = "sabotage")]
    if crate::sabotage::is(crate::sabotage::Sabotage::NoSync) {
        return Ok(());
    }
    file.sync_data()
}

/// Makes a segment, durable with its folder.
fn create_segment(dir: &Path, key: &MacKey, number: u64, first: u64, previous: [u8; 32]) -> io::Result<File> {
    // A file of this number can only be the rest of an attempt that failed before any group went in.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(segment_path(dir, number))?;
    file.write_all_at(&SegmentHeader { first, previous, form: Form::Whole }.encode(key, number), 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok(file)
}

/// The position at which every journal begins.
pub(super) const BEGINNING: Position = Position { segment: 1, offset: SEGMENT_HEADER, sequence: 0, tag: [0; 32], previous: None };

/// Makes the first segment of a new vault.
pub(super) fn create(dir: &Path, key: &MacKey) -> io::Result<()> {
    fs::create_dir(dir)?;
    create_segment(dir, key, BEGINNING.segment, BEGINNING.sequence, BEGINNING.tag).map(drop)
}

impl Journal {
    /// The journal after replay: it ends at this position, and the file of its segment is as long as that.
    pub(super) fn resume(dir: PathBuf, file: File, position: Position, segment_bytes: u64) -> io::Result<Self> {
        let others = segments(&dir)?.into_iter().filter(|number| *number != position.segment);
        let closed = others.map(|number| Ok(fs::metadata(segment_path(&dir, number))?.len())).sum::<io::Result<u64>>()?;
        Ok(Self { dir, file, position, allocated: position.offset, closed, segment_bytes, failed: false, buffer: Vec::new() })
    }

    /// Where the next group goes.
    pub(super) const fn position(&self) -> &Position {
        &self.position
    }

    /// How many bytes all segments take.
    pub(super) const fn size(&self) -> u64 {
        self.closed + self.allocated
    }

    /// Puts a rewritten segment in the place of a closed one, if nothing has failed. Not yet durable in the folder.
    pub(super) fn exchange(&mut self, number: u64, new: &Path) -> io::Result<()> {
        if self.failed || number >= self.position.segment {
            return Err(io::Error::other("the journal takes nothing more"));
        }
        let place = segment_path(&self.dir, number);
        let (before, after) = (fs::metadata(&place)?.len(), fs::metadata(new)?.len());
        fs::rename(new, place)?;
        self.closed = (self.closed + after).saturating_sub(before);
        Ok(())
    }

    /// Removes a closed segment that nothing is made from any more. Not yet durable in the folder.
    pub(super) fn remove(&mut self, number: u64) -> io::Result<()> {
        if self.failed || number >= self.position.segment {
            return Err(io::Error::other("the journal takes nothing more"));
        }
        let place = segment_path(&self.dir, number);
        let length = fs::metadata(&place)?.len();
        fs::remove_file(place)?;
        self.closed = self.closed.saturating_sub(length);
        Ok(())
    }

    /// Makes these frames durable as one group. Returns where it begins.
    ///
    /// # Errors
    /// Whatever the system says; the journal takes nothing more then.
    pub(super) fn append(&mut self, key: &MacKey, parts: &[Part<'_>]) -> io::Result<Location> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.failed = true;
        if self.position.offset >= self.segment_bytes {
            self.roll(key)?;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let tag = group::encode(key, self.position.sequence, &self.position.tag, parts, &mut buffer);
        let length = buffer.len() as u64;
        self.reserve(length)?;
        self.file.write_all_at(&buffer, self.position.offset)?;
        sync(&self.file)?;
        self.failed = false;
        if buffer.capacity() <= super::limits::GROUP_BYTES {
            self.buffer = buffer;
        }
        let location = Location { segment: self.position.segment, offset: self.position.offset, frame: 0 };
        self.position.previous = Some(self.position.offset);
        self.position.offset += length;
        self.position.sequence += parts.len() as u64;
        self.position.tag = tag;
        Ok(location)
    }

    /// Writes zeros ahead, in the same sync as the group, if the group does not fit what is allocated.
    fn reserve(&mut self, length: u64) -> io::Result<()> {
        let end = self.position.offset + length;
        if end <= self.allocated {
            return Ok(());
        }
        let ahead = if length > ZEROS_UP_TO_GROUP { 0 } else { self.allocated.clamp(*ZEROS.start(), *ZEROS.end()) };
        if ahead > 0 {
            self.file.write_all_at(&vec![0; usize::try_from(ahead).unwrap_or(0)], end)?;
        }
        self.allocated = end + ahead;
        Ok(())
    }

    /// Takes nothing more: the vault may be opened again, and then another writes.
    pub(super) const fn retire(&mut self) {
        self.failed = true;
    }

    /// Goes on in a new segment.
    fn roll(&mut self, key: &MacKey) -> io::Result<()> {
        let number = self.position.segment + 1;
        self.file = create_segment(&self.dir, key, number, self.position.sequence, self.position.tag)?;
        self.closed += self.allocated;
        self.position = Position { segment: number, offset: SEGMENT_HEADER, previous: None, ..self.position };
        self.allocated = SEGMENT_HEADER;
        Ok(())
    }
}

/// The numbers of the segments that exist, in order.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|number| number.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what is left of a segment that was being rewritten when the vault ended.
pub(super) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            match fs::remove_file(path) {
                // Gone by itself: a vault that has stopped may still be taking its own away.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Says from which segment on the journal is whole; below it are those that are still needed.
const BEGINS: &str = "begins";

/// Notes that the journal begins with this segment: what was before is in effect, and in no file of it.
pub(super) fn begin_with(dir: &Path, key: &MacKey, segment: u64) -> io::Result<()> {
    let text = segment.to_string();
    manifest::replace(dir, BEGINS, format!("{text}\n{}\n", hex::encode(&key.tag(&[BEGINS.as_bytes(), text.as_bytes()]))).as_bytes())
}

/// From which segment on the journal is whole; 1 if it never lost any.
pub(super) fn begins_with(dir: &Path, key: &MacKey) -> io::Result<u64> {
    let text = match fs::read_to_string(dir.join(BEGINS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BEGINNING.segment),
        result => result?,
    };
    let mut lines = text.lines();
    let segment = lines
        .next()
        .zip(lines.next())
        .filter(|(text, tag)| hex::decode(tag).is_some_and(|tag| key.tag(&[BEGINS.as_bytes(), text.as_bytes()]).as_slice() == tag));
    segment.and_then(|(text, _)| text.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Why a parcel could not be read again.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system said no.
    Io,
    /// What stands there is not what was written.
    Damaged,
}

/// The parcels of a frame, read again and checked against the group's tag. `None` when their envelopes were dropped, or the
/// journal begins behind them.
///
/// The place is used only after the header of the same open file said that it still holds, so a rewrite at the same time
/// leads to the right bytes or to `None`.
pub(super) fn read_parcels(dir: &Path, key: &MacKey, location: Location, sequence: u64) -> Result<Option<Vec<Parcel>>, ReadError> {
    let read = |file: &File, offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Damaged),
            Err(_) => Err(ReadError::Io),
        }
    };
    let file = match File::open(segment_path(dir, location.segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let begins = begins_with(dir, key).map_err(|_| ReadError::Io)?;
            return if location.segment < begins { Ok(None) } else { Err(ReadError::Io) };
        }
        result => result.map_err(|_| ReadError::Io)?,
    };
    let size = file.metadata().map_err(|_| ReadError::Io)?.len();
    let header = read(&file, 0, usize::try_from(SEGMENT_HEADER).map_err(|_| ReadError::Damaged)?)?;
    match SegmentHeader::read(key, &header, location.segment).ok_or(ReadError::Damaged)?.form {
        Form::Whole => {}
        Form::Shrunk => return Ok(None),
    }
    let header = read(&file, location.offset, group::HEADER_LEN)?;
    let length = header.first_chunk().and_then(group::frames_end).filter(|length| *length as u64 <= size);
    let bytes = read(&file, location.offset, length.ok_or(ReadError::Damaged)?)?;
    let envelopes = group::envelopes(key, &bytes, location.frame).filter(|envelopes| envelopes.sequence == sequence);
    let envelopes = envelopes.ok_or(ReadError::Damaged)?;
    let mut whole = Vec::with_capacity(envelopes.parcels.len());
    for (parcel, at) in envelopes.parcels {
        let Some(at) = at else { return Ok(None) };
        let body = read(&file, location.offset + at, usize::try_from(parcel.length).map_err(|_| ReadError::Damaged)?)?;
        whole.push(parcel.with_body(&body).ok_or(ReadError::Damaged)?);
    }
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_that_goes_by_itself_while_the_vault_opens_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0000000000000001.0.new");
        let comes_and_goes = {
            let path = path.clone();
            std::thread::spawn(move || {
                for _ in 0..20_000 {
                    fs::write(&path, b"").unwrap();
                    // Whoever comes first.
                    let _ = fs::remove_file(&path);
                }
            })
        };
        while !comes_and_goes.is_finished() {
            remove_unfinished(dir.path()).unwrap();
        }
        comes_and_goes.join().unwrap();
        remove_unfinished(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
