//! From the outbox to the brokers: each parcel is published until it is confirmed or its deadline has passed.
//!
//! Always: a parcel is marked sent only after the broker confirmed it and did not return it; a reader whose queue is missing
//! holds up its own parcels only. Absent: where a parcel goes; the directory names each principal's broker.

use super::{
    SystemClock,
    intake::{Publishers, RunningRelay},
};
use crate::{
    broker::{Publication, Unpublished, Unroutable, names},
    calendar::Timestamp,
    relay::ports::{Clock as _, Parcel},
    telemetry::{
        Micros, Words,
        event::{self, Event as _},
    },
    vault::{Dispatch, Outbox},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

/// How many parcels are on their way at once.
const UNDER_WAY: usize = 4_096;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Publishes what comes out of the outbox, for ever.
pub(super) async fn post(outbox: Outbox, relay: Arc<RunningRelay>, publishers: Arc<Publishers>, posted: TaskTracker) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        let Ok(place) = Arc::clone(&under_way).acquire_owned().await else { return };
        let dispatch = outbox.next().await;
        let (relay, publishers) = (Arc::clone(&relay), Arc::clone(&publishers));
        posted.spawn(async move {
            deliver(dispatch, &relay, &publishers).await;
            drop(place);
        });
    }
}

async fn deliver(dispatch: Dispatch, relay: &RunningRelay, publishers: &Publishers) {
    let began = Instant::now();
    let parcel = Arc::clone(dispatch.parcel());
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        // A mark of the first try is not awaited: whoever published it and then died publishes the same bytes again.
        match attempt(&parcel, relay, publishers).await {
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
                if tries == 1 {
                    event::ParcelReturned { message_type, jti, recipient, words: Words::of_system(&refusal) }.emit();
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(parcel: &Parcel, relay: &RunningRelay, publishers: &Publishers) -> Result<(), Unpublished> {
    let directory = relay.directory();
    let replies = directory.principal(&parcel.recipient).and_then(|principal| principal.replies.as_ref());
    let publisher = replies.and_then(|replies| publishers.get(replies.broker.as_str())).ok_or(Unpublished::Returned)?;
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
