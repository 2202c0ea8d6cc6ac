//! Sending messages to one broker, each until it is confirmed or known not to be.
//!
//! Always: [`Published`] means that the broker took responsibility and did not return the message. lapin hangs a
//! returned message onto whichever confirmation comes next, not onto its own; so messages go in rounds (`round`), one
//! at a time on a channel, one task to a channel (`lane`); several channels overlap their rounds. Absent: retrying what failed.

mod lane;
mod round;

use super::{
    BrokerEvent, BrokerSettings, Observer, Purpose,
    connect::{CLOSED_WITHIN, STOOD, pauses, within},
    topology::soft,
};
use futures_util::StreamExt as _;
use lane::{Lane, Link};
use lapin::{Connection, Event, types::ShortString};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherSettings {
    /// The broker.
    pub broker: BrokerSettings,
    /// Our own AMQP user: the common name of our certificate. It stands in every message; a broker refuses another.
    pub user: String,
    /// How many lanes share the recipients among them (by hash), so that a stuck queue holds up only its share.
    pub lanes: u16,
    /// How many messages go in one round.
    pub round: u16,
    /// How long a message may take from being handed over to being confirmed.
    pub confirmed_within: Duration,
}

/// What becomes of a message that no queue is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unroutable {
    /// It is returned: [`Unpublished::Returned`].
    Returned,
    /// It is dropped, and counts as published.
    Dropped,
}

/// A message to send. Always persistent, `application/jose`, with our own user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The property `type`.
    pub kind: String,
    /// The property `message_id`.
    pub message_id: String,
    /// The property `correlation_id`.
    pub correlation_id: Option<String>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Arc<[u8]>,
    /// What becomes of it when no queue is bound for it.
    pub unroutable: Unroutable,
}

/// The broker has the message and answers for it. Only [`Publisher::publish`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Published(());

/// Why a message does not count as published. After `ConnectionLost` and `TimedOut` the broker may have it all the same:
/// whoever sends it again sends the same message id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unpublished {
    /// The broker refused responsibility: the queue is full or out of order.
    #[error("the broker did not accept the message")]
    Nacked,
    /// No queue is bound for it.
    #[error("no queue takes the message")]
    Returned,
    /// The broker closed the channel because of it: not permitted, too large, a foreign user or no such exchange.
    #[error("the broker refused the message: {0}")]
    Refused(String),
    /// A property is too long for AMQP; it was not sent.
    #[error("a property of the message is longer than 255 bytes")]
    Unsendable,
    /// The connection ended before the confirmation.
    #[error("the connection was lost before the message was confirmed")]
    ConnectionLost,
    /// No confirmation in time.
    #[error("the message was not confirmed in time")]
    TimedOut,
}

type Outcome = Result<Published, Unpublished>;

/// A running publisher; dropped, it ends at once.
#[derive(Debug)]
pub struct Publisher {
    lanes: Vec<mpsc::Sender<Order>>,
    confirmed_within: Duration,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Order {
    publication: Publication,
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
}

impl Order {
    fn resolve(self, outcome: Outcome) {
        // Whoever asked may have stopped waiting.
        let _ = self.reply.send(outcome);
    }
}

impl Publisher {
    /// Connects, and keeps connected.
    #[must_use]
    pub fn start(settings: PublisherSettings, observer: Observer) -> Self {
        let room = usize::from(settings.round).max(1);
        let (lanes, orders): (Vec<_>, Vec<_>) = (0..settings.lanes.max(1)).map(|_| mpsc::channel(room)).unzip();
        let confirmed_within = settings.confirmed_within;
        let task = tokio::spawn(supervise(Arc::new(settings), observer, orders));
        Self { lanes, confirmed_within, task }
    }

    /// Sends a message and waits for what becomes of it. While there is no connection it waits for one.
    ///
    /// # Errors
    /// See [`Unpublished`].
    ///
    /// # Cancel safety
    /// Dropped early, the message may or may not be sent.
    pub async fn publish(&self, publication: Publication) -> Result<Published, Unpublished> {
        let deadline = Instant::now() + self.confirmed_within;
        let (reply, outcome) = oneshot::channel();
        let mut hasher = DefaultHasher::new();
        let recipient = publication.routing_key.rsplitn(3, '.').last().unwrap_or_default();
        (&publication.exchange, recipient).hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % u64::try_from(self.lanes.len()).unwrap_or(1)).unwrap_or_default();
        let lane = self.lanes.get(lane).ok_or(Unpublished::ConnectionLost)?;
        let waited = timeout_at(deadline, async {
            lane.send(Order { publication, deadline, reply }).await.map_err(|_| Unpublished::ConnectionLost)?;
            outcome.await.unwrap_or(Err(Unpublished::ConnectionLost))
        });
        waited.await.unwrap_or(Err(Unpublished::TimedOut))
    }

