//! `self-info.request`: a person asks for their own records in named categories (番号法 附則6条3項, 4項1号).
//!
//! Always: no record, nothing in its window, withheld, suspended, an unconfirmed link and an unknown person end alike, as
//! `nothing-to-show`; the true cause stands in the ledger only. What tenant and category decide (not provided, held back of
//! everybody, waiting for an official) is decided before the person is looked up, so it tells nothing about one.

use super::{Context, Denial, Facts, Outcome};
use crate::{
    calendar::{Day, Timestamp, Window},
    identifier::{Category, LayoutVersion, MessageClass, PersonCode, PersonName},
    ledger::{CategoryOutcome, Cause, LegalBasis},
    record::{Head, Holding, Item, LinkState, PersonNeed, Record, RecordName, View, Withholding},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The most categories of one request (design §10).
const CATEGORIES: usize = 32;

/// A person's request, as the disclosure system sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfInfoRequest {
    /// The person, by the tenant's own code.
    person: PersonCode,
    /// What is asked for: 1 to 32 categories, none twice.
    categories: Vec<Category>,
    /// How and when the disclosure system authenticated the person.
    authenticated: Authenticated,
}

/// How and when a person was authenticated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authenticated {
    method: AuthenticationMethod,
    at: Timestamp,
}

/// How a person was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationMethod {
    /// The individual number card's certificate for user authentication (JPKI).
    JpkiUserCertificate,
}

impl AuthenticationMethod {
    const fn as_str(self) -> &'static str {
        match self {
            Self::JpkiUserCertificate => "jpki-user-certificate",
        }
    }
}

impl SelfInfoRequest {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        BTreeSet::from([PersonName::Code(self.person.clone())])
    }

    pub(super) fn first_needs(&self) -> Vec<PersonNeed> {
        [PersonName::Everybody, PersonName::Code(self.person.clone())].map(PersonNeed::head).into()
    }

    pub(super) fn needs(&self, context: &Context<'_>) -> Vec<PersonNeed> {
        let today = context.now.day_in_japan();
        let hidden = |category: &Category| context.heads.person.as_ref().is_some_and(|head| held_back(head, category, today).is_some());
        let open = |category: &&Category| decided_before(category, context).is_none() && !hidden(category);
        let shown = self.categories.iter().filter(open).cloned();
        vec![PersonNeed { name: PersonName::Code(self.person.clone()), categories: shown.take(CATEGORIES).collect() }]
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if let Some(denial) = self.denial(context) {
            return Outcome::denied(denial, LegalBasis::SelfInformation);
        }
        let person = view.persons.into_iter().next().flatten();
        let today = context.now.day_in_japan();
        let mut room = context.room;
        let mut answers = Vec::with_capacity(self.categories.len());
        let mut causes = Vec::with_capacity(self.categories.len());
        for category in self.categories {
            let (answer, cause, records) = match decided_before(&category, context) {
                Some((answer, cause)) => (answer, cause, 0),
                None => match &person {
                    None => (Answer::NothingToShow, Cause::UnknownPerson, 0),
                    Some(person) => match (held_back(&person.head, &category, today), person.holdings.get(&category)) {
                        (Some(cause), _) => (Answer::NothingToShow, cause, 0),
                        (None, _) if person.unread.contains(&category) => (Answer::TooLarge, Cause::TooLarge, 0),
                        (None, None) => (Answer::NothingToShow, Cause::NoRecord, 0),
                        (None, Some(holding)) => provide(holding, today, &mut room)?,
                    },
                },
            };
            causes.push(CategoryOutcome { category: category.clone(), cause, records });
            answers.push(CategoryAnswer { category, answer });
        }
        let facts = Facts {
            basis: LegalBasis::SelfInformation,
            authenticated: Some((self.authenticated.method.as_str().to_owned(), self.authenticated.at)),
            subjects: person.iter().map(|person| person.id).collect(),
            categories: causes,
        };
        let reply = Reply { status: "answered", as_of: context.now, keep: "session", categories: answers };
        Outcome::answered(Vec::new(), facts, &reply)
    }

    fn denial(&self, context: &Context<'_>) -> Option<Denial> {
        if !context.tenant.serves(MessageClass::SelfInfo, context.now.day_in_japan()) {
            return Some(Denial::NotInService);
        }
        if self.categories.is_empty() || self.categories.len() > CATEGORIES {
            return Some(Denial::CategoryCount);
        }
        let mut seen = BTreeSet::new();
        self.categories.iter().enumerate().find_map(|(index, category)| match (context.catalogue.knows(category), seen.insert(category)) {
            (false, _) => Some(Denial::UnknownCategory(index)),
            (true, false) => Some(Denial::RepeatedCategory(index)),
            (true, true) => None,
        })
    }
}

