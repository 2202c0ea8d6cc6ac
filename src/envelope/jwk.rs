//! P-256 keys as JSON: JWK (RFC 7517), curve members (RFC 7518 §6.2).
//!
//! Always: exactly the members named here, each once; coordinates are 32 bytes, fixed length. `use` and `alg` are part of
//! the type, so that a key for one purpose is never read for another.

use super::base64url;
use crate::identifier::Kid;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A public key; `U` and `A` are its `use` and `alg`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicJwk<U, A> {
    pub(super) kty: KeyType,
    pub(super) crv: Curve,
    pub(super) kid: Kid,
    pub(super) x: Octets,
    pub(super) y: Octets,
    #[serde(rename = "use")]
    pub(super) purpose: U,
    pub(super) alg: A,
}

/// A key pair; never serialized by serde, whose buffers are not wiped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivateJwk<U, A> {
    #[serde(rename = "kty")]
    _kty: KeyType,
    #[serde(rename = "crv")]
    _crv: Curve,
    pub(super) kid: Kid,
    pub(super) x: Octets,
    pub(super) y: Octets,
    pub(super) d: Octets,
    #[serde(rename = "use")]
    _purpose: U,
    #[serde(rename = "alg")]
    _alg: A,
}

/// A text with one possible value.
macro_rules! constant {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Serialize, Deserialize)]
        pub(super) enum $name {
            #[default]
            #[serde(rename = $text)]
            Only,
        }
    };
}
constant! {
    /// `kty`.
    KeyType, "EC"
}
constant! {
    /// `crv`.
    Curve, "P-256"
}
constant! {
    /// `use` of keys that sign.
    Sig, "sig"
}
constant! {
    /// `alg` of keys that sign.
    Es256, "ES256"
}
constant! {
    /// `use` of keys that encrypt.
    Enc, "enc"
}
constant! {
    /// `alg` of keys that encrypt.
    EcdhEs, "ECDH-ES"
}

/// 32 bytes in base64url: a coordinate or the private value. Wiped on drop, whichever it is.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Octets(pub(super) [u8; 32]);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::with_capacity(base64url::encoded(32));
        base64url::append(&self.0, &mut text);
        serializer.serialize_str(&String::from_utf8_lossy(&text))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes in base64url")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Octets, E> {
                base64url::decode_array(text).map(Octets).map_err(|_| E::custom("not 32 bytes in base64url"))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
