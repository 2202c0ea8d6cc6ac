//! Sending and hearing: at most so many messages under way, each sent again until it is answered.
//!
//! Always: a message that is sent again is the same, byte for byte; a reply counts when it verified. Ctrl-C lets what is
//! under way arrive.

use super::{
    progress::Progress,
    source::{self, Batch, Source, Unsent},
    tally::Tally,
};
use crate::{
    broker::{Delivery, Observer, Publisher, Unpublished},
    cli::{
        CliError,
        peer::{Letter, Peer},
        validate::Row,
    },
    identifier::{MessageId, MessageType, TenantCode},
    relay::ports::{Clock, Entropy},
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    signal,
    sync::mpsc,
    time::{Instant, interval},
};

/// After how long a message without a reply is sent again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long messages are valid, in seconds.
const VALID: i64 = 3600;

/// Who loads what, and how.
pub(super) struct Journey<'a> {
    pub(super) peer: &'a Peer,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) clock: &'a dyn Clock,
    pub(super) tenant: TenantCode,
    pub(super) kind: MessageType,
    pub(super) row: Row,
    pub(super) window: usize,
    pub(super) patience: Duration,
}

/// A message under way.
struct Flight {
    batch: Batch,
    letter: Letter,
    sent: Instant,
}

#[derive(Serialize)]
struct Rows<'a> {
    rows: Vec<&'a RawValue>,
}

