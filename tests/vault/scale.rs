//! Figures, printed and not asserted: run with `--ignored --nocapture`, in release for speed.

use crate::{gate::Gate, support::*};
use nakatsugi::{
    identifier::{TenantCode, VaultName},
    record::{Listing, PersonNeed},
    relay::ports::Vault,
    vault::{OutboxLimits, Tuning, VaultEvent},
};
use std::{path::Path, process::Command, time::Duration};
use tokio::time::Instant;

/// Valid tenant codes: five digits and their check digit.
fn tenants(count: u32) -> Vec<TenantCode> {
    let codes = (10_000..100_000_u32).filter_map(|body| {
        let sum: u32 = body.to_string().bytes().zip([6, 5, 4, 3, 2]).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        format!("{body}{}", (11 - sum % 11) % 10).parse().ok()
    });
    codes.take(count as usize).collect()
}

fn shell(command: &str, path: &Path) -> String {
    let output = Command::new("sh").arg("-c").arg(command).arg("sh").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn two_hundred_vaults() {
    let dir = tempfile::tempdir().unwrap();
    let names = tenants(200);
    let gate = Gate::of(&names);
    let first = site(dir.path(), Tuning::default());
    let started = Instant::now();
    for name in &names {
        first.vaults.create(VaultName::Tenant(*name)).unwrap();
    }
    println!("200 vaults made: {:?}, {}", started.elapsed(), resident());
    let started = Instant::now();
    for name in &names {
        let vault = Opened::of(&first.vaults, &gate, *name).await.unwrap();
        vault.commit(frame(0, 2_000, 8_000)).await.unwrap();
    }
    println!("opened for the first time, one frame each: {:?}, {}", started.elapsed(), resident());
    let started = Instant::now();
    first.vaults.close_all().await;
    println!("closed with a checkpoint: {:?}", started.elapsed());
    println!("disk: {}", shell("du -sh $1/vaults | cut -f1; du -sh --apparent-size $1/vaults | cut -f1", dir.path()));
    println!("one vault: {}", shell("cd $1/vaults/*1; du -a . | sort -n", dir.path()));
    drop(first);
    let second = site(dir.path(), Tuning::default());
    let started = Instant::now();
    for name in &names {
        second.vaults.resume(VaultName::Tenant(*name)).await.unwrap();
    }
    println!("opened again: {:?}, {}", started.elapsed(), resident());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn opening_with_a_hundred_thousand_ids() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), Tuning::default());
    let vault = first.vault().await;
    let tasks: Vec<_> = (0..100)
        .map(|task| {
            let vault = vault.clone();
            tokio::spawn(async move {
                for number in (task..100_000).step_by(100) {
                    let mut frame = frame(number, 0, 0);
                    (frame.changes, frame.parcels) = (Vec::new(), Vec::new());
                    vault.commit(frame).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(vault);
    first.vaults.close_all().await;
    drop(first);
    for known_ids in [0, usize::MAX, 0, usize::MAX, 0, usize::MAX] {
        let site = site(dir.path(), Tuning { known_ids, ..Tuning::default() });
        let before = resident();
        let started = Instant::now();
        let vault = site.vault().await;
        println!("{}: opened in {:?}, {before} → {}", if known_ids == 0 { "without" } else { "with ids" }, started.elapsed(), resident());
        let started = Instant::now();
        for number in 1_000_000..1_010_000 {
            assert_eq!(vault.recall(&message(number)).unwrap(), None);
        }
        println!("  a look for what is not there: {:?}", started.elapsed() / 10_000);
        drop(vault);
        site.vaults.close_all().await;
    }
}

async fn load(vault: Vec<Opened>, tasks: u64, each: u64) -> Duration {
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let vault = vault[task as usize % vault.len()].clone();
            tokio::spawn(async move {
                for round in 0..each {
                    let mut frame = frame(round * 64 + task, 0, 8_000);
                    frame.changes.clear();
                    vault.commit(frame).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn commits_a_second() {
    for vaults in [1, 8, 64] {
        let dir = tempfile::tempdir().unwrap();
        let site = site_with(dir.path(), Tuning::default(), 1, OutboxLimits::default());
        let (names, mut open) = (tenants(vaults), Vec::new());
        let gate = Gate::of(&names);
        for name in names {
            site.vaults.create(VaultName::Tenant(name)).unwrap();
            open.push(Opened::of(&site.vaults, &gate, name).await.unwrap());
        }
        let outbox = site.outbox.clone();
        let publisher = tokio::spawn(async move {
            loop {
                outbox.next().await.settle();
            }
        });
        let each = 400;
        let took = load(open, 64, each).await;
        println!("64 committers, {vaults} vaults, 8 kB parcels: {:.0} commits/s", (64 * each) as f64 / took.as_secs_f64());
        publisher.abort();
        site.vaults.close_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn bytes_for_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), Tuning::default());
    let vault = site.vault().await;
    let outbox = site.outbox.clone();
    let publisher = tokio::spawn(async move {
        loop {
            outbox.next().await.settle();
        }
    });
    load(vec![vault.clone()], 64, 200).await;
    while site.outbox.load().parcels > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    site.vaults.tend().await;
    vault.care.checkpoint().await.unwrap();
    vault.care.sweep(expires(1_000_000)).await.unwrap();
    let started = Instant::now();
    while vault.care.shrink().await.unwrap().is_some() {}
    let took = started.elapsed();
    let (mut segments, mut whole, mut shrunk) = (0, 0, 0);
    for event in site.events() {
        if let VaultEvent::Shrunk { before, after, .. } = event {
            (segments, whole, shrunk) = (segments + 1, whole + before, shrunk + after);
        }
    }
    let requests = 64.0 * 200.0 * whole as f64 / (whole as f64 + std::fs::metadata(last_segment(&site)).unwrap().len() as f64);
    println!("{segments} segments, about {requests:.0} requests with replies of 8,000 bytes, rewritten in {took:?}");
    println!("bytes for each: {:.0}, rewritten {:.0}", whole as f64 / requests, shrunk as f64 / requests);
    publisher.abort();
}

fn last_segment(site: &Site) -> std::path::PathBuf {
    let entries = std::fs::read_dir(site.folder().join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn opening_with_a_hundred_thousand_names() {
    let dir = tempfile::tempdir().unwrap();
    let first = site(dir.path(), Tuning::default());
    let vault = first.vault().await;
    for number in 0..100_u64 {
        let mut frame = frame(number, 0, 0);
        frame.changes[0].linked = (0..1_000_u64)
            .map(|name| {
                let mut code = [9; 32];
                code[..8].copy_from_slice(&(number * 1_000 + name).to_be_bytes());
                nakatsugi::identifier::PersonName::Code(nakatsugi::identifier::PersonCode::from_bytes(code))
            })
            .collect();
        vault.commit(frame).await.unwrap();
    }
    vault.care.checkpoint().await.unwrap();
    drop(vault);
    let second = site(&first.kill(), Tuning::default());
    let started = Instant::now();
    second.vaults.resume(tenant()).await.unwrap();
    println!("opened with 100,000 names: {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn time_of_a_view() {
    let dir = tempfile::tempdir().unwrap();
    for pieces in [1_usize, 4, 8, 32, 128] {
        let first = site(&dir.path().join(pieces.to_string()), Tuning::default());
        let vault = first.vault().await;
        vault.commit(frame(0, (pieces - 1) * (24 << 10) + 2_000, 0)).await.unwrap();
        vault.care.checkpoint().await.unwrap();
        drop(vault);
        let second = site(&first.kill(), Tuning::default());
        let vault = second.vault().await;
        let need = [PersonNeed { name: name_of(0), categories: vec![category()], attachments: Listing::Left }];
        let mut times = [Duration::ZERO; 2];
        for time in &mut times {
            let started = Instant::now();
            vault.view(&need).unwrap();
            *time = started.elapsed();
        }
        println!("{pieces} pieces: cold {:?}, warm {:?}", times[0], times[1]);
    }
}
