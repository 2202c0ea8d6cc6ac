//! Times as people write them in the directory: `2026-04-01T00:00:00Z`.
//!
//! Always: whole seconds, in UTC, in this one spelling. Used with `#[serde(with = "moment")]`.

use crate::calendar::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};
use time::{PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description};

const FORMAT: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

fn parse(text: &str) -> Option<Timestamp> {
    // The length rules out signs and years beyond 9999.
    let at = if text.len() == 20 { PrimitiveDateTime::parse(text, FORMAT).ok()? } else { return None };
    Some(Timestamp::from_seconds(at.assume_utc().unix_timestamp()))
}

fn spell(at: Timestamp) -> String {
    let text = Timestamp::from_seconds(at.seconds()).to_string();
    text.replace(".000Z", "Z")
}

pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&spell(*at))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom("a time is written 2026-04-01T00:00:00Z"))
}

/// The same for a time that may be absent.
pub(super) mod optional {
    use super::{Deserializer, Serializer, Timestamp};

    pub(in super::super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let text = "2026-04-01T00:00:00Z";
        assert_eq!(parse(text).map(spell).as_deref(), Some(text));
        for text in ["2026-04-01T00:00:00.0Z", "2026-04-01T00:00:00", "2026-04-01T09:00:00+09:00", "2026-02-30T00:00:00Z", "1775001600"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
