//! `serve`: start in an order in which nothing is taken before it can be answered, stop in the reverse.

use super::{
    Caution, Registrar, ServeError, Suspects, SystemClock, SystemEntropy, admin,
    backup::socket,
    intake::{Brokers, Publishers, RunningRelay, take_in},
    operations::{self, Operations},
    post::{Backlog, Post, post},
    reload::{count, reload},
    timers,
    vault_events::VaultEvents,
};
use crate::{
    broker::{
        BrokerSettings, Intake, IntakeSettings, Limits as QueueLimits, Observer, Partition, Publisher, PublisherSettings, Source, Topology,
        names,
    },
    config::{self, Configuration},
    directory::Directory,
    envelope::Limits,
    examiner::{self, Examiner, Reader, Scanner},
    identifier::{MessageClass, VaultName},
    keyring::RootKey,
    relay::{Keys, Relay, ports::Clock as _},
    telemetry::{
        self, Micros, Words,
        event::{self, Event as _},
    },
    vault::{Anchors, CreateError, FilterInstalled, Outbox, OutboxLimits, Settings, Tuning, Vaults},
};
use std::{process, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

/// How many readers may fall behind by as much as they may before everybody's intake pauses.
const READERS: usize = 8;
/// How many vaults are opened side by side at the start.
const OPENED_AT_ONCE: usize = 8;
/// How long the intake waits, after an unclean stop, for vaults that recover: meanwhile no message could be alone in flight.
const RECOVERY_FIRST: Duration = Duration::from_secs(5);
/// How much of the time for stopping is kept for closing the vaults; a quarter, if that is less.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);
/// How many lanes share the recipients of one broker.
const LANES: u16 = 2;
/// How many parcels go to a broker in one round.
const ROUND: u16 = 256;
/// What the caches of all stores take together, and the least and the most that one takes.
const CACHES: u64 = 128 << 20;
const CACHE: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 20;
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] if it cannot begin.
pub async fn serve(configuration: Configuration, filter: FilterInstalled) -> Result<(), ServeError> {
    let began = Instant::now();
    event::DaemonStarted { version: env!("CARGO_PKG_VERSION"), env: configuration.env, pid: process::id() }.emit();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let directory = configuration.open_directory()?;
    let tenants = count(directory.tenants().count());
    event::DirectoryLoaded { version: directory.version(), principals: count(directory.principals().count()), tenants }.emit();
    let (signing, decryption) = configuration.relay_keys(&directory, SystemClock.now())?;
    let (relay_id, records) = (directory.relay().id.clone(), configuration.signing_key()?);
    let keys = Keys { signing, decryption: decryption.into_iter().map(|key| (key.kid().clone(), key)).collect() };
    let entropy = SystemEntropy::open().map_err(|_| ServeError::Entropy)?;
    // One reader that falls behind is held back by its own backlog; the outbox's own bound is for all readers together.
    let stuck = configuration.limits.outbox as usize;
    let outbox = Outbox::new(OutboxLimits { parcels: stuck.saturating_mul(READERS), ..OutboxLimits::default() });
    let backlog = Arc::new(Backlog::new(stuck));
    let events = VaultEvents::new();
    let vaults = Vaults::new(
        filter,
        Settings {
            data: configuration.data.clone(),
            root_key: RootKey::from_bytes(*config::read_root_key(&configuration.keys.root)?),
            environment: configuration.env.to_string(),
            entropy: Arc::new(entropy.clone()),
            outbox: outbox.clone(),
            listen: events.listener(),
            anchors: configuration.anchors.as_ref().map(|anchors| Anchors::in_folder(anchors.folder.clone())),
            tuning: Tuning {
                cache_bytes: (CACHES / tenants.max(1)).clamp(*CACHE.start(), *CACHE.end()),
                journal_bytes: configuration.limits.journal,
                free_bytes: configuration.limits.free,
                ..Tuning::default()
            },
        },
    )?;
    operations::take_up_next_root(&vaults, &configuration.keys.root)?;
    match vaults.create(VaultName::Platform) {
        Ok(()) | Err(CreateError::Exists) => {}
        Err(error) => return Err(ServeError::PlatformVault(error)),
    }
    let suspects = Arc::new(Suspects::open(&configuration.data)?);

    let observer: Observer = Arc::new(telemetry::broker);
    // A reader whose queue is missing stops nobody else: its replies wait in the outbox, and say so.
    let needed = Topology { readers: Vec::new(), ..topology(&configuration, &directory) };
    let brokers: Vec<_> = configuration.brokers.iter().map(|broker| (broker_settings(broker), broker.user.as_str().to_owned())).collect();
    for (broker, _) in &brokers {
        match needed.check(broker).await {
            // A broker that is down is waited for; one that lacks what must exist is not.
            Err(source) if !source.is_transient() => return Err(ServeError::Topology { broker: broker.to_string(), source }),
            Err(_) | Ok(()) => {}
        }
    }
    let publishers: Arc<Publishers> = Arc::new(
        brokers
            .iter()
            .map(|(broker, user)| {
                let settings = PublisherSettings {
                    broker: broker.clone(),
                    user: user.clone(),
                    lanes: LANES,
                    round: ROUND,
                    confirmed_within: CONFIRMED_WITHIN,
                };
                (Arc::clone(&broker.name), Publisher::start(settings, Arc::clone(&observer)))
            })
            .collect(),
    );

    let brokers_seen = Brokers { publishers: Arc::clone(&publishers), backlog: Arc::clone(&backlog) };
    let registrar = Registrar::new(vaults.clone(), relay_id, records, entropy.clone());
    let operations = Arc::new(Operations::new(vaults.clone(), registrar, &configuration));
    let heard: examiner::Listener = Arc::new(telemetry::examiner);
    let scanner = configuration.scanner.clone().map(|settings| Scanner::new(settings, Arc::new(SystemClock), Arc::clone(&heard)));
    let examiner = Examiner::new(Reader::own(heard), scanner);
    let edges = (vaults.clone(), brokers_seen, SystemClock, entropy, examiner);
    let relay: Arc<RunningRelay> = Arc::new(Relay::new(keys, directory, configuration.suites.clone(), Limits::default(), edges));

    let mut background = JoinSet::new();
    let (carried, posted) = (TaskTracker::new(), TaskTracker::new());
    let office = Post::new(outbox.clone(), Arc::clone(&relay), Arc::clone(&publishers), backlog);
    background.spawn(post(Arc::new(office), posted.clone()));
    background.spawn(timers::keep(vaults.clone(), configuration.anchor_pace()));
    match admin::listen(&configuration.data) {
        Ok(listener) => drop(background.spawn(admin::answer(listener, Arc::clone(&operations), events))),
        // A disk without room for a socket: messages are served all the same.
        Err(error) => event::AdminUnreachable { words: Words::of_system(&error) }.emit(),
    }
    background.spawn(async move { operations.keep().await });
    let (data, kept) = (configuration.data.clone(), vaults.clone());
    background.spawn(async move { socket::answer(&data, kept).await });
    background.spawn(timers::watch(configuration.clone(), Arc::clone(&relay)));
    let mut recovering = tokio::spawn(finish_what_was_begun(vaults.clone()));
    if suspects.caution() == Caution::AfterUncleanStop {
        let _ = timeout(RECOVERY_FIRST, &mut recovering).await;
    }

    let mut intakes = Vec::new();
    for (broker, _) in brokers {
        let settings = IntakeSettings { broker, queues: sources(&configuration) };
        let (intake, deliveries) = Intake::start(settings, Arc::clone(&observer));
        background.spawn(take_in(deliveries, Arc::clone(&relay), Arc::clone(&suspects), outbox.clone(), carried.clone()));
        intakes.push(intake);
    }
    event::DaemonReady { tenants, partitions: configuration.partitions.count(), micros: Micros(began.elapsed()) }.emit();

    let reason = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => reload(&configuration, &relay),
        }
    };

    event::DaemonStopping { reason, in_hand: count(carried.len()) }.emit();
    let end = Instant::now() + configuration.times.shutdown;
    // What is in hand is waited for until the vaults must close.
    let until = end - CLOSED_WITHIN.min(configuration.times.shutdown / 4);
    let left = || until.saturating_duration_since(Instant::now());
    let mut stopping: JoinSet<_> = intakes.into_iter().map(|intake| intake.stop(left())).collect();
    // What hangs at a broker is cut off: its messages come again.
    let _ = timeout(left(), async { while stopping.join_next().await.is_some() {} }).await;
    stopping.abort_all();
    carried.close();
    let finished = timeout(left(), carried.wait()).await.is_ok();
    let unfinished = if finished { 0 } else { count(carried.len()) };
    // What is journalled is safe; publishing it now only saves the next start the work.
    let emptied = async {
        while outbox.load().parcels > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(left().min(Duration::from_secs(5)), emptied).await;
    recovering.abort();
    background.shutdown().await;
    // What does not close in time is recovered from its journal at the next start.
    let _ = timeout(end.saturating_duration_since(Instant::now()), vaults.close_all()).await;
    suspects.close()?;
    event::DaemonStopped { unfinished }.emit();
    Ok(())
}

