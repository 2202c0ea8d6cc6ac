//! A frame as it stands in the journal: what one message, or the vault itself, changes in one step.
//!
//! Always: rows are final (row key, sealed value) pairs, so replay opens nothing. Parcels stand here with the SHA-256 of their
//! envelope; the envelopes follow the group, so they can be dropped later without touching what the tags cover.

use super::{
    codec::{Put, Take, len32},
    links::Links,
};
use crate::{
    calendar::Timestamp,
    identifier::{MessageId, MessageType, PrincipalId},
    keyring::{Blind, RowKey},
    ledger::Commitment,
    relay::ports::Parcel,
};
use ring::digest;
use std::sync::Arc;

/// Where a frame lies: the segment, where its group begins, and which frame of the group it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) frame: u32,
}

impl Location {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.u64(self.segment);
        out.u64(self.offset);
        out.u32(self.frame);
    }

    pub(super) fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(Self { segment: from.u64()?, offset: from.u64()?, frame: from.u32()? })
    }
}

/// A parcel's name in its vault: the sequence of its frame, and which parcel of the frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ParcelKey {
    pub(super) sequence: u64,
    pub(super) ordinal: u16,
}

impl ParcelKey {
    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.u64(self.sequence);
        out.u16(self.ordinal);
    }

    pub(super) fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(Self { sequence: from.u64()?, ordinal: from.u16()? })
    }
}

/// A row's new value; `None` takes the row away.
pub(super) type RowChange = (RowKey, Option<Arc<[u8]>>);

/// A parcel without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParcelRecord {
    pub(super) id: MessageId,
    pub(super) kind: MessageType,
    pub(super) re: Option<MessageId>,
    pub(super) recipient: PrincipalId,
    pub(super) deadline: Timestamp,
    pub(super) length: u32,
    pub(super) sha256: [u8; 32],
}

impl ParcelRecord {
    pub(super) fn of(parcel: &Parcel) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, &parcel.body).as_ref());
        Self {
            id: parcel.id,
            kind: parcel.kind,
            re: parcel.re,
            recipient: parcel.recipient.clone(),
            deadline: parcel.deadline,
            length: len32(parcel.body.len()),
            sha256,
        }
    }

    /// The whole parcel, if this is its envelope.
    pub(super) fn with_body(&self, body: &[u8]) -> Option<Parcel> {
        (digest::digest(&digest::SHA256, body).as_ref() == self.sha256).then(|| Parcel {
            id: self.id,
            kind: self.kind,
            re: self.re,
            recipient: self.recipient.clone(),
            deadline: self.deadline,
            body: body.into(),
        })
    }
}

/// What a message changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handled {
    pub(super) message: Blind,
    pub(super) expires: Timestamp,
    /// Digest, promise and expiry, sealed for the message's row.
    pub(super) memory: Vec<u8>,
    pub(super) commitment: Commitment,
    /// Salt and entry, sealed beside the log.
    pub(super) entry: Vec<u8>,
    pub(super) rows: Vec<RowChange>,
    /// How the rows change the links.
    pub(super) links: Links,
    pub(super) parcels: Vec<ParcelRecord>,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A message was handled.
    Handled(Handled),
    /// Parcels were published.
    Sent(Vec<ParcelKey>),
    /// Parcels of a message that came again are to be published again.
    Again(Vec<(ParcelKey, Location)>),
    /// Messages that expired up to the floor were forgotten: these rows are gone.
    Forgotten { floor: Timestamp, rows: Vec<RowKey> },
}

const HANDLED: u8 = 1;
const SENT: u8 = 2;
const AGAIN: u8 = 3;
const FORGOTTEN: u8 = 4;

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Handled(handled) => {
                out.u8(HANDLED);
                handled.put(&mut out);
            }
            Self::Sent(keys) => {
                out.u8(SENT);
                out.u32(len32(keys.len()));
                keys.iter().for_each(|key| key.put(&mut out));
            }
            Self::Again(parcels) => {
                out.u8(AGAIN);
                out.u32(len32(parcels.len()));
                for (key, location) in parcels {
                    key.put(&mut out);
                    location.put(&mut out);
                }
            }
            Self::Forgotten { floor, rows } => {
                out.u8(FORGOTTEN);
                out.u64(floor.millis().cast_unsigned());
                out.u32(len32(rows.len()));
                rows.iter().for_each(|row| out.block(row.as_bytes()));
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Take(bytes);
        let record = match from.u8()? {
            HANDLED => Self::Handled(Handled::take(&mut from)?),
            SENT => Self::Sent((0..from.u32()?).map(|_| ParcelKey::take(&mut from)).collect::<Option<_>>()?),
            AGAIN => {
                let count = from.u32()?;
                let parcel = |_| Some((ParcelKey::take(&mut from)?, Location::take(&mut from)?));
                Self::Again((0..count).map(parcel).collect::<Option<_>>()?)
            }
            FORGOTTEN => {
                let floor = Timestamp::from_millis(from.i64()?);
                let count = from.u32()?;
                Self::Forgotten { floor, rows: (0..count).map(|_| RowKey::from_stored(from.block()?)).collect::<Option<_>>()? }
            }
            _ => return None,
        };
        from.end().map(|()| record)
    }

    /// When the message expires that was handled in it.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Handled(handled) => Some(handled.expires),
            Self::Sent(_) | Self::Again(_) | Self::Forgotten { .. } => None,
        }
    }

    /// The parcels that stand in it.
    pub(super) fn parcels(&self) -> &[ParcelRecord] {
        match self {
            Self::Handled(handled) => &handled.parcels,
            Self::Sent(_) | Self::Again(_) | Self::Forgotten { .. } => &[],
        }
    }
}

