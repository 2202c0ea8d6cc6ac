//! A round: some messages published on one channel, and what became of each.
//!
//! Always: results are read when all confirmations of the round are there; as none of an earlier round is outstanding,
//! all returns are there too (each hangs on some confirmation of this round), and are told apart by id, exchange and key.
//! Absent: a time of its own; the latest deadline of its messages ends it.

use super::{Order, Publication, Published, Unpublished, Unroutable};
use crate::broker::{
    BrokerError,
    topology::{short, soft},
};
use futures_util::FutureExt as _;
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable, ShortString},
};
use std::collections::HashSet;
use tokio::time::{Instant, timeout_at};

/// Why a channel is of no use any more.
pub(super) enum ChannelEnd {
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
pub(super) struct Round {
    orders: Vec<Option<Order>>,
    confirms: Vec<Confirm>,
    returned: HashSet<Identity>,
    deadline: Instant,
}

impl Round {
    pub(super) fn of(orders: Vec<Order>) -> Self {
        let deadline = orders.iter().map(|order| order.deadline).max().unwrap_or_else(Instant::now);
        Self { orders: orders.into_iter().map(Some).collect(), confirms: Vec::new(), returned: HashSet::new(), deadline }
    }

    /// Sends all and waits for all confirmations; otherwise answers for those whose fate is known nevertheless.
    pub(super) async fn send(&mut self, channel: &Channel, user: &str) -> Result<(), ChannelEnd> {
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
                (Some(asked), _) if came_back(&self.returned, &asked.publication) => Err(Unpublished::Returned),
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
    pub(super) fn complete(self) {
        for (order, confirm) in self.orders.into_iter().zip(self.confirms) {
            let Some(order) = order else { continue };
            let outcome = match confirm {
                _ if came_back(&self.returned, &order.publication) => Err(Unpublished::Returned),
                Confirm::Acked | Confirm::AckedWithReturn => Ok(Published(())),
                Confirm::Nacked => Err(Unpublished::Nacked),
                Confirm::Awaited(_) | Confirm::Unknown => Err(Unpublished::ConnectionLost),
            };
            order.resolve(outcome);
        }
    }

    pub(super) fn undecided(self) -> impl Iterator<Item = Order> {
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

fn came_back(returned: &HashSet<Identity>, publication: &Publication) -> bool {
    // Mostly nothing came back, and nothing need be copied to know it.
    let identity = || (publication.message_id.clone(), publication.exchange.clone(), publication.routing_key.clone());
    !returned.is_empty() && returned.contains(&identity())
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};

    fn round(confirms: Vec<Confirm>, returned: &[u32]) -> (Round, Vec<Receiver<Result<Published, Unpublished>>>) {
        let (orders, outcomes) = (0..confirms.len()).map(order).unzip();
        let mut round = Round::of(orders);
        round.confirms = confirms;
        round.returned = returned.iter().map(|id| (id.to_string(), "out".to_owned(), "key".to_owned())).collect();
        (round, outcomes)
    }

    fn order(id: usize) -> (Order, Receiver<Result<Published, Unpublished>>) {
        let publication = Publication {
            exchange: "out".into(),
            routing_key: "key".into(),
            kind: String::new(),
            message_id: id.to_string(),
            correlation_id: None,
            headers: Vec::new(),
            body: [].into(),
            unroutable: Unroutable::Returned,
        };
        let (reply, outcome) = oneshot::channel();
        (Order { publication, deadline: Instant::now(), reply }, outcome)
    }

    #[tokio::test]
    async fn a_return_belongs_to_its_message_and_not_to_the_confirmation_it_hangs_on() {
        let confirms = vec![Confirm::AckedWithReturn, Confirm::Acked, Confirm::Nacked, Confirm::Unknown];
        let (round, outcomes) = round(confirms, &[1]);
        round.complete();
        let outcomes: Vec<_> = outcomes.into_iter().map(|mut outcome| outcome.try_recv().unwrap()).collect();
        let lost = Err(Unpublished::ConnectionLost);
        assert_eq!(outcomes, [Ok(Published(())), Err(Unpublished::Returned), Err(Unpublished::Nacked), lost]);
    }

    #[tokio::test]
    async fn after_a_bad_end_only_what_is_certain_is_answered() {
        let confirms = vec![Confirm::AckedWithReturn, Confirm::Acked, Confirm::Acked, Confirm::Nacked, Confirm::Unknown];
        let (mut round, mut outcomes) = round(confirms, &[1]);
        assert!(round.decide_what_is_certain().is_none());
        let answers: Vec<_> = outcomes.iter_mut().map(Receiver::try_recv).collect();
        assert_eq!(
            answers,
            [
                Err(TryRecvError::Empty),
                Ok(Err(Unpublished::Returned)),
                Ok(Ok(Published(()))),
                Ok(Err(Unpublished::Nacked)),
                Err(TryRecvError::Empty)
            ]
        );
        assert_eq!(round.undecided().map(|order| order.publication.message_id).collect::<Vec<_>>(), ["0", "4"]);
    }
}
