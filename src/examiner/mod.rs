//! The examiner: looks into files before they are kept.
//!
//! ```text
//! file → scan (clamd, where one is configured) → read (a PDF: by a process of its own) → judge (the core's guards)
//! ```
//!
//! Always: with a scanner configured nothing unscanned is kept, and one that cannot answer refuses files only. A file can
//! break nothing but the process that reads it. As many files are in hand as there are processors. Absent: what is allowed
//! to stand in a file; the core says that.

mod child;
mod event;
mod glyphs;
mod pdf;
mod reader;
mod scanner;

pub use child::read_pdf;
pub use event::{ExaminerEvent, Listener};
pub use reader::Reader;
pub use scanner::{NoSocketPlace, Scanner, ScannerSettings, ScannerState, SocketPlace};

use crate::{
    command::{Examined, ScannerFault},
    record::{File, FileRefusal, Inspected, PdfReading},
    relay::ports,
};
use std::{num::NonZero, sync::Arc, thread};
use tokio::sync::Semaphore;

/// The examiner.
#[derive(Debug)]
pub struct Examiner {
    scanner: Option<Scanner>,
    reader: Reader,
    /// For files in hand.
    places: Semaphore,
}

impl Examiner {
    /// One that reads by this reader, and scans if there is a scanner.
    #[must_use]
    pub fn new(reader: Reader, scanner: Option<Scanner>) -> Self {
        let places = Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get));
        Self { scanner, reader, places }
    }

    async fn one(&self, file: File) -> Result<Examined, ScannerFault> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        if let Some(scanner) = &self.scanner
            && file.content.len() <= crate::record::FILE_BYTES
            && scanner.scan(&file.content).await? == scanner::Scanned::Infected
        {
            return Ok(Err(FileRefusal::Infected));
        }
        let pdf = if Inspected::needs_reading(&file) { self.reader.read(&file.content).await } else { PdfReading::NotAPdf };
        // The guards take their time over a long text.
        let judged = tokio::task::spawn_blocking(move || Inspected::judge(&file, pdf)).await;
        Ok(judged.unwrap_or(Err(FileRefusal::Unreadable)))
    }
}

impl ports::Examiner for Examiner {
    async fn examine(&self, files: Vec<File>) -> Result<Vec<Examined>, ScannerFault> {
        let mut examined = Vec::with_capacity(files.len());
        for file in files {
            examined.push(self.one(file).await?);
        }
        Ok(examined)
    }
}

impl<X: ports::Examiner> ports::Examiner for Arc<X> {
    fn examine(&self, files: Vec<File>) -> impl Future<Output = Result<Vec<Examined>, ScannerFault>> + Send {
        X::examine(self, files)
    }
}
