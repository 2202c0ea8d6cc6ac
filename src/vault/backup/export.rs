//! Exporting a tenant: all that is in effect, in rows as municipal systems register them, for that tenant's own key.
//!
//! ```text
//! head    = {"format", "tenant", "environment", "made", "recipient", "key": JWE[recipient](JWS[relay](head without it, file key))} ‖ "\n"
//! content = (type ‖ " " ‖ row ‖ "\n")…, sealed in chunks under the file key, which is used once
//! ```
//!
//! Always: nothing leaves but to a [`Recipient`]; what is written is sealed before it reaches a file. Read from a vault that was
//! brought back from a backup, where nothing changes meanwhile; so persons are whole, and a serving vault is not touched.
//! Absent: attachments, entries of the ledger, and what of the history only the vault's own keys tell.

use super::{
    super::core::{Core, read},
    BackupError,
    container::{Opening, Sealing},
};
use crate::{
    calendar::Timestamp,
    directory::Recipient,
    envelope::{self, SealingError, SigningKey},
    identifier::{MessageType, PersonName, PrincipalId, TenantCode},
    keyring::{ChunkKey, RowKey, Tree},
    record::{Confirmation, Head, PersonId, Restricted, Row},
    wiped::Wiped,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

const FORMAT: &str = "nakatsugi-export-1";
const LONGEST_HEAD: u64 = 16 << 10;

/// An export that is asked for.
pub struct Export {
    /// For whom.
    pub to: Recipient,
    /// The file, which must not be there.
    pub file: PathBuf,
    /// When.
    pub made: Timestamp,
    /// `trial` or `production`.
    pub environment: String,
    /// The relay's key, which says that it is the relay's.
    pub signing: SigningKey,
}

/// How many rows of each type an export has.
pub type Exported = BTreeMap<MessageType, u64>;

/// What stands in the open at the beginning, besides the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: String,
    tenant: TenantCode,
    environment: String,
    made: Timestamp,
    recipient: PrincipalId,
}

/// The head as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstLine {
    about: About,
    /// The envelope of the [`Secret`].
    key: String,
}

/// What is encrypted to the recipient, signed by the relay.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    about: About,
    /// The file key, in base64.
    file_key: String,
}

/// Why an export was not opened.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It begins as no export does.
    #[error("{}: this is no export of nakatsugi, or its beginning is damaged", .0.display())]
    NotAnExport(PathBuf),
    /// It is for another recipient, or not the relay's.
    #[error("{}: it is not for this principal, or not from its relay, or was changed", .0.display())]
    Foreign(PathBuf),
    /// It opens, and ends or changes in its middle.
    #[error("{}: it was changed or cut", .0.display())]
    Sealed(PathBuf),
}

impl Export {
    /// Begins the file: its head, and what seals the rest.
    fn begin(&self, file_key: &[u8; 32]) -> Result<(Vec<u8>, ChunkKey), SealingError> {
        let random = SystemRandom::new();
        let about = About {
            format: FORMAT.to_owned(),
            tenant: self.to.tenant(),
            environment: self.environment.clone(),
            made: self.made,
            recipient: self.to.id().clone(),
        };
        let written = |_| SealingError::Cryptography;
        let secret = Secret { about: about.clone(), file_key: STANDARD.encode(file_key) };
        let secret = Wiped::from(serde_json::to_vec(&secret).map_err(written)?);
        let signed = envelope::sign(&secret, &self.signing, &random)?;
        let key = envelope::encrypt(&signed, self.to.key(), &random)?;
        let key = String::from_utf8(key).map_err(|_| SealingError::Cryptography)?;
        let mut head = serde_json::to_vec(&FirstLine { about, key }).map_err(written)?;
        head.push(b'\n');
        let chunks = ChunkKey::export(file_key, &head).map_err(|_| SealingError::Cryptography)?;
        Ok((head, chunks))
    }
}

/// Rows on their way into the file.
struct Rows {
    out: Sealing<BufWriter<File>>,
    path: PathBuf,
    counts: Exported,
}

