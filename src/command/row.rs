//! Rows of `record.put` and `record.delete`: each has its own result, and one that breaks a rule is refused alone.
//!
//! Always: rows take effect in their order; all of them and their results commit together. Absent: the catalogue's layouts.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    envelope::strict_json::{self, JsonError},
    identifier::{AddresseeNumber, Category, MessageClass, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{Holding, Person, PersonChange, PersonNeed, Replaced, Row, View},
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
/// The most that one person may have in one category, in bytes of text: what a reply can surely carry.
const HOLDING_BYTES: usize = 4 << 20;
/// The most that the rows of one message may rewrite, in bytes of text: holdings are written whole.
const MESSAGE_BYTES: usize = 64 << 20;

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
    /// A text in it holds the person's integrated addressee number, which must never leave.
    AddresseeInText,
    /// With it the person would have more in this category than a reply can carry.
    CategoryFull,
    /// The rows before it rewrite as much as one message may.
    MessageFull,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
enum RowResult {
    Stored,
    Deleted,
    Superseded,
    Refused {
        code: &'static str,
        /// Where in the row's own text: the line, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        /// The column in bytes, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
    },
}

impl From<RowRefusal> for RowResult {
    fn from(refusal: RowRefusal) -> Self {
        let (code, place) = match refusal {
            RowRefusal::Form(error) => (error.reason(), Some((error.line, error.column))),
            RowRefusal::UnknownCategory => ("unknown-category", None),
            RowRefusal::AddresseeInText => ("addressee-in-text", None),
            RowRefusal::CategoryFull => ("category-full", None),
            RowRefusal::MessageFull => ("message-full", None),
        };
        let (line, column) = place.unzip();
        Self::Refused { code, line, column }
    }
}

#[derive(Serialize)]
struct RowReport {
    row: usize,
    #[serde(flatten)]
    result: RowResult,
}

#[derive(Serialize)]
struct Reply {
    status: &'static str,
    rows: Vec<RowReport>,
}

/// The rows of a message; a row that has not its form stands as a refusal.
#[derive(Debug)]
pub(super) struct Rows<T>(Vec<Result<T, RowRefusal>>);

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
        let mut persons: BTreeMap<_, _> =
            names.into_iter().zip(view.persons).map(|(name, seen)| (name, Standing { seen, change: None })).collect();
        let mut counts = BTreeMap::<Category, u32>::new();
        let mut rows = Vec::with_capacity(self.0.len());
        let mut room = MESSAGE_BYTES;
        for (row, change) in self.0.into_iter().enumerate() {
            let result = match change.and_then(|change| admissible(change, context)) {
                Err(refusal) => refusal.into(),
                Ok(RowChange { person, category, row }) => {
                    let done = match row {
                        Row::Live { .. } => RowResult::Stored,
                        Row::Tombstone { .. } => RowResult::Deleted,
                    };
                    let standing = persons.entry(person.clone()).or_default();
                    match standing.replace(&person, &category, row, context, &mut room) {
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
        let changes: Vec<_> = persons.into_values().filter_map(|standing| standing.change).collect();
        let facts = Facts {
            basis: LegalBasis::RegisteredCopies,
            authenticated: None,
            subjects: changes.iter().map(|change| change.id).collect(),
            categories: counts
                .into_iter()
                .map(|(category, records)| CategoryOutcome { category, cause: Cause::Changed, records })
                .collect(),
        };
        Outcome::answered(changes, facts, &Reply { status: "answered", rows })
    }

    fn well_formed(&self) -> impl Iterator<Item = &RowChange> {
        self.0.iter().filter_map(|change| change.as_ref().ok())
    }
}

/// The rules of a row that need no view.
fn admissible(change: RowChange, context: &Context<'_>) -> Result<RowChange, RowRefusal> {
    if !context.catalogue.knows(&change.category) {
        return Err(RowRefusal::UnknownCategory);
    }
    if change.row.holds_text(change.person.as_bytes()) {
        return Err(RowRefusal::AddresseeInText);
    }
    Ok(change)
}

/// A person while the rows of one message take effect.
#[derive(Default)]
struct Standing {
    seen: Option<Person>,
    change: Option<PersonChange>,
}

impl Standing {
    fn replace(
        &mut self,
        name: &AddresseeNumber,
        category: &Category,
        row: Row,
        context: &Context<'_>,
        room: &mut usize,
    ) -> Result<Replaced, RowRefusal> {
        let changed = self.change.as_ref().and_then(|change| change.holdings.get(category));
        let seen = self.seen.as_ref().and_then(|person| person.holdings.get(category));
        let mut holding: Holding = changed.or(seen).cloned().unwrap_or_default();
        let replaced = holding.replace(row);
        if replaced == Replaced::Yes {
            let weight = holding.weight();
            if weight > HOLDING_BYTES {
                return Err(RowRefusal::CategoryFull);
            }
            *room = room.checked_sub(weight).ok_or(RowRefusal::MessageFull)?;
            let change = self.change.get_or_insert_with(|| match &self.seen {
                Some(person) => PersonChange::of(person),
                None => PersonChange::newcomer((context.fresh)(), name),
            });
            change.holdings.insert(category.clone(), holding);
        }
        Ok(replaced)
    }
}
