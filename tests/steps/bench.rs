//! The steps of the way one by one, in one thread, on the published vectors: `cargo bench --bench steps [-- NAME]`.
//!
//! Always: the real functions. Absent: the vault's files, tasks and the broker; `nakatsugi bench` measures the whole.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark stops at what is not as it must be")]

#[path = "../support/vectors.rs"]
mod vectors;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use nakatsugi::{
    command::Command,
    envelope::{self, SigningKey},
    identifier::VaultName,
    keyring::{Keyring, Secrets, Tree},
    ledger::{Commitment, Frontier},
    record::guard,
};
use ring::rand::SystemRandom;
use std::hint::black_box;
use vectors::{World, cases, envelope, read};

/// The length of what one person has in one category, about.
const VALUE: usize = 1024;
/// The length of a reply with the records of five categories, about.
const REPLY: usize = 4096;

fn way(criterion: &mut Criterion) {
    let world = World::new();
    let random = SystemRandom::new();
    let request = envelope(cases("accept", "envelope.self-info-request.json").values().next().unwrap());
    let signing = SigningKey::from_jwk(&read("keys.json")["relay"]["signing"].to_string()).unwrap();
    let (verified, _) = world.take(&request).unwrap();
    let reader = verified.author().encryption_key(world.now).unwrap();
    let payload = vec![b' '; REPLY];
    let signed = envelope::sign(&payload, &signing, &random).unwrap();

    criterion.bench_function("decrypt", |bencher| bencher.iter(|| world.decrypt(black_box(&request)).unwrap()));
    criterion.bench_function("verify", |bencher| {
        bencher.iter_batched(|| world.decrypt(&request).unwrap(), |decrypted| world.verify(decrypted).unwrap(), BatchSize::SmallInput);
    });
    criterion.bench_function("decode", |bencher| bencher.iter(|| Command::decode(verified.kind(), black_box(verified.body())).unwrap()));
    criterion.bench_function("sign", |bencher| bencher.iter(|| envelope::sign(black_box(&payload), &signing, &random).unwrap()));
    criterion.bench_function("encrypt", |bencher| bencher.iter(|| envelope::encrypt(black_box(&signed), reader, &random).unwrap()));
}

fn vault(criterion: &mut Criterion) {
    let keyring = Keyring::new(VaultName::Platform, Secrets::new([1; 32], [2; 32])).unwrap();
    let row = Tree::Person.row(&[&[1; 16], b"a category"]);
    let (salt, value) = ([3; 32], vec![7; VALUE]);
    let sealed = keyring.seal(&row, &salt, &value).unwrap();
    criterion.bench_function("blind", |bencher| bencher.iter(|| keyring.index().blind(Tree::Link, &[black_box(b"somebody's code")])));
    criterion.bench_function("seal", |bencher| bencher.iter(|| keyring.seal(&row, &salt, black_box(&value)).unwrap()));
    criterion.bench_function("open", |bencher| bencher.iter(|| keyring.open(&row, black_box(sealed.as_bytes())).unwrap()));
    let mut tree = Frontier::default();
    criterion.bench_function("append to the ledger", |bencher| bencher.iter(|| tree.append(black_box(&Commitment([9; 32])))));
    criterion.bench_function("root of the ledger", |bencher| bencher.iter(|| black_box(&tree).root()));
}

fn guards(criterion: &mut Criterion) {
    let text = "課税標準額は 1,234,567 円、納期限は令和八年六月三十日、受付番号 2026-000123 です。".repeat(8);
    criterion.bench_function("guard of a text", |bencher| bencher.iter(|| guard::numbers(black_box(&text)).unwrap()));
}

criterion_group!(benches, way, vault, guards);
criterion_main!(benches);
