//! `person.link`: a municipal system ties the person code that the network issued to its own integrated addressee number.
//!
//! Always: a code leads to one person, and a person has one code at a time; the codes before stay in its history. A code
//! that leads to somebody else is refused: moving it would show one person's records to another.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    identifier::{AddresseeNumber, MessageClass, PersonCode, PersonName},
    ledger::LegalBasis,
    record::{FormerName, PersonChange, PersonNeed, Revision, View},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A code and the number it belongs to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonLink {
    person: AddresseeNumber,
    code: PersonCode,
    revision: Revision,
}

#[derive(Serialize)]
struct Reply {
    status: &'static str,
    result: LinkResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum LinkResult {
    /// The code leads to the person.
    Linked,
    /// A link as new or newer is in effect.
    Superseded,
    /// The code leads to somebody else; nothing changed.
    LinkedElsewhere,
    /// The person has had as many codes as are remembered; nothing changed.
    TooManyCodes,
}

/// How many former codes of a person are remembered; each is part of the person's head row.
const FORMER_CODES: usize = 64;

impl PersonLink {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        self.needs().into_iter().map(|need| need.name).collect()
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        [PersonName::Addressee(self.person.clone()), PersonName::Code(self.code.clone())]
            .map(|name| PersonNeed { name, categories: Vec::new() })
            .into()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if !context.tenant.serves(MessageClass::Record, context.now.day_in_japan()) {
            return Outcome::denied(Denial::NotInService, LegalBasis::RegisteredCopies);
        }
        let mut seen = view.persons.into_iter();
        let (person, holder) = (seen.next().flatten(), seen.next().flatten());
        let elsewhere = holder.as_ref().is_some_and(|holder| person.as_ref().is_none_or(|person| person.id != holder.id));
        let held = person.as_ref().map_or(0, |person| person.head.revision);
        let (result, change) = if elsewhere {
            (LinkResult::LinkedElsewhere, None)
        } else if self.revision <= held {
            (LinkResult::Superseded, None)
        } else if person.as_ref().is_some_and(|person| person.head.former.len() >= FORMER_CODES) {
            (LinkResult::TooManyCodes, None)
        } else {
            let change = match &person {
                Some(person) => PersonChange::of(person),
                None => PersonChange::newcomer((context.fresh)(), &self.person),
            };
            (LinkResult::Linked, Some(self.linked(change, context)))
        };
        let subjects = change.as_ref().map(|change| change.id).or(person.map(|person| person.id)).into_iter().collect();
        let facts = Facts { basis: LegalBasis::RegisteredCopies, authenticated: None, subjects, categories: Vec::new() };
        Outcome::answered(change.into_iter().collect(), facts, &Reply { status: "answered", result })
    }

    fn linked(self, mut change: PersonChange, context: &Context<'_>) -> PersonChange {
        change.head.revision = self.revision;
        if change.head.erased.take().is_some() {
            // Begun anew: nothing of what was erased is there.
            change.head.addressee = Some(self.person.clone());
        }
        if change.head.code.as_ref() != Some(&self.code) {
            if let Some(code) = change.head.code.replace(self.code.clone()) {
                change.unlinked.push(PersonName::Code(code.clone()));
                change.head.former.push(FormerName { code, until: context.now });
            }
            change.linked.push(PersonName::Code(self.code));
        }
        change
    }
}
