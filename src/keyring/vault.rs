//! A vault's keyring, opened: data keys by version, and the keys that do not rotate.
//!
//! Always: new values are sealed under the newest data key; values under older ones open as long as the keyring holds them.
//! Data keys come and go while the keyring is in use: what is to be wrapped is made first, and taken up once it lies on disk.

use super::{
    ChunkKey, IndexKey, KeyringError, RowKey, Sealed, labels,
    seal::{self, Length},
};
use crate::{
    identifier::VaultName,
    ledger::{HeadKey, origin},
    wiped::Wiped,
};
use ring::{
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};
use zeroize::Zeroizing;

/// The version of a data key; with each carry-over a new one (the vault's epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyVersion(pub u32);

/// What a keyring is made of, raw: what the root key wraps.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// From which the index, journal and manifest keys are derived; never changes.
    pub(super) fixed: Zeroizing<[u8; 32]>,
    /// Data keys by version; at least one.
    pub(super) data: BTreeMap<KeyVersion, Zeroizing<[u8; 32]>>,
}

impl Secrets {
    /// The secrets of a new vault, from 64 fresh random bytes.
    #[must_use]
    pub fn new(fixed: [u8; 32], first: [u8; 32]) -> Self {
        Self { fixed: Zeroizing::new(fixed), data: BTreeMap::from([(KeyVersion(1), Zeroizing::new(first))]) }
    }

    /// A key that does not rotate, for the purpose of this label.
    fn derive(&self, label: &'static [u8]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let derived = Salt::new(HKDF_SHA256, &[]).extract(self.fixed.as_ref());
        derived.expand(&[label], Length(bytes.len())).and_then(|okm| okm.fill(bytes.as_mut())).map_err(|_| KeyringError::Seal)?;
        Ok(bytes)
    }

    /// These and one data key more, the newest, from 32 fresh random bytes.
    #[must_use]
    pub fn with_newer(&self, key: [u8; 32]) -> Self {
        let mut secrets = self.clone();
        secrets.data.insert(KeyVersion(self.newest().0.saturating_add(1)), Zeroizing::new(key));
        secrets
    }

    /// These without any data key but the newest.
    #[must_use]
    pub fn newest_only(&self) -> Self {
        let mut secrets = self.clone();
        secrets.data.retain(|version, _| *version == self.newest());
        secrets
    }

    /// The version of the newest data key.
    #[must_use]
    pub fn newest(&self) -> KeyVersion {
        // There is always one.
        self.data.last_key_value().map_or(KeyVersion(0), |(version, _)| *version)
    }

    /// The versions of all data keys, oldest first.
    #[must_use]
    pub fn versions(&self) -> Vec<KeyVersion> {
        self.data.keys().copied().collect()
    }

    /// The secrets as they are wrapped: `fixed(32) ‖ (version(4) ‖ key(32))…`.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(32 + 36 * self.data.len()));
        bytes.extend_from_slice(self.fixed.as_ref());
        for (version, key) in &self.data {
            bytes.extend_from_slice(&version.0.to_be_bytes());
            bytes.extend_from_slice(key.as_ref());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fixed, mut rest) = bytes.split_first_chunk::<32>()?;
        let mut data = BTreeMap::new();
        while !rest.is_empty() {
            let (version, after) = rest.split_first_chunk::<4>()?;
            let (key, after) = after.split_first_chunk::<32>()?;
            data.insert(KeyVersion(u32::from_be_bytes(*version)), Zeroizing::new(*key));
            rest = after;
        }
        (!data.is_empty()).then(|| Self { fixed: Zeroizing::new(*fixed), data })
    }
}

impl Secrets {
    fn newest_key(&self) -> Result<(KeyVersion, Zeroizing<[u8; 32]>), KeyringError> {
        self.data.last_key_value().map(|(version, key)| (*version, key.clone())).ok_or(KeyringError::KeyVersion)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} data keys)", self.data.len())
    }
}

/// A key for tags: `HMAC-SHA-256`.
pub struct MacKey(pub(super) hmac::Key);

impl MacKey {
    /// The tag of these parts, one after the other.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Whether this is the tag of these bytes; takes as long for a wrong one.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, bytes, tag).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(secret)")
    }
}

/// An opened keyring.
pub struct Keyring {
    vault: String,
    secrets: RwLock<Secrets>,
    index: IndexKey,
    journal: MacKey,
    manifest: MacKey,
}

