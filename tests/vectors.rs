//! The envelope vectors: made by other code (`schemas/vectors/generate.py`), judged by ours.
//!
//! Always: an accepted envelope is decrypted, verified and decoded, and says what the vector says; a refused one ends as a
//! dead letter for the vector's reason; the holder of a reply computes what the ledger commits to. Absent: routing,
//! deduplication and `exp`, which need more than the envelope.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test stops at what is not as it must be")]

#[path = "support/vectors.rs"]
mod vectors;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nakatsugi::{
    envelope::{self, Claims, DecryptionKey, Limits, SigningKey, SuitePolicy, claims_digest, strict_json},
    ledger::{Commitment, Promise, Salt, Sealing},
    relay::{Disposition, Failure},
};
use serde_json::Value;
use vectors::{World, cases, envelope, read};

#[test]
fn every_accepted_envelope_says_what_its_vector_says() {
    let world = World::new();
    let cases = cases("accept", "envelope.");
    assert!(cases.len() >= 12, "{}", cases.len());
    for (name, case) in cases {
        let (verified, command) = world.take(&envelope(&case)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let text = case["claims"].to_string();
        let claims: Claims<'_> = strict_json::from_str(&text).unwrap();
        assert_eq!(verified.author().id, claims.iss, "{name}");
        assert_eq!((verified.id(), verified.kind(), verified.tenant()), (claims.jti, claims.kind, claims.tenant), "{name}");
        assert_eq!((verified.issued(), verified.expires()), (claims.iat, claims.exp), "{name}");
        let body: Value = serde_json::from_str(verified.body().get()).unwrap();
        assert_eq!(body, case["claims"]["body"], "{name}");
        assert!(!command.names().is_empty(), "{name}");
    }
}

#[test]
fn every_refused_envelope_is_dead_lettered_for_its_reason() {
    let world = World::new();
    let cases = cases("reject", "envelope.");
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let expected = case["reason"].as_str().unwrap();
        match world.take(&envelope(&case)).map_err(Failure::disposition) {
            Err(Disposition::DeadLetter(reason)) if reason == expected => {}
            other => wrong.push(format!("{name}: expected {expected}, got {:?}", other.map(|_| "accepted"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A reply as the disclosure system reads it, the promise it expects, and D.
fn received(case: &Value) -> (Promise, Result<[u8; 32], &'static str>) {
    let keys = read("keys.json");
    let decryption = DecryptionKey::from_jwk(&keys["disclosure"]["decryption"].to_string()).unwrap();
    let relay = SigningKey::from_jwk(&keys["relay"]["signing"].to_string()).unwrap().public();
    let limits = Limits::default();
    let decrypted = envelope::decrypt(&envelope(case), |_| Some(&decryption), &SuitePolicy::default(), &limits).unwrap();
    let authentic = decrypted.verify(&relay, &limits).unwrap();
    let promise = Promise(URL_SAFE_NO_PAD.decode(case["promise"].as_str().unwrap()).unwrap().try_into().unwrap());
    (promise, claims_digest(authentic.payload(), &promise).map_err(|error| error.reason()))
}

#[test]
fn the_holder_of_a_reply_computes_what_the_ledger_commits_to() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (name, case) in cases("accept", "reply.") {
        let (promise, digest) = received(&case);
        let digest = digest.unwrap();
        let salt = Salt(URL_SAFE_NO_PAD.decode(case["salt"].as_str().unwrap()).unwrap().try_into().unwrap());
        let entry = case["entry"].as_str().unwrap().as_bytes().to_vec();
        assert_eq!(Promise::of(&Sealing { salt, entry }), promise, "{name}");
        assert_eq!(case["digest"], hex(&digest), "{name}");
        assert_eq!(case["commitment"], hex(&Commitment::of(&digest, &promise).0), "{name}");
    }
}

#[test]
fn a_promise_that_is_not_the_last_member_is_refused() {
    let cases = cases("reject", "reply.");
    assert!(cases.len() >= 3);
    for (name, case) in cases {
        assert_eq!(received(&case).1, Err(case["reason"].as_str().unwrap()), "{name}");
    }
}
