//! Family `process`: the daemon ends when it is not ready to.

use crate::{dice::Dice, ground::Ground};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Letters between two ends.
const BATCH: usize = 40;
/// A kill comes before the first message, or after the last, or in between.
const LONGEST_LIFE: Duration = Duration::from_millis(700);

/// SIGKILL at any moment under mixed load, while it recovers too.
pub(crate) async fn killed_under_load(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
    for _ in 0..times {
        sleep(dice.pause(LONGEST_LIFE)).await;
        ground.kill();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        if dice.below(3) == 0 {
            // Before it is ready: somewhere in the recovery.
            ground.running = ground.stage.launch(std::process::Command::new(crate::stage::BINARY));
            sleep(dice.pause(LONGEST_LIFE)).await;
            ground.kill();
        }
        ground.start().await;
    }
    sending.confirmed().await;
    times
}

/// SIGTERM under load: it stops in good order, and whatever it had in hand is done by the next.
pub(crate) async fn stopped_under_load(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(LONGEST_LIFE)).await;
        ground.stop().await;
        ground.start().await;
        sending.confirmed().await;
    }
    times
}

/// SIGTERM, and again while it stops.
pub(crate) async fn stopped_twice(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(LONGEST_LIFE)).await;
        terminate(ground);
        sleep(dice.pause(Duration::from_millis(50))).await;
        // Whatever it makes of the second, it ends.
        let _ = ground.running.stop().await;
        ground.start().await;
        sending.confirmed().await;
    }
    times
}

/// SIGTERM while the broker is gone: it stops all the same, in its time.
pub(crate) async fn stopped_without_broker(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(LONGEST_LIFE)).await;
        ground.wire.set(crate::wire::Mode::Closed);
        ground.wire.cut();
        sleep(dice.pause(LONGEST_LIFE)).await;
        let from = Instant::now();
        ground.stop().await;
        assert!(from.elapsed() < Duration::from_secs(38), "it was killed, not stopped");
        ground.wire.set(crate::wire::Mode::Open);
        ground.start().await;
        sending.confirmed().await;
    }
    times
}

fn terminate(ground: &Ground) {
    let pid = Pid::from_raw(i32::try_from(ground.running.daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}
