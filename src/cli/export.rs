//! `nakatsugi export`: all that a tenant has registered, for that tenant's own municipal system, and that system's opening of it.
//!
//! Always: made from a backup, sealed to a key that the signed directory names, in the process that has the root key; nothing is
//! printed but counts. Absent: another recipient, and attachments.

use super::{
    CliError, Outside,
    peer::Peer,
    restore::{Source, Work},
};
use crate::{
    config::Configuration,
    directory::Recipient,
    identifier::{PrincipalId, TenantCode, VaultName},
    vault::{
        backup::{Depth, Export, Exported, open_export},
        filter,
    },
};
use clap::{Args, Subcommand};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Export a tenant, sealed to its own municipal system.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  nakatsugi export 142051 --for municipal-142051 --to 142051.export --from /mnt/backup/data --keys /mnt/backup-keys\n  nakatsugi export open 142051.export --as-peer peers/municipal-142051 --to rows"
)]
pub struct Arguments {
    /// The tenant.
    #[arg(value_name = "CODE", required = true)]
    tenant: Option<TenantCode>,
    /// The municipal system, as the directory has it; only it can open the export.
    #[arg(long = "for", value_name = "PRINCIPAL", required = true)]
    recipient: Option<PrincipalId>,
    /// The file, which must not be there.
    #[arg(long, value_name = "FILE", required = true)]
    to: Option<PathBuf>,
    /// From what.
    #[command(flatten)]
    source: Option<Source>,
    /// What else.
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else there is to do with exports.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open an export as the municipal system it is for: files that `nakatsugi load` takes.
    #[command(after_help = "Example:\n  nakatsugi export open 142051.export --as-peer peers/municipal-142051 --to rows")]
    Open {
        /// The export.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The folder of the municipal system, with its `peer.toml`.
        #[arg(long, value_name = "FOLDER")]
        as_peer: PathBuf,
        /// The folder for the files, which must not be there.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    if let Some(Command::Open { file, as_peer, to }) = &arguments.command {
        let peer = Peer::open(as_peer)?;
        let counts = open_export(file, to, |envelope| peer.open_from_relay(envelope))?;
        return report(&counts, outside);
    }
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    let (Some(tenant), Some(id), Some(file), Some(source)) = (arguments.tenant, &arguments.recipient, &arguments.to, &arguments.source)
    else {
        return Err(CliError::BackupPlace("name the tenant, the recipient, the file, and the backup"));
    };
    let now = outside.clock.now();
    let directory = configuration.open_directory()?;
    let to = Recipient::of(&directory, tenant, id, now).map_err(|source| CliError::Recipient { id: id.clone(), source })?;
    let (signing, _) = configuration.relay_keys(&directory, now)?;
    let export = Export { to, file: file.clone(), made: now, environment: configuration.env.to_string(), signing };
    let vault = VaultName::Tenant(tenant);
    let place = configuration.data.join(format!("export-{vault}"));
    let work = Work {
        configuration: &configuration,
        source,
        vault,
        place: place.clone(),
        journal: None,
        depth: Depth::Tree,
        export: Some(export),
    };
    let restored = work.run(filter);
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CliError::Write { path: place, source: error }),
        Ok(()) | Err(_) => {}
    }
    let restored = restored?;
    writeln!(outside.out, "{}: {tenant} as of the backup of {}, for {id} only", file.display(), restored.made)?;
    report(&restored.exported, outside)
}

fn report(counts: &Exported, outside: &mut Outside<'_>) -> Result<(), CliError> {
    for (kind, count) in counts {
        writeln!(outside.out, "{count:>9}  {kind}")?;
    }
    Ok(())
}
