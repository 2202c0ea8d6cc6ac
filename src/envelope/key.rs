//! The four kinds of key: to sign and to verify, to decrypt and to encrypt; P-256, written as JWK.
//!
//! Always: public keys are points on the curve, private ones belong to their public ones, each has a key id and one use.
//! Private values are wiped on drop here and in graviola; ring keeps a copy of a signing key that it does not wipe, so
//! signing keys should live as long as the process. `Debug` shows the key id only.

use super::{
    KeyError, base64url, header,
    jwk::{Curve, EcdhEs, Enc, Es256, KeyType, Octets, PrivateJwk, PublicJwk, Sig},
    primitive::{Point, StaticKey},
    strict_json,
};
use crate::{
    envelope::strict_json::{JsonError, JsonFault},
    identifier::Kid,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use zeroize::Zeroizing;

/// A key that signs (ES256).
pub struct SigningKey {
    public: VerificationKey,
    /// For `to_jwk`: ring does not give its copy back.
    scalar: Octets,
    pair: EcdsaKeyPair,
    /// The encoded JWS header of every message that this key signs.
    header: Box<[u8]>,
}

/// A key that verifies what its [`SigningKey`] signed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PublicJwk<Sig, Es256>", try_from = "PublicJwk<Sig, Es256>")]
pub struct VerificationKey {
    kid: Kid,
    point: Point,
}

/// A key that decrypts (ECDH-ES).
pub struct DecryptionKey {
    kid: Kid,
    key: StaticKey,
}

/// A key that encrypts for its [`DecryptionKey`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PublicJwk<Enc, EcdhEs>", try_from = "PublicJwk<Enc, EcdhEs>")]
pub struct EncryptionKey {
    kid: Kid,
    point: Point,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// The random source failed, or the processor is too old.
    pub fn generate(kid: Kid) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        Self::of(kid, &StaticKey::generate(&random)?, &random)
    }

    /// A key from its private JWK: the members of the public one and `d`.
    ///
    /// # Errors
    /// Not exactly that, or not a pair.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let (kid, key) = read::<Sig, Es256>(text)?;
        Self::of(kid, &key, &SystemRandom::new())
    }

    fn of(kid: Kid, key: &StaticKey, random: &SystemRandom) -> Result<Self, KeyError> {
        let scalar = key.scalar();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &scalar.0, key.point.as_bytes(), random)
            .map_err(|_| KeyError::NotAPair)?;
        let header = header::message(&kid).into_boxed_slice();
        Ok(Self { public: VerificationKey { kid, point: key.point }, scalar, pair, header })
    }

    /// The private JWK. # Security: for the key's file only.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        write(self.kid(), &self.public.point, &self.scalar, r#""use":"sig","alg":"ES256""#)
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public(&self) -> VerificationKey {
        self.public.clone()
    }

    /// Its id.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.public.kid
    }

    pub(super) const fn pair(&self) -> &EcdsaKeyPair {
        &self.pair
    }

    pub(super) fn message_header(&self) -> &[u8] {
        &self.header
    }
}

impl VerificationKey {
    /// Its id.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    pub(super) const fn point(&self) -> &Point {
        &self.point
    }
}

impl DecryptionKey {
    /// A new key.
    ///
    /// # Errors
    /// The random source failed, or the processor is too old.
    pub fn generate(kid: Kid) -> Result<Self, KeyError> {
        Ok(Self { kid, key: StaticKey::generate(&SystemRandom::new())? })
    }

    /// A key from its private JWK: the members of the public one and `d`.
    ///
    /// # Errors
    /// Not exactly that, or not a pair.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let (kid, key) = read::<Enc, EcdhEs>(text)?;
        Ok(Self { kid, key })
    }

    /// The private JWK. # Security: for the key's file only.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        write(&self.kid, &self.key.point, &self.key.scalar(), r#""use":"enc","alg":"ECDH-ES""#)
    }

    /// The key that encrypts for this one.
    #[must_use]
    pub fn public(&self) -> EncryptionKey {
        EncryptionKey { kid: self.kid.clone(), point: self.key.point }
    }

    /// Its id.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    pub(super) const fn key(&self) -> &StaticKey {
        &self.key
    }
}

impl EncryptionKey {
    /// Its id.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    pub(super) const fn point(&self) -> &Point {
        &self.point
    }
}

fn read<U: DeserializeOwned, A: DeserializeOwned>(text: &str) -> Result<(Kid, StaticKey), KeyError> {
    // An escaped string is put together in a buffer that nobody wipes.
    if let Some(at) = text.find('\\') {
        return Err(JsonError { fault: JsonFault::InvalidValue, line: 0, column: at + 1 }.into());
    }
    let jwk: PrivateJwk<U, A> = strict_json::from_str(text)?;
    let key = StaticKey::from_scalar(&jwk.d)?;
    if key.point == Point::checked(&jwk.x.0, &jwk.y.0)? { Ok((jwk.kid, key)) } else { Err(KeyError::NotAPair) }
}

