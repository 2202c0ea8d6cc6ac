// expect: E0061 this method takes 1 argument but 2 arguments were supplied
// No read takes a tenant as an argument.
use nakatsugi::{
    identifier::TenantCode,
    record::{PersonNeed, View},
    relay::ports::{Vault, VaultFault},
    tenant::TenantScope,
};
pub fn read<V: Vault>(scope: &TenantScope<V>, tenant: TenantCode, needs: &[PersonNeed]) -> Result<View, VaultFault> {
    scope.vault().view(tenant, needs)
}
