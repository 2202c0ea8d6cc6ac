//! Promise and commitment: what binds an entry to the reply that left, without showing it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{Context, SHA256};
use std::fmt;

/// Separates commitments from every other use of SHA-256 here.
const LABEL: &[u8] = b"nakatsugi/ledger/commitment/v1\0";

/// 32 random bytes that keep an entry from being guessed from its promise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

/// `S = SHA-256(salt ‖ entry)`: what the reply carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise(pub [u8; 32]);

/// `C = SHA-256(label ‖ D ‖ S)`: what the log hashes, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment(pub [u8; 32]);

/// An entry with its salt, as it will lie sealed beside the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The salt.
    pub salt: Salt,
    /// The entry's JSON.
    pub entry: Vec<u8>,
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({} bytes)", self.entry.len())
    }
}

impl fmt::Display for Promise {
    /// 43 characters of base64url, as in replies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Promise {
    /// The promise of an entry under a salt.
    #[must_use]
    pub fn of(sealing: &Sealing) -> Self {
        Self(sha256(&[&sealing.salt.0, &sealing.entry]))
    }
}

impl Commitment {
    /// The commitment to a reply whose claims without the promise have this SHA-256 digest.
    #[must_use]
    pub fn of(claims_digest: &[u8; 32], promise: &Promise) -> Self {
        Self(sha256(&[LABEL, claims_digest, &promise.0]))
    }
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
