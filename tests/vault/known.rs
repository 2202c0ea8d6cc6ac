//! A repeat is found, and what is new is new, whatever became of the ids in memory.

use crate::support::*;
use nakatsugi::{relay::ports::Vault, vault::Tuning};
use std::fs;

/// Of these messages those below the first are forgotten, the others remembered.
fn check(vault: &Opened, forgotten: u64, end: u64) {
    for number in 0..end {
        match vault.recall(&message(number)).unwrap() {
            Some(remembered) => assert!(number >= forgotten && remembered.digest == digest(number), "{number} came back"),
            None => assert!(number < forgotten, "{number} is forgotten"),
        }
    }
    assert_eq!(vault.recall(&message(end)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_found_however_the_vault_was_opened() {
    for known_ids in [0, 150, usize::MAX] {
        let tuning = || Tuning { known_ids, ..never() };
        let dir = tempfile::tempdir().unwrap();
        let first = site(dir.path(), tuning());
        let vault = first.vault().await;
        for number in 0..200 {
            vault.commit(frame(number, 0, 0)).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        for number in 200..300 {
            vault.commit(frame(number, 0, 0)).await.unwrap();
        }
        check(&vault, 0, 300);
        drop(vault);

        // Some from the store, some from the journal.
        let second = site(&first.kill(), tuning());
        let vault = second.vault().await;
        check(&vault, 0, 300);
        let forgotten = vault.care.sweep(expires(130).plus_seconds(600)).await.unwrap();
        assert!(forgotten > 0);
        check(&vault, forgotten, 300);
        drop(vault);

        // Forgotten in the journal, still in the store.
        let third = site(&second.kill(), tuning());
        check(&third.vault().await, forgotten, 300);
        third.vaults.close_all().await;
        drop(third);

        // All from the store.
        let fourth = site(dir.path(), tuning());
        let vault = fourth.vault().await;
        check(&vault, forgotten, 300);
        let folder = fourth.folder();
        drop(vault);
        let data = fourth.kill();

        // All from the journal.
        fs::remove_dir_all(folder.join("store")).unwrap();
        let fifth = site(&data, tuning());
        check(&fifth.vault().await, forgotten, 300);
        drop(fifth);

        // With a checkpoint that was cut short before its manifest: the rows are in the store, and in the journal behind it.
        let sixth = site(dir.path(), tuning());
        let vault = sixth.vault().await;
        let manifest = fs::read(folder.join("manifest")).unwrap();
        for number in 300..330 {
            vault.commit(frame(number, 0, 0)).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        drop(vault);
        let data = sixth.kill();
        fs::write(folder.join("manifest"), manifest).unwrap();
        let seventh = site(&data, tuning());
        let vault = seventh.vault().await;
        check(&vault, forgotten, 330);
        let rest = vault.care.sweep(expires(400).plus_seconds(600)).await.unwrap();
        check(&vault, forgotten + rest, 330);
    }
}
