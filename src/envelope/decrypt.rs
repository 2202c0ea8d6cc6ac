//! Decrypting: the outer layer, and a first look at the inner one's header.
//!
//! Always: a [`Decrypted`] holds a text in the shape of a JWS; nothing in it is proven yet, not even its author. It is
//! wiped on drop and shows nothing.

use super::{DecryptionKey, EnvelopeError, Limits, SuitePolicy, base64url, compact, header, suite};
use crate::{identifier::Kid, wiped::Wiped};
use std::fmt;

/// What was inside an envelope: a JWS that is still to be verified.
pub struct Decrypted {
    /// `header.payload.signature`
    pub(super) jws: Wiped,
    pub(super) kid: Kid,
    /// Where the encoded payload begins.
    pub(super) payload: usize,
    /// Where it ends, at the second dot.
    pub(super) signed: usize,
}

impl Decrypted {
    /// The key id in the JWS header. Unproven: it says with which key to verify, nothing more.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    fn read(jws: Wiped) -> Result<Self, EnvelopeError> {
        let [header, payload, _] = compact::split(&jws, EnvelopeError::MalformedJws)?;
        if payload.is_empty() {
            return Err(EnvelopeError::MalformedJws);
        }
        let kid = header::read_jws(header, suite::MESSAGE_TYPE)?;
        let start = header.len() + 1;
        let signed = start + payload.len();
        Ok(Self { kid, payload: start, signed, jws })
    }
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decrypted(secret)")
    }
}

