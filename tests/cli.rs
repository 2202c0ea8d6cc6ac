//! The binary as people use it: a fresh folder, the commands, their exit codes and their words.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn nakatsugi(folder: &Path, arguments: &[&str]) -> Done {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_nakatsugi")).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// A site as `init` makes it. Commands run in its folder, so that `nakatsugi.toml` is found.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let done = nakatsugi(folder.path(), &[&["init", "."], arguments].concat());
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Done {
        nakatsugi(self.0.path(), arguments)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{from}");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut directory: Value = serde_json::from_str(&self.read("directory.json")).unwrap();
        change(&mut directory);
        fs::write(self.path("directory.json"), directory.to_string()).unwrap();
    }

    /// Enters Fujisawa and its municipal system; not yet signed.
    fn enter_fujisawa(&self) {
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

#[test]
fn init_makes_a_site_that_can_be_used_at_once() {
    let site = Site::new();
    for secret in ["keys/root.key", "keys/relay-signing.jwk", "keys/relay-decryption.jwk", "authority/authority-private.jwk"] {
        assert_eq!(site.mode(secret), 0o600, "{secret}");
    }
    assert_eq!((site.mode("keys"), site.mode("shares"), site.mode("shares/share-5.txt")), (0o700, 0o700, 0o600));
    assert_eq!(fs::read_dir(site.path("shares")).unwrap().count(), 5);
    let done = site.run(&["directory", "check"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(done.out.contains("version 1 is signed and keeps every rule: 1 principals, 0 tenants"), "{}", done.out);
    assert_eq!(site.run(&["tenant", "list"]).code, 0);
}

#[test]
fn init_overwrites_nothing() {
    let site = Site::new();
    let before = site.read("keys/root.key");
    let done = site.run(&["init", "."]);
    assert_eq!(done.code, 73);
    assert!(done.err.contains("nothing is overwritten"), "{}", done.err);
    assert_eq!(site.read("keys/root.key"), before);
}

#[test]
fn init_insists_on_recovery_shares() {
    let folder = tempfile::tempdir().unwrap();
    for (shares, threshold) in [("1", "1"), ("5", "1"), ("3", "4"), ("0", "0")] {
        let done = nakatsugi(folder.path(), &["init", "site", "--shares", shares, "--threshold", threshold]);
        assert_eq!(done.code, 64, "{}", done.err);
        assert!(!folder.path().join("site").exists());
    }
}

#[test]
fn a_broken_configuration_is_named_by_file_line_and_expectation() {
    let site = Site::new();
    let line = 1 + site.read("nakatsugi.toml").split("prefetch =").next().unwrap().matches('\n').count();
    site.change("nakatsugi.toml", "prefetch =", "prefech =");
    let done = site.run(&["tenant", "list"]);
    assert_eq!(done.code, 78);
    let first = done.err.lines().next().unwrap();
    assert_eq!(first, format!("nakatsugi: nakatsugi.toml:{line}: unknown key `prefech`, expected `prefetch`"));
    let done = site.run(&["tenant", "list", "--config", "elsewhere.toml"]);
    assert_eq!(done.code, 78);
    assert!(done.err.starts_with("nakatsugi: elsewhere.toml: cannot be read: "), "{}", done.err);
}

#[test]
fn a_changed_configuration_counts_only_once_it_is_signed() {
    let site = Site::new();
    site.change("nakatsugi.toml", "prefetch = 256", "prefetch = 512");
    let done = site.run(&["tenant", "list"]);
    assert_eq!(done.code, 78);
    assert!(done.err.contains("directory.json: the configuration is not the one that this directory was signed with"), "{}", done.err);
    assert_eq!(site.run(&["directory", "sign"]).code, 0);
    assert_eq!(site.run(&["tenant", "list"]).code, 0);
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
    let site = Site::new();
    fs::set_permissions(site.path("keys/root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let shares = ["shares/share-1.txt", "shares/share-2.txt", "shares/share-3.txt"];
    let done = site.run(&[&["keys", "shares", "verify"][..], &shares].concat());
    assert_eq!(done.code, 78);
    assert!(done.err.contains("keys/root.key: others can read this secret (mode 644); run: chmod 600 keys/root.key"), "{}", done.err);
}

#[test]
fn a_tampered_directory_is_refused() {
    let site = Site::new();
    site.change("directory.json", "self-info.reply", "record.reply");
    let done = site.run(&["tenant", "list"]);
    assert_eq!(done.code, 78);
    assert!(done.err.starts_with("nakatsugi: directory.json: the signature does not hold"), "{}", done.err);
}

#[test]
fn a_directory_that_breaks_a_rule_is_not_signed() {
    let site = Site::new();
    site.enter_fujisawa();
    site.edit(|directory| {
        directory["principals"][1]["may"].as_array_mut().unwrap().push(json!("self-info.request"));
        directory["tenants"][0]["categories"].as_array_mut().unwrap().push(json!("TM00000000000003"));
    });
    let (before, signature) = (site.read("directory.json"), site.read("directory.json.sig"));
    let done = site.run(&["directory", "sign"]);
    assert_eq!(done.code, 65);
    assert!(
        done.err.contains("principals[1].may: a principal of the role municipal-system may not author self-info.request"),
        "{}",
        done.err
    );
    assert!(done.err.contains("tenants[0].categories: category TM00000000000003 does not stand in the catalogue"), "{}", done.err);
    assert_eq!((site.read("directory.json"), site.read("directory.json.sig")), (before, signature));
}

#[test]
fn a_directory_is_signed_by_its_authority_only() {
    let site = Site::new();
    let other = Site::new();
    let key = other.path("authority/authority-private.jwk");
    let done = site.run(&["directory", "sign", "--key", key.to_str().unwrap()]);
    assert_eq!(done.code, 65);
    assert!(done.err.contains("does not belong to the authority that authority.jwk names"), "{}", done.err);
}

#[test]
fn a_tenant_of_the_signed_directory_gets_its_vault_once() {
    let site = Site::new();
    let done = site.run(&["tenant", "add", "142051"]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (65, "nakatsugi: tenant 142051 does not stand in the directory"));
    site.enter_fujisawa();
    let done = site.run(&["directory", "sign"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(site.run(&["tenant", "list"]).out.contains("142051          0  no     self-info,record   藤沢市 Fujisawa"));
    let done = site.run(&["tenant", "add", "142051"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(site.path("data/vaults/142051/keyring.json").exists());
    assert!(site.run(&["tenant", "list"]).out.contains("142051          0  yes "));
    let done = site.run(&["tenant", "add", "142051"]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (73, "nakatsugi: 142051: this vault exists already"));
    assert_eq!(site.run(&["tenant", "add", "142050"]).code, 64);
}

#[test]
fn a_drill_shows_whether_the_shares_give_the_root_key_and_prints_neither() {
    let (site, other) = (Site::with(&["--shares", "3", "--threshold", "2"]), Site::new());
    let secret = site.read("keys/root.key").lines().nth(1).unwrap().to_owned();
    let done = site.run(&["keys", "shares", "verify", "shares/share-1.txt", "shares/share-3.txt"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("2 shares give the root key ") && !done.out.contains(&secret), "{}", done.out);

    let done = site.run(&["keys", "shares", "verify", "shares/share-1.txt"]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (65, "nakatsugi: 2 shares are needed, 1 are given"));
    let foreign: Vec<String> = (1..=3).map(|n| other.path(&format!("shares/share-{n}.txt")).display().to_string()).collect();
    let done = site.run(&["keys", "shares", "verify", &foreign[0], &foreign[1], &foreign[2]]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (65, "nakatsugi: keys/root.key: these shares do not give this root key"));

    fs::rename(site.path("keys/root.key"), site.path("lost")).unwrap();
    let done = site.run(&["keys", "shares", "restore", "--to", "keys/root.key", "shares/share-2.txt", "shares/share-3.txt"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!((site.read("keys/root.key"), site.mode("keys/root.key")), (site.read("lost"), 0o600));
}

#[test]
fn a_production_site_is_not_served_while_shares_or_the_authority_lie_there() {
    let site = Site::with(&["--env", "production"]);
    for (folder, first) in [("shares", "shares"), ("authority", "authority")] {
        let done = site.run(&["serve"]);
        assert_eq!(done.code, 78);
        let expected = format!("nakatsugi: {first}: this must not lie on the machine that serves");
        assert_eq!(done.err.lines().next().unwrap(), expected);
        fs::remove_dir_all(site.path(folder)).unwrap();
    }
}

#[test]
fn wrong_arguments_end_with_the_code_for_them() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(nakatsugi(folder.path(), &["sevre"]).code, 64);
    assert_eq!(nakatsugi(folder.path(), &["--version"]).code, 0);
}
