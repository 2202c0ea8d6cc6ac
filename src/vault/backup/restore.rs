//! Bringing a vault back: into a place of its own, where it is opened and compared, and from there into the data folder.
//!
//! ```text
//! <place>/restoring.json        how far it is: what is before this was made durable
//! <place>/vaults/142051/…       the vault as it grows; complete, it is opened here
//! ```
//!
//! Always: cut short anywhere, the same call goes on where it was; a vault comes into the data folder whole, by one rename, or
//! not at all. Absent: asking whether an older copy is wanted.

use super::{
    super::{
        Anchors, DataFolderError, Outbox, OutboxLimits, Settings, Tuning, Vaults,
        anchors::{self, Standing},
        applied::MessageRow,
        core::{Core, lock, read},
        filter::FilterInstalled,
        journal,
        manifest::{self, Manifest},
        open::{JOURNAL, KEYRING, store_folder},
        store::{Sentinel, Store, StoreError},
        tiles::create_parents,
    },
    BackupError, Export, Exported, KeyBackup, Label, Progress,
    container::Opening,
    piece::{End, Piece},
};
use crate::{
    calendar::Timestamp,
    identifier::VaultName,
    keyring::{Keyring, RootKey, RowKey, Tree},
    ledger::{SignedHead, TreeHead},
    relay::ports::Entropy,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

const STATE: &str = "restoring.json";
/// After so many bytes what was brought back is made durable.
const DURABLE_EVERY: u64 = 16 << 20;

/// What is to be brought back, and where to.
pub struct Restore {
    /// The backup.
    pub backup: PathBuf,
    /// The key backup.
    pub keys: PathBuf,
    /// Whose it is.
    pub vault: VaultName,
    /// The root key, from its file or from its recovery shares.
    pub root_key: Zeroizing<[u8; 32]>,
    /// `trial` or `production`.
    pub environment: String,
    /// A folder for the work, on the disk of the data folder; made if it is not there.
    pub place: PathBuf,
    /// The journal of the vault that was lost, if that is still there: what was acknowledged after the backup.
    pub journal: Option<PathBuf>,
    /// Where its newest anchor is, if anywhere.
    pub anchors: Option<Anchors>,
    /// What is exported from it once it is back and was compared, if anything.
    pub export: Option<Export>,
    /// Salts come from here.
    pub entropy: Arc<dyn Entropy>,
}

/// How much of it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Its rows, links and tree must be what was backed up.
    Tree,
    /// Every value and entry must open besides.
    EveryValue,
}

/// A vault that was brought back, opened, compared and closed, in the place of its work.
#[derive(Debug)]
pub struct Restored {
    place: PathBuf,
    vault: VaultName,
    anchors: Option<Anchors>,
    standing: Standing,
    anchored: Option<TreeHead>,
    /// When the backup was begun.
    pub made: Timestamp,
    /// The tree head of its ledger.
    pub head: SignedHead,
    /// How many values were opened, if that was asked for.
    pub values: Option<u64>,
    /// What was exported, if that was asked for.
    pub exported: Exported,
}

/// How far the work is.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Which backup.
    salt: String,
    /// Whether a journal is taken over.
    journal: bool,
    /// What is before this is durable.
    position: u64,
    rows: u64,
    bytes: u64,
    /// What stood at the end, once all is there.
    end: Option<(u64, String)>,
}

impl State {
    fn read(place: &Path, salt: &str, journal: bool) -> Option<Self> {
        let state: Self = serde_json::from_slice(&fs::read(place.join(STATE)).ok()?).ok()?;
        (state.salt == salt && state.journal == journal).then_some(state)
    }

    fn save(&self, place: &Path) -> io::Result<()> {
        manifest::replace(place, STATE, &serde_json::to_vec(self)?)
    }
}

