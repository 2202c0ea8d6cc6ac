//! What an operator wants to know about the brokers.
//!
//! Always: names and the broker's own words; never a body, header or message id.

use std::{fmt, sync::Arc, time::Duration};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Messages come in.
    Consume,
    /// Messages go out.
    Publish,
    /// Exchanges and queues are declared or looked for.
    Topology,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consume => "consume",
            Self::Publish => "publish",
            Self::Topology => "topology",
        })
    }
}

/// Something happened to a connection or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEvent {
    /// A connection stands.
    Connected {
        /// Which broker.
        broker: Arc<str>,
        /// Which of its connections.
        purpose: Purpose,
    },
    /// A connection could not be made; it is tried again.
    NotConnected {
        /// Which broker.
        broker: Arc<str>,
        /// Which of its connections.
        purpose: Purpose,
        /// Why.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// A connection that stood is gone; it is made again.
    Lost {
        /// Which broker.
        broker: Arc<str>,
        /// Which of its connections.
        purpose: Purpose,
        /// Why.
        reason: String,
    },
    /// A queue is being consumed from.
    Consuming {
        /// Which broker.
        broker: Arc<str>,
        /// Which queue.
        queue: Arc<str>,
    },
    /// A queue is no longer consumed from while its connection stands; it is tried again.
    QueueGone {
        /// Which broker.
        broker: Arc<str>,
        /// Which queue.
        queue: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A delivery's ticket was dropped unsettled: it comes back when its channel ends.
    Abandoned {
        /// Which broker.
        broker: Arc<str>,
        /// Which queue.
        queue: Arc<str>,
    },
    /// The broker takes no more publications for now.
    Blocked {
        /// Which broker.
        broker: Arc<str>,
        /// Why.
        reason: String,
    },
    /// It takes them again.
    Unblocked {
        /// Which broker.
        broker: Arc<str>,
    },
    /// The broker refused a publication and closed its channel; the channel was opened anew.
    Refused {
        /// Which broker.
        broker: Arc<str>,
        /// Why.
        reason: String,
    },
}

/// Who is told about events; called on the runtime's threads, so it must not wait.
pub type Observer = Arc<dyn Fn(BrokerEvent) + Send + Sync>;
