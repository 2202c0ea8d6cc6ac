//! One value in a record.
//!
//! Always: a value that is absent says why (domain §4); "unknown" and "empty" are never the same.

use crate::{
    calendar::Timestamp,
    identifier::{ItemCode, LayoutVersion},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use std::fmt;

/// One value in the flat list of a record's items.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Item {
    /// Which item.
    pub code: ItemCode,
    /// How deep it stands below the record: 0 to 9.
    pub depth: u8,
    /// The value, or why there is none.
    pub value: ItemValue,
    /// The item's own version, where the layout gives it one.
    pub version: Option<LayoutVersion>,
    /// When the tenant last changed it.
    pub updated_at: Option<Timestamp>,
}

/// A value, or the reason for having none.
#[derive(Clone, PartialEq, Eq)]
pub enum ItemValue {
    /// At most 4,000 characters.
    Text(String),
    /// Explicitly no value.
    Null(NullReason),
}

impl fmt::Debug for ItemValue {
    /// SECURITY: a value is specific personal information; no panic or log shows one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(secret)"),
            Self::Null(reason) => write!(f, "Null({reason:?})"),
        }
    }
}

/// Why an item has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NullReason {
    /// The item does not concern this person.
    NotApplicable,
    /// The tenant did not collect it.
    NotCollected,
    /// A law forbids to provide it.
    WithheldByLaw,
}

/// The longest value of one item, in characters.
const VALUE_CHARACTERS: usize = 4_000;

/// An item as it is read from JSON: `value` is a text, or null beside a `reason`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    code: ItemCode,
    depth: u8,
    value: TextOrNull,
    #[serde(default)]
    reason: Option<NullReason>,
    #[serde(default)]
    version: Option<LayoutVersion>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
}

/// Always there: unlike other members, a value may be null, and must say so.
struct TextOrNull(Option<String>);

impl<'de> Deserialize<'de> for TextOrNull {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not as an option: strict JSON takes no null for one.
        deserializer.deserialize_any(TextOrNull(None))
    }
}

impl Visitor<'_> for TextOrNull {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self, E> {
        Ok(Self(Some(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self, E> {
        Ok(Self(Some(text)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self, E> {
        Ok(Self(None))
    }
}

/// An item as it is written.
#[derive(Serialize)]
struct Written<'a> {
    code: &'a ItemCode,
    depth: u8,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NullReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a LayoutVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (value, reason) = match &self.value {
            ItemValue::Text(text) => (Some(text.as_str()), None),
            ItemValue::Null(reason) => (None, Some(*reason)),
        };
        let Self { code, depth, version, updated_at, .. } = self;
        let (depth, version, updated_at) = (*depth, version.as_ref(), *updated_at);
        Written { code, depth, value, reason, version, updated_at }.serialize(serializer)
    }
}

impl TryFrom<Wire> for Item {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let value = match (wire.value.0, wire.reason) {
            (Some(text), None) if text.chars().count() <= VALUE_CHARACTERS => ItemValue::Text(text),
            (Some(_), None) => return Err("a value has at most 4000 characters"),
            (None, Some(reason)) => ItemValue::Null(reason),
            (Some(_), Some(_)) => return Err("an item with a value has no reason for lacking one"),
            (None, None) => return Err("an item without a value says why"),
        };
        if wire.depth > 9 {
            return Err("a depth is 0 to 9");
        }
        Ok(Self { code: wire.code, depth: wire.depth, value, version: wire.version, updated_at: wire.updated_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_needs_its_reason_and_a_value_must_have_none() {
        let item = |json: &str| crate::envelope::strict_json::from_str::<Item>(json);
        assert!(item(r#"{"code":"8200000020","depth":1,"value":"2026-04"}"#).is_ok());
        assert!(item(r#"{"code":"8200000020","depth":1,"value":null,"reason":"not-collected"}"#).is_ok());
        assert!(item(r#"{"code":"8200000020","depth":1,"value":null}"#).is_err());
        assert!(item(r#"{"code":"8200000020","depth":1,"reason":"not-collected"}"#).is_err());
        assert!(item(r#"{"code":"8200000020","depth":1,"value":"a","reason":"not-collected"}"#).is_err());
        assert!(item(r#"{"code":"8200000020","depth":10,"value":"a"}"#).is_err());
        assert!(item(r#"{"code":"8200000020","depth":1,"value":"a","name":"b"}"#).is_err());
    }
}
