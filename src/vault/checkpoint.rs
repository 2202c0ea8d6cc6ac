//! The checkpoint: what was applied goes into the store and the ledger's files, durably; then replay begins behind it.
//!
//! ```text
//! cut → rows into the store → sentinel → flush → ledger files → manifest → what was cut leaves memory
//! ```
//!
//! Always: a cut lies between two groups; the manifest moves last; cut short anywhere, replay does the rest. Messages enter the
//! expiry index here, in spans, so that forgetting them needs no search. Runs beside the committer, one at a time for each
//! vault.

use super::{
    applied::{Cut, MessageRow},
    core::{Core, lock, read, write},
    event::VaultEvent,
    ledger::LedgerFiles,
    limits::{EXPIRY_IDS, EXPIRY_SPAN},
    manifest::{self, Manifest, Position},
    rows::RowMap,
    store::{Sentinel, Store, StoreError},
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::{MacKey, RowKey, Tree},
    relay::ports::{StopCause, VaultFault},
};
use std::{collections::BTreeMap, io, path::Path, sync::Arc, thread};

/// What has gathered since the last checkpoint.
pub(super) struct Settling {
    /// A checkpoint runs.
    running: bool,
    /// Bytes of journal since the last cut.
    bytes: u64,
    /// The position of the last manifest; nothing is done twice for the same.
    last: Position,
}

impl Settling {
    /// Nothing has gathered since the manifest with this position, or it is not counted.
    pub(super) const fn since(last: Position) -> Self {
        Self { running: false, bytes: 0, last }
    }
}

/// What can go wrong while a cut is written.
pub(super) enum CutError {
    Store(StoreError),
    Ledger(io::Error),
    Manifest(io::Error),
}

impl Core {
    pub(super) fn count_towards_checkpoint(&self, bytes: u64) {
        lock(&self.settling).bytes += bytes;
    }

    /// Makes a checkpoint beside the committer if enough has gathered.
    pub(super) fn checkpoint_if_due(self: &Arc<Self>) {
        let rows = read(&self.applied).rows.len();
        let mut settling = lock(&self.settling);
        let due = settling.bytes >= self.tuning.checkpoint_bytes || rows >= self.tuning.checkpoint_rows;
        if due && !settling.running && self.stopped().is_none() {
            settling.running = true;
            drop(settling);
            let core = Arc::clone(self);
            // A thread of its own: committers on the runtime's blocking threads may be waiting for this.
            let started = thread::Builder::new().name("checkpoint".to_owned()).spawn(move || core.run_checkpoint());
            if let Err(error) = started {
                lock(&self.settling).running = false;
                self.stop(StopCause::Store, Some(error.to_string()));
            }
        }
    }

    /// Holds the committer back while a checkpoint is far behind.
    pub(super) fn wait_for_checkpoint(&self) {
        let mut settling = lock(&self.settling);
        while settling.running && settling.bytes >= 4 * self.tuning.checkpoint_bytes && self.stopped().is_none() {
            settling = self.settled.wait(settling).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Makes a checkpoint on this thread, after the one that runs.
    pub(super) fn checkpoint(&self) -> Result<(), VaultFault> {
        self.next_checkpoint();
        self.run_checkpoint()
    }

    /// Waits for the checkpoint that runs, and lets no other begin.
    pub(super) fn next_checkpoint(&self) {
        let mut settling = lock(&self.settling);
        while settling.running {
            settling = self.settled.wait(settling).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        settling.running = true;
    }

    fn run_checkpoint(&self) -> Result<(), VaultFault> {
        let _running = Running(self);
        self.serving()?;
        if !self.has_unsettled() {
            return Ok(());
        }
        let cut = self.cut();
        let written = match &*read(&self.store) {
            Some(store) => {
                let mut ledger = lock(&self.ledger);
                write_cut(store, &mut ledger, &cut).and_then(|rows| {
                    finish_cut(&self.dir, self.keyring.manifest(), self.name, self.epoch(), store, &mut ledger, &cut).map(|()| rows)
                })
            }
            None => return Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store))),
        };
        let rows = match written {
            Ok(rows) => rows,
            Err(CutError::Store(error)) => return Err(self.store_fault(&error)),
            Err(CutError::Ledger(error)) => return Err(self.io_fault(StopCause::Ledger, &error)),
            Err(CutError::Manifest(error)) => return Err(self.io_fault(StopCause::Manifest, &error)),
        };
        self.settle(&cut, rows);
        Ok(())
    }

