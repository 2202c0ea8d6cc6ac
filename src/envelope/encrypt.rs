//! Encrypting: the outer layer of what we send.

use super::{
    EncryptionKey, Limits, SealingError, base64url, header,
    primitive::{self, ContentKey},
};
use crate::wiped::Wiped;
use ring::{
    aead::NONCE_LEN,
    rand::{SecureRandom as _, SystemRandom},
};

/// The compact JWE of a JWS for one recipient, under a new ephemeral key.
///
/// # Errors
/// The random source failed.
pub fn encrypt(jws: &[u8], to: &EncryptionKey, random: &SystemRandom) -> Result<Vec<u8>, SealingError> {
    let (ephemeral, content_key) = ContentKey::ephemeral(to.point(), random)?;
    let mut iv = [0; NONCE_LEN];
    random.fill(&mut iv).map_err(primitive::sealing)?;

    let mut jwe = Vec::with_capacity(Limits::HEADER + base64url::encoded(jws.len()) + 64);
    header::append_jwe(to.kid(), &ephemeral, &mut jwe);
    // Encrypted in place below; if that fails, what is left is wiped.
    let mut content = Wiped::from(jws.to_vec());
    let tag = content_key.encrypt(iv, &jwe, &mut content)?;
    // Direct key agreement: the encrypted key is empty.
    jwe.extend_from_slice(b"..");
    for (part, end) in [(&iv[..], &b"."[..]), (&content, b"."), (tag.as_ref(), b"")] {
        base64url::append(part, &mut jwe);
        jwe.extend_from_slice(end);
    }
    Ok(jwe)
}
