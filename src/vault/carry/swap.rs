//! Swapping: the new store is made of base and journal, follows the journal until it is near, and takes over with a checkpoint.
//!
//! Always: the old store serves until the manifest names the new epoch; from the checkpoint that names it on the new one does.
//! What is cut for that checkpoint is found in memory meanwhile. Whatever fails before leaves the old store as it was.

use super::{
    CarryError,
    base::{Base, Begin},
    copy::BATCH_ROWS,
    pace::Pace,
    remove_folder,
};
use crate::{
    calendar::Timestamp,
    relay::ports::StopCause,
    vault::{
        applied::{Applied, Cut},
        checkpoint::{CutError, Running, finish_cut, write_cut, write_rows},
        core::{Core, lock, read, write},
        event::CarryStep,
        manifest::Position,
        open::{JOURNAL, store_folder},
        replay::Shown,
        store::Store,
        walk::walk,
    },
};
use std::{collections::HashMap, io, sync::atomic::Ordering};

/// With this many frames left the new store is near enough to be finished while no checkpoint can begin.
const NEAR: u64 = 2_000;
/// It never comes near a vault that is written faster than it reads: then the committer waits for it.
const MOST_ROUNDS: usize = 16;

/// How far the new store follows the journal.
struct Following {
    ahead: Applied,
    position: Position,
}

/// What is in effect where an epoch begins, besides what its base holds.
fn ahead(begin: &Begin) -> Applied {
    Applied::new(&begin.position, begin.ledger.clone(), begin.links, Timestamp::from_millis(begin.floor), HashMap::new())
}

impl Core {
    /// Makes the new store from base and journal, and lets the manifest name it.
    pub(super) fn make_store(&self, base: &Base<'_>, begin: &Begin) -> Result<(), CarryError> {
        let folder = store_folder(&self.dir, begin.epoch);
        remove_folder(&folder)?;
        let store = Store::open(self.filter, &folder, self.tuning.cache_bytes)?;
        let mut following = Following { ahead: ahead(begin), position: begin.position };
        match self.fill(&store, &mut following, base) {
            Ok(()) => self.swap(store, following, base, begin),
            Err(error) => {
                Store::close(Some(store));
                Err(error)
            }
        }
    }

    /// Fills the new store, and follows the journal until it is near.
    fn fill(&self, store: &Store, following: &mut Following, base: &Base<'_>) -> Result<(), CarryError> {
        let mut pace = Pace::step(self, self.keyring.secrets().newest().0, CarryStep::Store, 0);
        fill(store, base, |rows| {
            pace.done(rows);
            self.serving().map_err(CarryError::Vault)
        })?;
        pace.tell();
        store.flush()?;
        for _ in 0..MOST_ROUNDS {
            let until = self.replayed_from().sequence;
            let left = until.saturating_sub(following.position.sequence);
            self.follow(store, following, until)?;
            store.flush()?;
            if left <= NEAR {
                break;
            }
        }
        Ok(())
    }

    /// Brings the new store up to this frame.
    fn follow(&self, store: &Store, following: &mut Following, until: u64) -> Result<(), CarryError> {
        let Following { ahead, position } = following;
        let write = |ahead: &mut Applied, position: &Position| -> Result<(), CarryError> {
            write_rows(store, &ahead.cut_in_replay(*position))?;
            ahead.settled();
            Ok(())
        };
        let journal = self.dir.join(JOURNAL);
        *position = walk(&journal, self.keyring.journal(), position, until, |group: Vec<Shown>, behind| {
            self.serving()?;
            for Shown { sequence, location, record } in group {
                ahead.apply(sequence, location, record);
            }
            if ahead.rows.len() >= self.tuning.checkpoint_rows { write(ahead, behind) } else { Ok(()) }
        })?;
        write(ahead, position)
    }

    /// Lets the next checkpoint go into the new store, whose manifest names the new epoch, and serves from it.
    fn swap(&self, store: Store, mut following: Following, base: &Base<'_>, begin: &Begin) -> Result<(), CarryError> {
        // Whoever would make a checkpoint waits, so both stores come to stand at the same place.
        self.next_checkpoint();
        let running = Running(self);
        let (cut, rows) = match self.cut_into(&store, &mut following, base, begin) {
            Ok(written) => written,
            Err(error) => {
                drop(running);
                Store::close(Some(store));
                return Err(error);
            }
        };
        self.enter(begin.epoch);
        self.begins.store(begin.position.segment, Ordering::Release);
        let old = {
            let mut place = write(&self.store);
            // If the vault has stopped, it is opened again with the new one.
            if place.is_some() { place.replace(store) } else { Some(store) }
        };
        // Until now what was cut was found in memory.
        self.settle(&cut, rows);
        drop(running);
        Store::close(old);
        Ok(())
    }

    fn cut_into(&self, store: &Store, following: &mut Following, base: &Base<'_>, begin: &Begin) -> Result<(Cut, u64), CarryError> {
        self.serving()?;
        self.follow(store, following, self.replayed_from().sequence)?;
        let sealed = sealed_in(base, begin)?;
        // As long as this is held, the vault does not let go of its files.
        let still = read(&self.store);
        self.serving()?;
        *write(&self.applied).seals.entry(begin.epoch).or_default() += sealed;
        let cut = self.cut();
        let mut ledger = lock(&self.ledger);
        let written = write_cut(store, &mut ledger, &cut).and_then(|rows| {
            finish_cut(&self.dir, self.keyring.manifest(), self.name, begin.epoch, store, &mut ledger, &cut).map(|()| rows)
        });
        drop((ledger, still));
        match written {
            Ok(rows) => Ok((cut, rows)),
            // As with any checkpoint: what was cut is in no store, only the journal has it.
            Err(CutError::Store(error)) => Err(self.stop(StopCause::Store, Some(error.detail())).into()),
            Err(CutError::Ledger(error)) => Err(self.io_fault(StopCause::Ledger, &error).into()),
            Err(CutError::Manifest(error)) => Err(self.io_fault(StopCause::Manifest, &error).into()),
        }
    }
}

/// How many values an epoch took over from the one before, all of them sealed again.
pub(in crate::vault) fn sealed_in(base: &Base<'_>, begin: &Begin) -> io::Result<u64> {
    Ok(base.whole()?.map_or(0, |whole| whole.sealed) + begin.ledger.size())
}

/// Writes all rows of a base into a store; shows how many there are so far.
pub(in crate::vault) fn fill(
    store: &Store,
    base: &Base<'_>,
    mut each: impl FnMut(u64) -> Result<(), CarryError>,
) -> Result<(), CarryError> {
    let whole = base.whole()?.ok_or(CarryError::BaseDamaged)?;
    let mut done = 0;
    for number in 0..whole.parts {
        for rows in base.part(number)?.chunks(BATCH_ROWS) {
            done += store.write(rows.iter().map(|(key, value)| (key, Some(value.as_slice()))))?;
            each(done)?;
        }
    }
    if done == whole.rows { Ok(()) } else { Err(CarryError::BaseDamaged) }
}
