//! Anchors: tree heads of every vault, kept on another volume, by which an old copy or a fork is noticed when a vault opens.
//!
//! ```text
//! <folder>/142051/0000000000000017.note   signed notes; the highest number is the newest
//! ```
//!
//! Always: an anchor is written whole and durably, under a number of its own, so that the volume may refuse overwriting and
//! removing; old ones are removed where that is allowed. A vault that lacks what its newest anchor speaks of, or has something
//! else there, does not open. Absent: a defence against who can write here and has the vault's keys; logs and witnesses are.

use super::{
    applied::Applied,
    core::{Core, lock},
    event::VaultEvent,
    ledger::LedgerFiles,
    manifest,
};
use crate::{
    identifier::VaultName,
    ledger::{Frontier, HeadKey, NoteError, SignedHead},
    relay::ports::StopCause,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// How many anchors of each vault are kept.
const KEPT: usize = 16;
const ENDING: &str = ".note";

/// Why an anchor cannot be used.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// The folder is not there: perhaps its volume is not mounted.
    #[error("the anchor folder is not there; mount its volume, or make the folder if it is new")]
    NoFolder,
    /// The system said no.
    #[error("an anchor cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is not what this vault signed.
    #[error("the newest anchor, {name}, is not believed: {source}; if you know why it is there, move it away")]
    Note {
        /// The file.
        name: String,
        /// Why.
        source: NoteError,
    },
}

/// The folder of all anchors.
#[derive(Debug, Clone)]
pub struct Anchors(PathBuf);

impl Anchors {
    /// In this folder, which must exist when it is used.
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn of(&self, vault: VaultName) -> PathBuf {
        self.0.join(vault.to_string())
    }

    /// The numbers of a vault's anchors, in order.
    fn numbers(&self, vault: VaultName) -> Result<Vec<u64>, AnchorError> {
        if !self.0.is_dir() {
            return Err(AnchorError::NoFolder);
        }
        let mut numbers = Vec::new();
        match fs::read_dir(self.of(vault)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(entries) => {
                for entry in entries {
                    let name = entry?.file_name();
                    numbers.extend(name.to_str().and_then(|name| name.strip_suffix(ENDING)).and_then(|number| number.parse::<u64>().ok()));
                }
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The newest anchor of a vault, if it has one.
    ///
    /// # Errors
    /// [`AnchorError`]; the vault must not be opened then.
    pub fn newest(&self, vault: VaultName, key: &HeadKey) -> Result<Option<SignedHead>, AnchorError> {
        let Some(number) = self.numbers(vault)?.pop() else { return Ok(None) };
        let name = file(number);
        let note = fs::read(self.of(vault).join(&name))?;
        key.read(&note).map(Some).map_err(|source| AnchorError::Note { name, source })
    }

    /// Writes a vault's newest anchor.
    ///
    /// # Errors
    /// [`AnchorError::NoFolder`], [`AnchorError::Io`].
    pub fn put(&self, vault: VaultName, head: &SignedHead) -> Result<(), AnchorError> {
        let numbers = self.numbers(vault)?;
        let folder = self.of(vault);
        if !folder.exists() {
            fs::create_dir(&folder)?;
            manifest::sync_dir(&self.0)?;
        }
        let next = numbers.last().map_or(1, |last| last + 1);
        manifest::replace(&folder, &file(next), head.as_str().as_bytes())?;
        let old = (numbers.len() + 1).saturating_sub(KEPT);
        for number in numbers.into_iter().take(old) {
            // A volume that keeps everything may.
            let _ = fs::remove_file(folder.join(file(number)));
        }
        Ok(())
    }

    /// Whether the folder lies on the same volume as this one, as far as the system can tell.
    #[must_use]
    pub fn shares_volume_with(&self, data: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(&self.0).ok().zip(fs::metadata(data).ok()).is_some_and(|(here, there)| here.dev() == there.dev())
    }
}

fn file(number: u64) -> String {
    format!("{number:016}{ENDING}")
}

/// What a vault's ledger is, compared with its newest anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has all that the anchor speaks of.
    Whole,
    /// It ends before.
    Behind,
    /// It has something else there.
    Forked,
}

/// Compares a ledger with a head of it; `edge` gives its edge at the size of the head, if it is that long.
pub(super) fn compare(head: &SignedHead, edge: impl FnOnce(u64) -> io::Result<Option<Frontier>>) -> io::Result<Standing> {
    Ok(match edge(head.head().size)? {
        None => Standing::Behind,
        Some(edge) if edge.head() == *head.head() => Standing::Whole,
        Some(_) => Standing::Forked,
    })
}

/// The edge of a ledger as it was at a size, from its files and what was applied since.
pub(super) fn edge_at(files: &LedgerFiles, applied: &Applied, size: u64) -> io::Result<Option<Frontier>> {
    if size > applied.ledger.size() {
        return Ok(None);
    }
    let Some(mut edge) = files.edge_at(size.min(files.size()))? else { return Ok(None) };
    for index in edge.size()..size {
        let Some((commitment, _)) = applied.entry(index) else { return Ok(None) };
        edge.append(&commitment);
    }
    Ok(Some(edge))
}

/// Refuses a vault that is older than its newest anchor, or another. Returns the anchor.
pub(super) fn check(
    anchors: &Anchors,
    key: &HeadKey,
    vault: VaultName,
    files: &LedgerFiles,
    applied: &Applied,
) -> Result<Option<SignedHead>, (StopCause, Option<String>)> {
    let newest = anchors.newest(vault, key).map_err(|error| (StopCause::Anchor, Some(error.to_string())))?;
    let Some(head) = newest else { return Ok(None) };
    let size = head.head().size;
    let standing = compare(&head, |size| edge_at(files, applied, size));
    match standing.map_err(|error| (StopCause::Ledger, Some(error.to_string())))? {
        Standing::Whole => Ok(Some(head)),
        Standing::Behind => {
            let has = applied.ledger.size();
            let words = format!("its ledger has {has} entries and its newest anchor {size}: restore a newer copy (nakatsugi restore)");
            Err((StopCause::Behind, Some(words)))
        }
        Standing::Forked => {
            let words = format!("the first {size} entries of its ledger are not those of its newest anchor: find out who changed what");
            Err((StopCause::Forked, Some(words)))
        }
    }
}

impl Core {
    /// The tree head as far as it is durable, signed.
    pub(super) fn tree_head(&self) -> SignedHead {
        self.heads.sign(self.ledger().head())
    }

    /// Writes an anchor and tells the tree head, if it is not the one told last.
    pub(super) fn anchor(&self) {
        let mut anchored = lock(&self.anchored);
        let head = self.ledger().head();
        if head.size == 0 || *anchored == Some(head) {
            return;
        }
        let signed = self.heads.sign(head);
        if let Some(anchors) = &self.anchors
            && let Err(error) = anchors.put(self.name, &signed)
        {
            (self.listen)(VaultEvent::NotAnchored { vault: self.name, detail: error.to_string() });
            return;
        }
        *anchored = Some(head);
        (self.listen)(VaultEvent::TreeHead { vault: self.name, head: signed });
    }
}
