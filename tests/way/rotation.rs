//! Keys are replaced while requests run: none fails, what was erased is gone, and the ledger says what was destroyed.

use crate::stage::{BINARY, Of, Stage, stage};
use nakatsugi::{
    cli::demo::population::Resident,
    config::Configuration,
    envelope::verify_record,
    identifier::MessageType,
    ledger::{Deed, SignedDeletion},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

/// Starts a command of the site beside the running daemon.
fn start(stage: &Stage, arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--config").arg(stage.site.configuration_path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn ended(child: std::process::Child) -> (i32, String) {
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    (status.code().unwrap(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_while_requests_run_and_the_ledger_says_what_was_destroyed() {
    let mut stage = stage().await;
    let (tenant, other) = Of::Rotation.tenants();
    let mut running = stage.serve().await;
    stage.settle(tenant, 40).await;
    stage.settle(other, 2).await;
    let socket = stage.data().join("admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    // Requests all the while.
    let (mut disclosure, mut municipal) = (stage.disclosure(), stage.municipal(tenant));
    let rotating = start(&stage, &["keys", "rotate", "--tenant", tenant.as_str(), "--now"]);
    let rotated = tokio::spawn(ended(rotating));
    let mut asked = Vec::new();
    while !rotated.is_finished() || asked.len() < 50 {
        let letter = stage.question(&disclosure, Resident { tenant, index: u32::try_from(asked.len() % 40).unwrap() });
        assert!(disclosure.ask(&letter).await.body.get().contains("provided"));
        asked.push(letter);
    }
    let (code, words) = rotated.await.unwrap();
    assert_eq!(code, 0, "{words}");
    assert!(words.contains(&format!("{tenant}: data key 2 seals, ")), "{words}");
    let carried = running.event("vault.carried-over").await;
    assert_eq!((&carried["vault"], &carried["epoch"]), (&json!(tenant.as_str()), &json!(2)));

    // A person is erased: gone at once.
    let resident = Resident { tenant, index: 7 };
    let letter = stage.question(&disclosure, resident);
    assert!(disclosure.ask(&letter).await.body.get().contains("provided"));
    let erase = json!({ "person": resident.number(), "revision": 9_000_000 });
    let letter = stage.letter(&municipal, tenant, MessageType::PersonErase, &erase);
    let reply: Value = serde_json::from_str(municipal.ask(&letter).await.body.get()).unwrap();
    assert_eq!(reply, json!({ "status": "answered", "result": "erased" }));
    let letter = stage.question(&disclosure, resident);
    assert!(!disclosure.ask(&letter).await.body.get().contains("provided"));

    // Everything once more, the root key too, and the other tenant goes.
    for arguments in [
        &["keys", "rotate", "--tenant", tenant.as_str(), "--now"][..],
        &["keys", "rotate", "--root", "--shares-to", stage.site.folder().join("new-shares").to_str().unwrap()],
        &["tenant", "remove", other.as_str(), "--yes"],
    ] {
        let (code, words) = ended(start(&stage, arguments)).await;
        assert_eq!(code, 0, "{arguments:?}: {words}");
    }
    assert!(!stage.vault_folder(other).exists());
    let letter = stage.question(&disclosure, Resident { tenant, index: 3 });
    assert!(disclosure.ask(&letter).await.body.get().contains("provided"));
    assert!(running.errors().is_empty(), "{:?}", running.errors());
    assert!(running.stop().await.success());

    // It opens again, under the new root key, and repeats nothing.
    let mut running = stage.serve().await;
    let letter = stage.question(&disclosure, Resident { tenant, index: 4 });
    assert!(disclosure.ask(&letter).await.body.get().contains("provided"));
    assert!(running.errors().is_empty(), "{:?}", running.errors());
    assert!(running.stop().await.success());
    assert_eq!(stage.bury_the_dead().await.len(), 0);

    let configuration = Configuration::load(&stage.site.configuration_path()).unwrap();
    let key = configuration.signing_key().unwrap().public();
    let mut destroyed = Vec::new();
    let (entries, complaints) = stage.examine_entries(tenant).await;
    assert_eq!(complaints, Vec::<String>::new());
    for (_, entry) in &entries {
        if let Ok(SignedDeletion { deletion, signature }) = serde_json::from_slice(entry) {
            assert_eq!(verify_record(&serde_json::to_vec(&deletion).unwrap(), &signature, &key), Ok(()));
            assert_eq!((deletion.vault.as_str(), deletion.deed), (tenant.as_str(), Deed::KeyDestroyed));
            destroyed.push(deletion);
        }
    }
    assert_eq!(destroyed.iter().map(|deletion| deletion.key).collect::<Vec<_>>(), [1, 2]);
    // The entry of the erasure lies before what the second record speaks of, and behind the first.
    let erased = entries.iter().position(|(_, entry)| String::from_utf8_lossy(entry).contains("\"person.erase\"")).unwrap() as u64;
    assert!((destroyed[0].entries..destroyed[1].entries).contains(&erased), "{destroyed:?} {erased}");
}
