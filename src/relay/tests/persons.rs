//! Persons: the life of a code, and what is held back.

use super::*;

const OTHER: &str = "000000000000025";

/// Says something of a code; what was answered.
async fn linked(world: &World, id: u8, person: &str, code: u8, state: &str, revision: u64) -> String {
    let body = json!({"person": person, "code": person_code(code), "state": state, "revision": revision});
    world.carry(&world.letter("fujisawa", id, MessageType::PersonLink, body)).await;
    last(world)["result"].as_str().unwrap().to_owned()
}

/// What the person of this code is shown of the tax category; alike in fields and size wherever that is nothing.
async fn shown(world: &World, id: u8, code: u8) -> String {
    world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[TAX]))).await;
    last(world)["categories"][0]["outcome"].as_str().unwrap().to_owned()
}

/// The true cause of the last answer.
fn cause(world: &World) -> String {
    let vaults = world.vaults.0.lock().unwrap();
    let entry: Value = serde_json::from_slice(&vaults[FUJISAWA].frames.last().unwrap().sealing.entry).unwrap();
    entry["categories"][0]["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_leads_to_one_person_and_is_never_moved() {
    let world = populated().await;
    let results =
        [(link("000000000000025", 7, 1), "linked-elsewhere"), (link(ADDRESSEE, 7, 1), "superseded"), (link(ADDRESSEE, 8, 2), "linked")];
    for (id, (body, expected)) in (3..).zip(results) {
        world.carry(&world.letter("fujisawa", id, MessageType::PersonLink, body)).await;
        assert_eq!(last(&world)["result"], expected);
    }
    // The former code leads nowhere, the new one to the records.
    for (id, code, expected) in [(6, 7, "nothing-to-show"), (7, 8, "provided")] {
        world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[TAX]))).await;
        assert_eq!(last(&world)["categories"][0]["outcome"], expected);
    }
}

#[tokio::test]
async fn what_is_held_back_looks_like_nothing_until_it_is_lifted_and_only_a_newer_word_counts() {
    let world = populated().await;
    world.carry(&world.letter("disclosure", 20, MessageType::SelfInfoRequest, ask(9, &[TAX, CARE]))).await;
    let nobody = last(&world);
    let restrict = |revision: u64, restrictions: Value| json!({"person": ADDRESSEE, "revision": revision, "restrictions": restrictions});
    let all = json!([{"kind": "not-provided", "window": {}, "reason": "DV"}]);
    let tax = json!([{"kind": "suspended", "categories": [TAX], "window": {}, "reason": "L1"}]);
    let hidden = json!([{"kind": "provision-hidden", "window": {}, "reason": "DV"}]);
    let (shown, nothing) = ("provided", "nothing-to-show");
    for (id, body, result, outcomes) in [
        (21, restrict(2, all.clone()), "restricted", [nothing, nothing]),
        (23, restrict(2, json!([])), "superseded", [nothing, nothing]),
        (25, restrict(3, tax), "restricted", [nothing, nothing]),
        (27, restrict(4, hidden), "restricted", [shown, nothing]),
        (29, restrict(5, json!([])), "restricted", [shown, nothing]),
    ] {
        world.carry(&world.letter("fujisawa", id, MessageType::PersonRestrict, body)).await;
        assert_eq!(last(&world), json!({"status": "answered", "result": result}));
        world.carry(&world.letter("disclosure", id + 1, MessageType::SelfInfoRequest, ask(7, &[TAX, CARE]))).await;
        let told = last(&world);
        let outcome = |at: usize| told["categories"][at]["outcome"].clone();
        assert_eq!([outcome(0), outcome(1)], outcomes.map(Value::from), "{id}");
        if outcomes == [nothing, nothing] {
            assert_eq!(told, nobody, "nobody has this code, and held back");
        }
    }

    // Held back before anything is registered.
    let other = "000000000000025";
    let unborn = json!({"person": other, "revision": 1, "restrictions": all});
    world.carry(&world.letter("fujisawa", 31, MessageType::PersonRestrict, unborn)).await;
    assert_eq!(last(&world)["result"], "restricted");
    world.carry(&world.letter("fujisawa", 32, MessageType::PersonLink, link(other, 8, 1))).await;
    world.carry(&world.letter("fujisawa", 33, MessageType::RecordPut, json!({"rows": [put_row(other, TAX, 1, "2027-03-31")]}))).await;
    world.carry(&world.letter("disclosure", 34, MessageType::SelfInfoRequest, ask(8, &[TAX, CARE]))).await;
    assert_eq!(last(&world), nobody);
}

