//! The figures, for people and for programs.

use super::{
    Plan, Skew,
    figures::{Measured, Rest, Subject, ratio},
    machine,
    steps::STEPS,
};
use crate::cli::CliError;
use serde_json::json;
use std::{collections::BTreeMap, io::Write, time::Duration};

/// How long replies are, and the rate at which latencies were measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replies {
    pub(super) length: usize,
    pub(super) half: f64,
}

/// Microseconds of each step, by its name.
pub(super) type Steps = BTreeMap<String, f64>;

/// The steps in order, then what is left of the relay's processor time.
fn split(steps: &Steps, own: f64) -> Vec<(&str, f64)> {
    let known = STEPS.into_iter().chain(["journal"]);
    let mut split: Vec<_> = known.map(|name| (name, steps.get(name).copied().unwrap_or_default())).collect();
    let sum: f64 = split.iter().map(|(_, micros)| micros).sum();
    split.push(("other", own - sum));
    split
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) replies: Replies,
    pub(super) measured: &'a [Measured; 3],
    pub(super) rest: &'a Rest,
    pub(super) steps: &'a Steps,
}

impl Report<'_> {
    /// Writes it: a table, or one JSON line for each subject and one for the whole.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), CliError> {
        if self.plan.json { self.lines(out) } else { self.table(out) }
    }

    fn lines(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let Self { plan, replies: Replies { length: reply, half }, measured, rest, steps } = self;
        for (subject, measured) in Subject::ALL.into_iter().zip(*measured) {
            let [own, broker, load] = measured.micros();
            let (resident, peak) = measured.memory;
            let latency = |share| millis(measured.latency(share));
            let line = json!({
                "subject": subject.as_str(), "rate": measured.rate().round(),
                "rates": measured.rounds.iter().map(|round| round.rate.round()).collect::<Vec<_>>(),
                "micros": { "own": own.round(), "broker": broker.round(), "load": load.round() },
                "latency_ms": { "rate": half.round(), "p50": latency(0.5), "p99": latency(0.99), "p99.9": latency(0.999) },
                "memory_kib": { "resident": resident, "peak": peak }, "disk_bytes": measured.disk().round(),
            });
            writeln!(out, "{line}")?;
        }
        let [echo, floor, relay] = *measured;
        let hundredth = |ratio: f64| (ratio * 1000.0).round() / 1000.0;
        let line = json!({
            "relay/floor": hundredth(ratio(relay, floor)), "relay/echo": hundredth(ratio(relay, echo)), "floor/echo": hundredth(ratio(floor, echo)),
            "steps_micros": split(steps, relay.micros()[0]).into_iter().map(|(name, micros)| (name.to_owned(), json!(micros.round()))).collect::<serde_json::Map<_, _>>(),
            "start_ms": millis(rest.start).round(), "idle_percent": hundredth(rest.idle * 100.0),
            "tenants": plan.tenants, "skew": skew(plan.skew), "people": plan.people(), "records": plan.records, "withheld": plan.withheld,
            "reply_bytes": reply, "seconds": plan.seconds, "rounds": plan.rounds, "window": plan.window, "prefetch": plan.prefetch,
            "seed": plan.seed, "machine": machine::describe(), "version": env!("CARGO_PKG_VERSION"),
        });
        Ok(writeln!(out, "{line}")?)
    }

    fn table(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let Self { plan, replies: Replies { length: reply, half }, measured, rest, steps } = self;
        let Plan { tenants, records, rounds, seconds, .. } = plan;
        writeln!(out, "\nnakatsugi {} on {}", env!("CARGO_PKG_VERSION"), machine::describe())?;
        writeln!(
            out,
            "{tenants} tenants ({}), {} people each, {records} records asked for, replies of {reply} bytes, {rounds} × {seconds} s\n",
            skew(plan.skew),
            plan.people()
        )?;
        writeln!(out, "         requests   µs of core per request    latency at {half:>5.0} /s in ms     memory    disk per")?;
        writeln!(out, "         a second     own  broker    load      p50     p99   p99.9    in MiB     request")?;
        for (subject, measured) in Subject::ALL.into_iter().zip(*measured) {
            let [own, broker, load] = measured.micros();
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| millis(measured.latency(share)));
            let peak = measured.memory.1 as f64 / 1024.0;
            write!(out, "{:<8} {:>8.0}  {own:>6.0}  {broker:>6.0}  {load:>6.0}", subject.as_str(), measured.rate())?;
            writeln!(out, "  {p50:>7.1} {p99:>7.1} {p999:>7.1}  {peak:>8.0}  {:>8.0} B", measured.disk())?;
        }
        let [echo, floor, relay] = *measured;
        writeln!(out, "\nrelay/floor {:.2}   relay/echo {:.2}", ratio(relay, floor), ratio(relay, echo))?;
        writeln!(out, "start to first answer {:.0} ms   at rest {:.1} % of one core", millis(rest.start), rest.idle * 100.0)?;
        let [own, ..] = relay.micros();
        let split: Vec<_> = split(steps, own).into_iter().map(|(name, micros)| format!("{name} {micros:.0}")).collect();
        Ok(writeln!(out, "the relay's µs of core: {}", split.join(", "))?)
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

const fn skew(skew: Skew) -> &'static str {
    match skew {
        Skew::Even => "even",
        Skew::Town => "town",
    }
}
