//! `nakatsugi serve`: configuration → logs → runtime → the daemon.

use super::{CliError, Outside, left_behind};
use crate::{config::Configuration, envelope::Environment};
use clap::Args;
use std::path::Path;

/// Serve messages until told to stop.
#[derive(Debug, Args)]
pub struct Arguments {}

pub(super) fn run(config: &Path, _arguments: &Arguments, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    configuration.open_directory()?;
    if let (Environment::Production, Some(left)) = (configuration.env, left_behind(&configuration).first()) {
        return Err(CliError::LeftBehind(left.clone()));
    }
    Err(CliError::NotWired("serve"))
}
