//! A person in a vault: a random id, the names it has and had, and what a command asks to see of it.
//!
//! Always: the id says nothing about the person; names are links to it. Absent: how a name finds the id.

use super::{AttachmentChange, Attachments, ContentName, FileContent, Holding, Restricted, Revision};
use crate::{
    calendar::Timestamp,
    identifier::{AddresseeNumber, Category, PersonCode, PersonName},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A person's random id in one vault. It never leaves the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonId(pub [u8; 16]);

/// A name that a person no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerName {
    /// The code.
    pub code: PersonCode,
    /// Until when it was the person's.
    pub until: Timestamp,
    /// Why it is the person's no longer.
    #[serde(default)]
    pub end: CodeEnd,
}

/// Why a code is a person's no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeEnd {
    /// Another took its place.
    #[default]
    Replaced,
    /// The tenant revoked it.
    Revoked,
}

/// Whether the tenant must confirm that code and person belong together before anything is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// No.
    #[default]
    NotNeeded,
    /// It must, and has not yet.
    Awaited,
}

/// The head row of a person: its names and their revision, and what is held back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// The tenant's own number, once known.
    pub addressee: Option<AddresseeNumber>,
    /// The code, once acquired.
    pub code: Option<PersonCode>,
    /// Codes it had before, oldest first.
    pub former: Vec<FormerName>,
    /// Whether its code must be confirmed before anything is provided; see [`Head::link_state`].
    #[serde(default)]
    pub confirmation: Confirmation,
    /// The revision of the last `person.link` in effect; 0 before the first.
    pub revision: Revision,
    /// What is held back.
    #[serde(default)]
    pub restricted: Restricted,
    /// When everything of the person was erased; until a newer `person.link` nothing is taken in. An erased person holds
    /// nothing, whatever a change names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Timestamp>,
}

/// A person as a command sees it: the head, and of the categories asked for those that hold something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id in this vault.
    pub id: PersonId,
    /// The names.
    pub head: Head,
    /// What is held, of the categories that were asked for.
    pub holdings: BTreeMap<Category, Holding>,
    /// What is attached in those categories, if that was asked for too.
    pub attachments: BTreeMap<Category, Attachments>,
    /// Categories that were asked for and not looked into, whether they hold anything or not: the view shows enough already.
    pub unread: BTreeSet<Category>,
}

/// What a command needs to see of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonNeed {
    /// By which name.
    pub name: PersonName,
    /// Which categories.
    pub categories: Vec<Category>,
    /// Whether the list of what is attached there, too.
    pub attachments: Listing,
}

/// Whether the list of attachments is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is.
    Shown,
    /// It is not even read.
    Left,
}

/// What the vault showed: one answer per need, in the same order; `None` where nobody has the name. It holds no more than fits
/// in memory beside others; what is beyond is named as unread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The persons, in the order of the needs.
    pub persons: Vec<Option<Person>>,
    /// The bytes of attachments that the command wanted, once it had seen the persons.
    pub contents: BTreeMap<ContentName, FileContent>,
}

/// The new state of one person; what is not named here stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonChange {
    /// Which person; may be new.
    pub id: PersonId,
    /// The whole new head.
    pub head: Head,
    /// Names that now lead to this person.
    pub linked: Vec<PersonName>,
    /// Names that no longer lead to anyone.
    pub unlinked: Vec<PersonName>,
    /// New holdings, by category; an empty holding takes the category away, with all that is attached.
    pub holdings: BTreeMap<Category, Holding>,
    /// New attachments, by category; a blank list takes them away without a trace.
    pub attachments: BTreeMap<Category, AttachmentChange>,
}

impl PersonNeed {
    /// The head alone.
    #[must_use]
    pub const fn head(name: PersonName) -> Self {
        Self { name, categories: Vec::new(), attachments: Listing::Left }
    }
}

impl PersonChange {
    /// A change of a known person that so far changes nothing.
    #[must_use]
    pub fn of(person: &Person) -> Self {
        Self {
            id: person.id,
            head: person.head.clone(),
            linked: Vec::new(),
            unlinked: Vec::new(),
            holdings: BTreeMap::new(),
            attachments: BTreeMap::new(),
        }
    }

    /// A person who is new here, known so far by the tenant's own number.
    #[must_use]
    pub fn newcomer(id: PersonId, addressee: &AddresseeNumber) -> Self {
        Self {
            id,
            head: Head { addressee: Some(addressee.clone()), ..Head::default() },
            linked: vec![PersonName::Addressee(addressee.clone())],
            unlinked: Vec::new(),
            holdings: BTreeMap::new(),
            attachments: BTreeMap::new(),
        }
    }

    /// The first word about everybody: a head without a person.
    #[must_use]
    pub fn everybody(id: PersonId) -> Self {
        Self {
            id,
            head: Head::default(),
            linked: vec![PersonName::Everybody],
            unlinked: Vec::new(),
            holdings: BTreeMap::new(),
            attachments: BTreeMap::new(),
        }
    }
}
