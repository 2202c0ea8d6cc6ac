//! What a tenant holds of one person in one category.
//!
//! Always: at most one row per (data set, record key); rows are sorted by that name; the highest revision stays.

use super::{Item, ItemValue};
use crate::{
    calendar::Window,
    identifier::{IdentifierError, LayoutVersion, text::as_text},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The author's own count of changes to one key; a lower or equal one than what is held has no effect.
pub type Revision = u64;

/// A short text from the tenant: record key, registration number, unit or user. 1 to 64 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName(Box<str>);

impl RecordName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecordName {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(IdentifierError::RecordName) }
    }
}

as_text!(RecordName);

impl fmt::Debug for RecordName {
    /// The tenant chooses these texts; they may hold anything, so they are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordName(…)")
    }
}

/// One record: a row of a data set with its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The repeatable group it belongs to.
    pub data_set: LayoutVersion,
    /// Its name in the data set.
    pub record_key: RecordName,
    /// The record it stands under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RecordName>,
    /// The layout its items follow; a stored record keeps its own.
    pub layout_version: LayoutVersion,
    /// The days on which it is shown (公開開始日・公開終了日).
    pub publication: Window,
    /// Its number in the registration file.
    pub registration_number: RecordName,
    /// The unit that registered it.
    pub unit: RecordName,
    /// The user that registered it.
    pub user: RecordName,
    /// Its values, flat, with their depth.
    pub items: Vec<Item>,
}

/// Where in a row a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The category.
    Category,
    /// The record's data set.
    DataSet,
    /// The record's layout version.
    LayoutVersion,
    /// The record's key.
    RecordKey,
    /// The key of the record above it.
    Parent,
    /// The registration number.
    RegistrationNumber,
    /// The unit.
    Unit,
    /// The user.
    User,
    /// The code of an item, counted from 0.
    Code(usize),
    /// Its depth.
    Depth(usize),
    /// Its value.
    Value(usize),
    /// Why it has no value.
    Reason(usize),
    /// Its own version.
    Version(usize),
    /// The key of a record that is to be deleted.
    Key,
    /// The key of an attachment.
    AttachmentKey,
    /// The key of an attachment that is to be deleted.
    DeletedAttachmentKey,
    /// The unit that attaches it.
    AttachmentUnit,
    /// The user that attaches it.
    AttachmentUser,
    /// The official who declares what is in it.
    Official,
    /// The name of a file.
    FileName,
    /// A file.
    FileContent,
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (item, member) = match self {
            Self::Code(item) => (item, "code"),
            Self::Depth(item) => (item, "depth"),
            Self::Value(item) => (item, "value"),
            Self::Reason(item) => (item, "reason"),
            Self::Version(item) => (item, "version"),
            Self::Category => return f.write_str("category"),
            Self::DataSet => return f.write_str("record.data_set"),
            Self::LayoutVersion => return f.write_str("record.layout_version"),
            Self::RecordKey => return f.write_str("record.record_key"),
            Self::Parent => return f.write_str("record.parent"),
            Self::RegistrationNumber => return f.write_str("record.registration_number"),
            Self::Unit => return f.write_str("record.unit"),
            Self::User => return f.write_str("record.user"),
            Self::Key => return f.write_str("record_key"),
            Self::AttachmentKey => return f.write_str("attachment.attachment_key"),
            Self::DeletedAttachmentKey => return f.write_str("attachment_key"),
            Self::AttachmentUnit => return f.write_str("attachment.unit"),
            Self::AttachmentUser => return f.write_str("attachment.user"),
            Self::Official => return f.write_str("attachment.declaration.official"),
            Self::FileName => return f.write_str("attachment.name"),
            Self::FileContent => return f.write_str("attachment.content"),
        };
        write!(f, "record.items[{item}].{member}")
    }
}

/// A record or what is left of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Row {
    /// Held.
    Live {
        /// The revision that put it.
        revision: Revision,
        /// The record.
        record: Record,
    },
    /// Deleted.
    Tombstone {
        /// The revision that deleted it.
        revision: Revision,
        /// The data set it was in.
        data_set: LayoutVersion,
        /// The name it had.
        record_key: RecordName,
    },
}

impl Row {
    /// Data set and record key.
    #[must_use]
    pub const fn name(&self) -> (&LayoutVersion, &RecordName) {
        match self {
            Self::Live { record, .. } => (&record.data_set, &record.record_key),
            Self::Tombstone { data_set, record_key, .. } => (data_set, record_key),
        }
    }

