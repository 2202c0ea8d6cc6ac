//! Timers: marks of published parcels, the sweep of forgotten ids, and a watch over the signed files.
//!
//! Always: nothing that a timer does is needed for an answer; it only keeps things small and says what changed.

use super::{SystemClock, intake::RunningRelay};
use crate::{
    config::Configuration,
    directory::SignedFile,
    relay::ports::Clock as _,
    telemetry::{
        Digest,
        event::{self, Event as _},
    },
    vault::Vaults,
};
use std::{fs, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

const TEND_EVERY: Duration = Duration::from_secs(2);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// Runs the vaults' timers for ever.
pub(super) async fn keep(vaults: Vaults) {
    let mut tend = interval(TEND_EVERY);
    let mut sweep = interval(SWEEP_EVERY);
    for timer in [&mut tend, &mut sweep] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = tend.tick() => vaults.tend().await,
            _ = sweep.tick() => {
                for vault in vaults.open_vaults() {
                    // A vault that stops says so itself.
                    let _ = vault.sweep(SystemClock.now()).await;
                }
            }
        }
    }
}

/// Raises an alarm, once for each change, when the configuration or the catalogue is not what the directory in use vouches for.
pub(super) async fn watch(configuration: Configuration, relay: Arc<RunningRelay>) {
    let files = [(SignedFile::Configuration, &configuration.path), (SignedFile::Catalogue, &configuration.directory.catalogue)];
    let mut alarmed = [None, None];
    let mut watch = interval(WATCH_EVERY);
    loop {
        watch.tick().await;
        for ((file, path), alarmed) in files.into_iter().zip(&mut alarmed) {
            let bytes = fs::read(path).ok();
            let vouched = bytes.as_ref().is_some_and(|bytes| relay.directory().vouches(file, bytes).is_ok());
            let found = (!vouched).then(|| bytes.map(|bytes| Digest::of(&bytes)));
            if let Some(digest) = found
                && *alarmed != found
            {
                event::ConfigurationChanged { file: file.as_str(), digest }.emit();
            }
            *alarmed = found;
        }
    }
}