fn write(kid: &Kid, point: &Point, scalar: &Octets, purpose: &str) -> Zeroizing<String> {
    let (x, y) = point.coordinates();
    // One allocation, long enough for the longest key id, so that nothing is left behind when it would grow.
    let mut text = Zeroizing::new(Vec::with_capacity(512));
    text.extend_from_slice(br#"{"kty":"EC","crv":"P-256","kid":""#);
    text.extend_from_slice(kid.as_str().as_bytes());
    for (before, octets) in [(br#"","x":""#, &x), (br#"","y":""#, &y), (br#"","d":""#, scalar)] {
        text.extend_from_slice(before);
        base64url::append(&octets.0, &mut text);
    }
    text.extend_from_slice(br#"","#);
    text.extend_from_slice(purpose.as_bytes());
    text.extend_from_slice(b"}");
    // INVARIANT: all ASCII (`a_key_survives_its_jwk`).
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *text)).unwrap_or_default())
}

/// What the two public kinds share: their JWK, and a `Debug` that shows the id.
macro_rules! public_key {
    ($name:ident, $purpose:ident, $algorithm:ident) => {
        impl TryFrom<PublicJwk<$purpose, $algorithm>> for $name {
            type Error = KeyError;
            fn try_from(jwk: PublicJwk<$purpose, $algorithm>) -> Result<Self, KeyError> {
                Ok(Self { point: Point::checked(&jwk.x.0, &jwk.y.0)?, kid: jwk.kid })
            }
        }

        impl From<$name> for PublicJwk<$purpose, $algorithm> {
            fn from(key: $name) -> Self {
                let (x, y) = key.point.coordinates();
                Self { kty: KeyType::Only, crv: Curve::Only, kid: key.kid, x, y, purpose: $purpose::Only, alg: $algorithm::Only }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.kid)
            }
        }
    };
}
public_key!(VerificationKey, Sig, Es256);
public_key!(EncryptionKey, Enc, EcdhEs);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret)", self.kid())
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptionKey({}, secret)", self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kid() -> Kid {
        "relay-2026.sig_1".parse().unwrap()
    }

    #[test]
    fn a_key_survives_its_jwk() {
        let longest: Kid = "k".repeat(64).parse().unwrap();
        let signing = SigningKey::generate(longest.clone()).unwrap();
        let again = SigningKey::from_jwk(&signing.to_jwk()).unwrap();
        assert_eq!(signing.public(), again.public());
        assert_eq!(*signing.to_jwk(), *again.to_jwk());
        let decryption = DecryptionKey::generate(longest).unwrap();
        let again = DecryptionKey::from_jwk(&decryption.to_jwk()).unwrap();
        assert_eq!(decryption.public(), again.public());
        assert!(signing.to_jwk().len() <= 512);
    }

    #[test]
    fn a_public_key_is_an_exact_jwk() {
        let key = SigningKey::generate(kid()).unwrap().public();
        let text = serde_json::to_string(&key).unwrap();
        assert!(text.starts_with(r#"{"kty":"EC","crv":"P-256","kid":"relay-2026.sig_1","x":""#), "{text}");
        assert!(text.ends_with(r#"","use":"sig","alg":"ES256"}"#), "{text}");
        assert_eq!(serde_json::from_str::<VerificationKey>(&text).unwrap(), key);
        for (from, to) in [
            ("\"sig\"", "\"enc\""),
            ("ES256", "ES384"),
            ("P-256", "P-384"),
            ("\"EC\"", "\"OKP\""),
            ("}", r#","key_ops":["verify"]}"#),
            ("}", r#","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#),
            ("relay-2026.sig_1", "relay 2026"),
            (r#","alg":"ES256""#, ""),
        ] {
            assert!(serde_json::from_str::<VerificationKey>(&text.replace(from, to)).is_err(), "{to}");
        }
        assert!(serde_json::from_str::<EncryptionKey>(&text).is_err());
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let jwk = |y| {
            format!(
                r#"{{"kty":"EC","crv":"P-256","kid":"k","x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY","y":"{y}","use":"sig","alg":"ES256"}}"#
            )
        };
        assert!(serde_json::from_str::<VerificationKey>(&jwk("UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw")).is_ok());
        let error = serde_json::from_str::<VerificationKey>(&jwk("UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmg")).unwrap_err();
        assert!(error.to_string().starts_with("the public key is not a point on P-256"), "{error}");
    }

    #[test]
    fn halves_of_different_pairs_are_refused() {
        let (one, two) = (DecryptionKey::generate(kid()).unwrap(), DecryptionKey::generate(kid()).unwrap());
        let d = |text: &str| text.split(r#""d":""#).nth(1).map(|rest| rest[..43].to_owned()).unwrap();
        let mixed = one.to_jwk().replace(&d(&one.to_jwk()), &d(&two.to_jwk()));
        assert_eq!(DecryptionKey::from_jwk(&mixed).unwrap_err(), KeyError::NotAPair);
        let zero = one.to_jwk().replace(&d(&one.to_jwk()), &"A".repeat(43));
        assert_eq!(DecryptionKey::from_jwk(&zero).unwrap_err(), KeyError::NotAPair);
    }

    #[test]
    fn a_private_key_is_read_for_its_use_only_and_shows_nothing() {
        let key = SigningKey::generate(kid()).unwrap();
        let Err(KeyError::Json(error)) = DecryptionKey::from_jwk(&key.to_jwk()) else { panic!("taken") };
        assert_eq!(error.fault, JsonFault::InvalidValue);
        assert_eq!(format!("{key:?} {:?}", key.public()), "SigningKey(relay-2026.sig_1, secret) VerificationKey(relay-2026.sig_1)");
        assert!(SigningKey::from_jwk(&key.to_jwk().replace("EC", "\\u0045C")).is_err());
        assert!(SigningKey::from_jwk("[]").is_err());
    }
}
