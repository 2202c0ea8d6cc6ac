//! Every purpose a key is derived for, and nothing else.
//!
//! Always: no label is a prefix of another, and none is ever used for a second purpose.

/// Wraps a keyring under the root key: `HKDF(salt, root key, WRAP ‖ 0 ‖ environment)`.
pub(super) const WRAP: &[u8] = b"nakatsugi/keyring/wrap/v1";
/// Seals one value: `HKDF(salt, data key, SEAL)`.
pub(super) const SEAL: &[u8] = b"nakatsugi/keyring/seal/v1";
/// Blind indexes: `HKDF(∅, fixed key, INDEX)`.
pub(super) const INDEX: &[u8] = b"nakatsugi/keyring/index/v1";
/// Tags of journal groups and segments: `HKDF(∅, fixed key, JOURNAL)`.
pub(super) const JOURNAL: &[u8] = b"nakatsugi/keyring/journal/v1";
/// Tags of the manifest, and of the store's sentinel, which begins with other bytes: `HKDF(∅, fixed key, MANIFEST)`.
pub(super) const MANIFEST: &[u8] = b"nakatsugi/keyring/manifest/v1";
/// The seed of the key that signs tree heads: `HKDF(∅, fixed key, LEDGER)`.
pub(super) const LEDGER: &[u8] = b"nakatsugi/keyring/ledger/v1";
/// Seals a backup of a vault: `HKDF(salt, fixed key, BACKUP)`.
pub(super) const BACKUP: &[u8] = b"nakatsugi/keyring/backup/v1";
/// The tag of a key backup: `HKDF(∅, root key, KEYS)`.
pub(super) const KEYS: &[u8] = b"nakatsugi/keyring/key-backup/v1";
/// Seals an export to a municipal system: `HKDF(∅, file key, EXPORT)`.
pub(super) const EXPORT: &[u8] = b"nakatsugi/keyring/export/v1";
