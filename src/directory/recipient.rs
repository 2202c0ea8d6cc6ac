//! Whom a tenant's content may be handed to as a whole: a municipal system of that tenant, and nobody else.
//!
//! SECURITY: only a directory makes one, and only its authority signs directories; so an operator who exports a tenant cannot
//! choose a key of his own.

use super::{Directory, Role};
use crate::{
    calendar::Timestamp,
    envelope::EncryptionKey,
    identifier::{PrincipalId, TenantCode},
};
use thiserror::Error;

/// Why a principal is no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecipientError {
    /// The directory has no such principal.
    #[error("it does not stand in the directory")]
    Unknown,
    /// It is no municipal system.
    #[error("it is no municipal system")]
    Role,
    /// It does not act for the tenant.
    #[error("it does not act for this tenant")]
    Tenant,
    /// It has no key that counts now.
    #[error("it has no encryption key that counts now")]
    NoKey,
}

/// A municipal system, its tenant, and the key to which that tenant's content may be encrypted.
#[derive(Debug, Clone)]
pub struct Recipient {
    id: PrincipalId,
    tenant: TenantCode,
    key: EncryptionKey,
}

impl Recipient {
    /// A principal of the directory as recipient of a tenant's content.
    ///
    /// # Errors
    /// [`RecipientError`].
    pub fn of(directory: &Directory, tenant: TenantCode, id: &PrincipalId, now: Timestamp) -> Result<Self, RecipientError> {
        let principal = directory.principal(id).ok_or(RecipientError::Unknown)?;
        if principal.role != Role::MunicipalSystem {
            return Err(RecipientError::Role);
        }
        if !principal.acts_for(&tenant) || directory.tenant(&tenant).is_none() {
            return Err(RecipientError::Tenant);
        }
        let key = principal.encryption_key(now).ok_or(RecipientError::NoKey)?.clone();
        Ok(Self { id: id.clone(), tenant, key })
    }

    /// Who.
    #[must_use]
    pub const fn id(&self) -> &PrincipalId {
        &self.id
    }

    /// Whose content.
    #[must_use]
    pub const fn tenant(&self) -> TenantCode {
        self.tenant
    }

    /// To which key.
    #[must_use]
    pub const fn key(&self) -> &EncryptionKey {
        &self.key
    }
}
