//! `person.link`: a municipal system says what it knows of the code that the network issued for a person: that it is the
//! person's, that it was linked anew, that this was confirmed, or that it is the person's no longer.
//!
//! Always: a code leads to one person; one that leads to somebody else is refused, for moving it would show one person's
//! records to another. One that led to somebody else before provides nothing until it is confirmed. An older revision has no
//! effect, so what was revoked is only revived by a newer message. Absent: the states themselves (see `record/link`).

use super::{Context, Denial, Facts, Outcome};
use crate::{
    identifier::{AddresseeNumber, MessageClass, PersonCode, PersonName},
    ledger::LegalBasis,
    record::{LinkRefusal, LinkState, LinkStep, Past, Person, PersonChange, PersonNeed, Revision, View},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A code, the number it belongs to, and what is said of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonLink {
    person: AddresseeNumber,
    code: PersonCode,
    #[serde(default)]
    state: LinkStep,
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
    /// It does, and nothing is provided until that is confirmed.
    Unconfirmed,
    /// The code leads to nobody any more.
    Revoked,
    /// A link as new or newer is in effect.
    Superseded,
    /// The code leads to somebody else; nothing changed.
    LinkedElsewhere,
    /// What was to be confirmed or revoked is not the person's code; nothing changed.
    NotLinked,
    /// The person has had as many codes as are remembered; nothing changed.
    TooManyCodes,
}

impl PersonLink {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        BTreeSet::from([PersonName::Addressee(self.person.clone()), PersonName::Code(self.code.clone())])
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        let names =
            [PersonName::Addressee(self.person.clone()), PersonName::Code(self.code.clone()), PersonName::Former(self.code.clone())];
        names.map(PersonNeed::head).into()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if !context.tenant.serves(MessageClass::Record, context.now.day_in_japan()) {
            return Outcome::denied(Denial::NotInService, LegalBasis::RegisteredCopies);
        }
        let mut seen = view.persons.into_iter();
        let (person, holder, former) = (seen.next().flatten(), seen.next().flatten(), seen.next().flatten());
        let another =
            |other: &Option<Person>| other.as_ref().is_some_and(|other| person.as_ref().is_none_or(|person| person.id != other.id));
        let past = if another(&former) { Past::LedElsewhere } else { Past::Clean };
        let (result, change) = if another(&holder) {
            (LinkResult::LinkedElsewhere, None)
        } else if self.revision <= person.as_ref().map_or(0, |person| person.head.revision) {
            (LinkResult::Superseded, None)
        } else {
            let change = match &person {
                Some(person) => PersonChange::of(person),
                None => PersonChange::newcomer((context.fresh)(), &self.person),
            };
            self.step(change, past, context)
        };
        let subjects = change.as_ref().map(|change| change.id).or(person.map(|person| person.id)).into_iter().collect();
        let facts = Facts { subjects, ..Facts::of(LegalBasis::RegisteredCopies) };
        Outcome::answered(change.into_iter().collect(), facts, &Reply { status: "answered", result })
    }

    fn step(self, mut change: PersonChange, past: Past, context: &Context<'_>) -> (LinkResult, Option<PersonChange>) {
        let codes = match change.head.step(self.state, &self.code, past, context.now) {
            Ok(codes) => codes,
            Err(LinkRefusal::NotLinked) => return (LinkResult::NotLinked, None),
            Err(LinkRefusal::TooManyCodes) => return (LinkResult::TooManyCodes, None),
        };
        change.head.revision = self.revision;
        if change.head.erased.take().is_some() {
            // Begun anew: nothing of what was erased is there.
            change.head.addressee = Some(self.person.clone());
        }
        if let Some(code) = codes.released {
            change.unlinked.push(PersonName::Code(code.clone()));
            change.linked.push(PersonName::Former(code));
        }
        change.linked.extend(codes.taken.map(PersonName::Code));
        let result = match change.head.link_state() {
            LinkState::Linked => LinkResult::Linked,
            LinkState::Unconfirmed => LinkResult::Unconfirmed,
            // A step always leaves a code or its end behind.
            LinkState::Revoked | LinkState::Unacquired => LinkResult::Revoked,
        };
        (result, Some(change))
    }
}
