//! Rows of `record.put` and `record.delete`: each has its own result, and one that breaks a rule is refused alone.
//!
//! Always: rows take effect in their order; all of them and their results commit together. What needs no look-up is judged
//! first: the catalogue, the tenant's own categories, the guards. Absent: what a row meets in the vault (see `standing`).

use super::{
    Context, Denial, Facts, Outcome,
    standing::{Room, Standing},
};
use crate::{
    directory::{Misfit, catalogue::Entry},
    envelope::strict_json::{self, JsonError},
    identifier::{AddresseeNumber, Category, MessageClass, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{
        FilePlace, FileRefusal, Listing, PersonNeed, Place, RecordName, Replaced, Row, View,
        guard::{self, Hit},
    },
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
};

/// The most rows of one message.
const ROWS: usize = 500;

/// What a row changes: one named row in one category of one person.
#[derive(Debug)]
pub(super) struct RowChange {
    pub(super) person: AddresseeNumber,
    pub(super) category: Category,
    pub(super) row: Row,
}

/// Why a row was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowRefusal {
    /// It has not the form that `schemas/` gives it.
    Form(JsonError),
    /// The catalogue does not know its category.
    UnknownCategory,
    /// The tenant does not provide its category.
    NotProvided,
    /// It does not follow the layout that it names.
    Misfit(Misfit),
    /// An earlier row of the message has its registration number.
    RepeatedNumber,
    /// The record that it stands under is not held.
    UnknownParent,
    /// Records stand under the one that it would delete.
    HasChildren,
    /// A text in it holds the person's integrated addressee number, which must never leave.
    AddresseeInText(Place),
    /// A text in it holds a number or a basic datum that must not stand there.
    Forbidden {
        /// Which text.
        place: Place,
        /// What, and where in it.
        hit: Hit,
    },
    /// With it the person would have more in this category than a reply can carry.
    CategoryFull,
    /// The other rows touch or rewrite as much as one message may.
    MessageFull,
    /// Nothing may be attached where no record is.
    NoRecord,
    /// As many files are attached as may be.
    TooManyAttachments,
    /// The file is not kept.
    File(FileRefusal),
    /// No machine can read the file, and nobody declared what is in it.
    Undeclared,
    /// Nobody of that name acts for a unit that is responsible for the category.
    UnknownOfficial,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(super) enum RowResult {
    Stored,
    Deleted,
    Superseded,
    Refused(Refusal),
}

/// Why a row was refused, as its author reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub(super) struct Refusal {
    code: &'static str,
    /// Where in the row's own text: the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The column in bytes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// Which member of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The character in it, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    /// The page and line of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_file: Option<FilePlace>,
}

impl From<RowRefusal> for RowResult {
    fn from(refusal: RowRefusal) -> Self {
        let of = |code| Refusal { code, ..Refusal::default() };
        Self::Refused(match refusal {
            RowRefusal::Form(error) => Refusal { line: Some(error.line), column: Some(error.column), ..of(error.reason()) },
            RowRefusal::AddresseeInText(place) => Refusal { place: Some(place), ..of("addressee-in-text") },
            RowRefusal::Forbidden { place, hit } => Refusal { place: Some(place), at: Some(hit.at), ..of(hit.found.code()) },
            RowRefusal::UnknownCategory => Refusal { place: Some(Place::Category), ..of("unknown-category") },
            RowRefusal::NotProvided => Refusal { place: Some(Place::Category), ..of("not-provided") },
            RowRefusal::Misfit(Misfit { place, fault }) => Refusal { place: Some(place), ..of(fault.code()) },
            RowRefusal::RepeatedNumber => Refusal { place: Some(Place::RegistrationNumber), ..of("repeated-number") },
            RowRefusal::UnknownParent => Refusal { place: Some(Place::Parent), ..of("unknown-parent") },
            RowRefusal::HasChildren => Refusal { place: Some(Place::Key), ..of("has-children") },
            RowRefusal::CategoryFull => of("category-full"),
            RowRefusal::MessageFull => of("message-full"),
            RowRefusal::NoRecord => Refusal { place: Some(Place::Category), ..of("no-record") },
            RowRefusal::TooManyAttachments => Refusal { place: Some(Place::AttachmentKey), ..of("too-many-attachments") },
            RowRefusal::File(file) => Refusal { place: Some(Place::FileContent), in_file: file.place(), ..of(file.code()) },
            RowRefusal::Undeclared => Refusal { place: Some(Place::FileContent), ..of("undeclared") },
            RowRefusal::UnknownOfficial => Refusal { place: Some(Place::Official), ..of("unknown-official") },
        })
    }
}

#[derive(Serialize)]
pub(super) struct RowReport {
    pub(super) row: usize,
    #[serde(flatten)]
    pub(super) result: RowResult,
}

#[derive(Serialize)]
pub(super) struct Reply {
    pub(super) status: &'static str,
    pub(super) rows: Vec<RowReport>,
}

/// The rows of a message; a row that has not its form stands as a refusal.
#[derive(Debug)]
pub(super) struct Rows<T>(pub(super) Vec<Result<T, RowRefusal>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowVisitor(PhantomData))
    }
}

