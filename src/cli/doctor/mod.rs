//! `nakatsugi doctor`: everything that a site needs, looked at once; what is wrong, and what to do.
//!
//! Always: nothing is changed and nothing secret printed; it may run beside the daemon. A warning is for working hours, a
//! failure means that something is not served or soon will not be. Absent: whether stores hold what their manifests say;
//! the daemon compares them when it opens a vault.

mod checks;
mod finding;

use super::{CliError, Outside};
use clap::Args;
use finding::{Finding, State};
use serde_json::json;
use std::path::Path;

/// Look at everything a site needs and say what is wrong and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nakatsugi doctor --config site/nakatsugi.toml\n\nEnds with 69 if a check failed, with 0 otherwise.")]
pub struct Arguments {
    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let findings = checks::all(config, outside.clock.now());
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (checks, warnings, failed) = (findings.len(), count(State::Warning), count(State::Failed));
    if arguments.json {
        let found: Vec<_> = findings.iter().map(Finding::to_json).collect();
        writeln!(outside.out, "{}", json!({ "checks": found, "warnings": warnings, "failed": failed }))?;
    } else {
        for finding in &findings {
            writeln!(outside.out, "{finding}")?;
        }
        writeln!(outside.out, "\n{checks} checks: {failed} failed, {warnings} to be looked at.")?;
    }
    if failed == 0 { Ok(()) } else { Err(CliError::Unhealthy { failed, checks }) }
}
