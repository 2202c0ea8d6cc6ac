//! A real broker for tests: one node for the whole run, one virtual host for each test.
//!
//! Always: the node ends with the test process, however that ends (`cli::demo::node`). A test that hurts its node starts
//! one of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says where"
)]

pub(crate) mod hostile;

use nakatsugi::{
    broker::{
        BrokerEvent, BrokerSettings, Carrier, Definitions, Delivery, Intake, IntakeSettings, Limits, Observer, Partition, Publication,
        Publisher, PublisherSettings, Source, Tenants, Topology, Unroutable, names,
    },
    cli::demo::{
        node::{Node, NodeOptions},
        pki::{Authority, Credentials},
    },
    identifier::{MessageType, PrincipalId},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

pub(crate) const FUJISAWA: &str = "142051";
pub(crate) const YOKOHAMA: &str = "141003";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const USERS: [&str; 5] = ["relay", "operator", "fujisawa", "disclosure", "stranger"];

/// A node, its certificates and its users.
pub(crate) struct Broker {
    pub(crate) node: Mutex<Node>,
    pub(crate) authority: Authority,
    pub(crate) server: Credentials,
    pub(crate) users: BTreeMap<&'static str, Credentials>,
    pub(crate) folder: PathBuf,
}

impl Broker {
    /// A node with these virtual hosts, for one test alone or for all.
    pub(crate) fn start(vhosts: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let this = format!("broker-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        forget_the_dead(folder);
        let folder = folder.join(this);
        let authority = Authority::create(&folder.join("pki")).unwrap();
        let server = authority.issue_server(&[]).unwrap();
        let users = USERS.map(|user| (user, authority.issue_client(user).unwrap())).into();
        let options = NodeOptions {
            ca: authority.ca(),
            certificate: server.certificate.clone(),
            key: server.key.clone(),
            definitions: merged(&vhosts.iter().map(|vhost| definitions(vhost)).collect::<Vec<_>>()),
            ready_within: Duration::from_secs(120),
        };
        let node = Node::start(&folder.join("node"), &options).unwrap_or_else(|error| panic!("{error}"));
        Self { node: Mutex::new(node), authority, server, users, folder }
    }

    /// The node that tests share, each with a virtual host of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| {
            let all =
                ["results", "spoiled", "permissions", "foreign", "redelivery", "waiting", "missing", "gone", "pausing", "draining", "tls"];
            let hostile = ["expiring", "forging", "copying", "unbound"];
            Self::start(&[all.as_slice(), &hostile].concat())
        })
    }

    pub(crate) fn settings(&self, vhost: &str, user: &str) -> BrokerSettings {
        let credentials = &self.users[user];
        BrokerSettings {
            name: "network".into(),
            uri: self.node.lock().unwrap().uri(vhost),
            ca: self.authority.ca(),
            certificate: credentials.certificate.clone(),
            key: credentials.key.clone(),
            revocations: None,
        }
    }

    pub(crate) fn control(&self, arguments: &[&str]) -> String {
        self.node.lock().unwrap().control(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Declares everything in the virtual host.
    pub(crate) async fn apply(&self, vhost: &str, topology: &Topology) {
        topology.apply(&self.settings(vhost, "operator"), |_, _| ()).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn publisher(&self, vhost: &str, user: &str) -> Publisher {
        self.publisher_with(vhost, user, PATIENCE, silent())
    }

    pub(crate) fn publisher_with(&self, vhost: &str, user: &str, confirmed_within: Duration, observer: Observer) -> Publisher {
        let broker = self.settings(vhost, user);
        Publisher::start(PublisherSettings { broker, user: user.into(), lanes: 4, round: 64, confirmed_within }, observer)
    }

    pub(crate) fn intake(&self, vhost: &str, user: &str, queues: &[&str], observer: Observer) -> (Intake, mpsc::Receiver<Delivery>) {
        let queues = queues.iter().map(|queue| Source { queue: (*queue).into(), prefetch: 100 }).collect();
        Intake::start(IntakeSettings { broker: self.settings(vhost, user), queues }, observer)
    }
}

/// Two tenants, two partitions, one reader; waiting is short.
pub(crate) fn topology() -> Topology {
    Topology {
        tenants: vec![(FUJISAWA.parse().unwrap(), Partition(0)), (YOKOHAMA.parse().unwrap(), Partition(1))],
        partitions: 2,
        readers: ["disclosure", "full"].map(|name| name.parse().unwrap()).map(|id: PrincipalId| (id.clone(), names::reader(&id))).into(),
        wait: Duration::from_millis(300),
        limits: Limits::default(),
    }
}

pub(crate) fn message(exchange: &str, routing_key: &str, id: u32) -> Publication {
    Publication {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        kind: routing_key.split_once('.').map_or("", |(_, kind)| kind).into(),
        message_id: format!("{id}"),
        correlation_id: None,
        headers: Vec::new(),
        body: format!("body {id}").into_bytes().into(),
        unroutable: Unroutable::Returned,
    }
}

pub(crate) fn silent() -> Observer {
    Arc::new(|_| ())
}

/// An observer whose events can be waited for.
pub(crate) fn watched() -> (Observer, mpsc::UnboundedReceiver<BrokerEvent>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let observer: Observer = Arc::new(move |event| {
        let _ = sender.send(event);
    });
    (observer, receiver)
}

pub(crate) async fn event(events: &mut mpsc::UnboundedReceiver<BrokerEvent>, wanted: impl Fn(&BrokerEvent) -> bool) -> BrokerEvent {
    let found = async {
        loop {
            let event = events.recv().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the event came in time")
}

pub(crate) async fn next(deliveries: &mut mpsc::Receiver<Delivery>) -> Delivery {
    tokio::time::timeout(PATIENCE, deliveries.recv()).await.expect("a delivery came in time").expect("the intake runs")
}

/// How many messages a queue holds, as the broker last counted them: wait for it with `until`.
pub(crate) fn depth(broker: &Broker, vhost: &str, queue: &str) -> u32 {
    let listed = broker.control(&["list_queues", "-p", vhost, "--no-table-headers", "name", "messages"]);
    let line = listed.lines().find(|line| line.split_whitespace().next() == Some(queue)).unwrap_or_else(|| panic!("{queue}: {listed}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..60 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it did not come true in time");
}

fn definitions(vhost: &str) -> String {
    let fujisawa = || Tenants::These(vec![FUJISAWA.parse().unwrap()]);
    let municipal = [MessageType::RecordPut, MessageType::RecordDelete, MessageType::PersonLink];
    let carriers = vec![
        Carrier { user: "fujisawa".into(), may_write: municipal.map(|kind| (fujisawa(), kind)).into(), reads: None },
        Carrier {
            user: "disclosure".into(),
            may_write: vec![(Tenants::All, MessageType::SelfInfoRequest)],
            reads: Some("nakatsugi.out.disclosure".into()),
        },
    ];
    Definitions { vhost: vhost.into(), relay: "relay".into(), operator: "operator".into(), carriers }.to_json()
}

fn merged(all: &[String]) -> String {
    let mut whole: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for definitions in all {
        let parts: BTreeMap<String, Vec<Value>> = serde_json::from_str(definitions).unwrap();
        for (name, items) in parts {
            let known = whole.entry(name).or_default();
            for item in items {
                if !known.contains(&item) {
                    known.push(item);
                }
            }
        }
    }
    serde_json::to_string(&whole).unwrap()
}

/// Removes what test processes that are gone left behind: statics are not dropped.
fn forget_the_dead(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let dead =
            name.strip_prefix("broker-").and_then(|rest| rest.split('-').next()).is_some_and(|id| !Path::new("/proc").join(id).exists());
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
