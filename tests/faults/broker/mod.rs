//! Family `broker`: the network fails, and comes back.

mod cluster;
mod tls;

use crate::{dice::Dice, ground::Ground, stage::PATIENCE, wire::Mode};
pub(crate) use cluster::three_nodes;
use lapin::options::QueueDeleteOptions;
use nakatsugi::cli::demo::{node::MemoryAlarm, site::VHOST};
use std::{fs, time::Duration};
pub(crate) use tls::somebody_else_answers;
use tokio::time::{Instant, sleep};

const BATCH: usize = 40;
const MOMENT: Duration = Duration::from_millis(600);

/// The node dies under load and comes back; what it confirmed it still has.
pub(crate) async fn killed_and_restarted(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(MOMENT)).await;
        let before = ground.running.count("broker.consuming");
        ground.stage.site.node().kill();
        bring_back(ground).await;
        let from = Instant::now();
        ground.running.until(|running| running.count("broker.consuming") > before).await;
        println!("       consuming {:.1} s after the broker was back", from.elapsed().as_secs_f32());
        sending.confirmed().await;
    }
    times
}

/// Starts the node again, and sees to it that every queue has a leader.
///
/// RabbitMQ 3.10 sometimes leaves a quorum queue with one member without a leader after a crash, for ever (its issue 10070);
/// whoever publishes to it waits. That is the operator's to heal, by the command below, so it is not what is tested here.
async fn bring_back(ground: &mut Ground) {
    let node = ground.stage.site.node();
    let from = fs::metadata(node.log()).map_or(0, |metadata| metadata.len());
    tokio::task::block_in_place(|| node.restart()).unwrap_or_else(|error| panic!("{error}"));
    let queues = node.control(&["list_queues", "-p", VHOST, "--no-table-headers", "name"]).unwrap();
    sleep(Duration::from_millis(500)).await;
    let log = fs::read(node.log()).unwrap();
    let log = String::from_utf8_lossy(&log[usize::try_from(from).unwrap()..]).into_owned();
    let led = |queue: &str| log.lines().any(|line| line.contains(&format!("queue '{queue}' in vhost")) && line.contains("-> leader"));
    for queue in queues.lines().map(str::trim).filter(|queue| !queue.is_empty() && !led(queue)) {
        println!("       the broker left {queue} without a leader; an election is called");
        node.control(&["eval", &format!("ra:trigger_election({{'{VHOST}_{queue}', node()}}).")]).unwrap();
    }
}

/// The daemon publishes, the broker has it, and the connection ends before the daemon learns so.
pub(crate) async fn cut_before_the_confirm(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
    for _ in 0..times {
        sleep(dice.pause(MOMENT)).await;
        ground.wire.set(Mode::Deaf);
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH / 4));
        sleep(dice.pause(MOMENT)).await;
        ground.wire.cut();
        ground.wire.set(Mode::Open);
    }
    sending.confirmed().await;
    times
}

/// Connections end at any moment, and every piece is late.
pub(crate) async fn cut_and_slow(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
    for _ in 0..times {
        ground.wire.set(Mode::Slow(dice.pause(Duration::from_millis(60))));
        sleep(dice.pause(2 * MOMENT)).await;
        ground.wire.cut();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH / 4));
    }
    ground.wire.set(Mode::Open);
    sending.confirmed().await;
    times
}

/// Nothing passes and nothing says so: the daemon must find out by itself, and connect anew.
pub(crate) async fn half_open(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(MOMENT)).await;
        let (before, lost) = (ground.wire.connections(), ground.running.count("broker.lost"));
        ground.wire.set(Mode::Dead);
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH / 4));
        // Both of them: a connection that has not found out yet would simply go on.
        ground.running.until(|running| running.count("broker.lost") >= lost + 2).await;
        ground.wire.set(Mode::Open);
        let until = Instant::now() + PATIENCE;
        while ground.wire.connections() < before + 2 {
            assert!(Instant::now() < until, "it does not connect anew");
            sleep(Duration::from_millis(100)).await;
        }
        sending.confirmed().await;
    }
    times
}

