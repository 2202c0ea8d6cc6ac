// expect: E0308 mismatched types
// What was only decrypted is no proven message.
use nakatsugi::{
    envelope::Decrypted,
    tenant::{Permit, Route, ScopeError},
};
pub fn admit(decrypted: &Decrypted, route: &Route) -> Result<Permit, ScopeError> {
    Permit::admit(decrypted, route)
}
