//! Files through the whole daemon: attached, killed in the middle, asked for, deleted; and a scanner that is not there.

use crate::{
    pdf,
    reload::{Kept, sign},
    stage::{Answers, Of, Stage, categories, now, stage},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nakatsugi::{
    cli::{
        demo::population::{self, Resident},
        peer::{Letter, Reply},
    },
    directory::Digests,
    identifier::MessageType,
    relay::ports::Entropy as _,
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tokio::time::sleep;

const KILLS: usize = 6;
const RESIDENTS: u32 = 3;

fn row(resident: Resident, key: &str, revision: usize, (name, kind): (&str, &str), content: &[u8]) -> Value {
    json!({ "person": resident.number(), "category": categories()[0], "revision": revision, "attachment": {
        "attachment_key": key, "name": name, "type": kind, "unit": "tax", "user": "u1", "content": STANDARD.encode(content),
    } })
}

fn request(stage: &Stage, disclosure: &crate::stage::Voice, resident: Resident) -> Letter {
    let mut body = population::request(&resident.code(), &categories().iter().collect::<Vec<_>>(), now());
    body["attachments"] = json!("included");
    stage.letter(disclosure, resident.tenant, MessageType::SelfInfoRequest, &body)
}

fn parsed(reply: &Reply) -> Value {
    serde_json::from_str(reply.body.get()).unwrap()
}

/// Text of this length that nobody could guess, and no guard stops at.
fn text(stage: &Stage, length: usize) -> Vec<u8> {
    let line = |_| stage.entropy.bytes().map(|byte| b'a' + byte % 26).to_vec();
    (0..length / 33).flat_map(|at| [line(at), b"\n".to_vec()].concat()).collect()
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_survive_kills_in_the_middle_whole_or_not_at_all() {
    let mut stage = stage().await;
    let (tenant, _) = Of::Attachments.tenants();
    let mut running = stage.serve().await;
    stage.settle(tenant, RESIDENTS).await;
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(tenant));
    let resident = |index| Resident { tenant, index };

    // Each message replaces a large text and a PDF of one resident, in one step.
    let mut letters: Vec<(Letter, u32, Vec<u8>, Vec<u8>)> = Vec::new();
    for kill in 0..KILLS {
        for index in 0..RESIDENTS {
            let (large, page) = (text(&stage, 900_000), format!("page {kill} of {index}"));
            let pdf = pdf::text(&[&[page.as_str()]]);
            let rows = json!({ "rows": [
                row(resident(index), "large", kill + 1, ("大.txt", "text/plain"), &large),
                row(resident(index), "page", kill + 1, ("紙.pdf", "application/pdf"), &pdf),
            ] });
            let letter = stage.letter(&municipal, tenant, MessageType::AttachmentPut, &rows);
            letter.send(&municipal.publisher).await.unwrap();
            letters.push((letter, index, large, pdf));
        }
        sleep(Duration::from_millis(u64::from(stage.entropy.bytes()[0]) * 4)).await;
        running.daemon.kill();
        assert!(running.errors().is_empty(), "{:#?}", running.errors());
        running = stage.serve().await;
    }
    let mut answers = Answers::default();
    let sent: Vec<Letter> = letters.iter().map(|(letter, ..)| letter.clone()).collect();
    municipal.gather(&sent, &mut answers).await;
    // Whatever came when: both rows of a message took effect, or neither did.
    let mut newest: Vec<Option<usize>> = vec![None; RESIDENTS as usize];
    for (at, (letter, index, ..)) in letters.iter().enumerate() {
        let results: Vec<_> = parsed(answers.only(letter))["rows"].as_array().unwrap().iter().map(|row| row["result"].clone()).collect();
        match results.as_slice() {
            [one, other] if one == other && one == "stored" => newest[*index as usize] = Some(at),
            [one, other] if one == other && one == "superseded" => {}
            _ => panic!("{}: {results:?}", letter.id),
        }
    }
    for index in 0..RESIDENTS {
        let (_, _, large, pdf) = &letters[newest[index as usize].unwrap()];
        let letter = request(&stage, &disclosure, resident(index));
        let shown = parsed(&disclosure.ask(&letter).await);
        let attached = &shown["categories"][0]["attachments"];
        for (file, (key, content)) in attached.as_array().unwrap().iter().zip([("large", large), ("page", pdf)]) {
            assert_eq!(
                (&file["attachment_key"], &file["size"], &file["sha256"]),
                (&json!(key), &json!(content.len()), &json!(hex(content)))
            );
            assert_eq!(STANDARD.decode(file["content"].as_str().unwrap()).unwrap(), *content);
        }
        assert_eq!(shown["categories"][1]["attachments"], json!([]));
    }
    // A number on the second page is refused with its place; nothing of the file is kept.
    let number = pdf::text(&[&["first"], &["Notice", "No. 1234-5678-9018"]]);
    let refused = json!({ "rows": [row(resident(0), "n", 1, ("n.pdf", "application/pdf"), &number)] });
    let letter = stage.letter(&municipal, tenant, MessageType::AttachmentPut, &refused);
    let place = json!({ "row": 0, "result": "refused", "code": "individual-number", "place": "attachment.content", "in_file": { "page": 2, "line": 2 } });
    assert_eq!(parsed(&municipal.ask(&letter).await)["rows"][0], place);
    assert!(running.errors().is_empty(), "{:#?}", running.errors());
    assert!(running.stop().await.success());
    let blobs = stage.vault_folder(tenant).join("store/blobs");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0, "sled never syncs blobs");
    drop((disclosure, municipal));
    assert_eq!(stage.emptied().await, 0, "dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_scanner_the_daemon_refuses_files_and_nothing_else() {
    let stage = stage().await;
    let (_, tenant) = Of::Attachments.tenants();
    let resident = Resident { tenant, index: 0 };
    let _kept = Kept::of(&stage);
    let configuration = stage.site.configuration_path();
    let plain = fs::read_to_string(&configuration).unwrap();
    let scanned = format!("{plain}\n[scanner]\nsocket = \"unix:{}\"\n", stage.site.folder().join("no-clamd.ctl").display());
    fs::write(&configuration, &scanned).unwrap();
    let catalogue = fs::read(stage.site.folder().join("catalogue.json")).unwrap();
    sign(&stage, 2, |document| document.files = Digests::of(&catalogue, scanned.as_bytes()));
    let mut running = stage.serve().await;
    stage.settle(tenant, 1).await;
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(tenant));
    let rows = json!({ "rows": [row(resident, "a", 1, ("a.txt", "text/plain"), b"a")] });
    let letter = stage.letter(&municipal, tenant, MessageType::AttachmentPut, &rows);
    assert_eq!(parsed(&municipal.ask(&letter).await), json!({ "status": "denied", "code": "scanner-unavailable" }));
    running.event("scanner.unavailable").await;
    let letter = request(&stage, &disclosure, resident);
    let shown = parsed(&disclosure.ask(&letter).await);
    assert_eq!((&shown["categories"][0]["outcome"], &shown["categories"][0]["attachments"]), (&json!("provided"), &json!([])));
    assert!(running.stop().await.success());
}
