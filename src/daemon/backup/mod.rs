//! Backing up vaults one after the other, in the running daemon or without one.
//!
//! Always: a vault that cannot be backed up keeps no other from it; the keyrings come last, so that they open all that was
//! backed up before. Absent: when, and where to.

pub mod socket;

use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    telemetry::{
        Micros, Words,
        event::{self, Event as _},
    },
    vault::{
        Vaults,
        backup::{Backup, BackupError},
    },
};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

/// What is to be backed up, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The folder names of the vaults; all of them if there is no list.
    pub vaults: Option<Vec<String>>,
    /// The folder for data, not below the data folder.
    pub to: PathBuf,
    /// The folder for keyrings, another one.
    pub keys: PathBuf,
}

/// How it gets on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum News {
    /// A vault is being written, or read back.
    Busy {
        /// Which.
        vault: String,
        /// So many bytes were written and read.
        bytes: u64,
    },
    /// A vault is backed up, and was read back.
    Taken {
        /// Which.
        vault: String,
        /// Where.
        path: PathBuf,
        /// How many bytes.
        bytes: u64,
        /// How many entries its ledger has in it.
        entries: u64,
    },
    /// A vault, or the keyrings, could not be backed up.
    Failed {
        /// Which, or `keys`.
        vault: String,
        /// Why.
        words: String,
    },
    /// The keyrings are backed up.
    Keys {
        /// How many.
        count: usize,
    },
    /// Nothing is backed up.
    Refused {
        /// Why.
        words: String,
    },
    /// That was all.
    End {
        /// How many failed.
        failed: usize,
    },
}

/// Tells of bytes not more often than this.
const NEWS_EVERY: Duration = Duration::from_millis(500);

/// Backs up what is asked for.
pub async fn run(vaults: &Vaults, request: &Request, now: Timestamp, news: UnboundedSender<News>) {
    // Who asked may have gone; it is done all the same.
    let tell = |some: News| drop(news.send(some));
    let mut failed = 0;
    match names(vaults, request) {
        Ok(names) => {
            for name in names {
                let began = Instant::now();
                match one(vaults, request, name, now, news.clone()).await {
                    Ok(Backup { path, bytes, head, .. }) => {
                        let entries = head.head().size;
                        event::BackupTaken { vault: name, bytes, entries, micros: Micros(began.elapsed()) }.emit();
                        tell(News::Taken { vault: name.to_string(), path, bytes, entries });
                    }
                    Err(error) => {
                        failed += 1;
                        event::BackupFailed { vault: Some(name), words: Words::of_system(&error) }.emit();
                        tell(News::Failed { vault: name.to_string(), words: error.to_string() });
                    }
                }
            }
        }
        Err((vault, words)) => {
            failed += 1;
            tell(News::Failed { vault, words });
        }
    }
    let (all, keys) = (vaults.clone(), request.keys.clone());
    let counted = tokio::task::spawn_blocking(move || all.back_up_keys(&keys, now)).await;
    match counted.unwrap_or(Err(BackupError::CutShort)) {
        Ok(count) => tell(News::Keys { count }),
        Err(error) => {
            failed += 1;
            event::BackupFailed { vault: None, words: Words::of_system(&error) }.emit();
            tell(News::Failed { vault: "keys".to_owned(), words: error.to_string() });
        }
    }
    tell(News::End { failed });
}

async fn one(
    vaults: &Vaults,
    request: &Request,
    name: VaultName,
    now: Timestamp,
    news: UnboundedSender<News>,
) -> Result<Backup, BackupError> {
    let care = vaults.resume(name).await?;
    let told = std::sync::Mutex::new(Instant::now());
    let progress = move |bytes, _| {
        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.elapsed() >= NEWS_EVERY {
            *told = Instant::now();
            let _ = news.send(News::Busy { vault: name.to_string(), bytes });
        }
    };
    care.back_up(request.to.clone(), now, progress).await
}

fn names(vaults: &Vaults, request: &Request) -> Result<Vec<VaultName>, (String, String)> {
    let all = vaults.names().map_err(|error| ("vaults".to_owned(), error.to_string()))?;
    let Some(wanted) = &request.vaults else { return Ok(all) };
    let find = |wanted: &String| {
        let found = all.iter().copied().find(|name| name.to_string() == *wanted);
        found.ok_or_else(|| (wanted.clone(), "there is no such vault".to_owned()))
    };
    wanted.iter().map(find).collect()
}
