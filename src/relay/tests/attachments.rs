//! Attachments on their way with simulated edges: in, out, and never without a record.

use super::*;
use crate::command::ScannerFault;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{prelude::*, test_runner::TestRunner};

fn file(category: &str, key: &str, revision: u64, content: &[u8]) -> Value {
    json!({"person": ADDRESSEE, "category": category, "revision": revision, "attachment": {
        "attachment_key": key, "name": "お知らせ.txt", "type": "text/plain", "unit": "tax", "user": "u1", "content": STANDARD.encode(content)}})
}

fn ask_for(what: &str, categories: &[&str]) -> Value {
    let mut asked = ask(7, categories);
    asked["attachments"] = json!(what);
    asked
}

async fn tell(world: &World, id: u8, kind: MessageType, body: Value) -> Value {
    let from = if kind == MessageType::SelfInfoRequest { "disclosure" } else { "fujisawa" };
    let (_, end, _) = world.carry(&world.letter(from, id, kind, body)).await;
    assert!(matches!(end, End::Answered { .. } | End::Denied { .. }), "{end:?}");
    last(world)
}

fn read(world: &World) -> usize {
    world.vaults.0.lock().unwrap()[FUJISAWA].read.len()
}

#[tokio::test]
async fn a_file_comes_back_with_its_records_and_only_when_it_is_asked_for() {
    let world = populated().await;
    let put = tell(&world, 3, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 1, "税".as_bytes())]})).await;
    assert_eq!(put["rows"], json!([{"row": 0, "result": "stored"}]));
    let plain = tell(&world, 4, MessageType::SelfInfoRequest, ask(7, &[TAX])).await;
    assert_eq!(plain["categories"][0].get("attachments"), None);
    let about = json!({"attachment_key": "a", "name": "お知らせ.txt", "type": "text/plain", "size": 3,
        "sha256": crate::record::FileDigest::of("税".as_bytes()).to_string()});
    let listed = tell(&world, 5, MessageType::SelfInfoRequest, ask_for("listed", &[TAX])).await;
    assert_eq!(listed["categories"][0]["attachments"], json!([about]));
    assert_eq!(read(&world), 0, "nobody asked for the content");
    let included = tell(&world, 6, MessageType::SelfInfoRequest, ask_for("included", &[TAX])).await;
    let mut whole = about;
    whole["content"] = json!("56iO");
    assert_eq!(included["categories"][0]["attachments"], json!([whole]));
    assert_eq!(read(&world), 1);
}

#[tokio::test]
async fn a_file_is_attached_only_where_a_record_is_and_shares_its_window() {
    let world = populated().await;
    let rows = json!({"rows": [file(ASSISTANCE, "a", 1, b"a"), file(CARE, "a", 1, b"a")]});
    let put = tell(&world, 3, MessageType::AttachmentPut, rows).await;
    assert_eq!(put["rows"][0], json!({"row": 0, "result": "refused", "code": "no-record", "place": "category"}));
    assert_eq!(put["rows"][1], json!({"row": 1, "result": "stored"}));
    // The record of this category is outside its window.
    let shown = tell(&world, 4, MessageType::SelfInfoRequest, ask_for("included", &[CARE])).await;
    assert_eq!(shown["categories"], json!([{"category": CARE, "outcome": "nothing-to-show"}]));
    let unknown = tell(&world, 5, MessageType::SelfInfoRequest, {
        let mut asked = ask(8, &[CARE]);
        asked["attachments"] = json!("included");
        asked
    });
    assert_eq!(unknown.await["categories"], shown["categories"]);
    let sent = world.sent();
    let [.., one, other] = sent.as_slice() else { panic!() };
    assert_eq!(one.body.len(), other.body.len());
    assert_eq!(read(&world), 0, "what is not shown is not read");
}

#[tokio::test]
async fn what_is_withheld_is_not_read() {
    let world = populated().await;
    tell(&world, 3, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 1, &[b'a'; 9_000])]})).await;
    let restrictions = json!([{"kind": "not-provided", "window": {}, "reason": "DV"}]);
    tell(&world, 4, MessageType::PersonRestrict, json!({"person": ADDRESSEE, "revision": 1, "restrictions": restrictions})).await;
    let shown = tell(&world, 5, MessageType::SelfInfoRequest, ask_for("included", &[TAX])).await;
    assert_eq!(shown["categories"], json!([{"category": TAX, "outcome": "nothing-to-show"}]));
    assert_eq!(read(&world), 0);
}

