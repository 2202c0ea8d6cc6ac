//! From deliveries to the relay: each message is carried in a task of its own, as many as the prefetch lets out.
//!
//! Always: nothing is taken while the outbox is over its bound, so that a reader that does not read slows its senders and
//! not our memory. Absent: settling; the relay consumes the ticket.

use super::{SystemClock, SystemEntropy, post::Backlog, report, suspects::Suspects};
use crate::{
    broker::{self, Publication, Publisher, Unroutable, names},
    examiner::Examiner,
    identifier::PrincipalId,
    relay::{
        End, Relay,
        ports::{Broker, BrokerFault, DeadLetter, Delivery, Ticket},
    },
    tenant::Route,
    vault::{Outbox, Vaults},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

/// The relay as the daemon runs it.
pub(super) type RunningRelay = Relay<Vaults, Brokers, SystemClock, SystemEntropy, Examiner>;

/// The publishers, by the name of their broker.
pub(super) type Publishers = BTreeMap<Arc<str>, Publisher>;

impl Ticket for broker::Ticket {
    fn ack(self) {
        Self::ack(self);
    }

    fn wait(self) {
        Self::wait(self);
    }
}

/// The brokers as the relay sees them: dead letters go to the one that brought them.
#[derive(Debug)]
pub(super) struct Brokers {
    pub(super) publishers: Arc<Publishers>,
    pub(super) backlog: Arc<Backlog>,
}

impl Broker for Brokers {
    async fn bury(&self, letter: DeadLetter<'_>) -> Result<(), BrokerFault> {
        let publisher = self.publishers.get(letter.route.broker.as_str()).ok_or(BrokerFault::Unconfirmed)?;
        let headers = [("reason", letter.reason), ("routing-key", &letter.route.routing_key), ("exchange", &letter.route.exchange)];
        let carrier = letter.route.user_id.as_deref().map(|user| ("carrier", user));
        // The carrier's own `user_id` would close the channel: properties are built anew, ours stands in it.
        let publication = Publication {
            exchange: names::DEAD.to_owned(),
            routing_key: letter.reason.to_owned(),
            kind: "dead".to_owned(),
            message_id: letter.digest,
            correlation_id: None,
            headers: headers.into_iter().chain(carrier).map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: letter.body.into(),
            unroutable: Unroutable::Returned,
        };
        publisher.publish(publication).await.map(drop).map_err(|_| BrokerFault::Unconfirmed)
    }

    fn can_reach(&self, recipient: &PrincipalId) -> Result<(), BrokerFault> {
        if self.backlog.is_full(recipient) { Err(BrokerFault::ReaderBehind) } else { Ok(()) }
    }
}

/// Carries what comes in until the intake ends.
pub(super) async fn take_in(
    mut deliveries: mpsc::Receiver<broker::Delivery>,
    relay: Arc<RunningRelay>,
    suspects: Arc<Suspects>,
    outbox: Outbox,
    carried: TaskTracker,
) {
    while let Some(delivery) = deliveries.recv().await {
        outbox.room().await;
        carried.spawn(carry(delivery, Arc::clone(&relay), Arc::clone(&suspects)));
    }
}

async fn carry(delivery: broker::Delivery, relay: Arc<RunningRelay>, suspects: Arc<Suspects>) {
    let began = Instant::now();
    let broker::Delivery { body, route, ticket } = delivery;
    #[cfg(feature = "sabotage")]
    let ticket = crate::sabotage::Ticket::of(ticket);
    // Without the means to mark who is alone, the message still runs; it only cannot be blamed.
    let leave = suspects.leave(route.redelivered, &body).await.ok();
    let suspicion = leave.as_ref().map_or(0, super::Leave::suspicion);
    let way = Route {
        broker: route.broker.as_ref().to_owned(),
        exchange: route.exchange.clone(),
        routing_key: route.routing_key.clone(),
        user_id: route.user_id.clone(),
        kind: route.kind.clone(),
        message_id: route.message_id.clone(),
        copied: route.copied,
    };
    let (known, end) = relay.carry(Delivery { body, route: way, suspicion, ticket }).await;
    match (&end, leave) {
        // It has come to an end in a living process: nobody suspects it any more.
        (End::Answered { .. } | End::Denied { .. } | End::Quarantined { .. } | End::Repeated | End::DeadLettered { .. }, Some(leave)) => {
            leave.acquit()
        }
        (End::Waiting { .. } | End::Blamed { .. }, _) | (_, None) => {}
    }
    report::message(known, &end, &route, began.elapsed());
}
