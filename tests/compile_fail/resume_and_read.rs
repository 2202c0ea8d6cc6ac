// expect: E0308 mismatched types
// Opened for maintenance, a vault is not open for reading.
use nakatsugi::{
    identifier::VaultName,
    relay::ports::VaultFault,
    vault::{DiskVault, Vaults},
};
pub async fn resume(vaults: &Vaults, name: VaultName) -> Result<DiskVault, VaultFault> {
    vaults.resume(name).await
}
