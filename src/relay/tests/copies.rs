//! Registration: what becomes of each row of a message.

use super::*;

const OTHER: &str = "000000000000025";

/// Rows of `record.put` or `record.delete`, and what was answered for each: result, code and place.
async fn told(world: &World, id: u8, kind: MessageType, rows: Value) -> Vec<(String, String, String)> {
    let (_, end, _) = world.carry(&world.letter("fujisawa", id, kind, json!({"rows": rows}))).await;
    assert!(matches!(end, End::Answered { .. }), "{end:?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body = last(world);
    let rows = body["rows"].as_array().unwrap().iter().enumerate();
    rows.map(|(at, row)| {
        assert_eq!(row["row"], at);
        (text(&row["result"]), text(&row["code"]), text(&row["place"]))
    })
    .collect()
}

fn is(result: &str) -> (String, String, String) {
    (result.to_owned(), String::new(), String::new())
}

fn refused(code: &str, place: &str) -> (String, String, String) {
    ("refused".to_owned(), code.to_owned(), place.to_owned())
}

/// A record of the tax category's second data set, under the one of this key.
fn child(key: &str, parent: &str, revision: u64) -> Value {
    let mut row = put_row(ADDRESSEE, TAX, revision, "2027-03-31");
    row["record"]["data_set"] = json!("0002");
    row["record"]["record_key"] = json!(key);
    row["record"]["parent"] = json!(parent);
    row["record"]["items"] = json!([{"code": "0200001010", "depth": 1, "value": "A"}]);
    row
}

fn delete(data_set: &str, key: &str, revision: u64) -> Value {
    json!({"person": ADDRESSEE, "category": TAX, "revision": revision, "data_set": data_set, "record_key": key})
}

/// What a request for the tax category is answered.
async fn shown(world: &World, id: u8) -> Value {
    world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(7, &[TAX]))).await;
    last(world)["categories"][0].clone()
}

#[tokio::test]
async fn five_hundred_rows_have_each_their_own_result_and_commit_together() {
    let world = populated().await;
    let rows: Vec<_> = (0..500_u64)
        .map(|at| {
            let mut row = put_row(&format!("{:015}", 1_000 + at), TAX, 1, "2027-03-31");
            match at % 5 {
                0 => row["category"] = json!("TM99999999999999"),
                1 => row["record"]["items"][0]["code"] = json!("0400000010"),
                2 => row = json!(at),
                _ => {}
            }
            row
        })
        .collect();
    let frames = |world: &World| world.vaults.0.lock().unwrap()[FUJISAWA].frames.len();
    let before = frames(&world);
    let told = told(&world, 3, MessageType::RecordPut, json!(rows)).await;
    for (at, told) in told.iter().enumerate() {
        let expected = match at % 5 {
            0 => refused("unknown-category", "category"),
            1 => refused("unknown-item", "record.items[0].code"),
            2 => refused("invalid-value", ""),
            _ => is("stored"),
        };
        assert_eq!(*told, expected, "{at}");
    }
    assert_eq!((told.len(), frames(&world)), (500, before + 1));
    assert_eq!(world.vaults.0.lock().unwrap()[FUJISAWA].frames.last().unwrap().changes.len(), 200);
}

#[tokio::test]
async fn what_the_tenant_does_not_provide_is_not_registered() {
    let world = populated().await;
    let rows = json!([put_row(ADDRESSEE, DISABILITY, 1, "2027-03-31"), put_row(ADDRESSEE, TAX, 2, "2027-03-31")]);
    assert_eq!(told(&world, 3, MessageType::RecordPut, rows).await, [refused("not-provided", "category"), is("stored")]);
    // Nor is there a tombstone where nothing was ever held.
    let mut nothing = delete("0001", "1", 9);
    nothing["category"] = json!(DISABILITY);
    assert_eq!(told(&world, 4, MessageType::RecordDelete, json!([nothing])).await, [refused("not-provided", "category")]);
}

#[tokio::test]
async fn a_record_stands_under_one_that_is_held_and_goes_before_it() {
    let world = populated().await;
    let put = |rows: Value| (MessageType::RecordPut, rows);
    let del = |rows: Value| (MessageType::RecordDelete, rows);
    let mut second = put_row(ADDRESSEE, TAX, 1, "2027-03-31");
    second["record"]["record_key"] = json!("2");
    let mut orphan = child("a", "1", 1);
    orphan["record"].as_object_mut().unwrap().remove("parent");
    let mut stranger = put_row(ADDRESSEE, TAX, 5, "2027-03-31");
    stranger["record"]["parent"] = json!("2");
    let unknown = refused("unknown-parent", "record.parent");
    let above = refused("has-children", "record_key");
    // "1" of data set 0001 is held from the start.
    for (id, (kind, rows), expected) in [
        (10, put(json!([child("a", "2", 1), second.clone(), child("a", "2", 1)])), vec![unknown.clone(), is("stored"), is("stored")]),
        (11, put(json!([orphan, stranger])), vec![refused("missing-parent", "record.parent"), refused("foreign-parent", "record.parent")]),
        // A key of the other data set is no parent.
        (12, put(json!([child("b", "a", 1)])), vec![unknown.clone()]),
        (13, del(json!([delete("0001", "2", 2), delete("0001", "1", 2)])), vec![above.clone(), is("deleted")]),
        (14, put(json!([child("c", "1", 1)])), vec![unknown.clone()]),
        // An older word has no effect, whatever stands against it.
        (15, del(json!([delete("0001", "2", 1)])), vec![is("superseded")]),
        (16, put(json!([child("a", "gone", 1)])), vec![is("superseded")]),
        // From the leaf up, in one message.
        (17, del(json!([delete("0002", "a", 2), delete("0001", "2", 2)])), vec![is("deleted"), is("deleted")]),
        (18, put(json!([child("a", "2", 3)])), vec![unknown]),
    ] {
        assert_eq!(told(&world, id, kind, rows).await, expected, "{id}");
    }
    assert_eq!(shown(&world, 30).await, json!({"category": TAX, "outcome": "nothing-to-show"}));
}

