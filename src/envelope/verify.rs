//! Verifying: the inner layer.
//!
//! Always: an [`Authentic`] was signed by the key it names, is UTF-8 and nests no deeper than allowed. Only
//! [`Decrypted::verify`] makes one. Whether that key may say so is for the directory.

use super::{Claims, Decrypted, EnvelopeError, Limits, VerificationKey, base64url, claims, depth, primitive};
use crate::{identifier::Kid, wiped::Wiped};
use std::fmt;

/// A payload whose signature holds. Wiped on drop.
pub struct Authentic {
    kid: Kid,
    /// UTF-8, as was seen.
    payload: Wiped,
    digest: [u8; 32],
}

impl Decrypted {
    /// Verifies the signature with the key that the directory has under [`Decrypted::kid`].
    ///
    /// # Errors
    /// The signature does not hold, or the payload is not UTF-8 or nests too deep.
    pub fn verify(self, key: &VerificationKey, limits: &Limits) -> Result<Authentic, EnvelopeError> {
        let (message, signature) = self.jws.split_at_checked(self.signed).ok_or(EnvelopeError::MalformedJws)?;
        let signature: [u8; 64] = match signature {
            [b'.', encoded @ ..] if encoded.len() == base64url::encoded(64) => base64url::decode_array(encoded)?,
            _ => return Err(EnvelopeError::SignatureInvalid),
        };
        // A signature by another key than the one named is none, even if it holds.
        if key.kid() != &self.kid || !primitive::signature_holds(key.point(), message, &signature) {
            return Err(EnvelopeError::SignatureInvalid);
        }
        let payload = base64url::decode(message.get(self.payload..).unwrap_or_default())?;
        if !depth::within(text(&payload)?, limits.depth) {
            return Err(EnvelopeError::TooDeep);
        }
        let digest = primitive::sha256(&[&payload]);
        Ok(Authentic { kid: self.kid, payload, digest })
    }
}

fn text(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|_| EnvelopeError::NotUtf8)
}

impl Authentic {
    /// The key whose signature holds.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The payload of the JWS, as it was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the payload: what tells a repeat from a conflict.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What the message says about itself. Parses: call it once.
    ///
    /// # Errors
    /// Not exactly the members of the claims, each once, each well-formed.
    pub fn claims(&self) -> Result<Claims<'_>, EnvelopeError> {
        claims::read(text(&self.payload)?)
    }
}

impl fmt::Debug for Authentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authentic({}, secret)", self.kid)
    }
}
