//! The journal: what happened, in order. A frame whose group was synced has happened; nothing else has.
//!
//! ```text
//! journal/<number, 16 digits>.seg = segment header(96) ‖ groups ‖ zeros
//! segment header = magic(8) ‖ number(8) ‖ first sequence(8) ‖ tag of the group before(32) ‖ 0(8) ‖ tag(32)
//! ```
//!
//! Always: one write and one sync for each group; a segment is durable with its folder before a group goes into it. After a
//! failed write or sync the journal refuses everything: what the disk holds is only known after reading it again.
//! Absent: what frames mean.

use super::{
    codec::{Put, Take},
    frame::Location,
    group::{self, Part},
    limits::{ZEROS, ZEROS_UP_TO_GROUP},
    manifest::{Position, sync_dir},
};
use crate::{keyring::MacKey, relay::ports::Parcel};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"NKSEG1\0\0";
pub(super) const SEGMENT_HEADER: u64 = 96;

/// The journal, open for appending. Only the committer has it.
pub(super) struct Journal {
    dir: PathBuf,
    file: File,
    position: Position,
    /// How long the file is; zeros from the position on.
    allocated: u64,
    segment_bytes: u64,
    failed: bool,
    buffer: Vec<u8>,
}

/// Where a segment lies.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.seg"))
}

/// The header of a segment.
pub(super) fn segment_header(key: &MacKey, number: u64, first: u64, previous: &[u8; 32]) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.u64(number);
    header.u64(first);
    header.extend_from_slice(previous);
    header.u64(0);
    let tag = key.tag(&[&header]);
    header.extend_from_slice(&tag);
    header
}

/// Makes a segment, durable with its folder.
fn create_segment(dir: &Path, key: &MacKey, number: u64, first: u64, previous: &[u8; 32]) -> io::Result<File> {
    // A file of this number can only be the rest of an attempt that failed before any group went in.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(segment_path(dir, number))?;
    file.write_all_at(&segment_header(key, number, first, previous), 0)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok(file)
}

/// The position at which every journal begins.
pub(super) const BEGINNING: Position = Position { segment: 1, offset: SEGMENT_HEADER, sequence: 0, tag: [0; 32], previous: None };

/// Makes the first segment of a new vault.
pub(super) fn create(dir: &Path, key: &MacKey) -> io::Result<()> {
    fs::create_dir(dir)?;
    create_segment(dir, key, BEGINNING.segment, BEGINNING.sequence, &BEGINNING.tag).map(drop)
}

impl Journal {
    /// The journal after replay: it ends at this position, and the file of its segment is as long as that.
    pub(super) const fn resume(dir: PathBuf, file: File, position: Position, segment_bytes: u64) -> Self {
        Self { dir, file, position, allocated: position.offset, segment_bytes, failed: false, buffer: Vec::new() }
    }

    /// Where the next group goes.
    pub(super) const fn position(&self) -> &Position {
        &self.position
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
        self.file.sync_data()?;
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
        self.file = create_segment(&self.dir, key, number, self.position.sequence, &self.position.tag)?;
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

/// What a segment's header says, if its tag holds: the first sequence and the tag of the group before.
pub(super) fn read_header(key: &MacKey, bytes: &[u8], number: u64) -> Option<(u64, [u8; 32])> {
    let mut from = Take(bytes.get(..usize::try_from(SEGMENT_HEADER).ok()?)?);
    (&from.array()? == MAGIC && from.u64()? == number).then_some(())?;
    let (first, previous) = (from.u64()?, from.array()?);
    (bytes.get(..segment_header(key, number, first, &previous).len())? == segment_header(key, number, first, &previous))
        .then_some((first, previous))
}

/// Why a parcel could not be read again.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system said no.
    Io,
    /// What stands there is not what was written.
    Damaged,
}

/// The parcels of a frame, read again and checked against the group's tag. `None` when their envelopes were dropped.
pub(super) fn read_parcels(dir: &Path, key: &MacKey, location: Location, sequence: u64) -> Result<Option<Vec<Parcel>>, ReadError> {
    let read = |file: &File, offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Damaged),
            Err(_) => Err(ReadError::Io),
        }
    };
    let file = File::open(segment_path(dir, location.segment)).map_err(|_| ReadError::Io)?;
    let size = file.metadata().map_err(|_| ReadError::Io)?.len();
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
