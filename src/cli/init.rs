//! `nakatsugi init`: a new site.
//!
//! ```text
//! nakatsugi.toml   catalogue.json   authority.jwk   directory.json   directory.json.sig
//! keys/        root.key  relay-signing.jwk  relay-decryption.jwk      stays, readable to the daemon's user only
//! broker/      ca.pem  client.pem  client.key                         expected; the broker's operator issues them
//! data/        one vault per tenant
//! anchors/     signed tree heads of their ledgers             better on another volume
//! authority/   authority-private.jwk                                  to be moved away: it signs directories
//! shares/      share-1.txt …                                          to be moved away, each to another person
//! ```
//!
//! Always: nothing that exists is overwritten; there is no root key without recovery shares, and they were combined and
//! compared before `init` says that they are good.

use super::{
    CliError, Outside, Share, ShareError,
    files::{Access, create, folder},
    keys::combine,
    shares::fingerprint,
};
use crate::{
    config::{Configuration, EXAMPLE, root_key_file},
    directory::{Carrier, Catalogue, DatedKey, Digests, Document, Principal, Role, Tenants, catalogue::TYPICAL},
    envelope::{DecryptionKey, Environment, SigningKey},
    identifier::{Kid, MessageType, PrincipalId},
};
use clap::{Args, ValueEnum};
use ring::rand::SystemRandom;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// How long the relay's first keys count.
const TWO_YEARS: i64 = 2 * 365 * 24 * 60 * 60;

/// Make a new site.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder; new, or empty.
    pub folder: PathBuf,
    /// Whether real persons' data will be in it.
    #[arg(long, value_enum, default_value = "trial")]
    pub env: Env,
    /// How many recovery shares of the root key are made.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub shares: u8,
    /// How many of them give it back.
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub threshold: u8,
    /// The relay's name as a principal.
    #[arg(long, default_value = "relay", value_name = "ID")]
    pub relay: PrincipalId,
}

/// Whether real persons' data will be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Env {
    /// Made-up persons only.
    Trial,
    /// Real persons.
    Production,
}

impl From<Env> for Environment {
    fn from(env: Env) -> Self {
        match env {
            Env::Trial => Self::Trial,
            Env::Production => Self::Production,
        }
    }
}

pub(super) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let site = &arguments.folder;
    let env = Environment::from(arguments.env);
    let root = Zeroizing::new(outside.entropy.bytes());
    let shares = Share::split(&root, arguments.shares, arguments.threshold)?;
    empty(site)?;

    for name in ["keys", "broker", "data", "anchors", "authority", "shares"] {
        folder(&site.join(name), Access::Secret)?;
    }
    create(&site.join("keys/root.key"), root_key_file(&root).as_bytes(), Access::Secret)?;
    let files = write_shares(&site.join("shares"), &shares)?;
    if *combine(&files)? != *root {
        return Err(ShareError::Fingerprint.into());
    }

    let signing = SigningKey::generate(kid(&arguments.relay, "signing", outside)?)?;
    let decryption = DecryptionKey::generate(kid(&arguments.relay, "encryption", outside)?)?;
    let authority = SigningKey::generate(kid(&arguments.relay, "authority", outside)?)?;
    create(&site.join("keys/relay-signing.jwk"), signing.to_jwk().as_bytes(), Access::Secret)?;
    create(&site.join("keys/relay-decryption.jwk"), decryption.to_jwk().as_bytes(), Access::Secret)?;
    create(&site.join("authority/authority-private.jwk"), authority.to_jwk().as_bytes(), Access::Secret)?;
    let public = serde_json::to_vec(&authority.public()).map_err(io::Error::from)?;
    create(&site.join("authority.jwk"), public, Access::Public)?;

    let configuration = EXAMPLE.replace("env = \"trial\"", &format!("env = \"{env}\""));
    let configuration = configuration.replace("user = \"relay\"", &format!("user = \"{}\"", arguments.relay));
    create(&site.join("nakatsugi.toml"), &configuration, Access::Public)?;
    create(&site.join("catalogue.json"), TYPICAL, Access::Public)?;
    let read = Configuration::load(&site.join("nakatsugi.toml"))?;
    let brokers = read.brokers.iter().map(|broker| Carrier { broker: broker.name.clone(), user: Some(broker.user.clone()) });

    let now = outside.clock.now();
    let mut directory = Document::new(env);
    directory.version = 1;
    directory.issued_at = now;
    directory.files = Digests::of(TYPICAL.as_bytes(), configuration.as_bytes());
    let until = now.plus_seconds(TWO_YEARS);
    directory.principals.push(Principal {
        id: arguments.relay.clone(),
        role: Role::Relay,
        signing: vec![DatedKey { key: signing.public(), env, not_before: now, not_after: until, revoked_at: None }],
        encryption: vec![DatedKey { key: decryption.public(), env, not_before: now, not_after: until, revoked_at: None }],
        carriers: brokers.collect(),
        tenants: Tenants::All,
        may: MessageType::ALL.into_iter().filter(|kind| Role::Relay.may_author(*kind)).collect(),
        replies: None,
    });
    let path = site.join("directory.json");
    let wrong = |source| CliError::Directory { path: path.clone(), source };
    let catalogue = Catalogue::parse(TYPICAL.as_bytes()).map_err(|source| CliError::Catalogue { path: path.clone(), source })?;
    directory.check(&catalogue).map_err(wrong)?;
    let (bytes, signature) = directory.sign(&authority, &SystemRandom::new()).map_err(wrong)?;
    create(&path, bytes, Access::Public)?;
    create(&site.join("directory.json.sig"), signature, Access::Public)?;
    read.open_directory()?;

    report(arguments, &fingerprint(&root), outside)?;
    Ok(())
}

