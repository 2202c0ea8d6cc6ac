//! `nakatsugi demo`: a whole site on this machine, every outcome once, and a table that says what happened.
//!
//! Always: everything real (RabbitMQ over mutual TLS, the daemon as a process, disks); everything below one folder, which is
//! gone afterwards unless it was asked to be kept. The last line of the output is JSON.

use super::{
    Daemon, Endpoint, Layout, Site, SiteError, SiteFolder, SiteOptions, SiteTenant,
    conversation::{Tally, Writer, converse, drain},
    count_events, node,
    offer::offer,
    population::{self, Resident, categories, request},
    prepare,
    site::VHOST,
};
use crate::{
    broker::Observer,
    calendar::Timestamp,
    cli::{CliError, Outside},
    directory::{Catalogue, catalogue},
    identifier::{Category, MessageId, MessageType, TenantCode},
};
use clap::Args;
use serde_json::json;
use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _, stderr},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{Instant, sleep},
};

const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: usize = 100;

/// Show everything at work on this machine: a private broker, three towns, requests and their replies.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make the demonstration's folder here and keep it; everything keeps running until Ctrl-C.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Use this broker, `amqps://host:port/virtual-host`, with the users and certificates that --prepare makes.
    #[arg(long, value_name = "URI", requires = "certificates")]
    pub amqp_uri: Option<String>,
    /// The folder that --prepare made for it.
    #[arg(long, value_name = "FOLDER", requires = "amqp_uri")]
    pub certificates: Option<PathBuf>,
    /// Make certificates, users and a rabbitmq.conf for a broker of your own in this folder, and end.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["keep", "amqp_uri"])]
    pub prepare: Option<PathBuf>,
    /// A name by which that broker is reached from other machines.
    #[arg(long, value_name = "NAME", requires = "prepare")]
    pub host: Vec<String>,
    /// Residents of each tenant.
    #[arg(long, default_value_t = 300, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub residents: u32,
}

/// A tenant of the demonstration and what it provides.
pub(super) struct Town {
    pub(super) code: TenantCode,
    pub(super) provides: Vec<Category>,
    /// Two of them that do not wait for an official: for records that no reply can hold together.
    vast: Vec<Category>,
}

pub(in crate::cli) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let began = Instant::now();
    if let Some(folder) = &arguments.prepare {
        return make_ready(folder, &arguments.host, outside);
    }
    let folder = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => env::temp_dir().join(format!("nakatsugi-demo-{}", MessageId::from_random(outside.entropy.half()))),
    };
    let folder = empty(&folder)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let done = runtime.block_on(async {
        let mut stop = StopSignals::listen().map_err(CliError::Runtime)?;
        // Interrupted, everything that was started is dropped, and so killed.
        let mut shown = tokio::select! {
            () = stop.come() => return Err(CliError::Interrupted),
            shown = demonstrate(&folder, arguments, outside) => shown?,
        };
        if arguments.keep.is_none() {
            say("6/6  an orderly stop")?;
            shown.stop().await?;
            return shown.summary(outside, began);
        }
        shown.summary(outside, began)?;
        say("6/6  everything keeps running until Ctrl-C")?;
        offer(&shown.site, &shown.towns, outside.clock.now())?;
        stop.come().await;
        say("an orderly stop")?;
        shown.stop().await
    });
    // What still starts in the background ends before the folder goes.
    drop(runtime);
    if arguments.keep.is_none() {
        // A folder in the temporary place that could not be removed harms nobody.
        let _ = fs::remove_dir_all(&folder);
    } else {
        say(&format!("kept: {folder}; when you need it no more: rm -r {folder}", folder = folder.display()))?;
    }
    done
}

/// Makes a folder that is not there yet, or is empty.
fn empty(folder: &Path) -> Result<PathBuf, CliError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if folder.exists() && fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::Exists(folder));
    }
    fs::create_dir_all(&folder).map_err(|source| CliError::Write { path: folder.clone(), source })?;
    Ok(folder)
}

/// What a broker of one's own needs to be used by a demonstration.
fn make_ready(folder: &Path, hosts: &[String], outside: &mut Outside<'_>) -> Result<(), CliError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let (file, plugins) = (folder.join("rabbitmq.conf"), folder.join("enabled_plugins"));
    // The last file to be made: with it, all is there from an earlier run.
    if !plugins.exists() {
        let folder = empty(&folder)?;
        let (_, options) = towns(outside.clock.now())?;
        let node = prepare(&folder, &options, &Layout::default(), hosts)?;
        let listen = if hosts.is_empty() { "127.0.0.1:5671" } else { "0.0.0.0:5671" };
        let text = node::configuration(listen, &folder.join("definitions.json"), &node);
        fs::write(&file, text).map_err(|source| CliError::Write { path: file.clone(), source })?;
        fs::write(&plugins, "[rabbitmq_auth_mechanism_ssl].\n").map_err(|source| CliError::Write { path: plugins.clone(), source })?;
    }
    let host = hosts.first().map_or("localhost", String::as_str);
    writeln!(outside.out, "Start RabbitMQ with {} and {}, then run:", file.display(), plugins.display())?;
    writeln!(outside.out, "nakatsugi demo --amqp-uri amqps://{host}:5671/{VHOST} --certificates {}", folder.display())?;
    Ok(())
}

