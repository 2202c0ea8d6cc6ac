//! The directory: which principals exist, with which keys, carriers and queues, and what each may say.
//!
//! Always: nothing of it is believed before the authority's signature held over its bytes; it is taken whole or not at
//! all; a `kid` names one key of one principal; trial and production never mix. A message is judged by one snapshot.
//! Absent: files and reloading (the daemon's), the authority's key (the configuration names it), anything about a person.

pub mod catalogue;
mod document;
mod error;
mod key;
mod moment;
mod principal;
mod recipient;
mod role;
mod rules;
mod tenant;
#[cfg(test)]
mod tests;

pub use catalogue::{Catalogue, Misfit};
pub use document::{Digests, Document};
pub use error::{BrokenRule, BrokenRules, CatalogueError, CatalogueRule, DirectoryError, Rule, ShapeError, SignedFile, UnknownAuthor};
pub use key::DatedKey;
pub use principal::{Carrier, Principal, ReplyQueue, Tenants};
pub use recipient::{Recipient, RecipientError};
pub use role::Role;
pub use tenant::{Functions, Name, Tenant, Unit, UnitAffair};

use crate::{
    calendar::Timestamp,
    envelope::{Environment, VerificationKey, verify_detached},
    identifier::{BrokerName, Kid, PrincipalId, TenantCode},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The only format that this version reads.
pub const FORMAT: &str = "nakatsugi.directory/1";

/// The largest directory: with 1,788 tenants and their officials a real one has a few MiB.
pub const LARGEST: usize = 64 << 20;

/// Whom a directory is believed from, and for which environment.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    /// The authority's key.
    pub key: &'a VerificationKey,
    /// The daemon's environment.
    pub env: Environment,
}

/// A directory that was signed by the authority and keeps every rule. Made only by [`Directory::open`].
#[derive(Debug)]
pub struct Directory {
    version: u64,
    env: Environment,
    issued_at: Timestamp,
    files: Digests,
    digest: String,
    principals: BTreeMap<PrincipalId, Arc<Principal>>,
    tenants: BTreeMap<TenantCode, Tenant>,
    brokers: BTreeSet<BrokerName>,
    authors: HashMap<Kid, PrincipalId>,
    relay: Principal,
    catalogue: Catalogue,
}

impl Directory {
    /// Verifies, reads and checks a directory and the catalogue that was signed with it.
    ///
    /// # Errors
    /// [`DirectoryError`]: the signature first, then shape, environment, catalogue and rules.
    ///
    /// # Security
    /// Not one byte is parsed before the signature holds. An older directory with a good signature is still a good
    /// directory here: who replaces one asks [`Directory::succeeds`].
    pub fn open(bytes: &[u8], signature: &str, catalogue: &[u8], authority: Authority<'_>) -> Result<Self, DirectoryError> {
        if bytes.len() > LARGEST || catalogue.len() > LARGEST {
            return Err(DirectoryError::TooLarge);
        }
        verify_detached(bytes, signature, authority.key).map_err(|_| DirectoryError::Signature)?;
        let document = Document::parse(bytes)?;
        if document.env != authority.env {
            return Err(DirectoryError::Environment { expected: authority.env, found: document.env });
        }
        document.files.vouch(SignedFile::Catalogue, catalogue)?;
        let catalogue = Catalogue::parse(catalogue)?;
        document.check(&catalogue)?;
        Self::index(document, document::digest(bytes), catalogue)
    }

    fn index(document: Document, digest: String, catalogue: Catalogue) -> Result<Self, DirectoryError> {
        let brokers = document.brokers().into_iter().cloned().collect();
        let authors = document
            .principals
            .iter()
            .flat_map(|principal| principal.signing.iter().map(|dated| (dated.key.kid().clone(), principal.id.clone())))
            .collect();
        let none = || BrokenRule { path: "principals".to_owned(), rule: Rule::Relays(0) };
        let relay = document.principals.iter().find(|principal| principal.role == Role::Relay).cloned();
        Ok(Self {
            version: document.version,
            env: document.env,
            issued_at: document.issued_at,
            files: document.files,
            digest,
            principals: document.principals.into_iter().map(|principal| (principal.id.clone(), Arc::new(principal))).collect(),
            tenants: document.tenants.into_iter().map(|tenant| (tenant.code, tenant)).collect(),
            brokers,
            authors,
            relay: relay.ok_or_else(|| DirectoryError::Rules(BrokenRules(vec![none()])))?,
            catalogue,
        })
    }

    /// The principal whose signing key this is, and the key, if it counts at that time.
    ///
    /// # Errors
    /// [`UnknownAuthor`] says why not.
    pub fn author(&self, kid: &Kid, at: Timestamp) -> Result<(&Arc<Principal>, &VerificationKey), UnknownAuthor> {
        let principal = self.authors.get(kid).and_then(|id| self.principals.get(id)).ok_or(UnknownAuthor::Unknown)?;
        let dated = principal.signing.iter().find(|dated| dated.key.kid() == kid).ok_or(UnknownAuthor::Unknown)?;
        Ok((principal, dated.at(at)?))
    }

    /// The principal of this name.
    #[must_use]
    pub fn principal(&self, id: &PrincipalId) -> Option<&Principal> {
        self.principals.get(id).map(Arc::as_ref)
    }

    /// Every principal, in the order of their names.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.principals.values().map(Arc::as_ref)
    }

    /// The tenant of this code.
    #[must_use]
    pub fn tenant(&self, code: &TenantCode) -> Option<&Tenant> {
        self.tenants.get(code)
    }

    /// Every tenant, in the order of their codes.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// This relay.
    #[must_use]
    pub const fn relay(&self) -> &Principal {
        &self.relay
    }

    /// The catalogue that was signed with it.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Every broker that it names; each must stand in the configuration.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerName> {
        self.brokers.iter()
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Its environment.
    #[must_use]
    pub const fn env(&self) -> Environment {
        self.env
    }

    /// When it was signed.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Whether the file is the one that was signed with it.
    ///
    /// # Errors
    /// [`DirectoryError::Digest`] if not.
    pub fn vouches(&self, file: SignedFile, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.files.vouch(file, bytes)
    }

    /// Whether it may take the place of the one in use: it is newer, or it is the same.
    ///
    /// # Errors
    /// [`DirectoryError::Stale`]. SECURITY: an old directory would bring revoked keys back.
    pub fn succeeds(&self, current: &Self) -> Result<(), DirectoryError> {
        if self.version > current.version || (self.version == current.version && self.digest == current.digest) {
            return Ok(());
        }
        Err(DirectoryError::Stale { current: current.version, found: self.version })
    }
}
