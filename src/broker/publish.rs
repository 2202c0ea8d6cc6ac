//! Sending messages to one broker, each until it is confirmed or known not to be.
//!
//! Always: [`Published`] means that the broker took responsibility and did not return the message. lapin hangs a
//! returned message onto whichever confirmation comes next, not onto its own; so messages go in rounds, one round at a
//! time on a channel, one task to a channel, and a round's results are read only when all its confirmations are there:
//! then all its returns are there too, and are told apart by message id and key. A message that makes the broker close
//! the channel is found by sending its round again one by one, so it spoils no other. Absent: retrying what failed.

use super::{
    BrokerError, BrokerEvent, BrokerSettings, Observer, Purpose,
    connect::within,
    consume::{ANSWER_WITHIN, pauses},
    topology::{short, soft},
};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Event, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};

const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherSettings {
    /// The broker.
    pub broker: BrokerSettings,
    /// Our own AMQP user: the common name of our certificate. It stands in every message; a broker refuses another.
    pub user: String,
    /// How many channels share the recipients among them (by hash), so that a stuck queue holds up only its share.
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
    let mut lanes: Vec<_> = orders.into_iter().map(|orders| Lane { orders, suspects: VecDeque::new() }).collect();
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
                if since.elapsed() > Duration::from_secs(60) {
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
        lanes.retain(|lane| !(lane.orders.is_closed() && lane.orders.is_empty()));
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

/// What a lane needs of its connection.
struct Link {
    settings: Arc<PublisherSettings>,
    connection: Arc<Connection>,
    observer: Observer,
    flow: watch::Receiver<bool>,
}

/// The messages of some recipients, on one channel at a time.
struct Lane {
    orders: mpsc::Receiver<Order>,
    /// Messages of a round that made the broker close the channel: sent one by one.
    suspects: VecDeque<Order>,
}

impl Lane {
    /// Sends rounds until nobody can order any more.
    ///
    /// # Errors
    /// The connection is of no use any more, and why.
    async fn run(&mut self, link: &Link) -> Result<(), String> {
        loop {
            let channel = open(&link.connection).await.map_err(|error| error.to_string())?;
            match self.rounds(&channel, link).await {
                None => return Ok(()),
                Some(ChannelEnd::Refused(reason) | ChannelEnd::Lost(reason)) if !link.connection.status().connected() => {
                    return Err(reason);
                }
                Some(ChannelEnd::TimedOut) if !link.connection.status().connected() => return Err("the connection ended".to_owned()),
                Some(ChannelEnd::Refused(reason) | ChannelEnd::Lost(reason)) => {
                    (link.observer)(BrokerEvent::Refused { broker: Arc::clone(&link.settings.broker.name), reason });
                }
                Some(ChannelEnd::TimedOut) => {
                    // Nothing can be closed or opened while the broker is blocked.
                    self.unblocked(link).await;
                    let _ = within(CLOSED_WITHIN, "close the channel", channel.close(200, ShortString::default())).await;
                }
            }
        }
    }

    async fn unblocked(&self, link: &Link) {
        // Ends with an error only when the connection does; the next round notices.
        let _ = link.flow.clone().wait_for(|blocked| !*blocked).await;
    }

    async fn rounds(&mut self, channel: &Channel, link: &Link) -> Option<ChannelEnd> {
        let most = usize::from(link.settings.round).max(1);
        loop {
            let mut orders = Vec::new();
            match self.suspects.pop_front() {
                Some(suspect) => orders.push(suspect),
                None if self.orders.recv_many(&mut orders, most).await == 0 => return None,
                None => {}
            }
            self.unblocked(link).await;
            // Nobody waits for these any more: they were reported as timed out, so they are not sent.
            orders.retain(|order| !order.reply.is_closed());
            if orders.is_empty() {
                continue;
            }
            let alone = orders.len() == 1;
            let mut round = Round::of(orders);
            match round.send(channel, &link.settings.user).await {
                Ok(()) => round.complete(),
                Err(ChannelEnd::Refused(reason)) if !alone => {
                    self.suspects.extend(round.undecided());
                    return Some(ChannelEnd::Refused(reason));
                }
                Err(end) => {
                    let why = match &end {
                        ChannelEnd::Refused(reason) => Unpublished::Refused(reason.clone()),
                        ChannelEnd::Lost(_) => Unpublished::ConnectionLost,
                        ChannelEnd::TimedOut => Unpublished::TimedOut,
                    };
                    round.undecided().for_each(|order| order.resolve(Err(why.clone())));
                    return Some(end);
                }
            }
        }
    }
}

async fn open(connection: &Connection) -> Result<Channel, BrokerError> {
    let channel = within(ANSWER_WITHIN, "open a channel", connection.create_channel()).await?;
    within(ANSWER_WITHIN, "ask for confirmations", channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// Why a channel is of no use any more.
enum ChannelEnd {
    /// The broker closed it because of a message.
    Refused(String),
    /// It ended for another reason.
    Lost(String),
    /// A confirmation did not come in time.
    TimedOut,
}

impl From<lapin::Error> for ChannelEnd {
    fn from(error: lapin::Error) -> Self {
        let reason = error.to_string();
        if soft(&error).is_some() { Self::Refused(reason) } else { Self::Lost(reason) }
    }
}

/// What is known of one message of a round.
enum Confirm {
    Awaited(PublisherConfirm),
    Acked,
    /// Acked, and another message's return hung on it: says nothing of its own return yet.
    AckedWithReturn,
    Nacked,
    Unknown,
}

/// Some messages on one channel. Only `Some` orders are still to be answered.
struct Round {
    orders: Vec<Option<Order>>,
    confirms: Vec<Confirm>,
    returned: HashSet<Identity>,
    deadline: Instant,
}

impl Round {
    fn of(orders: Vec<Order>) -> Self {
        let deadline = orders.iter().map(|order| order.deadline).max().unwrap_or_else(Instant::now);
        Self { orders: orders.into_iter().map(Some).collect(), confirms: Vec::new(), returned: HashSet::new(), deadline }
    }

    /// Sends all and waits for all confirmations; otherwise answers for those whose fate is known nevertheless.
    async fn send(&mut self, channel: &Channel, user: &str) -> Result<(), ChannelEnd> {
        let deadline = self.deadline;
        let confirmed = timeout_at(deadline, async {
            self.publish(channel, user).await?;
            self.confirmed().await
        });
        let ended = confirmed.await.unwrap_or(Err(ChannelEnd::TimedOut));
        match ended {
            Ok(()) => Ok(()),
            // The channel may have been found closed before the reason was read: the confirmations know it.
            Err(end) => Err(self.decide_what_is_certain().unwrap_or(end)),
        }
    }

    async fn publish(&mut self, channel: &Channel, user: &str) -> Result<(), ChannelEnd> {
        for order in &mut self.orders {
            let Some(asked) = order.as_ref() else { continue };
            let publication = &asked.publication;
            let Ok((exchange, routing_key, properties)) = prepare(publication, user) else {
                if let Some(order) = order.take() {
                    order.resolve(Err(Unpublished::Unsendable));
                }
                self.confirms.push(Confirm::Unknown);
                continue;
            };
            let options = BasicPublishOptions { mandatory: publication.unroutable == Unroutable::Returned, immediate: false };
            let confirm = channel.basic_publish(exchange, routing_key, options, &publication.body, properties).await?;
            self.confirms.push(Confirm::Awaited(confirm));
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<(), ChannelEnd> {
        for confirm in &mut self.confirms {
            if let Confirm::Awaited(awaited) = confirm {
                let answer = awaited.await;
                *confirm = note(&mut self.returned, answer)?;
            }
        }
        Ok(())
    }

    /// After a round that did not end well: answers for what is certain, and says why the channel ended if it knows.
    ///
    /// A confirmation without a return means that no return was waiting when it came; so its own, if there was one, hung
    /// on an earlier confirmation, and all earlier ones are seen by looking at every confirmation once more.
    fn decide_what_is_certain(&mut self) -> Option<ChannelEnd> {
        let certain: Vec<bool> = self.confirms.iter().map(|confirm| matches!(confirm, Confirm::Acked | Confirm::Nacked)).collect();
        let mut refused = None;
        for confirm in &mut self.confirms {
            if let Confirm::Awaited(awaited) = confirm
                && let Some(answer) = awaited.now_or_never()
            {
                *confirm = note(&mut self.returned, answer).unwrap_or_else(|end| {
                    if matches!(end, ChannelEnd::Refused(_)) {
                        refused = Some(end);
                    }
                    Confirm::Unknown
                });
            }
        }
        for ((order, confirm), certain) in self.orders.iter_mut().zip(&self.confirms).zip(certain) {
            let outcome = match (&*order, confirm) {
                (None, _) => continue,
                (Some(asked), _) if self.returned.contains(&identity(&asked.publication)) => Err(Unpublished::Returned),
                (Some(_), Confirm::Acked) if certain => Ok(Published(())),
                (Some(_), Confirm::Nacked) if certain => Err(Unpublished::Nacked),
                (Some(_), Confirm::Acked | Confirm::AckedWithReturn | Confirm::Nacked | Confirm::Awaited(_) | Confirm::Unknown) => continue,
            };
            if let Some(order) = order.take() {
                order.resolve(outcome);
            }
        }
        refused
    }

    /// Answers for all, once all confirmations are there: then no return is missing.
    fn complete(self) {
        for (order, confirm) in self.orders.into_iter().zip(self.confirms) {
            let Some(order) = order else { continue };
            let outcome = match confirm {
                _ if self.returned.contains(&identity(&order.publication)) => Err(Unpublished::Returned),
                Confirm::Acked | Confirm::AckedWithReturn => Ok(Published(())),
                Confirm::Nacked => Err(Unpublished::Nacked),
                Confirm::Awaited(_) | Confirm::Unknown => Err(Unpublished::ConnectionLost),
            };
            order.resolve(outcome);
        }
    }

    fn undecided(self) -> impl Iterator<Item = Order> {
        self.orders.into_iter().flatten()
    }
}

/// What tells one message from another: id, exchange and routing key.
type Identity = (String, String, String);

fn note(returned: &mut HashSet<Identity>, answer: lapin::Result<Confirmation>) -> Result<Confirm, ChannelEnd> {
    let (confirm, message) = match answer? {
        Confirmation::Ack(None) => (Confirm::Acked, None),
        Confirmation::Ack(message) => (Confirm::AckedWithReturn, message),
        Confirmation::Nack(message) => (Confirm::Nacked, message),
        // Cannot be: confirmations were asked for when the channel was opened.
        Confirmation::NotRequested => (Confirm::Unknown, None),
    };
    if let Some(message) = message {
        let id = message.properties.message_id().as_ref().map_or("", ShortString::as_str).to_owned();
        returned.insert((id, message.exchange.as_str().to_owned(), message.routing_key.as_str().to_owned()));
    }
    Ok(confirm)
}

fn identity(publication: &Publication) -> Identity {
    (publication.message_id.clone(), publication.exchange.clone(), publication.routing_key.clone())
}

fn prepare(publication: &Publication, user: &str) -> Result<(ShortString, ShortString, BasicProperties), BrokerError> {
    Ok((short(&publication.exchange)?, short(&publication.routing_key)?, properties(publication, user)?))
}

fn properties(publication: &Publication, user: &str) -> Result<BasicProperties, BrokerError> {
    const PERSISTENT: u8 = 2;
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(short("application/jose")?)
        .with_type(short(&publication.kind)?)
        .with_message_id(short(&publication.message_id)?)
        .with_user_id(short(user)?);
    if let Some(answered) = &publication.correlation_id {
        properties = properties.with_correlation_id(short(answered)?);
    }
    if !publication.headers.is_empty() {
        let mut headers = FieldTable::default();
        for (name, text) in &publication.headers {
            headers.insert(short(name)?, AMQPValue::LongString(text.as_str().into()));
        }
        properties = properties.with_headers(headers);
    }
    Ok(properties)
}
