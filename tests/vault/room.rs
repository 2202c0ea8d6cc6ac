//! Without room nothing new is taken in, and nothing that was acknowledged is lost.

use crate::support::*;
use nakatsugi::{
    relay::ports::{Repeated, StopCause, Vault, VaultFault},
    vault::{Room, Tuning, VaultEvent},
};
use std::{fs::File, path::Path};

const NO_ROOM: VaultFault = VaultFault::Stopped(StopCause::NoRoom);

fn rooms(site: &Site) -> Vec<Room> {
    let room = |event: &VaultEvent| match event {
        VaultEvent::JournalRoom { room, .. } | VaultEvent::DiskRoom { room, .. } => Some(*room),
        VaultEvent::Stopped { .. } => panic!("{event:?}"),
        _ => None,
    };
    site.events().iter().filter_map(room).collect()
}

/// Commits until it is refused.
async fn fill(vault: &Opened, first: u64) -> (u64, VaultFault) {
    for number in first.. {
        if let Err(fault) = vault.commit(frame(number, 100, 8_000)).await {
            return (number, fault);
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_quota_a_vault_takes_in_nothing_until_it_has_shrunk() {
    let dir = tempfile::tempdir().unwrap();
    let quota = Tuning { journal_bytes: 1 << 20, ..never() };
    let first = site(dir.path(), quota.clone());
    let vault = first.vault().await;
    let (taken, fault) = fill(&vault, 0).await;
    assert_eq!((fault, rooms(&first)), (NO_ROOM, vec![Room::Low, Room::Out]));
    assert!(taken > 80, "{taken}");
    // It still shows, repeats, publishes, marks and checkpoints.
    assert_remembered(&vault, 0);
    assert_eq!(number_held(&vault, taken - 1), Some(taken - 1));
    assert_eq!(vault.repeat(&message(0)).await.unwrap(), Repeated::Sent);
    while first.outbox.load().parcels > 0 {
        first.outbox.next().await.settle();
    }
    first.vaults.tend().await;
    vault.care.checkpoint().await.unwrap();
    assert_eq!(vault.commit(frame(taken, 100, 8_000)).await.unwrap_err(), NO_ROOM);
    // Neither does another daemon take in anything.
    drop(vault);
    let second = site(&first.kill(), quota);
    let vault = second.vault().await;
    assert_eq!(vault.care.outstanding(), 0);
    // Opening cut the zeros ahead of the last group; what they took may be used.
    let (taken, fault) = fill(&vault, taken).await;
    assert_eq!((fault, rooms(&second)), (NO_ROOM, vec![Room::Low, Room::Out]));
    while second.outbox.load().parcels > 0 {
        second.outbox.next().await.settle();
    }
    vault.care.sweep(expires(taken).plus_seconds(700)).await.unwrap();
    while vault.care.shrink().await.unwrap().is_some() {}
    assert_eq!(rooms(&second).last(), Some(&Room::Ample));
    assert_eq!(vault.commit(frame(taken, 100, 8_000)).await.unwrap().index, taken, "all that was acknowledged, and this");
    assert_eq!(vault.care.recompute_ledger().unwrap(), vault.care.ledger());
    assert_eq!(number_held(&vault, taken), Some(taken));
}

#[tokio::test(flavor = "multi_thread")]
async fn below_its_floor_the_disk_takes_in_nothing_until_there_is_room_again() {
    // A disk that nobody else writes to.
    let shm = Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(shm).unwrap_or_else(|error| panic!("this needs a disk of its own at {}: {error}", shm.display()));
    let disk = rustix::fs::statvfs(shm).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    let site = site(dir.path(), Tuning { free_bytes: free.saturating_sub(24 << 20), ..never() });
    assert_eq!(rooms(&site), [Room::Low]);
    let vault = site.vault().await;
    vault.commit(frame(0, 100, 1_000)).await.unwrap();
    let filler = dir.path().join("filler");
    let file = File::create(&filler).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 24 << 20).unwrap();
    site.vaults.tend().await;
    site.vaults.tend().await;
    assert_eq!(rooms(&site), [Room::Low, Room::Out]);
    assert_eq!(vault.commit(frame(1, 100, 1_000)).await.unwrap_err(), NO_ROOM);
    site.outbox.next().await.settle();
    site.vaults.tend().await;
    assert_remembered(&vault, 0);
    assert_eq!(vault.care.outstanding(), 0);
    drop(file);
    std::fs::remove_file(filler).unwrap();
    site.vaults.tend().await;
    assert_eq!(rooms(&site), [Room::Low, Room::Out, Room::Low]);
    assert_eq!(vault.commit(frame(1, 100, 1_000)).await.unwrap().index, 1);
}
