//! The registrar: enters into ledgers what no message asked for.
//!
//! Always: what is entered is in effect already, and is entered once; what could not be entered is tried again. Absent: doing it.

use super::{SystemClock, SystemEntropy};
use crate::{
    envelope::SigningKey,
    identifier::{PrincipalId, VaultName},
    ledger::{Deed, Deletion, Operation, Salt},
    relay::{
        deletion_frame, operation_frame,
        ports::{Clock as _, Entropy as _, Frame, StopCause, Vault as _, VaultFault},
    },
    tenant::{Permit, TenantScope},
    vault::{Caretaker, Removed, Vaults},
};

/// Enters what no message asked for.
#[derive(Debug)]
pub struct Registrar {
    vaults: Vaults,
    relay: PrincipalId,
    signing: SigningKey,
    entropy: SystemEntropy,
}

impl Registrar {
    /// Enters in the name of this relay, signed with its key.
    #[must_use]
    pub const fn new(vaults: Vaults, relay: PrincipalId, signing: SigningKey, entropy: SystemEntropy) -> Self {
        Self { vaults, relay, signing, entropy }
    }

    /// Enters what an operator did into the platform vault.
    ///
    /// # Errors
    /// [`VaultFault`]: then it must not be done.
    pub async fn operation(&self, operator: u32, command: String) -> Result<(), VaultFault> {
        let now = SystemClock.now();
        let operation = Operation { at: now.millis(), operator, command };
        let frame = operation_frame(&self.relay, &operation, Salt(self.entropy.bytes()), now);
        self.enter(VaultName::Platform, frame).await
    }

    /// Enters the key of a vault that was destroyed and is not recorded yet, if there is one.
    ///
    /// # Errors
    /// [`VaultFault`]; it stays unrecorded.
    pub async fn destroyed_key(&self, vault: &Caretaker) -> Result<(), VaultFault> {
        let fault = |_| VaultFault::Stopped(StopCause::Ledger);
        let Some(destroyed) = vault.unrecorded().map_err(fault)? else { return Ok(()) };
        let name = vault.name();
        self.deletion(name, name.to_string(), Deed::KeyDestroyed, destroyed.version.0, destroyed.entries).await?;
        vault.recorded().map_err(fault)
    }

    /// Enters into the platform vault what is done to a tenant's vault as a whole.
    ///
    /// # Errors
    /// [`VaultFault`].
    pub async fn removal(&self, deed: Deed, removed: &Removed) -> Result<(), VaultFault> {
        self.deletion(VaultName::Platform, removed.vault.clone(), deed, removed.key, removed.entries).await
    }

    /// Enters the removals that are not recorded yet.
    ///
    /// # Errors
    /// [`VaultFault`]; they stay unrecorded.
    pub async fn removals(&self) -> Result<(), VaultFault> {
        let fault = |_| VaultFault::Stopped(StopCause::Ledger);
        for removed in self.vaults.removed().map_err(fault)? {
            self.removal(Deed::KeyringDestroyed, &removed).await?;
            self.vaults.removal_recorded(&removed).map_err(fault)?;
        }
        Ok(())
    }

    async fn deletion(&self, place: VaultName, vault: String, deed: Deed, key: u32, entries: u64) -> Result<(), VaultFault> {
        let now = SystemClock.now();
        let deletion = Deletion { at: now.millis(), vault, deed, key, entries };
        let frame = deletion_frame(&self.relay, deletion, &self.signing, Salt(self.entropy.bytes()), now);
        self.enter(place, frame.map_err(|_| VaultFault::Stopped(StopCause::Ledger))?).await
    }

    async fn enter(&self, place: VaultName, frame: Frame) -> Result<(), VaultFault> {
        let scope = TenantScope::open(Permit::own(place), &self.vaults).await?;
        if scope.vault().recall(&frame.message)?.is_none() {
            scope.vault().commit(frame).await?;
        }
        Ok(())
    }
}
