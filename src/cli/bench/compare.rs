//! The comparison: one site, three subjects, rounds in turn.
//!
//! Always: everything below one folder, gone afterwards unless it was asked to be kept; what is still under way when a
//! round ends is waited for before the next subject's begins; replies of the relay are opened, verified and looked into,
//! a sample of each round, or its figures would not count.

use super::{
    Plan, failed,
    figures::{Measured, Rest, Round, Subject, ratio},
    load::{Load, Shot, Volley},
    machine,
    report::{Replies, Report, Steps},
    town::{PARTITIONS, Town},
};
use crate::{
    cli::{
        CliError, Outside,
        demo::{Daemon, Site},
        peer::{Peer, PeerSettings},
    },
    identifier::{MessageId, MessageType},
};
use std::{
    env, fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{runtime, time::Instant};

/// How long requests stay valid after they were made, in seconds.
const VALID: i64 = 3_000;
/// More requests are prepared for a round than the last one answered, by this much.
const SPARE: f64 = 1.4;
/// How long the relay is left alone before and while its idle cost is taken, at most.
const AT_REST: Duration = Duration::from_secs(5);
/// The rate that the first round is prepared for.
const GUESS: f64 = 3_000.0;

pub(super) fn run(plan: &Plan, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let folder = match &plan.keep {
        Some(folder) => folder.clone(),
        None => env::temp_dir().join(format!("nakatsugi-bench-{}", MessageId::from_random([outside.entropy.bytes()[0]; 16]))),
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    if folder.exists() && fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::Exists(folder));
    }
    fs::create_dir_all(&folder).map_err(|source| CliError::Write { path: folder.clone(), source })?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let done = compare(&folder, plan, outside, &runtime);
    if plan.keep.is_none() {
        // A folder in the temporary place that could not be removed harms nobody.
        let _ = fs::remove_dir_all(&folder);
    }
    done
}

fn compare(folder: &Path, plan: &Plan, outside: &mut Outside<'_>, runtime: &runtime::Runtime) -> Result<(), CliError> {
    let binary = env::current_exe()?;
    let town = Town::of(plan)?;
    let (options, layout) = town.site(plan, outside.clock.now());
    say("a private RabbitMQ node over mutual TLS, keys and a signed directory");
    let mut site = Site::make_as(folder, &options, &layout)?;
    say("exchanges, queues and bindings");
    runtime.block_on(site.apply_topology(|done, all| progress("bindings", done as u64, all as u64)))?;
    say(&format!("{} vaults", town.tenants.len()));
    let mut vaults = Command::new(&binary);
    vaults.args(["bench", "vaults", "--config"]).arg(site.configuration_path());
    if !vaults.stdin(Stdio::null()).stdout(Stdio::null()).status()?.success() {
        return Err(failed("the vaults could not be made"));
    }
    say("nakatsugi serve");
    let mut daemon = Daemon::start(&binary, &site)?;
    say("residents and their records, through the relay");
    let registering = Instant::now();
    let records = runtime.block_on(town.register(&site, outside, |done, all| progress("records", done, all)))?;
    say(&format!("{records} records in {:.1} s", registering.elapsed().as_secs_f64()));

    let broker = site.node().pid().ok_or_else(|| failed("the broker ended"))?;
    let asker = folder.join("peers/disclosure");
    let settings = PeerSettings::read(&asker)?;
    let peer = site.peer("disclosure")?;
    let load = runtime.block_on(Load::connect(&settings))?;
    let mut bench =
        Bench { plan, town, peer, load, runtime, broker, pids: [0, 0, daemon.pid()], data: folder.join("data"), expected: [GUESS; 3] };

    // The first requests open the vaults, and tell how long a reply is.
    let first = bench.shots(outside, bench.town.tenants.len().max(500) * 2)?;
    let warmed = runtime.block_on(bench.load.saturate(&first, 256, Duration::from_secs(600)))?;
    let length = bench.look_into(&warmed)?;
    let mut bare = Vec::new();
    for (subject, partition) in [Subject::Echo, Subject::Floor].into_iter().zip(PARTITIONS.into_iter().skip(1)) {
        let child = Bare::start(&binary, &site, subject, partition, length, &asker)?;
        if let Some(pid) = bench.pids.get_mut(subject as usize) {
            *pid = child.0.id();
        }
        bare.push(child);
    }
    let mut measured = [const { Measured { rounds: Vec::new(), latencies: Vec::new(), memory: (0, 0) } }; 3];
    for subject in Subject::ALL {
        bench.round(subject, outside, Duration::from_secs_f64((plan.seconds / 2.0).max(0.5)))?;
    }
    for number in 1..=plan.rounds {
        for (subject, measured) in Subject::ALL.into_iter().zip(&mut measured) {
            let round = bench.round(subject, outside, Duration::from_secs_f64(plan.seconds))?;
            let [own, broker, load] = round.micros();
            let figures = format!("{:>7.0} /s   µs of core: {own:>4.0} own, {broker:>4.0} broker, {load:>4.0} load", round.rate);
            say(&format!("round {number} of {}: {:<5} {figures}", plan.rounds, subject.as_str()));
            measured.rounds.push(round);
        }
    }
    let [_, _, relay] = &measured;
    let half = relay.rate() / 2.0;
    say(&format!("latency at {half:.0} /s"));
    for _ in 1..=plan.rounds {
        for (subject, measured) in Subject::ALL.into_iter().zip(&mut measured) {
            let volley = bench.paced(subject, outside, half)?;
            measured.latencies.extend(volley.replies.iter().map(|(_, took)| *took));
        }
    }
    for (measured, pid) in measured.iter_mut().zip(bench.pids) {
        measured.latencies.sort_unstable();
        measured.memory = machine::memory(pid)?;
    }
    drop(bare);
    say("at rest, and a start");
    let idle = bench.idle(AT_REST.min(Duration::from_secs_f64(plan.seconds)))?;
    stop(&mut daemon)?;
    let first = bench.shots(outside, 1)?;
    let starting = Instant::now();
    daemon = Daemon::start(&binary, &site)?;
    // It waits in the queue until the relay takes it.
    bench.look_into(&runtime.block_on(bench.load.saturate(&first, 1, AT_REST))?)?;
    let rest = Rest { start: starting.elapsed(), idle };
    stop(&mut daemon)?;
    let steps = steps(&binary, &site, plan, &asker)?;
    let [echo, floor, relay] = &measured;
    say(&format!("relay/floor {:.2}, relay/echo {:.2}", ratio(relay, floor), ratio(relay, echo)));
    Report { plan, replies: Replies { length, half }, measured: &measured, rest: &rest, steps: &steps }.write(outside.out)
}

