//! `nakatsugi ledger`: what outsiders need to check the ledgers.
//!
//! Always: nothing secret is printed and no entry opened. Absent: showing and proving entries.

use super::{CliError, Outside};
use crate::{
    config::{Configuration, read_root_key},
    identifier::{TenantCode, VaultName},
    keyring::RootKey,
    vault::head_key,
};
use clap::Subcommand;
use std::path::Path;

/// The ledgers of the vaults.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the keys under which tree heads are signed, for those who verify them.
    #[command(
        after_help = "Example:\n  nakatsugi ledger key 142051\n\nOne line for each vault (C2SP signed-note); hand it to witnesses and auditors."
    )]
    Key {
        /// The tenants; the operator's own vault too if none is given.
        tenants: Vec<TenantCode>,
    },
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    match command {
        Command::Key { tenants } => keys(&configuration, tenants, outside),
    }
}

fn keys(configuration: &Configuration, tenants: &[TenantCode], outside: &mut Outside<'_>) -> Result<(), CliError> {
    let root = RootKey::from_bytes(*read_root_key(&configuration.keys.root)?);
    let (folder, environment) = (configuration.data.join("vaults"), configuration.env.to_string());
    let mut names: Vec<_> = tenants.iter().copied().map(VaultName::Tenant).collect();
    if names.is_empty() {
        let all = configuration.open_directory()?.tenants().map(|tenant| VaultName::Tenant(tenant.code)).collect::<Vec<_>>();
        let made = |name: &VaultName| folder.join(name.to_string()).exists();
        names.extend([VaultName::Platform].into_iter().chain(all).filter(made));
    }
    for vault in names {
        let key = head_key(&folder, vault, &root, &environment).map_err(|flaw| CliError::Flaw { vault, flaw })?;
        writeln!(outside.out, "{}", key.published())?;
    }
    Ok(())
}
