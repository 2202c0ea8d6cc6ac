//! Taking a backup of an open vault, and reading it back.
//!
//! Always: nobody waits for it: the store is read in small steps, what may change is read under its lock, briefly. Absent:
//! opening any value.

use super::{
    super::{
        carry,
        core::{Core, lock, read},
        journal::{self, segment_path},
        manifest::{self, Manifest, Position},
        open::{JOURNAL, LEDGER},
        tiles,
    },
    BackupError, Label, Progress,
    container::{Opening, Sealing},
    piece::{End, Piece},
};
use crate::{
    calendar::Timestamp,
    keyring::Tree,
    ledger::SignedHead,
    relay::ports::{StopCause, VaultFault},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// Rows and parts of files are read in steps of so many bytes, with this pause between two: the disk belongs to those who
/// wait for an answer.
const STEP: usize = 1 << 20;
const STEP_ROWS: usize = 4_096;
/// How the name of a backup ends that is not finished.
const PART: &str = "part";
const PAUSE: Duration = Duration::from_millis(10);

/// A backup that was taken, and read back whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// How many rows of the store it has.
    pub rows: u64,
    /// The tree head of the ledger in it.
    pub head: SignedHead,
}

/// A file that is not finished; removed if it never is.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already when it has its name.
        let _ = fs::remove_file(&self.0);
    }
}

/// Pieces on their way into a file, counted.
struct Pieces<'a> {
    out: Sealing<BufWriter<File>>,
    path: &'a Path,
    rows: u64,
    bytes: u64,
    written: u64,
    progress: Progress<'a>,
}

