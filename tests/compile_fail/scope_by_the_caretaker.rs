// expect: E0277 the trait bound `Caretaker: nakatsugi::relay::ports::Vault` is not satisfied
// The caretaker's handle is no vault of the way.
use nakatsugi::{relay::ports::Vault, vault::Caretaker};
pub fn read(vault: &impl Vault) {
    let _ = vault.floor();
}
pub fn care(vault: &Caretaker) {
    read(vault);
}
