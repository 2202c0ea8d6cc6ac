//! What is remembered of messages, and for how long.

use crate::support::*;
use nakatsugi::{calendar::Timestamp, relay::ports::Vault};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_forgotten_ten_minutes_after_it_expired_and_the_floor_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..3_000 {
        vault.commit(frame(number, 0, 0)).await.unwrap();
        if number == 1_500 {
            vault.care.checkpoint().await.unwrap();
        }
    }
    vault.care.checkpoint().await.unwrap();
    assert_eq!(vault.floor(), Timestamp::from_millis(i64::MIN));
    assert_eq!(vault.care.sweep(expires(0).plus_seconds(600)).await.unwrap(), 0, "its minute is not over");
    // Expiries are a second apart; a whole minute is forgotten at once.
    let forgotten = vault.care.sweep(expires(2_000).plus_seconds(600)).await.unwrap();
    assert!((1_940..=2_000).contains(&forgotten), "{forgotten}");
    let check = |vault: &Opened| {
        assert!(vault.floor() < expires(2_000) && vault.floor() >= expires(forgotten - 1));
        for number in 0..3_000 {
            let kept = vault.recall(&message(number)).unwrap().is_some();
            assert_eq!(kept, number >= forgotten, "{number}");
            assert!(kept || expires(number) <= vault.floor(), "what is forgotten lies below the floor");
        }
    };
    check(&vault);
    assert_eq!(vault.care.sweep(expires(2_000).plus_seconds(600)).await.unwrap(), 0);
    drop(vault);
    let second = site(&first.kill(), never());
    let vault = second.vault().await;
    check(&vault);
    vault.care.checkpoint().await.unwrap();
    check(&vault);
    drop(vault);
    let third = site(&second.kill(), never());
    check(&third.vault().await);
}
