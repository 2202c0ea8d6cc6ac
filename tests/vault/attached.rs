//! What is attached lies apart from records, in pieces, and goes without a trace.

use crate::support::*;
use nakatsugi::{
    identifier::Category,
    record::{
        Attached, Attachment, AttachmentChange, Attachments, ContentName, FILE_BYTES, FileContent, FileDigest, FileFormat, Head, Holding,
        Listing, PersonChange, PersonNeed, RecordName,
    },
    relay::ports::{Frame, StopCause, Vault, VaultFault},
    wiped::Wiped,
};
use std::{collections::BTreeMap, fs, path::Path};

fn key(text: &str) -> RecordName {
    text.parse().unwrap()
}

/// Bytes of which no stretch repeats another.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

fn live(name: &str, revision: u64, content: &[u8]) -> Attached {
    let attachment = Attachment {
        key: key(name),
        name: "a.txt".parse().unwrap(),
        format: FileFormat::Text,
        size: u32::try_from(content.len()).unwrap(),
        sha256: FileDigest::of(content),
        unit: "u".parse().unwrap(),
        user: "u".parse().unwrap(),
        declaration: None,
    };
    Attached::Live { revision, attachment }
}

/// The frame of one message that changes what is attached to the one person.
fn attaching(number: u64, list: &Attachments, contents: &[(&str, &[u8])]) -> Frame {
    let content = |(name, content): &(&str, &[u8])| (key(name), FileContent::from(Wiped::from(content.to_vec())));
    let change = AttachmentChange { list: list.clone(), contents: contents.iter().map(content).collect() };
    let mut frame = frame(number, 10, 10);
    frame.changes = vec![PersonChange { attachments: BTreeMap::from([(category(), change)]), ..frame.changes.remove(0) }];
    frame.changes[0].id = person_of(0);
    frame.changes[0].linked = vec![name_of(0)];
    frame
}

fn name(name: &str) -> ContentName {
    ContentName { person: person_of(0), category: category(), key: key(name) }
}

fn listed(vault: &Opened, attachments: Listing) -> Option<Attachments> {
    let need = PersonNeed { name: name_of(0), categories: vec![category()], attachments };
    vault.view(&[need]).unwrap().persons.remove(0).unwrap().attachments.remove(&category())
}

