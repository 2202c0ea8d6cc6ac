//! `nakatsugi load`: registers many rows from a file, as a municipal system.
//!
//! Always: a client like any other; it signs and sends what the file says and believes verified replies only. What was
//! answered stands in a file beside the rows, so that a load that was killed goes on where it was; rows that are sent again
//! are superseded by themselves. A row that is refused is reported with its line, and nothing else of the file is lost.
//! Absent: any right that the principal does not have.

mod journey;
mod progress;
mod source;
mod tally;

use super::{CliError, Outside, counted, peer::Peer, validate::Row};
use crate::identifier::{MessageType, TenantCode};
use clap::Args;
use journey::Journey;
use progress::Progress;
use serde_json::json;
use source::Source;
use std::{path::PathBuf, time::Duration};
use tally::Tally;
use tokio::runtime;

/// Register many rows from a file: one JSON object on each line, as `schemas/body` describes a row.
#[derive(Debug, Args)]
#[command(after_help = "\
What was answered stands in FILE.load, so that running it again goes on; refused rows are written to FILE.refused.
Ends with 65 if a row was refused, with 75 if it could not finish.

Example:
  nakatsugi load --as-peer peers/municipal-142051 --tenant 142051 rows.ndjson")]
pub struct Arguments {
    /// The folder of the municipal system that registers, with its `peer.toml`.
    #[arg(long, value_name = "FOLDER")]
    pub as_peer: PathBuf,
    /// The tenant.
    #[arg(long, value_name = "CODE")]
    pub tenant: TenantCode,
    /// What a line is: a row of record.put or record.delete, or the whole body of a person.link, person.restrict or person.erase.
    #[arg(long = "type", value_name = "TYPE", default_value = "record.put", value_parser = super::command_type())]
    pub kind: MessageType,
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Rows of one message.
    #[arg(long, default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub rows: u16,
    /// Messages under way at once.
    #[arg(long, default_value_t = 16, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub window: u16,
    /// Give up when nothing was answered for so many seconds.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub within: u32,
    /// Print the result as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let peer = Peer::open(&arguments.as_peer)?;
    let batch = match arguments.kind {
        MessageType::RecordPut | MessageType::RecordDelete => usize::from(arguments.rows),
        MessageType::PersonLink | MessageType::PersonRestrict | MessageType::PersonErase => 1,
        other => return Err(CliError::NotLoaded(other)),
    };
    let mut tally = Tally::open(&arguments.file)?;
    let source = Source::open(&arguments.file, batch, tally.lines_done())?;
    let progress = Progress::new(source.bytes(), source.skipped());
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(CliError::Runtime)?;
    let journey = Journey {
        peer: &peer,
        entropy: outside.entropy,
        clock: outside.clock,
        tenant: arguments.tenant,
        kind: arguments.kind,
        row: Row::of(arguments.kind)?,
        window: usize::from(arguments.window),
        patience: Duration::from_secs(arguments.within.into()),
    };
    runtime.block_on(peer.reach()).map_err(CliError::of(&peer.broker()))?;
    let ended = runtime.block_on(journey.run(source, &mut tally, progress));
    tally.save()?;
    ended?;
    let Tally { stored, superseded, refused, .. } = tally;
    if arguments.json {
        let line = json!({ "lines": tally.lines_done(), "stored": stored, "superseded": superseded, "refused": refused });
        writeln!(outside.out, "{line}")?;
    } else {
        writeln!(
            outside.out,
            "{stored} put in effect, {superseded} superseded (the same or a newer revision was there), {refused} refused; {} answered.",
            counted(tally.lines_done(), "line")
        )?;
    }
    tally.finish()?;
    if refused == 0 {
        Ok(())
    } else {
        Err(CliError::RowsRefused { refused, others: stored + superseded, report: tally.report().to_owned() })
    }
}
