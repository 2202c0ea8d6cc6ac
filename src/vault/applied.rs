//! What is in effect: the rows since the checkpoint, the ids in memory, the ledger's edge, what waits to be published.
//!
//! Always: changed by applying frames, in the order of the journal, and by nothing else; applying a frame again after a crash
//! changes nothing. Absent: anything durable.

use super::{
    codec::{Put, Take},
    frame::{Handled, Location, ParcelKey, Record},
    journal::SEGMENT_HEADER,
    known::Known,
    ledger::SealedEntry,
    links::Links,
    manifest::{Position, Seals},
    rows::{RowMap, Rows},
};
use crate::{
    calendar::Timestamp,
    keyring::{Blind, RowKey, Sealed, Tree},
    ledger::Frontier,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What is in effect.
pub(super) struct Applied {
    pub(super) rows: Rows,
    /// The ids of all messages that are remembered; without any while the journal is replayed.
    pub(super) known: Known,
    pub(super) ledger: Frontier,
    /// Which names lead to persons.
    pub(super) links: Links,
    /// Entries since the last checkpoint.
    entries: Vec<SealedEntry>,
    /// Entries a checkpoint is writing.
    settling: Option<Arc<Vec<SealedEntry>>>,
    /// Parcels that were not yet published, and the frames they stand in.
    pub(super) outstanding: HashMap<ParcelKey, Location>,
    /// Messages that expired up to here are forgotten.
    pub(super) floor: Timestamp,
    /// How many values were sealed under each data key.
    pub(super) seals: Seals,
    /// Since when the newest data key seals, if that is known.
    pub(super) keys_since: Option<Timestamp>,
    /// When the messages of each segment expire.
    pub(super) latest: Latest,
    /// Outbox rows of frames from here on are in memory only.
    unsettled_from: u64,
}

/// When the last message of each segment expires, of those segments that were written or replayed whole.
pub(super) struct Latest {
    /// Of this one and all before it, only a part was seen, if anything.
    unseen_to: u64,
    by_segment: BTreeMap<u64, Timestamp>,
}

impl Latest {
    /// What is seen from this position on.
    const fn from(position: &Position) -> Self {
        let whole = position.offset == SEGMENT_HEADER;
        Self { unseen_to: if whole { position.segment.saturating_sub(1) } else { position.segment }, by_segment: BTreeMap::new() }
    }

    fn note(&mut self, segment: u64, record: &Record) {
        if segment > self.unseen_to {
            let expires = record.expires().unwrap_or(Timestamp::from_millis(i64::MIN));
            let latest = self.by_segment.entry(segment).or_insert(expires);
            *latest = expires.max(*latest);
        }
    }

    /// `None` if it is not known.
    pub(super) fn of(&self, segment: u64) -> Option<Timestamp> {
        self.by_segment.get(&segment).copied()
    }

    pub(super) fn forget(&mut self, segment: u64) {
        self.by_segment.remove(&segment);
    }
}

/// A consistent cut: everything before a position in the journal.
pub(super) struct Cut {
    pub(super) position: Position,
    pub(super) rows: Arc<RowMap>,
    pub(super) entries: Arc<Vec<SealedEntry>>,
    pub(super) ledger: Frontier,
    pub(super) links: Links,
    pub(super) outstanding: u64,
    pub(super) floor: Timestamp,
    pub(super) seals: Seals,
    pub(super) keys_since: Option<Timestamp>,
}

/// What a message's row holds, the sealed part still sealed.
pub(super) struct MessageRow {
    pub(super) expires: Timestamp,
    pub(super) sequence: u64,
    pub(super) location: Location,
    pub(super) parcels: u16,
    pub(super) memory: Vec<u8>,
}

impl MessageRow {
    pub(super) fn key(message: Blind) -> RowKey {
        Tree::Message.row(&[&message.0])
    }

    /// Whose row this is, if it is a message's.
    pub(super) fn of(row: &RowKey) -> Option<Blind> {
        let (tree, id) = row.as_bytes().split_first()?;
        (*tree == Tree::Message.byte()).then(|| id.try_into().ok().map(Blind)).flatten()
    }

    fn encode(sequence: u64, location: Location, handled: &Handled) -> Arc<[u8]> {
        let mut out = Vec::with_capacity(46 + handled.memory.len());
        out.u64(handled.expires.millis().cast_unsigned());
        out.u64(sequence);
        location.put(&mut out);
        out.u16(u16::try_from(handled.parcels.len()).unwrap_or(u16::MAX));
        out.extend_from_slice(&handled.memory);
        out.into()
    }

    /// What stands before the sealed part of a row, and that part.
    pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        bytes.split_at_checked(bytes.len() - Self::decode(bytes)?.memory.len())
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Take(bytes);
        Some(Self {
            expires: Timestamp::from_millis(from.i64()?),
            sequence: from.u64()?,
            location: Location::take(&mut from)?,
            parcels: from.u16()?,
            memory: from.0.to_vec(),
        })
    }
}

