//! What the examiner tells.

use std::{sync::Arc, time::Duration};

/// Something that those who run the relay may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExaminerEvent {
    /// The scanner could not be asked; files were refused.
    ScannerUnavailable {
        /// The system's words, or the scanner's.
        detail: String,
    },
    /// The scanner's signatures are older than configured; files were refused.
    ScannerStale {
        /// How old they are, if it is known.
        days: Option<u64>,
    },
    /// The scanner knows a file, which was refused.
    Infected {
        /// The scanner's name for it.
        signature: String,
    },
    /// A PDF broke the process that read it, and was refused.
    ReaderBroken {
        /// A code.
        cause: &'static str,
        /// How long it took.
        took: Duration,
    },
}

/// Hears what happens.
pub type Listener = Arc<dyn Fn(ExaminerEvent) + Send + Sync>;
