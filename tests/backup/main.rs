//! A disaster and the way back, as the documentation tells the operator: the real binary, a real broker, everything lost.
//!
//! Always: each command that stands in `docs/backup.md` is run here, with the same words.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/graveyard.rs"]
mod graveyard;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/stage.rs"]
mod stage;

use nakatsugi::{
    cli::{
        Share,
        demo::{Layout, population::Resident},
    },
    config,
    identifier::TenantCode,
};
use serde_json::Value;
use stage::{BINARY, Stage, Voice};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const FUJISAWA: &str = "142051";
const YOKOHAMA: &str = "141003";

/// The commands of the documentation, run in the site's folder.
struct Operator {
    folder: PathBuf,
}

struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Operator {
    fn run(&self, line: &str) -> Done {
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("nakatsugi"));
        let output = Command::new(BINARY).current_dir(&self.folder).args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn good(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(done.code, 0, "{line}: {}{}", done.out, done.err);
        done.out
    }

    /// A refusal: one line, then what to do next.
    fn bad(&self, line: &str, code: i32) -> String {
        let done = self.run(line);
        assert_eq!(done.code, code, "{line}: {}{}", done.out, done.err);
        let lines: Vec<_> = done.err.lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("  next: "), "{}", done.err);
        lines[0].strip_prefix("nakatsugi: ").unwrap().to_owned()
    }
}

/// What is shown of a resident, but for the time.
async fn shown(stage: &Stage, disclosure: &mut Voice, resident: Resident) -> Value {
    let reply = disclosure.ask(&stage.question(disclosure, resident)).await;
    let mut body: Value = serde_json::from_str(reply.body.get()).unwrap();
    body.as_object_mut().unwrap().remove("as_of");
    body
}

fn provides(body: &Value) -> bool {
    body.to_string().contains("\"provided\"")
}

