//! `nakatsugi doctor`: everything that a site needs, looked at once; what is wrong, and what to do.
//!
//! Always: nothing is changed and nothing secret printed; it may run beside the daemon. A warning is for working hours, a
//! failure means that something is not served or soon will not be. Whether stores hold what their manifests say is seen only by
//! opening them, which is asked for.

mod checks;
mod finding;
mod opening;

use super::{CliError, Outside};
use clap::Args;
use finding::{Finding, State};
use serde_json::json;
use std::path::Path;

/// Look at everything a site needs and say what is wrong and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nakatsugi doctor --config site/nakatsugi.toml\n\nEnds with 69 if a check failed, with 0 otherwise.")]
pub struct Arguments {
    /// Also open every vault, as the daemon would, which compares its store with its manifest and mends what can be mended.
    /// The daemon must not run.
    #[arg(long)]
    pub open: bool,
    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let mut findings = checks::all(config, outside.clock.now());
    if arguments.open {
        findings.extend(opening::all(config));
    }
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
