//! The exchanges, queues and bindings that must exist on a broker.
//!
//! Always: every promise stands in the arguments with which a queue was declared, not in a policy: arguments cannot be
//! changed, so no operator's policy can take a promise away. One function plans, `apply` declares what it planned,
//! `check` looks for it. The delivery limit is out of reach, because RabbitMQ 4 sets 20 where nothing is said and a
//! message that only waited must not be given up; our own quarantine decides. What waited comes back by an exchange and
//! to a queue of its own. SECURITY: back in the first queue it would close a circle; RabbitMQ forwards no message on a circle
//! without a rejection, and one whose carrier let it expire would hold up all behind it for ever. By `nakatsugi.in` it would
//! multiply with every routing key in its header `CC`, and stick when its tenant's binding is gone. And what a carrier claims
//! in `x-death` RabbitMQ 3 believes: forged, it closes that circle after all, or ends dead-lettering on the whole node. So a
//! message that comes with this header is diverted to `nakatsugi.dead` before it reaches a queue that dead-letters.
//! Absent: deleting anything.

use super::{
    BrokerError, BrokerSettings, Purpose,
    connect::within,
    names::{self, DEAD, IN, OUT, SIEVE, SORT},
};
use crate::identifier::{MessageClass, MessageType, PrincipalId, TenantCode};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, ShortString},
};
use std::{collections::BTreeSet, fmt, time::Duration};

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const BINDINGS_AT_ONCE: usize = 32;
const UNLIMITED_DELIVERIES: i64 = 1_000_000_000;

/// A share of the tenants with queues of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much one queue may hold; publications beyond it are refused, nothing is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: u32,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 1_000_000, bytes: 16 << 30 }
    }
}

/// What must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The tenants served and the partition of each.
    pub tenants: Vec<(TenantCode, Partition)>,
    /// How many partitions there are, from 0.
    pub partitions: u16,
    /// The principals that read here, and their queues.
    pub readers: Vec<(PrincipalId, String)>,
    /// How long a message waits before it comes back.
    pub wait: Duration,
    /// How much one queue may hold.
    pub limits: Limits,
}

