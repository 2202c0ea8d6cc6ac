//! The rows since the last checkpoint, in memory.
//!
//! ```text
//! look-up: recent → settling → store
//! ```
//!
//! Always: what was applied is in `recent`; a checkpoint moves it aside as `settling`, which never changes, until the store
//! has it durably. Absent: the store itself.

use super::frame::RowChange;
use crate::keyring::RowKey;
use std::{collections::HashMap, sync::Arc};

/// Row changes by key; `None` where the row is gone.
pub(super) type RowMap = HashMap<RowKey, Option<Arc<[u8]>>>;

/// Both levels above the store.
#[derive(Default)]
pub(super) struct Rows {
    recent: RowMap,
    settling: Option<Arc<RowMap>>,
}

impl Rows {
    /// What is known here of a row: its value, that it is gone, or nothing.
    pub(super) fn find(&self, key: &RowKey) -> Option<Option<Arc<[u8]>>> {
        let settling = || self.settling.as_ref().and_then(|rows| rows.get(key));
        self.recent.get(key).or_else(settling).cloned()
    }

    pub(super) fn apply(&mut self, (key, value): RowChange) {
        self.recent.insert(key, value);
    }

    /// Takes back a row of which neither the store nor a checkpoint knows.
    pub(super) fn withdraw(&mut self, key: &RowKey) {
        self.recent.remove(key);
    }

    /// How many rows wait for the next checkpoint.
    pub(super) fn len(&self) -> usize {
        self.recent.len()
    }

    /// Moves the recent rows aside for a checkpoint.
    pub(super) fn settle(&mut self) -> Arc<RowMap> {
        let settling = Arc::new(std::mem::take(&mut self.recent));
        self.settling = Some(Arc::clone(&settling));
        settling
    }

    /// The store has them.
    pub(super) fn settled(&mut self) {
        self.settling = None;
    }

    /// Every change known here whose key begins with these bytes.
    pub(super) fn with_prefix(&self, prefix: &RowKey) -> RowMap {
        let begins = |(key, _): &(&RowKey, &Option<Arc<[u8]>>)| key.as_bytes().starts_with(prefix.as_bytes());
        let settling = self.settling.iter().flat_map(|rows| rows.iter());
        settling.chain(&self.recent).filter(begins).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
