//! The disk is full, while the daemon runs and when it starts; then there is room again, and all that waited is done.

use super::volume::{Volume, may_mount};
use crate::{dice::Dice, ground::Ground, stage::BINARY, traffic::Burst};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, process::Command, time::Duration};
use tokio::time::sleep;

const BATCH: usize = 40;
/// Twice what must stay free by default, and a little.
const MEBIBYTES: u32 = 1_100;

/// What a full disk may be told of.
const MEANT: [&str; 5] = ["vault.stopped", "vault.ballast-freed", "data.room-out", "vault.journal-full", "daemon.failed"];

/// Some of the room goes, or all of it at once in the middle of a write.
pub(crate) async fn full_while_running(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    if !may_mount() {
        return 0;
    }
    ground.meant.extend(MEANT);
    ground.stop().await;
    let volume = Volume::tmpfs(&ground.stage.data(), MEBIBYTES);
    ground.start().await;
    for round in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(Duration::from_millis(700))).await;
        let left = if round % 2 == 0 { 0 } else { u64::from(dice.below(300_000)) };
        volume.fill_up_to(left);
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        ground.running.until(|running| running.count("data.room-out") + running.count("vault.stopped") > 0).await;
        sleep(dice.pause(Duration::from_secs(2))).await;
        if dice.below(3) == 0 {
            ground.kill();
            launch_full(ground).await;
        }
        drain(ground, &volume, sending).await;
    }
    back(ground, volume).await;
    times
}

/// No byte is free when it starts.
pub(crate) async fn full_at_start(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    if !may_mount() {
        return 0;
    }
    ground.meant.extend(MEANT);
    ground.stop().await;
    let volume = Volume::tmpfs(&ground.stage.data(), MEBIBYTES);
    ground.start().await;
    for round in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(Duration::from_millis(400))).await;
        if round % 2 == 0 {
            ground.kill()
        } else {
            ground.stop().await
        }
        volume.fill_up_to(0);
        launch_full(ground).await;
        drain(ground, &volume, sending).await;
    }
    back(ground, volume).await;
    times
}

/// Starts the daemon on the full disk: it gets ready and lets messages wait, or it ends and says that it may be tried again.
async fn launch_full(ground: &mut Ground) {
    ground.running = ground.stage.launch(Command::new(BINARY));
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        if ground.running.count("daemon.ready") > 0 {
            return;
        }
        if !ground.running.daemon.is_running() {
            let status = ground.running.stop().await;
            println!("       on a full disk it ends with {status}");
            return;
        }
    }
    panic!("on a full disk it neither gets ready nor ends");
}

/// There is room: what waited is answered, by the same daemon if it still runs.
async fn drain(ground: &mut Ground, volume: &Volume, sending: Burst) {
    volume.empty_again();
    if !ground.running.daemon.is_running() {
        ground.start().await;
    }
    sending.confirmed().await;
    let left = ground.traffic.facts.settled(crate::stage::PATIENCE).await;
    assert!(left.is_empty(), "there is room again, and {left:?} are not answered");
}

async fn back(ground: &mut Ground, volume: Volume) {
    ground.stop().await;
    volume.give_back();
    ground.start().await;
}

/// Files may grow to a limit and no further: the last write to reach it is cut short, the next one fails.
pub(crate) async fn write_cut_short(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.extend(MEANT);
    for _ in 0..times {
        ground.stop().await;
        // The log is a file like the others: it must not be the one that reaches the limit first.
        let log = ground.stage.site.folder().join("serve.log");
        fs::rename(&log, log.with_extension(format!("log.{}", dice.next()))).unwrap();
        let journals = Ground::tenants().map(|tenant| ground.stage.vault_folder(tenant).join("journal"));
        let segments = journals.iter().flat_map(|journal| fs::read_dir(journal).unwrap()).map(|entry| entry.unwrap().metadata().unwrap());
        let limit = segments.map(|segment| segment.len()).max().unwrap() + 1_000 + u64::from(dice.below(200_000));
        // In bytes by prlimit, and ignored by whom it is signalled to: the write says so itself.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; limit=$1; shift; exec prlimit --fsize=$limit: \"$@\"", "sh", &limit.to_string(), BINARY]);
        ground.start_through(command).await;
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        for _ in 0..40 {
            if ground.running.count("vault.stopped") > 0 {
                break;
            }
            sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
            sleep(Duration::from_millis(400)).await;
        }
        ground.running.event("vault.stopped").await;
        // The limit goes away while it runs, or with it.
        if dice.below(2) == 0 {
            let pid = Pid::from_raw(i32::try_from(ground.running.daemon.pid()).unwrap()).unwrap();
            assert!(
                Command::new("prlimit")
                    .args(["--fsize=unlimited:", "--pid", &pid.as_raw_nonzero().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        } else {
            kill_process(Pid::from_raw(i32::try_from(ground.running.daemon.pid()).unwrap()).unwrap(), Signal::KILL).unwrap();
            ground.kill();
            ground.start().await;
        }
        sending.confirmed().await;
        let left = ground.traffic.facts.settled(crate::stage::PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
    }
    times
}
