//! A message that was alone in hand at three deaths is not handled again; those beside it lose nothing.

use crate::stage::{Of, PATIENCE, Stage, stage};
use nakatsugi::{
    cli::{demo::population::Resident, peer::Letter},
    identifier::MessageType,
};
use ring::digest::{SHA256, digest};
use std::{fs, process::Command, time::Duration};
use tokio::time::{Instant, sleep};

/// Waits until the message stands on disk as the only one in hand.
async fn alone(stage: &Stage, letter: &Letter) {
    let name: String = digest(&SHA256, &letter.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let until = Instant::now() + PATIENCE;
    while fs::read_to_string(stage.data().join("alone")).ok().as_deref() != Some(&name) {
        assert!(Instant::now() < until, "it is never alone");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_alone_at_three_deaths_is_quarantined_and_its_companions_are_answered() {
    let stage = stage().await;
    let (deadly, innocent) = Of::Suspects.tenants();
    let mut running = stage.serve().await;
    stage.settle(deadly, 1).await;
    stage.settle(innocent, 4).await;
    assert!(running.stop().await.success());

    // Whoever opens the vault with this keyring waits for ever: a message that never ends, for the time until we kill.
    let keyring = stage.vault_folder(deadly).join("keyring.json");
    let kept = keyring.with_extension("kept");
    fs::rename(&keyring, &kept).unwrap();
    assert!(Command::new("mkfifo").arg(&keyring).status().unwrap().success());
    let mut disclosure = stage.disclosure();
    let poison = stage.question(&disclosure, Resident { tenant: deadly, index: 0 });
    poison.send(&disclosure.publisher).await.unwrap();
    // It is delivered before anybody suspects anything.
    let mut running = stage.serve().await;
    running.event_that("broker.consuming", |event| event["queue"].as_str().unwrap().contains("self-info")).await;
    sleep(Duration::from_millis(500)).await;
    running.daemon.kill();
    let mut companions = Vec::new();
    for index in 0..3 {
        let letter = stage.question(&disclosure, Resident { tenant: innocent, index });
        letter.send(&disclosure.publisher).await.unwrap();
        companions.push(letter);
        let mut running = stage.serve().await;
        alone(&stage, &poison).await;
        running.daemon.kill();
    }
    fs::remove_file(&keyring).unwrap();
    fs::rename(&kept, &keyring).unwrap();

    let mut running = stage.serve().await;
    let all: Vec<_> = companions.iter().chain([&poison]).cloned().collect();
    let answers = disclosure.answers(&all).await;
    let denied = answers.only(&poison);
    assert_eq!((denied.kind, denied.tenant), (MessageType::SelfInfoReply, deadly));
    assert!(denied.body.get().contains("\"quarantined\""), "{}", denied.body);
    running.event("message.quarantined").await;
    assert!(companions.iter().all(|letter| answers.only(letter).body.get().contains("provided")));
    assert_eq!((running.count("message.quarantined"), running.count("message.dead-lettered")), (1, 0));

    // Asked anew, it is another message, and answered.
    let again = stage.question(&disclosure, Resident { tenant: deadly, index: 0 });
    assert!(disclosure.ask(&again).await.body.get().contains("provided"));
    assert!(running.stop().await.success());
    assert_eq!(stage.ledger(deadly).await.len(), 2 + 2);
}
