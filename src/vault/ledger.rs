//! The ledger's files: the tiles of its tree, and beside them the sealed entries.
//!
//! ```text
//! ledger/tile/…                 see [`super::tiles`]
//! ledger/entries/x001/234       the entries of that tile of leaves: (length(4) ‖ commitment(32) ‖ sealed salt and entry)…
//! ```
//!
//! Always: written by checkpoints, synced before the manifest counts them; what stands behind the manifest's size is written
//! again. Absent: tree heads.

use super::{
    codec::{Put, Take},
    manifest::sync_dir,
    tiles::{self, ENTRIES, Tiles, WIDTH, create_parents, numbered, read_if_there},
};
use crate::ledger::{Commitment, Frontier, leaf_hash};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

/// A commitment and its sealed salt and entry.
pub(super) type SealedEntry = (Commitment, Vec<u8>);

/// The files, with the unfinished tiles in memory.
pub(super) struct LedgerFiles {
    dir: PathBuf,
    tiles: Tiles,
    /// How long the bundle of the unfinished tile is.
    bundle: u64,
}

/// Entries as they stand in a bundle.
fn read_bundle(bytes: &[u8]) -> impl Iterator<Item = SealedEntry> {
    let mut from = Take(bytes);
    std::iter::from_fn(move || {
        let mut entry = Take(from.block()?);
        Some((Commitment(entry.array()?), entry.0.to_vec()))
    })
}

impl LedgerFiles {
    /// The files up to the size of this frontier; `None` if they do not agree with it. What stands behind is cut when it is
    /// written again, and its tiles are the same then.
    pub(super) fn open(dir: PathBuf, frontier: &Frontier) -> io::Result<Option<Self>> {
        let Some(tiles) = Tiles::open(dir.join(tiles::FOLDER), frontier)? else { return Ok(None) };
        let mut files = Self { dir, tiles, bundle: 0 };
        let leaves = files.tiles.leaves();
        if !leaves.is_empty() {
            let bundle = read_if_there(&files.bundle(frontier.size() / WIDTH))?;
            let entries: Vec<_> = read_bundle(&bundle).take(leaves.len()).collect();
            if entries.iter().map(|(commitment, _)| leaf_hash(commitment)).ne(leaves.iter().copied()) {
                return Ok(None);
            }
            files.bundle = entries.iter().map(|(_, sealed)| 4 + 32 + sealed.len() as u64).sum();
        }
        Ok(Some(files))
    }

    /// The files of a ledger that is written anew from its first entry.
    pub(super) fn anew(dir: PathBuf) -> Self {
        Self { tiles: Tiles::anew(dir.join(tiles::FOLDER)), dir, bundle: 0 }
    }

    fn bundle(&self, tile: u64) -> PathBuf {
        self.dir.join(ENTRIES).join(numbered(tile))
    }

    /// Appends entries and makes them durable.
    pub(super) fn append(&mut self, mut entries: &[SealedEntry]) -> io::Result<()> {
        while !entries.is_empty() {
            let tile = self.size() / WIDTH;
            let room = usize::try_from(WIDTH - self.size() % WIDTH).unwrap_or(entries.len());
            let (now, later) = entries.split_at(room.min(entries.len()));
            let mut bytes = Vec::new();
            for (commitment, sealed) in now {
                bytes.u32(super::codec::len32(32 + sealed.len()));
                bytes.extend_from_slice(&commitment.0);
                bytes.extend_from_slice(sealed);
            }
            self.extend_bundle(tile, &bytes)?;
            for (commitment, _) in now {
                self.tiles.append(leaf_hash(commitment))?;
            }
            if self.size().is_multiple_of(WIDTH) {
                self.bundle = 0;
            }
            entries = later;
        }
        self.tiles.save()
    }

    /// Removes the unfinished tiles that later ones have replaced. Only once the manifest names this size: until then it
    /// needs the one it names.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        self.tiles.tidy()
    }

    /// The ledger's edge as it was at a size, if the files reach so far.
    pub(super) fn edge_at(&self, size: u64) -> io::Result<Option<Frontier>> {
        if size > self.size() { Ok(None) } else { self.tiles.edge_at(size).map(Some) }
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
        if index >= self.size() {
            return Ok(None);
        }
        let bundle = read_if_there(&self.bundle(index / WIDTH))?;
        Ok(usize::try_from(index % WIDTH).ok().and_then(|at| read_bundle(&bundle).nth(at)))
    }

    /// Appends every commitment that is counted to a frontier; one that is missing makes it end too early.
    pub(super) fn recompute(&self, frontier: &mut Frontier) -> io::Result<()> {
        for tile in 0..self.size().div_ceil(WIDTH) {
            let bundle = read_if_there(&self.bundle(tile))?;
            let counted = usize::try_from((self.size() - tile * WIDTH).min(WIDTH)).unwrap_or_default();
            for (commitment, _) in read_bundle(&bundle).take(counted) {
                frontier.append(&commitment);
            }
        }
        Ok(())
    }

    /// Seals the entries of one bundle again, and puts them in its place; the leaves stay. Returns how many bytes it has, 0 if
    /// nothing was to be done, `None` behind the last bundle.
    pub(super) fn seal_again(
        &self,
        tile: u64,
        mut again: impl FnMut(&Commitment, &[u8]) -> Option<Option<Vec<u8>>>,
    ) -> io::Result<Option<usize>> {
        if tile * WIDTH >= self.size() {
            return Ok(None);
        }
        let path = self.bundle(tile);
        let before = std::fs::read(&path)?;
        let (mut after, mut changed) = (Vec::with_capacity(before.len()), false);
        for (commitment, sealed) in read_bundle(&before) {
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an entry of the ledger does not open");
            let new = again(&commitment, &sealed).ok_or_else(damaged)?;
            changed |= new.is_some();
            let sealed = new.unwrap_or(sealed);
            after.u32(super::codec::len32(32 + sealed.len()));
            after.extend_from_slice(&commitment.0);
            after.extend_from_slice(&sealed);
        }
        // Whatever stands behind the last entry is nobody's; the lengths of all others stay.
        if let (true, Some(folder), Some(name)) = (changed, path.parent(), path.file_name().and_then(std::ffi::OsStr::to_str)) {
            super::manifest::replace(folder, name, &after)?;
            return Ok(Some(after.len()));
        }
        Ok(Some(0))
    }

    /// The size of the ledger in these files.
    pub(super) const fn size(&self) -> u64 {
        self.tiles.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
