//! Family `load`: one tenant is flooded, or its vault stands still; the quiet one in the same partition hardly notices.
//!
//! Always: quiet and flooded latencies are measured in one run, one after the other, from sending to the reply in hand. The
//! ratio is printed; it fails the fault only where the profile is not `commit`, for it is a figure and machines differ.

use crate::{
    dice::Dice,
    facts::{Asks, Due, post},
    ground::Ground,
    profile::Profile,
    stage::PATIENCE,
};
use nakatsugi::identifier::MessageId;
use std::{fs, sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// The quiet town's requests, and over how long they are measured.
const QUIET: Duration = Duration::from_millis(100);
const MEASURED: Duration = Duration::from_secs(20);
/// 100 times a town's share of 2,500 requests a second among 1,788: 140 a second.
const SMALL: Duration = Duration::from_micros(7_150);
/// Messages of 498 rows: 100 times a town's share of a night's registration of 5 million records in three hours.
const LARGE: Duration = Duration::from_millis(1_900);
/// At most this many times the quiet town's 99th hundredth.
const AT_MOST: f32 = 2.0;

/// Which town is loud, and which is quiet.
const LOUD: usize = 0;
const STILL: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    Nothing,
    Small,
    Large,
    /// Requests for a vault that cannot be opened: each goes round the wait queue.
    Stopped,
}

/// 100 times its share, in small, large and slow commands.
pub(crate) async fn one_tenant_floods(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let calm = measured(ground, dice, Flood::Nothing, MEASURED).await;
        for flood in [Flood::Small, Flood::Large] {
            let loud = measured(ground, dice, flood, MEASURED).await;
            judge(ground, flood, calm, loud);
        }
        settled(ground).await;
    }
    times
}

/// A vault that cannot be opened beside a busy one in the same partition; each time for a minute.
pub(crate) async fn stopped_beside_busy(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("vault.stopped");
    let calm = measured(ground, dice, Flood::Nothing, MEASURED).await;
    settled(ground).await;
    ground.stop().await;
    let keyring = ground.stage.vault_folder(Ground::tenants()[LOUD]).join("keyring.json");
    let kept = keyring.with_extension("kept");
    fs::rename(&keyring, &kept).unwrap();
    ground.start().await;
    let loud = measured(ground, dice, Flood::Stopped, Duration::from_secs(60) * times).await;
    judge(ground, Flood::Stopped, calm, loud);
    fs::rename(&kept, &keyring).unwrap();
    settled(ground).await;
    times
}

async fn settled(ground: &Ground) {
    let left = ground.traffic.facts.settled(2 * PATIENCE).await;
    assert!(left.is_empty(), "{} letters are not answered", left.len());
}

fn judge(ground: &Ground, flood: Flood, calm: Duration, loud: Duration) {
    let ratio = loud.as_secs_f32() / calm.as_secs_f32();
    println!("       {flood:?}: the quiet town's p99 {:.1} ms instead of {:.1}: {ratio:.1} times", millis(loud), millis(calm));
    assert!(ratio <= AT_MOST || ground.profile == Profile::Commit, "the quiet town waits {ratio:.1} times as long");
}

fn millis(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1_000.0
}

/// The quiet town's 99th hundredth, while the loud one does this for so long.
async fn measured(ground: &mut Ground, dice: &mut Dice, flood: Flood, period: Duration) -> Duration {
    let (mut sending, mut quiet) = (JoinSet::new(), Vec::new());
    let ticks = |every| {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    };
    let (mut still, mut loud) = (ticks(QUIET), ticks(if flood == Flood::Large { LARGE } else { SMALL }));
    let until = Instant::now() + period;
    let mut first = 10_000;
    while Instant::now() < until {
        let (place, asks) = tokio::select! {
            _ = still.tick() => (STILL, Asks::Request { code: dice.below(8) }),
            _ = loud.tick(), if flood != Flood::Nothing => match flood {
                Flood::Large => {
                    first += 200;
                    (LOUD, Asks::Crowd { first, revision: dice.next() >> 20, value: "row".to_owned() })
                }
                Flood::Nothing | Flood::Small | Flood::Stopped => (LOUD, Asks::Request { code: dice.below(8) }),
            },
        };
        let letter = ground.traffic.write(ground.stage.id(), place, &asks);
        if place == STILL {
            quiet.push(letter.id);
        }
        let (publisher, facts) = (Arc::clone(&ground.traffic.speaker(place, &asks).publisher), ground.traffic.facts.clone());
        sending.spawn(async move {
            facts.note(&letter, asks, Due::Answer);
            post(letter, publisher, facts.clone()).await;
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let town = Ground::tenants()[STILL];
    let patience = Instant::now() + PATIENCE;
    while ground.traffic.facts.unanswered_towns().contains(&town) {
        assert!(Instant::now() < patience, "the quiet town is not answered");
        sleep(Duration::from_millis(50)).await;
    }
    ninety_ninth(ground, &quiet)
}

fn ninety_ninth(ground: &Ground, ids: &[MessageId]) -> Duration {
    let table = ground.traffic.facts.table();
    let mut took: Vec<_> = ids.iter().map(|id| table.replies[id].values().next().unwrap().at - table.facts[id].sent).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}
