//! A lane: the messages of some recipients, on a few channels.
//!
//! Always: one round at a time on a channel, so a lane has several: while one waits for its confirmations, the next sends
//! what has gathered. A message that makes the broker close the channel is found by sending the undecided rest
//! of its round again one by one, so that it spoils no other. While the broker is blocked nothing is sent, and what
//! nobody waits for any more is not sent later. Absent: connecting.

use super::{
    Order, PublisherSettings, Unpublished,
    round::{ChannelEnd, Round},
};
use crate::broker::{
    BrokerError, BrokerEvent, Observer,
    connect::{ANSWER_WITHIN, CLOSED_WITHIN, within},
};
use lapin::{Channel, Connection, options::ConfirmSelectOptions, types::ShortString};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{Mutex, mpsc, watch};

/// What a lane needs of its connection.
pub(super) struct Link {
    pub(super) settings: Arc<PublisherSettings>,
    pub(super) connection: Arc<Connection>,
    pub(super) observer: Observer,
    /// Whether the broker is blocked.
    pub(super) flow: watch::Receiver<bool>,
}

/// How many channels share the orders of a lane. With one, a busy recipient would wait for the broker between any two rounds.
const CHANNELS: usize = 4;

/// One channel of a lane at a time, and what it must still send.
pub(super) struct Lane {
    orders: Arc<Mutex<mpsc::Receiver<Order>>>,
    /// Messages of a round that made the broker close the channel: sent one by one.
    suspects: VecDeque<Order>,
}

impl Lane {
    /// The channels of a lane, as far as they are not yet opened.
    pub(super) fn channels(orders: mpsc::Receiver<Order>) -> impl Iterator<Item = Self> {
        let orders = Arc::new(Mutex::new(orders));
        (0..CHANNELS).map(move |_| Self { orders: Arc::clone(&orders), suspects: VecDeque::new() })
    }

    /// Whether messages are left or may still come.
    pub(super) fn is_of_use(&self) -> bool {
        let at_an_end = self.orders.try_lock().is_ok_and(|orders| orders.is_closed() && orders.is_empty());
        !(at_an_end && self.suspects.is_empty())
    }

    /// Sends rounds until nobody can order any more.
    ///
    /// # Errors
    /// The connection is of no use any more, and why.
    pub(super) async fn run(&mut self, link: &Link) -> Result<(), String> {
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
                None if self.orders.lock().await.recv_many(&mut orders, most).await == 0 => return None,
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
