//! One tenant's vault, opened by a permit.

use super::Permit;
use crate::{
    identifier::VaultName,
    relay::ports::{VaultFault, Vaults},
};

/// A vault that a permit opened, on its way into a scope: nobody else can take it out.
#[derive(Debug)]
pub struct Unscoped<V>(V);

impl<V> Unscoped<V> {
    /// Hands over a vault that was opened.
    pub const fn of(vault: V) -> Self {
        Self(vault)
    }
}

/// The one vault that a message may touch. Nothing reads without one.
///
/// ```compile_fail
/// // There is no way to a scope but through a permit, and no way to a permit but through a proven message.
/// use nakatsugi::{identifier::VaultName, tenant::Permit};
/// let permit = Permit { vault: VaultName::Tenant("142051".parse().unwrap()) };
/// ```
#[derive(Debug)]
pub struct TenantScope<V> {
    permit: Permit,
    vault: V,
}

impl<V> TenantScope<V> {
    /// Opens the vault that the permit names.
    ///
    /// # Errors
    /// [`VaultFault`]: the vault is missing, locked or stopped; the message waits.
    pub async fn open<S: Vaults<Vault = V>>(permit: Permit, vaults: &S) -> Result<Self, VaultFault> {
        let Unscoped(vault) = vaults.open(&permit).await?;
        Ok(Self { permit, vault })
    }

    /// The vault.
    #[must_use]
    pub const fn vault(&self) -> &V {
        &self.vault
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> VaultName {
        self.permit.vault()
    }
}
