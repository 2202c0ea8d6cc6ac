//! A site in a fresh folder, and the binary run in it.

use nakatsugi::envelope::{DecryptionKey, SigningKey};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn nakatsugi(folder: &Path, arguments: &[&str]) -> Done {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_nakatsugi")).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// A site as `init` makes it. Commands run in its folder, so that `nakatsugi.toml` is found.
pub(crate) struct Site(pub(crate) TempDir);

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let done = nakatsugi(folder.path(), &[&["init", "."], arguments].concat());
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        Self(folder)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        nakatsugi(self.0.path(), arguments)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{from}");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut directory: Value = serde_json::from_str(&self.read("directory.json")).unwrap();
        change(&mut directory);
        fs::write(self.path("directory.json"), directory.to_string()).unwrap();
    }

    /// Enters Fujisawa and its municipal system; not yet signed.
    pub(crate) fn enter_fujisawa(&self) {
        let dated =
            |key: Value| json!({"key": key, "env": "trial", "not_before": "2026-01-01T00:00:00Z", "not_after": "2036-01-01T00:00:00Z"});
        let signing = SigningKey::generate("fujisawa-signing".parse().unwrap()).unwrap().public();
        let encryption = DecryptionKey::generate("fujisawa-encryption".parse().unwrap()).unwrap().public();
        self.edit(|directory| {
            directory["principals"].as_array_mut().unwrap().push(json!({
                "id": "fujisawa", "role": "municipal-system",
                "signing": [dated(serde_json::to_value(signing).unwrap())],
                "encryption": [dated(serde_json::to_value(encryption).unwrap())],
                "carriers": [{"broker": "national", "user": "fujisawa"}],
                "tenants": ["142051"], "may": ["record.put", "person.link"],
                "replies": {"broker": "national", "queue": "fujisawa"},
            }));
            directory["tenants"].as_array_mut().unwrap().push(json!({
                "code": "142051", "name": {"ja": "藤沢市", "latin": "Fujisawa"}, "env": "trial",
                "functions": {"self_info": "2026-01-01", "copies": "2026-01-01"},
                "categories": ["TM00000000000002"],
            }));
        });
    }
}
