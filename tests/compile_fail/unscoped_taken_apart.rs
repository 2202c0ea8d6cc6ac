// expect: E0616 field `0` of struct `Unscoped` is private
// What a permit opened cannot be taken out by hand.
use nakatsugi::{tenant::Unscoped, vault::DiskVault};
pub fn vault(opened: Unscoped<DiskVault>) -> DiskVault {
    opened.0
}
