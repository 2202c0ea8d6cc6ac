//! The driver's own list of facts, outside everything that is tested: what was sent, what the broker confirmed, what came back.
//!
//! Always: a letter is noted before it leaves and a reply before it is settled; replies are kept by their id, with the bytes.
//! Absent: any judgement; that is `checker`.

use crate::stage::{Stage, silent};
use nakatsugi::{
    broker::Publisher,
    cli::peer::{Letter, Peer},
    identifier::{MessageId, TenantCode},
    ledger::Commitment,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Longer than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// What a letter asks, in the words of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asks {
    Link {
        person: u32,
        code: u32,
        revision: u64,
    },
    Put {
        person: u32,
        category: usize,
        revision: u64,
        value: String,
    },
    Delete {
        person: u32,
        category: usize,
        revision: u64,
    },
    Request {
        code: u32,
    },
    /// Everything is held back of the person, or nothing.
    Restrict {
        person: u32,
        revision: u64,
        withheld: bool,
    },
    /// One row in each category for [`CROWD`](crate::traffic::CROWD) people from this one on; they come and go together.
    Crowd {
        first: u32,
        revision: u64,
        value: String,
    },
}

impl Asks {
    /// The same, with another body that its author might have meant; newer than anything, so that it would show.
    pub(crate) fn with_other_body(&self) -> Self {
        const NEWEST: u64 = 1 << 40;
        let mut other = self.clone();
        match &mut other {
            Self::Link { revision, .. }
            | Self::Put { revision, .. }
            | Self::Delete { revision, .. }
            | Self::Restrict { revision, .. }
            | Self::Crowd { revision, .. } => *revision = NEWEST,
            Self::Request { code } => *code += 1,
        }
        other
    }
}

/// How many different replies a letter must have in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// One.
    Answer,
    /// One, and one for each other body under the same id: a conflict.
    AnswerAndConflicts(usize),
    /// One, a denial with this code.
    Denied(&'static str),
    /// None at all: it proves nothing, or it came too late.
    Nothing,
}

/// A letter.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) tenant: TenantCode,
    pub(crate) asks: Asks,
    pub(crate) due: Due,
    /// Before the first of its bytes left.
    pub(crate) sent: Instant,
    /// When the broker first said that it has it.
    pub(crate) confirmed: Option<Instant>,
}

/// A reply.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) tenant: TenantCode,
    pub(crate) text: String,
    pub(crate) commitment: Commitment,
    /// When it came first.
    pub(crate) at: Instant,
    /// How often it came.
    pub(crate) times: usize,
    envelope: Vec<u8>,
}

impl Said {
    /// How long its envelope is.
    pub(crate) fn size(&self) -> usize {
        self.envelope.len()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) facts: HashMap<MessageId, Fact>,
    /// By what they answer, then by their own id.
    pub(crate) replies: HashMap<MessageId, BTreeMap<MessageId, Said>>,
    /// Replies with the id of another and other bytes, and what could not be read at all.
    pub(crate) wrong: Vec<String>,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts(Arc<Mutex<Table>>);

impl Facts {
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap()
    }

    /// Notes a letter before it leaves.
    pub(crate) fn note(&self, letter: &Letter, asks: Asks, due: Due) {
        let fact = Fact { tenant: letter.tenant, asks, due, sent: Instant::now(), confirmed: None };
        self.table().facts.entry(letter.id).or_insert(fact);
    }

    pub(crate) fn confirm(&self, id: MessageId) {
        if let Some(fact) = self.table().facts.get_mut(&id) {
            fact.confirmed.get_or_insert_with(Instant::now);
        }
    }

