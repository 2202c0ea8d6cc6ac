//! Claims: what every message says about itself.
//!
//! Always: typed, no unknown and no repeated member; the body stays raw JSON until its type is known, and is then read by
//! [`strict_json`]. Absent: any judgement about time, author or recipient.

use super::{EnvelopeError, base64url, strict_json};
use crate::{
    calendar::Timestamp,
    identifier::{MessageId, MessageType, PrincipalId, TenantCode},
    ledger::Promise,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Trial or production; keys, directory and daemon carry it too, and it never mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Made-up persons only.
    Trial,
    /// Real persons.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trial => "trial",
            Self::Production => "production",
        })
    }
}

/// The claims of a message (design §4, RFC 7519 §4.1).
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims<'a> {
    /// The author.
    pub iss: PrincipalId,
    /// The recipient.
    pub aud: PrincipalId,
    /// The message's id.
    pub jti: MessageId,
    /// When it was made.
    pub iat: Timestamp,
    /// From when on it is no longer taken.
    pub exp: Timestamp,
    /// Where it belongs.
    pub env: Environment,
    /// Whose vault it is about.
    pub tenant: TenantCode,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// The message that it answers.
    #[serde(default, deserialize_with = "present")]
    pub re: Option<MessageId>,
    /// What it says, to be read by [`strict_json::from_str`] once the type is known.
    #[serde(borrow)]
    pub body: &'a RawValue,
    /// In replies: what the ledger's entry is bound to.
    #[serde(default, deserialize_with = "promise")]
    pub promise: Option<Promise>,
}

impl fmt::Debug for Claims<'_> {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.iss)
            .field("aud", &self.aud)
            .field("jti", &self.jti)
            .field("env", &self.env)
            .field("tenant", &self.tenant)
            .field("type", &self.kind)
            .finish_non_exhaustive()
    }
}

pub(super) fn read(payload: &str) -> Result<Claims<'_>, EnvelopeError> {
    Ok(strict_json::from_str(payload)?)
}

/// A member that is there has a value: `null` is not another way to leave it out.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn promise<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Promise>, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let bytes = base64url::decode_array(text.as_bytes()).map_err(|_| de::Error::custom("a promise is 43 characters of base64url"))?;
    Ok(Some(Promise(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::strict_json::JsonFault;

    fn json() -> String {
        concat!(
            r#"{"iss":"disclosure","aud":"relay","jti":"0198c5f0-7a00-7000-8000-0123456789ab","iat":1767193200,"exp":1767193500,"#,
            r#""env":"trial","tenant":"142051","type":"self-info.request","body":{"b":[1,{"b":2}]}}"#
        )
        .to_owned()
    }

    fn fault(json: &str) -> JsonFault {
        match read(json) {
            Err(EnvelopeError::Json(error)) => error.fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn claims_are_read_and_the_body_stays_raw() {
        let json = json();
        let claims = read(&json).unwrap();
        assert_eq!(claims.iss.as_str(), "disclosure");
        assert_eq!((claims.iat, claims.env), (Timestamp::from_seconds(1_767_193_200), Environment::Trial));
        assert_eq!((claims.kind, claims.re, claims.promise), (MessageType::SelfInfoRequest, None, None));
        assert_eq!(claims.body.get(), r#"{"b":[1,{"b":2}]}"#);
        assert!(!format!("{claims:?}").contains("body"));
    }

    #[test]
    fn a_reply_carries_what_it_answers_and_a_promise() {
        let more = format!(r#","re":"0198c5f0-7a00-7000-8000-0123456789ab","promise":"{}"}}"#, "A".repeat(43));
        let reply = json().strip_suffix('}').unwrap().to_owned() + &more;
        let claims = read(&reply).unwrap();
        assert_eq!(claims.promise, Some(Promise([0; 32])));
        assert_eq!(claims.re, Some(claims.jti));
        assert_eq!(fault(&reply.replace(&"A".repeat(43), &"A".repeat(42))), JsonFault::InvalidValue);
        assert_eq!(fault(&reply.replace(&"A".repeat(43), &("A".repeat(42) + "B"))), JsonFault::InvalidValue);
    }

    #[test]
    fn every_claim_is_strict() {
        for (from, to, expected) in [
            (r#""env""#, r#""nbf":0,"env""#, JsonFault::UnknownMember),
            (r#""env""#, r#""iss":"x","env""#, JsonFault::RepeatedMember),
            (r#""env""#, r#""\u0069ss":"x","env""#, JsonFault::RepeatedMember),
            (r#""env""#, r#""body":{},"env""#, JsonFault::RepeatedMember),
            (r#""env":"trial","#, "", JsonFault::MissingMember),
            ("trial", "Trial", JsonFault::InvalidValue),
            ("142051", "142052", JsonFault::InvalidValue),
            ("self-info.request", "self-info", JsonFault::InvalidValue),
            ("1767193200", "1767193200.0", JsonFault::InvalidValue),
            ("1767193200", "-1", JsonFault::InvalidValue),
            ("1767193200", "01", JsonFault::Malformed),
            (r#""env""#, r#""re":null,"env""#, JsonFault::InvalidValue),
            (r#""env""#, r#""promise":null,"env""#, JsonFault::InvalidValue),
            (r#"{"b":2}"#, r#"{"b":2"#, JsonFault::Malformed),
            ("[1,", "[1,NaN,", JsonFault::Malformed),
        ] {
            assert_eq!(fault(&json().replace(from, to)), expected, "{to}");
        }
        for text in ["[]", "null", "\"\"", r#"["disclosure"]"#] {
            assert_eq!(fault(text), JsonFault::InvalidValue, "{text}");
        }
        for text in ["", "\u{a0}{}", "{} {}"] {
            assert_eq!(fault(text), if text.starts_with("{}") { JsonFault::MissingMember } else { JsonFault::Malformed }, "{text}");
        }
    }
}
