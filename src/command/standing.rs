//! A person while the rows of one message take effect: what each row meets, and what becomes of it.
//!
//! Always: an older revision has no effect, whatever else is wrong with it; a record stands under one that is held, and none
//! is deleted while others stand under it. Absent: the rules that need no look-up (see `row`).

use super::{
    Context,
    row::{RowRefusal, known},
};
use crate::{
    directory::catalogue::Entry,
    identifier::{AddresseeNumber, Category, LayoutVersion},
    record::{AttachmentChange, Attachments, Holding, Person, PersonChange, Record, RecordName, Replaced, Row},
};
use std::collections::BTreeMap;

/// The most that one person may have in one category, in bytes of text: what a reply can surely carry.
const HOLDING_BYTES: usize = 4 << 20;
/// The same with all that is attached, in bytes of JSON.
pub(super) const CATEGORY_BYTES: usize = 4_500_000;
/// The most that the rows of one message may rewrite, in bytes of text: holdings are written whole.
const MESSAGE_BYTES: usize = 64 << 20;

/// What the rows of a message may still rewrite, in bytes of text.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MESSAGE_BYTES)
    }
}

/// A person while the rows of one message take effect.
#[derive(Default)]
pub(super) struct Standing {
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
    /// As the vault showed it.
    pub(super) fn of(seen: Option<Person>) -> Self {
        Self { seen, changed: BTreeMap::new() }
    }

    /// Puts a row in the place of its namesake, if its revision is higher and nothing stands against it.
    pub(super) fn replace(
        &mut self,
        category: &Category,
        row: Row,
        context: &Context<'_>,
        room: &mut Room,
    ) -> Result<Replaced, RowRefusal> {
        if self.seen.as_ref().is_some_and(|person| person.unread.contains(category)) {
            return Err(RowRefusal::MessageFull);
        }
        if self.seen.as_ref().is_some_and(|person| person.head.erased.is_some()) {
            return Ok(Replaced::Superseded);
        }
        let seen = self.seen.as_ref().and_then(|person| person.holdings.get(category));
        let (holding, weight, charged) = match self.changed.get(category) {
            Some(changed) => (Some(&changed.holding), changed.weight, changed.weight),
            None => (seen, seen.map_or(0, Holding::weight), 0),
        };
        let Some((without, with)) = holding.map_or(Some((0, row.weight())), |holding| holding.exchange(&row)) else {
            return Ok(Replaced::Superseded);
        };
        match &row {
            Row::Live { record, .. } => under_a_held_one(record, context.catalogue.entry(category), holding)?,
            Row::Tombstone { data_set, record_key, .. } => match holding.filter(|holding| !holding.rows().is_empty()) {
                Some(holding) => above_none(data_set, record_key, context.catalogue.entry(category), holding)?,
                None => drop(known(category, context)?),
            },
        }
        let weight = weight - without + with;
        let attached = self.seen.as_ref().and_then(|person| person.attachments.get(category)).map_or(0, Attachments::weight);
        if weight > HOLDING_BYTES || weight + attached > CATEGORY_BYTES {
            return Err(RowRefusal::CategoryFull);
        }
        // A holding is written once and whole, however many rows of this message change it.
        room.0 = (room.0 + charged).checked_sub(weight).ok_or(RowRefusal::MessageFull)?;
        let new = || Weighed { holding: seen.cloned().unwrap_or_default(), weight };
        let changed = self.changed.entry(category.clone()).or_insert_with(new);
        changed.weight = weight;
        Ok(changed.holding.replace(row))
    }

    /// What is to be committed of it, if anything changed.
    pub(super) fn into_change(self, name: &AddresseeNumber, context: &Context<'_>) -> Option<PersonChange> {
        if self.changed.is_empty() {
            return None;
        }
        let mut change = match &self.seen {
            Some(person) => PersonChange::of(person),
            None => PersonChange::newcomer((context.fresh)(), name),
        };
        for (category, Weighed { holding, .. }) in self.changed {
            // INVARIANT: nothing is attached where no record is. Held by `relay::tests::attachments::no_attachment_is_without_a_record`.
            let attached = self.seen.as_ref().and_then(|person| person.attachments.get(&category));
            if let Some(list) = attached.filter(|list| list.files().next().is_some() && holding.records().next().is_none()) {
                let gone = AttachmentChange { list: list.deleted(), contents: BTreeMap::new() };
                change.attachments.insert(category.clone(), gone);
            }
            change.holdings.insert(category, holding);
        }
        Some(change)
    }
}

/// The record that a record names as its parent is held.
fn under_a_held_one(record: &Record, entry: Option<&Entry>, holding: Option<&Holding>) -> Result<(), RowRefusal> {
    let (Some(parent), Some(under)) = (&record.parent, entry.and_then(|entry| above(entry, record))) else { return Ok(()) };
    let held = holding.is_some_and(|holding| holding.record(under, parent).is_some());
    if held { Ok(()) } else { Err(RowRefusal::UnknownParent) }
}

/// No record stands under the one of this name. One whose layout is no longer known is taken at its word.
fn above_none(data_set: &LayoutVersion, key: &RecordName, entry: Option<&Entry>, holding: &Holding) -> Result<(), RowRefusal> {
    let below = |record: &Record| {
        let under = entry.and_then(|entry| above(entry, record));
        record.parent.as_ref() == Some(key) && under.is_none_or(|under| under == data_set)
    };
    if holding.records().any(below) { Err(RowRefusal::HasChildren) } else { Ok(()) }
}

/// The data set under whose records this record's layout puts it.
fn above<'a>(entry: &'a Entry, record: &Record) -> Option<&'a LayoutVersion> {
    entry.layout(&record.layout_version)?.data_set(&record.data_set)?.under.as_ref()
}
