//! Family `hostile`: who sends it means harm. Nothing is believed, nothing is answered, and the others are served meanwhile.

mod causes;
mod tenants;

use crate::{
    dice::Dice,
    facts::{Asks, Due},
    ground::Ground,
    stage::{PATIENCE, now},
};
pub(crate) use causes::withheld_looks_like_nothing;
use nakatsugi::{cli::peer::Letter, identifier::MessageType};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command};
pub(crate) use tenants::{across_tenants, headers_without_end};

const BATCH: usize = 30;
const KID: &str = "relay-decryption-1";

/// Attacks on JSON and JOSE, in envelopes for this very relay: each is put aside for its own reason.
pub(crate) async fn envelopes(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        let mut expected = BTreeMap::new();
        let mut letters = Vec::new();
        for (name, reason, body) in forged(ground) {
            expected.insert(sha256(&body), (name, reason));
            letters.push(letter(ground, body));
        }
        for (name, body) in spliced(ground) {
            expected.insert(sha256(&body), (name, "decryption-failed".to_owned()));
            letters.push(letter(ground, body));
        }
        for letter in &letters {
            letter.send(&ground.traffic.disclosure.publisher).await.unwrap();
        }
        sending.confirmed().await;
        ground.running.until(|running| running.count("message.dead-lettered") >= expected.len()).await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        let mut wrong = Vec::new();
        let mut buried = 0;
        for dead in ground.stage.bury_the_dead().await {
            let found = dead.headers.get("reason").cloned().unwrap_or_default();
            match expected.remove(&sha256(&dead.body)) {
                // This site's directory has no key that was valid once.
                Some((_, reason)) if found == reason || (found == "unknown-kid" && reason.starts_with("key-")) => buried += 1,
                Some((name, reason)) => wrong.push(format!("{name}: put aside as {found} instead of {reason}")),
                None => wrong.push(format!("a dead letter nobody sent: {found}")),
            }
        }
        wrong.extend(expected.values().map(|(name, reason)| format!("{name}: never put aside as {reason}")));
        assert!(wrong.is_empty(), "{}", wrong.join("\n       "));
        println!("       {buried} forged envelopes, each put aside for its reason");
        // So that the next start counts anew.
        ground.stop().await;
        ground.start().await;
    }
    times
}

fn sha256(body: &[u8]) -> Vec<u8> {
    digest(&SHA256, body).as_ref().to_vec()
}

/// As the disclosure system would send it.
fn letter(ground: &Ground, body: Vec<u8>) -> Letter {
    Letter { id: ground.stage.id(), kind: MessageType::SelfInfoRequest, tenant: Ground::tenants()[0], body: body.into() }
}

/// Every refused vector, made with the keys of this site.
fn forged(ground: &Ground) -> Vec<(String, String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = ground.stage.site.folder();
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let mut keys = read(&root.join("schemas/vectors/keys.json"));
    keys["relay"]["signing"] = read(&folder.join("keys/relay-signing.jwk"));
    keys["relay"]["decryption"] = read(&folder.join("keys/relay-decryption.jwk"));
    keys["disclosure"]["signing"] = read(&folder.join("peers/disclosure/signing.jwk"));
    keys["municipal"]["id"] = json!("municipal-142051");
    keys["municipal"]["signing"] = read(&folder.join("peers/municipal-142051/signing.jwk"));
    assert_eq!(keys["relay"]["decryption"]["kid"], json!(KID));
    let path = folder.join("keys.json");
    fs::write(&path, keys.to_string()).unwrap();
    let mut python = Command::new(root.join("tests/.venv/bin/python"));
    python.arg(root.join("tests/faults/hostile/forge.py")).arg(root.join("schemas/vectors/generate.py")).arg(&path);
    // Ahead of us a little, so that what is a second too early stays too early.
    let output = python.args([&now().plus_seconds(120).seconds().to_string(), KID]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(path).unwrap();
    let made: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made.len() >= 100, "{}", made.len());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let body = |envelope: &Value| match envelope {
        Value::String(text) => text.clone().into_bytes(),
        repeated => text(&repeated["repeat"]).repeat(usize::try_from(repeated["times"].as_u64().unwrap()).unwrap()).into_bytes(),
    };
    made.iter().map(|one| (text(&one["name"]), text(&one["reason"]), body(&one["envelope"]))).collect()
}

/// Parts of one envelope moved into another; each envelope by itself is good.
fn spliced(ground: &Ground) -> Vec<(String, Vec<u8>)> {
    let parts = |code| {
        let letter = ground.traffic.write(ground.stage.id(), 0, &Asks::Request { code });
        let text = String::from_utf8(letter.body.to_vec()).unwrap();
        text.split('.').map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (parts(0), parts(1));
    let mixed = |at: &[usize]| {
        let mut mixed = one.clone();
        at.iter().for_each(|at| mixed[*at].clone_from(&other[*at]));
        mixed.join(".").into_bytes()
    };
    [
        ("header", &[0][..]),
        ("iv", &[2]),
        ("ciphertext", &[3]),
        ("tag", &[4]),
        ("ciphertext and tag", &[3, 4]),
        ("all but the header", &[2, 3, 4]),
    ]
    .map(|(name, at)| (format!("{name} of another"), mixed(at)))
    .to_vec()
}

/// Commands that are good envelopes and ask for more than is allowed: denied, each with its code.
pub(crate) async fn beyond_the_limits(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        let crowd = ground.traffic.body(0, &Asks::Crowd { first: 5_000, revision: 1, value: "row".to_owned() });
        let row = crowd["rows"][0].clone();
        let rows = |count: usize| json!({ "rows": vec![row.clone(); count] });
        for (body, code) in [(rows(501), "row-count"), (rows(0), "row-count"), (rows(5_000), "row-count")] {
            let asks = Asks::Delete { person: 0, category: 0, revision: 0 };
            let letter = ground.traffic.towns[0].speaker.peer.write(
                ground.stage.id(),
                Ground::tenants()[0],
                MessageType::RecordPut,
                (now(), now().plus_seconds(900)),
                &body,
            );
            ground.traffic.send(0, &letter.unwrap(), &asks, Due::Denied(code)).await;
        }
        // As many rows as there may be, and the longest envelope that there is for them.
        let asks = Asks::Crowd { first: 5_000 + 1_000 * dice.below(100), revision: dice.next() >> 20, value: "v".repeat(1_000) };
        let letter = ground.traffic.write(ground.stage.id(), 0, &asks);
        println!("       {} bytes in one envelope", letter.body.len());
        ground.traffic.send(0, &letter, &asks, Due::Answer).await;
        sending.confirmed().await;
    }
    times
}
