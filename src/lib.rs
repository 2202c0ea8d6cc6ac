//! Nakatsugi: the intermediate server of the My Number information linkage.
//!
//! The modules stand in the order in which a message meets them:
//!
//! ```text
//! delivery → decrypt → verify → scope → ┌ deduplicate → handle → encrypt → journal → apply ┐ → ack
//!  broker    envelope  directory tenant │    relay      command  envelope     vault        │  broker
//!                                       └───── in turn with others about the same subject ─┘
//! ```
//!
//! What brings files has them examined between scope and turn: scanned, read, judged.
//!
//! The core (everything without the feature `daemon`) is pure and synchronous: it knows no broker, no disk, no clock.

pub mod calendar;
mod hex;
pub mod identifier;
pub mod wiped;

pub mod command;
pub mod directory;
pub mod envelope;
pub mod keyring;
pub mod ledger;
pub mod record;
pub mod relay;
pub mod tenant;

#[cfg(feature = "daemon")]
pub mod broker;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod examiner;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(feature = "sabotage")]
pub mod sabotage;
#[cfg(feature = "daemon")]
pub mod telemetry;
#[cfg(feature = "daemon")]
pub mod vault;
