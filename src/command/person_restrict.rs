//! `person.restrict`: a municipal system says what is held back of a person, for how long and why.
//!
//! Always: it names all that is held back from now on, and takes the place of what was said before; an older revision has no
//! effect. A person who is not known yet is made known, so that what is registered later is held back from the start.
//! Absent: the mark that a category waits for an official; that is the catalogue's and the tenant's.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    identifier::{AddresseeNumber, MessageClass, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{PersonChange, PersonNeed, Restricted, Restrictions, Revision, View},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A person and all that is held back of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonRestrict {
    person: AddresseeNumber,
    revision: Revision,
    restrictions: Restrictions,
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
        PersonName::Addressee(self.person.clone())
    }

    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        BTreeSet::from([self.name()])
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        vec![PersonNeed { name: self.name(), categories: Vec::new() }]
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
            let mut change = match &person {
                Some(person) => PersonChange::of(person),
                None => PersonChange::newcomer((context.fresh)(), &self.person),
            };
            change.head.restricted = Restricted { revision: self.revision, restrictions: self.restrictions };
            (RestrictResult::Restricted, Some(change))
        };
        let changed = |category| CategoryOutcome { category, cause: Cause::Changed, records: 0 };
        let facts = Facts {
            basis: LegalBasis::RegisteredCopies,
            authenticated: None,
            subjects: change.as_ref().map(|change| change.id).or(person.map(|person| person.id)).into_iter().collect(),
            categories: if change.is_some() { named.into_iter().map(changed).collect() } else { Vec::new() },
        };
        Outcome::answered(change.into_iter().collect(), facts, &Reply { status: "answered", result })
    }
}
