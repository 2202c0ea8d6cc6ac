//! A small world for the way: a directory, peers with keys, and simulated vaults, broker, clock and entropy.

use crate::{
    calendar::Timestamp,
    command::{Examined, ScannerFault},
    directory::{
        Authority, Carrier, DatedKey, Digests, Directory, Document, Functions, Name, Principal, ReplyQueue, Role, Tenant, Tenants, Unit,
        catalogue,
    },
    envelope::{self, Decrypted, DecryptionKey, Draft, Environment, Limits, Padding, SigningKey, SuitePolicy},
    identifier::{Category, MessageId, MessageType, PersonName, VaultName},
    ledger::{Commitment, Frontier, Promise},
    record::{
        Attachments, ContentName, File, FileContent, Head, Holding, Inspected, Listing, PdfReading, Person, PersonId, PersonNeed, View,
    },
    relay::{End, Keys, Known, Relay, ports::*},
    tenant::{Copied, EXCHANGE_IN, Permit, Route, Unscoped},
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

pub(super) const FUJISAWA: &str = "142051";
pub(super) const TAX: &str = "TM00000000000002";
pub(super) const CARE: &str = "TM00000000000004";
/// Provided by prefectures only.
pub(super) const DISABILITY: &str = "TM00000000000008";
/// Sensitive: waits for an official.
pub(super) const ASSISTANCE: &str = "TM00000000000015";
pub(super) const NOW: i64 = 1_795_000_000;

pub(super) struct Actor {
    pub(super) signing: SigningKey,
    pub(super) decryption: DecryptionKey,
}

/// What a vault says that takes in nothing more.
pub(super) const NO_ROOM: VaultFault = VaultFault::Stopped(StopCause::NoRoom);

/// Vaults that live in memory; as strict as the real ones about what is committed together.
#[derive(Default, Clone)]
pub(super) struct Memory(pub(super) Arc<Mutex<BTreeMap<String, Held>>>, pub(super) Arc<Mutex<Option<VaultFault>>>);

#[derive(Default)]
pub(super) struct Held {
    names: HashMap<PersonName, PersonId>,
    heads: HashMap<PersonId, Head>,
    pub(super) holdings: HashMap<(PersonId, Category), Holding>,
    pub(super) attachments: HashMap<(PersonId, Category), Attachments>,
    contents: BTreeMap<ContentName, FileContent>,
    /// Which contents were read.
    pub(super) read: Vec<ContentName>,
    pub(super) frames: Vec<Frame>,
    pub(super) outbox: Vec<Parcel>,
    pub(super) log: Frontier,
    pub(super) floor: Timestamp,
    pub(super) gone: bool,
    pub(super) full: bool,
    pub(super) unread: BTreeSet<Category>,
}

pub(super) struct MemoryVault {
    name: String,
    memory: Memory,
}

impl Vaults for Memory {
    type Vault = MemoryVault;

    async fn open(&self, permit: &Permit) -> Result<Unscoped<MemoryVault>, VaultFault> {
        match *self.1.lock().unwrap() {
            Some(fault) => Err(fault),
            None => Ok(Unscoped::of(MemoryVault { name: permit.vault().to_string(), memory: self.clone() })),
        }
    }
}

impl MemoryVault {
    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(self.memory.0.lock().unwrap().entry(self.name.clone()).or_default())
    }
}

impl Vault for MemoryVault {
    fn recall(&self, message: &MessageKey) -> Result<Option<Remembered>, VaultFault> {
        Ok(self.with(|held| {
            let frame = held.frames.iter().find(|frame| frame.message == *message)?;
            let reply = if held.gone { ReplyKept::Gone } else { ReplyKept::Yes };
            Some(Remembered { digest: frame.digest, reply, promise: Promise::of(&frame.sealing).0 })
        }))
    }

    fn person(&self, name: &PersonName) -> Result<Option<PersonId>, VaultFault> {
        Ok(self.with(|held| held.names.get(name).copied()))
    }

    fn view(&self, needs: &[PersonNeed]) -> Result<View, VaultFault> {
        // A category that is asked for and panics: how the tests plant a bug.
        if needs.iter().any(|need| need.categories.iter().any(|category| category.as_str() == "TM00000000000080")) {
            panic!("planted");
        }
        self.with(|held| {
            let person = |need: &PersonNeed| {
                let id = *held.names.get(&need.name)?;
                let holding = |category: &Category| Some((category.clone(), held.holdings.get(&(id, category.clone()))?.clone()));
                let (unread, read) = need.categories.iter().cloned().partition::<Vec<_>, _>(|category| held.unread.contains(category));
                let unread = unread.into_iter().collect();
                let holdings = read.iter().filter_map(holding).collect();
                let list = |category: &Category| Some((category.clone(), held.attachments.get(&(id, category.clone()))?.clone()));
                let attachments = match need.attachments {
                    Listing::Shown => read.iter().filter_map(list).collect(),
                    Listing::Left => BTreeMap::new(),
                };
                Some(Person { id, head: held.heads[&id].clone(), holdings, attachments, unread })
            };
            Ok(View { persons: needs.iter().map(person).collect(), ..View::default() })
        })
    }

