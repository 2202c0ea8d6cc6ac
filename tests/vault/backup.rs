//! A backup taken while a vault serves, and the way back: what was acknowledged is there, and nothing else opens.

use crate::support::*;
use nakatsugi::{
    calendar::Timestamp,
    identifier::VaultName,
    relay::ports::{StopCause, Vault, VaultFault},
    vault::{
        Anchors, OutboxLimits, Tuning, VaultEvent,
        backup::{Backup, BackupError, Depth, KEY_BACKUP, Older, Restore, Restored},
        filter,
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data.anchors", "backups", "keys"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    async fn back_up(&self, site: &Site, vault: &Opened) -> Backup {
        static SECOND: AtomicU64 = AtomicU64::new(0);
        let now = NOW.plus_seconds(SECOND.fetch_add(1, Ordering::Relaxed).cast_signed());
        let backup = vault.care.back_up(self.path("backups"), now, |_, _| {}).await.unwrap();
        site.vaults.back_up_keys(&self.path("keys"), now).unwrap();
        assert_eq!(fs::metadata(&backup.path).unwrap().len(), backup.bytes);
        backup
    }

    fn restore(&self, backup: &Path) -> Restore {
        Restore {
            backup: backup.to_owned(),
            keys: self.path("keys").join(KEY_BACKUP),
            vault: tenant(),
            root_key: Zeroizing::new([1; 32]),
            environment: "trial".to_owned(),
            place: self.path("place"),
            journal: None,
            anchors: Some(Anchors::in_folder(self.path("data.anchors"))),
            export: None,
            entropy: Arc::new(Random::new()),
        }
    }
}

async fn run(restore: Restore) -> Result<Restored, BackupError> {
    restore.run(filter::install().unwrap(), Depth::EveryValue, &|_, _| {}).await
}

async fn commits(vault: &Opened, numbers: std::ops::Range<u64>, bytes: usize) {
    for number in numbers {
        vault.commit(frame(number, bytes, 300)).await.unwrap();
    }
}