    /// Moves what was applied up to here aside.
    pub(super) fn cut(&self) -> Cut {
        let journal = lock(&self.journal);
        lock(&self.settling).bytes = 0;
        let mut cut = write(&self.applied).cut(*journal.position());
        // Published, but the journal does not know it yet.
        cut.outstanding += self.marks() as u64;
        cut
    }

    /// What was cut is durable, and can be found in the store.
    pub(super) fn settle(&self, cut: &Cut, rows: u64) {
        write(&self.applied).settled();
        lock(&self.settling).last = cut.position;
        let (entries, sequence) = (cut.ledger.size(), cut.position.sequence);
        (self.listen)(VaultEvent::Checkpointed { vault: self.name, rows, entries, sequence });
    }

    /// Whether the journal holds frames behind the manifest.
    pub(super) fn has_unsettled(&self) -> bool {
        let position = *lock(&self.journal).position();
        lock(&self.settling).last != position
    }

    /// The position of the last manifest, which is durable: replay never begins before it, unless all is rebuilt.
    pub(super) fn replayed_from(&self) -> Position {
        lock(&self.settling).last
    }
}

/// While a checkpoint runs; lets the next one begin, whatever happened.
pub(super) struct Running<'a>(pub(super) &'a Core);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(StopCause::Store, Some("the checkpoint failed".to_owned()));
        }
        lock(&self.0.settling).running = false;
        self.0.settled.notify_all();
    }
}

/// Writes a cut's rows and entries; not yet durable in the store.
pub(super) fn write_cut(store: &Store, ledger: &mut LedgerFiles, cut: &Cut) -> Result<u64, CutError> {
    let written = write_rows(store, cut).map_err(CutError::Store)?;
    ledger.append(&cut.entries).map_err(CutError::Ledger)?;
    Ok(written)
}

/// Writes a cut's rows; not yet durable in the store.
pub(super) fn write_rows(store: &Store, cut: &Cut) -> Result<u64, StoreError> {
    let expiry = expiry_rows(&cut.rows, cut.position.sequence);
    // In the order of their keys: sled is quicker that way, and rows of one person come together.
    let sorted: BTreeMap<&RowKey, Option<&[u8]>> = cut.rows.iter().map(|(key, value)| (key, value.as_deref())).collect();
    store.write(sorted.into_iter().chain(expiry.iter().map(|(key, value)| (key, Some(value.as_slice())))))
}

/// Makes a written cut durable and lets replay begin behind it.
pub(super) fn finish_cut(
    dir: &Path,
    key: &MacKey,
    vault: VaultName,
    epoch: u32,
    store: &Store,
    ledger: &mut LedgerFiles,
    cut: &Cut,
) -> Result<(), CutError> {
    store.seal_up_to(Sentinel::of(&cut.position), key).map_err(CutError::Store)?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        vault: vault.to_string(),
        epoch,
        position: cut.position,
        ledger: cut.ledger.clone(),
        links: cut.links,
        outstanding: cut.outstanding,
        floor: cut.floor.millis(),
        seals: cut.seals.clone(),
        keys_since: cut.keys_since.map(Timestamp::millis),
    };
    manifest.write(dir, key).map_err(CutError::Manifest)?;
    ledger.tidy().map_err(CutError::Ledger)
}

/// Which messages of a cut may be forgotten when: `span(8) ‖ sequence of the cut(8) ‖ number(4)` → their blind ids.
fn expiry_rows(rows: &RowMap, sequence: u64) -> Vec<(RowKey, Vec<u8>)> {
    let mut spans: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
    for (key, value) in rows {
        if let (Some(Tree::Message), Some(value), Some(blind)) = (key.tree(), value, key.as_bytes().get(1..))
            && let Some(message) = MessageRow::decode(value)
        {
            spans.entry(span(message.expires.seconds())).or_default().push(blind);
        }
    }
    let chunks = spans.iter().flat_map(|(span, ids)| (0_u32..).zip(ids.chunks(EXPIRY_IDS)).map(move |(number, ids)| (span, number, ids)));
    chunks
        .map(|(span, number, ids)| {
            let key = Tree::Expiry.row(&[&span.to_be_bytes(), &sequence.to_be_bytes(), &number.to_be_bytes()]);
            (key, ids.concat())
        })
        .collect()
}

/// The span that a time in seconds lies in; all before 1970 are one.
pub(super) fn span(seconds: i64) -> u64 {
    u64::try_from(seconds / EXPIRY_SPAN).unwrap_or(0)
}