/// A demonstration whose daemon and broker still run.
struct Shown {
    site: Ground,
    daemon: Option<Daemon>,
    towns: Vec<Town>,
    registered: u64,
    tally: Tally,
    dead: u64,
}

/// A site with its own broker, or at one that was given.
enum Ground {
    Own(Site),
    Given(SiteFolder),
}

impl Deref for Ground {
    type Target = SiteFolder;

    fn deref(&self) -> &SiteFolder {
        match self {
            Self::Own(site) => site,
            Self::Given(folder) => folder,
        }
    }
}

impl Shown {
    async fn stop(&mut self) -> Result<(), CliError> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let stopped = spawn_blocking(move || daemon.stop(Duration::from_secs(40))).await;
        let status = stopped.map_err(|error| CliError::Demo(error.to_string()))??;
        if status.success() { Ok(()) } else { Err(CliError::Demo(format!("the daemon stopped with {status}"))) }
    }

    fn summary(&self, outside: &mut Outside<'_>, began: Instant) -> Result<(), CliError> {
        let Self { registered, tally, dead, .. } = self;
        table(outside, *registered, tally, *dead)?;
        let lost = tally.requests - tally.answered;
        let line = json!({
            "requests": tally.requests, "answered": tally.answered, "verified": tally.verified,
            "dead_lettered": dead, "lost": lost, "seconds": began.elapsed().as_secs_f64().round(),
        });
        writeln!(outside.out, "{line}")?;
        if lost == 0 { Ok(()) } else { Err(CliError::Demo(format!("{lost} requests were not answered"))) }
    }
}

async fn demonstrate(folder: &Path, arguments: &Arguments, outside: &Outside<'_>) -> Result<Shown, CliError> {
    let now = outside.clock.now();
    let binary = env::current_exe()?;
    let (towns, options) = towns(now)?;
    let codes: Vec<_> = options.tenants.iter().map(|tenant| tenant.code).collect();

    say(match arguments.amqp_uri {
        None => "1/6  keys, certificates, a signed directory, and a private RabbitMQ node over mutual TLS",
        Some(_) => "1/6  keys and a signed directory, for the broker that was given",
    })?;
    let place = folder.to_owned();
    let given = arguments.amqp_uri.clone().zip(arguments.certificates.clone());
    let made = spawn_blocking(move || match given {
        None => Site::make(&place, &options).map(Ground::Own),
        Some((uri, certificates)) => {
            let certificates = std::path::absolute(&certificates).unwrap_or(certificates);
            SiteFolder::make(&place, &options, &Layout::default(), &Endpoint { uri, certificates }).map(Ground::Given)
        }
    });
    let site = made.await.map_err(|error| CliError::Demo(error.to_string()))??;
    say("2/6  exchanges, queues and bindings; one vault per tenant")?;
    site.apply_topology(|_, _| {}).await?;
    for code in codes {
        let mut add = Command::new(&binary);
        add.args(["tenant", "add", code.as_str(), "--config"]).arg(site.configuration_path());
        if !add.stdout(Stdio::null()).status()?.success() {
            return Err(CliError::Demo(format!("the vault of {code} could not be made")));
        }
    }
    say("3/6  nakatsugi serve")?;
    let daemon = Daemon::start(&binary, &site)?;

    let quiet: Observer = Arc::new(|_| {});
    let mut registered = 0;
    for town in &towns {
        say(&format!("4/6  {}: {} residents and their records", town.code, arguments.residents))?;
        registered += register(&site, town, arguments.residents, outside, now, &quiet).await?;
    }
    say("5/6  the disclosure system asks")?;
    let (tally, expected) = ask(&site, &towns, arguments.residents, outside, now, &quiet).await?;
    let dead = put_aside(daemon.log(), expected).await?;
    Ok(Shown { site, daemon: Some(daemon), towns, registered, tally, dead })
}

