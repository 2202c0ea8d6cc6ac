//! A look at a vault from outside, as long as nobody needs it open: keyring, manifest, journal, leftovers.
//!
//! Always: nothing is written and no content is opened, so that a running daemon is not disturbed. Absent: whether the store
//! holds what the manifest says; opening a vault compares them.

use super::{
    journal,
    manifest::Manifest,
    open::{JOURNAL, KEYRING, REBUILDING, STORE, SUSPECT},
};
use crate::{identifier::VaultName, keyring::RootKey};
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
    /// sled has put values where it never syncs them.
    #[error("its store has values in blobs/, which are never synced")]
    Blobs,
    /// A row was found damaged, or the store is being rebuilt.
    #[error("its store is not trusted; it is rebuilt from the journal when it opens")]
    Suspect,
}

/// Looks at the vault of this name below `vaults/`.
///
/// # Errors
/// The first [`Flaw`].
pub fn inspect(vaults: &Path, name: VaultName, root: &RootKey, environment: &str) -> Result<(), Flaw> {
    let dir = vaults.join(name.to_string());
    if !dir.exists() {
        return Err(Flaw::Missing);
    }
    let unreadable = |file| move |source| Flaw::Unreadable { file, source };
    let wrapped = fs::read(dir.join(KEYRING)).map_err(unreadable(KEYRING))?;
    let wrapped = serde_json::from_slice(&wrapped).map_err(|_| Flaw::Keyring)?;
    let keyring = root.open(&wrapped, name, environment).map_err(|_| Flaw::Keyring)?;
    let manifest = Manifest::read(&dir, keyring.manifest(), &name.to_string()).map_err(unreadable("manifest"))?;
    let manifest = manifest.ok_or(Flaw::Manifest)?;
    if !journal::segment_path(&dir.join(JOURNAL), manifest.position.segment).exists() {
        return Err(Flaw::Journal);
    }
    let holds = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if holds(&dir.join(STORE).join("blobs")) {
        return Err(Flaw::Blobs);
    }
    if [SUSPECT, REBUILDING].iter().any(|mark| dir.join(mark).exists()) { Err(Flaw::Suspect) } else { Ok(()) }
}
