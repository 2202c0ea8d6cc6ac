//! The manifest: from where the journal is replayed, and what store and ledger hold up to there.
//!
//! Always: replaced atomically, after everything it speaks of is durable; authenticated by a tag. One line of JSON, one line
//! with the tag in hexadecimal. Absent: protection against an old manifest put back together with all else; the ledger's
//! anchors are for that.

use super::links::Links;
use crate::{hex, keyring::MacKey, ledger::Frontier};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// A place in the journal between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The segment …
    pub(super) segment: u64,
    /// … and where in it the next group begins.
    pub(super) offset: u64,
    /// The sequence of the next frame.
    pub(super) sequence: u64,
    /// The tag of the group before; zeros at the very beginning.
    pub(super) tag: [u8; 32],
    /// Where the group before begins, if it lies in the same segment.
    pub(super) previous: Option<u64>,
}

/// What the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u8,
    pub(super) vault: String,
    /// The generation of the store.
    pub(super) epoch: u32,
    /// Replay begins here.
    pub(super) position: Position,
    /// The ledger up to there.
    pub(super) ledger: Frontier,
    /// Which names led to persons.
    pub(super) links: Links,
    /// How many parcels were not yet published.
    pub(super) outstanding: u64,
    /// Messages that expired up to here, in milliseconds, are forgotten.
    pub(super) floor: i64,
    /// How many values were sealed under each data key.
    pub(super) seals: Seals,
    /// Since when, in milliseconds, the newest data key seals; unknown until somebody with a clock looks.
    pub(super) keys_since: Option<i64>,
}

/// How many values were sealed, by the version of the data key.
pub(super) type Seals = BTreeMap<u32, u64>;

/// The one format there is.
pub(super) const FORMAT: u8 = 1;
pub(super) const FILE: &str = "manifest";

impl Manifest {
    /// Writes it in the place of the one before.
    pub(super) fn write(&self, dir: &Path, key: &MacKey) -> io::Result<()> {
        write_tagged(dir, FILE, key, self)
    }

    /// Reads it; `None` if its tag does not hold or it is not this vault's.
    pub(super) fn read(dir: &Path, key: &MacKey, vault: &str) -> io::Result<Option<Self>> {
        let manifest: Option<Self> = read_tagged(dir, FILE, key)?;
        Ok(manifest.filter(|manifest| manifest.format == FORMAT && manifest.vault == vault))
    }

    /// Reads it without the key, to see whether there is something to do; nothing is decided by it but whether to open.
    pub(super) fn glance(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join(FILE)).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    }
}

/// Puts a value in the place of the one before, with its tag.
pub(super) fn write_tagged(dir: &Path, file: &str, key: &MacKey, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(value)?;
    let tag = hex::encode(&key.tag(&[text.as_bytes()]));
    text.push('\n');
    text.push_str(&tag);
    text.push('\n');
    replace(dir, file, text.as_bytes())
}

/// Reads a value with its tag; `None` if that does not hold, or it is another kind of value.
pub(super) fn read_tagged<T: DeserializeOwned>(dir: &Path, file: &str, key: &MacKey) -> io::Result<Option<T>> {
    let text = fs::read_to_string(dir.join(file))?;
    let parts = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
    let authentic = parts.filter(|(json, tag)| hex::decode(tag).is_some_and(|tag| key.verify(json.as_bytes(), &tag)));
    Ok(authentic.and_then(|(json, _)| serde_json::from_str(json).ok()))
}

/// The epoch that a manifest names, whoever vouches for it.
pub(super) fn epoch(text: &[u8]) -> Option<u32> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Manifest>(line).ok().map(|manifest| manifest.epoch)
}

/// Puts a file in the place of another, durably, with nothing in between.
pub(super) fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, dir.join(name))?;
    sync_dir(dir)
}

/// Makes what was created in, renamed in or removed from a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
