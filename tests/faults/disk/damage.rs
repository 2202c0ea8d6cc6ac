//! What lies in a vault is changed while nobody looks: a byte, an end, a folder, a whole vault of another day or town.
//!
//! Always: the other town is served meanwhile. What the vault notices stops it and is healed by putting the right bytes back;
//! what it heals itself leaves nothing to do; a whole vault of an earlier moment is noticed by its anchor. Absent: the end of a
//! journal torn after the last anchor, which nobody can tell from an end that was never written.

use crate::{
    dice::Dice,
    facts::{Asks, Due},
    ground::Ground,
    stage::PATIENCE,
};
use nakatsugi::identifier::TenantCode;
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::time::{Instant, sleep};

const BATCH: usize = 30;

/// A file of a vault.
const FILES: [&str; 5] = ["journal/", "store/db", "ledger/", "manifest", "keyring.json"];
/// A part of a vault; the first is all of it.
const PARTS: [&str; 5] = ["", "store", "journal", "ledger", "keyring.json"];

/// A file of a vault is flipped, truncated or emptied: the vault heals itself or stops, and goes on once it is put back.
pub(crate) async fn file_damaged(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("vault.stopped");
    let (mut stopped, mut healed, mut unread) = (0, 0, 0);
    for round in 0..times {
        let harmed = Ground::tenants()[0];
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        answered(ground).await;
        let name = FILES[round as usize % FILES.len()];
        let rebuilds = name.starts_with("store") || name.starts_with("ledger");
        // The end of a journal that was not closed may be torn: only an anchor knows that it was not.
        if rebuilds && dice.below(2) == 0 {
            ground.kill()
        } else {
            ground.stop().await
        }
        let vault = ground.stage.vault_folder(harmed);
        let file = pick(&vault, name, dice);
        let whole = fs::read(&file).unwrap();
        let (what, undo) = hurt(&file, &whole, dice);
        let what = format!("{}: {what}", file.strip_prefix(&vault).unwrap().display());
        ground.start().await;
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        match verdict(ground, harmed, if rebuilds { Healing::ByItself } else { Healing::ByHand }).await {
            Seen::Stopped(cause) => {
                println!("       {what}: stopped, {cause}");
                stopped += 1;
                ground.kill();
                undo.undo(&file);
                ground.start().await;
            }
            Seen::Rebuilt => healed += 1,
            Seen::Nothing => {
                unread += 1;
                // Later nobody could say whence the damage came.
                if let (false, Some(_)) = (rebuilds, file.to_str().unwrap().find("/journal/")) {
                    ground.stop().await;
                    undo.undo(&file);
                    ground.start().await;
                }
            }
        }
        answered(ground).await;
    }
    println!("       {stopped} stopped, {healed} healed themselves, {unread} were not read");
    times
}

/// Folders of two towns change places, or one is emptied: nothing is served from what is not a town's own.
pub(crate) async fn folders_swapped(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("vault.stopped");
    for round in 0..times {
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        answered(ground).await;
        ground.stop().await;
        let towns = Ground::tenants();
        let part = PARTS[(round / 2) as usize % PARTS.len()];
        let [one, other] = towns.map(|tenant| ground.stage.vault_folder(tenant).join(part));
        let kept = towns.map(|tenant| ground.stage.data().join(format!("kept-{tenant}")));
        [(&one, &kept[0]), (&other, &kept[1])].into_iter().for_each(|(from, to)| copy(from, to));
        remove(&one);
        let what = if round % 2 == 0 {
            fs::rename(&other, &one).unwrap();
            copy(&kept[0], &other);
            "swapped"
        } else {
            if kept[0].is_dir() {
                fs::create_dir(&one).unwrap()
            } else {
                fs::write(&one, []).unwrap()
            }
            "emptied"
        };
        ground.start().await;
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        let name = if part.is_empty() { "the vault" } else { part };
        let rebuilds = matches!(part, "store" | "ledger");
        let mut seen = Vec::new();
        // Both are harmed where both were swapped; then nobody is served.
        if rebuilds || round % 2 == 1 {
            seen.push(verdict(ground, towns[0], if rebuilds { Healing::ByItself } else { Healing::ByHand }).await);
        } else {
            for tenant in towns {
                let stopped = ground.running.event_that("vault.stopped", |event| event["vault"] == tenant.as_str()).await;
                seen.push(Seen::Stopped(stopped["cause"].to_string()));
            }
        }
        println!("       {name} {what}: {seen:?}");
        match &seen[0] {
            Seen::Stopped(_) => {
                ground.kill();
                // The other town was served meanwhile, unless it was harmed, too.
                remove(&one);
                fs::rename(&kept[0], &one).unwrap();
                if round % 2 == 0 {
                    remove(&other);
                    fs::rename(&kept[1], &other).unwrap();
                } else {
                    remove(&kept[1]);
                }
                ground.start().await;
            }
            Seen::Rebuilt => kept.iter().for_each(|kept| remove(kept)),
            Seen::Nothing => panic!("{name} {what}: nobody noticed"),
        }
        answered(ground).await;
    }
    times
}

