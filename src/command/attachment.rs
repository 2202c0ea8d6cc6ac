//! Rows of `attachment.put` and `attachment.delete`: files that are bound to a person's records in one category.
//!
//! Always: a file is attached only where a record is, and only after it was looked into ([`Examined`]); one that no machine
//! can read needs an official of a unit that is responsible for the category, who is entered. Rows take effect in their
//! order and commit together. Absent: looking into files, which is done before the message has its turn.

use super::{
    Context, Denial, Examined, Facts, Outcome,
    row::{Reply, RowRefusal, RowReport, RowResult, guarded, known},
    standing::CATEGORY_BYTES,
};
use crate::{
    identifier::{AddresseeNumber, Category, MessageClass, PersonName, PrincipalId},
    ledger::{CategoryOutcome, Cause, Declared, LegalBasis},
    record::{
        Attached, Attachment, AttachmentChange, Declaration, File, FileContent, FileDigest, FileFormat, FileName, Holding, Inspected,
        Legibility, Listing, NoPlace, Person, PersonChange, PersonNeed, Place, RecordName, Replaced, Revision, View,
    },
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A file as it is brought.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brought {
    attachment_key: RecordName,
    name: FileName,
    #[serde(rename = "type")]
    format: FileFormat,
    unit: RecordName,
    user: RecordName,
    #[serde(default)]
    declaration: Option<Declaration>,
    content: FileContent,
}

/// What a row does to an attachment.
#[derive(Debug)]
pub(super) enum Change {
    Put(Box<Brought>),
    Delete(RecordName),
}

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) person: AddresseeNumber,
    pub(super) category: Category,
    pub(super) revision: Revision,
    pub(super) change: Change,
}

/// What the rows of a message change.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Result<Row, RowRefusal>>,
    /// How many there may be.
    pub(super) most: usize,
}

impl Rows {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        self.well_formed().map(|row| PersonName::Addressee(row.person.clone())).collect()
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        let mut needs = BTreeMap::<&AddresseeNumber, BTreeSet<&Category>>::new();
        for row in self.well_formed() {
            needs.entry(&row.person).or_default().insert(&row.category);
        }
        let need = |(person, categories): (&AddresseeNumber, BTreeSet<&Category>)| PersonNeed {
            name: PersonName::Addressee(person.clone()),
            categories: categories.into_iter().cloned().collect(),
            attachments: Listing::Shown,
        };
        needs.into_iter().map(need).collect()
    }

    /// The files of the rows, in their order; none where there are more rows than may be.
    pub(super) fn files(&self) -> Vec<File> {
        if self.rows.len() > self.most {
            return Vec::new();
        }
        let file = |row: &Row| match &row.change {
            Change::Put(brought) => Some(File {
                name: brought.name.clone(),
                format: brought.format,
                content: brought.content.clone(),
                person: row.person.clone(),
            }),
            Change::Delete(_) => None,
        };
        self.well_formed().filter_map(file).collect()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if !context.tenant.serves(MessageClass::Record, context.now.day_in_japan()) {
            return Outcome::denied(Denial::NotInService, LegalBasis::RegisteredCopies);
        }
        if self.rows.is_empty() || self.rows.len() > self.most {
            return Outcome::denied(Denial::RowCount, LegalBasis::RegisteredCopies);
        }
        let names: BTreeSet<_> = self.well_formed().map(|row| row.person.clone()).collect();
        let mut persons: BTreeMap<_, _> =
            names.into_iter().zip(view.persons).map(|(name, seen)| (name, Standing { seen, ..Standing::default() })).collect();
        let mut examined = context.examined.iter();
        let mut counts = BTreeMap::<Category, u32>::new();
        let (mut reports, mut declarations) = (Vec::with_capacity(self.rows.len()), Vec::new());
        for (at, row) in self.rows.into_iter().enumerate() {
            let result = row.and_then(|row| {
                let Row { person, category, revision, change } = row;
                let (done, attached, content) = match change {
                    Change::Put(brought) => {
                        let examined = examined.next();
                        let (attachment, content) = admissible(*brought, examined, (&person, &category), context)?;
                        (RowResult::Stored, Attached::Live { revision, attachment }, Some(content))
                    }
                    Change::Delete(key) => {
                        guarded(Place::DeletedAttachmentKey, key.as_str(), person.as_bytes())?;
                        (RowResult::Deleted, Attached::Tombstone { revision, key }, None)
                    }
                };
                let declared = declared(&attached, &category);
                Ok(match persons.entry(person).or_default().replace(&category, attached, content, context)? {
                    Replaced::Superseded => RowResult::Superseded,
                    Replaced::Yes => {
                        *counts.entry(category).or_default() += 1;
                        declarations.extend(declared);
                        done
                    }
                })
            });
            reports.push(RowReport { row: at, result: result.unwrap_or_else(RowResult::from) });
        }
        let changes: Vec<_> = persons.into_iter().filter_map(|(name, standing)| standing.into_change(&name, context)).collect();
        let changed = |(category, attachments)| CategoryOutcome { category, cause: Cause::Changed, records: 0, attachments };
        let facts = Facts {
            subjects: changes.iter().map(|change| change.id).collect(),
            categories: counts.into_iter().map(changed).collect(),
            declarations,
            ..Facts::of(LegalBasis::RegisteredCopies)
        };
        Outcome::answered(changes, facts, &Reply { status: "answered", rows: reports })
    }

    fn well_formed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter_map(|row| row.as_ref().ok())
    }
}

