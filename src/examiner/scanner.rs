//! The virus scanner: a clamd, asked over its socket (clamd(8): VERSION, INSTREAM).
//!
//! Always: an answer that is not understood is no answer, and without an answer nothing is kept; signatures older than
//! configured count as none. Absent: any other scanner, and any scanner on another machine: files leave this one sealed only.

use super::event::{ExaminerEvent, Listener};
use crate::{calendar::Timestamp, command::ScannerFault, relay::ports::Clock};
use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use time::{PrimitiveDateTime, macros::format_description};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// The longest answer that is read, in bytes.
const ANSWER: u64 = 4096;
/// How many bytes go to the scanner at once.
const CHUNK: usize = 64 << 10;
const DAY: i64 = 24 * 60 * 60;

/// Where the scanner listens: `unix:/run/clamav/clamd.ctl`, or `tcp:127.0.0.1:3310`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketPlace {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A port of this machine.
    Loopback(SocketAddr),
}

/// Why a text is not where a scanner may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected unix:/path/of/clamd.ctl or tcp:127.0.0.1:3310, on this machine")]
pub struct NoSocketPlace;

impl FromStr for SocketPlace {
    type Err = NoSocketPlace;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp", place)) => match place.parse::<SocketAddr>() {
                Ok(place) if place.ip().is_loopback() => Ok(Self::Loopback(place)),
                Ok(_) | Err(_) => Err(NoSocketPlace),
            },
            _ => Err(NoSocketPlace),
        }
    }
}

impl fmt::Display for SocketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(place) => write!(f, "tcp:{place}"),
        }
    }
}

/// How a scanner is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerSettings {
    /// Where it listens.
    pub socket: SocketPlace,
    /// How many days old its signatures may be.
    pub signature_days: u16,
    /// How long an answer may take.
    pub within: Duration,
}

/// How a scanner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScannerState {
    /// It answers, and its signatures are as young as they should be.
    Good {
        /// How old they are.
        days: u64,
    },
    /// Its signatures are too old, or have no date.
    Stale {
        /// How old they are.
        days: Option<u64>,
    },
    /// It does not answer.
    Unavailable {
        /// The system's words, or its own.
        detail: String,
    },
}

/// What the scanner says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    Clean,
    Infected,
}

/// The scanner.
pub struct Scanner {
    settings: ScannerSettings,
    clock: Arc<dyn Clock>,
    listen: Listener,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Scanner {
    /// A scanner; it is not yet spoken to.
    #[must_use]
    pub fn new(settings: ScannerSettings, clock: Arc<dyn Clock>, listen: Listener) -> Self {
        Self { settings, clock, listen }
    }

    /// How it is now.
    pub async fn state(&self) -> ScannerState {
        match self.ask(b"zVERSION\0", None).await {
            Err(error) => ScannerState::Unavailable { detail: error.to_string() },
            Ok(answer) => match signature_days(&answer, self.clock.now()) {
                Some(days) if days <= u64::from(self.settings.signature_days) => ScannerState::Good { days },
                days => ScannerState::Stale { days },
            },
        }
    }

    /// Scans a file.
    pub(super) async fn scan(&self, bytes: &[u8]) -> Result<Scanned, ScannerFault> {
        match self.state().await {
            ScannerState::Good { .. } => {}
            ScannerState::Stale { days } => {
                (self.listen)(ExaminerEvent::ScannerStale { days });
                return Err(ScannerFault::Stale);
            }
            ScannerState::Unavailable { detail } => return Err(self.unavailable(detail)),
        }
        let answer = match self.ask(b"zINSTREAM\0", Some(bytes)).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.unavailable(error.to_string())),
        };
        let said = answer.strip_prefix("stream: ").unwrap_or_default();
        match said.rsplit_once(' ') {
            None if said == "OK" => Ok(Scanned::Clean),
            Some((signature, "FOUND")) => {
                (self.listen)(ExaminerEvent::Infected { signature: signature.to_owned() });
                Ok(Scanned::Infected)
            }
            _ => Err(self.unavailable(answer)),
        }
    }

    fn unavailable(&self, detail: String) -> ScannerFault {
        (self.listen)(ExaminerEvent::ScannerUnavailable { detail });
        ScannerFault::Unavailable
    }

    /// Says something and reads the answer, without its end.
    async fn ask(&self, command: &[u8], file: Option<&[u8]>) -> io::Result<String> {
        let asked = timeout(self.settings.within, async {
            let mut stream: Box<dyn Stream> = match &self.settings.socket {
                SocketPlace::Unix(path) => Box::new(UnixStream::connect(path).await?),
                SocketPlace::Loopback(place) => Box::new(TcpStream::connect(place).await?),
            };
            let told = tell(&mut stream, command, file).await;
            let mut answer = Vec::new();
            // A file that it will hear no more of it refuses in words, and those count more than the broken pipe.
            stream.take(ANSWER).read_to_end(&mut answer).await?;
            let answer = String::from_utf8_lossy(answer.split(|byte| *byte == 0).next().unwrap_or_default()).trim().to_owned();
            match told {
                Err(error) if answer.is_empty() => Err(error),
                _ if answer.is_empty() => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the scanner says nothing")),
                Err(_) | Ok(()) => Ok(answer),
            }
        });
        asked.await.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the scanner does not answer in time")))
    }
}

