//! Where faults happen: a site whose daemon reaches its broker over a wire that can be cut, with traffic on it.
//!
//! Always: a fault begins and ends with the daemon running and everything whole; `heal` then waits until nothing is left to do
//! and asks the checker. A ground on which a fault failed is left: the next fault gets another.

use crate::{
    checker::{Verdict, check},
    graveyard,
    profile::Profile,
    search::Search,
    stage::{self, Running, Stage},
    traffic::Traffic,
    wire::Wire,
};
use lapin::{Connection, options::QueueDeclareOptions, types::FieldTable};
use nakatsugi::{
    broker::names,
    cli::{
        demo::{Layout, Node, NodeOptions, Site, population::Resident},
        peer::PeerSettings,
    },
    identifier::{MessageClass, TenantCode},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// After a fault everything must be done within this time.
const DRAINED_WITHIN: Duration = Duration::from_secs(90);
/// The driver's own connection may hang; what the checker found must be told all the same.
const BURIED_WITHIN: Duration = Duration::from_secs(120);
/// I8: a debug build with two vaults and a few thousand messages.
const MEMORY: u64 = 1 << 30;
const DESCRIPTORS: usize = 512;
const DISK: u64 = 2 << 30;

const TOWNS: [stage::Town; 2] = [("142051", ("藤沢市", "Fujisawa")), ("141003", ("横浜市", "Yokohama"))];

/// The site, and what happened on it.
pub(crate) struct Ground {
    pub(crate) stage: Stage,
    pub(crate) wire: Wire,
    pub(crate) traffic: Traffic,
    pub(crate) running: Running,
    /// The other nodes of the broker's cluster.
    pub(crate) others: Vec<Node>,
    /// How many dead letters the fault must leave.
    pub(crate) dead: usize,
    /// Events that tell of an error which the fault is meant to cause.
    pub(crate) meant: Vec<&'static str>,
    /// The next fault gets another ground.
    pub(crate) worn: bool,
    pub(crate) profile: Profile,
    errors: Vec<Value>,
}

impl Ground {
    pub(crate) async fn build(profile: Profile) -> Self {
        Self::build_on(profile, 1).await
    }

    /// The same, with a broker of so many nodes.
    pub(crate) async fn build_on(profile: Profile, nodes: usize) -> Self {
        let wire = Wire::lay().await;
        // Both in one partition: what one does, the other could feel.
        let placement = Self::tenants().map(|tenant| (tenant, 0)).into();
        let layout = Layout { through: Some(wire.port), placement, ..Layout::default() };
        let mut others = Vec::new();
        let stage = Stage::build("faults", &TOWNS, &layout, |site| {
            wire.lead_to(site.node().port());
            others = beside(site, nodes - 1);
        })
        .await;
        let traffic = Traffic::new(&stage, &Self::tenants());
        let running = stage.serve().await;
        Self { stage, wire, traffic, running, others, dead: 0, meant: Vec::new(), worn: false, profile, errors: Vec::new() }
    }

    /// All nodes of the broker.
    pub(crate) fn nodes(&mut self) -> impl Iterator<Item = &mut Node> {
        std::iter::once(self.stage.site.node()).chain(&mut self.others)
    }

    pub(crate) fn tenants() -> [TenantCode; 2] {
        TOWNS.map(|(code, _)| code.parse().unwrap())
    }

    /// Kills the daemon.
    pub(crate) fn kill(&mut self) {
        self.running.daemon.kill();
        self.errors.extend(self.running.errors());
    }

    /// Starts the daemon; whatever ran before has ended. Returns how long it took until it was ready.
    pub(crate) async fn start(&mut self) -> Duration {
        self.start_through(Command::new(stage::BINARY)).await
    }

    pub(crate) async fn start_through(&mut self, command: Command) -> Duration {
        let from = Instant::now();
        self.running = self.stage.serve_through(command).await;
        from.elapsed()
    }

    /// Stops the daemon in good order.
    pub(crate) async fn stop(&mut self) {
        let status = self.running.stop().await;
        self.errors.extend(self.running.errors());
        assert!(status.success(), "the daemon stopped with {status}");
    }

    /// Waits until everything is answered and the queues are empty (I7), and asks the checker for the rest.
    pub(crate) async fn heal(&mut self) -> Verdict {
        let left = self.traffic.facts.settled(DRAINED_WITHIN).await;
        if left.is_empty() {
            self.traffic.look(&self.stage).await;
            self.traffic.facts.settled(DRAINED_WITHIN).await;
        }
        let mut backlog = self.backlog(left.is_empty()).await;
        let (memory, descriptors) = self.consumption();
        self.stop().await;
        if backlog.is_empty() {
            backlog = self.depths().await;
        }
        let mut verdict = check(&self.stage, &self.traffic.facts, &self.traffic.towns).await;
        if !backlog.is_empty() {
            verdict.wrong(format!("messages are left: {backlog:?}"));
        }
        let dead = timeout(BURIED_WITHIN, self.stage.bury_the_dead()).await;
        let dead = dead.unwrap_or_else(|_| {
            verdict.wrong("the dead letters could not be read in time; nothing else is said of them".to_owned());
            Vec::new()
        });
        let dead: BTreeSet<_> = dead.into_iter().map(|dead| dead.message_id).collect();
        if dead.len() != std::mem::take(&mut self.dead) {
            verdict.wrong(format!("dead letters: {}", dead.len()));
        }
        let meant = std::mem::take(&mut self.meant);
        for error in self.errors.drain(..).filter(|error| !meant.iter().any(|name| error["event"] == *name)) {
            verdict.wrong(format!("the daemon told of an error: {error}"));
        }
        if memory > MEMORY || descriptors > DESCRIPTORS {
            verdict.wrong(format!("the daemon took {memory} bytes and {descriptors} descriptors"));
        }
        self.look_at_disk(&mut verdict);
        verdict
    }

    /// What lies in the queues, after waiting for nothing to do so.
    async fn backlog(&self, hopeful: bool) -> Vec<(String, u32)> {
        let until = Instant::now() + if hopeful { Duration::from_secs(30) } else { Duration::ZERO };
        loop {
            let depths = self.depths().await;
            if depths.is_empty() || Instant::now() > until {
                return depths;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// A connection to the broker as the operator, past the wire.
    pub(crate) async fn operator(&self) -> Connection {
        let uri = PeerSettings::read(&self.stage.site.folder().join("peers/disclosure")).unwrap().broker.uri;
        graveyard::connect(&uri, &self.stage.site.folder().join("broker")).await
    }

    /// Every queue that the daemon takes from or that messages wait in, with what lies there.
    async fn depths(&self) -> Vec<(String, u32)> {
        let connection = self.operator().await;
        let channel = connection.create_channel().await.unwrap();
        let mut depths = Vec::new();
        for class in MessageClass::ALL {
            for partition in 0..2 {
                let partition = nakatsugi::broker::Partition(partition);
                for queue in [names::queue(class, partition), names::wait(class, partition), names::again(class, partition)] {
                    let options = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
                    let declared = channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
                    if declared.message_count() > 0 {
                        depths.push((queue, declared.message_count()));
                    }
                }
            }
        }
        connection.close(200, "".into()).await.unwrap();
        depths
    }

    /// The most memory the daemon had, and its descriptors.
    fn consumption(&self) -> (u64, usize) {
        let process = PathBuf::from(format!("/proc/{}", self.running.daemon.pid()));
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().strip_suffix(" kB"));
        let descriptors = fs::read_dir(process.join("fd")).map_or(0, Iterator::count);
        (peak.and_then(|peak| peak.parse::<u64>().ok()).unwrap_or_default() * 1024, descriptors)
    }

    /// I8: no file that sled never syncs, and not too much of anything.
    fn look_at_disk(&self, verdict: &mut Verdict) {
        let mut bytes = 0;
        let mut folders = vec![self.stage.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                bytes += metadata.len();
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if folder.ends_with("blobs") {
                    verdict.wrong(format!("a blob of sled's: {}", entry.path().display()));
                }
            }
        }
        if bytes > DISK {
            verdict.wrong(format!("the data folder has {bytes} bytes"));
        }
    }

    /// Keeps what the daemon said, for whoever looks into a failure.
    pub(crate) fn leave(mut self, name: &str) {
        self.running.daemon.kill();
        let folder = self.stage.site.folder();
        for file in ["serve.log", "serve.err"] {
            let kept = folder.with_file_name(format!("failed-{name}-{file}"));
            let _ = fs::copy(folder.join(file), &kept);
            println!("       see {}", kept.display());
        }
        let _ = fs::remove_dir_all(folder);
    }

    /// I3 and I5: each town's canary lies nowhere in the open, on any disk.
    pub(crate) fn search(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for town in &self.traffic.towns {
            let resident = Resident { tenant: town.tenant, index: 0 };
            let (code, number) = (resident.code(), resident.number());
            let search = Search::of(&[("value", town.canary.as_bytes()), ("code", code.as_bytes()), ("number", number.as_bytes())]);
            let (hits, _) = search.folder(self.stage.site.folder());
            for hit in hits {
                verdict.leaked(format!("{} of {} as {} in {}", hit.secret, town.tenant, hit.how, hit.place.display()));
            }
        }
        verdict
    }
}

/// So many nodes more, in the cluster of the site's own.
fn beside(site: &mut Site, count: usize) -> Vec<Node> {
    let folder = site.folder().to_owned();
    let file = |name: &str| folder.join("broker").join(name);
    let options = NodeOptions {
        ca: file("ca.pem"),
        certificate: file("server.pem"),
        key: file("server.key"),
        definitions: fs::read_to_string(file("definitions.json")).unwrap(),
        ready_within: Duration::from_secs(120),
    };
    let node = |number: usize| site.node().start_beside(&folder.join(format!("node{number}")), &options);
    (0..count).map(node).collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}"))
}
