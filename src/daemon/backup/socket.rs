//! The way from `nakatsugi backup` to the running daemon, which alone can read its stores.
//!
//! ```text
//! data/backup.sock, mode 0600   one line of JSON in: a [`Request`]; lines of JSON out: [`News`], until the end
//! ```
//!
//! Always: only the daemon's own user and root are answered, as the kernel names them (`SO_PEERCRED`); nothing that a vault
//! holds is told here. Absent: any other request.

use super::{News, Request, run};
use crate::{
    daemon::SystemClock,
    relay::ports::Clock as _,
    telemetry::{
        Words,
        event::{self, Event as _},
    },
    vault::Vaults,
};
use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::timeout,
};

/// The socket's name in the data folder.
pub const SOCKET: &str = "backup.sock";
const LONGEST_REQUEST: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers requests for ever, one after the other.
pub(in crate::daemon) async fn answer(data: &Path, vaults: Vaults) {
    let listener = match listen(&data.join(SOCKET)) {
        Ok(listener) => listener,
        Err(error) => {
            event::BackupUnreachable { words: Words::of_system(&error) }.emit();
            return;
        }
    };
    loop {
        match listener.accept().await {
            // Who goes away goes away; what was begun is finished.
            Ok((stream, _)) => drop(converse(stream, &vaults).await),
            // Too many open files, for instance.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Whoever holds the data folder's lock is the only daemon: what lies here is left over.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn converse(mut stream: UnixStream, vaults: &Vaults) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        return tell(&mut stream, &News::Refused { words: "only the daemon's own user and root may ask".to_owned() }).await;
    }
    let request = match timeout(PATIENCE, read(&mut stream)).await?? {
        Ok(request) => request,
        Err(words) => return tell(&mut stream, &News::Refused { words }).await,
    };
    let (news, mut told) = mpsc::unbounded_channel();
    let kept = vaults.clone();
    let job = tokio::spawn(async move { run(&kept, &request, SystemClock.now(), news).await });
    while let Some(news) = told.recv().await {
        // A reader that has gone does not end what was begun.
        let _ = tell(&mut stream, &news).await;
    }
    job.await.map_err(io::Error::other)
}

async fn tell(stream: &mut UnixStream, news: &News) -> io::Result<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn read(stream: &mut UnixStream) -> io::Result<Result<Request, String>> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_REQUEST)).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_taken_whole_or_refused() {
        let of = async |text: &[u8]| {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            here.write_all(text).await.unwrap();
            here.shutdown().await.unwrap();
            read(&mut there).await.unwrap()
        };
        let whole = b"{\"vaults\":null,\"to\":\"/a\",\"keys\":\"/b\"}\n";
        assert_eq!(of(whole).await.map(|request| request.vaults), Ok(None));
        for wrong in [&whole[..whole.len() - 2], b"", b"{}\n", b"{\"vaults\":null,\"to\":\"/a\",\"keys\":\"/b\",\"more\":1}\n"] {
            assert!(of(wrong).await.is_err());
        }
    }
}
