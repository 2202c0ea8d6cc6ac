//! The binary as people use it: a fresh folder, the commands, their exit codes and their words.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod rotation;
mod site;
mod wrong_inputs;

use serde_json::{Value, json};
use site::{Site, nakatsugi};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

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
    assert!(done.out.contains("version 1 is signed and keeps every rule: 1 principal, 0 tenants"), "{}", done.out);
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

#[test]
fn the_examples_of_the_schemas_are_in_good_form() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/examples");
    for (kind, file) in [("person.link", "link.json"), ("record.put", "rows.ndjson"), ("self-info.request", "request.json")] {
        let done = nakatsugi(Path::new(examples), &["validate", "--type", kind, file]);
        assert_eq!(done.code, 0, "{file}: {}{}", done.out, done.err);
    }
}

#[test]
fn the_doctor_names_what_is_missing_on_a_new_site_and_what_to_do() {
    let site = Site::new();
    let done = site.run(&["doctor"]);
    assert_eq!(done.code, 69);
    let line = |begin: &str| done.out.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    assert_eq!(line("good     directory"), "good     directory      directory.json: version 1, signed, 1 principal, 0 tenants");
    assert!(line("warning  shares").ends_with("shares must not lie on the machine that serves"), "{}", done.out);
    assert!(
        line("failed   certificate").ends_with("broker/ca.pem: cannot be read: No such file or directory (os error 2)"),
        "{}",
        done.out
    );
    assert!(done.err.contains("1 of 12 checks failed"), "{}", done.err);

    let found: Value = serde_json::from_str(&site.run(&["doctor", "--json"]).out).unwrap();
    assert_eq!((&found["failed"], &found["warnings"]), (&1.into(), &2.into()));
    assert!(found["checks"].as_array().unwrap().iter().all(|check| (check["state"] == "good") == check["next"].is_null()));

    site.enter_fujisawa();
    let directory = site.read("directory.json");
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("failed   directory      directory.json: the signature does not hold"), "{}", done.out);
    assert_eq!(site.run(&["directory", "sign"]).code, 0);
    assert_ne!(site.read("directory.json"), directory);
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("142051 are in service and have none"), "{}", done.out);
    assert_eq!(site.run(&["tenant", "add", "142051"]).code, 0);
    let done = site.run(&["doctor", "--open"]);
    assert!(done.out.contains("good     opening        1 vaults were opened and closed"), "{}", done.out);
    let done = site.run(&["ledger", "key", "142051"]);
    assert!(done.out.starts_with("nakatsugi/trial/142051+") && done.out.lines().count() == 1, "{}{}", done.out, done.err);
    assert_eq!(site.run(&["ledger", "key", "141003"]).code, 65);
    fs::rename(site.path("anchors"), site.path("away")).unwrap();
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("failed   anchors        anchors: there is no such folder"), "{}", done.out);
    assert!(done.out.contains("failed   vault          142051: the anchor folder is not there"), "{}", done.out);
    fs::rename(site.path("away"), site.path("anchors")).unwrap();
    let plain = site.read("nakatsugi.toml");
    fs::write(site.path("nakatsugi.toml"), format!("{plain}\n[scanner]\nsocket = \"unix:/nowhere/clamd.ctl\"\n")).unwrap();
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("failed   scanner        unix:/nowhere/clamd.ctl: No such file or directory"), "{}", done.out);
    fs::write(site.path("nakatsugi.toml"), plain).unwrap();
    fs::write(site.path("data/vaults/142051/store.suspect"), "").unwrap();
    let done = site.run(&["doctor", "--open"]);
    assert!(done.out.contains("warning  opening        142051: its store was rebuilt from the journal"), "{}", done.out);
    fs::write(site.path("data/vaults/142051/manifest"), "{}\n00\n").unwrap();
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("failed   vault          142051: its manifest was changed or belongs to another vault"), "{}", done.out);
    let done = site.run(&["doctor", "--open"]);
    assert!(done.out.contains("failed   opening        142051: the vault has stopped: "), "{}", done.out);
}

#[test]
fn a_principal_gets_its_keys_and_an_entry_that_the_authority_can_sign() {
    let site = Site::new();
    let make = ["keys", "principal", "fujisawa", "--role", "municipal-system", "--tenant", "142051", "--to", "peers/fujisawa"];
    let done = site.run(&make);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("directory.json, then run: nakatsugi directory sign"), "{}", done.err);
    assert_eq!(
        (site.mode("peers/fujisawa"), site.mode("peers/fujisawa/signing.jwk"), site.mode("peers/fujisawa/decryption.jwk")),
        (0o700, 0o600, 0o600)
    );
    let entry: Value = serde_json::from_str(&done.out).unwrap();
    assert!(!done.out.contains("\"d\""), "nothing private is printed");
    site.enter_fujisawa();
    site.edit(|directory| directory["principals"][1] = entry);
    let done = site.run(&["validate", "directory.json"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let done = site.run(&["directory", "sign"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let done = site.run(&make);
    assert_eq!(done.code, 73, "{}", done.err);
    fs::rename(site.path("authority"), site.path("elsewhere")).unwrap();
    let done = site.run(&["directory", "sign"]);
    assert!(done.err.contains("the authority's private key is not here") && done.err.contains("--key FILE"), "{}", done.err);
    assert_eq!(site.run(&["directory", "sign", "--key", "elsewhere/authority-private.jwk"]).code, 0);
}
