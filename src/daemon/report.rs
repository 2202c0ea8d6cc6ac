//! How messages ended, as lines of the log; what brokers and vaults say, `telemetry` turns into lines itself.

use crate::{
    broker::Route,
    command::Denial,
    relay::{End, Known},
    telemetry::{
        Digest, Micros,
        event::{self, Event as _},
    },
};
use std::time::Duration;

/// The line of how a message's way ended.
pub(super) fn message(known: Known, end: &End, route: &Route, took: Duration) {
    let micros = Micros(took);
    let tries = u64::from(route.tries) + 1;
    let answered = |denial: Option<&'static str>, entry: u64| {
        if let Known { tenant: Some(tenant), kind: Some(message_type), author: Some(author), id: Some(jti) } = known.clone() {
            let outcome = if denial.is_some() { "denied" } else { "answered" };
            event::MessageAnswered { tenant, message_type, author, jti, outcome, denial, entry, micros }.emit();
        }
    };
    match *end {
        End::Answered { index } => answered(None, index),
        End::Denied { code, index } => answered(Some(code), index),
        End::Quarantined { index, digest } => {
            event::MessageQuarantined { digest: Digest(digest), tries }.emit();
            answered(Some(Denial::Quarantined.code()), index);
        }
        End::Repeated => {
            if let Known { tenant: Some(tenant), kind: Some(message_type), author: Some(author), id: Some(jti) } = known {
                event::MessageRepeated { tenant, message_type, author, jti }.emit();
            }
        }
        End::DeadLettered { reason, digest } => {
            if reason == Denial::Quarantined.code() {
                event::MessageQuarantined { digest: Digest(digest), tries }.emit();
            }
            if let Ok(broker) = route.broker.parse() {
                let user = route.user_id.as_deref().and_then(|user| user.parse().ok());
                let route = route.routing_key.as_str().into();
                event::MessageDeadLettered { reason, digest: Digest(digest), route, broker, user }.emit();
            }
        }
        End::Waiting { fault } => event::MessageWaiting { tenant: known.tenant, message_type: known.kind, fault, tries }.emit(),
        End::Blamed { digest } => event::PanicCaught { file: None, line: None, digest: Some(Digest(digest)) }.emit(),
    }
}
