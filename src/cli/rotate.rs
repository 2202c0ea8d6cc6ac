//! `nakatsugi keys rotate` and `nakatsugi keys list`.
//!
//! Always: a new root key is used only after its recovery shares were written and gave it back in a drill; it lies beside the
//! old one until every keyring is wrapped under it. Absent: the rotation itself; the daemon does it, or this process in its place.

use super::{CliError, Outside, Share, ShareError, files, files::Access, init::write_shares, keys::combine, operate, shares::fingerprint};
use crate::{
    config::{Configuration, read_root_key, root_key_file},
    daemon::operations::{Request, Which, next_root},
    identifier::{TenantCode, VaultName},
    keyring::RootKey,
    vault::{Flaw, KeyUse, filter, inspect_keys},
};
use clap::Args;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --now, only keys are replaced that have sealed as long as the configuration says (key_days).
With a data key everything is destroyed that was erased before; older backups open only with the keys of then.

Examples:
  nakatsugi keys rotate --tenant 142051 --now
  nakatsugi keys rotate --all
  nakatsugi keys rotate --root --shares-to new-shares")]
pub struct Arguments {
    /// Replace the data key of this tenant; may be given several times.
    #[arg(long, value_name = "CODE", required_unless_present_any = ["all", "root"])]
    tenant: Vec<TenantCode>,
    /// Replace the data keys of all vaults.
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
    /// Whatever their age.
    #[arg(long, conflicts_with = "root")]
    now: bool,
    /// Replace the root key.
    #[arg(long, conflicts_with_all = ["tenant", "all"])]
    root: bool,
    /// A new folder for the recovery shares of the new root key.
    #[arg(long, value_name = "FOLDER", requires = "root")]
    shares_to: Option<PathBuf>,
    /// How many shares.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    shares: u8,
    /// How many of them give the root key back.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    threshold: u8,
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    let request = if arguments.root {
        prepare(&configuration, arguments, outside)?;
        Request::RotateRoot
    } else {
        let which = if arguments.now { Which::All } else { Which::Due };
        Request::RotateKeys { tenants: (!arguments.all).then(|| arguments.tenant.clone()), which }
    };
    operate::ask(&configuration, filter, &request, outside)?;
    if arguments.root {
        let key = read_root_key(&configuration.keys.root)?;
        writeln!(
            outside.out,
            "{}: the root key is {} now. The shares of the one before restore nothing any more but older backups of keys: destroy both.",
            configuration.keys.root.display(),
            fingerprint(&key)
        )?;
    }
    Ok(())
}

/// Makes the new root key beside the old one, once its shares have given it back; nothing if one is there already.
fn prepare(configuration: &Configuration, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let next = next_root(&configuration.keys.root);
    if next.exists() {
        writeln!(outside.out, "{}: begun before; going on.", next.display())?;
        return Ok(());
    }
    let folder = arguments.shares_to.as_ref().ok_or(CliError::NoPlaceForShares)?;
    let key = Zeroizing::new(outside.entropy.bytes());
    let shares = Share::split(&key, arguments.shares, arguments.threshold)?;
    files::folder(folder, Access::Secret)?;
    let written = write_shares(folder, &shares)?;
    for few in written.windows(arguments.threshold.into()) {
        if *combine(few)? != *key {
            return Err(ShareError::Fingerprint.into());
        }
    }
    files::create(&next, root_key_file(&key).as_bytes(), Access::Secret)?;
    writeln!(
        outside.out,
        "{}: {} shares of the new root key {}, {} of them give it back, as a drill has shown.\n\
         Move them away: each to another person, none to this machine or its backups.",
        folder.display(),
        arguments.shares,
        fingerprint(&key),
        arguments.threshold
    )?;
    Ok(())
}

pub(super) fn list(config: &Path, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    let directory = configuration.open_directory()?;
    writeln!(outside.out, "vault     key  values sealed  since")?;
    let tenants = directory.tenants().map(|tenant| VaultName::Tenant(tenant.code));
    for vault in std::iter::once(VaultName::Platform).chain(tenants) {
        let keys = match key_uses(&configuration, vault) {
            Err(Flaw::Missing) => continue,
            keys => keys.map_err(|flaw| CliError::Flaw { vault, flaw })?,
        };
        for KeyUse { version, seals, since } in keys {
            let since = since.map_or_else(|| "-".to_owned(), |since| since.to_string());
            writeln!(outside.out, "{:<8}  {:>3}  {seals:>13}  {since}", vault.to_string(), version.0)?;
        }
    }
    Ok(())
}

/// The data keys of a vault, under the root key in use or the one that is to take over.
pub(in crate::cli) fn key_uses(configuration: &Configuration, vault: VaultName) -> Result<Vec<KeyUse>, Flaw> {
    let (folder, environment) = (configuration.data.join("vaults"), configuration.env.to_string());
    let mut result = Err(Flaw::Keyring);
    for path in [configuration.keys.root.as_path(), &next_root(&configuration.keys.root)] {
        let Ok(key) = read_root_key(path) else { continue };
        result = inspect_keys(&folder, vault, &RootKey::from_bytes(*key), &environment);
        if !matches!(result, Err(Flaw::Keyring)) {
            break;
        }
    }
    result
}