/// Kind and place of what must not lie on a machine that serves, as long as it lies where `init` put it.
#[must_use]
pub fn left_behind(configuration: &Configuration) -> Vec<(&'static str, PathBuf)> {
    let site = configuration.path.parent().unwrap_or_else(|| Path::new(""));
    let holds = |folder: &PathBuf| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    ["shares", "authority"].into_iter().map(|name| (name, site.join(name))).filter(|(_, folder)| holds(folder)).collect()
}

fn empty(site: &Path) -> Result<(), CliError> {
    match fs::read_dir(site) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(CliError::Exists(site.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => folder(site, Access::Public),
        Err(source) => Err(CliError::Write { path: site.to_owned(), source }),
    }
}

/// Writes shares into a folder, each in a file of its own.
pub(super) fn write_shares(folder: &Path, shares: &[Share]) -> Result<Vec<PathBuf>, CliError> {
    let write = |share: &Share| {
        let path = folder.join(format!("share-{}.txt", share.number()));
        create(&path, share.to_file().as_bytes(), Access::Secret)?;
        Ok(path)
    };
    shares.iter().map(write).collect()
}

/// `<relay>-<purpose>-<8 random hexadecimal digits>`: unique without asking anybody.
fn kid(relay: &PrincipalId, purpose: &str, outside: &Outside<'_>) -> Result<Kid, CliError> {
    let [a, b, c, d, ..] = outside.entropy.bytes();
    // The longest name of a relay leaves no room for the rest.
    let relay: String = relay.as_str().chars().take(40).collect();
    let kid = format!("{relay}-{purpose}-{a:02x}{b:02x}{c:02x}{d:02x}");
    kid.parse().map_err(|error| CliError::Output(io::Error::other(error)))
}

fn report(arguments: &Arguments, fingerprint: &str, outside: &mut Outside<'_>) -> io::Result<()> {
    let Arguments { folder, shares, threshold, .. } = arguments;
    let (out, site, env) = (&mut outside.out, folder.display(), Environment::from(arguments.env));
    writeln!(
        out,
        "{site}: a new site ({env}), with the root key {fingerprint}.\n\
         \n\
         Now, before anything else:\n\
         1. Move {site}/shares away: each of the {shares} files to another person, none to this machine or its backups.\n   \
            {threshold} of them give the root key back. Without them a lost root key means that all data is lost.\n\
         2. Move {site}/authority away: whoever has this key decides who may say what.\n\
         \n\
         Then:\n\
         3. Put the broker's certificates into {site}/broker: ca.pem, client.pem, client.key (chmod 600), and its address into\n   \
            {site}/nakatsugi.toml. After this, and after every later change of nakatsugi.toml, directory.json or catalogue.json:\n   \
            nakatsugi --config {site}/nakatsugi.toml directory sign --key FILE\n\
         4. Enter principals and tenants, and sign again:\n   \
            nakatsugi --config {site}/nakatsugi.toml keys principal NAME --role ROLE --to FOLDER --enter\n   \
            nakatsugi --config {site}/nakatsugi.toml directory tenant CODE --ja NAME --latin NAME --category CODE\n\
         5. Import into the broker what this prints: nakatsugi --config {site}/nakatsugi.toml topology definitions\n\
         6. nakatsugi --config {site}/nakatsugi.toml topology apply --certificate operator.pem --key operator.key\n\
         7. nakatsugi --config {site}/nakatsugi.toml tenant add CODE\n\
         8. nakatsugi --config {site}/nakatsugi.toml doctor\n\
         9. nakatsugi --config {site}/nakatsugi.toml serve"
    )
}
