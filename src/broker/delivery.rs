//! A delivery: a body, what the broker says of it, and the right to settle it.
//!
//! Absent: any judgement; nothing here is proven.

use super::Ticket;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::sync::Arc;

/// What the broker says of a delivery. Nothing in it is proven, but for `user_id` where this broker checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Our name for the broker that delivered it.
    pub broker: Arc<str>,
    /// The queue it stood in.
    pub queue: Arc<str>,
    /// The exchange it was published to.
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
        Self {
            broker: Arc::clone(broker),
            queue: Arc::clone(queue),
            exchange: delivery.exchange.as_str().to_owned(),
            routing_key: delivery.routing_key.as_str().to_owned(),
            user_id: text(properties.user_id()),
            kind: text(properties.kind()),
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            content_type: text(properties.content_type()),
            redelivered: delivery.redelivered,
            tries: properties.headers().as_ref().map_or(0, tries),
        }
    }
}

/// How often a message came back from waiting: `x-death` counts each (queue, reason), and only waiting expires.
fn tries(headers: &FieldTable) -> u32 {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { return 0 };
    let count = |death: &AMQPValue| match death {
        AMQPValue::FieldTable(death) => match (death.inner().get("reason"), death.inner().get("count")) {
            (Some(AMQPValue::LongString(reason)), Some(AMQPValue::LongLongInt(count))) if reason.as_bytes() == b"expired" => {
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

    fn death(reason: &str, count: i64) -> AMQPValue {
        let mut table = FieldTable::default();
        table.insert("reason".into(), AMQPValue::LongString(reason.into()));
        table.insert("count".into(), AMQPValue::LongLongInt(count));
        AMQPValue::FieldTable(table)
    }

    #[test]
    fn tries_count_returns_from_waiting_and_survive_nonsense() {
        let mut headers = FieldTable::default();
        assert_eq!(tries(&headers), 0);
        headers.insert("x-death".into(), AMQPValue::FieldArray(vec![death("expired", 3), death("rejected", 4)].into()));
        assert_eq!(tries(&headers), 3);
        headers.insert(
            "x-death".into(),
            AMQPValue::FieldArray(vec![death("expired", -1), death("expired", i64::MAX), AMQPValue::Void].into()),
        );
        assert_eq!(tries(&headers), u32::MAX);
        headers.insert("x-death".into(), AMQPValue::LongString("3".into()));
        assert_eq!(tries(&headers), 0);
    }
}
