//! What a demonstration, the tests and the benchmark stand on: a private broker, its certificates, a whole site.

mod error;
pub mod node;
pub mod pki;
pub mod site;

pub use error::{NodeError, PkiError, SiteError};
pub use node::{Node, NodeOptions};
pub use site::{Site, SiteOptions, SiteTenant};
use super::{CliError, Outside};
use clap::Args;
use std::path::PathBuf;

/// Show everything at work on this machine.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Keep the demonstration's folder here instead of a temporary one.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

pub(super) fn run(_arguments: &Arguments, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    Err(CliError::NotWired("demo"))
}
