//! Closing a vault, and what a closed one has to do before anyone asks.
//!
//! Always: a vault that was closed in good order has nothing to replay.

use super::{
    carry,
    core::Core,
    event::VaultEvent,
    journal,
    manifest::{Manifest, Position},
    open::{JOURNAL, REBUILDING},
};
use crate::{calendar::Timestamp, relay::ports::VaultFault};
use std::{fs::File, io, path::Path, sync::Arc};

/// Closes a vault: marks and a checkpoint are written, then its files are let go.
pub(super) fn close(core: &Arc<Core>) -> Result<(), VaultFault> {
    core.serving()?;
    while core.marks() > 0 && core.stopped().is_none() {
        core.flush_marks();
        std::thread::yield_now();
    }
    core.checkpoint()?;
    core.anchor();
    core.outbox.withdraw(core.name);
    core.shut();
    (core.listen)(VaultEvent::Closed { vault: core.name });
    Ok(())
}

/// How a vault stands with its data key, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStanding {
    /// Since when the newest data key seals, as far as the last checkpoint knew.
    pub since: Option<Timestamp>,
    /// Whether a carry-over was begun and is not finished, or a key that was destroyed is not recorded.
    pub unfinished: bool,
}

/// How a vault stands with its data key; `None` if its manifest cannot be read. Nothing is decided by it but whether to open.
pub(super) fn key_standing(dir: &Path) -> Option<KeyStanding> {
    let manifest = Manifest::glance(dir)?;
    let carrying = carry::epochs(dir).ok()?.iter().any(|(epoch, _)| *epoch != manifest.epoch);
    let unfinished = carrying || dir.join(carry::UNRECORDED).exists();
    Some(KeyStanding { since: manifest.keys_since.map(Timestamp::from_millis), unfinished })
}

/// Whether a vault has something to do before anyone asks: frames behind its manifest, parcels to publish, or
/// a carry-over to finish.
pub(super) fn is_unfinished(dir: &Path) -> bool {
    let Some(manifest) = Manifest::glance(dir) else { return true };
    let position = manifest.position;
    let epochs = carry::epochs(dir).unwrap_or_default();
    // A carry-over that was begun, or one whose old store is still there.
    let carrying = epochs.iter().any(|(epoch, _)| *epoch != manifest.epoch);
    carrying || manifest.outstanding > 0 || dir.join(REBUILDING).exists() || goes_on(&dir.join(JOURNAL), &position).unwrap_or(true)
}

fn goes_on(journal: &Path, position: &Position) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    if journal::segment_path(journal, position.segment + 1).exists() {
        return Ok(true);
    }
    let mut next = [0; 64];
    let read = File::open(journal::segment_path(journal, position.segment))?.read_at(&mut next, position.offset)?;
    Ok(next.iter().take(read).any(|byte| *byte != 0))
}
