//! A carry-over changes nothing that can be read, and everything under which it is sealed.

use crate::support::*;
use nakatsugi::{
    keyring::KeyVersion,
    relay::ports::Vault,
    vault::{CarryError, VaultEvent},
};
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

/// All that messages can see of a vault: records, memory, entries; and the ledger's edge.
pub(crate) fn all(vault: &Opened, numbers: impl Iterator<Item = u64>) -> (Vec<Option<u64>>, Vec<Vec<u8>>, u64) {
    let mut held = Vec::new();
    for number in numbers {
        assert_remembered(vault, number);
        held.push(number_held(vault, number));
    }
    let size = vault.care.ledger().size();
    let entries = (0..size).map(|index| vault.entry(index).unwrap().unwrap().1.entry).collect();
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    (held, entries, size)
}

/// The names in a vault's folder that tell its epoch.
pub(crate) fn epochs(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("store") || name.starts_with("base.")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_after_a_carry_over_is_what_was_read_before() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..700 {
        vault.commit(frame(number, 30 << (number % 12), 300)).await.unwrap();
    }
    let before = all(&vault, 0..700);
    let carried = vault.care.carry_over(expires(0)).await.unwrap();
    assert_eq!(carried.epoch, 2);
    assert_eq!(all(&vault, 0..700), before);
    assert_eq!(epochs(&first.folder()), BTreeSet::from(["store.2".to_owned(), "base.2".to_owned()]));
    let keys = vault.care.keys();
    assert_eq!(keys.iter().map(|key| (key.version, key.since)).collect::<Vec<_>>(), [(KeyVersion(2), Some(expires(0)))]);
    // Every entry and every message's memory once, and what is held of 40 persons.
    assert!((1_480..2_000).contains(&keys[0].seals), "{keys:?} {carried:?}");
    assert_eq!(vault.care.unrecorded().unwrap().map(|key| (key.version, key.entries)), Some((KeyVersion(1), 700)));
    vault.care.recorded().unwrap();
    assert_eq!(vault.care.unrecorded().unwrap(), None);

    // It goes on, and once more.
    for number in 700..800 {
        vault.commit(frame(number, 100, 300)).await.unwrap();
    }
    assert_eq!(vault.care.carry_over(expires(1)).await.unwrap().epoch, 3);
    let before = all(&vault, 0..800);
    assert!(first.events().iter().any(|event| matches!(event, VaultEvent::CarriedOver { epoch: 3, .. })));
    drop(vault);
    first.vaults.close_all().await;
    let second = site(&first.kill(), small());
    let vault = second.vault().await;
    assert!(matches!(second.events()[..], [VaultEvent::Opened { frames: 0, .. }]), "{:?}", second.events());
    assert_eq!(all(&vault, 0..800), before);
    let (kept, folder) = (vault.care.keys(), second.folder());
    drop(vault);

    // Its store is lost: made again from the base and the journal since.
    let data = second.kill();
    fs::remove_dir_all(folder.join("store.3")).unwrap();
    let third = site(&data, small());
    let vault = third.vault().await;
    assert!(third.events().iter().any(|event| matches!(event, VaultEvent::StoreRebuilt { .. })));
    assert_eq!(all(&vault, 0..800), before);
    assert_eq!(vault.care.keys(), kept);
    assert_eq!(drain(&third.outbox).await.len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_during_a_carry_over_never_fail_and_are_all_there_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..400 {
        vault.commit(frame(number, 2_000, 300)).await.unwrap();
    }
    let writers = (0..4_u64).map(|task| {
        let vault = vault.clone();
        tokio::spawn(async move {
            let mut written = Vec::new();
            for number in (1_000 + task..).step_by(4) {
                // Each person by one task: in the relay they take turns.
                let number = number - number % 4 + task;
                vault.commit(frame(number, 1_000 + (number % 30) as usize * 2_000, 300)).await.unwrap();
                assert_remembered(&vault, number);
                assert_eq!(number_held(&vault, number), Some(number));
                written.push(number);
                if !vault.care.keys().iter().any(|key| key.version < KeyVersion(6)) {
                    break;
                }
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..2).map(|_| {
        let vault = vault.clone();
        tokio::spawn(async move {
            while vault.care.keys().iter().any(|key| key.version < KeyVersion(6)) {
                for number in 0..40 {
                    assert_remembered(&vault, number);
                    vault.entry(number).unwrap().unwrap();
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for epoch in 2..7 {
        assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, epoch);
    }
    let mut written: Vec<u64> = (0..400).collect();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    for reader in readers {
        reader.await.unwrap();
    }
    println!("{} messages during five carry-overs", written.len() - 400);
    let before = all(&vault, written.iter().copied());
    drop(vault);
    let folder = first.folder();
    let second = site(&first.kill(), small());
    let vault = second.vault().await;
    assert_eq!(all(&vault, written.iter().copied()), before);
    drop(vault);
    let data = second.kill();
    fs::remove_dir_all(folder.join("store.6")).unwrap();
    let third = site(&data, small());
    assert_eq!(all(&third.vault().await, written.iter().copied()), before, "made again from base and journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_before_the_epoch_leaves_the_journal_once_its_replies_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..600 {
        vault.commit(frame(number, 3_000, 300)).await.unwrap();
    }
    for _ in 0..600 {
        first.outbox.next().await.settle();
    }
    vault.care.carry_over(expires(0)).await.unwrap();
    for number in 600..700 {
        vault.commit(frame(number, 3_000, 300)).await.unwrap();
    }
    vault.care.sweep(expires(600).plus_seconds(2_000)).await.unwrap();
    for _ in 0..2 {
        while vault.care.shrink().await.unwrap().is_some() {}
    }
    let segments: Vec<_> = fs::read_dir(first.folder().join("journal")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!segments.contains(&"0000000000000001.seg".into()), "{segments:?}");
    let held: Vec<_> = (660..700).map(|number| number_held(&vault, number)).collect();
    assert_eq!(held, (660..700).map(Some).collect::<Vec<_>>());
    drop(vault);
    let folder = first.folder();
    let data = first.kill();
    fs::remove_dir_all(folder.join("store.2")).unwrap();
    let second = site(&data, small());
    let vault = second.vault().await;
    assert_eq!((660..700).map(|number| number_held(&vault, number)).collect::<Vec<_>>(), held);
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_carry_over_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..300 {
        vault.commit(frame(number, 5_000, 300)).await.unwrap();
    }
    let (one, other) = tokio::join!(vault.care.carry_over(expires(0)), vault.care.carry_over(expires(0)));
    let results = [one, other];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(CarryError::Busy))), "{results:?}");
}

/// The disk refuses the new epoch: the vault goes on as it was, and later the carry-over does.
#[tokio::test(flavor = "multi_thread")]
async fn a_carry_over_that_cannot_write_leaves_the_vault_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..300 {
        vault.commit(frame(number, 5_000, 300)).await.unwrap();
    }
    let before = all(&vault, 0..300);
    // A file where the folder of the base belongs.
    fs::write(first.folder().join("base.2"), b"").unwrap();
    let refused = vault.care.carry_over(expires(0)).await;
    assert!(matches!(refused, Err(CarryError::Io(_))), "{refused:?}");
    assert!(vault.care.is_carrying());
    assert_eq!(all(&vault, 0..300), before);
    vault.commit(frame(300, 5_000, 300)).await.unwrap();
    fs::remove_file(first.folder().join("base.2")).unwrap();
    let before = all(&vault, 0..301);
    assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, 2);
    assert!(!vault.care.is_carrying());
    assert_eq!(all(&vault, 0..301), before);
}

/// A part that the disk changed is noticed when the store is made of it: made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..300 {
        vault.commit(frame(number, 5_000, 300)).await.unwrap();
    }
    let before = all(&vault, 0..300);
    // A folder where the new store belongs: everything is there but the store.
    fs::write(first.folder().join("store.2"), b"").unwrap();
    let refused = vault.care.carry_over(expires(0)).await;
    assert!(refused.is_err());
    let part = first.folder().join("base.2/000000.part");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    fs::remove_file(first.folder().join("store.2")).unwrap();
    let refused = vault.care.carry_over(expires(0)).await;
    assert!(matches!(refused, Err(CarryError::BaseDamaged)), "{refused:?}");
    assert_eq!(all(&vault, 0..300), before);
    assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, 2);
    assert_eq!(all(&vault, 0..300), before);
}

/// A vault that closes in the middle is not held up, and goes on when it is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_closes_in_the_middle_goes_on_with_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), nakatsugi::vault::Tuning { carry_rest: 2_000, ..small() });
    let vault = first.vault().await;
    for number in 0..600 {
        vault.commit(frame(number, 9_000, 300)).await.unwrap();
    }
    let before = all(&vault, 0..600);
    let care = vault.care.clone();
    let carrying = tokio::spawn(async move { care.carry_over(expires(0)).await });
    while !first.folder().join("base.2/begin").exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(vault);
    first.vaults.close_all().await;
    let ended = carrying.await.unwrap();
    assert!(matches!(ended, Err(CarryError::Vault(_))), "{ended:?}");
    let second = site(&first.kill(), small());
    assert_eq!(second.vaults.unfinished().unwrap(), [tenant()]);
    let vault = second.vault().await;
    assert!(vault.care.is_carrying());
    assert_eq!(all(&vault, 0..600), before);
    assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, 2);
    assert_eq!(all(&vault, 0..600), before);
}

/// What sled has lost without a word is noticed before the journal could no longer say what it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_lost_is_made_again_before_it_is_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..120 {
        vault.commit(frame(number, 60_000, 300)).await.unwrap();
    }
    let before = all(&vault, 0..120);
    drop(vault);
    first.vaults.close_all().await;
    let folder = first.folder();
    let data = first.kill();
    {
        let store = open_store(&folder);
        // Pieces of holdings and heads of persons, all in one tree.
        let rows: Vec<_> = store.scan_prefix([2]).map(|row| row.unwrap().0).collect();
        assert!(rows.len() > 100);
        store.remove(&rows[rows.len() / 2]).unwrap();
        store.flush().unwrap();
    }
    let second = site(&data, small());
    let vault = second.vault().await;
    let stopped = vault.care.carry_over(expires(0)).await;
    assert!(matches!(stopped, Err(CarryError::Vault(_))), "{stopped:?}");
    drop(vault);
    let vault = second.vault_again().await;
    assert!(second.events().iter().any(|event| matches!(event, VaultEvent::StoreRebuilt { .. })));
    assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, 2);
    assert_eq!(all(&vault, 0..120), before);
}
