//! A request that comes again after its time: the reply's bytes are let go, the promise is not.

use crate::{
    gate::{Hand, NOW, carry},
    shrink::{publish_all, shrink_all, shrunk},
    support::*,
};
use nakatsugi::{
    calendar::Timestamp,
    relay::End,
    relay::ports::{Frame, Vault},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_again_after_its_reply_was_let_go_is_already_answered() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    first.vaults.create(nakatsugi::identifier::VaultName::Platform).unwrap();
    let clock = Hand(Arc::new(AtomicI64::new(NOW)));
    let relay = GATE.relay(first.vaults.clone(), clock.clone());
    let letter = GATE.letter(fujisawa(), 7);
    assert_eq!(carry(&relay, &letter).await, End::Answered { index: 0 });
    let dispatch = first.outbox.next().await;
    let (promise, _) = GATE.open(dispatch.parcel());
    let reply = Arc::clone(dispatch.parcel());
    dispatch.settle();
    assert_eq!(carry(&relay, &letter).await, End::Repeated);
    let dispatch = first.outbox.next().await;
    assert_eq!(*dispatch.parcel(), reply);

    // Its time is over, but the repeat is still on its way.
    clock.0.store(NOW + 601, Ordering::Relaxed);
    vault.care.sweep(Timestamp::from_seconds(NOW + 601)).await.unwrap();
    assert_eq!(carry(&relay, &letter).await, End::Repeated);
    dispatch.settle();
    let dispatch = first.outbox.next().await;
    assert_eq!(*dispatch.parcel(), reply, "asked for while it was on its way");
    dispatch.settle();

    assert_eq!(carry(&relay, &letter).await, End::Denied { code: "already-answered", index: 1 });
    let dispatch = first.outbox.next().await;
    let (_, body) = GATE.open(dispatch.parcel());
    assert_eq!(body, json!({"status": "denied", "code": "already-answered", "answered": promise.to_string()}));
    let denial = Arc::clone(dispatch.parcel());
    assert_ne!(denial.id, reply.id);
    assert_eq!(carry(&relay, &letter).await, End::Repeated, "while the denial is on its way it is the same");
    dispatch.settle();
    let dispatch = first.outbox.next().await;
    assert_eq!(*dispatch.parcel(), denial);
    dispatch.settle();

    // Forgotten, it is refused whatever the clock says.
    vault.care.checkpoint().await.unwrap();
    clock.0.store(NOW + 1_500, Ordering::Relaxed);
    assert!(vault.care.sweep(Timestamp::from_seconds(NOW + 1_500)).await.unwrap() >= 1);
    assert!(matches!(carry(&relay, &letter).await, End::DeadLettered { reason: "expired", .. }));
    clock.0.store(NOW, Ordering::Relaxed);
    assert!(matches!(carry(&relay, &letter).await, End::DeadLettered { reason: "expired", .. }));
    assert_eq!(vault.care.ledger().size(), 2);
}

/// A denial whose bytes were let go is not made anew: other bytes would go out under the same id, with a second entry.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_repeat_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    first.vaults.create(nakatsugi::identifier::VaultName::Platform).unwrap();
    let clock = Hand(Arc::new(AtomicI64::new(NOW)));
    let relay = GATE.relay(first.vaults.clone(), clock.clone());
    // It keeps the span in which the letter expires from being forgotten with the letter.
    vault.commit(Frame { expires: Timestamp::from_seconds(NOW + 630), ..frame(0, 0, 100) }).await.unwrap();
    publish_all(&first.outbox).await;
    vault.care.checkpoint().await.unwrap();
    let letter = GATE.letter(fujisawa(), 7);
    assert_eq!(carry(&relay, &letter).await, End::Answered { index: 1 });
    publish_all(&first.outbox).await;
    clock.0.store(NOW + 601, Ordering::Relaxed);
    vault.care.sweep(Timestamp::from_seconds(NOW + 601)).await.unwrap();
    assert_eq!(carry(&relay, &letter).await, End::Denied { code: "already-answered", index: 2 });
    for number in 1..80 {
        vault.commit(Frame { expires: Timestamp::from_seconds(NOW + 600), ..frame(number, 100, 8_000) }).await.unwrap();
    }
    publish_all(&first.outbox).await;
    clock.0.store(NOW + 1_400, Ordering::Relaxed);
    assert_eq!(vault.care.sweep(Timestamp::from_seconds(NOW + 1_400)).await.unwrap(), 1);
    shrink_all(&vault).await;
    assert!(shrunk(&first).contains(&1));
    let entries = vault.care.ledger().size();
    assert!(matches!(carry(&relay, &letter).await, End::DeadLettered { reason: "expired", .. }));
    assert_eq!((vault.care.ledger().size(), first.outbox.load().parcels), (entries, 0));
}