impl Journey<'_> {
    pub(super) async fn run(&self, mut source: Source, tally: &mut Tally, mut progress: Progress) -> Result<(), CliError> {
        let quiet: Observer = Arc::new(|_| {});
        let publisher = Arc::new(self.peer.publisher(Arc::clone(&quiet)));
        let prefetch = u16::try_from(self.window).unwrap_or(u16::MAX);
        let (_intake, mut replies) = self.peer.intake(prefetch.max(16), quiet);
        let mut flights = HashMap::<MessageId, Flight>::new();
        let (refusing, mut refusals) = mpsc::unbounded_channel();
        let office = Office { publisher, refusing };
        let (mut ended, mut stopping) = (false, false);
        let mut answered = Instant::now();
        let mut tick = interval(Duration::from_secs(1));
        let mut interrupt = std::pin::pin!(signal::ctrl_c());
        loop {
            while !ended && !stopping && flights.len() < self.window {
                match source.next()? {
                    None => ended = true,
                    Some(batch) => self.depart(batch, &office, &mut flights, tally)?,
                }
            }
            if flights.is_empty() {
                break;
            }
            tokio::select! {
                reply = replies.recv() => {
                    let Some(delivery) = reply else { return Err(CliError::Stalled { done: tally.lines_done() }) };
                    if let Some((flight, body)) = self.heard(&delivery, &mut flights) {
                        answered = Instant::now();
                        let told = self.told(&flight, body)?;
                        self.land(&flight.batch, &told, tally)?;
                        progress.rows(flight.batch.rows.len(), flight.batch.end, tally.refused);
                    }
                    delivery.ticket.ack();
                }
                _ = tick.tick() => {
                    tally.save()?;
                    if answered.elapsed() > self.patience {
                        return Err(CliError::Stalled { done: tally.lines_done() });
                    }
                    for flight in flights.values_mut().filter(|flight| flight.sent.elapsed() > AGAIN) {
                        flight.sent = Instant::now();
                        office.send(flight.letter.clone());
                    }
                }
                Some(refusal) = refusals.recv() => return Err(CliError::Unsent(refusal)),
                _ = &mut interrupt, if !stopping => stopping = true,
            }
        }
        progress.end();
        // Time for the last acknowledgements to leave.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if stopping && !ended { Err(CliError::LoadStopped { done: tally.lines_done() }) } else { Ok(()) }
    }

    /// Sends the rows of a batch, if there are any.
    fn depart(&self, batch: Batch, office: &Office, flights: &mut HashMap<MessageId, Flight>, tally: &mut Tally) -> Result<(), CliError> {
        match self.write(&batch.rows)? {
            None => self.land(&batch, &[], tally)?,
            Some(letter) => {
                office.send(letter.clone());
                flights.insert(letter.id, Flight { batch, letter, sent: Instant::now() });
            }
        }
        Ok(())
    }

    fn write(&self, rows: &[source::Row]) -> Result<Option<Letter>, CliError> {
        let (id, now) = (MessageId::from_random(self.entropy.half()), self.clock.now());
        let times = (now, now.plus_seconds(VALID));
        let rows: Vec<&RawValue> = rows.iter().filter_map(|row| row.json.as_deref().ok()).collect();
        let letter = match (self.kind, rows.first()) {
            (_, None) => return Ok(None),
            (MessageType::PersonLink | MessageType::PersonRestrict | MessageType::PersonErase, Some(body)) => {
                self.peer.write(id, self.tenant, self.kind, times, body)
            }
            (_, Some(_)) => self.peer.write(id, self.tenant, self.kind, times, &Rows { rows }),
        };
        letter.map(Some).map_err(CliError::Seal)
    }

    /// The message that a reply is about, and what it says.
    fn heard(&self, delivery: &Delivery, flights: &mut HashMap<MessageId, Flight>) -> Option<(Flight, Value)> {
        let reply = self.peer.read(&delivery.body).ok()?;
        let flight = flights.remove(&reply.re?)?;
        Some((flight, serde_json::from_str(reply.body.get()).unwrap_or_default()))
    }

    /// What became of the rows of a message, as its reply says.
    fn told(&self, flight: &Flight, body: Value) -> Result<Vec<Value>, CliError> {
        if body.get("status").and_then(Value::as_str) != Some("answered") {
            let code = body.get("code").and_then(Value::as_str).unwrap_or("?").to_owned();
            return Err(CliError::LoadDenied { code, line: flight.batch.lines.0 });
        }
        Ok(match body.get("rows").and_then(Value::as_array) {
            Some(rows) => rows.clone(),
            None => vec![body],
        })
    }

    /// Notes what became of a batch: what its message was told, and lines that were no rows and were never sent.
    fn land(&self, batch: &Batch, told: &[Value], tally: &mut Tally) -> Result<(), CliError> {
        let mut told = told.iter();
        let results = batch.rows.iter().map(|row| match &row.json {
            Ok(json) => {
                let mut result = told.next().cloned().unwrap_or_default();
                // The relay tells a code and a column; the schema can tell more.
                if let (Some(members), Some(words)) = (refusal(&mut result), self.row.words(json.get())) {
                    members.insert("words".to_owned(), words.into());
                }
                (row.line, result)
            }
            Err(Unsent::Malformed { column }) => (row.line, json!({ "result": "refused", "code": "malformed-json", "column": column })),
            Err(Unsent::RepeatedNumber) => {
                (row.line, json!({ "result": "refused", "code": "repeated-number", "place": "record.registration_number" }))
            }
        });
        tally.take(batch.lines, results)
    }
}

/// The members of a row's result, if it was refused.
fn refusal(result: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let members = result.as_object_mut()?;
    (members.get("result")? == "refused").then_some(members)
}

/// Where letters go, and where it is told that the broker will never take them.
struct Office {
    publisher: Arc<Publisher>,
    refusing: mpsc::UnboundedSender<Unpublished>,
}

impl Office {
    /// Sends without waiting. What is not confirmed is sent again like what nobody answered; what is refused ends the load.
    fn send(&self, letter: Letter) {
        let (publisher, refusing) = (Arc::clone(&self.publisher), self.refusing.clone());
        tokio::spawn(async move {
            match letter.send(&publisher).await {
                Ok(()) | Err(Unpublished::Nacked | Unpublished::ConnectionLost | Unpublished::TimedOut) => {}
                // Nobody listens any more when the load has ended.
                Err(refusal @ (Unpublished::Refused(_) | Unpublished::Returned | Unpublished::Unsendable)) => drop(refusing.send(refusal)),
            }
        });
    }
}
