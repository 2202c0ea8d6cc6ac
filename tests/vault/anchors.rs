//! Tree heads and anchors: verified by an independent implementation; a vault that is old or forked does not open.

use crate::support::*;
use nakatsugi::{
    identifier::VaultName,
    keyring::RootKey,
    relay::ports::{StopCause, Vault, VaultFault},
    vault::{VaultEvent, head_key},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A data folder with an anchor folder beside it.
fn ground(dir: &Path) -> PathBuf {
    fs::create_dir(dir.join("data.anchors")).unwrap();
    dir.join("data")
}

async fn commits(vault: &Opened, numbers: std::ops::Range<u64>) {
    for number in numbers {
        vault.commit(frame(number, 10, 100)).await.unwrap();
    }
}

/// Opens the vault, commits these, and closes it.
async fn run(data: &Path, numbers: std::ops::Range<u64>) {
    let site = site(data, small());
    commits(&site.vault().await, numbers).await;
    site.vaults.close_all().await;
}

fn notes(data: &Path) -> Vec<PathBuf> {
    let folder = data.with_extension("anchors").join("142051");
    let mut notes: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    notes.sort();
    notes
}

/// Puts another folder in the place of the vault.
fn exchange(data: &Path, with: &Path) {
    fs::remove_dir_all(data.join("vaults/142051")).unwrap();
    copy(with, &data.join("vaults/142051"));
}

async fn refused(data: &Path) -> (VaultFault, String) {
    let site = site(data, small());
    let fault = site.fault().await;
    // Nobody else has to wait.
    let _ = site.vaults.create(VaultName::Platform);
    site.vaults.resume(VaultName::Platform).await.unwrap();
    let words = site.events().into_iter().find_map(|event| match event {
        VaultEvent::Stopped { detail, .. } => detail,
        _ => None,
    });
    (fault, words.unwrap_or_default())
}

fn verify(key: &str, note: &Path, ledger: &Path) -> Output {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = tests.join(".venv/bin/python");
    assert!(python.exists(), "python3 -m venv tests/.venv && tests/.venv/bin/pip install -r tests/requirements.txt");
    Command::new(python).arg(tests.join("vault/verify.py")).arg(key).arg(note).arg(ledger).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_verifier_believes_the_ledger_and_no_other() {
    const SIZE: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let data = ground(dir.path());
    run(&data, 0..300).await;
    run(&data, 300..SIZE).await;
    let key = head_key(&data.join("vaults"), tenant(), &RootKey::from_bytes([1; 32]), "trial").unwrap().published();
    let (newest, ledger) = (notes(&data).pop().unwrap(), data.join("vaults/142051/ledger"));
    let output = verify(&key, &newest, &ledger);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), SIZE.to_string(), "{}", String::from_utf8_lossy(&output.stderr));

    let refuses = |why: &str| {
        let output = verify(&key, &newest, &ledger);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains(why), "{why}: {words}");
    };
    let with = |file: &Path, change: &dyn Fn(&mut Vec<u8>), why: &str| {
        let before = fs::read(file).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
        refuses(why);
        fs::write(file, before).unwrap();
    };
    with(&ledger.join("tile/0/001"), &|bytes| bytes[77] ^= 1, "the tiles have another root");
    with(&ledger.join("tile/0/000"), &|bytes| bytes[..64].rotate_left(32), "the tiles have another root");
    with(&ledger.join("tile/0/002.p/88"), &|bytes| bytes.truncate(32), "has 32 bytes");
    with(&ledger.join("tile/1/000.p/2"), &|bytes| bytes[0] ^= 1, "hash 0 of level 1");
    with(&ledger.join("entries/001"), &|bytes| bytes[4] ^= 1, "entry 256 is not what the tree has");
    let text = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| *bytes = String::from_utf8(bytes.clone()).unwrap().replacen(from, to, 1).into_bytes()
    };
    with(&newest, &text("\n600\n", "\n599\n"), "the signature does not hold");
    with(&newest, &text("142051", "141003"), "the signature does not hold");
    assert!(verify(&key, &newest, &ledger).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_older_than_its_newest_anchor_does_not_open_and_the_right_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let (data, old, new) = (ground(dir.path()), dir.path().join("old"), dir.path().join("new"));
    run(&data, 0..5).await;
    copy(&data.join("vaults/142051"), &old);
    run(&data, 5..9).await;
    copy(&data.join("vaults/142051"), &new);
    exchange(&data, &old);
    let (fault, words) = refused(&data).await;
    assert_eq!(fault, VaultFault::Stopped(StopCause::Behind));
    assert!(words.starts_with("its ledger has 5 entries and its newest anchor 9"), "{words}");
    exchange(&data, &new);
    run(&data, 9..10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_does_not_open_be_it_as_long_or_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (data, old) = (ground(dir.path()), dir.path().join("old"));
    run(&data, 0..300).await;
    copy(&data.join("vaults/142051"), &old);
    run(&data, 300..304).await;
    let away = dir.path().join("away");
    fs::rename(data.with_extension("anchors"), &away).unwrap();
    for numbers in [400..404, 404..900] {
        exchange(&data, &old);
        run(&data, numbers).await;
        fs::rename(&away, data.with_extension("anchors")).unwrap();
        let (fault, words) = refused(&data).await;
        assert_eq!(fault, VaultFault::Stopped(StopCause::Forked));
        assert!(words.starts_with("the first 304 entries"), "{words}");
        fs::rename(data.with_extension("anchors"), &away).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_anchored_is_there_after_a_kill_whether_a_checkpoint_was_made_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = ground(dir.path());
    let mut from = 0;
    for checkpoint in [false, true, false] {
        let site = site(&data, never());
        let vault = site.vault().await;
        commits(&vault, from..from + 130).await;
        vault.care.anchor().await;
        if checkpoint {
            vault.care.checkpoint().await.unwrap();
        }
        commits(&vault, from + 130..from + 140).await;
        from += 140;
        assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
        drop(vault);
        site.kill();
    }
    let site = site(&data, never());
    assert_eq!(site.vault().await.care.ledger().size(), from);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_anchors_or_with_a_foreign_one_a_vault_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let data = ground(dir.path());
    run(&data, 0..3).await;
    let newest = notes(&data).pop().unwrap();
    let good = fs::read(&newest).unwrap();
    let mut forged = good.clone();
    forged[23] ^= 1;
    for (note, why) in [(forged.as_slice(), "the signature of this tree head does not hold"), (b"", "this is not a signed tree head")] {
        fs::write(&newest, note).unwrap();
        let (fault, words) = refused(&data).await;
        assert_eq!(fault, VaultFault::Stopped(StopCause::Anchor));
        assert!(words.starts_with("the newest anchor, 0000000000000001.note, is not believed") && words.contains(why), "{words}");
    }
    fs::write(&newest, good).unwrap();
    run(&data, 3..4).await;

    let site = site(&data, small());
    let (folder, away) = (data.with_extension("anchors"), dir.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    assert_eq!(site.fault().await, VaultFault::Stopped(StopCause::Anchor));
    fs::rename(&away, &folder).unwrap();
    site.vault_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_head_is_told_and_anchored_once_and_few_old_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = ground(dir.path());
    let site = site(&data, small());
    let vault = site.vault().await;
    vault.care.anchor().await;
    for number in 0..20 {
        commits(&vault, number..number + 1).await;
        vault.care.anchor().await;
        vault.care.anchor().await;
    }
    let told: Vec<_> = site
        .events()
        .into_iter()
        .filter_map(|event| if let VaultEvent::TreeHead { head, .. } = event { Some(head) } else { None })
        .collect();
    assert_eq!(told.iter().map(|head| head.head().size).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert_eq!(told.last(), Some(&vault.care.tree_head()));
    let notes = notes(&data);
    assert_eq!(notes.len(), 16);
    assert_eq!(fs::read_to_string(notes.last().unwrap()).unwrap(), told.last().unwrap().as_str());
    fs::rename(data.with_extension("anchors"), dir.path().join("away")).unwrap();
    commits(&vault, 20..21).await;
    vault.care.anchor().await;
    assert!(site.events().iter().any(|event| matches!(event, VaultEvent::NotAnchored { .. })));
    fs::rename(dir.path().join("away"), data.with_extension("anchors")).unwrap();
    vault.care.anchor().await;
    assert_eq!(fs::read_to_string(crate::anchors::notes(&data).last().unwrap()).unwrap(), vault.care.tree_head().as_str());
}
