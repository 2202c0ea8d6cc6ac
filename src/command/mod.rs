//! Commands: what a message asks, one file each.
//!
//! Always: decoding proves the form, handling is a pure function of (command, what the vault showed, now); it changes
//! nothing, it says what shall change. Absent: keys, files, clocks, and any way to see more than the command needs.

mod attachment;
mod attachment_delete;
mod attachment_put;
mod denial;
mod outcome;
mod person_erase;
mod person_link;
mod person_restrict;
mod record_delete;
mod record_put;
mod row;
mod self_info_request;
mod standing;

use crate::{
    calendar::Timestamp,
    directory::{Catalogue, Principal, Tenant},
    envelope::strict_json::{self, JsonError},
    identifier::{MessageType, PersonName},
    ledger::LegalBasis,
    record::{ContentName, File, FileRefusal, Head, Inspected, PersonId, PersonNeed, Restricted, View},
};
pub use attachment_delete::AttachmentDelete;
pub use attachment_put::AttachmentPut;
pub use denial::Denial;
pub use outcome::{Facts, Outcome};
pub use person_erase::PersonErase;
pub use person_link::PersonLink;
pub use person_restrict::PersonRestrict;
pub use record_delete::RecordDelete;
pub use record_put::RecordPut;
pub use self_info_request::{AuthenticationMethod, SelfInfoRequest};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use thiserror::Error;

/// Why a body is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It has not the form that `schemas/` gives it.
    #[error("the body is refused: {0}")]
    Form(#[from] JsonError),
    /// The relay only sends messages of this type.
    #[error("messages of this type are only sent by the relay")]
    NotACommand,
}

/// What came of looking into a file.
pub type Examined = Result<Inspected, FileRefusal>;

/// Why files could not be scanned: none of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScannerFault {
    /// It cannot be reached, or did not answer in time.
    #[error("the scanner cannot be reached")]
    Unavailable,
    /// Its signatures are older than configured.
    #[error("the scanner's signatures are too old")]
    Stale,
}

/// What a message asks.
#[derive(Debug)]
pub enum Command {
    /// A person's own records in named categories.
    SelfInfoRequest(SelfInfoRequest),
    /// Register records.
    RecordPut(RecordPut),
    /// Remove records.
    RecordDelete(RecordDelete),
    /// Attach files to records.
    AttachmentPut(AttachmentPut),
    /// Remove attached files.
    AttachmentDelete(AttachmentDelete),
    /// Tie a person code to an integrated addressee number.
    PersonLink(PersonLink),
    /// Say what is held back of a person.
    PersonRestrict(PersonRestrict),
    /// Erase everything of a person.
    PersonErase(PersonErase),
}

/// All that a handler knows besides the command and the view.
pub struct Context<'a> {
    /// Now; the same for the whole message.
    pub now: Timestamp,
    /// Who asks.
    pub author: &'a Principal,
    /// The tenant, as the directory describes it.
    pub tenant: &'a Tenant,
    /// The known categories.
    pub catalogue: &'a Catalogue,
    /// What was looked up before the command says what it needs.
    pub heads: &'a Heads,
    /// A fresh id for a person who is new here.
    pub fresh: &'a dyn Fn() -> PersonId,
    /// How many bytes the reply's body may have.
    pub room: usize,
    /// What came of looking into its files, one for each in their order.
    pub examined: &'a [Examined],
}

/// What is looked up before a command says what it needs: heads, and no record. So what is held back is not even read, and
/// costs as much time as what is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heads {
    /// What is held back of everybody.
    pub everybody: Restricted,
    /// The head of the person who is asked for.
    pub person: Option<Head>,
}

impl Heads {
    /// What a view of [`Command::first_needs`] shows.
    #[must_use]
    pub fn of(view: View) -> Self {
        let mut seen = view.persons.into_iter().map(|person| person.map(|person| person.head));
        Self { everybody: seen.next().flatten().map(|everybody| everybody.restricted).unwrap_or_default(), person: seen.next().flatten() }
    }
}

impl Command {
    /// Reads the body of a message of this type.
    ///
    /// # Errors
    /// [`DecodeError`] if the body has not the form that `schemas/` gives it, or the type is one that the relay only sends.
    pub fn decode(kind: MessageType, body: &RawValue) -> Result<Self, DecodeError> {
        let body = body.get();
        match kind {
            MessageType::SelfInfoRequest => Ok(Self::SelfInfoRequest(strict_json::from_str(body)?)),
            MessageType::RecordPut => Ok(Self::RecordPut(strict_json::from_str(body)?)),
            MessageType::RecordDelete => Ok(Self::RecordDelete(strict_json::from_str(body)?)),
            MessageType::AttachmentPut => Ok(Self::AttachmentPut(strict_json::from_str(body)?)),
            MessageType::AttachmentDelete => Ok(Self::AttachmentDelete(strict_json::from_str(body)?)),
            MessageType::PersonLink => Ok(Self::PersonLink(strict_json::from_str(body)?)),
            MessageType::PersonRestrict => Ok(Self::PersonRestrict(strict_json::from_str(body)?)),
            MessageType::PersonErase => Ok(Self::PersonErase(strict_json::from_str(body)?)),
            MessageType::SelfInfoReply | MessageType::RecordReply | MessageType::PersonReply => Err(DecodeError::NotACommand),
        }
    }

