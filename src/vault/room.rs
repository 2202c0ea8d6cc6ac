//! Room: how much a journal may take, and how much must stay free on the disk.
//!
//! Always: without room nothing new is taken in, and as every answer needs a frame, nobody new is answered; what was answered is
//! still repeated, published, marked and forgotten, and rewriting segments makes room again. Each change is told once. Absent: when to look at the disk.

use super::{
    core::{Core, Listener, lock},
    event::VaultEvent,
};
use crate::relay::ports::{StopCause, VaultFault};
use std::{path::PathBuf, sync::Mutex};

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Ample,
    /// Not for long: a journal above 80 % of its quota, or a disk with less than twice its floor.
    Low,
    /// None: nothing more is taken in.
    Out,
}

impl Room {
    const fn of_journal(bytes: u64, quota: u64) -> Self {
        if bytes >= quota {
            Self::Out
        } else if bytes >= quota / 5 * 4 {
            Self::Low
        } else {
            Self::Ample
        }
    }

    const fn of_disk(free: u64, floor: u64) -> Self {
        if free < floor {
            Self::Out
        } else if free / 2 < floor {
            Self::Low
        } else {
            Self::Ample
        }
    }
}

/// The room of one vault's journal.
pub(super) struct JournalRoom {
    quota: u64,
    room: Mutex<Room>,
}

impl JournalRoom {
    pub(super) const fn new(quota: u64) -> Self {
        Self { quota, room: Mutex::new(Room::Ample) }
    }
}

/// The room on the disk, for all vaults.
pub(super) struct DiskRoom {
    data: PathBuf,
    floor: u64,
    room: Mutex<Room>,
    listen: Listener,
}

impl DiskRoom {
    pub(super) const fn new(data: PathBuf, floor: u64, listen: Listener) -> Self {
        Self { data, floor, room: Mutex::new(Room::Ample), listen }
    }

    /// Looks how much is free.
    pub(super) fn look(&self) {
        // A disk that does not say how full it is will say so when it is written to.
        let Ok(disk) = rustix::fs::statvfs(&self.data) else { return };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let room = Room::of_disk(free, self.floor);
        if std::mem::replace(&mut *lock(&self.room), room) != room {
            (self.listen)(VaultEvent::DiskRoom { room, free, floor: self.floor });
        }
    }
}

impl Core {
    /// Looks how much the journal takes.
    pub(super) fn weigh(&self) {
        let changed = {
            let journal = lock(&self.journal);
            let (bytes, quota) = (journal.size(), self.journal_room.quota);
            let room = Room::of_journal(bytes, quota);
            let before = std::mem::replace(&mut *lock(&self.journal_room.room), room);
            (before != room).then_some(VaultEvent::JournalRoom { vault: self.name, room, bytes, quota })
        };
        if let Some(event) = changed {
            (self.listen)(event);
        }
    }

    /// Refuses what is new when there is no room for it. The vault does not stop.
    pub(super) fn has_room(&self) -> Result<(), VaultFault> {
        let rooms = [*lock(&self.journal_room.room), *lock(&self.disk.room)];
        if rooms.contains(&Room::Out) { Err(VaultFault::Stopped(StopCause::NoRoom)) } else { Ok(()) }
    }

    /// What is longer than anything here can be. The vault does not stop.
    pub(super) fn too_large(&self) -> VaultFault {
        self.stopped().map_or(VaultFault::Stopped(StopCause::NoRoom), VaultFault::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_the_quota_and_below_the_floor() {
        let journal = [0, 79, 80, 99, 100, u64::MAX].map(|bytes| Room::of_journal(bytes, 100));
        assert_eq!(journal, [Room::Ample, Room::Ample, Room::Low, Room::Low, Room::Out, Room::Out]);
        let disk = [0, 99, 100, 199, 200, u64::MAX].map(|free| Room::of_disk(free, 100));
        assert_eq!(disk, [Room::Out, Room::Out, Room::Low, Room::Low, Room::Ample, Room::Ample]);
        assert_eq!(Room::of_disk(0, 0), Room::Ample, "no floor");
    }
}
