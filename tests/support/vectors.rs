//! The published vectors (`schemas/vectors`), and a relay that can read them.

use nakatsugi::{
    calendar::Timestamp,
    command::Command,
    directory::{Authority, Catalogue, Digests, Directory, Document, catalogue},
    envelope::{self, Decrypted, DecryptionKey, Environment, Limits, SigningKey, SuitePolicy},
    relay::Failure,
    tenant::Verified,
};
use ring::rand::SystemRandom;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

/// A relay with the vectors' keys and directory.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) decryption: DecryptionKey,
    pub(crate) directory: Arc<Directory>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/vectors")
}

/// One file of the vectors.
pub(crate) fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(path)).unwrap()).unwrap()
}

/// The vectors of a folder whose names begin so, by name.
pub(crate) fn cases(kind: &str, prefix: &str) -> BTreeMap<String, Value> {
    let names = fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix)).map(|name| (name.clone(), read(&format!("{kind}/{name}")))).collect()
}

impl World {
    pub(crate) fn new() -> Self {
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

    /// The first step of the way.
    pub(crate) fn decrypt(&self, body: &[u8]) -> Result<Decrypted, Failure> {
        let key = |kid: &_| (kid == self.decryption.kid()).then_some(&self.decryption);
        Ok(envelope::decrypt(body, key, &SuitePolicy::default(), &Limits::default())?)
    }

    /// The second.
    pub(crate) fn verify(&self, decrypted: Decrypted) -> Result<Verified, Failure> {
        Ok(Verified::verify(decrypted, Arc::clone(&self.directory), &Limits::default(), self.now)?)
    }

    /// The way up to the command.
    pub(crate) fn take(&self, body: &[u8]) -> Result<(Verified, Command), Failure> {
        let verified = self.verify(self.decrypt(body)?)?;
        let command = Command::decode(verified.kind(), verified.body())?;
        Ok((verified, command))
    }
}

/// The envelope of a vector.
pub(crate) fn envelope(case: &Value) -> Vec<u8> {
    match &case["envelope"] {
        Value::String(text) => text.clone().into_bytes(),
        repeated => repeated["repeat"].as_str().unwrap().repeat(repeated["times"].as_u64().unwrap().try_into().unwrap()).into_bytes(),
    }
}
