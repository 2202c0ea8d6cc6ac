//! The vault: everything of one tenant, in one folder, under its own keys.
//!
//! ```text
//! vaults/142051/ keyring.json   data keys, wrapped by the root key
//!                journal/       segments of groups of frames: the commit point
//!                base.2/        from the second epoch on: the rows it began with; journal and store go on from there
//!                store/         sled: where things are looked up; can be rebuilt. Of the second epoch: store.2/
//!                ledger/        the tiles of its tree; beside them the sealed entries
//!                manifest       from where the journal is replayed; replaced atomically
//!
//! commit: seal → queue → group → write, fdatasync → apply (memory, outbox) → acknowledge ·· checkpoint → store
//! ```
//!
//! Always: the journal is what happened, in order; the store is where it can be found. A frame is acknowledged after its group
//! was synced. The first failed write stops the vault, and only this one. No value lies on disk unsealed. Without room a vault
//! takes in nothing, and still shows, publishes and forgets. Absent: clocks and timers; what any of it means.

mod anchors;
mod applied;
mod attached;
pub mod backup;
mod carry;
mod checkpoint;
mod close;
mod codec;
mod committer;
mod core;
mod entries;
mod event;
pub mod filter;
mod frame;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod group;
mod handle;
mod inspect;
mod journal;
mod known;
mod ledger;
mod limits;
mod links;
mod manifest;
mod memory;
mod open;
mod outbox;
mod person;
mod removal;
mod replay;
mod room;
mod roots;
mod rows;
mod shrink;
mod store;
mod tiles;
mod vaults;
mod walk;

pub use self::{
    anchors::{AnchorError, Anchors},
    carry::{CarriedOver, CarryError, KeyDestroyed, KeyUse},
    close::KeyStanding,
    core::Listener,
    event::{CarryStep, RebuildReason, VaultEvent},
    filter::{FilterError, FilterInstalled},
    handle::{Caretaker, DiskVault},
    inspect::{Flaw, head_key, inspect, inspect_keys},
    limits::Tuning,
    open::CreateError,
    outbox::{Dispatch, Outbox, OutboxLimits, OutboxLoad},
    removal::{RemovalError, Removed},
    room::Room,
    roots::RootError,
    vaults::{DataFolderError, Settings, Vaults, hold_data_folder},
};