/// The rules of a file that need no view.
fn admissible(
    brought: Brought,
    examined: Option<&Examined>,
    (person, category): (&AddresseeNumber, &Category),
    context: &Context<'_>,
) -> Result<(Attachment, FileContent), RowRefusal> {
    known(category, context)?;
    let texts = [
        (Place::AttachmentKey, brought.attachment_key.as_str()),
        (Place::FileName, brought.name.as_str()),
        (Place::AttachmentUnit, brought.unit.as_str()),
        (Place::AttachmentUser, brought.user.as_str()),
    ];
    texts.into_iter().try_for_each(|(place, text)| guarded(place, text, person.as_bytes()))?;
    // Nothing that was not looked into is kept.
    let inspected = examined.ok_or(RowRefusal::MessageFull)?.as_ref().map_err(|refusal| RowRefusal::File(*refusal))?;
    match (&brought.declaration, inspected.legibility()) {
        (Some(declaration), _) if !is_official(&declaration.official, category, context) => return Err(RowRefusal::UnknownOfficial),
        (None, Legibility::Unread) => return Err(RowRefusal::Undeclared),
        (Some(_), _) | (None, Legibility::Read) => {}
    }
    let content = Inspected::content(inspected).clone();
    let attachment = Attachment {
        key: brought.attachment_key,
        name: brought.name,
        format: brought.format,
        size: u32::try_from(content.len()).unwrap_or(u32::MAX),
        sha256: FileDigest::of(&content),
        unit: brought.unit,
        user: brought.user,
        declaration: brought.declaration,
    };
    Ok((attachment, content))
}

/// Whether somebody acts for a unit of the tenant that is responsible for the category.
fn is_official(id: &PrincipalId, category: &Category, context: &Context<'_>) -> bool {
    context.tenant.units.iter().any(|unit| unit.officials.contains(id) && unit.categories.contains(category))
}

/// What the ledger says of a declaration.
fn declared(attached: &Attached, category: &Category) -> Option<Declared> {
    match attached {
        Attached::Live { attachment, .. } => attachment.declaration.as_ref().map(|declaration| Declared {
            official: declaration.official.clone(),
            category: category.clone(),
            sha256: attachment.sha256,
        }),
        Attached::Tombstone { .. } => None,
    }
}

/// A person while the rows of one message take effect.
#[derive(Default)]
struct Standing {
    seen: Option<Person>,
    changed: BTreeMap<Category, AttachmentChange>,
}

impl Standing {
    fn replace(
        &mut self,
        category: &Category,
        attached: Attached,
        content: Option<FileContent>,
        context: &Context<'_>,
    ) -> Result<Replaced, RowRefusal> {
        let seen = self.seen.as_ref();
        if seen.is_some_and(|person| person.unread.contains(category)) {
            return Err(RowRefusal::MessageFull);
        }
        let key = match &attached {
            Attached::Live { attachment, .. } => attachment.key.clone(),
            Attached::Tombstone { key, .. } => key.clone(),
        };
        let held = || seen.and_then(|person| person.attachments.get(category)).cloned().unwrap_or_default();
        let mut list = self.changed.get(category).map_or_else(held, |changed| changed.list.clone());
        if list.is_blank() {
            // What is held can be deleted, whatever has become of its category.
            known(category, context)?;
        }
        let replaced = list.replace(attached).map_err(|none| match none {
            NoPlace::Attachments => RowRefusal::TooManyAttachments,
            NoPlace::Keys => RowRefusal::CategoryFull,
        })?;
        if replaced == Replaced::Superseded {
            return Ok(replaced);
        }
        if content.is_some() {
            let holding = seen.and_then(|person| person.holdings.get(category)).filter(|holding| holding.records().next().is_some());
            let weight = holding.map(Holding::weight).ok_or(RowRefusal::NoRecord)?;
            if weight + list.weight() > CATEGORY_BYTES {
                return Err(RowRefusal::CategoryFull);
            }
        }
        let changed = self.changed.entry(category.clone()).or_default();
        changed.list = list;
        match content {
            Some(content) => drop(changed.contents.insert(key, content)),
            None => drop(changed.contents.remove(&key)),
        }
        Ok(replaced)
    }

    fn into_change(self, name: &AddresseeNumber, context: &Context<'_>) -> Option<PersonChange> {
        if self.changed.is_empty() {
            return None;
        }
        let mut change = match &self.seen {
            Some(person) => PersonChange::of(person),
            None => PersonChange::newcomer((context.fresh)(), name),
        };
        change.attachments = self.changed;
        Some(change)
    }
}
