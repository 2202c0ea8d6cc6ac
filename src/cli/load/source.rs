//! The file: rows, one on each line, in batches that fit a message.
//!
//! Always: read once, a line at a time; a file in another encoding, or one that was cut in the middle of a row, is said to be
//! one. A line that is no JSON object, or has the registration number of an earlier one, is handed on as such and spoils no
//! other. (The relay sees one message at a time; that a number stands once in the whole file only the file's reader sees.)

use crate::cli::CliError;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

/// The most bytes of rows in one message: an envelope of 8 MiB holds them twice encoded in base64.
const BATCH_BYTES: usize = 3 << 20;
/// The longest line.
const LINE_BYTES: usize = 4 << 20;

/// One row and the line on which it stands, from 1.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    /// The row, or why it is not sent.
    pub(super) json: Result<Box<RawValue>, Unsent>,
}

/// Why a line is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// It is no JSON object.
    Malformed {
        /// The column at which it ceases to be one, from 1.
        column: usize,
    },
    /// An earlier line has its registration number.
    RepeatedNumber,
}

/// The registration numbers so far, by 16 bytes of their digests: a city's file has millions.
#[derive(Default)]
struct Numbers(HashSet<[u8; 16]>);

#[derive(Deserialize)]
struct Numbered<'a> {
    #[serde(borrow)]
    record: NumberedRecord<'a>,
}

#[derive(Deserialize)]
struct NumberedRecord<'a> {
    #[serde(borrow)]
    registration_number: Cow<'a, str>,
}

impl Numbers {
    /// Whether the row has no number, or one that no row before had.
    fn take(&mut self, row: &str) -> bool {
        let Ok(Numbered { record }) = serde_json::from_str::<Numbered<'_>>(row) else { return true };
        let whole = digest(&SHA256, record.registration_number.as_bytes());
        whole.as_ref().first_chunk().is_none_or(|half| self.0.insert(*half))
    }
}

/// Rows that go in one message.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// The lines that it covers, empty ones included.
    pub(super) lines: (u64, u64),
    /// How far into the file it ends, in bytes.
    pub(super) end: u64,
}

/// The rest of a file.
pub(super) struct Source {
    path: PathBuf,
    reader: BufReader<File>,
    size: usize,
    line: u64,
    read: u64,
    bytes: u64,
    skipped: u64,
    /// The last line of the batch before.
    covered: u64,
    /// A row that did not fit the batch before.
    held: Option<(Row, usize)>,
    numbers: Numbers,
}

impl Source {
    /// Opens a file behind so many lines.
    pub(super) fn open(path: &Path, size: usize, skip: u64) -> Result<Self, CliError> {
        let unreadable = |source: std::io::Error| CliError::Rows { path: path.to_owned(), message: format!("cannot be read: {source}") };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut source = Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 20, file),
            size,
            line: 0,
            read: 0,
            bytes,
            skipped: 0,
            covered: skip,
            held: None,
            numbers: Numbers::default(),
        };
        while source.line < skip {
            let Some(text) = source.next_line()? else { break };
            source.numbers.take(text.trim());
        }
        source.skipped = source.read;
        Ok(source)
    }

    /// How large the file is.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes were passed over at the beginning.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, CliError> {
        let (mut batch, mut bytes) = (Batch { lines: (self.covered + 1, self.covered), ..Batch::default() }, 0);
        loop {
            let (row, length) = match self.held.take() {
                Some(held) => held,
                None => match self.next_row()? {
                    Some(row) => row,
                    None => break,
                },
            };
            if batch.rows.len() == self.size || (!batch.rows.is_empty() && bytes + length > BATCH_BYTES) {
                self.held = Some((row, length));
                break;
            }
            bytes += length;
            batch.lines.1 = row.line;
            batch.end = self.read;
            batch.rows.push(row);
        }
        self.covered = batch.lines.1;
        Ok((!batch.rows.is_empty()).then_some(batch))
    }

    /// The next line that is not empty.
    fn next_row(&mut self) -> Result<Option<(Row, usize)>, CliError> {
        while let Some(text) = self.next_line()? {
            let before = text.len() - text.trim_start().len();
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let json = match serde_json::from_str::<Box<RawValue>>(text) {
                Ok(raw) if raw.get().starts_with('{') => Ok(raw),
                Ok(_) => Err(before + 1),
                Err(error) => Err(before + error.column()),
            };
            if self.line == 1
                && let Some(what) = no_rows(text)
            {
                return Err(self.wrong(what));
            }
            if json.is_err() && self.read == self.bytes && text.starts_with('{') && !text.ends_with('}') {
                return Err(self.wrong("the file ends in the middle of this row; export it again"));
            }
            let json = match json {
                Err(column) => Err(Unsent::Malformed { column }),
                Ok(_) if !self.numbers.take(text) => Err(Unsent::RepeatedNumber),
                Ok(json) => Ok(json),
            };
            return Ok(Some((Row { line: self.line, json }, text.len())));
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<String>, CliError> {
        let mut bytes = Vec::new();
        let mut limited = std::io::Read::take(&mut self.reader, LINE_BYTES as u64 + 1);
        let length = limited.read_until(b'\n', &mut bytes);
        let length = length.map_err(|error| CliError::Rows { path: self.path.clone(), message: format!("cannot be read: {error}") })?;
        if length == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.read += length as u64;
        if length > LINE_BYTES {
            return Err(self.wrong("this line is longer than 4 MiB; expected one row on each line"));
        }
        if self.line == 1 && bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
            bytes.drain(..3);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_shift_jis(error.as_bytes()) => Err(self.wrong("this is Shift_JIS; expected UTF-8: iconv -f CP932 -t UTF-8")),
            Err(_) => Err(self.wrong("expected UTF-8")),
        }
    }

    fn wrong(&self, expected: &str) -> CliError {
        CliError::Rows { path: self.path.clone(), message: format!("line {}: {expected}", self.line) }
    }
}

