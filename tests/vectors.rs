//! The envelope vectors: made by other code (`schemas/vectors/generate.py`), judged by ours.
//!
//! Always: an accepted envelope is decrypted, verified and decoded, and says what the vector says; a refused one ends as a
//! dead letter for the vector's reason; the holder of a reply computes what the ledger commits to. Absent: routing,
//! deduplication and `exp`, which need more than the envelope.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test stops at what is not as it must be")]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nakatsugi::{
    calendar::Timestamp,
    command::Command,
    directory::{Authority, Catalogue, Digests, Directory, Document, catalogue},
    envelope::{self, Claims, DecryptionKey, Environment, Limits, SigningKey, SuitePolicy, claims_digest, strict_json},
    ledger::{Commitment, Promise, Salt, Sealing},
    relay::{Disposition, Failure},
    tenant::Verified,
};
use ring::rand::SystemRandom;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

struct World {
    now: Timestamp,
    decryption: DecryptionKey,
    directory: Arc<Directory>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/vectors")
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(path)).unwrap()).unwrap()
}

/// The vectors of a folder whose names begin so, by name.
fn cases(kind: &str, prefix: &str) -> BTreeMap<String, Value> {
    let names = fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).map(|name| (name.clone(), read(&format!("{kind}/{name}")))).collect()
}

impl World {
    fn new() -> Self {
        let keys = read("keys.json");
        let authority = SigningKey::from_jwk(&keys["authority"].to_string()).unwrap();
        let mut document = Document::parse(read("accept/directory.json")["instance"].to_string().as_bytes()).unwrap();
        document.files = Digests::of(catalogue::TYPICAL.as_bytes(), b"");
        document.check(&Catalogue::parse(catalogue::TYPICAL.as_bytes()).unwrap()).unwrap();
        let (bytes, signature) = document.sign(&authority, &SystemRandom::new()).unwrap();
        let authority = Authority { key: &authority.public(), env: Environment::Trial };
        Self {
            now: Timestamp::from_seconds(keys["now"].as_i64().unwrap()),
            decryption: DecryptionKey::from_jwk(&keys["relay"]["decryption"].to_string()).unwrap(),
            directory: Arc::new(Directory::open(&bytes, &signature, catalogue::TYPICAL.as_bytes(), authority).unwrap()),
        }
    }

    /// The way up to the command.
    fn take(&self, body: &[u8]) -> Result<(Verified, Command), Failure> {
        let limits = Limits::default();
        let key = |kid: &_| (kid == self.decryption.kid()).then_some(&self.decryption);
        let decrypted = envelope::decrypt(body, key, &SuitePolicy::default(), &limits)?;
        let verified = Verified::verify(decrypted, Arc::clone(&self.directory), &limits, self.now)?;
        let command = Command::decode(verified.kind(), verified.body())?;
        Ok((verified, command))
    }
}

fn envelope(case: &Value) -> Vec<u8> {
    match &case["envelope"] {
        Value::String(text) => text.clone().into_bytes(),
        repeated => repeated["repeat"].as_str().unwrap().repeat(repeated["times"].as_u64().unwrap().try_into().unwrap()).into_bytes(),
    }
}

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
