//! Timers: marks of published parcels, tree heads, the sweep of forgotten ids and of replies whose time is over, and a watch over the
//! signed files.
//!
//! Always: nothing that a timer does is needed for an answer; it only keeps things small and says what changed. None waits
//! long for one vault, so a slow one keeps little from the others.

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
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

const TEND_EVERY: Duration = Duration::from_secs(2);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// How long a sweep waits for one vault, which goes on where it was in the next round.
const SWEEP_PATIENCE: Duration = Duration::from_secs(2);
/// How long anchoring waits for one vault, which is tried again in the next round.
const ANCHOR_PATIENCE: Duration = Duration::from_secs(5);
/// How long rewriting waits for one vault, which begins anew in the next round.
const SHRINK_PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes of journal are read in a second to be rewritten: the disk belongs to those who wait for an answer. Each byte
/// is read once in its life, and 2,500 requests a second write about 30 MB.
const SHRINK_BYTES_A_SECOND: u64 = 48 << 20;

/// Runs the vaults' timers for ever.
pub(super) async fn keep(vaults: Vaults, anchors_every: Duration) {
    tokio::join!(tend(&vaults), sweep(&vaults), shrink(&vaults), anchor(&vaults, anchors_every));
}

/// Tells and anchors the tree heads that have changed.
async fn anchor(vaults: &Vaults, every: Duration) {
    let mut tick = ticks(every);
    loop {
        tick.tick().await;
        for vault in vaults.open_vaults() {
            // An anchor volume that does not answer keeps nothing else waiting.
            let _ = timeout(ANCHOR_PATIENCE, vault.anchor()).await;
        }
    }
}

async fn tend(vaults: &Vaults) {
    let mut tick = ticks(TEND_EVERY);
    loop {
        tick.tick().await;
        vaults.tend().await;
    }
}

async fn sweep(vaults: &Vaults) {
    let mut tick = ticks(SWEEP_EVERY);
    loop {
        tick.tick().await;
        for vault in vaults.open_vaults() {
            // A vault that stops says so itself.
            let _ = timeout(SWEEP_PATIENCE, vault.sweep(SystemClock.now())).await;
        }
    }
}

/// Rewrites segments whose time is over, one of each vault in turn until none of it is left for this round.
async fn shrink(vaults: &Vaults) {
    let mut tick = ticks(SWEEP_EVERY);
    loop {
        tick.tick().await;
        let mut round = vaults.open_vaults();
        while !round.is_empty() {
            let mut more = Vec::with_capacity(round.len());
            for vault in round {
                let began = Instant::now();
                if let Ok(Ok(Some(bytes))) = timeout(SHRINK_PATIENCE, vault.shrink()).await {
                    more.push(vault);
                    sleep_until(began + Duration::from_millis(bytes * 1000 / SHRINK_BYTES_A_SECOND)).await;
                }
            }
            round = more;
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut interval = interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
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
