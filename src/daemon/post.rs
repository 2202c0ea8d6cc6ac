//! From the outbox to the brokers: each parcel is published until it is confirmed or its deadline has passed.
//!
//! Always: a parcel is marked sent only after the broker confirmed it and did not return it; a reader whose queue is missing or
//! full holds up its own parcels only, and its own next messages. Absent: where a parcel goes; the directory names each
//! principal's broker.

use super::{
    SystemClock,
    intake::{Publishers, RunningRelay},
};
use crate::{
    broker::{Publication, Unpublished, Unroutable, names},
    calendar::Timestamp,
    identifier::PrincipalId,
    relay::ports::{Clock as _, Parcel},
    telemetry::{
        Micros, Words,
        event::{self, Event as _},
    },
    vault::{Dispatch, Outbox},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

/// How many parcels are with the brokers at once.
const UNDER_WAY: usize = 4_096;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest while only the broker is gone: trying then waits for the connection and costs nothing.
const LONGEST_WHILE_GONE: Duration = Duration::from_secs(2);

/// How many parcels to each principal could not be delivered so far and are tried again.
#[derive(Debug)]
pub(super) struct Backlog {
    stuck: Mutex<HashMap<PrincipalId, usize>>,
    limit: usize,
}

/// One parcel that is tried again; counts while it lives.
struct Stuck<'a> {
    backlog: &'a Backlog,
    recipient: &'a PrincipalId,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        Self { stuck: Mutex::default(), limit }
    }

    /// Whether so many parcels to this principal are stuck that its next messages should wait.
    pub(super) fn is_full(&self, recipient: &PrincipalId) -> bool {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.get(recipient).is_some_and(|count| *count >= self.limit)
    }

    fn count<'a>(&'a self, recipient: &'a PrincipalId) -> Stuck<'a> {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner).entry(recipient.clone()).or_default() += 1;
        Stuck { backlog: self, recipient }
    }
}

impl Drop for Stuck<'_> {
    fn drop(&mut self) {
        let mut stuck = self.backlog.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = stuck.get_mut(self.recipient) {
            *count -= 1;
            if *count == 0 {
                stuck.remove(self.recipient);
            }
        }
    }
}

/// What delivering needs.
pub(super) struct Post {
    pub(super) outbox: Outbox,
    pub(super) relay: Arc<RunningRelay>,
    pub(super) publishers: Arc<Publishers>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) under_way: Semaphore,
}

impl Post {
    pub(super) fn new(outbox: Outbox, relay: Arc<RunningRelay>, publishers: Arc<Publishers>, backlog: Arc<Backlog>) -> Self {
        Self { outbox, relay, publishers, backlog, under_way: Semaphore::new(UNDER_WAY) }
    }
}

/// Publishes what comes out of the outbox, for ever.
pub(super) async fn post(post: Arc<Post>, posted: TaskTracker) {
    loop {
        let dispatch = post.outbox.next().await;
        let post = Arc::clone(&post);
        posted.spawn(async move { deliver(dispatch, &post).await });
    }
}

async fn deliver(dispatch: Dispatch, post: &Post) {
    let began = Instant::now();
    let parcel = Arc::clone(dispatch.parcel());
    let mut pause = FIRST_PAUSE;
    let mut stuck = None;
    for tries in 1.. {
        let longest = match attempt(&parcel, post).await {
            Ok(()) => {
                let (message_type, jti, recipient) = (parcel.kind, parcel.id, parcel.recipient.clone());
                dispatch.settle();
                return event::ParcelPublished { message_type, jti, recipient, tries, micros: Micros(began.elapsed()) }.emit();
            }
            Err(refusal) => {
                let (message_type, jti, recipient) = (parcel.kind, parcel.id, parcel.recipient.clone());
                if is_over(parcel.deadline) {
                    dispatch.settle();
                    return event::ParcelExpired { message_type, jti, recipient, tries }.emit();
                }
                if stuck.is_none() {
                    stuck = Some(post.backlog.count(&parcel.recipient));
                    event::ParcelReturned { message_type, jti, recipient, words: Words::of_system(&refusal) }.emit();
                }
                match refusal {
                    Unpublished::ConnectionLost | Unpublished::TimedOut => LONGEST_WHILE_GONE,
                    Unpublished::Nacked | Unpublished::Returned | Unpublished::Refused(_) | Unpublished::Unsendable => LONGEST_PAUSE,
                }
            }
        };
        sleep(pause.min(longest)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if dispatch.is_abandoned() {
            // Its vault has stopped; opened again, it posts the parcel anew.
            return;
        }
    }
}

async fn attempt(parcel: &Parcel, post: &Post) -> Result<(), Unpublished> {
    // Held for one try only: parcels that cannot be delivered keep no place from others.
    let _place = post.under_way.acquire().await.map_err(|_| Unpublished::ConnectionLost)?;
    let directory = post.relay.directory();
    let replies = directory.principal(&parcel.recipient).and_then(|principal| principal.replies.as_ref());
    let publisher = replies.and_then(|replies| post.publishers.get(replies.broker.as_str())).ok_or(Unpublished::Returned)?;
    let publication = Publication {
        exchange: names::OUT.to_owned(),
        routing_key: format!("{}.{}", parcel.recipient, parcel.kind),
        kind: parcel.kind.to_string(),
        message_id: parcel.id.to_string(),
        correlation_id: parcel.re.map(|re| re.to_string()),
        headers: Vec::new(),
        body: Arc::clone(&parcel.body),
        unroutable: Unroutable::Returned,
    };
    publisher.publish(publication).await.map(drop)
}

fn is_over(deadline: Timestamp) -> bool {
    SystemClock.now() > deadline
}
