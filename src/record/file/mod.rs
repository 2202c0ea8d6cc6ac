//! A file that somebody brings to keep: its name, its format, its content, and what was found in it.
//!
//! Always: the format is found from the content, never from the name, and must be the one that was declared; only what
//! [`Inspected::judge`] let pass is kept. A refusal says where (page and line), never what stands there. Absent: the virus
//! scan, and reading a PDF, which a process of its own does; both are the edge's, see [`crate::relay::ports::Examiner`].

mod format;
mod image;
mod text;

pub use format::FileFormat;

use super::guard::{self, Hit};
use crate::{
    hex,
    identifier::{AddresseeNumber, IdentifierError, text::as_text},
    wiped::Wiped,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

/// The longest file, in bytes (design §10).
pub const FILE_BYTES: usize = 1 << 20;
/// The most pages of a PDF.
pub const PAGES: usize = 200;
/// The longest name, in characters.
const NAME_CHARACTERS: usize = 100;

/// A file's name as it is shown to people: 1 to 100 characters, none of which a file system or a screen takes for something else.
#[derive(Clone, PartialEq, Eq)]
pub struct FileName(Box<str>);

impl FileName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind its last dot, in small letters.
    fn ending(&self) -> String {
        self.0.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
    }
}

impl FromStr for FileName {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // SECURITY: characters that turn the direction of writing show `fdp.exe` as `exe.pdf`.
        let odd = |character: char| {
            character.is_control()
                || matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
                || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        let edge = |character: char| character == '.' || character.is_whitespace();
        let fits = (1..=NAME_CHARACTERS).contains(&text.chars().count());
        if fits && !text.contains(odd) && !text.starts_with(edge) && !text.ends_with(edge) {
            Ok(Self(text.into()))
        } else {
            Err(IdentifierError::FileName)
        }
    }
}

as_text!(FileName);

impl fmt::Debug for FileName {
    /// The tenant chooses it; it may hold anything, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileName(…)")
    }
}

/// A file's bytes; base64 (RFC 4648 §4) in JSON. Clones are the same.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent(Arc<Wiped>);

impl From<Wiped> for FileContent {
    fn from(bytes: Wiped) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Deref for FileContent {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileContent {
    /// SECURITY: a file is specific personal information; no panic or log shows one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileContent({} bytes)", self.len())
    }
}

impl Serialize for FileContent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&**self))
    }
}

impl<'de> Deserialize<'de> for FileContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Content;
        impl de::Visitor<'_> for Content {
            type Value = FileContent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<FileContent, E> {
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                Ok(Wiped::from(bytes).into())
            }
        }
        deserializer.deserialize_str(Content)
    }
}

impl FileContent {
    /// How many bytes they take in JSON.
    #[must_use]
    pub fn encoded(size: usize) -> usize {
        size.div_ceil(3) * 4
    }
}

/// SHA-256 of a file; 64 digits of lower-case hexadecimal in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default())
    }
}

impl FromStr for FileDigest {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(IdentifierError::FileDigest)
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl Serialize for FileDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::identifier::text::parse(deserializer)
    }
}

/// A file on its way in.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name.
    pub name: FileName,
    /// What it is said to be.
    pub format: FileFormat,
    /// Its bytes.
    pub content: FileContent,
    /// Whom it is about; their number must not stand in it.
    pub person: AddresseeNumber,
}

/// What a PDF says, as the process that read it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdfText {
    /// Its pages, in order.
    pub pages: Vec<PdfPage>,
    /// Texts that stand on no page: titles, fields of forms, remarks.
    pub others: Vec<String>,
}

/// What a page of a PDF says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdfPage {
    /// Its text line by line, as often as there is more than one order in which it may be read.
    pub readings: Vec<String>,
    /// How many characters of it mean nothing to a machine.
    pub unreadable: u32,
}

/// What came of reading a PDF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PdfReading {
    /// It is no PDF.
    NotAPdf,
    /// It was read.
    Read(PdfText),
    /// It could not be read: broken, or it broke whoever read it.
    Unreadable,
    /// It opens with a password only.
    Encrypted,
    /// Other files lie in it, which nobody looks into.
    HoldsFiles,
    /// It has more pages than may be.
    TooManyPages,
}

/// Where in a file something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FilePlace {
    /// The page of a PDF, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// The line of it, or of a text, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// Why a file is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRefusal {
    /// It has no byte.
    Empty,
    /// It has more than [`FILE_BYTES`].
    TooLarge,
    /// Its content is not what it says.
    OtherFormat,
    /// Its name ends as files of another format do.
    OtherEnding,
    /// It is text in Shift_JIS; UTF-8 is due.
    ShiftJis,
    /// Not every line of a table has as many fields as the first.
    Uneven(FilePlace),
    /// It cannot be read: broken, or it broke whoever read it.
    Unreadable,
    /// It opens with a password only.
    Encrypted,
    /// Other files lie in it.
    HoldsFiles,
    /// More than [`PAGES`] pages.
    TooManyPages,
    /// The scanner knows it.
    Infected,
    /// It holds the number of the person whom it is about.
    Addressee(FilePlace),
    /// It holds what must not stand there.
    Forbidden(Hit, FilePlace),
}

