//! Segments that are rewritten without envelopes: smaller, and everything still there.

use crate::support::*;
use nakatsugi::{
    calendar::Timestamp,
    relay::ports::{Frame, Repeated, ReplyKept, Vault},
    vault::{Outbox, VaultEvent},
};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

pub(crate) const REPLY: usize = 8_000;

/// When every message of these tests is forgotten.
pub(crate) fn later() -> Timestamp {
    expires(1_000_000).plus_seconds(660)
}

pub(crate) async fn publish_all(outbox: &Outbox) {
    while outbox.load().parcels > 0 {
        outbox.next().await.settle();
    }
}

pub(crate) async fn shrink_all(vault: &Opened) {
    while vault.care.shrink().await.unwrap().is_some() {}
}

pub(crate) fn shrunk(site: &Site) -> Vec<u64> {
    let number = |event: &VaultEvent| match event {
        VaultEvent::Shrunk { segment, .. } => Some(*segment),
        _ => None,
    };
    site.events().iter().filter_map(number).collect()
}

pub(crate) fn journal_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn segments(folder: &Path) -> u64 {
    fs::read_dir(folder.join("journal")).unwrap().count() as u64
}

pub(crate) fn path(folder: &Path, number: u64) -> std::path::PathBuf {
    folder.join(format!("journal/{number:016}.seg"))
}

/// All that a vault shows: its ledger, recomputed, every entry, and every person.
pub(crate) fn shown(vault: &Opened) -> (nakatsugi::ledger::Frontier, Vec<Vec<u8>>, Vec<Option<u64>>) {
    let ledger = vault.care.ledger();
    assert_eq!(vault.care.recompute_ledger().unwrap(), ledger);
    let entries = (0..ledger.size()).map(|index| vault.entry(index).unwrap().unwrap().1.entry).collect();
    (ledger, entries, (0..40).map(|person| number_held(vault, person)).collect())
}

/// A vault with so many messages, all published, checkpointed and forgotten, but not yet rewritten.
pub(crate) async fn forgotten(data: &Path, messages: u64) -> (Site, Opened) {
    let site = site(data, never());
    let vault = site.vault().await;
    for number in 0..messages {
        vault.commit(frame(number, 100, REPLY)).await.unwrap();
    }
    publish_all(&site.outbox).await;
    site.vaults.tend().await;
    vault.care.checkpoint().await.unwrap();
    assert_eq!(vault.care.sweep(later()).await.unwrap(), messages);
    (site, vault)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_shrinks_when_messages_are_forgotten_and_all_can_be_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..400 {
        let mut frame = frame(number, 100, REPLY);
        if number >= 40 {
            // As a request does that only reads.
            frame.changes.clear();
        }
        vault.commit(frame).await.unwrap();
    }
    publish_all(&first.outbox).await;
    first.vaults.tend().await;
    vault.care.checkpoint().await.unwrap();
    shrink_all(&vault).await;
    assert!(shrunk(&first).is_empty(), "none has expired");
    vault.care.sweep(later()).await.unwrap();
    let (folder, before) = (first.folder(), shown(&vault));
    let closed: u64 = segments(&folder) - 1;
    // Segments 3 and on hold requests that only read, one in each group.
    let read_only = |folder: &Path| -> Vec<u8> { (3..=closed).flat_map(|number| fs::read(path(folder, number)).unwrap()).collect() };
    let (whole, all_whole) = (read_only(&folder), journal_bytes(&folder));
    shrink_all(&vault).await;
    assert_eq!(shrunk(&first), (1..=closed).collect::<Vec<_>>());
    let (rest, all_rest) = (read_only(&folder), journal_bytes(&folder));
    let requests = |bytes: &[u8]| bytes.as_chunks::<8>().0.iter().filter(|word| word.starts_with(b"NKG1")).count();
    assert_eq!(requests(&whole), requests(&rest));
    println!("journal of 400 requests with replies of {REPLY} bytes: {all_whole} bytes, rewritten {all_rest}");
    let each = |bytes: &[u8]| bytes.len() / requests(bytes);
    println!("for each of {} requests that only read: {} bytes, rewritten {}", requests(&rest), each(&whole), each(&rest));
    assert!(rest.len() * 10 < whole.len());
    assert_eq!(shown(&vault), before);
    vault.commit(frame(400, 100, REPLY)).await.unwrap();
    let before = shown(&vault);
    drop(vault);
    let second = site(&first.kill(), never());
    assert_eq!(shown(&second.vault().await), before, "after replay");
    fs::remove_dir_all(folder.join("store")).unwrap();
    let third = site(&second.kill(), never());
    let vault = third.vault().await;
    assert!(third.events().contains(&VaultEvent::StoreRebuilt { vault: tenant(), frames: vault_frames(&third) }));
    assert_eq!(shown(&vault), before, "after a rebuild");
    assert_eq!(drain(&third.outbox).await, [(400, parcel(400, REPLY))]);
    shrink_all(&vault).await;
    assert!(shrunk(&third).is_empty(), "none is rewritten twice");
}

