//! Reaching the running daemon for a backup.

use super::CliError;
use crate::daemon::backup::{News, Request, socket::SOCKET};
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

/// Asks the daemon of this data folder, and shows every line of its answer until one says that it is the last.
pub(super) fn ask(data: &Path, request: &Request, mut show: impl FnMut(News) -> Result<Told, CliError>) -> Result<(), CliError> {
    let socket = data.join(SOCKET);
    let refused = |words: String| CliError::BackupDaemon { socket: socket.clone(), words };
    let unreached = |source: io::Error| refused(source.to_string());
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    let mut stream = UnixStream::connect(&socket).map_err(unreached)?;
    stream.write_all(&line).map_err(unreached)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(unreached)?) {
            Ok(News::Refused { words }) => return Err(refused(words)),
            Ok(news) => match show(news)? {
                Told::More => {}
                Told::All => return Ok(()),
            },
            Err(_) => return Err(refused("it speaks otherwise".to_owned())),
        }
    }
    Err(refused("it ended before it was done".to_owned()))
}

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is.
    More,
    /// That was all.
    All,
}
