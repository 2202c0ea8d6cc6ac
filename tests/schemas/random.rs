//! Values at random: what Rust writes keeps its schema, and of any mutation both sides think the same.

use super::world::{Judgement, World, refusals};
use nakatsugi::{
    calendar::{Timestamp, Window},
    record::{Item, ItemValue, NullReason, Record},
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use serde_json::{Value, json};

const NUMBER: &str = "000000123456789";
const CODE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>(pattern: &'static str) -> impl Strategy<Value = T> {
    pattern.prop_map(|text| text.parse().unwrap())
}

fn timestamps() -> impl Strategy<Value = Timestamp> {
    (0_i64..=253_402_300_799).prop_map(Timestamp::from_seconds)
}

fn windows() -> impl Strategy<Value = Window> {
    let day = || prop::option::of(parsed("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"));
    (day(), day()).prop_map(|(one, other)| match (one, other) {
        // It never ends before it begins, which no schema can say.
        (Some(from), Some(until)) if until < from => Window { from: other, until: one },
        (from, until) => Window { from, until },
    })
}

fn items() -> impl Strategy<Value = Item> {
    let null = prop::sample::select(&[NullReason::NotApplicable, NullReason::NotCollected, NullReason::WithheldByLaw][..]);
    let value = prop_oneof![any::<String>().prop_map(ItemValue::Text), null.prop_map(ItemValue::Null)];
    let (version, updated_at) = (prop::option::of(parsed("[0-9A-Z]{4}")), prop::option::of(timestamps()));
    (parsed("([0-9]{10}|TK[0-9]{14})"), 0_u8..=9, value, version, updated_at).prop_map(|(code, depth, value, version, updated_at)| Item {
        code,
        depth,
        value,
        version,
        updated_at,
    })
}

fn records() -> impl Strategy<Value = Record> {
    let name = || parsed("[!-~]{1,64}");
    let layout = || parsed("[0-9A-Z]{4}");
    let names = (name(), prop::option::of(name()), name(), name(), name());
    (names, layout(), layout(), windows(), prop::collection::vec(items(), 0..4)).prop_map(
        |((record_key, parent, registration_number, unit, user), data_set, layout_version, publication, items)| Record {
            data_set,
            record_key,
            parent,
            layout_version,
            publication,
            registration_number,
            unit,
            user,
            items,
        },
    )
}

/// Bodies that keep their schemas, with the name of the schema.
fn bodies() -> impl Strategy<Value = (&'static str, Value)> {
    let row = |record: Record| json!({ "person": NUMBER, "category": "TM00000000000002", "revision": 1, "record": record });
    let put = prop::collection::vec(records(), 1..3).prop_map(move |records| records.into_iter().map(row).collect::<Vec<_>>());
    let name = json!({ "person": NUMBER, "category": "TM00000000000002", "revision": u64::MAX, "data_set": "0001", "record_key": "k" });
    let categories = ["TM00000000000001", "TM00000000000002", "TM00000000000004"];
    let request = prop::sample::subsequence(categories.to_vec(), 1..=3).prop_map(|categories| {
        let authenticated = json!({ "method": "jpki-user-certificate", "at": 0 });
        json!({ "person": CODE, "categories": categories, "authenticated": authenticated })
    });
    let kinds = ["not-provided", "provision-hidden", "suspended", "no-automatic-answer"];
    let restrict = (0_usize..4, any::<bool>()).prop_map(move |(kind, everybody)| {
        let person = if everybody || kind == 3 { "everybody" } else { NUMBER };
        let restriction = json!({ "kind": kinds[kind], "categories": ["TM00000000000002"], "window": {}, "reason": "x" });
        json!({ "person": person, "revision": 1, "restrictions": [restriction] })
    });
    prop_oneof![
        4 => put.prop_map(|rows| ("body/record.put", json!({ "rows": rows }))),
        1 => Just(("body/record.delete", json!({ "rows": [name] }))),
        1 => Just(("body/person.link", json!({ "person": NUMBER, "code": CODE, "state": "relinked", "revision": 1 }))),
        1 => restrict.prop_map(|restriction| ("body/person.restrict", restriction)),
        2 => request.prop_map(|request| ("body/self-info.request", request)),
    ]
}

/// A change of one place in a value.
#[derive(Debug, Clone)]
enum Mutation {
    Remove,
    Add(&'static str, Value),
    Replace(Value),
    Append(char),
    Prepend(char),
    Shorten,
    Repeat,
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let pool = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(10),
        json!(u64::MAX),
        json!(253_402_300_800_u64),
        json!(""),
        json!("1"),
        json!("0001"),
        json!("2099-02-29"),
        json!("2096-02-29"),
        json!("0000-01-01"),
        json!("TM00000000000004"),
        json!("not-collected"),
        json!({ "not-collected": null }),
        json!("8200000020"),
        json!("everybody"),
        json!("no-automatic-answer"),
        json!("confirmed"),
        json!(NUMBER),
        json!(CODE),
        json!("k".repeat(65)),
        json!("字".repeat(4000)),
        json!("字".repeat(4001)),
        json!([]),
        json!({}),
        json!([["TM00000000000002"]]),
    ];
    let names =
        vec!["x", "reason", "value", "state", "kind", "from", "until", "parent", "version", "updated_at", "revision", "category", "code"];
    let value = move || prop::sample::select(pool.clone());
    let letter = || prop::sample::select(vec!['0', 'a', 'Z', ' ', '\n', '\u{7f}', '~', '２', '-', '.', '=', 'é', '\0']);
    prop_oneof![
        2 => Just(Mutation::Remove),
        2 => (prop::sample::select(names), value()).prop_map(|(name, value)| Mutation::Add(name, value)),
        4 => value().prop_map(Mutation::Replace),
        2 => letter().prop_map(Mutation::Append),
        1 => letter().prop_map(Mutation::Prepend),
        1 => Just(Mutation::Shorten),
        1 => Just(Mutation::Repeat),
    ]
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| places(value, &format!("{here}/{name}"), out)),
        Value::Array(elements) => elements.iter().enumerate().for_each(|(at, value)| places(value, &format!("{here}/{at}"), out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mutate(value: &mut Value, place: Index, mutation: Mutation) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let place = &all[place.index(all.len())];
    let Some((parent, name)) = place.rsplit_once('/') else { return };
    let target = value.pointer_mut(place).unwrap();
    match (mutation, &mut *target) {
        (Mutation::Replace(new), target) => *target = new,
        (Mutation::Append(letter), Value::String(text)) => text.push(letter),
        (Mutation::Prepend(letter), Value::String(text)) => text.insert(0, letter),
        (Mutation::Shorten, Value::String(text)) => drop(text.pop()),
        (Mutation::Add(name, new), Value::Object(members)) => drop(members.insert(name.to_owned(), new)),
        (Mutation::Repeat, Value::Array(elements)) => elements.extend(elements.first().cloned()),
        (Mutation::Remove, _) => match value.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.remove(name)),
            Value::Array(elements) => drop(elements.remove(name.parse().unwrap())),
            _ => {}
        },
        _ => {}
    }
}

