//! `record.delete`: a municipal system takes copies back. A tombstone keeps the revision, so that nothing older revives them.

use super::{
    Context, Outcome,
    row::{Changes, RowChange, Rows},
};
use crate::{
    identifier::{AddresseeNumber, Category, LayoutVersion, PersonName},
    record::{PersonNeed, RecordName, Revision, Row, View},
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Rows to remove.
#[derive(Debug, Deserialize)]
#[serde(from = "Body")]
pub struct RecordDelete(Changes);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: Rows<DeleteRow>,
}

/// The name of one record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteRow {
    person: AddresseeNumber,
    category: Category,
    revision: Revision,
    data_set: LayoutVersion,
    record_key: RecordName,
}

impl From<DeleteRow> for RowChange {
    fn from(delete: DeleteRow) -> Self {
        let row = Row::Tombstone { revision: delete.revision, data_set: delete.data_set, record_key: delete.record_key };
        Self { person: delete.person, category: delete.category, row }
    }
}

impl From<Body> for RecordDelete {
    fn from(body: Body) -> Self {
        Self(body.rows.into_changes())
    }
}

impl RecordDelete {
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