impl Pieces<'_> {
    fn put(&mut self, piece: &Piece) -> Result<(), BackupError> {
        match piece {
            Piece::Rows(rows) => self.rows += rows.len() as u64,
            Piece::Part { bytes, .. } => self.bytes += bytes.len() as u64,
            Piece::Manifest(_) | Piece::End(_) => {}
        }
        self.written += piece.write(&mut self.out).map_err(BackupError::at(self.path))?;
        (self.progress)(self.written, None);
        Ok(())
    }

    /// The first bytes of a file, or all of it.
    fn put_file(&mut self, dir: &Path, path: &str, most: Option<u64>) -> Result<(), BackupError> {
        let from = dir.join(path);
        let mut file = File::open(&from).map_err(BackupError::at(&from))?.take(most.unwrap_or(u64::MAX));
        let mut offset = 0;
        loop {
            let mut bytes = Vec::new();
            (&mut file).take(STEP as u64).read_to_end(&mut bytes).map_err(BackupError::at(&from))?;
            if bytes.is_empty() && offset > 0 {
                return Ok(());
            }
            let length = bytes.len() as u64;
            self.put(&Piece::Part { path: path.to_owned(), offset, bytes })?;
            offset += length;
            if length < STEP as u64 {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
    }
}

/// What is fixed at P: the manifest, and what of the ledger may be written again later.
struct Base {
    manifest: Vec<u8>,
    position: Position,
    entries: u64,
    files: Vec<(String, Vec<u8>)>,
}

impl Core {
    /// Takes a backup into this folder, and reads it back. Waits for the disk.
    pub(in super::super) fn back_up(&self, folder: &Path, now: Timestamp, progress: Progress<'_>) -> Result<Backup, BackupError> {
        // A vault that is carried over into a new epoch meanwhile would give half of each.
        let _alone = carry::alone(&self.dir).map_err(|error| match error {
            carry::CarryError::Busy => BackupError::Busy,
            error => BackupError::at(&self.dir)(io::Error::other(error)),
        })?;
        // Nothing is taken out of the journal meanwhile.
        let _segments = Arc::clone(&self.segments).blocking_lock_owned();
        self.checkpoint()?;
        let label = Label::new(self.name, &self.environment, now, &self.entropy.bytes());
        let made = now.to_string();
        let stamp: String = made.split('.').take(1).flat_map(str::chars).filter(char::is_ascii_alphanumeric).collect();
        let path = folder.join(format!("{}.{stamp}Z.backup", self.name));
        if path.exists() {
            return Err(BackupError::Exists(path));
        }
        // What an earlier attempt left when the process ended in its middle; nobody else backs this vault up now.
        let begun = format!("{}.", self.name);
        for entry in fs::read_dir(folder).map_err(BackupError::at(folder))?.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(&begun) && name.ends_with(PART)) {
                fs::remove_file(entry.path()).map_err(BackupError::at(&entry.path()))?;
            }
        }
        let part = Unfinished(path.with_extension(PART));
        let create = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part.0);
        let out = BufWriter::new(create.map_err(BackupError::at(&part.0))?);
        let begin = || {
            let key = label.key(&self.keyring).ok_or_else(|| io::Error::other("no key could be derived"))?;
            Sealing::begin(out, &label.line()?, key)
        };
        let out = begin().map_err(BackupError::at(&part.0))?;
        let mut pieces = Pieces { out, path: &part.0, rows: 0, bytes: 0, written: 0, progress };
        let head = self.copy(&mut pieces)?;
        let written = pieces.written;
        let file = pieces.out.finish().and_then(|out| out.into_inner().map_err(std::io::IntoInnerError::into_error));
        file.and_then(|file| file.sync_all()).map_err(BackupError::at(&part.0))?;
        let (rows, bytes) = (pieces.rows, pieces.bytes);

        let end = verify(&part.0, self, |read| progress(written + read, Some(2 * written)))?;
        if (end.rows, end.bytes) != (rows, bytes) || end.head != head.as_str() {
            return Err(BackupError::Content(path));
        }
        let bytes = fs::metadata(&part.0).map_err(BackupError::at(&part.0))?.len();
        fs::rename(&part.0, &path).and_then(|()| manifest::sync_dir(folder)).map_err(BackupError::at(&path))?;
        Ok(Backup { path, bytes, rows, head })
    }

    fn copy(&self, pieces: &mut Pieces<'_>) -> Result<SignedHead, BackupError> {
        let base = self.fixed()?;
        pieces.put(&Piece::Manifest(base.manifest))?;
        self.copy_rows(pieces)?;
        for (path, bytes) in base.files {
            pieces.put(&Piece::Part { path, offset: 0, bytes })?;
        }
        for path in tiles::finished(base.entries) {
            pieces.put_file(&self.dir, &format!("{LEDGER}/{path}"), None)?;
        }

        // The journal last: it reaches beyond every row that was copied.
        let (end, edge, awaited) = {
            let journal = lock(&self.journal);
            let applied = read(&self.applied);
            let awaited: BTreeSet<u64> = applied.outstanding.values().map(|location| location.segment).collect();
            (*journal.position(), applied.ledger.clone(), awaited)
        };
        let dir = self.dir.join(JOURNAL);
        let there: BTreeSet<u64> = journal::segments(&dir).map_err(BackupError::at(&dir))?.into_iter().collect();
        let before = awaited.into_iter().filter(|number| *number < base.position.segment && there.contains(number));
        for number in before.chain(base.position.segment..=end.segment) {
            let name = segment_path(Path::new(JOURNAL), number).display().to_string();
            pieces.put_file(&self.dir, &name, (number == end.segment).then_some(end.offset))?;
        }
        self.serving()?;
        let head = self.heads.sign(edge.head());
        let (rows, bytes) = (pieces.rows, pieces.bytes);
        pieces.put(&Piece::End(End { rows, bytes, sequence: end.sequence, tag: end.tag, head: head.to_string() }))?;
        Ok(head)
    }

    fn fixed(&self) -> Result<Base, BackupError> {
        // Checkpoints move the manifest and take unfinished tiles away under this lock only.
        let _ledger = lock(&self.ledger);
        let path = self.dir.join(manifest::FILE);
        let bytes = fs::read(&path).map_err(BackupError::at(&path))?;
        let read = Manifest::read(&self.dir, self.keyring.manifest(), &self.name.to_string()).map_err(BackupError::at(&path))?;
        let manifest = read.ok_or(VaultFault::Stopped(StopCause::Manifest))?;
        let entries = manifest.ledger.size();
        let mut files = Vec::new();
        for path in tiles::unfinished(entries) {
            let path = format!("{LEDGER}/{path}");
            let bytes = fs::read(self.dir.join(&path)).map_err(BackupError::at(&self.dir.join(&path)))?;
            files.push((path, bytes));
        }
        Ok(Base { manifest: bytes, position: manifest.position, entries, files })
    }

    fn copy_rows(&self, pieces: &mut Pieces<'_>) -> Result<(), BackupError> {
        let mut after = None;
        loop {
            let rows = {
                let store = read(&self.store);
                let stopped = || VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store));
                let store = store.as_ref().ok_or_else(stopped)?;
                store.rows_after(after.as_ref(), STEP_ROWS, STEP)
            };
            let rows = rows.map_err(|error| self.store_fault(&error))?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            // How far the store is stands at the end.
            let kept = rows.into_iter().filter(|(key, _)| key.tree() != Some(Tree::Sentinel));
            pieces.put(&Piece::Rows(kept.map(|(key, value)| (key, value.to_vec())).collect()))?;
            thread::sleep(PAUSE);
        }
    }
}

/// Reads a backup from its beginning to its end.
fn verify(path: &Path, core: &Core, progress: impl Fn(u64)) -> Result<End, BackupError> {
    let (_, mut from) = Opening::of(path, core.name, &core.environment, &core.keyring)?;
    loop {
        let piece = Piece::read(&mut from, path)?;
        progress(from.position());
        match piece {
            Piece::Manifest(_) | Piece::Rows(_) | Piece::Part { .. } => {}
            Piece::End(end) if from.is_done() => return Ok(end),
            Piece::End(_) => return Err(BackupError::Content(path.to_owned())),
        }
    }
}
