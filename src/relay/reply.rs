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
    envelope::{self, Draft, Padding, SigningKey},
    hex,
    identifier::{MessageId, PrincipalId},
    ledger::{Commitment, Entry, Promise, Salt, Sealing, Stranger},
    tenant::{Route, Verified, lifetime},
};
use ring::rand::SystemRandom;

/// An outcome with its reply as it will leave.
#[derive(Debug)]
pub(super) struct Encrypted(Frame);

impl Encrypted {
    /// Signs and encrypts the reply, and binds the ledger's entry to it.
    pub(super) fn encrypt(
        verified: &Verified,
        key: MessageKey,
        outcome: Outcome,
        salt: Salt,
        signing: &SigningKey,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let author = verified.author();
        let relay = verified.directory().relay();
        let kind = verified.kind().reply().ok_or(Failure::Bug)?;
        let expires = now.plus_seconds(lifetime(kind));
        let id = MessageId::derived(&author.id, &verified.id(), verified.digest(), kind, &author.id, key.answer.ordinal());
        let composed = Draft {
            iss: relay.id.clone(),
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
            verdict,
            sent: hex::encode(composed.claims_digest()),
        };
        let categories = entry.categories.len();
        let sealing = Sealing { salt, entry: padded(serde_json::to_vec(&entry).map_err(|_| Failure::Bug)?, categories) };
        let promise = Promise::of(&sealing);
        let commitment = Commitment::of(composed.claims_digest(), &promise);
        let random = SystemRandom::new();
        let signed = envelope::sign(&composed.with_promise(&promise, Padding::Padme), signing, &random).map_err(|_| Failure::Encrypt)?;
        let recipient = author.encryption_key(now).ok_or(Failure::Encrypt)?;
        let body = envelope::encrypt(&signed, recipient, &random).map_err(|_| Failure::Encrypt)?;
        #[cfg(feature = "sabotage")]
        let body = if crate::sabotage::is(crate::sabotage::Sabotage::SendUnencrypted) { signed.to_vec() } else { body };
        let parcel = Parcel { id, kind, re: Some(verified.id()), recipient: author.id.clone(), deadline: expires, body: body.into() };
        Ok(Self(Frame {
            message: key,
            digest: *verified.digest(),
            expires: verified.expires(),
            changes: outcome.changes,
            commitment,
            sealing,
            parcels: vec![parcel],
        }))
    }

    pub(super) fn into_frame(self) -> Frame {
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