/// Reads rows one by one and keeps none beyond the limit: a message of a few MiB may name millions.
struct RowVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for RowVisitor<T> {
    type Value = Rows<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows<T>, A::Error> {
        let mut kept = Vec::new();
        while let Some(row) = rows.next_element::<&'de RawValue>()? {
            if kept.len() > ROWS {
                while rows.next_element::<IgnoredAny>()?.is_some() {}
                kept.clear();
                break;
            }
            kept.push(strict_json::from_str(row.get()).map_err(RowRefusal::Form));
        }
        Ok(Rows(kept))
    }
}

impl<T: Into<RowChange>> Rows<T> {
    pub(super) fn into_changes(self) -> Changes {
        Changes(self.0.into_iter().map(|row| row.map(Into::into)).collect())
    }
}

/// What the rows of a message change.
#[derive(Debug)]
pub(super) struct Changes(Vec<Result<RowChange, RowRefusal>>);

impl Changes {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        self.well_formed().map(|change| PersonName::Addressee(change.person.clone())).collect()
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        let mut needs = BTreeMap::<&AddresseeNumber, BTreeSet<&Category>>::new();
        for change in self.well_formed() {
            needs.entry(&change.person).or_default().insert(&change.category);
        }
        let need = |(person, categories): (&AddresseeNumber, BTreeSet<&Category>)| PersonNeed {
            name: PersonName::Addressee(person.clone()),
            categories: categories.into_iter().cloned().collect(),
            // What is attached shares a record's end, and the room for it.
            attachments: Listing::Shown,
        };
        needs.into_iter().map(need).collect()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if !context.tenant.serves(MessageClass::Record, context.now.day_in_japan()) {
            return Outcome::denied(Denial::NotInService, LegalBasis::RegisteredCopies);
        }
        if self.0.is_empty() || self.0.len() > ROWS {
            return Outcome::denied(Denial::RowCount, LegalBasis::RegisteredCopies);
        }
        let names: BTreeSet<_> = self.well_formed().map(|change| change.person.clone()).collect();
        let mut persons: BTreeMap<_, _> = names.into_iter().zip(view.persons).map(|(name, seen)| (name, Standing::of(seen))).collect();
        let mut counts = BTreeMap::<Category, u32>::new();
        let mut rows = Vec::with_capacity(self.0.len());
        let mut room = Room::default();
        let mut numbers = BTreeSet::new();
        for (row, change) in self.0.into_iter().enumerate() {
            let result = match change.and_then(|change| admissible(change, context, &mut numbers)) {
                Err(refusal) => refusal.into(),
                Ok(RowChange { person, category, row }) => {
                    let done = match row {
                        Row::Live { .. } => RowResult::Stored,
                        Row::Tombstone { .. } => RowResult::Deleted,
                    };
                    let standing = persons.entry(person).or_default();
                    match standing.replace(&category, row, context, &mut room) {
                        Err(refusal) => refusal.into(),
                        Ok(Replaced::Superseded) => RowResult::Superseded,
                        Ok(Replaced::Yes) => {
                            *counts.entry(category).or_default() += 1;
                            done
                        }
                    }
                }
            };
            rows.push(RowReport { row, result });
        }
        let changes: Vec<_> = persons.into_iter().filter_map(|(name, standing)| standing.into_change(&name, context)).collect();
        let facts = Facts {
            subjects: changes.iter().map(|change| change.id).collect(),
            categories: counts
                .into_iter()
                .map(|(category, records)| {
                    let gone = changes.iter().filter(|change| change.attachments.contains_key(&category)).count();
                    CategoryOutcome { category, cause: Cause::Changed, records, attachments: u32::try_from(gone).unwrap_or(u32::MAX) }
                })
                .collect(),
            ..Facts::of(LegalBasis::RegisteredCopies)
        };
        Outcome::answered(changes, facts, &Reply { status: "answered", rows })
    }

    fn well_formed(&self) -> impl Iterator<Item = &RowChange> {
        self.0.iter().filter_map(|change| change.as_ref().ok())
    }
}

/// The rules of a row that need no view. `numbers` are the registration numbers of the rows before.
fn admissible(change: RowChange, context: &Context<'_>, numbers: &mut BTreeSet<RecordName>) -> Result<RowChange, RowRefusal> {
    match &change.row {
        Row::Live { record, .. } => {
            if !numbers.insert(record.registration_number.clone()) {
                return Err(RowRefusal::RepeatedNumber);
            }
            let entry = known(&change.category, context)?;
            entry.fits(record, context.now.day_in_japan()).map_err(RowRefusal::Misfit)?;
        }
        // What is held can be deleted, whatever has become of its category and layout.
        Row::Tombstone { .. } => {}
    }
    let own = change.person.as_bytes();
    change.row.texts().try_for_each(|(place, text)| guarded(place, text, own))?;
    Ok(change)
}

/// A category that the catalogue knows and the tenant provides.
pub(super) fn known<'a>(category: &Category, context: &Context<'a>) -> Result<&'a Entry, RowRefusal> {
    let entry = context.catalogue.entry(category).ok_or(RowRefusal::UnknownCategory)?;
    if context.tenant.provides(category) { Ok(entry) } else { Err(RowRefusal::NotProvided) }
}

/// The guards over one text of a row.
pub(super) fn guarded(place: Place, text: &str, own: &[u8]) -> Result<(), RowRefusal> {
    if guard::holds_digits(text, own) {
        return Err(RowRefusal::AddresseeInText(place));
    }
    guard::text(text).map_err(|hit| RowRefusal::Forbidden { place, hit })
}
