//! The directory as a document: what people edit and the authority signs. Not yet believed.
//!
//! Always: nothing here authorises anything; only [`super::Directory::open`] makes of it something the relay asks.

use super::{BrokenRules, Catalogue};
use super::{Carrier, DirectoryError, FORMAT, Principal, SignedFile, Tenant, catalogue::read_json, moment, rules};
use crate::{
    calendar::Timestamp,
    envelope::{Environment, SigningKey, sign_detached},
    hex,
    identifier::BrokerName,
};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What stands in `directory.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The format of the file.
    pub format: String,
    /// Grows with every change.
    pub version: u64,
    /// The environment of everything in it.
    pub env: Environment,
    /// When it was signed.
    #[serde(with = "moment")]
    pub issued_at: Timestamp,
    /// The files that were signed with it.
    pub files: Digests,
    /// Who signs messages.
    pub principals: Vec<Principal>,
    /// The local governments.
    pub tenants: Vec<Tenant>,
}

/// SHA-256 of the files that the directory vouches for, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// Of the catalogue.
    pub catalogue: String,
    /// Of the configuration file.
    pub configuration: String,
}

impl Digests {
    /// The digests of these files.
    #[must_use]
    pub fn of(catalogue: &[u8], configuration: &[u8]) -> Self {
        Self { catalogue: digest(catalogue), configuration: digest(configuration) }
    }

    pub(super) fn vouch(&self, file: SignedFile, bytes: &[u8]) -> Result<(), DirectoryError> {
        let expected = match file {
            SignedFile::Catalogue => &self.catalogue,
            SignedFile::Configuration => &self.configuration,
        };
        if *expected == digest(bytes) { Ok(()) } else { Err(DirectoryError::Digest(file)) }
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

impl Document {
    /// An empty one: no principals, no tenants, version 0.
    #[must_use]
    pub fn new(env: Environment) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: 0,
            env,
            issued_at: Timestamp::default(),
            files: Digests::default(),
            principals: Vec::new(),
            tenants: Vec::new(),
        }
    }

    /// Reads a document. # Security: whose it is has not been asked; see [`super::Directory::open`].
    ///
    /// # Errors
    /// [`DirectoryError::Shape`] with the place, [`DirectoryError::Format`], [`DirectoryError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DirectoryError> {
        if bytes.len() > super::LARGEST {
            return Err(DirectoryError::TooLarge);
        }
        let document: Self = read_json(bytes)?;
        if document.format == FORMAT { Ok(document) } else { Err(DirectoryError::Format) }
    }

    /// Holds it against every rule.
    ///
    /// # Errors
    /// [`DirectoryError::Rules`] with everything that is broken.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), DirectoryError> {
        let broken = rules::broken(self, catalogue);
        if broken.is_empty() { Ok(()) } else { Err(DirectoryError::Rules(BrokenRules(broken))) }
    }

    /// The bytes of `directory.json`.
    ///
    /// # Errors
    /// [`DirectoryError::Sign`] if it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DirectoryError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|_| DirectoryError::Sign)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The bytes of `directory.json` and of `directory.json.sig`.
    ///
    /// # Errors
    /// [`DirectoryError::Sign`] if it cannot be written or signed.
    pub fn sign(&self, authority: &SigningKey, random: &SystemRandom) -> Result<(Vec<u8>, String), DirectoryError> {
        let bytes = self.to_bytes()?;
        let signature = sign_detached(&bytes, authority, random).map_err(|_| DirectoryError::Sign)?;
        Ok((bytes, signature))
    }

    /// Every broker that it names.
    #[must_use]
    pub fn brokers(&self) -> BTreeSet<&BrokerName> {
        let carriers = self.principals.iter().flat_map(|principal| &principal.carriers).map(|Carrier { broker, .. }| broker);
        carriers.chain(self.principals.iter().filter_map(|principal| principal.replies.as_ref()).map(|to| &to.broker)).collect()
    }
}