fn stop(daemon: &mut Daemon) -> Result<(), CliError> {
    let status = daemon.stop(Duration::from_secs(120))?;
    if status.success() { Ok(()) } else { Err(failed(format!("the relay ended with {status}"))) }
}

/// Microseconds of each step, by its name.
fn steps(binary: &Path, site: &Site, plan: &Plan, asker: &Path) -> Result<Steps, CliError> {
    let mut command = Command::new(binary);
    command.args(["bench", "steps", "--asker"]).arg(asker).args(plan.arguments());
    let output = command.arg("--config").arg(site.configuration_path()).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    serde_json::from_slice(&output.stdout).map_err(|_| failed("the steps could not be timed"))
}

/// Everything that rounds need.
struct Bench<'a> {
    plan: &'a Plan,
    town: Town,
    peer: Peer,
    load: Load,
    runtime: &'a runtime::Runtime,
    broker: u32,
    pids: [u32; 3],
    data: PathBuf,
    /// The rate that the next round of each subject is prepared for.
    expected: [f64; 3],
}

impl Bench<'_> {
    /// Requests that nobody has seen yet, made on all cores.
    fn shots(&mut self, outside: &Outside<'_>, count: usize) -> Result<Vec<Shot>, CliError> {
        let now = outside.clock.now();
        let drawn: Vec<_> = (0..count).map(|_| (self.town.draw(now), outside.entropy.bytes())).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let peer = &self.peer;
        let make = |((tenant, body), random): &((_, serde_json::Value), [u8; 32])| {
            let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *random;
            let id = MessageId::from_random(id);
            let letter = peer.write(id, *tenant, MessageType::SelfInfoRequest, (now, now.plus_seconds(VALID)), body);
            letter.map(|letter| Shot { id: id.to_string(), tenant: *tenant, body: letter.body }).map_err(failed)
        };
        std::thread::scope(|scope| {
            let share = count.div_ceil(threads).max(1);
            let parts: Vec<_> = drawn.chunks(share).map(|part| scope.spawn(move || part.iter().map(make).collect())).collect();
            let made: Result<Vec<Vec<Shot>>, CliError> =
                parts.into_iter().map(|part| part.join().unwrap_or_else(|_| Ok(Vec::new()))).collect();
            made.map(|made| made.into_iter().flatten().collect())
        })
    }

    /// Requests for one subject: the relay takes each once; to echo and floor a few are as good as many.
    fn shots_for(&mut self, subject: Subject, outside: &Outside<'_>, count: usize) -> Result<Vec<Shot>, CliError> {
        let [echo, floor] = self.town.astray;
        let tenant = match subject {
            Subject::Relay => return self.shots(outside, count),
            Subject::Echo => echo,
            Subject::Floor => floor,
        };
        let few = self.shots(outside, 64)?;
        Ok(few.iter().cycle().take(count).map(|shot| Shot { id: String::new(), tenant, body: shot.body.clone() }).collect())
    }

    /// A round under full load.
    fn round(&mut self, subject: Subject, outside: &Outside<'_>, length: Duration) -> Result<Round, CliError> {
        let expected = self.expected.get(subject as usize).copied().unwrap_or(GUESS);
        let count = expected.mul_add(length.as_secs_f64() * SPARE, f64::from(self.plan.window)) as usize;
        let shots = self.shots_for(subject, outside, count)?;
        let pids = [self.pids.get(subject as usize).copied().unwrap_or_default(), self.broker, std::process::id()];
        let spent =
            || Ok::<_, CliError>([machine::processor_time(pids[0])?, machine::processor_time(pids[1])?, machine::processor_time(pids[2])?]);
        let on_disk = |data: &Path| if subject == Subject::Relay { machine::disk(data) } else { 0 };
        let disk = on_disk(&self.data);
        let before = spent()?;
        let volley = self.runtime.block_on(self.load.saturate(&shots, self.plan.window as usize, length))?;
        let after = spent()?;
        let disk = on_disk(&self.data).cast_signed() - disk.cast_signed();
        if subject == Subject::Relay {
            self.look_into(&volley)?;
        }
        let mut processor = after;
        for (after, before) in processor.iter_mut().zip(before) {
            *after = after.saturating_sub(before);
        }
        let rate = volley.rate();
        if let Some(expected) = self.expected.get_mut(subject as usize) {
            *expected = rate.max(500.0);
        }
        Ok(Round { rate, requests: volley.replies.len() as u64, processor, disk })
    }

    /// A round at a given rate.
    fn paced(&mut self, subject: Subject, outside: &Outside<'_>, rate: f64) -> Result<Volley, CliError> {
        let shots = self.shots_for(subject, outside, (rate * self.plan.seconds).max(1.0) as usize)?;
        self.runtime.block_on(self.load.pace(&shots, rate))
    }

    /// The share of one core that the relay takes when nobody asks. What follows a busy time is let pass first.
    fn idle(&self, length: Duration) -> Result<f64, CliError> {
        let pid = self.pids.last().copied().unwrap_or_default();
        std::thread::sleep(length);
        let (before, began) = (machine::processor_time(pid)?, Instant::now());
        std::thread::sleep(length);
        let spent = machine::processor_time(pid)?.saturating_sub(before);
        Ok(spent.as_secs_f64() / began.elapsed().as_secs_f64())
    }

    /// Opens the sampled replies of the relay. Returns how long the longest is.
    fn look_into(&self, volley: &Volley) -> Result<usize, CliError> {
        let mut longest = 0;
        for body in &volley.sample {
            let reply = self.peer.read(body).map_err(failed)?;
            let text = reply.body.get();
            let wrong = text.contains("\"code\"") && !text.contains("\"categories\"");
            if reply.kind != MessageType::SelfInfoReply || wrong || (self.plan.withheld <= 0.0 && !text.contains("\"provided\"")) {
                return Err(failed("the relay answered something else than was asked"));
            }
            longest = longest.max(body.len());
        }
        Ok(longest)
    }
}

/// A bare relay in a process of its own; it ends when its input does.
struct Bare(Child);

impl Bare {
    fn start(binary: &Path, site: &Site, subject: Subject, partition: u16, reply: usize, asker: &Path) -> Result<Self, CliError> {
        let mut command = Command::new(binary);
        command.args(["bench", subject.as_str(), "--partition", &partition.to_string(), "--reply", &reply.to_string()]);
        command.arg("--asker").arg(asker).arg("--config").arg(site.configuration_path());
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn say(text: &str) {
    // Progress is for whoever watches.
    let _ = writeln!(stderr(), "{text}");
}

fn progress(what: &str, done: u64, all: u64) {
    use std::io::IsTerminal as _;
    if stderr().is_terminal() && (done == all || done.is_multiple_of(64)) {
        let _ = write!(stderr(), "\r  {what} {done} of {all}{}", if done == all { "\n" } else { "" });
    }
}
