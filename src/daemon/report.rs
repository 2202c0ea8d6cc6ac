//! What brokers, vaults and the relay have to say, as lines of the log.
//!
//! Always: one table per source, without wildcards, so that a new event breaks the build where its line is due.

use crate::{
    broker::{BrokerEvent, Purpose, Route},
    relay::ports::StopCause,
    relay::{End, Known},
    telemetry::{
        Digest, Micros, Words,
        event::{self, Event as _},
    },
    vault::{RebuildReason, VaultEvent},
};
use std::time::Duration;

/// The line of something that happened to a broker. Names come from our own configuration; one that is no name is left out.
pub(super) fn broker(event: BrokerEvent) {
    let told = match event {
        BrokerEvent::Connected { broker, purpose } => broker.parse().ok().map(|broker| {
            event::BrokerConnected { broker, purpose: word(purpose) }.emit();
        }),
        BrokerEvent::NotConnected { broker, purpose, reason, retry_in } => broker.parse().ok().map(|broker| {
            let words = Words::of_system(&reason);
            event::BrokerUnreachable { broker, purpose: word(purpose), words, retry_micros: Micros(retry_in) }.emit();
        }),
        BrokerEvent::Lost { broker, purpose, reason } => broker.parse().ok().map(|broker| {
            event::BrokerLost { broker, purpose: word(purpose), words: Words::of_system(&reason) }.emit();
        }),
        BrokerEvent::Consuming { broker, queue } => broker.parse().ok().zip(queue.parse().ok()).map(|(broker, queue)| {
            event::QueueConsuming { broker, queue }.emit();
        }),
        BrokerEvent::QueueGone { broker, queue, reason } => broker.parse().ok().zip(queue.parse().ok()).map(|(broker, queue)| {
            event::QueueGone { broker, queue, words: Words::of_system(&reason) }.emit();
        }),
        BrokerEvent::Abandoned { broker, queue } => broker.parse().ok().zip(queue.parse().ok()).map(|(broker, queue)| {
            event::DeliveryAbandoned { broker, queue }.emit();
        }),
        BrokerEvent::Blocked { broker, reason } => broker.parse().ok().map(|broker| {
            event::BrokerBlocked { broker, words: Words::of_system(&reason) }.emit();
        }),
        BrokerEvent::Unblocked { broker } => broker.parse().ok().map(|broker| event::BrokerUnblocked { broker }.emit()),
        BrokerEvent::Refused { broker, reason } => broker.parse().ok().map(|broker| {
            event::BrokerRefused { broker, words: Words::of_system(&reason) }.emit();
        }),
    };
    debug_assert!(told.is_some(), "brokers and queues are named by configuration and directory");
}

const fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Consume => "consume",
        Purpose::Publish => "publish",
        Purpose::Topology => "topology",
    }
}

/// The line of something that happened to a vault.
pub(super) fn vault(event: VaultEvent) {
    match event {
        VaultEvent::Opened { vault, frames, cut, outstanding, entries, took } => {
            if frames > 0 || cut > 0 {
                event::VaultRecovered { vault, frames, cut }.emit();
            }
            event::VaultOpened { vault, outstanding, entries, micros: Micros(took) }.emit();
        }
        VaultEvent::StoreRebuilding { vault, reason } => event::VaultRebuilding { vault, reason: reason_code(reason) }.emit(),
        VaultEvent::StoreRebuilt { vault, frames } => event::VaultRebuilt { vault, frames }.emit(),
        VaultEvent::Stopped { vault, cause, detail } => {
            let words = detail.map(|detail| Words::of_system(&detail));
            event::VaultStopped { vault, cause: cause_code(cause), words }.emit();
        }
        VaultEvent::Checkpointed { vault, rows, entries, sequence } => {
            event::VaultCheckpointed { vault, rows, entries, sequence }.emit();
        }
        VaultEvent::Closed { vault } => event::VaultClosed { vault }.emit(),
        VaultEvent::BallastFreed => event::BallastFreed {}.emit(),
    }
}

const fn reason_code(reason: RebuildReason) -> &'static str {
    match reason {
        RebuildReason::Unreadable => "unreadable",
        RebuildReason::Behind => "behind",
        RebuildReason::RowDamaged => "row-damaged",
        RebuildReason::Unfinished => "unfinished",
        RebuildReason::Ledger => "ledger",
    }
}

const fn cause_code(cause: StopCause) -> &'static str {
    match cause {
        StopCause::Journal => "journal",
        StopCause::JournalDamaged => "journal-damaged",
        StopCause::StoreDamaged => "store-damaged",
        StopCause::Store => "store",
        StopCause::Keyring => "keyring",
        StopCause::Manifest => "manifest",
        StopCause::Ledger => "ledger",
        StopCause::NoRoom => "no-room",
    }
}

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
        End::Denied { code: "quarantined", index } => {
            answered(Some("quarantined"), index);
        }
        End::Denied { code, index } => answered(Some(code), index),
        End::Repeated => {
            if let Known { tenant: Some(tenant), kind: Some(message_type), author: Some(author), id: Some(jti) } = known {
                event::MessageRepeated { tenant, message_type, author, jti }.emit();
            }
        }
        End::DeadLettered { reason, digest } => {
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
