//! The daemon's clock jumps while it serves (libfaketime): what is valid by every clock it had is handled once, as ever.

use super::post_all;
use crate::{
    dice::Dice,
    facts::Due,
    ground::Ground,
    stage::{BINARY, PATIENCE},
};
use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};
use tokio::time::sleep;

const BATCH: usize = 40;
/// Where Debian has it, on the machines that we know.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// Ahead as far as letters are valid, back as far as their authors' clocks may be ahead; repeats meanwhile.
pub(crate) async fn clock_jumps(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| panic!("libfaketime is not installed"));
    let file = ground.stage.site.folder().join("clock");
    let set = |seconds: i64| {
        let new = file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, &file).unwrap();
    };
    let faked = || {
        let mut command = Command::new(BINARY);
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &file).env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        command
    };
    set(0);
    ground.stop().await;
    ground.start_through(faked()).await;
    for _ in 0..times {
        let (place, asks) = ground.traffic.ask(dice);
        let letter = ground.traffic.write(ground.stage.id(), place, &asks);
        ground.traffic.send(place, &letter, &asks, Due::Answer).await;
        for _ in 0..4 {
            let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
            set([-240, 0, 600, 1_500][dice.below(4) as usize] + i64::from(dice.below(60)) - 30);
            sleep(dice.pause(Duration::from_millis(500))).await;
            if dice.below(3) == 0 {
                ground.kill();
                ground.start_through(faked()).await;
            }
            post_all(ground, place, &asks, vec![letter.clone(); 3]).await;
            sending.confirmed().await;
            let left = ground.traffic.facts.settled(PATIENCE).await;
            assert!(left.is_empty(), "{left:?} are not answered");
        }
        // Far ahead, for a moment: nothing is new to it that was not new before.
        set(24 * 60 * 60);
        let repeated = ground.running.count("message.repeated") + ground.running.count("message.dead-lettered");
        post_all(ground, place, &asks, vec![letter.clone(); 3]).await;
        ground.running.until(|running| running.count("message.repeated") + running.count("message.dead-lettered") >= repeated + 3).await;
        let days = ground.running.log().into_iter().map(|line| line["time"].as_str().unwrap()[..10].to_owned());
        assert!(days.collect::<BTreeSet<_>>().len() > 1, "the clock did not jump");
        assert_eq!(ground.running.count("message.dead-lettered"), 0, "what is remembered was refused");
        set(0);
        sleep(Duration::from_millis(200)).await;
        post_all(ground, place, &asks, vec![letter.clone(); 3]).await;
    }
    ground.kill();
    ground.start().await;
    times
}
