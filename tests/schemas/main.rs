//! The schemas and the Rust types say the same, in both directions.
//!
//! Always: an accepted vector keeps its schema and is taken by Rust; a refused one is refused by both, or its file says why
//! JSON Schema cannot see the fault; what Rust writes keeps its schema; every member that a schema names is met.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test stops at what is not as it must be")]

mod random;
mod replies;
mod shape;
mod world;

use serde_json::Value;
use world::{Judgement, World, read, refusals, vectors};

/// The text of a vector: what the file spells out, or its instance.
fn text(case: &Value) -> String {
    case["text"].as_str().map_or_else(|| case["instance"].to_string(), str::to_owned)
}

#[test]
fn accepted_vectors_keep_their_schema_and_are_taken() {
    let world = World::new();
    for (name, case) in vectors("accept") {
        let Some(schema) = case["schema"].as_str() else { continue };
        assert!(world.is_valid(schema, &case["instance"]), "{name}: {}", world.faults(schema, &case["instance"]));
        match world.judge(schema, &text(&case)) {
            Judgement::Taken => {}
            Judgement::Reply(reply) => {
                assert_eq!(reply["status"], "answered", "{name}: {reply}");
                assert!(refusals(&reply).iter().all(Value::is_null), "{name}: {reply}");
            }
            refused => panic!("{name}: {refused:?}"),
        }
    }
}

#[test]
fn refused_vectors_are_refused_by_schema_and_rust() {
    let world = World::new();
    let mut wrong = Vec::new();
    for (name, case) in vectors("reject") {
        let Some(schema) = case["schema"].as_str() else { continue };
        let text = text(&case);
        let instance: Value = serde_json::from_str(&text).unwrap();
        let accepts = case["schema_accepts"] == Value::Bool(true);
        assert_eq!(accepts, case["because"].is_string(), "{name}: a schema that accepts a fault says why");
        if world.is_valid(schema, &instance) != accepts {
            wrong.push(format!("{name}: the schema should have said {accepts}"));
        }
        let judgement = world.judge(schema, &text);
        let as_said = match &judgement {
            Judgement::DeadLetter(reason) => case["dead_letter"] == *reason,
            Judgement::Reply(reply) if case["reply"]["rows"].is_array() => case["reply"]["rows"] == Value::from(refusals(reply)),
            Judgement::Reply(reply) => case["reply"] == *reply,
            Judgement::Refused(_) => case["dead_letter"].is_null() && case["reply"].is_null(),
            Judgement::Taken => false,
        };
        if !as_said {
            wrong.push(format!("{name}: {judgement:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_at_least_three_refusals_for_each_acceptance() {
    let accepted = vectors("accept");
    let refused = vectors("reject");
    let kind = |name: &str| match name.strip_prefix("envelope.") {
        Some(_) => "envelope".to_owned(),
        None => name.rsplitn(3, '.').last().unwrap().to_owned(),
    };
    for name in accepted.keys() {
        let of = |vectors: &std::collections::BTreeMap<String, Value>| vectors.keys().filter(|other| kind(other) == kind(name)).count();
        assert!(of(&refused) >= 3 * of(&accepted), "{}: {} accepted, {} refused", kind(name), of(&accepted), of(&refused));
    }
}

#[test]
fn the_catalogue_that_comes_along_keeps_its_schema() {
    let world = World::new();
    let catalogue = read("catalogue/typical-2026-07.json");
    assert!(world.is_valid("catalogue", &catalogue), "{}", world.faults("catalogue", &catalogue));
}
