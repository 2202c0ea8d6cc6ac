//! The order of system calls: a frame is synced before its reply leaves and before its request is acknowledged.
//!
//! The daemon runs under strace, which must be installed. Its connections are encrypted, so they are told apart by size: replies are padded and make
//! large writes on the connection that publishes; acknowledgements make small ones, larger than a heartbeat, on the
//! connection that brought large reads and makes no large writes. Requests follow one another at a distance, so that
//! everything belongs to one of them.

use crate::stage::{BINARY, Of, Stage, now, stage};
use nakatsugi::cli::demo::population::Resident;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::Duration,
};
use tokio::time::{Instant, sleep};

const REQUESTS: usize = 12;
/// Longer than acknowledgements are gathered.
const DISTANCE: Duration = Duration::from_millis(250);
/// A heartbeat is a frame of 8 bytes; TLS 1.3 adds 22.
const HEARTBEAT: i64 = 30;
/// A padded reply is 4 KiB before it is encrypted, and nothing else on its connection comes near that.
const REPLY: i64 = 5_000;
/// The smallest request is larger, and so is no other frame that the broker sends while messages flow.
const REQUEST: i64 = 700;

/// What a line of the trace means here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    /// A sync of the journal has returned, with success.
    Synced,
    /// A read on a socket has returned this many bytes.
    Read(String, i64),
    /// A write of this many bytes on a socket has begun.
    Write(String, i64),
}

/// The order in which things happened, one letter each: R(equest), J(ournal synced), P(ublished), A(cknowledged).
fn story(trace: &str, from: i64, port: u16) -> String {
    let calls = calls(trace, from, port);
    let writes = |least: i64| -> BTreeSet<&String> {
        calls
            .iter()
            .filter_map(|call| if let Call::Write(socket, size) = call { (*size >= least).then_some(socket) } else { None })
            .collect()
    };
    let publishing = writes(REPLY);
    assert_eq!(publishing.len(), 1, "one connection publishes: {calls:#?}");
    let letter = |call: &Call| match call {
        Call::Synced => Some('J'),
        Call::Read(socket, size) => (*size >= REQUEST && !publishing.contains(socket)).then_some('R'),
        Call::Write(socket, size) if publishing.contains(socket) => (*size >= REPLY).then_some('P'),
        Call::Write(_, size) => (*size > HEARTBEAT).then_some('A'),
    };
    calls.iter().filter_map(letter).collect()
}

/// Reads what `strace -f -ttt -yy` wrote. A call counts from when it began, but a sync and a read from when they returned.
fn calls(trace: &str, from: i64, port: u16) -> Vec<Call> {
    // What has begun, by thread: where its place in the order is, and its beginning.
    let mut begun: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let mut words = line.splitn(2, char::is_whitespace);
        let (Some(thread), Some(rest)) = (words.next(), words.next()) else { continue };
        let Some((time, text)) = rest.trim_start().split_once(' ') else { continue };
        let Ok(time) = time.replace('.', "").parse::<i64>() else { continue };
        if time / 1_000 < from {
            continue;
        }
        let place = calls.len();
        calls.push(None);
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (place, beginning));
        } else if text.starts_with("<... ") {
            // Begun before we looked: nothing that we wait for.
            let Some((began, beginning)) = begun.remove(thread) else { continue };
            let Some(call) = call(beginning, text, port) else { continue };
            let place = if matches!(call, Call::Write(..)) { began } else { place };
            calls[place] = Some(call);
        } else {
            calls[place] = call(text, text, port);
        }
    }
    calls.into_iter().flatten().collect()
}

fn call(beginning: &str, end: &str, port: u16) -> Option<Call> {
    let (name, arguments) = beginning.split_once('(')?;
    let result: i64 = end.rsplit_once(" = ")?.1.split_whitespace().next()?.parse().ok()?;
    let (_, file) = arguments.split_once('<')?;
    let socket = || {
        let address = file.strip_prefix("TCP:[").or_else(|| file.strip_prefix("TCPv6:["))?.split_once(']')?.0;
        (address.ends_with(&format!(":{port}")) && result > 0).then(|| address.to_owned())
    };
    match name {
        "fdatasync" | "fsync" => (result == 0 && file.contains("/journal/") && file.contains(".seg>")).then_some(Call::Synced),
        "read" | "readv" | "recvfrom" | "recvmsg" => Some(Call::Read(socket()?, result)),
        "write" | "writev" | "sendto" | "sendmsg" => Some(Call::Write(socket()?, result)),
        _ => None,
    }
}

/// Whether each of so many requests was synced before its reply and its acknowledgement began to leave. Marks of published
/// parcels make syncs of their own, at any time.
fn in_order(story: &str, requests: usize) -> Result<(), String> {
    let mut rest = story.trim_start_matches('J');
    for number in 1..=requests {
        let wrong = || Err(format!("request {number}: {rest} in {story}"));
        let after = rest.trim_start_matches('R');
        let Some(end) = after.find('R').or(Some(after.len())) else { return wrong() };
        let (own, next) = after.split_at(end);
        let synced = own.starts_with('J');
        if after == rest || !synced || !own.contains('P') || !own.contains('A') {
            return wrong();
        }
        rest = next;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("more than {requests} requests: {story}")) }
}

