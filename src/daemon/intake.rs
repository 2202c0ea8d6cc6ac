//! From deliveries to the relay: each message is carried in a task of its own, as many as the prefetch lets out.
//!
//! Always: nothing is taken while the outbox is over its bound, so that a reader that does not read slows its senders and
//! not our memory. Absent: settling; the relay consumes the ticket.

use super::{SystemClock, SystemEntropy, report, suspects::Suspects};
use crate::{
    broker::{self, Publication, Publisher, Unroutable, names},
    relay::{
        Relay,
        ports::{Broker, BrokerFault, DeadLetter, Delivery, Ticket},
    },
    tenant::Route,
    vault::{Outbox, Vaults},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

/// The relay as the daemon runs it.
pub(super) type RunningRelay = Relay<Vaults, Graveyard, SystemClock, SystemEntropy>;

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

/// Where dead letters go: to the broker that brought them.
#[derive(Debug)]
pub(super) struct Graveyard(pub(super) Arc<Publishers>);

impl Broker for Graveyard {
    async fn bury(&self, letter: DeadLetter<'_>) -> Result<(), BrokerFault> {
        let publisher = self.0.get(letter.route.broker.as_str()).ok_or(BrokerFault)?;
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
        publisher.publish(publication).await.map(drop).map_err(|_| BrokerFault)
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
    };
    let (known, end) = relay.carry(Delivery { body, route: way, suspicion, ticket }).await;
    drop(leave);
    report::message(known, &end, &route, began.elapsed());
}
