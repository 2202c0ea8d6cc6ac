//! Ways to break the daemon on purpose, so that the tests which must notice can be seen to notice.
//!
//! Always: only with the feature `sabotage`, which no default names and no optimised build takes; and then only what the
//! environment variable `NAKATSUGI_SABOTAGE` names. Absent: anything that a build for use could contain.

#[cfg(not(debug_assertions))]
compile_error!("the feature `sabotage` is for tests; it is not built with optimisation");

use crate::relay::ports;
use std::{env, sync::OnceLock};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// `ack-before-sync`: a message is acknowledged before it is handled.
    AckBeforeSync,
    /// `seal-nothing`: values lie in the vault as they are.
    SealNothing,
    /// `send-unencrypted`: replies are signed only.
    SendUnencrypted,
    /// `release-turns-early`: messages about the same person do not follow one another.
    ReleaseTurnsEarly,
    /// `forget-ids`: a message that comes again is handled again.
    ForgetIds,
    /// `linger-when-withheld`: what is held back takes a millisecond longer than what is not there.
    LingerWhenWithheld,
    /// `deduplicate-early`: whether a message was handled before is asked before its turn.
    DeduplicateEarly,
    /// `no-filter`: `sync_file_range` is what it always was.
    NoFilter,
    /// `no-sync`: a group of the journal is written and not synced.
    NoSync,
    /// `count-innocents`: whoever is delivered again after an unclean stop counts as its cause.
    CountInnocents,
    /// `panic-on-poison`: no promise is broken; handling a message whose body holds [`POISON`] panics.
    PanicOnPoison,
}

/// What makes a message poisonous.
pub const POISON: &str = "poisonous";

/// Whether this is what is broken.
pub(crate) fn is(sabotage: Sabotage) -> bool {
    static CHOSEN: OnceLock<Option<Sabotage>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| match env::var_os("NAKATSUGI_SABOTAGE")?.to_str()? {
        "ack-before-sync" => Some(Sabotage::AckBeforeSync),
        "seal-nothing" => Some(Sabotage::SealNothing),
        "send-unencrypted" => Some(Sabotage::SendUnencrypted),
        "release-turns-early" => Some(Sabotage::ReleaseTurnsEarly),
        "forget-ids" => Some(Sabotage::ForgetIds),
        "linger-when-withheld" => Some(Sabotage::LingerWhenWithheld),
        "deduplicate-early" => Some(Sabotage::DeduplicateEarly),
        "no-filter" => Some(Sabotage::NoFilter),
        "no-sync" => Some(Sabotage::NoSync),
        "count-innocents" => Some(Sabotage::CountInnocents),
        "panic-on-poison" => Some(Sabotage::PanicOnPoison),
        _ => None,
    });
    *chosen == Some(sabotage)
}

/// Takes a millisecond if something was held back.
pub(crate) fn linger(outcome: &crate::command::Outcome) {
    let withheld = outcome.facts.categories.iter().any(|category| category.cause == crate::ledger::Cause::Withheld);
    if withheld && is(Sabotage::LingerWhenWithheld) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Handles a message whose body says this: it may be poisonous.
#[expect(clippy::panic, reason = "it is what is asked for")]
pub(crate) fn taste(body: &str) {
    if is(Sabotage::PanicOnPoison) && body.contains(POISON) {
        panic!("poisonous");
    }
}

/// A ticket that may have been settled too early.
#[derive(Debug)]
pub(crate) struct Ticket<T>(Option<T>);

impl<T: ports::Ticket> Ticket<T> {
    pub(crate) fn of(ticket: T) -> Self {
        if is(Sabotage::AckBeforeSync) {
            ticket.ack();
            return Self(None);
        }
        Self(Some(ticket))
    }
}

impl<T: ports::Ticket> ports::Ticket for Ticket<T> {
    fn ack(self) {
        self.0.into_iter().for_each(T::ack);
    }

    fn wait(self) {
        self.0.into_iter().for_each(T::wait);
    }
}
