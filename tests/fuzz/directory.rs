//! A directory or a catalogue, as it comes from outside; what is read is checked in full.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nakatsugi::directory::{Catalogue, Document, catalogue};
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::parse(catalogue::TYPICAL.as_bytes()).unwrap());

fuzz_target!(|data: &[u8]| {
    if let Ok(document) = Document::parse(data) {
        let _ = document.check(&CATALOGUE);
    }
    let _ = Catalogue::parse(data);
});
