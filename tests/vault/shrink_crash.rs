//! Rewrites that are cut short: killed at any moment, and every state that a crash can leave.

use crate::{shrink::*, stopping::site_with_door, support::*};
use nakatsugi::{
    relay::ports::Vault,
    vault::{Tuning, VaultEvent},
};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_crash_leaves_of_a_rewrite_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (first, vault) = forgotten(&dir.path().join("origin"), 100).await;
    let (before, folder) = (shown(&vault), first.folder());
    let old = dir.path().join("old");
    copy(&folder, &old);
    shrink_all(&vault).await;
    let closed = shrunk(&first);
    assert!(closed.len() >= 2);
    drop(vault);
    let new = fs::read(path(&folder, 1)).unwrap();
    for (case, (left, placed)) in
        [(Some(0), false), (Some(50), false), (Some(new.len() / 2), false), (Some(new.len()), false), (None, true), (Some(100), true)]
            .into_iter()
            .enumerate()
    {
        for rebuild in [false, true] {
            let data = dir.path().join(format!("case {case} {rebuild}"));
            let folder = data.join("vaults/142051");
            copy(&old, &folder);
            let unfinished = folder.join("journal/0000000000000001.0.new");
            if let Some(length) = left {
                fs::write(&unfinished, &new[..length]).unwrap();
            }
            if placed {
                fs::write(path(&folder, 1), &new).unwrap();
            }
            if rebuild {
                fs::remove_dir_all(folder.join("store")).unwrap();
            }
            let site = site(&data, never());
            let vault = site.vault().await;
            assert!(!unfinished.exists(), "case {case}");
            assert_eq!(shown(&vault), before, "case {case}");
            shrink_all(&vault).await;
            let expected: Vec<u64> = closed.iter().copied().filter(|number| !placed || *number != 1).collect();
            assert_eq!(shrunk(&site), expected, "case {case}");
            assert_eq!(fs::read(path(&folder, 1)).unwrap(), new, "case {case}");
            assert_eq!(shown(&vault), before, "case {case}");
        }
    }
}

const DATA: &str = "NAKATSUGI_TEST_SHRINK_DATA";
const FIRST: &str = "NAKATSUGI_TEST_SHRINK_FIRST";

/// Runs in a process of its own until it is killed: commits, forgets and rewrites, and says what it does.
#[test]
#[ignore = "started by the test below"]
fn child_shrinks_until_killed() {
    let Some(data) = env::var_os(DATA) else { return };
    let first: u64 = env::var_os(FIRST).unwrap().to_str().unwrap().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let site = site(data.as_ref(), never());
        let vault = site.vault().await;
        let committer = {
            let (vault, outbox) = (vault.clone(), site.outbox.clone());
            tokio::spawn(async move {
                for number in first.. {
                    vault.commit(frame(number, 100, REPLY)).await.unwrap();
                    println!("\nacknowledged {number}");
                    while outbox.load().parcels > 3 {
                        outbox.next().await.settle();
                    }
                }
            })
        };
        while !committer.is_finished() {
            vault.care.sweep(later()).await.unwrap();
            println!("\nshrinking");
            while vault.care.shrink().await.unwrap().is_some() {
                println!("\nshrinking");
            }
        }
    });
}

