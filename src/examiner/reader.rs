//! Reading PDFs in a process of its own, which may break.
//!
//! Always: whatever the file does to its reader (a panic, an exhausted stack, an endless loop, more memory than there may be),
//! it is refused and nothing else is harmed. Absent: what the process may do; see `child`.

use super::event::{ExaminerEvent, Listener};
use crate::record::PdfReading;
use std::{fmt, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::{Instant, timeout},
};

/// The name of the subcommand that reads.
const SUBCOMMAND: &str = "read-pdf";
/// How long it may take, on a machine that has other things to do; its processor time is bounded more tightly.
const WITHIN: Duration = Duration::from_secs(30);
/// The most that it may say, in bytes.
const SAID: u64 = 16 << 20;

/// Starts the processes that read.
#[derive(Clone)]
pub struct Reader {
    program: PathBuf,
    listen: Listener,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader by this program, which must be nakatsugi.
    #[must_use]
    pub const fn by(program: PathBuf, listen: Listener) -> Self {
        Self { program, listen }
    }

    /// A reader by the program that runs, even after its file was replaced.
    #[must_use]
    pub fn own(listen: Listener) -> Self {
        Self::by(PathBuf::from("/proc/self/exe"), listen)
    }

    /// Reads a PDF.
    pub async fn read(&self, bytes: &[u8]) -> PdfReading {
        let began = Instant::now();
        let cause = match timeout(WITHIN, self.attempt(bytes)).await {
            Ok(Ok(reading)) => return reading,
            Ok(Err(cause)) => cause,
            Err(_) => "too-long",
        };
        (self.listen)(ExaminerEvent::ReaderBroken { cause, took: began.elapsed() });
        PdfReading::Unreadable
    }

    async fn attempt(&self, bytes: &[u8]) -> Result<PdfReading, &'static str> {
        let mut command = Command::new(&self.program);
        command.arg(SUBCOMMAND).env_clear().current_dir("/").kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|_| "not-started")?;
        let (mut stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or("not-started")?;
        let mut said = Vec::new();
        let give = async {
            // It may have ended before it took everything; what it said, or did not, decides.
            let _ = stdin.write_all(bytes).await;
            drop(stdin);
        };
        let mut bounded = stdout.take(SAID);
        let (_, taken) = tokio::join!(give, bounded.read_to_end(&mut said));
        // SECURITY: what it says is a person's.
        let said = crate::wiped::Wiped::from(said);
        taken.map_err(|_| "no-answer")?;
        // Whoever says more than there may be waits for the pipe, and is killed when it is dropped.
        drop(bounded);
        let status = child.wait().await.map_err(|_| "no-answer")?;
        if !status.success() {
            return Err("died");
        }
        serde_json::from_slice(&said).map_err(|_| "no-answer")
    }
}
