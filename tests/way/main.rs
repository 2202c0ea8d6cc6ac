//! What the whole daemon promises: the real binary, a real RabbitMQ over mutual TLS, a real disk.
//!
//! Always: one node and one site for the run (`stage`); tests take turns on it, each with tenants of its own, and start the
//! daemon themselves.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

mod attachments;
mod canaries;
mod damage;
#[path = "../support/graveyard.rs"]
mod graveyard;
mod kills;
#[path = "../support/ledger.rs"]
mod ledger;
mod order;
mod pairs;
#[path = "../support/pdf.rs"]
mod pdf;
mod refusals;
mod reload;
mod rotation;
#[path = "../support/search.rs"]
mod search;
mod stage;
mod stop;
mod suspects;
