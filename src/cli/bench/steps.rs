//! The steps of one request, timed one by one.

use crate::cli::{CliError, Outside};
use clap::Args;

/// Time the steps of one request.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many requests.
    #[arg(long, default_value_t = 2_000, value_name = "COUNT")]
    pub count: usize,
}

pub(super) fn run(_arguments: &Arguments, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    Ok(())
}
