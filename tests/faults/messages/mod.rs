//! Family `messages`: what comes is not what was expected, not once, or not in time.

mod clock;
#[cfg(feature = "sabotage")]
mod poison;

use crate::{
    dice::Dice,
    facts::{Asks, Due, post},
    ground::Ground,
    stage::{PATIENCE, now},
    traffic::PEOPLE,
};
pub(crate) use clock::clock_jumps;
use futures_util::future::join_all;
use nakatsugi::{cli::peer::Letter, identifier::MessageId};
#[cfg(feature = "sabotage")]
pub(crate) use poison::poison_panics;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

const BATCH: usize = 40;
/// How often a letter is sent.
const COPIES: u32 = 100;

/// Sends letters side by side, whatever has become of them before.
async fn post_all(ground: &Ground, place: usize, asks: &Asks, letters: Vec<Letter>) {
    let speaker = ground.traffic.speaker(place, asks);
    join_all(letters.into_iter().map(|letter| post(letter, Arc::clone(&speaker.publisher), speaker.facts.clone()))).await;
}

/// A command many times at once, some of the copies in another envelope, before, while and after the daemon is killed.
pub(crate) async fn repeated(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for round in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        let copies = if round == 0 { COPIES } else { 2 + dice.below(1_000) };
        let mut all = Vec::new();
        // One of each type.
        while all.len() < 5 {
            let (place, asks) = ground.traffic.ask(dice);
            if all.iter().all(|(_, other, _): &(_, Asks, Vec<Letter>)| std::mem::discriminant(other) != std::mem::discriminant(&asks)) {
                let (id, at) = (ground.stage.id(), now());
                // The same claims, signed and encrypted anew each time: another envelope, or the very same bytes.
                let first = ground.traffic.write_at(id, place, &asks, at);
                let fresh = ground.traffic.write_at(id, place, &asks, at);
                ground.traffic.facts.note(&first, asks.clone(), Due::Answer);
                all.push((place, asks, (0..copies / 5).map(|copy| if copy % 2 == 0 { first.clone() } else { fresh.clone() }).collect()));
            } else {
                // It is asked all the same: revisions must not be left out.
                let letter = ground.traffic.write(ground.stage.id(), place, &asks);
                ground.traffic.send(place, &letter, &asks, Due::Answer).await;
            }
        }
        for (place, asks, letters) in &all {
            post_all(ground, *place, asks, letters.clone()).await;
        }
        ground.kill();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH / 4));
        for (place, asks, letters) in &all {
            post_all(ground, *place, asks, letters.iter().take(6).cloned().collect()).await;
        }
        ground.start().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        for (place, asks, letters) in &all {
            post_all(ground, *place, asks, letters.iter().take(6).cloned().collect()).await;
        }
        sending.confirmed().await;
        sleep(Duration::from_secs(1)).await;
    }
    times
}

/// Another body under the same id: the first counts, the other is told so, each as often as it comes, with the same bytes.
pub(crate) async fn same_id_other_body(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        for kind in 0..4 {
            let id = ground.stage.id();
            let (place, asks) = ground.traffic.ask_kind(dice, kind);
            let other = asks.with_other_body();
            let (first, second) = (ground.traffic.write(id, place, &asks), ground.traffic.write(id, place, &other));
            ground.traffic.send(place, &first, &asks, Due::AnswerAndConflicts(1)).await;
            // Either may be handled first once both lie in the queue: it must be this one.
            let first_answered = async {
                while !ground.traffic.facts.table().replies.contains_key(&id) {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, first_answered).await.unwrap_or_else(|_| panic!("{id} is not answered"));
            post_all(ground, place, &asks, [vec![second.clone(); 5], vec![first.clone(); 3]].concat()).await;
            if dice.below(2) == 0 {
                ground.kill();
                ground.start().await;
            }
            post_all(ground, place, &asks, vec![second; 3]).await;
        }
        sending.confirmed().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} lack a reply or a conflict");
        sleep(Duration::from_secs(1)).await;
    }
    times
}

/// Letters whose time passes while nobody is there to read them: put aside, and without effect.
pub(crate) async fn expired_while_down(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        ground.kill();
        let at = now();
        let mut asked = Vec::new();
        for _ in 0..6 {
            let (place, person) = (dice.below(2) as usize, dice.below(4));
            // Newer than any other: if it took effect, everything after it would be superseded.
            let asks = Asks::Put { person, category: 0, revision: 1 << 40, value: "never".to_owned() };
            let letter = ground.traffic.write_until(ground.stage.id(), place, &asks, (at, at.plus_seconds(2)));
            ground.traffic.send(place, &letter, &asks, Due::Nothing).await;
            asked.push(letter);
        }
        ground.dead += asked.len();
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(Duration::from_millis(2_500)).await;
        ground.start().await;
        sending.confirmed().await;
        ground.running.until(|running| running.count("message.dead-lettered") >= asked.len()).await;
    }
    times
}

/// The same letter again after its time: what is remembered is answered with the same bytes.
pub(crate) async fn repeated_after_its_time(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let at = now();
        let (place, asks) = (dice.below(2) as usize, Asks::Request { code: dice.below(4) });
        let id: MessageId = ground.stage.id();
        let letter = ground.traffic.write_until(id, place, &asks, (at, at.plus_seconds(20)));
        ground.traffic.send(place, &letter, &asks, Due::Answer).await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        ground.kill();
        let answered = ground.traffic.facts.repeats();
        sleep(Duration::from_secs(21)).await;
        post_all(ground, place, &asks, vec![letter; 5]).await;
        ground.start().await;
        ground.running.until(|running| running.count("message.repeated") >= 5).await;
        let facts = ground.traffic.facts.clone();
        let until = tokio::time::Instant::now() + PATIENCE;
        while facts.repeats() <= answered {
            assert!(tokio::time::Instant::now() < until, "the reply does not come again");
            sleep(Duration::from_millis(50)).await;
        }
    }
    times
}

/// Everything at once about one person: put, delete, link, restrict and ask, some of it out of date, on both sides of a death.
pub(crate) async fn one_person(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.traffic.people = 1;
    for _ in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, 3 * BATCH);
        sleep(dice.pause(Duration::from_millis(900))).await;
        ground.kill();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH));
        ground.start().await;
        sending.confirmed().await;
    }
    ground.traffic.people = PEOPLE;
    times
}