/// Runs the daemon under strace, asks it one thing after another, and tells what happened in which order.
async fn traced(stage: &mut Stage, environment: &[(&str, &str)]) -> String {
    let tenant = Of::Order.tenants().0;
    let trace = stage.site.folder().join("strace.log");
    // Attached from outside (-D), so that the daemon stays our child and gets our signals.
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-ttt", "-yy", "-s", "0", "-e"]);
    strace.arg("trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg").arg("-o").arg(&trace).arg(BINARY);
    strace.envs(environment.iter().copied());
    let port = stage.site.node().port();
    let mut running = stage.serve_through(strace).await;
    stage.settle(tenant, 1).await;
    let mut disclosure = stage.disclosure();
    // The first one is not looked at: everything is open and connected after it.
    let letter = stage.question(&disclosure, Resident { tenant, index: 0 });
    disclosure.ask(&letter).await;
    sleep(2 * DISTANCE).await;
    let from = now().millis();
    for _ in 0..REQUESTS {
        sleep(DISTANCE).await;
        let letter = stage.question(&disclosure, Resident { tenant, index: 0 });
        assert!(disclosure.ask(&letter).await.body.get().contains("provided"));
    }
    sleep(DISTANCE).await;
    let until = now().millis();
    assert!(running.stop().await.success());
    let text = written(&trace, running.daemon.pid()).await;
    let text: String = text.lines().filter(|line| time(line).is_some_and(|time| time <= until)).flat_map(|line| [line, "\n"]).collect();
    fs::remove_file(trace).unwrap();
    story(&text, from, port)
}

fn time(line: &str) -> Option<i64> {
    Some(line.split_whitespace().nth(1)?.replace('.', "").parse::<i64>().ok()? / 1_000)
}

/// The trace, once it is whole.
async fn written(trace: &Path, pid: u32) -> String {
    let until = Instant::now() + crate::stage::PATIENCE;
    loop {
        let text = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
        if text.lines().any(|line| line.starts_with(&format!("{pid} ")) && line.contains("+++ exited with 0 +++")) {
            return text;
        }
        assert!(Instant::now() < until, "the trace does not end");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_synced_before_a_reply_leaves_and_before_its_request_is_acknowledged() {
    let mut stage = stage().await;
    let story = traced(&mut stage, &[]).await;
    eprintln!("{story}");
    in_order(&story, REQUESTS).unwrap();
}

#[cfg(feature = "sabotage")]
#[tokio::test(flavor = "multi_thread")]
async fn red_a_daemon_that_acknowledges_first_is_noticed() {
    let mut stage = stage().await;
    let story = traced(&mut stage, &[("NAKATSUGI_SABOTAGE", "ack-before-sync")]).await;
    eprintln!("{story}");
    in_order(&story, REQUESTS).unwrap_err();
}

#[test]
fn a_story_out_of_order_is_refused() {
    for (good, requests) in [("RJPA", 1), ("JRJAP", 1), ("RRJPAJRJAPJJ", 2), ("RJPPARJJPA", 2)] {
        in_order(good, requests).unwrap();
    }
    for bad in ["", "RAJP", "RPJA", "RPA", "RJP", "RJA", "RJPARJPA", "JPA"] {
        assert!(in_order(bad, 1).is_err(), "{bad}");
    }
}

#[test]
fn a_trace_is_read_in_the_order_in_which_calls_began_and_syncs_returned() {
    let socket = |local: u16| format!("9<TCP:[127.0.0.1:{local}->127.0.0.1:5671]>");
    let (consume, publish) = (socket(40_001), socket(40_002));
    let trace = format!(
        "7 100.000100 recvfrom({consume}, \"\"..., 9000, 0, NULL, NULL) = 1900\n\
         8 100.000200 fdatasync(11</data/vaults/131016/journal/0000000000000001.seg> <unfinished ...>\n\
         7 100.000300 write({consume}, \"\"..., 30) = 30\n\
         8 100.000400 <... fdatasync resumed>) = 0\n\
         7 100.000500 writev({publish}, [{{iov_base=\"\"..., iov_len=8000}}], 1 <unfinished ...>\n\
         8 100.000600 sendto({consume}, \"\"..., 43, MSG_NOSIGNAL, NULL, 0) = 43\n\
         7 100.000700 <... writev resumed>) = 8000\n\
         8 100.000800 fdatasync(12</data/vaults/131016/store/db>) = 0\n\
         8 100.000900 fdatasync(11</data/vaults/131016/journal/0000000000000001.seg>) = -1 EIO (Input/output error)\n"
    );
    assert_eq!(story(&trace, 0, 5671), "RJPA");
    assert_eq!(story(&trace, 100_000, 5671), "RJPA");
    assert_eq!(calls(&trace, 100_001, 5671), []);
    assert_eq!(calls(&trace, 0, 5672), [Call::Synced]);
}