impl Handled {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.message.0);
        out.u64(self.expires.millis().cast_unsigned());
        out.block(&self.memory);
        out.extend_from_slice(&self.commitment.0);
        out.block(&self.entry);
        out.u32(len32(self.rows.len()));
        for (row, value) in &self.rows {
            out.block(row.as_bytes());
            match value {
                Some(value) => {
                    out.u8(1);
                    out.block(value);
                }
                None => out.u8(0),
            }
        }
        self.links.put(out);
        out.u16(u16::try_from(self.parcels.len()).unwrap_or(u16::MAX));
        for parcel in &self.parcels {
            out.extend_from_slice(parcel.id.as_bytes());
            out.name(parcel.kind.as_str());
            match parcel.re {
                Some(id) => {
                    out.u8(1);
                    out.extend_from_slice(id.as_bytes());
                }
                None => out.u8(0),
            }
            out.name(parcel.recipient.as_str());
            out.u64(parcel.deadline.millis().cast_unsigned());
            out.u32(parcel.length);
            out.extend_from_slice(&parcel.sha256);
        }
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let message = Blind(from.array()?);
        let expires = Timestamp::from_millis(from.i64()?);
        let memory = from.block()?.to_vec();
        let commitment = Commitment(from.array()?);
        let entry = from.block()?.to_vec();
        let rows = (0..from.u32()?)
            .map(|_| {
                let row = RowKey::from_stored(from.block()?)?;
                match from.u8()? {
                    0 => Some((row, None)),
                    1 => Some((row, Some(Arc::from(from.block()?)))),
                    _ => None,
                }
            })
            .collect::<Option<_>>()?;
        let links = Links::take(from)?;
        let parcels = (0..from.u16()?)
            .map(|_| {
                Some(ParcelRecord {
                    id: MessageId::from_bytes(from.array()?),
                    kind: from.name()?.parse().ok()?,
                    re: match from.u8()? {
                        0 => None,
                        1 => Some(MessageId::from_bytes(from.array()?)),
                        _ => return None,
                    },
                    recipient: from.name()?.parse().ok()?,
                    deadline: Timestamp::from_millis(from.i64()?),
                    length: from.u32()?,
                    sha256: from.array()?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self { message, expires, memory, commitment, entry, rows, links, parcels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Tree;

    pub(in crate::vault) fn records() -> Vec<Record> {
        let parcel = Parcel {
            id: MessageId::from_random([1; 16]),
            kind: MessageType::SelfInfoReply,
            re: Some(MessageId::from_random([2; 16])),
            recipient: "disclosure".parse().unwrap(),
            deadline: Timestamp::from_millis(5),
            body: b"envelope".as_slice().into(),
        };
        let location = Location { segment: 1, offset: 2, frame: 3 };
        let key = ParcelKey { sequence: 7, ordinal: 1 };
        vec![
            Record::Handled(Handled {
                message: Blind([3; 16]),
                expires: Timestamp::from_millis(-1),
                memory: vec![1, 2],
                commitment: Commitment([4; 32]),
                entry: vec![],
                rows: vec![(Tree::Link.row(&[&[1]]), None), (Tree::Person.row(&[&[1]]), Some(Arc::from([9].as_slice())))],
                links: Links::default(),
                parcels: vec![ParcelRecord::of(&parcel)],
            }),
            Record::Sent(vec![key]),
            Record::Again(vec![(key, location)]),
            Record::Forgotten { floor: Timestamp::from_millis(9), rows: vec![Tree::Message.row(&[&[1; 16]])] },
        ]
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_and_not_otherwise() {
        for record in records() {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes).as_ref(), Some(&record));
            for length in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..length]), None, "cut at {length}");
            }
            assert_eq!(Record::decode(&[bytes.as_slice(), &[0]].concat()), None);
        }
    }
}