#[tokio::test]
async fn a_link_that_is_in_doubt_provides_nothing_until_it_is_confirmed() {
    let world = populated().await;
    let (provided, nothing) = ("provided", "nothing-to-show");
    assert_eq!(linked(&world, 10, ADDRESSEE, 7, "relinked", 2).await, "unconfirmed");
    assert_eq!((shown(&world, 11, 7).await.as_str(), cause(&world).as_str()), (nothing, "unconfirmed"));
    // Neither an older word nor one about another code lifts it.
    assert_eq!(linked(&world, 12, ADDRESSEE, 7, "confirmed", 2).await, "superseded");
    assert_eq!(linked(&world, 13, ADDRESSEE, 9, "confirmed", 3).await, "not-linked");
    assert_eq!(linked(&world, 14, ADDRESSEE, 7, "linked", 3).await, "unconfirmed");
    assert_eq!(shown(&world, 15, 7).await, nothing);
    assert_eq!(linked(&world, 16, ADDRESSEE, 7, "confirmed", 4).await, "linked");
    assert_eq!((shown(&world, 17, 7).await.as_str(), cause(&world).as_str()), (provided, "provided"));
    // What is registered in the meantime is held back too, and shown afterwards.
    assert_eq!(linked(&world, 18, ADDRESSEE, 7, "relinked", 5).await, "unconfirmed");
    let row = put_row(ADDRESSEE, TAX, 9, "2027-03-31");
    world.carry(&world.letter("fujisawa", 19, MessageType::RecordPut, json!({"rows": [row]}))).await;
    assert_eq!(last(&world)["rows"][0]["result"], "stored");
    assert_eq!(shown(&world, 20, 7).await, nothing);
    assert_eq!(linked(&world, 21, ADDRESSEE, 7, "confirmed", 6).await, "linked");
    assert_eq!(shown(&world, 22, 7).await, provided);
}

#[tokio::test]
async fn a_code_that_led_to_somebody_else_is_linked_in_doubt() {
    let world = populated().await;
    // The code passes from one person to another, by a revocation and by a replacement.
    assert_eq!(linked(&world, 10, ADDRESSEE, 7, "revoked", 2).await, "revoked");
    assert_eq!(linked(&world, 11, OTHER, 7, "linked", 1).await, "unconfirmed");
    assert_eq!(linked(&world, 12, OTHER, 8, "linked", 2).await, "unconfirmed");
    assert_eq!(linked(&world, 13, OTHER, 8, "confirmed", 3).await, "linked");
    // Back again: still in doubt, for it led elsewhere in between.
    assert_eq!(linked(&world, 14, ADDRESSEE, 7, "linked", 3).await, "unconfirmed");
    assert_eq!(shown(&world, 15, 7).await, "nothing-to-show");
    assert_eq!(linked(&world, 16, ADDRESSEE, 7, "confirmed", 4).await, "linked");
    assert_eq!(shown(&world, 17, 7).await, "provided");
    // One's own former code is not in doubt.
    assert_eq!(linked(&world, 18, ADDRESSEE, 9, "linked", 5).await, "linked");
    assert_eq!(linked(&world, 19, ADDRESSEE, 7, "linked", 6).await, "linked");
    assert_eq!((shown(&world, 20, 9).await.as_str(), shown(&world, 21, 7).await.as_str()), ("nothing-to-show", "provided"));
}

