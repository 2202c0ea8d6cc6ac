//! `nakatsugi serve`: configuration → filter → logs → runtime → the daemon.

use super::{CliError, Outside, left_behind};
use crate::{
    config::Configuration,
    daemon::{self, SystemClock},
    envelope::Environment,
    telemetry::{
        self, Words,
        event::{self, Event as _},
    },
    vault::filter,
};
use clap::Args;
use std::{io, panic, path::Path};
use tokio::runtime;

/// Serve messages until told to stop.
#[derive(Debug, Args)]
pub struct Arguments {}

pub(super) fn run(config: &Path, _arguments: &Arguments, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    // A store's buffers are large and mostly untouched: as huge pages, 100 vaults took 1,080 MiB instead of 167, and nothing was
    // quicker for it. Where the kernel cannot, more memory is all that it costs.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let configuration = Configuration::load(config)?;
    configuration.open_directory()?;
    let left = left_behind(&configuration);
    if let (Environment::Production, Some((_, path))) = (configuration.env, left.first()) {
        return Err(CliError::LeftBehind(path.clone()));
    }
    let _written_at_the_end = telemetry::begin(configuration.log, SystemClock, io::stdout())?;
    panic::set_hook(Box::new(|info| {
        // SECURITY: a panic's own words may hold anything; file and line are enough to find it.
        let place = info.location();
        let file = place.map(|place| Words::of_system(&place.file()));
        event::PanicCaught { file, line: place.map(std::panic::Location::line), digest: None }.emit();
    }));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    for (kind, _) in left {
        event::SecretLeftBehind { kind }.emit();
    }
    let served = runtime.block_on(daemon::serve(configuration, filter));
    // Dropped, it would wait without end for a vault whose disk does not answer.
    runtime.shutdown_background();
    served.map_err(|error| {
        event::DaemonFailed { cause: error.cause(), words: Words::of_system(&error) }.emit();
        CliError::Serve(error)
    })
}
