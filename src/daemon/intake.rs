//! From deliveries to the relay: each message is carried in a task of its own, as many as the prefetch lets out.
//!
//! Always: nothing is taken while the outbox is over its bound, so that a reader that does not read slows its senders and
//! not our memory. Absent: settling; the relay consumes the ticket.

use super::{Suspects, World};
use crate::{
    broker,
    relay::{
        Relay,
        ports::{Delivery, Ticket},
    },
    telemetry,
    tenant::Route,
    vault::{Outbox, Vaults},
};
use std::{sync::Arc, time::Instant};
use tokio::{sync::mpsc, task::JoinSet};

impl Ticket for broker::Ticket {
    fn ack(self) {
        Self::ack(self);
    }

    fn wait(self) {
        Self::wait(self);
    }
}
