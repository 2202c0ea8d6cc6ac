//! The vault on a real disk, with real processes.

#[path = "support.rs"]
mod support;

mod commit;
mod crash;
mod damage;
mod filter;
mod memory;
mod outbox;
mod scale;
