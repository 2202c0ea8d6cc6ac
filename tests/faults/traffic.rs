//! Mixed load on a few people of two towns: requests, puts, deletes and links, concurrent, some of them out of date.
//!
//! Always: every value that is put is another, so that a reply tells which put it saw; each holds its town's canary.

use crate::{
    dice::Dice,
    facts::{Asks, Due, Facts, Speaker, post},
    stage::{Stage, categories, now},
};
use nakatsugi::{
    calendar::Timestamp,
    cli::{
        demo::population::{self, Resident, Shown},
        peer::Letter,
    },
    identifier::{MessageId, MessageType, TenantCode},
    relay::ports::Entropy as _,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// So few that they meet all the time.
pub(crate) const PEOPLE: u32 = 4;
/// Codes that one person may have.
const CODES: u32 = 2;
/// People whose rows go into one message.
pub(crate) const CROWD: u32 = 166;
/// The first of the crowd's people; nobody before is one of them.
const CROWD_FROM: u32 = 1_000;
/// Letters on their way to the broker at once.
const UNDER_WAY: usize = 48;

/// A town and its municipal system.
pub(crate) struct Town {
    pub(crate) tenant: TenantCode,
    pub(crate) canary: String,
    pub(crate) speaker: Speaker,
    /// The newest revision by person and category (behind the categories: the link, and what is held back).
    revisions: BTreeMap<(u32, usize), u64>,
}

/// Who speaks, and what they have said so far.
pub(crate) struct Traffic {
    pub(crate) disclosure: Speaker,
    pub(crate) towns: Vec<Town>,
    pub(crate) facts: Facts,
    /// Whom it is about.
    pub(crate) people: u32,
    serial: u64,
}

/// Letters on their way.
#[must_use]
pub(crate) struct Burst(JoinSet<()>);

impl Burst {
    /// Waits until the broker has confirmed all of them.
    pub(crate) async fn confirmed(mut self) {
        while let Some(sent) = self.0.join_next().await {
            sent.unwrap();
        }
    }

    pub(crate) fn join(&mut self, mut other: Self) {
        self.0.spawn(async move {
            while let Some(sent) = other.0.join_next().await {
                sent.unwrap();
            }
        });
    }
}

impl Traffic {
    pub(crate) fn new(stage: &Stage, tenants: &[TenantCode]) -> Self {
        let facts = Facts::default();
        let town = |tenant: &TenantCode| Town {
            tenant: *tenant,
            canary: format!("canary{}", stage.entropy.bytes().map(|byte| char::from(b'a' + byte % 26)).iter().collect::<String>()),
            speaker: Speaker::of(stage, &format!("municipal-{tenant}"), &facts),
            revisions: BTreeMap::new(),
        };
        let towns = tenants.iter().map(town).collect();
        Self { disclosure: Speaker::of(stage, "disclosure", &facts), towns, facts, people: PEOPLE, serial: 0 }
    }

    /// The speaker of a letter of this type.
    pub(crate) fn speaker(&self, town: usize, asks: &Asks) -> &Speaker {
        match asks {
            Asks::Link { .. } | Asks::Put { .. } | Asks::Delete { .. } | Asks::Crowd { .. } | Asks::Restrict { .. } => {
                &self.towns[town].speaker
            }
            Asks::Request { .. } => &self.disclosure,
        }
    }

    /// What somebody might ask next.
    pub(crate) fn ask(&mut self, dice: &mut Dice) -> (usize, Asks) {
        let place = dice.below(u32::try_from(self.towns.len()).unwrap()) as usize;
        self.ask_at(dice, place)
    }

    /// The same, in this town.
    pub(crate) fn ask_at(&mut self, dice: &mut Dice, place: usize) -> (usize, Asks) {
        let turn = self.serial;
        self.ask_in_turn(dice, place, turn)
    }

    /// A link, a put, a delete or a request.
    pub(crate) fn ask_kind(&mut self, dice: &mut Dice, kind: usize) -> (usize, Asks) {
        let place = dice.below(u32::try_from(self.towns.len()).unwrap()) as usize;
        self.ask_in_turn(dice, place, [0, 1, 6, 8][kind])
    }

    fn ask_in_turn(&mut self, dice: &mut Dice, place: usize, turn: u64) -> (usize, Asks) {
        self.serial += 1;
        let person = dice.below(self.people);
        let category = dice.below(3) as usize;
        let town = &mut self.towns[place];
        let mut revision = |slot: usize| {
            let newest = town.revisions.entry((person, slot)).or_default();
            *newest += 1;
            // Now and then an old one, or one that was there already.
            if dice.below(6) == 0 { newest.saturating_sub(u64::from(dice.below(3))).max(1) } else { *newest }
        };
        let asks = match turn % 20 {
            0 | 7 | 13 => Asks::Link { person, revision: revision(3), code: 0 },
            1..=5 => {
                Asks::Put { person, category, revision: revision(category), value: format!("{} {}", town.canary, letters(self.serial)) }
            }
            9 | 16 => Asks::Restrict { person, revision: revision(4), withheld: dice.below(4) == 0 },
            6 | 12 => Asks::Delete { person, category, revision: revision(category) },
            _ => Asks::Request { code: person + PEOPLE * dice.below(CODES) },
        };
        let asks = match asks {
            // One of the person's own codes; rarely one that leads to somebody else.
            Asks::Link { person, revision, .. } => {
                let whose = if dice.below(10) == 0 { (person + 1) % PEOPLE } else { person };
                Asks::Link { person, revision, code: whose + PEOPLE * dice.below(CODES) }
            }
            other => other,
        };
        (place, asks)
    }

    /// Writes it down: a letter under this id.
    pub(crate) fn write(&self, id: MessageId, place: usize, asks: &Asks) -> Letter {
        self.write_at(id, place, asks, now())
    }

    /// The same, at a given time.
    pub(crate) fn write_at(&self, id: MessageId, place: usize, asks: &Asks, at: Timestamp) -> Letter {
        self.write_until(id, place, asks, (at, at.plus_seconds(1_800)))
    }

    /// The same, valid from then till then.
    pub(crate) fn write_until(&self, id: MessageId, place: usize, asks: &Asks, valid: (Timestamp, Timestamp)) -> Letter {
        let tenant = self.towns[place].tenant;
        let (kind, body) = body(tenant, asks, valid.0);
        self.speaker(place, asks).peer.write(id, tenant, kind, valid, &body).unwrap()
    }

    /// The body of what is asked, now.
    pub(crate) fn body(&self, place: usize, asks: &Asks) -> Value {
        body(self.towns[place].tenant, asks, now()).1
    }

    /// Sends so many letters, a few dozen at a time, in no order.
    pub(crate) fn burst(&mut self, stage: &Stage, dice: &mut Dice, count: usize) -> Burst {
        let all: Vec<_> = (0..count).map(|_| self.ask(dice)).collect();
        self.dispatch(stage, all)
    }

    /// Writes the rows of so many people of the first town, all of them anew each time. At first the crowds' first are linked.
    pub(crate) fn crowd(&mut self, stage: &Stage, people: u32) -> Burst {
        let mut all = Vec::new();
        for first in crowds(people) {
            self.serial += 1;
            let town = &mut self.towns[0];
            let revision = town.revisions.entry((first, 0)).or_default();
            *revision += 1;
            if *revision == 1 {
                all.push((0, Asks::Link { person: first, code: first, revision: 1 }));
            }
            let value = format!("{} {}", town.canary, letters(self.serial));
            all.push((0, Asks::Crowd { first, revision: *revision, value }));
        }
        self.dispatch(stage, all)
    }

    /// Asks for the records of the first of each crowd.
    pub(crate) async fn look_at_crowd(&mut self, stage: &Stage, people: u32) {
        let all = crowds(people).map(|code| (0, Asks::Request { code })).collect();
        self.dispatch(stage, all).confirmed().await;
    }

    fn dispatch(&self, stage: &Stage, all: Vec<(usize, Asks)>) -> Burst {
        let gate = Arc::new(Semaphore::new(UNDER_WAY));
        let mut sending = JoinSet::new();
        for (place, asks) in all {
            let letter = self.write(stage.id(), place, &asks);
            let (publisher, facts) = (Arc::clone(&self.speaker(place, &asks).publisher), self.facts.clone());
            let gate = Arc::clone(&gate);
            sending.spawn(async move {
                let _place = gate.acquire().await.unwrap();
                facts.note(&letter, asks, Due::Answer);
                post(letter, publisher, facts.clone()).await;
            });
        }
        Burst(sending)
    }

    /// Sends one letter and waits until the broker has it.
    pub(crate) async fn send(&self, place: usize, letter: &Letter, asks: &Asks, due: Due) {
        self.facts.note(letter, asks.clone(), due);
        post(letter.clone(), Arc::clone(&self.speaker(place, asks).publisher), self.facts.clone()).await;
    }

    /// Asks for everybody's records, so that what is there is seen.
    pub(crate) async fn look(&mut self, stage: &Stage) {
        for place in 0..self.towns.len() {
            for code in 0..PEOPLE * CODES {
                let asks = Asks::Request { code };
                let letter = self.write(stage.id(), place, &asks);
                self.send(place, &letter, &asks, Due::Answer).await;
            }
        }
    }
}

fn crowds(people: u32) -> impl Iterator<Item = u32> {
    (CROWD_FROM..CROWD_FROM + people).step_by(CROWD as usize)
}

/// Digits could be somebody's number.
fn letters(serial: u64) -> String {
    serial.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn body(tenant: TenantCode, asks: &Asks, at: Timestamp) -> (MessageType, Value) {
    let resident = |index: u32| Resident { tenant, index };
    let categories = categories();
    match asks {
        Asks::Link { person, code, revision } => {
            let body = json!({ "person": resident(*person).number(), "code": resident(*code).code(), "revision": revision });
            (MessageType::PersonLink, body)
        }
        Asks::Put { person, category, revision, value } => {
            let mut row = resident(*person).row(&categories[*category], Shown::Now, at);
            row["revision"] = json!(revision);
            row["record"]["items"][0]["value"] = json!(value);
            (MessageType::RecordPut, json!({ "rows": [row] }))
        }
        Asks::Crowd { first, revision, value } => {
            let people = *first..*first + CROWD;
            let rows = people.flat_map(|person| categories.iter().map(move |category| (person, category))).map(|(person, category)| {
                let mut row = resident(person).row(category, Shown::Now, at);
                row["revision"] = json!(revision);
                row["record"]["items"][0]["value"] = json!(value);
                row
            });
            (MessageType::RecordPut, json!({ "rows": rows.collect::<Vec<_>>() }))
        }
        Asks::Delete { person, category, revision } => {
            let row = json!({
                "person": resident(*person).number(), "category": categories[*category], "revision": revision,
                "data_set": "0001", "record_key": "1",
            });
            (MessageType::RecordDelete, json!({ "rows": [row] }))
        }
        Asks::Restrict { person, revision, withheld } => {
            let everything = json!({ "kind": "not-provided", "window": {}, "reason": "DV" });
            let restrictions = if *withheld { vec![everything] } else { Vec::new() };
            let body = json!({ "person": resident(*person).number(), "revision": revision, "restrictions": restrictions });
            (MessageType::PersonRestrict, body)
        }
        Asks::Request { code } => {
            let body = population::request(&resident(*code).code(), &categories.iter().collect::<Vec<_>>(), at);
            (MessageType::SelfInfoRequest, body)
        }
    }
}
