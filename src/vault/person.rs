//! Persons: how names lead to them, and how their head and holdings lie in rows.
//!
//! ```text
//! Link   ‖ blind(kind, name)                                    → person id
//! Person ‖ blind(person) ‖ 0                                    → head: names, and the tags of every value of the person
//! Person ‖ blind(person) ‖ 1 ‖ blind(person, category) ‖ chunk  → a piece of the holding's JSON
//! ```
//!
//! Always: a person's rows lie side by side; the head names every value by its authentication tag, so a row that is missing,
//! old or another's is a fault and never "nothing". Absent: what may be seen of it.

use super::{core::Core, frame::RowChange, limits::CHUNK};
use crate::{
    identifier::{Category, PersonName},
    keyring::{RowKey, Sealed, TAG_LEN, Tree},
    record::{Head, Holding, Person, PersonChange, PersonId, PersonNeed, View},
    relay::ports::{StopCause, VaultFault},
    wiped::Wiped,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The tags of a holding's chunks, in order.
#[derive(Clone, Default)]
struct Tags(Vec<[u8; TAG_LEN]>);

impl From<Tags> for String {
    fn from(tags: Tags) -> Self {
        STANDARD_NO_PAD.encode(tags.0.as_flattened())
    }
}

impl TryFrom<String> for Tags {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| "tags are base64")?;
        match bytes.as_chunks() {
            (tags, []) => Ok(Self(tags.to_vec())),
            _ => Err("a tag has 16 bytes"),
        }
    }
}

impl Serialize for Tags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        String::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The head row of a person.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadRow {
    head: Head,
    held: BTreeMap<Category, Tags>,
}

impl Core {
    fn link_row(&self, name: &PersonName) -> RowKey {
        let index = self.keyring.index();
        let blind = match name {
            PersonName::Code(code) => index.blind(Tree::Link, &[&[0], code.as_bytes()]),
            PersonName::Addressee(number) => index.blind(Tree::Link, &[&[1], number.as_bytes()]),
        };
        Tree::Link.row(&[&blind.0])
    }

    fn head_row(&self, id: PersonId) -> RowKey {
        Tree::Person.row(&[&self.keyring.index().blind(Tree::Person, &[&id.0]).0, &[0]])
    }

    fn chunk_row(&self, id: PersonId, category: &Category, chunk: u32) -> RowKey {
        let index = self.keyring.index();
        let person = index.blind(Tree::Person, &[&id.0]);
        let category = index.blind(Tree::Person, &[&id.0, category.as_str().as_bytes()]);
        Tree::Person.row(&[&person.0, &[1], &category.0, &chunk.to_be_bytes()])
    }

    /// Opens a row that must be there.
    fn opened(&self, row: &RowKey) -> Result<Wiped, VaultFault> {
        let sealed = self.row(row)?.ok_or_else(|| self.damaged())?;
        self.keyring.open(row, &sealed).map_err(|_| self.damaged())
    }

    /// The person whom a name leads to.
    pub(super) fn person(&self, name: &PersonName) -> Result<Option<PersonId>, VaultFault> {
        let row = self.link_row(name);
        let Some(sealed) = self.row(&row)? else { return Ok(None) };
        let id = self.keyring.open(&row, &sealed).map_err(|_| self.damaged())?;
        id.as_slice().try_into().map(PersonId).map(Some).map_err(|_| self.damaged())
    }

    fn head(&self, id: PersonId) -> Result<HeadRow, VaultFault> {
        serde_json::from_slice(&self.opened(&self.head_row(id))?).map_err(|_| self.damaged())
    }