/// The row of an outstanding parcel.
pub(super) fn outbox_row(key: ParcelKey) -> RowKey {
    Tree::Outbox.row(&[&key.sequence.to_be_bytes(), &key.ordinal.to_be_bytes()])
}

/// The parcel an outbox row speaks of.
pub(super) fn read_outbox_row(key: &RowKey, value: &[u8]) -> Option<(ParcelKey, Location)> {
    let key = ParcelKey::take(&mut Take(key.as_bytes().get(1..)?))?;
    Some((key, Location::take(&mut Take(value))?))
}

impl Applied {
    /// What is in effect before replay: rows in the store, and this.
    pub(super) fn new(
        from: &Position,
        ledger: Frontier,
        links: Links,
        floor: Timestamp,
        outstanding: HashMap<ParcelKey, Location>,
    ) -> Self {
        Self {
            latest: Latest::from(from),
            rows: Rows::default(),
            known: Known::default(),
            ledger,
            links,
            entries: Vec::new(),
            settling: None,
            outstanding,
            floor,
            seals: Seals::new(),
            keys_since: None,
            // During replay the store may already have any row, so each is taken away in it too.
            unsettled_from: u64::MAX,
        }
    }

    /// Applies a frame. Returns the index of its ledger entry, if it has one.
    pub(super) fn apply(&mut self, sequence: u64, location: Location, record: Record) -> Option<u64> {
        self.latest.note(location.segment, &record);
        match record {
            Record::Handled(handled) => {
                self.count_seals(&handled);
                let message = MessageRow::encode(sequence, location, &handled);
                self.rows.apply((MessageRow::key(handled.message), Some(message)));
                self.known.remember(handled.message);
                for ordinal in (0_u16..).take(handled.parcels.len()) {
                    self.await_parcel(ParcelKey { sequence, ordinal }, location);
                }
                self.links = self.links.plus(handled.links);
                handled.rows.into_iter().for_each(|row| self.rows.apply(row));
                self.entries.push((handled.commitment, handled.entry));
                Some(self.ledger.append(&handled.commitment))
            }
            Record::Sent(keys) => {
                for key in keys {
                    self.outstanding.remove(&key);
                    if key.sequence >= self.unsettled_from {
                        self.rows.withdraw(&outbox_row(key));
                    } else {
                        self.rows.apply((outbox_row(key), None));
                    }
                }
                None
            }
            Record::Again(parcels) => {
                parcels.into_iter().for_each(|(key, location)| self.await_parcel(key, location));
                None
            }
            Record::Forgotten { floor, rows } => {
                for row in rows {
                    MessageRow::of(&row).into_iter().for_each(|message| self.known.forget(message));
                    self.rows.apply((row, None));
                }
                self.floor = self.floor.max(floor);
                None
            }
        }
    }

    fn count_seals(&mut self, handled: &Handled) {
        let rows = handled.rows.iter().filter_map(|(_, value)| value.as_deref());
        for version in rows.chain([handled.memory.as_slice(), &handled.entry]).filter_map(Sealed::version) {
            *self.seals.entry(version.0).or_default() += 1;
        }
    }

    fn await_parcel(&mut self, key: ParcelKey, location: Location) {
        let mut value = Vec::with_capacity(20);
        location.put(&mut value);
        self.rows.apply((outbox_row(key), Some(value.into())));
        self.outstanding.insert(key, location);
    }

    /// Moves everything up to this position aside for a checkpoint.
    pub(super) fn cut(&mut self, position: Position) -> Cut {
        let entries = Arc::new(std::mem::take(&mut self.entries));
        self.settling = Some(Arc::clone(&entries));
        self.unsettled_from = position.sequence;
        Cut {
            position,
            rows: self.rows.settle(),
            entries,
            ledger: self.ledger.clone(),
            links: self.links,
            outstanding: self.outstanding.len() as u64,
            floor: self.floor,
            seals: self.seals.clone(),
            keys_since: self.keys_since,
        }
    }

    /// Outbox rows of frames from this sequence on are in no store.
    pub(super) const fn unsettled_from(&mut self, sequence: u64) {
        self.unsettled_from = sequence;
    }

    /// The checkpoint is durable.
    pub(super) fn settled(&mut self) {
        self.rows.settled();
        self.settling = None;
    }

    /// An entry that is not in the ledger's files yet.
    pub(super) fn entry(&self, index: u64) -> Option<SealedEntry> {
        let newest_first = [Some(&self.entries), self.settling.as_deref()];
        let mut end = self.ledger.size();
        for entries in newest_first.into_iter().flatten() {
            let begin = end.saturating_sub(entries.len() as u64);
            if index >= begin && index < end {
                return usize::try_from(index - begin).ok().and_then(|at| entries.get(at).cloned());
            }
            end = begin;
        }
        None
    }
}
