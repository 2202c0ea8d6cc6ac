//! SIGKILL or a power cut at any moment: what was acknowledged is there, once, and nothing else is broken.

use crate::support::*;
use nakatsugi::{relay::ports::Vault, vault::VaultEvent};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const DATA: &str = "NAKATSUGI_TEST_CRASH_DATA";
const FIRST: &str = "NAKATSUGI_TEST_CRASH_FIRST";
const TASKS: u64 = 8;

/// Runs in a process of its own until it is killed: commits, and says which numbers were acknowledged.
#[test]
#[ignore = "started by the test below"]
fn child_commits_until_killed() {
    let Some(data) = env::var_os(DATA) else { return };
    let first: u64 = env::var_os(FIRST).unwrap().to_str().unwrap().parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let site = site(data.as_ref(), small());
        let vault = site.vault().await;
        println!("\nopened");
        // Publishes the even ones.
        let outbox = site.outbox.clone();
        let publisher = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let dispatch = outbox.next().await;
                if dispatch.parcel().body[7] % 2 == 0 { dispatch.settle() } else { kept.push(dispatch) }
            }
        });
        let tasks = (0..TASKS).map(|task| {
            let vault = vault.clone();
            tokio::spawn(async move {
                for number in (first + task..).step_by(TASKS as usize) {
                    vault.commit(frame(number, 30 << (number % 11), 3_000)).await.unwrap();
                    println!("\nacknowledged {number}");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        publisher.abort();
    });
}

fn number(line: String) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

fn start(data: &Path, first: u64) -> (Child, mpsc::Receiver<String>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "crash::child_commits_until_killed", "--ignored", "--nocapture"]);
    let mut child = command.env(DATA, data).env(FIRST, first.to_string()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (say, hear) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
    (child, hear)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_being_killed_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let site = site(dir.path(), small());
        site.vault().await;
        site.vaults.close_all().await;
    }
    let mut acknowledged: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for round in 0..24_u64 {
        let first = round * 100_000;
        let (mut child, heard) = start(dir.path(), first);
        let numbers = acknowledged.entry(round).or_default();
        match round % 3 {
            // While it opens and recovers, wherever that is.
            0 => thread::sleep(Duration::from_millis(5 + round * 3)),
            // While it writes and makes checkpoints.
            _ => {
                let enough = 40 + usize::try_from(round).unwrap() * 37;
                numbers.extend(heard.iter().filter_map(number).take(enough));
                assert_eq!(numbers.len(), enough, "the child ended by itself in round {round}");
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        numbers.extend(heard.iter().filter_map(number));
    }
    verify(dir.path(), &acknowledged).await;
}

/// Checks a site against the numbers that were acknowledged in each round.
async fn verify(data: &Path, acknowledged: &BTreeMap<u64, BTreeSet<u64>>) {
    let site = site(data, small());
    let vault = site.vault().await;
    let mut handled = BTreeSet::new();
    for (round, numbers) in acknowledged {
        for number in numbers {
            assert_remembered(&vault, *number);
        }
        for task in 0..TASKS {
            let own = (round * 100_000 + task..).step_by(TASKS as usize);
            handled.extend(own.take_while(|number| vault.recall(&message(*number)).unwrap().is_some()));
        }
        assert!(numbers.is_subset(&handled));
    }
    assert_eq!(vault.care.ledger().size(), handled.len() as u64, "each message has one entry");
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    let entries: BTreeSet<_> = (0..vault.care.ledger().size()).map(|index| vault.entry(index).unwrap().unwrap().1.entry).collect();
    assert_eq!(entries.len(), handled.len());
    for person in 0..40 {
        let newest = handled.iter().filter(|number| *number % 40 == person).max();
        assert_eq!(number_held(&vault, person), newest.copied(), "person {person}");
    }
    let outstanding: BTreeMap<_, _> = drain(&site.outbox).await.into_iter().collect();
    for number in &handled {
        match outstanding.get(number) {
            Some(found) => assert_eq!(*found, parcel(*number, 3_000)),
            None => assert_eq!(number % 2, 0, "a parcel that was not published is gone"),
        }
    }
    assert_eq!(outstanding.len(), vault.care.outstanding());
    assert!(matches!(site.events()[..], [VaultEvent::Opened { .. }]), "{:?}", site.events());
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// Takes the disk away without writing what the file system still holds (ext4's shutdown, without flushing its log).
const CUT: &str = "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, a loop device, mkfs.ext4 and python3"]
async fn what_was_acknowledged_survives_power_cuts() {
    let dir = tempfile::tempdir().unwrap();
    let (image, mount) = (dir.path().join("image"), dir.path().join("disk"));
    let (image, disk) = (image.to_str().unwrap(), mount.to_str().unwrap());
    std::fs::create_dir(disk).unwrap();
    run("truncate", &["-s", "2G", image]);
    run("mkfs.ext4", &["-q", "-F", image]);
    run("mount", &["-o", "loop", image, disk]);
    {
        let site = site(&mount.join("data"), small());
        site.vault().await;
        site.vaults.close_all().await;
    }
    let mut acknowledged: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for round in 0..16_u64 {
        let (mut child, heard) = start(&mount.join("data"), round * 100_000);
        let numbers = acknowledged.entry(round).or_default();
        let enough = 200 + usize::try_from(round * 97 % 700).unwrap();
        numbers.extend(heard.iter().filter_map(number).take(enough));
        assert_eq!(numbers.len(), enough, "the child ended by itself in round {round}");
        run("python3", &["-c", CUT, disk]);
        child.kill().unwrap();
        child.wait().unwrap();
        numbers.extend(heard.iter().filter_map(number));
        run("umount", &[disk]);
        run("mount", &["-o", "loop", image, disk]);
        println!("round {round}: {} acknowledged", numbers.len());
        // What was found is checked on a copy, so that the next round recovers by itself.
        let copied = dir.path().join("copy");
        copy(&mount.join("data"), &copied);
        verify(&copied, &acknowledged).await;
        std::fs::remove_dir_all(&copied).unwrap();
    }
    run("umount", &[disk]);
}
