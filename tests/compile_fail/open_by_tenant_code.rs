// expect: E0308 mismatched types
// Vaults are opened by a permit, never by naming a tenant.
use nakatsugi::{
    identifier::TenantCode,
    relay::ports::{VaultFault, Vaults},
    tenant::Unscoped,
};
pub async fn open<S: Vaults>(vaults: &S, tenant: &TenantCode) -> Result<Unscoped<S::Vault>, VaultFault> {
    vaults.open(tenant).await
}
