//! The two protected headers, by a fixed grammar.
//!
//! Always: exactly the members of the suite, each once, in any order, all plain strings without escapes; so `zip`, `jwk`,
//! `jku`, `x5u`, `x5c`, `crit`, `apu`, `apv`, `b64`, `p2c` and `p2s` are refused like any other member that does not belong.
//! Nothing in a header chooses more than the suite and the key id.

use super::{
    EnvelopeError, Limits, Suite, SuitePolicy, base64url,
    jwk::{Curve, KeyType, Octets},
    primitive::Point,
    strict_json, suite,
};
use crate::identifier::Kid;
use serde::Deserialize;

/// What a JWE header says: for which key, and with which ephemeral one.
pub(super) struct JweHeader {
    pub(super) kid: Kid,
    pub(super) x: Octets,
    pub(super) y: Octets,
}

/// The members are optional to serde so that a foreign algorithm is called that, and not a missing `kid`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JweMembers<'a> {
    alg: Option<&'a str>,
    enc: Option<&'a str>,
    kid: Option<&'a str>,
    epk: Option<EphemeralJwk>,
    cty: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EphemeralJwk {
    #[serde(rename = "kty")]
    _kty: KeyType,
    #[serde(rename = "crv")]
    _crv: Curve,
    x: Octets,
    y: Octets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwsMembers<'a> {
    alg: Option<&'a str>,
    kid: Option<&'a str>,
    typ: Option<&'a str>,
}

/// Reads an encoded JWE header.
pub(super) fn read_jwe(encoded: &[u8], policy: &SuitePolicy) -> Result<JweHeader, EnvelopeError> {
    let mut buffer = [0; LONGEST];
    let members: JweMembers<'_> = members(encoded, &mut buffer)?;
    if (members.alg, members.enc) != (Some(suite::KEY_AGREEMENT), Some(suite::CONTENT_ENCRYPTION)) {
        return Err(EnvelopeError::AlgorithmNotAllowed);
    }
    if !policy.allows(Suite::Suite1) {
        return Err(EnvelopeError::SuiteNotAllowed);
    }
    let (Some(kid), Some(epk), Some(cty)) = (members.kid, members.epk, members.cty) else {
        return Err(EnvelopeError::HeaderNotAllowed);
    };
    if cty != "JWT" {
        return Err(EnvelopeError::WrongType);
    }
    Ok(JweHeader { kid: read_kid(kid)?, x: epk.x, y: epk.y })
}

/// Reads an encoded JWS header of this type.
pub(super) fn read_jws(encoded: &[u8], expected: &str) -> Result<Kid, EnvelopeError> {
    let mut buffer = [0; LONGEST];
    let members: JwsMembers<'_> = members(encoded, &mut buffer)?;
    if members.alg != Some(suite::SIGNATURE) {
        return Err(EnvelopeError::AlgorithmNotAllowed);
    }
    let (Some(kid), Some(typ)) = (members.kid, members.typ) else {
        return Err(EnvelopeError::HeaderNotAllowed);
    };
    if typ != expected {
        return Err(EnvelopeError::WrongType);
    }
    read_kid(kid)
}

const LONGEST: usize = Limits::HEADER / 4 * 3;

fn members<'b, T: Deserialize<'b>>(encoded: &[u8], buffer: &'b mut [u8; LONGEST]) -> Result<T, EnvelopeError> {
    if encoded.len() > Limits::HEADER {
        return Err(EnvelopeError::HeaderTooLarge);
    }
    let json = base64url::decode_into(encoded, buffer)?;
    // Escapes spell a name a second way.
    if json.contains(&b'\\') {
        return Err(EnvelopeError::HeaderNotAllowed);
    }
    strict_json::from_slice(json).map_err(|_| EnvelopeError::HeaderNotAllowed)
}

fn read_kid(text: &str) -> Result<Kid, EnvelopeError> {
    text.parse().map_err(|_| EnvelopeError::BadKeyId)
}

/// The encoded JWS header of a message.
pub(super) fn message(kid: &Kid) -> Vec<u8> {
    jws(kid, suite::MESSAGE_TYPE)
}

/// The encoded JWS header of a directory's detached signature.
pub(super) fn detached(kid: &Kid, typ: &'static str) -> Vec<u8> {
    jws(kid, typ)
}

