//! The container: an open header, then sealed chunks.
//!
//! Always: what is read is what was written, as far as it was read; every chunk is opened in its place. Absent: what is in it.

use super::BackupError;
use crate::{
    calendar::Timestamp,
    hex,
    identifier::VaultName,
    keyring::{CHUNK_LEN, ChunkKey, Keyring, Place, TAG_LEN},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

const FORMAT: &str = "nakatsugi-backup-1";
const LONGEST_HEADER: u64 = 1_024;
const SEALED_LEN: u64 = (CHUNK_LEN + TAG_LEN) as u64;

/// What stands in the open at the beginning of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    format: String,
    vault: String,
    environment: String,
    /// When it was begun.
    pub made: Timestamp,
    salt: String,
}

impl Label {
    pub(super) fn new(vault: VaultName, environment: &str, made: Timestamp, salt: &[u8; 32]) -> Self {
        Self { format: FORMAT.to_owned(), vault: vault.to_string(), environment: environment.to_owned(), made, salt: hex::encode(salt) }
    }

    /// Whose backup it says it is; opening it proves it.
    #[must_use]
    pub fn vault(&self) -> Option<VaultName> {
        if self.vault == VaultName::Platform.to_string() {
            Some(VaultName::Platform)
        } else {
            self.vault.parse().ok().map(VaultName::Tenant)
        }
    }

    /// What tells backups apart.
    pub(super) fn salt(&self) -> &str {
        &self.salt
    }

    /// Reads the label of a file.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::NotABackup`].
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        Ok(line(path)?.0)
    }

    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    pub(super) fn key(&self, keyring: &Keyring) -> Option<ChunkKey> {
        let salt = hex::decode(&self.salt)?.try_into().ok()?;
        keyring.backup(&salt, &self.line().ok()?).ok()
    }
}

fn line(path: &Path) -> Result<(Label, u64), BackupError> {
    let not = || BackupError::NotABackup(path.to_owned());
    let at = BackupError::at(path);
    let mut line = Vec::new();
    BufReader::new(File::open(path).map_err(&at)?).take(LONGEST_HEADER).read_until(b'\n', &mut line).map_err(at)?;
    let label: Label = serde_json::from_slice(&line).map_err(|_| not())?;
    let as_written = label.line().is_ok_and(|written| written == line);
    if label.format == FORMAT && as_written && label.vault().is_some() { Ok((label, line.len() as u64)) } else { Err(not()) }
}

/// Seals what is written to it.
pub(super) struct Sealing<W> {
    out: W,
    key: ChunkKey,
    index: u64,
    chunk: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    /// Begins with this line, which the key is bound to.
    pub(super) fn begin(mut out: W, header: &[u8], key: ChunkKey) -> io::Result<Self> {
        out.write_all(header)?;
        Ok(Self { out, key, index: 0, chunk: Vec::with_capacity(CHUNK_LEN + TAG_LEN) })
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_LEN {
                self.seal(Place::Inner)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_LEN - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn seal(&mut self, place: Place) -> io::Result<()> {
        self.key.seal(self.index, place, &mut self.chunk).map_err(io::Error::other)?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.index += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(Place::Last)?;
        Ok(self.out)
    }
}

/// Opens a container, from any place on.
pub(super) struct Opening {
    path: PathBuf,
    file: File,
    key: ChunkKey,
    header: u64,
    /// How many chunks there are.
    chunks: u64,
    /// The chunk that is open, and how much of it was read.
    index: u64,
    chunk: Vec<u8>,
    read: usize,
    length: u64,
}

impl Opening {
    /// Opens the container of a vault.
    pub(super) fn of(path: &Path, vault: VaultName, environment: &str, keyring: &Keyring) -> Result<(Label, Self), BackupError> {
        let (label, header) = line(path)?;
        let found = label.vault().ok_or_else(|| BackupError::NotABackup(path.to_owned()))?;
        if found != vault {
            return Err(BackupError::OtherVault { path: path.to_owned(), found, wanted: vault });
        }
        if label.environment != environment {
            return Err(BackupError::OtherEnvironment(path.to_owned()));
        }
        let key = label.key(keyring).ok_or_else(|| BackupError::NotABackup(path.to_owned()))?;
        Ok((label, Self::over(path, header, key)?))
    }

    /// Opens what follows a header of this length.
    pub(super) fn over(path: &Path, header: u64, key: ChunkKey) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::at(path))?;
        let length = file.metadata().map_err(BackupError::at(path))?.len();
        let chunks = length.saturating_sub(header).div_ceil(SEALED_LEN);
        let mut opening = Self { path: path.to_owned(), file, key, header, chunks, index: 0, chunk: Vec::new(), read: 0, length };
        opening.seek(0)?;
        Ok(opening)
    }

    /// How long the file is.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Where what is read next stands, before it was sealed.
    pub(super) const fn position(&self) -> u64 {
        self.index * CHUNK_LEN as u64 + self.read as u64
    }

    /// Goes to a place.
    pub(super) fn seek(&mut self, position: u64) -> Result<(), BackupError> {
        let chunk = CHUNK_LEN as u64;
        // The end of a whole chunk may be the end of all.
        let index = if position > 0 && position.is_multiple_of(chunk) { position / chunk - 1 } else { position / chunk };
        self.load(index)?;
        self.read = usize::try_from(position - index * chunk).unwrap_or(usize::MAX).min(self.chunk.len());
        Ok(())
    }

    fn load(&mut self, index: u64) -> Result<(), BackupError> {
        let sealed = || BackupError::Sealed(self.path.clone());
        if index >= self.chunks {
            return Err(sealed());
        }
        let place = if index + 1 == self.chunks { Place::Last } else { Place::Inner };
        self.chunk.clear();
        let mut read = || {
            self.file.seek(SeekFrom::Start(self.header + index * SEALED_LEN))?;
            (&self.file).take(SEALED_LEN).read_to_end(&mut self.chunk)
        };
        read().map_err(BackupError::at(&self.path))?;
        self.key.open(index, place, &mut self.chunk).map_err(|_| BackupError::Sealed(self.path.clone()))?;
        (self.index, self.read) = (index, 0);
        Ok(())
    }

    pub(super) fn read(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::with_capacity(length.min(CHUNK_LEN));
        while bytes.len() < length {
            let rest = self.chunk.get(self.read..).unwrap_or_default();
            if rest.is_empty() {
                self.load(self.index + 1)?;
                continue;
            }
            let now = rest.get(..rest.len().min(length - bytes.len())).unwrap_or_default();
            bytes.extend_from_slice(now);
            self.read += now.len();
        }
        Ok(bytes)
    }

    /// What is left of this chunk, or the next; nothing at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        if self.is_done() {
            return Ok(None);
        }
        if self.read == self.chunk.len() {
            self.load(self.index + 1)?;
        }
        self.read(self.chunk.len() - self.read).map(Some)
    }

    /// Whether all was read.
    pub(super) fn is_done(&self) -> bool {
        self.index + 1 == self.chunks && self.read == self.chunk.len()
    }
}
