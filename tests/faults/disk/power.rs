//! The power fails under heavy overwriting: what was acknowledged is there, and no store had to be rebuilt.

use super::volume::{Volume, may_mount};
use crate::{dice::Dice, ground::Ground, stage::PATIENCE, traffic::CROWD};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const BATCH: usize = 40;
/// With three rows a person: 100,000.
const PEOPLE: u32 = 33_366;
/// As many messages of the overwriting are confirmed, at least, before the power fails.
const AT_LEAST: u32 = PEOPLE / CROWD / 4;

/// Every row is written over and over, with checkpoints in between; then the disk is gone.
pub(crate) async fn power_fails(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    if !may_mount() {
        return 0;
    }
    // Nothing after this could be done quickly here.
    ground.worn = true;
    ground.meant.extend(["vault.stopped", "data.room-out"]);
    ground.stop().await;
    let volume = Volume::ext4(&ground.stage.data());
    ground.start().await;
    let from = Instant::now();
    ground.traffic.crowd(&ground.stage, PEOPLE).confirmed().await;
    settled(ground).await;
    println!("       {} rows registered in {:.0} s", PEOPLE * 3, from.elapsed().as_secs_f32());
    let (mut slowest, mut checkpoints) = (Duration::ZERO, 0);
    for _ in 0..times {
        let begun = ground.running.count("message.answered");
        let mut sending = ground.traffic.crowd(&ground.stage, PEOPLE);
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        let enough = begun + (AT_LEAST + dice.below(PEOPLE / CROWD - AT_LEAST)) as usize;
        ground.running.until(|running| running.count("message.answered") >= enough).await;
        sleep(dice.pause(Duration::from_millis(300))).await;
        checkpoints += ground.running.count("vault.checkpointed");
        volume.cut();
        ground.kill();
        volume.mount_again();
        slowest = slowest.max(ground.start().await);
        sending.confirmed().await;
        settled(ground).await;
        assert_eq!(ground.running.count("vault.rebuilding"), 0, "a store did not survive the power cut");
    }
    println!("       {checkpoints} checkpoints in between; ready again within {:.1} s", slowest.as_secs_f32());
    ground.traffic.look_at_crowd(&ground.stage, PEOPLE).await;
    settled(ground).await;
    ground.stop().await;
    volume.give_back();
    ground.start().await;
    times
}

async fn settled(ground: &Ground) {
    let left = ground.traffic.facts.settled(4 * PATIENCE).await;
    assert!(left.is_empty(), "{left:?} are not answered");
}
