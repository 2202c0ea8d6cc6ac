//! Which messages made handling fail inside, and how often.
//!
//! Always: a message is named by the SHA-256 of its body, so a copy in a fresh envelope is another message; innocents in
//! flight are never counted, because a panic is caught in the one task that carries the message. Deaths of the whole process
//! are counted by the daemon, on disk, and come in as suspicion.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// After so many failures a message is quarantined.
pub(super) const PATIENCE: u32 = 3;

/// The most messages remembered; beyond it the memory starts anew, which only gives further tries.
const REMEMBERED: usize = 10_000;

/// How a message is to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// As any other.
    Ordinary,
    /// It failed too often: its handler is not run again.
    Quarantined,
}

#[derive(Debug, Default)]
pub(super) struct Blame(Mutex<HashMap<[u8; 32], u32>>);

impl Blame {
    pub(super) fn care(&self, body: &[u8], suspicion: u32) -> Care {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The digest is only taken when somebody is blamed at all.
        let count = if counts.is_empty() { 0 } else { counts.get(&super::sha256(body)).copied().unwrap_or(0) };
        if count + suspicion >= PATIENCE { Care::Quarantined } else { Care::Ordinary }
    }

    pub(super) fn count(&self, digest: [u8; 32]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= REMEMBERED {
            counts.clear();
        }
        *counts.entry(digest).or_default() += 1;
    }

    pub(super) fn forget(&self, body: &[u8]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.is_empty() {
            counts.remove(&super::sha256(body));
        }
    }
}
