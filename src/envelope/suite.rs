//! Suites: the sets of algorithms a message may use, allowed by name.
//!
//! Always: the header says which suite a message uses, and a suite the policy does not name is refused; no suite falls
//! back to another. All algorithms of suite 1 are on the CRYPTREC list of recommended ciphers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// JWE `alg` of suite 1: direct key agreement (RFC 7518 §4.6).
pub(super) const KEY_AGREEMENT: &str = "ECDH-ES";
/// JWE `enc` of suite 1 (RFC 7518 §5.3).
pub(super) const CONTENT_ENCRYPTION: &str = "A256GCM";
/// JWS `alg` of suite 1 (RFC 7518 §3.4).
pub(super) const SIGNATURE: &str = "ES256";
/// `typ` of a message (RFC 8725 §3.11).
pub(super) const MESSAGE_TYPE: &str = "nakatsugi+jwt";
/// `typ` of a detached signature over a directory.
pub(super) const DIRECTORY_TYPE: &str = "nakatsugi-directory+jws";

/// `typ` of a detached signature over a record of the relay's own.
pub(super) const RECORD_TYPE: &str = "nakatsugi-record+jws";

/// A set of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// `ECDH-ES` on P-256, `A256GCM`, `ES256`.
    #[serde(rename = "suite-1")]
    Suite1,
}

/// The suites that this relay takes, in the configuration a list of names: `["suite-1"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Suite>", try_from = "Vec<Suite>")]
pub struct SuitePolicy(Vec<Suite>);

/// A policy that allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a suite policy allows at least one suite")]
pub struct EmptyPolicy;

impl SuitePolicy {
    /// Whether messages of this suite are taken.
    #[must_use]
    pub fn allows(&self, suite: Suite) -> bool {
        self.0.contains(&suite)
    }

    /// What no configuration can say while there is one suite only.
    #[cfg(test)]
    pub(super) const fn nothing() -> Self {
        Self(Vec::new())
    }
}

impl Default for SuitePolicy {
    /// Suite 1.
    fn default() -> Self {
        Self(vec![Suite::Suite1])
    }
}

impl TryFrom<Vec<Suite>> for SuitePolicy {
    type Error = EmptyPolicy;
    fn try_from(suites: Vec<Suite>) -> Result<Self, Self::Error> {
        if suites.is_empty() { Err(EmptyPolicy) } else { Ok(Self(suites)) }
    }
}

impl From<SuitePolicy> for Vec<Suite> {
    fn from(policy: SuitePolicy) -> Self {
        policy.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_known_suites_and_at_least_one() {
        let policy: SuitePolicy = serde_json::from_str(r#"["suite-1"]"#).unwrap();
        assert!(policy.allows(Suite::Suite1));
        assert_eq!(policy, SuitePolicy::default());
        assert_eq!(SuitePolicy::try_from(Vec::new()), Err(EmptyPolicy));
        for text in ["[]", r#"["suite-2"]"#, r#""suite-1""#] {
            assert!(serde_json::from_str::<SuitePolicy>(text).is_err(), "{text}");
        }
    }
}
