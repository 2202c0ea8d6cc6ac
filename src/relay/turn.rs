//! Turns: messages about a common subject follow one another, all others run side by side.
//!
//! Always: a turn holds all its subjects, taken in one global order, so that no two turns wait for each other; a turn ends
//! when it is dropped, whatever happened to its message. The message itself is a subject, so that two messages with one id
//! never pass the memory of ids together, however different their bodies.

use crate::{
    identifier::{PersonName, VaultName},
    record::PersonId,
    relay::ports::{MessageKey, Vault, VaultFault},
    tenant::TenantScope,
};
use futures_channel::oneshot;
use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What turns are taken about. The order of the variants is the order in which they are taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Subject {
    Message(String, [u8; 16]),
    Name(PersonName),
    Person(PersonId),
}

type Key = (VaultName, Subject);
type Waiters = VecDeque<oneshot::Sender<Held>>;

/// Who holds what, and who waits for it. One per relay.
#[derive(Debug, Default, Clone)]
pub(super) struct Turns {
    held: Arc<Mutex<HashMap<Key, Waiters>>>,
}

/// One subject, held until dropped.
#[derive(Debug)]
struct Held {
    turns: Turns,
    key: Option<Key>,
}

/// The right to read and change what a message is about. Ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // Dropped in reverse is not needed: no order of release can block anyone.
    _held: Vec<Held>,
}

impl Turns {
    /// Waits until nobody else holds the message's id, the names, or the persons they lead to.
    ///
    /// Names come first: whoever changes where a name leads holds the name, so once the names are held the persons behind
    /// them stay the same.
    ///
    /// # Errors
    /// [`VaultFault`] if a name cannot be looked up.
    ///
    /// # Cancel safety
    /// A dropped wait gives back what it held and its places in the queues.
    pub(super) async fn take<V: Vault>(
        &self,
        scope: &TenantScope<V>,
        message: &MessageKey,
        names: &BTreeSet<PersonName>,
    ) -> Result<Turn, VaultFault> {
        let mut held = Vec::with_capacity(1 + 2 * names.len());
        held.push(self.hold((scope.name(), Subject::Message(message.author.as_str().into(), *message.id.as_bytes()))).await);
        for name in names {
            held.push(self.hold((scope.name(), Subject::Name(name.clone()))).await);
        }
        let persons = names.iter().filter_map(|name| scope.vault().person(name).transpose()).collect::<Result<BTreeSet<_>, _>>()?;
        for person in persons {
            held.push(self.hold((scope.name(), Subject::Person(person))).await);
        }
        Ok(Turn { _held: held })
    }

    async fn hold(&self, key: Key) -> Held {
        let waiting = match self.lock().entry(key.clone()) {
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                None
            }
            Entry::Occupied(mut queue) => {
                let (sender, receiver) = oneshot::channel();
                queue.get_mut().push_back(sender);
                Some(receiver)
            }
        };
        match waiting {
            // A sender is only dropped with the whole table: then nobody holds anything.
            Some(receiver) => receiver.await.unwrap_or_else(|_| Held { turns: self.clone(), key: None }),
            None => Held { turns: self.clone(), key: Some(key) },
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiters>> {
        // The table is consistent between any two statements that hold it: a panic elsewhere cannot tear it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    /// Hands the subject to the next who still waits.
    fn drop(&mut self) {
        let Some(mut key) = self.key.take() else { return };
        loop {
            let next = match self.turns.lock().entry(key.clone()) {
                Entry::Vacant(_) => return,
                Entry::Occupied(mut queue) => match queue.get_mut().pop_front() {
                    Some(next) => next,
                    None => {
                        queue.remove();
                        return;
                    }
                },
            };
            match next.send(Held { turns: self.turns.clone(), key: Some(key) }) {
                Ok(()) => return,
                // The waiter is gone: take the key back without dropping it into this very function.
                Err(mut unclaimed) => match mem::take(&mut unclaimed.key) {
                    Some(returned) => key = returned,
                    None => return,
                },
            }
        }
    }
}
