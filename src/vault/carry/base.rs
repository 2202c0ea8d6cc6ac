//! The base of an epoch: all rows that lived when it began, from which its store is made, and made again.
//!
//! ```text
//! base.<epoch>/begin             where in the journal the epoch begins, and what stood there
//! base.<epoch>/000000.part …     magic(8) ‖ epoch(4) ‖ number(4) ‖ (length(4) ‖ row key ‖ length(4) ‖ value)… ‖ tag(32)
//! base.<epoch>/whole             how many parts there are: all are there
//! ```
//!
//! Always: each file is durable before the next begins, and authenticated. Rows are final, so nothing is opened to make a store
//! from them. A row may be younger than the place in the journal where the epoch begins: what is replayed from there on takes
//! its place. The first epoch has no base: its store is made from the first segment on. Absent: what the rows mean.

use super::CarryError;
use crate::{
    identifier::VaultName,
    keyring::{MacKey, RowKey, Tree},
    ledger::Frontier,
    vault::{
        codec::{Put, Take},
        links::Links,
        manifest::{self, Manifest, Position, Seals, sync_dir},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"NKBASE1\0";
const TAG_LEN: usize = 32;
/// A part is written when it has this many bytes.
const PART_BYTES: usize = 4 << 20;
const BEGIN: &str = "begin";
const WHOLE: &str = "whole";

/// Where in the journal an epoch begins, and what stood there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Begin {
    base: u8,
    vault: String,
    pub(in crate::vault) epoch: u32,
    pub(in crate::vault) position: Position,
    pub(in crate::vault) ledger: Frontier,
    pub(in crate::vault) links: Links,
    pub(in crate::vault) floor: i64,
    pub(in crate::vault) seals: Seals,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Whole {
    base: u8,
    vault: String,
    epoch: u32,
    pub(in crate::vault) parts: u32,
    pub(in crate::vault) rows: u64,
    /// How many of them are sealed.
    pub(in crate::vault) sealed: u64,
}

const FORMAT: u8 = 1;

/// A base, as far as it is there.
pub(in crate::vault) struct Base<'a> {
    dir: PathBuf,
    vault: VaultName,
    epoch: u32,
    key: &'a MacKey,
}

/// A row as it lies in a part.
pub(super) type Carried = (RowKey, Vec<u8>);

fn if_there<T>(result: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result,
    }
}

/// The folder of an epoch's base in the vault's.
pub(in crate::vault) fn folder(vault: &Path, epoch: u32) -> PathBuf {
    vault.join(format!("base.{epoch}"))
}

impl<'a> Base<'a> {
    pub(in crate::vault) fn of(dir: &Path, vault: VaultName, epoch: u32, key: &'a MacKey) -> Self {
        Self { dir: folder(dir, epoch), vault, epoch, key }
    }

    /// Where it begins; `None` if there is no such base.
    pub(in crate::vault) fn begin(&self) -> io::Result<Option<Begin>> {
        let begin: Option<Begin> = if_there(manifest::read_tagged(&self.dir, BEGIN, self.key))?;
        Ok(begin.filter(|begin| (begin.base, &begin.vault, begin.epoch) == (FORMAT, &self.vault.to_string(), self.epoch)))
    }

    /// Begins where the manifest says that store and ledger are, or where it has begun before.
    pub(super) fn begin_at(&self, manifest: &Manifest) -> io::Result<Begin> {
        if let Some(begin) = self.begin()? {
            return Ok(begin);
        }
        self.remove()?;
        fs::create_dir(&self.dir)?;
        self.dir.parent().map_or(Ok(()), sync_dir)?;
        let begin = Begin {
            base: FORMAT,
            vault: self.vault.to_string(),
            epoch: self.epoch,
            position: manifest.position,
            ledger: manifest.ledger.clone(),
            links: manifest.links,
            floor: manifest.floor,
            seals: manifest.seals.clone(),
        };
        manifest::write_tagged(&self.dir, BEGIN, self.key, &begin)?;
        Ok(begin)
    }

    /// What is in it, once every part is there.
    pub(in crate::vault) fn whole(&self) -> io::Result<Option<Whole>> {
        let whole: Option<Whole> = if_there(manifest::read_tagged(&self.dir, WHOLE, self.key))?;
        Ok(whole.filter(|whole| (whole.base, &whole.vault, whole.epoch) == (FORMAT, &self.vault.to_string(), self.epoch)))
    }

