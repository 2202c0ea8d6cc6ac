//! Taking messages in from one broker: one connection, one channel for each queue.
//!
//! Always: no more deliveries are out than the prefetch of each queue; a queue that fails is consumed anew on a channel
//! of its own and leaves the others alone; a connection that fails is made anew, with everything on it. What was out
//! then comes again, marked redelivered. Absent: judging a message; a route tells what the broker said of it.

use super::{
    BrokerError, BrokerEvent, BrokerSettings, Delivery, Observer, Purpose, Route, Ticket,
    connect::{ANSWER_WITHIN, CLOSED_WITHIN, STOOD, pauses, within},
    settle::{Step, settle},
    topology::{short, soft},
};
use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection, Event,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};

/// A queue to consume from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub queue: Arc<str>,
    /// How many deliveries may be out at once; times the largest message, this is the memory it may take.
    pub prefetch: u16,
}

/// What is taken in and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeSettings {
    /// The broker.
    pub broker: BrokerSettings,
    /// Its queues.
    pub queues: Vec<Source>,
}

/// How consuming ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every ticket was settled.
    Settled,
    /// Some were not in time: the broker delivers them again.
    TimedOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Flowing,
    Paused,
    Stopping(Instant),
}

/// A running intake; dropped, it ends at once and what is out comes back.
#[derive(Debug)]
pub struct Intake {
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<Drained>,
}

impl Intake {
    /// Starts consuming. Deliveries come through the receiver, which ends with the intake.
    #[must_use]
    pub fn start(settings: IntakeSettings, observer: Observer) -> (Self, mpsc::Receiver<Delivery>) {
        let room: usize = settings.queues.iter().map(|source| usize::from(source.prefetch)).sum();
        let (deliveries, receiver) = mpsc::channel(room.max(1));
        let (wanted, wish) = watch::channel(Wanted::Flowing);
        let task = tokio::spawn(supervise(settings, observer, deliveries, wish));
        (Self { wanted, task }, receiver)
    }

