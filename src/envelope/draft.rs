//! Drafts: messages before they are signed, and the digest that the ledger commits to.
//!
//! ```text
//! D       = SHA-256(claims as compact JSON, without the promise)
//! payload = claims without their last brace ‖ `,"promise":"` ‖ base64url(S) ‖ `"}` ‖ spaces
//! ```
//!
//! Always: the promise is the last member, so that D can be computed from the payload's bytes alone, without any rule for
//! writing JSON canonically. What is composed is wiped on drop.

use super::{EnvelopeError, Environment, Padding, SealingError, base64url, primitive};
use crate::{
    calendar::Timestamp,
    identifier::{MessageId, MessageType, PrincipalId, TenantCode},
    ledger::Promise,
    wiped::Wiped,
};
use serde::Serialize;
use std::{fmt, io, mem};

/// A message to be sent: its claims, and a body that serde can write.
#[derive(Clone, Serialize)]
pub struct Draft<B> {
    /// The author.
    pub iss: PrincipalId,
    /// The recipient.
    pub aud: PrincipalId,
    /// The message's id.
    pub jti: MessageId,
    /// When it is made.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<MessageId>,
    /// What it says: anything that serializes to a JSON value, a `RawValue` among them.
    pub body: B,
}

impl<B: Serialize> Draft<B> {
    /// Writes the claims.
    ///
    /// # Errors
    /// The body cannot be written as JSON.
    pub fn compose(&self) -> Result<Composed, SealingError> {
        let mut json = WipingWriter(Wiped::with_capacity(4096));
        serde_json::to_writer(&mut json, self).map_err(|_| SealingError::Body)?;
        let json = json.0;
        Ok(Composed { digest: primitive::sha256(&[&json]), json })
    }
}

impl<B> fmt::Debug for Draft<B> {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} {} to {})", self.kind, self.jti, self.aud)
    }
}

/// Claims as JSON, still without a promise.
pub struct Composed {
    json: Wiped,
    digest: [u8; 32],
}

impl Composed {
    /// D, to which the ledger commits together with the promise.
    #[must_use]
    pub const fn claims_digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The length of the payload with a promise, padded.
    #[must_use]
    pub fn payload_length(&self, padding: Padding) -> usize {
        padding.padded(self.json.len() + PROMISE_MEMBER)
    }

    /// The payload of a reply.
    #[must_use]
    pub fn with_promise(&self, promise: &Promise, padding: Padding) -> Wiped {
        let length = self.payload_length(padding);
        let mut payload = Wiped::with_capacity(length);
        payload.extend_from_slice(self.json.strip_suffix(b"}").unwrap_or(&self.json));
        payload.extend_from_slice(BEFORE_PROMISE);
        base64url::append(&promise.0, &mut payload);
        payload.extend_from_slice(AFTER_PROMISE);
        payload.resize(length, b' ');
        payload
    }

    /// The payload of a message that the ledger promises nothing about.
    #[must_use]
    pub fn without_promise(mut self, padding: Padding) -> Wiped {
        let length = padding.padded(self.json.len());
        let mut payload = WipingWriter(mem::take(&mut self.json));
        payload.reserve(length);
        payload.0.resize(length, b' ');
        payload.0
    }
}

impl fmt::Debug for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Composed(secret)")
    }
}

const BEFORE_PROMISE: &[u8] = br#","promise":""#;
const AFTER_PROMISE: &[u8] = br#""}"#;
/// The promise as a member adds this much to the claims.
const PROMISE_MEMBER: usize = BEFORE_PROMISE.len() + base64url::encoded(32) + AFTER_PROMISE.len() - 1;

/// D from a received payload and the promise in it: what the holder of a reply computes to ask for the proof of inclusion.
///
/// # Errors
/// The promise is not the last member, or another one.
pub fn claims_digest(payload: &[u8], promise: &Promise) -> Result<[u8; 32], EnvelopeError> {
    let mut member = Vec::with_capacity(PROMISE_MEMBER + 1);
    member.extend_from_slice(BEFORE_PROMISE);
    base64url::append(&promise.0, &mut member);
    member.extend_from_slice(AFTER_PROMISE);
    let mut json = payload;
    while let [rest @ .., b' '] = json {
        json = rest;
    }
    let claims = json.strip_suffix(&*member).ok_or(EnvelopeError::PromiseMisplaced)?;
    Ok(primitive::sha256(&[claims, b"}"]))
}

