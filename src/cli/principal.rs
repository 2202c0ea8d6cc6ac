//! `nakatsugi keys principal`: the folder of somebody who will sign messages, and their entry in the directory.
//!
//! Always: new keys, which never leave the folder; what is printed is public, for the authority to enter and sign. Absent:
//! certificates for the broker; its operator issues them.

use super::{
    CliError, Outside,
    files::{self, Access},
    peer::{self, PeerBroker, PeerSettings, PeerSettingsError},
};
use crate::{
    broker::names,
    config::Configuration,
    directory::{Carrier, DatedKey, Principal, ReplyQueue, Role, Tenants},
    envelope::{DecryptionKey, SigningKey},
    identifier::{AmqpUser, MessageType, PrincipalId, TenantCode},
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::{
    fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
};

const TWO_YEARS: i64 = 2 * 365 * 24 * 60 * 60;

/// Make the folder of a principal with new keys, and print its entry for the directory.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nakatsugi keys principal fujisawa --role municipal-system --tenant 142051 --to peers/fujisawa --enter")]
pub struct Arguments {
    /// Its name in the directory; also its AMQP user.
    #[arg(value_name = "ID")]
    id: PrincipalId,
    /// What it is.
    #[arg(long, value_enum)]
    role: Kind,
    /// The tenants that it speaks for; a disclosure system speaks for all.
    #[arg(long, value_name = "CODE")]
    tenant: Vec<TenantCode>,
    /// The folder to make.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Enter it into the directory instead of printing its entry; sign it afterwards.
    #[arg(long)]
    enter: bool,
}

/// Who signs messages, besides the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A tenant's own system.
    MunicipalSystem,
    /// The national portal.
    DisclosureSystem,
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    if let (Kind::MunicipalSystem, []) = (arguments.role, arguments.tenant.as_slice()) {
        return Err(CliError::ForNobody);
    }
    let configuration = Configuration::load(config)?;
    let directory = configuration.open_directory()?;
    let Some(broker) = configuration.brokers.first() else { return Err(CliError::UnknownBroker) };
    let (now, id, relay) = (outside.clock.now(), &arguments.id, directory.relay());
    let user: AmqpUser = id.as_str().parse().map_err(|_| CliError::UnfitName(id.clone()))?;
    let kid = |purpose: &str| format!("{id}-{purpose}-{}", now.seconds()).parse().map_err(|_| CliError::UnfitName(id.clone()));
    let signing = SigningKey::generate(kid("signing")?)?;
    let decryption = DecryptionKey::generate(kid("decryption")?)?;
    let verification = relay.signing.iter().find_map(|dated| dated.at(now).ok());
    let (Some(verification), Some(encryption)) = (verification, relay.encryption_key(now)) else { return Err(CliError::RelayKeysOver) };

    let folder = &arguments.to;
    if folder.exists() {
        return Err(CliError::Exists(folder.clone()));
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|source| CliError::Write { path: parent.to_owned(), source })?;
    }
    files::folder(folder, Access::Secret)?;
    files::create(&folder.join("signing.jwk"), signing.to_jwk().as_bytes(), Access::Secret)?;
    files::create(&folder.join("decryption.jwk"), decryption.to_jwk().as_bytes(), Access::Secret)?;
    files::create(&folder.join("relay-verification.jwk"), json(verification)?, Access::Public)?;
    files::create(&folder.join("relay-encryption.jwk"), json(encryption)?, Access::Public)?;
    let settings = PeerSettings {
        id: id.clone(),
        env: configuration.env,
        relay: relay.id.clone(),
        signing_key: "signing.jwk".into(),
        decryption_key: "decryption.jwk".into(),
        relay_verification_key: "relay-verification.jwk".into(),
        relay_encryption_key: "relay-encryption.jwk".into(),
        queue: names::reader(id),
        broker: PeerBroker {
            uri: broker.uri.clone(),
            user: user.to_string(),
            ca: "ca.pem".into(),
            certificate: "client.pem".into(),
            key: "client.key".into(),
        },
    };
    let path = folder.join(peer::FILE);
    let text =
        toml::to_string(&settings).map_err(|error| PeerSettingsError::Settings { path: path.clone(), message: error.to_string() })?;
    files::create(&path, text, Access::Public)?;

    let (role, tenants) = match arguments.role {
        Kind::MunicipalSystem => (Role::MunicipalSystem, Tenants::Listed(arguments.tenant.iter().copied().collect())),
        Kind::DisclosureSystem => (Role::DisclosureSystem, Tenants::All),
    };
    let (env, until) = (configuration.env, now.plus_seconds(TWO_YEARS));
    let entry = Principal {
        id: id.clone(),
        role,
        signing: vec![DatedKey { key: signing.public(), env, not_before: now, not_after: until, revoked_at: None }],
        encryption: vec![DatedKey { key: decryption.public(), env, not_before: now, not_after: until, revoked_at: None }],
        carriers: vec![Carrier { broker: broker.name.clone(), user: Some(user) }],
        tenants,
        may: MessageType::ALL.into_iter().filter(|kind| role.may_author(*kind)).collect(),
        replies: names::reader(id).parse().ok().map(|queue| ReplyQueue { broker: broker.name.clone(), queue }),
    };
    let folder = folder.display();
    writeln!(
        stderr(),
        "{folder}: new keys and peer.toml; put ca.pem, client.pem and client.key there, a certificate with the common name {id}."
    )?;
    if arguments.enter {
        let path = super::directory::enter(&configuration, |document| document.principals.push(entry))?;
        writeln!(stderr(), "{path}: {id} is entered; now sign it: nakatsugi directory sign --key FILE")?;
    } else {
        writeln!(outside.out, "{}", String::from_utf8_lossy(&json(&entry)?))?;
        let path = configuration.directory.file.display();
        writeln!(stderr(), "Enter what was printed under \"principals\" in {path}, then run: nakatsugi directory sign --key FILE")?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CliError> {
    Ok(serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?)
}
