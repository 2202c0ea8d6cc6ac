//! The daemon of a site, run as a child process by its own binary, as a service manager would.

use super::{SiteError, SiteFolder};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

const LOG: &str = "serve.log";
const POLL: Duration = Duration::from_millis(20);

/// A running `nakatsugi serve`; dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon of a site; its log is appended to `serve.log` in the site's folder.
    ///
    /// # Errors
    /// The binary or the log cannot be opened.
    pub fn start(binary: &Path, site: &SiteFolder) -> Result<Self, SiteError> {
        Self::start_with(Command::new(binary), site)
    }

    /// Starts the daemon through another program, for example a tracer.
    ///
    /// # Errors
    /// The binary or the log cannot be opened.
    pub fn start_with(mut command: Command, site: &SiteFolder) -> Result<Self, SiteError> {
        let log = site.folder().join(LOG);
        let file = |path: &Path| {
            let opened: Result<File, _> = OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|source| SiteError::File { path: path.to_owned(), source })
        };
        let (output, errors) = (file(&log)?, file(&site.folder().join("serve.err"))?);
        command.arg("serve").arg("--config").arg(site.configuration_path());
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.map_err(|source| SiteError::File { path: command.get_program().into(), source })?;
        Ok(Self { child, log })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log of this daemon and those before it.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells it to stop and waits; kills it after `patience`.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus, SiteError> {
        let gone = |source| SiteError::File { path: PathBuf::from("nakatsugi serve"), source };
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Fails only if it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        let mut waited = Duration::ZERO;
        while waited < patience {
            if let Some(status) = self.child.try_wait().map_err(gone)? {
                return Ok(status);
            }
            thread::sleep(POLL);
            waited += POLL;
        }
        self.kill();
        self.child.wait().map_err(gone)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How many lines of a log are about this event.
///
/// # Errors
/// The log cannot be read.
pub fn count_events(log: &Path, event: &str) -> Result<u64, SiteError> {
    let file = File::open(log).map_err(|source| SiteError::File { path: log.to_owned(), source })?;
    let wanted = format!("\"event\":\"{event}\"");
    Ok(BufReader::new(file).lines().map_while(Result::ok).filter(|line| line.contains(&wanted)).count() as u64)
}
