//! Who lives in the demonstration's towns, and what is kept about them: made up by rule, the same at every run.
//!
//! Always: nobody real; codes and numbers follow from tenant and index alone; records follow the catalogue that comes along.
//! Absent: the names of anyone.

use crate::{
    calendar::Timestamp,
    directory::{
        Catalogue,
        catalogue::{self, Entry, ItemRule, Layout, ValueKind},
    },
    identifier::{Category, IdentifierError, PersonCode, TenantCode},
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// One made-up person of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Where they live.
    pub tenant: TenantCode,
    /// Which one.
    pub index: u32,
}

impl Resident {
    /// The code under which the network knows them at this tenant.
    #[must_use]
    pub fn code(self) -> String {
        let digest = digest(&SHA256, format!("resident {} {}", self.tenant, self.index).as_bytes());
        String::from(PersonCode::from_bytes(digest.as_ref().try_into().unwrap_or_default()))
    }

    /// The tenant's own number.
    #[must_use]
    pub fn number(self) -> String {
        format!("{:015}", 7_000_000_000_u64 + u64::from(self.index) * 11)
    }

    /// The body of the `person.link` that ties both together.
    #[must_use]
    pub fn link(self) -> Value {
        json!({ "person": self.number(), "code": self.code(), "revision": 1 })
    }

    /// A row of `record.put`: their record in a category, shown from the day before `now` on, or until then.
    #[must_use]
    pub fn row(self, category: &Category, shown: Shown, now: Timestamp) -> Value {
        let publication = match shown {
            Shown::Now => json!({ "from": now.plus_seconds(-86_400).day_in_japan() }),
            Shown::NoLonger => json!({ "until": now.plus_seconds(-2 * 86_400).day_in_japan() }),
        };
        let (version, items) = layout(category);
        let items: Vec<_> = items.iter().zip(1..).map(|(rule, item)| self.item(rule, item)).collect();
        json!({
            "person": self.number(), "category": category, "revision": 1,
            "record": {
                "data_set": "0001", "record_key": "1", "layout_version": version, "publication": publication,
                "registration_number": format!("demo-{}-{category}", self.index), "unit": "demo", "user": "demo", "items": items,
            }
        })
    }

    /// A value that the layout allows, about as long as they are in life.
    fn item(self, rule: &ItemRule, item: u32) -> Value {
        let figure = u64::from(self.index) * 7_919 + u64::from(item) * 104_729;
        let most = |length: usize| rule.length.map_or(length, |most| length.min(most.into()));
        let value = match rule.kind {
            ValueKind::Text => format!("class {}", figure % 5),
            ValueKind::Number => (figure % 10_u64.pow(most(6).try_into().unwrap_or(1))).to_string(),
            ValueKind::Code => format!("{:0length$}", figure % 10_u64.pow(most(10).try_into().unwrap_or(1)), length = most(10)),
            ValueKind::Day => format!("2026-{:02}-{:02}", 1 + figure % 12, 1 + figure % 28),
            ValueKind::Month => format!("2026-{:02}", 1 + figure % 12),
            ValueKind::Year => "2026".to_owned(),
        };
        match rule.nulls.first() {
            Some(reason) if item == 7 => json!({ "code": rule.code, "depth": rule.depth, "value": null, "reason": reason }),
            Some(_) | None => json!({ "code": rule.code, "depth": rule.depth, "value": value }),
        }
    }

    /// Rows so large that no reply can hold those of two categories.
    #[must_use]
    pub fn vast_rows(self, category: &Category) -> Vec<Value> {
        let (version, items) = layout(category);
        let remarks = items.last().map(|rule| json!({ "code": rule.code, "depth": rule.depth, "value": "あ".repeat(1_200) }));
        let items = vec![remarks; 450];
        let row = |key: u32| {
            json!({
                "person": self.number(), "category": category, "revision": 1,
                "record": {
                    "data_set": "0001", "record_key": key.to_string(), "layout_version": version, "publication": {},
                    "registration_number": format!("vast-{key}"), "unit": "demo", "user": "demo", "items": items,
                }
            })
        };
        (1..=2).map(row).collect()
    }
}

/// The newest layout of a category in the catalogue that comes along: its version and the items of its first data set.
fn layout(category: &Category) -> (&'static str, &'static [ItemRule]) {
    static LAYOUTS: LazyLock<BTreeMap<Category, Layout>> = LazyLock::new(|| {
        let catalogue = Catalogue::parse(catalogue::TYPICAL.as_bytes());
        let newest = |entry: &Entry| Some((entry.code.clone(), entry.layouts.last()?.clone()));
        catalogue.iter().flat_map(Catalogue::entries).filter_map(newest).collect()
    });
    let layout = LAYOUTS.get(category);
    let items = layout.and_then(|layout| layout.data_sets.first()).map_or(&[][..], |set| &set.items);
    (layout.map_or("0000", |layout| layout.version.as_str()), items)
}

/// Whether a record is in its publication window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is.
    Now,
    /// It was.
    NoLonger,
}

/// The body of a request.
#[must_use]
pub fn request(code: &str, categories: &[&Category], now: Timestamp) -> Value {
    json!({
        "person": code, "categories": categories,
        "authenticated": { "method": "jpki-user-certificate", "at": now.plus_seconds(-30) },
    })
}

/// Categories by their numbers in the catalogue.
///
/// # Errors
/// A number with more than 14 digits.
pub fn categories(numbers: &[u64]) -> Result<Vec<Category>, IdentifierError> {
    numbers.iter().map(|number| format!("TM{number:014}").parse()).collect()
}
