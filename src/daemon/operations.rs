//! What an operator asks for, and what the daemon does by itself in its place: rotation of keys, removal of tenants.
//!
//! Always: the same operations with and without a running daemon; each is entered into the platform vault before it begins, goes
//! on where it was if it is asked for again, and says of each vault what became of it. Absent: how an operator reaches it.

use super::{Registrar, SystemClock};
use crate::{
    calendar::Timestamp,
    config::{self, ConfigError, Configuration},
    identifier::{TenantCode, VaultName},
    keyring::RootKey,
    ledger::Deed,
    relay::ports::{Clock as _, VaultFault},
    vault::{CarriedOver, CarryError, Removed, Vaults},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often the daemon looks whether a key is to be replaced.
const LOOK_EVERY: Duration = Duration::from_secs(120);
/// How long it leaves a vault alone whose carry-over failed.
const RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// What an operator can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Replace the data keys of tenants, and destroy the old ones.
    RotateKeys {
        /// Of which; of all vaults if none is named.
        tenants: Option<Vec<TenantCode>>,
        /// Whose.
        which: Which,
    },
    /// Wrap every keyring under the root key that lies beside the one in use.
    RotateRoot,
    /// Destroy the keyring of a tenant and remove its vault.
    RemoveTenant {
        /// Which.
        tenant: TenantCode,
    },
}

/// Whose data keys are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// Those that have sealed as long as the configuration allows, and those whose replacement was begun.
    Due,
    /// All.
    All,
}

/// What became of one vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which.
    pub vault: String,
    /// What.
    pub words: String,
    /// Whether it was done.
    pub done: bool,
}

/// Does what an operator asks for.
#[derive(Debug)]
pub struct Operations {
    vaults: Vaults,
    registrar: Registrar,
    /// Where the root key lies.
    root: Box<Path>,
    /// How long a data key seals.
    key_life: Duration,
}

/// Where the root key lies that is to take over.
#[must_use]
pub fn next_root(root: &Path) -> Box<Path> {
    let mut next = root.as_os_str().to_owned();
    next.push(".next");
    Path::new(&next).into()
}

/// Lets vaults open under the root key that is to take over, if there is one.
///
/// # Errors
/// [`ConfigError`] if it is not a root key that only its user can read.
pub fn take_up_next_root(vaults: &Vaults, root: &Path) -> Result<(), ConfigError> {
    let next = next_root(root);
    if next.exists() {
        vaults.take_up_root(RootKey::from_bytes(*config::read_root_key(&next)?));
    }
    Ok(())
}

impl Operations {
    /// Operations on these vaults.
    #[must_use]
    pub fn new(vaults: Vaults, registrar: Registrar, configuration: &Configuration) -> Self {
        Self { vaults, registrar, root: configuration.keys.root.clone().into(), key_life: configuration.times.key }
    }

    /// Does it, and says of each vault what became of it.
    ///
    /// # Errors
    /// [`VaultFault`] if it cannot be entered into the platform vault; then nothing is done.
    pub async fn perform(&self, operator: u32, request: &Request, mut say: impl FnMut(Report)) -> Result<(), VaultFault> {
        // Names of commands, tenants and options only: always JSON.
        self.registrar.operation(operator, serde_json::to_string(request).unwrap_or_default()).await?;
        match request {
            Request::RotateKeys { tenants, which } => {
                for name in self.named(tenants.as_deref()) {
                    if *which == Which::All || self.is_due(name, SystemClock.now()) {
                        say(self.rotate(name).await.report(name));
                    }
                }
            }
            Request::RotateRoot => self.rotate_root(&mut say).await,
            Request::RemoveTenant { tenant } => {
                let name = VaultName::Tenant(*tenant);
                say(self.remove(name).await.report(name));
            }
        }
        Ok(())
    }

    fn named(&self, tenants: Option<&[TenantCode]>) -> Vec<VaultName> {
        match tenants {
            Some(tenants) => tenants.iter().copied().map(VaultName::Tenant).collect(),
            None => self.vaults.names().unwrap_or_default(),
        }
    }

