//! The steps of one request, timed one by one on the vaults of the site, after the comparison.
//!
//! Always: the real functions on real messages, a batch through one step before the next, in one thread; the best batch
//! counts, so that a busy machine adds little. The journal is timed as processor time of the whole process, many frames at
//! once, checkpoints included. Absent: the broker, tasks and logs; they are what is left of the relay's processor time.

use super::{Plan, failed, machine, town::Town};
use crate::{
    calendar::Timestamp,
    cli::{
        CliError, Outside,
        peer::{Peer, PeerSettings},
    },
    command::{Command, Context, Heads},
    config::{Configuration, read_root_key},
    daemon::SystemEntropy,
    envelope::{self, Decrypted, Limits, Padding},
    identifier::{MessageId, MessageType, TenantCode, VaultName},
    keyring::RootKey,
    ledger::Salt,
    record::PersonId,
    relay::{
        Composed, Keys,
        ports::{Answer, Frame, MessageKey, Vault as _},
    },
    tenant::{Copied, Permit, Route, TenantScope, Verified},
    vault::{DiskVault, Outbox, OutboxLimits, Settings, Tuning, Vaults, filter},
};
use clap::Args;
use futures_util::future::join_all;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime, time::Instant};

const BATCHES: usize = 20;
const BATCH: usize = 100;

/// Time the steps of one request.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the principal that asks.
    #[arg(long)]
    asker: PathBuf,
    /// Who asks for what.
    #[command(flatten)]
    plan: Plan,
}

/// The names of the steps, in order.
pub(super) const STEPS: [&str; 9] = ["decrypt", "verify", "scope", "recall", "view", "handle", "compose", "sign", "encrypt"];

/// Prints one line of JSON: microseconds of each step, and of the journal.
pub(super) fn run(config: &Path, arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    // First of all, as long as there is one thread; and memory as in `serve`.
    let filter = filter::install()?;
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let configuration = Configuration::load(config)?;
    let directory = Arc::new(configuration.open_directory()?);
    let (signing, decryption) = configuration.relay_keys(&directory, outside.clock.now())?;
    let keys = Keys { signing, decryption: decryption.into_iter().map(|key| (key.kid().clone(), key)).collect() };
    let settings = PeerSettings::read(&arguments.asker)?;
    let peer = Peer::new(settings.clone(), settings.keys()?);
    let outbox = Outbox::new(OutboxLimits::default());
    let vaults = Vaults::new(
        filter,
        Settings {
            data: configuration.data.clone(),
            root_key: RootKey::from_bytes(*read_root_key(&configuration.keys.root)?),
            environment: configuration.env.to_string(),
            entropy: Arc::new(SystemEntropy::open().map_err(|_| failed("no random bytes"))?),
            outbox: outbox.clone(),
            listen: Arc::new(|_| {}),
            anchors: None,
            tuning: Tuning::default(),
        },
    );
    let vaults = vaults.map_err(failed)?;
    let mut town = Town::of(&arguments.plan)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    // Opening a vault is no step of a request.
    for tenant in &town.tenants {
        runtime.block_on(vaults.resume(VaultName::Tenant(*tenant))).map_err(failed)?;
    }
    let mut best = [Duration::MAX; STEPS.len()];
    let mut journal = Duration::ZERO;
    for batch in 0..BATCHES {
        let now = outside.clock.now();
        let drawn = (0..BATCH).map(|_| (town.draw(now), outside.entropy.bytes()));
        let letters: Result<Vec<_>, CliError> = drawn.map(|((tenant, body), random)| letter(&peer, tenant, &body, random, now)).collect();
        let bench = Steps { configuration: &configuration, directory: &directory, keys: &keys, now, vaults: &vaults, runtime: &runtime };
        let (times, frames) = bench.batch(letters?, outside)?;
        for (best, time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
        let before = machine::processor_time(std::process::id())?;
        let committed = runtime.block_on(async { join_all(frames.iter().map(|(scope, frame)| scope.vault().commit(frame.clone()))).await });
        if committed.iter().any(Result::is_err) {
            return Err(failed("a frame was not committed"));
        }
        // The first opens files and makes the journal's room.
        journal += if batch > 0 { machine::processor_time(std::process::id())?.saturating_sub(before) } else { Duration::ZERO };
        runtime.block_on(async {
            for _ in 0..frames.len() {
                outbox.next().await.settle();
            }
        });
    }
    runtime.block_on(vaults.close_all());
    let micros = |time: Duration, count: usize| (time.as_secs_f64() * 1e7 / count as f64).round() / 10.0;
    let mut line: serde_json::Map<_, _> =
        STEPS.into_iter().zip(best).map(|(name, time)| (name.to_owned(), json!(micros(time, BATCH)))).collect();
    line.insert("journal".to_owned(), json!(micros(journal, BATCH * (BATCHES - 1))));
    Ok(writeln!(outside.out, "{}", serde_json::Value::Object(line))?)
}

/// A request as it comes.
fn letter(
    peer: &Peer,
    tenant: TenantCode,
    body: &serde_json::Value,
    random: [u8; 32],
    now: Timestamp,
) -> Result<(Vec<u8>, Route), CliError> {
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = random;
    let id = MessageId::from_random(id);
    let kind = MessageType::SelfInfoRequest;
    let letter = peer.write(id, tenant, kind, (now, now.plus_seconds(600)), body).map_err(failed)?;
    let route = Route {
        broker: "network".to_owned(),
        exchange: crate::broker::names::IN.to_owned(),
        routing_key: format!("{tenant}.{kind}"),
        user_id: Some(peer.id().to_string()),
        kind: Some(kind.to_string()),
        message_id: Some(id.to_string()),
        copied: Copied::No,
    };
    Ok((letter.body.to_vec(), route))
}

struct Steps<'a> {
    configuration: &'a Configuration,
    directory: &'a Arc<crate::directory::Directory>,
    keys: &'a Keys,
    now: Timestamp,
    vaults: &'a Vaults,
    runtime: &'a runtime::Runtime,
}

