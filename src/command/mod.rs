//! Commands: what a message asks, one file each.
//!
//! Always: decoding proves the form, handling is a pure function of (command, what the vault showed, now); it changes
//! nothing, it says what shall change. Absent: keys, files, clocks, and any way to see more than the command needs.

mod denial;
mod outcome;
mod person_link;
mod record_delete;
mod record_put;
mod row;
mod self_info_request;

use crate::{
    calendar::Timestamp,
    directory::{Catalogue, Principal, Tenant},
    envelope::{EnvelopeError, strict_json},
    identifier::{MessageType, PersonName},
    ledger::LegalBasis,
    record::{PersonId, PersonNeed, View},
};
pub use denial::Denial;
pub use outcome::{Facts, Outcome};
pub use person_link::PersonLink;
pub use record_delete::RecordDelete;
pub use record_put::RecordPut;
pub use self_info_request::{AuthenticationMethod, SelfInfoRequest};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// What a message asks.
#[derive(Debug)]
pub enum Command {
    /// A person's own records in named categories.
    SelfInfoRequest(SelfInfoRequest),
    /// Register records.
    RecordPut(RecordPut),
    /// Remove records.
    RecordDelete(RecordDelete),
    /// Tie a person code to an integrated addressee number.
    PersonLink(PersonLink),
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
    /// A fresh id for a person who is new here.
    pub fresh: &'a dyn Fn() -> PersonId,
    /// How many bytes the reply's body may have.
    pub room: usize,
}

impl Command {
    /// Reads the body of a message of this type.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the body has not the form that `schemas/` gives it; `not-a-command` for types the relay only sends.
    pub fn decode(kind: MessageType, body: &RawValue) -> Result<Self, EnvelopeError> {
        let body = body.get();
        match kind {
            MessageType::SelfInfoRequest => strict_json::from_str(body).map(Self::SelfInfoRequest),
            MessageType::RecordPut => strict_json::from_str(body).map(Self::RecordPut),
            MessageType::RecordDelete => strict_json::from_str(body).map(Self::RecordDelete),
            MessageType::PersonLink => strict_json::from_str(body).map(Self::PersonLink),
            MessageType::SelfInfoReply | MessageType::RecordReply | MessageType::PersonReply => Err(EnvelopeError::MalformedJson),
        }
    }

    /// The persons it is about; it takes turns with others about the same.
    #[must_use]
    pub fn names(&self) -> BTreeSet<PersonName> {
        match self {
            Self::SelfInfoRequest(request) => request.names(),
            Self::RecordPut(put) => put.names(),
            Self::RecordDelete(delete) => delete.names(),
            Self::PersonLink(link) => link.names(),
        }
    }

    /// What it needs to see.
    #[must_use]
    pub fn needs(&self, context: &Context<'_>) -> Vec<PersonNeed> {
        match self {
            Self::SelfInfoRequest(request) => request.needs(context),
            Self::RecordPut(put) => put.needs(),
            Self::RecordDelete(delete) => delete.needs(),
            Self::PersonLink(link) => link.needs(),
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
            Self::PersonLink(link) => link.handle(context, view),
        }
    }

    /// The law that allows a message of this type.
    #[must_use]
    pub const fn basis(kind: MessageType) -> LegalBasis {
        match kind {
            MessageType::SelfInfoRequest | MessageType::SelfInfoReply => LegalBasis::SelfInformation,
            MessageType::RecordPut
            | MessageType::RecordDelete
            | MessageType::RecordReply
            | MessageType::PersonLink
            | MessageType::PersonReply => LegalBasis::RegisteredCopies,
        }
    }
}
