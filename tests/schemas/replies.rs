//! Real replies, every outcome of every handler, held against their schemas.

use super::world::{NOW, World, vectors};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nakatsugi::{
    calendar::Timestamp,
    command::{Command, Denial, Outcome},
    identifier::{Category, MessageType},
    ledger::{LegalBasis, Promise},
    record::{Attachments, CodeEnd, FormerName, Head, Holding, Item, ItemValue, NullReason, Person, PersonId, Record, Row},
};
use serde_json::{Value, json, value::to_raw_value};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// An image of one point.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
const NUMBER: &str = "000000123456789";
const CODE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn decode(kind: MessageType, body: &Value) -> Command {
    Command::decode(kind, &to_raw_value(body).unwrap()).unwrap()
}

fn record(key: &str, publication: Value) -> Record {
    let mut record: Record =
        serde_json::from_value(vectors("accept")["record.put.every-member.json"]["instance"]["rows"][0]["record"].clone()).unwrap();
    record.record_key = key.parse().unwrap();
    record.parent = Some("0".parse().unwrap());
    record.publication = serde_json::from_value(publication).unwrap();
    record
}

/// A person who has shown, hidden and deleted records.
fn person() -> Person {
    let mut shown = Holding::default();
    shown.replace(Row::Live { revision: 3, record: record("a", json!({ "from": "2099-01-01", "until": "2100-01-01" })) });
    let mut bare = record("b", json!({}));
    bare.parent = None;
    bare.items = vec![Item {
        code: "8200000020".parse().unwrap(),
        depth: 0,
        value: ItemValue::Null(NullReason::NotCollected),
        version: None,
        updated_at: None,
    }];
    shown.replace(Row::Live { revision: 3, record: bare });
    shown.replace(Row::Tombstone { revision: 3, data_set: "0001".parse().unwrap(), record_key: "c".parse().unwrap() });
    let mut hidden = Holding::default();
    hidden.replace(Row::Live { revision: 3, record: record("d", json!({ "from": "2100-01-02" })) });
    let category = |code: &str| code.parse::<Category>().unwrap();
    Person {
        id: PersonId([1; 16]),
        head: Head {
            addressee: Some(NUMBER.parse().unwrap()),
            code: Some(CODE.parse().unwrap()),
            former: Vec::new(),
            revision: 3,
            ..Head::default()
        },
        holdings: BTreeMap::from([(category("TM00000000000002"), shown), (category("TM00000000000004"), hidden)]),
        attachments: BTreeMap::from([(category("TM00000000000002"), attached())]),
        unread: BTreeSet::new(),
    }
}

/// Two files, of which one is deleted.
fn attached() -> Attachments {
    let json = json!([
        { "live": { "revision": 1, "attachment": {
            "key": "a", "name": "a.txt", "type": "text/plain", "size": 1, "sha256": "0".repeat(64), "unit": "u", "user": "u",
        } } },
        { "tombstone": { "revision": 1, "key": "b" } },
    ]);
    serde_json::from_value(json).unwrap()
}

/// A person of whom a record is held, and no file.
pub(crate) fn bare() -> Person {
    Person { attachments: BTreeMap::new(), ..person() }
}

fn other() -> Person {
    Person { id: PersonId([2; 16]), holdings: BTreeMap::new(), attachments: BTreeMap::new(), ..person() }
}

/// Every denial; a new one does not compile until it stands here.
fn denials() -> Vec<Denial> {
    let all = vec![
        Denial::NotAllowed,
        Denial::NotInService,
        Denial::UnknownCategory(0),
        Denial::RepeatedCategory(31),
        Denial::CategoryCount,
        Denial::RowCount,
        Denial::Conflict,
        Denial::AlreadyAnswered(Promise([0xa5; 32])),
        Denial::ScannerUnavailable,
        Denial::ScannerStale,
        Denial::Quarantined,
    ];
    for denial in &all {
        match denial {
            Denial::NotAllowed
            | Denial::NotInService
            | Denial::UnknownCategory(_)
            | Denial::RepeatedCategory(_)
            | Denial::CategoryCount
            | Denial::RowCount
            | Denial::Conflict
            | Denial::AlreadyAnswered(_)
            | Denial::ScannerUnavailable
            | Denial::ScannerStale
            | Denial::Quarantined => {}
        }
    }
    all
}

/// Whether a reply of this type may carry the denial.
fn belongs(denial: &Denial, kind: MessageType) -> bool {
    match denial {
        Denial::UnknownCategory(_) | Denial::RepeatedCategory(_) | Denial::CategoryCount => kind == MessageType::SelfInfoReply,
        Denial::RowCount | Denial::ScannerUnavailable | Denial::ScannerStale => kind == MessageType::RecordReply,
        Denial::NotAllowed | Denial::NotInService | Denial::Conflict | Denial::AlreadyAnswered(_) | Denial::Quarantined => true,
    }
}

