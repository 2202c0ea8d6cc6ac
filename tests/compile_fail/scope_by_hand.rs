// expect: E0451 of struct `TenantScope` are private
// A scope comes from a permit only.
use nakatsugi::tenant::{Permit, TenantScope};
pub fn scope<V>(permit: Permit, vault: V) -> TenantScope<V> {
    TenantScope { permit, vault }
}
