//! A delivery: a body, what the broker says of it, and the right to settle it.
//!
//! Absent: any judgement; nothing here is proven.

use super::{Ticket, names};
use crate::tenant::Copied;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::sync::Arc;

/// What the broker says of a delivery. Nothing in it is proven, but for `user_id` where this broker checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Our name for the broker that delivered it.
    pub broker: Arc<str>,
    /// The queue it stood in.
    pub queue: Arc<str>,
    /// The exchange it was first published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The AMQP user that published it: the broker refuses a foreign one, but not none.
    pub user_id: Option<String>,
    /// The property `type`.
    pub kind: Option<String>,
    /// The property `message_id`.
    pub message_id: Option<String>,
    /// The property `correlation_id`.
    pub correlation_id: Option<String>,
    /// The property `content_type`.
    pub content_type: Option<String>,
    /// Whether it was delivered before and not settled.
    pub redelivered: bool,
    /// Whether it asked for copies under further routing keys.
    pub copied: Copied,
    /// How often it came back from waiting, by the header `x-death`. SECURITY: a carrier can forge a higher number.
    pub tries: u32,
}

/// A message and the right to settle it.
#[derive(Debug)]
pub struct Delivery {
    /// The body.
    pub body: Vec<u8>,
    /// What the broker says of it.
    pub route: Route,
    /// The right to settle it.
    pub ticket: Ticket,
}

impl Route {
    pub(super) fn of(delivery: &lapin::message::Delivery, broker: &Arc<str>, queue: &Arc<str>) -> Self {
        let properties = &delivery.properties;
        let text = |property: &Option<ShortString>| property.as_ref().map(|text| text.as_str().to_owned());
        let headers = properties.headers().as_ref();
        Self {
            broker: Arc::clone(broker),
            queue: Arc::clone(queue),
            exchange: origin(delivery.exchange.as_str(), queue).to_owned(),
            routing_key: delivery.routing_key.as_str().to_owned(),
            user_id: text(properties.user_id()),
            kind: text(properties.kind()),
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            content_type: text(properties.content_type()),
            redelivered: delivery.redelivered,
            copied: headers.map_or(Copied::No, copied),
            tries: headers.map_or(0, tries),
        }
    }
}

/// Where a message was first published, by the exchange that brought it into this queue.
///
/// SECURITY: what an `again` exchange brought into its own queue came through `nakatsugi.in`, by the queue there and by waiting:
/// no carrier may write to a `wait` or `again` exchange, nor through the default one (`definitions`). The operator may, but no
/// author has it for a carrier (`user_id`). `x-death` also names the first exchange, but a carrier can forge it.
fn origin<'a>(exchange: &'a str, queue: &str) -> &'a str {
    if exchange == queue && names::is_again(queue) { names::IN } else { exchange }
}

fn copied(headers: &FieldTable) -> Copied {
    let asked = ["CC", "BCC"].iter().any(|name| headers.inner().contains_key(*name));
    if asked { Copied::Yes } else { Copied::No }
}

/// How often a message came back from waiting: `x-death` counts each (queue, reason). What expires elsewhere never waited.
fn tries(headers: &FieldTable) -> u32 {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { return 0 };
    let count = |death: &AMQPValue| match death {
        AMQPValue::FieldTable(death) => match ["reason", "queue", "count"].map(|name| death.inner().get(name)) {
            [Some(AMQPValue::LongString(reason)), Some(AMQPValue::LongString(queue)), Some(AMQPValue::LongLongInt(count))]
                if reason.as_bytes() == b"expired" && queue.as_bytes().starts_with(names::WAIT.as_bytes()) =>
            {
                u32::try_from(*count).unwrap_or(u32::MAX)
            }
            _ => 0,
        },
        _ => 0,
    };
    deaths.as_slice().iter().map(count).fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_into_an_again_queue_by_its_own_exchange_was_published_to_in() {
        let (record, again) = ("nakatsugi.record.0", "nakatsugi.again.record.0");
        assert_eq!(origin(names::IN, record), names::IN);
        assert_eq!(origin(again, again), names::IN);
        for (exchange, queue) in
            [("", again), ("nakatsugi.again.record.1", again), (again, record), (record, record), ("nakatsugi.wait.record.0", again)]
        {
            assert_eq!(origin(exchange, queue), exchange, "{queue}");
        }
    }

    #[test]
    fn a_copy_is_known_by_its_headers_whatever_they_hold() {
        for (name, asked) in [("CC", Copied::Yes), ("BCC", Copied::Yes), ("cc", Copied::No), ("x-death", Copied::No)] {
            let mut headers = FieldTable::default();
            headers.insert(name.into(), AMQPValue::Void);
            assert_eq!(copied(&headers), asked, "{name}");
        }
    }

    fn death(reason: &str, queue: &str, count: i64) -> AMQPValue {
        let mut table = FieldTable::default();
        table.insert("queue".into(), AMQPValue::LongString(queue.into()));
        table.insert("reason".into(), AMQPValue::LongString(reason.into()));
        table.insert("count".into(), AMQPValue::LongLongInt(count));
        AMQPValue::FieldTable(table)
    }

    #[test]
    fn tries_count_returns_from_waiting_and_survive_nonsense() {
        let mut headers = FieldTable::default();
        assert_eq!(tries(&headers), 0);
        let (record, wait) = ("nakatsugi.record.0", "nakatsugi.wait.record.0");
        let deaths = vec![death("expired", wait, 3), death("rejected", record, 4), death("expired", record, 1)];
        headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
        assert_eq!(tries(&headers), 3);
        headers.insert(
            "x-death".into(),
            AMQPValue::FieldArray(vec![death("expired", wait, -1), death("expired", wait, i64::MAX), AMQPValue::Void].into()),
        );
        assert_eq!(tries(&headers), u32::MAX);
        headers.insert("x-death".into(), AMQPValue::LongString("3".into()));
        assert_eq!(tries(&headers), 0);
    }
}
