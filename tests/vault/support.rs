//! A data folder, frames to commit, and what must be found again.

use crate::gate::Gate;
use nakatsugi::{
    calendar::{Timestamp, Window},
    identifier::{Category, MessageId, MessageType, PersonCode, PersonName, TenantCode, VaultName},
    keyring::RootKey,
    ledger::{Commitment, Promise, Salt, Sealing},
    record::{Head, Holding, Item, ItemValue, Listing, PersonChange, PersonId, PersonNeed, Record, Replaced, Row},
    relay::ports::{Answer, Entropy, Frame, MessageKey, Parcel, Vault, VaultFault},
    tenant::TenantScope,
    vault::{Anchors, Caretaker, DiskVault, Outbox, OutboxLimits, Settings, Tuning, VaultEvent, Vaults, filter},
};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::BTreeMap,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

pub(crate) struct Random(SystemRandom);

impl Random {
    pub(crate) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for Random {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes).unwrap();
        bytes
    }
}

pub(crate) fn fujisawa() -> TenantCode {
    "142051".parse().unwrap()
}

pub(crate) fn tenant() -> VaultName {
    VaultName::Tenant(fujisawa())
}

/// The gate to the one tenant's vault.
pub(crate) static GATE: LazyLock<Gate> = LazyLock::new(|| Gate::of(&[fujisawa()]));

/// Both handles on an open vault: the one that a permit gave, and the one that takes care.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) scope: Arc<TenantScope<DiskVault>>,
    pub(crate) care: Caretaker,
}

impl Deref for Opened {
    type Target = DiskVault;

    fn deref(&self) -> &DiskVault {
        self.scope.vault()
    }
}

impl Opened {
    pub(crate) async fn of(vaults: &Vaults, gate: &Gate, tenant: TenantCode) -> Result<Self, VaultFault> {
        let scope = Arc::new(TenantScope::open(gate.permit(tenant), vaults).await?);
        Ok(Self { scope, care: vaults.resume(VaultName::Tenant(tenant)).await? })
    }
}

/// Small, so that much happens in a short test.
pub(crate) fn small() -> Tuning {
    Tuning {
        segment_bytes: 256 << 10,
        checkpoint_bytes: 256 << 10,
        checkpoint_rows: 2_000,
        cache_bytes: 4 << 20,
        known_ids: usize::MAX,
        carry_rest: 0,
        retry_after: Duration::from_millis(50),
        journal_bytes: 1 << 40,
        free_bytes: 0,
    }
}

/// Checkpoints only when asked for.
pub(crate) fn never() -> Tuning {
    Tuning { checkpoint_bytes: 1 << 40, checkpoint_rows: usize::MAX, ..small() }
}

pub(crate) struct Site {
    pub(crate) vaults: Vaults,
    pub(crate) outbox: Outbox,
    pub(crate) events: Arc<Mutex<Vec<VaultEvent>>>,
    pub(crate) data: PathBuf,
}

pub(crate) fn site_with(data: &Path, tuning: Tuning, root: u8, limits: OutboxLimits) -> Site {
    site_heard(data, tuning, root, limits, |_| {})
}

/// A site whose vaults wait while this hears what happens. Anchors are kept in a folder beside the data, if it is there.
pub(crate) fn site_heard(
    data: &Path,
    tuning: Tuning,
    root: u8,
    limits: OutboxLimits,
    hear: impl Fn(&VaultEvent) + Send + Sync + 'static,
) -> Site {
    let (outbox, events) = (Outbox::new(limits), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&events);
    let settings = Settings {
        data: data.to_owned(),
        root_key: RootKey::from_bytes([root; 32]),
        environment: "trial".to_owned(),
        entropy: Arc::new(Random(SystemRandom::new())),
        outbox: outbox.clone(),
        listen: Arc::new(move |event| {
            heard.lock().unwrap().push(event.clone());
            hear(&event);
        }),
        anchors: Some(data.with_extension("anchors")).filter(|folder| folder.is_dir()).map(Anchors::in_folder),
        tuning,
    };
    let vaults = Vaults::new(filter::install().unwrap(), settings).unwrap();
    Site { vaults, outbox, events, data: data.to_owned() }
}

pub(crate) fn site(data: &Path, tuning: Tuning) -> Site {
    site_with(data, tuning, 1, OutboxLimits::default())
}

impl Site {
    /// The one tenant's vault, made if need be.
    pub(crate) async fn vault(&self) -> Opened {
        if !self.data.join("vaults/142051").exists() {
            self.vaults.create(tenant()).unwrap();
        }
        Opened::of(&self.vaults, &GATE, fujisawa()).await.unwrap()
    }

