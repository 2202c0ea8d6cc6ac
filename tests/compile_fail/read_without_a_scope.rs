// expect: E0599 no method named `view` found for struct `Unscoped
// A permit opens a vault, and a scope alone takes it out and reads.
use nakatsugi::{
    record::{PersonNeed, View},
    relay::ports::{Vault, VaultFault, Vaults as _},
    tenant::Permit,
    vault::Vaults,
};
pub async fn read(vaults: &Vaults, permit: &Permit, needs: &[PersonNeed]) -> Result<View, VaultFault> {
    vaults.open(permit).await?.view(needs)
}
pub fn is_a_vault<V: Vault>(_: &V) {}
