//! Typed JSON, strictly: unknown and repeated members are refused, and refusals show nothing of the text.
//!
//! Always: an error says what kind of fault it is and where, by line and column; never a name or value from the text, for
//! those may be secret or hostile. No member repeats and no struct is read from an array, whatever the type; that unknown
//! members are refused is the type's own part: it derives `Deserialize` with `deny_unknown_fields`. What is kept raw
//! (`RawValue`) is not looked into until it is read here itself.

use super::objects::Strict;
use serde::Deserialize;
use std::fmt::{self, Write};
use thiserror::Error;

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonFault {
    /// Not JSON at all, or not UTF-8, or followed by something.
    Malformed,
    /// An object names a member twice.
    RepeatedMember,
    /// An object has a member it must not have.
    UnknownMember,
    /// An object lacks a member.
    MissingMember,
    /// A value of the wrong type, or one that breaks its rule.
    InvalidValue,
}

/// Why a JSON text is refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} at line {line} column {column}", fault.text())]
pub struct JsonError {
    /// The kind of fault.
    pub fault: JsonFault,
    /// The line, from 1; 0 where unknown.
    pub line: usize,
    /// The column in bytes, from 1; 0 where unknown.
    pub column: usize,
}

impl JsonFault {
    const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "malformed json",
            Self::RepeatedMember => "repeated member",
            Self::UnknownMember => "unknown member",
            Self::MissingMember => "missing member",
            Self::InvalidValue => "invalid value",
        }
    }
}

impl JsonError {
    /// The stable code of this fault.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.fault {
            JsonFault::Malformed => "malformed-json",
            JsonFault::RepeatedMember => "repeated-member",
            JsonFault::UnknownMember => "unknown-member",
            JsonFault::MissingMember => "missing-member",
            JsonFault::InvalidValue => "invalid-value",
        }
    }
}

/// Reads a whole text as one value.
///
/// # Errors
/// The first fault met.
pub fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict(&mut json)).map_err(|error| classify(&error))?;
    json.end().map_err(|error| classify(&error))?;
    Ok(value)
}

/// Reads whole bytes as one value.
///
/// # Errors
/// The first fault met; bytes that are not UTF-8 are malformed.
pub fn from_slice<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => from_str(text),
        Err(_) => Err(JsonError { fault: JsonFault::Malformed, line: 0, column: 0 }),
    }
}

fn classify(error: &serde_json::Error) -> JsonError {
    let fault = match error.classify() {
        serde_json::error::Category::Data => data_fault(error),
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => JsonFault::Malformed,
    };
    JsonError { fault, line: error.line(), column: error.column() }
}

/// serde tells these faults apart only by the beginning of its message (`serde::de::Error`), which no input can forge:
/// the messages of our own types begin otherwise. SECURITY: what follows may quote the input, so it is not even kept.
fn data_fault(error: &serde_json::Error) -> JsonFault {
    let mut start = Start { bytes: [0; START], length: 0 };
    // Ends with an error as soon as the start is full.
    let _full = write!(start, "{error}");
    let text = start.bytes.get(..start.length).unwrap_or_default();
    if text.starts_with(b"duplicate field") {
        JsonFault::RepeatedMember
    } else if text.starts_with(b"unknown field") {
        JsonFault::UnknownMember
    } else if text.starts_with(b"missing field") {
        JsonFault::MissingMember
    } else {
        JsonFault::InvalidValue
    }
}

const START: usize = 15;

/// Keeps the first bytes of what is written.
struct Start {
    bytes: [u8; START],
    length: usize,
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(text.bytes()) {
            *to = from;
            self.length += 1;
        }
        if self.length == START { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Row {
        key: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Inner {
        day: crate::calendar::Day,
    }

    fn fault(text: &str) -> JsonFault {
        from_str::<Row>(text).unwrap_err().fault
    }

    #[test]
    fn faults_are_told_apart_at_every_depth() {
        assert!(from_str::<Row>(r#"{"key":"a","inner":{"day":"2026-04-01"}}"#).is_ok());
        assert_eq!(fault(r#"{"key":"a","key":"b"}"#), JsonFault::RepeatedMember);
        assert_eq!(fault(r#"{"key":"a","\u006bey":"b"}"#), JsonFault::RepeatedMember);
        assert_eq!(fault(r#"{"key":"a","inner":{"day":"2026-04-01","day":"2026-04-01"}}"#), JsonFault::RepeatedMember);
        assert_eq!(fault(r#"{"key":"a","nonce":1}"#), JsonFault::UnknownMember);
        assert_eq!(fault(r#"{"key":"a","inner":{"Day":"2026-04-01"}}"#), JsonFault::UnknownMember);
        assert_eq!(fault("{}"), JsonFault::MissingMember);
        assert_eq!(fault(r#"{"key":7}"#), JsonFault::InvalidValue);
        assert_eq!(fault(r#"{"key":"a","inner":{"day":"duplicate field"}}"#), JsonFault::InvalidValue);
        for text in
            ["", "{", "{\"key\":\"a\"}x", "{\"key\":\"a\",}", "{'key':1}", "{\"key\":\"\u{1}\"}", "\u{feff}{}", "{\"key\":\"\\ud800\"}"]
        {
            assert_eq!(fault(text), JsonFault::Malformed, "{text:?}");
        }
        assert_eq!(from_slice::<Row>(b"{\"key\":\"\xff\"}").unwrap_err().fault, JsonFault::Malformed);
    }

    #[test]
    fn an_error_shows_where_but_nothing_of_the_text() {
        let error = from_str::<Row>("{\"key\":\"a\",\n \"himitsu\":\"secret\"}").unwrap_err();
        assert_eq!(error.to_string(), "unknown member at line 2 column 10");
        assert_eq!(format!("{error:?}"), "JsonError { fault: UnknownMember, line: 2, column: 10 }");
        let error = from_str::<Row>(r#"{"key":{"secret":1}}"#).unwrap_err();
        assert_eq!(error.to_string(), "invalid value at line 1 column 7");
    }
}