/// The broker's memory is used up: publishing stands still, and nothing is forgotten meanwhile.
pub(crate) async fn out_of_memory(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let mut sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sleep(dice.pause(MOMENT)).await;
        ground.stage.site.node().memory_alarm(MemoryAlarm::Raised).unwrap();
        sending.join(ground.traffic.burst(&ground.stage, dice, BATCH / 4));
        sleep(dice.pause(2 * MOMENT)).await;
        if dice.below(2) == 0 {
            ground.kill();
            ground.start().await;
        }
        ground.stage.site.node().memory_alarm(MemoryAlarm::Cleared).unwrap();
        sending.confirmed().await;
    }
    times
}

/// A reader's queue is gone: its replies wait, the others' do not; declared again, it gets all of them.
pub(crate) async fn reply_queue_deleted(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        // What lay in it would be gone with it, and that is not the daemon's to promise.
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        ground.traffic.disclosure.deafen();
        let returned = ground.running.count("parcel.returned");
        delete(ground, "nakatsugi.out.disclosure").await;
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sending.confirmed().await;
        ground.running.until(|running| running.count("parcel.returned") > returned).await;
        ground.stage.site.apply_topology(|_, _| ()).await.unwrap_or_else(|error| panic!("{error}"));
        if dice.below(2) == 0 {
            ground.kill();
            ground.start().await;
        }
        ground.traffic.disclosure.listen();
    }
    times
}

/// A reader's queue is missing when the daemon starts after a crash: all others must be served.
pub(crate) async fn reader_missing_at_start(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        ground.traffic.disclosure.deafen();
        delete(ground, "nakatsugi.out.disclosure").await;
        ground.kill();
        ground.start().await;
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        ground.stage.site.apply_topology(|_, _| ()).await.unwrap_or_else(|error| panic!("{error}"));
        ground.traffic.disclosure.listen();
    }
    times
}

/// Deletes a queue, as the operator may.
async fn delete(ground: &mut Ground, queue: &str) {
    let connection = ground.operator().await;
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    connection.close(200, "".into()).await.unwrap();
}

/// The queue that the daemon consumes from is taken away under it (its consumer is cancelled), and declared again.
pub(crate) async fn own_queue_deleted(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("broker.queue-gone");
    for _ in 0..times {
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        let gone = ground.running.count("broker.queue-gone");
        delete(ground, "nakatsugi.self-info.0").await;
        ground.running.until(|running| running.count("broker.queue-gone") > gone).await;
        ground.stage.site.apply_topology(|_, _| ()).await.unwrap_or_else(|error| panic!("{error}"));
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
    }
    times
}

/// A reader's queue takes no more: its replies wait, the others' do not; with room again it gets all of them.
pub(crate) async fn reply_queue_full(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        ground.traffic.disclosure.deafen();
        let limit = r#"{"max-length":3,"overflow":"reject-publish"}"#;
        control(ground, &["set_policy", "-p", VHOST, "--apply-to", "queues", "full", r"^nakatsugi\.out\.disclosure$", limit]);
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sending.confirmed().await;
        // The municipal systems are served all the same.
        let until = Instant::now() + PATIENCE;
        while ground.traffic.facts.unanswered_but_requests() > 0 {
            assert!(Instant::now() < until, "one full queue keeps others waiting");
            sleep(Duration::from_millis(50)).await;
        }
        assert!(!ground.traffic.facts.unanswered().is_empty(), "the queue was never full");
        if dice.below(2) == 0 {
            ground.kill();
            ground.start().await;
        }
        control(ground, &["clear_policy", "-p", VHOST, "full"]);
        ground.traffic.disclosure.listen();
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
    }
    times
}

fn control(ground: &mut Ground, arguments: &[&str]) {
    tokio::task::block_in_place(|| ground.stage.site.node().control(arguments)).unwrap_or_else(|error| panic!("{error}"));
}
