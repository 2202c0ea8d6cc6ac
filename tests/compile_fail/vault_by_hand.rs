// expect: E0423 cannot initialize a tuple struct which contains private fields
// A handle that reads is not made of one that takes care.
use nakatsugi::vault::{Caretaker, DiskVault};
pub fn vault(care: Caretaker) -> DiskVault {
    DiskVault(care)
}
