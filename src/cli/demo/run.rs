//! `nakatsugi demo`: a whole site on this machine, every outcome once, and a table that says what happened.
//!
//! Always: everything real (RabbitMQ over mutual TLS, the daemon as a process, disks); everything below one folder, which is
//! gone afterwards unless it was asked to be kept. The last line of the output is JSON.

use super::{
    Daemon, Site, SiteError, SiteOptions, SiteTenant,
    conversation::{Tally, Writer, converse, drain},
    count_events,
    population::{Resident, Shown, categories, request},
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
    io::{IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime, time::Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: usize = 100;

/// Show everything at work on this machine: a private broker, three towns, requests and their replies.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Keep the demonstration's folder, and make it here instead of in a temporary place.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Residents of each tenant.
    #[arg(long, default_value_t = 300, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub residents: u32,
}

/// A tenant of the demonstration and what it provides.
struct Town {
    code: TenantCode,
    provides: Vec<Category>,
    /// Two of them that do not wait for an official: for records that no reply can hold together.
    vast: Vec<Category>,
}

pub(in crate::cli) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let began = Instant::now();
    let folder = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => env::temp_dir().join(format!("nakatsugi-demo-{}", MessageId::from_random([outside.entropy.bytes()[0]; 16]))),
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    if folder.exists() && fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::Exists(folder));
    }
    fs::create_dir_all(&folder).map_err(|source| CliError::Write { path: folder.clone(), source })?;
    let done = demonstrate(&folder, arguments, outside, began);
    if arguments.keep.is_none() {
        // A folder in the temporary place that could not be removed harms nobody.
        let _ = fs::remove_dir_all(&folder);
    } else {
        writeln!(stderr(), "kept: {}", folder.display())?;
    }
    done
}

fn demonstrate(folder: &Path, arguments: &Arguments, outside: &mut Outside<'_>, began: Instant) -> Result<(), CliError> {
    let now = outside.clock.now();
    let binary = env::current_exe()?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let (towns, options) = towns(now)?;

    say("1/6  keys, certificates, a signed directory, and a private RabbitMQ node over mutual TLS")?;
    let site = Site::make(folder, &options)?;
    say("2/6  exchanges, queues and bindings; one vault per tenant")?;
    runtime.block_on(site.apply_topology(|_, _| {}))?;
    for tenant in &options.tenants {
        let mut add = Command::new(&binary);
        add.args(["tenant", "add", tenant.code.as_str(), "--config"]).arg(site.configuration_path());
        if !add.stdout(Stdio::null()).status()?.success() {
            return Err(CliError::Demo(format!("the vault of {} could not be made", tenant.code)));
        }
    }
    say("3/6  nakatsugi serve")?;
    let mut daemon = Daemon::start(&binary, &site)?;

    let quiet: Observer = Arc::new(|_| {});
    let (registered, tally, expected_dead) = runtime.block_on(async {
        let mut registered = 0;
        for town in &towns {
            say(&format!("4/6  {}: {} residents and their records", town.code, arguments.residents))?;
            registered += register(&site, town, arguments.residents, outside, now, &quiet).await?;
        }
        say("5/6  the disclosure system asks")?;
        let (tally, expected_dead) = ask(&site, &towns, arguments.residents, outside, now, &quiet).await?;
        Ok::<_, CliError>((registered, tally, expected_dead))
    })?;
    say("6/6  an orderly stop")?;
    let status = daemon.stop(Duration::from_secs(40))?;
    let dead_lettered = count_events(daemon.log(), "message.dead-lettered")?;
    if !status.success() || dead_lettered != expected_dead {
        return Err(CliError::Demo(format!("stopped with {status}, {dead_lettered} of {expected_dead} bad messages put aside")));
    }
    table(outside, registered, &tally, dead_lettered)?;
    let lost = tally.requests - tally.answered;
    let line = json!({
        "requests": tally.requests, "answered": tally.answered, "verified": tally.verified,
        "dead_lettered": dead_lettered, "lost": lost, "seconds": began.elapsed().as_secs_f64().round(),
    });
    writeln!(outside.out, "{line}")?;
    if lost == 0 { Ok(()) } else { Err(CliError::Demo(format!("{lost} requests were not answered"))) }
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
    site: &Site,
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
            let shown = if (resident.index as usize + place).is_multiple_of(10) { Shown::NoLonger } else { Shown::Now };
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
    site: &Site,
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

fn say(text: &str) -> Result<(), CliError> {
    Ok(writeln!(stderr(), "{text}")?)
}

fn watch(done: u64, all: u64) {
    if stderr().is_terminal() && (done == all || done.is_multiple_of(50)) {
        // Progress is for whoever watches.
        let _ = write!(stderr(), "\r     {done} of {all}{}", if done == all { "\n" } else { "" });
    }
}
