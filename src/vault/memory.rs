//! The memory of messages: which were handled, what was promised, and when they may be forgotten.
//!
//! ```text
//! Message ‖ blind(author, id) → expires(8) ‖ sequence(8) ‖ location(20) ‖ parcels(2) ‖ sealed(digest ‖ promise ‖ expires)
//! ```
//!
//! Always: an id is kept until 10 minutes after its message expired, then forgotten with a floor: whatever expired at or below
//! the floor may have been handled, so it is denied whatever the clock says. A reply can be sent again until it was published
//! and its request expired. Absent: the clock.

use super::{
    applied::MessageRow,
    checkpoint::span,
    codec::Take,
    committer::{Posts, Prepared},
    core::{Core, read},
    frame::{Handled, ParcelKey, ParcelRecord, Record},
    limits::{EXPIRY_IDS, EXPIRY_SPAN, KEPT_AFTER_EXPIRY},
};
use crate::{
    calendar::Timestamp,
    keyring::{Blind, RowKey, Tree},
    ledger::Promise,
    relay::ports::{Answer, Frame, Journalled, MessageKey, Remembered, Repeated, ReplyKept, StopCause, VaultFault},
};
use std::sync::{Arc, atomic::Ordering};

impl Core {
    fn blind(&self, message: &MessageKey) -> Blind {
        let answer: &[u8] = match &message.answer {
            Answer::First => &[],
            Answer::Conflict(digest) => digest,
            Answer::Again => &[1],
        };
        self.keyring.index().blind(Tree::Message, &[message.author.as_str().as_bytes(), message.id.as_bytes(), answer])
    }

    // INVARIANT: a repeat is found, whatever happened between. Held by `known::a_repeat_is_found_however_the_vault_was_opened`.
    fn message(&self, blind: Blind) -> Result<Option<MessageRow>, VaultFault> {
        self.serving()?;
        if !read(&self.applied).known.may_hold(blind) {
            return Ok(None);
        }
        let Some(row) = self.row(&MessageRow::key(blind))? else { return Ok(None) };
        MessageRow::decode(&row).map(Some).ok_or_else(|| self.damaged())
    }

    /// What is remembered of a message.
    pub(super) fn recall(&self, message: &MessageKey) -> Result<Option<Remembered>, VaultFault> {
        let blind = self.blind(message);
        let Some(row) = self.message(blind)? else { return Ok(None) };
        let memory = self.keyring.open(&MessageRow::key(blind), &row.memory).map_err(|_| self.damaged())?;
        let mut from = Take(&memory);
        let parts = from.array().zip(from.array()).zip(from.i64());
        match parts {
            Some(((digest, promise), expires)) if expires == row.expires.millis() => {
                Ok(Some(Remembered { digest, reply: self.kept(&row), promise }))
            }
            _ => Err(self.damaged()),
        }
    }

    /// Whether a message's envelopes are kept: until it expired, as far as the last sweep knew, and all are published.
    // INVARIANT: what is kept is on disk. A segment is rewritten when all its messages expired at or below the floor.
    // Held by `shrink::a_reply_is_gone_once_it_was_published_and_its_request_expired`.
    fn kept(&self, row: &MessageRow) -> ReplyKept {
        let applied = read(&self.applied);
        let until = applied.floor.max(Timestamp::from_millis(self.swept.load(Ordering::Acquire)));
        let published = (0..row.parcels).all(|ordinal| !applied.outstanding.contains_key(&ParcelKey { sequence: row.sequence, ordinal }));
        if row.parcels > 0 && row.expires <= until && published { ReplyKept::Gone } else { ReplyKept::Yes }
    }

    /// Seals a frame and makes it durable, if there is room.
    pub(super) async fn commit_frame(self: &Arc<Self>, frame: Frame) -> Result<Journalled, VaultFault> {
        self.serving()?;
        self.has_room()?;
        let _sealing = self.sealing.read().await;
        let prepared = {
            let _reading = read(&self.reading);
            self.prepare(frame)?
        };
        let index = self.commit(prepared).await?;
        // A handled message always has an entry.
        index.map(|index| Journalled { index }).ok_or(VaultFault::Stopped(StopCause::Ledger))
    }

    fn prepare(&self, frame: Frame) -> Result<Prepared, VaultFault> {
        let message = self.blind(&frame.message);
        let mut memory = [frame.digest, Promise::of(&frame.sealing).0].concat();
        memory.extend_from_slice(&frame.expires.millis().to_be_bytes());
        let entry = crate::wiped::Wiped::from([frame.sealing.salt.0.as_slice(), &frame.sealing.entry].concat());
        let (rows, links) = self.seal_changes(frame.changes)?;
        let record = Record::Handled(Handled {
            message,
            expires: frame.expires,
            memory: self.seal(&MessageRow::key(message), &memory)?,
            entry: self.seal(&Tree::Entry.row(&[&frame.commitment.0]), &entry)?,
            commitment: frame.commitment,
            rows,
            links,
            parcels: frame.parcels.iter().map(ParcelRecord::of).collect(),
        });
        Ok(Prepared { record, bodies: frame.parcels.into_iter().map(Arc::new).collect(), posts: Posts::Own })
    }

