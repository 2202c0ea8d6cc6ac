//! The vault on a real disk, with real processes.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should say where")]

#[path = "support.rs"]
mod support;

mod anchors;
mod answered;
mod attached;
mod backup;
mod carry;
mod carry_crash;
mod carry_figures;
mod commit;
mod crash;
mod damage;
mod erasure;
mod filter;
mod gate;
mod known;
mod links;
mod memory;
mod outbox;
mod room;
mod scale;
mod shrink;
mod shrink_crash;
mod stopping;