#[tokio::test]
async fn with_the_last_record_the_files_go_and_stay_gone() {
    let world = populated().await;
    tell(&world, 3, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 4, b"a")]})).await;
    let delete = |revision: u64| json!({"person": ADDRESSEE, "category": TAX, "revision": revision, "data_set": "0001", "record_key": "1"});
    tell(&world, 4, MessageType::RecordDelete, json!({"rows": [delete(2)]})).await;
    tell(&world, 5, MessageType::RecordPut, json!({"rows": [put_row(ADDRESSEE, TAX, 3, "2027-03-31")]})).await;
    let shown = tell(&world, 6, MessageType::SelfInfoRequest, ask_for("included", &[TAX])).await;
    assert_eq!((&shown["categories"][0]["outcome"], &shown["categories"][0]["attachments"]), (&json!("provided"), &json!([])));
    let put = tell(&world, 7, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 4, b"a"), file(TAX, "a", 5, b"b")]})).await;
    assert_eq!(put["rows"], json!([{"row": 0, "result": "superseded"}, {"row": 1, "result": "stored"}]));
    // Replaced in one message: there is a record at its end.
    let rows = tell(&world, 8, MessageType::RecordPut, json!({"rows": [put_row(ADDRESSEE, TAX, 4, "2027-03-31")]}));
    rows.await;
    let shown = tell(&world, 9, MessageType::SelfInfoRequest, ask_for("listed", &[TAX])).await;
    assert_eq!(shown["categories"][0]["attachments"][0]["size"], json!(1));
}

#[tokio::test]
async fn three_of_the_largest_fit_beside_records_and_two_categories_do_not() {
    let world = populated().await;
    tell(&world, 3, MessageType::RecordPut, json!({"rows": [put_row(ADDRESSEE, CARE, 2, "2027-03-31")]})).await;
    let largest = vec![b'a'; crate::record::FILE_BYTES];
    for (id, category) in [(4, TAX), (5, CARE)] {
        let rows = ["a", "b", "c"].map(|key| file(category, key, 1, &largest));
        let put = tell(&world, id, MessageType::AttachmentPut, json!({ "rows": rows })).await;
        assert!(put["rows"].as_array().unwrap().iter().all(|row| row["result"] == "stored"), "{put}");
    }
    let fourth = tell(&world, 6, MessageType::AttachmentPut, json!({"rows": [file(TAX, "d", 1, b"a")]})).await;
    assert_eq!(fourth["rows"][0]["code"], "too-many-attachments");
    let both = tell(&world, 7, MessageType::SelfInfoRequest, ask_for("included", &[TAX, CARE])).await;
    assert_eq!(both["categories"][0]["attachments"].as_array().unwrap().len(), 3);
    assert_eq!(both["categories"][1], json!({"category": CARE, "outcome": "too-large"}));
    assert_eq!(read(&world), 3, "what does not fit is not read");
    // Beside the files there is room for about 850 small records.
    for (id, from) in [(8, 0), (9, 450)] {
        let row = |number: u32| {
            let mut row = put_row(ADDRESSEE, TAX, 2, "2027-03-31");
            row["record"]["record_key"] = json!(format!("k{number}"));
            row["record"]["registration_number"] = json!(number.to_string());
            row
        };
        let put = tell(&world, id, MessageType::RecordPut, json!({"rows": (from..from + 450).map(row).collect::<Vec<_>>()})).await;
        let full = put["rows"].as_array().unwrap().iter().filter(|row| row["code"] == "category-full").count();
        assert_eq!(full > 0, id == 9, "{full}");
    }
}

#[tokio::test]
async fn files_that_could_not_be_scanned_are_denied_and_a_repeat_is_not_examined_again() {
    let world = populated().await;
    let put = world.letter("fujisawa", 3, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 1, b"a")]}));
    world.desk.0.lock().unwrap().1 = Some(ScannerFault::Unavailable);
    assert_eq!(world.carry(&put).await.1, End::Denied { code: "scanner-unavailable", index: 2 });
    world.desk.0.lock().unwrap().1 = None;
    assert_eq!(world.carry(&put).await.1, End::Repeated);
    assert_eq!(world.desk.0.lock().unwrap().0, 1);
    let shown = tell(&world, 4, MessageType::SelfInfoRequest, ask_for("listed", &[TAX])).await;
    assert_eq!(shown["categories"][0]["attachments"], json!([]));
    // Nobody looks into the files of those who may not bring any.
    let (_, end, _) =
        world.carry(&world.letter("disclosure", 5, MessageType::AttachmentPut, json!({"rows": [file(TAX, "a", 1, b"a")]}))).await;
    assert!(matches!(end, End::Denied { code: "not-allowed", .. }), "{end:?}");
    assert_eq!(world.desk.0.lock().unwrap().0, 1);
}