/// The refusals that a schema knows too; all others are the catalogue's, the directory's, the guards' or the vault's.
const FORMAL: [&str; 5] = ["malformed-json", "repeated-member", "unknown-member", "missing-member", "invalid-value"];

/// Whether Rust takes the form of a body; `None` where a rule that no schema knows spoke first.
fn takes(judgement: &Judgement) -> Option<bool> {
    match judgement {
        Judgement::DeadLetter(_) => Some(false),
        Judgement::Reply(reply) => match reply["code"].as_str() {
            Some("category-count" | "repeated-category" | "row-count") => Some(false),
            Some("unknown-category") => None,
            Some(other) => panic!("{other}"),
            None => {
                let formal = |code: &Value| code.as_str().is_some_and(|code| FORMAL.contains(&code));
                Some(!refusals(reply).iter().any(formal))
            }
        },
        Judgement::Taken | Judgement::Refused(_) => panic!("{judgement:?}"),
    }
}

#[test]
fn what_rust_writes_keeps_its_schema_and_is_read_again() {
    let world = World::new();
    let check = |(schema, body): (&'static str, Value)| {
        prop_assert!(world.is_valid(schema, &body), "{}", world.faults(schema, &body));
        prop_assert_eq!(takes(&world.judge(schema, &body.to_string())), Some(true));
        Ok(())
    };
    TestRunner::default().run(&bodies(), check).unwrap();
    let same = |record: Record| {
        prop_assert_eq!(&serde_json::from_str::<Record>(&serde_json::to_string(&record).unwrap()).unwrap(), &record);
        Ok(())
    };
    TestRunner::default().run(&records(), same).unwrap();
}

/// Whether a window in it does, which Rust refuses and no schema can see.
fn ends_before_it_begins(value: &Value) -> bool {
    let backwards = match (value["from"].as_str(), value["until"].as_str()) {
        (Some(from), Some(until)) => until < from,
        _ => false,
    };
    let members = value.as_object().into_iter().flatten().map(|(_, member)| member);
    backwards || members.chain(value.as_array().into_iter().flatten()).any(ends_before_it_begins)
}

#[test]
fn of_a_changed_body_schema_and_rust_think_the_same() {
    let world = World::new();
    let changes = prop::collection::vec((any::<Index>(), mutations()), 1..3);
    let check = |((schema, mut body), changes): ((&'static str, Value), Vec<(Index, Mutation)>)| {
        for (place, mutation) in changes {
            mutate(&mut body, place, mutation);
        }
        if let Some(takes) = takes(&world.judge(schema, &body.to_string())).filter(|_| !ends_before_it_begins(&body)) {
            prop_assert_eq!(world.is_valid(schema, &body), takes, "{} {}", body, world.faults(schema, &body));
        }
        Ok(())
    };
    let mut runner = TestRunner::new(ProptestConfig { cases: 4096, ..ProptestConfig::default() });
    runner.run(&(bodies(), changes), check).unwrap();
}