    /// The revision that made it what it is.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Live { revision, .. } | Self::Tombstone { revision, .. } => *revision,
        }
    }
}

impl Row {
    /// Every text in it that its author chose freely, with its place.
    pub fn texts(&self) -> impl Iterator<Item = (Place, &str)> {
        let (record, key) = match self {
            Self::Live { record, .. } => (Some(record), None),
            Self::Tombstone { record_key, .. } => (None, Some((Place::Key, record_key.as_str()))),
        };
        let of_record = record.into_iter().flat_map(|record| {
            let names = [
                (Place::RecordKey, record.record_key.as_str()),
                (Place::RegistrationNumber, record.registration_number.as_str()),
                (Place::Unit, record.unit.as_str()),
                (Place::User, record.user.as_str()),
            ];
            let parent = record.parent.as_ref().map(|parent| (Place::Parent, parent.as_str()));
            let values = record.items.iter().enumerate().filter_map(|(at, item)| match &item.value {
                ItemValue::Text(text) => Some((Place::Value(at), text.as_str())),
                ItemValue::Null(_) => None,
            });
            names.into_iter().chain(parent).chain(values)
        });
        key.into_iter().chain(of_record)
    }
}

impl Row {
    /// About how many bytes it takes as JSON.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FRAME: usize = 256;
        const ITEM: usize = 96;
        match self {
            Self::Live { record, .. } => {
                let value = |item: &Item| match &item.value {
                    ItemValue::Text(text) => text.len(),
                    ItemValue::Null(_) => 0,
                };
                record.items.iter().fold(FRAME, |sum, item| sum + ITEM + value(item))
            }
            Self::Tombstone { .. } => FRAME,
        }
    }
}

/// Whether a change was newer than what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The change is in effect.
    Yes,
    /// What is held is as new or newer; nothing changed.
    Superseded,
}

/// All rows of one person in one category, tombstones included.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holding {
    rows: Vec<Row>,
}

impl Holding {
    /// Every row, sorted by name.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The records that are held, tombstones left out.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.rows.iter().filter_map(|row| match row {
            Row::Live { record, .. } => Some(record),
            Row::Tombstone { .. } => None,
        })
    }

    /// The record of this name, if it is held and not deleted.
    #[must_use]
    pub fn record(&self, data_set: &LayoutVersion, key: &RecordName) -> Option<&Record> {
        let at = self.rows.binary_search_by(|held| held.name().cmp(&(data_set, key))).ok()?;
        match self.rows.get(at)? {
            Row::Live { record, .. } => Some(record),
            Row::Tombstone { .. } => None,
        }
    }

    /// About how many bytes it takes as JSON.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.rows.iter().map(Row::weight).sum()
    }

    /// What a row would free and take here, in bytes as [`Holding::weight`] counts them; `None` if it would be superseded.
    #[must_use]
    pub fn exchange(&self, row: &Row) -> Option<(usize, usize)> {
        match self.namesake(row).ok().and_then(|at| self.rows.get(at)) {
            Some(held) if held.revision() >= row.revision() => None,
            Some(held) => Some((held.weight(), row.weight())),
            None => Some((0, row.weight())),
        }
    }

    fn namesake(&self, row: &Row) -> Result<usize, usize> {
        self.rows.binary_search_by(|held| held.name().cmp(&row.name()))
    }

    /// Puts a row in the place of its namesake, if its revision is higher.
    pub fn replace(&mut self, row: Row) -> Replaced {
        match self.namesake(&row) {
            Ok(at) => match self.rows.get_mut(at) {
                Some(held) if held.revision() < row.revision() => {
                    *held = row;
                    Replaced::Yes
                }
                _ => Replaced::Superseded,
            },
            Err(at) => {
                self.rows.insert(at, row);
                Replaced::Yes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(key: &str, revision: Revision) -> Row {
        Row::Tombstone { revision, data_set: "0001".parse().unwrap(), record_key: key.parse().unwrap() }
    }

    #[test]
    fn the_highest_revision_stays_whatever_the_order() {
        let mut holding = Holding::default();
        assert_eq!(holding.replace(tombstone("b", 2)), Replaced::Yes);
        assert_eq!(holding.replace(tombstone("b", 2)), Replaced::Superseded);
        assert_eq!(holding.replace(tombstone("b", 1)), Replaced::Superseded);
        assert_eq!(holding.replace(tombstone("b", 3)), Replaced::Yes);
        assert_eq!(holding.replace(tombstone("a", 1)), Replaced::Yes);
        assert_eq!(holding.rows().iter().map(Row::revision).collect::<Vec<_>>(), [1, 3]);
    }
}
