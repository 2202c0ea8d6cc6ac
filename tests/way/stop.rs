//! The daemon stops within its time and loses nothing; a broker that dies is waited for.

use crate::stage::{Answers, Of, Stage, Voice, stage};
use nakatsugi::cli::{demo::population::Resident, peer::Letter};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// As the site's configuration says, and a little for the end of connections.
const SHUTDOWN: Duration = Duration::from_secs(30 + 6);

async fn send(stage: &Stage, disclosure: &Voice, count: u32) -> Vec<Letter> {
    let (one, two) = Of::Others.tenants();
    let letters: Vec<_> = (0..count)
        .map(|index| stage.question(disclosure, Resident { tenant: if index % 2 == 0 { one } else { two }, index: index % 4 }))
        .collect();
    futures_util::future::try_join_all(letters.iter().map(|letter| letter.send(&disclosure.publisher))).await.unwrap();
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_in_time_and_loses_nothing() {
    let mut stage = stage().await;
    stage.bury_the_dead().await;
    let mut running = stage.serve().await;
    let mut disclosure = stage.disclosure();
    let letters = send(&stage, &disclosure, 400).await;
    let before = running.events("message.answered").len();
    let began = Instant::now();
    assert!(running.stop().await.success());
    assert!(began.elapsed() < SHUTDOWN, "{:?}", began.elapsed());
    let answered = running.events("message.answered").len();
    eprintln!("{before} were answered before, {answered} of 400 at the end, after {:?}", began.elapsed());
    assert_eq!(running.events("daemon.stopped")[0]["unfinished"], 0);
    let mut running = stage.serve().await;
    let mut answers = Answers::default();
    disclosure.gather(&letters, &mut answers).await;
    assert!(running.stop().await.success());
    disclosure.gather_rest(&mut answers).await;
    for letter in &letters {
        answers.only(letter);
    }
    drop(disclosure);
    assert_eq!(stage.emptied().await, 0, "dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_is_waited_for_and_nothing_is_lost() {
    let mut stage = stage().await;
    stage.bury_the_dead().await;
    let mut running = stage.serve().await;
    let mut disclosure = stage.disclosure();
    let letters = send(&stage, &disclosure, 300).await;
    stage.site.node().kill();
    running.event("broker.lost").await;
    tokio::task::block_in_place(|| stage.site.node().restart()).unwrap();
    let mut answers = Answers::default();
    disclosure.gather(&letters, &mut answers).await;
    let more = send(&stage, &disclosure, 20).await;
    disclosure.gather(&more, &mut answers).await;
    disclosure.gather_rest(&mut answers).await;
    for letter in letters.iter().chain(&more) {
        answers.only(letter);
    }
    assert!(running.errors().is_empty(), "{:#?}", running.errors());

    // Told to stop while the broker is gone, it stops all the same.
    let last = send(&stage, &disclosure, 50).await;
    sleep(Duration::from_millis(30)).await;
    stage.site.node().kill();
    let began = Instant::now();
    assert!(running.stop().await.success());
    assert!(began.elapsed() < SHUTDOWN, "{:?}", began.elapsed());
    eprintln!("stopped without a broker after {:?}", began.elapsed());
    tokio::task::block_in_place(|| stage.site.node().restart()).unwrap();
    let mut running = stage.serve().await;
    disclosure.gather(&last, &mut answers).await;
    assert!(running.stop().await.success());
    for letter in &last {
        answers.only(letter);
    }
    drop(disclosure);
    assert_eq!(stage.emptied().await, 0, "dead letters");
}