    fn holding(&self, id: PersonId, category: &Category, tags: &Tags) -> Result<Holding, VaultFault> {
        // Mostly there is one piece, and it is all; several are put together without growing.
        let mut json = Wiped::with_capacity(if tags.0.len() == 1 { 0 } else { tags.0.len() * CHUNK });
        for (chunk, tag) in (0_u32..).zip(&tags.0) {
            let row = self.chunk_row(id, category, chunk);
            let sealed = self.row(&row)?.ok_or_else(|| self.damaged())?;
            // SECURITY: an older value of the same row opens too; only the newest has the tag that the head names.
            if Sealed::tag(&sealed).as_ref() != Some(tag) {
                return Err(self.damaged());
            }
            let piece = self.keyring.open(&row, &sealed).map_err(|_| self.damaged())?;
            if tags.0.len() == 1 {
                json = piece;
            } else {
                json.extend_from_slice(&piece);
            }
        }
        serde_json::from_slice(&json).map_err(|_| self.damaged())
    }

    /// One answer per need.
    pub(super) fn view(&self, needs: &[PersonNeed]) -> Result<View, VaultFault> {
        let persons = needs.iter().map(|need| {
            let Some(id) = self.person(&need.name)? else { return Ok(None) };
            let row = self.head(id)?;
            let mut holdings = BTreeMap::new();
            for category in &need.categories {
                if let Some(tags) = row.held.get(category) {
                    holdings.insert(category.clone(), self.holding(id, category, tags)?);
                }
            }
            Ok(Some(Person { id, head: row.head, holdings }))
        });
        Ok(View { persons: persons.collect::<Result<_, _>>()? })
    }

    /// The rows that make these changes, sealed.
    pub(super) fn seal_changes(&self, changes: Vec<PersonChange>) -> Result<Vec<RowChange>, VaultFault> {
        let mut rows = Vec::new();
        let mut heads: BTreeMap<PersonId, HeadRow> = BTreeMap::new();
        for change in changes {
            let id = change.id;
            let mut head = match heads.remove(&id) {
                Some(head) => head,
                None if self.row(&self.head_row(id))?.is_some() => self.head(id)?,
                None => HeadRow::default(),
            };
            head.head = change.head;
            for name in &change.unlinked {
                rows.push((self.link_row(name), None));
            }
            for name in &change.linked {
                let row = self.link_row(name);
                let sealed = self.seal(&row, &id.0)?;
                rows.push((row, Some(sealed.into())));
            }
            for (category, holding) in &change.holdings {
                let before = head.held.remove(category).unwrap_or_default();
                let tags = self.seal_holding(id, category, holding, &mut rows)?;
                for chunk in (0_u32..).take(before.0.len()).skip(tags.0.len()) {
                    rows.push((self.chunk_row(id, category, chunk), None));
                }
                if !tags.0.is_empty() {
                    head.held.insert(category.clone(), tags);
                }
            }
            heads.insert(id, head);
        }
        for (id, head) in heads {
            let row = self.head_row(id);
            let sealed = self.seal(&row, &self.json(&head)?)?;
            rows.push((row, Some(sealed.into())));
        }
        Ok(rows)
    }

    /// Seals a holding in chunks; an empty one has none.
    fn seal_holding(&self, id: PersonId, category: &Category, holding: &Holding, rows: &mut Vec<RowChange>) -> Result<Tags, VaultFault> {
        let mut tags = Tags::default();
        if holding.rows().is_empty() {
            return Ok(tags);
        }
        for (chunk, piece) in (0_u32..).zip(self.json(holding)?.chunks(CHUNK)) {
            let row = self.chunk_row(id, category, chunk);
            let sealed: Arc<[u8]> = self.seal(&row, piece)?.into();
            tags.0.extend(Sealed::tag(&sealed));
            rows.push((row, Some(sealed)));
        }
        Ok(tags)
    }

    fn json(&self, value: &impl Serialize) -> Result<Wiped, VaultFault> {
        // Types without maps of odd keys always serialise.
        serde_json::to_vec(value).map(Wiped::from).map_err(|_| self.stop(StopCause::Store, Some("a value has no JSON".to_owned())))
    }
}
