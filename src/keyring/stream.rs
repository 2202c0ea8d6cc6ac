//! Sealing what is too long for one value: a file in chunks.
//!
//! ```text
//! k       = HKDF-SHA-256(salt, secret, label, 32 bytes)
//! chunk i = AES-256-GCM[k, nonce = 0(3) ‖ i(8) ‖ last(1)](aad = SHA-256(header), up to 256 KiB)
//! ```
//!
//! Always: the salt is 32 fresh random bytes, so no k is used for two files; chunks that were changed, moved, left out or
//! taken from another file do not open, nor does what was cut (the last chunk is marked: the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár). Absent: files.

use super::{KeyringError, labels, seal::Length};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Salt},
};
use std::fmt;
use zeroize::Zeroizing;

/// How many bytes every chunk but the last has before it is sealed.
pub const CHUNK_LEN: usize = 256 << 10;

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Others follow.
    Inner = 0,
    /// It is the last.
    Last = 1,
}

/// Seals and opens the chunks of one file.
pub struct ChunkKey {
    key: LessSafeKey,
    header: [u8; 32],
}

impl ChunkKey {
    pub(super) fn derive(secret: &[u8; 32], label: &'static [u8], salt: &[u8; 32], header: &[u8]) -> Result<Self, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let derived = Salt::new(HKDF_SHA256, salt).extract(secret);
        derived.expand(&[label], Length(bytes.len())).and_then(|okm| okm.fill(bytes.as_mut())).map_err(|_| KeyringError::Seal)?;
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref()).map_err(|_| KeyringError::Seal)?;
        let header = digest(&SHA256, header).as_ref().try_into().map_err(|_| KeyringError::Seal)?;
        Ok(Self { key: LessSafeKey::new(key), header })
    }

    /// The key of an export, from 32 fresh random bytes that are used for it alone.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the key could not be derived, which does not happen.
    pub fn export(file_key: &[u8; 32], header: &[u8]) -> Result<Self, KeyringError> {
        Self::derive(file_key, labels::EXPORT, &[0; 32], header)
    }

    fn nonce(index: u64, place: Place) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (_, rest) = nonce.split_at_mut(3);
        for (to, from) in rest.iter_mut().zip(index.to_be_bytes().into_iter().chain([place as u8])) {
            *to = from;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals a chunk where it lies. The caller's duty: each index once.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the library refuses, which does not happen.
    pub fn seal(&self, index: u64, place: Place, chunk: &mut Vec<u8>) -> Result<(), KeyringError> {
        let aad = Aad::from(&self.header);
        self.key.seal_in_place_append_tag(Self::nonce(index, place), aad, chunk).map_err(|_| KeyringError::Seal)
    }

    /// Opens a chunk where it lies.
    ///
    /// # Errors
    /// [`KeyringError::Value`] if it is not this chunk of this file.
    pub fn open(&self, index: u64, place: Place, chunk: &mut Vec<u8>) -> Result<(), KeyringError> {
        let length =
            self.key.open_in_place(Self::nonce(index, place), Aad::from(&self.header), chunk).map_err(|_| KeyringError::Value)?.len();
        chunk.truncate(length);
        Ok(())
    }
}

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(header: &[u8], salt: u8) -> ChunkKey {
        ChunkKey::derive(&[1; 32], b"label", &[salt; 32], header).unwrap()
    }

    #[test]
    fn a_chunk_opens_in_its_place_in_its_file_only() {
        let mut sealed = b"chunk".to_vec();
        key(b"header", 1).seal(7, Place::Inner, &mut sealed).unwrap();
        let open = |key: ChunkKey, index, place, sealed: &[u8]| {
            let mut chunk = sealed.to_vec();
            key.open(index, place, &mut chunk).map(|()| chunk)
        };
        assert_eq!(open(key(b"header", 1), 7, Place::Inner, &sealed), Ok(b"chunk".to_vec()));
        assert_eq!(open(key(b"header", 1), 8, Place::Inner, &sealed), Err(KeyringError::Value));
        assert_eq!(open(key(b"header", 1), 7, Place::Last, &sealed), Err(KeyringError::Value));
        assert_eq!(open(key(b"heading", 1), 7, Place::Inner, &sealed), Err(KeyringError::Value));
        assert_eq!(open(key(b"header", 2), 7, Place::Inner, &sealed), Err(KeyringError::Value));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(key(b"header", 1), 7, Place::Inner, &changed), Err(KeyringError::Value));
            assert_eq!(open(key(b"header", 1), 7, Place::Inner, &sealed[..at]), Err(KeyringError::Value));
        }
    }
}