fn body(outcome: &Outcome) -> Value {
    serde_json::from_str(outcome.body.get()).unwrap()
}

/// Replies of every outcome, with the name of their schema.
pub(crate) fn replies(world: &World) -> Vec<(String, Value)> {
    let mut replies = Vec::new();
    let mut handled = |kind: MessageType, request: Value, persons: Vec<Option<Person>>, room: usize, now: Timestamp| {
        let outcome = world.handle(decode(kind, &request), |_| persons.clone(), room, now);
        replies.push((format!("body/{}", kind.reply().unwrap()), body(&outcome)));
    };
    let authenticated = json!({ "method": "jpki-user-certificate", "at": 0 });
    let asked = |categories: &[&str]| json!({ "person": CODE, "categories": categories, "authenticated": authenticated });
    let all = asked(&["TM00000000000002", "TM00000000000004", "TM00000000000020", "TM00000000000008", "TM00000000000009"]);
    let request = MessageType::SelfInfoRequest;
    handled(request, all.clone(), vec![Some(person())], usize::MAX, NOW);
    handled(request, all.clone(), vec![None], usize::MAX, NOW);
    handled(request, all.clone(), vec![Some(person())], 100, NOW);
    handled(request, all.clone(), vec![Some(person())], usize::MAX, Timestamp::from_seconds(0));
    for what in ["listed", "included"] {
        let mut all = all.clone();
        all["attachments"] = json!(what);
        handled(request, all.clone(), vec![Some(person())], usize::MAX, NOW);
        handled(request, all, vec![Some(person())], 500, NOW);
    }
    handled(request, asked(&[]), vec![None], usize::MAX, NOW);
    handled(request, asked(&["TM99999999999999"]), vec![None], usize::MAX, NOW);
    handled(request, asked(&["TM00000000000002"; 2]), vec![None], usize::MAX, NOW);

    let put = vectors("accept")["record.put.smallest.json"]["instance"]["rows"][0].clone();
    let count = Cell::new(0);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut row = put.clone();
        row["record"]["registration_number"] = json!(format!("R-{}", count.replace(count.get() + 1)));
        change(&mut row);
        row
    };
    let rows = json!({ "rows": [
        put.clone(),
        changed(&|_| ()),
        changed(&|row| row["revision"] = json!("1")),
        changed(&|row| drop(row.as_object_mut().unwrap().remove("revision"))),
        changed(&|row| row["more"] = json!(1)),
        changed(&|row| row["category"] = json!("TM99999999999999")),
        changed(&|row| row["record"]["record_key"] = json!(NUMBER)),
        changed(&|row| row["record"]["unit"] = json!("123456789018")),
        changed(&|row| row["record"]["items"][0]["value"] = json!("住民票コード 12345678901")),
    ]});
    handled(MessageType::RecordPut, rows, vec![None], usize::MAX, NOW);
    let vast = |items: usize| json!(vec![json!({ "code": "0200000080", "depth": 1, "value": "あ".repeat(4_000) }); items]);
    handled(MessageType::RecordPut, json!({ "rows": [changed(&|row| row["record"]["items"] = vast(350))] }), vec![None], usize::MAX, NOW);
    let mut heavy = Holding::default();
    let mut vast_one = record("heavy", json!({}));
    vast_one.items = serde_json::from_value(vast(330)).unwrap();
    heavy.replace(Row::Live { revision: 1, record: vast_one });
    let codes: Vec<_> = world.document.tenants[0].categories.iter().take(20).cloned().collect();
    let heavy = Person { holdings: codes.iter().map(|code| (code.clone(), heavy.clone())).collect(), ..person() };
    let first = |code: &Category| json!(world.catalogue.entry(code).unwrap().layouts.last().unwrap().data_sets[0].items[0].code);
    let in_category = |code: &Category| {
        changed(&|row| {
            row["category"] = json!(code);
            row["record"]["items"][0]["code"] = first(code);
        })
    };
    let many: Vec<_> = codes.iter().map(in_category).collect();
    handled(MessageType::RecordPut, json!({ "rows": many }), vec![Some(heavy)], usize::MAX, NOW);
    let spelt = format!(
        r#"{{"rows":[{},{}]}}"#,
        put.to_string().replace("\"revision\"", "\"revision\":2,\"revision\""),
        put.to_string().replace("課税", "\\ud800")
    );
    let raw = serde_json::value::RawValue::from_string(spelt).unwrap();
    let outcome = world.handle(Command::decode(MessageType::RecordPut, &raw).unwrap(), |count| vec![None; count], 0, NOW);
    let spelt = body(&outcome);
    let name = json!({ "person": NUMBER, "category": "TM00000000000002", "revision": 4, "data_set": "0001", "record_key": "a" });
    let delete = MessageType::RecordDelete;
    handled(delete, json!({ "rows": [name.clone(), name.clone()] }), vec![Some(person())], usize::MAX, NOW);
    handled(delete, json!({ "rows": [] }), Vec::new(), usize::MAX, NOW);
    let mut above = name.clone();
    above["record_key"] = json!("0");
    let mut family = person();
    let held = family.holdings.get_mut(&"TM00000000000002".parse().unwrap()).unwrap();
    let mut child = record("child", json!({}));
    child.data_set = "0002".parse().unwrap();
    let mut parent = record("0", json!({}));
    parent.parent = None;
    held.replace(Row::Live { revision: 1, record: child });
    held.replace(Row::Live { revision: 1, record: parent });
    handled(delete, json!({ "rows": [above] }), vec![Some(family)], usize::MAX, NOW);
    // Each refusal that a vector names.
    for case in vectors("reject").values().filter(|case| case["schema"] == "body/record.put" && case["reply"]["rows"].is_array()) {
        if case["instance"].is_object() {
            handled(MessageType::RecordPut, case["instance"].clone(), vec![None], usize::MAX, NOW);
        }
    }
    handled(delete, json!({ "rows": vec![name; 501] }), vec![None], usize::MAX, NOW);

    let attach = |changes: Value| {
        let mut row = vectors("accept")["attachment.put.smallest.json"]["instance"]["rows"][0].clone();
        for (name, value) in changes.as_object().unwrap() {
            let whole = ["person", "category", "revision"].contains(&name.as_str());
            let place = if whole { &mut row[name] } else { &mut row["attachment"][name] };
            *place = value.clone();
        }
        row
    };
    let file = |name: &str, kind: &str, content: &str| attach(json!({ "name": name, "type": kind, "content": STANDARD.encode(content) }));
    let pdf = |says: &str| file("a.pdf", "application/pdf", &format!("%PDF-1.7 {says} %%EOF"));
    let rows = json!({ "rows": [
        attach(json!({})),
        attach(json!({})),
        attach(json!({ "category": "TM99999999999999" })),
        attach(json!({ "category": "TM00000000000009" })),
        attach(json!({ "attachment_key": NUMBER })),
        attach(json!({ "name": "123456789018.txt" })),
        attach(json!({ "unit": "123456789018" })),
        attach(json!({ "user": "123456789018" })),
        attach(json!({ "content": "" })),
        attach(json!({ "declaration": { "official": "nobody" } })),
        attach(json!({ "attachment_key": "b", "declaration": { "official": "fujisawa.tax.1" } })),
        attach(json!({ "attachment_key": "c" })),
        attach(json!({ "attachment_key": "d" })),
        file("a.txt", "text/plain", &"a".repeat((1 << 20) + 1)),
        file("a.txt", "text/plain", "\0"),
        file("a.txt", "text/plain", "12\n123456789018"),
        file("a.txt", "text/plain", NUMBER),
        file("a.pdf", "text/plain", "a"),
        attach(json!({ "content": "gqA=" })),
        file("a.csv", "text/csv", "a,b\n1\n"),
        file("a.csv", "text/csv", "住民票コード\n12345678901\n"),
        pdf(""),
        pdf("encrypted"),
        pdf("files"),
        pdf("pages"),
        pdf("numbered"),
        pdf("beside"),
        file("a.txt", "text/plain", "infected"),
        attach(json!({ "type": "image/png", "name": "a.png", "content": PNG })),
    ]});
    let put = MessageType::AttachmentPut;
    handled(put, rows, vec![Some(bare())], usize::MAX, NOW);
    handled(put, json!({ "rows": [] }), Vec::new(), usize::MAX, NOW);
    handled(put, json!({ "rows": vec![attach(json!({})); 33] }), vec![None], usize::MAX, NOW);
    let name = |key: &str| json!({ "person": NUMBER, "category": "TM00000000000002", "revision": 2, "attachment_key": key });
    let take = MessageType::AttachmentDelete;
    handled(take, json!({ "rows": [name("a"), name("a"), name("123456789018")] }), vec![Some(person())], usize::MAX, NOW);

    let link = |revision: u64| json!({ "person": NUMBER, "code": CODE, "revision": revision });
    let kind = MessageType::PersonLink;
    handled(kind, link(1), vec![None; 3], usize::MAX, NOW);
    handled(kind, link(1), vec![None, None, Some(other())], usize::MAX, NOW);
    let said = |state: &str| json!({ "person": NUMBER, "code": CODE, "state": state, "revision": 4 });
    handled(kind, said("revoked"), vec![Some(person()), Some(person()), None], usize::MAX, NOW);
    handled(kind, said("confirmed"), vec![None; 3], usize::MAX, NOW);
    handled(kind, link(3), vec![Some(person()), Some(person())], usize::MAX, NOW);
    handled(kind, link(4), vec![Some(person()), Some(other())], usize::MAX, NOW);
    let mut often = person();
    often.head.code = Some(CODE.replace("AAEC", "AAED").parse().unwrap());
    often.head.former = vec![FormerName { code: CODE.parse().unwrap(), until: NOW, end: CodeEnd::Replaced }; 64];
    handled(kind, link(4), vec![Some(often), None], usize::MAX, NOW);
    handled(kind, link(4), vec![None, None], usize::MAX, Timestamp::from_seconds(0));

    let restrict = |revision: u64, category: &str| {
        let restriction = json!({ "kind": "suspended", "categories": [category], "window": {}, "reason": "L1" });
        json!({ "person": NUMBER, "revision": revision, "restrictions": [restriction] })
    };
    let kind = MessageType::PersonRestrict;
    handled(kind, restrict(1, "TM00000000000002"), vec![None], usize::MAX, NOW);
    handled(kind, restrict(0, "TM00000000000002"), vec![Some(person())], usize::MAX, NOW);
    handled(kind, restrict(1, "TM99999999999999"), vec![Some(person())], usize::MAX, NOW);

    let erase = |revision: u64| json!({ "person": NUMBER, "revision": revision });
    let kind = MessageType::PersonErase;
    handled(kind, erase(4), vec![Some(person())], usize::MAX, NOW);
    handled(kind, erase(1), vec![None], usize::MAX, NOW);
    handled(kind, erase(0), vec![Some(person())], usize::MAX, NOW);
    handled(kind, erase(4), vec![None], usize::MAX, Timestamp::from_seconds(0));

    replies.push(("body/record.reply".to_owned(), spelt));
    for kind in [MessageType::SelfInfoReply, MessageType::RecordReply, MessageType::PersonReply] {
        for denial in denials().into_iter().filter(|denial| belongs(denial, kind)) {
            replies.push((format!("body/{kind}"), body(&Outcome::denied(denial, LegalBasis::SelfInformation).unwrap())));
        }
    }
    replies
}

