//! `nakatsugi topology`: what must exist on the brokers.
//!
//! Always: everything is derived from configuration and directory; applying it again changes nothing. Absent: users and
//! permissions; they are the broker operator's, who imports what `definitions` prints.

use super::{CliError, Outside};
use crate::{
    broker::{BrokerSettings, Carrier, Definitions, Tenants as CarriedTenants},
    config::Configuration,
    daemon,
    directory::{Principal, Role, Tenants},
    identifier::BrokerName,
};
use clap::{Args, Subcommand};
use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
};
use tokio::runtime;

/// What must exist on the brokers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Declare exchanges, queues and bindings; needs the right to configure.
    #[command(after_help = "Example:\n  nakatsugi topology apply --certificate operator.pem --key operator.key")]
    Apply(Credentials),
    /// Look whether they are there.
    #[command(after_help = "Example:\n  nakatsugi topology check")]
    Check,
    /// Print users, permissions and topic permissions as RabbitMQ definitions, to import with rabbitmqctl.
    #[command(
        after_help = "Example:\n  nakatsugi topology definitions > definitions.json && rabbitmqctl import_definitions definitions.json"
    )]
    Definitions {
        /// The broker of the configuration; the first if left out.
        #[arg(long, value_name = "NAME")]
        broker: Option<BrokerName>,
        /// The user that `topology apply` connects as.
        #[arg(long, default_value = "operator", value_name = "USER")]
        operator: String,
    },
}

/// With which certificate to connect; the relay's own has no right to configure.
#[derive(Debug, Args)]
pub struct Credentials {
    /// The operator's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

pub(super) fn run(config: &Path, command: &Command, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    let directory = configuration.open_directory()?;
    let topology = daemon::topology(&configuration, &directory);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    match command {
        Command::Apply(credentials) => {
            for broker in &configuration.brokers {
                let settings = credentials.instead_of(daemon::broker_settings(broker));
                let show = stderr().is_terminal();
                let progress = |done: usize, all: usize| {
                    if show {
                        // Progress is for whoever watches; nobody misses a line that could not be shown.
                        let _ = write!(stderr(), "\r{}: {done} of {all}", broker.name);
                    }
                };
                runtime.block_on(topology.apply(&settings, progress)).map_err(CliError::of(&settings))?;
                if show {
                    let _ = writeln!(stderr());
                }
                writeln!(outside.out, "{}: everything is declared ({} items).", broker.name, topology.plan().len())?;
            }
        }
        Command::Check => {
            for broker in &configuration.brokers {
                let settings = daemon::broker_settings(broker);
                runtime.block_on(topology.check(&settings)).map_err(CliError::of(&settings))?;
                writeln!(outside.out, "{}: everything is there.", broker.name)?;
            }
        }
        Command::Definitions { broker, operator } => {
            let wanted = |candidate: &&crate::config::Broker| broker.as_ref().is_none_or(|name| *name == candidate.name);
            let broker = configuration.brokers.iter().find(wanted).ok_or(CliError::UnknownBroker)?;
            let vhost = broker.uri.rsplit_once('/').map_or("/", |(_, vhost)| if vhost == "%2f" { "/" } else { vhost });
            let definitions = definitions(directory.principals(), &broker.name, broker.user.as_str(), operator, vhost);
            write!(outside.out, "{}", definitions.to_json())?;
        }
    }
    Ok(())
}

impl Credentials {
    fn instead_of(&self, mut settings: BrokerSettings) -> BrokerSettings {
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            settings.certificate.clone_from(certificate);
            settings.key.clone_from(key);
        }
        settings
    }
}

/// Users and permissions on one broker, as they follow from the directory.
pub(super) fn definitions<'a>(
    principals: impl Iterator<Item = &'a Principal>,
    broker: &BrokerName,
    relay: &str,
    operator: &str,
    vhost: &str,
) -> Definitions {
    let mut carriers = BTreeMap::<&str, Carrier>::new();
    for principal in principals.filter(|principal| principal.role != Role::Relay) {
        let reads = principal.replies.as_ref().filter(|replies| replies.broker == *broker).map(|replies| replies.queue.to_string());
        for user in principal.carriers.iter().filter(|carrier| carrier.broker == *broker).filter_map(|carrier| carrier.user.as_ref()) {
            let new = || Carrier { user: user.to_string(), may_write: Vec::new(), reads: None };
            let carrier = carriers.entry(user.as_str()).or_insert_with(new);
            carrier.may_write.extend(principal.may.iter().map(|kind| (carried(principal), *kind)));
            if reads.is_some() {
                carrier.reads.clone_from(&reads);
            }
        }
    }
    Definitions {
        vhost: vhost.to_owned(),
        relay: relay.to_owned(),
        operator: operator.to_owned(),
        carriers: carriers.into_values().collect(),
    }
}

fn carried(principal: &Principal) -> CarriedTenants {
    match &principal.tenants {
        Tenants::All => CarriedTenants::All,
        Tenants::Listed(listed) => CarriedTenants::These(listed.iter().copied().collect()),
    }
}
