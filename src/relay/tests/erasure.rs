//! What is erased is gone from every answer at once, and only a newer link begins anew.

use super::*;

fn erase(revision: u64) -> Value {
    json!({"person": ADDRESSEE, "revision": revision})
}

#[tokio::test]
async fn who_was_erased_is_as_unknown_as_nobody_and_stays_so() {
    let world = populated().await;
    let all = |id| world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(7, &[TAX, CARE]));
    world.carry(&world.letter("disclosure", 19, MessageType::SelfInfoRequest, ask(9, &[TAX, CARE]))).await;
    let nobody = last(&world);
    world.carry(&all(20)).await;
    assert_ne!(last(&world), nobody);
    let restriction = json!({"person": ADDRESSEE, "revision": 3, "restrictions": [{"kind": "suspended", "window": {}, "reason": "L1"}]});
    for (id, kind, body, result) in [
        (21, MessageType::PersonErase, erase(1), "superseded"),
        (22, MessageType::PersonErase, erase(4), "erased"),
        (23, MessageType::PersonErase, erase(4), "superseded"),
        (24, MessageType::PersonLink, link(ADDRESSEE, 7, 4), "superseded"),
        (25, MessageType::PersonRestrict, restriction, "superseded"),
    ] {
        assert!(matches!(world.carry(&world.letter("fujisawa", id, kind, body)).await.1, End::Answered { .. }));
        assert_eq!(last(&world), json!({"status": "answered", "result": result}), "{id}");
    }
    let rows = json!({"rows": [put_row(ADDRESSEE, TAX, 9, "2027-03-31")]});
    world.carry(&world.letter("fujisawa", 26, MessageType::RecordPut, rows.clone())).await;
    assert_eq!(last(&world)["rows"][0]["result"], "superseded");
    world.carry(&all(27)).await;
    assert_eq!(last(&world), nobody);

    // Begun anew, with nothing of before.
    world.carry(&world.letter("fujisawa", 28, MessageType::PersonLink, link(ADDRESSEE, 7, 5))).await;
    assert_eq!(last(&world)["result"], "linked");
    world.carry(&all(29)).await;
    assert_eq!(last(&world), nobody);
    world.carry(&world.letter("fujisawa", 30, MessageType::RecordPut, rows)).await;
    world.carry(&all(31)).await;
    assert_eq!(last(&world)["categories"][0]["outcome"], "provided");
    // Each of them left its entry.
    let held = world.vaults.0.lock().unwrap();
    let entry: Value = serde_json::from_slice(&held[FUJISAWA].frames[5].sealing.entry).unwrap();
    assert_eq!((&entry["type"], entry["subjects"].as_array().unwrap().len()), (&json!("person.erase"), 1));
}

#[tokio::test]
async fn somebody_never_known_can_be_erased_so_that_what_is_under_way_finds_the_mark() {
    let world = World::new();
    world.carry(&world.letter("fujisawa", 1, MessageType::PersonErase, erase(1))).await;
    assert_eq!(last(&world)["result"], "erased");
    world.carry(&world.letter("fujisawa", 2, MessageType::PersonLink, link(ADDRESSEE, 7, 1))).await;
    assert_eq!(last(&world)["result"], "superseded");
}
