//! Row keys: which tree a row lies in and, blind, what it is about.
//!
//! Always: a row key begins with its tree; whatever could name somebody stands in it only as an HMAC under the vault's index
//! key, separated by tree. `blind = HMAC-SHA-256[index key](tree ‖ (length ‖ part)…)`, the first 16 bytes.

use ring::hmac;
use std::{borrow::Borrow, fmt};

/// The kinds of rows. The byte is the first of the row's key, and part of what a sealed value is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// From a person's name to its id.
    Link,
    /// A person's head and holdings, side by side.
    Person,
    /// What is remembered of a message.
    Message,
    /// Which messages may be forgotten when.
    Expiry,
    /// Parcels that were not yet published.
    Outbox,
    /// Entries of the ledger; they lie beside the log, not in the store.
    Entry,
    /// How far the store is.
    Sentinel,
}

impl Tree {
    const ALL: [Self; 7] = [Self::Link, Self::Person, Self::Message, Self::Expiry, Self::Outbox, Self::Entry, Self::Sentinel];

    /// The tree as a byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Link => 1,
            Self::Person => 2,
            Self::Message => 3,
            Self::Expiry => 4,
            Self::Outbox => 5,
            Self::Entry => 6,
            Self::Sentinel => 7,
        }
    }

    /// The row of this tree with the given parts, which are of fixed lengths in each kind of row.
    #[must_use]
    pub fn row(self, parts: &[&[u8]]) -> RowKey {
        let mut key = vec![self.byte()];
        for part in parts {
            key.extend_from_slice(part);
        }
        RowKey(key.into())
    }
}

/// The key of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Box<[u8]>);

impl RowKey {
    /// A row key as it was stored; `None` if its tree is not known.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let tree = bytes.first()?;
        Tree::ALL.iter().any(|known| known.byte() == *tree).then(|| Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The tree it lies in.
    #[must_use]
    pub fn tree(&self) -> Option<Tree> {
        Tree::ALL.into_iter().find(|tree| self.0.first() == Some(&tree.byte()))
    }
}

impl Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey({:?}, {} bytes)", self.tree(), self.0.len())
    }
}

/// What stands in a row key in the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blind(pub [u8; 16]);

/// Hides names in row keys. It does not rotate: the rows would have to move.
pub struct IndexKey(pub(super) hmac::Key);

impl IndexKey {
    /// The blind index of these parts in this tree.
    #[must_use]
    pub fn blind(&self, tree: Tree, parts: &[&[u8]]) -> Blind {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[tree.byte()]);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut blind = [0; 16];
        for (to, from) in blind.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        Blind(blind)
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(secret)")
    }
}
