//! A layout: which data sets a category has, which items stand in them, and what an item may hold.
//!
//! Always: data; layouts come every July and in between, each with the days on which rows may be registered in it, and what
//! is stored keeps its own. An item stands below the nearest item before it with a smaller depth. Absent: whether a record
//! follows it (see `fit`).

use super::super::error::CatalogueRule;
use crate::{
    calendar::{Day, Window},
    identifier::{ItemCode, LayoutVersion},
    record::NullReason,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One version of a category's layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The version (版番号).
    pub version: LayoutVersion,
    /// The days on which rows may be registered in it.
    pub in_force: Window,
    /// Its repeatable groups; one stands after the one that it is under.
    pub data_sets: Vec<DataSet>,
}

/// A repeatable group of a layout (データセット).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// Its code.
    pub code: LayoutVersion,
    /// Its name in Japanese.
    pub ja: String,
    /// Its name in English.
    pub en: String,
    /// The data set under whose records its records stand; without one they stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<LayoutVersion>,
    /// Its items, in the order in which a record holds them.
    pub items: Vec<ItemRule>,
}

/// What an item is (項目).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemRule {
    /// Its code.
    pub code: ItemCode,
    /// How deep it stands below the record.
    pub depth: u8,
    /// Its name in Japanese.
    pub ja: String,
    /// Its name in English.
    pub en: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ValueKind,
    /// The most characters of a value; 4,000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u16>,
    /// For which reasons it may have no value.
    pub nulls: BTreeSet<NullReason>,
    /// The item's own version, which a row may repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<LayoutVersion>,
    /// Whether it may stand several times in a row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
}

/// What the values of an item are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    /// Any text, an empty one too.
    Text,
    /// A whole number in ASCII digits, with a minus sign if it is negative.
    Number,
    /// ASCII letters, digits and hyphens.
    Code,
    /// A day, `2026-04-01`.
    Day,
    /// A month, `2026-04`.
    Month,
    /// A year, `2026`.
    Year,
}

impl ValueKind {
    /// Whether a text is a value of this kind.
    #[must_use]
    pub fn takes(self, text: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Text => true,
            Self::Number => digits(text.strip_prefix('-').unwrap_or(text)),
            Self::Code => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            Self::Day => text.parse::<Day>().is_ok(),
            Self::Month => text.len() == 7 && format!("{text}-01").parse::<Day>().is_ok(),
            Self::Year => text.len() == 4 && digits(text),
        }
    }
}

impl Layout {
    /// The data set of this code.
    #[must_use]
    pub fn data_set(&self, code: &LayoutVersion) -> Option<&DataSet> {
        self.data_sets.iter().find(|set| set.code == *code)
    }

    /// The first rule that it breaks, and where below the layout.
    pub(super) fn broken(&self) -> Option<(String, CatalogueRule)> {
        self.data_sets.iter().enumerate().find_map(|(at, set)| {
            let earlier = self.data_sets.get(..at).unwrap_or_default();
            let place = |member: &str| format!("data_sets[{at}].{member}");
            if earlier.iter().any(|other| other.code == set.code) {
                return Some((place("code"), CatalogueRule::RepeatedDataSet));
            }
            if set.under.as_ref().is_some_and(|under| earlier.iter().all(|other| other.code != *under)) {
                return Some((place("under"), CatalogueRule::UnknownDataSet));
            }
            set.broken().map(|(member, rule)| (place(&member), rule))
        })
    }
}

impl DataSet {
    /// The item that this one stands below.
    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        let depth = self.items.get(at)?.depth;
        (0..at).rev().find(|above| self.items.get(*above).is_some_and(|item| item.depth < depth))
    }

    fn broken(&self) -> Option<(String, CatalogueRule)> {
        let mut seen = BTreeSet::new();
        let mut deepest = 1;
        self.items.iter().enumerate().find_map(|(at, item)| {
            let allowed = std::mem::replace(&mut deepest, item.depth.saturating_add(1)).min(9);
            if !seen.insert(&item.code) {
                return Some((format!("items[{at}].code"), CatalogueRule::RepeatedItem));
            }
            (item.depth > allowed).then(|| (format!("items[{at}].depth"), CatalogueRule::Depth))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_of_its_kind_or_not() {
        use ValueKind::{Code, Day, Month, Number, Text, Year};
        let good = [(Text, ""), (Text, "課税"), (Number, "-0120"), (Code, "2-B"), (Day, "2026-02-28"), (Month, "2026-12"), (Year, "2026")];
        for (kind, text) in good {
            assert!(kind.takes(text), "{kind:?} {text}");
        }
        let bad = [
            (Number, ""),
            (Number, "-"),
            (Number, "1,000"),
            (Number, "１２"),
            (Code, ""),
            (Code, "二"),
            (Day, "2026-02-30"),
            (Month, "2026-13"),
            (Month, "2026-1"),
            (Month, "2026-１"),
            (Year, "R8"),
        ];
        for (kind, text) in bad {
            assert!(!kind.takes(text), "{kind:?} {text}");
        }
    }
}
