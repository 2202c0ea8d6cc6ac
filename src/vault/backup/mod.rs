//! Backups: a sealed copy of a vault, taken while it serves; the keyrings, apart from it; and the way back.
//!
//! ```text
//! 142051.20261123T133400Z.backup = header, in the open: whose, when, salt ‖ "\n" ‖ sealed chunks (`keyring::ChunkKey`) of pieces
//! pieces = manifest at P ‖ rows of the store ‖ ledger up to P ‖ journal from P to Q ‖ end: counts, Q, the tree head at Q
//! nakatsugi.keys                 = every keyring, wrapped by the root key; tagged; only the newest is kept
//! ```
//!
//! A checkpoint makes P. The store is copied row by row while later checkpoints write into it, so that it may have any row up to
//! Q, as after a crash; what was journalled from P to Q, written over it, gives what was in effect at Q, no more and no less.
//!
//! Always: no file gets its name before it was read back whole; without the keyring, which is never in it, a copy shows its
//! header and its size. Back, a vault is opened and its tree compared with what was backed up before it takes its place, and one
//! that lives is never overwritten. Absent: where copies are kept, how many, and how long.

mod container;
mod error;
mod export;
mod keys;
mod piece;
mod restore;
mod take;

pub use container::Label;
pub use error::BackupError;
pub use export::{Export, ExportError, Exported, open_export};
pub use keys::{KEY_BACKUP, KeyBackup};
pub use restore::{Depth, Older, Restore, Restored};
pub use take::Backup;

/// Hears how far it is: bytes so far, of so many if that is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);
