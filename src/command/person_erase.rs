//! `person.erase`: a municipal system has everything of a person erased.
//!
//! Always: in effect at once: records, attachments, restrictions and codes are gone from every answer. What is left is the mark
//! that the person was erased, under the tenant's own number, with the revision: rows and restrictions that come later are
//! superseded, and only a newer `person.link` begins anew. The ledger's entries stay. Absent: putting what was erased beyond
//! recovery; the next carry-over of the vault does that.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    identifier::{AddresseeNumber, MessageClass, PersonName},
    ledger::LegalBasis,
    record::{Head, PersonChange, PersonNeed, Restricted, Revision, View},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The person, and the revision of its link that this is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonErase {
    person: AddresseeNumber,
    revision: Revision,
}

#[derive(Serialize)]
struct Reply {
    status: &'static str,
    result: EraseResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum EraseResult {
    /// Everything is out of service.
    Erased,
    /// A link or an erasure as new or newer is in effect; nothing changed.
    Superseded,
}

impl PersonErase {
    fn name(&self) -> PersonName {
        PersonName::Addressee(self.person.clone())
    }

    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        BTreeSet::from([self.name()])
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        vec![PersonNeed::head(self.name())]
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if !context.tenant.serves(MessageClass::Record, context.now.day_in_japan()) {
            return Outcome::denied(Denial::NotInService, LegalBasis::RegisteredCopies);
        }
        let person = view.persons.into_iter().next().flatten();
        let held = person.as_ref().map_or(0, |person| person.head.revision);
        let (result, change) = if self.revision <= held {
            (EraseResult::Superseded, None)
        } else {
            // Also somebody who was never known: what is still under way must find the mark.
            let mut change = match &person {
                Some(person) => PersonChange::of(person),
                None => PersonChange::newcomer((context.fresh)(), &self.person),
            };
            let code = change.head.code.take();
            change.unlinked.extend(code.clone().map(PersonName::Code));
            // A code that led here stays suspect when it leads to somebody else one day.
            change.linked.extend(code.map(PersonName::Former));
            let restricted = Restricted { revision: change.head.restricted.revision, ..Restricted::default() };
            change.head = Head { revision: self.revision, restricted, erased: Some(context.now), ..Head::default() };
            (EraseResult::Erased, Some(change))
        };
        let facts = Facts {
            subjects: change.as_ref().map(|change| change.id).or(person.map(|person| person.id)).into_iter().collect(),
            ..Facts::of(LegalBasis::RegisteredCopies)
        };
        Outcome::answered(change.into_iter().collect(), facts, &Reply { status: "answered", result })
    }
}
