//! The ids of the messages that are remembered, in memory: what is not here was never handled, and need not be searched for.
//!
//! ```text
//! print = the first 8 bytes of blind(author, id)
//! held when opening = the expiry index + messages applied since the last checkpoint
//! ```
//!
//! Always: every remembered message has its print here, so a repeat is always found; who has its print here and is not
//! remembered costs one look into the store. With too many in the process a vault does without, and looks into the store each
//! time. Absent: what is remembered of a message.

use super::{
    applied::{Applied, MessageRow},
    store::{Store, StoreError},
};
use crate::keyring::{Blind, Tree};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many prints all vaults of a process may hold together. Clones are the same.
#[derive(Clone)]
pub(super) struct Prints {
    most: usize,
    held: Arc<AtomicUsize>,
}

impl Prints {
    pub(super) fn up_to(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }
}

/// The prints of one vault. As made, it does without.
#[derive(Default)]
pub(super) struct Known(Option<Set>);

struct Set {
    /// A tree and no hash table: it grows without ever copying all at once, under the lock that everybody needs.
    prints: BTreeSet<u64>,
    /// Prints that came twice: of two messages, as far as anyone can tell, so forgetting one of them keeps the print.
    shared: BTreeSet<u64>,
    room: Prints,
}

impl Known {
    /// What a vault holds that has just been replayed.
    ///
    /// Every message that a checkpoint wrote stands in the expiry index, durable in the same cut, until it is forgotten.
    pub(super) fn held(store: &Store, applied: &Applied, room: &Prints) -> Result<Self, StoreError> {
        if room.most == 0 {
            return Ok(Self::default());
        }
        let (expiry, messages) = (Tree::Expiry.row(&[]), Tree::Message.row(&[]));
        let (gone, above) = (applied.rows.with_prefix(&expiry), applied.rows.with_prefix(&messages));
        let mut known = Self(Some(Set { prints: BTreeSet::new(), shared: BTreeSet::new(), room: room.clone() }));
        store.each(&expiry, |row, ids| {
            if !gone.contains_key(&row) {
                ids.as_chunks().0.iter().for_each(|id| known.remember(Blind(*id)));
            }
        })?;
        for (row, value) in above {
            if let (Some(message), Some(_)) = (MessageRow::of(&row), value) {
                known.remember(message);
            }
        }
        Ok(known)
    }

    /// A message is remembered from now on.
    pub(super) fn remember(&mut self, message: Blind) {
        let Some(set) = &mut self.0 else { return };
        if !set.prints.insert(print(message)) {
            set.shared.insert(print(message));
        } else if set.room.held.fetch_add(1, Ordering::Relaxed) >= set.room.most {
            // It is the first too many that counts it down again.
            self.0 = None;
        }
    }

    /// A message that was remembered is so no more.
    pub(super) fn forget(&mut self, message: Blind) {
        if let Some(set) = &mut self.0
            && !set.shared.contains(&print(message))
            && set.prints.remove(&print(message))
        {
            set.room.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether a message may be remembered; if not, it is certain that it is not.
    pub(super) fn may_hold(&self, message: Blind) -> bool {
        self.0.as_ref().is_none_or(|set| set.prints.contains(&print(message)))
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        self.room.held.fetch_sub(self.prints.len(), Ordering::Relaxed);
    }
}

/// Blind ids are the output of an HMAC, so any part of one is as good as another.
const fn print(Blind([a, b, c, d, e, f, g, h, ..]): Blind) -> u64 {
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blind(print: u8, rest: u8) -> Blind {
        let mut bytes = [rest; 16];
        bytes[..8].fill(print);
        Blind(bytes)
    }

    fn empty(room: &Prints) -> Known {
        Known(Some(Set { prints: BTreeSet::new(), shared: BTreeSet::new(), room: room.clone() }))
    }

    #[test]
    fn forgetting_one_of_two_messages_with_one_print_keeps_the_other() {
        let mut known = empty(&Prints::up_to(9));
        known.remember(blind(1, 1));
        known.remember(blind(1, 2));
        known.remember(blind(2, 1));
        known.forget(blind(1, 1));
        known.forget(blind(2, 1));
        assert!(known.may_hold(blind(1, 2)));
        assert!(!known.may_hold(blind(2, 1)));
    }

    #[test]
    fn a_vault_above_the_bound_does_without_and_leaves_room_for_others() {
        let room = Prints::up_to(3);
        let (mut one, mut other) = (empty(&room), empty(&room));
        (1..=3).for_each(|print| one.remember(blind(print, 0)));
        one.forget(blind(3, 0));
        other.remember(blind(4, 0));
        other.remember(blind(5, 0));
        assert!(other.may_hold(blind(9, 0)), "it does without");
        assert!(!one.may_hold(blind(9, 0)));
        one.remember(blind(6, 0));
        assert!(one.may_hold(blind(6, 0)) && !one.may_hold(blind(9, 0)), "there is room again");
        drop((one, other));
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn as_made_it_holds_whatever_is_asked_for() {
        let mut known = Known::default();
        known.remember(blind(1, 0));
        known.forget(blind(1, 0));
        assert!(known.may_hold(blind(1, 0)));
    }
}
