//! Copying: what lives is sealed again, row by row into the base, and entry by entry beside the ledger's log.
//!
//! Always: whatever is copied keeps its salt, so the heads' tags still name it; what is sealed under the newest key already is
//! copied as it is. A row that does not open stops the vault: its store is made again from what the journal says.

use super::{
    CarryError,
    base::{Base, Writer},
    pace::Pace,
};
use crate::{
    keyring::{Keyring, KeyringError, RowKey, Sealed, Tree},
    relay::ports::{StopCause, VaultFault},
    vault::{
        applied::MessageRow,
        core::{Core, lock, read},
        event::CarryStep,
    },
};
use sled::IVec;
use std::{borrow::Cow, io};

/// How many rows, and about how many bytes, are read at once.
pub(super) const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;
impl Core {
    /// Looks whether everything is there that links and heads name: once the epoch has begun, what the store had lost before
    /// could not be made again from the journal.
    pub(super) fn check_whole(&self, epoch: u32) -> Result<(), CarryError> {
        let links = Tree::Link.row(&[]);
        let (mut last, mut done) = (links.clone(), 0);
        let mut pace = Pace::step(self, epoch, CarryStep::Check, 0);
        loop {
            self.serving()?;
            let rows = self.rows_after(Some(&last))?;
            let mut links = rows.into_iter().map(|(row, _)| row).take_while(|row| row.tree() == Some(Tree::Link)).peekable();
            if links.peek().is_none() {
                pace.tell();
                return Ok(());
            }
            for row in links {
                if !self.leads_to_a_whole_person(&row)? {
                    return Err(self.damaged().into());
                }
                done += 1;
                last = row;
            }
            pace.done(done);
        }
    }

    /// The next rows of the old store.
    fn rows_after(&self, last: Option<&RowKey>) -> Result<Vec<(RowKey, IVec)>, CarryError> {
        let rows = match &*read(&self.store) {
            Some(store) => store.rows_after(last, BATCH_ROWS, BATCH_BYTES),
            None => return Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store)).into()),
        };
        Ok(rows.map_err(|error| self.store_fault(&error))?)
    }

    /// Writes what the old store holds into the base, sealed again.
    pub(super) fn write_base(&self, base: &Base<'_>) -> Result<(), CarryError> {
        if base.whole()?.is_some() {
            return Ok(());
        }
        let mut writer = Writer::resume(base)?;
        let mut pace = Pace::step(self, self.keyring.secrets().newest().0, CarryStep::Copy, writer.rows());
        loop {
            self.serving()?;
            let rows = self.rows_after(writer.last())?;
            if rows.is_empty() {
                break;
            }
            for (key, value) in rows {
                match carried(&self.keyring, &key, &value).map_err(|_| self.damaged())? {
                    Some(value) => writer.push(key, &value)?,
                    None => writer.pass(key),
                }
            }
            pace.done(writer.rows());
        }
        pace.tell();
        Ok(writer.finish()?)
    }

    /// Seals the ledger's entries again, beside the same leaves.
    pub(super) fn seal_entries_again(&self, epoch: u32) -> Result<(), CarryError> {
        let mut sealed = 0;
        let mut pace = Pace::step(self, epoch, CarryStep::Entries, 0);
        for tile in 0.. {
            self.serving()?;
            let files = lock(&self.ledger);
            let again = files.seal_again(tile, |commitment, entry| {
                let row = Tree::Entry.row(&[&commitment.0]);
                let again = self.keyring.seal_again(&row, entry).ok()?;
                sealed += u64::from(again.is_some());
                Some(again.map(Sealed::into_bytes))
            });
            drop(files);
            match again {
                Ok(Some(_)) => pace.done(sealed),
                Ok(None) => break,
                // Without its entry a promise could not be kept: the vault does not go on with a key that nobody could destroy.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.io_fault(StopCause::Ledger, &error).into()),
                Err(error) => return Err(error.into()),
            }
        }
        pace.tell();
        Ok(())
    }
}

/// A row as it stands in the new epoch; `None` if it has no place there.
fn carried<'v>(keyring: &Keyring, key: &RowKey, value: &'v [u8]) -> Result<Option<Cow<'v, [u8]>>, KeyringError> {
    let again = |sealed| keyring.seal_again(key, sealed).map(|again| again.map(Sealed::into_bytes));
    let whole = |again: Option<Vec<u8>>| Some(again.map_or(Cow::Borrowed(value), Cow::Owned));
    match key.tree() {
        Some(Tree::Link | Tree::Person) => Ok(whole(again(value)?)),
        Some(Tree::Message) => {
            let (before, memory) = MessageRow::split(value).ok_or(KeyringError::Format)?;
            Ok(whole(again(memory)?.map(|memory| [before, &memory].concat())))
        }
        Some(Tree::Expiry | Tree::Outbox) => Ok(Some(Cow::Borrowed(value))),
        // The one lies beside the log, the other is written with each checkpoint.
        Some(Tree::Entry | Tree::Sentinel) | None => Ok(None),
    }
}