/// How many rows of each kind the one person has in the store: lists and pieces of content.
fn rows(folder: &Path) -> (usize, usize) {
    nakatsugi::vault::filter::install().unwrap();
    let store = open_store(folder);
    let kinds: Vec<u8> = store.scan_prefix([2]).map(|row| row.unwrap().0[17]).collect();
    let count = |kind| kinds.iter().filter(|other| **other == kind).count();
    (count(2), count(3))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_as_they_were_put_however_the_vault_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let largest = bytes(1, FILE_BYTES);
    let other = bytes(2, 100_000);
    let mut list = Attachments::default();
    list.replace(live("a", 1, &largest)).unwrap();
    list.replace(live("b", 1, &other)).unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    vault.commit(attaching(0, &list, &[("a", &largest), ("b", &other)])).await.unwrap();
    let whole =
        |vault: &Opened| vault.contents(&[name("b"), name("a")]).unwrap().iter().map(|content| content.to_vec()).collect::<Vec<_>>();
    assert_eq!(listed(&vault, Listing::Shown).as_ref(), Some(&list));
    assert_eq!(listed(&vault, Listing::Left), None);
    assert_eq!(whole(&vault), [other.clone(), largest.clone()]);
    // From the journal, then from the store.
    drop(vault);
    let dir2 = site.kill();
    let site = self::site(&dir2, never());
    let vault = site.vault().await;
    assert_eq!(whole(&vault), [other.clone(), largest.clone()]);
    vault.care.checkpoint().await.unwrap();
    let folder = site.folder();
    assert_eq!(fs::read_dir(folder.join("store/blobs")).unwrap().count(), 0);
    drop(vault);
    site.vaults.close_all().await;
    drop(site);
    assert_eq!(rows(&folder), (1, FILE_BYTES.div_ceil(24 << 10) + 100_000_usize.div_ceil(24 << 10)));
    let site = self::site(&dir2, never());
    let vault = site.vault().await;
    assert_eq!(whole(&vault), [other, largest]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_or_deleted_leaves_no_piece_and_an_emptied_category_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (long, short) = (bytes(3, 200_000), bytes(4, 30_000));
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    let mut list = Attachments::default();
    list.replace(live("a", 1, &long)).unwrap();
    list.replace(live("b", 1, &long)).unwrap();
    vault.commit(attaching(0, &list, &[("a", &long), ("b", &long)])).await.unwrap();
    list.replace(live("a", 2, &short)).unwrap();
    list.replace(Attached::Tombstone { revision: 2, key: key("b") }).unwrap();
    vault.commit(attaching(1, &list, &[("a", &short)])).await.unwrap();
    assert_eq!(listed(&vault, Listing::Shown).as_ref(), Some(&list));
    assert_eq!(*vault.contents(&[name("a")]).unwrap()[0], *short);
    vault.care.checkpoint().await.unwrap();
    let (folder, dir2) = (site.folder(), dir.path().to_owned());
    drop(vault);
    site.vaults.close_all().await;
    drop(site);
    assert_eq!(rows(&folder), (1, 2));

    // A frame that takes the category away says nothing of what is attached.
    let site = self::site(&dir2, never());
    let vault = site.vault().await;
    let mut erasing = attaching(2, &Attachments::default(), &[]);
    erasing.changes[0].attachments.clear();
    erasing.changes[0].holdings = BTreeMap::from([(category(), Holding::default())]);
    vault.commit(erasing).await.unwrap();
    assert_eq!(listed(&vault, Listing::Shown), None);
    vault.care.checkpoint().await.unwrap();
    drop(vault);
    site.vaults.close_all().await;
    drop(site);
    assert_eq!(rows(&folder), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_missing_or_of_another_file_is_a_fault() {
    for swap in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let content = bytes(5, 60_000);
        let site = site(dir.path(), never());
        let vault = site.vault().await;
        let mut list = Attachments::default();
        list.replace(live("a", 1, &content)).unwrap();
        vault.commit(attaching(0, &list, &[("a", &content)])).await.unwrap();
        vault.care.checkpoint().await.unwrap();
        let folder = site.folder();
        drop(vault);
        site.vaults.close_all().await;
        drop(site);
        {
            nakatsugi::vault::filter::install().unwrap();
            let store = open_store(&folder);
            let pieces: Vec<_> = store.scan_prefix([2]).map(Result::unwrap).filter(|(row, _)| row[17] == 3).collect();
            assert_eq!(pieces.len(), 3);
            if swap {
                store.insert(&pieces[0].0, &pieces[1].1).unwrap();
            } else {
                store.remove(&pieces[2].0).unwrap();
            }
            store.flush().unwrap();
        }
        let site = self::site(dir.path(), never());
        let vault = site.vault().await;
        // Whoever does not ask for it is not harmed by it.
        assert_eq!(listed(&vault, Listing::Shown), Some(list));
        assert_eq!(vault.contents(&[name("a")]).unwrap_err(), VaultFault::Stopped(StopCause::StoreDamaged));
        let vault = site.vault_again().await;
        assert_eq!(*vault.contents(&[name("a")]).unwrap()[0], *content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_many_categories_make_no_head_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    let vault = site.vault().await;
    let content = bytes(6, 50_000);
    let mut list = Attachments::default();
    list.replace(live("a", 1, &content)).unwrap();
    let mut frame = attaching(0, &list, &[("a", &content)]);
    let change = frame.changes[0].attachments[&category()].clone();
    let categories: Vec<Category> = (1..=300).map(|number| format!("TM{number:014}").parse().unwrap()).collect();
    frame.changes[0].attachments = categories.iter().map(|category| (category.clone(), change.clone())).collect();
    vault.commit(frame).await.unwrap();
    let names: Vec<_> = categories.iter().take(40).map(|category| ContentName { category: category.clone(), ..name("a") }).collect();
    assert!(vault.contents(&names).unwrap().iter().all(|held| **held == *content));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carry_over_takes_files_along_and_nothing_of_an_erased_person() {
    let dir = tempfile::tempdir().unwrap();
    let (content, later) = (bytes(7, 90_000), bytes(8, 30_000));
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    let mut list = Attachments::default();
    list.replace(live("a", 1, &content)).unwrap();
    vault.commit(attaching(0, &list, &[("a", &content)])).await.unwrap();
    assert_eq!(vault.care.carry_over(expires(0)).await.unwrap().epoch, 2);
    assert_eq!(listed(&vault, Listing::Shown).as_ref(), Some(&list));
    assert_eq!(*vault.contents(&[name("a")]).unwrap()[0], *content);
    // What was carried over and what came later are read alike, by the next process too.
    list.replace(live("b", 1, &later)).unwrap();
    vault.commit(attaching(1, &list, &[("b", &later)])).await.unwrap();
    drop(vault);
    first.vaults.close_all().await;
    let second = site(&first.kill(), never());
    let vault = second.vault().await;
    let held: Vec<_> = vault.contents(&[name("a"), name("b")]).unwrap().iter().map(|content| content.to_vec()).collect();
    assert_eq!(held, [content, later]);

    let mut erasing = attaching(2, &Attachments::default(), &[]);
    let change = &mut erasing.changes[0];
    (change.attachments, change.holdings, change.linked, change.unlinked) = (BTreeMap::new(), BTreeMap::new(), vec![], vec![name_of(0)]);
    change.head = Head { erased: Some(expires(0)), ..Head::default() };
    vault.commit(erasing).await.unwrap();
    assert_eq!(vault.care.carry_over(expires(1)).await.unwrap().epoch, 3);
    let folder = second.folder();
    drop(vault);
    second.vaults.close_all().await;
    second.kill();
    nakatsugi::vault::filter::install().unwrap();
    let store = open_store_at(&folder.join("store.3"));
    let left: Vec<u8> = store.scan_prefix([2]).map(|row| row.unwrap().0[17]).collect();
    assert!(!left.contains(&2) && !left.contains(&3), "{left:?}");
}
