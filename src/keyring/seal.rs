//! One sealed value.
//!
//! ```text
//! k ‖ nonce = HKDF-SHA-256(salt, data key, label, 44 bytes)
//! sealed    = suite(1) ‖ key version(4) ‖ salt(32) ‖ AES-256-GCM[k, nonce](aad, value)
//! aad       = suite(1) ‖ key version(4) ‖ length(1) ‖ vault ‖ row key, which begins with its tree
//! ```
//!
//! Always: the salt is 32 fresh random bytes, so no (k, nonce) is used twice; what was moved to another vault, tree, row or
//! key version does not open. The caller's duty: never the same salt for two values. A value that is sealed again under
//! another data key keeps its salt, by which it is known: with the other key, k and nonce are others too. Absent: hiding the
//! length of a value.

use super::{KeyVersion, KeyringError, RowKey, labels};
use crate::wiped::Wiped;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use std::fmt;
use zeroize::Zeroizing;

/// AES-256-GCM with HKDF-SHA-256, as above.
pub(super) const SUITE: u8 = 1;
/// How long the tag is by which a head row recognises a value; AES-GCM's own is as long.
pub const TAG_LEN: usize = 16;
/// Suite, key version and salt.
pub(super) const PREFIX_LEN: usize = 1 + 4 + 32;

/// A sealed value. It may lie on any disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The tag by which a head row recognises its values; `None` if the bytes are too few. It is half of the salt: it stays
    /// when the value is sealed again under another data key.
    ///
    /// # Security
    /// Every value has a salt of its own, and opens under no other: an older value of the same row has another tag.
    #[must_use]
    pub fn tag(sealed: &[u8]) -> Option<[u8; TAG_LEN]> {
        parts(sealed).ok().and_then(|(_, salt, _)| salt.first_chunk().copied())
    }

    /// The version of the data key that a value names; `None` if it is not sealed in a way that is known here.
    #[must_use]
    pub fn version(sealed: &[u8]) -> Option<KeyVersion> {
        parts(sealed).ok().map(|(version, ..)| KeyVersion(version))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// The length of HKDF's output.
pub(super) struct Length(pub(super) usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key and the nonce it is used with, once.
pub(super) fn once(secret: &[u8; 32], salt: &[u8; 32], info: &[&[u8]]) -> Result<(LessSafeKey, Nonce), KeyringError> {
    let mut output = Zeroizing::new([0; 32 + NONCE_LEN]);
    let derived = Salt::new(HKDF_SHA256, salt).extract(secret);
    derived.expand(info, Length(output.len())).and_then(|okm| okm.fill(output.as_mut())).map_err(|_| KeyringError::Seal)?;
    let (key, nonce) = output.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| KeyringError::Seal)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyringError::Seal)?;
    Ok((LessSafeKey::new(key), nonce))
}

fn aad(version: u32, vault: &str, row: &RowKey) -> Vec<u8> {
    let mut aad = vec![SUITE];
    aad.extend_from_slice(&version.to_be_bytes());
    aad.push(u8::try_from(vault.len()).unwrap_or(u8::MAX));
    aad.extend_from_slice(vault.as_bytes());
    aad.extend_from_slice(row.as_bytes());
    aad
}

pub(super) fn seal(
    data_key: &[u8; 32],
    version: u32,
    vault: &str,
    row: &RowKey,
    salt: &[u8; 32],
    value: &[u8],
) -> Result<Sealed, KeyringError> {
    let (key, nonce) = once(data_key, salt, &[labels::SEAL])?;
    let mut sealed = Vec::with_capacity(PREFIX_LEN + value.len() + TAG_LEN);
    sealed.push(SUITE);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(salt);
    sealed.extend_from_slice(value);
    #[cfg(feature = "sabotage")]
    if crate::sabotage::is(crate::sabotage::Sabotage::SealNothing) {
        sealed.extend_from_slice(&[0; TAG_LEN]);
        return Ok(Sealed(sealed));
    }
    let (_, text) = sealed.split_at_mut(PREFIX_LEN);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad(version, vault, row)), text).map_err(|_| KeyringError::Seal)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(Sealed(sealed))
}

/// The key version and salt a sealed value names, and the rest of it.
pub(super) fn parts(sealed: &[u8]) -> Result<(u32, &[u8; 32], &[u8]), KeyringError> {
    let (suite, rest) = sealed.split_first().ok_or(KeyringError::Format)?;
    if *suite != SUITE {
        return Err(KeyringError::Format);
    }
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(KeyringError::Format)?;
    let (salt, rest) = rest.split_first_chunk::<32>().ok_or(KeyringError::Format)?;
    Ok((u32::from_be_bytes(*version), salt, rest))
}

pub(super) fn open(
    data_key: &[u8; 32],
    vault: &str,
    row: &RowKey,
    (version, salt, text): (u32, &[u8; 32], &[u8]),
) -> Result<Wiped, KeyringError> {
    #[cfg(feature = "sabotage")]
    if let (true, Some(plain)) = (crate::sabotage::is(crate::sabotage::Sabotage::SealNothing), text.strip_suffix(&[0; TAG_LEN])) {
        return Ok(Wiped::from(plain.to_vec()));
    }
    let (key, nonce) = once(data_key, salt, &[labels::SEAL])?;
    let mut value = Wiped::from(text.to_vec());
    let length =
        key.open_in_place(nonce, Aad::from(aad(version, vault, row)), value.as_mut_slice()).map_err(|_| KeyringError::Value)?.len();
    value.truncate(length);
    Ok(value)
}
