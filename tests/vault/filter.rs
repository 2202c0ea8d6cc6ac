//! The filter that makes sled durable, seen from outside the process.

use crate::support::*;
use nakatsugi::{relay::ports::Vault, vault::filter};
use std::{
    env, fs,
    process::{Command, Stdio},
};

const DATA: &str = "NAKATSUGI_TEST_FILTER_DATA";

/// Runs in a process of its own, traced.
#[test]
#[ignore = "started by the test below"]
fn child_makes_a_checkpoint() {
    let Some(data) = env::var_os(DATA) else { return };
    filter::install().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let site = site(data.as_ref(), never());
        let vault = site.vault().await;
        for number in 0..20 {
            vault.commit(frame(number, 5_000, 100)).await.unwrap();
        }
        println!("checkpoint begins");
        vault.care.checkpoint().await.unwrap();
        println!("checkpoint ends");
    });
}

#[test]
fn at_a_checkpoint_sync_file_range_is_refused_and_the_store_is_fsynced() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=sync_file_range,fsync,fdatasync,write", "-o"]).arg(&log);
    strace.arg(env::current_exe().unwrap()).args(["--exact", "filter::child_makes_a_checkpoint", "--ignored", "--nocapture"]);
    let status = match strace.env(DATA, dir.path().join("data")).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) => status,
        // Said aloud, because this is the only test that sees the system calls.
        Err(error) => return eprintln!("NOT TESTED: strace does not run here: {error}"),
    };
    assert!(status.success());
    let log = fs::read_to_string(log).unwrap();
    let (before, rest) = log.split_once("checkpoint begins").unwrap();
    let (during, _) = rest.split_once("checkpoint ends").unwrap();
    let commits = before.lines().filter(|line| line.contains("fdatasync(") && line.contains("/journal/")).count();
    assert!(commits >= 20, "every commit is synced");
    let ranges: Vec<_> = during.lines().filter(|line| line.contains("sync_file_range(")).collect();
    assert!(!ranges.is_empty(), "sled tried");
    assert!(ranges.iter().all(|line| line.contains("ENOSYS") || line.contains("unfinished")), "{ranges:?}");
    let position = |what: &str| during.lines().position(|line| line.contains("fsync(") && line.contains(what));
    let (store, ledger, manifest) = (position("/store/db>"), position("/ledger/"), position("/manifest.new"));
    assert!(store.is_some() && store < manifest && ledger.is_some() && ledger < manifest, "the manifest comes last");
}
