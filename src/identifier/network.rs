//! Where messages come from and go to: brokers, their users and their queues.
//!
//! Always: short and visible, so that they can stand in a log line, a header or a routing key as they are.

use super::{IdentifierError, code::code};
use std::{fmt, str::FromStr};

fn visible(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

code! {
    /// A broker, by the name that configuration and directory give it.
    BrokerName, IdentifierError::Broker,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

code! {
    /// A user of a broker, as it stands in the `user_id` that the broker has validated.
    AmqpUser, IdentifierError::Amqp, visible
}

code! {
    /// A queue of a broker (AMQP 0-9-1: a short string, at most 255 bytes).
    QueueName, IdentifierError::Amqp, visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_visible() {
        assert!("national-1".parse::<BrokerName>().is_ok());
        assert!("CN=fujisawa".parse::<AmqpUser>().is_ok());
        assert_eq!("National".parse::<BrokerName>(), Err(IdentifierError::Broker));
        assert_eq!("a b".parse::<QueueName>(), Err(IdentifierError::Amqp));
        assert_eq!("q".repeat(256).parse::<QueueName>(), Err(IdentifierError::Amqp));
    }
}