/// One thing that must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An exchange.
    Exchange {
        /// Its name.
        name: String,
        /// Its kind.
        kind: Kind,
    },
    /// A quorum queue.
    Queue {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Vec<(&'static str, Argument)>,
    },
    /// An exchange that hands everything on to another.
    Chain {
        /// From which exchange.
        from: String,
        /// To which exchange.
        to: String,
    },
    /// A queue bound to a headers exchange.
    Diversion {
        /// The queue.
        queue: String,
        /// The exchange.
        exchange: String,
        /// The header whose presence matters.
        header: &'static str,
    },
    /// A queue bound to an exchange.
    Binding {
        /// The queue.
        queue: String,
        /// The exchange.
        exchange: String,
        /// The pattern of routing keys.
        key: String,
    },
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By patterns of routing keys.
    Topic,
    /// To every queue.
    Fanout,
    /// By the presence of headers.
    Headers {
        /// The exchange that takes what no queue is bound for.
        otherwise: &'static str,
    },
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl Topology {
    /// What must exist, in the order in which it can be declared.
    #[must_use]
    pub fn plan(&self) -> Vec<Item> {
        let mut exchanges = vec![
            exchange(IN, Kind::Topic),
            exchange(SORT, Kind::Topic),
            exchange(SIEVE, Kind::Headers { otherwise: SORT }),
            exchange(OUT, Kind::Topic),
            exchange(DEAD, Kind::Fanout),
        ];
        let mut queues = vec![self.graveyard()];
        let mut bindings = vec![
            Item::Diversion { queue: DEAD.to_owned(), exchange: SIEVE.to_owned(), header: "x-death" },
            Item::Chain { from: IN.to_owned(), to: SIEVE.to_owned() },
            binding(DEAD, DEAD, ""),
        ];
        for (class, partition) in MessageClass::ALL.into_iter().flat_map(|class| (0..self.partitions).map(move |at| (class, Partition(at))))
        {
            let [queue, wait, again] = [names::queue, names::wait, names::again].map(|name| name(class, partition));
            exchanges.extend([exchange(&wait, Kind::Fanout), exchange(&again, Kind::Fanout)]);
            queues.extend([self.queue(&queue, Some(&wait)), self.queue(&again, Some(&wait))]);
            let mut waiting = self.queue(&wait, Some(&again));
            if let Item::Queue { arguments, .. } = &mut waiting {
                let wait = i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX);
                arguments.push(("x-message-ttl", Argument::Number(wait)));
            }
            queues.push(waiting);
            bindings.extend([binding(&wait, &wait, ""), binding(&again, &again, "")]);
        }
        for (tenant, partition) in &self.tenants {
            // A whole family of types and not each type: what the relay does not know is dead-lettered by it, with a
            // reason, instead of vanishing here.
            let families: BTreeSet<_> = MessageType::ALL.into_iter().filter_map(|kind| Some((kind.class()?, family(kind)))).collect();
            for (class, family) in families {
                bindings.push(binding(&names::queue(class, *partition), SORT, &format!("{tenant}.{family}.*")));
            }
        }
        for (principal, queue) in &self.readers {
            queues.push(self.queue(queue, None));
            // INVARIANT: every type has two words (`every_type_has_two_words`). So no principal's messages match the
            // pattern of another whose name begins alike (`a` and `a.b`), as they would with `#`.
            bindings.push(binding(queue, OUT, &format!("{principal}.*.*")));
        }
        exchanges.into_iter().chain(queues).chain(bindings).collect()
    }

    /// Declares everything; what exists already is left as it is.
    ///
    /// # Errors
    /// The broker cannot be reached, the user may not configure, or a queue exists with other arguments.
    pub async fn apply(&self, broker: &BrokerSettings, mut progress: impl FnMut(usize, usize) + Send) -> Result<(), BrokerError> {
        let connection = broker.connect(Purpose::Topology).await?;
        let channel = within(ANSWER_WITHIN, "open a channel", connection.create_channel()).await?;
        let plan = self.plan();
        let total = plan.len();
        let (bindings, others): (Vec<_>, Vec<_>) = plan.iter().partition(|item| matches!(item, Item::Binding { .. }));
        let mut done = 0;
        for item in others {
            item.declare(&channel).await?;
            done += 1;
            progress(done, total);
        }
        let mut bindings = stream::iter(bindings).map(|item| item.declare(&channel)).buffer_unordered(BINDINGS_AT_ONCE);
        while bindings.try_next().await?.is_some() {
            done += 1;
            progress(done, total);
        }
        drop(bindings);
        close(&connection).await
    }

    /// Looks whether every exchange and queue exists, without the right to configure. Bindings and arguments cannot be
    /// looked at over AMQP.
    ///
    /// # Errors
    /// [`BrokerError::Missing`] names everything that is not there.
    pub async fn check(&self, broker: &BrokerSettings) -> Result<(), BrokerError> {
        let connection = broker.connect(Purpose::Topology).await?;
        let mut channel = None;
        let mut missing = Vec::new();
        for item in self.plan() {
            // A channel ends with the first thing that is missing on it.
            let open = match channel.take() {
                Some(open) => open,
                None => within(ANSWER_WITHIN, "open a channel", connection.create_channel()).await?,
            };
            match item.look(&open).await {
                Ok(()) => channel = Some(open),
                Err(BrokerError::Missing(item)) => missing.extend(item),
                Err(error) => return Err(error),
            }
        }
        close(&connection).await?;
        if missing.is_empty() { Ok(()) } else { Err(BrokerError::Missing(missing)) }
    }

    /// The queue of what is invalid. Full, it lets go of its oldest, whose digests the platform vault keeps: refusing would
    /// make what can never be handled wait for ever, and fill the queues of those who did nothing wrong.
    fn graveyard(&self) -> Item {
        let mut queue = self.queue(DEAD, None);
        if let Item::Queue { arguments, .. } = &mut queue {
            let overflow = arguments.iter_mut().filter(|(key, _)| *key == "x-overflow");
            overflow.for_each(|(_, value)| *value = Argument::Text("drop-head".to_owned()));
        }
        queue
    }

    fn queue(&self, name: &str, dead_letters_to: Option<&str>) -> Item {
        let text = |text: &str| Argument::Text(text.to_owned());
        let mut arguments = vec![
            ("x-queue-type", text("quorum")),
            ("x-overflow", text("reject-publish")),
            ("x-max-length", Argument::Number(self.limits.messages.into())),
            ("x-max-length-bytes", Argument::Number(i64::try_from(self.limits.bytes).unwrap_or(i64::MAX))),
            ("x-delivery-limit", Argument::Number(UNLIMITED_DELIVERIES)),
            // Without it the leaders of all queues would lie on the one node that declared them.
            ("x-queue-leader-locator", text("balanced")),
        ];
        if let Some(exchange) = dead_letters_to {
            // No routing key of its own: the message keeps the one it came with.
            arguments.push(("x-dead-letter-exchange", text(exchange)));
            arguments.push(("x-dead-letter-strategy", text("at-least-once")));
        }
        Item::Queue { name: name.to_owned(), arguments }
    }
}