/// What stands in a vault after these messages, and no others.
async fn assert_holds(data: &Path, numbers: u64) {
    let site = site(data, small());
    let vault = site.vault().await;
    for number in 0..numbers {
        assert_remembered(&vault, number);
        assert_eq!(vault.entry(number).unwrap().unwrap().1, sealing(number));
    }
    for person in 0..40.min(numbers) {
        let newest = (0..numbers).rev().find(|number| number % 40 == person);
        assert_eq!(number_held(&vault, person), newest);
    }
    assert_eq!(vault.recall(&message(numbers)).unwrap(), None);
    assert_eq!(vault.care.ledger().size(), numbers);
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    assert!(!site.events().iter().any(|event| matches!(event, VaultEvent::StoreRebuilding { .. })));
    site.vaults.close_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_between_commits_brings_back_every_acknowledged_one() {
    for round in 0..4_u64 {
        let ground = Ground::new();
        let site = site(&ground.data(), Tuning { segment_bytes: 64 << 10, checkpoint_bytes: 96 << 10, ..small() });
        let vault = site.vault().await;
        let acknowledged = Arc::new(AtomicU64::new(0));
        commits(&vault, 0..100 * round, 3_000).await;
        acknowledged.store(100 * round, Ordering::Release);
        // Some parcels are published, so that envelopes of old segments are still needed and others are not.
        let outbox = site.outbox.clone();
        let publisher = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let dispatch = outbox.next().await;
                if dispatch.parcel().body[7] % 3 == 0 { kept.push(dispatch) } else { dispatch.settle() }
            }
        });
        let (writer, count) = (vault.clone(), Arc::clone(&acknowledged));
        let traffic = tokio::spawn(async move {
            let first = count.load(Ordering::Acquire);
            for number in first..first + 300 {
                writer.commit(frame(number, 3_000, 300)).await.unwrap();
                count.store(number + 1, Ordering::Release);
            }
        });
        let before = acknowledged.load(Ordering::Acquire);
        let backup = ground.back_up(&site, &vault).await;
        traffic.await.unwrap();
        publisher.abort();
        let size = backup.head.head().size;
        assert!(size >= before, "{size} of {before}");
        drop(vault);
        site.vaults.close_all().await;

        fs::rename(ground.data(), ground.path("lost")).unwrap();
        let restored = run(ground.restore(&backup.path)).await.unwrap();
        assert_eq!((&restored.head, restored.values.is_some()), (&backup.head, true));
        let lost = 100 * round + 300 - size;
        match restored.standing() {
            Ok(()) => assert_eq!(lost, 0),
            Err(BackupError::Behind { has, anchored }) => assert_eq!((has, anchored - has), (size, lost)),
            Err(other) => panic!("{other}"),
        }
        restored.install(&ground.data(), Older::Accepted).unwrap();
        assert!(!ground.path("place").exists());
        assert_holds(&ground.data(), size).await;

        // It goes on, and its parcels are those that were not published.
        let again = site_with(&ground.data(), small(), 1, OutboxLimits::default());
        let vault = again.vault().await;
        for (number, parcel) in drain(&again.outbox).await {
            assert_eq!(parcel.body, body(number, 300));
        }
        commits(&vault, size..size + 20, 100).await;
        drop(vault);
        again.vaults.close_all().await;
        drop(again);
        assert_holds(&ground.data(), size + 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_stays_away_until_it_is_accepted_and_the_evidence_stays() {
    let ground = Ground::new();
    let site = site(&ground.data(), small());
    let vault = site.vault().await;
    commits(&vault, 0..10, 100).await;
    let backup = ground.back_up(&site, &vault).await;
    commits(&vault, 10..17, 100).await;
    drop(vault);
    site.vaults.close_all().await;
    drop(site);

    let restored = run(ground.restore(&backup.path)).await.unwrap();
    let living = restored.install(&ground.data(), Older::Accepted).unwrap_err();
    assert!(matches!(living, BackupError::Exists(_)), "{living}");
    fs::rename(ground.data(), ground.path("lost")).unwrap();
    let restored = run(ground.restore(&backup.path)).await.unwrap();
    let behind = restored.install(&ground.data(), Older::Refused).unwrap_err();
    assert_eq!(behind.to_string(), "this backup is older than the newest anchor: 7 entries are lost with it, 10 to 16");
    let restored = run(ground.restore(&backup.path)).await.unwrap();
    restored.install(&ground.data(), Older::Accepted).unwrap();
    assert_eq!(fs::read_dir(ground.path("data.anchors/142051")).unwrap().count(), 2);
    assert_holds(&ground.data(), 10).await;

    // With the journal of the lost vault nothing is lost.
    fs::remove_dir_all(ground.data()).unwrap();
    fs::remove_file(ground.path("data.anchors/142051/0000000000000002.note")).unwrap();
    let restore = Restore { journal: Some(ground.path("lost/vaults/142051/journal")), ..ground.restore(&backup.path) };
    run(restore).await.unwrap().install(&ground.data(), Older::Refused).unwrap();
    assert_holds(&ground.data(), 17).await;

    // A backup whose ledger went another way is not even accepted.
    for name in ["vaults", "lock"] {
        let place = ground.data().join(name);
        if place.is_dir() { fs::remove_dir_all(place).unwrap() } else { fs::remove_file(place).unwrap() }
    }
    let anchor = ground.path("data.anchors/142051/0000000000000001.note");
    fs::rename(&anchor, ground.path("anchor")).unwrap();
    run(ground.restore(&backup.path)).await.unwrap().install(&ground.data(), Older::Refused).unwrap();
    let site = crate::support::site(&ground.data(), small());
    let vault = site.vault().await;
    commits(&vault, 20..28, 100).await;
    let other = ground.back_up(&site, &vault).await;
    drop(vault);
    site.vaults.close_all().await;
    fs::remove_dir_all(ground.path("data.anchors/142051")).unwrap();
    fs::create_dir(ground.path("data.anchors/142051")).unwrap();
    fs::rename(ground.path("anchor"), &anchor).unwrap();
    fs::rename(ground.data(), ground.path("forked")).unwrap();
    let forked = run(ground.restore(&other.path)).await.unwrap().install(&ground.data(), Older::Accepted).unwrap_err();
    assert!(matches!(forked, BackupError::Forked), "{forked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_of_this_vault_is_refused_with_one_line() {
    let ground = Ground::new();
    let site = site(&ground.data(), small());
    let vault = site.vault().await;
    commits(&vault, 0..60, 9_000).await;
    let backup = ground.back_up(&site, &vault).await;
    site.vaults.create(VaultName::Platform).unwrap();
    let platform = site.vaults.resume(VaultName::Platform).await.unwrap();
    let other = platform.back_up(ground.path("backups"), NOW, |_, _| {}).await.unwrap();
    let good = fs::read(&backup.path).unwrap();
    let header = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let chunk = (256 << 10) + 16;
    assert!(good.len() > header + 2 * chunk);
    let wrong = ground.path("wrong");
    let refused = async |case: &str, bytes: Vec<u8>| {
        fs::write(&wrong, bytes).unwrap();
        let error = run(ground.restore(&wrong)).await.err().unwrap_or_else(|| panic!("{case} is taken"));
        let words = error.to_string();
        assert!(!words.contains('\n') && !words.is_empty(), "{words}");
        assert!(!ground.path("place/vaults/142051/manifest").exists());
        error
    };
    for at in [header, header + chunk - 1, header + chunk, good.len() - 1, good.len() / 2] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        assert!(matches!(refused(&format!("flipped at {at}"), flipped).await, BackupError::Sealed(_)), "flipped at {at}");
    }
    for length in [header, header + 1, header + chunk, header + 2 * chunk, good.len() - 1] {
        assert!(matches!(refused(&format!("cut at {length}"), good[..length].to_vec()).await, BackupError::Sealed(_)), "cut at {length}");
    }
    let swapped = [&good[..header], &good[header + chunk..header + 2 * chunk], &good[header..header + chunk], &good[header + 2 * chunk..]];
    assert!(matches!(refused("chunks exchanged", swapped.concat()).await, BackupError::Sealed(_)));
    assert!(matches!(refused("longer", [good.as_slice(), b"more"].concat()).await, BackupError::Sealed(_)));
    let relabelled = String::from_utf8(good[..header].to_vec()).unwrap().replacen("\"made\":18", "\"made\":17", 1);
    assert!(matches!(refused("relabelled", [relabelled.as_bytes(), &good[header..]].concat()).await, BackupError::Sealed(_)));
    assert!(matches!(refused("empty", Vec::new()).await, BackupError::NotABackup(_)));
    assert!(matches!(refused("no label", b"{}\n".to_vec()).await, BackupError::NotABackup(_)));
    let foreign = refused("another vault's", fs::read(&other.path).unwrap()).await;
    assert!(foreign.to_string().ends_with("this is a backup of platform, not of 142051"), "{foreign}");

    // The keys: of another root key, cut, changed, another's.
    let keys = fs::read(ground.path("keys").join(KEY_BACKUP)).unwrap();
    for (bytes, why) in [
        (keys[..keys.len() - 1].to_vec(), "cut"),
        (String::from_utf8(keys.clone()).unwrap().replacen("\"version\":1", "\"version\":2", 1).into_bytes(), "changed"),
        (b"\n\n".to_vec(), "another"),
    ] {
        fs::write(ground.path("wrong-keys"), bytes).unwrap();
        let error = run(Restore { keys: ground.path("wrong-keys"), ..ground.restore(&backup.path) }).await.unwrap_err();
        assert!(matches!(error, BackupError::KeyBackup(_)), "{why}: {error}");
    }
    let error = run(Restore { root_key: Zeroizing::new([2; 32]), ..ground.restore(&backup.path) }).await.unwrap_err();
    assert!(matches!(error, BackupError::KeyBackup(_)), "{error}");
    let error = run(Restore { environment: "production".to_owned(), ..ground.restore(&backup.path) }).await.unwrap_err();
    assert!(matches!(error, BackupError::Keyring(_)), "{error}");
    run(ground.restore(&backup.path)).await.unwrap().discard().unwrap();
    assert!(!ground.path("place").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn bringing_back_goes_on_where_it_was_cut_short() {
    let ground = Ground::new();
    let site = site(&ground.data(), Tuning::default());
    let vault = site.vault().await;
    commits(&vault, 0..40, 1_000_000).await;
    let backup = ground.back_up(&site, &vault).await;
    drop(vault);
    site.vaults.close_all().await;
    drop(site);
    fs::rename(ground.data(), ground.path("lost")).unwrap();
    assert!(backup.bytes > 36 << 20, "{}", backup.bytes);
    // Whoever watches gives up in the middle.
    let restore = ground.restore(&backup.path);
    let cut = tokio::spawn(async move {
        let give_up = |bytes: u64, of: Option<u64>| assert!(bytes < of.unwrap() * 3 / 4, "given up");
        restore.run(filter::install().unwrap(), Depth::Tree, &give_up).await.map(drop)
    });
    assert!(cut.await.unwrap_err().is_panic());
    let state = fs::read_to_string(ground.path("place/restoring.json")).unwrap();
    let position: u64 = serde_json::from_str::<serde_json::Value>(&state).unwrap()["position"].as_u64().unwrap();
    assert!(position > 0, "{state}");
    let least = Arc::new(AtomicU64::new(u64::MAX));
    let seen = Arc::clone(&least);
    let watch = move |bytes: u64, _: Option<u64>| {
        seen.fetch_min(bytes, Ordering::Relaxed);
    };
    let restored = ground.restore(&backup.path).run(filter::install().unwrap(), Depth::EveryValue, &watch).await.unwrap();
    assert!(least.load(Ordering::Relaxed) > position, "it went on");
    restored.install(&ground.data(), Older::Refused).unwrap();
    assert_holds(&ground.data(), 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_lost_after_coming_back_is_not_taken_for_an_empty_one() {
    let ground = Ground::new();
    let site = site(&ground.data(), Tuning { segment_bytes: 8 << 10, ..small() });
    let vault = site.vault().await;
    commits(&vault, 0..60, 1_000).await;
    let backup = ground.back_up(&site, &vault).await;
    drop(vault);
    site.vaults.close_all().await;
    drop(site);
    fs::rename(ground.data(), ground.path("lost")).unwrap();
    run(ground.restore(&backup.path)).await.unwrap().install(&ground.data(), Older::Refused).unwrap();
    assert!(ground.data().join("vaults/142051/journal/begins").exists());
    fs::remove_dir_all(ground.data().join("vaults/142051/store")).unwrap();
    let site = crate::support::site(&ground.data(), small());
    assert_eq!(site.fault().await, VaultFault::Stopped(StopCause::StoreDamaged));
    // The backup and the journal, which goes on where the backup ends, give it back.
    drop(site);
    fs::rename(ground.data(), ground.path("damaged")).unwrap();
    let restore = Restore { journal: Some(ground.path("damaged/vaults/142051/journal")), ..ground.restore(&backup.path) };
    run(restore).await.unwrap().install(&ground.data(), Older::Refused).unwrap();
    assert_holds(&ground.data(), 60).await;
}
