//! Secrets with unmistakable names go all ways through the system; afterwards they lie nowhere in the open.

use crate::{
    pdf,
    search::{Hit, Search},
    stage::{Of, Running, Stage, Voice, categories, now, stage},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nakatsugi::{
    cli::{
        demo::population::{self, Resident, Shown},
        peer::{Letter, PeerSettings, Reply},
    },
    envelope::{self, Draft, Environment, Padding},
    identifier::{Category, MessageType, TenantCode},
    relay::ports::Entropy as _,
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One made-up person, everything about whom is secret.
struct Canary {
    tenant: TenantCode,
    code: [u8; 32],
    number: String,
    value: String,
}

impl Canary {
    fn hatch(stage: &Stage, tenant: TenantCode) -> Self {
        let random = stage.entropy.bytes();
        let letters: String = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let number = random.iter().take(15).map(|byte| char::from(b'0' + byte % 10)).collect();
        Self { tenant, code: stage.entropy.bytes(), number, value: format!("canary{letters}") }
    }

    fn code(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.code)
    }

    fn search(&self) -> Search {
        Search::of(&[
            ("code", self.code().as_bytes()),
            ("code's bytes", &self.code),
            ("number", self.number.as_bytes()),
            ("value", self.value.as_bytes()),
        ])
    }

    fn link(&self) -> Value {
        json!({ "person": self.number, "code": self.code(), "revision": 1 })
    }

    fn rows(&self) -> Vec<Value> {
        let row = |category: &Category| {
            let mut row = Resident { tenant: self.tenant, index: 1 }.row(category, Shown::Now, now());
            row["person"] = json!(self.number);
            row["record"]["items"][0]["value"] = json!(self.value);
            row["record"]["items"][7]["value"] = json!(format!("あ {} 終", self.value));
            row
        };
        categories().iter().map(row).collect()
    }

    fn request(&self) -> Value {
        let mut request = population::request(&self.code(), &categories().iter().collect::<Vec<_>>(), now());
        request["attachments"] = json!("included");
        request
    }

    /// Files that hold the value, one that is kept and one that is not: the number stands in it.
    fn files(&self) -> [Value; 2] {
        let file = |key: &str, (name, kind): (&str, &str), content: &[u8]| {
            json!({ "person": self.number, "category": categories()[0], "revision": 1, "attachment": {
                "attachment_key": key, "name": name, "type": kind, "unit": "tax", "user": "u1", "content": STANDARD.encode(content),
            } })
        };
        let pdf = pdf::text(&[&[self.value.as_str(), self.number.as_str()]]);
        [file("kept", ("a.txt", "text/plain"), self.file().as_bytes()), file("refused", ("a.pdf", "application/pdf"), &pdf)]
    }

    fn file(&self) -> String {
        format!("x{}\n", self.value).repeat(2_000)
    }
}

/// Everything on disk: the daemon's data, log and errors, the broker's database and logs.
fn on_disk(stage: &Stage, search: &Search) -> BTreeSet<Hit> {
    let (hits, bytes) = search.folder(stage.site.folder());
    assert!(bytes > 1_000_000, "there was nothing to search");
    hits
}

async fn speak(stage: &Stage, disclosure: &mut Voice, municipal: &mut Voice, canary: &Canary) {
    let tenant = canary.tenant;
    let link = stage.letter(municipal, tenant, MessageType::PersonLink, &canary.link());
    assert!(says(&municipal.ask(&link).await, "linked"));
    let put = stage.letter(municipal, tenant, MessageType::RecordPut, &json!({ "rows": canary.rows() }));
    assert!(says(&municipal.ask(&put).await, "stored"));
    let attached = stage.letter(municipal, tenant, MessageType::AttachmentPut, &json!({ "rows": canary.files() }));
    let told = municipal.ask(&attached).await;
    assert!(says(&told, "stored") && says(&told, "addressee-in-text"), "{}", told.body);
    let asked = stage.letter(disclosure, tenant, MessageType::SelfInfoRequest, &canary.request());
    let reply = disclosure.ask(&asked).await;
    assert!(says(&reply, &canary.value), "the canary did not get through: {}", reply.body);
    assert!(says(&reply, &STANDARD.encode(canary.file())), "the file did not get through");
}

fn says(reply: &Reply, word: &str) -> bool {
    reply.body.get().contains(word)
}

/// What is refused, in every way: denied, refused by row, dead-lettered.
async fn misspeak(stage: &Stage, running: &mut Running, disclosure: &mut Voice, municipal: &mut Voice, canary: &Canary) {
    let tenant = canary.tenant;
    let mut unknown = canary.request();
    unknown["categories"] = json!(["TM99999999999999"]);
    let unknown = stage.letter(disclosure, tenant, MessageType::SelfInfoRequest, &unknown);
    assert!(says(&disclosure.ask(&unknown).await, "unknown-category"));
    let mut row = canary.rows().remove(0);
    row["record"]["items"][0]["value"] = json!(format!("{} {}", canary.value, canary.number));
    let leaking = stage.letter(municipal, tenant, MessageType::RecordPut, &json!({ "rows": [row] }));
    assert!(says(&municipal.ask(&leaking).await, "addressee-in-text"));
    let mut misshapen = canary.rows().remove(0);
    misshapen["record"][&canary.value] = json!(canary.number);
    misshapen["record"]["items"][0]["code"] = json!(canary.value);
    let misshapen = stage.letter(municipal, tenant, MessageType::RecordPut, &json!({ "rows": [misshapen] }));
    assert!(says(&municipal.ask(&misshapen).await, "refused"));

    let before = running.events("message.dead-lettered").len();
    let mut forged = stage.letter(disclosure, tenant, MessageType::SelfInfoRequest, &canary.request());
    let mut bytes = forged.body.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    forged.body = bytes.into();
    let mut astray = stage.letter(disclosure, tenant, MessageType::SelfInfoRequest, &canary.request());
    astray.tenant = Of::Canaries.tenants().1;
    let mut unknown = canary.link();
    unknown[&canary.value] = json!(canary.value);
    let unknown = stage.letter(municipal, tenant, MessageType::PersonLink, &unknown);
    let mut wrong = canary.link();
    wrong["code"] = json!(format!("{}{}", canary.value, canary.code()));
    wrong["person"] = json!(canary.value);
    let wrong = stage.letter(municipal, tenant, MessageType::PersonLink, &wrong);
    for (voice, letter) in [(&*disclosure, forged), (disclosure, astray), (municipal, unknown), (municipal, wrong)] {
        letter.send(&voice.publisher).await.unwrap();
    }
    running.until(|running| running.events("message.dead-lettered").len() == before + 4).await;
    let reasons: Vec<_> =
        running.events("message.dead-lettered")[before..].iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    for reason in ["decryption-failed", "routing-key-mismatch", "unknown-member", "invalid-value"] {
        assert!(reasons.iter().any(|found| found == reason), "{reason}: {reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_lie_nowhere_in_the_open() {
    let mut stage = stage().await;
    let canary = Canary::hatch(&stage, Of::Canaries.tenants().0);
    let mut running = stage.serve().await;
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(canary.tenant));
    speak(&stage, &mut disclosure, &mut municipal, &canary).await;
    misspeak(&stage, &mut running, &mut disclosure, &mut municipal, &canary).await;
    // Killed with messages in hand, and once more after an orderly stop.
    let crowd: Vec<Letter> =
        (0..40).map(|_| stage.letter(&disclosure, canary.tenant, MessageType::SelfInfoRequest, &canary.request())).collect();
    for letter in &crowd {
        letter.send(&disclosure.publisher).await.unwrap();
    }
    running.daemon.kill();
    let mut running = stage.serve().await;
    let answers = disclosure.answers(&crowd).await;
    assert!(crowd.iter().all(|letter| says(answers.only(letter), &canary.value)));
    assert!(running.stop().await.success());
    let mut running = stage.serve().await;
    let again = stage.letter(&disclosure, canary.tenant, MessageType::SelfInfoRequest, &canary.request());
    assert!(says(&disclosure.ask(&again).await, &canary.value));
    let search = canary.search();
    assert_eq!(on_disk(&stage, &search), BTreeSet::new(), "while it runs");
    assert!(running.stop().await.success());
    assert_eq!(on_disk(&stage, &search), BTreeSet::new(), "after it stopped");
    for dead in stage.bury_the_dead().await {
        assert_eq!(search.bytes("nakatsugi.dead".as_ref(), &dead.body), BTreeSet::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_signed_but_not_encrypted_is_found() {
    let mut stage = stage().await;
    let canary = Canary::hatch(&stage, Of::Canaries.tenants().1);
    let mut running = stage.serve().await;
    let disclosure = stage.disclosure();
    let keys = PeerSettings::read(&stage.site.folder().join("peers/disclosure")).unwrap().keys().unwrap();
    let mut letter = stage.letter(&disclosure, canary.tenant, MessageType::SelfInfoRequest, &canary.request());
    let draft = Draft {
        iss: "disclosure".parse().unwrap(),
        aud: "relay".parse().unwrap(),
        jti: letter.id,
        iat: now(),
        exp: now().plus_seconds(60),
        env: Environment::Trial,
        tenant: canary.tenant,
        kind: letter.kind,
        re: None,
        body: canary.request(),
    };
    let payload = draft.compose().unwrap().without_promise(Padding::None);
    letter.body = envelope::sign(&payload, &keys.signing, &SystemRandom::new()).unwrap().to_vec().into();
    letter.send(&disclosure.publisher).await.unwrap();
    let dead = running.event("message.dead-lettered").await;
    assert_eq!(dead["reason"], "malformed-jwe");
    let search = canary.search();
    let hits = on_disk(&stage, &search);
    let node = stage.site.folder().join("node");
    assert!(hits.iter().any(|hit| hit.secret == "code" && hit.how.starts_with("base64") && hit.place.starts_with(&node)), "{hits:?}");
    assert!(hits.iter().all(|hit| hit.place.starts_with(&node)), "{hits:?}");
    assert!(running.stop().await.success());
    let dead = stage.bury_the_dead().await;
    assert!(dead.iter().any(|dead| !search.bytes("nakatsugi.dead".as_ref(), &dead.body).is_empty()));
}

#[cfg(feature = "sabotage")]
#[tokio::test(flavor = "multi_thread")]
async fn red_a_vault_that_seals_nothing_is_noticed() {
    let stage = stage().await;
    let canary = Canary::hatch(&stage, Of::Red.tenants().0);
    let mut running = stage.serve_broken("seal-nothing").await;
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(canary.tenant));
    speak(&stage, &mut disclosure, &mut municipal, &canary).await;
    let vault = stage.vault_folder(canary.tenant);
    let search = canary.search();
    let in_journal = on_disk(&stage, &search);
    assert!(in_journal.iter().any(|hit| hit.secret == "value" && hit.how == "plain" && hit.place.starts_with(vault.join("journal"))));
    assert!(running.stop().await.success());
    let after = on_disk(&stage, &search);
    assert!(after.iter().any(|hit| hit.secret == "value" && hit.place.starts_with(vault.join("store"))), "{after:#?}");
    assert!(after.iter().all(|hit| hit.place.starts_with(&vault)), "{after:#?}");
}

#[cfg(feature = "sabotage")]
#[tokio::test(flavor = "multi_thread")]
async fn red_replies_that_are_not_encrypted_are_noticed() {
    let stage = stage().await;
    let canary = Canary::hatch(&stage, Of::Red.tenants().1);
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(canary.tenant));
    let mut running = stage.serve().await;
    speak(&stage, &mut disclosure, &mut municipal, &canary).await;
    assert!(running.stop().await.success());
    let mut running = stage.serve_broken("send-unencrypted").await;
    let asked = stage.letter(&disclosure, canary.tenant, MessageType::SelfInfoRequest, &canary.request());
    asked.send(&disclosure.publisher).await.unwrap();
    let search = canary.search();
    assert!(!search.bytes("reply".as_ref(), &disclosure.next_body().await).is_empty());
    let hits = on_disk(&stage, &search);
    let node = stage.site.folder().join("node");
    assert!(hits.iter().any(|hit| hit.secret == "value" && hit.how.starts_with("base64") && hit.place.starts_with(&node)), "{hits:#?}");
    assert!(running.stop().await.success());
}