async fn tell(stream: &mut (impl AsyncWrite + Unpin), command: &[u8], file: Option<&[u8]>) -> io::Result<()> {
    stream.write_all(command).await?;
    if let Some(file) = file {
        for chunk in file.chunks(CHUNK) {
            let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(chunk).await?;
        }
        stream.write_all(&[0; 4]).await?;
    }
    stream.flush().await
}

/// How many days old the signatures are: `ClamAV 1.4.6/27500/Mon Nov 23 08:15:11 2026`, in the scanner's local time, which
/// is at most a day from ours.
fn signature_days(version: &str, now: Timestamp) -> Option<u64> {
    let format = format_description!("[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");
    let date = version.splitn(3, '/').nth(2)?;
    let made = PrimitiveDateTime::parse(date.trim(), &format).ok()?.assume_utc().unix_timestamp();
    let age = now.seconds().saturating_sub(made);
    // SECURITY: a date ahead of us says nothing about age; a zone explains a day of it.
    if age < -DAY { None } else { u64::try_from(age.max(0) / DAY).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_listens_on_this_machine_only() {
        assert_eq!("unix:/run/clamav/clamd.ctl".parse(), Ok(SocketPlace::Unix("/run/clamav/clamd.ctl".into())));
        assert_eq!("tcp:[::1]:3310".parse::<SocketPlace>().unwrap().to_string(), "tcp:[::1]:3310");
        for text in ["tcp:192.0.2.1:3310", "tcp:localhost:3310", "unix:clamd.ctl", "/run/clamav/clamd.ctl", "tcp:127.0.0.1", ""] {
            assert_eq!(text.parse::<SocketPlace>(), Err(NoSocketPlace), "{text}");
        }
    }

    #[test]
    fn the_age_of_signatures_is_read_from_the_version() {
        let now = Timestamp::from_seconds(1_795_392_000 + 3 * DAY);
        let days = |version: &str| signature_days(version, now);
        assert_eq!(days("ClamAV 1.4.6/27500/Mon Nov 23 00:00:00 2026"), Some(3));
        assert_eq!(days("ClamAV 1.4.6/27500/Sun Nov  1 08:15:11 2026"), Some(24));
        assert_eq!(days("ClamAV 1.4.6/27500/Thu Nov 26 09:00:00 2026"), Some(0));
        for version in ["ClamAV 1.4.6", "ClamAV 1.4.6/27500/soon", "ClamAV 1.4.6/27500/Mon Nov 30 00:00:00 2026", ""] {
            assert_eq!(days(version), None, "{version}");
        }
    }
}