/// A message with the vault it is about.
struct Scoped {
    verified: Verified,
    command: Command,
    scope: TenantScope<DiskVault>,
}

/// Does one step for all, and says how long it took.
fn each<A, B>(input: Vec<A>, step: impl FnMut(A) -> Option<B>) -> Result<(Duration, Vec<B>), CliError> {
    let began = Instant::now();
    let output: Option<Vec<B>> = input.into_iter().map(step).collect();
    let took = began.elapsed();
    output.map(|output| (took, output)).ok_or_else(|| failed("a step refused its message"))
}

type Timed = ([Duration; STEPS.len()], Vec<(TenantScope<DiskVault>, Frame)>);

impl Steps<'_> {
    /// Takes one batch through all steps but the last; the frames are ready to be committed.
    fn batch(&self, letters: Vec<(Vec<u8>, Route)>, outside: &Outside<'_>) -> Result<Timed, CliError> {
        let (limits, now) = (Limits::default(), self.now);
        let suites = &self.configuration.suites;
        let (bodies, routes): (Vec<_>, Vec<_>) = letters.into_iter().unzip();
        let (decrypt, decrypted) =
            each(bodies, |body| envelope::decrypt(&body, |kid| self.keys.decryption.get(kid), suites, &limits).ok())?;
        let verify = |decrypted: Decrypted| Verified::verify(decrypted, Arc::clone(self.directory), &limits, now).ok();
        let (verify, verified) = each(decrypted, verify)?;
        let open = |(verified, route): (Verified, Route)| {
            let command = Command::decode(verified.kind(), verified.body()).ok()?;
            let permit = Permit::admit(&verified, &route).ok()?;
            let scope = self.runtime.block_on(TenantScope::open(permit, self.vaults)).ok()?;
            Some(Scoped { verified, command, scope })
        };
        let (scope, scoped) = each(verified.into_iter().zip(routes).collect(), open)?;
        let (recall, scoped) = each(scoped, |scoped| {
            let names = scoped.command.names();
            let persons = names.iter().all(|name| scoped.scope.vault().person(name).is_ok());
            let unknown = scoped.scope.vault().recall(&message(&scoped.verified)).ok()?.is_none();
            (persons && unknown).then_some(scoped)
        })?;
        let fresh = || PersonId([0; 16]);
        let (view, seen) = each(scoped, |scoped| {
            let heads = Heads::of(scoped.scope.vault().view(&scoped.command.first_needs()).ok()?);
            let needs = scoped.command.needs(&context(&scoped.verified, &fresh, &heads, now)?);
            let view = scoped.scope.vault().view(&needs).ok()?;
            Some((scoped, heads, view))
        })?;
        let (handle, handled) = each(seen, |(Scoped { verified, command, scope }, heads, view)| {
            let outcome = command.handle(&context(&verified, &fresh, &heads, now)?, view).ok()?;
            Some(((verified, scope), outcome))
        })?;
        let (asked, outcomes): (Vec<_>, Vec<_>) = handled.into_iter().unzip();
        let salted = asked.iter().zip(outcomes).map(|((verified, _), outcome)| (verified, outcome, Salt(outside.entropy.bytes())));
        let (compose, composed) =
            each(salted.collect(), |(verified, outcome, salt)| Composed::compose(verified, message(verified), outcome, salt, now).ok())?;
        let (sign, signed) = each(composed, |composed| composed.sign(&self.keys.signing).ok())?;
        let (encrypt, encrypted) = each(signed, |signed| signed.encrypt(now).ok())?;
        let frames: Vec<_> = encrypted.into_iter().map(|reply| reply.into_frame()).collect();
        let frames = asked.into_iter().map(|(_, scope)| scope).zip(frames).collect();
        Ok(([decrypt, verify, scope, recall, view, handle, compose, sign, encrypt], frames))
    }
}

fn message(verified: &Verified) -> MessageKey {
    MessageKey { author: verified.author().id.clone(), id: verified.id(), answer: Answer::First }
}

fn context<'a>(verified: &'a Verified, fresh: &'a dyn Fn() -> PersonId, heads: &'a Heads, now: Timestamp) -> Option<Context<'a>> {
    Some(Context {
        now,
        author: verified.author(),
        tenant: verified.directory().tenant(&verified.tenant())?,
        catalogue: verified.directory().catalogue(),
        heads,
        fresh,
        room: Limits::default().longest_payload(Padding::Padme),
        examined: &[],
    })
}
