//! What is attached to a person's records in one category (自己情報提供用添付ファイル).
//!
//! Always: at most three files, one for each key; a deleted one leaves a tombstone with its revision; none without a record:
//! with the last record of the category they are deleted too. What is shown of them, and when, follows the records. Absent:
//! the bytes, which are kept apart, so that whoever does not ask for them does not read them.

use super::{FileContent, FileDigest, FileFormat, FileName, PersonId, RecordName, Replaced, Revision};
use crate::identifier::{Category, PrincipalId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most files of one person in one category (design §10).
pub const ATTACHMENTS: usize = 3;
/// The most keys that are remembered, deleted ones included.
const KEYS: usize = 64;
/// What an attachment takes in a reply besides its content, in bytes.
const FRAME: usize = 1024;

/// A named official says that a file which no machine can read holds nothing that must not stand there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Who looked at it; a principal of the directory that acts for the tenant.
    pub official: PrincipalId,
}

/// A file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Its key in the category.
    pub key: RecordName,
    /// Its name, for people.
    pub name: FileName,
    /// What it is.
    #[serde(rename = "type")]
    pub format: FileFormat,
    /// How many bytes it has.
    pub size: u32,
    /// Their SHA-256.
    pub sha256: FileDigest,
    /// The unit that registered it.
    pub unit: RecordName,
    /// The user that registered it.
    pub user: RecordName,
    /// Who declared it, if anyone had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Declaration>,
}

/// An attachment or what is left of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Attached {
    /// Held.
    Live {
        /// The revision that put it.
        revision: Revision,
        /// The file.
        attachment: Attachment,
    },
    /// Deleted.
    Tombstone {
        /// The revision that deleted it, or that had put it when its last record was deleted.
        revision: Revision,
        /// The key it had.
        key: RecordName,
    },
}

impl Attached {
    const fn key(&self) -> &RecordName {
        match self {
            Self::Live { attachment, .. } => &attachment.key,
            Self::Tombstone { key, .. } => key,
        }
    }

    const fn revision(&self) -> Revision {
        match self {
            Self::Live { revision, .. } | Self::Tombstone { revision, .. } => *revision,
        }
    }
}

/// Why an attachment finds no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// There are as many as there may be.
    Attachments,
    /// There are as many keys as are remembered.
    Keys,
}

/// All that is attached to a person's records in one category, tombstones included, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attachments(Vec<Attached>);

impl Attachments {
    /// The files that are held.
    pub fn files(&self) -> impl Iterator<Item = &Attachment> {
        self.0.iter().filter_map(|attached| match attached {
            Attached::Live { attachment, .. } => Some(attachment),
            Attached::Tombstone { .. } => None,
        })
    }

    /// Whether nothing is known of any, deleted ones included.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes they take as JSON, with their content.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.files().map(|file| FRAME + FileContent::encoded(file.size as usize)).sum()
    }

    /// Puts an attachment, or its tombstone, in the place of its namesake, if its revision is higher.
    ///
    /// # Errors
    /// [`NoPlace`] if there are too many; nothing changes.
    pub fn replace(&mut self, attached: Attached) -> Result<Replaced, NoPlace> {
        let place = self.0.binary_search_by(|held| held.key().cmp(attached.key()));
        let held = place.ok().and_then(|at| self.0.get(at));
        if held.is_some_and(|held| held.revision() >= attached.revision()) {
            return Ok(Replaced::Superseded);
        }
        if held.is_none() && self.0.len() >= KEYS {
            return Err(NoPlace::Keys);
        }
        let others = self.files().filter(|file| file.key != *attached.key()).count();
        if matches!(attached, Attached::Live { .. }) && others >= ATTACHMENTS {
            return Err(NoPlace::Attachments);
        }
        match place {
            Ok(at) => self.0.iter_mut().skip(at).take(1).for_each(|held| *held = attached.clone()),
            Err(at) => self.0.insert(at, attached),
        }
        Ok(Replaced::Yes)
    }

    /// The same with every file deleted: a newer revision may put each again.
    #[must_use]
    pub fn deleted(&self) -> Self {
        let tombstone = |attached: &Attached| Attached::Tombstone { revision: attached.revision(), key: attached.key().clone() };
        Self(self.0.iter().map(tombstone).collect())
    }
}

/// How attachments change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachmentChange {
    /// All of them as they are from now on.
    pub list: Attachments,
    /// The bytes of those that are new or replaced, by key; those of the others stay.
    pub contents: BTreeMap<RecordName, FileContent>,
}

/// Which bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentName {
    /// Whose.
    pub person: PersonId,
    /// In which category.
    pub category: Category,
    /// Of which attachment.
    pub key: RecordName,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn live(key: &str, revision: Revision) -> Attached {
        let bytes = revision.to_be_bytes();
        let attachment = Attachment {
            key: key.parse().unwrap(),
            name: "a.txt".parse().unwrap(),
            format: FileFormat::Text,
            size: 8,
            sha256: FileDigest::of(&bytes),
            unit: "u".parse().unwrap(),
            user: "u".parse().unwrap(),
            declaration: None,
        };
        Attached::Live { revision, attachment }
    }

    #[test]
    fn a_fourth_file_finds_no_place_until_one_is_deleted() {
        let mut held = Attachments::default();
        for key in ["a", "b", "c"] {
            assert_eq!(held.replace(live(key, 1)), Ok(Replaced::Yes));
        }
        assert_eq!(held.replace(live("d", 1)), Err(NoPlace::Attachments));
        assert_eq!(held.replace(live("c", 2)), Ok(Replaced::Yes));
        assert_eq!(held.replace(Attached::Tombstone { revision: 2, key: "b".parse().unwrap() }), Ok(Replaced::Yes));
        assert_eq!(held.replace(live("b", 2)), Ok(Replaced::Superseded));
        assert_eq!(held.replace(live("d", 1)), Ok(Replaced::Yes));
        assert_eq!(held.files().map(|file| file.key.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
        assert_eq!(held.deleted().files().count(), 0);
    }

    proptest! {
        #[test]
        fn the_highest_revision_of_each_key_stays_whatever_the_order(changes in prop::collection::vec((0_u8..3, 1_u64..9, any::<bool>()), 0..24)) {
            let mut held = Attachments::default();
            let mut newest: BTreeMap<u8, (Revision, bool)> = BTreeMap::new();
            for (key, revision, put) in changes {
                let name = key.to_string();
                let change = if put { live(&name, revision) } else { Attached::Tombstone { revision, key: name.parse().unwrap() } };
                let newer = newest.get(&key).is_none_or(|(held, _)| *held < revision);
                let expected = if newer { Replaced::Yes } else { Replaced::Superseded };
                prop_assert_eq!(held.replace(change), Ok(expected));
                if newer {
                    newest.insert(key, (revision, put));
                }
            }
            prop_assert_eq!(held.files().count(), newest.values().filter(|(_, put)| *put).count());
            prop_assert_eq!(held.deleted().0.iter().map(Attached::revision).collect::<Vec<_>>(), held.0.iter().map(Attached::revision).collect::<Vec<_>>());
        }
    }
}
