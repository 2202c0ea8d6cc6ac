//! Reload on SIGHUP: a new directory, if it is signed and right; otherwise the old one stays, and that is said loudly.

use super::{SystemClock, intake::RunningRelay};
use crate::{
    config::Configuration,
    relay::ports::Clock as _,
    telemetry::{
        Words,
        event::{self, Event as _},
    },
};

/// Reads the directory again and puts it in use.
pub(super) fn reload(configuration: &Configuration, relay: &RunningRelay) {
    let current = relay.directory();
    let opened = configuration.open_directory().map_err(|error| error.to_string());
    let checked = opened.and_then(|directory| {
        directory.succeeds(&current).map_err(|error| error.to_string())?;
        configuration.relay_keys(&directory, SystemClock.now()).map_err(|error| error.to_string())?;
        Ok(directory)
    });
    match checked {
        Ok(directory) => {
            event::DirectoryLoaded {
                version: directory.version(),
                principals: count(directory.principals().count()),
                tenants: count(directory.tenants().count()),
            }
            .emit();
            relay.exchange_directory(directory);
        }
        Err(words) => event::DirectoryKept { version: current.version(), words: Words::of_system(&words) }.emit(),
    }
}

pub(super) fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
