//! What no compiler checks: headers, sizes, the direction of knowledge, and words that must not stand in the tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const CORE: [&str; 9] = ["identifier", "calendar", "envelope", "directory", "tenant", "record", "ledger", "command", "keyring"];
const EDGES: [&str; 7] = ["broker", "vault", "examiner", "daemon", "config", "telemetry", "cli"];
const OUTSIDE: [&str; 9] =
    ["tokio::", "lapin::", "sled::", "tracing::", "std::fs", "std::net", "std::env", "SystemTime::now", "Instant::now"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    below("src")
}

fn below(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join(folder), &mut found);
    found.sort();
    found.into_iter().map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(&path).unwrap())).collect()
}

/// The code of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn folder(path: &Path) -> &str {
    path.components().nth(1).and_then(|part| part.as_os_str().to_str()).unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "no //! on the first line: {silent:?}");
}

#[test]
fn files_stay_readable() {
    let all = sources().into_iter().chain(below("tests"));
    let long: Vec<_> = all.map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > 500).collect();
    assert!(long.is_empty(), "more than 500 lines, split by noun: {long:?}");
}

#[test]
fn the_core_knows_no_edge_and_nothing_outside() {
    for (path, text) in sources() {
        if is_test(&path) || !(CORE.contains(&folder(&path)) || folder(&path) == "relay") {
            continue;
        }
        let lines = || code(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for word in OUTSIDE {
            assert!(!lines().any(|line| line.contains(word)), "{} knows {word}", path.display());
        }
        for edge in EDGES {
            assert!(!lines().any(|line| line.contains(&format!("crate::{edge}"))), "{} imports the edge {edge}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    for (path, text) in sources() {
        for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[allow("] {
            assert!(!code(&text).contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
    let mut commented = false;
    for line in section.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(commented || line.contains('#'), "no reason: {line}");
        }
        commented = line.starts_with("# ") && !line.starts_with("# Core") && !line.starts_with("# Edge");
    }
}
