//! A thousand requests while the daemon is killed ten times: nothing is lost, nothing happens twice.

use crate::stage::{Answers, Of, Stage, now, stage};
use futures_util::future::try_join_all;
use nakatsugi::{
    cli::{
        demo::population::{Resident, Shown},
        peer::Letter,
    },
    identifier::{MessageId, MessageType, TenantCode},
    ledger::{Commitment, Entry},
    relay::ports::Entropy as _,
};
use serde_json::json;
use std::{collections::HashMap, env, fs, time::Duration};
use tokio::{task::JoinSet, time::sleep};

const KILLS: usize = 10;
/// Letters that come between two kills, of one tenant.
const BATCH: usize = 50;
const RESIDENTS: u32 = 5;
/// In milliseconds, from the moment at which the daemon is ready: sometimes before the first message, sometimes after the last.
const LONGEST_LIFE: u64 = 500;

/// Numbers that follow from a seed (splitmix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((mixed ^ (mixed >> 31)) % LONGEST_LIFE)
    }
}

/// The seed of an earlier run, to see it again.
fn seed() -> Option<u64> {
    let given = env::var_os("NAKATSUGI_SEED")?.into_string().unwrap();
    Some(u64::from_str_radix(given.trim_start_matches("0x"), 16).unwrap())
}

/// How often the process died with the same message alone in hand.
fn worst_suspicion(stage: &Stage) -> u32 {
    let suspects = fs::read_to_string(stage.data().join("suspects")).unwrap_or_default();
    suspects.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_survive_ten_kills_each_answered_and_entered_once() {
    let mut stage = stage().await;
    stage.bury_the_dead().await;
    let seed = seed().unwrap_or_else(|| u64::from_be_bytes(stage.entropy.bytes()[..8].try_into().unwrap()));
    eprintln!("moments of the kills follow from seed {seed:#018x}");
    let mut moments = Moments(seed);
    let (fujisawa, yokohama) = Of::Kills.tenants();
    let tenants = [fujisawa, yokohama];
    let mut running = stage.serve().await;
    let mut settled = 0;
    for tenant in tenants {
        settled += stage.settle(tenant, RESIDENTS - 1).await;
    }
    let mut disclosure = stage.disclosure();
    let mut municipal = tenants.map(|tenant| stage.municipal(tenant));

    let (mut questions, mut puts) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut sending = JoinSet::new();
    let (mut recovered, mut repeated, mut suspected) = (0, 0, 0);
    for kill in 0..KILLS {
        // The last resident is unknown to the tenant.
        let asked = |tenant: TenantCode| (0..BATCH as u32).map(move |index| Resident { tenant, index: index % RESIDENTS });
        let batch: Vec<Letter> =
            asked(fujisawa).zip(asked(yokohama)).flat_map(|(a, b)| [a, b]).map(|who| stage.question(&disclosure, who)).collect();
        questions.extend(batch.iter().cloned());
        let mut all: Vec<_> = batch.into_iter().map(|letter| (letter, disclosure.publisher.clone())).collect();
        for (place, tenant) in tenants.into_iter().enumerate() {
            for index in 0..3 {
                let mut row = Resident { tenant, index }.row(&crate::stage::categories()[kill % 3], Shown::Now, now());
                row["revision"] = json!(kill + 2);
                let letter = stage.letter(&municipal[place], tenant, MessageType::RecordPut, &json!({ "rows": [row] }));
                puts[place].push(letter.clone());
                all.insert(all.len() / 2, (letter, municipal[place].publisher.clone()));
            }
        }
        sending.spawn(async move { try_join_all(all.iter().map(|(letter, publisher)| letter.send(publisher))).await.unwrap() });
        let life = moments.next();
        sleep(life).await;
        running.daemon.kill();
        recovered += running.events("vault.recovered").len();
        repeated += running.events("message.repeated").len();
        assert!(running.errors().is_empty(), "{:#?}", running.errors());
        running = stage.serve().await;
        suspected = suspected.max(worst_suspicion(&stage));
    }
    assert!(suspected < 3, "an innocent was alone at three deaths");
    assert_eq!(questions.len(), 1_000);
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }

    let mut answers = Answers::default();
    disclosure.gather(&questions, &mut answers).await;
    let mut put_answers = Answers::default();
    for (voice, letters) in municipal.iter_mut().zip(&puts) {
        voice.gather(letters, &mut put_answers).await;
    }
    recovered += running.events("vault.recovered").len();
    assert!(running.stop().await.success());
    repeated += running.events("message.repeated").len();
    assert!(running.errors().is_empty(), "{:#?}", running.errors());
    disclosure.gather_rest(&mut answers).await;
    for voice in &mut municipal {
        voice.gather_rest(&mut put_answers).await;
    }
    eprintln!(
        "vaults recovered {recovered} times, {repeated} messages were recognised, {} replies came again, the worst suspicion was {suspected}",
        answers.repeats() + put_answers.repeats()
    );
    assert!(recovered > 0, "no kill hit anything: the test shows nothing");

    // Nothing is left anywhere, and nobody was taken for the cause of the deaths.
    drop((disclosure, municipal));
    assert_eq!(stage.emptied().await, 0, "dead letters");

    // One entry for each message, committed to by its reply.
    let mut others = 0;
    for (place, tenant) in tenants.into_iter().enumerate() {
        let ledger = stage.ledger(tenant).await;
        let by_message: HashMap<MessageId, &(Commitment, Entry)> = ledger.iter().map(|entry| (entry.1.message, entry)).collect();
        assert_eq!(by_message.len(), ledger.len(), "a message is entered twice");
        let own = questions.iter().filter(|letter| letter.tenant == tenant);
        for (letter, reply) in
            own.map(|letter| (letter, answers.only(letter))).chain(puts[place].iter().map(|letter| (letter, put_answers.only(letter))))
        {
            let (commitment, entry) = by_message[&letter.id];
            assert_eq!(*commitment, reply.commitment, "{} is answered otherwise than entered", letter.id);
            assert_eq!(entry.kind, letter.kind);
            assert!(!reply.body.get().contains("\"denied\""), "{}: {}", letter.id, reply.body);
        }
        others += ledger.len() - questions.len() / 2 - puts[place].len();
    }
    assert_eq!(others, settled, "entries that nobody asked for");
}
