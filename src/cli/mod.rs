//! The commands that people type: one file per subcommand.
//!
//! Always: an error says what, where and what to do next, and ends with a code of sysexits. Secrets are never arguments and
//! never printed; files that exist are never overwritten unless that is the command's purpose.

mod ask;
mod bench;
pub mod demo;
mod directory;
mod error;
mod exit;
mod files;
mod init;
mod keys;
pub mod peer;
mod serve;
mod shares;
mod tenant;
mod topology;

pub use error::CliError;
pub use exit::Exit;
pub use init::left_behind;
pub use shares::{Share, ShareError};

use crate::relay::ports::{Clock, Entropy};
use clap::{Parser, Subcommand};
use std::{io::Write, path::PathBuf};

/// Nakatsugi: the intermediate server of the My Number information linkage.
#[derive(Debug, Parser)]
#[command(name = "nakatsugi", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = "nakatsugi.toml")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new site: keys, recovery shares, an empty signed directory and a commented configuration.
    Init(init::Arguments),
    /// Serve messages until told to stop.
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
    /// Sign and send one message as a principal, and wait for the reply.
    Ask(ask::Arguments),
    /// Show everything at work on this machine: a private broker, two tenants, a request and its reply.
    Demo(demo::Arguments),
    /// Measure the relay against a bare relay and against its own cryptography, on a private broker.
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
        Command::Ask(arguments) => ask::run(arguments, outside),
        Command::Demo(arguments) => demo::run(arguments, outside),
        Command::Bench(arguments) => bench::run(config, arguments, outside),
    }
}
