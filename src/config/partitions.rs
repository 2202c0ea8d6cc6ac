//! Which partition a tenant belongs to, and which of them this daemon serves.
//!
//! Always: a pure function of the tenant and the configuration, the same on every node and in every version: moving a
//! tenant moves its queues.

use crate::{directory::Tenant, identifier::TenantCode};
use ring::digest::{SHA256, digest};
use std::collections::{BTreeMap, BTreeSet};

/// The shares of the tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitions {
    pub(super) count: u16,
    pub(super) own: BTreeSet<u16>,
    pub(super) placement: BTreeMap<TenantCode, u16>,
}

impl Partitions {
    /// How many there are, on all nodes together.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Those that this daemon serves.
    #[must_use]
    pub const fn own(&self) -> &BTreeSet<u16> {
        &self.own
    }

    /// The partition of a tenant: as the configuration places it, else as the directory does, else by hash.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> u16 {
        let placed = self.placement.get(&tenant.code).copied().or(tenant.partition);
        placed.filter(|partition| *partition < self.count).unwrap_or_else(|| by_hash(&tenant.code, self.count))
    }

    /// Whether this daemon serves the tenant.
    #[must_use]
    pub fn serves(&self, tenant: &Tenant) -> bool {
        self.own.contains(&self.of(tenant))
    }
}

/// `big-endian(SHA-256(code)[0..8]) mod count`.
#[must_use]
pub fn by_hash(code: &TenantCode, count: u16) -> u16 {
    let digest = digest(&SHA256, code.as_str().as_bytes());
    let head = digest.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    let partition = u64::from_be_bytes(head) % u64::from(count.max(1));
    u16::try_from(partition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // printf 142051 | sha256sum | head -c 16 and so on, modulo 4.
        let code = |text: &str| text.parse::<TenantCode>().unwrap();
        assert_eq!([by_hash(&code("142051"), 4), by_hash(&code("140007"), 4), by_hash(&code("141003"), 4)], [0, 3, 1]);
        assert_eq!(by_hash(&code("142051"), 1), 0);
    }
}