/// Opens the vaults that have something to do before anyone asks: frames to recover, parcels to publish.
async fn finish_what_was_begun(vaults: Vaults) {
    let places = Arc::new(Semaphore::new(OPENED_AT_ONCE));
    let mut opening = JoinSet::new();
    for name in vaults.unfinished().unwrap_or_default() {
        let (vaults, places) = (vaults.clone(), Arc::clone(&places));
        opening.spawn(async move {
            let _place = places.acquire().await;
            // A vault that cannot be opened has said so; its tenant's messages wait.
            let _ = vaults.resume(name).await;
        });
    }
    opening.join_all().await;
}

/// The queues of the partitions that this daemon serves: where messages come in, and where they come back from waiting.
fn sources(configuration: &Configuration) -> Vec<Source> {
    let own = configuration.partitions.own().iter();
    own.flat_map(|partition| MessageClass::ALL.map(|class| (class, Partition(*partition))))
        .flat_map(|(class, partition)| {
            let prefetch = configuration.limits.prefetch;
            let source = |queue: String, prefetch| Source { queue: queue.into(), prefetch };
            // What waits is rare: it may hold a quarter of the memory besides.
            [source(names::queue(class, partition), prefetch), source(names::again(class, partition), (prefetch / 4).max(1))]
        })
        .collect()
}

/// What must exist on every broker.
#[must_use]
pub fn topology(configuration: &Configuration, directory: &Directory) -> Topology {
    let readers =
        directory.principals().filter_map(|principal| Some((principal.id.clone(), principal.replies.as_ref()?.queue.to_string())));
    Topology {
        tenants: directory.tenants().map(|tenant| (tenant.code, Partition(configuration.partitions.of(tenant)))).collect(),
        partitions: configuration.partitions.count(),
        readers: readers.collect(),
        wait: configuration.times.wait,
        limits: QueueLimits::default(),
    }
}

/// How the broker folder reaches a broker of the configuration.
#[must_use]
pub fn broker_settings(broker: &config::Broker) -> BrokerSettings {
    BrokerSettings {
        name: broker.name.as_str().into(),
        uri: broker.uri.clone(),
        ca: broker.ca.clone(),
        certificate: broker.certificate.clone(),
        key: broker.key.clone(),
        revocations: broker.revocations.clone(),
    }
}
