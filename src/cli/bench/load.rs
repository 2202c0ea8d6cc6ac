//! The load: requests out, replies in, each matched by its correlation id.
//!
//! Always: the same for all subjects; latency counts from when a request was due and not from when it could be sent, so a
//! subject that stalls is not spared. Requests are made beforehand, and replies are opened afterwards, a sample of them.
//! Absent: judging what a reply says.

use super::{bare, failed};
use crate::{
    broker::{Purpose, names},
    cli::{CliError, peer::PeerSettings},
    identifier::{MessageType, TenantCode},
};
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicAckOptions, BasicPublishOptions},
    types::ShortString,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

/// How many replies are acknowledged together at most.
const TOGETHER: usize = 64;
/// How long the last replies of a round may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Every so many replies are kept to be opened.
const SAMPLE: usize = 251;
/// The head of a round, in which rates are not counted.
const RAMP: f64 = 0.15;

/// A request that is ready to go.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    pub(super) id: String,
    pub(super) tenant: TenantCode,
    pub(super) body: Arc<[u8]>,
}

/// What came back in one round.
#[derive(Debug, Default)]
pub(super) struct Volley {
    /// When each reply came, from the beginning of the round, and how long it had taken.
    pub(super) replies: Vec<(Duration, Duration)>,
    /// From the beginning of the round until the last request was sent.
    pub(super) sent_for: Duration,
    /// Some replies, still encrypted.
    pub(super) sample: Vec<Vec<u8>>,
}

impl Volley {
    /// Replies a second between the head of the round and the last request.
    pub(super) fn rate(&self) -> f64 {
        let from = self.sent_for.mul_f64(RAMP);
        let counted = self.replies.iter().filter(|(at, _)| *at > from && *at <= self.sent_for).count();
        counted as f64 / (self.sent_for - from).as_secs_f64().max(1e-3)
    }
}

#[derive(Debug)]
struct Flight {
    began: Instant,
    due: HashMap<String, Instant>,
    volley: Volley,
}

#[derive(Debug)]
struct Shared {
    flight: Mutex<Flight>,
    room: Semaphore,
    landed: Notify,
    last: AtomicU64,
}

/// The asker's connections.
#[derive(Debug)]
pub(super) struct Load {
    output: Channel,
    user: String,
    shared: Arc<Shared>,
    reading: JoinHandle<()>,
    _connections: [Connection; 2],
}

impl Drop for Load {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Load {
    /// Connects as a principal.
    pub(super) async fn connect(settings: &PeerSettings) -> Result<Self, CliError> {
        let broker = settings.broker_settings();
        let connect = async |purpose| broker.connect(purpose).await.map_err(CliError::of(&broker));
        let (taking, sending) = (connect(Purpose::Consume).await?, connect(Purpose::Publish).await?);
        let output = sending.create_channel().await.map_err(failed)?;
        let (input, replies) = bare::consume(&taking, &settings.queue, 4096).await.map_err(failed)?;
        let flight = Flight { began: Instant::now(), due: HashMap::new(), volley: Volley::default() };
        let shared =
            Arc::new(Shared { flight: Mutex::new(flight), room: Semaphore::new(0), landed: Notify::new(), last: AtomicU64::new(0) });
        let (seen, mut replies) = (Arc::clone(&shared), replies.ready_chunks(TOGETHER));
        let reading = tokio::spawn(async move {
            while let Some(some) = replies.next().await {
                let mut tag = None;
                let landed = seen.land(some.into_iter().flatten().inspect(|delivery| tag = Some(delivery.delivery_tag)));
                seen.room.add_permits(landed);
                seen.landed.notify_one();
                let Some(tag) = tag else { return };
                if input.basic_ack(tag, BasicAckOptions { multiple: true }).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { output, user: settings.id.to_string(), shared, reading, _connections: [taking, sending] })
    }

    /// Keeps `window` requests under way for this long, or until there are no more.
    pub(super) async fn saturate(&self, shots: &[Shot], window: usize, seconds: Duration) -> Result<Volley, CliError> {
        let began = self.begin();
        self.shared.room.forget_permits(Semaphore::MAX_PERMITS);
        self.shared.room.add_permits(window);
        for shot in shots {
            let place = timeout(PATIENCE, self.shared.room.acquire()).await;
            let Ok(Ok(place)) = place else { return Err(failed("replies stopped coming")) };
            place.forget();
            if began.elapsed() >= seconds {
                break;
            }
            self.send(shot, Instant::now()).await?;
        }
        self.end(began).await
    }

    /// Sends a request every `1 / rate` seconds, whether replies come or not.
    pub(super) async fn pace(&self, shots: &[Shot], rate: f64) -> Result<Volley, CliError> {
        let began = self.begin();
        for (place, shot) in shots.iter().enumerate() {
            let due = began + Duration::from_secs_f64(place as f64 / rate);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            self.send(shot, due).await?;
        }
        self.end(began).await
    }

    fn begin(&self) -> Instant {
        let began = Instant::now();
        *self.shared.flight() = Flight { began, due: HashMap::new(), volley: Volley::default() };
        began
    }

    async fn send(&self, shot: &Shot, due: Instant) -> Result<(), CliError> {
        // The relay knows a request by its own id; echo and floor are asked the same again under new ones.
        let number = self.shared.last.fetch_add(1, Ordering::Relaxed);
        let id = if shot.id.is_empty() { format!("00000000-0000-4000-8000-{number:012x}") } else { shot.id.clone() };
        let kind = MessageType::SelfInfoRequest.as_str();
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/jose".into())
            .with_type(kind.into())
            .with_message_id(id.as_str().into())
            .with_user_id(self.user.as_str().into());
        let key = ShortString::from(format!("{}.{kind}", shot.tenant));
        self.shared.flight().due.insert(id, due);
        let sent = self.output.basic_publish(names::IN.into(), key, BasicPublishOptions::default(), &shot.body, properties);
        sent.await.map(drop).map_err(failed)
    }

    /// Waits for the last replies.
    async fn end(&self, began: Instant) -> Result<Volley, CliError> {
        let sent_for = began.elapsed();
        loop {
            let landed = self.shared.landed.notified();
            let left = self.shared.flight().due.len();
            if left == 0 {
                let mut volley = std::mem::take(&mut self.shared.flight().volley);
                volley.sent_for = sent_for;
                return Ok(volley);
            }
            if timeout(PATIENCE, landed).await.is_err() {
                return Err(failed(format!("{left} requests were not answered")));
            }
        }
    }
}

impl Shared {
    fn flight(&self) -> std::sync::MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes replies; returns how many were awaited.
    fn land(&self, replies: impl Iterator<Item = lapin::message::Delivery>) -> usize {
        let mut flight = self.flight();
        let now = Instant::now();
        let mut landed = 0;
        for reply in replies {
            let re = reply.properties.correlation_id().as_ref().map_or("", ShortString::as_str);
            let Some(due) = flight.due.remove(re) else { continue };
            landed += 1;
            let at = now.duration_since(flight.began);
            flight.volley.replies.push((at, now.duration_since(due)));
            if flight.volley.replies.len() % SAMPLE == 1 {
                flight.volley.sample.push(reply.data);
            }
        }
        landed
    }
}