    fn contents(&self, names: &[ContentName]) -> Result<Vec<FileContent>, VaultFault> {
        Ok(self.with(|held| {
            held.read.extend(names.iter().cloned());
            names.iter().map(|name| held.contents[name].clone()).collect()
        }))
    }

    fn floor(&self) -> Timestamp {
        self.with(|held| held.floor)
    }

    fn takes_in(&self) -> Result<(), VaultFault> {
        self.with(|held| if held.full { Err(NO_ROOM) } else { Ok(()) })
    }

    async fn commit(&self, frame: Frame) -> Result<Journalled, VaultFault> {
        self.with(|held| {
            if held.full {
                return Err(NO_ROOM);
            }
            for change in &frame.changes {
                held.heads.insert(change.id, change.head.clone());
                if change.head.erased.is_some() {
                    held.holdings.retain(|(id, _), _| *id != change.id);
                }
                for name in &change.unlinked {
                    held.names.remove(name);
                }
                held.names.extend(change.linked.iter().map(|name| (name.clone(), change.id)));
                held.holdings.extend(change.holdings.iter().map(|(category, holding)| ((change.id, category.clone()), holding.clone())));
            }
            for change in &frame.changes {
                for (category, attached) in &change.attachments {
                    let name =
                        |key: &crate::record::RecordName| ContentName { person: change.id, category: category.clone(), key: key.clone() };
                    held.contents.extend(attached.contents.iter().map(|(key, content)| (name(key), content.clone())));
                    held.attachments.insert((change.id, category.clone()), attached.list.clone());
                }
            }
            held.outbox.extend(frame.parcels.iter().cloned());
            let index = held.log.append(&frame.commitment);
            held.frames.push(frame);
            Ok(Journalled { index })
        })
    }

    async fn repeat(&self, message: &MessageKey) -> Result<Repeated, VaultFault> {
        Ok(self.with(|held| {
            let parcels = held.frames.iter().find(|frame| frame.message == *message).map(|frame| frame.parcels.clone()).unwrap_or_default();
            held.outbox.extend(parcels);
            Repeated::Sent
        }))
    }
}

#[derive(Default, Clone)]
pub(super) struct Graveyard(pub(super) Arc<Mutex<Vec<Buried>>>);

/// Reason and body.
pub(super) type Buried = (String, Vec<u8>);

impl Broker for Graveyard {
    async fn bury(&self, letter: DeadLetter<'_>) -> Result<(), BrokerFault> {
        self.0.lock().unwrap().push((letter.reason.to_owned(), letter.body.to_owned()));
        Ok(())
    }

    fn can_reach(&self, _recipient: &crate::identifier::PrincipalId) -> Result<(), BrokerFault> {
        Ok(())
    }
}

#[derive(Clone)]
pub(super) struct Hand(pub(super) Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

/// Judges files without reading a PDF, and counts those it was shown.
#[derive(Default, Clone)]
pub(super) struct Desk(pub(super) Arc<Mutex<(usize, Option<ScannerFault>)>>);

impl Examiner for Desk {
    async fn examine(&self, files: Vec<File>) -> Result<Vec<Examined>, ScannerFault> {
        let mut desk = self.0.lock().unwrap();
        desk.0 += files.len();
        match desk.1 {
            Some(fault) => Err(fault),
            None => Ok(files.iter().map(|file| Inspected::judge(file, PdfReading::Unreadable)).collect()),
        }
    }
}

/// How a delivery was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Acked,
    Waiting,
}

pub(super) struct Slip(Arc<Mutex<Option<Settled>>>);

impl Ticket for Slip {
    fn ack(self) {
        assert_eq!(self.0.lock().unwrap().replace(Settled::Acked), None);
    }

    fn wait(self) {
        assert_eq!(self.0.lock().unwrap().replace(Settled::Waiting), None);
    }
}

pub(super) struct World {
    pub(super) relay: Relay<Memory, Graveyard, Hand, Counter, Desk>,
    pub(super) desk: Desk,
    pub(super) vaults: Memory,
    pub(super) dead: Graveyard,
    pub(super) clock: Hand,
    pub(super) disclosure: Actor,
    pub(super) fujisawa: Actor,
    relay_public: (envelope::EncryptionKey, envelope::VerificationKey),
    document: Document,
    authority: SigningKey,
}

