//! Suspects: messages that were alone in flight when the process died.
//!
//! Always: after an unclean stop, messages that the broker delivers again run one at a time, and only one that was alone is
//! counted, on disk, by the SHA-256 of its body; so innocents in flight lose nothing. One that was counted goes behind the
//! others from then on, so that a process that is killed at random moments hits another each time. After three deaths a message is
//! quarantined (`relay::blame`). Absent: panics that are caught; they blame their own message without this.

use crate::hex;
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Instant, sleep},
};

/// How long after an unclean stop redelivered messages run alone. What the broker had out then comes back within seconds; what
/// is redelivered later lost its connection, not its process.
const CAUTIOUS_FOR: Duration = Duration::from_secs(60);

/// How long a suspect lets the others go first, for each death. Innocents that were alone when something else killed the process
/// are not hit again and again: what else was out has come back by then and stands before them.
const BEHIND_OTHERS: Duration = Duration::from_millis(500);

/// The memory of suspects in one data folder.
#[derive(Debug)]
pub struct Suspects {
    began: Instant,
    folder: PathBuf,
    counts: Mutex<BTreeMap<String, u32>>,
    caution: Caution,
    gate: RwLock<()>,
}

/// Whether redelivered messages run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caution {
    /// The last stop was clean.
    None,
    /// The last stop was not.
    AfterUncleanStop,
}

/// Leave to carry one message; held until it is settled.
#[derive(Debug)]
pub struct Leave<'a> {
    suspects: &'a Suspects,
    /// Its name and how often it is suspected, if anybody is.
    suspicion: Option<(String, u32)>,
    alone: Option<RwLockWriteGuard<'a, ()>>,
    _beside: Option<RwLockReadGuard<'a, ()>>,
}

impl Suspects {
    /// Reads what is remembered, and counts a message that was alone when the last process died.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut counts = match fs::read_to_string(folder.join("suspects")) {
            Ok(text) => text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .filter_map(|(n, key)| Some((key.to_owned(), n.parse().ok()?)))
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let caution = if folder.join("running").exists() { Caution::AfterUncleanStop } else { Caution::None };
        let alone = folder.join("alone");
        if let Ok(key) = fs::read_to_string(&alone) {
            // A file cut short by the death itself names nobody.
            if key.len() == 64 {
                *counts.entry(key).or_default() += 1;
            }
        }
        let suspects =
            Self { began: Instant::now(), folder: folder.to_owned(), counts: Mutex::new(counts), caution, gate: RwLock::new(()) };
        suspects.write()?;
        remove(&alone)?;
        durable(&suspects.folder.join("running"), b"")?;
        Ok(suspects)
    }

    /// Whether redelivered messages run alone.
    #[must_use]
    pub const fn caution(&self) -> Caution {
        self.caution
    }

    /// Waits for leave to carry a message: at once after a clean stop; otherwise a redelivered one runs alone.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub async fn leave(&self, redelivered: bool, body: &[u8]) -> io::Result<Leave<'_>> {
        #[cfg(feature = "sabotage")]
        if redelivered && crate::sabotage::is(crate::sabotage::Sabotage::CountInnocents) {
            *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name(body)).or_default() += 1;
            self.write()?;
        }
        let mut leave = Leave { suspects: self, suspicion: self.suspicion(body), alone: None, _beside: None };
        let caution = if self.began.elapsed() < CAUTIOUS_FOR { self.caution } else { Caution::None };
        match (caution, redelivered) {
            (Caution::None, _) => {}
            (Caution::AfterUncleanStop, false) => leave._beside = Some(self.gate.read().await),
            (Caution::AfterUncleanStop, true) => {
                // The gate lets through in the order of asking: who is suspected goes behind the others.
                sleep(BEHIND_OTHERS * leave.suspicion()).await;
                let gate = self.gate.write().await;
                durable(&self.folder.join("alone"), name(body).as_bytes())?;
                leave.alone = Some(gate);
            }
        }
        Ok(leave)
    }

    fn suspicion(&self, body: &[u8]) -> Option<(String, u32)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.is_empty() {
            return None;
        }
        let key = name(body);
        counts.get(&key).map(|count| (key.clone(), *count))
    }

    /// The process stops as it should: nobody is suspected because of it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn close(&self) -> io::Result<()> {
        remove(&self.folder.join("running"))
    }

    fn write(&self) -> io::Result<()> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = counts.iter().fold(String::new(), |mut text, (key, count)| {
            let _ = writeln!(text, "{count} {key}");
            text
        });
        let new = self.folder.join("suspects.new");
        durable(&new, text.as_bytes())?;
        fs::rename(new, self.folder.join("suspects"))?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Leave<'_> {
    /// How often the process died while this message was alone.
    #[must_use]
    pub fn suspicion(&self) -> u32 {
        self.suspicion.as_ref().map_or(0, |(_, count)| *count)
    }

    /// The message came to its end: it is not suspected any more.
    pub fn acquit(self) {
        if let Some((key, _)) = &self.suspicion {
            self.suspects.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            // Failing here only means that it stays suspected.
            let _ = self.suspects.write();
        }
    }
}

