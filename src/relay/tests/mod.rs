//! The way with simulated edges: what a message comes to, and what it never does.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attachments;
mod copies;
mod erasure;
mod persons;
mod world;

use super::{End, ports::*, turn::Turns};
use crate::{
    calendar::Timestamp,
    identifier::{MessageType, PersonName},
    tenant::{Copied, Permit, TenantScope},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::atomic::Ordering};
use world::*;

const ADDRESSEE: &str = "000000000000017";

/// Fujisawa's system links a person and puts one tax record.
async fn populated() -> World {
    let world = World::new();
    let put = json!({"rows": [put_row(ADDRESSEE, TAX, 1, "2027-03-31"), put_row(ADDRESSEE, CARE, 1, "2026-04-02")]});
    for letter in [
        world.letter("fujisawa", 1, MessageType::PersonLink, link(ADDRESSEE, 7, 1)),
        world.letter("fujisawa", 2, MessageType::RecordPut, put),
    ] {
        assert!(matches!(world.carry(&letter).await, (_, End::Answered { .. }, Settled::Acked)));
    }
    world
}

fn last(world: &World) -> Value {
    world.open(world.sent().last().unwrap())
}

#[tokio::test]
async fn a_request_is_answered_with_the_persons_own_records() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    let (known, end, settled) = world.carry(&letter).await;
    assert_eq!((end, settled), (End::Answered { index: 2 }, Settled::Acked));
    assert_eq!(known.tenant.unwrap().as_str(), FUJISAWA);
    let body = last(&world);
    let shown = &body["categories"][0];
    assert_eq!((&shown["outcome"], &shown["records"][0]["items"][0]["value"]), (&json!("provided"), &json!("2026")));
    assert_eq!((&body["keep"], &body["as_of"]), (&json!("session"), &json!(NOW)));
    // Who registered it is not the person's to see, nor the tenant's own number.
    assert!(!body.to_string().contains("registration_number") && !body.to_string().contains(ADDRESSEE));
}

#[tokio::test]
async fn nothing_to_show_tells_no_cause() {
    let world = populated().await;
    let mut sizes = BTreeSet::new();
    // Outside its window, nothing held, nobody known.
    for (id, code, category) in [(3, 7, CARE), (4, 8, TAX), (5, 8, CARE)] {
        let (_, end, _) = world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[category]))).await;
        assert!(matches!(end, End::Answered { .. }));
        assert_eq!(last(&world)["categories"], json!([{"category": category, "outcome": "nothing-to-show"}]));
        sizes.insert(world.sent().last().unwrap().body.len());
    }
    assert_eq!(sizes.len(), 1);
}

#[tokio::test]
async fn a_category_of_others_is_not_permitted_and_an_unknown_one_is_denied() {
    let world = populated().await;
    world.carry(&world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[DISABILITY, TAX]))).await;
    assert_eq!(last(&world)["categories"][0], json!({"category": DISABILITY, "outcome": "not-permitted"}));
    let unknown = world.letter("disclosure", 4, MessageType::SelfInfoRequest, ask(7, &[TAX, "TM99999999999999"]));
    let (_, end, settled) = world.carry(&unknown).await;
    assert_eq!((end, settled), (End::Denied { code: "unknown-category", index: 3 }, Settled::Acked));
    assert_eq!(last(&world), json!({"status": "denied", "code": "unknown-category", "place": "/categories/1"}));
}

#[tokio::test]
async fn a_repeat_gets_the_same_bytes_and_no_second_entry() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    world.carry(&letter).await;
    // The same claims in a fresh envelope, after the request has expired: still a repeat.
    let fresh = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    world.clock.0.store(NOW + 601, Ordering::Relaxed);
    for again in [&letter, &fresh] {
        assert_eq!(world.carry(again).await.1, End::Repeated);
    }
    let sent = world.sent();
    assert_eq!(sent[2], sent[3]);
    assert_eq!(sent[2], sent[4]);
    assert_eq!(world.vaults.0.lock().unwrap()[FUJISAWA].log.size(), 3);
}

#[tokio::test]
async fn the_same_id_with_another_body_is_a_conflict_and_its_denial_repeats_too() {
    let world = populated().await;
    world.carry(&world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]))).await;
    let other = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[CARE]));
    assert_eq!(world.carry(&other).await.1, End::Denied { code: "conflict", index: 3 });
    assert_eq!(world.carry(&other).await.1, End::Repeated);
    let sent = world.sent();
    assert_eq!(sent[3], sent[4]);
    assert_ne!(sent[2].id, sent[3].id);
    assert_eq!(last(&world)["code"], "conflict");
}

