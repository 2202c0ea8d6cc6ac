//! What became of the rows so far, kept beside the file so that a load goes on where it was.
//!
//! Always: a line counts as done only with all before it; the report of refused rows is on disk before the count moves.
//! A file that was changed begins anew.

use crate::{
    cli::{CliError, files},
    hex,
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// How much of a file's beginning tells it from another.
const BEGINNING: u64 = 1 << 20;

/// What became of the rows so far.
pub(super) struct Tally {
    pub(super) stored: u64,
    pub(super) superseded: u64,
    pub(super) refused: u64,
    state: PathBuf,
    report: PathBuf,
    file: String,
    /// All lines up to here are answered.
    done: u64,
    /// Stretches behind it that are answered already: first line → last line.
    ahead: BTreeMap<u64, u64>,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    file: String,
    lines: u64,
    stored: u64,
    superseded: u64,
    refused: u64,
}

impl Tally {
    /// The tally of a file; where there is none, or another file has its name now, a new one.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (state, report) = (beside(".load"), beside(".refused"));
        let file =
            identity(path).map_err(|source| CliError::Rows { path: path.to_owned(), message: format!("cannot be read: {source}") })?;
        let kept = fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()).filter(|kept| kept.file == file);
        if kept.is_none() {
            // A report of an earlier load says nothing about this one.
            let _ = fs::remove_file(&report);
        }
        let kept = kept.unwrap_or(Kept { file, lines: 0, stored: 0, superseded: 0, refused: 0 });
        let Kept { file, lines, stored, superseded, refused } = kept;
        Ok(Self { stored, superseded, refused, state, report, file, done: lines, ahead: BTreeMap::new() })
    }

    /// All lines up to this one are answered.
    pub(super) const fn lines_done(&self) -> u64 {
        self.done
    }

    /// Where refused rows are written.
    pub(super) fn report(&self) -> &Path {
        &self.report
    }

    /// Takes what became of the lines from `first` to `last`: for each its result, with the refusal as the relay told it.
    pub(super) fn take(&mut self, (first, last): (u64, u64), results: impl Iterator<Item = (u64, Value)>) -> Result<(), CliError> {
        let mut refused = String::new();
        for (line, mut result) in results {
            match result.get("result").and_then(Value::as_str) {
                Some("stored" | "deleted" | "linked" | "unconfirmed" | "revoked" | "restricted") => self.stored += 1,
                Some("superseded") => self.superseded += 1,
                Some(_) | None => {
                    self.refused += 1;
                    if let Some(members) = result.as_object_mut() {
                        members.remove("row");
                        members.insert("line".to_owned(), json!(line));
                    }
                    refused.push_str(&result.to_string());
                    refused.push('\n');
                }
            }
        }
        if !refused.is_empty() {
            let written =
                OpenOptions::new().create(true).append(true).open(&self.report).and_then(|mut file| file.write_all(refused.as_bytes()));
            written.map_err(|source| CliError::Write { path: self.report.clone(), source })?;
        }
        self.ahead.insert(first, last);
        while let Some((&first, &last)) = self.ahead.first_key_value().filter(|(first, _)| **first <= self.done + 1) {
            self.ahead.remove(&first);
            self.done = self.done.max(last);
        }
        Ok(())
    }

    /// Keeps it.
    pub(super) fn save(&self) -> Result<(), CliError> {
        let Self { file, done, stored, superseded, refused, .. } = self;
        let kept = Kept { file: file.clone(), lines: *done, stored: *stored, superseded: *superseded, refused: *refused };
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        files::replace(&self.state, &text)
    }

    /// Everything is answered: nothing is left to go on with.
    pub(super) fn finish(&self) -> Result<(), CliError> {
        fs::remove_file(&self.state).map_err(|source| CliError::Write { path: self.state.clone(), source })
    }
}

/// What tells one file from another of its name: its size, its change and how it begins.
fn identity(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut beginning = Vec::new();
    std::io::Read::take(&mut file, BEGINNING).read_to_end(&mut beginning)?;
    Ok(format!("{} {}", about.len(), hex::encode(digest(&SHA256, &beginning).as_ref())))
}
