//! The configuration: one TOML file, `nakatsugi.toml`, and the files it names.
//!
//! Always: unknown keys are refused; every mistake is named as `file:line: what was expected`; secrets are paths, never
//! values, and a secret that others can read is refused. Absent: environment variables, and any default for a key's place.

mod error;
mod file;
mod partitions;
mod secret;

pub use error::ConfigError;
pub(crate) use file::nearest;
pub use partitions::{Partitions, by_hash};
pub use secret::{read_root_key, read_secret, read_secret_text, root_key_file};

use crate::{
    calendar::Timestamp,
    directory::{Authority, Directory, DirectoryError, SignedFile},
    envelope::{DecryptionKey, Environment, SigningKey, SuitePolicy, VerificationKey},
    examiner::ScannerSettings,
    identifier::{AmqpUser, BrokerName},
};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The commented configuration that `init` writes.
pub const EXAMPLE: &str = include_str!("../../deploy/nakatsugi.toml");

/// What the file says; all paths are usable as they are.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The file itself.
    pub path: PathBuf,
    /// Trial or production.
    pub env: Environment,
    /// The folder below which everything is written.
    pub data: PathBuf,
    /// The suites that messages may use.
    pub suites: SuitePolicy,
    /// Where the keys lie.
    pub keys: Keys,
    /// Where the directory and what belongs to it lie.
    pub directory: DirectoryFiles,
    /// The brokers, at least one.
    pub brokers: Vec<Broker>,
    /// The shares of the tenants.
    pub partitions: Partitions,
    /// How much at once.
    pub limits: Limits,
    /// How long.
    pub times: Times,
    /// Where tree heads are anchored, if anywhere, and how often.
    pub anchors: Option<Anchors>,
    /// The virus scanner, if there is one.
    pub scanner: Option<ScannerSettings>,
    /// How log lines look.
    pub log: LogFormat,
    /// The text all this was read from, for the directory to vouch for.
    text: Box<str>,
}

/// Where the keys lie. All are secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The root key.
    pub root: PathBuf,
    /// The relay's signing key, a JWK.
    pub signing: PathBuf,
    /// The relay's decryption keys, JWKs.
    pub decryption: Vec<PathBuf>,
}

/// Where the directory and what belongs to it lie.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryFiles {
    /// `directory.json`.
    pub file: PathBuf,
    /// The authority's public key, a JWK.
    pub authority: PathBuf,
    /// `catalogue.json`.
    pub catalogue: PathBuf,
}

impl DirectoryFiles {
    /// Where the directory's signature lies: beside it, with the ending `.sig`.
    #[must_use]
    pub fn signature(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(".sig");
        name.into()
    }
}

/// How one broker is reached.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name, as the directory uses it.
    pub name: BrokerName,
    /// Where it is: `amqps://host:port/virtual-host`, without user and password.
    pub uri: String,
    /// The authority that its certificate comes from (PEM).
    pub ca: PathBuf,
    /// Our certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM), secret.
    pub key: PathBuf,
    /// The authority's revocation list (PEM), if it issues one.
    pub revocations: Option<PathBuf>,
    /// Whom the broker takes us for; the `user_id` of what we send.
    pub user: AmqpUser,
}

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages in hand, for each queue.
    pub prefetch: u16,
    /// Parcels that wait for a broker, of all vaults together.
    pub outbox: u32,
    /// Bytes of journal with which a vault takes in nothing more.
    pub journal: u64,
    /// Bytes left on the disk with fewer of which no vault takes in anything more.
    pub free: u64,
}

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For messages in hand, when the daemon is told to stop.
    pub shutdown: Duration,
    /// Until a message that could not be handled yet comes back.
    pub wait: Duration,
    /// How long a vault's data key seals before another takes its place.
    pub key: Duration,
}

/// Where tree heads are anchored, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchors {
    /// The folder, best on another volume. It must exist.
    pub folder: PathBuf,
    /// How often each ledger that has changed is anchored.
    pub every: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// JSON lines.
    #[default]
    Json,
    /// For reading along.
    Plain,
}