    /// The persons it is about; it takes turns with others about the same.
    #[must_use]
    pub fn names(&self) -> BTreeSet<PersonName> {
        match self {
            Self::SelfInfoRequest(request) => request.names(),
            Self::RecordPut(put) => put.names(),
            Self::RecordDelete(delete) => delete.names(),
            Self::AttachmentPut(put) => put.names(),
            Self::AttachmentDelete(delete) => delete.names(),
            Self::PersonLink(link) => link.names(),
            Self::PersonRestrict(restrict) => restrict.names(),
            Self::PersonErase(erase) => erase.names(),
        }
    }

    /// The heads that it looks at before it says what it needs.
    #[must_use]
    pub fn first_needs(&self) -> Vec<PersonNeed> {
        match self {
            Self::SelfInfoRequest(request) => request.first_needs(),
            Self::RecordPut(_)
            | Self::RecordDelete(_)
            | Self::AttachmentPut(_)
            | Self::AttachmentDelete(_)
            | Self::PersonLink(_)
            | Self::PersonRestrict(_)
            | Self::PersonErase(_) => Vec::new(),
        }
    }

    /// What it needs to see.
    #[must_use]
    pub fn needs(&self, context: &Context<'_>) -> Vec<PersonNeed> {
        match self {
            Self::SelfInfoRequest(request) => request.needs(context),
            Self::RecordPut(put) => put.needs(),
            Self::RecordDelete(delete) => delete.needs(),
            Self::AttachmentPut(put) => put.needs(),
            Self::AttachmentDelete(delete) => delete.needs(),
            Self::PersonLink(link) => link.needs(),
            Self::PersonRestrict(restrict) => restrict.needs(),
            Self::PersonErase(erase) => erase.needs(),
        }
    }

    /// The files that it brings; each must be looked into before it is handled.
    #[must_use]
    pub fn files(&self) -> Vec<File> {
        match self {
            Self::AttachmentPut(put) => put.files(),
            Self::SelfInfoRequest(_)
            | Self::RecordPut(_)
            | Self::RecordDelete(_)
            | Self::AttachmentDelete(_)
            | Self::PersonLink(_)
            | Self::PersonRestrict(_)
            | Self::PersonErase(_) => Vec::new(),
        }
    }

    /// Of which attachments it wants the bytes, now that it sees the persons.
    #[must_use]
    pub fn wants(&self, context: &Context<'_>, view: &View) -> Vec<ContentName> {
        match self {
            Self::SelfInfoRequest(request) => request.wants(context, view),
            Self::RecordPut(_)
            | Self::RecordDelete(_)
            | Self::AttachmentPut(_)
            | Self::AttachmentDelete(_)
            | Self::PersonLink(_)
            | Self::PersonRestrict(_)
            | Self::PersonErase(_) => Vec::new(),
        }
    }

    /// Handles it.
    ///
    /// # Errors
    /// serde's, if a reply cannot be written; that is a bug.
    pub fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        match self {
            Self::SelfInfoRequest(request) => request.handle(context, view),
            Self::RecordPut(put) => put.handle(context, view),
            Self::RecordDelete(delete) => delete.handle(context, view),
            Self::AttachmentPut(put) => put.handle(context, view),
            Self::AttachmentDelete(delete) => delete.handle(context, view),
            Self::PersonLink(link) => link.handle(context, view),
            Self::PersonRestrict(restrict) => restrict.handle(context, view),
            Self::PersonErase(erase) => erase.handle(context, view),
        }
    }

    /// The law that allows a message of this type.
    #[must_use]
    pub const fn basis(kind: MessageType) -> LegalBasis {
        match kind {
            MessageType::SelfInfoRequest | MessageType::SelfInfoReply => LegalBasis::SelfInformation,
            MessageType::RecordPut
            | MessageType::RecordDelete
            | MessageType::AttachmentPut
            | MessageType::AttachmentDelete
            | MessageType::RecordReply
            | MessageType::PersonLink
            | MessageType::PersonRestrict
            | MessageType::PersonErase
            | MessageType::PersonReply => LegalBasis::RegisteredCopies,
        }
    }
}
