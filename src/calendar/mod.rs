//! Points in time and Japanese days.
//!
//! Always: time is an argument; nothing here reads a clock. Ordering of effects never depends on it (design §8).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::{Date, OffsetDateTime, UtcOffset, format_description::well_known::Iso8601, macros::format_description, macros::offset};

/// A point in time: milliseconds since 1970-01-01 UTC. In JSON claims it stands as whole seconds (RFC 7519 §2,
/// NumericDate).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const JAPAN: UtcOffset = offset!(+9);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This many seconds later (earlier, if negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// The day it is in Japan (UTC+9, no daylight saving time).
    #[must_use]
    pub fn day_in_japan(self) -> Day {
        let at = OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Day(at.to_offset(JAPAN).date())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        f.write_str(&at.format(format).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.seconds())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Whole seconds between 1970 and 9999; no fractions, so that a message has one spelling of its times.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            seconds @ 0..=253_402_300_799 => Ok(Self::from_seconds(seconds.cast_signed())),
            _ => Err(serde::de::Error::custom("a time is whole seconds since 1970, before the year 10000")),
        }
    }
}

/// A calendar day in Japan, written `2026-04-01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// A text that is not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a day is written YYYY-MM-DD")]
pub struct DayError;

impl FromStr for Day {
    type Err = DayError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = Date::parse(text, &Iso8601::DATE).map_err(|_| DayError)?;
        if plain { Ok(Self(date)) } else { Err(DayError) }
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::identifier::text::parse(deserializer)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A span of days, both ends included; an open end is absent. Read from JSON, it never ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Ends")]
pub struct Window {
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
}

/// A window as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    #[serde(default)]
    from: Option<Day>,
    #[serde(default)]
    until: Option<Day>,
}

impl TryFrom<Ends> for Window {
    type Error = &'static str;

    fn try_from(Ends { from, until }: Ends) -> Result<Self, Self::Error> {
        match (from, until) {
            (Some(from), Some(until)) if until < from => Err("a window ends on its first day or later"),
            (from, until) => Ok(Self { from, until }),
        }
    }
}

impl Window {
    /// Whether the day lies in the span.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_japan() {
        let new_year = Timestamp::from_seconds(1_767_193_200); // 2025-12-31T15:00:00Z
        assert_eq!(new_year.day_in_japan().to_string(), "2026-01-01");
        assert_eq!(new_year.plus_seconds(-1).day_in_japan().to_string(), "2025-12-31");
    }

    #[test]
    fn only_plain_days_are_taken() {
        assert!("2028-02-29".parse::<Day>().is_ok());
        for text in ["2026-02-29", "20260401", "2026-W14-3", "2026-4-1", "2026-091", "+002026-04-01", ""] {
            assert_eq!(text.parse::<Day>(), Err(DayError), "{text}");
        }
    }

    #[test]
    fn both_ends_of_a_window_are_inside() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let window = Window { from: Some(day("2026-04-01")), until: Some(day("2027-03-31")) };
        assert!(window.contains(day("2026-04-01")) && window.contains(day("2027-03-31")));
        assert!(!window.contains(day("2026-03-31")) && !window.contains(day("2027-04-01")));
        assert!(Window::default().contains(day("1970-01-01")));
    }

    #[test]
    fn times_stand_as_whole_seconds() {
        assert_eq!(serde_json::to_string(&Timestamp::from_millis(1999)).unwrap(), "1");
        for text in ["1.5", "-1", "\"1\"", "1e3", "253402300800"] {
            assert!(serde_json::from_str::<Timestamp>(text).is_err(), "{text}");
        }
    }
}
