//! What a vault has to say to those who run it.
//!
//! Always: counts, sizes and causes only; nothing personal, no key, no name of a person or message.

use super::room::Room;
use crate::{identifier::VaultName, ledger::SignedHead, relay::ports::StopCause};
use std::time::Duration;

/// Something happened to a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultEvent {
    /// It serves.
    Opened {
        /// Which.
        vault: VaultName,
        /// How many frames were replayed from the journal.
        frames: u64,
        /// How many bytes of an unfinished last group were cut; they were never acknowledged.
        cut: u64,
        /// How many parcels wait to be published.
        outstanding: u64,
        /// How many entries its ledger has.
        entries: u64,
        /// How long opening took.
        took: Duration,
    },
    /// Its store was lost, behind or damaged and is being rebuilt from the journal; the old one was put aside.
    StoreRebuilding {
        /// Which.
        vault: VaultName,
        /// Why.
        reason: RebuildReason,
    },
    /// Its store was rebuilt.
    StoreRebuilt {
        /// Which.
        vault: VaultName,
        /// From how many frames.
        frames: u64,
    },
    /// It stopped; nothing more is acknowledged until it was opened again.
    Stopped {
        /// Which.
        vault: VaultName,
        /// Why.
        cause: StopCause,
        /// The system's words for it, where there are any.
        detail: Option<String>,
    },
    /// Store and ledger are durable up to here; replay begins here.
    Checkpointed {
        /// Which.
        vault: VaultName,
        /// How many rows went into the store.
        rows: u64,
        /// How many entries the ledger has.
        entries: u64,
        /// The sequence of the next frame.
        sequence: u64,
    },
    /// Its ledger up to here is durable, and anchored where anchors are kept.
    TreeHead {
        /// Which.
        vault: VaultName,
        /// Signed.
        head: SignedHead,
    },
    /// An anchor could not be written; it is tried again.
    NotAnchored {
        /// Which.
        vault: VaultName,
        /// Why.
        detail: String,
    },
    /// It was closed with everything in its place.
    Closed {
        /// Which.
        vault: VaultName,
    },
    /// A closed segment of its journal was rewritten without envelopes.
    Shrunk {
        /// Which.
        vault: VaultName,
        /// The segment's number.
        segment: u64,
        /// How many bytes it took.
        before: u64,
        /// How many it takes now.
        after: u64,
    },
    /// A closed segment could not be rewritten; it stays as it is.
    NotShrunk {
        /// Which.
        vault: VaultName,
        /// The segment's number.
        segment: u64,
        /// The system's words for it; none if the segment is damaged.
        detail: Option<String>,
    },
    /// Its living values are being carried over into a new epoch.
    CarryingOver {
        /// Which.
        vault: VaultName,
        /// The epoch that is being made.
        epoch: u32,
        /// What is being done.
        step: CarryStep,
        /// How many rows or entries of this step are done.
        done: u64,
        /// How many were done in each second since the step began or was taken up again.
        a_second: u64,
    },
    /// A new epoch has begun, and the data key of the one before is destroyed.
    CarriedOver {
        /// Which.
        vault: VaultName,
        /// The epoch that has begun.
        epoch: u32,
        /// How many rows it began with.
        rows: u64,
        /// How long it took, since it was begun or taken up again.
        took: Duration,
    },
    /// A carry-over was not finished; the next one goes on where it was.
    NotCarriedOver {
        /// Which.
        vault: VaultName,
        /// Why.
        detail: String,
    },
    /// Whether its journal has room has changed.
    JournalRoom {
        /// Which.
        vault: VaultName,
        /// What it has now.
        room: Room,
        /// How many bytes the journal takes.
        bytes: u64,
        /// How many it may take.
        quota: u64,
    },
    /// Whether the disk has room has changed.
    DiskRoom {
        /// What it has now.
        room: Room,
        /// How many bytes are free.
        free: u64,
        /// With fewer than this, no vault takes in anything more.
        floor: u64,
    },
    /// The disk was full; the ballast was given up to open a vault.
    BallastFreed,
}

/// What is being done of a carry-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarryStep {
    /// What links and heads name is looked for.
    Check,
    /// The rows of the old store are sealed again and copied.
    Copy,
    /// The ledger's entries are sealed again.
    Entries,
    /// The new store is made.
    Store,
}

/// Why a store is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildReason {
    /// It does not open.
    Unreadable,
    /// It ends before what the manifest says is in it.
    Behind,
    /// A row was found missing or changed, while it served or when it was opened.
    RowDamaged,
    /// An earlier rebuild was cut short.
    Unfinished,
    /// The ledger's files do not agree with the manifest.
    Ledger,
}