impl Drop for Leave<'_> {
    /// The process lives: the message is no longer alone.
    fn drop(&mut self) {
        if self.alone.is_some() {
            // Failing here only means that a later death may count once too often.
            let _ = remove(&self.suspects.folder.join("alone"));
        }
    }
}

fn name(body: &[u8]) -> String {
    hex::encode(digest(&SHA256, body).as_ref())
}

fn durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_message_that_was_alone_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        // A death with messages side by side: nobody was alone.
        std::mem::forget(Suspects::open(folder.path()).unwrap());
        let suspects = Suspects::open(folder.path()).unwrap();
        assert_eq!(suspects.caution(), Caution::AfterUncleanStop);
        assert_eq!(suspects.leave(true, b"innocent").await.unwrap().suspicion(), 0);
        // Three deaths with one alone.
        for deaths in 0..3 {
            let suspects = Suspects::open(folder.path()).unwrap();
            let leave = suspects.leave(true, b"poison").await.unwrap();
            assert_eq!(leave.suspicion(), deaths);
            std::mem::forget(leave);
        }
        let suspects = Suspects::open(folder.path()).unwrap();
        assert_eq!(suspects.leave(true, b"innocent").await.unwrap().suspicion(), 0);
        // Also when it comes back from waiting, not redelivered; until it has come to an end.
        assert_eq!(suspects.leave(false, b"poison").await.unwrap().suspicion(), 3);
        suspects.leave(true, b"poison").await.unwrap().acquit();
        assert_eq!(suspects.leave(true, b"poison").await.unwrap().suspicion(), 0);
    }

    #[tokio::test]
    async fn who_was_alone_at_a_death_goes_behind_the_others() {
        let folder = tempfile::tempdir().unwrap();
        std::mem::forget(Suspects::open(folder.path()).unwrap());
        let suspects = Suspects::open(folder.path()).unwrap();
        std::mem::forget(suspects.leave(true, b"unlucky").await.unwrap());
        let suspects = Suspects::open(folder.path()).unwrap();
        let order = Mutex::new(Vec::new());
        let carry = async |body: &'static [u8]| {
            let _leave = suspects.leave(true, body).await.unwrap();
            order.lock().unwrap().push(body);
        };
        tokio::join!(carry(b"unlucky"), carry(b"one"), carry(b"two"));
        assert_eq!(*order.lock().unwrap(), [&b"one"[..], b"two", b"unlucky"]);
    }

    #[tokio::test]
    async fn a_clean_stop_needs_no_caution() {
        let folder = tempfile::tempdir().unwrap();
        Suspects::open(folder.path()).unwrap().close().unwrap();
        assert_eq!(Suspects::open(folder.path()).unwrap().caution(), Caution::None);
    }
}
