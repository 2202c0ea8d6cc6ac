//! The tiles of a ledger: its Merkle tree on disk, in the C2SP tlog-tiles layout.
//!
//! ```text
//! tile/<level>/x001/234        256 hashes, each the root of 256^level leaves
//! tile/<level>/x001/235.p/17   the unfinished tile of the level, with its first 17
//! ```
//!
//! Always: what is finished is durable before it leaves memory; unfinished tiles that later ones replaced stay until the
//! manifest names a size beyond them. Absent: entries, and what a leaf means.

use super::manifest::sync_dir;
use crate::ledger::{Frontier, TreeHash};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Where tiles lie below `ledger/`, and where entries do.
pub(super) const FOLDER: &str = "tile";
pub(super) const ENTRIES: &str = "entries";

/// How many hashes a tile has.
pub(super) const WIDTH: u64 = 256;

/// The hashes of an unfinished tile.
#[derive(Default)]
struct Unfinished {
    hashes: Vec<TreeHash>,
    /// It holds more than its file.
    changed: bool,
}

impl AsRef<[TreeHash]> for Unfinished {
    fn as_ref(&self) -> &[TreeHash] {
        &self.hashes
    }
}

/// The tiles, with the unfinished one of each level in memory.
pub(super) struct Tiles {
    dir: PathBuf,
    size: u64,
    edge: Vec<Unfinished>,
    /// Tiles that are finished, while the manifest may still need what they were before.
    finished: Vec<(usize, u64)>,
}

/// `x001/x234/067` for 1234067 (C2SP tlog-tiles).
pub(super) fn numbered(number: u64) -> String {
    let mut text = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// How many hashes each level has for so many leaves, from level 0 upwards.
fn levels(size: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(size), |count| Some(count / WIDTH)).take_while(|count| *count > 0)
}

/// The files below `ledger/` that never change again once a ledger has this size.
pub(super) fn finished(size: u64) -> impl Iterator<Item = String> {
    let whole = |(level, count): (usize, u64)| (0..count / WIDTH).map(move |number| format!("{FOLDER}/{level}/{}", numbered(number)));
    levels(size).enumerate().flat_map(whole).chain((0..size / WIDTH).map(|number| format!("{ENTRIES}/{}", numbered(number))))
}

/// The files below `ledger/` that are unfinished in a ledger of this size.
pub(super) fn unfinished(size: u64) -> impl Iterator<Item = String> {
    let unfinished = levels(size).enumerate().filter(|(_, count)| !count.is_multiple_of(WIDTH));
    let tiles = unfinished.map(|(level, count)| format!("{FOLDER}/{level}/{}.p/{}", numbered(count / WIDTH), count % WIDTH));
    tiles.chain((!size.is_multiple_of(WIDTH)).then(|| format!("{ENTRIES}/{}", numbered(size / WIDTH))))
}

impl Tiles {
    /// The tiles of a tree that has no leaf yet.
    pub(super) const fn anew(dir: PathBuf) -> Self {
        Self { dir, size: 0, edge: Vec::new(), finished: Vec::new() }
    }

    /// The tiles up to the size of this frontier; `None` if they do not have its hashes.
    pub(super) fn open(dir: PathBuf, frontier: &Frontier) -> io::Result<Option<Self>> {
        let mut tiles = Self { dir, size: frontier.size(), edge: Vec::new(), finished: Vec::new() };
        for hashes in tiles.unfinished_at(frontier.size())? {
            tiles.edge.push(Unfinished { hashes, changed: false });
        }
        Ok((Frontier::of_tiles(&tiles.edge, WIDTH) == *frontier).then_some(tiles))
    }

    /// How many leaves they have.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The leaves of the unfinished tile.
    pub(super) fn leaves(&self) -> &[TreeHash] {
        self.edge.first().map_or(&[], |tile| &tile.hashes)
    }

    /// The edge of the tree as it was at a size; one that the tiles do not have is another's.
    pub(super) fn edge_at(&self, size: u64) -> io::Result<Frontier> {
        Ok(Frontier::of_tiles(&self.unfinished_at(size)?, WIDTH))
    }

    /// What stood in the unfinished tile of each level at a size; too little where a tile is missing or short.
    fn unfinished_at(&self, size: u64) -> io::Result<Vec<Vec<TreeHash>>> {
        let tile = |(level, count): (usize, u64)| {
            let (number, width) = (count / WIDTH, count % WIDTH);
            let mut hashes = if width > 0 { self.read(level, number, width)? } else { Vec::new() };
            hashes.truncate(usize::try_from(width).unwrap_or_default());
            Ok(hashes)
        };
        levels(size).enumerate().map(tile).collect()
    }