impl Item {
    async fn declare(&self, channel: &Channel) -> Result<(), BrokerError> {
        let declared = match self {
            Self::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
                let mut arguments = FieldTable::default();
                if let Kind::Headers { otherwise } = kind {
                    arguments.insert("alternate-exchange".into(), AMQPValue::LongString((*otherwise).into()));
                }
                let declare = channel.exchange_declare(short(name)?, kind.of_lapin(), options, arguments);
                within(ANSWER_WITHIN, "declare an exchange", declare).await
            }
            Self::Queue { name, arguments } => {
                let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
                let mut table = FieldTable::default();
                for (key, value) in arguments {
                    let value = match value {
                        Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
                        Argument::Number(number) => AMQPValue::LongLongInt(*number),
                    };
                    table.insert(short(key)?, value);
                }
                within(ANSWER_WITHIN, "declare a queue", channel.queue_declare(short(name)?, options, table)).await.map(drop)
            }
            Self::Chain { from, to } => {
                let options = ExchangeBindOptions::default();
                let bind = channel.exchange_bind(short(to)?, short(from)?, "#".into(), options, FieldTable::default());
                within(ANSWER_WITHIN, "bind an exchange", bind).await
            }
            Self::Diversion { queue, exchange, header } => {
                let mut arguments = FieldTable::default();
                // Without `-with-x` it would not look at headers that begin with `x-`; without a value, presence matches.
                arguments.insert("x-match".into(), AMQPValue::LongString("any-with-x".into()));
                arguments.insert(short(header)?, AMQPValue::Void);
                let bind = channel.queue_bind(short(queue)?, short(exchange)?, "".into(), QueueBindOptions::default(), arguments);
                within(ANSWER_WITHIN, "bind a queue", bind).await
            }
            Self::Binding { queue, exchange, key } => {
                let options = QueueBindOptions::default();
                let bind = channel.queue_bind(short(queue)?, short(exchange)?, short(key)?, options, FieldTable::default());
                within(ANSWER_WITHIN, "bind a queue", bind).await
            }
        };
        declared.map_err(|error| self.explain(error))
    }

    async fn look(&self, channel: &Channel) -> Result<(), BrokerError> {
        let found = match self {
            Self::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                let look = channel.exchange_declare(short(name)?, kind.of_lapin(), options, FieldTable::default());
                within(ANSWER_WITHIN, "look for an exchange", look).await
            }
            Self::Queue { name, .. } => {
                let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let look = channel.queue_declare(short(name)?, options, FieldTable::default());
                within(ANSWER_WITHIN, "look for a queue", look).await.map(drop)
            }
            Self::Binding { .. } | Self::Chain { .. } | Self::Diversion { .. } => Ok(()),
        };
        found.map_err(|error| self.explain(error))
    }

    /// Names what the broker's refusal is about.
    fn explain(&self, error: BrokerError) -> BrokerError {
        match error {
            BrokerError::Amqp(error) => match soft(&error) {
                Some(AMQPSoftError::PRECONDITIONFAILED) => BrokerError::Different { name: self.to_string(), reason: error.to_string() },
                Some(AMQPSoftError::ACCESSREFUSED) => BrokerError::NotAllowed { name: self.to_string(), reason: error.to_string() },
                Some(AMQPSoftError::NOTFOUND) => BrokerError::Missing(vec![self.to_string()]),
                Some(_) | None => BrokerError::Amqp(error),
            },
            other => other,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange { name, .. } => write!(f, "exchange {name}"),
            Self::Queue { name, .. } => write!(f, "queue {name}"),
            Self::Chain { from, to } => write!(f, "binding of {to} to {from}"),
            Self::Diversion { queue, exchange, header } => write!(f, "binding of {queue} to {exchange} by header {header}"),
            Self::Binding { queue, exchange, key } => write!(f, "binding of {queue} to {exchange} by {key}"),
        }
    }
}

impl Kind {
    fn of_lapin(self) -> ExchangeKind {
        match self {
            Self::Topic => ExchangeKind::Topic,
            Self::Fanout => ExchangeKind::Fanout,
            Self::Headers { .. } => ExchangeKind::Headers,
        }
    }
}

/// A name that AMQP can carry.
pub(super) fn short(name: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(name).map_err(|_| BrokerError::Name)
}

/// The error with which a broker closed a channel, if it was one.
pub(super) fn soft(error: &lapin::Error) -> Option<AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft.clone()),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

async fn close(connection: &Connection) -> Result<(), BrokerError> {
    within(ANSWER_WITHIN, "close the connection", connection.close(200, ShortString::default())).await
}

