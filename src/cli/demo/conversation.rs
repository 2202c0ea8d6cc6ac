//! The disclosure system's side of the demonstration: it asks, opens and verifies every reply, and keeps count.

use super::population::{self, Resident};
use crate::{
    broker::{Delivery, Publisher},
    calendar::Timestamp,
    cli::peer::{Letter, Peer},
    identifier::{Category, MessageId, MessageType, TenantCode},
    relay::ports::Entropy,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

/// How many messages are on their way to the broker at once.
const UNDER_WAY: usize = 256;

/// What came back.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that expect a reply.
    pub requests: u64,
    /// Those that got one.
    pub answered: u64,
    /// Replies that decrypted and verified.
    pub verified: u64,
    /// Replies that came again, byte for byte.
    pub repeated: u64,
    /// Outcomes of categories and denials, counted.
    pub outcomes: BTreeMap<String, u64>,
    /// The first reply to each message, as it came.
    seen: HashMap<MessageId, Arc<[u8]>>,
}

impl Tally {
    /// Counts a reply that was opened: the first to its message, the same bytes again, or another one.
    fn take(&mut self, re: MessageId, body: &[u8], text: &str) {
        match self.seen.get(&re) {
            None => {
                self.answered += 1;
                self.verified += 1;
                count(text, &mut self.outcomes);
                self.seen.insert(re, body.into());
            }
            Some(first) if **first == *body => self.repeated += 1,
            Some(_) => {
                self.requests += 1;
                self.answered += 1;
                self.verified += 1;
                count(text, &mut self.outcomes);
            }
        }
    }
}

/// Reads this many more replies; gives how many came.
pub async fn drain(peer: &Peer, replies: &mut mpsc::Receiver<Delivery>, expected: usize, tally: &mut Tally) -> usize {
    let mut came = 0;
    while came < expected {
        let Ok(Some(delivery)) = timeout(Duration::from_secs(60), replies.recv()).await else { break };
        if let Ok(reply) = peer.read(&delivery.body)
            && let Some(re) = reply.re
        {
            tally.take(re, &delivery.body, reply.body.get());
            came += 1;
        }
        delivery.ticket.ack();
    }
    came
}

/// Makes messages of one principal.
pub struct Writer<'a> {
    /// The principal.
    pub peer: &'a Peer,
    /// Ids.
    pub entropy: &'a dyn Entropy,
    /// Now.
    pub now: Timestamp,
}

impl Writer<'_> {
    /// A message under a new id.
    ///
    /// # Errors
    /// Text for people.
    pub fn write(&self, tenant: TenantCode, kind: MessageType, body: &Value) -> Result<Letter, String> {
        self.write_as(MessageId::from_random(self.entropy.half()), tenant, kind, body)
    }

    /// A message under this id.
    ///
    /// # Errors
    /// Text for people.
    pub fn write_as(&self, id: MessageId, tenant: TenantCode, kind: MessageType, body: &Value) -> Result<Letter, String> {
        self.peer.write(id, tenant, kind, (self.now, self.now.plus_seconds(900)), body).map_err(|error| error.to_string())
    }

    /// A request for a resident's records.
    ///
    /// # Errors
    /// Text for people.
    pub fn ask(&self, resident: Resident, categories: &[&Category]) -> Result<Letter, String> {
        self.write(resident.tenant, MessageType::SelfInfoRequest, &population::request(&resident.code(), categories, self.now))
    }
}

/// Sends the letters and reads replies until each of `expected` has one, or nothing came for `patience`.
///
/// # Errors
/// Text for people: a letter that the broker did not take.
pub async fn converse(
    peer: &Peer,
    publisher: &Arc<Publisher>,
    replies: &mut mpsc::Receiver<Delivery>,
    letters: Vec<Letter>,
    patience: Duration,
    mut progress: impl FnMut(u64),
) -> Result<Tally, String> {
    let awaited: HashSet<MessageId> = letters.iter().map(|letter| letter.id).collect();
    let mut tally = Tally { requests: awaited.len() as u64, ..Tally::default() };
    let mut sending = JoinSet::new();
    let gate = Arc::new(Semaphore::new(UNDER_WAY));
    let publisher = Arc::clone(publisher);
    sending.spawn(async move {
        let mut each = JoinSet::new();
        for letter in letters {
            let Ok(place) = Arc::clone(&gate).acquire_owned().await else { break };
            let publisher = Arc::clone(&publisher);
            each.spawn(async move {
                let sent = letter.send(&publisher).await;
                drop(place);
                sent
            });
        }
        each.join_all().await.into_iter().find_map(Result::err)
    });
    while tally.answered < tally.requests {
        let Ok(Some(delivery)) = timeout(patience, replies.recv()).await else { break };
        if let Ok(reply) = peer.read(&delivery.body)
            && let Some(re) = reply.re.filter(|re| awaited.contains(re))
        {
            tally.take(re, &delivery.body, reply.body.get());
        }
        delivery.ticket.ack();
        progress(tally.answered);
    }
    match sending.join_next().await {
        Some(Ok(Some(unsent))) => Err(format!("the broker did not take a message: {unsent}")),
        Some(Ok(None) | Err(_)) | None => Ok(tally),
    }
}

/// Counts what a reply says, per category; a denial by its code; rows by their results.
fn count(body: &str, outcomes: &mut BTreeMap<String, u64>) {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return };
    let mut one = |name: &Value| *outcomes.entry(name.as_str().unwrap_or("?").to_owned()).or_default() += 1;
    match (body.get("code"), body.get("categories"), body.get("rows"), body.get("result")) {
        (Some(code), ..) => *outcomes.entry(format!("denied: {}", code.as_str().unwrap_or("?"))).or_default() += 1,
        (_, Some(Value::Array(categories)), ..) => categories.iter().filter_map(|category| category.get("outcome")).for_each(&mut one),
        (_, _, Some(Value::Array(rows)), _) => rows.iter().filter_map(|row| row.get("result")).for_each(&mut one),
        (_, _, _, Some(result)) => one(result),
        _ => {}
    }
}