#[tokio::test]
async fn a_reply_that_was_let_go_is_promised_once_more() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    world.carry(&letter).await;
    world.vaults.0.lock().unwrap().get_mut(FUJISAWA).unwrap().gone = true;
    assert_eq!(world.carry(&letter).await.1, End::Denied { code: "already-answered", index: 3 });
    let promise = crate::ledger::Promise::of(&world.vaults.0.lock().unwrap()[FUJISAWA].frames[2].sealing);
    assert_eq!(last(&world)["answered"], promise.to_string());
}

/// What a message asks to see may be more than it may take: it is told what to send again, and changes the rest.
#[tokio::test]
async fn rows_about_what_was_not_read_are_refused_and_a_request_says_too_large() {
    let world = populated().await;
    world.vaults.0.lock().unwrap().get_mut(FUJISAWA).unwrap().unread.extend([CARE.parse().unwrap()]);
    let rows = json!({"rows": [put_row(ADDRESSEE, CARE, 2, "2027-03-31"), put_row(ADDRESSEE, TAX, 2, "2027-03-31")]});
    world.carry(&world.letter("fujisawa", 3, MessageType::RecordPut, rows)).await;
    let told = last(&world);
    assert_eq!(told["rows"], json!([{"row": 0, "result": "refused", "code": "message-full"}, {"row": 1, "result": "stored"}]));
    world.carry(&world.letter("disclosure", 4, MessageType::SelfInfoRequest, ask(7, &[TAX, CARE]))).await;
    let told = last(&world);
    assert_eq!(told["categories"][1], json!({"category": CARE, "outcome": "too-large"}));
    assert_eq!(told["categories"][0]["outcome"], "provided");
}

/// What is refused in the end anyway costs no look-up, no signature and no encryption each time it comes back.
#[tokio::test]
async fn without_room_a_message_waits_before_it_is_handled_and_repeats_are_answered() {
    let world = populated().await;
    let answered = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    world.carry(&answered).await;
    let full = |full| world.vaults.0.lock().unwrap().get_mut(FUJISAWA).unwrap().full = full;
    full(true);
    let fault = VaultFault::Stopped(StopCause::NoRoom);
    let waiting = super::Failure::Vault(fault).disposition();
    let super::Disposition::Wait(fault) = waiting else { panic!("{waiting:?}") };
    // The planted bug is in the look-up.
    let poison = world.letter("disclosure", 4, MessageType::SelfInfoRequest, ask(7, &["TM00000000000080"]));
    assert_eq!(world.carry(&poison).await.1, End::Waiting { fault });
    let conflict = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[CARE]));
    assert_eq!(world.carry(&conflict).await.1, End::Waiting { fault });
    assert_eq!(world.carry(&answered).await.1, End::Repeated);
    full(false);
    assert!(matches!(world.carry(&poison).await.1, End::Blamed { .. }));
    assert_eq!(world.carry(&conflict).await.1, End::Denied { code: "conflict", index: 3 });
    full(true);
    assert_eq!(world.carry(&conflict).await.1, End::Repeated, "a denial is repeated too");
}

