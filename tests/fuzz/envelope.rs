//! An envelope from anybody: it is refused or it decrypts; the claims inside are refused or they hold.
//!
//! The first byte chooses: the bytes are a whole envelope, or a payload that was signed and encrypted as it should be, so that
//! the fuzzer gets behind the cryptography.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nakatsugi::{
    envelope::{self, DecryptionKey, Limits, SigningKey, SuitePolicy},
    fuzzing::SystemRandom,
};
use std::sync::LazyLock;

static KEYS: LazyLock<(SigningKey, DecryptionKey)> = LazyLock::new(|| {
    (SigningKey::generate("author".parse().unwrap()).unwrap(), DecryptionKey::generate("relay-enc".parse().unwrap()).unwrap())
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let (signing, decryption) = &*KEYS;
    let limits = Limits::default();
    let random = SystemRandom::new();
    let body = match choice % 4 {
        0 => bytes.to_vec(),
        1 => envelope::encrypt(bytes, &decryption.public(), &random).unwrap(),
        _ => envelope::encrypt(&envelope::sign(bytes, signing, &random).unwrap(), &decryption.public(), &random).unwrap(),
    };
    let key = |kid: &_| (kid == decryption.kid()).then_some(decryption);
    if let Ok(decrypted) = envelope::decrypt(&body, key, &SuitePolicy::default(), &limits)
        && let Ok(authentic) = decrypted.verify(&signing.public(), &limits)
    {
        assert_eq!(authentic.payload(), bytes, "what was verified is what was signed");
        let _ = authentic.claims();
    }
});