    /// The vault once it may be opened again.
    pub(crate) async fn vault_again(&self) -> Opened {
        loop {
            if let Ok(vault) = Opened::of(&self.vaults, &GATE, fujisawa()).await {
                return vault;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn fault(&self) -> VaultFault {
        self.vaults.resume(tenant()).await.map(|_| ()).unwrap_err()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.data.join("vaults/142051")
    }

    pub(crate) fn events(&self) -> Vec<VaultEvent> {
        let mut events = self.events.lock().unwrap().clone();
        for event in &mut events {
            if let VaultEvent::Opened { took, .. } = event {
                *took = Duration::ZERO;
            }
        }
        events
    }

    /// Ends the site with nothing more written, as if killed; what the kernel has stays. No handle may be left.
    pub(crate) fn kill(self) -> PathBuf {
        self.data.clone()
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub(crate) fn person_of(number: u64) -> PersonId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number % 40).to_be_bytes());
    PersonId(id)
}

pub(crate) fn name_of(number: u64) -> PersonName {
    let mut code = [0; 32];
    code[..8].copy_from_slice(&(number % 40).to_be_bytes());
    PersonName::Code(PersonCode::from_bytes(code))
}

pub(crate) fn category() -> Category {
    "TM00000000000002".parse().unwrap()
}

/// A holding whose JSON has at least this many bytes, and which tells its number.
pub(crate) fn holding(number: u64, bytes: usize) -> Holding {
    let text = |text: String| Item {
        code: "8200000020".parse().unwrap(),
        depth: 1,
        value: ItemValue::Text(text),
        version: None,
        updated_at: None,
    };
    let mut items = vec![text(format!("number {number}"))];
    let mut rest = bytes;
    while rest > 0 {
        let now = rest.min(4_000);
        items.push(text("v".repeat(now)));
        rest -= now;
    }
    let mut holding = Holding::default();
    let record = Record {
        data_set: "0001".parse().unwrap(),
        record_key: "key".parse().unwrap(),
        parent: None,
        layout_version: "0001".parse().unwrap(),
        publication: Window::default(),
        registration_number: "1".parse().unwrap(),
        unit: "unit".parse().unwrap(),
        user: "user".parse().unwrap(),
        items,
    };
    assert_eq!(holding.replace(Row::Live { revision: number + 1, record }), Replaced::Yes);
    holding
}

pub(crate) fn message(number: u64) -> MessageKey {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    MessageKey { author: "municipal.142051".parse().unwrap(), id: MessageId::from_random(id), answer: Answer::First }
}

pub(crate) fn digest(number: u64) -> [u8; 32] {
    let mut digest = [3; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

pub(crate) fn body(number: u64, bytes: usize) -> Arc<[u8]> {
    (0..bytes.max(8)).map(|at| if at < 8 { number.to_be_bytes()[at] } else { (at as u64 ^ number) as u8 }).collect()
}

pub(crate) fn expires(number: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + number.cast_signed())
}

pub(crate) fn sealing(number: u64) -> Sealing {
    Sealing { salt: Salt(digest(number)), entry: format!("entry {number}").into_bytes() }
}

/// The frame of one message: a person's record changes, a reply goes out.
pub(crate) fn frame(number: u64, value: usize, reply: usize) -> Frame {
    Frame {
        message: message(number),
        digest: digest(number),
        expires: expires(number),
        changes: vec![PersonChange {
            id: person_of(number),
            head: Head { revision: number + 1, ..Head::default() },
            linked: vec![name_of(number)],
            unlinked: vec![],
            holdings: BTreeMap::from([(category(), holding(number, value))]),
            attachments: BTreeMap::new(),
        }],
        commitment: Commitment::of(&digest(number), &Promise::of(&sealing(number))),
        sealing: sealing(number),
        parcels: vec![parcel(number, reply)],
    }
}

pub(crate) fn parcel(number: u64, reply: usize) -> Parcel {
    Parcel {
        id: MessageId::from_random(digest(number)[..16].try_into().unwrap()),
        kind: MessageType::RecordReply,
        re: Some(message(number).id),
        recipient: "municipal.142051".parse().unwrap(),
        deadline: expires(number),
        body: body(number, reply),
    }
}

/// Checks that a message was handled, as it must be remembered.
pub(crate) fn assert_remembered(vault: &Opened, number: u64) {
    let remembered = vault.recall(&message(number)).unwrap().unwrap_or_else(|| panic!("message {number} is forgotten"));
    assert_eq!(remembered.digest, digest(number));
    assert_eq!(remembered.promise, Promise::of(&sealing(number)).0);
}

/// The number that stands in a person's record.
pub(crate) fn number_held(vault: &Opened, number: u64) -> Option<u64> {
    let need = PersonNeed { name: name_of(number), categories: vec![category()], attachments: Listing::Left };
    let view = vault.view(&[need]).unwrap();
    let person = view.persons.into_iter().next().unwrap()?;
    assert_eq!(person.id, person_of(number));
    let holding = person.holdings.get(&category())?;
    let record = holding.records().next()?;
    assert_eq!(person.head.revision, holding.rows()[0].revision());
    let ItemValue::Text(text) = &record.items[0].value else { panic!("a null") };
    text.strip_prefix("number ").unwrap().parse().ok()
}

/// Takes every parcel out of the outbox, without settling any; their numbers by body.
pub(crate) async fn drain(outbox: &Outbox) -> Vec<(u64, Parcel)> {
    let (mut held, mut parcels) = (Vec::new(), Vec::new());
    while held.len() < outbox.load().parcels {
        let dispatch = outbox.next().await;
        let parcel = (**dispatch.parcel()).clone();
        parcels.push((u64::from_be_bytes(parcel.body[..8].try_into().unwrap()), parcel));
        held.push(dispatch);
    }
    parcels
}

/// The store of a vault that is closed, opened without any of our guards.
pub(crate) fn open_store(folder: &Path) -> sled::Db {
    open_store_at(&folder.join("store"))
}

/// The same, of a later epoch.
pub(crate) fn open_store_at(store: &Path) -> sled::Db {
    let config = sled::Config::new().path(store).segment_size(2 << 20).flush_every_ms(None);
    loop {
        // Sled lets go of its lock some time after it was dropped.
        match config.open() {
            Ok(store) => return store,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}
