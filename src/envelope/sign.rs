//! Signing: the inner layer of what we send.

use super::{SealingError, SigningKey, base64url, primitive};
use crate::wiped::Wiped;
use ring::rand::SystemRandom;

/// The compact JWS of a payload, with header `{"alg":"ES256","kid":…,"typ":"nakatsugi+jwt"}`. Wiped on drop.
///
/// # Errors
/// The random source failed.
pub fn sign(payload: &[u8], key: &SigningKey, random: &SystemRandom) -> Result<Wiped, SealingError> {
    let header = key.message_header();
    let length = header.len() + 1 + base64url::encoded(payload.len()) + 1 + base64url::encoded(64);
    let mut jws = Wiped::with_capacity(length);
    jws.extend_from_slice(header);
    jws.push(b'.');
    base64url::append(payload, &mut jws);
    let signature = key.pair().sign(random, &jws).map_err(primitive::sealing)?;
    jws.push(b'.');
    base64url::append(signature.as_ref(), &mut jws);
    Ok(jws)
}
