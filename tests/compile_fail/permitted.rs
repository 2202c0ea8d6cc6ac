// expect: nothing
// The right way, by the same names: that it compiles shows that the others fail for their reason.
use nakatsugi::{
    broker::Published,
    envelope::Authentic,
    identifier::PersonCode,
    record::{FileContent, Inspected, Legibility, PersonNeed, View},
    relay::ports::{Ticket, Vault, VaultFault, Vaults},
    record::PersonId,
    tenant::{Permit, Route, ScopeError, TenantScope, Unscoped, Verified},
    identifier::VaultName,
    ledger::{Commitment, Sealing},
    vault::{Caretaker, DiskVault, FilterInstalled},
};
pub async fn read<S: Vaults>(vaults: &S, verified: &Verified, route: &Route, needs: &[PersonNeed]) -> Result<View, Wrong> {
    let permit = Permit::admit(verified, route).map_err(Wrong::Scope)?;
    let scope = TenantScope::open(permit, vaults).await.map_err(Wrong::Vault)?;
    scope.vault().view(needs).map_err(Wrong::Vault)
}
pub enum Wrong {
    Scope(ScopeError),
    Vault(VaultFault),
}
pub fn settle<T: Ticket>(ticket: T) {
    ticket.ack();
}
pub type Proofs = (Published, Authentic, FilterInstalled, PersonCode, FileContent, Inspected, Legibility);
pub async fn resume(vaults: &nakatsugi::vault::Vaults, name: VaultName) -> Result<Caretaker, VaultFault> {
    vaults.resume(name).await
}
pub fn entry(scope: &TenantScope<DiskVault>) -> Result<Option<(Commitment, Sealing)>, VaultFault> {
    scope.vault().entry(0)
}
pub fn person(scope: &TenantScope<DiskVault>, name: &nakatsugi::identifier::PersonName) -> Result<Option<PersonId>, VaultFault> {
    scope.vault().person(name)
}
pub async fn open(vaults: &nakatsugi::vault::Vaults, permit: &Permit) -> Result<Unscoped<DiskVault>, VaultFault> {
    vaults.open(permit).await
}
