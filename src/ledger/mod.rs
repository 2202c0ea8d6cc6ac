//! The ledger: what was done in a vault, committed to so that nobody can change it afterwards (証跡台帳).
//!
//! Always: what the log hashes is 32 bytes for ever, `C = SHA-256(label ‖ D ‖ S)`; `D` is the digest of the reply's claims
//! without the promise, `S = SHA-256(salt ‖ entry)`. The reply carries `S`, so its holder can compute `C` and ask for the
//! proof of inclusion while the entry stays closed (design §7). Tree heads are signed notes, under a key of the ledger's own.
//! Absent: files; tiles are written by the vault.

mod commitment;
mod entry;
mod error;
mod note;
mod tree;

pub use commitment::{Commitment, Promise, Salt, Sealing};
pub use entry::{CategoryOutcome, Cause, Declared, Deed, Deletion, Entry, LegalBasis, Operation, SignedDeletion, Stranger, Verdict};
pub use error::NoteError;
pub use note::{HeadKey, SignedHead, TreeHead, origin};
pub use tree::{Frontier, TreeHash, leaf_hash};
