//! The figure of a rotation: requests while the data keys of many records are replaced, beside requests while nothing else runs.

use crate::support::*;
use nakatsugi::{
    calendar::Timestamp,
    identifier::{PersonCode, PersonName},
    record::{Head, Listing, PersonChange, PersonId, PersonNeed},
    relay::ports::{Frame, Vault},
    vault::Tuning,
};
use std::{
    collections::BTreeMap,
    env,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// Requests in each second; 16 under way at most.
const RATE: u64 = 200;
const AT_ONCE: u64 = 100;

fn id(number: u64) -> PersonId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    PersonId(id)
}

fn name(number: u64) -> PersonName {
    let mut code = [0; 32];
    code[..8].copy_from_slice(&number.to_be_bytes());
    PersonName::Code(PersonCode::from_bytes(code))
}

/// Ids of messages leave four bits out.
fn message_number(number: u64) -> u64 {
    ((number >> 12) << 16) | (number & 0xfff)
}

fn change(number: u64) -> PersonChange {
    PersonChange {
        id: id(number),
        head: Head { revision: 1, ..Head::default() },
        linked: vec![name(number)],
        unlinked: vec![],
        attachments: BTreeMap::new(),
        holdings: BTreeMap::from([(category(), holding(number, 600))]),
    }
}

/// One request: it is recalled, its person is shown, its answer is made durable.
async fn request(vault: &Opened, number: u64, records: u64) -> Duration {
    let began = Instant::now();
    assert!(vault.recall(&message(message_number(number))).unwrap().is_none());
    let person = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % records;
    let view = vault.view(&[PersonNeed { name: name(person), categories: vec![category()], attachments: Listing::Left }]).unwrap();
    assert_eq!(view.persons[0].as_ref().unwrap().holdings.len(), 1);
    let answer = Frame { changes: vec![], ..frame(message_number(number), 0, 4_096) };
    vault.commit(answer).await.unwrap();
    began.elapsed()
}

/// Requests at an even rate until told to stop; a late one counts from when it was due.
async fn requests(vault: &Opened, from: &AtomicU64, records: u64, stop: &AtomicBool) -> Vec<Duration> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    while !stop.load(Ordering::Relaxed) {
        let due = tick.tick().await;
        let (vault, number) = (vault.clone(), from.fetch_add(1, Ordering::Relaxed));
        tasks.spawn(async move {
            request(&vault, number, records).await;
            due.elapsed()
        });
    }
    tasks.join_all().await
}

fn figures(mut times: Vec<Duration>) -> (usize, u128, u128, u128) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_micros();
    (times.len(), at(500), at(990), at(999))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure: NAKATSUGI_RECORDS=1000000 cargo test --release --test vault -- --ignored --nocapture carry_figures"]
async fn requests_while_the_data_keys_of_many_records_are_replaced() {
    let records: u64 = env::var_os("NAKATSUGI_RECORDS").map_or(20_000, |text| text.to_str().unwrap().parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path(), Tuning { cache_bytes: 64 << 20, ..Tuning::default() });
    let vault = site.vault().await;
    let began = Instant::now();
    let from = AtomicU64::new(0);
    for first in (0..records).step_by(AT_ONCE as usize) {
        let number = message_number(from.fetch_add(1, Ordering::Relaxed));
        let changes = (first..records.min(first + AT_ONCE)).map(change).collect();
        vault.commit(Frame { changes, ..frame(number, 0, 100) }).await.unwrap();
    }
    vault.care.checkpoint().await.unwrap();
    println!("{records} records loaded in {:?}", began.elapsed());
    let outbox = site.outbox.clone();
    let publisher = tokio::spawn(async move {
        loop {
            outbox.next().await.settle();
        }
    });

    let stop = AtomicBool::new(false);
    let alone = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (before, ()) = tokio::join!(requests(&vault, &from, records, &stop), alone);
    stop.store(false, Ordering::Relaxed);
    let began = Instant::now();
    let rotation = async {
        let carried = vault.care.carry_over(Timestamp::from_seconds(0)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        carried
    };
    let (during, carried) = tokio::join!(requests(&vault, &from, records, &stop), rotation);
    let took = began.elapsed();
    let (before, during) = (figures(before), figures(during));
    println!("alone:           {} requests, p50 {} µs, p99 {} µs, p99.9 {} µs", before.0, before.1, before.2, before.3);
    println!("during rotation: {} requests, p50 {} µs, p99 {} µs, p99.9 {} µs", during.0, during.1, during.2, during.3);
    println!(
        "rotation of {} rows took {took:?}; p99 is {:.2} times as long; no request failed",
        carried.rows,
        during.2 as f64 / before.2 as f64
    );
    publisher.abort();
}
