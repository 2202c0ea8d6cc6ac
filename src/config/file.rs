//! The file as it stands: TOML, with the line of every mistake.
//!
//! Always: unknown keys are refused, with the nearest right one; a value is taken whole and in its range, or not at all.

use super::{Anchors, Broker, ConfigError, Configuration, DirectoryFiles, Keys, Limits, LogFormat, Partitions, Times};
use crate::{
    envelope::{Environment, SuitePolicy},
    examiner::{NoSocketPlace, ScannerSettings},
    identifier::{AmqpUser, BrokerName, TenantCode},
};
use lapin::uri::{AMQPScheme, AMQPUri};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
};
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    env: Environment,
    data: PathBuf,
    #[serde(default)]
    suites: SuitePolicy,
    keys: Keys,
    directory: DirectoryFiles,
    #[serde(default)]
    broker: Vec<BrokerWire>,
    #[serde(default)]
    partitions: PartitionsWire,
    #[serde(default)]
    limits: LimitsWire,
    #[serde(default)]
    times: TimesWire,
    anchors: Option<AnchorsWire>,
    scanner: Option<ScannerWire>,
    #[serde(default)]
    log: LogWire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerWire {
    name: Spanned<BrokerName>,
    uri: Spanned<String>,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    revocations: Option<PathBuf>,
    user: AmqpUser,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PartitionsWire {
    count: Option<Spanned<u16>>,
    own: Option<Spanned<Vec<u16>>>,
    #[serde(default)]
    placement: BTreeMap<TenantCode, Spanned<u16>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsWire {
    prefetch: Option<Spanned<u16>>,
    outbox: Option<Spanned<u32>>,
    journal_mebibytes: Option<Spanned<u32>>,
    free_mebibytes: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TimesWire {
    shutdown_seconds: Option<Spanned<u32>>,
    wait_seconds: Option<Spanned<u32>>,
    key_days: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorsWire {
    folder: PathBuf,
    every_seconds: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScannerWire {
    socket: Spanned<String>,
    signature_days: Option<Spanned<u16>>,
    within_seconds: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LogWire {
    #[serde(default)]
    format: LogFormat,
}

/// How often tree heads are told, in seconds, unless the file says otherwise.
pub(super) const ANCHORS_EVERY: u32 = 60;

/// A mistake: where it stands, and what was expected.
struct Mistake {
    span: Range<usize>,
    expected: String,
}

/// Reads the configuration from the text of the file at `path`.
pub(super) fn read(path: &Path, text: &str) -> Result<Configuration, ConfigError> {
    let at = |span: Range<usize>, expected: String| {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError::Line { path: path.to_owned(), line, expected }
    };
    let wire: Wire = toml::from_str(text).map_err(|error| at(error.span().unwrap_or_default(), expected(error.message())))?;
    settle(path, text, wire).map_err(|mistake| at(mistake.span, mistake.expected))
}

fn settle(path: &Path, text: &str, wire: Wire) -> Result<Configuration, Mistake> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let place = |path: PathBuf| folder.join(path);
    let partitions = partitions(wire.partitions)?;
    let brokers = brokers(wire.broker, &place)?;
    let anchors = wire.anchors.map(|wire| {
        let every = std::time::Duration::from_secs(within(wire.every_seconds, 1..=86_400, ANCHORS_EVERY)?.into());
        Ok(Anchors { folder: place(wire.folder), every })
    });
    Ok(Configuration {
        path: path.to_owned(),
        env: wire.env,
        data: place(wire.data),
        suites: wire.suites,
        keys: Keys {
            root: place(wire.keys.root),
            signing: place(wire.keys.signing),
            decryption: wire.keys.decryption.into_iter().map(place).collect(),
        },
        directory: DirectoryFiles {
            file: place(wire.directory.file),
            authority: place(wire.directory.authority),
            catalogue: place(wire.directory.catalogue),
        },
        brokers,
        partitions,
        limits: Limits {
            prefetch: within(wire.limits.prefetch, 1..=10_000, 256)?,
            outbox: within(wire.limits.outbox, 1..=10_000_000, 20_000)?,
            journal: mebibytes(within(wire.limits.journal_mebibytes, 128..=16_777_216, 65_536)?),
            free: mebibytes(within(wire.limits.free_mebibytes, 64..=16_777_216, 512)?),
        },
        times: Times {
            shutdown: std::time::Duration::from_secs(within(wire.times.shutdown_seconds, 1..=3600, 30)?.into()),
            wait: std::time::Duration::from_secs(within(wire.times.wait_seconds, 1..=3600, 30)?.into()),
            key: std::time::Duration::from_secs(u64::from(within(wire.times.key_days, 1..=3650, 365)?) * 24 * 60 * 60),
        },
        anchors: anchors.transpose()?,
        scanner: wire.scanner.map(scanner).transpose()?,
        log: wire.log.format,
        text: text.into(),
    })
}

fn brokers(wires: Vec<BrokerWire>, place: &impl Fn(PathBuf) -> PathBuf) -> Result<Vec<Broker>, Mistake> {
    if wires.is_empty() {
        return Err(Mistake { span: 0..0, expected: "expected at least one [[broker]]".to_owned() });
    }
    let mut brokers: Vec<Broker> = Vec::with_capacity(wires.len());
    for wire in wires {
        let span = wire.name.span();
        let name = wire.name.into_inner();
        if brokers.iter().any(|broker| broker.name == name) {
            return Err(Mistake { span, expected: format!("expected another name: a broker {name} stands above") });
        }
        let span = wire.uri.span();
        // SECURITY: the text is never repeated, for somebody will put a password into it.
        let wrong = |expected: &str| Mistake { span: span.clone(), expected: expected.to_owned() };
        let text = wire.uri.into_inner();
        let uri: AMQPUri = text.parse().map_err(|_| wrong("expected amqps://host:port/vhost"))?;
        if uri.scheme != AMQPScheme::AMQPS {
            return Err(wrong("expected amqps://: a broker is reached over TLS only"));
        }
        if text.contains('?') {
            return Err(wrong("expected no query: what a connection needs is set here"));
        }
        if text.contains('@') {
            return Err(wrong("expected no user or password here: the client certificate says who we are"));
        }
        brokers.push(Broker {
            name,
            uri: text,
            ca: place(wire.ca),
            certificate: place(wire.certificate),
            key: place(wire.key),
            revocations: wire.revocations.map(place),
            user: wire.user,
        });
    }
    Ok(brokers)
}

fn partitions(wire: PartitionsWire) -> Result<Partitions, Mistake> {
    let count = within(wire.count, 1..=1024, 4)?;
    let exists = |partition: u16, span: Range<usize>| {
        let expected = || format!("expected partitions from 0 to {}", count - 1);
        if partition < count { Ok(partition) } else { Err(Mistake { span, expected: expected() }) }
    };
    let own = match wire.own {
        None => (0..count).collect(),
        Some(own) => {
            let span = own.span();
            own.into_inner().into_iter().map(|partition| exists(partition, span.clone())).collect::<Result<BTreeSet<_>, _>>()?
        }
    };
    let placement = wire.placement.into_iter().map(|(code, placed)| {
        let span = placed.span();
        Ok((code, exists(placed.into_inner(), span)?))
    });
    Ok(Partitions { count, own, placement: placement.collect::<Result<_, _>>()? })
}

fn scanner(wire: ScannerWire) -> Result<ScannerSettings, Mistake> {
    let span = wire.socket.span();
    let socket = wire.socket.into_inner().parse().map_err(|error: NoSocketPlace| Mistake { span, expected: error.to_string() })?;
    let within = within(wire.within_seconds, 1..=300, 30)?;
    Ok(ScannerSettings {
        socket,
        signature_days: self::within(wire.signature_days, 1..=365, 7)?,
        within: std::time::Duration::from_secs(within.into()),
    })
}

fn mebibytes(count: u32) -> u64 {
    u64::from(count) << 20
}

fn within<N: PartialOrd + std::fmt::Display>(value: Option<Spanned<N>>, range: RangeInclusive<N>, default: N) -> Result<N, Mistake> {
    let Some(value) = value else { return Ok(default) };
    let span = value.span();
    let value = value.into_inner();
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Mistake { span, expected: format!("expected a number from {} to {}, found {value}", range.start(), range.end()) })
}

/// The right name that a wrong one was probably meant to be.
pub(crate) fn nearest<'a>(found: &str, right: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = right.map(|key| (strsim::jaro_winkler(found, key), key)).max_by(|one, two| one.0.total_cmp(&two.0));
    nearest.filter(|(likeness, _)| *likeness > 0.75).map(|(_, key)| key)
}

/// serde's words in ours. What it does not know it hands on.
fn expected(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let found = quoted.next().unwrap_or_default();
        let right: Vec<&str> = quoted.collect();
        return match nearest(found, right.iter().copied()) {
            Some(key) => format!("unknown key `{found}`, expected `{key}`"),
            None => format!("unknown key `{found}`, expected one of: {}", right.join(", ")),
        };
    }
    if message.starts_with("missing field") {
        return format!("expected the key `{}` here", quoted.next().unwrap_or_default());
    }
    message.replace('\n', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/nakatsugi.toml");

    fn read(text: &str) -> Result<Configuration, ConfigError> {
        super::read(Path::new("/etc/nakatsugi/nakatsugi.toml"), text)
    }

    /// The line and the expectation once the example was changed.
    fn mistake(from: &str, to: &str) -> (usize, String) {
        assert!(EXAMPLE.contains(from), "{from}");
        let line = 1 + EXAMPLE.split(from).next().unwrap().matches('\n').count();
        match read(&EXAMPLE.replacen(from, to, 1)) {
            Err(ConfigError::Line { line: found, expected, .. }) => (found.abs_diff(line), expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_is_taken_and_states_the_defaults() {
        let configuration = read(EXAMPLE).unwrap();
        assert_eq!(configuration.keys.root, Path::new("/etc/nakatsugi/keys/root.key"));
        assert_eq!(configuration.partitions.own().len(), 4);
        let head = EXAMPLE.split("[partitions]").next().unwrap();
        let bare = read(head).unwrap();
        assert_eq!((configuration.anchor_pace(), &bare.anchors), (std::time::Duration::from_secs(60), &None));
        assert_eq!((configuration.partitions, configuration.limits, configuration.times), (bare.partitions, bare.limits, bare.times));
        assert_eq!((configuration.suites, configuration.log), (bare.suites, bare.log));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_one() {
        assert_eq!(mistake("prefetch =", "prefech ="), (0, "unknown key `prefech`, expected `prefetch`".to_owned()));
        assert_eq!(mistake("data =", "date ="), (0, "unknown key `date`, expected `data`".to_owned()));
        assert_eq!(mistake("[times]", "[time]"), (0, "unknown key `time`, expected `times`".to_owned()));
        let (_, expected) = mistake("format = \"json\"", "xxx = 1");
        assert_eq!(expected, "unknown key `xxx`, expected one of: format");
    }

    #[test]
    fn a_value_out_of_its_range_is_refused_with_its_line() {
        let range = |from, to, found| (0, format!("expected a number from {from} to {to}, found {found}"));
        assert_eq!(mistake("prefetch = 256", "prefetch = 0"), range(1, 10_000, 0));
        assert_eq!(mistake("journal_mebibytes = 65536", "journal_mebibytes = 127"), range(128, 16_777_216, 127));
        assert_eq!(mistake("free_mebibytes = 512", "free_mebibytes = 63"), range(64, 16_777_216, 63));
        assert_eq!(mistake("count = 4", "count = 0"), range(1, 1024, 0));
        assert_eq!(mistake("wait_seconds = 30", "wait_seconds = 0"), range(1, 3600, 0));
        assert_eq!(mistake("every_seconds = 60", "every_seconds = 0"), range(1, 86_400, 0));
        assert_eq!(mistake("key_days = 365", "key_days = 0"), range(1, 3650, 0));
        assert_eq!(mistake("# own = [0, 1]", "own = [0, 4]"), (0, "expected partitions from 0 to 3".to_owned()));
        let placed = mistake("# placement = { \"141003\" = 3 }", "placement = { \"141003\" = 4 }");
        assert_eq!(placed, (0, "expected partitions from 0 to 3".to_owned()));
    }

    #[test]
    fn a_scanner_is_on_this_machine() {
        let with = |lines: &str| read(&EXAMPLE.replacen("[log]", &format!("[scanner]\n{lines}\n[log]"), 1));
        assert_eq!(read(EXAMPLE).unwrap().scanner, None);
        let scanner = with("socket = \"unix:/run/clamav/clamd.ctl\"").unwrap().scanner.unwrap();
        assert_eq!((scanner.signature_days, scanner.within), (7, std::time::Duration::from_secs(30)));
        let commented =
            EXAMPLE.replace("# [scanner]", "[scanner]").replace("# socket", "socket").replace("# signature_days", "signature_days");
        assert_eq!(read(&commented.replace("# within_seconds", "within_seconds")).unwrap().scanner, Some(scanner));
        for lines in ["", "socket = \"tcp:192.0.2.1:3310\"", "socket = \"unix:/a\"\nsignature_days = 0", "socket = \"unix:/a\"\nport = 1"] {
            assert!(matches!(with(lines), Err(ConfigError::Line { .. })), "{lines}");
        }
    }

    #[test]
    fn a_missing_or_malformed_value_is_refused_with_its_line() {
        assert_eq!(mistake("user = \"relay\"", "").1, "expected the key `user` here");
        assert_eq!(mistake("env = \"trial\"", "env = \"test\"").0, 0);
        assert_eq!(mistake("data = \"data\"", "data = ").0, 0);
        assert_eq!(mistake("placement = { \"141003\" = 3 }", "\nplacement = { \"141004\" = 3 }").0, 1);
        assert_eq!(mistake("suites = [\"suite-1\"]", "suites = []").0, 0);
    }

    #[test]
    fn a_broker_is_reached_over_tls_with_a_certificate() {
        let uri = "amqps://broker.example:5671/%2f";
        assert_eq!(mistake(uri, "amqp://broker.example/"), (0, "expected amqps://: a broker is reached over TLS only".to_owned()));
        let (line, expected) = mistake(uri, "amqps://relay:hunter2@broker.example/");
        assert_eq!(line, 0);
        assert!(expected.starts_with("expected no user or password here") && !expected.contains("hunter2"));
        let (line, expected) = mistake(uri, "amqps://relay:hunter2@broker.example:x/");
        assert_eq!((line, expected.as_str()), (0, "expected amqps://host:port/vhost"));
        let twice = format!("{EXAMPLE}{}", &EXAMPLE[EXAMPLE.find("[[broker]]").unwrap()..EXAMPLE.find("[partitions]").unwrap()]);
        assert!(matches!(read(&twice), Err(ConfigError::Line { expected, .. }) if expected.starts_with("expected another name")));
        let none = EXAMPLE.replace(&EXAMPLE[EXAMPLE.find("[[broker]]").unwrap()..EXAMPLE.find("[partitions]").unwrap()], "");
        assert!(matches!(read(&none), Err(ConfigError::Line { expected, .. }) if expected == "expected at least one [[broker]]"));
    }
}
