//! The examiner with its real helpers: the process that reads PDFs, and a clamd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod clamd;
#[path = "../support/pdf.rs"]
mod pdf;
mod reading;
mod scanning;

use nakatsugi::{
    command::{Examined, ScannerFault},
    examiner::{Examiner, ExaminerEvent, Listener, Reader},
    record::{File, FileFormat, FileRefusal, Legibility},
    relay::ports::Examiner as _,
    wiped::Wiped,
};
use std::sync::{Arc, Mutex};

pub(crate) type Heard = Arc<Mutex<Vec<ExaminerEvent>>>;

/// A listener, and what it heard.
pub(crate) fn ear() -> (Listener, Heard) {
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    (Arc::new(move |event| into.lock().unwrap().push(event)), heard)
}

/// Reads by the real binary.
pub(crate) fn reader() -> Reader {
    Reader::by(env!("CARGO_BIN_EXE_nakatsugi").into(), ear().0)
}

pub(crate) fn file(name: &str, format: FileFormat, content: &[u8]) -> File {
    let content = Wiped::from(content.to_vec()).into();
    File { name: name.parse().unwrap(), format, content, person: "000000000000017".parse().unwrap() }
}

pub(crate) async fn judged(examiner: &Examiner, file: File) -> Result<Result<Legibility, FileRefusal>, ScannerFault> {
    let mut examined: Vec<Examined> = examiner.examine(vec![file]).await?;
    assert_eq!(examined.len(), 1);
    Ok(examined.remove(0).map(|inspected| inspected.legibility()))
}
