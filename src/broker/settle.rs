//! Settling deliveries: tickets, and acknowledgements that are gathered.
//!
//! Always: a ticket is settled once, because settling consumes it; one that is dropped settles nothing; one of an ended
//! channel is ignored, because its tag would name another message now. One `multiple` acknowledgement covers only
//! deliveries that are all finished; a delivery that takes long holds the others back for [`STALL`] at most.
//! Absent: what a delivery holds.

use super::{BrokerError, BrokerEvent, Observer};
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicRejectOptions},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep_until},
};

/// How long finished deliveries are gathered before they are acknowledged together.
const GATHER: Duration = Duration::from_millis(4);
/// How many are acknowledged together at most before that time is over.
const TOGETHER: usize = 64;
/// How long a finished delivery waits for an unfinished one before it.
const STALL: Duration = Duration::from_secs(1);

/// The right to settle one delivery.
#[derive(Debug)]
#[must_use = "an unsettled delivery comes back only when its channel ends"]
pub struct Ticket {
    tag: u64,
    settler: Option<UnboundedSender<Step>>,
}

impl Ticket {
    pub(super) const fn new(tag: u64, settler: UnboundedSender<Step>) -> Self {
        Self { tag, settler: Some(settler) }
    }

    /// The delivery is done: the broker may forget it.
    pub fn ack(self) {
        self.settle(Step::Finished);
    }

    /// The delivery cannot be handled yet: it goes into the wait queue and comes back.
    pub fn wait(self) {
        self.settle(Step::Rejected);
    }

    fn settle(mut self, step: fn(u64) -> Step) {
        if let Some(settler) = self.settler.take() {
            // Fails when the channel has ended: then the broker delivers again.
            let _ = settler.send(step(self.tag));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(settler) = self.settler.take() {
            let _ = settler.send(Step::Abandoned(self.tag));
        }
    }
}

/// What happened to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It was handed out.
    Delivered(u64),
    /// Its ticket was acknowledged.
    Finished(u64),
    /// Its ticket was sent to wait.
    Rejected(u64),
    /// Its ticket was dropped.
    Abandoned(u64),
}

/// One acknowledgement to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ack {
    One(u64),
    UpTo(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Abandoned,
    Finished(Instant),
}

/// The deliveries of one channel that the broker still waits for.
#[derive(Debug, Default)]
struct Tally {
    states: BTreeMap<u64, State>,
    open: usize,
    finished: usize,
}

impl Tally {
    fn set(&mut self, tag: u64, state: Option<State>) {
        let before = match state {
            Some(state) => self.states.insert(tag, state),
            None => self.states.remove(&tag),
        };
        for (state, change) in [(before, -1), (state, 1)] {
            match state {
                Some(State::Open) => self.open = self.open.saturating_add_signed(change),
                Some(State::Finished(_)) => self.finished = self.finished.saturating_add_signed(change),
                Some(State::Abandoned) | None => {}
            }
        }
    }

    /// Whether gathering longer would gain nothing.
    const fn ripe(&self) -> bool {
        self.finished >= TOGETHER || (self.finished > 0 && self.open == 0)
    }

    /// Takes out what is to be acknowledged now.
    fn take_due(&mut self, now: Instant) -> Vec<Ack> {
        let mut due = Vec::new();
        let run: Vec<u64> = self.states.iter().take_while(|(_, state)| matches!(state, State::Finished(_))).map(|(tag, _)| *tag).collect();
        due.extend(match run.as_slice() {
            [] => None,
            [tag] => Some(Ack::One(*tag)),
            [.., last] => Some(Ack::UpTo(*last)),
        });
        for tag in run {
            self.set(tag, None);
        }
        // What is abandoned stays at the front for as long as the channel lives: nothing behind it need wait for it.
        let blocked = self.states.first_key_value().is_some_and(|(_, state)| *state == State::Abandoned);
        let late: Vec<u64> = self
            .states
            .iter()
            .filter(|(_, state)| matches!(state, State::Finished(at) if blocked || now.duration_since(*at) >= STALL))
            .map(|(tag, _)| *tag)
            .collect();
        for tag in late {
            self.set(tag, None);
            due.push(Ack::One(tag));
        }
        due
    }
}

