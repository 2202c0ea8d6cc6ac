//! A peer's own folder: who it is, with which keys, and how it reaches the broker (`peer.toml`).
//!
//! Always: paths are relative to the file; keys stand in files of their own, as JWK.

use crate::{
    broker::BrokerSettings,
    config::{ConfigError, read_secret_text},
    envelope::{DecryptionKey, EncryptionKey, Environment, SigningKey, VerificationKey, strict_json},
    identifier::PrincipalId,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// The name of the file.
pub const FILE: &str = "peer.toml";

/// What stands in `peer.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSettings {
    /// The principal that it speaks as.
    pub id: PrincipalId,
    /// Trial or production.
    pub env: Environment,
    /// The relay's name in the directory.
    pub relay: PrincipalId,
    /// Its own signing key (private JWK).
    pub signing_key: PathBuf,
    /// Its own decryption key (private JWK).
    pub decryption_key: PathBuf,
    /// The relay's key that replies are verified with (public JWK).
    pub relay_verification_key: PathBuf,
    /// The relay's key that messages are encrypted for (public JWK).
    pub relay_encryption_key: PathBuf,
    /// Where its replies arrive.
    pub queue: String,
    /// How it reaches the broker.
    pub broker: PeerBroker,
}

/// How a peer reaches the broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerBroker {
    /// `amqps://host:port/virtual-host`.
    pub uri: String,
    /// Its AMQP user: the common name of its certificate.
    pub user: String,
    /// Who issued the broker's certificate (PEM).
    pub ca: PathBuf,
    /// Its certificate (PEM).
    pub certificate: PathBuf,
    /// The certificate's private key (PEM).
    pub key: PathBuf,
}

/// A peer's keys.
#[derive(Debug)]
pub struct PeerKeys {
    /// Signs what it sends.
    pub signing: SigningKey,
    /// Opens what it gets.
    pub decryption: DecryptionKey,
    /// Proves that a reply is the relay's.
    pub verification: VerificationKey,
    /// What it sends is encrypted for.
    pub encryption: EncryptionKey,
}

/// Why a peer's folder cannot be used.
#[derive(Debug, Error)]
pub enum PeerSettingsError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A secret that others can read, or none.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// The settings are not what they must be.
    #[error("{path}: {message}")]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A key is not one.
    #[error("{path}: not a key of the right kind: {message}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl PeerSettings {
    /// Reads `peer.toml` in a folder; paths come back absolute or relative to the working folder.
    ///
    /// # Errors
    /// [`PeerSettingsError`] names the file.
    pub fn read(folder: &Path) -> Result<Self, PeerSettingsError> {
        let path = folder.join(FILE);
        let text = read(&path)?;
        let mut settings: Self =
            toml::from_str(&text).map_err(|error| PeerSettingsError::Settings { path: path.clone(), message: error.to_string() })?;
        for file in [
            &mut settings.signing_key,
            &mut settings.decryption_key,
            &mut settings.relay_verification_key,
            &mut settings.relay_encryption_key,
            &mut settings.broker.ca,
            &mut settings.broker.certificate,
            &mut settings.broker.key,
        ] {
            *file = folder.join(&*file);
        }
        Ok(settings)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`PeerSettingsError`] names the file; one that others can read is refused.
    pub fn keys(&self) -> Result<PeerKeys, PeerSettingsError> {
        let key = |path: &Path, error: &dyn std::fmt::Display| PeerSettingsError::Key { path: path.to_owned(), message: error.to_string() };
        Ok(PeerKeys {
            signing: SigningKey::from_jwk(&secret(&self.signing_key)?).map_err(|error| key(&self.signing_key, &error))?,
            decryption: DecryptionKey::from_jwk(&secret(&self.decryption_key)?).map_err(|error| key(&self.decryption_key, &error))?,
            verification: strict_json::from_str(&read(&self.relay_verification_key)?)
                .map_err(|error| key(&self.relay_verification_key, &error))?,
            encryption: strict_json::from_str(&read(&self.relay_encryption_key)?)
                .map_err(|error| key(&self.relay_encryption_key, &error))?,
        })
    }

    /// How the broker folder connects.
    #[must_use]
    pub fn broker_settings(&self) -> BrokerSettings {
        BrokerSettings {
            name: self.id.as_str().into(),
            uri: self.broker.uri.clone(),
            ca: self.broker.ca.clone(),
            certificate: self.broker.certificate.clone(),
            key: self.broker.key.clone(),
            revocations: None,
        }
    }
}

fn secret(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    read_secret_text(path, "a private JWK")
}

fn read(path: &Path) -> Result<Zeroizing<String>, PeerSettingsError> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(|source| PeerSettingsError::Read { path: path.to_owned(), source })
}