    /// Takes the base away, with all that is in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn name(number: u32) -> String {
        format!("{number:06}.part")
    }

    fn header(&self, number: u32) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.u32(self.epoch);
        header.u32(number);
        header
    }

    /// The rows of a part.
    pub(super) fn part(&self, number: u32) -> Result<Vec<Carried>, CarryError> {
        let bytes = fs::read(self.dir.join(Self::name(number)))?;
        self.rows(&bytes, number).ok_or(CarryError::BaseDamaged)
    }

    fn rows(&self, bytes: &[u8], number: u32) -> Option<Vec<Carried>> {
        let (covered, tag) = bytes.split_last_chunk::<TAG_LEN>()?;
        self.key.verify(covered, tag).then_some(())?;
        let mut from = Take(covered.strip_prefix(self.header(number).as_slice())?);
        let mut rows = Vec::new();
        while !from.0.is_empty() {
            rows.push((RowKey::from_stored(from.block()?)?, from.block()?.to_vec()));
        }
        Some(rows)
    }
}

const fn is_sealed(tree: Option<Tree>) -> bool {
    match tree {
        Some(Tree::Link | Tree::Person | Tree::Message | Tree::Entry) => true,
        Some(Tree::Expiry | Tree::Outbox | Tree::Sentinel) | None => false,
    }
}

/// Writes the parts of a base, one after the other, going on where an earlier attempt ended.
pub(super) struct Writer<'a> {
    base: &'a Base<'a>,
    number: u32,
    rows: u64,
    sealed: u64,
    last: Option<RowKey>,
    buffer: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn resume(base: &'a Base<'a>) -> Result<Self, CarryError> {
        let mut writer = Self { base, number: 0, rows: 0, sealed: 0, last: None, buffer: Vec::new() };
        while base.dir.join(Base::name(writer.number)).exists() {
            for (key, _) in base.part(writer.number)? {
                writer.count(key);
            }
            writer.number += 1;
        }
        writer.buffer = base.header(writer.number);
        Ok(writer)
    }

    fn count(&mut self, key: RowKey) {
        self.rows += 1;
        self.sealed += u64::from(is_sealed(key.tree()));
        self.last = Some(key);
    }

    /// The last row that it has.
    pub(super) const fn last(&self) -> Option<&RowKey> {
        self.last.as_ref()
    }

    /// How many rows it has.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row; keys come in order.
    pub(super) fn push(&mut self, key: RowKey, value: &[u8]) -> io::Result<()> {
        self.buffer.block(key.as_bytes());
        self.buffer.block(value);
        self.count(key);
        if self.buffer.len() >= PART_BYTES { self.write() } else { Ok(()) }
    }

    /// Notes a row that has no place in a base.
    pub(super) fn pass(&mut self, key: RowKey) {
        self.last = Some(key);
    }

    fn write(&mut self) -> io::Result<()> {
        let tag = self.base.key.tag(&[&self.buffer]);
        self.buffer.extend_from_slice(&tag);
        manifest::replace(&self.base.dir, &Base::name(self.number), &self.buffer)?;
        self.number += 1;
        self.buffer = self.base.header(self.number);
        Ok(())
    }

    /// Writes what is left, and that all is there.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.buffer.len() > self.base.header(self.number).len() {
            self.write()?;
        }
        let Self { base, number: parts, rows, sealed, .. } = self;
        let whole = Whole { base: FORMAT, vault: base.vault.to_string(), epoch: base.epoch, parts, rows, sealed };
        manifest::write_tagged(&base.dir, WHOLE, base.key, &whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::{Keyring, Secrets};

    #[test]
    fn a_base_goes_on_where_it_was_cut_short_and_is_believed_only_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::new(VaultName::Platform, Secrets::new([1; 32], [2; 32])).unwrap();
        let base = Base::of(dir.path(), VaultName::Platform, 2, keyring.manifest());
        fs::create_dir(&base.dir).unwrap();
        let row = |number: u32| (Tree::Person.row(&[&number.to_be_bytes()]), vec![number as u8; 1 << 20]);
        let mut writer = Writer::resume(&base).unwrap();
        (0..10).map(row).for_each(|(key, value)| writer.push(key, &value).unwrap());
        drop(writer);
        assert!(base.whole().unwrap().is_none());
        let mut writer = Writer::resume(&base).unwrap();
        assert_eq!((writer.rows(), writer.last()), (8, Some(&row(7).0)));
        (8..11).map(row).for_each(|(key, value)| writer.push(key, &value).unwrap());
        writer.finish().unwrap();
        assert!(base.whole().unwrap().is_some_and(|whole| (whole.parts, whole.rows, whole.sealed) == (3, 11, 11)));
        let rows: Vec<_> = (0..3).flat_map(|number| base.part(number).unwrap()).collect();
        assert_eq!(rows, (0..11).map(row).collect::<Vec<_>>());
        let other = Base { epoch: 3, dir: base.dir.clone(), ..base };
        assert!(other.whole().unwrap().is_none());
        assert!(matches!(other.part(0), Err(CarryError::BaseDamaged)));
        fs::rename(base.dir.join("000001.part"), base.dir.join("000000.part")).unwrap();
        assert!(matches!(base.part(0), Err(CarryError::BaseDamaged)));
    }
}