fn vault_frames(site: &Site) -> u64 {
    let frames = |event: &VaultEvent| match event {
        VaultEvent::StoreRebuilt { frames, .. } => Some(*frames),
        _ => None,
    };
    site.events().iter().find_map(frames).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_gone_once_it_was_published_and_its_request_expired() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..3 {
        vault.commit(frame(number, 0, REPLY)).await.unwrap();
    }
    let mut silent = frame(3, 0, REPLY);
    silent.parcels.clear();
    vault.commit(silent).await.unwrap();
    let kept = |vault: &Opened| [0, 1, 2, 3].map(|number| vault.recall(&message(number)).unwrap().unwrap().reply);
    let (zero, one, two) = (first.outbox.next().await, first.outbox.next().await, first.outbox.next().await);
    zero.settle();
    two.settle();
    assert_eq!(kept(&vault), [ReplyKept::Yes; 4]);
    vault.care.sweep(expires(1)).await.unwrap();
    assert_eq!(kept(&vault), [ReplyKept::Gone, ReplyKept::Yes, ReplyKept::Yes, ReplyKept::Yes], "published and expired");
    one.settle();
    vault.care.sweep(expires(0)).await.unwrap();
    assert_eq!(kept(&vault), [ReplyKept::Gone, ReplyKept::Gone, ReplyKept::Yes, ReplyKept::Yes], "a clock set back changes nothing");
    vault.care.sweep(expires(9)).await.unwrap();
    assert_eq!(kept(&vault), [ReplyKept::Gone, ReplyKept::Gone, ReplyKept::Gone, ReplyKept::Yes], "no reply, nothing to let go");
    first.vaults.tend().await;
    drop(vault);
    let second = site(&first.kill(), never());
    let vault = second.vault().await;
    assert_eq!(kept(&vault), [ReplyKept::Yes; 4], "until the first sweep the bytes are there");
    assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
    assert_eq!(drain(&second.outbox).await, [(0, parcel(0, REPLY))]);
}

/// A frame of a message that expired before it was handled, as answers about old messages do.
fn late(number: u64) -> Frame {
    Frame { expires: expires(0), ..frame(number, 100, REPLY) }
}

