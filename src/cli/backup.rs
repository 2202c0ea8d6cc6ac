//! `nakatsugi backup`: sealed copies of vaults, with the daemon running or not; and the drill that shows that they are good.
//!
//! Always: data and keyrings go to different folders; a drill leaves nothing behind. Absent: `restore`, see there.

use super::{
    CliError, Outside,
    reach::{self, Told},
    restore::{Source, Work},
    vaults,
};
use crate::{
    config::Configuration,
    daemon::backup::{self, News, Request},
    identifier::VaultName,
    vault::{
        DataFolderError,
        backup::{BackupError, Depth},
        filter,
    },
};
use clap::{Args, Subcommand};
use std::{
    fs,
    io::{IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{runtime, sync::mpsc};

/// Back up vaults, while the daemon serves or while it does not run.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  nakatsugi backup --to /mnt/backup/data --keys-to /mnt/backup-keys\n  nakatsugi backup drill --from /mnt/backup/data --keys /mnt/backup-keys --share share-1.txt --share share-3.txt"
)]
pub struct Arguments {
    /// The folder for the data; each backup is a new file in it.
    #[arg(long, value_name = "FOLDER", required = true)]
    to: Option<PathBuf>,
    /// The folder for the keyrings; only the newest are kept in it. Keep it apart from the data.
    #[arg(long, value_name = "FOLDER", required = true)]
    keys_to: Option<PathBuf>,
    /// The vaults: tenants' codes, or `platform`; all of them if none is given.
    #[arg(value_name = "VAULT", value_parser = vault)]
    vaults: Vec<VaultName>,
    /// What else.
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else there is to do with backups.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A drill: bring the newest backups back in a place of their own, open every value, say what would be lost, and remove it.
    #[command(
        after_help = "Example:\n  nakatsugi backup drill --from /mnt/backup/data --keys /mnt/backup-keys --share share-1.txt --share share-3.txt"
    )]
    Drill {
        /// From what.
        #[command(flatten)]
        source: Source,
        /// The folder for the work, on a disk with room for the vault; below the data folder if left out.
        #[arg(long, value_name = "FOLDER")]
        scratch: Option<PathBuf>,
        /// The vaults: tenants' codes, or `platform`; all that have a backup if none is given.
        #[arg(value_name = "VAULT", value_parser = vault)]
        vaults: Vec<VaultName>,
    },
}

/// Reads the name of a vault.
pub(super) fn vault(text: &str) -> Result<VaultName, String> {
    match text {
        "platform" => Ok(VaultName::Platform),
        code => code.parse().map(VaultName::Tenant).map_err(|_| "expected a tenant's code, or platform".to_owned()),
    }
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    if let Some(Command::Drill { source, scratch, vaults }) = &arguments.command {
        return drill(&configuration, filter, (source, scratch.as_deref(), vaults), outside);
    }
    let (Some(to), Some(keys)) = (&arguments.to, &arguments.keys_to) else { return Err(CliError::BackupPlace("name both folders")) };
    let whole = |path: &PathBuf| fs::canonicalize(path).map_err(|source| CliError::Write { path: path.clone(), source });
    let (to, keys) = (whole(to)?, whole(keys)?);
    let data = whole(&configuration.data)?;
    if to == keys {
        return Err(CliError::BackupPlace("data and keyrings must not lie together: whoever finds one of them must not have the other"));
    }
    if [&to, &keys].iter().any(|path| path.starts_with(&data)) {
        return Err(CliError::BackupPlace("a backup inside the data folder is lost with it"));
    }
    let names = (!arguments.vaults.is_empty()).then(|| arguments.vaults.iter().map(ToString::to_string).collect());
    let request = Request { vaults: names, to, keys };
    let mut failed = 0;
    match vaults::of(&configuration, filter, Arc::new(|_| {})) {
        Ok(vaults) => {
            let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
            let now = outside.clock.now();
            let shown: Result<(), CliError> = runtime.block_on(async {
                let (news, mut told) = mpsc::unbounded_channel();
                let (kept, asked) = (vaults.clone(), request.clone());
                let job = tokio::spawn(async move { backup::run(&kept, &asked, now, news).await });
                while let Some(news) = told.recv().await {
                    show(news, &mut failed, outside)?;
                }
                // Whatever it had to say was said.
                let _ = job.await;
                Ok(())
            });
            runtime.block_on(vaults.close_all());
            shown?;
        }
        Err(CliError::DataFolder { source: DataFolderError::InUse, .. }) => {
            reach::ask(&data, &request, |news| show(news, &mut failed, outside))?;
        }
        Err(error) => return Err(error),
    }
    if failed == 0 { Ok(()) } else { Err(CliError::NotBackedUp { failed }) }
}

fn show(news: News, failed: &mut usize, outside: &mut Outside<'_>) -> Result<Told, CliError> {
    if stderr().is_terminal() {
        // Progress is for whoever watches.
        let _ = match &news {
            News::Busy { vault, bytes } => write!(stderr(), "\r{vault}: {} MiB written and read back", bytes >> 20),
            News::Taken { .. } | News::Failed { .. } | News::Keys { .. } | News::Refused { .. } | News::End { .. } => {
                write!(stderr(), "\r{:60}\r", "")
            }
        };
    }
    match news {
        News::Busy { .. } => {}
        News::Refused { words } => writeln!(outside.out, "not backed up: {words}")?,
        News::Taken { vault, path, bytes, entries } => {
            writeln!(outside.out, "{vault}: {entries} entries, {} KiB, read back: {}", bytes.div_ceil(1024), path.display())?;
        }
        News::Failed { vault, words } => writeln!(outside.out, "{vault}: not backed up: {words}")?,
        News::Keys { count } => writeln!(outside.out, "keyrings of {count} vaults")?,
        News::End { failed: count } => {
            *failed = count;
            return Ok(Told::All);
        }
    }
    Ok(Told::More)
}

fn drill(
    configuration: &Configuration,
    filter: filter::FilterInstalled,
    (source, scratch, wanted): (&Source, Option<&Path>, &[VaultName]),
    outside: &mut Outside<'_>,
) -> Result<(), CliError> {
    let all = source.newest()?;
    let wanted = if wanted.is_empty() { all.keys().copied().collect() } else { wanted.to_vec() };
    if wanted.is_empty() {
        return Err(CliError::NoBackup(source.from.clone()));
    }
    let mut failed = 0;
    for vault in wanted {
        let place = scratch.unwrap_or(&configuration.data).join(format!("drill-{vault}"));
        let work = Work { configuration, source, vault, place: place.clone(), journal: None, depth: Depth::EveryValue, export: None };
        let result = work.run(filter);
        let now = outside.clock.now();
        match &result {
            Ok(restored) => {
                let (size, values) = (restored.head.head().size, restored.values.unwrap_or_default());
                let lost = match restored.standing() {
                    Ok(()) => "nothing that was anchored would be lost".to_owned(),
                    Err(BackupError::Behind { has, anchored }) => {
                        format!("{} entries would be lost, {has} to {}", anchored - has, anchored - 1)
                    }
                    Err(error) => {
                        failed += 1;
                        error.to_string()
                    }
                };
                let age = age(now.seconds() - restored.made.seconds());
                writeln!(outside.out, "{vault}: {age} old, {size} entries, {values} values opened; {lost}")?;
            }
            Err(error) => {
                failed += 1;
                writeln!(outside.out, "{vault}: {error}")?;
            }
        }
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(CliError::Write { path: place, source: error }),
            Ok(()) | Err(_) => {}
        }
    }
    if failed == 0 { Ok(()) } else { Err(CliError::DrillFailed { failed }) }
}

fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}
