//! Timers: marks of published parcels, the sweep of forgotten ids, and a watch over the signed files.
//!
//! Always: nothing that a timer does is needed for an answer; it only keeps things small and says what changed.

use super::SystemClock;
use crate::{
    config::Configuration,
    relay::ports::Clock as _,
    telemetry::{
        Digest,
        event::{self, Event as _},
    },
    vault::Vaults,
};
use std::{fs, time::Duration};
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

/// Raises an alarm, once for each change, when the configuration or the catalogue is no longer what the directory vouched for.
pub(super) async fn watch(configuration: Configuration) {
    let files = [configuration.path.clone(), configuration.directory.catalogue.clone()];
    let digest = |path| fs::read(path).ok().map(|bytes| Digest::of(&bytes));
    let mut seen = files.each_ref().map(digest);
    let mut watch = interval(WATCH_EVERY);
    loop {
        watch.tick().await;
        let now = files.each_ref().map(digest);
        for (seen, now) in seen.iter().zip(&now).filter(|(seen, now)| seen != now) {
            let digest = now.or(*seen).unwrap_or_else(|| Digest::of(&[]));
            event::ConfigurationChanged { digest }.emit();
        }
        seen = now;
    }
}