fn jws(kid: &Kid, typ: &str) -> Vec<u8> {
    // A key id needs no escapes: its alphabet has no quotes, backslashes or control characters.
    let json = format!(r#"{{"alg":"{}","kid":"{kid}","typ":"{typ}"}}"#, suite::SIGNATURE);
    let mut encoded = Vec::with_capacity(base64url::encoded(json.len()));
    base64url::append(json.as_bytes(), &mut encoded);
    encoded
}

/// Appends the encoded JWE header for this recipient and ephemeral key.
pub(super) fn append_jwe(kid: &Kid, ephemeral: &Point, out: &mut Vec<u8>) {
    let (x, y) = ephemeral.coordinates();
    let mut json = Vec::with_capacity(LONGEST);
    for part in [br#"{"alg":"ECDH-ES","enc":"A256GCM","kid":""#, kid.as_str().as_bytes(), br#"","epk":{"kty":"EC","crv":"P-256","x":""#] {
        json.extend_from_slice(part);
    }
    base64url::append(&x.0, &mut json);
    json.extend_from_slice(br#"","y":""#);
    base64url::append(&y.0, &mut json);
    json.extend_from_slice(br#""},"cty":"JWT"}"#);
    base64url::append(&json, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ";
    const Y: &str = "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck";

    fn encode(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        base64url::append(json.as_bytes(), &mut out);
        out
    }

    fn jwe(json: &str) -> Result<Kid, EnvelopeError> {
        read_jwe(&encode(json), &SuitePolicy::default()).map(|header| header.kid)
    }

    fn good() -> String {
        format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","kid":"k1","epk":{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"}},"cty":"JWT"}}"#)
    }

    #[test]
    fn what_we_write_we_read_and_order_is_free() {
        let kid: Kid = "k".repeat(64).parse().unwrap();
        let octets = |text: &str| base64url::decode_array(text).unwrap();
        let mut out = Vec::new();
        append_jwe(&kid, &Point::checked(&octets(X), &octets(Y)).unwrap(), &mut out);
        assert!(out.len() < Limits::HEADER);
        let header = read_jwe(&out, &SuitePolicy::default()).unwrap();
        assert_eq!((header.kid, header.x.0, header.y.0), (kid.clone(), octets(X), octets(Y)));
        assert_eq!(out, encode(&good().replace("k1", kid.as_str())));
        assert_eq!(read_jws(&message(&kid), suite::MESSAGE_TYPE), Ok(kid));
        let turned = format!(
            r#" {{"cty":"JWT","epk":{{"y":"{Y}","x":"{X}","crv":"P-256","kty":"EC"}},"kid":"k1","enc":"A256GCM","alg":"ECDH-ES"}} "#
        );
        assert_eq!(jwe(&turned).map(|kid| kid.to_string()).as_deref(), Ok("k1"));
    }

    #[test]
    fn no_other_member_belongs_in_a_header() {
        for member in [
            r#""zip":"DEF""#,
            r#""jwk":{}"#,
            r#""jku":"https://a""#,
            r#""x5u":"https://a""#,
            r#""x5c":"a""#,
            r#""crit":"exp""#,
            r#""apu":"a""#,
            r#""apv":"a""#,
            r#""b64":false"#,
            r#""p2c":1"#,
            r#""p2s":"a""#,
            r#""typ":"JWT""#,
            r#""KID":"k1""#,
            r#""kid":"k1""#,
            r#""alg":"ECDH-ES""#,
            r#""cty":"JWT""#,
        ] {
            let json = good().replacen('{', &format!("{{{member},"), 1);
            assert_eq!(jwe(&json), Err(EnvelopeError::HeaderNotAllowed), "{member}");
        }
        let private = good().replace("\"crv\"", &format!(r#""d":"{X}","crv""#));
        assert_eq!(jwe(&private), Err(EnvelopeError::HeaderNotAllowed));
    }

    #[test]
    fn a_header_is_refused_for_its_own_reason() {
        use EnvelopeError::{AlgorithmNotAllowed, BadKeyId, HeaderNotAllowed, WrongType};
        for (from, to, error) in [
            ("\"ECDH-ES\"", "\"none\"", AlgorithmNotAllowed),
            ("\"ECDH-ES\"", "\"ECDH-ES+A256KW\"", AlgorithmNotAllowed),
            ("\"ECDH-ES\"", "\"dir\"", AlgorithmNotAllowed),
            ("\"ECDH-ES\"", "\"PBES2-HS256+A128KW\"", AlgorithmNotAllowed),
            ("\"ECDH-ES\"", "\"ecdh-es\"", AlgorithmNotAllowed),
            ("\"ECDH-ES\"", "null", HeaderNotAllowed),
            ("A256GCM", "A128GCM", AlgorithmNotAllowed),
            ("A256GCM", "A256CBC-HS512", AlgorithmNotAllowed),
            (r#""enc":"A256GCM","#, "", AlgorithmNotAllowed),
            (r#""kid":"k1","#, "", HeaderNotAllowed),
            (r#""kid":"k1""#, r#""kid":null"#, HeaderNotAllowed),
            (r#""kid":"k1""#, r#""kid":"\u006b1""#, HeaderNotAllowed),
            (r#""kid":"k1""#, r#""\u006bid":"k1""#, HeaderNotAllowed),
            (r#""kid":"k1""#, r#""kid":["k1"]"#, HeaderNotAllowed),
            ("P-256", "P-384", HeaderNotAllowed),
            ("\"EC\"", "\"OKP\"", HeaderNotAllowed),
            (r#"MQ","y""#, r#"MR","y""#, HeaderNotAllowed),
            (r#""kty":"EC","#, "", HeaderNotAllowed),
            ("k1", "", BadKeyId),
            ("k1", "k/1", BadKeyId),
            ("\"JWT\"", "\"jwt\"", WrongType),
            ("\"JWT\"", "\"JOSE\"", WrongType),
        ] {
            let json = good().replace(from, to);
            assert_ne!(json, good(), "{from}");
            assert_eq!(jwe(&json), Err(error), "{to}");
        }
        for json in ["", "{}x", "[]", "null", "{", "\u{feff}{}", r#"["ECDH-ES","A256GCM","k1",{},"JWT"]"#] {
            assert_eq!(jwe(json), Err(HeaderNotAllowed), "{json}");
        }
        assert_eq!(jwe("{}"), Err(AlgorithmNotAllowed));
    }

    #[test]
    fn a_suite_that_the_policy_does_not_name_is_refused() {
        let refused = read_jwe(&encode(&good()), &SuitePolicy::nothing());
        assert!(matches!(refused, Err(EnvelopeError::SuiteNotAllowed)));
    }

    #[test]
    fn a_long_header_is_not_even_decoded() {
        let padded = |length: usize| encode(&format!("{}{}", good(), " ".repeat(length - good().len())));
        assert!(read_jwe(&padded(768), &SuitePolicy::default()).is_ok());
        assert!(matches!(read_jwe(&padded(769), &SuitePolicy::default()), Err(EnvelopeError::HeaderTooLarge)));
    }

    #[test]
    fn a_signature_header_names_algorithm_key_and_type() {
        use EnvelopeError::{AlgorithmNotAllowed, HeaderNotAllowed, WrongType};
        let read = |json: &str| read_jws(&encode(json), suite::MESSAGE_TYPE).map(|kid| kid.to_string());
        assert_eq!(read(r#"{"typ":"nakatsugi+jwt","alg":"ES256","kid":"k1"}"#).as_deref(), Ok("k1"));
        for (json, error) in [
            (r#"{"typ":"nakatsugi+jwt","alg":"none","kid":"k1"}"#, AlgorithmNotAllowed),
            (r#"{"typ":"nakatsugi+jwt","alg":"HS256","kid":"k1"}"#, AlgorithmNotAllowed),
            (r#"{"typ":"nakatsugi+jwt","alg":"ES384","kid":"k1"}"#, AlgorithmNotAllowed),
            (r#"{"alg":"ES256","kid":"k1"}"#, HeaderNotAllowed),
            (r#"{"typ":"nakatsugi+jwt","alg":"ES256"}"#, HeaderNotAllowed),
            (r#"{"typ":"nakatsugi+jwt","alg":"ES256","kid":"k1","b64":false}"#, HeaderNotAllowed),
            (r#"{"typ":"JWT","alg":"ES256","kid":"k1"}"#, WrongType),
            (r#"{"typ":"nakatsugi-directory+jws","alg":"ES256","kid":"k1"}"#, WrongType),
        ] {
            assert_eq!(read(json), Err(error), "{json}");
        }
    }
}
