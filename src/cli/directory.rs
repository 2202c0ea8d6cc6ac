//! `nakatsugi directory`: the authority's work.
//!
//! Always: what breaks a rule is not signed; version and digests are set here, so that nobody forgets them.

use super::{CliError, Outside, counted, files};
use crate::{
    config::{ConfigError, Configuration, signing_key},
    directory::{Catalogue, Digests, DirectoryError, Document},
};
use clap::Subcommand;
use ring::rand::SystemRandom;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The authority's work.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the directory, give it the next version and the digests of configuration and catalogue, and sign it.
    #[command(after_help = "Example:\n  nakatsugi directory sign --key /media/safe/authority-private.jwk")]
    Sign {
        /// The authority's private key [default: authority/authority-private.jwk beside the configuration].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Check the directory, its signature and the files that were signed with it.
    #[command(after_help = "Example:\n  nakatsugi directory check")]
    Check,
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    match command {
        Command::Sign { key } => sign(&configuration, key.as_deref(), outside),
        Command::Check => {
            let directory = configuration.open_directory()?;
            let (version, principals, tenants) = (directory.version(), directory.principals().count(), directory.tenants().count());
            let (path, principals) = (configuration.directory.file.display(), counted(principals, "principal"));
            let tenants = counted(tenants, "tenant");
            writeln!(outside.out, "{path}: version {version} is signed and keeps every rule: {principals}, {tenants}.")?;
            Ok(())
        }
    }
}

fn sign(configuration: &Configuration, key: Option<&Path>, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let files = &configuration.directory;
    let site = configuration.path.parent().unwrap_or_else(|| Path::new(""));
    let path = key.map_or_else(|| site.join("authority/authority-private.jwk"), Path::to_owned);
    if key.is_none() && !path.exists() {
        return Err(CliError::NoAuthorityKey(path));
    }
    let key = signing_key(&path)?;
    if key.public() != configuration.authority()? {
        return Err(CliError::OtherAuthority { key: path, authority: files.authority.clone() });
    }

    let wrong = |source| CliError::Directory { path: files.file.clone(), source };
    let catalogue = read(&files.catalogue)?;
    let known = Catalogue::parse(&catalogue).map_err(|source| CliError::Catalogue { path: files.catalogue.clone(), source })?;
    let mut document = Document::parse(&read(&files.file)?).map_err(wrong)?;
    if document.env != configuration.env {
        return Err(wrong(DirectoryError::Environment { expected: configuration.env, found: document.env }));
    }
    document.check(&known).map_err(wrong)?;
    configuration.knows_brokers(document.brokers())?;

    document.version = document.version.saturating_add(1);
    document.issued_at = outside.clock.now();
    document.files = Digests::of(&catalogue, configuration.text().as_bytes());
    let (bytes, signature) = document.sign(&key, &SystemRandom::new()).map_err(wrong)?;
    // A daemon that looks between these two steps sees a signature that does not hold, and keeps what it has.
    files::replace(&files.signature(), signature.as_bytes())?;
    files::replace(&files.file, &bytes)?;
    configuration.open_directory()?;
    let (path, version) = (files.file.display(), document.version);
    writeln!(outside.out, "{path}: version {version} is signed by {}.", key.kid())?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}
