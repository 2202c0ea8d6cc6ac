//! Envelopes: a nested JWT (RFC 7519 §5.2), a compact JWE (RFC 7516) around a compact JWS (RFC 7515).
//!
//! ```text
//! in:   body → decrypt → Decrypted → verify → Authentic → claims → Claims (body still raw)
//! out:  Draft → compose → Composed → with_promise → sign → encrypt → body
//! ```
//!
//! Always: the gates stand in the order size, alphabet, header, cryptography, UTF-8, depth, typed JSON, and nothing
//! behind a gate is looked at before it; only [`Decrypted::verify`] makes an [`Authentic`]; every text has one spelling
//! (no padding, no spare bits, no unknown or repeated member); what was decrypted is wiped when dropped; no error and
//! no `Debug` shows a payload or a private key. This is suite 1 of the design and nothing else: ECDH-ES on P-256,
//! AES-256-GCM, ES256.
//! Absent on purpose: other algorithms and JSON serialization, `zip`, `crit` and keys carried by a message (RFC 8725
//! §3.1, §3.6, §3.10); clock and directory: whether a message is young enough, from whom and to whom, others judge.

mod base64url;
mod claims;
mod compact;
mod decrypt;
mod depth;
mod detached;
mod draft;
mod encrypt;
mod error;
mod header;
mod jwk;
mod key;
mod limits;
mod objects;
mod padding;
mod primitive;
mod sign;
pub mod strict_json;
mod suite;
#[cfg(test)]
mod vectors;
mod verify;

pub use claims::{Claims, Environment};
pub use decrypt::{Decrypted, decrypt};
pub use detached::{detached_kid, sign_detached, sign_record, verify_detached, verify_record};
pub use draft::{Composed, Draft, claims_digest};
pub use encrypt::encrypt;
pub use error::{EnvelopeError, KeyError, SealingError};
pub use key::{DecryptionKey, EncryptionKey, SigningKey, VerificationKey};
pub use limits::Limits;
pub use padding::Padding;
pub use sign::sign;
pub use suite::{Suite, SuitePolicy};
pub use verify::Authentic;
