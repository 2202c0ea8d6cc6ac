//! `nakatsugi load` against a real daemon: a town's file, killed and begun again, with rows that are refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nakatsugi::{
    calendar::Timestamp,
    cli::demo::{
        Daemon, Site, SiteOptions, SiteTenant,
        population::{self, Resident, Shown},
    },
    daemon::SystemClock,
    identifier::TenantCode,
    relay::ports::Clock as _,
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_nakatsugi");
const TENANT: &str = "142051";
const RESIDENTS: u32 = 2_000;

fn site(folder: &Path, now: Timestamp) -> Site {
    let tenant = SiteTenant {
        code: TENANT.parse().unwrap(),
        name: ("藤沢市", "Fujisawa"),
        categories: population::categories(&[1, 2, 4]).unwrap().into_iter().collect(),
        self_info: now.day_in_japan(),
    };
    let options = SiteOptions { tenants: vec![tenant], partitions: 1, prefetch: 256, wait: Duration::from_secs(2), now };
    let site = Site::make(folder, &options).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(site.apply_topology(|_, _| {})).unwrap();
    let mut add = Command::new(BINARY);
    assert!(add.args(["tenant", "add", TENANT, "--config"]).arg(site.configuration_path()).status().unwrap().success());
    site
}

fn load(site: &Site, arguments: &[&str], file: &Path) -> Command {
    let mut load = Command::new(BINARY);
    load.args(["load", "--tenant", TENANT, "--json"]).args(arguments).arg("--as-peer");
    load.arg(site.folder().join(format!("peers/municipal-{TENANT}"))).arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    load
}

fn told(output: &Output) -> (Option<i32>, Value, String) {
    let line = String::from_utf8_lossy(&output.stdout);
    (output.status.code(), serde_json::from_str(line.trim()).unwrap_or_default(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_town_is_loaded_though_the_load_is_killed_and_bad_rows_stand_in_the_file() {
    let temporary = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let site = site(temporary.path(), now);
    let mut daemon = Daemon::start(Path::new(BINARY), &site).unwrap();
    let tenant: TenantCode = TENANT.parse().unwrap();
    let everyone = || (0..RESIDENTS).map(|index| Resident { tenant, index });
    let tax = population::categories(&[2]).unwrap().remove(0);

    let links = temporary.path().join("links.ndjson");
    fs::write(&links, everyone().take(50).fold(String::new(), |all, resident| all + &resident.link().to_string() + "\n")).unwrap();
    let (code, result, errors) = told(&load(&site, &["--type", "person.link", "--window", "64"], &links).output().unwrap());
    assert_eq!((code, result), (Some(0), json!({"lines": 50, "stored": 50, "superseded": 0, "refused": 0})), "{errors}");

    let rows = temporary.path().join("rows.ndjson");
    let mut text = String::new();
    for resident in everyone() {
        let mut row = resident.row(&tax, Shown::Now, now);
        match resident.index {
            700 => text.push_str("this is no row\n\n"),
            701 => row["category"] = json!("TM99999999999999"),
            1_950 => row["record"]["registration_number"] = json!(format!("demo-5-{tax}")),
            1_900 => row["record"]["items"][0]["value"] = json!("個人番号 1234 5678 9018"),
            _ => {}
        }
        writeln!(text, "{row}").unwrap();
    }
    fs::write(&rows, &text).unwrap();
    // Killed twice somewhere on its way.
    let arguments = ["--rows", "1", "--window", "1"];
    let state = temporary.path().join("rows.ndjson.load");
    let lines = || fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()?["lines"].as_u64()).unwrap_or(0);
    let mut reached = 0;
    for _ in 0..2 {
        let mut killed = load(&site, &arguments, &rows).spawn().unwrap();
        for _ in 0..600 {
            if lines() > reached || killed.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(lines() >= reached, "it never goes back");
        reached = lines();
    }
    assert!(reached > 0);
    let output = load(&site, &[], &rows).output().unwrap();
    let (code, result, errors) = told(&output);
    assert_eq!(code, Some(65), "{errors}");
    assert!(errors.contains("4 rows were refused") && errors.contains("rows.ndjson.refused"), "{errors}");
    // Rows that were sent but not noted before a kill are superseded by themselves.
    assert_eq!(result["stored"].as_u64().unwrap() + result["superseded"].as_u64().unwrap(), u64::from(RESIDENTS) - 3, "{result}");
    assert_eq!((&result["refused"], &result["lines"]), (&json!(4), &json!(RESIDENTS + 2)));
    let refused = fs::read_to_string(temporary.path().join("rows.ndjson.refused")).unwrap();
    let mut refused: Vec<Value> = refused.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    refused.sort_by_key(|refusal| refusal["line"].as_u64());
    refused.dedup();
    let refused: Vec<_> = refused.iter().map(|refusal| (refusal["line"].as_u64().unwrap(), refusal["code"].as_str().unwrap())).collect();
    assert_eq!(refused, [(701, "malformed-json"), (704, "unknown-category"), (1_903, "individual-number"), (1_953, "repeated-number")]);
    assert!(!state.exists());

    // Everything is in effect, and loading it again changes nothing.
    let (_, result, errors) = told(&load(&site, &[], &rows).output().unwrap());
    assert_eq!(result, json!({"lines": RESIDENTS + 2, "stored": 0, "superseded": RESIDENTS - 3, "refused": 4}), "{errors}");

    // What the broker refuses is said at once, in its words.
    let mut foreign = Command::new(BINARY);
    foreign.args(["load", "--tenant", "141003", "--as-peer"]).arg(site.folder().join(format!("peers/municipal-{TENANT}"))).arg(&rows);
    let (code, _, errors) = told(&foreign.output().unwrap());
    assert_eq!(code, Some(69), "{errors}");
    assert!(errors.contains("access to topic '141003.record.put'"), "{errors}");

    let sjis = temporary.path().join("sjis.ndjson");
    fs::write(&sjis, b"{\"a\":\"\x89\xdb\x90\xc5\"}\n").unwrap();
    let (code, _, errors) = told(&load(&site, &[], &sjis).output().unwrap());
    assert_eq!(code, Some(66));
    assert!(errors.contains("line 1: this is Shift_JIS; expected UTF-8"), "{errors}");
    assert!(daemon.stop(Duration::from_secs(30)).unwrap().success());
}
