//! What the relay enters without having been asked by a message: deletions, and what operators did.
//!
//! Always: nobody is answered, so the commitment stands over the digest of the record itself. A deletion has an id that follows
//! from what it says, so that it is entered once however often it is tried. Absent: doing what is entered.

use super::ports::{Answer, Frame, MessageKey};
use crate::{
    calendar::Timestamp,
    envelope::{SealingError, SigningKey, sign_record},
    identifier::{MessageId, PrincipalId},
    ledger::{Commitment, Deletion, Operation, Promise, Salt, Sealing, SignedDeletion},
};
use ring::{digest, rand::SystemRandom};

/// How long a vault remembers that it has entered a record, in seconds.
const REMEMBERED: i64 = 14 * 24 * 60 * 60;

fn frame(relay: &PrincipalId, digest: [u8; 32], entry: Vec<u8>, salt: Salt, now: Timestamp) -> Frame {
    let sealing = Sealing { salt, entry };
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
    Frame {
        message: MessageKey { author: relay.clone(), id: MessageId::from_bytes(id), answer: Answer::First },
        digest,
        expires: now.plus_seconds(REMEMBERED),
        changes: Vec::new(),
        commitment: Commitment::of(&digest, &Promise::of(&sealing)),
        sealing,
        parcels: Vec::new(),
    }
}

/// Hashes a record in parts, apart from whatever else has an id.
fn digest_of(label: &str, record: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    [label.as_bytes(), &[0], record].into_iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The frame that enters a deletion, signed.
///
/// # Errors
/// The random source failed.
pub fn deletion_frame(
    relay: &PrincipalId,
    deletion: Deletion,
    signing: &SigningKey,
    salt: Salt,
    now: Timestamp,
) -> Result<Frame, SealingError> {
    // Structs of texts and numbers always serialise. When it is recorded is no part of what is recorded.
    let json = |deletion: &Deletion| serde_json::to_vec(deletion).unwrap_or_default();
    let digest = digest_of("nakatsugi/relay/deletion/v1", &json(&Deletion { at: 0, ..deletion.clone() }));
    let signature = sign_record(&json(&deletion), signing, &SystemRandom::new())?;
    let entry = serde_json::to_vec(&SignedDeletion { deletion, signature }).unwrap_or_default();
    Ok(frame(relay, digest, entry, salt, now))
}

/// The frame that enters what an operator did; the salt tells it from the same done again.
#[must_use]
pub fn operation_frame(relay: &PrincipalId, operation: &Operation, salt: Salt, now: Timestamp) -> Frame {
    let entry = serde_json::to_vec(operation).unwrap_or_default();
    frame(relay, digest_of("nakatsugi/relay/operation/v1", &[entry.as_slice(), &salt.0].concat()), entry, salt, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{envelope::verify_record, ledger::Deed};

    #[test]
    fn a_deletion_is_signed_and_has_one_id_whenever_it_is_recorded() {
        let key = SigningKey::generate("relay-1".parse().unwrap()).unwrap();
        let relay: PrincipalId = "relay".parse().unwrap();
        let deletion = |at| Deletion { at, vault: "142051".to_owned(), deed: Deed::KeyDestroyed, key: 1, entries: 7 };
        let now = Timestamp::from_millis(5);
        let one = deletion_frame(&relay, deletion(5), &key, Salt([1; 32]), now).unwrap();
        let other = deletion_frame(&relay, deletion(6), &key, Salt([2; 32]), now).unwrap();
        assert_eq!((&one.message, one.digest), (&other.message, other.digest));
        let signed: SignedDeletion = serde_json::from_slice(&one.sealing.entry).unwrap();
        assert_eq!(signed.deletion, deletion(5));
        let json = serde_json::to_vec(&signed.deletion).unwrap();
        assert_eq!(verify_record(&json, &signed.signature, &key.public()), Ok(()));
        let later = deletion_frame(&relay, Deletion { key: 2, ..deletion(5) }, &key, Salt([1; 32]), now).unwrap();
        assert_ne!(one.message, later.message);
    }
}
