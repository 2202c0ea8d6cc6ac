//! The checks, in the order in which a start would need them.
//!
//! Always: one that cannot be made because an earlier one failed is left out, not guessed.

use super::finding::Finding;
use crate::{
    broker::BrokerError,
    calendar::Timestamp,
    cli::{CliError, counted, left_behind, rotate::key_uses},
    config::{self, Broker, Configuration, read_root_key},
    daemon::{self, operations::next_root},
    directory::{DatedKey, Directory, Principal},
    envelope::Environment,
    examiner::{Scanner, ScannerSettings, ScannerState},
    identifier::{MessageClass, VaultName},
    keyring::RootKey,
    relay::ports::Clock,
    vault::{Anchors, Flaw, KeyUse, filter, inspect},
};
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
};
use tokio::runtime;

/// Whatever ends within this many days is warned of.
const SOON_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;
/// Room for less than this many times what the vaults insist on is warned of.
const LITTLE_ROOM: u64 = 4;
/// How many names a line holds.
const NAMED: usize = 5;

pub(super) fn all(config: &Path, now: Timestamp) -> Vec<Finding> {
    let mut found = vec![filter()];
    let configuration = match Configuration::load(config) {
        Ok(configuration) => configuration,
        Err(error) => {
            found.push(Finding::error("configuration", error));
            return found;
        }
    };
    found.push(Finding::good("configuration", format!("{}: {}", config.display(), configuration.env)));
    let directory = match configuration.open_directory() {
        Ok(directory) => {
            found.push(Finding::good("directory", signed(&configuration, &directory)));
            Some(directory)
        }
        Err(error) => {
            found.push(Finding::error("directory", error));
            None
        }
    };
    found.push(root_key(&configuration));
    found.extend(configuration.scanner.clone().map(|settings| scanner(settings, now)));
    if let Some(directory) = &directory {
        found.push(relay_keys(&configuration, directory, now));
        found.push(others(directory, now));
    }
    found.extend(secrets_left(&configuration));
    found.push(anchors(&configuration));
    found.extend(data_folder(&configuration.data, configuration.limits.free));
    if let Some(directory) = &directory {
        found.extend(vaults(&configuration, directory, now));
        for broker in &configuration.brokers {
            match certificate(broker, now) {
                Err(error) => found.push(Finding::error("certificate", CliError::of(&daemon::broker_settings(broker))(error))),
                Ok(finding) => {
                    found.extend(finding);
                    found.push(reach(&configuration, directory, broker));
                }
            }
        }
    }
    found
}

fn filter() -> Finding {
    match filter::install() {
        Ok(_) => Finding::good("filter", "sync_file_range is refused, so that stores sync as they should"),
        Err(error) => Finding::error("filter", error),
    }
}

fn signed(configuration: &Configuration, directory: &Directory) -> String {
    let (principals, tenants) = (directory.principals().count(), directory.tenants().count());
    let path = configuration.directory.file.display();
    let (principals, tenants) = (counted(principals as u64, "principal"), counted(tenants as u64, "tenant"));
    format!("{path}: version {}, signed, {principals}, {tenants}", directory.version())
}

fn root_key(configuration: &Configuration) -> Finding {
    let path = &configuration.keys.root;
    match read_root_key(path) {
        Ok(_) => Finding::good("root key", format!("{}: readable by its user only", path.display())),
        Err(error) => Finding::error("root key", error),
    }
}

fn relay_keys(configuration: &Configuration, directory: &Directory, now: Timestamp) -> Finding {
    if let Err(error) = configuration.relay_keys(directory, now) {
        return Finding::error("relay keys", error);
    }
    let relay = directory.relay();
    let ends = relay.signing.iter().map(end).chain(relay.encryption.iter().map(end)).filter(|end| *end > now).min();
    match ends.map(|end| days(now, end)) {
        Some(left) if left <= SOON_DAYS => {
            Finding::warning("relay keys", format!("one ends in {left} days"), "make a new one, enter it in the directory, and sign it")
        }
        Some(left) => Finding::good("relay keys", format!("stand in the directory; the first ends in {left} days")),
        None => Finding::failed("relay keys", "none counts now", "make new ones, enter them in the directory, and sign it"),
    }
}

