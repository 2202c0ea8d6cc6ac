//! What an entry says: who asked what, on which ground, and what came of it, with the true cause. Content never.
//!
//! SECURITY: the true cause of `nothing-to-show` stands here only; no log, metric or reply may tell the causes apart.

use crate::{
    calendar::Timestamp,
    identifier::{Category, MessageId, MessageType, PrincipalId},
    record::{FileDigest, PersonId},
};
use serde::{Deserialize, Serialize};

/// One entry, as JSON in the sealed store beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was handled, by this relay's clock, in milliseconds.
    pub at: i64,
    /// Who asked.
    pub author: PrincipalId,
    /// The author's role in the directory.
    pub role: String,
    /// The asking message.
    pub message: MessageId,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// SHA-256 of its JWS payload, in hexadecimal.
    pub asked: String,
    /// How and when the person was authenticated, where the author says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<(String, Timestamp)>,
    /// The law that allows it.
    pub basis: LegalBasis,
    /// Whom it concerns; ids mean nothing outside this vault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<PersonId>,
    /// What came of each category.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryOutcome>,
    /// Which officials vouch for which files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declarations: Vec<Declared>,
    /// What came of the whole.
    pub verdict: Verdict,
    /// SHA-256 of the reply's claims without the promise, in hexadecimal.
    pub sent: String,
}

/// What a stranger tried: an entry of the platform vault about a message that proved nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stranger {
    /// When it came, by this relay's clock, in milliseconds.
    pub at: i64,
    /// Why it is not believed; a stable code.
    pub reason: String,
    /// SHA-256 of its body, in hexadecimal.
    pub body: String,
    /// The broker that delivered it.
    pub broker: String,
    /// The AMQP user that brought it, as that broker checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
}

/// That something can no longer be recovered: an entry of the vault that it was in, or of the platform vault when the whole
/// vault is gone. That it went out of service stands in an entry before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// When it was recorded, by this relay's clock, in milliseconds.
    pub at: i64,
    /// The vault.
    pub vault: String,
    /// What was done.
    pub deed: Deed,
    /// The version of the newest data key that was destroyed.
    pub key: u32,
    /// How many entries the vault's ledger had then: what those before this took out of service is beyond recovery.
    pub entries: u64,
}

/// A deletion with the relay's signature: a detached JWS of the type `nakatsugi-record+jws` over the deletion's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDeletion {
    /// What was deleted.
    pub deletion: Deletion,
    /// Its signature.
    pub signature: String,
}

/// What was done to a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A data key was destroyed, after all that lives was sealed under another.
    KeyDestroyed,
    /// A tenant was taken out of service for good.
    TenantOutOfService,
    /// A tenant's keyring was destroyed, with all that was sealed under it.
    KeyringDestroyed,
}

/// What an operator did: an entry of the platform vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When, by this relay's clock, in milliseconds.
    pub at: i64,
    /// The system's number of the user who asked for it.
    pub operator: u32,
    /// The command, as it was asked for.
    pub command: String,
}

/// What came of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryOutcome {
    /// Which.
    pub category: Category,
    /// The true cause of what was answered.
    pub cause: Cause,
    /// How many records were provided or changed.
    pub records: u32,
    /// How many attachments were provided or changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments: u32,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An official vouches for a file that no machine can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Who.
    pub official: PrincipalId,
    /// In which category it is attached.
    pub category: Category,
    /// SHA-256 of the file.
    pub sha256: FileDigest,
}

/// The true cause of what was answered for a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Records were provided.
    Provided,
    /// Nobody here has this code.
    UnknownPerson,
    /// Nothing is held.
    NoRecord,
    /// Records are held, none of them in its publication window.
    OutsideWindow,
    /// It is not to be provided, whether something is held or not.
    Withheld,
    /// Its provision is suspended, whether something is held or not.
    Suspended,
    /// The person's code was linked anew, and the tenant has not confirmed it.
    Unconfirmed,
    /// It waits for an official.
    Pending,
    /// The tenant does not provide this category.
    NotPermitted,
    /// The reply would have exceeded the envelope.
    TooLarge,
    /// Copies were registered or removed.
    Changed,
}

/// The legal basis of a message (番号法 附則6条).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegalBasis {
    /// Self-information display: 附則6条3項, 4項1号.
    SelfInformation,
    /// Keeping the copies that information linkage needs: 番号法 art. 22.
    RegisteredCopies,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Answered.
    Answered,
    /// Denied; the code stands in the reply.
    Denied,
}
