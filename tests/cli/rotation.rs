//! Keys that are replaced and tenants that are removed, on a site whose daemon does not run.

use crate::site::Site;
use std::fs;

fn made() -> Site {
    let site = Site::new();
    site.enter_fujisawa();
    assert_eq!(site.run(&["directory", "sign"]).code, 0);
    let done = site.run(&["tenant", "add", "142051"]);
    assert_eq!(done.code, 0, "{}", done.err);
    site
}

#[test]
fn data_keys_are_replaced_and_counted() {
    let site = made();
    let done = site.run(&["keys", "rotate"]);
    assert_eq!(done.code, 64, "{}", done.err);
    let done = site.run(&["keys", "rotate", "--all"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "none is due: {}", done.err);
    let before = site.read("data/vaults/142051/keyring.json");
    let done = site.run(&["keys", "rotate", "--tenant", "142051", "--now"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("142051: data key 2 seals, "), "{}", done.out);
    assert_ne!(site.read("data/vaults/142051/keyring.json"), before);
    assert!(site.path("data/vaults/142051/base.2/whole").exists() && !site.path("data/vaults/142051/store").exists());
    // Its ledger has the record that the key before was destroyed: its entry and its memory are sealed already.
    let done = site.run(&["keys", "list"]);
    assert!(done.out.contains("142051      2              2  20"), "{}{}", done.out, done.err);
    assert!(site.run(&["doctor"]).out.contains("good     data keys      at most 2 values are sealed under one (142051)"));
    let done = site.run(&["keys", "rotate", "--tenant", "131016", "--now"]);
    assert_eq!(done.code, 75);
    assert!(done.out.contains("131016: no vault exists for this tenant"), "{}", done.out);
}

#[test]
fn a_new_root_key_takes_over_with_its_shares_and_the_old_one_opens_nothing_any_more() {
    let site = made();
    let old = site.read("keys/root.key");
    let keyring = site.read("data/vaults/142051/keyring.json");
    let done = site.run(&["keys", "rotate", "--root"]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (64, "nakatsugi: the recovery shares of the new root key need a place"));
    let done = site.run(&["keys", "rotate", "--root", "--shares-to", "new", "--shares", "3", "--threshold", "2"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert_ne!(site.read("keys/root.key"), old);
    assert_ne!(site.read("data/vaults/142051/keyring.json"), keyring);
    assert_eq!((site.mode("keys/root.key"), site.mode("new"), site.mode("new/share-3.txt")), (0o600, 0o700, 0o600));
    assert!(!site.path("keys/root.key.next").exists());
    assert!(!done.out.contains(site.read("keys/root.key").lines().nth(1).unwrap()), "nothing secret is printed");
    let done = site.run(&["keys", "shares", "verify", "new/share-1.txt", "new/share-3.txt"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let done = site.run(&["doctor", "--open"]);
    assert!(done.out.contains("good     opening        2 vaults were opened and closed"), "{}", done.out);
    // An older copy of the keyring, with today's root key.
    fs::write(site.path("data/vaults/142051/keyring.json"), &keyring).unwrap();
    assert!(site.run(&["doctor"]).out.contains("142051: its keyring does not open with this root key"));
    // With the root key of then it would.
    fs::write(site.path("keys/root.key"), &old).unwrap();
    let done = site.run(&["doctor"]);
    assert!(!done.out.contains("142051: its keyring does not open"), "{}", done.out);
}

#[test]
fn a_root_rotation_that_was_cut_short_goes_on() {
    let site = made();
    // As it is when the process ends after one of two keyrings was wrapped anew.
    let old = site.read("keys/root.key");
    assert_eq!(site.run(&["keys", "rotate", "--all", "--now"]).code, 0);
    let before = site.read("data/vaults/142051/keyring.json");
    let done = site.run(&["keys", "rotate", "--root", "--shares-to", "new"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    fs::rename(site.path("keys/root.key"), site.path("keys/root.key.next")).unwrap();
    fs::copy(site.path("shares/share-1.txt"), site.path("keys/root.key")).unwrap();
    fs::write(site.path("keys/root.key"), &old).unwrap();
    fs::write(site.path("data/vaults/142051/keyring.json"), before).unwrap();
    let done = site.run(&["doctor"]);
    assert!(done.out.contains("the rotation of the root key is not finished"), "{}", done.out);
    let done = site.run(&["keys", "rotate", "--root"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("begun before; going on") && done.out.contains("142051: wrapped under the new root key"), "{}", done.out);
    let done = site.run(&["doctor", "--open"]);
    assert!(done.out.contains("good     opening        2 vaults were opened and closed"), "{}", done.out);
    let done = site.run(&["keys", "shares", "verify", "new/share-1.txt", "new/share-2.txt", "new/share-5.txt"]);
    assert_eq!(done.code, 0, "{}", done.err);
}

#[test]
fn a_tenant_is_removed_once_it_is_confirmed() {
    let site = made();
    let done = site.run(&["tenant", "remove", "142051"]);
    assert_eq!((done.code, done.err.lines().next().unwrap()), (64, "nakatsugi: not confirmed; nothing was done"));
    assert!(site.path("data/vaults/142051/keyring.json").exists());
    let done = site.run(&["tenant", "remove", "142051", "--yes"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("142051: its keyring is destroyed, its vault is removed"), "{}", done.out);
    let left: Vec<_> = fs::read_dir(site.path("data/vaults")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["platform"]);
    // The platform vault has three records: what was asked for, out of service, destroyed.
    assert!(site.run(&["keys", "list"]).out.contains("platform    1              6  -"), "{}", site.run(&["keys", "list"]).out);
    let done = site.run(&["tenant", "remove", "142051", "--yes"]);
    assert_eq!(done.code, 75, "{}", done.out);
}

#[test]
fn a_removal_that_was_cut_short_is_finished_and_recorded() {
    let site = made();
    assert_eq!(site.run(&["keys", "rotate", "--all", "--now"]).code, 0);
    // As it is when the process ends right after the vault was moved out of the way.
    fs::write(site.path("data/vaults/142051/removed"), r#"{"vault":"142051","key":2,"entries":1}"#).unwrap();
    fs::rename(site.path("data/vaults/142051"), site.path("data/vaults/.removed-142051")).unwrap();
    assert_eq!(site.run(&["keys", "rotate", "--all"]).code, 0);
    let gone = site.path("data/vaults/.removed-142051");
    let left: Vec<_> = fs::read_dir(&gone).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["removed"], "the keyring and all else is gone; the note waits for the daemon");
}