    fn hear(&self, peer: &Peer, envelope: Vec<u8>) {
        let read = peer.read(&envelope);
        let mut table = self.table();
        let reply = match read {
            Ok(reply) => reply,
            Err(error) => return table.wrong.push(format!("a reply is not to be believed: {error}")),
        };
        let Some(re) = reply.re else { return table.wrong.push("a reply answers nothing".to_owned()) };
        let said = table.replies.entry(re).or_default().entry(reply.id).or_insert_with(|| Said {
            tenant: reply.tenant,
            text: reply.body.get().to_owned(),
            commitment: reply.commitment,
            at: Instant::now(),
            times: 0,
            envelope: envelope.clone(),
        });
        said.times += 1;
        if said.envelope != envelope {
            table.wrong.push(format!("twice: the reply to {re} came again with other bytes"));
        }
    }

    /// Letters that were confirmed and lack a reply.
    pub(crate) fn unanswered(&self) -> Vec<MessageId> {
        let table = self.table();
        let lacks = |id: &MessageId, fact: &Fact| {
            let due = match fact.due {
                Due::Answer | Due::Denied(_) => 1,
                Due::AnswerAndConflicts(others) => 1 + others,
                Due::Nothing => 0,
            };
            fact.confirmed.is_some() && table.replies.get(id).map_or(0, BTreeMap::len) < due
        };
        table.facts.iter().filter(|(id, fact)| lacks(id, fact)).map(|(id, _)| *id).collect()
    }

    /// The towns whose letters they are.
    pub(crate) fn unanswered_towns(&self) -> BTreeSet<TenantCode> {
        let left = self.unanswered();
        let table = self.table();
        left.iter().map(|id| table.facts[id].tenant).collect()
    }

    /// How many of them are not requests.
    pub(crate) fn unanswered_but_requests(&self) -> usize {
        let left = self.unanswered();
        let table = self.table();
        left.iter().filter(|id| !matches!(table.facts[id].asks, Asks::Request { .. })).count()
    }

    /// Waits until every letter has what is due; says what lacks it after that time.
    pub(crate) async fn settled(&self, patience: Duration) -> Vec<MessageId> {
        let until = Instant::now() + patience;
        loop {
            let left = self.unanswered();
            if left.is_empty() || Instant::now() > until {
                return left;
            }
            sleep(PAUSE).await;
        }
    }

    pub(crate) fn confirmed(&self) -> usize {
        self.table().facts.values().filter(|fact| fact.confirmed.is_some()).count()
    }

    /// How many replies came again.
    pub(crate) fn repeats(&self) -> usize {
        self.table().replies.values().flat_map(BTreeMap::values).map(|said| said.times - 1).sum()
    }
}

/// A principal that writes, and notes what it sends and hears.
pub(crate) struct Speaker {
    pub(crate) peer: Arc<Peer>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) facts: Facts,
    reading: JoinHandle<()>,
}

impl Speaker {
    pub(crate) fn of(stage: &Stage, id: &str, facts: &Facts) -> Self {
        let peer = Arc::new(stage.site.peer(id).unwrap());
        let publisher = Arc::new(peer.publisher(silent()));
        let mut speaker = Self { peer, publisher, facts: facts.clone(), reading: tokio::spawn(async {}) };
        speaker.listen();
        speaker
    }

    /// Reads from its queue.
    pub(crate) fn listen(&mut self) {
        let (peer, facts) = (Arc::clone(&self.peer), self.facts.clone());
        self.reading = tokio::spawn(async move {
            let (_intake, mut replies) = peer.intake(256, silent());
            while let Some(delivery) = replies.recv().await {
                facts.hear(&peer, delivery.body);
                delivery.ticket.ack();
            }
        });
    }

    /// Reads no longer.
    pub(crate) fn deafen(&self) {
        self.reading.abort();
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Sends a letter until the broker confirms it: as often as it takes.
pub(crate) async fn post(letter: Letter, publisher: Arc<Publisher>, facts: Facts) {
    let until = Instant::now() + PATIENCE;
    loop {
        match letter.send(&publisher).await {
            Ok(()) => return facts.confirm(letter.id),
            Err(error) if Instant::now() > until => panic!("{} cannot be sent: {error}", letter.id),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
