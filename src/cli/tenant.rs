//! `nakatsugi tenant`: the vaults of the tenants that stand in the directory.
//!
//! Always: a vault is made for a tenant of the signed directory only. Absent: entering a tenant into the directory; that is
//! the authority's.

use super::{CliError, Outside, operate, vaults};
use crate::{
    config::Configuration,
    daemon::operations::Request,
    directory::Tenant,
    identifier::{MessageClass, TenantCode, VaultName},
    vault::filter,
};
use clap::Subcommand;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The vaults of the tenants.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the vault of a tenant that stands in the directory. The daemon must not run.
    #[command(after_help = "Example:\n  nakatsugi tenant add 142051")]
    Add {
        /// The tenant's code.
        code: TenantCode,
    },
    /// Destroy the keyring of a tenant and remove its vault, for ever; the daemon may run.
    #[command(after_help = "\
Backups of the data open no more; backups of the keys must be destroyed too. Take the tenant out of the directory first.

Example:
  nakatsugi tenant remove 142051")]
    Remove {
        /// The tenant's code.
        code: TenantCode,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show the tenants of the directory and whether they have a vault.
    #[command(after_help = "Example:\n  nakatsugi tenant list")]
    List,
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    match command {
        Command::Add { code } => add(&configuration, *code, outside),
        Command::Remove { code, yes } => {
            let filter = filter::install()?;
            if !yes {
                confirm(*code, outside)?;
            }
            operate::ask(&configuration, filter, &Request::RemoveTenant { tenant: *code }, outside)
        }
        Command::List => list(&configuration, outside),
    }
}

fn add(configuration: &Configuration, code: TenantCode, outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let directory = configuration.open_directory()?;
    let tenant = directory.tenant(&code).ok_or(CliError::UnknownTenant(code))?;
    let vaults = vaults::of(configuration, filter, Arc::new(|_| {}))?;
    vaults.create(VaultName::Tenant(code)).map_err(|source| CliError::Vault { code, source })?;
    writeln!(outside.out, "{code} {}: its vault is {}.", tenant.name.latin, vault(configuration, code).display())?;
    Ok(())
}

/// Has the code typed once more.
fn confirm(code: TenantCode, outside: &mut Outside<'_>) -> Result<(), CliError> {
    write!(outside.out, "Everything of {code} will be destroyed and cannot be recovered. Type its code to go on: ")?;
    outside.out.flush()?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    if typed.trim() == code.as_str() { Ok(()) } else { Err(CliError::NotConfirmed) }
}

fn list(configuration: &Configuration, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let directory = configuration.open_directory()?;
    let today = outside.clock.now().day_in_japan();
    writeln!(outside.out, "code    partition  vault  in service         name")?;
    for tenant in directory.tenants() {
        let serves = |class: &MessageClass| tenant.serves(*class, today);
        let service: Vec<_> = MessageClass::ALL.iter().filter(|class| serves(class)).map(|class| class.as_str()).collect();
        let service = if service.is_empty() { "-".to_owned() } else { service.join(",") };
        let exists = if vault(configuration, tenant.code).exists() { "yes" } else { "no" };
        let Tenant { code, name, .. } = tenant;
        let partition = configuration.partitions.of(tenant);
        writeln!(outside.out, "{code}  {partition:>9}  {exists:<5}  {service:<17}  {} {}", name.ja, name.latin)?;
    }
    Ok(())
}

fn vault(configuration: &Configuration, code: TenantCode) -> PathBuf {
    configuration.data.join("vaults").join(code.as_str())
}
