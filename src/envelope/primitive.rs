//! The cryptography of suite 1, in paper notation.
//!
//! ```text
//! Z          = ECDH[P-256](private, public)
//! key        = SHA-256(00000001 ‖ Z ‖ "A256GCM" ‖ "" ‖ "" ‖ 256)     each text with its 32-bit length (RFC 7518 §4.6.2)
//! ciphertext = AES-256-GCM[key](iv, aad = encoded header, JWS)         (RFC 7518 §5.3)
//! signature  = ECDSA[P-256, SHA-256](encoded header ‖ "." ‖ encoded payload) as r ‖ s     (RFC 7518 §3.4)
//! ```
//!
//! Always: a public key that is not on the curve gets no further than [`Point::checked`]. All of it is ring's, but for the
//! static key agreement and the arithmetic on points, which ring does not offer and graviola does.
//! graviola wipes scalars and shared secrets; ring wipes neither key schedules nor signing keys.

use super::{KeyError, SealingError, jwk::Octets, suite};
use graviola::key_agreement::p256;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey},
    agreement::{self, ECDH_P256, EphemeralPrivateKey},
    digest,
    error::Unspecified,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use zeroize::Zeroizing;

/// A point on P-256, uncompressed (SEC 1 §2.3.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Point([u8; 65]);

impl Point {
    /// The point with these coordinates, if there is one. SECURITY: answers the invalid curve attack.
    pub(super) fn checked(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, KeyError> {
        if !graviola::util::is_cpu_supported() {
            return Err(KeyError::Processor);
        }
        let point = Self::of(x, y);
        p256::PublicKey::from_x962_uncompressed(&point.0).map_err(|_| KeyError::NotOnCurve)?;
        Ok(point)
    }

    fn of(x: &[u8; 32], y: &[u8; 32]) -> Self {
        let mut bytes = [4; 65];
        for (to, from) in bytes.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *to = *from;
        }
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// The coordinates.
    pub(super) fn coordinates(&self) -> (Octets, Octets) {
        let (mut x, mut y) = (Octets([0; 32]), Octets([0; 32]));
        let from = self.0.iter().skip(1);
        for (to, from) in x.0.iter_mut().chain(&mut y.0).zip(from) {
            *to = *from;
        }
        (x, y)
    }
}

/// A private value with its point.
pub(super) struct StaticKey {
    secret: p256::StaticPrivateKey,
    pub(super) point: Point,
}

impl StaticKey {
    /// A new one, by rejection sampling (FIPS 186-5 A.2.2).
    pub(super) fn generate(random: &SystemRandom) -> Result<Self, KeyError> {
        let mut scalar = Octets([0; 32]);
        // One try in 2^32 fails; eight in a row are a broken random source.
        for _ in 0..8 {
            random.fill(&mut scalar.0).map_err(|Unspecified| KeyError::RandomSource)?;
            match Self::from_scalar(&scalar) {
                Err(KeyError::NotAPair) => {}
                key => return key,
            }
        }
        Err(KeyError::RandomSource)
    }

    /// The key with this private value.
    pub(super) fn from_scalar(scalar: &Octets) -> Result<Self, KeyError> {
        if !graviola::util::is_cpu_supported() {
            return Err(KeyError::Processor);
        }
        let secret = p256::StaticPrivateKey::from_bytes(&scalar.0).map_err(|_| KeyError::NotAPair)?;
        let point = Point(secret.public_key_uncompressed());
        Ok(Self { secret, point })
    }

    /// The private value. # Security: for writing the key to its file only.
    pub(super) fn scalar(&self) -> Octets {
        Octets(self.secret.as_bytes())
    }

    /// The content key that a sender with this ephemeral key chose; `None` if that is not a point on the curve.
    pub(super) fn content_key(&self, x: &[u8; 32], y: &[u8; 32]) -> Option<ContentKey> {
        let shared = self.agree(&Point::of(x, y).0)?;
        Some(ContentKey(concat_kdf(&shared.0, &OtherInfo::SUITE_1)))
    }

    /// Z. `None` unless `public` is an uncompressed point on the curve.
    pub(super) fn agree(&self, public: &[u8]) -> Option<p256::SharedSecret> {
        let public = p256::PublicKey::from_x962_uncompressed(public).ok()?;
        self.secret.diffie_hellman(&public).ok()
    }
}

/// A key that encrypts one message.
pub(super) struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// A new ephemeral key and what it agrees on with the recipient.
    pub(super) fn ephemeral(to: &Point, random: &SystemRandom) -> Result<(Point, Self), SealingError> {
        let ours = EphemeralPrivateKey::generate(&ECDH_P256, random).map_err(sealing)?;
        let public = ours.compute_public_key().map_err(sealing)?;
        let public = Point(public.as_ref().try_into().map_err(|_| SealingError::Cryptography)?);
        let theirs = agreement::UnparsedPublicKey::new(&ECDH_P256, to.0);
        let key = agreement::agree_ephemeral(ours, &theirs, |shared| concat_kdf(shared, &OtherInfo::SUITE_1)).map_err(sealing)?;
        Ok((public, Self(key)))
    }

    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn aead(&self) -> Result<LessSafeKey, Unspecified> {
        UnboundKey::new(&AES_256_GCM, self.0.as_ref()).map(LessSafeKey::new)
    }