pub(super) struct Letter {
    pub(super) body: Vec<u8>,
    pub(super) route: Route,
}

fn actor(id: &str) -> Actor {
    Actor {
        signing: SigningKey::generate(format!("{id}-sig").parse().unwrap()).unwrap(),
        decryption: DecryptionKey::generate(format!("{id}-enc").parse().unwrap()).unwrap(),
    }
}

fn dated<K>(key: K) -> DatedKey<K> {
    let (not_before, not_after) = (Timestamp::from_seconds(NOW - 1_000_000), Timestamp::from_seconds(NOW + 100_000_000));
    DatedKey { key, env: Environment::Trial, not_before, not_after, revoked_at: None }
}

fn principal(id: &str, role: Role, actor: &Actor) -> Principal {
    Principal {
        id: id.parse().unwrap(),
        role,
        signing: vec![dated(actor.signing.public())],
        encryption: vec![dated(actor.decryption.public())],
        carriers: vec![Carrier { broker: "main".parse().unwrap(), user: id.parse().ok() }],
        tenants: if role.may_act_for_all() { Tenants::All } else { Tenants::Listed([FUJISAWA.parse().unwrap()].into()) },
        may: MessageType::ALL.into_iter().filter(|kind| role.may_author(*kind)).collect(),
        replies: (role != Role::Relay).then(|| ReplyQueue { broker: "main".parse().unwrap(), queue: format!("{id}.in").parse().unwrap() }),
    }
}

fn signed(document: &Document, authority: &SigningKey, catalogue: &str) -> Directory {
    let (bytes, signature) = document.sign(authority, &SystemRandom::new()).unwrap();
    let trust = Authority { key: &authority.public(), env: Environment::Trial };
    Directory::open(&bytes, &signature, catalogue.as_bytes(), trust).unwrap()
}

impl World {
    /// The directory is signed again, with another catalogue.
    pub(super) fn exchange_catalogue(&self, catalogue: &str) {
        let mut document = self.document.clone();
        document.version = 2;
        document.files = Digests::of(catalogue.as_bytes(), b"");
        self.relay.exchange_directory(signed(&document, &self.authority, catalogue));
    }

    pub(super) fn new() -> Self {
        let (own, disclosure, fujisawa) = (actor("relay"), actor("disclosure"), actor("fujisawa"));
        let mut document = Document::new(Environment::Trial);
        document.version = 1;
        document.files = Digests::of(catalogue::TYPICAL.as_bytes(), b"");
        document.principals = vec![
            principal("relay", Role::Relay, &own),
            principal("disclosure", Role::DisclosureSystem, &disclosure),
            principal("fujisawa", Role::MunicipalSystem, &fujisawa),
            principal("fujisawa.tax.1", Role::Official, &actor("fujisawa.tax.1")),
        ];
        let tenant = |code: &str, ja: &str, latin: &str, from: &str| Tenant {
            code: code.parse().unwrap(),
            name: Name { ja: ja.to_owned(), latin: latin.to_owned() },
            env: Environment::Trial,
            partition: None,
            functions: Functions { self_info: from.parse().ok(), copies: from.parse().ok() },
            categories: [TAX, CARE, ASSISTANCE, "TM00000000000080"].iter().map(|code| code.parse().unwrap()).collect(),
            units: vec![Unit {
                id: "tax".parse().unwrap(),
                name: Name { ja: "税務課".to_owned(), latin: "Tax".to_owned() },
                affairs: Vec::new(),
                categories: [TAX].iter().map(|code| code.parse().unwrap()).collect(),
                officials: if code == FUJISAWA { vec!["fujisawa.tax.1".parse().unwrap()] } else { Vec::new() },
            }],
        };
        document.tenants = vec![tenant(FUJISAWA, "藤沢市", "Fujisawa", "2026-07-18"), tenant("141003", "横浜市", "Yokohama", "2099-01-01")];
        let authority = SigningKey::generate("authority".parse().unwrap()).unwrap();
        let directory = signed(&document, &authority, catalogue::TYPICAL);
        let relay_public = (own.decryption.public(), own.signing.public());
        let keys = Keys { decryption: BTreeMap::from([(own.decryption.kid().clone(), own.decryption)]), signing: own.signing };
        let (vaults, dead, clock) = (Memory::default(), Graveyard::default(), Hand(Arc::new(AtomicI64::new(NOW))));
        let desk = Desk::default();
        let edges = (vaults.clone(), dead.clone(), clock.clone(), Counter(AtomicU64::new(1)), desk.clone());
        let relay = Relay::new(keys, directory, SuitePolicy::default(), Limits::default(), edges);
        Self { relay, desk, vaults, dead, clock, disclosure, fujisawa, relay_public, document, authority }
    }

