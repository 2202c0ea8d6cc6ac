//! What a file says in words, and the guards over it.
//!
//! Always: each text is looked at in the order in which people read it, with its heading where it is a table. Absent: a
//! number whose digits stand in different cells, or are drawn in an order that nobody reads.

use super::{FilePlace, FileRefusal, Legibility, PdfText, guarded};

/// The text that these bytes are, without a byte order mark: UTF-8, and no control characters but those of lines.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let odd = |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{c}');
    (!text.contains(odd)).then_some(text)
}

/// Whether these bytes read as Shift_JIS, with at least one character of two bytes.
pub(super) fn is_shift_jis(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter();
    let mut wide = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0xa1..=0xdf => {}
            0x81..=0x9f | 0xe0..=0xfc => match rest.next() {
                Some(0x40..=0x7e | 0x80..=0xfc) => wide = true,
                _ => return false,
            },
            _ => return false,
        }
    }
    wide
}

/// A plain text.
pub(super) fn plain(text: &str, number: &[u8]) -> Result<Legibility, FileRefusal> {
    guarded(text, number, |line| FilePlace { page: None, line: line.map(|line| line + 1) })?;
    Ok(Legibility::Read)
}

/// A table: cell by cell, each behind the heading of its column, so that a label counts for what stands under it.
pub(super) fn table(text: &str, number: &[u8]) -> Result<Legibility, FileRefusal> {
    let at = |line: u64| FilePlace { page: None, line: usize::try_from(line).ok() };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut headings: Option<csv::StringRecord> = None;
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(Legibility::Read),
            Err(error) => return Err(FileRefusal::Uneven(at(error.position().map_or(1, csv::Position::line)))),
        }
        let line = record.position().map_or(1, csv::Position::line);
        for (column, cell) in record.iter().enumerate() {
            let heading = headings.as_ref().and_then(|headings| headings.get(column)).unwrap_or_default();
            let place = |within: Option<usize>| at(line + within.unwrap_or(0) as u64);
            guarded(cell, number, place)?;
            if !heading.is_empty() {
                guarded(&format!("{heading}：{cell}"), number, place)?;
            }
        }
        if headings.is_none() {
            headings = Some(record.clone());
        }
    }
}

/// The pages of a PDF, and what stands on none.
pub(super) fn pages(pdf: &PdfText, number: &[u8]) -> Result<Legibility, FileRefusal> {
    for (page, said) in pdf.pages.iter().enumerate() {
        for reading in &said.readings {
            guarded(reading, number, |line| FilePlace { page: Some(page + 1), line: line.map(|line| line + 1) })?;
        }
    }
    for other in &pdf.others {
        guarded(other, number, |_| FilePlace::default())?;
    }
    let mute = |page: &super::PdfPage| page.unreadable > 0 || page.readings.iter().all(|reading| reading.trim().is_empty());
    Ok(if pdf.pages.is_empty() || pdf.pages.iter().any(mute) { Legibility::Unread } else { Legibility::Read })
}
