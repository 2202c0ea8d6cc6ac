//! Interoperability: an independent JOSE implementation (joserfc, in Python) opens what we make, and we open what it makes.
//!
//! The interpreter is `tests/.venv/bin/python`; without it these tests fail and say how to make it.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at what is not as it must be"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nakatsugi::{
    calendar::Timestamp,
    envelope::{
        Authentic, DecryptionKey, Draft, EnvelopeError, Environment, Limits, Padding, SigningKey, SuitePolicy, claims_digest, decrypt,
        detached_kid, encrypt, sign, sign_detached, verify_detached,
    },
    identifier::{MessageId, MessageType},
    ledger::{Commitment, Promise},
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The running peer.
struct Peer {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let python = tests.join(".venv/bin/python");
        assert!(
            python.exists(),
            "the independent JOSE implementation is missing; make it with: \
             python3 -m venv tests/.venv && tests/.venv/bin/pip install -r tests/requirements.txt"
        );
        let mut child = Command::new(python)
            .arg(tests.join("interop/jose_peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, ask, answers }
    }

    fn ask(&mut self, request: &Value) -> Value {
        let pipe = self.ask.as_mut().expect("open until dropped");
        writeln!(pipe, "{request}").expect("the peer reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // End of input ends the peer.
        drop(self.ask.take());
        let _status = self.child.wait();
    }
}

struct Keys {
    signing: SigningKey,
    decryption: DecryptionKey,
}

impl Keys {
    fn generate() -> Self {
        let signing = SigningKey::generate("author.sig-1".parse().unwrap()).unwrap();
        let decryption = DecryptionKey::generate("reader.enc_1".parse().unwrap()).unwrap();
        Self { signing, decryption }
    }

    fn open(&self, body: &[u8]) -> Result<Authentic, EnvelopeError> {
        let keys = |kid: &_| (kid == self.decryption.kid()).then_some(&self.decryption);
        let limits = Limits::default();
        decrypt(body, keys, &SuitePolicy::default(), &limits)?.verify(&self.signing.public(), &limits)
    }
}

fn jwk(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn id(seed: u8) -> MessageId {
    MessageId::from_random([seed; 16])
}

fn draft(body: Value) -> Draft<Value> {
    Draft {
        iss: "relay".parse().unwrap(),
        aud: "disclosure".parse().unwrap(),
        jti: id(1),
        iat: Timestamp::from_seconds(1_767_193_200),
        exp: Timestamp::from_seconds(1_767_193_500),
        env: Environment::Trial,
        tenant: "142051".parse().unwrap(),
        kind: MessageType::SelfInfoReply,
        re: Some(id(2)),
        body,
    }
}

#[test]
fn the_peer_opens_what_we_make_and_computes_the_commitment() {
    let (mut peer, keys, random) = (Peer::start(), Keys::generate(), SystemRandom::new());
    for (length, padding) in
        [(0, Padding::None), (0, Padding::Padme), (1000, Padding::Padme), (5000, Padding::Padme), (1_000_000, Padding::Padme)]
    {
        let composed = draft(json!({ "text": "氏".repeat(length / 3) })).compose().unwrap();
        let promise = Promise([length as u8 ^ 0x5a; 32]);
        let payload = composed.with_promise(&promise, padding);
        let jws = sign(&payload, &keys.signing, &random).unwrap();
        let body = encrypt(&jws, &keys.decryption.public(), &random).unwrap();
        let answer = peer.ask(&json!({
            "do": "open", "jwe": String::from_utf8(body).unwrap(), "decrypt_with": jwk(&keys.decryption.to_jwk()),
            "verify_with": serde_json::to_value(keys.signing.public()).unwrap(),
        }));
        assert!(answer["error"].is_null(), "{answer}");
        assert!(answer["payload"] == b64(&payload), "the payload of {} bytes came back changed", payload.len());
        assert_eq!(answer["digest"], b64(composed.claims_digest()));
        assert_eq!(answer["promise"], b64(&promise.0));
        assert_eq!(answer["commitment"], b64(&Commitment::of(composed.claims_digest(), &promise).0));
        assert_eq!(claims_digest(&payload, &promise).as_ref(), Ok(composed.claims_digest()));
        assert_eq!(answer["jws_header"], json!({ "alg": "ES256", "kid": "author.sig-1", "typ": "nakatsugi+jwt" }));
        let header = answer["jwe_header"].as_object().unwrap();
        assert_eq!(header.keys().map(String::as_str).collect::<Vec<_>>(), ["alg", "cty", "enc", "epk", "kid"]);
        assert_eq!((&header["alg"], &header["enc"], &header["cty"]), (&json!("ECDH-ES"), &json!("A256GCM"), &json!("JWT")));
    }
}

/// A request by which the peer makes an envelope of this suite.
fn request(keys: &Keys, payload: &[u8]) -> Value {
    json!({
        "do": "make", "payload": b64(payload), "sign_with": jwk(&keys.signing.to_jwk()),
        "encrypt_for": serde_json::to_value(keys.decryption.public()).unwrap(),
        "jws_header": { "typ": "nakatsugi+jwt", "kid": "author.sig-1", "alg": "ES256" },
        "jwe_header": { "cty": "JWT", "kid": "reader.enc_1", "enc": "A256GCM", "alg": "ECDH-ES" },
    })
}

fn made(peer: &mut Peer, request: &Value) -> Vec<u8> {
    let answer = peer.ask(request);
    answer["jwe"].as_str().unwrap_or_else(|| panic!("{answer}")).as_bytes().to_vec()
}

#[test]
fn we_open_what_the_peer_makes() {
    let (mut peer, keys) = (Peer::start(), Keys::generate());
    for length in [0, 1000, 5000, 1_000_000] {
        // Other order, indented, escapes: JSON as others write it.
        let text = "\\u6c0f".repeat(length / 6);
        let payload = format!(
            "{{\n  \"type\": \"self-info.request\",\n  \"body\": {{ \"text\": \"{text}\" }},\n  \"tenant\": \"142051\",\n  \"env\": \"trial\",\n  \
             \"exp\": 1767193500,\n  \"iat\": 1767193200,\n  \"jti\": \"{}\",\n  \"aud\": \"relay\",\n  \"iss\": \"disclosure\"\n}}\n",
            id(3)
        );
        let authentic = keys.open(&made(&mut peer, &request(&keys, payload.as_bytes()))).unwrap();
        assert!(authentic.payload() == payload.as_bytes(), "the payload of {} bytes came back changed", payload.len());
        let claims = authentic.claims().unwrap();
        assert_eq!((claims.jti, claims.iss.as_str(), claims.kind), (id(3), "disclosure", MessageType::SelfInfoRequest));
        assert!(claims.body.get() == format!("{{ \"text\": \"{text}\" }}"));
    }
}

#[test]
fn what_the_peer_makes_otherwise_is_refused() {
    let (mut peer, keys) = (Peer::start(), Keys::generate());
    use EnvelopeError::{AlgorithmNotAllowed, HeaderNotAllowed, MalformedJwe, SignatureInvalid, UnknownRecipientKey, WrongType};
    for (layer, member, value, error) in [
        // Has an encrypted key, so that it is not even the shape of direct key agreement.
        ("jwe_header", "alg", json!("ECDH-ES+A256KW"), MalformedJwe),
        ("jwe_header", "enc", json!("A128GCM"), AlgorithmNotAllowed),
        ("jwe_header", "zip", json!("DEF"), HeaderNotAllowed),
        ("jwe_header", "apu", json!("QWxpY2U"), HeaderNotAllowed),
        ("jwe_header", "apv", json!("Qm9i"), HeaderNotAllowed),
        ("jwe_header", "typ", json!("JWT"), HeaderNotAllowed),
        ("jwe_header", "cty", json!("jwt"), WrongType),
        ("jwe_header", "cty", Value::Null, HeaderNotAllowed),
        ("jwe_header", "kid", json!("other"), UnknownRecipientKey),
        ("jwe_header", "kid", Value::Null, HeaderNotAllowed),
        ("jws_header", "alg", json!("HS256"), AlgorithmNotAllowed),
        ("jws_header", "typ", json!("JWT"), WrongType),
        ("jws_header", "typ", json!("nakatsugi-directory+jws"), WrongType),
        ("jws_header", "typ", Value::Null, HeaderNotAllowed),
        ("jws_header", "kid", json!("stranger"), SignatureInvalid),
        ("jws_header", "kid", Value::Null, HeaderNotAllowed),
        ("jws_header", "cty", json!("JWT"), HeaderNotAllowed),
    ] {
        let mut request = request(&keys, b"{}");
        let header = request[layer].as_object_mut().unwrap();
        if value.is_null() {
            drop(header.remove(member))
        } else {
            drop(header.insert(member.to_owned(), value.clone()))
        }
        let refused = keys.open(&made(&mut peer, &request)).unwrap_err();
        assert_eq!(refused, error, "{layer} {member} {value}");
    }
    // Another mode has an IV of another length.
    let mut other_mode = request(&keys, b"{}");
    other_mode["jwe_header"]["enc"] = json!("A256CBC-HS512");
    assert_eq!(keys.open(&made(&mut peer, &other_mode)).unwrap_err(), MalformedJwe);

    let strangers = Keys::generate();
    let mut forged = request(&keys, b"{}");
    forged["sign_with"] = jwk(&strangers.signing.to_jwk());
    assert_eq!(keys.open(&made(&mut peer, &forged)).unwrap_err(), SignatureInvalid);
    let mut misdirected = request(&keys, b"{}");
    misdirected["encrypt_for"] = serde_json::to_value(strangers.decryption.public()).unwrap();
    assert_eq!(keys.open(&made(&mut peer, &misdirected)).unwrap_err(), EnvelopeError::DecryptionFailed);
}

#[test]
fn the_peer_refuses_what_was_changed_on_the_way() {
    let (mut peer, keys, random) = (Peer::start(), Keys::generate(), SystemRandom::new());
    let jws = sign(b"{}", &keys.signing, &random).unwrap();
    let body = String::from_utf8(encrypt(&jws, &keys.decryption.public(), &random).unwrap()).unwrap();
    let at = body.rfind('.').unwrap() + 3;
    let changed = format!("{}{}{}", &body[..at], if &body[at..=at] == "A" { "B" } else { "A" }, &body[at + 1..]);
    let answer = peer.ask(&json!({
        "do": "open", "jwe": changed, "decrypt_with": jwk(&keys.decryption.to_jwk()),
        "verify_with": serde_json::to_value(keys.signing.public()).unwrap(),
    }));
    assert!(answer["error"].is_string(), "{answer}");
}

#[test]
fn detached_signatures_hold_on_both_sides() {
    let (mut peer, keys, random) = (Peer::start(), Keys::generate(), SystemRandom::new());
    let directory = "{\n  \"principals\": [\"藤沢市\"]\n}\n".as_bytes();
    let ours = sign_detached(directory, &keys.signing, &random).unwrap();
    let public = serde_json::to_value(keys.signing.public()).unwrap();
    let answer = peer.ask(&json!({ "do": "verify-detached", "signature": ours, "payload": b64(directory), "verify_with": public }));
    assert_eq!(answer, json!({ "jws_header": { "alg": "ES256", "kid": "author.sig-1", "typ": "nakatsugi-directory+jws" } }));
    let answer = peer.ask(&json!({ "do": "verify-detached", "signature": ours, "payload": b64(b"{}"), "verify_with": public }));
    assert!(answer["error"].is_string(), "{answer}");

    let header = json!({ "typ": "nakatsugi-directory+jws", "kid": "author.sig-1", "alg": "ES256" });
    let answer = peer.ask(&json!({
        "do": "make-detached", "payload": b64(directory), "sign_with": jwk(&keys.signing.to_jwk()), "jws_header": header,
    }));
    let theirs = answer["signature"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(detached_kid(theirs).as_ref(), Ok(keys.signing.kid()));
    assert_eq!(verify_detached(directory, theirs, &keys.signing.public()), Ok(()));
    assert_eq!(verify_detached(b"{}", theirs, &keys.signing.public()), Err(EnvelopeError::SignatureInvalid));
}
