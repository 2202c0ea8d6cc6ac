//! How much of a message is looked at, before anything about it is known.

use super::padding::Padding;

/// Bounds on what is taken in (design §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest AMQP body, in bytes.
    pub envelope: usize,
    /// How deep objects and arrays may nest in the claims; the claims object itself is 1.
    pub depth: usize,
}

impl Limits {
    /// The longest encoded protected header, in bytes.
    pub const HEADER: usize = 1024;

    /// The longest payload that, padded as said, surely becomes an envelope within the limit, whatever the key ids.
    #[must_use]
    pub const fn longest_payload(&self, padding: Padding) -> usize {
        // JWE = header, 4 dots, 16 of IV, ciphertext · 4/3, 22 of tag; JWS = header, 2 dots, payload · 4/3, 86 of signature.
        let jws = self.envelope.saturating_sub(Self::HEADER + 4 + 16 + 22) / 4 * 3;
        let payload = jws.saturating_sub(Self::HEADER + 2 + 86) / 4 * 3;
        padding.floor(payload)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { envelope: 8 * 1024 * 1024, depth: 16 }
    }
}