    /// Decrypts in place. The key opens one message only, so no nonce meets it twice.
    pub(super) fn decrypt(&self, iv: [u8; NONCE_LEN], aad: &[u8], content: &mut [u8], tag: [u8; 16]) -> Result<(), Unspecified> {
        let nonce = Nonce::assume_unique_for_key(iv);
        self.aead()?.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(tag), content, 0..)?;
        Ok(())
    }

    /// Encrypts in place. Takes the key, so that no second nonce can meet it.
    pub(super) fn encrypt(self, iv: [u8; NONCE_LEN], aad: &[u8], content: &mut [u8]) -> Result<Tag, SealingError> {
        let nonce = Nonce::assume_unique_for_key(iv);
        self.aead().and_then(|key| key.seal_in_place_separate_tag(nonce, Aad::from(aad), content)).map_err(sealing)
    }
}

pub(super) const fn sealing(Unspecified: Unspecified) -> SealingError {
    SealingError::Cryptography
}

/// What the key derivation binds the key to (RFC 7518 §4.6.2).
struct OtherInfo<'a> {
    algorithm: &'a str,
    party_u: &'a [u8],
    party_v: &'a [u8],
    bits: u32,
}

impl OtherInfo<'static> {
    const SUITE_1: Self = Self { algorithm: suite::CONTENT_ENCRYPTION, party_u: &[], party_v: &[], bits: 256 };
}

/// One round of the Concat KDF (NIST SP 800-56A §5.8.1), enough for up to 256 bits.
fn concat_kdf(shared: &[u8], info: &OtherInfo<'_>) -> Zeroizing<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&1_u32.to_be_bytes());
    context.update(shared);
    for text in [info.algorithm.as_bytes(), info.party_u, info.party_v] {
        // Texts are a few bytes long; more than 4 GiB cannot be meant.
        context.update(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(text);
    }
    context.update(&info.bits.to_be_bytes());
    let mut key = Zeroizing::new([0; 32]);
    for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    key
}

/// Whether an ES256 signature (r ‖ s, 64 bytes) holds.
pub(super) fn signature_holds(by: &Point, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, by.0).verify(message, signature).is_ok()
}

/// SHA-256 of some parts in a row.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::base64url;

    /// RFC 7518 Appendix C: Alice's ephemeral key, Bob's static one, 128 bits for A128GCM.
    #[test]
    fn key_derivation_matches_rfc_7518_appendix_c() {
        let octets = |text: &str| Octets(base64url::decode_array(text).unwrap());
        let bob = StaticKey::from_scalar(&octets("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw")).unwrap();
        let (x, y) = bob.point.coordinates();
        assert_eq!(x.0, octets("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ").0);
        assert_eq!(y.0, octets("e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck").0);
        let (x, y) = (octets("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0"), octets("SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"));
        let shared = bob.agree(Point::checked(&x.0, &y.0).unwrap().as_bytes()).unwrap();
        assert_eq!(
            shared.0,
            [
                158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128, 106, 72, 246, 218,
                167, 121, 140, 254, 144, 196
            ]
        );
        let info = OtherInfo { algorithm: "A128GCM", party_u: b"Alice", party_v: b"Bob", bits: 128 };
        assert_eq!(concat_kdf(&shared.0, &info)[..16], [86, 170, 141, 234, 248, 35, 109, 32, 92, 34, 40, 205, 113, 167, 16, 26]);
    }

    #[test]
    fn both_sides_agree_on_the_key() {
        let random = SystemRandom::new();
        let recipient = StaticKey::generate(&random).unwrap();
        let (ephemeral, key) = ContentKey::ephemeral(&recipient.point, &random).unwrap();
        let (x, y) = ephemeral.coordinates();
        assert_eq!(recipient.content_key(&x.0, &y.0).unwrap().0, key.0);
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let key = StaticKey::generate(&SystemRandom::new()).unwrap();
        let (x, mut y) = key.point.coordinates();
        assert!(Point::checked(&x.0, &y.0).is_ok());
        y.0[31] ^= 1;
        assert!(matches!(Point::checked(&x.0, &y.0), Err(KeyError::NotOnCurve)));
        assert!(key.content_key(&x.0, &y.0).is_none());
        assert!(key.content_key(&[0; 32], &[0; 32]).is_none());
        assert!(key.content_key(&[0xff; 32], &y.0).is_none());
    }

    #[test]
    fn a_private_value_out_of_range_is_refused() {
        assert!(matches!(StaticKey::from_scalar(&Octets([0; 32])), Err(KeyError::NotAPair)));
        assert!(matches!(StaticKey::from_scalar(&Octets([0xff; 32])), Err(KeyError::NotAPair)));
    }
}
