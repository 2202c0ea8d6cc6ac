//! Family `disk`: what is written is not written, or not by whom it should be.

mod damage;
mod power;
mod room;
mod volume;

use crate::{
    dice::Dice,
    ground::Ground,
    process::injected,
    stage::{BINARY, PATIENCE},
};
pub(crate) use damage::{file_damaged, folders_swapped, vault_rolled_back};
pub(crate) use power::power_fails;
pub(crate) use room::{full_at_start, full_while_running, write_cut_short};
use std::{process::Command, time::Duration};
use tokio::time::{Instant, sleep};

const BATCH: usize = 40;

/// Syncs fail from the N-th on: the vault stops, acknowledges nothing more, and with a whole disk does all that waited.
pub(crate) async fn sync_fails(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.extend(["vault.stopped", "vault.journal-full", "daemon.failed"]);
    for round in 0..times {
        ground.stop().await;
        let error = if round % 2 == 0 { "EIO" } else { "ENOSPC" };
        let inject = format!("inject=fdatasync:error={error}:when={}+", 2 + dice.below(6));
        ground.start_through(injected("fdatasync", &inject)).await;
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        ground.running.event("vault.stopped").await;
        sending.confirmed().await;
        ground.kill();
        ground.start().await;
    }
    times
}

/// Every sync takes its time: slower, and nothing else.
pub(crate) async fn sync_is_slow(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        ground.stop().await;
        let inject = format!("inject=fdatasync:delay_exit={}", 20_000 + dice.below(100_000));
        ground.start_through(injected("fdatasync", &inject)).await;
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(Duration::from_secs(1))).await;
        ground.kill();
        ground.start().await;
        sending.confirmed().await;
    }
    times
}

/// A second daemon on the same folder: it refuses and ends, or at least the first goes on as if nothing were.
pub(crate) async fn two_daemons(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        let mut second = ground.stage.launch(Command::new(BINARY));
        let until = Instant::now() + PATIENCE;
        while second.daemon.is_running() {
            assert!(Instant::now() < until, "two daemons run on one folder");
            sleep(Duration::from_millis(50)).await;
        }
        sending.confirmed().await;
    }
    ground.meant.push("daemon.failed");
    times
}