/// Decrypts the body of a message with the key that its header names.
///
/// # Errors
/// The first gate that it does not pass.
pub fn decrypt<'k>(
    body: &[u8],
    keys: impl FnOnce(&Kid) -> Option<&'k DecryptionKey>,
    policy: &SuitePolicy,
    limits: &Limits,
) -> Result<Decrypted, EnvelopeError> {
    if body.len() > limits.envelope {
        return Err(EnvelopeError::TooLarge);
    }
    let [encoded_header, encrypted_key, iv, ciphertext, tag] = compact::split(body, EnvelopeError::MalformedJwe)?;
    // Direct key agreement has no encrypted key (RFC 7516 §5.2 step 10).
    if !encrypted_key.is_empty() || iv.len() != 16 || tag.len() != 22 {
        return Err(EnvelopeError::MalformedJwe);
    }
    let header = header::read_jwe(encoded_header, policy)?;
    let key = keys(&header.kid).ok_or(EnvelopeError::UnknownRecipientKey)?;
    let (iv, tag) = (base64url::decode_array(iv)?, base64url::decode_array(tag)?);
    let mut content = base64url::decode(ciphertext)?;

    let content_key = key.key().content_key(&header.x.0, &header.y.0).ok_or(EnvelopeError::BadEphemeralKey)?;
    content_key.decrypt(iv, encoded_header, &mut content, tag).map_err(|_| EnvelopeError::DecryptionFailed)?;
    Decrypted::read(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Authentic, EncryptionKey, Padding, SigningKey, VerificationKey, encrypt, sign, strict_json::JsonFault};
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use std::sync::LazyLock;

    struct Pair {
        signing: SigningKey,
        verification: VerificationKey,
        decryption: DecryptionKey,
        encryption: EncryptionKey,
    }

    static PAIR: LazyLock<Pair> = LazyLock::new(|| {
        let signing = SigningKey::generate("author".parse().unwrap()).unwrap();
        let decryption = DecryptionKey::generate("relay".parse().unwrap()).unwrap();
        Pair { verification: signing.public(), encryption: decryption.public(), signing, decryption }
    });

    fn seal(payload: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        encrypt(&sign(payload, &PAIR.signing, &random).unwrap(), &PAIR.encryption, &random).unwrap()
    }

    fn seal_text(jws: &str) -> Vec<u8> {
        encrypt(jws.as_bytes(), &PAIR.encryption, &SystemRandom::new()).unwrap()
    }

    fn decrypt_one(body: &[u8]) -> Result<Decrypted, EnvelopeError> {
        let keys = |kid: &Kid| (kid == PAIR.decryption.kid()).then_some(&PAIR.decryption);
        decrypt(body, keys, &SuitePolicy::default(), &Limits::default())
    }

    fn open(body: &[u8]) -> Result<Authentic, EnvelopeError> {
        decrypt_one(body)?.verify(&PAIR.verification, &Limits::default())
    }

    fn replaced(body: &[u8], part: usize, with: impl FnOnce(&str) -> String) -> Vec<u8> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        parts[part] = with(&parts[part]);
        parts.join(".").into_bytes()
    }

    #[test]
    fn what_is_sealed_opens_and_tells_its_digest() {
        let decrypted = decrypt_one(&seal(b"{}  ")).unwrap();
        assert_eq!(decrypted.kid(), PAIR.signing.kid());
        assert_eq!(format!("{decrypted:?}"), "Decrypted(secret)");
        let authentic = decrypted.verify(&PAIR.verification, &Limits::default()).unwrap();
        assert_eq!((authentic.payload(), authentic.kid()), (&b"{}  "[..], PAIR.signing.kid()));
        assert_eq!(authentic.digest()[..], *ring::digest::digest(&ring::digest::SHA256, b"{}  ").as_ref());
        assert_eq!(format!("{authentic:?}"), "Authentic(author, secret)");
        assert!(matches!(authentic.claims(), Err(EnvelopeError::Json(error)) if error.fault == JsonFault::MissingMember));
    }

    #[test]
    fn two_envelopes_of_one_payload_share_nothing() {
        let (one, two) = (seal(b"{}"), seal(b"{}"));
        for (one, two) in one.split(|byte| *byte == b'.').zip(two.split(|byte| *byte == b'.')) {
            assert!(one.is_empty() || one != two);
        }
    }

    #[test]
    fn gates_stand_in_order() {
        let good = seal(b"{}");
        let limit = |envelope| Limits { envelope, ..Limits::default() };
        let keys = |_: &Kid| Some(&PAIR.decryption);
        assert!(decrypt(&good, keys, &SuitePolicy::default(), &limit(good.len())).is_ok());
        let too_large = decrypt(&good, keys, &SuitePolicy::default(), &limit(good.len() - 1));
        assert_eq!(too_large.unwrap_err(), EnvelopeError::TooLarge);
        assert_eq!(decrypt(&good, |_| None, &SuitePolicy::default(), &Limits::default()).unwrap_err(), EnvelopeError::UnknownRecipientKey);
        let cases: [(Vec<u8>, EnvelopeError); 14] = [
            (replaced(&good, 3, |part| part.to_owned() + "="), EnvelopeError::BadAlphabet),
            (replaced(&good, 3, |part| part.to_owned() + "\n"), EnvelopeError::BadAlphabet),
            ([&good[..], b"\n"].concat(), EnvelopeError::BadAlphabet),
            ([&good[..], b"."].concat(), EnvelopeError::MalformedJwe),
            (b"e30.e30.e30".to_vec(), EnvelopeError::MalformedJwe),
            (Vec::new(), EnvelopeError::MalformedJwe),
            (replaced(&good, 1, |_| "AAAA".to_owned()), EnvelopeError::MalformedJwe),
            (replaced(&good, 2, |part| part[..15].to_owned()), EnvelopeError::MalformedJwe),
            (replaced(&good, 4, |part| part[..16].to_owned()), EnvelopeError::MalformedJwe),
            (replaced(&good, 0, |_| "e30".to_owned()), EnvelopeError::AlgorithmNotAllowed),
            (replaced(&good, 3, |_| "A".to_owned()), EnvelopeError::BadEncoding),
            (replaced(&good, 3, |_| String::new()), EnvelopeError::DecryptionFailed),
            (
                replaced(&good, 2, |part| if part.starts_with('A') { "B" } else { "A" }.to_owned() + &part[1..]),
                EnvelopeError::DecryptionFailed,
            ),
            (
                replaced(&good, 3, |part| if part.starts_with('A') { "B" } else { "A" }.to_owned() + &part[1..]),
                EnvelopeError::DecryptionFailed,
            ),
        ];
        for (at, (body, error)) in cases.into_iter().enumerate() {
            assert_eq!(decrypt_one(&body).unwrap_err(), error, "{at}");
        }
    }

    #[test]
    fn the_header_is_bound_to_the_content() {
        // The same header, spelled with a space more: means the same, is not the same.
        let body = replaced(&seal(b"{}"), 0, |part| {
            let mut json = base64url::decode(part.as_bytes()).unwrap().to_vec();
            json.push(b' ');
            let mut out = Vec::new();
            base64url::append(&json, &mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(decrypt_one(&body).unwrap_err(), EnvelopeError::DecryptionFailed);
    }

    #[test]
    fn an_ephemeral_key_off_the_curve_is_refused() {
        let body = replaced(&seal(b"{}"), 0, |part| {
            let json = String::from_utf8(base64url::decode(part.as_bytes()).unwrap().to_vec()).unwrap();
            let at = json.find(r#""y":""#).unwrap() + 5;
            let json = format!("{}{}{}", &json[..at], "A".repeat(43), &json[at + 43..]);
            let mut out = Vec::new();
            base64url::append(json.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(decrypt_one(&body).unwrap_err(), EnvelopeError::BadEphemeralKey);
    }

    #[test]
    fn what_is_inside_must_be_a_signed_message() {
        let random = SystemRandom::new();
        let jws = String::from_utf8(sign(b"{}", &PAIR.signing, &random).unwrap().to_vec()).unwrap();
        let parts: Vec<&str> = jws.split('.').collect();
        let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
        for (inner, error) in [
            (String::new(), EnvelopeError::MalformedJws),
            ("{}".to_owned(), EnvelopeError::BadAlphabet),
            (format!("{}.{}", parts[0], parts[1]), EnvelopeError::MalformedJws),
            (format!("{}..{}", parts[0], parts[2]), EnvelopeError::MalformedJws),
            (format!("{none}.{}.", parts[1]), EnvelopeError::AlgorithmNotAllowed),
            (format!("{jws}."), EnvelopeError::MalformedJws),
        ] {
            assert_eq!(decrypt_one(&seal_text(&inner)).unwrap_err(), error, "{inner}");
        }
        for (inner, error) in [
            (format!("{}.{}.", parts[0], parts[1]), EnvelopeError::SignatureInvalid),
            (format!("{}.{}.{}", parts[0], parts[1], &parts[2][..85]), EnvelopeError::SignatureInvalid),
            (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)), EnvelopeError::SignatureInvalid),
            (format!("{}.{}.{}B", parts[0], parts[1], "A".repeat(85)), EnvelopeError::BadEncoding),
            (format!("{}.{}.{}", parts[0], "e31", parts[2]), EnvelopeError::SignatureInvalid),
        ] {
            assert_eq!(open(&seal_text(&inner)).unwrap_err(), error, "{inner}");
        }
        // An encryption of an encryption is no message either.
        let nested = String::from_utf8(seal(b"{}")).unwrap();
        assert_eq!(decrypt_one(&seal_text(&nested)).unwrap_err(), EnvelopeError::MalformedJws);
    }

    #[test]
    fn a_signature_by_another_key_is_refused_whatever_its_name() {
        let stranger = SigningKey::generate("author".parse().unwrap()).unwrap();
        let random = SystemRandom::new();
        let jws = sign(b"{}", &stranger, &random).unwrap();
        let body = encrypt(&jws, &PAIR.encryption, &random).unwrap();
        assert_eq!(open(&body).unwrap_err(), EnvelopeError::SignatureInvalid);
        let renamed = SigningKey::from_jwk(&PAIR.signing.to_jwk().replace("author", "other")).unwrap();
        let refused = decrypt_one(&seal(b"{}")).unwrap().verify(&renamed.public(), &Limits::default());
        assert_eq!(refused.unwrap_err(), EnvelopeError::SignatureInvalid);
    }

    #[test]
    fn a_signed_payload_must_still_be_shallow_utf8() {
        assert_eq!(open(&seal(b"\xff")).unwrap_err(), EnvelopeError::NotUtf8);
        assert_eq!(open(&seal(&b"[".repeat(17))).unwrap_err(), EnvelopeError::TooDeep);
        let shallow = open(&seal(&b"[".repeat(16))).unwrap();
        assert!(matches!(shallow.claims(), Err(EnvelopeError::Json(error)) if error.fault == JsonFault::InvalidValue));
    }

    #[test]
    fn the_longest_payload_fits_and_not_by_much() {
        for (envelope, padding) in [(100_000, Padding::None), (100_000, Padding::Padme), (1 << 20, Padding::Padme)] {
            let limits = Limits { envelope, ..Limits::default() };
            let longest = padding.padded(limits.longest_payload(padding));
            let body = seal(&b" ".repeat(longest));
            assert!(body.len() <= envelope && body.len() > envelope / 10 * 8, "{} of {envelope}", body.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_payload_comes_back(text in "\\PC{1,2000}") {
            let opened = open(&seal(text.as_bytes()));
            match opened {
                Ok(authentic) => prop_assert_eq!(authentic.payload(), text.as_bytes()),
                Err(error) => prop_assert_eq!(error, EnvelopeError::TooDeep),
            }
        }

        #[test]
        fn one_changed_byte_is_refused(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut body = seal(br#"{"a":1}"#);
            let at = at.index(body.len());
            prop_assume!(body[at] != with);
            body[at] = with;
            prop_assert!(open(&body).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(open(&body).is_err());
        }

        #[test]
        fn no_compact_text_panics(parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 5)) {
            prop_assert!(open(parts.join(".").as_bytes()).is_err());
        }

        #[test]
        fn no_content_panics(inner in prop_oneof!["[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,90}", "\\PC{0,200}"]) {
            prop_assert!(open(&seal_text(&inner)).is_err());
        }

        #[test]
        fn no_signed_payload_panics(payload in prop::collection::vec(any::<u8>(), 1..300)) {
            if let Ok(authentic) = open(&seal(&payload)) {
                prop_assert!(authentic.claims().is_err());
            }
        }
    }
}
