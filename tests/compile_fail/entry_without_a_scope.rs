// expect: E0599 no method named `entry` found for struct `Unscoped
// An entry of the ledger is opened by a scope alone.
use nakatsugi::{
    ledger::{Commitment, Sealing},
    relay::ports::{VaultFault, Vaults as _},
    tenant::Permit,
    vault::Vaults,
};
pub async fn entry(vaults: &Vaults, permit: &Permit) -> Result<Option<(Commitment, Sealing)>, VaultFault> {
    vaults.open(permit).await?.entry(0)
}