/// Grows by moving to a larger allocation itself, so that the smaller one is wiped.
struct WipingWriter(Wiped);

impl WipingWriter {
    /// Room for `length` bytes in all.
    fn reserve(&mut self, length: usize) {
        if length > self.0.capacity() {
            let mut larger = Wiped::with_capacity(length);
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl io::Write for WipingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() {
            self.reserve(length.max(self.0.capacity() * 2));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::{RawValue, to_raw_value};

    fn draft<B>(body: B) -> Draft<B> {
        Draft {
            iss: "relay".parse().unwrap(),
            aud: "disclosure".parse().unwrap(),
            jti: "0198c5f0-7a00-7000-8000-0123456789ab".parse().unwrap(),
            iat: Timestamp::from_seconds(1_767_193_200),
            exp: Timestamp::from_seconds(1_767_193_500),
            env: Environment::Trial,
            tenant: "142051".parse().unwrap(),
            kind: MessageType::SelfInfoReply,
            re: Some("0198c5f0-7a00-7000-8000-0123456789ac".parse().unwrap()),
            body,
        }
    }

    const COMPACT: &str = concat!(
        r#"{"iss":"relay","aud":"disclosure","jti":"0198c5f0-7a00-7000-8000-0123456789ab","iat":1767193200,"exp":1767193500,"#,
        r#""env":"trial","tenant":"142051","type":"self-info.reply","re":"0198c5f0-7a00-7000-8000-0123456789ac","body":[1]}"#
    );

    #[test]
    fn the_promise_is_the_last_member_and_its_holder_computes_the_digest() {
        let composed = draft([1]).compose().unwrap();
        let digest = primitive::sha256(&[COMPACT.as_bytes()]);
        assert_eq!(*composed.claims_digest(), digest);
        let promise = Promise([0xa5; 32]);
        let payload = composed.with_promise(&promise, Padding::None);
        let member = r#","promise":"paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU"}"#;
        assert_eq!(String::from_utf8_lossy(&payload), COMPACT.strip_suffix('}').unwrap().to_owned() + member);
        assert_eq!(payload.len(), composed.payload_length(Padding::None));
        assert_eq!(claims_digest(&payload, &promise), Ok(digest));
        let padded = composed.with_promise(&promise, Padding::Padme);
        assert_eq!(padded.len(), 4096);
        assert_eq!(claims_digest(&padded, &promise), Ok(digest));
        assert_eq!(super::super::claims::read(std::str::from_utf8(&padded).unwrap()).unwrap().promise, Some(promise));
        assert_eq!(*composed.without_promise(Padding::None), COMPACT.as_bytes());
    }

    #[test]
    fn a_promise_elsewhere_is_refused() {
        let promise = Promise([0xa5; 32]);
        let payload = draft([1]).compose().unwrap().with_promise(&promise, Padding::Padme);
        let text = String::from_utf8(payload.to_vec()).unwrap();
        assert_eq!(claims_digest(&payload, &Promise([0; 32])), Err(EnvelopeError::PromiseMisplaced));
        for other in [
            COMPACT.to_owned(),
            text.clone() + "\n",
            text.replace("\"promise\"", "\"promise\" "),
            COMPACT.replace("[1]}", r#"[1],"promise":"paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU","x":1}"#),
            COMPACT.replace("[1]}", r#"{"a":1,"promise":"paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU"}}"#),
            String::new(),
        ] {
            assert_eq!(claims_digest(other.as_bytes(), &promise), Err(EnvelopeError::PromiseMisplaced), "{other}");
        }
    }

    #[test]
    fn bodies_may_be_raw_and_large() {
        let raw: Box<RawValue> = to_raw_value(&[1]).unwrap();
        assert_eq!(*draft(raw).compose().unwrap().without_promise(Padding::None), COMPACT.as_bytes());
        let large = "あ".repeat(100_000);
        let composed = draft(&large).compose().unwrap();
        assert_eq!(composed.payload_length(Padding::None), COMPACT.len() - 3 + 2 + large.len() + PROMISE_MEMBER);
        let padded = composed.without_promise(Padding::Padme);
        assert_eq!(padded.len(), Padding::Padme.padded(COMPACT.len() - 3 + 2 + large.len()));
    }
}