#[tokio::test]
async fn an_expired_or_forgotten_message_is_dead_lettered() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    world.clock.0.store(NOW + 600, Ordering::Relaxed);
    assert!(matches!(world.carry(&letter).await.1, End::DeadLettered { reason: "expired", .. }));
    // The clock goes back, but the ids of that time are forgotten.
    world.clock.0.store(NOW, Ordering::Relaxed);
    world.vaults.0.lock().unwrap().get_mut(FUJISAWA).unwrap().floor = Timestamp::from_seconds(NOW + 600);
    assert!(matches!(world.carry(&letter).await.1, End::DeadLettered { reason: "expired", .. }));
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test]
async fn the_tenant_must_agree_in_every_place() {
    let world = populated().await;
    let good = || world.letter("fujisawa", 9, MessageType::RecordPut, json!({"rows": []}));
    type Change = fn(&mut Letter);
    let changes: [(&str, Change); 8] = [
        ("copies-not-allowed", |letter| letter.route.copied = Copied::Yes),
        ("wrong-exchange", |letter| letter.route.exchange = String::new()),
        ("routing-key-mismatch", |letter| letter.route.routing_key = "141003.record.put".to_owned()),
        ("routing-key-mismatch", |letter| letter.route.routing_key = "142051.record.delete".to_owned()),
        ("type-mismatch", |letter| letter.route.kind = Some("record.delete".to_owned())),
        ("message-id-mismatch", |letter| letter.route.message_id = None),
        ("carrier-not-allowed", |letter| letter.route.user_id = Some("disclosure".to_owned())),
        ("carrier-not-allowed", |letter| letter.route.user_id = None),
    ];
    for (expected, change) in changes {
        let mut letter = good();
        change(&mut letter);
        let (_, end, settled) = world.carry(&letter).await;
        assert!(matches!(&end, End::DeadLettered { reason, .. } if *reason == expected), "{expected}: {end:?}");
        assert_eq!(settled, Settled::Acked);
        assert_eq!(world.dead.0.lock().unwrap().last().unwrap(), &(expected.to_owned(), letter.body));
    }
    // A tenant that the author does not act for, everywhere alike.
    let foreign =
        world.letter_with("fujisawa", 9, MessageType::RecordPut, json!({"rows": []}), |draft| draft.tenant = "141003".parse().unwrap());
    assert!(matches!(world.carry(&foreign).await.1, End::DeadLettered { reason: "tenant-not-allowed", .. }));
    let unknown =
        world.letter_with("disclosure", 9, MessageType::SelfInfoRequest, ask(7, &[TAX]), |draft| draft.tenant = "011002".parse().unwrap());
    assert!(matches!(world.carry(&unknown).await.1, End::DeadLettered { reason: "unknown-tenant", .. }));
}

#[tokio::test]
async fn claims_that_prove_nothing_are_dead_lettered() {
    let world = World::new();
    type Change = fn(&mut crate::envelope::Draft<Value>);
    let changes: [(&str, Change); 7] = [
        ("issuer-mismatch", |draft| draft.iss = "fujisawa".parse().unwrap()),
        ("wrong-recipient", |draft| draft.aud = "disclosure".parse().unwrap()),
        ("wrong-environment", |draft| draft.env = crate::envelope::Environment::Production),
        ("issued-ahead", |draft| draft.iat = draft.iat.plus_seconds(301)),
        ("lifetime", |draft| draft.exp = draft.iat.plus_seconds(3601)),
        ("lifetime", |draft| draft.exp = draft.iat),
        ("not-a-command", |draft| draft.kind = MessageType::SelfInfoReply),
    ];
    for (expected, change) in changes {
        let letter = world.letter_with("disclosure", 9, MessageType::SelfInfoRequest, ask(7, &[TAX]), change);
        let end = world.carry(&letter).await.1;
        assert!(matches!(&end, End::DeadLettered { reason, .. } if *reason == expected), "{expected}: {end:?}");
    }
    let body =
        json!({"person": person_code(7), "categories": [TAX], "authenticated": {"method": "jpki-user-certificate", "at": 1}, "more": 1});
    let letter = world.letter("disclosure", 9, MessageType::SelfInfoRequest, body);
    assert!(matches!(world.carry(&letter).await.1, End::DeadLettered { reason: "unknown-member", .. }));
    assert!(world.sent().is_empty());
}

#[tokio::test]
async fn what_an_author_may_not_say_is_denied() {
    let world = World::new();
    let letter = world.letter("fujisawa", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    assert_eq!(world.carry(&letter).await.1, End::Denied { code: "not-allowed", index: 0 });
    assert_eq!(last(&world), json!({"status": "denied", "code": "not-allowed"}));
}

#[tokio::test]
async fn before_its_start_a_function_is_not_in_service() {
    let world = World::new();
    let letter =
        world.letter_with("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]), |draft| draft.tenant = "141003".parse().unwrap());
    assert_eq!(world.carry(&letter).await.1, End::Denied { code: "not-in-service", index: 0 });
}

#[tokio::test]
async fn a_fault_of_ours_waits_and_is_answered_later() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    *world.vaults.1.lock().unwrap() = Some(VaultFault::Locked);
    let (_, end, settled) = world.carry(&letter).await;
    assert_eq!((end, settled), (End::Waiting { fault: "vault-locked" }, Settled::Waiting));
    *world.vaults.1.lock().unwrap() = None;
    assert!(matches!(world.carry(&letter).await.1, End::Answered { .. }));
}

#[tokio::test]
async fn a_message_that_panics_blames_itself_alone_and_is_quarantined_after_three() {
    let world = populated().await;
    let poison = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &["TM00000000000080"]));
    let innocent = world.letter("disclosure", 4, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    for _ in 0..3 {
        let (_, end, settled) = world.carry(&poison).await;
        assert!(matches!(end, End::Blamed { .. }));
        assert_eq!(settled, Settled::Waiting);
    }
    assert!(matches!(world.carry(&innocent).await.1, End::Answered { .. }));
    assert!(matches!(world.carry(&poison).await, (_, End::Quarantined { .. }, Settled::Acked)));
    assert_eq!(last(&world)["code"], "quarantined");
}

