//! What the vaults and brokers tell, as events of the log.
//!
//! Always: exhaustive; what a vault or a broker can tell does not compile until somebody decided how it is said.

use super::{
    Digest, Event as _, Micros, Words,
    event::{
        BallastFreed, BrokerBlocked, BrokerConnected, BrokerLost, BrokerRefused, BrokerUnblocked, BrokerUnreachable, CarriedOver,
        CarryingOver, DeliveryAbandoned, FileInfected, FileUnreadable, JournalFits, JournalFull, JournalLarge, NotAnchored, NotCarriedOver,
        QueueConsuming, QueueGone, RoomBack, RoomLow, RoomOut, ScannerStale, ScannerUnavailable, TreeHead, VaultCheckpointed, VaultClosed,
        VaultNotShrunk, VaultOpened, VaultRebuilding, VaultRebuilt, VaultRecovered, VaultShrunk, VaultStopped,
    },
};
use crate::{
    broker::{BrokerEvent, Purpose},
    examiner::ExaminerEvent,
    identifier::{BrokerName, QueueName},
    relay::{
        Disposition, Failure,
        ports::{StopCause, VaultFault},
    },
    vault::{CarryStep, RebuildReason, Room, VaultEvent},
};

/// Says what happened to a vault. For [`crate::vault::Settings::listen`].
pub fn vault(event: VaultEvent) {
    match event {
        VaultEvent::Opened { vault, frames, cut, outstanding, entries, took } => {
            if frames > 0 || cut > 0 {
                VaultRecovered { vault, frames, cut }.emit();
            }
            VaultOpened { vault, outstanding, entries, micros: Micros(took) }.emit();
        }
        VaultEvent::StoreRebuilding { vault, reason } => VaultRebuilding { vault, reason: rebuild(reason) }.emit(),
        VaultEvent::StoreRebuilt { vault, frames } => VaultRebuilt { vault, frames }.emit(),
        VaultEvent::Stopped { vault, cause, detail } => {
            VaultStopped { vault, cause: stop(cause), words: detail.map(|detail| Words::of_system(&detail)) }.emit();
        }
        VaultEvent::Checkpointed { vault, rows, entries, sequence } => VaultCheckpointed { vault, rows, entries, sequence }.emit(),
        VaultEvent::TreeHead { vault, head } => {
            TreeHead { vault, size: head.head().size, root: Digest(head.head().root), note: head }.emit();
        }
        VaultEvent::NotAnchored { vault, detail } => NotAnchored { vault, words: Words::of_system(&detail) }.emit(),
        VaultEvent::Closed { vault } => VaultClosed { vault }.emit(),
        VaultEvent::Shrunk { vault, segment, before, after } => VaultShrunk { vault, segment, before, after }.emit(),
        VaultEvent::NotShrunk { vault, segment, detail } => {
            VaultNotShrunk { vault, segment, words: detail.map(|detail| Words::of_system(&detail)) }.emit();
        }
        VaultEvent::CarryingOver { vault, epoch, step, done, a_second } => {
            CarryingOver { vault, epoch, step: carry(step), done, a_second }.emit();
        }
        VaultEvent::CarriedOver { vault, epoch, rows, took } => CarriedOver { vault, epoch, rows, micros: Micros(took) }.emit(),
        VaultEvent::NotCarriedOver { vault, detail } => NotCarriedOver { vault, words: Words::of_system(&detail) }.emit(),
        VaultEvent::JournalRoom { vault, room, bytes, quota } => match room {
            Room::Ample => JournalFits { vault, bytes, quota }.emit(),
            Room::Low => JournalLarge { vault, bytes, quota }.emit(),
            Room::Out => JournalFull { vault, bytes, quota }.emit(),
        },
        VaultEvent::DiskRoom { room, free, floor } => match room {
            Room::Ample => RoomBack { free, floor }.emit(),
            Room::Low => RoomLow { free, floor }.emit(),
            Room::Out => RoomOut { free, floor }.emit(),
        },
        VaultEvent::BallastFreed => BallastFreed {}.emit(),
    }
}

/// Says what the examiner met. For [`crate::examiner::Listener`].
pub fn examiner(event: ExaminerEvent) {
    match event {
        ExaminerEvent::ScannerUnavailable { detail } => ScannerUnavailable { words: Words::of_system(&detail) }.emit(),
        ExaminerEvent::ScannerStale { days } => ScannerStale { days }.emit(),
        ExaminerEvent::Infected { signature } => FileInfected { words: Words::of_system(&signature) }.emit(),
        ExaminerEvent::ReaderBroken { cause, took } => FileUnreadable { cause, micros: Micros(took) }.emit(),
    }
}

/// Says what happened to a broker. For [`crate::broker::Observer`].
pub fn broker(event: BrokerEvent) {
    match event {
        BrokerEvent::Connected { broker, purpose } => BrokerConnected { broker: name(&broker), purpose: for_what(purpose) }.emit(),
        BrokerEvent::NotConnected { broker, purpose, reason, retry_in } => BrokerUnreachable {
            broker: name(&broker),
            purpose: for_what(purpose),
            words: Words::of_system(&reason),
            retry_micros: Micros(retry_in),
        }
        .emit(),
        BrokerEvent::Lost { broker, purpose, reason } => {
            BrokerLost { broker: name(&broker), purpose: for_what(purpose), words: Words::of_system(&reason) }.emit();
        }
        BrokerEvent::Consuming { broker, queue: of } => QueueConsuming { broker: name(&broker), queue: queue(&of) }.emit(),
        BrokerEvent::QueueGone { broker, queue: of, reason } => {
            QueueGone { broker: name(&broker), queue: queue(&of), words: Words::of_system(&reason) }.emit();
        }
        BrokerEvent::Abandoned { broker, queue: of } => DeliveryAbandoned { broker: name(&broker), queue: queue(&of) }.emit(),
        BrokerEvent::Blocked { broker, reason } => BrokerBlocked { broker: name(&broker), words: Words::of_system(&reason) }.emit(),
        BrokerEvent::Unblocked { broker } => BrokerUnblocked { broker: name(&broker) }.emit(),
        BrokerEvent::Refused { broker, reason } => BrokerRefused { broker: name(&broker), words: Words::of_system(&reason) }.emit(),
    }
}

/// The name comes from the configuration, where it was one.
fn name(name: &str) -> Option<BrokerName> {
    name.parse().ok()
}

/// The name is one of ours.
fn queue(name: &str) -> Option<QueueName> {
    name.parse().ok()
}

const fn for_what(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Consume => "consume",
        Purpose::Publish => "publish",
        Purpose::Topology => "topology",
    }
}

const fn carry(step: CarryStep) -> &'static str {
    match step {
        CarryStep::Check => "check",
        CarryStep::Copy => "copy",
        CarryStep::Entries => "entries",
        CarryStep::Store => "store",
    }
}

const fn rebuild(reason: RebuildReason) -> &'static str {
    match reason {
        RebuildReason::Unreadable => "unreadable",
        RebuildReason::Behind => "behind",
        RebuildReason::RowDamaged => "row-damaged",
        RebuildReason::Unfinished => "unfinished",
        RebuildReason::Ledger => "ledger",
    }
}

/// The code with which messages wait for such a vault, so that the two can be put together.
const fn stop(cause: StopCause) -> &'static str {
    match Failure::Vault(VaultFault::Stopped(cause)).disposition() {
        Disposition::Wait(code) | Disposition::DeadLetter(code) => code,
        Disposition::Blame => "vault",
    }
}
