//! A site for tests, the daemon as they run it, and the principals that speak to it.
//!
//! Always: a daemon ends with the test that started it; the node ends with the process, however that ends. Absent: who the
//! tenants are, and whose turn it is.

use crate::graveyard::{self, Dead};
use nakatsugi::{
    broker::{Observer, Publisher},
    calendar::Timestamp,
    cli::{
        demo::{Daemon, Layout, Site, SiteOptions, SiteTenant, population},
        peer::{Letter, Peer, Reply},
    },
    daemon::{SystemClock, SystemEntropy},
    identifier::{Category, MessageId, MessageType, TenantCode},
    relay::ports::{Clock as _, Entropy as _},
    vault::{FilterInstalled, filter},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_nakatsugi");
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long a message that could not be handled waits here.
const WAIT: Duration = Duration::from_secs(2);

/// A tenant of a stage: its code and its name in Japanese and in Latin letters.
pub(crate) type Town = (&'static str, (&'static str, &'static str));

/// The site.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) filter: FilterInstalled,
    pub(crate) entropy: SystemEntropy,
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn categories() -> Vec<Category> {
    population::categories(&[1, 2, 4]).unwrap()
}

pub(crate) fn silent() -> Observer {
    Arc::new(|_| ())
}

impl Stage {
    /// A site with these tenants, in a folder that says which tests it is for; `made` sees it as soon as its node runs.
    pub(crate) async fn build(name: &str, towns: &[Town], layout: &Layout, made: impl FnOnce(&mut Site)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let filter = filter::install().unwrap();
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        forget_the_dead(parent, name);
        let folder = parent.join(format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder).unwrap();
        let tenants = towns.iter().map(|(code, name)| SiteTenant {
            code: code.parse().unwrap(),
            name: *name,
            categories: categories().into_iter().collect(),
            self_info: now().day_in_japan(),
        });
        let options = SiteOptions { tenants: tenants.collect(), partitions: 2, prefetch: 64, wait: WAIT, now: now() };
        let mut site = Site::make_as(&folder, &options, layout).unwrap_or_else(|error| panic!("{error}"));
        made(&mut site);
        site.apply_topology(|_, _| {}).await.unwrap_or_else(|error| panic!("{error}"));
        for (code, _) in towns {
            let mut add = Command::new(BINARY);
            add.args(["tenant", "add", code, "--config"]).arg(site.configuration_path());
            let output = add.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Self { site, filter, entropy: SystemEntropy::open().unwrap() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.site.folder().join("data")
    }

    pub(crate) fn vault_folder(&self, tenant: TenantCode) -> PathBuf {
        self.data().join("vaults").join(tenant.as_str())
    }

    pub(crate) fn id(&self) -> MessageId {
        MessageId::from_random(self.entropy.bytes()[..16].try_into().unwrap())
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) async fn serve(&self) -> Running {
        self.serve_through(Command::new(BINARY)).await
    }

    /// A daemon that breaks this promise.
    #[cfg(feature = "sabotage")]
    pub(crate) async fn serve_broken(&self, sabotage: &str) -> Running {
        let mut command = Command::new(BINARY);
        command.env("NAKATSUGI_SABOTAGE", sabotage);
        self.serve_through(command).await
    }

    /// The same, through another program.
    pub(crate) async fn serve_through(&self, command: Command) -> Running {
        let mut running = self.launch(command);
        running.event("daemon.ready").await;
        running
    }

    /// Starts the daemon through this program and does not wait for anything.
    pub(crate) fn launch(&self, command: Command) -> Running {
        let log = self.site.folder().join("serve.log");
        let from = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let daemon = Daemon::start_with(command, &self.site).unwrap();
        Running { daemon, log, from }
    }

    /// A principal, connected.
    pub(crate) fn voice(&self, id: &str) -> Voice {
        let peer = self.site.peer(id).unwrap();
        let publisher = Arc::new(peer.publisher(silent()));
        let (intake, replies) = peer.intake(512, silent());
        Voice { peer, publisher, replies, _intake: intake }
    }

    pub(crate) fn disclosure(&self) -> Voice {
        self.voice("disclosure")
    }

    pub(crate) fn municipal(&self, tenant: TenantCode) -> Voice {
        self.voice(&format!("municipal-{tenant}"))
    }

    /// A letter with a new id, valid for a quarter of an hour.
    pub(crate) fn letter(&self, voice: &Voice, tenant: TenantCode, kind: MessageType, body: &Value) -> Letter {
        voice.peer.write(self.id(), tenant, kind, (now(), now().plus_seconds(900)), body).unwrap()
    }

    /// A letter that asks for a resident's records.
    pub(crate) fn question(&self, disclosure: &Voice, resident: population::Resident) -> Letter {
        let categories = categories();
        let body = population::request(&resident.code(), &categories.iter().collect::<Vec<_>>(), now());
        self.letter(disclosure, resident.tenant, MessageType::SelfInfoRequest, &body)
    }

    /// Links residents and registers a record for each in every category, and waits for the replies. Returns how
    /// many messages that took.
    pub(crate) async fn settle(&self, tenant: TenantCode, residents: u32) -> usize {
        let mut municipal = self.municipal(tenant);
        let mut rows = Vec::new();
        let mut letters = Vec::new();
        for index in 0..residents {
            let resident = population::Resident { tenant, index };
            letters.push(self.letter(&municipal, tenant, MessageType::PersonLink, &resident.link()));
            rows.extend(categories().iter().map(|category| resident.row(category, population::Shown::Now, now())));
        }
        letters.push(self.letter(&municipal, tenant, MessageType::RecordPut, &json!({ "rows": rows })));
        for letter in &letters {
            letter.send(&municipal.publisher).await.unwrap();
        }
        municipal.answers(&letters).await;
        letters.len()
    }

    /// How many messages each queue holds, waiting or out, as the broker last counted them.
    fn depths(&mut self) -> HashMap<String, u64> {
        let listed = self.site.node().control(&["list_queues", "-p", "network", "--no-table-headers", "name", "messages"]).unwrap();
        let line = |line: &str| {
            let (name, depth) = line.split_once('\t')?;
            Some((name.to_owned(), depth.trim().parse().ok()?))
        };
        listed.lines().filter_map(line).collect()
    }

    /// Waits until the queues that the daemon takes from are empty, with those who wait; returns how many dead letters there are.
    pub(crate) async fn emptied(&mut self) -> u64 {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let depths = self.depths();
            let left: HashMap<_, _> = depths
                .iter()
                .filter(|(name, depth)| **depth > 0 && !name.starts_with("nakatsugi.out.") && *name != "nakatsugi.dead")
                .collect();
            if left.is_empty() {
                return depths["nakatsugi.dead"];
            }
            assert!(Instant::now() < until, "messages are left: {left:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Takes every dead letter out of its queue.
    pub(crate) async fn bury_the_dead(&mut self) -> Vec<Dead> {
        let uri = self.site.node().uri("network");
        graveyard::empty(&uri, &self.site.folder().join("broker")).await
    }
}

/// A running daemon, and what it logged since it was started.
pub(crate) struct Running {
    pub(crate) daemon: Daemon,
    log: PathBuf,
    from: u64,
}

impl Running {
    /// What it logged since it was started.
    pub(crate) fn log(&self) -> Vec<Value> {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == name).collect()
    }

    /// How many lines for each event.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.events(name).len()
    }

    /// The lines that say that something went wrong.
    pub(crate) fn errors(&self) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["level"] == "ERROR").collect()
    }

    /// Waits for an event of this name and returns the first.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.event_that(name, |_| true).await
    }

    /// Waits until this holds.
    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "it did not come true in time; log: {:#?}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn event_that(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events(name).into_iter().find(&holds) {
                return event;
            }
            if Instant::now() > until {
                let errors = fs::read_to_string(self.log.with_file_name("serve.err")).unwrap_or_default();
                panic!("no {name} in time; errors: {errors}; log: {:#?}", self.log());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(&mut self) -> ExitStatus {
        tokio::task::block_in_place(|| self.daemon.stop(Duration::from_secs(40))).unwrap()
    }
}

/// A principal that sends and reads.
pub(crate) struct Voice {
    pub(crate) peer: Peer,
    pub(crate) publisher: Arc<Publisher>,
    replies: mpsc::Receiver<nakatsugi::broker::Delivery>,
    _intake: nakatsugi::broker::Intake,
}

/// Replies by what they answer: each with all the bodies that came.
#[derive(Default)]
pub(crate) struct Answers(HashMap<MessageId, Vec<(Reply, Vec<u8>)>>);

impl Answers {
    /// The one reply to a letter. All that came are the same bytes.
    pub(crate) fn only(&self, letter: &Letter) -> &Reply {
        let all = self.0.get(&letter.id).unwrap_or_else(|| panic!("{} is not answered", letter.id));
        let (reply, first) = &all[0];
        assert!(all.iter().all(|(_, body)| body == first), "{} has replies that differ", letter.id);
        reply
    }

    /// How many replies came more than once.
    pub(crate) fn repeats(&self) -> usize {
        self.0.values().map(|all| all.len() - 1).sum()
    }
}

impl Voice {
    /// The next reply that decrypts and verifies, within this time.
    async fn next(&mut self, patience: Duration) -> Option<(Reply, Vec<u8>)> {
        let delivery = timeout(patience, self.replies.recv()).await.ok()??;
        let reply = self.peer.read(&delivery.body).unwrap_or_else(|error| panic!("{error}"));
        delivery.ticket.ack();
        Some((reply, delivery.body))
    }

    /// The next body, whatever it is.
    #[cfg(feature = "sabotage")]
    pub(crate) async fn next_body(&mut self) -> Vec<u8> {
        let delivery = timeout(PATIENCE, self.replies.recv()).await.unwrap().unwrap();
        delivery.ticket.ack();
        delivery.body
    }

    /// Reads until each of these letters has a reply.
    pub(crate) async fn answers(&mut self, letters: &[Letter]) -> Answers {
        let mut answers = Answers::default();
        self.gather(letters, &mut answers).await;
        answers
    }

    pub(crate) async fn gather(&mut self, letters: &[Letter], answers: &mut Answers) {
        let until = Instant::now() + PATIENCE;
        while let Some(missing) = letters.iter().find(|letter| !answers.0.contains_key(&letter.id)) {
            let Some((reply, body)) = self.next(until.saturating_duration_since(Instant::now())).await else {
                let count = letters.iter().filter(|letter| !answers.0.contains_key(&letter.id)).count();
                panic!("{count} of {} letters are not answered, {} among them", letters.len(), missing.id);
            };
            answers.0.entry(reply.re.unwrap()).or_default().push((reply, body));
        }
    }

    /// Reads what else comes until nothing comes for a second.
    pub(crate) async fn gather_rest(&mut self, answers: &mut Answers) {
        while let Some((reply, body)) = self.next(Duration::from_secs(1)).await {
            answers.0.entry(reply.re.unwrap()).or_default().push((reply, body));
        }
    }

    /// Sends a letter and waits for its reply.
    pub(crate) async fn ask(&mut self, letter: &Letter) -> Reply {
        letter.send(&self.publisher).await.unwrap();
        self.answers(std::slice::from_ref(letter)).await.only(letter).clone()
    }
}

/// Removes what test processes that are gone left behind: statics are not dropped.
fn forget_the_dead(folder: &Path, stage: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(stage).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
