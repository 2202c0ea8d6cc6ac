//! The rules of a directory, one function per noun.
//!
//! Always: every broken rule is found in one go, each with its place, so that whoever edits a directory mends it once.

use super::{BrokenRule, Catalogue, DatedKey, Document, Principal, Role, Rule, Tenant, Tenants};
use crate::{
    envelope::Environment,
    identifier::{Category, Kid, PrincipalId, TenantCode},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is broken.
pub(super) fn broken(document: &Document, catalogue: &Catalogue) -> Vec<BrokenRule> {
    let mut check = Check {
        env: document.env,
        catalogue,
        principals: document.principals.iter().map(|principal| (&principal.id, principal)).collect(),
        tenants: document.tenants.iter().map(|tenant| &tenant.code).collect(),
        kids: BTreeSet::new(),
        points: BTreeMap::new(),
        broken: Vec::new(),
    };
    check.relay(document);
    let mut ids = BTreeSet::new();
    for (index, principal) in document.principals.iter().enumerate() {
        let path = format!("principals[{index}]");
        if !ids.insert(&principal.id) {
            check.breaks(&path, "id", Rule::RepeatedPrincipal(principal.id.clone()));
        }
        check.principal(&path, principal);
    }
    let mut codes = BTreeSet::new();
    for (index, tenant) in document.tenants.iter().enumerate() {
        let path = format!("tenants[{index}]");
        if !codes.insert(&tenant.code) {
            check.breaks(&path, "code", Rule::RepeatedTenant(tenant.code));
        }
        check.tenant(&path, tenant);
    }
    check.broken
}

/// What tells keys apart, whatever they are called: the first coordinate, as their JWK spells it.
fn point<K: Serialize>(key: &K) -> Option<String> {
    let jwk = serde_json::to_value(key).ok()?;
    jwk.get("x").and_then(|x| x.as_str()).map(str::to_owned)
}

struct Check<'a> {
    env: Environment,
    catalogue: &'a Catalogue,
    principals: BTreeMap<&'a PrincipalId, &'a Principal>,
    tenants: BTreeSet<&'a TenantCode>,
    kids: BTreeSet<Kid>,
    points: BTreeMap<Option<String>, Kid>,
    broken: Vec<BrokenRule>,
}

impl Check<'_> {
    fn breaks(&mut self, path: &str, member: &str, rule: Rule) {
        self.broken.push(BrokenRule { path: format!("{path}.{member}"), rule });
    }

    fn env(&mut self, path: &str, found: Environment) {
        if found != self.env {
            self.breaks(path, "env", Rule::Environment { expected: self.env, found });
        }
    }

    fn relay(&mut self, document: &Document) {
        let relays = document.principals.iter().filter(|principal| principal.role == Role::Relay).count();
        if relays != 1 {
            self.broken.push(BrokenRule { path: "principals".to_owned(), rule: Rule::Relays(relays) });
        }
    }

    fn principal(&mut self, path: &str, principal: &Principal) {
        for (index, dated) in principal.signing.iter().enumerate() {
            let path = format!("{path}.signing[{index}]");
            self.key(&path, dated, dated.key.kid());
        }
        for (index, dated) in principal.encryption.iter().enumerate() {
            let path = format!("{path}.encryption[{index}]");
            self.key(&path, dated, dated.key.kid());
        }
        if principal.signing.is_empty() {
            self.breaks(path, "signing", Rule::NoSigningKey);
        }
        for &kind in &principal.may {
            if !principal.role.may_author(kind) {
                self.breaks(path, "may", Rule::BeyondRole { role: principal.role, kind });
            }
        }
        self.tenants(path, principal);
        self.way_back(path, principal);
    }

    fn key<K: Serialize>(&mut self, path: &str, dated: &DatedKey<K>, kid: &Kid) {
        self.env(path, dated.env);
        if !self.kids.insert(kid.clone()) {
            self.breaks(path, "key.kid", Rule::RepeatedKid(kid.clone()));
        }
        if let Some(other) = self.points.insert(point(&dated.key), kid.clone()) {
            self.breaks(path, "key", Rule::SharedKey(other));
        }
        if dated.not_before >= dated.not_after {
            self.breaks(path, "not_after", Rule::Validity);
        } else if dated.revoked_at.is_some_and(|at| at < dated.not_before || at > dated.not_after) {
            self.breaks(path, "revoked_at", Rule::Revocation);
        }
    }

    fn tenants(&mut self, path: &str, principal: &Principal) {
        match &principal.tenants {
            Tenants::All if principal.role.may_act_for_all() => {}
            Tenants::All => self.breaks(path, "tenants", Rule::AllTenants(principal.role)),
            Tenants::Listed(listed) if listed.is_empty() => self.breaks(path, "tenants", Rule::NoTenants),
            Tenants::Listed(listed) => {
                for code in listed.iter().filter(|code| !self.tenants.contains(code)).copied().collect::<Vec<_>>() {
                    self.breaks(path, "tenants", Rule::UnknownTenant(code));
                }
            }
        }
    }

    /// Who sends to the relay is carried, and can be answered.
    fn way_back(&mut self, path: &str, principal: &Principal) {
        if principal.role == Role::Relay {
            if principal.replies.is_some() {
                self.breaks(path, "replies", Rule::RelayReplies);
            }
            if principal.encryption.is_empty() {
                self.breaks(path, "encryption", Rule::NoEncryptionKey);
            }
            return;
        }
        if principal.may.iter().any(|kind| kind.class().is_some()) && principal.carriers.is_empty() {
            self.breaks(path, "carriers", Rule::NoCarrier);
        }
        if principal.may.iter().any(|kind| kind.reply().is_some()) {
            if principal.encryption.is_empty() {
                self.breaks(path, "encryption", Rule::NoEncryptionKey);
            }
            if principal.replies.is_none() {
                self.breaks(path, "replies", Rule::NoReplyQueue);
            }
        }
    }

    fn tenant(&mut self, path: &str, tenant: &Tenant) {
        self.env(path, tenant.env);
        self.categories(path, &tenant.categories);
        let mut ids = BTreeSet::new();
        for (index, unit) in tenant.units.iter().enumerate() {
            let path = format!("{path}.units[{index}]");
            if !ids.insert(&unit.id) {
                self.breaks(&path, "id", Rule::RepeatedUnit);
            }
            for (index, affair) in unit.affairs.iter().enumerate() {
                if let (Some(from), Some(until)) = (affair.from, affair.until)
                    && from > until
                {
                    self.breaks(&path, &format!("affairs[{index}].from"), Rule::Window);
                }
            }
            self.categories(&path, &unit.categories);
            for category in unit.categories.difference(&tenant.categories) {
                self.breaks(&path, "categories", Rule::NotProvided(category.clone()));
            }
            for (index, official) in unit.officials.iter().enumerate() {
                let rule = match self.principals.get(official) {
                    None => Rule::UnknownOfficial(official.clone()),
                    Some(principal) if principal.role != Role::Official => Rule::NotAnOfficial(official.clone()),
                    Some(principal) if !principal.acts_for(&tenant.code) => Rule::ElsewhereOfficial(official.clone()),
                    Some(_) => continue,
                };
                self.breaks(&path, &format!("officials[{index}]"), rule);
            }
        }
    }

    fn categories(&mut self, path: &str, categories: &BTreeSet<Category>) {
        for category in categories.iter().filter(|category| !self.catalogue.knows(category)) {
            self.breaks(path, "categories", Rule::UnknownCategory(category.clone()));
        }
    }
}