/// A vault whose floor lies above the expiry of messages 1 to `last`, which are still remembered.
pub(crate) async fn with_late(data: &Path, last: u64) -> (Site, Opened) {
    let (site, vault) = forgotten(data, 1).await;
    for number in 1..=last {
        vault.commit(late(number)).await.unwrap();
    }
    publish_all(&site.outbox).await;
    (site, vault)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_the_rewrite_finds_nothing_and_before_it_the_right_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (first, vault) = with_late(dir.path(), 100).await;
    assert_eq!(vault.repeat(&message(40)).await.unwrap(), Repeated::Sent);
    assert_eq!(drain(&first.outbox).await, [(40, parcel(40, REPLY))]);
    publish_all(&first.outbox).await;
    shrink_all(&vault).await;
    let rewritten = shrunk(&first);
    assert!(rewritten.len() >= 2, "{rewritten:?}");
    let repeats = async |site: &Site, vault: &Opened| {
        let mut gone = BTreeSet::new();
        for number in 1..=100 {
            assert_eq!(vault.recall(&message(number)).unwrap().unwrap().reply, ReplyKept::Gone);
            match vault.repeat(&message(number)).await.unwrap() {
                Repeated::Gone => assert!(gone.insert(number)),
                Repeated::Sent => assert_eq!(drain(&site.outbox).await, [(number, parcel(number, REPLY))]),
            }
            publish_all(&site.outbox).await;
        }
        gone
    };
    let gone = repeats(&first, &vault).await;
    assert!(gone.len() >= 60 && gone.contains(&1) && !gone.contains(&100), "{gone:?}");
    first.vaults.tend().await;
    drop(vault);
    let second = site(&first.kill(), never());
    let vault = second.vault().await;
    assert_eq!(repeats(&second, &vault).await, gone, "after replay");
    second.vaults.tend().await;
    fs::remove_dir_all(second.folder().join("store")).unwrap();
    drop(vault);
    let third = site(&second.kill(), never());
    assert_eq!(repeats(&third, &third.vault().await).await, gone, "after a rebuild");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_beside_a_rewrite_lose_no_parcel_and_send_no_garbage() {
    for round in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let (first, vault) = with_late(dir.path(), 140).await;
        let outbox = first.outbox.clone();
        let publisher = tokio::spawn(async move {
            loop {
                let dispatch = outbox.next().await;
                let number = u64::from_be_bytes(dispatch.parcel().body[..8].try_into().unwrap());
                assert_eq!(**dispatch.parcel(), parcel(number, REPLY));
                dispatch.settle();
            }
        });
        let repeats: Vec<_> = (0..4_u64)
            .map(|task| {
                let vault = vault.clone();
                tokio::spawn(async move {
                    let mut gone = 0;
                    for number in (1 + task..140).step_by(4) {
                        gone += u64::from(vault.repeat(&message(number)).await.unwrap() == Repeated::Gone);
                    }
                    gone
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(round * 10)).await;
        shrink_all(&vault).await;
        let mut gone = 0;
        for repeat in repeats {
            gone += repeat.await.unwrap();
        }
        println!("round {round}: {gone} of 139 were gone, rewritten {:?}", shrunk(&first));
        publisher.abort();
        assert!(publisher.await.unwrap_err().is_cancelled());
        drop(vault);
        // What was promised and not yet marked comes again, with the right bytes.
        let second = site(&first.kill(), never());
        let vault = second.vault().await;
        let parcels = drain(&second.outbox).await;
        assert_eq!(parcels.len(), vault.care.outstanding());
        for (number, found) in parcels {
            assert_eq!(found, parcel(number, REPLY));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_that_was_promised_beside_a_rewrite_comes_again_after_a_crash() {
    let (mut sent, mut gone) = (0, 0);
    for round in 0..16_u64 {
        let dir = tempfile::tempdir().unwrap();
        let (first, vault) = with_late(dir.path(), 140).await;
        let repeats = {
            let vault = vault.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10 + round * 2)).await;
                let mut sent = BTreeSet::new();
                // One of each segment: the first that is promised keeps all of it.
                for number in [10, 45, 80, 110] {
                    if vault.repeat(&message(number)).await.unwrap() == Repeated::Sent {
                        sent.insert(number);
                    }
                }
                sent
            })
        };
        shrink_all(&vault).await;
        let promised = repeats.await.unwrap();
        (sent, gone) = (sent + promised.len(), gone + 4 - promised.len());
        drop(vault);
        let second = site(&first.kill(), never());
        let vault = second.vault().await;
        assert_eq!(vault.care.outstanding(), promised.len());
        // A parcel whose bytes are gone would never come.
        let parcels = tokio::time::timeout(Duration::from_secs(20), drain(&second.outbox)).await.unwrap();
        assert_eq!(parcels, promised.into_iter().map(|number| (number, parcel(number, REPLY))).collect::<Vec<_>>());
    }
    println!("{sent} were sent again, {gone} were gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsent_parcel_keeps_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..100 {
        vault.commit(frame(number, 0, REPLY)).await.unwrap();
    }
    let mut unsent = None;
    while first.outbox.load().parcels > usize::from(unsent.is_some()) {
        let dispatch = first.outbox.next().await;
        if dispatch.parcel().body[7] == 3 { unsent = Some(dispatch) } else { dispatch.settle() }
    }
    vault.care.checkpoint().await.unwrap();
    vault.care.sweep(later()).await.unwrap();
    shrink_all(&vault).await;
    let rewritten = shrunk(&first);
    assert!(!rewritten.is_empty() && !rewritten.contains(&1), "{rewritten:?}");
    drop((vault, unsent));
    let second = site(&first.kill(), never());
    let vault = second.vault().await;
    assert_eq!(drain(&second.outbox).await, [(3, parcel(3, REPLY))]);
    publish_all(&second.outbox).await;
    shrink_all(&vault).await;
    assert_eq!(shrunk(&second), [1]);
    drop(vault);
    assert_eq!(site(&second.kill(), never()).vault().await.care.outstanding(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_durable_before_the_bytes_go() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    for number in 0..100 {
        vault.commit(frame(number, 0, REPLY)).await.unwrap();
    }
    let kept: Vec<_> = [first.outbox.next().await, first.outbox.next().await].into();
    while first.outbox.load().parcels > 2 {
        first.outbox.next().await.settle();
    }
    vault.care.checkpoint().await.unwrap();
    vault.care.sweep(later()).await.unwrap();
    // Published, and no frame after it that its mark could ride with.
    kept.into_iter().for_each(nakatsugi::vault::Dispatch::settle);
    shrink_all(&vault).await;
    assert!(shrunk(&first).contains(&1));
    drop(vault);
    let second = site(&first.kill(), never());
    assert_eq!(second.vault().await.care.outstanding(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (site, vault) = forgotten(dir.path(), 140).await;
    let damaged = path(&site.folder(), 1);
    let file = OpenOptions::new().read(true).write(true).open(&damaged).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 100_000).unwrap();
    // Of the second, the end is lost, which only the third can tell.
    let cut = path(&site.folder(), 2);
    let last = {
        let bytes = fs::read(&cut).unwrap();
        bytes.as_chunks::<8>().0.iter().rposition(|word| word.starts_with(b"NKG1")).unwrap() as u64 * 8
    };
    OpenOptions::new().write(true).open(&cut).unwrap().set_len(last).unwrap();
    let bytes = [&damaged, &cut].map(|path| fs::read(path).unwrap());
    shrink_all(&vault).await;
    shrink_all(&vault).await;
    assert_eq!([damaged, cut].map(|path| fs::read(path).unwrap()), bytes);
    let told: Vec<_> = site.events().into_iter().filter(|event| matches!(event, VaultEvent::NotShrunk { .. })).collect();
    assert_eq!(told, [1, 2].map(|segment| VaultEvent::NotShrunk { vault: tenant(), segment, detail: None }));
    assert_eq!(shrunk(&site).first(), Some(&3));
    vault.commit(frame(140, 0, 100)).await.unwrap();
}