/// Whether the virus scanner answers, and knows what is known.
fn scanner(settings: ScannerSettings, now: Timestamp) -> Finding {
    struct Then(Timestamp);
    impl Clock for Then {
        fn now(&self) -> Timestamp {
            self.0
        }
    }
    let (socket, most) = (settings.socket.to_string(), settings.signature_days);
    let state = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(Scanner::new(settings, Arc::new(Then(now)), Arc::new(|_| {})).state()),
        Err(error) => ScannerState::Unavailable { detail: error.to_string() },
    };
    match state {
        ScannerState::Good { days } => Finding::good("scanner", format!("{socket}: answers, signatures {days} days old")),
        ScannerState::Stale { days } => {
            let age = days.map_or_else(|| "without a date".to_owned(), |days| format!("{days} days old"));
            let next = "files are refused until its signatures are renewed: see that freshclam runs, or allow more signature_days";
            Finding::failed("scanner", format!("{socket}: signatures {age}, at most {most} are allowed"), next)
        }
        ScannerState::Unavailable { detail } => {
            let next = "files are refused until it answers: see that clamd runs and that the daemon's user may use its socket";
            Finding::failed("scanner", format!("{socket}: {detail}"), next)
        }
    }
}

/// The keys of everybody else.
fn others(directory: &Directory, now: Timestamp) -> Finding {
    let at = |principal: &Principal, then| principal.signing.iter().any(|dated| dated.at(then).is_ok());
    let later = now.plus_seconds(SOON_DAYS * DAY);
    let without: Vec<_> =
        directory.principals().filter(|principal| !at(principal, now)).map(|principal| principal.id.to_string()).collect();
    let soon: Vec<_> = directory
        .principals()
        .filter(|principal| at(principal, now) && !at(principal, later))
        .map(|principal| principal.id.to_string())
        .collect();
    let next = "enter their new keys in the directory, then run: nakatsugi directory sign --key FILE";
    match (without.as_slice(), soon.as_slice()) {
        ([], []) => Finding::good("principals", format!("each has a signing key that counts for {SOON_DAYS} days more")),
        ([], soon) => Finding::warning("principals", format!("the signing keys of {} end within {SOON_DAYS} days", names(soon)), next),
        (without, _) => Finding::warning("principals", format!("{} have no signing key that counts now", names(without)), next),
    }
}

fn secrets_left(configuration: &Configuration) -> Vec<Finding> {
    let left = left_behind(configuration).into_iter();
    left.map(|(kind, path)| {
        let next = match kind {
            "shares" => "move each share to another person and place, and run there: nakatsugi keys shares verify",
            _ => "move it to where the authority's key is kept; whoever has it decides who may say what",
        };
        let words = format!("{} must not lie on the machine that serves", path.display());
        match configuration.env {
            Environment::Production => Finding::failed(kind, words, next),
            Environment::Trial => Finding::warning(kind, words, next),
        }
    })
    .collect()
}

/// Where tree heads are anchored.
fn anchors(configuration: &Configuration) -> Finding {
    let next = "name a folder on another volume under [anchors], then run: nakatsugi directory sign --key FILE";
    let Some(config::Anchors { folder, every }) = &configuration.anchors else {
        return Finding::warning("anchors", "none are kept: a restored old copy would not be noticed", next);
    };
    let words = format!("{}: every {} s", folder.display(), every.as_secs());
    if !folder.is_dir() {
        let next = "mount its volume, or make the folder if it is new; until then no vault opens";
        return Finding::failed("anchors", format!("{}: there is no such folder", folder.display()), next);
    }
    if Anchors::in_folder(folder.clone()).shares_volume_with(&configuration.data) {
        let words = format!("{words}, on the volume of the data");
        return match configuration.env {
            Environment::Production => Finding::warning("anchors", words, next),
            Environment::Trial => Finding::good("anchors", words),
        };
    }
    Finding::good("anchors", words)
}