impl Restore {
    /// Brings the vault back into the place of the work, opens it there and compares.
    ///
    /// # Errors
    /// [`BackupError`]. Whatever it is, the same call may be made again.
    pub async fn run(mut self, filter: FilterInstalled, depth: Depth, progress: Progress<'_>) -> Result<Restored, BackupError> {
        let root = RootKey::from_bytes(*self.root_key);
        let keys = KeyBackup::read(&self.keys, &root)?;
        let (wrapped, keyring) = keys.keyring(&self.keys, self.vault, &root, &self.environment)?;
        let (label, mut from) = Opening::of(&self.backup, self.vault, &self.environment, &keyring)?;
        let vaults = self.vaults(filter)?;
        let dir = self.place.join("vaults").join(self.vault.to_string());
        let at = BackupError::at(&dir);

        let state = State::read(&self.place, label.salt(), self.journal.is_some());
        if state.is_none() && dir.exists() {
            fs::remove_dir_all(&dir).map_err(&at)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(&at)?;
        let mut state =
            state.unwrap_or_else(|| State { salt: label.salt().to_owned(), journal: self.journal.is_some(), ..State::default() });
        if state.end.is_none() {
            let bytes = serde_json::to_vec_pretty(&wrapped).map_err(|error| at(error.into()))?;
            manifest::replace(&dir, KEYRING, &bytes).map_err(&at)?;
            tokio::task::block_in_place(|| self.fill(filter, &dir, &keyring, &mut from, &mut state, progress))?;
        }
        let (_, note) = state.end.ok_or(BackupError::CutShort)?;
        let heads = keyring.heads(&self.environment)?;
        let content = |_| BackupError::Content(self.backup.clone());
        let head = heads.read(note.as_bytes()).map_err(content)?;
        let export = self.export.take();
        let restored = self.open(&vaults, label, head, (depth, export)).await;
        vaults.close_all().await;
        restored
    }

    /// The work's own vaults: nobody else works here meanwhile.
    fn vaults(&self, filter: FilterInstalled) -> Result<Vaults, BackupError> {
        let settings = Settings {
            data: self.place.clone(),
            root_key: RootKey::from_bytes(*self.root_key),
            environment: self.environment.clone(),
            entropy: Arc::clone(&self.entropy),
            outbox: Outbox::new(OutboxLimits::default()),
            listen: Arc::new(|_| {}),
            anchors: None,
            tuning: Tuning { free_bytes: 0, ..Tuning::default() },
        };
        Vaults::new(filter, settings).map_err(|error| match error {
            DataFolderError::Folder(source) => BackupError::Io { path: self.place.clone(), source },
            error @ DataFolderError::InUse => BackupError::Place(error),
        })
    }

    /// Puts every piece in its place, the manifest last.
    fn fill(
        &self,
        filter: FilterInstalled,
        dir: &Path,
        keyring: &Keyring,
        from: &mut Opening,
        state: &mut State,
        progress: Progress<'_>,
    ) -> Result<(), BackupError> {
        let content = || BackupError::Content(self.backup.clone());
        let at = BackupError::at(dir);
        let Piece::Manifest(manifest) = Piece::read(from, &self.backup)? else { return Err(content()) };
        let epoch = manifest::epoch(&manifest).ok_or_else(content)?;
        if state.position > 0 {
            from.seek(state.position)?;
        }
        let failed = |error: StoreError| at(io::Error::other(error.detail()));
        let store = Store::open(filter, &store_folder(dir, epoch), Tuning::default().cache_bytes).map_err(failed)?;
        let mut durable = state.position;
        let end = loop {
            match Piece::read(from, &self.backup)? {
                Piece::Manifest(_) => return Err(content()),
                Piece::Rows(rows) => {
                    state.rows += rows.len() as u64;
                    store.write(rows.iter().map(|(key, value)| (key, Some(value.as_slice())))).map_err(failed)?;
                }
                Piece::Part { path, offset, bytes } => {
                    state.bytes += bytes.len() as u64;
                    let path = dir.join(path);
                    let put = || {
                        create_parents(&path)?;
                        File::options().write(true).create(true).truncate(false).open(&path)?.write_all_at(&bytes, offset)
                    };
                    put().map_err(BackupError::at(&path))?;
                }
                Piece::End(end) => break end,
            }
            progress(from.position(), Some(from.length()));
            if from.position() - durable >= DURABLE_EVERY {
                durable = from.position();
                store.flush().map_err(failed)?;
                state.position = durable;
                sync_all(dir).and_then(|()| state.save(&self.place)).map_err(&at)?;
            }
        };
        if !from.is_done() || (state.rows, state.bytes) != (end.rows, end.bytes) {
            return Err(content());
        }
        let End { sequence, tag, head, .. } = end;
        store.seal_up_to(Sentinel { sequence, tag }, keyring.manifest()).map_err(failed)?;
        Store::close(Some(store));
        fs::write(dir.join(manifest::FILE), &manifest).map_err(&at)?;
        let read = Manifest::read(dir, keyring.manifest(), &self.vault.to_string()).map_err(&at)?;
        let first = read.ok_or_else(content)?.position.segment;
        if let Some(lost) = &self.journal {
            self.take_over(lost, &dir.join(JOURNAL), first)?;
        }
        if first > 1 {
            journal::begin_with(&dir.join(JOURNAL), keyring.journal(), first).map_err(&at)?;
        }
        state.end = Some((sequence, head));
        sync_all(dir).and_then(|()| state.save(&self.place)).map_err(at)
    }

    /// Takes the segments of the lost vault's journal from this one on: they say what the backup's say, and more.
    fn take_over(&self, lost: &Path, to: &Path, first: u64) -> Result<(), BackupError> {
        let numbers = journal::segments(lost).map_err(BackupError::at(lost))?;
        for number in numbers.into_iter().filter(|number| *number >= first) {
            let from = journal::segment_path(lost, number);
            fs::copy(&from, journal::segment_path(to, number)).map_err(BackupError::at(&from))?;
        }
        Ok(())
    }

    async fn open(
        &self,
        vaults: &Vaults,
        label: Label,
        backed_up: SignedHead,
        (depth, export): (Depth, Option<Export>),
    ) -> Result<Restored, BackupError> {
        let care = vaults.resume(self.vault).await?;
        let core = Arc::clone(&care.0);
        let anchors = self.anchors.clone();
        let journal_taken_over = self.journal.is_some();
        let look = move || -> Result<_, BackupError> {
            core.checkpoint()?;
            if core.recompute_ledger()? != core.ledger() {
                return Err(BackupError::Tree);
            }
            let edge = |size| anchors::edge_at(&lock(&core.ledger), &read(&core.applied), size);
            let same = anchors::compare(&backed_up, edge).map_err(BackupError::at(&core.dir))?;
            if same != Standing::Whole || !(journal_taken_over || core.ledger().head() == *backed_up.head()) {
                return Err(BackupError::Tree);
            }
            let newest = anchors.map(|anchors| anchors.newest(core.name, &core.heads)).transpose()?.flatten();
            let standing = newest.as_ref().map(|newest| anchors::compare(newest, edge)).transpose().map_err(BackupError::at(&core.dir))?;
            let values = match depth {
                Depth::Tree => None,
                Depth::EveryValue => Some(core.open_every_value()?),
            };
            let exported = export.map(|export| core.export(&export)).transpose()?.unwrap_or_default();
            Ok((core.tree_head(), standing.unwrap_or(Standing::Whole), newest.map(|newest| *newest.head()), (values, exported)))
        };
        let looked = tokio::task::spawn_blocking(look).await.map_err(|_| BackupError::CutShort)?;
        let (head, standing, anchored, (values, exported)) = looked?;
        let (place, vault) = (self.place.clone(), self.vault);
        Ok(Restored { place, vault, anchors: self.anchors.clone(), standing, anchored, made: label.made, head, values, exported })
    }
}

/// Makes everything on a folder's file system durable.
fn sync_all(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// What to do with a vault that is older than its newest anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// It stays away.
    Refused,
    /// It comes back, and is the newest from now on; the anchors before stay as evidence.
    Accepted,
}

impl Restored {
    /// Whether it has all that its newest anchor speaks of.
    ///
    /// # Errors
    /// [`BackupError::Behind`] names what is lost, [`BackupError::Forked`].
    pub const fn standing(&self) -> Result<(), BackupError> {
        match (self.standing, self.anchored) {
            (Standing::Whole, _) | (_, None) => Ok(()),
            (Standing::Behind, Some(anchored)) => Err(BackupError::Behind { has: self.head.head().size, anchored: anchored.size }),
            (Standing::Forked, Some(_)) => Err(BackupError::Forked),
        }
    }