/// What is decided by tenant and category alone, before any look-up, so that it tells nothing about a person: what the tenant
/// does not provide, what is held back of everybody, and what waits for an official (自動応答不可): sensitive categories by
/// default, others by the tenant's word.
fn decided_before(category: &Category, context: &Context<'_>) -> Option<(Answer, Cause)> {
    if !context.tenant.provides(category) {
        return Some((Answer::NotPermitted, Cause::NotPermitted));
    }
    let (everybody, today) = (&context.heads.everybody.restrictions, context.now.day_in_japan());
    if let Some(withholding) = everybody.withholding(category, today) {
        return Some((Answer::NothingToShow, cause(withholding)));
    }
    let sensitive = context.catalogue.entry(category).is_some_and(|entry| entry.sensitive);
    (sensitive || everybody.waits(category, today)).then_some((Answer::Pending, Cause::Pending))
}

/// Why nothing of this category may be provided of the person, whatever is held.
fn held_back(head: &Head, category: &Category, today: Day) -> Option<Cause> {
    let withheld = head.restricted.restrictions.withholding(category, today).map(cause);
    withheld.or_else(|| (head.link_state() != LinkState::Linked).then_some(Cause::Unconfirmed))
}

const fn cause(withholding: Withholding) -> Cause {
    match withholding {
        Withholding::Suspended => Cause::Suspended,
        // The others do not keep anything from being provided.
        Withholding::NotProvided | Withholding::ProvisionHidden | Withholding::NoAutomaticAnswer => Cause::Withheld,
    }
}

/// What a holding shows on this day, if there is room for it.
fn provide(holding: &Holding, today: Day, room: &mut usize) -> Result<(Answer, Cause, u32), serde_json::Error> {
    let shown: Vec<_> = holding.records().filter(|record| record.publication.contains(today)).map(ShownRecord::from).collect();
    if shown.is_empty() {
        let cause = if holding.records().next().is_some() { Cause::OutsideWindow } else { Cause::NoRecord };
        return Ok((Answer::NothingToShow, cause, 0));
    }
    let records = serde_json::value::to_raw_value(&shown)?;
    let count = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    match room.checked_sub(records.get().len()) {
        Some(left) => {
            *room = left;
            Ok((Answer::Provided { records }, Cause::Provided, count))
        }
        None => Ok((Answer::TooLarge, Cause::TooLarge, 0)),
    }
}

/// The body of a `self-info.reply`.
#[derive(Serialize)]
struct Reply {
    status: &'static str,
    as_of: Timestamp,
    /// May be kept for the session only (safety measure ｲ-d).
    keep: &'static str,
    categories: Vec<CategoryAnswer>,
}

#[derive(Serialize)]
struct CategoryAnswer {
    category: Category,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Answer {
    Provided { records: Box<RawValue> },
    NothingToShow,
    Pending,
    NotPermitted,
    TooLarge,
}

/// A record as the person sees it: without who registered it.
#[derive(Serialize)]
struct ShownRecord<'a> {
    data_set: &'a LayoutVersion,
    record_key: &'a RecordName,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a RecordName>,
    layout_version: &'a LayoutVersion,
    publication: Window,
    items: &'a [Item],
}

impl<'a> From<&'a Record> for ShownRecord<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            data_set: &record.data_set,
            record_key: &record.record_key,
            parent: record.parent.as_ref(),
            layout_version: &record.layout_version,
            publication: record.publication,
            items: &record.items,
        }
    }
}
