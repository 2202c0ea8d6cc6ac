//! A vault that does not verify stops its own tenant only; repaired, it answers what waited.

use crate::stage::{Of, Running, Stage, stage};
use nakatsugi::cli::demo::population::Resident;
use serde_json::Value;
use std::{fs, path::Path};

/// With one tenant's vault damaged: that tenant's requests wait, the other's are answered; after the repair all are.
async fn only_the_damaged_tenant_waits(stage: &Stage, mut running: Running, cause: &str, repair: impl FnOnce()) -> Running {
    let (damaged, whole) = Of::Damage.tenants();
    let mut disclosure = stage.disclosure();
    let waiting: Vec<_> = (0..5).map(|index| stage.question(&disclosure, Resident { tenant: damaged, index: index % 2 })).collect();
    for letter in &waiting {
        letter.send(&disclosure.publisher).await.unwrap();
    }
    let stopped = running.event("vault.stopped").await;
    assert_eq!((stopped["vault"].as_str(), stopped["cause"].as_str()), (Some(damaged.as_str()), Some(cause)));
    let waits = running.event("message.waiting").await;
    assert_eq!((waits["tenant"].as_str(), waits["fault"].as_str()), (Some(damaged.as_str()), Some(cause)));
    for index in 0..3 {
        let letter = stage.question(&disclosure, Resident { tenant: whole, index });
        assert_eq!(disclosure.ask(&letter).await.tenant, whole);
    }
    assert!(running.events("message.answered").iter().all(|answered| answered["tenant"] == whole.as_str()));
    repair();
    let answers = disclosure.answers(&waiting).await;
    assert!(waiting.iter().all(|letter| answers.only(letter).body.get().contains("provided")));
    assert!(running.events("vault.opened").iter().any(|opened| opened["vault"] == damaged.as_str()));
    assert!(running.events("message.dead-lettered").is_empty());
    running
}

/// Where groups begin in a segment, from the manifest's position on.
fn groups(vault: &Path) -> (std::path::PathBuf, Vec<usize>) {
    let manifest = fs::read_to_string(vault.join("manifest")).unwrap();
    let manifest: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    let position = &manifest["position"];
    let segment = vault.join(format!("journal/{:016}.seg", position["segment"].as_u64().unwrap()));
    let bytes = fs::read(&segment).unwrap();
    let from = usize::try_from(position["offset"].as_u64().unwrap()).unwrap();
    let begins = (from..bytes.len()).step_by(8).filter(|at| bytes[*at..].starts_with(b"NKG1")).collect();
    (segment, begins)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_vault_stops_its_own_tenant_only_until_it_is_repaired() {
    let stage = stage().await;
    let (damaged, whole) = Of::Damage.tenants();
    let mut running = stage.serve().await;
    stage.settle(damaged, 2).await;
    stage.settle(whole, 2).await;
    assert!(running.stop().await.success());

    // A keyring that does not open.
    let keyring = stage.vault_folder(damaged).join("keyring.json");
    let kept = fs::read_to_string(&keyring).unwrap();
    let mut spoilt: Value = serde_json::from_str(&kept).unwrap();
    let wrapped = spoilt.as_object_mut().unwrap().values_mut().filter(|value| value.as_str().is_some_and(|text| text.len() > 60));
    for value in wrapped {
        let text = value.as_str().unwrap();
        let turned = if text.as_bytes()[10] == b'A' { "B" } else { "A" };
        *value = format!("{}{turned}{}", &text[..10], &text[11..]).into();
    }
    assert_ne!(serde_json::from_str::<Value>(&kept).unwrap(), spoilt);
    fs::write(&keyring, spoilt.to_string()).unwrap();
    let running = stage.serve().await;
    let mut running = only_the_damaged_tenant_waits(&stage, running, "vault-keyring", || fs::write(&keyring, &kept).unwrap()).await;

    // A journal with a group that is none, before others.
    running.daemon.kill();
    let (segment, begins) = groups(&stage.vault_folder(damaged));
    assert!(begins.len() > 1, "{begins:?}");
    flip(&segment, begins[0] + 100);
    let running = stage.serve().await;
    let repair = || flip(&segment, begins[0] + 100);
    let mut running = only_the_damaged_tenant_waits(&stage, running, "vault-journal-damaged", repair).await;
    assert!(running.stop().await.success());
    let ledger = stage.ledger(damaged).await;
    assert_eq!(ledger.len(), 3 + 5 + 5);
}