fn data_folder(data: &Path, insisted: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    let about = match fs::metadata(data) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::good("data", format!("{}: not there yet; the first start makes it", data.display()))];
        }
        Err(error) => {
            return vec![Finding::failed("data", format!("{}: {error}", data.display()), "see that the folder is the daemon's")];
        }
    };
    let used = File::open(data.join("lock")).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    let running = if used { "the daemon runs" } else { "no daemon runs" };
    match rustix::fs::statvfs(data) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let words = format!("{}: {} MiB free, {running}", data.display(), free >> 20);
            let next = "make room, or move the data folder to a larger disk; below free_mebibytes nothing more is taken in";
            found.push(if free < insisted {
                Finding::failed("data", words, next)
            } else if free < insisted.saturating_mul(LITTLE_ROOM) {
                Finding::warning("data", words, next)
            } else {
                Finding::good("data", words)
            });
        }
        Err(error) => found.push(Finding::failed("data", format!("{}: {error}", data.display()), "see that the disk is mounted")),
    }
    if about.mode() & 0o077 != 0 {
        let words = format!("{}: others can look into it (mode {:03o})", data.display(), about.mode() & 0o777);
        found.push(Finding::warning("data", words, format!("run: chmod 700 {}", data.display())));
    }
    found
}

fn vaults(configuration: &Configuration, directory: &Directory, now: Timestamp) -> Vec<Finding> {
    let Ok(root) = read_root_key(&configuration.keys.root) else { return Vec::new() };
    let root = RootKey::from_bytes(*root);
    let (folder, environment) = (configuration.data.join("vaults"), configuration.env.to_string());
    let anchors = configuration.anchors.as_ref().map(|anchors| Anchors::in_folder(anchors.folder.clone()));
    let mut whole = 0_usize;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    if let Err(flaw) = inspect(&folder, VaultName::Platform, &root, &environment, anchors.as_ref())
        && !matches!(flaw, Flaw::Missing)
    {
        let next = "what proves nothing waits until it opens: restore this vault from its backup, and keep what is there";
        found.push(Finding::failed("vault", format!("platform: {flaw}"), next));
    }
    for tenant in directory.tenants() {
        let journal = folder_bytes(&folder.join(tenant.code.as_str()).join("journal"));
        if journal > configuration.limits.journal / 10 * 9 {
            let words = format!("{}: its journal has {} of at most {} MiB", tenant.code, journal >> 20, configuration.limits.journal >> 20);
            found.push(Finding::warning("vault", words, "give it more (journal_mebibytes), or it takes in nothing more when it is full"));
        }
        match inspect(&folder, VaultName::Tenant(tenant.code), &root, &environment, anchors.as_ref()) {
            Ok(()) => whole += 1,
            Err(Flaw::Missing) => {
                let today = now.day_in_japan();
                if MessageClass::ALL.iter().any(|class| tenant.serves(*class, today)) {
                    missing.push(tenant.code.to_string());
                }
            }
            Err(flaw @ Flaw::Suspect) => found.push(Finding::warning(
                "vault",
                format!("{}: {flaw}", tenant.code),
                "nothing, if it opens; see the log for vault.rebuilt",
            )),
            Err(flaw @ Flaw::Anchor(_)) => {
                found.push(Finding::failed("vault", format!("{}: {flaw}", tenant.code), "until then its tenant is not served"));
            }
            Err(flaw) => {
                let next = "its tenant is not served: restore this vault from its backup, and keep what is there for whoever looks into it";
                found.push(Finding::failed("vault", format!("{}: {flaw}", tenant.code), next));
            }
        }
    }
    if !missing.is_empty() {
        let next = "stop the daemon, then run for each: nakatsugi tenant add CODE";
        found.push(Finding::failed("vaults", format!("{} are in service and have none", names(&missing)), next));
    }
    found.extend(data_keys(configuration, directory, now));
    found.push(Finding::good("vaults", format!("{whole} with a keyring that opens, a manifest that holds and their journal")));
    found
}