/// What a file is that begins so, if it does not begin with a row.
fn no_rows(text: &str) -> Option<&'static str> {
    match text {
        _ if text.starts_with('[') => Some("this is one array; expected one row on each line, without brackets and commas around them"),
        _ if text.starts_with("{\"rows\"") => Some("this is a whole message; expected one row on each line"),
        "{" => Some("this object goes over several lines; expected one row on each line"),
        _ if !text.starts_with('{') => Some("this is no JSON object; expected one row of JSON on each line"),
        _ => None,
    }
}

/// Whether bytes that are no UTF-8 are Shift_JIS as Windows writes it (CP932).
fn is_shift_jis(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter();
    let mut pairs = 0;
    while let Some(byte) = rest.next() {
        match byte {
            0x00..=0x7f | 0xa1..=0xdf => {}
            0x81..=0x9f | 0xe0..=0xfc => match rest.next() {
                Some(0x40..=0x7e | 0x80..=0xfc) => pairs += 1,
                _ => return false,
            },
            _ => return false,
        }
    }
    pairs > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn source(content: &[u8], size: usize, skip: u64) -> Source {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        Source::open(file.path(), size, skip).unwrap()
    }

    fn lines(batch: &Batch) -> Vec<(u64, bool)> {
        batch.rows.iter().map(|row| (row.line, row.json.is_ok())).collect()
    }

    #[test]
    fn rows_come_in_batches_with_their_lines() {
        let text = b"\xef\xbb\xbf{\"a\":1}\n\nnot json\n{\"a\":2}\r\n[1]\n{\"a\":3}";
        let mut all = source(text, 2, 0);
        assert_eq!(lines(&all.next().unwrap().unwrap()), [(1, true), (3, false)]);
        assert_eq!(lines(&all.next().unwrap().unwrap()), [(4, true), (5, false)]);
        let last = all.next().unwrap().unwrap();
        assert_eq!((lines(&last), last.end), (vec![(6, true)], text.len() as u64));
        assert!(all.next().unwrap().is_none());
        assert_eq!(lines(&source(text, 9, 4).next().unwrap().unwrap()), [(5, false), (6, true)]);
    }

    #[test]
    fn a_registration_number_stands_once_in_the_file_even_after_a_new_beginning() {
        let row = |number: &str| format!("{{\"record\":{{\"registration_number\":\"{number}\"}}}}\n");
        let text = [row("a"), row("b"), row("a"), "{\"code\":1}\n".to_owned(), "{\"code\":1}\n".to_owned(), row("\\u0062")].concat();
        let mut all = source(text.as_bytes(), 9, 0);
        let batch = all.next().unwrap().unwrap();
        let told: Vec<_> = batch.rows.iter().map(|row| row.json.as_ref().err().copied()).collect();
        let repeated = Some(Unsent::RepeatedNumber);
        assert_eq!(told, [None, None, repeated, None, None, repeated]);
        assert_eq!(lines(&source(text.as_bytes(), 9, 2).next().unwrap().unwrap())[0], (3, false));
    }

    #[test]
    fn large_rows_are_spread_over_messages() {
        let row = format!("{{\"a\":\"{}\"}}\n", "x".repeat(2 << 20));
        let mut all = source(row.repeat(2).as_bytes(), 500, 0);
        assert_eq!(lines(&all.next().unwrap().unwrap()), [(1, true)]);
        assert_eq!(lines(&all.next().unwrap().unwrap()), [(2, true)]);
    }

    #[test]
    fn another_encoding_and_a_cut_file_are_named() {
        let told = |content: &[u8]| {
            let mut all = source(content, 9, 0);
            loop {
                match all.next() {
                    Err(CliError::Rows { message, .. }) => return message,
                    Ok(Some(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        // 課税 in Shift_JIS.
        assert_eq!(told(b"{\"a\":\"\x89\xdb\x90\xc5\"}\n"), "line 1: this is Shift_JIS; expected UTF-8: iconv -f CP932 -t UTF-8");
        assert_eq!(told(b"{}\n{\"a\":\"\xff\xfe\"}\n"), "line 2: expected UTF-8");
        assert_eq!(told(b"{\"a\":1}\n{\"a\":\"b"), "line 2: the file ends in the middle of this row; export it again");
    }
}
