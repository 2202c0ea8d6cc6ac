//! Rows of `record.put` and `record.delete`: each has its own result, and one that breaks a rule is refused alone.
//!
//! Always: rows take effect in their order; all of them and their results commit together. Absent: the catalogue's layouts.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    envelope::strict_json::{self, JsonError},
    identifier::{AddresseeNumber, Category, MessageClass, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{
        Holding, Person, PersonChange, PersonNeed, Place, Replaced, Row, View,
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
    AddresseeInText(Place),
    /// A text in it holds a number that must not stand there.
    Forbidden {
        /// Which text.
        place: Place,
        /// What, and where in it.
        hit: Hit,
    },
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
    Refused(Refusal),
}

/// Why a row was refused, as its author reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
struct Refusal {
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
}

impl From<RowRefusal> for RowResult {
    fn from(refusal: RowRefusal) -> Self {
        let of = |code| Refusal { code, ..Refusal::default() };
        Self::Refused(match refusal {
            RowRefusal::Form(error) => Refusal { line: Some(error.line), column: Some(error.column), ..of(error.reason()) },
            RowRefusal::AddresseeInText(place) => Refusal { place: Some(place), ..of("addressee-in-text") },
            RowRefusal::Forbidden { place, hit } => Refusal { place: Some(place), at: Some(hit.at), ..of(hit.found.code()) },
            RowRefusal::UnknownCategory => of("unknown-category"),
            RowRefusal::CategoryFull => of("category-full"),
            RowRefusal::MessageFull => of("message-full"),
        })
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
            names.into_iter().zip(view.persons).map(|(name, seen)| (name, Standing { seen, ..Standing::default() })).collect();
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
                    let standing = persons.entry(person).or_default();
                    match standing.replace(&category, row, &mut room) {
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
    let own = change.person.as_bytes();
    for (place, text) in change.row.texts() {
        if guard::holds_digits(text, own) {
            return Err(RowRefusal::AddresseeInText(place));
        }
        guard::numbers(text).map_err(|hit| RowRefusal::Forbidden { place, hit })?;
    }
    Ok(change)
}

/// A person while the rows of one message take effect.
#[derive(Default)]
struct Standing {
    seen: Option<Person>,
    /// What the rows so far have made of each holding.
    changed: BTreeMap<Category, Weighed>,
}

/// A holding and what it weighs.
struct Weighed {
    holding: Holding,
    weight: usize,
}

impl Standing {
    fn replace(&mut self, category: &Category, row: Row, room: &mut usize) -> Result<Replaced, RowRefusal> {
        let seen = self.seen.as_ref().and_then(|person| person.holdings.get(category));
        let (holding, weight, charged) = match self.changed.get(category) {
            Some(changed) => (Some(&changed.holding), changed.weight, changed.weight),
            None => (seen, seen.map_or(0, Holding::weight), 0),
        };
        let Some((without, with)) = holding.map_or(Some((0, row.weight())), |holding| holding.exchange(&row)) else {
            return Ok(Replaced::Superseded);
        };
        let weight = weight - without + with;
        if weight > HOLDING_BYTES {
            return Err(RowRefusal::CategoryFull);
        }
        // A holding is written once and whole, however many rows of this message change it.
        *room = (*room + charged).checked_sub(weight).ok_or(RowRefusal::MessageFull)?;
        let new = || Weighed { holding: seen.cloned().unwrap_or_default(), weight };
        let changed = self.changed.entry(category.clone()).or_insert_with(new);
        changed.weight = weight;
        Ok(changed.holding.replace(row))
    }

    fn into_change(self, name: &AddresseeNumber, context: &Context<'_>) -> Option<PersonChange> {
        if self.changed.is_empty() {
            return None;
        }
        let mut change = match &self.seen {
            Some(person) => PersonChange::of(person),
            None => PersonChange::newcomer((context.fresh)(), name),
        };
        change.holdings.extend(self.changed.into_iter().map(|(category, changed)| (category, changed.holding)));
        Some(change)
    }
}
