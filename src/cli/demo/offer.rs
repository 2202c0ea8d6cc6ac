//! What to try next while a demonstration is kept running.
//!
//! Always: every command works as it is printed, from any folder. Person codes stand in the files, never in a command.

use super::{
    SiteFolder,
    population::{Resident, Shown, request},
    run::{Town, say},
};
use crate::{calendar::Timestamp, cli::CliError};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf};

/// Writes the bodies of some messages and prints the commands that send them, and others that look at what runs.
pub(super) fn offer(site: &SiteFolder, towns: &[Town], now: Timestamp) -> Result<(), CliError> {
    let Some(town) = towns.first() else { return Ok(()) };
    let resident = Resident { tenant: town.code, index: 1 };
    let write = |name: &str, body: &Value| -> Result<PathBuf, CliError> {
        let path = site.folder().join(name);
        fs::write(&path, format!("{body:#}\n")).map_err(|source| CliError::Write { path: path.clone(), source })?;
        Ok(path)
    };
    let asked: Vec<_> = town.provides.iter().collect();
    let request = write("request.json", &request(&resident.code(), &asked, now))?;
    let rows: Vec<_> = town.provides.iter().take(1).map(|category| newer(resident.row(category, Shown::Now, now))).collect();
    let record = write("record.json", &json!({ "rows": rows }))?;

    let binary = env::current_exe()?;
    let (folder, code) = (site.folder(), town.code);
    let command = |arguments: String| format!("{} {arguments}", quoted(&binary.display().to_string()));
    let place = |name: &str| quoted(&folder.join(name).display().to_string());
    let (request, record) = (quoted(&request.display().to_string()), quoted(&record.display().to_string()));
    let ask = |peer: &str, kind: &str, body: &str| command(format!("ask --as-peer {} --tenant {code} {kind} {body}", place(peer)));
    let tries = [
        ("a person asks for their records", ask("peers/disclosure", "self-info.request", &request)),
        ("the municipality replaces one", ask(&format!("peers/municipal-{code}"), "record.put", &record)),
        ("is everything as it should be", command(format!("doctor --config {}", place("nakatsugi.toml")))),
        ("who is served", command(format!("tenant list --config {}", place("nakatsugi.toml")))),
        ("what is on the broker", command(format!("topology check --config {}", place("nakatsugi.toml")))),
        ("what the daemon said last", format!("tail -n 3 {}", place("serve.log"))),
    ];
    say("\nto try in another terminal:")?;
    for (what, command) in tries {
        say(&format!("\n  # {what}\n  {command}"))?;
    }
    Ok(())
}

/// The same row with a higher revision, so that it takes effect.
fn newer(mut row: Value) -> Value {
    if let Some(revision) = row.get_mut("revision") {
        *revision = 2.into();
    }
    row
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
