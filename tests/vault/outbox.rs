//! Parcels: published at least once, always the same bytes.

use crate::support::*;
use nakatsugi::{
    relay::ports::{Repeated, Vault},
    vault::OutboxLimits,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_parcel_does_not_come_back_and_a_dropped_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..3 {
        vault.commit(frame(number, 0, 1_000)).await.unwrap();
    }
    let zero = first.outbox.next().await;
    assert_eq!(**zero.parcel(), parcel(0, 1_000));
    drop(first.outbox.next().await);
    zero.settle();
    assert_eq!(first.outbox.load().parcels, 2);
    first.vaults.tend().await;
    let parcels: Vec<_> = drain(&first.outbox).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(parcels, [2, 1]);
    drop(vault);
    let second = site(&first.kill(), never());
    assert_eq!(second.vault().await.care.outstanding(), 2);
    assert_eq!(drain(&second.outbox).await, [(1, parcel(1, 1_000)), (2, parcel(2, 1_000))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_puts_the_same_bytes_in_again_once_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    vault.commit(frame(0, 0, 20_000)).await.unwrap();
    assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
    assert_eq!(first.outbox.load().parcels, 1, "it is there already");
    assert_eq!(vault.repeat(&message(1)).await.unwrap(), Repeated::Gone, "never handled");
    for checkpoint in [false, true] {
        first.outbox.next().await.settle();
        if checkpoint {
            first.vaults.tend().await;
            vault.care.checkpoint().await.unwrap();
        }
        assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
        assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
        assert_eq!(drain(&first.outbox).await, [(0, parcel(0, 20_000))]);
    }
    assert_eq!(vault.care.ledger().size(), 1, "a repeat is no new entry");
    drop(vault);
    let second = site(&first.kill(), never());
    second.vault().await;
    assert_eq!(drain(&second.outbox).await, [(0, parcel(0, 20_000))], "a repeat that was promised survives");
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_over_the_limit_are_read_again_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let site = site_with(dir.path(), small(), 1, OutboxLimits { parcels: 10, held_bytes: 5_000 });
    let vault = site.vault().await;
    for number in 0..30 {
        vault.commit(frame(number, 0, 2_000)).await.unwrap();
    }
    assert_eq!(site.outbox.load().parcels, 30);
    assert_eq!(site.outbox.load().held_bytes, 4_000);
    let room = tokio::spawn({
        let outbox = site.outbox.clone();
        async move { outbox.room().await }
    });
    for number in 0..30 {
        let dispatch = tokio::time::timeout(Duration::from_secs(20), site.outbox.next()).await.unwrap();
        assert_eq!(**dispatch.parcel(), parcel(number, 2_000));
        assert!(number > 20 || !room.is_finished());
        dispatch.settle();
    }
    tokio::time::timeout(Duration::from_secs(20), room).await.unwrap().unwrap();
    assert_eq!(site.outbox.load(), nakatsugi::vault::OutboxLoad::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_settled_after_a_checkpoint_stays_settled() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    vault.commit(frame(0, 0, 1_000)).await.unwrap();
    vault.care.checkpoint().await.unwrap();
    first.outbox.next().await.settle();
    first.vaults.tend().await;
    drop(vault);
    let second = site(&first.kill(), never());
    assert_eq!(second.vault().await.care.outstanding(), 0, "by replay");
    second.vaults.close_all().await;
    let third = site(&second.kill(), never());
    assert_eq!(third.vault().await.care.outstanding(), 0, "by the store");
    assert!(third.vaults.unfinished().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_while_the_confirm_is_on_its_way_is_published_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    vault.commit(frame(0, 0, 1_000)).await.unwrap();
    assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
    let dispatch = first.outbox.next().await;
    assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
    // Confirmed only now.
    dispatch.settle();
    let dispatch = tokio::time::timeout(Duration::from_secs(20), first.outbox.next()).await.expect("the repeat was promised");
    assert_eq!(**dispatch.parcel(), parcel(0, 1_000));
    dispatch.settle();
    assert_eq!(first.outbox.load(), nakatsugi::vault::OutboxLoad::default(), "who asked before it was taken out has it");
    first.vaults.tend().await;
    drop(vault);
    assert_eq!(site(&first.kill(), never()).vault().await.care.outstanding(), 0);
}
