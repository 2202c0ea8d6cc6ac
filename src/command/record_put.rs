//! `record.put`: a municipal system registers copies (副本登録), up to 500 rows a message.

use super::{
    Context, Outcome,
    row::{Changes, RowChange, Rows},
};
use crate::{
    identifier::{AddresseeNumber, Category, PersonName},
    record::{PersonNeed, Record, Revision, Row, View},
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Rows to register.
#[derive(Debug, Deserialize)]
#[serde(from = "Body")]
pub struct RecordPut(Changes);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: Rows<PutRow>,
}

/// One record, for one person, by the tenant's own number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutRow {
    person: AddresseeNumber,
    category: Category,
    revision: Revision,
    record: Record,
}

impl From<PutRow> for RowChange {
    fn from(put: PutRow) -> Self {
        Self { person: put.person, category: put.category, row: Row::Live { revision: put.revision, record: put.record } }
    }
}

impl From<Body> for RecordPut {
    fn from(body: Body) -> Self {
        Self(body.rows.into_changes())
    }
}

impl RecordPut {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        self.0.names()
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        self.0.needs()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        self.0.handle(context, view)
    }
}