/// How many bad messages the daemon put aside, once they are as many as they should be.
async fn put_aside(log: &Path, expected: u64) -> Result<u64, CliError> {
    let mut found = 0;
    for _ in 0..100 {
        found = count_events(log, "message.dead-lettered")?;
        if found >= expected {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    if found == expected { Ok(found) } else { Err(CliError::Demo(format!("{found} of {expected} bad messages were put aside"))) }
}

/// Fujisawa, Yokohama and Kanagawa; and Sapporo, which has not started yet.
fn towns(now: Timestamp) -> Result<(Vec<Town>, SiteOptions), SiteError> {
    let today = now.day_in_japan();
    let later = now.plus_seconds(400 * 86_400).day_in_japan();
    let plan = [
        ("142051", ("藤沢市", "Fujisawa"), [1_u64, 2, 4, 9, 16, 20, 33, 80].as_slice(), today),
        ("141003", ("横浜市", "Yokohama"), [1, 2, 4, 8, 9, 15, 16, 20, 82].as_slice(), today),
        ("140007", ("神奈川県", "Kanagawa"), [8, 15, 16, 21, 29, 74, 82].as_slice(), today),
        ("011002", ("札幌市", "Sapporo"), [1, 2].as_slice(), later),
    ];
    let catalogue = Catalogue::parse(catalogue::TYPICAL.as_bytes())?;
    let (mut towns, mut tenants) = (Vec::new(), Vec::new());
    for (code, name, numbers, self_info) in plan {
        let (code, provides) = (code.parse()?, categories(numbers)?);
        tenants.push(SiteTenant { code, name, categories: provides.iter().cloned().collect(), self_info });
        if self_info <= today {
            let ordinary = |category: &&Category| catalogue.entry(category).is_some_and(|entry| !entry.sensitive);
            let vast = provides.iter().filter(ordinary).take(2).cloned().collect();
            towns.push(Town { code, provides, vast });
        }
    }
    let options = SiteOptions { tenants, partitions: 2, prefetch: 256, wait: Duration::from_secs(5), now };
    Ok((towns, options))
}

/// The municipal system links its residents and registers their records; every tenth record is no longer shown, and the
/// last resident has none.
async fn register(
    site: &SiteFolder,
    town: &Town,
    residents: u32,
    outside: &Outside<'_>,
    now: Timestamp,
    quiet: &Observer,
) -> Result<u64, CliError> {
    let peer = site.peer(&format!("municipal-{}", town.code))?;
    let writer = Writer { peer: &peer, entropy: outside.entropy, now };
    let everyone = || (0..residents).map(|index| Resident { tenant: town.code, index });
    let mut letters = Vec::new();
    for resident in everyone() {
        letters.push(writer.write(town.code, MessageType::PersonLink, &resident.link()).map_err(CliError::Demo)?);
    }
    let mut rows = Vec::new();
    for resident in everyone().take(residents as usize - 1) {
        for (place, category) in town.provides.iter().enumerate().filter(|(place, _)| (resident.index as usize + place).is_multiple_of(2)) {
            let shown =
                if (resident.index as usize + place).is_multiple_of(10) { population::Shown::NoLonger } else { population::Shown::Now };
            rows.push(resident.row(category, shown, now));
        }
    }
    for some in rows.chunks(ROWS) {
        letters.push(writer.write(town.code, MessageType::RecordPut, &json!({ "rows": some })).map_err(CliError::Demo)?);
    }
    let vast = Resident { tenant: town.code, index: residents + 1 };
    for row in town.vast.iter().flat_map(|category| vast.vast_rows(category)) {
        letters.push(writer.write(town.code, MessageType::RecordPut, &json!({ "rows": [row] })).map_err(CliError::Demo)?);
    }
    letters.push(writer.write(town.code, MessageType::PersonLink, &vast.link()).map_err(CliError::Demo)?);
    let publisher = Arc::new(peer.publisher(Arc::clone(quiet)));
    let (_intake, mut replies) = peer.intake(256, Arc::clone(quiet));
    let all = letters.len() as u64;
    let tally = converse(&peer, &publisher, &mut replies, letters, PATIENCE, |done| watch(done, all)).await.map_err(CliError::Demo)?;
    if tally.answered < tally.requests {
        return Err(CliError::Demo(format!("{} of {} messages of {} were answered", tally.answered, tally.requests, town.code)));
    }
    Ok(tally.outcomes.get("stored").copied().unwrap_or_default())
}

/// The disclosure system asks for everybody's records, and for what must be refused.
async fn ask(
    site: &SiteFolder,
    towns: &[Town],
    residents: u32,
    outside: &Outside<'_>,
    now: Timestamp,
    quiet: &Observer,
) -> Result<(Tally, u64), CliError> {
    let peer = site.peer("disclosure")?;
    let writer = Writer { peer: &peer, entropy: outside.entropy, now };
    let made = |letter: Result<_, String>| letter.map_err(CliError::Demo);
    let number = |number: u64| categories(&[number]).map(|mut one| one.remove(0)).map_err(|error| CliError::Demo(error.to_string()));
    let (disability, unknown) = (number(8)?, number(99_999_999_999_999)?);
    let mut letters = Vec::new();
    let mut afterwards = Vec::new();
    for town in towns {
        let all: Vec<_> = town.provides.iter().collect();
        for index in 0..residents {
            letters.push(made(writer.ask(Resident { tenant: town.code, index }, &all))?);
        }
        let (vast, nobody) = (Resident { tenant: town.code, index: residents + 1 }, Resident { tenant: town.code, index: residents + 2 });
        letters.push(made(writer.ask(vast, &town.vast.iter().collect::<Vec<_>>()))?);
        letters.push(made(writer.ask(nobody, &all))?);
        letters.push(made(writer.ask(nobody, &[&disability]))?);
        letters.push(made(writer.ask(nobody, &[&unknown]))?);
        // The same message twice gets the same bytes twice; another message under its id is a conflict.
        let first = made(writer.ask(Resident { tenant: town.code, index: 0 }, &all))?;
        let other = request(&nobody.code(), &all, now);
        letters.push(first.clone());
        afterwards.push(made(writer.write_as(first.id, town.code, MessageType::SelfInfoRequest, &other))?);
        afterwards.push(first);
        // A forged one, and one for another tenant's queue, prove nothing.
        let mut forged = made(writer.ask(nobody, &all))?;
        let mut bytes = forged.body.to_vec();
        if let Some(byte) = bytes.last_mut() {
            *byte = if *byte == b'A' { b'Q' } else { b'A' };
        }
        forged.body = bytes.into();
        let mut astray = made(writer.ask(nobody, &all))?;
        astray.tenant = towns.iter().map(|other| other.code).find(|code| *code != town.code).unwrap_or(town.code);
        afterwards.extend([forged, astray]);
    }
    let sapporo = "011002".parse().map_err(|error: crate::identifier::IdentifierError| CliError::Demo(error.to_string()))?;
    letters.push(made(writer.ask(Resident { tenant: sapporo, index: 0 }, &[&number(2)?]))?);

    let publisher = Arc::new(peer.publisher(Arc::clone(quiet)));
    let (_intake, mut replies) = peer.intake(512, Arc::clone(quiet));
    let all = letters.len() as u64;
    let mut tally = converse(&peer, &publisher, &mut replies, letters, PATIENCE, |done| watch(done, all)).await.map_err(CliError::Demo)?;
    let dead = 2 * towns.len() as u64;
    for letter in afterwards {
        letter.send(&publisher).await.map_err(CliError::Unsent)?;
    }
    // A conflict and a repeat for each town are answered; what proves nothing is not.
    let more = drain(&peer, &mut replies, 2 * towns.len(), &mut tally).await;
    if more < 2 * towns.len() {
        return Err(CliError::Demo("a repeat or a conflict was not answered".to_owned()));
    }
    Ok((tally, dead))
}

fn table(outside: &mut Outside<'_>, registered: u64, tally: &Tally, dead: u64) -> Result<(), CliError> {
    let meaning = |outcome: &str| match outcome {
        "provided" => "records shown to the person",
        "nothing-to-show" => "nobody known, nothing held, or not shown now: the reply does not tell which",
        "pending" => "a sensitive category: waits for an official, whether there is a record or not",
        "not-permitted" => "this tenant does not provide the category",
        "too-large" => "more than a reply can hold",
        "denied: not-in-service" => "the tenant has not started yet",
        "denied: unknown-category" => "no such category in the catalogue",
        "denied: conflict" => "another message under an id that was used",
        _ => "",
    };
    let out = &mut outside.out;
    writeln!(out, "\nregistered by three municipal systems: {registered} records")?;
    writeln!(out, "asked by the disclosure system: {} messages, {} replies opened and verified\n", tally.requests, tally.verified)?;
    writeln!(out, "{:>7}  {:<26}  what it means", "count", "outcome")?;
    for (outcome, count) in &tally.outcomes {
        writeln!(out, "{count:>7}  {outcome:<26}  {}", meaning(outcome))?;
    }
    writeln!(out, "{:>7}  {:<26}  sent twice, answered with the same bytes", tally.repeated, "repeated")?;
    writeln!(out, "{dead:>7}  {:<26}  forged or for another tenant's queue: put aside, still encrypted\n", "dead-lettered")?;
    Ok(())
}

/// Ctrl-C, or being told to end.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

pub(super) fn say(text: &str) -> Result<(), CliError> {
    Ok(writeln!(stderr(), "{text}")?)
}

fn watch(done: u64, all: u64) {
    if stderr().is_terminal() && (done == all || done.is_multiple_of(50)) {
        // Progress is for whoever watches.
        let _ = write!(stderr(), "\r     {done} of {all}{}", if done == all { "\n" } else { "" });
    }
}
