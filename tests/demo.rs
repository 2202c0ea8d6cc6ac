//! The demonstration, as a person runs it: the last line of its output is JSON, nothing is lost, nothing stays behind; and a
//! client in another language, made from the published contracts alone, that talks to one that is kept.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nakatsugi::cli::demo::{Node, NodeOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

fn interrupt(demo: &Child) {
    kill_process(Pid::from_child(demo), Signal::INT).unwrap();
}

/// The processes whose command line or folder names this folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(folder)).collect()
}

#[test]
fn the_demonstration_loses_nothing_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_nakatsugi")).args(["demo", "--residents", "20"]).env("TMPDIR", temporary.path()).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{errors}");
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["lost"], &summary["dead_lettered"]), (&0.into(), &6.into()));
    assert_eq!(summary["requests"], summary["answered"]);
    assert_eq!(summary["answered"], summary["verified"]);
    for outcome in ["provided", "nothing-to-show", "not-permitted", "too-large", "denied: not-in-service", "denied: conflict", "repeated"] {
        let row = text.lines().find(|line| line.contains(outcome)).unwrap_or_default();
        let count = row.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{outcome}: {row:?}");
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn what_a_kept_demonstration_offers_to_try_works_and_ctrl_c_ends_everything() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("kept here");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_nakatsugi"));
    demo.args(["demo", "--residents", "10", "--keep"]).arg(&folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut said = BufReader::new(demo.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.by_ref().any(|line| line.contains("Ctrl-C")));
    let mut tried = 0;
    while tried < 6 {
        let line = said.next().unwrap();
        if let Some(command) = line.strip_prefix("  ").filter(|line| !line.starts_with('#')) {
            let output = Command::new("sh").args(["-c", command]).current_dir("/").output().unwrap();
            assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
            assert!(!output.stdout.is_empty(), "{command}");
            tried += 1;
        }
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut client = Command::new(tests.join(".venv/bin/python"));
    let output = client.arg(tests.join("interop/client.py")).arg("--site").arg(&folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.lines().last(), Some(r#"{"steps":9,"failed":0}"#), "{told}");
    assert!(!processes_of(&folder).is_empty());
    interrupt(&demo);
    let rest: Vec<_> = said.collect();
    assert!(demo.wait().unwrap().success(), "{rest:#?}");
    let mut out = String::new();
    demo.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(out.lines().last().unwrap()).is_ok());
    assert_eq!(processes_of(&folder), Vec::<String>::new());
    assert!(folder.join("nakatsugi.toml").exists());
}

#[test]
fn an_interrupted_demonstration_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_nakatsugi"));
    demo.arg("demo").env("TMPDIR", temporary.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut said = BufReader::new(demo.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.by_ref().any(|line| line.starts_with("4/6")));
    interrupt(&demo);
    let rest: Vec<_> = said.collect();
    assert_eq!(demo.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("interrupted")), "{rest:#?}");
    assert_eq!(processes_of(temporary.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_broker_of_ones_own_that_was_made_ready_is_used() {
    let temporary = tempfile::tempdir().unwrap();
    let ready = temporary.path().join("broker");
    let demo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_nakatsugi")).arg("demo").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let ready = ready.to_str().unwrap();
    let (code, said, errors) = demo(&["--prepare", ready]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("--amqp-uri amqps://localhost:5671/network --certificates"), "{said}");
    let file = |name: &str| Path::new(ready).join(name);
    assert!(fs::read_to_string(file("rabbitmq.conf")).unwrap().contains("listeners.ssl.1 = 127.0.0.1:5671"));
    let options = NodeOptions {
        ca: file("ca.pem"),
        certificate: file("server.pem"),
        key: file("server.key"),
        definitions: fs::read_to_string(file("definitions.json")).unwrap(),
        ready_within: Duration::from_secs(120),
    };
    let node = Node::start(&temporary.path().join("node"), &options).unwrap();
    for run in 0..2 {
        let (code, said, errors) = demo(&["--residents", "10", "--amqp-uri", &node.uri("network"), "--certificates", ready]);
        assert_eq!(code, Some(0), "run {run}: {said}{errors}");
        assert!(said.lines().last().unwrap().contains(r#""lost":0"#), "{said}");
    }
    let (code, _, errors) = demo(&["--amqp-uri", &node.uri("network"), "--certificates", "/nonexistent"]);
    assert_ne!(code, Some(0));
    assert!(errors.contains("/nonexistent/ca.pem") && errors.contains("next: "), "{errors}");
}
