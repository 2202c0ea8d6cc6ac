//! What can be wrong with an envelope, a key, or the making of either.
//!
//! Always: an [`EnvelopeError`] is the sender's fault and its reason code is stable, for it stands in the dead-letter
//! queue; a [`SealingError`] is ours. No message contains what was read.
//!
//! | reason code | gate | meaning |
//! | --- | --- | --- |
//! | `too-large` | size | the body is longer than the limit |
//! | `bad-alphabet` | alphabet | a character that is neither base64url nor a dot |
//! | `malformed-jwe` | alphabet | not five parts, an encrypted key where none belongs, IV or tag of a wrong length |
//! | `malformed-jws` | alphabet | not three parts, or no payload |
//! | `bad-encoding` | alphabet | base64url with a wrong length or spare bits set |
//! | `header-too-large` | header | an encoded header of more than 1 KiB |
//! | `header-not-allowed` | header | a header that is not exactly the members of the suite, each once |
//! | `algorithm-not-allowed` | header | `alg` or `enc` of no suite |
//! | `suite-not-allowed` | header | a suite that the policy does not name |
//! | `wrong-type` | header | `typ` or `cty` of something else |
//! | `bad-key-id` | header | a `kid` that cannot be one |
//! | `unknown-recipient-key` | header | encrypted for a key we do not have |
//! | `bad-ephemeral-key` | cryptography | `epk` is not a point on P-256 |
//! | `decryption-failed` | cryptography | the content's tag does not hold |
//! | `signature-invalid` | cryptography | the signature does not hold under the author's key |
//! | `not-utf8` | payload | the payload is not UTF-8 |
//! | `too-deep` | payload | objects and arrays nested deeper than the limit |
//! | `malformed-json` | payload | not JSON |
//! | `repeated-member`, `unknown-member`, `missing-member`, `invalid-value` | payload | the claims are not what they must be |
//! | `promise-misplaced` | payload | the promise is not the last member of a reply, or not the one expected |

use super::strict_json::JsonError;
use thiserror::Error;

/// Why an envelope is refused. Nothing about such a message is proven, so its author is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The body is longer than the limit.
    #[error("the envelope is larger than allowed")]
    TooLarge,
    /// A character that is neither base64url nor a dot.
    #[error("the envelope has a character outside base64url")]
    BadAlphabet,
    /// Not the five parts of a compact JWE with direct key agreement.
    #[error("the envelope is not a compact JWE of this suite")]
    MalformedJwe,
    /// Not the three parts of a compact JWS, or in a detached one not the two.
    #[error("the content is not a compact JWS of this suite")]
    MalformedJws,
    /// Base64url with a wrong length or spare bits set (RFC 4648 §3.5).
    #[error("a part is not canonical base64url")]
    BadEncoding,
    /// An encoded header of more than 1 KiB.
    #[error("a header is larger than allowed")]
    HeaderTooLarge,
    /// Not exactly the members of the suite, each once, as plain strings.
    #[error("a header has other members than the suite demands")]
    HeaderNotAllowed,
    /// `alg` or `enc` of no suite; `none` among them.
    #[error("an algorithm is not of any suite")]
    AlgorithmNotAllowed,
    /// A suite that the policy does not name.
    #[error("the suite is not allowed by the policy")]
    SuiteNotAllowed,
    /// `typ` or `cty` of something else. SECURITY: keeps a signature made for one purpose out of another.
    #[error("the type in the header is not the one expected here")]
    WrongType,
    /// A `kid` that cannot be one.
    #[error("the key id in the header is not well-formed")]
    BadKeyId,
    /// Encrypted for a key we do not have.
    #[error("the envelope is encrypted for an unknown key")]
    UnknownRecipientKey,
    /// `epk` is not a point on P-256. SECURITY: answers the invalid curve attack (RFC 8725 §3.4).
    #[error("the ephemeral key is not a point on the curve")]
    BadEphemeralKey,
    /// The content's tag does not hold.
    #[error("the envelope does not decrypt")]
    DecryptionFailed,
    /// The signature does not hold under the key given for it.
    #[error("the signature is not valid")]
    SignatureInvalid,
    /// The payload is not UTF-8.
    #[error("the payload is not utf-8")]
    NotUtf8,
    /// Objects and arrays nested deeper than the limit.
    #[error("the payload is nested deeper than allowed")]
    TooDeep,
    /// The claims are not what they must be.
    #[error("the claims are refused: {0}")]
    Json(#[from] JsonError),
    /// The promise is not the last member of the payload, or not the one expected.
    #[error("the promise does not stand where it must")]
    PromiseMisplaced,
}

impl EnvelopeError {
    /// The stable code of this reason, for the dead-letter queue and its readers.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::BadAlphabet => "bad-alphabet",
            Self::MalformedJwe => "malformed-jwe",
            Self::MalformedJws => "malformed-jws",
            Self::BadEncoding => "bad-encoding",
            Self::HeaderTooLarge => "header-too-large",
            Self::HeaderNotAllowed => "header-not-allowed",
            Self::AlgorithmNotAllowed => "algorithm-not-allowed",
            Self::SuiteNotAllowed => "suite-not-allowed",
            Self::WrongType => "wrong-type",
            Self::BadKeyId => "bad-key-id",
            Self::UnknownRecipientKey => "unknown-recipient-key",
            Self::BadEphemeralKey => "bad-ephemeral-key",
            Self::DecryptionFailed => "decryption-failed",
            Self::SignatureInvalid => "signature-invalid",
            Self::NotUtf8 => "not-utf8",
            Self::TooDeep => "too-deep",
            Self::Json(error) => error.reason(),
            Self::PromiseMisplaced => "promise-misplaced",
        }
    }
}

/// Why a JWK is not taken, or a key not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not exactly the members of a P-256 JWK for this use.
    #[error("the key is not a P-256 JWK for this use: {0}")]
    Json(#[from] JsonError),
    /// `x` and `y` are no point on P-256.
    #[error("the public key is not a point on P-256")]
    NotOnCurve,
    /// `d` is out of range, or `x` and `y` belong to another.
    #[error("the private key and the public key do not belong together")]
    NotAPair,
    /// The operating system gave no random bytes.
    #[error("the random source failed")]
    RandomSource,
    /// The processor lacks the instructions that the static key agreement is written in.
    #[error("the processor lacks instructions that key agreement needs (x86-64: aes, avx2, adx, bmi2; aarch64: aes, sha2)")]
    Processor,
}

/// Why an envelope could not be made. Ours: nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealingError {
    /// The body cannot be written as JSON.
    #[error("the body cannot be written as json")]
    Body,
    /// The random source failed, or a primitive did.
    #[error("signing or encrypting failed")]
    Cryptography,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_names_every_reason_code() {
        let (table, codes) = include_str!("error.rs").split_once("use super").unwrap();
        for code in [codes, include_str!("strict_json.rs")].iter().flat_map(|source| source.split(" => \"").skip(1)) {
            let code = code.split('"').next().unwrap();
            assert!(code.contains(' ') || table.contains(&format!("`{code}`")), "{code}");
        }
    }
}