#[tokio::test]
async fn rows_take_effect_in_order_and_a_broken_one_is_refused_alone() {
    let world = populated().await;
    let mut leaking = put_row(ADDRESSEE, TAX, 9, "2027-03-31");
    leaking["record"]["items"][0]["value"] = json!(format!("no. {ADDRESSEE}"));
    let mut forbidden = put_row(ADDRESSEE, TAX, 9, "2027-03-31");
    forbidden["record"]["items"][0]["value"] = json!("番号 １２３４－５６７８－９０１８");
    let rows = json!([
        put_row(ADDRESSEE, TAX, 2, "2027-03-31"),
        put_row(ADDRESSEE, TAX, 2, "2027-03-31"),
        {"person": ADDRESSEE, "category": TAX, "revision": 3},
        put_row(ADDRESSEE, "TM99999999999999", 1, "2027-03-31"),
        leaking,
        forbidden,
        put_row("000000000000025", TAX, 1, "2027-03-31"),
    ]);
    world.carry(&world.letter("fujisawa", 3, MessageType::RecordPut, json!({"rows": rows}))).await;
    let results: Vec<_> = last(&world)["rows"].as_array().unwrap().iter().map(|row| (row["result"].clone(), row["code"].clone())).collect();
    let (stored, refused) = (json!("stored"), json!("refused"));
    assert_eq!((&last(&world)["rows"][5]["place"], &last(&world)["rows"][5]["at"]), (&json!("record.items[0].value"), &json!(3)));
    assert_eq!(
        results,
        [
            (stored.clone(), Value::Null),
            (json!("superseded"), Value::Null),
            (refused.clone(), json!("missing-member")),
            (refused.clone(), json!("unknown-category")),
            (refused.clone(), json!("addressee-in-text")),
            (refused, json!("individual-number")),
            (stored, Value::Null),
        ]
    );
}

#[tokio::test]
async fn a_deleted_record_stays_deleted_whatever_older_comes() {
    let world = populated().await;
    let row = |revision: u64| json!({"person": ADDRESSEE, "category": TAX, "revision": revision, "data_set": "0001", "record_key": "1"});
    world.carry(&world.letter("fujisawa", 3, MessageType::RecordDelete, json!({"rows": [row(5)]}))).await;
    assert_eq!(last(&world)["rows"][0]["result"], "deleted");
    world.carry(&world.letter("fujisawa", 4, MessageType::RecordPut, json!({"rows": [put_row(ADDRESSEE, TAX, 4, "2027-03-31")]}))).await;
    assert_eq!(last(&world)["rows"][0]["result"], "superseded");
    world.carry(&world.letter("disclosure", 5, MessageType::SelfInfoRequest, ask(7, &[TAX]))).await;
    assert_eq!(last(&world)["categories"][0]["outcome"], "nothing-to-show");
}

#[tokio::test]
async fn turns_about_one_person_follow_one_another_by_either_name() {
    let world = populated().await;
    let scope = TenantScope::open(Permit::for_tests(vault_name()), &world.vaults).await.unwrap();
    let key = |byte: u8| MessageKey {
        author: "disclosure".parse().unwrap(),
        id: crate::identifier::MessageId::from_random([byte; 16]),
        answer: Answer::First,
    };
    let code = BTreeSet::from([PersonName::Code(person_code(7).parse().unwrap())]);
    let number = BTreeSet::from([PersonName::Addressee(ADDRESSEE.parse().unwrap())]);
    let other = BTreeSet::from([PersonName::Addressee("000000000000025".parse().unwrap())]);
    let turns = Turns::default();
    let (k1, k2, k3, k4) = (key(1), key(2), key(3), key(4));
    let first = turns.take(&scope, &k1, &code).await.unwrap();
    let mut second = Box::pin(turns.take(&scope, &k2, &number));
    assert!(futures_util::poll!(&mut second).is_pending());
    // Others pass, and one who stops waiting blocks nobody.
    turns.take(&scope, &k3, &other).await.unwrap();
    let mut quitter = Box::pin(turns.take(&scope, &k4, &number));
    assert!(futures_util::poll!(&mut quitter).is_pending());
    drop(quitter);
    drop(first);
    let second = second.await.unwrap();
    // The same message id is a subject of its own.
    let mut again = Box::pin(turns.take(&scope, &k2, &other));
    assert!(futures_util::poll!(&mut again).is_pending());
    drop(second);
    drop(again.await.unwrap());
    assert!(turns.is_idle());
}

