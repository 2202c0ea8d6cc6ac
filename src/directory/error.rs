//! What can be wrong with a directory, and why an author is not known.
//!
//! Always: errors name the place (a JSON path) and the rule. SECURITY: nothing that stood under a `key` is repeated, for a
//! private key pasted into the directory would otherwise end in a log.

use super::Role;
use crate::{
    envelope::Environment,
    identifier::{Category, Kid, MessageType, PrincipalId, TenantCode},
};
use std::fmt;
use thiserror::Error;

/// Why a directory is not taken.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DirectoryError {
    /// The signature is not the authority's, or the file was changed after it was signed.
    #[error("the signature does not hold: the file was changed after signing, or another authority signed it")]
    Signature,
    /// Larger than anything the nation needs.
    #[error("the file is larger than {} MiB", super::LARGEST >> 20)]
    TooLarge,
    /// Not JSON of the right shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Another format.
    #[error("format: this is not a directory that this version reads; expected \"{}\"", super::FORMAT)]
    Format,
    /// Made for another environment.
    #[error("env: the directory is for {found}, this daemon is for {expected}")]
    Environment {
        /// The daemon's.
        expected: Environment,
        /// The directory's.
        found: Environment,
    },
    /// The content of a file is not the one that the directory was signed with.
    #[error("the {0} is not the one that this directory was signed with; restore it, or sign the directory again")]
    Digest(SignedFile),
    /// The catalogue is not of the right shape.
    #[error("catalogue: {0}")]
    Catalogue(#[from] CatalogueError),
    /// Rules are broken; every one of them is named.
    #[error("{0}")]
    Rules(BrokenRules),
    /// Older than the directory in use.
    #[error("version {found} is older than version {current}, which is in use, or changed without a new version")]
    Stale {
        /// The version in use.
        current: u64,
        /// The version offered.
        found: u64,
    },
    /// It could not be written as JSON, or signed.
    #[error("the directory could not be signed")]
    Sign,
}

/// Why a catalogue is not taken.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum CatalogueError {
    /// Not JSON of the right shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Another format.
    #[error("format: this is not a catalogue that this version reads; expected \"{}\"", super::catalogue::FORMAT)]
    Format,
    /// A category stands in it twice.
    #[error("categories: {0} stands here twice")]
    Repeated(Category),
    /// A layout contradicts itself.
    #[error("{path}: {rule}")]
    Rule {
        /// The JSON path.
        path: String,
        /// The rule.
        rule: CatalogueRule,
    },
}

/// The rules of a layout, named by how they are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CatalogueRule {
    /// A version stands once.
    #[error("another layout of this category has this version")]
    RepeatedLayout,
    /// A data set stands once.
    #[error("another data set of this layout has this code")]
    RepeatedDataSet,
    /// A data set is under one that stands before it.
    #[error("no data set with this code stands before it in this layout")]
    UnknownDataSet,
    /// An item stands once.
    #[error("another item of this data set has this code")]
    RepeatedItem,
    /// Depths do not jump.
    #[error("the first item is at most 1 deep, every other at most one deeper than the one before it, none deeper than 9")]
    Depth,
}

/// JSON that has not the right shape: where, and what was expected.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{path} (line {line}, column {column}): {expected}")]
pub struct ShapeError {
    /// The JSON path, for example `principals[2].signing[0].not_after`.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What was expected.
    pub expected: String,
}

impl ShapeError {
    pub(super) fn new(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path();
        let secret = path.iter().any(|part| matches!(part, serde_path_to_error::Segment::Map { key } if key == "key"));
        let inner = error.inner();
        let expected = match (secret, inner.classify()) {
            (true, serde_json::error::Category::Data) => "expected a public P-256 key as a JWK".to_owned(),
            _ => {
                let text = inner.to_string();
                text.rsplit_once(" at line ").map_or(text.clone(), |(text, _)| text.to_owned())
            }
        };
        Self { path: path.to_string(), line: inner.line(), column: inner.column(), expected }
    }
}

