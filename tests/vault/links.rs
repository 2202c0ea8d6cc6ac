//! Names that lead to persons: a link that was lost is not taken for one that never was.

use crate::support::*;
use nakatsugi::{
    identifier::{PersonCode, PersonName},
    relay::ports::{Frame, Vault},
    vault::{RebuildReason, VaultEvent},
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    time::Duration,
};

fn is_rebuilt(site: &Site) -> bool {
    site.events().contains(&VaultEvent::StoreRebuilding { vault: tenant(), reason: RebuildReason::RowDamaged })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_lost_or_strange_is_noticed_when_the_vault_opens() {
    let dir = tempfile::tempdir().unwrap();
    let folder = {
        let site = site(dir.path(), never());
        let vault = site.vault().await;
        for number in 0..20 {
            vault.commit(frame(number, 10, 0)).await.unwrap();
            if number == 10 {
                vault.care.checkpoint().await.unwrap();
            }
        }
        site.folder()
    };
    let original = dir.path().join("original");
    copy(&folder, &original);
    for case in 0..3 {
        let data = dir.path().join(format!("case {case}"));
        copy(&original, &data.join("vaults/142051"));
        {
            nakatsugi::vault::filter::install().unwrap();
            let store = open_store(&data.join("vaults/142051"));
            let links: Vec<_> = store.scan_prefix([1]).map(Result::unwrap).collect();
            assert_eq!(links.len(), 11, "the others are in the journal alone");
            if case != 1 {
                store.remove(&links[3].0).unwrap();
            }
            if case != 0 {
                // Another in its place, or besides: the number alone does not tell.
                store.insert([[1].as_slice(), &[7; 16]].concat(), links[4].1.clone()).unwrap();
            }
            store.flush().unwrap();
        }
        let site = site(&data, never());
        let vault = site.vault().await;
        assert!(is_rebuilt(&site), "case {case}: {:?}", site.events());
        for number in 0..20 {
            assert_eq!(number_held(&vault, number), Some(number), "case {case}");
        }
        assert_eq!(vault.person(&name_of(20)).unwrap(), None);
        drop(vault);
        let again = self::site(&site.kill(), never());
        again.vault().await;
        assert!(!is_rebuilt(&again), "case {case}");
    }
}

/// A frame that only names a person so.
fn naming(number: u64, linked: &[u64], unlinked: &[u64]) -> Frame {
    let mut frame = frame(number, 10, 0);
    frame.changes[0].linked = linked.iter().map(|name| name_of(*name)).collect();
    frame.changes[0].unlinked = unlinked.iter().map(|name| name_of(*name)).collect();
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_come_go_and_move_are_no_damage() {
    for tuning in [never(), small(), nakatsugi::vault::Tuning { checkpoint_rows: 3, ..never() }] {
        let dir = tempfile::tempdir().unwrap();
        let mut data = dir.path().to_owned();
        let both = |number: u64| {
            let (mut from, to) = (naming(number, &[], &[1, 2]), naming(2, &[1, 2], &[]));
            from.changes.extend(to.changes);
            from
        };
        let steps = [
            vec![naming(1, &[1, 2], &[])],
            vec![naming(2, &[3], &[9]), naming(3, &[4], &[])],
            // The same again, and a name that is taken and given in one frame.
            vec![naming(4, &[5, 5], &[5]), naming(41, &[1], &[1])],
            vec![both(81)],
            vec![naming(42, &[], &[3, 3]), naming(43, &[3], &[4])],
            vec![naming(44, &[6], &[5])],
        ];
        for (step, frames) in steps.into_iter().enumerate() {
            let site = site(&data, tuning.clone());
            let vault = site.vault().await;
            for frame in frames {
                vault.commit(frame).await.unwrap();
            }
            if step % 2 == 1 {
                vault.care.checkpoint().await.unwrap();
            }
            drop(vault);
            data = site.kill();
        }
        let site = site(&data, tuning);
        let vault = site.vault().await;
        assert!(!is_rebuilt(&site), "{:?}", site.events());
        let persons = [1, 2, 3, 4, 5, 6].map(|name| vault.person(&name_of(name)).unwrap());
        assert_eq!(persons, [Some(person_of(2)), Some(person_of(2)), Some(person_of(3)), None, None, Some(person_of(4))]);
    }
}

/// Damage that shows only when the links are counted, after the store was opened and found to agree.
#[tokio::test(flavor = "multi_thread")]
async fn links_that_cannot_be_read_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let code = |number: u64| {
        let mut code = [9; 32];
        code[..8].copy_from_slice(&number.to_be_bytes());
        PersonName::Code(PersonCode::from_bytes(code))
    };
    let folder = {
        let site = site(dir.path(), never());
        let vault = site.vault().await;
        for number in 0..40_u64 {
            let mut frame = frame(number, 10, 0);
            frame.changes[0].linked.extend((0..700).map(|name| code(number * 1_000 + name)));
            vault.commit(frame).await.unwrap();
        }
        vault.care.checkpoint().await.unwrap();
        site.folder()
    };
    let values: Vec<_> = {
        let store = open_store(&folder);
        store.scan_prefix([1]).values().map(Result::unwrap).collect()
    };
    drop(open_store(&folder));
    let original = dir.path().join("original");
    copy(&folder, &original);
    let bytes = fs::read(original.join("store/db")).unwrap();
    let (mut counted, mut told) = (0, Vec::new());
    let places: Vec<_> = (1..6).flat_map(|part| memmem(&bytes, &values[values.len() * part / 6])).collect();
    for (case, at) in places.into_iter().enumerate() {
        let data = dir.path().join(format!("case {case}"));
        let folder = data.join("vaults/142051");
        copy(&original, &folder);
        let file = OpenOptions::new().write(true).open(folder.join("store/db")).unwrap();
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        let site = site(&data, never());
        let vault = tokio::time::timeout(Duration::from_secs(10), site.vault_again()).await;
        let vault = vault.unwrap_or_else(|_| panic!("case {case}: {:?}", site.events()));
        assert!(!site.events().iter().any(|event| matches!(event, VaultEvent::Stopped { .. })), "{:?}", site.events());
        counted += u32::from(is_rebuilt(&site));
        told.extend(site.events().into_iter().filter(|event| matches!(event, VaultEvent::StoreRebuilding { .. })));
        for number in [0, 699, 39_000, 39_699] {
            assert!(vault.person(&code(number)).unwrap().is_some(), "case {case}");
        }
    }
    assert!(counted > 0, "no damage was left for the count to find: {told:?}");
}

/// Where these bytes stand.
fn memmem(bytes: &[u8], sought: &[u8]) -> Vec<usize> {
    bytes.windows(sought.len()).enumerate().filter(|(_, window)| *window == sought).map(|(at, _)| at).collect()
}
