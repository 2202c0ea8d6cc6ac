//! Public keys with the time in which they count.
//!
//! Always: outside its validity, or from its revocation on, a key proves nothing and nothing is encrypted to it.

use super::{UnknownAuthor, moment};
use crate::{calendar::Timestamp, envelope::Environment};
use serde::{Deserialize, Serialize};

/// A public key (as a JWK, RFC 7517), the environment it was made for, and when it counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedKey<K> {
    /// The key.
    pub key: K,
    /// The environment it was made for; a trial key never counts in production.
    pub env: Environment,
    /// From when on it counts.
    #[serde(with = "moment")]
    pub not_before: Timestamp,
    /// From when on it no longer counts.
    #[serde(with = "moment")]
    pub not_after: Timestamp,
    /// From when on it was withdrawn.
    #[serde(default, with = "moment::optional", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl<K> DatedKey<K> {
    /// The key, if it counts at that time.
    ///
    /// # Errors
    /// Why it does not; a revocation outweighs the rest.
    pub fn at(&self, at: Timestamp) -> Result<&K, UnknownAuthor> {
        if self.revoked_at.is_some_and(|revoked| revoked <= at) {
            return Err(UnknownAuthor::Revoked);
        }
        if at < self.not_before {
            return Err(UnknownAuthor::NotYetValid);
        }
        if at >= self.not_after { Err(UnknownAuthor::Expired) } else { Ok(&self.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_from_its_first_second_until_its_end_or_revocation() {
        let at = Timestamp::from_seconds;
        let mut dated = DatedKey { key: (), env: Environment::Trial, not_before: at(10), not_after: at(20), revoked_at: None };
        assert_eq!(dated.at(at(9)), Err(UnknownAuthor::NotYetValid));
        assert_eq!(dated.at(at(10)), Ok(&()));
        assert_eq!(dated.at(Timestamp::from_millis(19_999)), Ok(&()));
        assert_eq!(dated.at(at(20)), Err(UnknownAuthor::Expired));
        dated.revoked_at = Some(at(15));
        assert_eq!(dated.at(at(14)), Ok(&()));
        assert_eq!(dated.at(at(15)), Err(UnknownAuthor::Revoked));
        assert_eq!(dated.at(at(30)), Err(UnknownAuthor::Revoked));
    }
}