#[tokio::test]
async fn a_revoked_link_stays_revoked_whatever_older_comes_and_a_newer_one_revives_it() {
    let world = populated().await;
    assert_eq!(linked(&world, 10, ADDRESSEE, 7, "revoked", 5).await, "revoked");
    assert_eq!((shown(&world, 11, 7).await.as_str(), cause(&world).as_str()), ("nothing-to-show", "unknown-person"));
    for (id, revision) in [(12, 4), (13, 5)] {
        assert_eq!(linked(&world, id, ADDRESSEE, 7, "linked", revision).await, "superseded");
    }
    // Records are still kept current meanwhile, but do not bring the link back.
    let row = put_row(ADDRESSEE, TAX, 9, "2027-03-31");
    world.carry(&world.letter("fujisawa", 14, MessageType::RecordPut, json!({"rows": [row]}))).await;
    assert_eq!(shown(&world, 15, 7).await, "nothing-to-show");
    assert_eq!(linked(&world, 16, ADDRESSEE, 7, "linked", 6).await, "unconfirmed");
    assert_eq!(linked(&world, 17, ADDRESSEE, 7, "confirmed", 7).await, "linked");
    assert_eq!(shown(&world, 18, 7).await, "provided");
}

#[tokio::test]
async fn whatever_the_cause_nothing_to_show_is_the_same_reply() {
    let world = populated().await;
    let mut seen = BTreeSet::new();
    let mut causes = BTreeSet::new();
    let mut look = async |id: u8, code: u8, category: &str| {
        world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[category]))).await;
        let mut told = last(&world);
        assert_eq!(told["categories"][0]["category"].take(), category);
        seen.insert((told.to_string(), world.sent().last().unwrap().body.len()));
        causes.insert(cause(&world));
    };
    let restrict = |person: &str, revision: u64, kind: &str| {
        let restrictions = json!([{"kind": kind, "categories": [TAX], "window": {}, "reason": "x"}]);
        json!({"person": person, "revision": revision, "restrictions": restrictions})
    };
    let say = async |id: u8, kind: MessageType, body: Value| {
        assert!(matches!(world.carry(&world.letter("fujisawa", id, kind, body)).await.1, End::Answered { .. }));
    };
    look(10, 9, TAX).await;
    look(11, 7, CARE).await;
    say(12, MessageType::PersonRestrict, restrict(ADDRESSEE, 1, "not-provided")).await;
    look(13, 7, TAX).await;
    say(14, MessageType::PersonRestrict, restrict(ADDRESSEE, 2, "suspended")).await;
    look(15, 7, TAX).await;
    say(16, MessageType::PersonRestrict, json!({"person": ADDRESSEE, "revision": 3, "restrictions": []})).await;
    say(17, MessageType::PersonRestrict, restrict("everybody", 1, "suspended")).await;
    look(18, 7, TAX).await;
    look(19, 9, TAX).await;
    say(20, MessageType::PersonRestrict, restrict("everybody", 2, "not-provided")).await;
    look(21, 7, TAX).await;
    say(22, MessageType::PersonRestrict, json!({"person": "everybody", "revision": 3, "restrictions": []})).await;
    say(23, MessageType::PersonLink, json!({"person": ADDRESSEE, "code": person_code(7), "state": "relinked", "revision": 2})).await;
    look(24, 7, TAX).await;
    say(25, MessageType::PersonLink, json!({"person": OTHER, "code": person_code(8), "revision": 1})).await;
    look(26, 8, TAX).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(Vec::from_iter(causes), ["no-record", "outside-window", "suspended", "unconfirmed", "unknown-person", "withheld"]);
}

