//! A message whose author and claims are proven.
//!
//! Always: the signature held under a key of the directory, `kid` names the author, `iss` equals it, the recipient is this
//! relay, and the environment agrees. Absent: whether the author may ask this, and of which tenant: see [`super::admit`].

use crate::{
    calendar::Timestamp,
    directory::{Directory, Principal, UnknownAuthor},
    envelope::{Authentic, Claims, Decrypted, EnvelopeError, Limits},
    identifier::{MessageId, MessageType, TenantCode},
};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};
use thiserror::Error;

/// How far ahead of our clock `iat` may lie, in seconds.
const CLOCK_SKEW: i64 = 5 * 60;

/// Why a decrypted message proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The envelope's own rules.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signing key is not in the directory, or not valid now.
    #[error(transparent)]
    Author(#[from] UnknownAuthor),
    /// `iss` is not the principal whose key signed.
    #[error("the issuer is not the owner of the signing key")]
    Issuer,
    /// `aud` is not this relay.
    #[error("the message is for somebody else")]
    Recipient,
    /// `env` is not this relay's.
    #[error("the message belongs to another environment")]
    Environment,
    /// `iat` lies more than 5 minutes ahead.
    #[error("the message was issued in the future")]
    IssuedAhead,
    /// `exp` lies further after `iat` than its type allows, or not after it.
    #[error("the message is valid for too long, or for no time")]
    Lifetime,
    /// A claim that only replies carry.
    #[error("the message claims to be a reply")]
    NotACommand,
}

/// A message whose author is proven. Only [`Verified::verify`] makes one.
pub struct Verified {
    directory: Arc<Directory>,
    author: Arc<Principal>,
    digest: [u8; 32],
    id: MessageId,
    kind: MessageType,
    tenant: TenantCode,
    issued: Timestamp,
    expires: Timestamp,
    body: Box<RawValue>,
}

impl fmt::Debug for Verified {
    /// SECURITY: without the body, which names a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} {} for {})", self.kind, self.id, self.tenant)
    }
}

impl Verified {
    /// Proves author and claims of a decrypted message, under one snapshot of the directory.
    ///
    /// # Errors
    /// [`VerifyError`]: nothing is proven, nobody is answered.
    pub fn verify(decrypted: Decrypted, directory: Arc<Directory>, limits: &Limits, now: Timestamp) -> Result<Self, VerifyError> {
        let (author, key) = directory.author(decrypted.kid(), now)?;
        let author = Arc::clone(author);
        let authentic: Authentic = decrypted.verify(key, limits)?;
        let claims: Claims<'_> = authentic.claims()?;
        if claims.iss != author.id {
            return Err(VerifyError::Issuer);
        }
        if claims.aud != directory.relay().id {
            return Err(VerifyError::Recipient);
        }
        if claims.env != directory.env() {
            return Err(VerifyError::Environment);
        }
        if claims.re.is_some() || claims.promise.is_some() || claims.kind.class().is_none() {
            return Err(VerifyError::NotACommand);
        }
        if claims.iat > now.plus_seconds(CLOCK_SKEW) {
            return Err(VerifyError::IssuedAhead);
        }
        if claims.exp <= claims.iat || claims.exp > claims.iat.plus_seconds(lifetime(claims.kind)) {
            return Err(VerifyError::Lifetime);
        }
        Ok(Self {
            digest: *authentic.digest(),
            id: claims.jti,
            kind: claims.kind,
            tenant: claims.tenant,
            issued: claims.iat,
            expires: claims.exp,
            body: claims.body.to_owned(),
            author,
            directory,
        })
    }

    /// The snapshot of the directory that serves this message from here to the end.
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Who signed it.
    #[must_use]
    pub fn author(&self) -> &Principal {
        &self.author
    }

    /// SHA-256 of the JWS payload.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// The tenant it claims to be for.
    #[must_use]
    pub const fn tenant(&self) -> TenantCode {
        self.tenant
    }

    /// When it was issued.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// After this it is of no use to its author.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// What it asks; still raw.
    #[must_use]
    pub fn body(&self) -> &RawValue {
        &self.body
    }
}

/// How long a message of this type may be valid, in seconds: what bounds the memory of ids.
#[must_use]
pub const fn lifetime(kind: MessageType) -> i64 {
    match kind {
        MessageType::SelfInfoRequest | MessageType::SelfInfoReply => 60 * 60,
        MessageType::RecordPut
        | MessageType::RecordDelete
        | MessageType::AttachmentPut
        | MessageType::AttachmentDelete
        | MessageType::RecordReply
        | MessageType::PersonLink
        | MessageType::PersonRestrict
        | MessageType::PersonErase
        | MessageType::PersonReply => 14 * 24 * 60 * 60,
    }
}
