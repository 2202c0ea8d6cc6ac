//! The commands that people type: one file per subcommand.
//!
//! Always: an error says what, where and what to do next, and ends with a code of sysexits. Secrets are never arguments and
//! never printed; files that exist are never overwritten unless that is the command's purpose.

mod ask;
mod backup;
mod backup_errors;
mod bench;
pub mod demo;
mod directory;
mod doctor;
mod error;
mod exit;
mod export;
mod files;
mod init;
mod keys;
mod ledger;
mod load;
mod next;
mod operate;
pub mod peer;
mod principal;
mod reach;
mod read_pdf;
mod restore;
mod rotate;
mod serve;
mod shares;
mod tenant;
mod topology;
mod validate;
mod vaults;

pub use error::CliError;
pub use exit::Exit;
pub use init::left_behind;
pub use shares::{Share, ShareError};

use crate::{
    identifier::MessageType,
    relay::ports::{Clock, Entropy},
};
use clap::{
    ArgAction, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use std::{io::Write, path::PathBuf};

/// Nakatsugi: the intermediate server of the My Number information linkage.
#[derive(Debug, Parser)]
#[command(
    name = "nakatsugi",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    disable_help_flag = true,
    after_help = "Example, everything at work on this machine:\n  nakatsugi demo"
)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = "nakatsugi.toml")]
    pub config: PathBuf,
    /// Print help.
    // One screen whichever way it is asked for.
    #[arg(long, short, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new site: keys, recovery shares, an empty signed directory and a commented configuration.
    #[command(after_help = "Example:\n  nakatsugi init site --env production --shares 5 --threshold 3")]
    Init(init::Arguments),
    /// Serve messages until told to stop.
    #[command(after_help = "Example:\n  nakatsugi serve --config /etc/nakatsugi/nakatsugi.toml")]
    Serve(serve::Arguments),
    /// Sign the directory after editing it.
    #[command(subcommand)]
    Directory(directory::Command),
    /// Tenants and their vaults.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Exchanges, queues and bindings on the brokers.
    #[command(subcommand)]
    Topology(topology::Command),
    /// Keys and their recovery shares.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The ledgers: what outsiders need to check them.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Back up vaults while they serve, and drill bringing them back.
    Backup(backup::Arguments),
    /// Bring a vault back from its backup.
    Restore(restore::Arguments),
    /// Export a tenant, sealed to its own municipal system.
    Export(export::Arguments),
    /// Look at everything a site needs and say what is wrong and what to do.
    Doctor(doctor::Arguments),
    /// Say what is wrong with a configuration, directory, catalogue or message before anyone uses it.
    Validate(validate::Arguments),
    /// Sign and send one message as a principal, and wait for the reply.
    Ask(ask::Arguments),
    /// Register many rows from a file, as a municipal system.
    Load(load::Arguments),
    /// Show everything at work on this machine: a private broker, three towns, requests and their replies.
    #[command(after_help = "Example:\n  nakatsugi demo --keep site")]
    Demo(demo::Arguments),
    /// Read a PDF from the input, confined, and say what stands in it: what `serve` starts for each PDF.
    #[command(name = "read-pdf", hide = true)]
    ReadPdf(read_pdf::Arguments),
    /// Measure the relay against a bare relay and against its own cryptography, on a private broker.
    #[command(after_help = "Example:\n  nakatsugi bench --seconds 5 --rounds 3 --tenants 100")]
    Bench(bench::Arguments),
}

/// What commands take from outside besides files.
pub struct Outside<'a> {
    /// The time.
    pub clock: &'a dyn Clock,
    /// Random bytes.
    pub entropy: &'a dyn Entropy,
    /// Where a command says what it did.
    pub out: &'a mut dyn Write,
}

impl std::fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// Takes a message's type, and knows the nearest right one for a misspelt one.
fn message_type() -> impl TypedValueParser<Value = MessageType> {
    PossibleValuesParser::new(MessageType::ALL.map(MessageType::as_str)).try_map(|kind| kind.parse())
}

/// Takes the type of a message that somebody else than the relay sends.
fn command_type() -> impl TypedValueParser<Value = MessageType> {
    let commands = MessageType::ALL.into_iter().filter(|kind| kind.reply().is_some()).map(MessageType::as_str);
    PossibleValuesParser::new(commands).try_map(|kind| kind.parse())
}

/// `1 tenant`, `2 tenants`.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Does what the arguments say.
///
/// # Errors
/// [`CliError`], with its exit code and the next step.
pub fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let config = &arguments.config;
    match &arguments.command {
        Command::Init(arguments) => init::run(arguments, outside),
        Command::Serve(arguments) => serve::run(config, arguments, outside),
        Command::Directory(command) => directory::run(config, command, outside),
        Command::Tenant(command) => tenant::run(config, command, outside),
        Command::Topology(command) => topology::run(config, command, outside),
        Command::Keys(command) => keys::run(config, command, outside),
        Command::Ledger(command) => ledger::run(config, command, outside),
        Command::Backup(arguments) => backup::run(config, arguments, outside),
        Command::Restore(arguments) => restore::run(config, arguments, outside),
        Command::Export(arguments) => export::run(config, arguments, outside),
        Command::Doctor(arguments) => doctor::run(config, arguments, outside),
        Command::Validate(arguments) => validate::run(arguments, outside),
        Command::Ask(arguments) => ask::run(arguments, outside),
        Command::Load(arguments) => load::run(arguments, outside),
        Command::ReadPdf(arguments) => read_pdf::run(arguments, outside),
        Command::Demo(arguments) => demo::run(arguments, outside),
        Command::Bench(arguments) => bench::run(config, arguments, outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_help_fits_on_one_screen_and_shows_an_example() {
        fn look(command: &mut clap::Command, name: &str) {
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= 40, "{name}: {} lines", help.lines().count());
            let leads_on = command.get_subcommands().any(|part| !part.is_hide_set());
            assert!(leads_on || help.contains("Example"), "{name}");
            for part in command.get_subcommands_mut().filter(|part| !part.is_hide_set()) {
                let name = format!("{name} {}", part.get_name());
                look(part, &name);
            }
        }
        let mut command = Arguments::command();
        command.build();
        look(&mut command, "nakatsugi");
    }
}
