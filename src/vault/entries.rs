//! The ledger of an open vault: its edge, and its entries wherever they lie.
//!
//! Always: entries are given sealed. Absent: the files, see [`super::ledger`].

use super::{
    core::{Core, lock, read},
    ledger::SealedEntry,
};
use crate::{
    ledger::Frontier,
    relay::ports::{StopCause, VaultFault},
};

impl Core {
    /// The ledger as far as it is durable.
    pub(super) fn ledger(&self) -> Frontier {
        read(&self.applied).ledger.clone()
    }

    /// Recomputes the ledger's edge from all that is in its files and behind them.
    pub(super) fn recompute_ledger(&self) -> Result<Frontier, VaultFault> {
        let mut frontier = Frontier::default();
        let recomputed = {
            let files = lock(&self.ledger);
            files.recompute(&mut frontier).map(|()| files.size())
        };
        let from_files = recomputed.map_err(|error| self.io_fault(StopCause::Ledger, &error))?;
        for index in from_files..self.ledger().size() {
            let (commitment, _) = self.sealed_entry(index)?.ok_or_else(|| self.stop(StopCause::Ledger, None))?;
            frontier.append(&commitment);
        }
        Ok(frontier)
    }

    pub(super) fn sealed_entry(&self, index: u64) -> Result<Option<SealedEntry>, VaultFault> {
        self.serving()?;
        // Memory first: a checkpoint moves entries from there to the files, never back.
        if let Some(entry) = read(&self.applied).entry(index) {
            return Ok(Some(entry));
        }
        let result = lock(&self.ledger).entry(index);
        result.map_err(|error| self.io_fault(StopCause::Ledger, &error))
    }
}
