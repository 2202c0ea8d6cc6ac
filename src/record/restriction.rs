//! What is held back of a person or of everybody, for how long and why (自己情報提供不可・不開示該当・自動応答不可).
//!
//! Always: judged when a request is answered, never when data is put, so that whatever is registered later is held back too.
//! Absent: who decided it; the author's entry in the ledger says so.

use super::{RecordName, Revision};
use crate::{
    calendar::{Day, Window},
    identifier::Category,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most restrictions of one person; each is part of the person's head row.
const RESTRICTIONS: usize = 32;
/// The most categories that one restriction names.
const CATEGORIES: usize = 64;

/// What a restriction holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Withholding {
    /// Self-information is not to be provided (自己情報提供不可): somebody else may hold the person's card or act for them.
    NotProvided,
    /// What was provided is not to be disclosed (不開示該当): hides the entries of provision.
    ProvisionHidden,
    /// Provision is suspended: a wrong link between person and data is suspected.
    Suspended,
    /// A request waits for an official (自動応答不可). Of everybody only: it is decided before any look-up, so that waiting
    /// tells nothing about a person.
    NoAutomaticAnswer,
}

/// Something held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restriction {
    /// What.
    pub kind: Withholding,
    /// In which categories; all of them if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<SomeCategories>,
    /// On which days.
    pub window: Window,
    /// The tenant's own code for the reason.
    pub reason: RecordName,
}

/// One category or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Category>")]
pub struct SomeCategories(BTreeSet<Category>);

impl TryFrom<Vec<Category>> for SomeCategories {
    type Error = &'static str;

    fn try_from(listed: Vec<Category>) -> Result<Self, Self::Error> {
        let count = listed.len();
        let set: BTreeSet<_> = listed.into_iter().collect();
        if (1..=CATEGORIES).contains(&count) && set.len() == count { Ok(Self(set)) } else { Err("1 to 64 categories, none twice") }
    }
}

impl SomeCategories {
    /// The categories.
    pub fn iter(&self) -> impl Iterator<Item = &Category> {
        self.0.iter()
    }
}

impl Restriction {
    /// Whether it holds back this category on this day.
    #[must_use]
    pub fn covers(&self, category: &Category, day: Day) -> bool {
        self.window.contains(day) && self.categories.as_ref().is_none_or(|some| some.0.contains(category))
    }
}

/// All that is held back of a person. At most 32.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Restriction>")]
pub struct Restrictions(Vec<Restriction>);

impl TryFrom<Vec<Restriction>> for Restrictions {
    type Error = &'static str;

    fn try_from(listed: Vec<Restriction>) -> Result<Self, Self::Error> {
        if listed.len() <= RESTRICTIONS { Ok(Self(listed)) } else { Err("at most 32 restrictions") }
    }
}

impl Restrictions {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Restriction> {
        self.0.iter()
    }

    /// What keeps this category from being provided on this day, the gravest first: a hidden entry of provision does not, nor
    /// that an official decides.
    #[must_use]
    pub fn withholding(&self, category: &Category, day: Day) -> Option<Withholding> {
        self.kinds(category, day).filter(|kind| matches!(kind, Withholding::NotProvided | Withholding::Suspended)).min()
    }

    /// Whether a request for this category waits for an official on this day.
    #[must_use]
    pub fn waits(&self, category: &Category, day: Day) -> bool {
        self.kinds(category, day).any(|kind| kind == Withholding::NoAutomaticAnswer)
    }

    fn kinds(&self, category: &Category, day: Day) -> impl Iterator<Item = Withholding> {
        self.0.iter().filter(move |restriction| restriction.covers(category, day)).map(|restriction| restriction.kind)
    }
}

/// What is held back of a person, and the revision that said so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restricted {
    /// The revision of the last `person.restrict` in effect; 0 before the first.
    pub revision: Revision,
    /// What is held back.
    pub restrictions: Restrictions,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn restrictions(list: serde_json::Value) -> Result<Restrictions, String> {
        serde_json::from_value(list).map_err(|error| error.to_string())
    }

    #[test]
    fn a_restriction_holds_in_its_window_and_categories_only() {
        let (tax, care): (Category, Category) = ("TM00000000000002".parse().unwrap(), "TM00000000000004".parse().unwrap());
        let day = |text: &str| text.parse::<Day>().unwrap();
        let held = restrictions(json!([
            {"kind": "suspended", "categories": ["TM00000000000002"], "window": {"from": "2026-04-01"}, "reason": "L1"},
            {"kind": "not-provided", "window": {"from": "2026-06-01", "until": "2026-06-30"}, "reason": "DV"},
            {"kind": "provision-hidden", "window": {}, "reason": "DV"},
        ]))
        .unwrap();
        assert_eq!(held.withholding(&tax, day("2026-03-31")), None);
        assert_eq!(held.withholding(&tax, day("2026-04-01")), Some(Withholding::Suspended));
        assert_eq!(held.withholding(&care, day("2026-05-31")), None);
        assert_eq!(held.withholding(&care, day("2026-06-30")), Some(Withholding::NotProvided));
        assert_eq!(held.withholding(&tax, day("2026-06-01")), Some(Withholding::NotProvided));
    }

    #[test]
    fn as_many_as_fit_and_no_category_twice() {
        let one = json!({"kind": "suspended", "window": {}, "reason": "x"});
        assert!(restrictions(json!(vec![one.clone(); RESTRICTIONS])).is_ok());
        assert!(restrictions(json!(vec![one; RESTRICTIONS + 1])).is_err());
        for categories in [json!([]), json!(["TM00000000000002", "TM00000000000002"])] {
            assert!(restrictions(json!([{"kind": "suspended", "categories": categories, "window": {}, "reason": "x"}])).is_err());
        }
    }
}
