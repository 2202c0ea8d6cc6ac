//! What is attached to records, apart from them: the list of a category, and the bytes of each file.
//!
//! ```text
//! Person ‖ blind(person) ‖ 2 ‖ blind(person, category) ‖ chunk      → a piece of the list's JSON: the files, and the tags of their bytes
//! Person ‖ blind(person) ‖ 3 ‖ blind(person, category, key) ‖ chunk → a piece of a file's bytes
//! ```
//!
//! Always: the head names the list by its tags and the list names the bytes by theirs, so one that is missing, old or another's
//! is a fault. Absent: reading any of it for whoever did not ask for it.

use super::{
    core::{Core, aside},
    frame::RowChange,
    person::{HeadRow, Tags},
};
use crate::{
    identifier::Category,
    keyring::{RowKey, Tree},
    record::{AttachmentChange, Attachments, ContentName, FileContent, PersonId, RecordName},
    relay::ports::VaultFault,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The list of a category.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRow {
    pub(super) list: Attachments,
    /// The tags of each file's bytes.
    contents: BTreeMap<RecordName, Tags>,
}

impl Core {
    fn list_row(&self, id: PersonId, category: &Category, chunk: u32) -> RowKey {
        let index = self.keyring.index();
        let person = index.blind(Tree::Person, &[&id.0]);
        let category = index.blind(Tree::Person, &[&id.0, category.as_str().as_bytes()]);
        Tree::Person.row(&[&person.0, &[2], &category.0, &chunk.to_be_bytes()])
    }

    fn content_row(&self, id: PersonId, category: &Category, key: &RecordName, chunk: u32) -> RowKey {
        let index = self.keyring.index();
        let person = index.blind(Tree::Person, &[&id.0]);
        let name = index.blind(Tree::Person, &[&id.0, category.as_str().as_bytes(), key.as_str().as_bytes()]);
        Tree::Person.row(&[&person.0, &[3], &name.0, &chunk.to_be_bytes()])
    }

    /// The list of a category that the head names by these tags.
    pub(super) fn list(&self, id: PersonId, category: &Category, tags: &Tags) -> Result<ListRow, VaultFault> {
        self.parsed(&self.joined(&tags.0, |chunk| self.list_row(id, category, chunk))?)
    }

    /// The bytes of these files, in their order.
    pub(super) fn contents(&self, names: &[ContentName]) -> Result<Vec<FileContent>, VaultFault> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        aside(|| names.iter().map(|name| self.content(name)).collect())
    }

    fn content(&self, ContentName { person, category, key }: &ContentName) -> Result<FileContent, VaultFault> {
        let head = self.head(*person)?;
        let list = self.list(*person, category, head.attached.get(category).ok_or_else(|| self.damaged())?)?;
        let tags = list.contents.get(key).ok_or_else(|| self.damaged())?;
        self.joined(&tags.0, |chunk| self.content_row(*person, category, key, chunk)).map(FileContent::from)
    }

    /// Whether the list is there that the head names, and every file's bytes that the list names.
    pub(super) fn is_attached_whole(&self, id: PersonId, category: &Category, tags: &Tags) -> Result<bool, VaultFault> {
        let Some(json) = self.pieces(&tags.0, |chunk| self.list_row(id, category, chunk))? else { return Ok(false) };
        let Ok(list) = serde_json::from_slice::<ListRow>(&json) else { return Ok(false) };
        for (key, tags) in &list.contents {
            if !self.are_tagged(tags, |chunk| self.content_row(id, category, key, chunk))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Seals what changes in what is attached, and takes away what is no longer there.
    pub(super) fn seal_attached(
        &self,
        id: PersonId,
        category: &Category,
        change: &AttachmentChange,
        head: &mut HeadRow,
        rows: &mut Vec<RowChange>,
    ) -> Result<(), VaultFault> {
        let before = head.attached.remove(category).unwrap_or_default();
        let mut held = if before.0.is_empty() { ListRow::default() } else { self.list(id, category, &before)? };
        let mut after = ListRow { list: change.list.clone(), contents: BTreeMap::new() };
        for file in change.list.files() {
            let old = held.contents.remove(&file.key);
            let row = |chunk| self.content_row(id, category, &file.key, chunk);
            let tags = match (change.contents.get(&file.key), old) {
                (Some(content), old) => {
                    let tags = self.seal_pieces(content, row, rows)?;
                    take_away(rows, old.map_or(0, |old| old.0.len()), tags.0.len(), row);
                    tags
                }
                (None, Some(old)) => old,
                // A list never names a file whose bytes were not put.
                (None, None) => return Err(self.damaged()),
            };
            after.contents.insert(file.key.clone(), tags);
        }
        for (key, old) in &held.contents {
            take_away(rows, old.0.len(), 0, |chunk| self.content_row(id, category, key, chunk));
        }
        let row = |chunk| self.list_row(id, category, chunk);
        let tags = if after.list.is_blank() { Tags::default() } else { self.seal_pieces(&self.json(&after)?, row, rows)? };
        take_away(rows, before.0.len(), tags.0.len(), row);
        if !tags.0.is_empty() {
            head.attached.insert(category.clone(), tags);
        }
        Ok(())
    }
}

/// Takes away the pieces behind those that a value has now.
pub(super) fn take_away(rows: &mut Vec<RowChange>, before: usize, now: usize, row: impl Fn(u32) -> RowKey) {
    rows.extend((0_u32..).take(before).skip(now).map(|chunk| (row(chunk), None)));
}
