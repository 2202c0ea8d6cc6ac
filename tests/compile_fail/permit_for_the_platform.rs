// expect: E0624 associated function `platform` is private
// Only the way itself opens the operator's own vault.
use nakatsugi::tenant::Permit;
pub fn permit() -> Permit {
    Permit::platform()
}
