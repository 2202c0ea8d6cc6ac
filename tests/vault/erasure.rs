//! Beyond recovery: after a carry-over neither the files nor an older copy of them opens with today's keys; with the keys of
//! then it would.

use crate::support::*;
use nakatsugi::{
    identifier::PersonName,
    keyring::{Keyring, RootKey, RowKey, Tree, WrappedKeyring},
    record::{Head, Holding, Listing, PersonChange, PersonNeed},
    relay::ports::{Frame, Vault},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Everything in some bytes that looks like a sealed value, with every row that it could belong to by where it stands.
fn candidates(bytes: &[u8]) -> Vec<(RowKey, Vec<u8>)> {
    let number = |at: usize| bytes.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().unwrap()) as usize);
    let mut found = Vec::new();
    for at in 36..bytes.len().saturating_sub(53) {
        // Suite 1, and a version of a data key.
        if bytes[at] != 1 || bytes[at + 1..at + 4] != [0, 0, 0] || bytes[at + 4] == 0 {
            continue;
        }
        let mut add = |row: Option<RowKey>, length: Option<usize>| {
            let sealed = length.and_then(|length| bytes.get(at..at + length));
            found.extend(row.zip(sealed).map(|(row, sealed)| (row, sealed.to_vec())));
        };
        // (length ‖ row key) ‖ 1 ‖ (length ‖ value) in a frame, (length ‖ row key) ‖ (length ‖ value) in a base.
        for (gap, key_length) in [0, 1].into_iter().flat_map(|gap| (2..80).map(move |length| (gap, length))) {
            let Some(begin) = (at - 4 - gap).checked_sub(key_length + 4) else { continue };
            if number(begin) == Some(key_length) {
                add(RowKey::from_stored(&bytes[begin + 4..begin + 4 + key_length]), number(at - 4));
            }
        }
        // Message id ‖ expires ‖ (length ‖ memory), and commitment ‖ (length ‖ entry) in a frame.
        add(Some(Tree::Message.row(&[&bytes[at - 28..at - 12]])), number(at - 4));
        add(Some(Tree::Entry.row(&[&bytes[at - 36..at - 4]])), number(at - 4));
        // (length ‖ commitment ‖ entry) beside the log; a message's row in a base.
        add(Some(Tree::Entry.row(&[&bytes[at - 32..at]])), number(at - 36).and_then(|length| length.checked_sub(32)));
    }
    found
}

/// Everything in a vault's folder that looks like a sealed value, by the file or folder that it lies in.
fn everything(folder: &Path) -> BTreeMap<String, Vec<(RowKey, Vec<u8>)>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("store") {
            let db = sled::Config::new().path(entry.path()).segment_size(2 << 20).flush_every_ms(None).open().unwrap();
            for row in db.iter() {
                let (key, value) = row.unwrap();
                let row = RowKey::from_stored(&key).unwrap();
                let sealed = if row.tree() == Some(Tree::Message) { value.get(38..).unwrap_or_default().to_vec() } else { value.to_vec() };
                found.entry(name.clone()).or_default().push((row, sealed));
            }
        }
        let mut files = vec![entry.path()];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.entry(name.clone()).or_default().extend(candidates(&fs::read(path).unwrap()));
            }
        }
    }
    found
}

fn keyring_in(folder: &Path, root: u8) -> Keyring {
    let wrapped: WrappedKeyring = serde_json::from_slice(&fs::read(folder.join("keyring.json")).unwrap()).unwrap();
    RootKey::from_bytes([root; 32]).open(&wrapped, tenant(), "trial").unwrap()
}

/// How many of these values a keyring opens, and in which places there are any; and whether one of them holds these words.
fn opened(keyring: &Keyring, values: &BTreeMap<String, Vec<(RowKey, Vec<u8>)>>, words: &[u8]) -> (usize, BTreeSet<String>, bool) {
    let (mut count, mut places, mut read) = (0, BTreeSet::new(), false);
    for (place, values) in values {
        for (row, sealed) in values {
            if let Ok(value) = keyring.open(row, sealed) {
                count += 1;
                places.insert(place.clone());
                read |= value.windows(words.len()).any(|window| window == words);
            }
        }
    }
    (count, places, read)
}

/// The person of this number is erased: nothing is left of it but a mark.
fn erasing(number: u64, person: u64) -> Frame {
    let change = PersonChange {
        id: person_of(person),
        head: Head::default(),
        linked: vec![],
        unlinked: vec![name_of(person)],
        attachments: BTreeMap::new(),
        holdings: BTreeMap::from([(category(), Holding::default())]),
    };
    Frame { changes: vec![change], ..frame(number, 0, 10) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_opens_under_no_key_that_is_left_neither_here_nor_in_an_older_copy() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), small());
    let vault = first.vault().await;
    for number in 0..120 {
        vault.commit(frame(number, 700, 300)).await.unwrap();
    }
    // It was read in an earlier epoch, and in this one.
    vault.care.carry_over(expires(0)).await.unwrap();
    for number in 120..160 {
        vault.commit(frame(number, 700, 300)).await.unwrap();
    }
    vault.care.checkpoint().await.unwrap();
    let words = b"number 127";
    assert_eq!(number_held(&vault, 127), Some(127));

    // A backup: all but the keyring. The keyring of then is kept only to see that the test can fail.
    let (older, then) = (dir.path().join("older"), dir.path().join("then"));
    copy(&first.folder(), &older);
    fs::create_dir(&then).unwrap();
    fs::rename(older.join("keyring.json"), then.join("keyring.json")).unwrap();

    vault.commit(erasing(200, 127)).await.unwrap();
    let need = PersonNeed { name: name_of(127), categories: vec![category()], attachments: Listing::Left };
    assert_eq!(vault.view(&[need]).unwrap().persons, [None], "gone at once");
    assert!(matches!(name_of(127), PersonName::Code(_)));
    vault.care.carry_over(expires(0)).await.unwrap();
    drop(vault);
    first.vaults.close_all().await;

    let (keys_then, keys_now) = (keyring_in(&then, 1), keyring_in(&first.folder(), 1));
    let (copied, here) = (everything(&older), everything(&first.folder()));
    let (count, places, read) = opened(&keys_then, &copied, words);
    println!("with the keys of then {count} values of the older copy open, in {places:?}");
    assert!(read, "the search finds the value when it can be opened");
    assert_eq!(places, ["base.2", "journal", "ledger", "store.2"].map(String::from).into());
    let (count, places, read) = opened(&keys_then, &here, words);
    println!("with the keys of then {count} values of the folder open, in {places:?}");
    assert!(read, "the journal still has what was sealed then");

    assert_eq!(opened(&keys_now, &copied, words), (0, BTreeSet::new(), false));
    let (count, places, read) = opened(&keys_now, &here, words);
    println!("with the keys of now {count} values of the folder open, in {places:?}");
    assert!(!read && count > 200);
    assert!(places.contains("base.3") && places.contains("store.3") && places.contains("ledger"));
}
