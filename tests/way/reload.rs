//! What was signed counts: a directory that was tampered with is never taken, a newer one is, without a restart.

use crate::stage::{BINARY, Of, Running, Stage, stage};
use nakatsugi::{
    cli::demo::population::Resident,
    directory::Document,
    envelope::SigningKey,
    identifier::{MessageType, PrincipalId},
};
use ring::rand::SystemRandom;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Puts the files back as they were, whatever happens to the test.
pub(crate) struct Kept(Vec<(PathBuf, Vec<u8>)>);

impl Kept {
    pub(crate) fn of(stage: &Stage) -> Self {
        let files = ["directory.json", "directory.json.sig", "catalogue.json", "nakatsugi.toml"];
        Self(files.map(|name| stage.site.folder().join(name)).map(|path| (path.clone(), fs::read(path).unwrap())).into())
    }

    fn restore(&self) {
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).unwrap();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.restore();
    }
}

fn hang_up(running: &Running) {
    let pid = Pid::from_raw(running.daemon.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

/// Signs the directory anew, with another version and a change.
pub(crate) fn sign(stage: &Stage, version: u64, change: impl FnOnce(&mut Document)) {
    let folder = stage.site.folder();
    let mut document = Document::parse(&fs::read(folder.join("directory.json")).unwrap()).unwrap();
    document.version = version;
    change(&mut document);
    let authority = SigningKey::from_jwk(&fs::read_to_string(folder.join("keys/authority-private.jwk")).unwrap()).unwrap();
    let (bytes, signature) = document.sign(&authority, &SystemRandom::new()).unwrap();
    fs::write(folder.join("directory.json"), bytes).unwrap();
    fs::write(folder.join("directory.json.sig"), signature).unwrap();
}

fn tamper(stage: &Stage) {
    let path = stage.site.folder().join("directory.json");
    let text = fs::read_to_string(&path).unwrap();
    let tampered = text.replacen("\"municipal-", "\"municipal-x", 1);
    assert_ne!(text, tampered);
    fs::write(path, tampered).unwrap();
}

/// What `serve` says when it does not start.
fn refusal(stage: &Stage) -> (i32, String) {
    let mut serve = Command::new(BINARY);
    serve.arg("serve").arg("--config").arg(stage.site.configuration_path()).stdin(Stdio::null());
    let output = serve.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_directory_is_refused_and_a_newer_signed_one_is_taken_at_once() {
    let stage = stage().await;
    let kept = Kept::of(&stage);
    let mut running = stage.serve().await;
    let tenant = Of::Others.tenants().0;
    let mut disclosure = stage.disclosure();
    let question = |disclosure: &_| stage.question(disclosure, Resident { tenant, index: 0 });

    tamper(&stage);
    hang_up(&running);
    let refused = running.event("directory.kept-old").await;
    assert_eq!(refused["version"], 1);
    assert!(refused["words"].as_str().unwrap().contains("signature"), "{refused}");
    let letter = question(&disclosure);
    assert!(disclosure.ask(&letter).await.body.get().contains("answered"));

    kept.restore();
    let id: PrincipalId = "disclosure".parse().unwrap();
    sign(&stage, 2, |document| {
        let principal = document.principals.iter_mut().find(|principal| principal.id == id).unwrap();
        principal.may.remove(&MessageType::SelfInfoRequest);
    });
    hang_up(&running);
    running.event_that("directory.loaded", |event| event["version"] == 2).await;
    let letter = question(&disclosure);
    assert!(disclosure.ask(&letter).await.body.get().contains("not-allowed"));

    // The one from before is signed too, but older.
    kept.restore();
    hang_up(&running);
    running.event_that("directory.kept-old", |event| event["version"] == 2).await;
    sign(&stage, 3, |_| ());
    hang_up(&running);
    running.event_that("directory.loaded", |event| event["version"] == 3).await;
    let letter = question(&disclosure);
    assert!(disclosure.ask(&letter).await.body.get().contains("answered"));
    assert!(running.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_changes_is_reported_and_not_started_with() {
    let stage = stage().await;
    let kept = Kept::of(&stage);
    let mut running = stage.serve().await;
    let path = stage.site.configuration_path();
    let changed = fs::read_to_string(&path).unwrap().replace("outbox = 10000", "outbox = 10001");
    fs::write(&path, changed).unwrap();
    let changed = running.event("configuration.changed").await;
    assert_eq!(changed["file"], "configuration");
    assert!(running.stop().await.success());
    let (code, words) = refusal(&stage);
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("the configuration is not the one that this directory was signed with"), "{words}");

    kept.restore();
    tamper(&stage);
    let (code, words) = refusal(&stage);
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("directory.json") && words.contains("signature"), "{words}");
}
