//! What a commit promises while nothing goes wrong.

use crate::{shrink::publish_all, support::*};
use nakatsugi::{
    record::{Holding, Listing, PersonNeed},
    relay::ports::{StopCause, Vault, VaultFault},
    vault::{CreateError, DataFolderError, VaultEvent, Vaults},
};
use std::{collections::BTreeSet, fs};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_seen_before_and_after_a_checkpoint_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..30 {
        assert_eq!(vault.commit(frame(number, 100, 500)).await.unwrap().index, number);
    }
    let check = |vault: &Opened| {
        for number in 0..30 {
            assert_remembered(vault, number);
            assert_eq!(number_held(vault, number), Some(number));
            let (_, sealing) = vault.entry(number).unwrap().unwrap();
            assert_eq!(sealing, crate::support::sealing(number));
        }
        assert_eq!(vault.recall(&message(30)).unwrap(), None);
        assert_eq!(vault.person(&name_of(30)).unwrap(), None);
        assert_eq!(vault.entry(30).unwrap(), None);
        assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    };
    check(&vault);
    vault.care.checkpoint().await.unwrap();
    check(&vault);
    assert_eq!(vault.commit(frame(30, 10, 10)).await.unwrap().index, 30);
    drop(vault);
    first.vaults.close_all().await;
    drop(first);

    let second = site(dir.path(), never());
    let vault = second.vault().await;
    assert_remembered(&vault, 30);
    let opened = second.events().into_iter().find(|event| matches!(event, VaultEvent::Opened { .. }));
    assert_eq!(
        opened,
        Some(VaultEvent::Opened { vault: tenant(), frames: 0, cut: 0, outstanding: 31, entries: 31, took: std::time::Duration::ZERO })
    );
    assert_eq!(vault.commit(frame(31, 10, 10)).await.unwrap().index, 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_size_come_back_and_make_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    for (number, size) in [(0, 0), (1, 24 << 10), (2, 1 << 20), (3, 30 << 10)] {
        vault.commit(frame(number, size, 0)).await.unwrap();
    }
    vault.care.checkpoint().await.unwrap();
    for round in 1..6 {
        // Large, then small over large: the pieces that are no longer needed must not be taken for damage.
        for number in 0..40 {
            let size = if (round + number) % 3 == 0 { 200 << 10 } else { (24 << 10) - 200 };
            vault.commit(frame(round * 40 + number, size as usize, 0)).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        for number in 0..40 {
            assert_eq!(number_held(&vault, number), Some(round * 40 + number));
        }
    }
    assert_eq!(fs::read_dir(site.folder().join("store/blobs")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_any_size_comes_back_in_rows_of_bounded_length() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    let need = [PersonNeed { name: name_of(0), categories: vec![category()], attachments: Listing::Left }];
    let lengths = [0, 200, 2_000, 700, 0, 900];
    let head = |number: u64, former: u32| {
        let mut frame = frame(number * 40, 30 << 10, 0);
        frame.changes[0].head.former = (0..former)
            .map(|former| nakatsugi::record::FormerName {
                code: nakatsugi::identifier::PersonCode::from_bytes([u8::try_from(former % 251).unwrap(); 32]),
                until: expires(former.into()),
                end: nakatsugi::record::CodeEnd::Replaced,
            })
            .collect();
        frame
    };
    for (number, former) in (0..).zip(lengths) {
        let frame = head(number, former);
        let expected = frame.changes[0].head.clone();
        vault.commit(frame).await.unwrap();
        assert_eq!(vault.view(&need).unwrap().persons[0].as_ref().unwrap().head, expected);
        vault.care.checkpoint().await.unwrap();
        assert_eq!(vault.view(&need).unwrap().persons[0].as_ref().unwrap().head, expected);
    }
    assert_eq!(number_held(&vault, 0), Some(200));
    let folder = first.folder();
    drop(vault);
    first.kill();
    let rows = open_store(&folder).scan_prefix([2]).map(Result::unwrap).collect::<Vec<_>>();
    assert!(rows.iter().all(|(_, value)| value.len() <= (24 << 10) + 256), "a row is too long");
    assert!(rows.iter().filter(|(key, _)| key.len() == 22).count() >= 3, "the head lies in pieces");
    // A piece that is lost is damage.
    {
        let store = open_store(&folder);
        let (piece, _) = rows.iter().find(|(key, _)| key.len() == 22).unwrap();
        store.remove(piece).unwrap();
        store.flush().unwrap();
    }
    let second = site(dir.path(), never());
    assert!(matches!(second.vault().await.view(&need), Err(VaultFault::Stopped(StopCause::StoreDamaged))));
    assert_eq!(second.vault_again().await.view(&need).unwrap().persons[0].as_ref().unwrap().head.former.len(), 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_too_long_is_refused_and_the_vault_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    let mut long = frame(0, 0, 0);
    let body: std::sync::Arc<[u8]> = vec![0; 8 << 20].into();
    let parcel = nakatsugi::relay::ports::Parcel { body, ..parcel(0, 0) };
    // All the same bytes in memory; on disk they would be more than a gigabyte.
    long.parcels = vec![parcel; 129];
    assert_eq!(vault.commit(long).await.unwrap_err(), VaultFault::Stopped(StopCause::NoRoom));
    let mut many = frame(0, 0, 0);
    many.parcels = vec![crate::support::parcel(0, 0); 65_536];
    assert_eq!(vault.commit(many).await.unwrap_err(), VaultFault::Stopped(StopCause::NoRoom));
    assert_eq!(vault.commit(frame(0, 0, 0)).await.unwrap().index, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_away_leads_to_nobody_and_an_empty_holding_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    vault.commit(frame(0, 50 << 10, 0)).await.unwrap();
    vault.care.checkpoint().await.unwrap();
    let mut change = frame(40, 0, 0);
    change.changes[0].holdings.insert(category(), Holding::default());
    vault.commit(change).await.unwrap();
    let view = vault.view(&[PersonNeed { name: name_of(0), categories: vec![category()], attachments: Listing::Left }]).unwrap();
    assert!(view.persons[0].as_ref().unwrap().holdings.is_empty());
    let mut change = frame(80, 0, 0);
    change.changes[0].linked.clear();
    change.changes[0].unlinked.push(name_of(0));
    vault.commit(change).await.unwrap();
    vault.care.checkpoint().await.unwrap();
    assert_eq!(vault.person(&name_of(0)).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_groups_and_all_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), small());
    let vault = site.vault().await;
    let tasks: Vec<_> = (0..40_u64)
        .map(|task| {
            let vault = vault.clone();
            tokio::spawn(async move {
                let mut indexes = Vec::new();
                for round in 0..20 {
                    indexes.push(vault.commit(frame(round * 40 + task, 200, 2_000)).await.unwrap().index);
                }
                indexes
            })
        })
        .collect();
    let mut indexes = BTreeSet::new();
    for task in tasks {
        indexes.extend(task.await.unwrap());
    }
    assert_eq!(indexes, (0..800).collect());
    for number in 0..800 {
        assert_remembered(&vault, number);
    }
    for person in 0..40 {
        assert_eq!(number_held(&vault, person), Some(19 * 40 + person));
    }
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    assert_eq!(drain(&site.outbox).await.len(), 800);
    let groups = groups_in(&site.folder().join("journal"));
    assert!(groups < 500, "800 frames in {groups} groups");
    assert!(site.events().iter().any(|event| matches!(event, VaultEvent::Checkpointed { .. })));
}

/// How many groups stand in the journal, which is how many syncs there were.
fn groups_in(journal: &std::path::Path) -> usize {
    let segments = fs::read_dir(journal).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    segments.map(|bytes| bytes.as_chunks::<8>().0.iter().filter(|word| word.starts_with(b"NKG1")).count()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_made_once_and_a_folder_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    assert_eq!(first.fault().await, VaultFault::Missing);
    drop(first.vault().await);
    assert!(matches!(first.vaults.create(tenant()), Err(CreateError::Exists)));
    let settings = nakatsugi::vault::Settings {
        data: dir.path().to_owned(),
        root_key: nakatsugi::keyring::RootKey::from_bytes([1; 32]),
        environment: "trial".to_owned(),
        entropy: std::sync::Arc::new(Random::new()),
        outbox: first.outbox.clone(),
        listen: std::sync::Arc::new(|_| {}),
        anchors: None,
        tuning: never(),
    };
    let second = Vaults::new(nakatsugi::vault::filter::install().unwrap(), settings);
    assert!(matches!(second, Err(DataFolderError::InUse)));
    assert_eq!(first.vaults.names().unwrap(), [tenant()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_vaults_with_something_to_do_are_unfinished() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    assert_eq!(first.vaults.unfinished().unwrap(), []);
    vault.commit(frame(0, 0, 0)).await.unwrap();
    assert_eq!(first.vaults.unfinished().unwrap(), [tenant()]);
    vault.care.checkpoint().await.unwrap();
    assert_eq!(first.vaults.unfinished().unwrap(), [tenant()], "a parcel is outstanding");
    first.outbox.next().await.settle();
    drop(vault);
    first.vaults.close_all().await;
    assert_eq!(first.vaults.unfinished().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_names_or_describes_a_person_lies_on_disk_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    let mut one = frame(7, 30 << 10, 100);
    let code = [0xc5; 32];
    let number: nakatsugi::identifier::AddresseeNumber = "123451234567890".parse().unwrap();
    let code_text = String::from(nakatsugi::identifier::PersonCode::from_bytes(code));
    one.changes[0].head.code = Some(nakatsugi::identifier::PersonCode::from_bytes(code));
    one.changes[0].head.addressee = Some(number.clone());
    one.changes[0].linked.push(nakatsugi::identifier::PersonName::Addressee(number));
    one.changes[0].linked.push(nakatsugi::identifier::PersonName::Code(nakatsugi::identifier::PersonCode::from_bytes(code)));
    vault.commit(one).await.unwrap();
    vault.care.checkpoint().await.unwrap();
    vault.commit(frame(8, 100, 100)).await.unwrap();
    let (person, asked) = (person_of(7).0, digest(7));
    let secrets: [&[u8]; 10] = [
        &code,
        code_text.as_bytes(),
        b"123451234567890",
        b"number 7",
        b"vvvvvvvv",
        b"8200000020",
        b"TM00000000000002",
        b"entry 7",
        &person,
        &asked,
    ];
    // In a run of zeros before it, the person's id would be found anywhere.
    assert_ne!(person, [0; 16]);
    let mut files = 0;
    let mut folders = vec![site.folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            for secret in secrets {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{:?} in {:?}", secret, entry.path());
            }
            files += 1;
        }
    }
    assert!(files >= 7, "{files} files");
}

/// One message may name more than fits in memory: what is beyond is not read, and is told apart from what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_reads_no_more_than_one_message_may_take() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    for number in 0..34 {
        vault.commit(frame(number, 4 << 20, 10)).await.unwrap();
        publish_all(&site.outbox).await;
    }
    let needs: Vec<_> =
        (0..36).map(|number| PersonNeed { name: name_of(number), categories: vec![category()], attachments: Listing::Left }).collect();
    let view = vault.view(&needs).unwrap();
    assert_eq!(view.persons.iter().flatten().count(), 34, "everyone is known");
    let held = view.persons.iter().flatten().filter(|person| person.holdings.contains_key(&category())).count();
    assert!((20..=26).contains(&held), "{held} of 4 MiB each");
    drop(view);
    // Asked for alone, the last is shown.
    assert_eq!(number_held(&vault, 33), Some(33));
}
