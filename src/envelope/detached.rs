//! Detached signatures over a file, such as `directory.json`, or over a record of the relay's own: a compact JWS without its
//! payload, `header..signature` (RFC 7515 Appendix F).
//!
//! Always: the type in the header says what is signed, so that no signature can stand for one of another kind.

use super::{EnvelopeError, Limits, SealingError, SigningKey, VerificationKey, base64url, compact, header, primitive, suite};
use crate::identifier::Kid;
use ring::rand::SystemRandom;

/// Signs some bytes; they are not part of what is returned.
///
/// # Errors
/// The random source failed.
pub fn sign_detached(bytes: &[u8], key: &SigningKey, random: &SystemRandom) -> Result<String, SealingError> {
    signed(suite::DIRECTORY_TYPE, bytes, key, random)
}

/// Signs a record of the relay's own; its bytes are not part of what is returned.
///
/// # Errors
/// The random source failed.
pub fn sign_record(bytes: &[u8], key: &SigningKey, random: &SystemRandom) -> Result<String, SealingError> {
    signed(suite::RECORD_TYPE, bytes, key, random)
}

fn signed(typ: &'static str, bytes: &[u8], key: &SigningKey, random: &SystemRandom) -> Result<String, SealingError> {
    let header = header::detached(key.kid(), typ);
    let signature = key.pair().sign(random, &message(&header, bytes)).map_err(primitive::sealing)?;
    let mut text = header;
    text.extend_from_slice(b"..");
    base64url::append(signature.as_ref(), &mut text);
    String::from_utf8(text).map_err(|_| SealingError::Cryptography)
}

/// The key that a detached signature names. Unproven: it says with which key to verify, nothing more.
///
/// # Errors
/// Not a detached signature.
pub fn detached_kid(signature: &str) -> Result<Kid, EnvelopeError> {
    parts(suite::DIRECTORY_TYPE, signature).map(|(kid, ..)| kid)
}

/// Verifies a detached signature over some bytes.
///
/// # Errors
/// Not a detached signature, or one that does not hold under this key.
pub fn verify_detached(bytes: &[u8], signature: &str, key: &VerificationKey) -> Result<(), EnvelopeError> {
    holds(suite::DIRECTORY_TYPE, bytes, signature, key)
}

/// Verifies a signature over a record of the relay's own.
///
/// # Errors
/// Not such a signature, or one that does not hold under this key.
pub fn verify_record(bytes: &[u8], signature: &str, key: &VerificationKey) -> Result<(), EnvelopeError> {
    holds(suite::RECORD_TYPE, bytes, signature, key)
}

fn holds(typ: &'static str, bytes: &[u8], signature: &str, key: &VerificationKey) -> Result<(), EnvelopeError> {
    let (kid, header, signature) = parts(typ, signature)?;
    if key.kid() == &kid && primitive::signature_holds(key.point(), &message(header, bytes), &signature) {
        Ok(())
    } else {
        Err(EnvelopeError::SignatureInvalid)
    }
}

fn parts<'t>(typ: &'static str, text: &'t str) -> Result<(Kid, &'t [u8], [u8; 64]), EnvelopeError> {
    if text.len() > Limits::HEADER + 2 + base64url::encoded(64) {
        return Err(EnvelopeError::TooLarge);
    }
    let [header, payload, signature] = compact::split(text.as_bytes(), EnvelopeError::MalformedJws)?;
    if !payload.is_empty() {
        return Err(EnvelopeError::MalformedJws);
    }
    let kid = header::read_jws(header, typ)?;
    Ok((kid, header, base64url::decode_array(signature)?))
}

fn message(header: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(header.len() + 1 + base64url::encoded(bytes.len()));
    message.extend_from_slice(header);
    message.push(b'.');
    base64url::append(bytes, &mut message);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::sign;

    #[test]
    fn a_detached_signature_holds_for_its_bytes_and_key_only() {
        let random = SystemRandom::new();
        let key = SigningKey::generate("root-1".parse().unwrap()).unwrap();
        let stranger = SigningKey::generate("root-1".parse().unwrap()).unwrap();
        let text = sign_detached(b"{}\n", &key, &random).unwrap();
        assert_eq!(detached_kid(&text).as_ref(), Ok(key.kid()));
        assert_eq!(verify_detached(b"{}\n", &text, &key.public()), Ok(()));
        assert_eq!(verify_detached(b"{}", &text, &key.public()), Err(EnvelopeError::SignatureInvalid));
        assert_eq!(verify_detached(b"{}\n", &text, &stranger.public()), Err(EnvelopeError::SignatureInvalid));
        let renamed = SigningKey::from_jwk(&key.to_jwk().replace("root-1", "root-2")).unwrap();
        assert_eq!(verify_detached(b"{}\n", &text, &renamed.public()), Err(EnvelopeError::SignatureInvalid));
        assert_eq!(verify_detached(b"{}\n", &(text.clone() + "\n"), &key.public()), Err(EnvelopeError::BadAlphabet));
        assert_eq!(verify_detached(b"{}\n", &text.replace("..", ".e30K."), &key.public()), Err(EnvelopeError::MalformedJws));
        assert_eq!(verify_detached(b"{}\n", &text[..text.len() - 1], &key.public()), Err(EnvelopeError::BadEncoding));
    }

    #[test]
    fn a_record_signature_is_not_a_directory_signature() {
        let random = SystemRandom::new();
        let key = SigningKey::generate("relay-1".parse().unwrap()).unwrap();
        let text = sign_record(b"{}", &key, &random).unwrap();
        assert_eq!(verify_record(b"{}", &text, &key.public()), Ok(()));
        assert_eq!(verify_detached(b"{}", &text, &key.public()), Err(EnvelopeError::WrongType));
        let text = sign_detached(b"{}", &key, &random).unwrap();
        assert_eq!(verify_record(b"{}", &text, &key.public()), Err(EnvelopeError::WrongType));
    }

    #[test]
    fn a_message_signature_is_not_a_directory_signature() {
        let random = SystemRandom::new();
        let key = SigningKey::generate("k1".parse().unwrap()).unwrap();
        let jws = sign(b"{}", &key, &random).unwrap();
        let jws = std::str::from_utf8(&jws).unwrap();
        assert_eq!(verify_detached(b"{}", &jws.replace(".e30.", ".."), &key.public()), Err(EnvelopeError::WrongType));
    }
}
