//! `nakatsugi directory`: the authority's work.
//!
//! Always: what breaks a rule is not signed; version and digests are set here, so that nobody forgets them.

use super::{CliError, Outside, counted, files};
use crate::{
    calendar::Day,
    config::{ConfigError, Configuration, signing_key},
    directory::{Catalogue, Digests, DirectoryError, Document, Functions, Name, Tenant},
    identifier::{Category, TenantCode},
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
    /// Enter a tenant into the directory; sign it afterwards.
    #[command(after_help = "Example:\n  nakatsugi directory tenant 142051 --ja 藤沢市 --latin Fujisawa --category TM00000000000002")]
    Tenant {
        /// Its code.
        #[arg(value_name = "CODE")]
        code: TenantCode,
        /// Its name in Japanese.
        #[arg(long, value_name = "NAME")]
        ja: String,
        /// Its name in Latin letters.
        #[arg(long, value_name = "NAME")]
        latin: String,
        /// A category that it provides; several times for several.
        #[arg(long, value_name = "CODE", required = true)]
        category: Vec<Category>,
        /// Since which day it is served, as 2026-04-01 [default: today].
        #[arg(long, value_name = "DAY")]
        since: Option<Day>,
    },
    /// Check the directory, its signature and the files that were signed with it.
    #[command(after_help = "Example:\n  nakatsugi directory check")]
    Check,
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    match command {
        Command::Sign { key } => sign(&configuration, key.as_deref(), outside),
        Command::Tenant { code, ja, latin, category, since } => {
            let since = Some(since.unwrap_or_else(|| outside.clock.now().day_in_japan()));
            let tenant = Tenant {
                code: *code,
                name: Name { ja: ja.clone(), latin: latin.clone() },
                env: configuration.env,
                partition: None,
                functions: Functions { self_info: since, copies: since },
                categories: category.iter().cloned().collect(),
                units: Vec::new(),
            };
            let path = enter(&configuration, |document| {
                document.tenants.retain(|known| known.code != *code);
                document.tenants.push(tenant);
            })?;
            writeln!(outside.out, "{path}: {code} is entered; now sign it: nakatsugi directory sign --key FILE")?;
            Ok(())
        }
        Command::Check => {
            let directory = configuration.open_directory()?;
            let (version, principals, tenants) = (directory.version(), directory.principals().count(), directory.tenants().count());
            let (path, principals) = (configuration.directory.file.display(), counted(principals as u64, "principal"));
            let tenants = counted(tenants as u64, "tenant");
            writeln!(outside.out, "{path}: version {version} is signed and keeps every rule: {principals}, {tenants}.")?;
            Ok(())
        }
    }
}

/// Changes the directory, which is not signed from then on; gives back its path.
pub(super) fn enter(configuration: &Configuration, change: impl FnOnce(&mut Document)) -> Result<String, CliError> {
    let path = &configuration.directory.file;
    let wrong = |source| CliError::Directory { path: path.clone(), source };
    let mut document = Document::parse(&read(path)?).map_err(wrong)?;
    change(&mut document);
    files::replace(path, &document.to_bytes().map_err(wrong)?)?;
    Ok(path.display().to_string())
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
