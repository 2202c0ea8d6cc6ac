//! A message whose handling panics, with many others in hand: it alone is refused, after three times.
//!
//! Always: by a daemon that was told to panic (`src/sabotage.rs`); nothing else about it is broken.

use super::BATCH;
use crate::{
    dice::Dice,
    facts::{Asks, Due},
    ground::Ground,
    stage::{BINARY, PATIENCE},
};
use nakatsugi::sabotage::POISON;
use std::process::Command;

pub(crate) async fn poison_panics(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.extend(["panic.caught", "message.quarantined"]);
    ground.stop().await;
    let mut command = Command::new(BINARY);
    command.env("NAKATSUGI_SABOTAGE", "panic-on-poison");
    ground.start_through(command).await;
    for _ in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        for _ in 0..3 {
            let place = dice.below(2) as usize;
            let asks = Asks::Put { person: dice.below(4), category: 0, revision: 1 << 40, value: POISON.to_owned() };
            let letter = ground.traffic.write(ground.stage.id(), place, &asks);
            ground.traffic.send(place, &letter, &asks, Due::Denied("quarantined")).await;
            sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        }
        sending.confirmed().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        assert_eq!(ground.running.count("message.dead-lettered"), 0);
    }
    times
}