#[tokio::test]
async fn a_declaration_names_an_official_of_the_category_and_stands_in_the_ledger() {
    let world = populated().await;
    let image = STANDARD.decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==").unwrap();
    let declared = |key: &str, official: Option<&str>| {
        let mut row = file(TAX, key, 1, &image);
        row["attachment"]["name"] = json!("a.png");
        row["attachment"]["type"] = json!("image/png");
        if let Some(official) = official {
            row["attachment"]["declaration"] = json!({ "official": official });
        }
        row
    };
    let rows = json!({"rows": [declared("a", None), declared("b", Some("fujisawa")), declared("c", Some("fujisawa.tax.1"))]});
    let put = tell(&world, 3, MessageType::AttachmentPut, rows).await;
    let codes: Vec<_> = put["rows"].as_array().unwrap().iter().map(|row| row["code"].clone()).collect();
    assert_eq!(codes, [json!("undeclared"), json!("unknown-official"), Value::Null]);
    let frames = &world.vaults.0.lock().unwrap()[FUJISAWA].frames;
    let entry: crate::ledger::Entry = serde_json::from_slice(&frames.last().unwrap().sealing.entry).unwrap();
    let [declared] = entry.declarations.as_slice() else { panic!("{:?}", entry.declarations) };
    assert_eq!(declared.official.as_str(), "fujisawa.tax.1");
    assert_eq!(declared.sha256, crate::record::FileDigest::of(&image));
}

/// A random change of records and files.
#[derive(Debug, Clone)]
enum Step {
    Record { category: usize, key: u8, revision: u64, live: bool },
    File { category: usize, key: u8, revision: u64, live: bool },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (any::<bool>(), 0_usize..2, 0_u8..3, 1_u64..12, any::<bool>()).prop_map(|(record, category, key, revision, live)| {
        if record { Step::Record { category, key, revision, live } } else { Step::File { category, key, revision, live } }
    });
    prop::collection::vec(prop::collection::vec(step, 1..4), 1..24)
}

#[test]
fn no_attachment_is_without_a_record() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&steps(), |messages| {
            runtime.block_on(async {
                let world = World::new();
                for (id, steps) in (1_u8..).zip(messages) {
                    for (kind, rows) in grouped(&steps) {
                        let nth = id.wrapping_mul(8) + kind as u8 % 8;
                        world.carry(&world.letter("fujisawa", nth, kind, json!({ "rows": rows }))).await;
                        let held = world.vaults.0.lock().unwrap();
                        let Some(held) = held.get(FUJISAWA) else { continue };
                        for (place, list) in &held.attachments {
                            let records = held.holdings.get(place).map_or(0, |holding| holding.records().count());
                            prop_assert!(records > 0 || list.files().count() == 0, "files without a record after {steps:?}");
                        }
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}

/// The messages of one round: what a type of message changes goes together.
fn grouped(steps: &[Step]) -> Vec<(MessageType, Vec<Value>)> {
    let category = |at: &usize| [TAX, CARE][*at];
    let mut messages: Vec<(MessageType, Vec<Value>)> = Vec::new();
    for step in steps {
        let (kind, row) = match step {
            Step::Record { category: at, key, revision, live: true } => {
                let mut row = put_row(ADDRESSEE, category(at), *revision, "2027-03-31");
                row["record"]["record_key"] = json!(key.to_string());
                row["record"]["registration_number"] = json!(key.to_string());
                (MessageType::RecordPut, row)
            }
            Step::Record { category: at, key, revision, live: false } => (
                MessageType::RecordDelete,
                json!({"person": ADDRESSEE, "category": category(at), "revision": revision, "data_set": "0001", "record_key": key.to_string()}),
            ),
            Step::File { category: at, key, revision, live: true } => {
                (MessageType::AttachmentPut, file(category(at), &key.to_string(), *revision, b"a"))
            }
            Step::File { category: at, key, revision, live: false } => (
                MessageType::AttachmentDelete,
                json!({"person": ADDRESSEE, "category": category(at), "revision": revision, "attachment_key": key.to_string()}),
            ),
        };
        match messages.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, rows)) => rows.push(row),
            None => messages.push((kind, vec![row])),
        }
    }
    messages
}
