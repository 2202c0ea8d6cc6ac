//! The one door to what a vault holds, as a message goes through it: a directory, keys, and letters signed and encrypted.
//!
//! Always: a permit comes from a letter that was decrypted, verified and admitted, as in the daemon.

use nakatsugi::{
    calendar::Timestamp,
    command::{Examined, ScannerFault},
    directory::{
        Authority, Carrier, DatedKey, Digests, Directory, Document, Functions, Name, Principal, ReplyQueue, Role, Tenant, Tenants,
        catalogue,
    },
    envelope::{self, DecryptionKey, Draft, Environment, Limits, Padding, SigningKey, SuitePolicy},
    identifier::{MessageId, MessageType, TenantCode},
    ledger::Promise,
    record::File,
    relay::{
        End, Keys, Relay,
        ports::{Broker, BrokerFault, Clock, DeadLetter, Delivery, Examiner, Parcel, Ticket},
    },
    tenant::{Copied, EXCHANGE_IN, Permit, Route, Verified},
    vault::Vaults,
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// When the letters of this world are written.
pub(crate) const NOW: i64 = 1_800_000_000;

struct Actor {
    signing: SigningKey,
    decryption: DecryptionKey,
}

impl Actor {
    fn new(id: &str) -> Self {
        Self {
            signing: SigningKey::generate(format!("{id}-sig").parse().unwrap()).unwrap(),
            decryption: DecryptionKey::generate(format!("{id}-enc").parse().unwrap()).unwrap(),
        }
    }

    fn principal(&self, id: &str, role: Role) -> Principal {
        Principal {
            id: id.parse().unwrap(),
            role,
            signing: vec![dated(self.signing.public())],
            encryption: vec![dated(self.decryption.public())],
            carriers: vec![Carrier { broker: "main".parse().unwrap(), user: id.parse().ok() }],
            tenants: Tenants::All,
            may: MessageType::ALL.into_iter().filter(|kind| role.may_author(*kind)).collect(),
            replies: (role != Role::Relay)
                .then(|| ReplyQueue { broker: "main".parse().unwrap(), queue: format!("{id}.in").parse().unwrap() }),
        }
    }
}

fn dated<K>(key: K) -> DatedKey<K> {
    let (not_before, not_after) = (Timestamp::from_seconds(NOW - 1_000_000), Timestamp::from_seconds(NOW + 100_000_000));
    DatedKey { key, env: Environment::Trial, not_before, not_after, revoked_at: None }
}

/// A letter as it is delivered.
pub(crate) struct Letter {
    pub(crate) body: Vec<u8>,
    pub(crate) route: Route,
}

/// Who may speak to the vaults, and with which keys.
pub(crate) struct Gate {
    document: Vec<u8>,
    signature: String,
    authority: SigningKey,
    own: Actor,
    disclosure: Actor,
}

impl Gate {
    pub(crate) fn of(tenants: &[TenantCode]) -> Self {
        let (own, disclosure) = (Actor::new("relay"), Actor::new("disclosure"));
        let mut document = Document::new(Environment::Trial);
        document.version = 1;
        document.files = Digests::of(catalogue::TYPICAL.as_bytes(), b"");
        document.principals = vec![own.principal("relay", Role::Relay), disclosure.principal("disclosure", Role::DisclosureSystem)];
        let tenant = |code: &TenantCode| Tenant {
            code: *code,
            name: Name { ja: "藤沢市".to_owned(), latin: "Fujisawa".to_owned() },
            env: Environment::Trial,
            partition: None,
            functions: Functions { self_info: "2026-07-18".parse().ok(), copies: "2026-07-18".parse().ok() },
            categories: ["TM00000000000002".parse().unwrap()].into(),
            units: Vec::new(),
        };
        document.tenants = tenants.iter().map(tenant).collect();
        let authority = SigningKey::generate("authority".parse().unwrap()).unwrap();
        let (document, signature) = document.sign(&authority, &SystemRandom::new()).unwrap();
        Self { document, signature, authority, own, disclosure }
    }

    fn directory(&self) -> Directory {
        let trust = Authority { key: &self.authority.public(), env: Environment::Trial };
        Directory::open(&self.document, &self.signature, catalogue::TYPICAL.as_bytes(), trust).unwrap()
    }

    /// A request of the disclosure system, valid for ten minutes.
    pub(crate) fn letter(&self, tenant: TenantCode, id: u8) -> Letter {
        let person = String::from(nakatsugi::identifier::PersonCode::from_bytes([id; 32]));
        let authenticated = json!({"method": "jpki-user-certificate", "at": NOW - 5});
        let draft = Draft {
            iss: "disclosure".parse().unwrap(),
            aud: "relay".parse().unwrap(),
            jti: MessageId::from_random([id; 16]),
            iat: Timestamp::from_seconds(NOW),
            exp: Timestamp::from_seconds(NOW + 600),
            env: Environment::Trial,
            tenant,
            kind: MessageType::SelfInfoRequest,
            re: None,
            body: json!({"person": person, "categories": ["TM00000000000002"], "authenticated": authenticated}),
        };
        let random = SystemRandom::new();
        let payload = draft.compose().unwrap().without_promise(Padding::None);
        let signed = envelope::sign(&payload, &self.disclosure.signing, &random).unwrap();
        let route = Route {
            broker: "main".to_owned(),
            exchange: EXCHANGE_IN.to_owned(),
            routing_key: format!("{tenant}.{}", draft.kind),
            user_id: Some("disclosure".to_owned()),
            kind: Some(draft.kind.to_string()),
            message_id: Some(draft.jti.to_string()),
            copied: Copied::No,
        };
        Letter { body: envelope::encrypt(&signed, &self.own.decryption.public(), &random).unwrap(), route }
    }

    /// Leave to open this tenant's vault.
    pub(crate) fn permit(&self, tenant: TenantCode) -> Permit {
        let Letter { body, route } = self.letter(tenant, 1);
        let key = &self.own.decryption;
        let limits = Limits::default();
        let decrypted = envelope::decrypt(&body, |kid| (kid == key.kid()).then_some(key), &SuitePolicy::default(), &limits).unwrap();
        let verified = Verified::verify(decrypted, Arc::new(self.directory()), &limits, Timestamp::from_seconds(NOW)).unwrap();
        Permit::admit(&verified, &route).unwrap()
    }

    /// The relay of this world over real vaults. It is the only one that can decrypt from now on.
    pub(crate) fn relay(&self, vaults: Vaults, clock: Hand) -> Relay<Vaults, NoBroker, Hand, crate::support::Random, NoFiles> {
        let again = |key: &DecryptionKey| DecryptionKey::from_jwk(&key.to_jwk()).unwrap();
        let keys = Keys {
            decryption: BTreeMap::from([(self.own.decryption.kid().clone(), again(&self.own.decryption))]),
            signing: SigningKey::from_jwk(&self.own.signing.to_jwk()).unwrap(),
        };
        let edges = (vaults, NoBroker, clock, crate::support::Random::new(), NoFiles);
        Relay::new(keys, self.directory(), SuitePolicy::default(), Limits::default(), edges)
    }

    /// What a reply promises and says.
    pub(crate) fn open(&self, parcel: &Parcel) -> (Promise, Value) {
        let key = &self.disclosure.decryption;
        let limits = Limits::default();
        let decrypted = envelope::decrypt(&parcel.body, |kid| (kid == key.kid()).then_some(key), &SuitePolicy::default(), &limits).unwrap();
        let authentic = decrypted.verify(&self.own.signing.public(), &limits).unwrap();
        let claims = authentic.claims().unwrap();
        (claims.promise.unwrap(), serde_json::from_str(claims.body.get()).unwrap())
    }
}

/// Carries a letter; says how its way ended, and whether it was acknowledged.
pub(crate) async fn carry(relay: &Relay<Vaults, NoBroker, Hand, crate::support::Random, NoFiles>, letter: &Letter) -> End {
    let delivery = Delivery { body: letter.body.clone(), route: letter.route.clone(), suspicion: 0, ticket: Slip };
    relay.carry(delivery).await.1
}

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Hand(pub(crate) Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// Nothing is buried in these tests that is looked for.
pub(crate) struct NoBroker;

/// Nobody brings a file here.
pub(crate) struct NoFiles;

impl Examiner for NoFiles {
    async fn examine(&self, files: Vec<File>) -> Result<Vec<Examined>, ScannerFault> {
        panic!("{files:?}")
    }
}

impl Broker for NoBroker {
    async fn bury(&self, _: DeadLetter<'_>) -> Result<(), BrokerFault> {
        Ok(())
    }

    fn can_reach(&self, _: &nakatsugi::identifier::PrincipalId) -> Result<(), BrokerFault> {
        Ok(())
    }
}

struct Slip;

impl Ticket for Slip {
    fn ack(self) {}
    fn wait(self) {}
}
