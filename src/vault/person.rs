//! Persons: how names lead to them, and how their head and holdings lie in rows.
//!
//! ```text
//! Link   ‖ blind(kind, name)                                    → person id
//! Person ‖ blind(person) ‖ 0                                    → head: names, and the tags of every value of the person
//! Person ‖ blind(person) ‖ 0 ‖ chunk                            → a piece of the head's JSON, where one row is too short for it
//! Person ‖ blind(person) ‖ 1 ‖ blind(person, category) ‖ chunk  → a piece of the holding's JSON
//! Person ‖ blind(person) ‖ 2 or 3 ‖ …                           → what is attached; see `attached`
//!
//! head row = the head's JSON, or 1 ‖ the tags of its pieces
//! ```
//!
//! Always: a person's rows lie side by side; the head names every value by its authentication tag, so a row that is missing,
//! old or another's is a fault and never "nothing". No row is longer than a chunk. Absent: what may be seen of it.

use super::{
    attached::take_away,
    core::{Core, aside},
    frame::RowChange,
    limits::{CHUNK, VIEW_PIECES},
    links::{Links, Presence},
};
use crate::{
    identifier::{Category, PersonName},
    keyring::{RowKey, Sealed, TAG_LEN, Tree},
    record::{AttachmentChange, Head, Holding, Listing, Person, PersonChange, PersonId, PersonNeed, View},
    relay::ports::{StopCause, VaultFault},
    wiped::Wiped,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The tags of a holding's chunks, in order.
#[derive(Clone, Default)]
pub(super) struct Tags(pub(super) Vec<[u8; TAG_LEN]>);

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
pub(super) struct HeadRow {
    head: Head,
    held: BTreeMap<Category, Tags>,
    /// The lists of what is attached.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attached: BTreeMap<Category, Tags>,
    /// How many pieces it was read from, besides its own row.
    #[serde(skip)]
    pieces: usize,
}

/// So many persons and pieces are read without leaving the worker (measured, without optimisation: 8 take 0.2 to 0.4 ms, 32 take
/// 1.0 to 1.4 ms; the first figure is with the pages in memory).
const READ_AT_ONCE: usize = 16;

impl HeadRow {
    /// How many pieces it takes to show this.
    fn length(&self, need: &PersonNeed) -> usize {
        let attached = |category| match need.attachments {
            Listing::Shown => self.attached.get(category),
            Listing::Left => None,
        };
        need.categories.iter().flat_map(|category| [self.held.get(category), attached(category)]).flatten().map(|tags| tags.0.len()).sum()
    }
}

/// How a head row begins whose JSON lies in pieces. JSON begins otherwise.
const IN_PIECES: u8 = 1;
/// The most pieces of one value: their tags must fit the head row.
const MOST_PIECES: usize = (CHUNK - 1) / TAG_LEN;

impl Core {
    fn link_row(&self, name: &PersonName) -> RowKey {
        let index = self.keyring.index();
        let blind = match name {
            PersonName::Code(code) => index.blind(Tree::Link, &[&[0], code.as_bytes()]),
            PersonName::Addressee(number) => index.blind(Tree::Link, &[&[1], number.as_bytes()]),
            PersonName::Former(code) => index.blind(Tree::Link, &[&[2], code.as_bytes()]),
            PersonName::Everybody => index.blind(Tree::Link, &[&[3]]),
        };
        Tree::Link.row(&[&blind.0])
    }

    fn head_row(&self, id: PersonId) -> RowKey {
        Tree::Person.row(&[&self.keyring.index().blind(Tree::Person, &[&id.0]).0, &[0]])
    }

    fn head_piece_row(&self, id: PersonId, chunk: u32) -> RowKey {
        Tree::Person.row(&[&self.keyring.index().blind(Tree::Person, &[&id.0]).0, &[0], &chunk.to_be_bytes()])
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

    pub(super) fn head(&self, id: PersonId) -> Result<HeadRow, VaultFault> {
        let root = self.opened(&self.head_row(id))?;
        let Some((&IN_PIECES, tags)) = root.split_first() else { return self.parsed(&root) };
        let (tags, []) = tags.as_chunks() else { return Err(self.damaged()) };
        let head: HeadRow = self.parsed(&self.joined(tags, |chunk| self.head_piece_row(id, chunk))?)?;
        Ok(HeadRow { pieces: tags.len(), ..head })
    }

    fn holding(&self, id: PersonId, category: &Category, tags: &Tags) -> Result<Holding, VaultFault> {
        self.parsed(&self.joined(&tags.0, |chunk| self.chunk_row(id, category, chunk))?)
    }

    pub(super) fn parsed<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, VaultFault> {
        serde_json::from_slice(json).map_err(|_| self.damaged())
    }

    /// A value's pieces, each with the tag that it must have, put together.
    pub(super) fn joined(&self, tags: &[[u8; TAG_LEN]], row: impl Fn(u32) -> RowKey) -> Result<Wiped, VaultFault> {
        // Mostly there is one piece, and it is all; several are put together without growing.
        let mut json = Wiped::with_capacity(if tags.len() == 1 { 0 } else { tags.len() * CHUNK });
        for (chunk, tag) in (0_u32..).zip(tags) {
            let row = row(chunk);
            let sealed = self.row(&row)?.ok_or_else(|| self.damaged())?;
            // SECURITY: an older value of the same row opens too; only the newest has the tag that the head names.
            if Sealed::tag(&sealed).as_ref() != Some(tag) {
                return Err(self.damaged());
            }
            let piece = self.keyring.open(&row, &sealed).map_err(|_| self.damaged())?;
            if tags.len() == 1 {
                json = piece;
            } else {
                json.extend_from_slice(&piece);
            }
        }
        Ok(json)
    }

    /// The person whom the value of a link row leads to, and whether every value is there that its head names.
    ///
    /// Beside commits: each one about the person seals the head anew, so what does not fit a head that stayed is damage.
    pub(super) fn leads_to_a_whole_person(&self, row: &RowKey) -> Result<bool, VaultFault> {
        loop {
            let Some(link) = self.row(row)? else { return Ok(true) };
            let Ok(id) = self.keyring.open(row, &link) else { return Ok(false) };
            let Ok(id) = id.as_slice().try_into().map(PersonId) else { return Ok(false) };
            let head_row = self.head_row(id);
            let head = self.row(&head_row)?;
            if self.is_whole(id, head.as_deref())? {
                return Ok(true);
            }
            if (self.row(&head_row)?, self.row(row)?) == (head, Some(link)) {
                return Ok(false);
            }
        }
    }

    fn is_whole(&self, id: PersonId, head: Option<&[u8]>) -> Result<bool, VaultFault> {
        let Some(root) = head.and_then(|sealed| self.keyring.open(&self.head_row(id), sealed).ok()) else { return Ok(false) };
        let mut json = root;
        if let Some((&IN_PIECES, tags)) = json.split_first() {
            let (tags, []) = tags.as_chunks() else { return Ok(false) };
            let mut pieces = Wiped::with_capacity(tags.len() * CHUNK);
            for (chunk, tag) in (0_u32..).zip(tags) {
                let row = self.head_piece_row(id, chunk);
                let Some(sealed) = self.tagged(&row, tag)? else { return Ok(false) };
                let Ok(piece) = self.keyring.open(&row, &sealed) else { return Ok(false) };
                pieces.extend_from_slice(&piece);
            }
            json = pieces;
        }
        let Ok(head) = serde_json::from_slice::<HeadRow>(&json) else { return Ok(false) };
        for (category, tags) in &head.held {
            for (chunk, tag) in (0_u32..).zip(&tags.0) {
                if self.tagged(&self.chunk_row(id, category, chunk), tag)?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A row's value, if it is the one with this tag.
    fn tagged(&self, row: &RowKey, tag: &[u8; TAG_LEN]) -> Result<Option<Arc<[u8]>>, VaultFault> {
        Ok(self.row(row)?.filter(|sealed| Sealed::tag(sealed).as_ref() == Some(tag)))
    }

    /// One answer per need.
    pub(super) fn view(&self, needs: &[PersonNeed]) -> Result<View, VaultFault> {
        let mut found = Vec::with_capacity(needs.len());
        let mut pieces = 0;
        for need in needs.iter().take(READ_AT_ONCE) {
            found.push(self.found(need)?);
            pieces += found.iter().flatten().last().map_or(0, |(_, head)| head.length(need));
        }
        let whole = || {
            for need in needs.iter().skip(READ_AT_ONCE) {
                found.push(self.found(need)?);
            }
            let mut read = 0;
            let persons = needs.iter().zip(found).map(|(need, found)| found.map(|found| self.shown(need, found, &mut read)).transpose());
            Ok(View { persons: persons.collect::<Result<_, _>>()?, ..View::default() })
        };
        if needs.len() + pieces > READ_AT_ONCE { aside(whole) } else { whole() }
    }

    /// The person whom a need names, with the head.
    fn found(&self, need: &PersonNeed) -> Result<Option<(PersonId, HeadRow)>, VaultFault> {
        let id = self.person(&need.name)?;
        id.map(|id| Ok((id, self.head(id)?))).transpose()
    }

    /// What a need asks for of a person, as long as fewer pieces than enough were read for the same view.
    // SECURITY: one message names hundreds of holdings of megabytes each, and many messages are handled at the same time.
    fn shown(&self, need: &PersonNeed, (id, row): (PersonId, HeadRow), read: &mut usize) -> Result<Person, VaultFault> {
        let (mut holdings, mut attachments, mut unread) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for category in &need.categories {
            if *read >= VIEW_PIECES {
                unread.insert(category.clone());
                continue;
            }
            if let Some(tags) = row.held.get(category) {
                *read += tags.0.len();
                holdings.insert(category.clone(), self.holding(id, category, tags)?);
            }
            if let (Listing::Shown, Some(tags)) = (need.attachments, row.attached.get(category)) {
                *read += tags.0.len();
                attachments.insert(category.clone(), self.list(id, category, tags)?.list);
            }
        }
        Ok(Person { id, head: row.head, holdings, attachments, unread })
    }

    /// The rows that make these changes, sealed, and how they change the links.
    pub(super) fn seal_changes(&self, changes: Vec<PersonChange>) -> Result<(Vec<RowChange>, Links), VaultFault> {
        let (mut rows, mut links) = (Vec::new(), Links::default());
        let mut names: BTreeMap<RowKey, Presence> = BTreeMap::new();
        let mut name = |row: &RowKey, after: Presence| {
            let before = match names.insert(row.clone(), after) {
                Some(before) => before,
                None if self.row(row)?.is_some() => Presence::There,
                None => Presence::Absent,
            };
            links = links.plus(self.link_change(row, before, after));
            Ok(())
        };
        let mut heads: BTreeMap<PersonId, HeadRow> = BTreeMap::new();
        for change in changes {
            let id = change.id;
            let mut head = match heads.remove(&id) {
                Some(head) => head,
                None if self.row(&self.head_row(id))?.is_some() => self.head(id)?,
                None => HeadRow::default(),
            };
            head.head = change.head;
            for unlinked in &change.unlinked {
                let row = self.link_row(unlinked);
                name(&row, Presence::Absent)?;
                rows.push((row, None));
            }
            for linked in &change.linked {
                let row = self.link_row(linked);
                name(&row, Presence::There)?;
                let sealed = self.seal(&row, &id.0)?;
                rows.push((row, Some(sealed.into())));
            }
            let erased = head.head.erased.is_some();
            let gone = if erased { std::mem::take(&mut head.held) } else { BTreeMap::new() };
            for (category, tags) in gone {
                let chunks = (0_u32..).take(tags.0.len());
                rows.extend(chunks.map(|chunk| (self.chunk_row(id, &category, chunk), None)));
            }
            let attached: Vec<_> = head.attached.keys().filter(|_| erased).cloned().collect();
            for category in attached {
                self.seal_attached(id, &category, &AttachmentChange::default(), &mut head, &mut rows)?;
            }
            for (category, holding) in change.holdings.iter().filter(|_| !erased) {
                let before = head.held.remove(category).unwrap_or_default();
                let tags = self.seal_holding(id, category, holding, &mut rows)?;
                take_away(&mut rows, before.0.len(), tags.0.len(), |chunk| self.chunk_row(id, category, chunk));
                if !tags.0.is_empty() {
                    head.held.insert(category.clone(), tags);
                } else if !change.attachments.contains_key(category) {
                    self.seal_attached(id, category, &AttachmentChange::default(), &mut head, &mut rows)?;
                }
            }
            for (category, attached) in change.attachments.iter().filter(|_| !erased) {
                self.seal_attached(id, category, attached, &mut head, &mut rows)?;
            }
            heads.insert(id, head);
        }
        for (id, head) in heads {
            self.seal_head(id, &head, &mut rows)?;
        }
        Ok((rows, links))
    }

    /// Seals a head in its row, in pieces beside it if it is longer; `head.pieces` says how many there were.
    fn seal_head(&self, id: PersonId, head: &HeadRow, rows: &mut Vec<RowChange>) -> Result<(), VaultFault> {
        let mut json = self.json(head)?;
        let mut pieces = 0;
        if json.len() > CHUNK {
            let tags = self.seal_pieces(&json, |chunk| self.head_piece_row(id, chunk), rows)?;
            pieces = tags.0.len();
            json = Wiped::from([&[IN_PIECES], tags.0.as_flattened()].concat());
        }
        take_away(rows, head.pieces, pieces, |chunk| self.head_piece_row(id, chunk));
        let row = self.head_row(id);
        let sealed = self.seal(&row, &json)?;
        rows.push((row, Some(sealed.into())));
        Ok(())
    }

    /// Seals a holding in chunks; an empty one has none.
    fn seal_holding(&self, id: PersonId, category: &Category, holding: &Holding, rows: &mut Vec<RowChange>) -> Result<Tags, VaultFault> {
        if holding.rows().is_empty() {
            return Ok(Tags::default());
        }
        self.seal_pieces(&self.json(holding)?, |chunk| self.chunk_row(id, category, chunk), rows)
    }

    /// Seals a value in pieces.
    pub(super) fn seal_pieces(&self, json: &[u8], row: impl Fn(u32) -> RowKey, rows: &mut Vec<RowChange>) -> Result<Tags, VaultFault> {
        if json.len() > MOST_PIECES * CHUNK {
            return Err(self.too_large());
        }
        let mut tags = Tags::default();
        for (chunk, piece) in (0_u32..).zip(json.chunks(CHUNK)) {
            let row = row(chunk);
            let sealed: Arc<[u8]> = self.seal(&row, piece)?.into();
            tags.0.extend(Sealed::tag(&sealed));
            rows.push((row, Some(sealed)));
        }
        Ok(tags)
    }

    pub(super) fn json(&self, value: &impl Serialize) -> Result<Wiped, VaultFault> {
        // Types without maps of odd keys always serialise.
        serde_json::to_vec(value).map(Wiped::from).map_err(|_| self.stop(StopCause::Store, Some("a value has no JSON".to_owned())))
    }
}
