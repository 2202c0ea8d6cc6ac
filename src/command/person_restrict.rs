//! `person.restrict`: a municipal system says what is held back of a person, or of everybody, for how long and why.
//!
//! Always: it names all that is held back of them from now on, and takes the place of what was said before; an older revision
//! has no effect. A person who is not known yet is made known, so that what is registered later is held back from the start.
//! That a request waits for an official is said of everybody only: waiting must tell nothing about a person. Absent: which
//! categories wait by default; the catalogue says so.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    identifier::{AddresseeNumber, IdentifierError, MessageClass, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{PersonChange, PersonNeed, Restricted, Restrictions, Revision, View, Withholding},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A person or everybody, and all that is held back of them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Body")]
pub struct PersonRestrict {
    person: Whom,
    revision: Revision,
    restrictions: Restrictions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    person: Whom,
    revision: Revision,
    restrictions: Restrictions,
}

/// Of whom something is held back.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
enum Whom {
    /// Of every person of the tenant, registered or not.
    Everybody,
    /// Of one.
    Person(AddresseeNumber),
}

impl TryFrom<String> for Whom {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "everybody" { Ok(Self::Everybody) } else { AddresseeNumber::try_from(text).map(Self::Person) }
    }
}

impl TryFrom<Body> for PersonRestrict {
    type Error = &'static str;

    fn try_from(Body { person, revision, restrictions }: Body) -> Result<Self, Self::Error> {
        let waits = restrictions.iter().any(|restriction| restriction.kind == Withholding::NoAutomaticAnswer);
        match person {
            Whom::Person(_) if waits => Err("that a request waits for an official is said of everybody, never of a person"),
            person => Ok(Self { person, revision, restrictions }),
        }
    }
}

#[derive(Serialize)]
struct Reply {
    status: &'static str,
    result: RestrictResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum RestrictResult {
    /// In effect.
    Restricted,
    /// What a revision as new or newer said is in effect.
    Superseded,
    /// A category is not in the catalogue; nothing changed.
    UnknownCategory,
}

impl PersonRestrict {
    fn name(&self) -> PersonName {
        match &self.person {
            Whom::Everybody => PersonName::Everybody,
            Whom::Person(number) => PersonName::Addressee(number.clone()),
        }
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
        let held = person.as_ref().map_or(0, |person| person.head.restricted.revision);
        let named: BTreeSet<_> =
            self.restrictions.iter().filter_map(|one| one.categories.as_ref()).flat_map(|some| some.iter().cloned()).collect();
        let (result, change) = if !named.iter().all(|category| context.catalogue.knows(category)) {
            (RestrictResult::UnknownCategory, None)
        } else if self.revision <= held || person.as_ref().is_some_and(|person| person.head.erased.is_some()) {
            (RestrictResult::Superseded, None)
        } else {
            let mut change = match (&person, &self.person) {
                (Some(person), _) => PersonChange::of(person),
                (None, Whom::Everybody) => PersonChange::everybody((context.fresh)()),
                (None, Whom::Person(number)) => PersonChange::newcomer((context.fresh)(), number),
            };
            change.head.restricted = Restricted { revision: self.revision, restrictions: self.restrictions };
            (RestrictResult::Restricted, Some(change))
        };
        let changed = |category| CategoryOutcome { category, cause: Cause::Changed, records: 0, attachments: 0 };
        let facts = Facts {
            subjects: change.as_ref().map(|change| change.id).or(person.map(|person| person.id)).into_iter().collect(),
            categories: if change.is_some() { named.into_iter().map(changed).collect() } else { Vec::new() },
            ..Facts::of(LegalBasis::RegisteredCopies)
        };
        Outcome::answered(change.into_iter().collect(), facts, &Reply { status: "answered", result })
    }
}
