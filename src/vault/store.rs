//! The store: sled, with everything around it that keeps it well-behaved.
//!
//! Always: written by checkpoints only, row by row, then flushed with a real fsync (see `filter`); its last row is the sentinel
//! that says how far it is. No blob files. A panic inside sled becomes an error. Absent: what the rows mean.

use super::{
    codec::{Put, Take},
    filter::FilterInstalled,
    limits::STORE_SEGMENT,
    manifest::{Position, sync_dir},
};
use crate::{
    keyring::{MacKey, RowKey, Tree},
    relay::ports::StopCause,
};
use sled::{Db, IVec, Mode};
use std::{
    cell::Cell,
    fs, io,
    ops::Bound,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Once,
    thread,
    time::Duration,
};
use thiserror::Error;

/// Why the store could not be used.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    /// Sled says no.
    #[error("the store failed")]
    Sled(#[from] sled::Error),
    /// Sled panicked: its files are damaged.
    #[error("the store is damaged")]
    Panicked,
    /// Its sentinel is not of this vault: it is another's store.
    #[error("the store is not this vault's")]
    Foreign,
    /// A page became a blob file, which sled never syncs.
    #[error("the store made a blob file")]
    Blob,
    /// The system failed around it.
    #[error("the store's folder failed")]
    Folder(#[from] io::Error),
}

impl StoreError {
    /// What to tell those who run it. Of sled's own words only the system's: others may hold pieces of pages.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Sled(sled::Error::Io(error)) | Self::Folder(error) => format!("{self}: {error}"),
            Self::Sled(_) | Self::Panicked | Self::Foreign | Self::Blob => self.to_string(),
        }
    }

    /// Why the vault stops for it.
    pub(super) fn cause(&self) -> StopCause {
        match self {
            Self::Sled(sled::Error::Io(error)) | Self::Folder(error) => match error.kind() {
                io::ErrorKind::StorageFull => StopCause::NoRoom,
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => StopCause::StoreDamaged,
                _ => StopCause::Store,
            },
            // Besides corruption: another segment size than ever used here, or a bug that sled noticed in itself.
            Self::Sled(_) | Self::Panicked | Self::Foreign => StopCause::StoreDamaged,
            Self::Blob => StopCause::Store,
        }
    }
}

/// An open store.
pub(super) struct Store {
    db: Db,
    path: PathBuf,
}

/// How far a store is: the sequence of the first frame it lacks, and the tag of the group before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentinel {
    pub(super) sequence: u64,
    pub(super) tag: [u8; 32],
}

impl Sentinel {
    /// `sentinel = sequence(8) ‖ tag of the group(32) ‖ MAC[manifest key](label ‖ sequence ‖ tag of the group)`
    const LABEL: &[u8] = b"store/sentinel\0";

    fn encode(&self, key: &MacKey) -> Vec<u8> {
        let mut value = Vec::new();
        value.u64(self.sequence);
        value.extend_from_slice(&self.tag);
        let tag = key.tag(&[Self::LABEL, &value]);
        value.extend_from_slice(&tag);
        value
    }

    // SECURITY: a store that is ahead of the manifest cannot be compared with anything: it must be this vault's by itself, or
    // another vault's, in which this one's rows are simply missing, could pass for it.
    fn decode(key: &MacKey, value: &[u8]) -> Option<Self> {
        let mut from = Take(value);
        let sentinel = Self { sequence: from.u64()?, tag: from.array()? };
        (sentinel.encode(key) == value).then_some(sentinel)
    }

    pub(super) const fn of(position: &Position) -> Self {
        Self { sequence: position.sequence, tag: position.tag }
    }
}

