//! Leave to open one vault.

use crate::identifier::VaultName;

/// Leave to open exactly one vault. Made only by [`super::admit`] and, for the operator's own, [`Permit::platform`].
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    vault: VaultName,
}

impl Permit {
    /// Which vault.
    #[must_use]
    pub const fn vault(&self) -> VaultName {
        self.vault
    }

    /// Leave to open the platform vault, which holds no tenant's data.
    #[must_use]
    pub const fn platform() -> Self {
        Self { vault: VaultName::Platform }
    }
}
