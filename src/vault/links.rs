//! Which names lead to persons, in one sum: what tells a link that was lost from one that never was.
//!
//! ```text
//! sum = Σ HMAC[index key](link row), 16 bytes each, modulo 2^128
//! ```
//!
//! Always: each frame says how it changes the sum, the manifest says what it was; when a vault opens, the store must hold just
//! that. A link that is lost while the vault serves is noticed when it opens again. Absent: the names.

use super::{
    applied::Applied,
    codec::{Put, Take},
    core::Core,
    store::{Store, StoreError},
};
use crate::keyring::{Keyring, RowKey, Tree};
use serde::{Deserialize, Serialize};

/// Links, or a change of them; counting is modulo 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Links {
    count: u64,
    sum: [u8; 16],
}

impl Links {
    fn one(keyring: &Keyring, row: &RowKey) -> Self {
        Self { count: 1, sum: keyring.index().blind(Tree::Link, &[b"link", row.as_bytes()]).0 }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        let sum = u128::from_be_bytes(self.sum).wrapping_add(u128::from_be_bytes(other.sum));
        Self { count: self.count.wrapping_add(other.count), sum: sum.to_be_bytes() }
    }

    const fn minus(self, other: Self) -> Self {
        let sum = u128::from_be_bytes(self.sum).wrapping_sub(u128::from_be_bytes(other.sum));
        Self { count: self.count.wrapping_sub(other.count), sum: sum.to_be_bytes() }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.u64(self.count);
        out.extend_from_slice(&self.sum);
    }

    pub(super) fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(Self { count: from.u64()?, sum: from.array()? })
    }

    /// The links that a store holds, with what was applied since.
    pub(super) fn held(keyring: &Keyring, store: &Store, applied: &Applied) -> Result<Self, StoreError> {
        let prefix = Tree::Link.row(&[]);
        let above = applied.rows.with_prefix(&prefix);
        let mut links = Self::default();
        store.each(&prefix, |row, _| {
            if !above.contains_key(&row) {
                links = links.plus(Self::one(keyring, &row));
            }
        })?;
        let present = above.iter().filter(|(_, value)| value.is_some());
        Ok(present.fold(links, |links, (row, _)| links.plus(Self::one(keyring, row))))
    }
}

impl Core {
    /// How the links change when this row comes or goes.
    pub(super) fn link_change(&self, row: &RowKey, before: Presence, after: Presence) -> Links {
        match (before, after) {
            (Presence::There, Presence::There) | (Presence::Absent, Presence::Absent) => Links::default(),
            (Presence::Absent, Presence::There) => Links::one(&self.keyring, row),
            (Presence::There, Presence::Absent) => Links::default().minus(Links::one(&self.keyring, row)),
        }
    }
}

/// Whether a row is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Absent,
}