impl Configuration {
    /// Reads the file. Secrets are not touched.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Line`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = String::from_utf8(read(path)?).map_err(|error| {
            let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ConfigError::Line { path: path.to_owned(), line, expected: "expected UTF-8".to_owned() }
        })?;
        file::read(path, &text)
    }

    /// How often tree heads are told, and anchored where anchors are kept.
    #[must_use]
    pub fn anchor_pace(&self) -> Duration {
        self.anchors.as_ref().map_or(Duration::from_secs(file::ANCHORS_EVERY.into()), |anchors| anchors.every)
    }

    /// The relay's signing key.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read, others can read it, or it is no such key.
    pub fn signing_key(&self) -> Result<SigningKey, ConfigError> {
        signing_key(&self.keys.signing)
    }

    /// The relay's decryption keys.
    ///
    /// # Errors
    /// As [`Configuration::signing_key`].
    pub fn decryption_keys(&self) -> Result<Vec<DecryptionKey>, ConfigError> {
        const EXPECTED: &str = "a private P-256 key for ECDH-ES as a JWK";
        let key = |path: &PathBuf| {
            let text = read_secret_text(path, EXPECTED)?;
            DecryptionKey::from_jwk(&text).map_err(|_| ConfigError::Content { path: path.clone(), expected: EXPECTED })
        };
        self.keys.decryption.iter().map(key).collect()
    }

    /// The authority's public key.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or is no such key.
    pub fn authority(&self) -> Result<VerificationKey, ConfigError> {
        let path = &self.directory.authority;
        let expected = "a public P-256 key for ES256 as a JWK";
        serde_json::from_slice(&read(path)?).map_err(|_| ConfigError::Content { path: path.clone(), expected })
    }

    /// Reads and opens the directory: signed by the authority, for this environment, vouching for the catalogue and for
    /// this configuration file as they now are, and naming no broker that the configuration lacks.
    ///
    /// # Errors
    /// [`OpenError`] says which file is at fault and why.
    pub fn open_directory(&self) -> Result<Directory, OpenError> {
        let files = &self.directory;
        let key = self.authority()?;
        let signature = String::from_utf8_lossy(&read(&files.signature())?).trim_end().to_owned();
        let authority = Authority { key: &key, env: self.env };
        let wrong = |source| OpenError::Directory { path: files.file.clone(), source };
        let directory = Directory::open(&read(&files.file)?, &signature, &read(&files.catalogue)?, authority).map_err(wrong)?;
        directory.vouches(SignedFile::Configuration, self.text.as_bytes()).map_err(wrong)?;
        self.knows_brokers(directory.brokers())?;
        Ok(directory)
    }

    /// Whether every broker that a directory names stands here.
    ///
    /// # Errors
    /// [`ConfigError::Broker`] with the first that does not.
    pub fn knows_brokers<'a>(&self, named: impl IntoIterator<Item = &'a BrokerName>) -> Result<(), ConfigError> {
        match named.into_iter().find(|name| !self.brokers.iter().any(|broker| broker.name == **name)) {
            None => Ok(()),
            Some(broker) => Err(ConfigError::Broker { path: self.path.clone(), broker: broker.clone() }),
        }
    }

    /// The text that all this was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The relay's own keys, all of which must stand in the directory under the relay; the signing key must count now.
    ///
    /// # Errors
    /// [`OpenError`] says which key is at fault.
    pub fn relay_keys(&self, directory: &Directory, now: Timestamp) -> Result<(SigningKey, Vec<DecryptionKey>), OpenError> {
        let (signing, decryption) = (self.signing_key()?, self.decryption_keys()?);
        let relay = directory.relay();
        let absent = |path: &PathBuf| OpenError::RelayKey { path: path.clone() };
        let stands = relay.signing.iter().any(|dated| dated.at(now).is_ok_and(|key| *key == signing.public()));
        if !stands {
            return Err(absent(&self.keys.signing));
        }
        for (path, key) in self.keys.decryption.iter().zip(&decryption) {
            if !relay.encryption.iter().any(|dated| dated.key == key.public()) {
                return Err(absent(path));
            }
        }
        Ok((signing, decryption))
    }
}

/// Why the directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file is missing or not what it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory is refused.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: DirectoryError,
    },
    /// A key of the relay is not what the directory says.
    #[error("{}: this key does not stand in the directory as a key of the relay, or does not count now", path.display())]
    RelayKey {
        /// The key's file.
        path: PathBuf,
    },
}

/// Reads a signing key from its secret file.
///
/// # Errors
/// [`ConfigError`] if it cannot be read, others can read it, or it is no such key.
pub fn signing_key(path: &Path) -> Result<SigningKey, ConfigError> {
    const EXPECTED: &str = "a private P-256 key for ES256 as a JWK";
    let text = read_secret_text(path, EXPECTED)?;
    SigningKey::from_jwk(&text).map_err(|_| ConfigError::Content { path: path.to_owned(), expected: EXPECTED })
}

/// For the fuzz targets: a configuration from its text.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::{ConfigError, Configuration, file};
    use std::path::Path;

    /// As the file at this path.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Configuration, ConfigError> {
        file::read(path, text)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}