/// How much was sealed under the data keys, and whether one is over its time.
fn data_keys(configuration: &Configuration, directory: &Directory, now: Timestamp) -> Vec<Finding> {
    let tenants = directory.tenants().map(|tenant| VaultName::Tenant(tenant.code));
    let uses = tenants.filter_map(|vault| Some((vault, key_uses(configuration, vault).ok()?))).collect::<Vec<_>>();
    let most = uses.iter().flat_map(|(vault, keys)| keys.iter().map(move |key| (key.seals, vault))).max();
    let mut found = Vec::new();
    if let Some((seals, vault)) = most {
        found.push(Finding::good("data keys", format!("at most {seals} values are sealed under one ({vault})")));
    }
    let life = i64::try_from(configuration.times.key.as_secs()).unwrap_or(i64::MAX);
    let over = |keys: &[KeyUse]| {
        let old = keys.last().and_then(|key| key.since).is_some_and(|since| since.seconds().saturating_add(life + DAY) <= now.seconds());
        old || keys.len() > 1
    };
    let late: Vec<_> = uses.iter().filter(|(_, keys)| over(keys)).map(|(vault, _)| vault.to_string()).collect();
    if !late.is_empty() {
        let words = format!("{}: to be replaced, or in the middle of it", names(&late));
        found.push(Finding::warning("data keys", words, "let the daemon do it, or run: nakatsugi keys rotate --all"));
    }
    if next_root(&configuration.keys.root).exists() {
        let words = format!("{}: the rotation of the root key is not finished", next_root(&configuration.keys.root).display());
        found.push(Finding::warning("root key", words, "go on: nakatsugi keys rotate --root"));
    }
    found
}

fn certificate(broker: &Broker, now: Timestamp) -> Result<Option<Finding>, BrokerError> {
    let settings = daemon::broker_settings(broker);
    let path = broker.certificate.display();
    let next = "issue a new one; the daemon reads it at its next connection";
    if !settings.certificate_counts(now)? {
        return Ok(Some(Finding::failed("certificate", format!("{path}: does not count now"), next)));
    }
    let later = settings.certificate_counts(now.plus_seconds(SOON_DAYS * DAY))?;
    Ok((!later).then(|| Finding::warning("certificate", format!("{path}: ends within {SOON_DAYS} days"), next)))
}

fn reach(configuration: &Configuration, directory: &Directory, broker: &Broker) -> Finding {
    let topology = daemon::topology(configuration, directory);
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Finding::error("broker", CliError::Runtime(error)),
    };
    let settings = daemon::broker_settings(broker);
    match runtime.block_on(topology.check(&settings)) {
        Ok(()) => Finding::good(
            "broker",
            format!("{}: reachable over mutual TLS, {} exchanges, queues and bindings", broker.name, topology.plan().len()),
        ),
        Err(error) => Finding::error("broker", CliError::of(&settings)(error)),
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
}

fn end<K>(dated: &DatedKey<K>) -> Timestamp {
    dated.revoked_at.map_or(dated.not_after, |revoked| revoked.min(dated.not_after))
}

const fn days(from: Timestamp, to: Timestamp) -> i64 {
    (to.seconds() - from.seconds()) / DAY
}

/// The first few, and how many more.
fn names(all: &[String]) -> String {
    let some = all.get(..NAMED.min(all.len())).unwrap_or_default().join(", ");
    if all.len() > NAMED { format!("{some} and {} more", all.len() - NAMED) } else { some }
}
