//! What people get wrong, and what they are told: a transcript that is read like a session at a terminal.
//!
//! Always: `wrong_inputs.txt` is what the binary says now; with `UPDATE_TRANSCRIPT=1` it is written anew, to be read before it
//! is committed.

use crate::site::Site;
use std::{env, fmt::Write as _, fs, path::Path};

const TRANSCRIPT: &str = "tests/cli/wrong_inputs.txt";

/// One thing that is wrong: what somebody did before, and the command.
type Case = (&'static str, fn(&Site), &'static [&'static str]);

fn nothing(_: &Site) {}

const CASES: &[Case] = &[
    ("a subcommand that does not exist", nothing, &["validat", "directory.json"]),
    ("a misspelt key in the configuration", |site| site.change("nakatsugi.toml", "prefetch =", "prefech ="), &["serve"]),
    ("a value out of range", |site| site.change("nakatsugi.toml", "prefetch = 256", "prefetch = 0"), &["serve"]),
    ("a broker's address without TLS", |site| site.change("nakatsugi.toml", "amqps://", "amqp://"), &["serve"]),
    ("no configuration here", nothing, &["serve", "--config", "elsewhere.toml"]),
    ("a directory that was edited and not signed", Site::enter_fujisawa, &["serve"]),
    (
        "a directory with two mistakes",
        |site| {
            site.enter_fujisawa();
            site.edit(|directory| {
                directory["principals"][1]["role"] = "municipality".into();
                directory["tenants"][0]["code"] = "142052".into();
            });
        },
        &["validate", "directory.json"],
    ),
    (
        "a directory that breaks rules",
        |site| {
            site.enter_fujisawa();
            site.edit(|directory| {
                directory["principals"][1]["may"].as_array_mut().unwrap().push("self-info.request".into());
            });
        },
        &["directory", "sign"],
    ),
    ("a tenant that is not in the directory", nothing, &["tenant", "add", "142051"]),
    ("a tenant's code with a wrong check digit", nothing, &["tenant", "add", "142052"]),
    (
        "a secret that others can read",
        |site| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(site.path("keys/root.key"), fs::Permissions::from_mode(0o644)).unwrap();
        },
        &["keys", "shares", "verify", "shares/share-1.txt", "shares/share-2.txt", "shares/share-3.txt"],
    ),
    ("too few recovery shares", nothing, &["keys", "shares", "verify", "shares/share-1.txt", "shares/share-2.txt"]),
    ("a folder that is not empty", nothing, &["init", "."]),
    (
        "a catalogue whose depths jump",
        |site| site.change("catalogue.json", "\"code\": \"0200000030\", \"depth\": 2", "\"code\": \"0200000030\", \"depth\": 4"),
        &["validate", "catalogue.json"],
    ),
    (
        "a catalogue of an older version",
        |site| site.change("catalogue.json", "nakatsugi.catalogue/2", "nakatsugi.catalogue/1"),
        &["directory", "sign"],
    ),
    (
        "a body with mistakes in two rows",
        |site| {
            let rows = r#"{"rows":[{"person":"123","category":"TM00000000000002","revision":1,"record":null},{"revision":"one"}]}"#;
            fs::write(site.path("body.json"), rows).unwrap();
        },
        &["validate", "--type", "record.put", "body.json"],
    ),
    (
        "a misspelt member in a body",
        |site| {
            fs::write(site.path("body.json"), r#"{"rows":[{"person":"123456789012345","category":"TM00000000000002","revison":1}]}"#)
                .unwrap()
        },
        &["validate", "--type", "record.delete", "body.json"],
    ),
    (
        "a body that ends too early",
        |site| fs::write(site.path("body.json"), "{\n  \"rows\": [\n").unwrap(),
        &["validate", "--type", "record.put", "body.json"],
    ),
    ("a message type that does not exist", nothing, &["validate", "--type", "record.putt", "body.json"]),
    ("a file that could be anything", |site| fs::write(site.path("body.json"), "{}").unwrap(), &["validate", "body.json"]),
    ("nobody's folder", nothing, &["ask", "--as-peer", "peers/nobody", "--tenant", "142051", "self-info.request", "body.json"]),
];

#[test]
fn whatever_is_wrong_is_told_with_the_thing_the_place_and_the_next_step() {
    let mut transcript = String::new();
    for (what, before, arguments) in CASES {
        let site = Site::new();
        before(&site);
        let done = site.run(arguments);
        assert_ne!(done.code, 0, "{what}");
        write!(transcript, "# {what}\n$ nakatsugi {}\n{}{}[{}]\n\n", arguments.join(" "), done.out, done.err, done.code).unwrap();
    }
    for shown in ["RUST_BACKTRACE", "Error {", "Some(", "panicked", "called `"] {
        assert!(!transcript.contains(shown), "{shown} in\n{transcript}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRANSCRIPT);
    if env::var_os("UPDATE_TRANSCRIPT").is_some() {
        fs::write(&path, &transcript).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(transcript, expected, "what people are told changed; if it is better, run with UPDATE_TRANSCRIPT=1");
}
