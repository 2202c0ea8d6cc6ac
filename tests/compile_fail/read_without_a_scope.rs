// expect: E0599 no method named `view` found
// The way reads through a scope; all vaults together cannot be read.
use nakatsugi::{
    record::{PersonNeed, View},
    relay::ports::{VaultFault, Vaults},
};
pub fn read<S: Vaults>(vaults: &S, needs: &[PersonNeed]) -> Result<View, VaultFault> {
    vaults.view(needs)
}
