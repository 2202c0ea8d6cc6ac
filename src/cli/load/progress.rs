//! What whoever waits sees: rows, rate, time left, refusals.
//!
//! Always: on standard error; a line that stays in place on a terminal, one every ten seconds elsewhere.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};
use tokio::time::Instant;

/// How a load gets on.
pub(super) struct Progress {
    began: Instant,
    shown: Instant,
    bytes: u64,
    first: u64,
    rows: u64,
    terminal: bool,
}

impl Progress {
    /// Of a file of so many bytes, of which so many were done before.
    pub(super) fn new(bytes: u64, first: u64) -> Self {
        let now = Instant::now();
        Self { began: now, shown: now, bytes, first, rows: 0, terminal: stderr().is_terminal() }
    }

    /// So many more rows were answered; the file was sent up to `at`.
    pub(super) fn rows(&mut self, more: usize, at: u64, refused: u64) {
        self.rows += more as u64;
        let every = if self.terminal { Duration::from_millis(500) } else { Duration::from_secs(10) };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let passed = self.began.elapsed().as_secs_f64();
        let share = at.saturating_sub(self.first) as f64 / self.bytes.saturating_sub(self.first).max(1) as f64;
        let left = if share > 0.0 { passed / share - passed } else { 0.0 };
        let percent = 100.0 * at as f64 / self.bytes.max(1) as f64;
        let text = format!(
            "{} rows answered ({percent:.0} %), {:.0} a second, about {} left, {refused} refused",
            self.rows,
            self.rows as f64 / passed.max(0.001),
            duration(left)
        );
        // Progress is for whoever watches; nobody misses a line that could not be shown.
        let _ = if self.terminal { write!(stderr(), "\r{text:<78}") } else { writeln!(stderr(), "{text}") };
    }

    /// Ends the line that stays in place.
    pub(super) fn end(&self) {
        if self.terminal && self.rows > 0 {
            let _ = writeln!(stderr());
        }
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
