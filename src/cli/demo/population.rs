//! Who lives in the demonstration's towns, and what is kept about them: made up by rule, the same at every run.
//!
//! Always: nobody real; codes and numbers follow from tenant and index alone. Absent: the names of anyone.

use crate::{
    calendar::Timestamp,
    identifier::{Category, IdentifierError, PersonCode, TenantCode},
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

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
        let number = self.index;
        let items: Vec<_> = (1..=8_u32).map(|item| self.item(category, item)).collect();
        json!({
            "person": self.number(), "category": category, "revision": 1,
            "record": {
                "data_set": "0001", "record_key": "1", "layout_version": "0001", "publication": publication,
                "registration_number": format!("demo-{number}"), "unit": "demo", "user": "demo", "items": items,
            }
        })
    }

    fn item(self, category: &Category, item: u32) -> Value {
        let group = category.as_str().get(14..).unwrap_or("00");
        let code = format!("{group}{:08}", item * 10);
        let figure = u64::from(self.index) * 7_919 + u64::from(item) * 104_729;
        match item {
            1 => json!({ "code": code, "depth": 1, "value": "2026" }),
            2..=6 => json!({ "code": code, "depth": 2, "value": format!("{} yen", figure % 900_000) }),
            7 => json!({ "code": code, "depth": 2, "value": null, "reason": "not-applicable" }),
            _ => json!({ "code": code, "depth": 1, "value": format!("class {}", figure % 5) }),
        }
    }

    /// Rows so large that no reply can hold those of two categories.
    #[must_use]
    pub fn vast_rows(self, category: &Category) -> Vec<Value> {
        let items: Vec<_> =
            (0..450_u32).map(|item| json!({ "code": format!("{:010}", item), "depth": 1, "value": "あ".repeat(1_200) })).collect();
        let row = |key: u32| {
            json!({
                "person": self.number(), "category": category, "revision": 1,
                "record": {
                    "data_set": "0001", "record_key": key.to_string(), "layout_version": "0001", "publication": {},
                    "registration_number": format!("vast-{key}"), "unit": "demo", "user": "demo", "items": items,
                }
            })
        };
        (1..=2).map(row).collect()
    }
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
