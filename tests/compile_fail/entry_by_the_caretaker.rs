// expect: E0599 no method named `entry` found for reference `&Caretaker`
// Who takes care of a vault cannot open an entry of its ledger.
use nakatsugi::{
    ledger::{Commitment, Sealing},
    relay::ports::VaultFault,
    vault::Caretaker,
};
pub fn entry(vault: &Caretaker) -> Result<Option<(Commitment, Sealing)>, VaultFault> {
    vault.entry(0)
}
