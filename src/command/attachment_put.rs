//! `attachment.put`: a municipal system attaches files to a person's records, up to 32 a message.

use super::{
    Context, Outcome,
    attachment::{self, Brought, Change},
    row,
};
use crate::{
    identifier::{AddresseeNumber, Category, PersonName},
    record::{File, PersonNeed, Revision, View},
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most files of one message: each is read and looked into.
const ROWS: usize = 32;

/// Files to attach.
#[derive(Debug, Deserialize)]
#[serde(from = "Body")]
pub struct AttachmentPut(attachment::Rows);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: row::Rows<PutRow>,
}

/// One file, for one person, by the tenant's own number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutRow {
    person: AddresseeNumber,
    category: Category,
    revision: Revision,
    attachment: Brought,
}

impl From<PutRow> for attachment::Row {
    fn from(put: PutRow) -> Self {
        Self { person: put.person, category: put.category, revision: put.revision, change: Change::Put(Box::new(put.attachment)) }
    }
}

impl From<Body> for AttachmentPut {
    fn from(body: Body) -> Self {
        let rows = body.rows.0.into_iter().map(|row| row.map(Into::into)).collect();
        Self(attachment::Rows { rows, most: ROWS })
    }
}

impl AttachmentPut {
    pub(super) fn names(&self) -> BTreeSet<PersonName> {
        self.0.names()
    }

    pub(super) fn needs(&self) -> Vec<PersonNeed> {
        self.0.needs()
    }

    pub(super) fn files(&self) -> Vec<File> {
        self.0.files()
    }

    pub(super) fn handle(self, context: &Context<'_>, view: View) -> Result<Outcome, serde_json::Error> {
        self.0.handle(context, view)
    }
}