/// Sends the settlements of one channel until every ticket is gone and the sender of deliveries too.
///
/// # Errors
/// The channel has ended.
pub(super) async fn settle(
    channel: &Channel,
    mut steps: UnboundedReceiver<Step>,
    broker: &Arc<str>,
    queue: &Arc<str>,
    observer: &Observer,
) -> Result<(), BrokerError> {
    let mut tally = Tally::default();
    let mut buffer = Vec::new();
    let mut flush_at: Option<Instant> = None;
    loop {
        let received = tokio::select! {
            received = steps.recv_many(&mut buffer, 1024) => Some(received),
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => None,
        };
        let now = Instant::now();
        for step in buffer.drain(..) {
            match step {
                Step::Delivered(tag) => tally.set(tag, Some(State::Open)),
                Step::Finished(tag) => tally.set(tag, Some(State::Finished(now))),
                Step::Rejected(tag) => {
                    channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;
                    tally.set(tag, None);
                }
                Step::Abandoned(tag) => {
                    tally.set(tag, Some(State::Abandoned));
                    observer(BrokerEvent::Abandoned { broker: Arc::clone(broker), queue: Arc::clone(queue) });
                }
            }
        }
        let ended = received == Some(0);
        if ended || tally.ripe() || flush_at.is_some_and(|at| at <= now) {
            for ack in tally.take_due(now) {
                let (tag, multiple) = match ack {
                    Ack::One(tag) => (tag, false),
                    Ack::UpTo(tag) => (tag, true),
                };
                channel.basic_ack(tag, BasicAckOptions { multiple }).await?;
            }
            flush_at = None;
        }
        if ended {
            return Ok(());
        }
        if tally.finished > 0 && flush_at.is_none() {
            flush_at = Some(now + GATHER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(now: Instant, states: &[State]) -> Tally {
        let mut tally = Tally::default();
        for (tag, state) in (1..).zip(states) {
            tally.set(tag, Some(State::Open));
            tally.set(
                tag,
                Some(match state {
                    State::Finished(_) => State::Finished(now),
                    other => *other,
                }),
            );
        }
        tally
    }

    #[tokio::test]
    async fn the_finished_run_at_the_front_is_acknowledged_at_once() {
        let now = Instant::now();
        let done = State::Finished(now);
        let mut tally = tally(now, &[done, done, State::Open, done]);
        assert_eq!(tally.take_due(now), [Ack::UpTo(2)]);
        assert_eq!(tally.take_due(now), []);
        assert_eq!((tally.open, tally.finished), (1, 1));
    }

    #[tokio::test]
    async fn a_stuck_delivery_holds_the_others_back_for_a_second_only() {
        let now = Instant::now();
        let mut tally = tally(now, &[State::Open, State::Finished(now)]);
        assert_eq!(tally.take_due(now + STALL / 2), []);
        assert_eq!(tally.take_due(now + STALL), [Ack::One(2)]);
        tally.set(1, Some(State::Finished(now)));
        assert_eq!(tally.take_due(now), [Ack::One(1)]);
        assert!(tally.states.is_empty());
    }

    #[tokio::test]
    async fn an_abandoned_delivery_is_never_covered_by_a_later_acknowledgement() {
        let now = Instant::now();
        let done = State::Finished(now);
        let mut tally = tally(now, &[done, State::Abandoned, done, done]);
        assert_eq!(tally.take_due(now), [Ack::One(1), Ack::One(3), Ack::One(4)]);
        assert_eq!(tally.states.keys().copied().collect::<Vec<_>>(), [2]);
    }

    #[tokio::test]
    async fn a_dropped_ticket_abandons_and_a_settled_one_does_not() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        Ticket::new(1, sender.clone()).ack();
        Ticket::new(2, sender.clone()).wait();
        drop(Ticket::new(3, sender));
        let mut steps = Vec::new();
        while let Some(step) = receiver.recv().await {
            steps.push(step);
        }
        assert_eq!(steps, [Step::Finished(1), Step::Rejected(2), Step::Abandoned(3)]);
    }
}
