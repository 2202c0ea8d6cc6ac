//! From a decrypted message to the one vault it may touch.
//!
//! Always: [`Verified`] proves the author, [`Permit`] that the tenant agrees in all four places, [`TenantScope`] holds the
//! one vault that the permit opened and is the only way to it; each is made only from the one before. Absent: any way to name a tenant when reading.

mod permit;
mod scope;
mod verified;

pub use permit::{Copied, EXCHANGE_IN, Permit, Route, ScopeError};
pub use scope::{TenantScope, Unscoped};
pub use verified::{Verified, VerifyError, lifetime};
