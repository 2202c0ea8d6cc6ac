// expect: E0277 the trait bound `DiskVault: Clone` is not satisfied
// A vault does not leave its scope: there is no second one of it.
use nakatsugi::{tenant::TenantScope, vault::DiskVault};
pub fn another<V: Clone>(vault: &V) -> V {
    vault.clone()
}
pub fn vault(scope: &TenantScope<DiskVault>) -> DiskVault {
    another(scope.vault())
}
