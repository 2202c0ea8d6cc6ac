//! The daemon that dies again and again before it is ready, and the one whose disk does not answer.

use crate::{
    dice::Dice,
    facts::{Asks, Due},
    ground::Ground,
    stage::{BINARY, PATIENCE},
};
use ring::digest::{SHA256, digest};
use std::{fs, process::Command, time::Duration};
use tokio::time::{Instant, sleep};

const BATCH: usize = 40;
/// Deaths in a row: more than any message may be blamed for.
const DEATHS: u32 = 6;

/// It dies soon after it has begun, over and over, with the same letters in hand: nobody is blamed for it, all are answered.
pub(crate) async fn crash_loop(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        ground.kill();
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        for death in 0..DEATHS {
            ground.running = ground.stage.launch(Command::new(BINARY));
            if death % 2 == 0 {
                // With everything in hand, or some of it.
                ground.running.event("daemon.ready").await;
                sleep(dice.pause(Duration::from_millis(150))).await;
            } else {
                sleep(dice.pause(Duration::from_millis(300))).await;
            }
            ground.kill();
        }
        let ready = ground.start().await;
        assert!(ready < Duration::from_secs(10), "ready after {ready:?}");
        sending.confirmed().await;
    }
    times
}

/// One vault's disk does not answer: its letters wait, other towns' do not, and the daemon can still be stopped in its time.
pub(crate) async fn stalled(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        ground.stop().await;
        let town = Ground::tenants()[0];
        let keyring = ground.stage.vault_folder(town).join("keyring.json");
        let kept = keyring.with_extension("kept");
        fs::rename(&keyring, &kept).unwrap();
        // Whoever opens it waits for ever.
        assert!(Command::new("mkfifo").arg(&keyring).status().unwrap().success());
        ground.start().await;
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sending.confirmed().await;
        let until = Instant::now() + PATIENCE;
        while ground.traffic.facts.unanswered_towns().iter().any(|left| *left != town) {
            assert!(Instant::now() < until, "a town waits for another's disk");
            sleep(Duration::from_millis(20)).await;
        }
        let from = Instant::now();
        ground.stop().await;
        println!("       stopped in {:.1} s with a disk that does not answer", from.elapsed().as_secs_f32());
        assert!(from.elapsed() < Duration::from_secs(38), "it was killed, not stopped");
        fs::remove_file(&keyring).unwrap();
        fs::rename(&kept, &keyring).unwrap();
        ground.start().await;
    }
    times
}

/// A message at which the process dies, with many others in hand: they are answered, and it alone is refused in the end.
pub(crate) async fn poison_kills(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        ground.kill();
        let [town, other] = Ground::tenants();
        let keyring = ground.stage.vault_folder(town).join("keyring.json");
        let kept = keyring.with_extension("kept");
        fs::rename(&keyring, &kept).unwrap();
        assert!(Command::new("mkfifo").arg(&keyring).status().unwrap().success());
        let (asks, id) = (Asks::Request { code: 0 }, ground.stage.id());
        let poison = ground.traffic.write(id, 0, &asks);
        ground.traffic.send(0, &poison, &asks, Due::Denied("quarantined")).await;
        let name: String = digest(&SHA256, &poison.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut deaths = 0;
        let until = Instant::now() + 3 * PATIENCE;
        while deaths < 3 {
            assert!(Instant::now() < until, "it is never alone");
            for _ in 0..BATCH {
                let (_, asks) = ground.traffic.ask_at(dice, 1);
                let letter = ground.traffic.write(ground.stage.id(), 1, &asks);
                assert_eq!(letter.tenant, other);
                ground.traffic.send(1, &letter, &asks, Due::Answer).await;
            }
            ground.start().await;
            // It hangs alone, or it is not its turn yet.
            let alone = ground.stage.data().join("alone");
            let waits = Instant::now() + Duration::from_secs(8);
            while Instant::now() < waits && (!ground.traffic.facts.unanswered_towns().iter().all(|left| *left == town) || !alone.exists()) {
                sleep(Duration::from_millis(20)).await;
            }
            deaths += u32::from(fs::read_to_string(&alone).is_ok_and(|found| found == name));
            ground.kill();
        }
        fs::remove_file(&keyring).unwrap();
        fs::rename(&kept, &keyring).unwrap();
        ground.meant.push("message.quarantined");
        ground.start().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
    }
    times
}
