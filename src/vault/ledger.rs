//! The ledger's files: tiles of leaf hashes, and beside them the sealed entries.
//!
//! ```text
//! ledger/tile/0/x001/234        256 leaf hashes (C2SP tlog-tiles); ledger/tile/0/x001/235.p/17 the unfinished tile
//! ledger/entries/x001/234       the same 256 entries: (length(4) ‖ commitment(32) ‖ sealed salt and entry)…
//! ```
//!
//! Always: written by checkpoints, synced before the manifest counts them; what stands behind the manifest's size is written
//! again. Absent: tiles of higher levels, and tree heads.

use super::{
    codec::{Put, Take},
    manifest::sync_dir,
};
use crate::ledger::{Commitment, Frontier, TreeHash, leaf_hash};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// How many leaves a tile has.
pub(super) const WIDTH: u64 = 256;

/// A commitment and its sealed salt and entry.
pub(super) type SealedEntry = (Commitment, Vec<u8>);

/// The files, with the unfinished tile in memory.
pub(super) struct LedgerFiles {
    dir: PathBuf,
    size: u64,
    /// The leaves of the unfinished tile.
    leaves: Vec<TreeHash>,
    /// How long the bundle of the unfinished tile is.
    bundle: u64,
    /// Tiles that are finished, while the manifest may still name what they were before.
    finished: Vec<u64>,
}

