//! Secret bytes that are wiped when they are dropped.
//!
//! Always: everything that was ever allocated is wiped, spare room included; as one block, for `Zeroizing<Vec<u8>>` goes byte
//! by byte (zeroize 1.9), which took 6 % of a request. Absent: wiping what a growing vector leaves behind; whoever fills one
//! reserves first.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};
use zeroize::Zeroize as _;

/// Secret bytes.
#[derive(Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// None yet, and room for this many.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.spare_capacity_mut().zeroize();
        self.0.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}
