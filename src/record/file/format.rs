//! The formats that are kept, and how each is recognised from its bytes.
//!
//! Always: the whole file is looked at: what is hidden behind the end of an image makes it something else.

use super::{image, text};
use serde::{Deserialize, Serialize};

/// A format that is kept, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// A PDF.
    #[serde(rename = "application/pdf")]
    Pdf,
    /// An image in PNG.
    #[serde(rename = "image/png")]
    Png,
    /// An image in JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// Text in UTF-8.
    #[serde(rename = "text/plain")]
    Text,
    /// A table in UTF-8 (RFC 4180).
    #[serde(rename = "text/csv")]
    Csv,
}

impl FileFormat {
    /// How the names of such files end.
    pub(super) const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Text => &["txt"],
            Self::Csv => &["csv"],
        }
    }
}

/// What a file's bytes are.
pub(super) enum Found<'a> {
    Pdf,
    Png,
    Jpeg,
    Text(&'a str),
}

/// How a PDF begins, and what stands near its end.
const PDF: (&[u8], &[u8]) = (b"%PDF-", b"%%EOF");
/// How near.
const PDF_TAIL: usize = 1024;

/// What these bytes are, if it is known here.
pub(super) fn found(bytes: &[u8]) -> Option<Found<'_>> {
    let (head, tail) = PDF;
    if bytes.starts_with(head) {
        let last = bytes.split_at(bytes.len().saturating_sub(PDF_TAIL)).1;
        return last.windows(tail.len()).any(|window| window == tail).then_some(Found::Pdf);
    }
    if image::is_png(bytes) {
        return Some(Found::Png);
    }
    if image::is_jpeg(bytes) {
        return Some(Found::Jpeg);
    }
    text::text(bytes).map(Found::Text)
}