/// `x001/x234/067` for 1234067 (C2SP tlog-tiles).
fn numbered(number: u64) -> String {
    let mut text = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Entries as they stand in a bundle.
fn read_bundle(bytes: &[u8]) -> impl Iterator<Item = SealedEntry> {
    let mut from = Take(bytes);
    std::iter::from_fn(move || {
        let mut entry = Take(from.block()?);
        Some((Commitment(entry.array()?), entry.0.to_vec()))
    })
}

/// A file's bytes; none if there is no file.
fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

impl LedgerFiles {
    /// The files up to the size of this frontier; `None` if they do not agree with it.
    pub(super) fn open(dir: PathBuf, frontier: &Frontier) -> io::Result<Option<Self>> {
        let (tile, width) = (frontier.size() / WIDTH, frontier.size() % WIDTH);
        let mut files = Self { dir, size: frontier.size(), leaves: Vec::new(), bundle: 0, finished: Vec::new() };
        if width > 0 {
            let bytes = read_if_there(&files.partial(tile).join(width.to_string()))?;
            files.leaves = bytes.as_chunks().0.to_vec();
            let entries: Vec<_> = read_bundle(&read_if_there(&files.bundle(tile))?).take(files.leaves.len()).collect();
            if entries.iter().map(|(commitment, _)| leaf_hash(commitment)).ne(files.leaves.iter().copied()) {
                return Ok(None);
            }
            files.bundle = entries.iter().map(|(_, sealed)| 4 + 32 + sealed.len() as u64).sum();
        }
        Ok(frontier.ends_with(&files.leaves, WIDTH).then_some(files))
    }

    /// The files of a ledger that is written anew from its first entry.
    pub(super) const fn anew(dir: PathBuf) -> Self {
        Self { dir, size: 0, leaves: Vec::new(), bundle: 0, finished: Vec::new() }
    }

    fn tile(&self, tile: u64) -> PathBuf {
        self.dir.join("tile/0").join(numbered(tile))
    }

    fn partial(&self, tile: u64) -> PathBuf {
        self.dir.join("tile/0").join(format!("{}.p", numbered(tile)))
    }

    fn bundle(&self, tile: u64) -> PathBuf {
        self.dir.join("entries").join(numbered(tile))
    }

    /// Appends entries and makes them durable.
    pub(super) fn append(&mut self, mut entries: &[SealedEntry]) -> io::Result<()> {
        while !entries.is_empty() {
            let tile = self.size / WIDTH;
            let room = usize::try_from(WIDTH - self.size % WIDTH).unwrap_or(entries.len());
            let (now, later) = entries.split_at(room.min(entries.len()));
            let mut bytes = Vec::new();
            for (commitment, sealed) in now {
                bytes.u32(super::codec::len32(32 + sealed.len()));
                bytes.extend_from_slice(&commitment.0);
                bytes.extend_from_slice(sealed);
                self.leaves.push(leaf_hash(commitment));
            }
            self.extend_bundle(tile, &bytes)?;
            self.size += now.len() as u64;
            if self.size.is_multiple_of(WIDTH) {
                write_durably(&self.tile(tile), self.leaves.as_flattened())?;
                self.finished.push(tile);
                (self.leaves, self.bundle) = (Vec::new(), 0);
            } else {
                let folder = self.partial(tile);
                let name = self.leaves.len().to_string();
                write_durably(&folder.join(&name), self.leaves.as_flattened())?;
            }
            entries = later;
        }
        Ok(())
    }

    /// Removes the unfinished tiles that later ones have replaced. Only once the manifest names this size: until then it
    /// needs the one it names.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        // Also what an end at the wrong moment left of the tile before.
        let before = (self.size / WIDTH).checked_sub(1);
        for tile in std::mem::take(&mut self.finished).into_iter().chain(before) {
            match fs::remove_dir_all(self.partial(tile)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let folder = self.partial(self.size / WIDTH);
        let newest = self.leaves.len().to_string();
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name().to_str() != Some(&newest) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes behind what is counted of the bundle; what stood there from an attempt before is cut.
    fn extend_bundle(&mut self, tile: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.bundle(tile);
        let fresh = self.bundle == 0;
        if fresh {
            create_parents(&path)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        file.set_len(self.bundle)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if fresh {
            path.parent().map_or(Ok(()), sync_dir)?;
        }
        self.bundle += bytes.len() as u64;
        Ok(())
    }

    /// One entry; `None` if the files do not have it.
    pub(super) fn entry(&self, index: u64) -> io::Result<Option<SealedEntry>> {
        if index >= self.size {
            return Ok(None);
        }
        let bundle = read_if_there(&self.bundle(index / WIDTH))?;
        Ok(usize::try_from(index % WIDTH).ok().and_then(|at| read_bundle(&bundle).nth(at)))
    }

    /// Appends every commitment that is counted to a frontier; one that is missing makes it end too early.
    pub(super) fn recompute(&self, frontier: &mut Frontier) -> io::Result<()> {
        for tile in 0..self.size.div_ceil(WIDTH) {
            let bundle = read_if_there(&self.bundle(tile))?;
            let counted = usize::try_from((self.size - tile * WIDTH).min(WIDTH)).unwrap_or_default();
            for (commitment, _) in read_bundle(&bundle).take(counted) {
                frontier.append(&commitment);
            }
        }
        Ok(())
    }

    /// The size of the ledger in these files.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

/// Makes the folders above a file, durable.
fn create_parents(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if !parent.exists() {
        create_parents(parent)?;
        fs::create_dir(parent)?;
        parent.parent().map_or(Ok(()), sync_dir)?;
    }
    Ok(())
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_parents(path)?;
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::Range<u64>) -> Vec<SealedEntry> {
        range.map(|index| (Commitment([index.to_be_bytes()[7]; 32]), index.to_be_bytes().to_vec())).collect()
    }

    fn frontier(size: u64) -> Frontier {
        let mut frontier = Frontier::default();
        entries(0..size).iter().for_each(|(commitment, _)| {
            frontier.append(commitment);
        });
        frontier
    }

    #[test]
    fn tiles_lie_where_c2sp_says() {
        assert_eq!(numbered(0), "000");
        assert_eq!(numbered(67), "067");
        assert_eq!(numbered(1_234_067), "x001/x234/067");
    }

    #[test]
    fn what_stands_behind_the_counted_size_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        LedgerFiles::anew(path.clone()).append(&entries(0..700)).unwrap();
        LedgerFiles::anew(path.clone()).append(&entries(0..300)).unwrap();
        let mut files = LedgerFiles::open(path.clone(), &frontier(300)).unwrap().expect("the files agree");
        files.append(&entries(300..600)).unwrap();
        drop(files);
        let mut files = LedgerFiles::open(path.clone(), &frontier(300)).unwrap().expect("what the manifest names is still there");
        files.append(&entries(300..600)).unwrap();
        files.tidy().unwrap();
        assert!(!path.join("tile/0/001.p").exists());
        let files = LedgerFiles::open(path.clone(), &frontier(600)).unwrap().expect("the files agree");
        for index in [0, 255, 256, 299, 300, 511, 512, 599] {
            assert_eq!(files.entry(index).unwrap(), entries(index..index + 1).pop());
        }
        assert_eq!(files.entry(600).unwrap(), None);
        assert_eq!(fs::read(path.join("tile/0/001")).unwrap().len(), 8192);
        assert!(LedgerFiles::open(path, &frontier(601)).unwrap().is_none());
    }
}
