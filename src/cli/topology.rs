//! `nakatsugi topology`: what must exist on the brokers.

use super::{CliError, Outside};
use crate::config::Configuration;
use clap::Subcommand;
use std::path::Path;

/// What must exist on the brokers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Declare exchanges, queues and bindings; needs the right to configure.
    Apply,
    /// Look whether they are there.
    Check,
}

pub(super) fn run(config: &Path, _command: &Command, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    Configuration::load(config)?.open_directory()?;
    Err(CliError::NotWired("topology"))
}
