//! Encrypt: the reply is signed and encrypted now, once; these bytes are the reply for ever.
//!
//! Always: the reply carries the promise of the entry that will stand in the ledger, so nothing personal leaves without
//! one (design §7); every reply is padded.

use super::{
    Failure,
    ports::{Answer, Frame, MessageKey, Parcel},
};
use crate::{
    calendar::Timestamp,
    command::Outcome,
    directory::Principal,
    envelope::{self, Draft, Padding, SigningKey},
    hex,
    identifier::{MessageId, PrincipalId},
    ledger::{Commitment, Entry, Promise, Salt, Sealing, Stranger},
    tenant::{Route, Verified, lifetime},
    wiped::Wiped,
};
use ring::rand::SystemRandom;
use std::sync::Arc;

/// An outcome with its reply as it will leave.
#[derive(Debug)]
pub(crate) struct Encrypted(Frame);

/// An outcome with the payload of its reply, and the ledger's entry bound to it; the parcel is still empty.
#[derive(Debug)]
pub(crate) struct Composed<'a> {
    author: &'a Principal,
    frame: Frame,
    parcel: Parcel,
    payload: Wiped,
}

/// The same, signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    author: &'a Principal,
    frame: Frame,
    parcel: Parcel,
    signed: Wiped,
}

impl<'a> Composed<'a> {
    /// Makes the reply's claims and the entry, and promises the one in the other.
    pub(crate) fn compose(verified: &'a Verified, key: MessageKey, outcome: Outcome, salt: Salt, now: Timestamp) -> Result<Self, Failure> {
        let author = verified.author();
        let kind = verified.kind().reply().ok_or(Failure::Bug)?;
        let expires = now.plus_seconds(lifetime(kind));
        let id = MessageId::derived(&author.id, &verified.id(), verified.digest(), kind, &author.id, key.answer.ordinal());
        let composed = Draft {
            iss: verified.directory().relay().id.clone(),
            aud: author.id.clone(),
            jti: id,
            iat: now,
            exp: expires,
            env: verified.directory().env(),
            tenant: verified.tenant(),
            kind,
            re: Some(verified.id()),
            body: &outcome.body,
        }
        .compose()
        .map_err(|_| Failure::Bug)?;
        let verdict = outcome.verdict();
        let entry = Entry {
            at: now.millis(),
            author: author.id.clone(),
            role: author.role.as_str().to_owned(),
            message: verified.id(),
            kind: verified.kind(),
            asked: hex::encode(verified.digest()),
            authenticated: outcome.facts.authenticated,
            basis: outcome.facts.basis,
            subjects: outcome.facts.subjects,
            categories: outcome.facts.categories,
            declarations: outcome.facts.declarations,
            verdict,
            sent: hex::encode(composed.claims_digest()),
        };
        let categories = entry.categories.len();
        let sealing = Sealing { salt, entry: padded(serde_json::to_vec(&entry).map_err(|_| Failure::Bug)?, categories) };
        let promise = Promise::of(&sealing);
        let frame = Frame {
            message: key,
            digest: *verified.digest(),
            expires: verified.expires(),
            changes: outcome.changes,
            commitment: Commitment::of(composed.claims_digest(), &promise),
            sealing,
            parcels: Vec::new(),
        };
        let body = Arc::from([].as_slice());
        let parcel = Parcel { id, kind, re: Some(verified.id()), recipient: author.id.clone(), deadline: expires, body };
        Ok(Self { author, frame, parcel, payload: composed.with_promise(&promise, Padding::Padme) })
    }

    /// Signs the reply.
    pub(crate) fn sign(self, key: &SigningKey) -> Result<Signed<'a>, Failure> {
        let signed = envelope::sign(&self.payload, key, &SystemRandom::new()).map_err(|_| Failure::Encrypt)?;
        Ok(Signed { author: self.author, frame: self.frame, parcel: self.parcel, signed })
    }
}

impl Signed<'_> {
    /// Encrypts the reply to the author of what is answered.
    pub(crate) fn encrypt(mut self, now: Timestamp) -> Result<Encrypted, Failure> {
        let recipient = self.author.encryption_key(now).ok_or(Failure::Encrypt)?;
        let body = envelope::encrypt(&self.signed, recipient, &SystemRandom::new()).map_err(|_| Failure::Encrypt)?;
        #[cfg(feature = "sabotage")]
        let body = if crate::sabotage::is(crate::sabotage::Sabotage::SendUnencrypted) { self.signed.to_vec() } else { body };
        self.parcel.body = body.into();
        self.frame.parcels.push(self.parcel);
        Ok(Encrypted(self.frame))
    }
}

impl Encrypted {
    pub(crate) fn into_frame(self) -> Frame {
        self.0
    }
}

/// Pads an entry with JSON white space to a length that follows from the number of categories alone.
///
/// SECURITY: sealing does not hide a length, and unknown person, no record and outside the window are not equally long.
fn padded(mut entry: Vec<u8>, categories: usize) -> Vec<u8> {
    const FRAME: usize = 1024;
    const CATEGORY: usize = 128;
    let length = FRAME + CATEGORY * categories;
    entry.resize(length.max(entry.len().next_multiple_of(FRAME)), b' ');
    entry
}

/// How long the platform vault remembers a message that proved nothing, in seconds; a later copy is entered anew.
const STRANGER_REMEMBERED: i64 = 14 * 24 * 60 * 60;

/// The frame that enters what a stranger tried. Nobody is answered, so the commitment stands over the body's digest.
pub(super) fn stranger_frame(
    relay: &PrincipalId,
    reason: &'static str,
    digest: &[u8; 32],
    route: &Route,
    salt: Salt,
    now: Timestamp,
) -> Frame {
    let entry = Stranger {
        at: now.millis(),
        reason: reason.to_owned(),
        body: hex::encode(digest),
        broker: route.broker.clone(),
        carrier: route.user_id.clone(),
    };
    // A struct of texts and a number always serialises.
    let sealing = Sealing { salt, entry: serde_json::to_vec(&entry).unwrap_or_default() };
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *digest;
    Frame {
        message: MessageKey { author: relay.clone(), id: MessageId::from_bytes(id), answer: Answer::First },
        digest: *digest,
        expires: now.plus_seconds(STRANGER_REMEMBERED),
        changes: Vec::new(),
        commitment: Commitment::of(digest, &Promise::of(&sealing)),
        sealing,
        parcels: Vec::new(),
    }
}
