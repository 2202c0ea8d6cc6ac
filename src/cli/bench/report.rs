//! The figures, for people and for programs.

use super::{
    Plan, Skew,
    figures::{Measured, Subject, ratio},
    machine,
};
use crate::cli::CliError;
use serde_json::json;
use std::{io::Write, time::Duration};

/// Writes what was measured: a table, or one JSON line for each subject and one for the whole.
pub(super) fn write(out: &mut dyn Write, plan: &Plan, reply: usize, half: f64, measured: &[Measured; 3]) -> Result<(), CliError> {
    if plan.json { lines(out, plan, reply, half, measured) } else { table(out, plan, reply, half, measured) }
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

fn lines(out: &mut dyn Write, plan: &Plan, reply: usize, half: f64, measured: &[Measured; 3]) -> Result<(), CliError> {
    for (subject, measured) in Subject::ALL.into_iter().zip(measured) {
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
    let [echo, floor, relay] = measured;
    let hundredth = |ratio: f64| (ratio * 1000.0).round() / 1000.0;
    let line = json!({
        "relay/floor": hundredth(ratio(relay, floor)), "relay/echo": hundredth(ratio(relay, echo)), "floor/echo": hundredth(ratio(floor, echo)),
        "tenants": plan.tenants, "skew": skew(plan.skew), "people": plan.people(), "records": plan.records, "withheld": plan.withheld,
        "reply_bytes": reply, "seconds": plan.seconds, "rounds": plan.rounds, "window": plan.window, "prefetch": plan.prefetch,
        "seed": plan.seed, "machine": machine::describe(), "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(writeln!(out, "{line}")?)
}

fn table(out: &mut dyn Write, plan: &Plan, reply: usize, half: f64, measured: &[Measured; 3]) -> Result<(), CliError> {
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
    for (subject, measured) in Subject::ALL.into_iter().zip(measured) {
        let [own, broker, load] = measured.micros();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| millis(measured.latency(share)));
        let peak = measured.memory.1 as f64 / 1024.0;
        write!(out, "{:<8} {:>8.0}  {own:>6.0}  {broker:>6.0}  {load:>6.0}", subject.as_str(), measured.rate())?;
        writeln!(out, "  {p50:>7.1} {p99:>7.1} {p999:>7.1}  {peak:>8.0}  {:>8.0} B", measured.disk())?;
    }
    let [echo, floor, relay] = measured;
    writeln!(out, "\nrelay/floor {:.2}   relay/echo {:.2}", ratio(relay, floor), ratio(relay, echo))?;
    Ok(())
}