    /// Whether the data key of a vault is to be replaced, or something about it is unfinished.
    fn is_due(&self, name: VaultName, now: Timestamp) -> bool {
        let life = i64::try_from(self.key_life.as_secs()).unwrap_or(i64::MAX);
        self.vaults.key_standing(name).is_some_and(|standing| {
            standing.unfinished || standing.since.is_some_and(|since| since.seconds().saturating_add(life) <= now.seconds())
        })
    }

    /// Replaces the data key of a vault, and records that the old one is destroyed.
    async fn rotate(&self, name: VaultName) -> Result<String, CarryError> {
        let vault = self.vaults.resume(name).await?;
        let CarriedOver { epoch, rows } = vault.carry_over(SystemClock.now()).await?;
        self.registrar.destroyed_key(&vault).await?;
        Ok(format!("data key {epoch} seals, {rows} rows are carried over, the key before is destroyed"))
    }

    /// What is to be done without having been asked for.
    async fn look(&self, failed: &mut HashMap<VaultName, Instant>) {
        // What cannot be entered now is tried again the next time.
        let _ = self.registrar.removals().await;
        for vault in self.vaults.open_vaults() {
            vault.keys_since(SystemClock.now());
        }
        for name in self.vaults.names().unwrap_or_default() {
            let left_alone = failed.get(&name).is_some_and(|since| since.elapsed() < RETRY_AFTER);
            if left_alone || !self.is_due(name, SystemClock.now()) {
                continue;
            }
            // A vault that does not open has said so itself.
            let Ok(vault) = self.vaults.resume(name).await else { continue };
            let recorded = vault.is_carrying() || self.registrar.destroyed_key(&vault).await.is_ok();
            let done = if self.is_due(name, SystemClock.now()) { self.rotate(name).await.is_ok() } else { recorded };
            if done {
                failed.remove(&name);
            } else {
                failed.insert(name, Instant::now());
            }
        }
    }

    /// Looks from time to time, for ever.
    pub(super) async fn keep(&self) {
        let mut failed = HashMap::new();
        loop {
            self.look(&mut failed).await;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Wraps every keyring under the next root key, then puts that in the place of the one in use.
    async fn rotate_root(&self, say: &mut impl FnMut(Report)) {
        let next = next_root(&self.root);
        let site = |words: String, done| Report { vault: "root key".to_owned(), words, done };
        if let Err(error) = take_up_next_root(&self.vaults, &self.root) {
            return say(site(error.to_string(), false));
        }
        if !next.exists() {
            return say(site(format!("{} is not there", next.display()), false));
        }
        let mut whole = true;
        for name in self.vaults.names().unwrap_or_default() {
            let wrapped = self.vaults.wrap_again(name).await.map(|()| "wrapped under the new root key".to_owned());
            whole &= wrapped.is_ok();
            say(wrapped.report(name));
        }
        if !whole {
            return say(site("not every keyring is wrapped anew; both root keys stay until it is asked for again".to_owned(), false));
        }
        match put_in_place(&next, &self.root) {
            Ok(()) => {
                self.vaults.only_newest_root();
                say(site("the new one is in its place, the old one is destroyed".to_owned(), true));
            }
            Err(error) => say(site(error.to_string(), false)),
        }
    }

    async fn remove(&self, name: VaultName) -> Result<String, CarryError> {
        let removed = Removed::of(&self.vaults.resume(name).await?);
        self.registrar.removal(Deed::TenantOutOfService, &removed).await?;
        self.vaults.remove(name).await.map_err(|error| CarryError::Io(io::Error::other(error)))?;
        self.registrar.removals().await?;
        Ok("its keyring is destroyed, its vault is removed".to_owned())
    }
}

/// Replaces a secret file by another that lies beside it, and overwrites what was there.
fn put_in_place(next: &Path, place: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let before = File::options().write(true).open(place)?;
    fs::rename(next, place)?;
    File::open(place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    let length = usize::try_from(before.metadata()?.len()).unwrap_or_default();
    before.write_all_at(&vec![0; length], 0)?;
    before.sync_all()
}

trait IntoReport {
    fn report(self, name: VaultName) -> Report;
}

impl IntoReport for Result<String, CarryError> {
    fn report(self, name: VaultName) -> Report {
        let (words, done) = match self {
            Ok(words) => (words, true),
            Err(error) => (error.to_string(), false),
        };
        Report { vault: name.to_string(), words, done }
    }
}
