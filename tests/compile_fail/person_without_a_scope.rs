// expect: E0599 no method named `person` found for struct `Unscoped
// A name leads nowhere without a scope.
use nakatsugi::{
    identifier::PersonName,
    record::PersonId,
    relay::ports::{Vault, VaultFault, Vaults as _},
    tenant::Permit,
    vault::Vaults,
};
pub async fn person(vaults: &Vaults, permit: &Permit, name: &PersonName) -> Result<Option<PersonId>, VaultFault> {
    vaults.open(permit).await?.person(name)
}
pub fn is_a_vault<V: Vault>(_: &V) {}