    /// Puts it into its place in the data folder.
    ///
    /// # Errors
    /// [`BackupError::Exists`] if a vault lives there; [`BackupError::Behind`] and [`BackupError::Forked`].
    pub fn install(self, data: &Path, older: Older) -> Result<SignedHead, BackupError> {
        let vaults = data.join("vaults");
        let to = vaults.join(self.vault.to_string());
        if to.exists() {
            return Err(BackupError::Exists(to));
        }
        match (self.standing(), older) {
            (Ok(()), _) => {}
            (Err(BackupError::Behind { .. }), Older::Accepted) => {
                // First: without its vault an anchor keeps nobody from anything.
                if let Some(anchors) = &self.anchors {
                    anchors.put(self.vault, &self.head)?;
                }
            }
            (Err(error), _) => return Err(error),
        }
        let from = self.place.join("vaults").join(self.vault.to_string());
        let put = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&vaults)?;
            fs::rename(&from, &to)?;
            manifest::sync_dir(&vaults)
        };
        put().map_err(BackupError::at(&to))?;
        let head = self.head.clone();
        self.discard()?;
        Ok(head)
    }

    /// Removes the place of the work, with all that is left there.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn discard(self) -> Result<(), BackupError> {
        fs::remove_dir_all(&self.place).map_err(BackupError::at(&self.place))
    }
}

