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
    record::{
        Attachment, Attachments, ContentName, FileContent, FileDigest, FileFormat, FileName, Head, Holding, Item, LinkState, Listing,
        Person, PersonNeed, Record, RecordName, View, Withholding,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, BTreeSet};

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
    /// What is asked for of the attachments; nothing if left out.
    #[serde(default)]
    attachments: Option<Asked>,
}

/// What is asked for of the attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    /// Their names, types, sizes and digests.
    Listed,
    /// And their content.
    Included,
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
        let attachments = if self.attachments.is_some() { Listing::Shown } else { Listing::Left };
        vec![PersonNeed { name: PersonName::Code(self.person.clone()), categories: shown.take(CATEGORIES).collect(), attachments }]
    }

    /// The content of what will be shown, as far as there is room for it. What is withheld or outside its window is not even
    /// read, so that its size does not show in the time.
    pub(super) fn wants(&self, context: &Context<'_>, view: &View) -> Vec<ContentName> {
        let (Some(Asked::Included), None, Some(Some(person))) = (self.attachments, self.denial(context), view.persons.first()) else {
            return Vec::new();
        };
        let today = context.now.day_in_japan();
        let mut room = context.room;
        let mut wanted = Vec::new();
        for category in &self.categories {
            let shown = decided_before(category, context).is_none() && shows(person, category, today);
            let Some(list) = person.attachments.get(category).filter(|_| shown) else { continue };
            if let Some(left) = room.checked_sub(list.weight()) {
                room = left;
                let name = |file: &Attachment| ContentName { person: person.id, category: category.clone(), key: file.key.clone() };
                wanted.extend(list.files().map(name));
            }
        }
        wanted
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        if let Some(denial) = self.denial(context) {
            return Outcome::denied(denial, LegalBasis::SelfInformation);
        }
        let View { persons, contents } = view;
        let person = persons.into_iter().next().flatten();
        let today = context.now.day_in_japan();
        let mut room = context.room;
        let mut answers = Vec::with_capacity(self.categories.len());
        let mut causes = Vec::with_capacity(self.categories.len());
        for category in self.categories {
            let (answer, cause, (records, attachments)) = match decided_before(&category, context) {
                Some((answer, cause)) => (answer, cause, (0, 0)),
                None => match &person {
                    None => (Answer::NothingToShow, Cause::UnknownPerson, (0, 0)),
                    Some(person) => match (held_back(&person.head, &category, today), person.holdings.get(&category)) {
                        (Some(cause), _) => (Answer::NothingToShow, cause, (0, 0)),
                        (None, _) if person.unread.contains(&category) => (Answer::TooLarge, Cause::TooLarge, (0, 0)),
                        (None, None) => (Answer::NothingToShow, Cause::NoRecord, (0, 0)),
                        (None, Some(holding)) => {
                            let attached = self.attachments.map(|asked| Shelf { asked, person, category: &category, contents: &contents });
                            provide(holding, today, attached, &mut room)?
                        }
                    },
                },
            };
            causes.push(CategoryOutcome { category: category.clone(), cause, records, attachments });
            answers.push(CategoryAnswer { category, answer });
        }
        let facts = Facts {
            authenticated: Some((self.authenticated.method.as_str().to_owned(), self.authenticated.at)),
            subjects: person.iter().map(|person| person.id).collect(),
            categories: causes,
            ..Facts::of(LegalBasis::SelfInformation)
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

/// Whether anything of a category is shown on this day.
fn shows(person: &Person, category: &Category, today: Day) -> bool {
    let in_window = |holding: &Holding| holding.records().any(|record| record.publication.contains(today));
    held_back(&person.head, category, today).is_none() && person.holdings.get(category).is_some_and(in_window)
}

/// Where a category's attachments are taken from.
struct Shelf<'a> {
    asked: Asked,
    person: &'a Person,
    category: &'a Category,
    contents: &'a BTreeMap<ContentName, FileContent>,
}

impl Shelf<'_> {
    /// The attachments as they are shown; `None` if one's content was not read for want of room.
    fn shown(&self) -> Option<Vec<ShownAttachment<'_>>> {
        let files = self.person.attachments.get(self.category).into_iter().flat_map(Attachments::files);
        files.map(|file| ShownAttachment::of(file, self.asked, |file| self.content(file))).collect()
    }

    fn content(&self, file: &Attachment) -> Option<&FileContent> {
        let name = ContentName { person: self.person.id, category: self.category.clone(), key: file.key.clone() };
        self.contents.get(&name)
    }
}

/// What a holding shows on this day, if there is room for it, with how many records and attachments.
fn provide(
    holding: &Holding,
    today: Day,
    shelf: Option<Shelf<'_>>,
    room: &mut usize,
) -> Result<(Answer, Cause, (u32, u32)), serde_json::Error> {
    let shown: Vec<_> = holding.records().filter(|record| record.publication.contains(today)).map(ShownRecord::from).collect();
    if shown.is_empty() {
        let cause = if holding.records().next().is_some() { Cause::OutsideWindow } else { Cause::NoRecord };
        return Ok((Answer::NothingToShow, cause, (0, 0)));
    }
    let too_large = (Answer::TooLarge, Cause::TooLarge, (0, 0));
    let attached = match &shelf {
        None => None,
        Some(shelf) => match shelf.shown() {
            Some(attached) => Some(attached),
            None => return Ok(too_large),
        },
    };
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let counts = (count(shown.len()), count(attached.as_ref().map_or(0, Vec::len)));
    let records = to_raw_value(&shown)?;
    let attachments = attached.map(|attached| to_raw_value(&attached)).transpose()?;
    match room.checked_sub(records.get().len() + attachments.as_ref().map_or(0, |attached| attached.get().len())) {
        Some(left) => {
            *room = left;
            Ok((Answer::Provided { records, attachments }, Cause::Provided, counts))
        }
        None => Ok(too_large),
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
    Provided {
        records: Box<RawValue>,
        /// There if attachments were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        attachments: Option<Box<RawValue>>,
    },
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

/// An attachment as the person sees it: without who registered it.
#[derive(Serialize)]
struct ShownAttachment<'a> {
    attachment_key: &'a RecordName,
    name: &'a FileName,
    #[serde(rename = "type")]
    format: FileFormat,
    size: u32,
    sha256: FileDigest,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a FileContent>,
}

impl<'a> ShownAttachment<'a> {
    fn of(file: &'a Attachment, asked: Asked, content: impl Fn(&Attachment) -> Option<&'a FileContent>) -> Option<Self> {
        let content = match asked {
            Asked::Listed => None,
            Asked::Included => Some(content(file)?),
        };
        let Attachment { key, name, format, size, sha256, .. } = file;
        Some(Self { attachment_key: key, name, format: *format, size: *size, sha256: *sha256, content })
    }
}