#[tokio::test]
async fn a_sensitive_category_waits_for_an_official_with_and_without_a_record() {
    let world = populated().await;
    let put = json!({"rows": [put_row(ADDRESSEE, ASSISTANCE, 1, "2027-03-31")]});
    world.carry(&world.letter("fujisawa", 3, MessageType::RecordPut, put)).await;
    for (id, code) in [(4, 7), (5, 8)] {
        world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[ASSISTANCE]))).await;
        assert_eq!(last(&world)["categories"], json!([{"category": ASSISTANCE, "outcome": "pending"}]));
    }
}

#[tokio::test]
async fn a_refused_conflict_stays_refused_when_the_first_message_is_forgotten() {
    let world = populated().await;
    world.carry(&world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]))).await;
    let other = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[CARE]));
    assert!(matches!(world.carry(&other).await.1, End::Denied { code: "conflict", .. }));
    let first =
        MessageKey { author: "disclosure".parse().unwrap(), id: crate::identifier::MessageId::from_random([3; 16]), answer: Answer::First };
    world.vaults.0.lock().unwrap().get_mut(FUJISAWA).unwrap().frames.retain(|frame| frame.message != first);
    assert_eq!(world.carry(&other).await.1, End::Repeated);
    assert_eq!(last(&world)["code"], "conflict");
}

#[tokio::test]
async fn a_message_whose_vault_stays_shut_waits_only_while_it_could_be_remembered() {
    let world = populated().await;
    let letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    *world.vaults.1.lock().unwrap() = Some(VaultFault::Missing);
    world.clock.0.store(NOW + 600 + 599, Ordering::Relaxed);
    assert_eq!(world.carry(&letter).await.1, End::Waiting { fault: "vault-missing" });
    *world.vaults.1.lock().unwrap() = None;
    let end = world.carry(&letter).await.1;
    assert!(matches!(end, End::DeadLettered { reason: "expired", .. }), "{end:?}");
}

#[tokio::test]
async fn an_entrys_length_tells_only_how_many_categories_were_asked_for() {
    let world = populated().await;
    let mut lengths = BTreeSet::new();
    for (id, code, category) in [(3, 7, TAX), (4, 7, CARE), (5, 8, TAX), (6, 7, ASSISTANCE)] {
        world.carry(&world.letter("disclosure", id, MessageType::SelfInfoRequest, ask(code, &[category]))).await;
        lengths.insert(world.vaults.0.lock().unwrap()[FUJISAWA].frames.last().unwrap().sealing.entry.len());
    }
    assert_eq!(lengths.len(), 1);
}

#[tokio::test]
async fn what_proves_nothing_is_entered_once_in_the_platform_vault() {
    let world = populated().await;
    let mut letter = world.letter("disclosure", 3, MessageType::SelfInfoRequest, ask(7, &[TAX]));
    letter.route.exchange = "elsewhere".to_owned();
    for _ in 0..2 {
        assert!(matches!(world.carry(&letter).await.1, End::DeadLettered { reason: "wrong-exchange", .. }));
    }
    let vaults = world.vaults.0.lock().unwrap();
    let entry: Value = serde_json::from_slice(&vaults["platform"].frames[0].sealing.entry).unwrap();
    assert_eq!((&entry["reason"], &entry["carrier"]), (&json!("wrong-exchange"), &json!("disclosure")));
    assert_eq!(vaults["platform"].log.size(), 1);
}

#[tokio::test]
async fn millions_of_rows_are_counted_and_not_kept() {
    let world = World::new();
    let letter = world.letter("fujisawa", 3, MessageType::RecordPut, json!({"rows": vec![0; 100_000]}));
    assert_eq!(world.carry(&letter).await.1, End::Denied { code: "row-count", index: 0 });
}