impl Rows {
    fn put(&mut self, kind: MessageType, row: &Value) -> Result<(), BackupError> {
        let mut line = Wiped::from(kind.as_str().as_bytes().to_vec());
        line.push(b' ');
        serde_json::to_writer(&mut *line, row).map_err(|error| BackupError::at(&self.path)(error.into()))?;
        line.push(b'\n');
        *self.counts.entry(kind).or_default() += 1;
        self.out.write(&line).map_err(BackupError::at(&self.path))
    }
}

impl Core {
    /// Writes all that is in effect for the recipient.
    pub(super) fn export(&self, export: &Export) -> Result<Exported, BackupError> {
        let path = &export.file;
        let at = BackupError::at(path);
        let file_key = Zeroizing::new(self.entropy.bytes());
        let (head, chunks) = export.begin(&file_key).map_err(|error| at(io::Error::other(error)))?;
        let mut options = File::options();
        let create = options.write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::There(path.clone()),
            _ => at(error),
        });
        let written = create.and_then(|file| {
            let out = Sealing::begin(BufWriter::new(file), &head, chunks).map_err(&at)?;
            let mut rows = Rows { out, path: path.clone(), counts: Exported::new() };
            let nobody = self.person(&PersonName::Everybody)?;
            for id in self.everyone()? {
                if Some(id) == nobody {
                    // What is held back of everybody is said of no one.
                    export_restricted("everybody", &self.whole_person(id)?.0, &mut rows)?;
                } else {
                    self.export_person(id, &mut rows)?;
                }
            }
            let file = rows.out.finish().and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error));
            file.and_then(|file| file.sync_all()).map_err(&at)?;
            Ok(rows.counts)
        });
        if written.is_err() && !matches!(written, Err(BackupError::There(_))) {
            // Half an export is none.
            let _ = fs::remove_file(path);
        }
        written
    }

    /// Every person to whom a name leads.
    fn everyone(&self) -> Result<BTreeSet<PersonId>, BackupError> {
        let mut found = BTreeSet::new();
        let mut after: Option<RowKey> = None;
        loop {
            let rows = match &*read(&self.store) {
                Some(store) => store.rows_after(after.as_ref(), 4_096, 1 << 20).map_err(|error| self.store_fault(&error))?,
                None => return Err(BackupError::CutShort),
            };
            let Some((last, _)) = rows.last() else { return Ok(found) };
            after = Some(last.clone());
            for (key, value) in rows.iter().filter(|(key, _)| key.tree() == Some(Tree::Link)) {
                let id = self.keyring.open(key, value)?;
                found.insert(id.as_slice().try_into().map(PersonId).map_err(|_| self.damaged())?);
            }
        }
    }

    fn export_person(&self, id: PersonId, rows: &mut Rows) -> Result<(), BackupError> {
        let (head, holdings) = self.whole_person(id)?;
        // A person without a number is not one that a municipal system could have registered.
        let Some(person) = &head.addressee else { return Ok(()) };
        if let Some(code) = &head.code {
            // SECURITY: what must be confirmed here must be confirmed there.
            let state = match head.confirmation {
                Confirmation::NotNeeded => "linked",
                Confirmation::Awaited => "relinked",
            };
            let row = json!({ "person": person, "code": code, "state": state, "revision": head.revision });
            rows.put(MessageType::PersonLink, &row)?;
        }
        export_restricted(person, &head, rows)?;
        for (category, holding) in &holdings {
            for row in in_order(holding.rows()) {
                match row {
                    Row::Live { revision, record } => {
                        let row = json!({ "person": person, "category": category, "revision": revision, "record": record });
                        rows.put(MessageType::RecordPut, &row)?;
                    }
                    Row::Tombstone { revision, data_set, record_key } => {
                        let row = json!({
                            "person": person, "category": category, "revision": revision, "data_set": data_set, "record_key": record_key,
                        });
                        rows.put(MessageType::RecordDelete, &row)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn export_restricted(person: impl Serialize, head: &Head, rows: &mut Rows) -> Result<(), BackupError> {
    let Restricted { revision, restrictions } = &head.restricted;
    if *revision == 0 {
        return Ok(());
    }
    rows.put(MessageType::PersonRestrict, &json!({ "person": person, "revision": revision, "restrictions": restrictions }))
}

/// Rows, each behind the one it stands under.
fn in_order(rows: &[Row]) -> Vec<&Row> {
    let (mut ordered, mut left): (Vec<&Row>, Vec<&Row>) = (Vec::with_capacity(rows.len()), rows.iter().collect());
    while !left.is_empty() {
        let above = |row: &Row| match row {
            Row::Live { record, .. } => record.parent.clone().map(|parent| (record.data_set.clone(), parent)),
            Row::Tombstone { .. } => None,
        };
        let waits = |row: &&Row| above(row).is_some_and(|(data_set, parent)| left.iter().any(|other| other.name() == (&data_set, &parent)));
        let (later, now): (Vec<&Row>, Vec<&Row>) = left.iter().copied().partition(waits);
        if now.is_empty() {
            // A circle, which cannot be.
            ordered.extend(later);
            return ordered;
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}

/// Opens an export as its recipient: one new file with rows for each type, in a new folder. Returns how many rows each has.
///
/// # Errors
/// [`ExportError`]; what was written so far stays in the folder.
pub fn open_export(path: &Path, folder: &Path, secret: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<Exported, ExportError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Io { path, source }
    };
    let foreign = || ExportError::Foreign(path.to_owned());
    let mut line = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    BufReader::new(file).take(LONGEST_HEAD).read_until(b'\n', &mut line).map_err(at(path))?;
    let head: FirstLine = serde_json::from_slice(&line).map_err(|_| ExportError::NotAnExport(path.to_owned()))?;
    if head.about.format != FORMAT {
        return Err(ExportError::NotAnExport(path.to_owned()));
    }
    let opened = Wiped::from(secret(head.key.as_bytes()).ok_or_else(foreign)?);
    let secret: Secret = serde_json::from_slice(&opened).map_err(|_| foreign())?;
    if secret.about != head.about {
        return Err(foreign());
    }
    let file_key = Zeroizing::new(STANDARD.decode(&secret.file_key).map_err(|_| foreign())?);
    let file_key: &[u8; 32] = file_key.as_slice().try_into().map_err(|_| foreign())?;
    let chunks = ChunkKey::export(file_key, &line).map_err(|_| foreign())?;
    let sealed = |_| ExportError::Sealed(path.to_owned());
    let mut from = Opening::over(path, line.len() as u64, chunks).map_err(sealed)?;
    fs::create_dir(folder).map_err(at(folder))?;
    let mut files: BTreeMap<MessageType, BufWriter<File>> = BTreeMap::new();
    let (mut counts, mut rest) = (Exported::new(), Wiped::default());
    while let Some(chunk) = from.next_chunk().map_err(sealed)? {
        rest.extend_from_slice(&Wiped::from(chunk));
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = Wiped::from(rest.drain(..=end).collect::<Vec<u8>>());
            let gap = line.iter().position(|byte| *byte == b' ').ok_or_else(|| ExportError::Sealed(path.to_owned()))?;
            let (kind, row) = line.split_at(gap);
            let kind: Option<MessageType> = std::str::from_utf8(kind).ok().and_then(|kind| kind.parse().ok());
            let kind = kind.ok_or_else(|| ExportError::Sealed(path.to_owned()))?;
            let out = match files.entry(kind) {
                std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let path = folder.join(format!("{kind}.ndjson"));
                    let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(at(&path))?;
                    place.insert(BufWriter::new(file))
                }
            };
            io::Write::write_all(out, row.get(1..).unwrap_or_default()).map_err(at(folder))?;
            *counts.entry(kind).or_default() += 1;
        }
    }
    for (_, file) in files {
        file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).map_err(at(folder))?;
    }
    if rest.is_empty() { Ok(counts) } else { Err(ExportError::Sealed(path.to_owned())) }
}
