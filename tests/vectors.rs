//! The envelope vectors: made by other code (`schemas/vectors/generate.py`), judged by ours.
//!
//! Always: an accepted envelope is decrypted, verified and decoded, and says what the vector says; a refused one ends as a
//! dead letter for the vector's reason. Absent: routing, deduplication and `exp`, which need more than the envelope.

use nakatsugi::{
    calendar::Timestamp,
    command::Command,
    directory::{Authority, Catalogue, Digests, Directory, Document, catalogue},
    envelope::{self, Claims, DecryptionKey, Environment, Limits, SigningKey, SuitePolicy, strict_json},
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

/// The envelope vectors of a folder, by name.
fn cases(kind: &str) -> BTreeMap<String, Value> {
    let names = fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let envelopes = names.filter(|name| name.starts_with("envelope."));
    envelopes.map(|name| (name.clone(), read(&format!("{kind}/{name}")))).collect()
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
    let cases = cases("accept");
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
    let cases = cases("reject");
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