#[test]
fn every_reply_keeps_its_schema() {
    let world = World::new();
    for (schema, reply) in replies(&world) {
        assert!(world.is_valid(&schema, &reply), "{schema} {reply}\n{}", world.faults(&schema, &reply));
    }
}

#[test]
fn a_denial_that_does_not_belong_to_a_reply_breaks_its_schema() {
    let world = World::new();
    for kind in [MessageType::SelfInfoReply, MessageType::RecordReply, MessageType::PersonReply] {
        for denial in denials().into_iter().filter(|denial| !belongs(denial, kind)) {
            let reply = body(&Outcome::denied(denial, LegalBasis::SelfInformation).unwrap());
            assert!(!world.is_valid(&format!("body/{kind}"), &reply), "{kind} {reply}");
        }
    }
}

/// Members that a reply may lack; all others are required.
const OPTIONAL: [&str; 7] = ["parent", "from", "until", "version", "updated_at", "attachments", "content"];

#[test]
fn a_reply_with_a_member_less_or_more_breaks_its_schema() {
    fn each(value: &Value, whole: &Value, here: &str, check: &mut dyn FnMut(Value, String)) {
        match value {
            Value::Object(members) => {
                let mut more = whole.clone();
                more.pointer_mut(here).unwrap()["x"] = json!(1);
                check(more, format!("{here} with x"));
                for (name, member) in members {
                    if !OPTIONAL.contains(&name.as_str()) && !here.ends_with("/in_file") {
                        let mut less = whole.clone();
                        less.pointer_mut(here).unwrap().as_object_mut().unwrap().remove(name);
                        check(less, format!("{here} without {name}"));
                    }
                    each(member, whole, &format!("{here}/{name}"), check);
                }
            }
            Value::Array(elements) => {
                elements.iter().enumerate().for_each(|(at, value)| each(value, whole, &format!("{here}/{at}"), check))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let world = World::new();
    for (schema, reply) in replies(&world) {
        each(&reply, &reply, "", &mut |changed, how| assert!(!world.is_valid(&schema, &changed), "{schema}{how}: {changed}"));
    }
}
