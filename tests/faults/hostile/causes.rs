//! No record, nobody, withheld and deleted look alike: in the reply, its size, and every log line that can be joined to it.

use crate::{
    dice::Dice,
    facts::{Asks, Due},
    ground::Ground,
    stage::PATIENCE,
};
use nakatsugi::identifier::MessageId;
use serde_json::Value;
use std::collections::BTreeSet;

/// Requests of each cause.
const EACH: usize = 8;
/// What differs between any two messages.
const OWN: [&str; 5] = ["time", "jti", "entry", "micros", "tries"];

pub(crate) async fn withheld_looks_like_nothing(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    for _ in 0..times {
        // Nobody, known only, deleted again, withheld, withheld before anything was there.
        let base = 100_000 + dice.below(1 << 30);
        let put = |person, revision| Asks::Put { person, category: 0, revision, value: "held".to_owned() };
        let link = |person| Asks::Link { person, code: person, revision: 1 };
        let restrict = |person| Asks::Restrict { person, revision: 1, withheld: true };
        let steps = [
            link(base + 1),
            link(base + 2),
            put(base + 2, 1),
            Asks::Delete { person: base + 2, category: 0, revision: 2 },
            link(base + 3),
            put(base + 3, 1),
            restrict(base + 3),
            restrict(base + 4),
            link(base + 4),
            put(base + 4, 1),
        ];
        for asks in steps {
            tell(ground, asks).await;
        }
        let mut looks = Vec::new();
        for cause in 0..5 {
            let mut asked = Vec::new();
            for _ in 0..EACH {
                asked.push(tell(ground, Asks::Request { code: base + cause }).await);
            }
            looks.push(look(ground, &asked).await);
        }
        assert!(!looks[0].is_empty());
        for (cause, seen) in looks.iter().enumerate() {
            assert_eq!(*seen, looks[0], "cause {cause} can be told from the first");
        }
    }
    times
}

/// Sends it and waits for its reply.
async fn tell(ground: &Ground, asks: Asks) -> MessageId {
    let letter = ground.traffic.write(ground.stage.id(), 0, &asks);
    ground.traffic.send(0, &letter, &asks, Due::Answer).await;
    let left = ground.traffic.facts.settled(PATIENCE).await;
    assert!(left.is_empty(), "{left:?} are not answered");
    letter.id
}

/// Everything that an operator or reader may see of these messages, without what is each message's own.
async fn look(ground: &Ground, asked: &[MessageId]) -> BTreeSet<String> {
    let replies: Vec<(MessageId, usize)> = {
        let table = ground.traffic.facts.table();
        asked.iter().flat_map(|id| table.replies[id].iter().map(|(reply, said)| (*reply, said.size()))).collect()
    };
    let ids: BTreeSet<String> = asked.iter().chain(replies.iter().map(|(id, _)| id)).map(ToString::to_string).collect();
    let lines = || ground.running.log().into_iter().filter(|line| ids.contains(line["jti"].as_str().unwrap_or_default()));
    ground.running.until(|_| lines().count() >= 2 * asked.len()).await;
    let mut seen: BTreeSet<String> = lines()
        .map(|mut line| {
            let fields = line.as_object_mut().unwrap();
            OWN.iter().for_each(|own| drop(fields.remove(*own)));
            Value::to_string(&line)
        })
        .collect();
    seen.extend(replies.iter().map(|(_, size)| format!("{size} bytes")));
    seen
}