#[tokio::test]
async fn a_registration_number_stands_once_in_a_message() {
    let world = populated().await;
    let numbered = |person: &str, revision: u64, number: &str| {
        let mut row = put_row(person, TAX, revision, "2027-03-31");
        row["record"]["registration_number"] = json!(number);
        row
    };
    let rows = json!([numbered(ADDRESSEE, 2, "a"), numbered(OTHER, 1, "a"), numbered(OTHER, 1, "b")]);
    let repeated = refused("repeated-number", "record.registration_number");
    assert_eq!(told(&world, 3, MessageType::RecordPut, rows).await, [is("stored"), repeated, is("stored")]);
    // Another message is another file: a correction may have the number that it had.
    assert_eq!(told(&world, 4, MessageType::RecordPut, json!([numbered(OTHER, 2, "b")])).await, [is("stored")]);
}

#[tokio::test]
async fn a_record_is_replaced_whole_and_a_value_may_be_absent_for_a_reason() {
    let world = populated().await;
    let mut absent = put_row(ADDRESSEE, TAX, 2, "2027-03-31");
    absent["record"]["items"] = json!([{"code": "0200000010", "depth": 1, "value": null, "reason": "withheld-by-law"}]);
    let mut forbidden = put_row(ADDRESSEE, TAX, 3, "2027-03-31");
    forbidden["record"]["items"] = json!([{"code": "0200000020", "depth": 1, "value": null, "reason": "not-collected"}]);
    let told = told(&world, 3, MessageType::RecordPut, json!([absent.clone(), forbidden])).await;
    assert_eq!(told, [is("stored"), refused("reason-not-allowed", "record.items[0].reason")]);
    let shown = shown(&world, 4).await;
    assert_eq!(shown["records"][0]["items"], absent["record"]["items"]);
    assert_eq!(shown["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_held_keeps_its_layout_when_a_new_one_comes() {
    let world = populated().await;
    assert_eq!(told(&world, 3, MessageType::RecordPut, json!([child("a", "1", 1)])).await, [is("stored")]);
    // The next July: the layout's days are over, and the new one has no second data set.
    let mut catalogue: Value = serde_json::from_str(crate::directory::catalogue::TYPICAL).unwrap();
    for category in catalogue["categories"].as_array_mut().unwrap() {
        let layouts = category["layouts"].as_array_mut().unwrap();
        let mut next = layouts.pop().unwrap();
        next["version"] = json!("0008");
        next["data_sets"].as_array_mut().unwrap().truncate(1);
        layouts.push(next);
    }
    world.exchange_catalogue(&catalogue.to_string());
    let mut newer = put_row(ADDRESSEE, TAX, 2, "2027-03-31");
    newer["record"]["layout_version"] = json!("0008");
    let rows = json!([put_row(ADDRESSEE, TAX, 2, "2027-03-31"), newer]);
    assert_eq!(told(&world, 4, MessageType::RecordPut, rows).await, [refused("unknown-layout", "record.layout_version"), is("stored")]);
    let shown = shown(&world, 5).await;
    let versions: Vec<_> = shown["records"].as_array().unwrap().iter().map(|record| record["layout_version"].clone()).collect();
    assert_eq!(versions, ["0008", "0007"]);
    // Nobody knows any more what the old record stands under, so its word is taken; both can be deleted.
    assert_eq!(told(&world, 6, MessageType::RecordDelete, json!([delete("0001", "1", 3)])).await, [refused("has-children", "record_key")]);
    let both = json!([delete("0002", "a", 2), delete("0001", "1", 3)]);
    assert_eq!(told(&world, 7, MessageType::RecordDelete, both).await, [is("deleted"), is("deleted")]);
}

#[tokio::test]
async fn what_is_held_can_be_deleted_though_its_category_is_no_more() {
    let world = populated().await;
    let mut catalogue: Value = serde_json::from_str(crate::directory::catalogue::TYPICAL).unwrap();
    for category in catalogue["categories"].as_array_mut().unwrap() {
        category["layouts"] = json!([]);
    }
    world.exchange_catalogue(&catalogue.to_string());
    assert_eq!(told(&world, 3, MessageType::RecordDelete, json!([delete("0001", "1", 2)])).await, [is("deleted")]);
    let put = told(&world, 4, MessageType::RecordPut, json!([put_row(ADDRESSEE, TAX, 3, "2027-03-31")])).await;
    assert_eq!(put, [refused("unknown-layout", "record.layout_version")]);
}
