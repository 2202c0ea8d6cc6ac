//! `nakatsugi bench`: how near the relay comes to what this machine allows, measured by anyone with one command.
//!
//! ```text
//! echo   consume, publish confirmed, ack                                  what a bare relay can do here
//! floor  echo, and decrypt, verify, sign, encrypt, one fdatasync per group  what no correct relay can beat
//! relay  nakatsugi serve, everything on
//! ```
//!
//! Always: all three stand beside each other on one private broker, in processes of their own, behind the same kind of
//! queue and the same mutual TLS, and take turns in short rounds, so that a noisy machine disturbs all alike; the ratios
//! count, the absolute figures are this machine's. Absent: judging the figures.

mod bare;
mod compare;
mod figures;
mod load;
mod machine;
mod plan;
mod report;
mod steps;
mod town;

use super::{CliError, Outside};
use clap::{Args, Subcommand};
pub(super) use plan::{Plan, Skew};
use std::path::Path;

/// Measure the relay against a bare relay and against its own cryptography, on a private broker.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// A part of it.
    #[command(subcommand)]
    pub part: Option<Part>,
    /// What is measured.
    #[command(flatten)]
    pub plan: Plan,
}

/// A part of the benchmark, each in a process of its own.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// The steps of one request, one by one.
    #[command(hide = true)]
    Steps(steps::Arguments),
    /// A bare relay.
    #[command(hide = true)]
    Echo(bare::Arguments),
    /// A bare relay with the cryptography and the sync.
    #[command(hide = true)]
    Floor(bare::Arguments),
    /// Make a vault for each tenant of the directory that is served here.
    #[command(hide = true)]
    Vaults,
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    match &arguments.part {
        None => compare::run(&arguments.plan, outside),
        Some(Part::Steps(arguments)) => steps::run(config, arguments, outside),
        Some(Part::Echo(arguments)) => bare::run(config, arguments, bare::Work::Nothing),
        Some(Part::Floor(arguments)) => bare::run(config, arguments, bare::Work::Cryptography),
        Some(Part::Vaults) => town::make_vaults(config),
    }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Bench(error.to_string())
}
