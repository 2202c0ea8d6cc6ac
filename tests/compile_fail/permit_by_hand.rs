// expect: E0451 field `vault` of struct `Permit` is private
// Leave to open a vault comes from a proven message only.
use nakatsugi::{identifier::VaultName, tenant::Permit};
pub fn permit(vault: VaultName) -> Permit {
    Permit { vault }
}
