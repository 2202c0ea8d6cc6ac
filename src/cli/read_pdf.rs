//! `nakatsugi read-pdf`: the process that reads one PDF for the daemon, and can do nothing else.

use super::{CliError, Outside};
use crate::examiner;
use clap::Args;
use std::io::stdin;

/// Read a PDF from the input, confined, and say what stands in it.
#[derive(Debug, Args)]
pub struct Arguments {}

pub(super) fn run(_arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    examiner::read_pdf(&mut stdin().lock(), outside.out).map_err(CliError::from)
}