fn family(kind: MessageType) -> &'static str {
    kind.as_str().split_once('.').map_or(kind.as_str(), |(family, _)| family)
}

fn exchange(name: &str, kind: Kind) -> Item {
    Item::Exchange { name: name.to_owned(), kind }
}

fn binding(queue: &str, exchange: &str, key: &str) -> Item {
    Item::Binding { queue: queue.to_owned(), exchange: exchange.to_owned(), key: key.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let tenants = vec![("142051".parse().unwrap(), Partition(1)), ("141003".parse().unwrap(), Partition(0))];
        let readers = vec![("disclosure".parse().unwrap(), "nakatsugi.out.disclosure".to_owned())];
        Topology { tenants, partitions: 2, readers, wait: Duration::from_secs(30), limits: Limits::default() }
    }

    fn arguments<'a>(plan: &'a [Item], queue: &str) -> &'a [(&'static str, Argument)] {
        let found = plan.iter().find_map(|item| match item {
            Item::Queue { name, arguments } if name == queue => Some(arguments.as_slice()),
            _ => None,
        });
        found.unwrap()
    }

    fn text(text: &str) -> Argument {
        Argument::Text(text.to_owned())
    }

    #[test]
    fn every_type_has_two_words() {
        for kind in MessageType::ALL {
            assert_eq!(kind.as_str().split('.').count(), 2, "{kind}");
        }
    }

    #[test]
    fn a_tenants_types_reach_its_partition_only() {
        let plan = topology().plan();
        let bound = |queue: &str| -> Vec<String> {
            plan.iter()
                .filter_map(|item| match item {
                    Item::Binding { queue: to, exchange, key } if to == queue && exchange == SORT => Some(key.clone()),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(bound("nakatsugi.self-info.1"), ["142051.self-info.*"]);
        assert_eq!(bound("nakatsugi.record.1"), ["142051.attachment.*", "142051.person.*", "142051.record.*"]);
        assert_eq!(bound("nakatsugi.self-info.0"), ["141003.self-info.*"]);
    }

    #[test]
    fn what_is_rejected_waits_and_comes_back_by_its_own_key_and_queue() {
        let plan = topology().plan();
        let [queue, wait, again] = ["nakatsugi.record.0", "nakatsugi.wait.record.0", "nakatsugi.again.record.0"];
        for name in [wait, again] {
            assert!(plan.contains(&exchange(name, Kind::Fanout)) && plan.contains(&binding(name, name, "")), "{name}");
        }
        let [queue, wait, again] = [queue, wait, again].map(|name| arguments(&plan, name));
        assert_eq!(queue, again);
        assert!(queue.contains(&("x-dead-letter-exchange", text("nakatsugi.wait.record.0"))));
        assert!(wait.contains(&("x-dead-letter-exchange", text("nakatsugi.again.record.0"))));
        assert!(wait.contains(&("x-message-ttl", Argument::Number(30_000))));
        for list in [queue, wait, again] {
            assert!(list.contains(&("x-dead-letter-strategy", text("at-least-once"))));
            assert!(list.iter().all(|(key, _)| *key != "x-dead-letter-routing-key"));
        }
    }

    #[test]
    fn only_what_claims_no_deaths_reaches_a_queue_that_dead_letters() {
        let plan = topology().plan();
        let from_in: Vec<_> = plan.iter().filter(|item| matches!(item, Item::Binding { exchange, .. } if exchange == IN)).collect();
        assert_eq!(from_in, Vec::<&Item>::new());
        assert!(plan.contains(&Item::Chain { from: IN.to_owned(), to: SIEVE.to_owned() }));
        assert!(plan.contains(&Item::Diversion { queue: DEAD.to_owned(), exchange: SIEVE.to_owned(), header: "x-death" }));
        assert!(plan.contains(&exchange(SIEVE, Kind::Headers { otherwise: SORT })));
        assert!(arguments(&plan, DEAD).iter().all(|(key, _)| *key != "x-dead-letter-exchange"));
    }

    #[test]
    fn every_queue_is_replicated_refuses_overflow_and_never_gives_up() {
        for item in topology().plan() {
            if let Item::Queue { name, arguments } = item {
                // What can never be handled must not stop what can.
                let overflow = if name == DEAD { "drop-head" } else { "reject-publish" };
                for argument in [
                    ("x-queue-type", text("quorum")),
                    ("x-overflow", text(overflow)),
                    ("x-delivery-limit", Argument::Number(UNLIMITED_DELIVERIES)),
                ] {
                    assert!(arguments.contains(&argument), "{argument:?}");
                }
            }
        }
    }
}