impl Store {
    /// Opens the store, or makes it. Waits up to a second for the lock of one that was just closed.
    pub(super) fn open(_: FilterInstalled, path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        quiet_panics();
        let fresh = !path.exists();
        fs::create_dir_all(path)?;
        // Left behind when a snapshot was being written; sled would trip over it.
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
                fs::remove_file(entry.path())?;
            }
        }
        let mut tries = 0;
        let db = loop {
            let config = sled::Config::new()
                .path(path)
                .segment_size(STORE_SEGMENT)
                .cache_capacity(cache_bytes)
                .flush_every_ms(None)
                .mode(Mode::LowSpace);
            match guarded(|| config.open()) {
                Err(StoreError::Sled(sled::Error::Io(error))) if tries < 50 && error.to_string().contains("lock") => {
                    tries += 1;
                    thread::sleep(Duration::from_millis(20));
                }
                result => break result?,
            }
        };
        if fresh {
            guarded(|| db.flush())?;
            sync_dir(path)?;
            path.parent().map_or(Ok(()), sync_dir)?;
        }
        Ok(Self { db, path: path.to_owned() })
    }

    /// Closes it; sled's last words do not matter, because nothing is in it that the journal does not have.
    pub(super) fn close(store: Option<Self>) {
        let _ = guarded(|| {
            drop(store);
            Ok(())
        });
    }

    /// A row's value.
    pub(super) fn row(&self, key: &RowKey) -> Result<Option<IVec>, StoreError> {
        guarded(|| self.db.get(key.as_bytes()))
    }

    /// The first rows whose keys begin with this.
    pub(super) fn rows(&self, prefix: &RowKey, most: usize) -> Result<Vec<(RowKey, IVec)>, StoreError> {
        guarded(|| {
            let rows = self.db.scan_prefix(prefix.as_bytes()).take(most);
            rows.map(|row| row.map(|(key, value)| (RowKey::from_stored(&key), value))).collect::<Result<Vec<_>, _>>()
        })
        .map(|rows| rows.into_iter().filter_map(|(key, value)| Some((key?, value))).collect())
    }

    /// The next rows behind this key, in the order of their keys, at most so many, and no more once they have so many bytes.
    pub(super) fn rows_after(&self, after: Option<&RowKey>, most: usize, bytes: usize) -> Result<Vec<(RowKey, IVec)>, StoreError> {
        let begin = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes()));
        let mut rows = Vec::new();
        let known = guarded(|| {
            let mut sum = 0;
            for row in self.db.range::<&[u8], _>((begin, Bound::Unbounded)).take(most) {
                let (key, value) = row?;
                let Some(key) = RowKey::from_stored(&key) else { return Ok(false) };
                sum += value.len();
                rows.push((key, value));
                if sum >= bytes {
                    break;
                }
            }
            Ok(true)
        })?;
        // A row of no kind that is known here: sled mixed something up.
        if known { Ok(rows) } else { Err(StoreError::Panicked) }
    }

    /// Makes what was written so far durable, so that less is left to do at the end.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded(|| self.db.flush()).map(drop)
    }

    /// Shows every row whose key begins with this.
    pub(super) fn each(&self, prefix: &RowKey, mut show: impl FnMut(RowKey, &[u8])) -> Result<(), StoreError> {
        guarded(|| {
            for row in self.db.scan_prefix(prefix.as_bytes()) {
                let (key, value) = row?;
                RowKey::from_stored(&key).into_iter().for_each(|key| show(key, &value));
            }
            Ok(())
        })
    }

    /// Writes rows; durable only after [`Self::seal_up_to`].
    ///
    /// Not as batches: sled applies one under a lock that keeps every reader of every store in the process waiting. What is left
    /// half written, replay writes again.
    pub(super) fn write<'a>(&self, rows: impl Iterator<Item = (&'a RowKey, Option<&'a [u8]>)>) -> Result<u64, StoreError> {
        let mut count = 0;
        for (key, value) in rows {
            guarded(|| match value {
                Some(value) => self.db.insert(key.as_bytes(), value),
                None => self.db.remove(key.as_bytes()),
            })?;
            count += 1;
        }
        Ok(count)
    }

    /// Writes the sentinel behind all rows and makes everything durable.
    pub(super) fn seal_up_to(&self, sentinel: Sentinel, key: &MacKey) -> Result<(), StoreError> {
        guarded(|| self.db.insert(Tree::Sentinel.row(&[]).as_bytes(), sentinel.encode(key)))?;
        guarded(|| self.db.flush())?;
        match fs::read_dir(self.path.join("blobs"))?.next() {
            Some(_) => Err(StoreError::Blob),
            None => Ok(()),
        }
    }

    /// How far the store is; `None` if it never saw a checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if it is not this vault's.
    pub(super) fn sentinel(&self, key: &MacKey) -> Result<Option<Sentinel>, StoreError> {
        let value = self.row(&Tree::Sentinel.row(&[]))?;
        value.map(|value| Sentinel::decode(key, &value).ok_or(StoreError::Foreign)).transpose()
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call into sled; a panic becomes an error and prints nothing.
fn guarded<T>(call: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    Ok(result.map_err(|_| StoreError::Panicked)??)
}

/// Lets the panics that [`guarded`] catches pass without output: sled's messages hold raw pages.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}
