//! A look at a vault from outside, as long as nobody needs it open: keyring, manifest, journal, leftovers, newest anchor.
//!
//! Always: nothing is written and no content is opened, so that a running daemon is not disturbed. Absent: whether the store
//! holds what the manifest says; opening a vault compares them.

use super::{
    anchors::{AnchorError, Anchors, Standing, compare},
    carry::KeyUse,
    close, journal,
    ledger::LedgerFiles,
    manifest::Manifest,
    open::{JOURNAL, KEYRING, LEDGER, REBUILDING, SUSPECT, store_folder},
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::{KeyVersion, Keyring, RootKey},
    ledger::HeadKey,
};
use std::{fs, io, path::Path};
use thiserror::Error;

/// What is wrong with a vault.
#[derive(Debug, Error)]
pub enum Flaw {
    /// There is none.
    #[error("there is no vault")]
    Missing,
    /// A file cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// Which.
        file: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The keyring does not open with this root key, in this environment.
    #[error("its keyring does not open with this root key")]
    Keyring,
    /// The manifest was changed, or is another vault's.
    #[error("its manifest was changed or belongs to another vault")]
    Manifest,
    /// The manifest names a segment that is not there.
    #[error("its journal lacks the segment that its manifest names")]
    Journal,
    /// Its newest anchor cannot be used.
    #[error(transparent)]
    Anchor(AnchorError),
    /// It lacks entries that its newest anchor speaks of.
    #[error("its ledger has {has} entries and its newest anchor {anchored}: it is an old copy")]
    Behind {
        /// Entries it has.
        has: u64,
        /// Entries it had.
        anchored: u64,
    },
    /// Its ledger is another than that of its newest anchor.
    #[error("its ledger is another than that of its newest anchor")]
    Forked,
    /// sled has put values where it never syncs them.
    #[error("its store has values in blobs/, which are never synced")]
    Blobs,
    /// A row was found damaged, or the store is being rebuilt.
    #[error("its store is not trusted; it is rebuilt from the journal when it opens")]
    Suspect,
}

/// The keyring of a vault below `vaults/`.
fn keyring(vaults: &Path, name: VaultName, root: &RootKey, environment: &str) -> Result<Keyring, Flaw> {
    let dir = vaults.join(name.to_string());
    if !dir.exists() {
        return Err(Flaw::Missing);
    }
    let wrapped = fs::read(dir.join(KEYRING)).map_err(|source| Flaw::Unreadable { file: KEYRING, source })?;
    let wrapped = serde_json::from_slice(&wrapped).map_err(|_| Flaw::Keyring)?;
    root.open(&wrapped, name, environment).map_err(|_| Flaw::Keyring)
}

/// The key that signs the tree heads of the vault of this name below `vaults/`.
///
/// # Errors
/// [`Flaw::Missing`], [`Flaw::Unreadable`], [`Flaw::Keyring`].
pub fn head_key(vaults: &Path, name: VaultName, root: &RootKey, environment: &str) -> Result<HeadKey, Flaw> {
    keyring(vaults, name, root, environment)?.heads(environment).map_err(|_| Flaw::Keyring)
}

/// The data keys of the vault of this name below `vaults/`, oldest first, with the number of values sealed under each as the last
/// checkpoint knew it.
///
/// # Errors
/// [`Flaw`], as far as keyring and manifest have one.
pub fn inspect_keys(vaults: &Path, name: VaultName, root: &RootKey, environment: &str) -> Result<Vec<KeyUse>, Flaw> {
    let keyring = keyring(vaults, name, root, environment)?;
    let manifest = manifest(vaults, name, &keyring)?;
    let since = manifest.keys_since.map(Timestamp::from_millis);
    let secrets = keyring.secrets();
    let of = |version: KeyVersion| KeyUse {
        version,
        seals: manifest.seals.get(&version.0).copied().unwrap_or_default(),
        since: since.filter(|_| version == secrets.newest()),
    };
    Ok(secrets.versions().into_iter().map(of).collect())
}

/// The manifest of a vault below `vaults/`.
fn manifest(vaults: &Path, name: VaultName, keyring: &Keyring) -> Result<Manifest, Flaw> {
    let manifest = Manifest::read(&vaults.join(name.to_string()), keyring.manifest(), &name.to_string());
    manifest.map_err(|source| Flaw::Unreadable { file: "manifest", source })?.ok_or(Flaw::Manifest)
}

/// Looks at the vault of this name below `vaults/`, and at its newest anchor.
///
/// # Errors
/// The first [`Flaw`].
pub fn inspect(vaults: &Path, name: VaultName, root: &RootKey, environment: &str, anchors: Option<&Anchors>) -> Result<(), Flaw> {
    let keyring = keyring(vaults, name, root, environment)?;
    let dir = vaults.join(name.to_string());
    let manifest = manifest(vaults, name, &keyring)?;
    if !journal::segment_path(&dir.join(JOURNAL), manifest.position.segment).exists() {
        return Err(Flaw::Journal);
    }
    if let Some(anchors) = anchors {
        let key = keyring.heads(environment).map_err(|_| Flaw::Keyring)?;
        anchored(&dir, name, &manifest, &key, anchors)?;
    }
    let holds = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if holds(&store_folder(&dir, manifest.epoch).join("blobs")) {
        return Err(Flaw::Blobs);
    }
    if [SUSPECT, REBUILDING].iter().any(|mark| dir.join(mark).exists()) { Err(Flaw::Suspect) } else { Ok(()) }
}

/// Compares the ledger up to the manifest with the newest anchor. What lies behind the manifest is seen by opening only.
fn anchored(dir: &Path, name: VaultName, manifest: &Manifest, key: &HeadKey, anchors: &Anchors) -> Result<(), Flaw> {
    let Some(newest) = anchors.newest(name, key).map_err(Flaw::Anchor)? else { return Ok(()) };
    let unreadable = |source| Flaw::Unreadable { file: LEDGER, source };
    let Some(files) = LedgerFiles::open(dir.join(LEDGER), &manifest.ledger).map_err(unreadable)? else { return Ok(()) };
    match compare(&newest, |size| files.edge_at(size)).map_err(unreadable)? {
        Standing::Whole => Ok(()),
        Standing::Forked => Err(Flaw::Forked),
        Standing::Behind if close::is_unfinished(dir) => Ok(()),
        Standing::Behind => Err(Flaw::Behind { has: files.size(), anchored: newest.head().size }),
    }
}