/// A file whose digest stands in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedFile {
    /// `catalogue.json`.
    Catalogue,
    /// `nakatsugi.toml`.
    Configuration,
}

impl SignedFile {
    /// Its name in errors and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for SignedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Every rule that a directory breaks; at least one.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenRules(pub Vec<BrokenRule>);

impl fmt::Display for BrokenRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, broken) in self.0.iter().enumerate() {
            write!(f, "{}{broken}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// A rule, and where it is broken.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{path}: {rule}")]
pub struct BrokenRule {
    /// The JSON path.
    pub path: String,
    /// The rule.
    pub rule: Rule,
}

/// The rules of a directory, named by how they are broken.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Rule {
    /// Ids are unique.
    #[error("another principal has the id {0}")]
    RepeatedPrincipal(PrincipalId),
    /// Codes are unique.
    #[error("another tenant has the code {0}")]
    RepeatedTenant(TenantCode),
    /// Key ids are unique in the whole directory.
    #[error("another key has the kid {0}")]
    RepeatedKid(Kid),
    /// A key serves one principal and one purpose.
    #[error("the same key stands under the kid {0}")]
    SharedKey(Kid),
    /// Unit ids are unique in a tenant.
    #[error("another unit of this tenant has this id")]
    RepeatedUnit,
    /// Trial and production never mix.
    #[error("env is {found}, the directory's is {expected}")]
    Environment {
        /// The directory's.
        expected: Environment,
        /// What stands here.
        found: Environment,
    },
    /// A validity is not empty.
    #[error("not_before must be earlier than not_after")]
    Validity,
    /// A revocation lies in the validity.
    #[error("revoked_at must lie between not_before and not_after")]
    Revocation,
    /// A window is not empty.
    #[error("from must not be later than until")]
    Window,
    /// There is one relay.
    #[error("exactly one principal has the role relay, found {0}")]
    Relays(usize),
    /// `may` stays within the role.
    #[error("a principal of the role {role} may not author {kind}")]
    BeyondRole {
        /// The role.
        role: Role,
        /// The type it must not author.
        kind: MessageType,
    },
    /// Only national principals act for all tenants.
    #[error("a principal of the role {0} must list its tenants")]
    AllTenants(Role),
    /// Somebody who acts for nobody is a mistake.
    #[error("at least one tenant must be listed")]
    NoTenants,
    /// Tenants stand in the directory.
    #[error("tenant {0} does not stand in this directory")]
    UnknownTenant(TenantCode),
    /// A principal can sign.
    #[error("at least one signing key is needed")]
    NoSigningKey,
    /// Who is answered can decrypt.
    #[error("who is answered needs an encryption key")]
    NoEncryptionKey,
    /// Who sends is carried.
    #[error("who sends to the relay needs a carrier")]
    NoCarrier,
    /// Who is answered reads a queue.
    #[error("who is answered needs a queue in replies")]
    NoReplyQueue,
    /// The relay is told through its own queues.
    #[error("the relay reads the queues of its topology; leave replies out")]
    RelayReplies,
    /// Categories stand in the catalogue.
    #[error("category {0} does not stand in the catalogue")]
    UnknownCategory(Category),
    /// A unit answers for what its tenant provides.
    #[error("category {0} is not among those that the tenant provides")]
    NotProvided(Category),
    /// Officials stand in the directory.
    #[error("{0} does not stand in this directory")]
    UnknownOfficial(PrincipalId),
    /// Officials have the role.
    #[error("{0} has not the role official")]
    NotAnOfficial(PrincipalId),
    /// Officials act for this tenant.
    #[error("{0} does not act for this tenant")]
    ElsewhereOfficial(PrincipalId),
}

/// Why a key names no author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnknownAuthor {
    /// No signing key has this kid.
    #[error("no signing key in the directory has this kid")]
    Unknown,
    /// The key counts later.
    #[error("the key is not yet valid")]
    NotYetValid,
    /// The key no longer counts.
    #[error("the key has expired")]
    Expired,
    /// The key was withdrawn.
    #[error("the key was revoked")]
    Revoked,
}