    /// Signs and encrypts as this principal.
    pub(super) fn letter(&self, from: &str, id: u8, kind: MessageType, body: Value) -> Letter {
        self.letter_with(from, id, kind, body, |_| {})
    }

    pub(super) fn letter_with(&self, from: &str, id: u8, kind: MessageType, body: Value, change: impl FnOnce(&mut Draft<Value>)) -> Letter {
        let now = self.clock.now();
        let mut draft = Draft {
            iss: from.parse().unwrap(),
            aud: "relay".parse().unwrap(),
            jti: MessageId::from_random([id; 16]),
            iat: now,
            exp: now.plus_seconds(600),
            env: Environment::Trial,
            tenant: FUJISAWA.parse().unwrap(),
            kind,
            re: None,
            body,
        };
        change(&mut draft);
        let signing = if from == "disclosure" { &self.disclosure.signing } else { &self.fujisawa.signing };
        let random = SystemRandom::new();
        let payload = draft.compose().unwrap().without_promise(Padding::None);
        let signed = envelope::sign(&payload, signing, &random).unwrap();
        let body = envelope::encrypt(&signed, &self.relay_public.0, &random).unwrap();
        let route = Route {
            broker: "main".to_owned(),
            exchange: EXCHANGE_IN.to_owned(),
            routing_key: format!("{}.{}", draft.tenant, draft.kind),
            user_id: Some(from.to_owned()),
            kind: Some(draft.kind.to_string()),
            message_id: Some(draft.jti.to_string()),
            copied: Copied::No,
        };
        Letter { body, route }
    }

    pub(super) async fn carry(&self, letter: &Letter) -> (Known, End, Settled) {
        let settled = Arc::new(Mutex::new(None));
        let ticket = Slip(Arc::clone(&settled));
        let delivery = Delivery { body: letter.body.clone(), route: letter.route.clone(), suspicion: 0, ticket };
        let (known, end) = self.relay.carry(delivery).await;
        let settled = settled.lock().unwrap().expect("every delivery is settled");
        (known, end, settled)
    }

    pub(super) fn sent(&self) -> Vec<Parcel> {
        self.vaults.0.lock().unwrap().get(FUJISAWA).map(|held| held.outbox.clone()).unwrap_or_default()
    }

    /// Opens a reply, checks its promise against the ledger, and gives its body.
    pub(super) fn open(&self, parcel: &Parcel) -> Value {
        let own = if parcel.recipient.as_str() == "disclosure" { &self.disclosure } else { &self.fujisawa };
        let decrypted: Decrypted = envelope::decrypt(
            &parcel.body,
            |kid| (kid == own.decryption.kid()).then_some(&own.decryption),
            &SuitePolicy::default(),
            &Limits::default(),
        )
        .unwrap();
        let authentic = decrypted.verify(&self.relay_public.1, &Limits::default()).unwrap();
        let claims = authentic.claims().unwrap();
        let promise = claims.promise.unwrap();
        let commitment = Commitment::of(&envelope::claims_digest(authentic.payload(), &promise).unwrap(), &promise);
        let frames = &self.vaults.0.lock().unwrap()[FUJISAWA].frames;
        assert!(frames.iter().any(|frame| frame.commitment == commitment && Promise::of(&frame.sealing) == promise));
        assert_eq!((claims.jti, claims.re), (parcel.id, parcel.re));
        serde_json::from_str(claims.body.get()).unwrap()
    }
}

pub(super) fn person_code(byte: u8) -> String {
    String::from(crate::identifier::PersonCode::from_bytes([byte; 32]))
}

pub(super) fn ask(code: u8, categories: &[&str]) -> Value {
    json!({"person": person_code(code), "categories": categories, "authenticated": {"method": "jpki-user-certificate", "at": NOW - 5}})
}

pub(super) fn link(number: &str, code: u8, revision: u64) -> Value {
    json!({"person": number, "code": person_code(code), "revision": revision})
}

/// A row with a registration number of its own.
pub(super) fn put_row(number: &str, category: &str, revision: u64, until: &str) -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    json!({"person": number, "category": category, "revision": revision, "record": {
        "data_set": "0001", "record_key": "1", "layout_version": "0007", "publication": {"from": "2026-04-01", "until": until},
        "registration_number": format!("r-{count}"), "unit": "tax", "user": "u1",
        "items": [{"code": format!("{}00000010", &category[14..]), "depth": 1, "value": "2026"}]}})
}

pub(super) fn vault_name() -> VaultName {
    VaultName::Tenant(FUJISAWA.parse().unwrap())
}