    /// Puts the parcels of a message into the outbox again.
    pub(super) async fn repeat(self: &Arc<Self>, message: &MessageKey) -> Result<Repeated, VaultFault> {
        // Until the frame is queued, no segment loses the envelopes that it speaks of; see `Core::shrink`.
        let _kept = self.envelopes.read().await;
        let Some(row) = self.message(self.blind(message))? else { return Ok(Repeated::Gone) };
        let (sequence, location) = (row.sequence, row.location);
        let missing = self.ask_again((0..row.parcels).map(|ordinal| ParcelKey { sequence, ordinal }));
        if missing.is_empty() {
            return Ok(Repeated::Sent);
        }
        let core = Arc::clone(self);
        let parcels = tokio::task::spawn_blocking(move || core.parcels(sequence, location)).await;
        let Some(parcels) = parcels.unwrap_or(Err(VaultFault::Stopped(StopCause::Journal)))? else { return Ok(Repeated::Gone) };
        let again = (0..).map(|ordinal| ParcelKey { sequence, ordinal }).zip(parcels);
        let posts = again.filter(|(key, _)| missing.contains(key)).map(|(key, parcel)| (key, location, Arc::new(parcel)));
        let record = Record::Again(missing.iter().map(|key| (*key, location)).collect());
        self.commit(Prepared { record, bodies: Vec::new(), posts: Posts::Again(posts.collect()) }).await?;
        Ok(Repeated::Sent)
    }

    /// Up to which expiry messages are forgotten.
    pub(super) fn floor(&self) -> Timestamp {
        read(&self.applied).floor
    }

    /// Forgets what expired more than 10 minutes ago. Returns how many messages were forgotten.
    pub(super) async fn sweep(self: &Arc<Self>, now: Timestamp) -> Result<u64, VaultFault> {
        // Also a clock that was ahead and is set right: the floor alone remembers, and only that lets bytes go.
        self.swept.store(now.millis(), Ordering::Release);
        let before = span(now.seconds().saturating_sub(KEPT_AFTER_EXPIRY));
        let mut forgotten = 0;
        loop {
            let core = Arc::clone(self);
            let found = tokio::task::spawn_blocking(move || core.expired(before)).await;
            let found = found.unwrap_or(Err(VaultFault::Stopped(StopCause::Store)))?;
            let Some((floor, rows)) = found else { return Ok(forgotten) };
            forgotten += rows.iter().filter(|row| row.tree() == Some(Tree::Message)).count() as u64;
            self.commit(Prepared { record: Record::Forgotten { floor, rows }, bodies: Vec::new(), posts: Posts::Own }).await?;
        }
    }

    /// The oldest part of the expiry index that lies wholly before this span: its rows, and the messages' that it names.
    fn expired(&self, before: u64) -> Result<Option<(Timestamp, Vec<RowKey>)>, VaultFault> {
        let Some((key, ids)) = self.oldest_expiry(before)? else { return Ok(None) };
        let span = key.as_bytes().get(1..).and_then(|rest| Take(rest).u64()).ok_or_else(|| self.damaged())?;
        let end = i64::try_from(span).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(EXPIRY_SPAN);
        let floor = Timestamp::from_millis(end.saturating_mul(1000).saturating_sub(1));
        let mut rows = Vec::with_capacity(EXPIRY_IDS + 1);
        for blind in ids.as_chunks().0 {
            let blind = Blind(*blind);
            if self.message(blind)?.is_some_and(|message| message.expires <= floor) {
                rows.push(MessageRow::key(blind));
            }
        }
        rows.push(key);
        Ok(Some((floor, rows)))
    }

    fn oldest_expiry(&self, before: u64) -> Result<Option<(RowKey, Vec<u8>)>, VaultFault> {
        self.serving()?;
        let prefix = Tree::Expiry.row(&[]);
        // Rows that an earlier round took away are still in the store until the next checkpoint.
        let taken = read(&self.applied).rows.with_prefix(&prefix);
        let result = match &*super::core::read(&self.store) {
            Some(store) => store.rows(&prefix, taken.len() + 1),
            None => return Err(VaultFault::Stopped(self.stopped().unwrap_or(StopCause::Store))),
        };
        let rows = result.map_err(|error| self.store_fault(&error))?;
        let oldest = rows.into_iter().find(|(key, _)| !taken.contains_key(key));
        let due = oldest.filter(|(key, _)| key.as_bytes().get(1..).and_then(|rest| Take(rest).u64()).is_some_and(|span| span < before));
        Ok(due.map(|(key, ids)| (key, ids.to_vec())))
    }
}
