//! The demonstration, as a person runs it: the last line of its output is JSON, nothing is lost, nothing stays behind.

use std::{env, fs, process::Command};

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