    /// The first hashes of a tile, from the widest file there is.
    fn read(&self, level: usize, number: u64, width: u64) -> io::Result<Vec<TreeHash>> {
        let whole = read_if_there(&self.place(level, number))?;
        let bytes = if whole.is_empty() { read_if_there(&self.unfinished(level, number).join(width.to_string()))? } else { whole };
        if !bytes.is_empty() {
            return Ok(bytes.as_chunks().0.to_vec());
        }
        // A later one has replaced it.
        let mut there = fs::read_dir(self.unfinished(level, number)).into_iter().flatten().flatten();
        let wider = there.find(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) >= Some(width));
        Ok(wider.map(|entry| fs::read(entry.path())).transpose()?.unwrap_or_default().as_chunks().0.to_vec())
    }

    fn place(&self, level: usize, number: u64) -> PathBuf {
        self.dir.join(level.to_string()).join(numbered(number))
    }

    fn unfinished(&self, level: usize, number: u64) -> PathBuf {
        self.dir.join(level.to_string()).join(format!("{}.p", numbered(number)))
    }

    /// Appends a leaf, and writes every tile that it finishes.
    pub(super) fn append(&mut self, leaf: TreeHash) -> io::Result<()> {
        self.size += 1;
        let mut hash = leaf;
        for (level, count) in levels(self.size).enumerate() {
            if self.edge.len() == level {
                self.edge.push(Unfinished::default());
            }
            let Some(tile) = self.edge.get_mut(level) else { break };
            tile.hashes.push(hash);
            tile.changed = true;
            if !count.is_multiple_of(WIDTH) {
                break;
            }
            let tile = std::mem::take(tile);
            hash = Frontier::of_tiles(&[&tile], WIDTH).root();
            let number = count / WIDTH - 1;
            write_durably(&self.place(level, number), tile.hashes.as_flattened())?;
            self.finished.push((level, number));
        }
        Ok(())
    }

    /// Writes the unfinished tiles as they are now.
    pub(super) fn save(&mut self) -> io::Result<()> {
        for (level, count) in levels(self.size).enumerate() {
            let folder = self.unfinished(level, count / WIDTH);
            let Some(tile) = self.edge.get_mut(level).filter(|tile| tile.changed) else { continue };
            write_durably(&folder.join(tile.hashes.len().to_string()), tile.hashes.as_flattened())?;
            tile.changed = false;
        }
        Ok(())
    }

    /// Removes the unfinished tiles that later ones have replaced. Only once the manifest names this size: until then it
    /// needs the one it names.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        // Also what an end at the wrong moment left of the tile before.
        let before = levels(self.size).enumerate().filter_map(|(level, count)| Some((level, (count / WIDTH).checked_sub(1)?)));
        for (level, number) in std::mem::take(&mut self.finished).into_iter().chain(before) {
            match fs::remove_dir_all(self.unfinished(level, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for (level, count) in levels(self.size).enumerate() {
            let newest = (count % WIDTH).to_string();
            for entry in fs::read_dir(self.unfinished(level, count / WIDTH)).into_iter().flatten() {
                let entry = entry?;
                if entry.file_name().to_str() != Some(&newest) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// A file's bytes; none if there is no file.
pub(super) fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

/// Makes the folders above a file, durable.
pub(super) fn create_parents(path: &Path) -> io::Result<()> {
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
    use crate::ledger::{Commitment, leaf_hash};

    fn leaf(index: u64) -> Commitment {
        Commitment([index.to_le_bytes(); 4].as_flattened().try_into().unwrap())
    }

    #[test]
    fn tiles_lie_where_c2sp_says() {
        assert_eq!(numbered(0), "000");
        assert_eq!(numbered(67), "067");
        assert_eq!(numbered(1_234_067), "x001/x234/067");
    }

    #[test]
    fn every_edge_there_ever_was_is_found_again_and_a_changed_tile_gives_another() {
        const SIZE: u64 = 65_536 + 700;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tile");
        let (mut tiles, mut frontier) = (Tiles::anew(path.clone()), Frontier::default());
        let looked_at = |size: u64| size < 3 || size.is_multiple_of(4_999) || size.is_multiple_of(WIDTH * 16) || size + 3 > SIZE;
        let mut edges = Vec::new();
        for index in 0..SIZE {
            frontier.append(&leaf(index));
            tiles.append(leaf_hash(&leaf(index))).unwrap();
            if looked_at(index + 1) {
                tiles.save().unwrap();
                tiles.tidy().unwrap();
                edges.push(frontier.clone());
            }
        }
        let tiles = Tiles::open(path.clone(), &frontier).unwrap().expect("the tiles agree");
        assert_eq!(tiles.leaves().len() as u64, SIZE % WIDTH);
        for edge in &edges {
            assert_eq!(tiles.edge_at(edge.size()).unwrap(), *edge, "{}", edge.size());
        }
        let names = |level: &str| fs::read_dir(path.join(level)).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(names("0").len(), 256 + 2 + 1, "whole tiles and one unfinished");
        assert_eq!((names("1").len(), names("2").len()), (2, 1));
        let mut bytes = fs::read(path.join("1/000")).unwrap();
        bytes[0] ^= 1;
        fs::write(path.join("1/000"), bytes).unwrap();
        assert_ne!(tiles.edge_at(4_096).unwrap(), edges.iter().find(|edge| edge.size() == 4_096).unwrap().clone());
        fs::remove_dir_all(path.join("2")).unwrap();
        assert!(Tiles::open(path, &frontier).unwrap().is_none());
    }
}