/// A vault of an earlier moment takes the place of the newest: its anchor is newer, so it is not served.
pub(crate) async fn vault_rolled_back(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("vault.stopped");
    for _ in 0..times {
        let tenant = Ground::tenants()[0];
        let (asks, id) = (Asks::Request { code: 0 }, ground.stage.id());
        let letter = ground.traffic.write(id, 0, &asks);
        ground.traffic.send(0, &letter, &asks, Due::Answer).await;
        answered(ground).await;
        ground.stop().await;
        let vault = ground.stage.vault_folder(tenant);
        let (older, newest) = ["older", "newest"].map(|name| ground.stage.data().join(name)).into();
        copy(&vault, &older);
        ground.start().await;
        ground.traffic.burst(&ground.stage, dice, BATCH).confirmed().await;
        answered(ground).await;
        ground.stop().await;
        fs::rename(&vault, &newest).unwrap();
        fs::rename(&older, &vault).unwrap();
        ground.start().await;
        // What both know: its answer would change nothing.
        ground.traffic.send(0, &letter, &asks, Due::Answer).await;
        ground.running.until(|running| running.count("message.repeated") + running.count("vault.stopped") > 0).await;
        let stopped = ground.running.events("vault.stopped").into_iter().find(|event| event["vault"] == tenant.as_str());
        let stopped = stopped.unwrap_or_else(|| panic!("a vault of an earlier moment is served"));
        println!("       rolled back: stopped, {}", stopped["cause"]);
        ground.kill();
        fs::remove_dir_all(&vault).unwrap();
        fs::rename(&newest, &vault).unwrap();
        ground.start().await;
    }
    times
}

#[derive(Debug)]
enum Seen {
    Stopped(String),
    Rebuilt,
    Nothing,
}

/// Who makes the vault whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Healing {
    ByItself,
    ByHand,
}

/// Waits until everything is answered, or the harmed vault alone has stopped and waits for somebody.
async fn verdict(ground: &Ground, harmed: TenantCode, healing: Healing) -> Seen {
    let of = |event: &serde_json::Value| event["vault"] == harmed.as_str();
    let until = Instant::now() + PATIENCE;
    loop {
        let left = ground.traffic.facts.unanswered_towns();
        if left.is_empty() {
            let rebuilt = ground.running.events("vault.rebuilt").iter().any(of);
            return if rebuilt { Seen::Rebuilt } else { Seen::Nothing };
        }
        if healing == Healing::ByHand
            && let Some(stopped) = ground.running.events("vault.stopped").into_iter().rfind(of)
            && left.iter().all(|town| *town == harmed)
        {
            return Seen::Stopped(stopped["cause"].to_string());
        }
        assert!(Instant::now() < until, "neither answered nor healed: {left:?}; log: {:#?}", ground.running.errors());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn answered(ground: &Ground) {
    let left = ground.traffic.facts.settled(PATIENCE).await;
    assert!(left.is_empty(), "{left:?} are not answered");
}

/// This file, or one below this folder.
fn pick(vault: &Path, name: &str, dice: &mut Dice) -> PathBuf {
    let path = vault.join(name);
    if !path.is_dir() {
        return path;
    }
    let (mut files, mut folders) = (Vec::new(), vec![path]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.swap_remove(dice.below(u32::try_from(files.len()).unwrap()) as usize)
}

/// How a file becomes whole again.
enum Whole {
    /// This byte is changed back.
    Byte(u64),
    /// It held this.
    Bytes(Vec<u8>),
}

impl Whole {
    fn undo(self, file: &Path) {
        match self {
            Self::Byte(at) => flip(file, at),
            Self::Bytes(bytes) => fs::write(file, bytes).unwrap(),
        }
    }
}

/// Changes a byte that is not part of the zeros at the end, or takes the end away, or everything.
fn hurt(file: &Path, whole: &[u8], dice: &mut Dice) -> (String, Whole) {
    let used = whole.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = u64::from(dice.below(u32::try_from(used.max(1)).unwrap()));
    match dice.below(4) {
        0 | 1 if used > 0 => {
            flip(file, at);
            (format!("byte {at} of {used}"), Whole::Byte(at))
        }
        0..=2 => {
            OpenOptions::new().write(true).open(file).unwrap().set_len(at).unwrap();
            (format!("cut to {at} of {used}"), Whole::Bytes(whole.to_vec()))
        }
        _ => {
            OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
            ("emptied".to_owned(), Whole::Bytes(whole.to_vec()))
        }
    }
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}
