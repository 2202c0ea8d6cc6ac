//! SIGKILL at every step of a carry-over: what was acknowledged is there, once, and the carry-over goes on.

use crate::{carry::all, carry::epochs, support::*};
use nakatsugi::{relay::ports::Vault, vault::VaultEvent};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::time::Instant;

const DATA: &str = "NAKATSUGI_TEST_CARRY_DATA";
const FIRST: &str = "NAKATSUGI_TEST_CARRY_FIRST";

/// Runs in a process of its own until it is killed: commits, and carries over again and again.
#[test]
#[ignore = "started by the test below"]
fn child_carries_over_until_killed() {
    let Some(data) = env::var_os(DATA) else { return };
    let first: u64 = env::var_os(FIRST).unwrap().to_str().unwrap().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let site = site(data.as_ref(), small());
        let vault = site.vault().await;
        println!("\nopened {}", vault.care.is_carrying());
        let committer = tokio::spawn({
            let vault = vault.clone();
            async move {
                for number in first.. {
                    vault.commit(frame(number, 30 << (number % 11), 300)).await.unwrap();
                    println!("\nacknowledged {number}");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        while !committer.is_finished() {
            let carried = vault.care.carry_over(expires(0)).await.unwrap();
            println!("\ncarried {}", carried.epoch);
        }
    });
}

/// What can be seen of a step from outside.
fn step_is_reached(folder: &Path, step: u64) -> bool {
    let newest = || {
        fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok()?.strip_prefix("base.")?.parse().ok())
            .max()
    };
    let Some(newest): Option<u32> = newest() else { return false };
    let base = folder.join(format!("base.{newest}"));
    let (store, older) = (folder.join(format!("store.{newest}")), folder.join(format!("base.{}", newest - 1)));
    match step {
        // The newest key is there, and nothing else.
        0 => fs::read(folder.join("keyring.json")).is_ok_and(|bytes| bytes.len() > 400) && !store.exists() && !base.join("begin").exists(),
        1 => base.join("begin").exists() && !base.join("whole").exists(),
        2 => base.join("000000.part").exists() && !store.exists(),
        3 => base.join("whole").exists() && !store.exists(),
        4 => store.exists() && older.exists(),
        5 => fs::read_to_string(folder.join("manifest")).is_ok_and(|text| text.contains(&format!("\"epoch\":{newest},"))) && older.exists(),
        _ => folder.join("unrecorded").exists(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carry_over_may_be_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    {
        let site = site(dir.path(), small());
        let vault = site.vault().await;
        for number in 0..200 {
            vault.commit(frame(number, 6_000, 300)).await.unwrap();
        }
        drop(vault);
        site.vaults.close_all().await;
    }
    let folder = dir.path().join("vaults/142051");
    let (mut acknowledged, mut carrying): (BTreeSet<u64>, _) = ((0..200).collect(), 0);
    let mut reached = [0; 7];
    for round in 0..42_u64 {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "carry_crash::child_carries_over_until_killed", "--ignored", "--nocapture"]);
        command.env(DATA, dir.path()).env(FIRST, ((round + 1) << 16).to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (say, hear) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        // Ids of messages are made of bits that leave out the four above the twelfth.
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|line: &String| line.starts_with("opened")) {
            heard.push(hear.recv_timeout(Duration::from_secs(20)).expect("the child opens the vault"));
        }
        carrying += u64::from(heard.last().unwrap() == "opened true");
        let until = Instant::now() + Duration::from_secs(5);
        while !step_is_reached(&folder, round % 7) && Instant::now() < until {}
        reached[usize::try_from(round % 7).unwrap()] += u32::from(Instant::now() < until);
        thread::sleep(Duration::from_micros((round / 7) * 1_300));
        child.kill().unwrap();
        child.wait().unwrap();
        heard.extend(hear.iter());
        acknowledged.extend(heard.iter().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok()));
    }
    println!("{carrying} of 42 were opened in the middle of a carry-over; steps {reached:?}; {} acknowledged", acknowledged.len());
    assert!(carrying >= 10, "{carrying}");
    assert!(reached.iter().filter(|count| **count > 0).count() >= 6, "{reached:?}");

    let first = site(dir.path(), small());
    let vault = first.vault().await;
    assert!(matches!(first.events()[..], [VaultEvent::Opened { .. }]), "{:?}", first.events());
    let before = all(&vault, acknowledged.iter().copied());
    let entries: BTreeSet<&Vec<u8>> = before.1.iter().collect();
    assert_eq!(entries.len(), before.1.len(), "each message has one entry");
    let epoch = vault.care.carry_over(expires(0)).await.unwrap().epoch;
    assert_eq!(all(&vault, acknowledged.iter().copied()), before);
    assert_eq!(vault.care.keys().len(), 1);
    assert_eq!(epochs(&folder), BTreeSet::from([format!("store.{epoch}"), format!("base.{epoch}")]));
    for (number, found) in drain(&first.outbox).await {
        assert_eq!(found, parcel(number, 300));
    }
    drop(vault);
    let data = first.kill();
    fs::remove_dir_all(folder.join(format!("store.{epoch}"))).unwrap();
    let second = site(&data, small());
    assert_eq!(all(&second.vault().await, acknowledged.iter().copied()), before, "after a rebuild");
}