impl Keyring {
    /// The keyring of a vault from its secrets.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if a key could not be derived, which does not happen.
    pub fn new(vault: VaultName, secrets: Secrets) -> Result<Self, KeyringError> {
        let key = |label| secrets.derive(label).map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref()));
        let (index, journal, manifest) = (key(labels::INDEX)?, key(labels::JOURNAL)?, key(labels::MANIFEST)?);
        Ok(Self {
            vault: vault.to_string(),
            secrets: RwLock::new(secrets),
            index: IndexKey(index),
            journal: MacKey(journal),
            manifest: MacKey(manifest),
        })
    }

    /// What the root key wraps.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.held().clone()
    }

    /// Takes up other data keys, once they lie wrapped on disk.
    pub fn take_up(&self, secrets: &Secrets) {
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).data.clone_from(&secrets.data);
    }

    fn held(&self) -> RwLockReadGuard<'_, Secrets> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vault's folder name, which everything here is bound to.
    #[must_use]
    pub fn vault(&self) -> &str {
        &self.vault
    }

    /// Hides names in row keys.
    #[must_use]
    pub const fn index(&self) -> &IndexKey {
        &self.index
    }

    /// Authenticates the journal's groups and segments.
    #[must_use]
    pub const fn journal(&self) -> &MacKey {
        &self.journal
    }

    /// Authenticates the manifest, and the sentinel of the store.
    #[must_use]
    pub const fn manifest(&self) -> &MacKey {
        &self.manifest
    }

    /// Signs the ledger's tree heads, in this environment.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the key could not be derived, which does not happen.
    pub fn heads(&self, environment: &str) -> Result<HeadKey, KeyringError> {
        let seed = self.held().derive(labels::LEDGER)?;
        HeadKey::from_seed(origin(environment, &self.vault), &seed).map_err(|_| KeyringError::Seal)
    }

    /// Seals a backup of this vault. The salt is 32 fresh random bytes; the header is bound to it and lies open.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the key could not be derived, which does not happen.
    pub fn backup(&self, salt: &[u8; 32], header: &[u8]) -> Result<ChunkKey, KeyringError> {
        ChunkKey::derive(&self.held().fixed, labels::BACKUP, salt, header)
    }

    /// Seals a value for one row, under the newest data key. The salt is 32 fresh random bytes.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the library refuses, which does not happen with values below 64 GiB.
    pub fn seal(&self, row: &RowKey, salt: &[u8; 32], value: &[u8]) -> Result<Sealed, KeyringError> {
        let (version, key) = self.held().newest_key()?;
        seal::seal(&key, version.0, &self.vault, row, salt, value)
    }

    /// Opens the value of one row.
    ///
    /// # Errors
    /// [`KeyringError::Value`] if it is not what was sealed for this row of this vault; [`KeyringError::Format`] or
    /// [`KeyringError::KeyVersion`] if it names a suite or key that is not known here.
    pub fn open(&self, row: &RowKey, sealed: &[u8]) -> Result<Wiped, KeyringError> {
        let parts = seal::parts(sealed)?;
        let key = self.held().data.get(&KeyVersion(parts.0)).cloned().ok_or(KeyringError::KeyVersion)?;
        seal::open(&key, &self.vault, row, parts)
    }

    /// Seals the value of one row again, under the newest data key and with the salt it has; `None` if it is so already.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::seal`].
    pub fn seal_again(&self, row: &RowKey, sealed: &[u8]) -> Result<Option<Sealed>, KeyringError> {
        let (version, salt, _) = seal::parts(sealed)?;
        if KeyVersion(version) == self.held().newest() {
            return Ok(None);
        }
        self.seal(row, salt, &self.open(row, sealed)?).map(Some)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({}, {:?})", self.vault, *self.held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Tree;
    use proptest::prelude::*;

    fn keyring(vault: &str, seed: u8) -> Keyring {
        Keyring::new(VaultName::Tenant(vault.parse().unwrap()), Secrets::new([seed; 32], [seed ^ 0xff; 32])).unwrap()
    }

    #[test]
    fn the_format_is_what_node_js_computes_from_the_description() {
        let keyring = keyring("142051", 1);
        let row = Tree::Person.row(&[&[2; 16]]);
        let sealed = keyring.seal(&row, &[3; 32], b"value").unwrap();
        let hex: String = sealed.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "01",
                "00000001",
                "0303030303030303030303030303030303030303030303030303030303030303",
                "1b1c3a90550d938deb11d2dc0306904ae174a947aa"
            )
        );
        let hex: String = keyring.index().blind(Tree::Link, &[&[0], b"x"]).0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "f8a79693d733dcd908f71c74a74c508e");
        let hex: String = keyring.journal().tag(&[b"a", b"b"]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "33e816b0b1e311543efdd99a94f087e39dee96e36951d17cc6dc57ef9a4448fb");
    }

    #[test]
    fn an_unknown_suite_or_key_version_is_named_as_such() {
        let keyring = keyring("142051", 1);
        let row = Tree::Link.row(&[&[0; 16]]);
        let mut sealed = keyring.seal(&row, &[0; 32], b"value").unwrap().into_bytes();
        sealed[4] = 2;
        assert_eq!(keyring.open(&row, &sealed), Err(KeyringError::KeyVersion));
        sealed[0] = 2;
        assert_eq!(keyring.open(&row, &sealed), Err(KeyringError::Format));
        assert_eq!(keyring.open(&row, &[]), Err(KeyringError::Format));
    }

    #[test]
    fn a_value_that_is_sealed_again_keeps_its_tag_and_opens_without_the_old_key() {
        let keyring = keyring("142051", 1);
        let row = Tree::Person.row(&[&[2; 16]]);
        let old = keyring.seal(&row, &[3; 32], b"value").unwrap().into_bytes();
        assert_eq!(keyring.seal_again(&row, &old), Ok(None));
        keyring.take_up(&keyring.secrets().with_newer([9; 32]));
        let new = keyring.seal_again(&row, &old).unwrap().unwrap().into_bytes();
        assert_eq!((Sealed::version(&old), Sealed::version(&new)), (Some(KeyVersion(1)), Some(KeyVersion(2))));
        assert_eq!((Sealed::tag(&new), new.len()), (Sealed::tag(&old), old.len()));
        assert_eq!(keyring.open(&row, &old).unwrap().as_slice(), b"value");
        keyring.take_up(&keyring.secrets().newest_only());
        assert_eq!(keyring.open(&row, &old), Err(KeyringError::KeyVersion));
        assert_eq!(keyring.open(&row, &new).unwrap().as_slice(), b"value");
        let mut mixed = new.clone();
        mixed[37..].copy_from_slice(&old[37..]);
        assert_eq!(keyring.open(&row, &mixed), Err(KeyringError::Value));
    }

    #[test]
    fn another_salt_opens_nothing() {
        let keyring = keyring("142051", 1);
        let row = Tree::Person.row(&[&[2; 16]]);
        let (one, other) = ([3; 32], [4; 32]);
        let mut older = keyring.seal(&row, &one, b"older").unwrap().into_bytes();
        assert_ne!(Sealed::tag(&older), Sealed::tag(keyring.seal(&row, &other, b"newer").unwrap().as_bytes()));
        older[5..37].copy_from_slice(&other);
        assert_eq!(keyring.open(&row, &older), Err(KeyringError::Value));
    }

    #[test]
    fn parts_of_a_name_cannot_flow_into_each_other() {
        let keyring = keyring("142051", 1);
        let blind = |tree, parts: &[&[u8]]| keyring.index().blind(tree, parts);
        assert_ne!(blind(Tree::Link, &[b"ab", b"c"]), blind(Tree::Link, &[b"a", b"bc"]));
        assert_ne!(blind(Tree::Link, &[b"ab"]), blind(Tree::Message, &[b"ab"]));
    }

    #[test]
    fn nothing_secret_shows_in_debug_output() {
        let keyring = keyring("142051", 1);
        let text = format!("{keyring:?} {:?} {:?}", keyring.index(), keyring.journal());
        assert_eq!(text, "Keyring(142051, Secrets(1 data keys)) IndexKey(secret) MacKey(secret)");
    }

    proptest! {
        #[test]
        fn a_sealed_value_opens_where_it_was_sealed_and_nowhere_else(
            value in prop::collection::vec(any::<u8>(), 0..200),
            salt in any::<[u8; 32]>(),
            part in any::<[u8; 16]>(),
            flip in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let (here, elsewhere, other_keys) = (keyring("142051", 1), keyring("141003", 1), keyring("142051", 2));
            let row = Tree::Person.row(&[&part]);
            let sealed = here.seal(&row, &salt, &value).unwrap().into_bytes();
            let opened = here.open(&row, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
            prop_assert_eq!(elsewhere.open(&row, &sealed), Err(KeyringError::Value));
            prop_assert_eq!(other_keys.open(&row, &sealed), Err(KeyringError::Value));
            prop_assert_eq!(here.open(&Tree::Link.row(&[&part]), &sealed), Err(KeyringError::Value));
            prop_assert_eq!(here.open(&Tree::Person.row(&[&part, &[0]]), &sealed), Err(KeyringError::Value));
            let mut changed = sealed;
            let at = flip.index(changed.len());
            changed[at] ^= 1 << bit;
            prop_assert!(here.open(&row, &changed).is_err());
        }
    }
}
