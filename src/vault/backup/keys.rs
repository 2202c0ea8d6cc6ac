//! Key backups: every keyring of a site in one file, wrapped by the root key as it is in the vaults.
//!
//! Always: only the newest is kept, so that a key that was destroyed is in no backup once the next one is made; the whole file
//! has a tag under the root key. Whoever has it can open nothing without the root key. Absent: the root key.

use super::{
    super::{manifest, open::KEYRING},
    BackupError,
};
use crate::{
    calendar::Timestamp,
    hex,
    identifier::VaultName,
    keyring::{Keyring, RootKey, WrappedKeyring},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// The name of the key backup in its folder.
pub const KEY_BACKUP: &str = "nakatsugi.keys";
const FORMAT: &str = "nakatsugi-keys-1";

/// Every keyring of a site.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBackup {
    format: String,
    environment: String,
    /// When it was made.
    pub made: Timestamp,
    keyrings: Vec<WrappedKeyring>,
}

impl KeyBackup {
    /// Collects the keyrings of these vaults, each of which must open.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Keyring`].
    pub fn of(vaults: &Path, names: &[VaultName], root: &RootKey, environment: &str, made: Timestamp) -> Result<Self, BackupError> {
        let mut keyrings = Vec::with_capacity(names.len());
        for name in names {
            let path = vaults.join(name.to_string()).join(KEYRING);
            let bytes = fs::read(&path).map_err(BackupError::at(&path))?;
            let wrapped: WrappedKeyring = serde_json::from_slice(&bytes).map_err(|error| BackupError::at(&path)(error.into()))?;
            root.open(&wrapped, *name, environment)?;
            keyrings.push(wrapped);
        }
        Ok(Self { format: FORMAT.to_owned(), environment: environment.to_owned(), made, keyrings })
    }

    /// Writes it into a folder, in the place of the one before. Returns how many keyrings it has.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Keyring`].
    pub fn write(&self, folder: &Path, root: &RootKey) -> Result<usize, BackupError> {
        let at = |error: serde_json::Error| BackupError::at(folder)(error.into());
        let mut text = serde_json::to_string(self).map_err(at)?;
        let tag = hex::encode(&root.key_backups()?.tag(&[text.as_bytes()]));
        text.push_str(&format!("\n{tag}\n"));
        manifest::replace(folder, KEY_BACKUP, text.as_bytes()).map_err(BackupError::at(&folder.join(KEY_BACKUP)))?;
        let again = Self::read(&folder.join(KEY_BACKUP), root)?;
        Ok(again.keyrings.len())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::KeyBackup`].
    pub fn read(path: &Path, root: &RootKey) -> Result<Self, BackupError> {
        let text = fs::read(path).map_err(BackupError::at(path))?;
        let text = String::from_utf8(text).unwrap_or_default();
        let parts = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
        let key = root.key_backups()?;
        let authentic = parts.filter(|(json, tag)| hex::decode(tag).is_some_and(|tag| key.verify(json.as_bytes(), &tag)));
        let read = authentic.and_then(|(json, _)| serde_json::from_str::<Self>(json).ok());
        read.filter(|backup| backup.format == FORMAT).ok_or_else(|| BackupError::KeyBackup(path.to_owned()))
    }

    /// The keyring of a vault, as it is wrapped and opened.
    pub(super) fn keyring(
        &self,
        path: &Path,
        vault: VaultName,
        root: &RootKey,
        environment: &str,
    ) -> Result<(WrappedKeyring, Keyring), BackupError> {
        let found = self.keyrings.iter().find(|wrapped| wrapped.vault() == vault.to_string());
        let wrapped = found.ok_or_else(|| BackupError::NoKeyring { path: path.to_owned(), vault })?;
        Ok((wrapped.clone(), root.open(wrapped, vault, environment)?))
    }
}
