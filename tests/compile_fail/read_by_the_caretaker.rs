// expect: E0599 no method named `view` found for reference `&Caretaker`
// Who takes care of a vault cannot read in it.
use nakatsugi::{
    record::{PersonNeed, View},
    relay::ports::{Vault, VaultFault},
    vault::Caretaker,
};
pub fn read(vault: &Caretaker, needs: &[PersonNeed]) -> Result<View, VaultFault> {
    vault.view(needs)
}
pub fn is_a_vault<V: Vault>(_: &V) {}
