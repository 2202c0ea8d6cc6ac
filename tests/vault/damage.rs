//! What a vault does when its files are not as it left them.

use crate::support::*;
use nakatsugi::{
    record::{Listing, PersonNeed},
    relay::ports::{StopCause, Vault, VaultFault},
    vault::{OutboxLimits, RebuildReason, VaultEvent},
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const STOPPED: fn(StopCause) -> VaultFault = VaultFault::Stopped;

/// A vault with 20 messages, half of them behind the last checkpoint.
async fn vault_with_twenty(data: &Path) -> PathBuf {
    let site = site(data, never());
    let vault = site.vault().await;
    for number in 0..20 {
        if number == 10 {
            vault.commit(frame(number, 30 << 10, 1_000)).await.unwrap();
            vault.care.checkpoint().await.unwrap();
        } else {
            vault.commit(frame(number, 100, 1_000)).await.unwrap();
        }
    }
    drop(vault);
    let folder = site.folder();
    site.kill();
    folder
}

fn assert_all(vault: &Opened, numbers: u64) {
    for number in 0..numbers {
        assert_remembered(vault, number);
        assert_eq!(number_held(vault, number), Some(number));
        assert_eq!(vault.entry(number).unwrap().unwrap().1, sealing(number));
    }
    assert_eq!(vault.recall(&message(numbers)).unwrap(), None);
    assert_eq!(vault.care.ledger().size(), numbers);
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
}

fn segment(folder: &Path) -> PathBuf {
    folder.join("journal/0000000000000001.seg")
}

/// Where each group begins, and where the last ends (in zeros).
fn groups(folder: &Path) -> Vec<u64> {
    let bytes = fs::read(segment(folder)).unwrap();
    let words = bytes.as_chunks::<8>().0;
    let begins = (0_u64..).step_by(8).zip(words).filter(|(_, word)| word.starts_with(b"NKG1")).map(|(at, _)| at);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    begins.chain([end]).collect()
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_group_is_cut_and_the_vault_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let groups = groups(&folder);
    let (last, end) = (groups[groups.len() - 2], groups[groups.len() - 1]);
    for (case, torn) in [last + 1, last + 40, last + 64, (last + end) / 2, end - 1].into_iter().enumerate() {
        let data = dir.path().join(format!("case {case}"));
        copy(&folder, &data.join("vaults/142051"));
        let file = OpenOptions::new().write(true).open(segment(&data.join("vaults/142051"))).unwrap();
        if case % 2 == 0 {
            file.set_len(torn).unwrap();
        } else {
            // The end arrived, a piece in the middle did not.
            file.write_all_at(&vec![0; usize::try_from(end - torn).unwrap() / 2 + 1], torn).unwrap();
        }
        let site = site(&data, never());
        let vault = site.vault().await;
        assert_all(&vault, 19);
        assert!(matches!(site.events()[..], [VaultEvent::Opened { frames: 8, cut: 1.., .. }]), "{:?}", site.events());
        assert_eq!(vault.commit(frame(19, 100, 100)).await.unwrap().index, 19);
        assert_all(&vault, 20);
        drop(vault);
        let again = self::site(&site.kill(), never());
        assert_all(&again.vault().await, 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_group_before_the_last_stops_the_vault() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let groups = groups(&folder);
    // Magic, length, frames, envelope, tag: of a group behind the manifest, and of the one it names.
    for (case, at) in
        [groups[15], groups[15] + 9, groups[15] + 100, groups[16] - 20, groups[11] - 30, groups[10] + 70].into_iter().enumerate()
    {
        let data = dir.path().join(format!("case {case}"));
        copy(&folder, &data.join("vaults/142051"));
        flip(&segment(&data.join("vaults/142051")), at);
        let site = site(&data, never());
        assert_eq!(site.fault().await, STOPPED(StopCause::JournalDamaged), "case {case}");
        assert!(matches!(site.events()[..], [VaultEvent::Stopped { cause: StopCause::JournalDamaged, .. }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_ends_before_the_manifest_or_lacks_a_segment_stops_the_vault() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let cut = groups(&folder)[8];
    OpenOptions::new().write(true).open(segment(&folder)).unwrap().set_len(cut).unwrap();
    assert_eq!(site(dir.path(), never()).fault().await, STOPPED(StopCause::JournalDamaged));
    fs::remove_file(segment(&folder)).unwrap();
    assert_eq!(site(dir.path(), never()).fault().await, STOPPED(StopCause::JournalDamaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_or_ledger_is_rebuilt_from_the_journal_with_nothing_missing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let before_open = dir.path().join("copy");
    copy(&folder, &before_open);
    for (case, reason) in [
        RebuildReason::Behind,
        RebuildReason::Behind,
        RebuildReason::RowDamaged,
        RebuildReason::Unfinished,
        RebuildReason::Ledger,
        RebuildReason::Ledger,
    ]
    .into_iter()
    .enumerate()
    {
        let data = dir.path().join(format!("case {case}"));
        let folder = data.join("vaults/142051");
        copy(&before_open, &folder);
        match case {
            0 => fs::remove_dir_all(folder.join("store")).unwrap(),
            // An empty one in its place: as sled opens after a power cut.
            1 => fs::remove_file(folder.join("store/db")).unwrap(),
            2 => fs::write(folder.join("store.suspect"), b"").unwrap(),
            3 => fs::write(folder.join("store.rebuilding"), b"").unwrap(),
            4 => fs::remove_dir_all(folder.join("ledger")).unwrap(),
            _ => flip(&folder.join("ledger/entries/000"), 10),
        }
        let site = site(&data, never());
        let vault = site.vault().await;
        let expected = [
            VaultEvent::StoreRebuilding { vault: tenant(), reason },
            VaultEvent::StoreRebuilt { vault: tenant(), frames: 20 },
            VaultEvent::Opened { vault: tenant(), frames: 20, cut: 0, outstanding: 20, entries: 20, took: std::time::Duration::ZERO },
        ];
        assert_eq!(site.events(), expected, "case {case}");
        assert_all(&vault, 20);
        assert_eq!(drain(&site.outbox).await.len(), 20);
        drop(vault);
        let again = self::site(&site.kill(), never());
        assert_all(&again.vault().await, 20);
        assert!(matches!(again.events()[..], [VaultEvent::Opened { frames: 0, .. }]), "case {case}: {:?}", again.events());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_first_segment_a_lost_store_stops_the_vault() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    fs::remove_dir_all(folder.join("store")).unwrap();
    fs::rename(segment(&folder), folder.join("journal/0000000000000002.seg")).unwrap();
    assert_eq!(site(dir.path(), never()).fault().await, STOPPED(StopCause::StoreDamaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_put_in_place_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    copy(&folder.join("store"), &dir.path().join("older"));
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    vault.care.checkpoint().await.unwrap();
    drop(vault);
    first.kill();
    fs::remove_dir_all(folder.join("store")).unwrap();
    copy(&dir.path().join("older"), &folder.join("store"));
    let second = site(dir.path(), never());
    assert_all(&second.vault().await, 20);
    assert_eq!(second.events()[0], VaultEvent::StoreRebuilding { vault: tenant(), reason: RebuildReason::Behind });
    assert!(folder.join("store.damaged-1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_another_vault_is_rebuilt_even_where_it_is_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = vault_with_twenty(elsewhere.path()).await;
    {
        // The other one is made further: behind what ours has as its checkpoint, and behind the end of its journal.
        let site = site(elsewhere.path(), never());
        let vault = site.vault().await;
        for number in 20..40 {
            vault.commit(frame(number, 100, 1_000)).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        drop(vault);
        site.kill();
    }
    fs::remove_dir_all(folder.join("store")).unwrap();
    copy(&other.join("store"), &folder.join("store"));
    let site = site(dir.path(), never());
    assert_all(&site.vault().await, 20);
    assert_eq!(site.events()[0], VaultEvent::StoreRebuilding { vault: tenant(), reason: RebuildReason::Unreadable });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_missing_or_old_while_serving_stops_the_vault_which_then_rebuilds() {
    for case in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let folder = vault_with_twenty(dir.path()).await;
        {
            nakatsugi::vault::filter::install().unwrap();
            let store = open_store(&folder);
            let rows: Vec<_> = store.scan_prefix([2]).map(Result::unwrap).collect();
            let (heads, pieces): (Vec<_>, Vec<_>) = rows.iter().partition(|(key, _)| key.len() == 18);
            assert!(!heads.is_empty() && !pieces.is_empty());
            for (key, value) in if case == 0 { heads } else { pieces } {
                match case {
                    0 | 1 => drop(store.remove(key).unwrap()),
                    _ => {
                        let mut value = value.to_vec();
                        value[40] ^= 1;
                        store.insert(key, value).unwrap();
                    }
                }
            }
            store.flush().unwrap();
        }
        let site = site(dir.path(), never());
        let vault = site.vault().await;
        let needs = [PersonNeed { name: name_of(0), categories: vec![category()], attachments: Listing::Left }];
        assert_eq!(vault.view(&needs).unwrap_err(), STOPPED(StopCause::StoreDamaged));
        assert_eq!(vault.commit(frame(20, 0, 0)).await.unwrap_err(), STOPPED(StopCause::StoreDamaged));
        assert_eq!(site.fault().await, STOPPED(StopCause::StoreDamaged));
        let vault = site.vault_again().await;
        assert_all(&vault, 20);
        assert!(site.events().contains(&VaultEvent::StoreRebuilding { vault: tenant(), reason: RebuildReason::RowDamaged }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_snapshot_does_not_keep_the_store_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    fs::write(folder.join("store/snap.0000000000000FFF.generating"), b"half").unwrap();
    let site = site(dir.path(), never());
    assert_all(&site.vault().await, 20);
    assert!(matches!(site.events()[..], [VaultEvent::Opened { .. }]));
    assert!(!folder.join("store/snap.0000000000000FFF.generating").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_or_a_changed_manifest_stops_the_vault() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let other = site_with(dir.path(), never(), 2, OutboxLimits::default());
    assert_eq!(other.fault().await, STOPPED(StopCause::Keyring));
    other.kill();
    let manifest = fs::read_to_string(folder.join("manifest")).unwrap();
    fs::write(folder.join("manifest"), manifest.replacen("\"outstanding\":11", "\"outstanding\":10", 1)).unwrap();
    let site = site(dir.path(), never());
    assert_eq!(site.fault().await, STOPPED(StopCause::Manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_vault_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    // The second segment is a device that is always full.
    let full = site.folder().join("journal/0000000000000002.seg");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let mut number = 0;
    let fault = loop {
        match vault.commit(frame(number, 100, 50_000)).await {
            Ok(journalled) => assert_eq!(journalled.index, number),
            Err(fault) => break fault,
        }
        number += 1;
    };
    assert_eq!(fault, STOPPED(StopCause::NoRoom));
    assert_eq!(vault.commit(frame(1_000, 0, 0)).await.unwrap_err(), fault);
    assert_eq!(vault.recall(&message(0)).unwrap_err(), fault);
    fs::remove_file(&full).unwrap();
    assert_eq!(site.fault().await, fault);
    // Nobody has to ask for it: its parcels must go out.
    while site.vaults.open_vaults().is_empty() {
        site.vaults.tend().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let vault = site.vault().await;
    assert_all(&vault, number);
    assert_eq!(vault.commit(frame(number, 100, 50_000)).await.unwrap().index, number);
    assert_eq!(drain(&site.outbox).await.len() as u64, number + 1, "nothing is in the outbox twice");
}

/// Sled answers a changed byte with a panic, an error, an older state, or a wrong row: each time nothing may be missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_changed_anywhere_in_the_store_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    {
        // Several segments of sled, so that some are full and believed.
        let site = site(dir.path(), never());
        let vault = site.vault().await;
        for number in 20..40 {
            vault.commit(frame(number, 300 << 10, 1_000)).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        drop(vault);
        site.kill();
    }
    let original = dir.path().join("original");
    copy(&folder, &original);
    let length = fs::read(original.join("store/db")).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let mut reasons = Vec::new();
    for case in 0..18 {
        let data = dir.path().join(format!("case {case}"));
        copy(&original, &data.join("vaults/142051"));
        let store = data.join("vaults/142051/store");
        match case {
            0..16 => flip(&store.join("db"), length * case / 16 + 5),
            16 => OpenOptions::new().write(true).open(store.join("db")).unwrap().set_len(1_000_000).unwrap(),
            _ => {
                let snapshots = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
                let snapshot = snapshots.filter(|path| path.to_str().unwrap().contains("snap.")).max().unwrap();
                fs::write(snapshot, [7; 300]).unwrap();
            }
        }
        let site = site(&data, never());
        let mut vault = site.vault().await;
        let needs = (0..40).map(|number| PersonNeed { name: name_of(number), categories: vec![category()], attachments: Listing::Left });
        if vault.view(&needs.collect::<Vec<_>>()).is_err() || (0..40).any(|number| vault.recall(&message(number)).is_err()) {
            vault = site.vault_again().await;
        }
        assert_all(&vault, 40);
        assert_eq!(drain(&site.outbox).await.len(), 40);
        reasons.extend(
            site.events()
                .into_iter()
                .filter_map(|event| if let VaultEvent::StoreRebuilding { reason, .. } = event { Some(reason) } else { None }),
        );
    }
    assert!(reasons.contains(&RebuildReason::Unreadable), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_whose_making_was_cut_short_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    let mut number = 0;
    while !first.folder().join("journal/0000000000000003.seg").exists() {
        vault.commit(frame(number % 40, 100, 20_000)).await.unwrap();
        number += 1;
    }
    drop(vault);
    let folder = first.folder();
    let data = first.kill();
    let header = fs::read(folder.join("journal/0000000000000003.seg")).unwrap()[..50].to_vec();
    for half in [header, Vec::new(), vec![0; 4096]] {
        fs::write(folder.join("journal/0000000000000004.seg"), half).unwrap();
        let site = site(&data, never());
        let vault = site.vault().await;
        assert_eq!(vault.care.ledger().size(), number);
        assert!(!folder.join("journal/0000000000000004.seg").exists());
        drop(vault);
        site.kill();
    }
    fs::remove_file(folder.join("journal/0000000000000002.seg")).unwrap();
    assert_eq!(site(&data, never()).fault().await, STOPPED(StopCause::JournalDamaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_row_put_back_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = vault_with_twenty(dir.path()).await;
    let older = {
        let site = site(dir.path(), never());
        site.vault().await;
        site.vaults.close_all().await;
        pieces(&folder)
    };
    {
        let site = site(dir.path(), never());
        site.vault().await.commit(frame(40, 100, 0)).await.unwrap();
        site.vaults.close_all().await;
    }
    let newer = pieces(&folder);
    let changed: Vec<_> = older.iter().filter(|row| !newer.contains(row)).collect();
    assert_eq!(changed.len(), 1, "one person has another record");
    let store = open_store(&folder);
    store.insert(&changed[0].0, changed[0].1.as_slice()).unwrap();
    drop(store);
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    let needs = [PersonNeed { name: name_of(0), categories: vec![category()], attachments: Listing::Left }];
    assert_eq!(vault.view(&needs).unwrap_err(), STOPPED(StopCause::StoreDamaged));
    assert_eq!(number_held(&site.vault_again().await, 0), Some(40));
}

/// The rows that hold pieces of records.
fn pieces(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = open_store(folder).scan_prefix([2]).map(Result::unwrap).filter(|(key, _)| key.len() > 18);
    rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