    /// Takes no more messages, waits for the confirmations of those it has, and closes the connection.
    pub async fn stop(mut self, patience: Duration) {
        self.lanes.clear();
        let _ = tokio::time::timeout(patience, &mut self.task).await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn supervise(settings: Arc<PublisherSettings>, observer: Observer, orders: Vec<mpsc::Receiver<Order>>) {
    let broker = Arc::clone(&settings.broker.name);
    let purpose = Purpose::Publish;
    let mut backoff = pauses();
    let mut lanes: Vec<_> = orders.into_iter().flat_map(Lane::channels).collect();
    while !lanes.is_empty() {
        let retry_in = match settings.broker.connect(purpose).await {
            Ok(connection) => {
                observer(BrokerEvent::Connected { broker: Arc::clone(&broker), purpose });
                let since = Instant::now();
                let reason;
                (lanes, reason) = session(&settings, connection, &observer, lanes).await;
                if let Some(reason) = reason {
                    observer(BrokerEvent::Lost { broker: Arc::clone(&broker), purpose, reason });
                }
                if since.elapsed() > STOOD {
                    backoff = pauses();
                }
                backoff.next().unwrap_or_default()
            }
            Err(error) => {
                let retry_in = backoff.next().unwrap_or_default();
                observer(BrokerEvent::NotConnected { broker: Arc::clone(&broker), purpose, reason: error.to_string(), retry_in });
                retry_in
            }
        };
        lanes.retain(Lane::is_of_use);
        if !lanes.is_empty() {
            sleep(retry_in).await;
        }
    }
}

/// Sends until the connection ends; gives the lanes back that still have senders, and why it ended.
async fn session(
    settings: &Arc<PublisherSettings>,
    connection: Connection,
    observer: &Observer,
    lanes: Vec<Lane>,
) -> (Vec<Lane>, Option<String>) {
    let broker = &settings.broker.name;
    let connection = Arc::new(connection);
    let mut events = Box::pin(connection.events_listener());
    let (lost, ended) = watch::channel(None::<String>);
    let (blocked, flow) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for lane in lanes {
        let link = Link {
            settings: Arc::clone(settings),
            connection: Arc::clone(&connection),
            observer: Arc::clone(observer),
            flow: flow.clone(),
        };
        let mut ended = ended.clone();
        tasks.spawn(async move {
            let mut lane = lane;
            let end = tokio::select! {
                end = lane.run(&link) => end,
                // What is on the way is dropped with the round: its askers learn that the connection was lost.
                _ = ended.wait_for(Option::is_some) => Err(String::new()),
            };
            (lane, end)
        });
    }
    let lose = |reason: String| lost.send_if_modified(|lost| lost.is_none() && lost.replace(reason).is_none());
    let mut open = Vec::new();
    let mut listening = true;
    loop {
        tokio::select! {
            task = tasks.join_next() => match task {
                None => break,
                Some(Ok((_, Ok(())))) => {}
                Some(Ok((lane, Err(reason)))) => {
                    open.push(lane);
                    lose(reason);
                }
                Some(Err(error)) => {
                    lose(error.to_string());
                }
            },
            event = events.next(), if listening => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    blocked.send_replace(true);
                    observer(BrokerEvent::Blocked { broker: Arc::clone(broker), reason });
                }
                Some(Event::ConnectionUnblocked) => {
                    blocked.send_replace(false);
                    observer(BrokerEvent::Unblocked { broker: Arc::clone(broker) });
                }
                // lapin reports closed channels here too; their lanes see to those.
                Some(Event::Error(error)) if soft(&error).is_none() => {
                    lose(error.to_string());
                }
                // The rest concerns other uses; lapin may add more.
                Some(_) => {}
                None => {
                    listening = false;
                    lose("the connection ended".to_owned());
                }
            },
        }
    }
    let _ = within(CLOSED_WITHIN, "close the connection", connection.close(200, ShortString::default())).await;
    let reason = lost.borrow().clone();
    (open, reason)
}
