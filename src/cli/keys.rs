//! `nakatsugi keys`: the drill that shows that the root key can be restored, the restoring, rotation, and the keys of principals.

use super::{CliError, Outside, Share, files, files::Access, principal, rotate, shares::fingerprint};
use crate::config::{Configuration, read_root_key, read_secret_text, root_key_file};
use clap::Subcommand;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Keys and their recovery shares.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recovery shares of the root key.
    #[command(subcommand)]
    Shares(Shares),
    /// Replace data keys, or the root key, while the daemon serves; what is left unfinished goes on when it is run again.
    Rotate(rotate::Arguments),
    /// Show each vault's data key: since when it seals, and how many values it sealed, as of the last checkpoint.
    #[command(after_help = "Example:\n  nakatsugi keys list")]
    List,
    /// Make the folder of a principal with new keys, and print its entry for the directory.
    Principal(principal::Arguments),
}

/// Recovery shares of the root key.
#[derive(Debug, Subcommand)]
pub enum Shares {
    /// A drill: combine shares and compare with the root key. Nothing is printed but the result.
    #[command(after_help = "Example:\n  nakatsugi keys shares verify share-1.txt share-3.txt share-4.txt")]
    Verify {
        /// The files of the shares; every one given is checked.
        #[arg(required = true, value_name = "FILE")]
        shares: Vec<PathBuf>,
    },
    /// Combine shares and write the root key to a new file.
    #[command(after_help = "Example:\n  nakatsugi keys shares restore --to root.key share-1.txt share-3.txt share-4.txt")]
    Restore {
        /// The file of the root key, which must not be there.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The files of the shares.
        #[arg(required = true, value_name = "FILE")]
        shares: Vec<PathBuf>,
    },
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    match command {
        Command::Shares(command) => shares(config, command, outside),
        Command::Rotate(arguments) => rotate::run(config, arguments, outside),
        Command::List => rotate::list(config, outside),
        Command::Principal(arguments) => principal::run(config, arguments, outside),
    }
}

fn shares(config: &Path, command: &Shares, outside: &mut Outside<'_>) -> Result<(), CliError> {
    match command {
        Shares::Verify { shares } => {
            let path = Configuration::load(config)?.keys.root;
            let (key, combined) = (read_root_key(&path)?, combine(shares)?);
            if *key != *combined {
                return Err(CliError::OtherRootKey(path));
            }
            writeln!(outside.out, "{} shares give the root key {} of {}.", shares.len(), fingerprint(&key), path.display())?;
        }
        Shares::Restore { to, shares } => {
            let key = combine(shares)?;
            files::create(to, root_key_file(&key).as_bytes(), Access::Secret)?;
            writeln!(outside.out, "{}: the root key {} is restored.", to.display(), fingerprint(&key))?;
        }
    }
    Ok(())
}

/// Reads shares, each of them a secret that others must not be able to read, and combines them.
pub(super) fn combine(paths: &[PathBuf]) -> Result<Zeroizing<[u8; 32]>, CliError> {
    let shares = paths.iter().map(|path| {
        let text = read_secret_text(path, "a recovery share of nakatsugi")?;
        Share::parse(&text).map_err(|source| CliError::ShareFile { path: path.clone(), source })
    });
    Ok(Share::combine(&shares.collect::<Result<Vec<_>, CliError>>()?)?)
}
