//! The root key, and keyrings wrapped by it.
//!
//! ```text
//! k ‖ nonce = HKDF-SHA-256(salt, root key, label ‖ 0 ‖ environment, 44 bytes)
//! wrapped   = AES-256-GCM[k, nonce](aad = format(1) ‖ version(4) ‖ length(1) ‖ environment ‖ vault, secrets)
//! ```
//!
//! Always: a wrapped keyring opens only for its own vault, in its own environment, under its own root key. Whoever destroys
//! the wrapped keyring destroys all that was sealed under it.

use super::{
    Keyring, KeyringError, MacKey, Secrets, labels,
    seal::{self, Length},
};
use crate::identifier::VaultName;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::Aad,
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The format of a wrapped keyring.
const FORMAT: u8 = 1;

/// The key above all others. Only the daemon's user can read the file it lies in.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// A root key from its 32 bytes; wipe yours.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A root key from the content of its file.
    ///
    /// # Errors
    /// [`KeyringError::RootKey`] if it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyringError> {
        bytes.try_into().map(Self).map_err(|_| KeyringError::RootKey)
    }

    /// Authenticates key backups.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the key could not be derived, which does not happen.
    pub fn key_backups(&self) -> Result<MacKey, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let derived = Salt::new(HKDF_SHA256, &[]).extract(&self.0);
        derived.expand(&[labels::KEYS], Length(bytes.len())).and_then(|okm| okm.fill(bytes.as_mut())).map_err(|_| KeyringError::Seal)?;
        Ok(MacKey(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())))
    }

    /// Wraps a keyring. The salt is 32 fresh random bytes.
    ///
    /// # Errors
    /// [`KeyringError::Seal`] if the library refuses, which does not happen.
    pub fn wrap(&self, keyring: &Keyring, environment: &str, version: u32, salt: [u8; 32]) -> Result<WrappedKeyring, KeyringError> {
        self.wrap_secrets(keyring.vault(), &keyring.secrets(), environment, version, salt)
    }

    /// Wraps what a keyring of this vault is to hold. The salt is 32 fresh random bytes.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_secrets(
        &self,
        vault: &str,
        secrets: &Secrets,
        environment: &str,
        version: u32,
        salt: [u8; 32],
    ) -> Result<WrappedKeyring, KeyringError> {
        let (key, nonce) = seal::once(&self.0, &salt, &[labels::WRAP, &[0], environment.as_bytes()])?;
        let mut text = secrets.to_bytes();
        let aad = aad(version, environment, vault);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text.as_mut_slice()).map_err(|_| KeyringError::Seal)?;
        let mut sealed = text.to_vec();
        sealed.extend_from_slice(tag.as_ref());
        Ok(WrappedKeyring {
            format: FORMAT,
            vault: vault.to_owned(),
            environment: environment.to_owned(),
            version,
            salt: STANDARD.encode(salt),
            sealed: STANDARD.encode(sealed),
        })
    }

    /// Opens the keyring of this vault in this environment.
    ///
    /// # Errors
    /// [`KeyringError::Keyring`] if it is another vault's, was changed, or was wrapped by another root key.
    pub fn open(&self, wrapped: &WrappedKeyring, vault: VaultName, environment: &str) -> Result<Keyring, KeyringError> {
        if wrapped.format != FORMAT {
            return Err(KeyringError::Format);
        }
        let salt: Vec<u8> = STANDARD.decode(&wrapped.salt).map_err(|_| KeyringError::Keyring)?;
        let salt: [u8; 32] = salt.as_slice().try_into().map_err(|_| KeyringError::Keyring)?;
        let mut text = Zeroizing::new(STANDARD.decode(&wrapped.sealed).map_err(|_| KeyringError::Keyring)?);
        let (key, nonce) = seal::once(&self.0, &salt, &[labels::WRAP, &[0], environment.as_bytes()])?;
        let aad = aad(wrapped.version, environment, &vault.to_string());
        let secrets = key.open_in_place(nonce, Aad::from(aad), text.as_mut_slice()).map_err(|_| KeyringError::Keyring)?;
        let secrets = Secrets::from_bytes(secrets).ok_or(KeyringError::Keyring)?;
        Keyring::new(vault, secrets)
    }
}

fn aad(version: u32, environment: &str, vault: &str) -> Vec<u8> {
    let mut aad = vec![FORMAT];
    aad.extend_from_slice(&version.to_be_bytes());
    aad.push(u8::try_from(environment.len()).unwrap_or(u8::MAX));
    aad.extend_from_slice(environment.as_bytes());
    aad.extend_from_slice(vault.as_bytes());
    aad
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(secret)")
    }
}

/// A keyring as it lies on disk, in `keyring.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKeyring {
    format: u8,
    vault: String,
    environment: String,
    version: u32,
    salt: String,
    sealed: String,
}

impl WrappedKeyring {
    /// Whose it is, as it says; opening it proves it.
    #[must_use]
    pub fn vault(&self) -> &str {
        &self.vault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Tree;

    fn tenant(code: &str) -> VaultName {
        VaultName::Tenant(code.parse().unwrap())
    }

    #[test]
    fn a_keyring_opens_only_in_its_place() {
        let (root, vault) = (RootKey::from_bytes([9; 32]), tenant("142051"));
        let keyring = Keyring::new(vault, Secrets::new([1; 32], [2; 32])).unwrap();
        let wrapped = root.wrap(&keyring, "trial", 1, [5; 32]).unwrap();
        let text = serde_json::to_string(&wrapped).unwrap();
        let read: WrappedKeyring = serde_json::from_str(&text).unwrap();
        let opened = root.open(&read, vault, "trial").unwrap();
        let row = Tree::Link.row(&[&[0; 16]]);
        assert_eq!(opened.seal(&row, &[0; 32], b"v").unwrap(), keyring.seal(&row, &[0; 32], b"v").unwrap());

        let refused = |result: Result<Keyring, KeyringError>| result.map(|_| ()).unwrap_err();
        assert_eq!(refused(root.open(&wrapped, tenant("141003"), "trial")), KeyringError::Keyring);
        assert_eq!(refused(root.open(&wrapped, vault, "production")), KeyringError::Keyring);
        assert_eq!(refused(RootKey::from_bytes([8; 32]).open(&wrapped, vault, "trial")), KeyringError::Keyring);
        let older = WrappedKeyring { version: 2, ..wrapped.clone() };
        assert_eq!(refused(root.open(&older, vault, "trial")), KeyringError::Keyring);
        let unknown = WrappedKeyring { format: 2, ..wrapped };
        assert_eq!(refused(root.open(&unknown, vault, "trial")), KeyringError::Format);
    }

    #[test]
    fn a_root_key_has_32_bytes() {
        assert!(RootKey::from_slice(&[0; 32]).is_ok());
        assert_eq!(RootKey::from_slice(&[0; 31]).map(|_| ()), Err(KeyringError::RootKey));
    }
}