/// What of a row is sealed.
fn sealed_in<'a>(row: &RowKey, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    match row.tree()? {
        Tree::Link | Tree::Person => Some(Cow::Borrowed(value)),
        Tree::Message => Some(Cow::Owned(MessageRow::decode(value)?.memory)),
        Tree::Expiry | Tree::Outbox | Tree::Entry | Tree::Sentinel => None,
    }
}

impl Core {
    /// Opens every sealed value of the store and every entry; each must. Returns how many there are.
    fn open_every_value(&self) -> Result<u64, BackupError> {
        let (mut opened, mut closed, mut after) = (0, 0, None);
        loop {
            let rows = match &*read(&self.store) {
                Some(store) => store.rows_after(after.as_ref(), 4_096, 1 << 20).map_err(|error| self.store_fault(&error))?,
                None => return Err(BackupError::CutShort),
            };
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            for (key, value) in &rows {
                match sealed_in(key, value).map(|sealed| self.keyring.open(key, &sealed)) {
                    None => {}
                    Some(Ok(_)) => opened += 1,
                    Some(Err(_)) => closed += 1,
                }
            }
        }
        for index in 0..self.ledger().size() {
            let (commitment, sealed) = self.sealed_entry(index)?.ok_or(BackupError::Tree)?;
            match self.keyring.open(&Tree::Entry.row(&[&commitment.0]), &sealed) {
                Ok(_) => opened += 1,
                Err(_) => closed += 1,
            }
        }
        if closed == 0 { Ok(opened) } else { Err(BackupError::Values { rows: closed }) }
    }
}