fn is_unfinished(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "new")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_may_be_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    {
        let site = site(dir.path(), never());
        site.vault().await;
        site.vaults.close_all().await;
    }
    let (mut acknowledged, mut unfinished) = (BTreeSet::new(), 0);
    for round in 0..30_u64 {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "shrink_crash::child_shrinks_until_killed", "--ignored", "--nocapture"]);
        command.env(DATA, dir.path()).env(FIRST, (round * 1_000).to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (say, hear) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        // Once there is more to rewrite, at a moment that is never the same.
        let mut numbers = 0;
        for line in hear.iter() {
            match line.strip_prefix("acknowledged ") {
                Some(number) => {
                    acknowledged.insert(number.parse::<u64>().unwrap());
                    numbers += 1;
                }
                None if line == "shrinking" && numbers >= 34 + round % 3 => break,
                None => {}
            }
        }
        let begun = || fs::read_dir(dir.path().join("vaults/142051/journal")).unwrap().any(|entry| is_unfinished(&entry.unwrap()));
        if round % 3 == 0 {
            thread::sleep(Duration::from_micros(round * 700));
        } else {
            let until = Instant::now() + Duration::from_secs(5);
            while !begun() && Instant::now() < until {}
            thread::sleep(Duration::from_micros((round / 3) * 150));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(hear.iter().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok()));
        unfinished += u64::from(begun());
    }
    println!("{unfinished} of 30 were killed with a rewrite unfinished; {} frames acknowledged", acknowledged.len());
    let folder = dir.path().join("vaults/142051");
    let first = site(dir.path(), never());
    let vault = first.vault().await;
    assert!(matches!(first.events()[..], [VaultEvent::Opened { .. }]), "{:?}", first.events());
    assert!(!fs::read_dir(folder.join("journal")).unwrap().any(|entry| is_unfinished(&entry.unwrap())));
    let before = shown(&vault);
    let entries: BTreeSet<&[u8]> = before.1.iter().map(Vec::as_slice).collect();
    assert_eq!(entries.len(), before.1.len(), "each message has one entry");
    assert!(acknowledged.iter().all(|number| entries.contains(sealing(*number).entry.as_slice())));
    for (number, found) in drain(&first.outbox).await {
        assert_eq!(found, parcel(number, REPLY));
    }
    drop(vault);
    fs::remove_dir_all(folder.join("store")).unwrap();
    let second = site(&first.kill(), never());
    assert_eq!(shown(&second.vault().await), before, "after a rebuild");
    let whole = u64::try_from(acknowledged.len() * REPLY).unwrap();
    assert!(journal_bytes(&folder) < whole / 2, "{} of {whole}", journal_bytes(&folder));
}

/// A repeat queues its frame and goes away while a rewrite of its segment waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repeat_whose_task_went_away_keeps_its_envelopes() {
    let dir = tempfile::tempdir().unwrap();
    let (first, vault) = with_late(dir.path(), 100).await;
    first.vaults.tend().await;
    vault.care.checkpoint().await.unwrap();
    drop(vault);
    // The committer waits at the door when the journal becomes long.
    let quota = (journal_bytes(&first.folder()) + 200_000) / 4 * 5;
    let tuning = Tuning { journal_bytes: quota, ..never() };
    let (second, door) = site_with_door(&first.kill(), tuning, |event| matches!(event, VaultEvent::JournalRoom { .. }));
    let vault = second.vault().await;
    door.shut();
    let long = tokio::spawn({
        let vault = vault.clone();
        async move { vault.commit(frame(200, 0, 400_000)).await.unwrap() }
    });
    door.waited().await;
    let repeat = tokio::spawn({
        let vault = vault.clone();
        async move { vault.repeat(&message(10)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rewrite = tokio::spawn({
        let vault = vault.clone();
        async move { vault.care.shrink().await.unwrap() }
    });
    let journal = second.folder().join("journal");
    while !fs::read_dir(&journal).unwrap().any(|entry| is_unfinished(&entry.unwrap())) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    repeat.abort();
    assert!(repeat.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(200)).await;
    door.open();
    long.await.unwrap();
    assert!(rewrite.await.unwrap().is_some());
    assert!(!shrunk(&second).contains(&1), "its parcel is to be published again");
    drop(vault);
    let third = site(&second.kill(), never());
    assert_eq!(third.vault().await.care.outstanding(), 2);
    assert_eq!(drain(&third.outbox).await, [(10, parcel(10, REPLY)), (200, parcel(200, 400_000))]);
}
