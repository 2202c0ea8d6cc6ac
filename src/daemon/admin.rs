//! The admin socket: how an operator on this machine reaches the running daemon.
//!
//! ```text
//! data/admin.sock, mode 0600     one line of JSON in: a request
//!                                lines of JSON out: {"report":…}, {"progress":…}, at the end {"end":"done"} or {"end":…}
//! ```
//!
//! Always: only the daemon's own user and root are listened to, as the kernel says who asks; whatever is asked for is entered
//! into the platform vault first. Absent: anything that reads a vault; secrets never pass through it.

use super::{
    operations::{Operations, Report, Request},
    vault_events::VaultEvents,
};
use crate::vault::{CarryStep, VaultEvent};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::timeout,
};

/// The longest request: 1,788 tenants by name.
const LONGEST: u64 = 64 << 10;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// What became of one vault.
    Report(Report),
    /// How far it is.
    Progress(String),
    /// The end: `done`, or why not.
    End(String),
}

/// How the last line reads when the request was performed.
pub const DONE: &str = "done";

/// Where the socket lies.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// Begins to listen. The data folder is held, so what lies at the socket's place is nobody's.
pub(super) fn listen(data: &Path) -> io::Result<UnixListener> {
    let path = socket(data);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The data folder is closed to others, so nobody comes in between.
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers one operator after the other.
pub(super) async fn answer(listener: UnixListener, operations: Arc<Operations>, events: VaultEvents) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PATIENCE).await;
            continue;
        };
        // Whoever goes away does not end what was begun: it is finished, and found finished when it is asked for again.
        let _ = converse(stream, &operations, &events).await;
    }
}

async fn converse(stream: UnixStream, operations: &Arc<Operations>, events: &VaultEvents) -> io::Result<()> {
    let operator = stream.peer_cred()?.uid();
    let (reading, mut writing) = stream.into_split();
    if operator != 0 && operator != rustix::process::geteuid().as_raw() {
        return write(&mut writing, &Line::End("only the daemon's own user and root may ask".to_owned())).await;
    }
    let mut request = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST));
    timeout(PATIENCE, reading.read_line(&mut request)).await??;
    let request: Request = match serde_json::from_str(&request) {
        Ok(request) => request,
        Err(error) => return write(&mut writing, &Line::End(format!("this is no request: {error}"))).await,
    };
    let (say, mut lines) = mpsc::unbounded_channel();
    let performing = tokio::spawn({
        let operations = Arc::clone(operations);
        async move {
            let end = operations.perform(operator, &request, |report| drop(say.send(Line::Report(report)))).await;
            drop(say.send(Line::End(end.map_or_else(|fault| fault.to_string(), |()| DONE.to_owned()))));
        }
    });
    let mut heard = events.subscribe();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            event = heard.recv() => match event.ok().and_then(|event| progress(&event)) {
                Some(words) => Some(Line::Progress(words)),
                None => continue,
            },
        };
        let Some(line) = line else { break };
        if write(&mut writing, &line).await.is_err() || matches!(line, Line::End(_)) {
            break;
        }
    }
    // One at a time: the next is heard when this one is done.
    performing.await.map_err(io::Error::other)
}

async fn write(writing: &mut (impl tokio::io::AsyncWrite + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writing.write_all(&text).await
}

/// How far a carry-over is, in words; nothing for other events.
#[must_use]
pub fn progress(event: &VaultEvent) -> Option<String> {
    let VaultEvent::CarryingOver { vault, epoch, step, done, a_second } = event else { return None };
    let what = match step {
        CarryStep::Check => "names looked into",
        CarryStep::Copy => "rows sealed again",
        CarryStep::Entries => "entries of the ledger sealed again",
        CarryStep::Store => "rows in the new store",
    };
    Some(format!("{vault}: data key {epoch}: {done} {what}, {a_second} a second"))
}