impl FileRefusal {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "file-empty",
            Self::TooLarge => "file-too-large",
            Self::OtherFormat => "file-type",
            Self::OtherEnding => "file-ending",
            Self::ShiftJis => "shift-jis",
            Self::Uneven(_) => "uneven-table",
            Self::Unreadable => "file-unreadable",
            Self::Encrypted => "file-encrypted",
            Self::HoldsFiles => "file-in-file",
            Self::TooManyPages => "too-many-pages",
            Self::Infected => "file-infected",
            Self::Addressee(_) => "addressee-in-text",
            Self::Forbidden(hit, _) => hit.found.code(),
        }
    }

    /// Where, if it is in one place.
    #[must_use]
    pub const fn place(self) -> Option<FilePlace> {
        match self {
            Self::Uneven(place) | Self::Addressee(place) | Self::Forbidden(_, place) => Some(place),
            Self::Empty
            | Self::TooLarge
            | Self::OtherFormat
            | Self::OtherEnding
            | Self::ShiftJis
            | Self::Unreadable
            | Self::Encrypted
            | Self::HoldsFiles
            | Self::TooManyPages
            | Self::Infected => None,
        }
    }
}

/// Whether a machine can read all that a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legibility {
    /// The guards saw every text of it.
    Read,
    /// An image, or a page without text: an official must have looked at it.
    Unread,
}

/// Proof that a file was looked into and may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    content: FileContent,
    legibility: Legibility,
}

impl Inspected {
    /// Looks into a file.
    ///
    /// # Errors
    /// [`FileRefusal`] says why it is not kept.
    pub fn judge(file: &File, pdf: PdfReading) -> Result<Self, FileRefusal> {
        match file.content.len() {
            0 => return Err(FileRefusal::Empty),
            length if length > FILE_BYTES => return Err(FileRefusal::TooLarge),
            _ => {}
        }
        let number = file.person.as_bytes();
        let legibility = match (file.format, format::found(&file.content)) {
            (FileFormat::Png, Some(format::Found::Png)) | (FileFormat::Jpeg, Some(format::Found::Jpeg)) => Legibility::Unread,
            (FileFormat::Text, Some(format::Found::Text(text))) => text::plain(text, number)?,
            (FileFormat::Csv, Some(format::Found::Text(text))) => text::table(text, number)?,
            (FileFormat::Pdf, Some(format::Found::Pdf)) => match pdf {
                PdfReading::Read(text) => text::pages(&text, number)?,
                PdfReading::NotAPdf | PdfReading::Unreadable => return Err(FileRefusal::Unreadable),
                PdfReading::Encrypted => return Err(FileRefusal::Encrypted),
                PdfReading::HoldsFiles => return Err(FileRefusal::HoldsFiles),
                PdfReading::TooManyPages => return Err(FileRefusal::TooManyPages),
            },
            (FileFormat::Text | FileFormat::Csv, None) if text::is_shift_jis(&file.content) => return Err(FileRefusal::ShiftJis),
            (FileFormat::Pdf | FileFormat::Png | FileFormat::Jpeg | FileFormat::Text | FileFormat::Csv, _) => {
                return Err(FileRefusal::OtherFormat);
            }
        };
        if !file.format.endings().contains(&file.name.ending().as_str()) {
            return Err(FileRefusal::OtherEnding);
        }
        Ok(Self { content: file.content.clone(), legibility })
    }

    /// Whether a PDF reader is needed: it says that it is one, and begins as one.
    #[must_use]
    pub fn needs_reading(file: &File) -> bool {
        file.format == FileFormat::Pdf
            && file.content.len() <= FILE_BYTES
            && matches!(format::found(&file.content), Some(format::Found::Pdf))
    }

    /// The bytes.
    #[must_use]
    pub const fn content(&self) -> &FileContent {
        &self.content
    }

    /// Whether a machine could read all of it.
    #[must_use]
    pub const fn legibility(&self) -> Legibility {
        self.legibility
    }
}

/// The guards over a text that stands in a file: the person's own number, and what must stand in no text.
fn guarded(text: &str, number: &[u8], place: impl Fn(Option<usize>) -> FilePlace) -> Result<(), FileRefusal> {
    if guard::holds_digits(text, number) {
        return Err(FileRefusal::Addressee(place(text.lines().position(|line| guard::holds_digits(line, number)))));
    }
    guard::text(text).map_err(|hit| {
        let line = text.chars().take(hit.at).filter(|character| *character == '\n').count();
        FileRefusal::Forbidden(hit, place(Some(line)))
    })
}

#[cfg(test)]
mod tests;