    /// Takes nothing more in until [`Intake::resume`]; what is out can still be settled.
    pub fn pause(&self) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, Wanted::Paused) != Wanted::Paused);
    }

    /// Takes in again.
    pub fn resume(&self) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, Wanted::Flowing) != Wanted::Flowing);
    }

    /// Takes nothing more in, waits until what is out is settled, and closes the connection.
    ///
    /// # Cancel safety
    /// Dropped early, it ends at once.
    pub async fn stop(mut self, patience: Duration) -> Drained {
        let deadline = Instant::now() + patience;
        self.wanted.send_replace(Wanted::Stopping(deadline));
        // A little longer, for a good end of channels and connection; what hangs then is cut off.
        match timeout_at(deadline + 2 * CLOSED_WITHIN, &mut self.task).await {
            Ok(ended) => ended.unwrap_or(Drained::TimedOut),
            Err(_) => Drained::TimedOut,
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a queue or connection came to its end.
enum End {
    Stopped(Drained),
    Lost(String),
}

async fn supervise(
    settings: IntakeSettings,
    observer: Observer,
    deliveries: mpsc::Sender<Delivery>,
    mut wanted: watch::Receiver<Wanted>,
) -> Drained {
    let broker = Arc::clone(&settings.broker.name);
    let purpose = Purpose::Consume;
    let mut backoff = pauses();
    loop {
        if matches!(*wanted.borrow_and_update(), Wanted::Stopping(_)) {
            return Drained::Settled;
        }
        let retry_in = match settings.broker.connect(purpose).await {
            Ok(connection) => {
                observer(BrokerEvent::Connected { broker: Arc::clone(&broker), purpose });
                let since = Instant::now();
                match session(&settings, connection, &observer, &deliveries, &wanted).await {
                    End::Stopped(drained) => return drained,
                    End::Lost(reason) => observer(BrokerEvent::Lost { broker: Arc::clone(&broker), purpose, reason }),
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
        tokio::select! {
            () = sleep(retry_in) => {}
            stopping = wanted.wait_for(|wanted| matches!(wanted, Wanted::Stopping(_))) => {
                drop(stopping);
                return Drained::Settled;
            }
        }
    }
}

/// Consumes from every queue until the connection ends.
async fn session(
    settings: &IntakeSettings,
    connection: Connection,
    observer: &Observer,
    deliveries: &mpsc::Sender<Delivery>,
    wanted: &watch::Receiver<Wanted>,
) -> End {
    let connection = Arc::new(connection);
    let mut events = Box::pin(connection.events_listener());
    let mut queues = JoinSet::new();
    for source in &settings.queues {
        let serving = Serving {
            broker: Arc::clone(&settings.broker.name),
            source: source.clone(),
            deliveries: deliveries.clone(),
            observer: Arc::clone(observer),
            wanted: wanted.clone(),
        };
        queues.spawn(serving.run(Arc::clone(&connection)));
    }
    let mut drained = Drained::Settled;
    let end = loop {
        tokio::select! {
            ended = queues.join_next() => match ended {
                None => break End::Stopped(drained),
                Some(Ok(End::Stopped(Drained::Settled))) => {}
                Some(Ok(End::Stopped(Drained::TimedOut))) => drained = Drained::TimedOut,
                Some(Ok(End::Lost(reason))) => break End::Lost(reason),
                Some(Err(error)) => break End::Lost(error.to_string()),
            },
            event = events.next() => match event {
                // lapin reports closed channels here too; their queues see to those.
                Some(Event::Error(error)) if soft(&error).is_none() => break End::Lost(error.to_string()),
                None => break End::Lost("the connection ended".to_owned()),
                // The rest concerns publishing; lapin may add more.
                Some(_) => {}
            },
        }
    };
    queues.shutdown().await;
    // It may be gone already, and whatever it still held comes back either way.
    let _ = within(CLOSED_WITHIN, "close the connection", connection.close(200, ShortString::default())).await;
    end
}

/// Consuming from one queue.
struct Serving {
    broker: Arc<str>,
    source: Source,
    deliveries: mpsc::Sender<Delivery>,
    observer: Observer,
    wanted: watch::Receiver<Wanted>,
}

impl Serving {
    async fn run(mut self, connection: Arc<Connection>) -> End {
        let mut backoff = pauses();
        loop {
            let since = Instant::now();
            let error = match self.consume(&connection).await {
                Ok(drained) => return End::Stopped(drained),
                Err(error) => error,
            };
            let reason = error.to_string();
            // lapin tells its channels before its connection knows.
            if error.ends_connection() || !connection.status().connected() {
                return End::Lost(reason);
            }
            (self.observer)(BrokerEvent::QueueGone { broker: Arc::clone(&self.broker), queue: Arc::clone(&self.source.queue), reason });
            if since.elapsed() > STOOD {
                backoff = pauses();
            }
            tokio::select! {
                () = sleep(backoff.next().unwrap_or_default()) => {}
                stopping = self.wanted.wait_for(|wanted| matches!(wanted, Wanted::Stopping(_))) => {
                    drop(stopping);
                    return End::Stopped(Drained::Settled);
                }
            }
        }
    }

    /// Consumes on a channel of its own until told to stop.
    async fn consume(&mut self, connection: &Connection) -> Result<Drained, BrokerError> {
        let channel = within(ANSWER_WITHIN, "open a channel", connection.create_channel()).await?;
        let qos = channel.basic_qos(self.source.prefetch, BasicQosOptions::default());
        within(ANSWER_WITHIN, "limit deliveries", qos).await?;
        let (steps, received) = mpsc::unbounded_channel();
        let (broker, queue, observer) = (Arc::clone(&self.broker), Arc::clone(&self.source.queue), Arc::clone(&self.observer));
        let mut settling = std::pin::pin!(settle(&channel, received, &broker, &queue, &observer));
        let deadline = tokio::select! {
            deadline = self.pump(&channel, steps) => deadline?,
            settled = &mut settling => {
                settled?;
                return Ok(Drained::Settled);
            }
        };
        let drained = match timeout_at(deadline, settling).await {
            Ok(settled) => settled.map(|()| Drained::Settled),
            Err(_) => Ok(Drained::TimedOut),
        };
        let _ = within(CLOSED_WITHIN, "close the channel", channel.close(200, ShortString::default())).await;
        drained
    }

    /// Hands deliveries out while they are wanted; returns until when the rest may take once it should stop.
    async fn pump(&mut self, channel: &Channel, steps: mpsc::UnboundedSender<Step>) -> Result<Instant, BrokerError> {
        loop {
            let wanted = *self.wanted.borrow_and_update();
            match wanted {
                Wanted::Flowing => {}
                Wanted::Stopping(deadline) => return Ok(deadline),
                Wanted::Paused => {
                    if self.wanted.changed().await.is_err() {
                        return Ok(Instant::now());
                    }
                    continue;
                }
            }
            let queue = short(&self.source.queue)?;
            let consume = channel.basic_consume(queue, ShortString::default(), BasicConsumeOptions::default(), FieldTable::default());
            let mut consumer = within(ANSWER_WITHIN, "consume", consume).await?;
            (self.observer)(BrokerEvent::Consuming { broker: Arc::clone(&self.broker), queue: Arc::clone(&self.source.queue) });
            loop {
                tokio::select! {
                    delivery = consumer.next() => match delivery {
                        Some(delivery) => self.hand_out(delivery?, &steps).await,
                        None => return Err(BrokerError::Cancelled),
                    },
                    changed = self.wanted.changed() => {
                        if changed.is_err() || *self.wanted.borrow() != Wanted::Flowing {
                            break;
                        }
                    }
                }
            }
            let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            within(ANSWER_WITHIN, "stop consuming", cancel).await?;
            // What came before the broker stopped is out like the rest.
            while let Some(delivery) = consumer.next().await {
                self.hand_out(delivery?, &steps).await;
            }
        }
    }

    async fn hand_out(&self, delivery: lapin::message::Delivery, steps: &mpsc::UnboundedSender<Step>) {
        let tag = delivery.delivery_tag;
        let ticket = Ticket::new(tag, steps.clone());
        // Counted before anyone can settle it; fails only when the channel has ended, then nothing can be settled.
        let _ = steps.send(Step::Delivered(tag));
        let route = Route::of(&delivery, &self.broker, &self.source.queue);
        // When nobody takes deliveries any more the ticket is dropped here and the broker delivers again.
        let _ = self.deliveries.send(Delivery { body: delivery.data, route, ticket }).await;
    }
}
