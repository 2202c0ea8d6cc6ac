// expect: E0616 field `vault` of struct `TenantScope` is private
// The vault in a scope cannot be exchanged for another.
use nakatsugi::tenant::TenantScope;
pub fn exchange<V>(scope: &mut TenantScope<V>, other: V) {
    scope.vault = other;
}
