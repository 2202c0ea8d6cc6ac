//! A tenant as the directory describes it: its functions in service, its units, and what it provides.
//!
//! Absent: its data, its keys, and anything about a person.

use crate::{
    calendar::{Day, Window},
    envelope::Environment,
    identifier::{Affair, Category, MessageClass, PrincipalId, TenantCode},
    record::RecordName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One local government (地方公共団体).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its code.
    pub code: TenantCode,
    /// Its name.
    pub name: Name,
    /// The environment it takes part in; the same as the directory's.
    pub env: Environment,
    /// Its partition, where it is not left to the configuration or the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
    /// What is in service, and since when.
    pub functions: Functions,
    /// The categories that it provides.
    pub categories: BTreeSet<Category>,
    /// Its sections.
    #[serde(default)]
    pub units: Vec<Unit>,
}

impl Tenant {
    /// Whether messages of this class are served on that day.
    #[must_use]
    pub fn serves(&self, class: MessageClass, day: Day) -> bool {
        let since = match class {
            MessageClass::SelfInfo => self.functions.self_info,
            MessageClass::Record => self.functions.copies,
        };
        since.is_some_and(|since| since <= day)
    }

    /// Whether it provides this category.
    #[must_use]
    pub fn provides(&self, category: &Category) -> bool {
        self.categories.contains(category)
    }
}

/// A name in Japanese and in Latin letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// In Japanese, for example 藤沢市.
    pub ja: String,
    /// In Latin letters, for example Fujisawa.
    pub latin: String,
}

/// Since which day each function is in service; an absent one is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Functions {
    /// Self-information display (自己情報表示).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_info: Option<Day>,
    /// Registration of copies (副本登録).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Day>,
}

/// A section of the tenant (実施課).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Its id, unique in the tenant; records name it.
    pub id: RecordName,
    /// Its name.
    pub name: Name,
    /// The affairs it carries out.
    pub affairs: Vec<UnitAffair>,
    /// The categories it is responsible for.
    pub categories: BTreeSet<Category>,
    /// The officials who act for it.
    #[serde(default)]
    pub officials: Vec<PrincipalId>,
}

/// An affair that a unit carries out, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitAffair {
    /// Its code.
    pub code: Affair,
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
}

impl UnitAffair {
    /// The days on which the unit carries it out.
    #[must_use]
    pub const fn window(&self) -> Window {
        Window { from: self.from, until: self.until }
    }
}
