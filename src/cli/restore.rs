//! `nakatsugi restore`: a vault comes back from its backup, the newest key backup, and the root key or its recovery shares.
//!
//! Always: a vault that is there is never overwritten, and an older copy than the newest anchor stays away unless that is asked
//! for. The long work is done beside a running daemon; only the last step needs it stopped. Cut short, the same command goes on.

use super::{CliError, Outside, backup::vault, keys::combine};
use crate::{
    config::{Configuration, read_root_key},
    daemon::SystemEntropy,
    identifier::VaultName,
    vault::{
        Anchors,
        backup::{BackupError, Depth, Export, KEY_BACKUP, Label, Older, Restore, Restored},
        filter::{self, FilterInstalled},
        hold_data_folder,
    },
};
use clap::Args;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::runtime;
use zeroize::Zeroizing;

/// From what a vault comes back.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The backup; or the folder with backups, of which the newest of each vault is taken.
    #[arg(long, value_name = "PATH")]
    pub from: PathBuf,
    /// The newest key backup, or its folder.
    #[arg(long, value_name = "PATH")]
    pub keys: PathBuf,
    /// A recovery share of the root key; as many as are needed. Without any, the root key of the configuration is taken.
    #[arg(long = "share", value_name = "FILE")]
    pub shares: Vec<PathBuf>,
}

/// Bring a vault back.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  nakatsugi restore 142051 --from /mnt/backup/data --keys /mnt/backup-keys --share share-1.txt --share share-3.txt"
)]
pub struct Arguments {
    /// The vault: a tenant's code, or `platform`.
    #[arg(value_name = "VAULT", value_parser = vault)]
    vault: VaultName,
    /// From what.
    #[command(flatten)]
    source: Source,
    /// The journal of the vault that was lost or damaged, if that is left: then nothing is lost.
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
    /// Take it though entries that were anchored are lost with it. They are named; the anchors stay as evidence.
    #[arg(long)]
    older_than_anchor: bool,
}

impl Source {
    /// The newest backup of each vault.
    pub(super) fn newest(&self) -> Result<BTreeMap<VaultName, PathBuf>, CliError> {
        let unreadable = |source| CliError::Backup(BackupError::Io { path: self.from.clone(), source });
        let about = fs::metadata(&self.from).map_err(unreadable)?;
        let mut paths = vec![self.from.clone()];
        if about.is_dir() {
            let entries = fs::read_dir(&self.from).map_err(unreadable)?;
            paths = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|it| it == "backup"))
                .collect();
        }
        let mut newest: BTreeMap<VaultName, (crate::calendar::Timestamp, PathBuf)> = BTreeMap::new();
        for path in paths {
            let label = Label::read(&path)?;
            let Some(vault) = label.vault() else { continue };
            if newest.get(&vault).is_none_or(|(made, _)| *made < label.made) {
                newest.insert(vault, (label.made, path));
            }
        }
        Ok(newest.into_iter().map(|(vault, (_, path))| (vault, path)).collect())
    }

    fn root_key(&self, configuration: &Configuration) -> Result<Zeroizing<[u8; 32]>, CliError> {
        if self.shares.is_empty() { Ok(read_root_key(&configuration.keys.root)?) } else { combine(&self.shares) }
    }
}

/// Bringing one vault back into a place of its own.
pub(super) struct Work<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) source: &'a Source,
    pub(super) vault: VaultName,
    pub(super) place: PathBuf,
    pub(super) journal: Option<PathBuf>,
    pub(super) depth: Depth,
    pub(super) export: Option<Export>,
}

impl Work<'_> {
    pub(super) fn run(self, filter: FilterInstalled) -> Result<Restored, CliError> {
        let backup = self.source.newest()?.remove(&self.vault);
        let from = &self.source.from;
        let backup = match backup {
            Some(backup) => backup,
            // A file of another vault is named as that.
            None if from.is_file() => from.clone(),
            None => return Err(CliError::NoBackup(from.clone())),
        };
        let keys = if self.source.keys.is_dir() { self.source.keys.join(KEY_BACKUP) } else { self.source.keys.clone() };
        let restore = Restore {
            backup,
            keys,
            vault: self.vault,
            root_key: self.source.root_key(self.configuration)?,
            environment: self.configuration.env.to_string(),
            place: self.place,
            journal: self.journal,
            anchors: self.configuration.anchors.as_ref().map(|anchors| Anchors::in_folder(anchors.folder.clone())),
            export: self.export,
            entropy: Arc::new(SystemEntropy::open().map_err(|_| CliError::Output(io::Error::other("no random bytes")))?),
        };
        let vault = self.vault;
        let progress = move |bytes: u64, of: Option<u64>| {
            if stderr().is_terminal() {
                // Progress is for whoever watches.
                let _ = write!(stderr(), "\r{vault}: {} of {} MiB", bytes >> 20, of.unwrap_or(bytes) >> 20);
            }
        };
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(CliError::Runtime)?;
        let restored = runtime.block_on(restore.run(filter, self.depth, &progress));
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r{:60}\r", "");
        }
        Ok(restored?)
    }
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    let Arguments { vault, source, journal, older_than_anchor } = arguments;
    let data = &configuration.data;
    let there = data.join("vaults").join(vault.to_string());
    if there.exists() {
        return Err(BackupError::Exists(there).into());
    }
    let place = data.join(format!("restoring-{vault}"));
    let work = Work {
        configuration: &configuration,
        source,
        vault: *vault,
        place,
        journal: journal.clone(),
        depth: Depth::EveryValue,
        export: None,
    };
    let restored = work.run(filter)?;
    let (older, lost) = match (restored.standing(), older_than_anchor) {
        (Ok(()), _) => (Older::Refused, None),
        (Err(error @ BackupError::Behind { .. }), true) => (Older::Accepted, Some(error)),
        (Err(error), _) => return Err(error.into()),
    };
    // A daemon may still write to the vault that was here, wherever that was moved.
    let _nobody = hold_data_folder(data).map_err(|_| CliError::Restored { vault: *vault })?;
    let made = restored.made;
    let head = restored.install(data, older)?;
    writeln!(outside.out, "{vault}: {} is back, with {} entries, from the backup of {made}.", there.display(), head.head().size)?;
    if let Some(error) = lost {
        writeln!(outside.out, "{vault}: {error}. The new anchor says so to everyone who has the old ones.")?;
    }
    if !configuration.keys.root.exists() {
        writeln!(outside.out, "Now the root key: nakatsugi keys shares restore --to {} FILE...", configuration.keys.root.display())?;
    }
    writeln!(
        outside.out,
        "Make a new backup soon: until then this vault's store can be made again only from the old one and its journal."
    )?;
    Ok(())
}
