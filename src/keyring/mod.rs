//! The keys of a vault and what they do: sealing values, hiding names, authenticating the journal.
//!
//! ```text
//! root key → wraps a vault's keyring → one HKDF-SHA-256 label per purpose → a fresh key per sealed value
//! ```
//!
//! Always: every key has one purpose, each purpose one label (all of them in `labels.rs`); a sealed value opens in its own
//! vault, tree and row only. Salts and new keys come in as arguments. Absent: files, and where the root key lies.
//!
//! # Security
//! Raw keys are wiped when dropped. The key objects of *ring* are not: it offers no way. They live as short as they can:
//! for one value, except the index, journal and manifest keys, which live as long as the vault is open.

mod error;
mod index;
mod labels;
mod root;
mod seal;
mod stream;
mod vault;

pub use error::KeyringError;
pub use index::{Blind, IndexKey, RowKey, Tree};
pub use root::{RootKey, WrappedKeyring};
pub use seal::{Sealed, TAG_LEN};
pub use stream::{CHUNK_LEN, ChunkKey, Place};
pub use vault::{KeyVersion, Keyring, MacKey, Secrets};
