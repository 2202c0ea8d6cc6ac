//! Family `process`: the daemon ends when it is not ready to.

mod loops;

use crate::{dice::Dice, ground::Ground};
pub(crate) use loops::{crash_loop, poison_kills, stalled};
use rustix::process::{Pid, Signal, kill_process};
use std::{process::Command, time::Duration};
use tokio::time::{Instant, sleep};

/// Letters between two ends.
const BATCH: usize = 40;
/// A kill comes before the first message, or after the last, or in between.
const LONGEST_LIFE: Duration = Duration::from_millis(700);

/// SIGKILL at any moment under mixed load, while it recovers too.
pub(crate) async fn killed_under_load(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        sleep(dice.pause(LONGEST_LIFE)).await;
        ground.kill();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        if dice.below(3) == 0 {
            // Before it is ready: somewhere in the recovery.
            ground.running = ground.stage.launch(Command::new(crate::stage::BINARY));
            sleep(dice.pause(LONGEST_LIFE)).await;
            ground.kill();
        }
        slowest = slowest.max(ground.start().await);
    }
    println!("       ready again within {:.1} s", slowest.as_secs_f32());
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
        // The second changes nothing: it stops in good order.
        ground.stop().await;
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

/// SIGKILL at a system call that changes the disk, the N-th of its kind on its thread: in recovery, in a commit, in a checkpoint.
pub(crate) async fn killed_at_a_call(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    const CALLS: [&str; 6] = ["write", "pwrite64", "fdatasync", "fsync", "rename", "unlink,unlinkat"];
    let mut killed = 0;
    for round in 0..times {
        // A vault is checkpointed and closed now and then, so that renames and removals come too.
        if round % 2 == 0 {
            ground.stop().await
        } else {
            ground.kill()
        }
        let call = CALLS[round as usize % CALLS.len()];
        let when = 1 + dice.below(if call == "write" { 60 } else { 8 });
        let inject = format!("inject={call}:signal=SIGKILL:when={when}");
        ground.running = ground.stage.launch(injected(call, &inject));
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH / 2);
        let until = Instant::now() + Duration::from_secs(4);
        while ground.running.daemon.is_running() && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        killed += u32::from(!ground.running.daemon.is_running());
        ground.kill();
        ground.start().await;
        sending.confirmed().await;
    }
    println!("       {killed} of {times} died at their call; the others were killed after 4 s");
    times
}

/// The daemon under strace, which does this to these calls. It stays our child (-D).
pub(crate) fn injected(calls: &str, inject: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", inject, crate::stage::BINARY]);
    strace
}

fn terminate(ground: &Ground) {
    let pid = Pid::from_raw(i32::try_from(ground.running.daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}