#[tokio::test]
async fn a_category_or_the_whole_tenant_waits_for_an_official_on_the_tenants_word() {
    let world = populated().await;
    let today = world.clock.now().day_in_japan();
    let tomorrow = world.clock.now().plus_seconds(86_400).day_in_japan();
    let wait = |categories: Option<&str>, from: crate::calendar::Day| {
        let mut one = json!({"kind": "no-automatic-answer", "window": {"from": from}, "reason": "x"});
        if let Some(category) = categories {
            one["categories"] = json!([category]);
        }
        one
    };
    for (id, restrictions, outcomes) in [
        (10, json!([wait(Some(TAX), tomorrow)]), ["provided", "nothing-to-show"]),
        (20, json!([wait(Some(TAX), today)]), ["pending", "pending"]),
        (30, json!([wait(None, today)]), ["pending", "pending"]),
        (40, json!([wait(Some(CARE), today)]), ["provided", "nothing-to-show"]),
        // Suspended for all: there is nothing for an official to decide.
        (50, json!([wait(None, today), {"kind": "suspended", "window": {}, "reason": "x"}]), ["nothing-to-show"; 2]),
        (60, json!([]), ["provided", "nothing-to-show"]),
    ] {
        let body = json!({"person": "everybody", "revision": id, "restrictions": restrictions});
        world.carry(&world.letter("fujisawa", id, MessageType::PersonRestrict, body)).await;
        assert_eq!(last(&world)["result"], "restricted");
        // Somebody with a record, and nobody.
        assert_eq!([shown(&world, id + 1, 7).await, shown(&world, id + 2, 9).await], outcomes, "{id}");
    }
    // Waiting, a request looks at nobody's records: what the vault was asked for names none.
    let body = json!({"person": "everybody", "revision": 99, "restrictions": [wait(None, today)]});
    world.carry(&world.letter("fujisawa", 70, MessageType::PersonRestrict, body)).await;
    world.carry(&world.letter("disclosure", 71, MessageType::SelfInfoRequest, ask(7, &["TM00000000000080"]))).await;
    assert_eq!(last(&world)["categories"][0]["outcome"], "pending", "the planted bug in reading this category was not met");
}

#[tokio::test]
async fn what_is_held_back_is_not_even_read() {
    let world = populated().await;
    let restrictions = json!([{"kind": "not-provided", "categories": ["TM00000000000080"], "window": {}, "reason": "x"}]);
    let body = json!({"person": ADDRESSEE, "revision": 1, "restrictions": restrictions});
    world.carry(&world.letter("fujisawa", 10, MessageType::PersonRestrict, body)).await;
    let asked = |id| world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(7, &[TAX, "TM00000000000080"]));
    assert!(matches!(world.carry(&asked(11)).await.1, End::Answered { .. }), "the planted bug in reading this category was met");
    assert_eq!(last(&world)["categories"][1]["outcome"], "nothing-to-show");
    assert_eq!(last(&world)["categories"][0]["outcome"], "provided");
    assert_eq!(linked(&world, 12, ADDRESSEE, 7, "relinked", 2).await, "unconfirmed");
    let body = json!({"person": ADDRESSEE, "revision": 2, "restrictions": []});
    world.carry(&world.letter("fujisawa", 13, MessageType::PersonRestrict, body)).await;
    assert!(matches!(world.carry(&asked(14)).await.1, End::Answered { .. }));
    assert_eq!(linked(&world, 15, ADDRESSEE, 7, "confirmed", 3).await, "linked");
    assert!(matches!(world.carry(&asked(16)).await.1, End::Blamed { .. }), "the bug was planted");
}

#[tokio::test]
async fn an_older_word_about_everybody_has_no_effect() {
    let world = populated().await;
    for (id, revision, kind, result) in
        [(10, 5, "suspended", "restricted"), (11, 5, "provision-hidden", "superseded"), (12, 4, "provision-hidden", "superseded")]
    {
        let restrictions = json!([{"kind": kind, "window": {}, "reason": "x"}]);
        let body = json!({"person": "everybody", "revision": revision, "restrictions": restrictions});
        world.carry(&world.letter("fujisawa", id, MessageType::PersonRestrict, body)).await;
        assert_eq!(last(&world)["result"], result);
    }
    assert_eq!((shown(&world, 20, 7).await.as_str(), cause(&world).as_str()), ("nothing-to-show", "suspended"));
}
