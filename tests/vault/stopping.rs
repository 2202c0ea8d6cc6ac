//! Vaults that stop, or are slow, while others go on.

use crate::support::*;
use nakatsugi::{
    identifier::VaultName,
    relay::ports::{StopCause, Vault, VaultFault},
    vault::{OutboxLimits, Tuning, VaultEvent},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A door that whoever hears an event waits at, once it is shut.
#[derive(Default)]
pub(crate) struct Door {
    shut: Mutex<bool>,
    opened: Condvar,
    waited: AtomicBool,
}

impl Door {
    pub(crate) fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        self.waited.fetch_or(*shut, Ordering::AcqRel);
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
    }

    pub(crate) async fn waited(&self) {
        while !self.waited.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Opens the door when the test ends, however that is: a runtime waits for its threads.
pub(crate) struct Keeper(Arc<Door>);

impl std::ops::Deref for Keeper {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.open();
    }
}

/// A site where the first tenant's vault waits at the door when it says this.
pub(crate) fn site_with_door(data: &Path, tuning: Tuning, waits: fn(&VaultEvent) -> bool) -> (Site, Keeper) {
    let door = Keeper(Arc::default());
    let pass = Arc::clone(&door.0);
    let site = site_heard(data, tuning, 1, OutboxLimits::default(), move |event| {
        if waits(event) {
            pass.pass();
        }
    });
    (site, door)
}

/// Stops the vault: its next segment is a device that is always full. Returns how many frames it took.
async fn stop(site: &Site, vault: &Opened) -> u64 {
    let full = site.folder().join("journal/0000000000000002.seg");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let mut number = 0;
    while vault.commit(frame(number, 100, 50_000)).await.is_ok() {
        number += 1;
    }
    fs::remove_file(&full).unwrap();
    number
}

fn count(site: &Site, wanted: fn(&VaultEvent) -> bool) -> usize {
    site.events().iter().filter(|event| wanted(event)).count()
}

fn is_stopped(event: &VaultEvent) -> bool {
    matches!(event, VaultEvent::Stopped { .. })
}

fn is_opened(event: &VaultEvent) -> bool {
    matches!(event, VaultEvent::Opened { vault, .. } if *vault == tenant())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_vault_is_not_opened_again_before_it_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let (site, door) = site_with_door(dir.path(), never(), is_stopped);
    let site = Arc::new(site);
    let vault = site.vault().await;
    door.shut();
    let stopping = {
        let site = Arc::clone(&site);
        tokio::spawn(async move { stop(&site, &vault).await })
    };
    timeout(PATIENCE, door.waited()).await.unwrap();
    for _ in 0..60 {
        site.vaults.tend().await;
        let fault = timeout(PATIENCE, site.fault()).await.expect("nobody is opening it");
        assert_eq!(fault, VaultFault::Stopped(StopCause::NoRoom));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((count(&site, is_opened), count(&site, is_stopped)), (1, 1), "{:?}", site.events());
    door.open();
    let taken = stopping.await.unwrap();
    let vault = timeout(PATIENCE, site.vault_again()).await.unwrap();
    assert_eq!(vault.care.ledger().size(), taken);
    assert_eq!((count(&site, is_opened), count(&site, is_stopped)), (2, 1), "{:?}", site.events());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_vault_that_is_slow_to_open_keeps_no_care_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let (site, door) = site_with_door(dir.path(), never(), is_opened);
    let other = VaultName::Platform;
    site.vaults.create(other).unwrap();
    let platform = {
        use nakatsugi::relay::ports::Vaults as _;
        site.vaults.open(&nakatsugi::tenant::Permit::platform()).await.unwrap()
    };
    let vault = site.vault().await;
    stop(&site, &vault).await;
    door.shut();
    while !door.waited.load(Ordering::Acquire) {
        timeout(PATIENCE, site.vaults.tend()).await.expect("it does not wait for the slow one");
    }
    platform.commit(frame(0, 0, 100)).await.unwrap();
    while site.outbox.load().parcels > 0 {
        let dispatch = site.outbox.next().await;
        if dispatch.vault() == other {
            dispatch.settle();
        }
        if site.vaults.resume(other).await.unwrap().outstanding() == 0 {
            break;
        }
    }
    timeout(PATIENCE, site.vaults.tend()).await.expect("it does not wait for the slow one");
    // The mark is durable: a copy of the vault, as a crash would leave it, has nothing to publish.
    let copied = dir.path().join("copy");
    copy(&site.data.join("vaults/platform"), &copied.join("vaults/platform"));
    let second = self::site(&copied, never());
    assert_eq!(second.vaults.resume(other).await.unwrap().outstanding(), 0);
    door.open();
    timeout(PATIENCE, site.vault_again()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_vault_is_opened_once_though_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (site, door) = site_with_door(dir.path(), never(), is_opened);
    site.vaults.create(tenant()).unwrap();
    door.shut();
    assert!(timeout(Duration::from_millis(200), site.vaults.resume(tenant())).await.is_err(), "it waits at the door");
    door.waited().await;
    let (vaults, again) = (site.vaults.clone(), site.vaults.clone());
    let waiting = tokio::spawn(async move { vaults.resume(tenant()).await.unwrap() });
    assert!(timeout(Duration::from_millis(200), again.resume(tenant())).await.is_err());
    assert_eq!(count(&site, is_opened), 1);
    door.open();
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(site.vault().await.commit(frame(0, 0, 0)).await.unwrap().index, 0);
    assert_eq!((count(&site, is_opened), count(&site, is_stopped)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_closed_none_is_opened_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), never());
    site.vault().await.commit(frame(0, 0, 0)).await.unwrap();
    site.vaults.close_all().await;
    assert_eq!(site.fault().await, VaultFault::Stopped(StopCause::Store));
    assert_eq!(count(&site, is_opened), 1);
}
