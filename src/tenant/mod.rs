//! The tenant's scope: the proof that a message may touch one vault, and no other.

mod permit;

pub use permit::Permit;