fn entries(vault: &Path) -> u64 {
    let manifest = fs::read_to_string(vault.join("manifest")).unwrap();
    let manifest: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    manifest["ledger"]["size"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_lost_and_comes_back_from_backup_key_backup_and_shares() {
    let towns = [(FUJISAWA, ("藤沢市", "Fujisawa")), (YOKOHAMA, ("横浜市", "Yokohama"))];
    let stage = Stage::build("backup", &towns, &Layout::default(), |_| ()).await;
    let folder = stage.site.folder().to_owned();
    let operator = Operator { folder: folder.clone() };
    let (fujisawa, yokohama): (TenantCode, TenantCode) = (FUJISAWA.parse().unwrap(), YOKOHAMA.parse().unwrap());
    let root = config::read_root_key(&folder.join("keys/root.key")).unwrap();
    for share in Share::split(&root, 3, 2).unwrap() {
        let path = folder.join(format!("share-{}.txt", share.number()));
        fs::write(&path, share.to_file().as_bytes()).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    for name in ["backups", "key-backups"] {
        fs::create_dir(folder.join(name)).unwrap();
    }

    let mut running = stage.serve().await;
    stage.settle(fujisawa, 3).await;
    stage.settle(yokohama, 3).await;
    let mut disclosure = stage.disclosure();
    let resident = |tenant, index| Resident { tenant, index };
    let mut before = Vec::new();
    for index in 0..3 {
        before.push(shown(&stage, &mut disclosure, resident(fujisawa, index)).await);
    }
    assert!(before.iter().all(provides));

    // Backed up while requests run; none fails.
    let going_on = Arc::new(AtomicBool::new(true));
    let traffic = async {
        let mut asked = 0;
        while going_on.load(Ordering::Relaxed) || asked < 20 {
            let letters: Vec<_> = (0..10).map(|index| stage.question(&disclosure, resident(fujisawa, index % 3))).collect();
            for letter in &letters {
                letter.send(&disclosure.publisher).await.unwrap();
            }
            let answers = disclosure.answers(&letters).await;
            assert!(letters.iter().all(|letter| answers.only(letter).body.get().contains("provided")));
            asked += letters.len();
        }
        asked
    };
    let backup = async {
        let out = tokio::task::spawn_blocking({
            let operator = Operator { folder: folder.clone() };
            move || operator.good("nakatsugi backup --to backups --keys-to key-backups")
        });
        let out = out.await.unwrap();
        going_on.store(false, Ordering::Relaxed);
        out
    };
    let (asked, out) = tokio::join!(traffic, backup);
    assert!(asked >= 20 && out.contains("142051: ") && out.contains("keyrings of 3 vaults"), "{out}");
    assert_eq!(running.count("vault.backed-up"), 3);
    let refused = operator.bad("nakatsugi backup --to backups --keys-to backups", 64);
    assert!(refused.starts_with("data and keyrings must not lie together"), "{refused}");

    // The drill, beside the running daemon.
    let shares = "--share share-1.txt --share share-3.txt";
    let out = operator.good(&format!("nakatsugi backup drill --from backups --keys key-backups {shares}"));
    assert_eq!(out.lines().count(), 3);
    assert!(out.contains("142051: ") && out.contains(" values opened; "), "{out}");
    assert!(fs::read_dir(folder.join("data")).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().contains("drill")));

    exported(&operator, shares);

    // What comes after the backup, anchored.
    stage.settle(fujisawa, 5).await;
    stage.settle(yokohama, 4).await;
    for index in 0..4 {
        assert!(provides(&shown(&stage, &mut disclosure, resident(yokohama, index)).await));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let heads = |running: &stage::Running, tenant: &str| {
        let of = |event: &Value| (event["vault"] == tenant).then(|| event["size"].as_u64());
        running.events("ledger.tree-head").iter().filter_map(of).flatten().max().unwrap_or_default()
    };
    let answered = |running: &stage::Running, tenant: &str| {
        running.events("message.answered").iter().filter(|event| event["tenant"] == tenant).count() as u64
    };
    running.until(|running| [FUJISAWA, YOKOHAMA].iter().all(|tenant| heads(running, tenant) == answered(running, tenant))).await;
    let anchored = heads(&running, FUJISAWA);

    // The disaster: the machine is gone, but for the disk with the backups and that with the anchors.
    running.daemon.kill();
    fs::rename(folder.join("data"), folder.join("lost")).unwrap();
    fs::remove_file(folder.join("keys/root.key")).unwrap();
    let configuration = fs::read_to_string(folder.join("nakatsugi.toml")).unwrap();
    fs::write(folder.join("nakatsugi.toml"), configuration.replacen("data = \"data\"", "data = \"new/data\"", 1)).unwrap();
    operator.good("nakatsugi directory sign --key keys/authority-private.jwk");

    let from = format!("--from backups --keys key-backups {shares}");
    let lost = operator.bad(&format!("nakatsugi restore {FUJISAWA} {from}"), 65);
    let range = lost.strip_prefix("this backup is older than the newest anchor: ").unwrap();
    let numbers: Vec<u64> = range.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [count, first, last] = numbers[..] else { panic!("{range}") };
    assert_eq!((last + 1, count), (anchored, anchored - first), "{range}");
    let out = operator.good(&format!("nakatsugi restore {FUJISAWA} {from} --older-than-anchor"));
    assert!(out.contains(&format!("is back, with {first} entries")) && out.contains(range), "{out}");
    assert!(out.contains("nakatsugi keys shares restore --to"), "{out}");
    // Its journal was saved from the old disk: nothing is lost.
    let out = operator.good(&format!("nakatsugi restore {YOKOHAMA} {from} --journal lost/vaults/{YOKOHAMA}/journal"));
    assert!(out.contains("is back, with"), "{out}");
    operator.good(&format!("nakatsugi restore platform {from}"));
    operator.good("nakatsugi keys shares restore --to keys/root.key share-1.txt share-3.txt");
    let living = operator.bad(&format!("nakatsugi restore {FUJISAWA} {from}"), 73);
    assert!(living.ends_with("there is a vault here, and none is overwritten; move it away, and keep it"), "{living}");

    let mut running = stage.serve().await;
    for (index, before) in (0..).zip(&before) {
        assert_eq!(shown(&stage, &mut disclosure, resident(fujisawa, index)).await, *before);
    }
    assert!(!provides(&shown(&stage, &mut disclosure, resident(fujisawa, 4)).await), "it came after the backup");
    for index in 0..4 {
        assert!(provides(&shown(&stage, &mut disclosure, resident(yokohama, index)).await));
    }
    stage.settle(fujisawa, 5).await;
    assert!(provides(&shown(&stage, &mut disclosure, resident(fujisawa, 4)).await));
    assert_eq!(running.errors(), Vec::<Value>::new());
    assert!(running.stop().await.success());
    wrong_backups(&operator, &from);
    assert!(entries(&folder.join("put-aside")) > first);
}

/// The tenant takes all it has elsewhere; nobody else can.
fn exported(operator: &Operator, shares: &str) {
    let export =
        |to: &str| format!("nakatsugi export {FUJISAWA} --for {to} --to fujisawa.export --from backups --keys key-backups {shares}");
    assert_eq!(operator.bad(&export("disclosure"), 65), "disclosure: it is no municipal system");
    assert_eq!(operator.bad(&export("municipal-141003"), 65), "municipal-141003: it does not act for this tenant");
    let out = operator.good(&export("municipal-142051"));
    assert!(out.contains("3  person.link") && out.contains("9  record.put"), "{out}");
    assert!(operator.bad(&export("municipal-142051"), 73).ends_with("there is something here already, and nothing is overwritten"));
    operator.good("nakatsugi export open fujisawa.export --as-peer peers/municipal-142051 --to rows");
    for (kind, count) in [("person.link", 3), ("record.put", 9)] {
        let line = format!("nakatsugi load --as-peer peers/municipal-142051 --tenant 142051 --type {kind} --json rows/{kind}.ndjson");
        let told: Value = serde_json::from_str(&operator.good(&line)).unwrap();
        assert_eq!((&told["lines"], &told["superseded"], &told["refused"]), (&count.into(), &count.into(), &0.into()), "{told}");
    }
    let other = operator.bad("nakatsugi export open fujisawa.export --as-peer peers/municipal-141003 --to others", 65);
    assert!(other.ends_with("it is not for this principal, or not from its relay, or was changed"), "{other}");
    let file = operator.folder.join("fujisawa.export");
    let good = fs::read(&file).unwrap();
    assert!(!String::from_utf8_lossy(&good).contains("record_key"));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for wrong in [flipped.as_slice(), &good[..good.len() - 1]] {
        fs::write(&file, wrong).unwrap();
        let changed = operator.bad("nakatsugi export open fujisawa.export --as-peer peers/municipal-142051 --to changed", 65);
        assert!(changed.ends_with("it was changed or cut"), "{changed}");
        assert!(!operator.folder.join("changed").exists());
    }
}

/// Backups that are not what they should be, each with its line.
fn wrong_backups(operator: &Operator, from: &str) {
    let folder = &operator.folder;
    fs::rename(folder.join("new/data/vaults").join(FUJISAWA), folder.join("put-aside")).unwrap();
    let backup = |tenant: &str| {
        let mut names = fs::read_dir(folder.join("backups")).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(tenant)).unwrap()
    };
    let (good, mut bytes) = (backup(FUJISAWA), fs::read(backup(FUJISAWA)).unwrap());
    let wrong = folder.join("wrong.backup");
    let restore =
        |path: &Path| format!("nakatsugi restore {FUJISAWA} {}", from.replace("--from backups", &format!("--from {}", path.display())));
    fs::write(&wrong, &bytes[..bytes.len() / 2]).unwrap();
    assert!(operator.bad(&restore(&wrong), 65).ends_with("it does not open: it was changed or cut, or was made under other keys"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&wrong, &bytes).unwrap();
    assert!(operator.bad(&restore(&wrong), 65).ends_with("it does not open: it was changed or cut, or was made under other keys"));
    let done = operator.run(&restore(&wrong).replace(&format!("restore {FUJISAWA}"), "backup drill"));
    assert_eq!(done.code, 69, "{}", done.err);
    assert!(done.out.contains("142051: ") && done.out.contains("it does not open"), "{}", done.out);
    assert!(operator.bad(&restore(&backup(YOKOHAMA)), 65).ends_with("this is a backup of 141003, not of 142051"));
    fs::write(&wrong, "nothing of the kind").unwrap();
    assert!(operator.bad(&restore(&wrong), 65).ends_with("this is no backup of nakatsugi, or its beginning is damaged"));
    let few = restore(&good).replace(" --share share-3.txt", "");
    assert_eq!(operator.bad(&few, 65), "2 shares are needed, 1 are given");
    assert!(operator.bad(&restore(&folder.join("key-backups")), 66).ends_with("there is no backup of it here"));
}
