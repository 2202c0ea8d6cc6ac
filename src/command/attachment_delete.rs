//! `attachment.delete`: a municipal system takes attached files back. A tombstone keeps the revision, so that nothing older
//! revives them.

use super::{
    Context, Outcome,
    attachment::{self, Change},
    row,
};
use crate::{
    identifier::{AddresseeNumber, Category, PersonName},
    record::{PersonNeed, RecordName, Revision, View},
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most rows of one message.
const ROWS: usize = 500;

/// Attachments to remove.
#[derive(Debug, Deserialize)]
#[serde(from = "Body")]
pub struct AttachmentDelete(attachment::Rows);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: row::Rows<DeleteRow>,
}

/// The name of one attachment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteRow {
    person: AddresseeNumber,
    category: Category,
    revision: Revision,
    attachment_key: RecordName,
}

impl From<DeleteRow> for attachment::Row {
    fn from(delete: DeleteRow) -> Self {
        let change = Change::Delete(delete.attachment_key);
        Self { person: delete.person, category: delete.category, revision: delete.revision, change }
    }
}

impl From<Body> for AttachmentDelete {
    fn from(body: Body) -> Self {
        let rows = body.rows.0.into_iter().map(|row| row.map(Into::into)).collect();
        Self(attachment::Rows { rows, most: ROWS })
    }
}

impl AttachmentDelete {
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
