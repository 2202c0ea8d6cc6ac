//! A message's id and type.
//!
//! Always: an id is a UUID in its one canonical spelling, so that equal ids are equal bytes; what the relay itself
//! sends has an id that follows from what it answers, so that a repeat carries the same one.

use super::{IdentifierError, PrincipalId};
use crate::calendar::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A message's id, `jti` and AMQP `message_id` (RFC 7519 §4.1.7, RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// An id from 16 random bytes (UUID version 4).
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// An id that also says when it was made (UUID version 7), from 10 random bytes.
    #[must_use]
    pub fn dated(at: Timestamp, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.millis().unsigned_abs(), random).into_uuid())
    }

    /// When it was made, if it says so.
    #[must_use]
    pub fn made(&self) -> Option<Timestamp> {
        let (seconds, _) = self.0.get_timestamp().filter(|_| self.0.get_version_num() == 7)?.to_unix();
        i64::try_from(seconds).ok().map(Timestamp::from_seconds)
    }

    /// The id of a message the relay sends because of another.
    ///
    /// `UUIDv8(SHA-256(author ‖ 0 ‖ answered ‖ digest ‖ type ‖ 0 ‖ recipient ‖ 0 ‖ ordinal))`, where `digest` is the
    /// answered message's; so a conflict's denial, a `pending` and the final reply never share one.
    #[must_use]
    pub fn derived(
        author: &PrincipalId,
        answered: &Self,
        digest: &[u8; 32],
        kind: MessageType,
        recipient: &PrincipalId,
        ordinal: u32,
    ) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [author.as_str().as_bytes(), &[0], answered.0.as_bytes(), digest, kind.as_str().as_bytes(), &[0]] {
            context.update(part);
        }
        for part in [recipient.as_str().as_bytes(), &[0], &ordinal.to_be_bytes()] {
            context.update(part);
        }
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id that these 16 bytes spell, whatever its version.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for MessageId {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| IdentifierError::Message)?;
        let mut canonical = [0; 36];
        if uuid.hyphenated().encode_lower(&mut canonical) == text { Ok(Self(uuid)) } else { Err(IdentifierError::Message) }
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::parse(deserializer)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The classes of messages that have queues of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageClass {
    /// A person asks for their own information.
    SelfInfo,
    /// A municipal system keeps its copies current.
    Record,
}

impl MessageClass {
    /// Every class, in the order of the design's table.
    pub const ALL: [Self; 2] = [Self::SelfInfo, Self::Record];

    /// The class as it stands in queue names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfInfo => "self-info",
            Self::Record => "record",
        }
    }
}

/// Every type of message, as it stands in claims, AMQP property and routing key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageType {
    /// A person's own records in named categories.
    #[serde(rename = "self-info.request")]
    SelfInfoRequest,
    /// The answer to it.
    #[serde(rename = "self-info.reply")]
    SelfInfoReply,
    /// Register records.
    #[serde(rename = "record.put")]
    RecordPut,
    /// Remove records.
    #[serde(rename = "record.delete")]
    RecordDelete,
    /// Attach files to records.
    #[serde(rename = "attachment.put")]
    AttachmentPut,
    /// Remove attached files.
    #[serde(rename = "attachment.delete")]
    AttachmentDelete,
    /// What became of each row.
    #[serde(rename = "record.reply")]
    RecordReply,
    /// Tie a person code to an integrated addressee number.
    #[serde(rename = "person.link")]
    PersonLink,
    /// Say what is held back of a person.
    #[serde(rename = "person.restrict")]
    PersonRestrict,
    /// Erase everything of a person.
    #[serde(rename = "person.erase")]
    PersonErase,
    /// What became of either.
    #[serde(rename = "person.reply")]
    PersonReply,
}

impl MessageType {
    /// Every type.
    pub const ALL: [Self; 11] = [
        Self::SelfInfoRequest,
        Self::SelfInfoReply,
        Self::RecordPut,
        Self::RecordDelete,
        Self::AttachmentPut,
        Self::AttachmentDelete,
        Self::RecordReply,
        Self::PersonLink,
        Self::PersonRestrict,
        Self::PersonErase,
        Self::PersonReply,
    ];

    /// The type as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfInfoRequest => "self-info.request",
            Self::SelfInfoReply => "self-info.reply",
            Self::RecordPut => "record.put",
            Self::RecordDelete => "record.delete",
            Self::AttachmentPut => "attachment.put",
            Self::AttachmentDelete => "attachment.delete",
            Self::RecordReply => "record.reply",
            Self::PersonLink => "person.link",
            Self::PersonRestrict => "person.restrict",
            Self::PersonErase => "person.erase",
            Self::PersonReply => "person.reply",
        }
    }

    /// The class of a message that the relay takes in; `None` for what it only sends.
    #[must_use]
    pub const fn class(self) -> Option<MessageClass> {
        match self {
            Self::SelfInfoRequest => Some(MessageClass::SelfInfo),
            Self::RecordPut
            | Self::RecordDelete
            | Self::AttachmentPut
            | Self::AttachmentDelete
            | Self::PersonLink
            | Self::PersonRestrict
            | Self::PersonErase => Some(MessageClass::Record),
            Self::SelfInfoReply | Self::RecordReply | Self::PersonReply => None,
        }
    }

    /// The type of the reply to a message that the relay takes in; `None` for what it only sends.
    #[must_use]
    pub const fn reply(self) -> Option<Self> {
        match self {
            Self::SelfInfoRequest => Some(Self::SelfInfoReply),
            Self::RecordPut | Self::RecordDelete | Self::AttachmentPut | Self::AttachmentDelete => Some(Self::RecordReply),
            Self::PersonLink | Self::PersonRestrict | Self::PersonErase => Some(Self::PersonReply),
            Self::SelfInfoReply | Self::RecordReply | Self::PersonReply => None,
        }
    }
}

impl FromStr for MessageType {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(IdentifierError::MessageType)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_of_an_id_is_taken() {
        let id = "0198c5f0-7a00-7000-8000-0123456789ab";
        assert_eq!(id.parse::<MessageId>().map(|id| id.to_string()).as_deref(), Ok(id));
        for text in [&id.to_uppercase(), &id.replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}")] {
            assert_eq!(text.parse::<MessageId>(), Err(IdentifierError::Message));
        }
    }

    #[test]
    fn a_derived_id_repeats_and_every_input_changes_it() {
        let (relay, peer): (PrincipalId, PrincipalId) = ("relay".parse().unwrap(), "disclosure".parse().unwrap());
        let asked = MessageId::from_random([7; 16]);
        let reply = MessageType::SelfInfoReply;
        let id = MessageId::derived(&relay, &asked, &[1; 32], reply, &peer, 0);
        assert_eq!(id, MessageId::derived(&relay, &asked, &[1; 32], reply, &peer, 0));
        for other in [
            MessageId::derived(&peer, &asked, &[1; 32], reply, &peer, 0),
            MessageId::derived(&relay, &MessageId::from_random([8; 16]), &[1; 32], reply, &peer, 0),
            MessageId::derived(&relay, &asked, &[2; 32], reply, &peer, 0),
            MessageId::derived(&relay, &asked, &[1; 32], MessageType::RecordReply, &peer, 0),
            MessageId::derived(&relay, &asked, &[1; 32], reply, &relay, 0),
            MessageId::derived(&relay, &asked, &[1; 32], reply, &peer, 1),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn text_and_serde_agree_on_every_type() {
        for kind in MessageType::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
