//! Asks, after a fault, whether the promises held: by the driver's facts, the replies and the ledgers alone.
//!
//! Always: each ledger is recomputed, and what it says happened is played again, in its order, on a model of a few lines;
//! every reply must say what the model says. So a lost effect, one that came twice or out of its turn shows. The order must
//! also be possible: what was answered before something else was sent comes before it.

use crate::{
    facts::{Asks, Due, Facts, Said, Table},
    stage::Stage,
    traffic::Town,
};
use nakatsugi::{
    identifier::{MessageId, TenantCode},
    ledger::{Commitment, Entry, Verdict as Entered},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tokio::time::Instant;

/// As many former codes of one person are remembered.
const FORMER: usize = 64;

/// What came of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdict {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) leaked: usize,
    pub(crate) complaints: Vec<String>,
}

impl Verdict {
    pub(crate) fn join(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.leaked += other.leaked;
        self.complaints.extend(other.complaints);
    }

    pub(crate) fn lost(&mut self, what: String) {
        self.lost += 1;
        self.complaints.push(format!("lost: {what}"));
    }

    pub(crate) fn twice(&mut self, what: String) {
        self.twice += 1;
        self.complaints.push(format!("twice: {what}"));
    }

    pub(crate) fn leaked(&mut self, what: String) {
        self.leaked += 1;
        self.complaints.push(format!("leaked: {what}"));
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.complaints.push(what);
    }
}

/// I1, I2, I3, I4 and I6; the daemon does not run.
pub(crate) async fn check(stage: &Stage, facts: &Facts, towns: &[Town]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut ledgers = Vec::new();
    for town in towns {
        let (ledger, complaints) = stage.examine_ledger(town.tenant).await;
        complaints.into_iter().for_each(|complaint| verdict.lost(complaint));
        ledgers.push((town, ledger));
    }
    let table = facts.table();
    for wrong in &table.wrong {
        if wrong.starts_with("twice") { verdict.twice(wrong.clone()) } else { verdict.leaked(wrong.clone()) }
    }
    check_replies(&table, &mut verdict);
    for (town, ledger) in &ledgers {
        check_ledger(&table, town.tenant, ledger, &mut verdict);
        check_history(&table, ledger, &mut verdict);
    }
    // I3: nobody reads what is another town's.
    for said in table.replies.values().flat_map(BTreeMap::values) {
        if towns.iter().any(|town| town.tenant != said.tenant && said.text.contains(&town.canary)) {
            verdict.leaked(format!("a reply of {} shows another town's canary", said.tenant));
        }
    }
    verdict
}

/// I1 and I2: as many different replies as are due.
fn check_replies(table: &Table, verdict: &mut Verdict) {
    for (id, fact) in &table.facts {
        let came = table.replies.get(id).map_or(0, BTreeMap::len);
        let due = match fact.due {
            Due::Answer | Due::Denied(_) => 1,
            Due::AnswerAndConflicts(others) => 1 + others,
            Due::Nothing => 0,
        };
        if came < due && fact.confirmed.is_some() {
            verdict.lost(format!("{id} ({:?}) has {came} of {due} replies", fact.asks));
        }
        if came > due {
            verdict.twice(format!("{id} ({:?}) has {came} different replies instead of {due}", fact.asks));
        }
    }
    for re in table.replies.keys().filter(|re| !table.facts.contains_key(re)) {
        verdict.wrong(format!("a reply to {re}, which nobody sent"));
    }
}

/// I2 and I4: one entry for each reply, one reply for each entry.
fn check_ledger(table: &Table, tenant: TenantCode, ledger: &[(Commitment, Entry)], verdict: &mut Verdict) {
    let entered: HashMap<[u8; 32], usize> = ledger.iter().fold(HashMap::new(), |mut counts, (commitment, _)| {
        *counts.entry(commitment.0).or_default() += 1;
        counts
    });
    let mut answered = HashSet::new();
    for (re, said) in table.replies.iter().flat_map(|(re, all)| all.values().map(move |said| (re, said))) {
        if said.tenant == tenant {
            answered.insert(said.commitment.0);
            match entered.get(&said.commitment.0) {
                Some(1) => {}
                Some(count) => verdict.twice(format!("the reply to {re} is entered {count} times")),
                None => verdict.lost(format!("the reply to {re} is not in the ledger")),
            }
        }
    }
    let mut entries = HashMap::<(MessageId, &str), usize>::new();
    for (commitment, entry) in ledger {
        *entries.entry((entry.message, &entry.asked)).or_default() += 1;
        if !answered.contains(&commitment.0) {
            verdict.lost(format!("the reply that was entered for {} never came", entry.message));
        }
    }
    for ((message, _), count) in entries.into_iter().filter(|(_, count)| *count > 1) {
        verdict.twice(format!("{message} is entered {count} times"));
    }
}

/// A person of the model.
#[derive(Debug, Default, Clone)]
struct Person {
    revision: u64,
    code: Option<u32>,
    former: usize,
    /// Its code led to somebody else before: nothing is provided.
    unconfirmed: bool,
    /// The revision that said so, and whether everything is held back.
    withheld: (u64, bool),
    /// Revision and value by category; a deleted one has none.
    rows: BTreeMap<usize, (u64, Option<String>)>,
}

#[derive(Debug, Default)]
struct Model {
    persons: BTreeMap<u32, Person>,
    codes: BTreeMap<u32, u32>,
    /// To whom a code that was replaced led last.
    former: BTreeMap<u32, u32>,
}

impl Model {
    /// What the reply must say.
    fn play(&mut self, asks: &Asks) -> Value {
        match asks {
            Asks::Link { person, code, revision } => json!([self.link(*person, *code, *revision)]),
            Asks::Put { person, category, revision, value } => {
                json!([if self.row(*person, *category, *revision, Some(value.clone())) { "stored" } else { "superseded" }])
            }
            Asks::Delete { person, category, revision } => {
                json!([if self.row(*person, *category, *revision, None) { "deleted" } else { "superseded" }])
            }
            Asks::Crowd { first, revision, value } => {
                let newer = [0, 1, 2].map(|category| self.row(*first, category, *revision, Some(value.clone())));
                json!([if newer == [true; 3] { "stored" } else { "superseded" }])
            }
            Asks::Restrict { person, revision, withheld } => {
                let person = self.persons.entry(*person).or_default();
                let newer = *revision > person.withheld.0;
                if newer {
                    person.withheld = (*revision, *withheld);
                }
                json!([if newer { "restricted" } else { "superseded" }])
            }
            Asks::Request { code } => {
                let person = self.codes.get(code).and_then(|person| self.persons.get(person));
                let person = person.filter(|person| !person.withheld.1 && !person.unconfirmed);
                let shown = |category: usize| person.and_then(|person| person.rows.get(&category)).and_then(|(_, value)| value.clone());
                json!([shown(0), shown(1), shown(2)])
            }
        }
    }

    fn row(&mut self, person: u32, category: usize, revision: u64, value: Option<String>) -> bool {
        let rows = &mut self.persons.entry(person).or_default().rows;
        let newer = rows.get(&category).is_none_or(|(held, _)| *held < revision);
        if newer {
            rows.insert(category, (revision, value));
        }
        newer
    }

    fn link(&mut self, person: u32, code: u32, revision: u64) -> &'static str {
        if self.codes.get(&code).is_some_and(|holder| *holder != person) {
            return "linked-elsewhere";
        }
        let held = self.persons.get(&person).cloned().unwrap_or_default();
        if revision <= held.revision {
            return "superseded";
        }
        if held.code != Some(code) && held.former >= FORMER {
            return "too-many-codes";
        }
        let led_elsewhere = self.former.get(&code).is_some_and(|before| *before != person);
        let now = self.persons.entry(person).or_default();
        now.revision = revision;
        if now.code != Some(code) {
            if let Some(before) = now.code.replace(code) {
                now.former += 1;
                self.codes.remove(&before);
                self.former.insert(before, person);
            }
            now.unconfirmed |= led_elsewhere;
            self.codes.insert(code, person);
        }
        if now.unconfirmed { "unconfirmed" } else { "linked" }
    }
}

/// What a reply says, in the words of the model.
fn said(asks: &Asks, text: &str) -> Value {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    match asks {
        Asks::Link { .. } | Asks::Restrict { .. } => json!([body["result"]]),
        Asks::Put { .. } | Asks::Delete { .. } => json!([body["rows"][0]["result"]]),
        Asks::Crowd { .. } => {
            let results: BTreeSet<_> = body["rows"].as_array().into_iter().flatten().map(|row| row["result"].to_string()).collect();
            json!(results.iter().map(|result| result.trim_matches('"')).collect::<Vec<_>>())
        }
        Asks::Request { .. } => {
            let value = |category: usize| match body["categories"][category]["outcome"].as_str() {
                Some("provided") => body["categories"][category]["records"][0]["items"][0]["value"].clone(),
                Some("nothing-to-show") => Value::Null,
                _ => json!(format!("not understood: {text}")),
            };
            json!([value(0), value(1), value(2)])
        }
    }
}

/// I1 and I6: the ledger's order explains every reply, and could have been.
fn check_history(table: &Table, ledger: &[(Commitment, Entry)], verdict: &mut Verdict) {
    let mut model = Model::default();
    let mut times: Vec<(Instant, Instant, MessageId)> = Vec::new();
    for (commitment, entry) in ledger {
        let Some(fact) = table.facts.get(&entry.message) else {
            verdict.wrong(format!("an entry for {}, which nobody sent", entry.message));
            continue;
        };
        let replies = table.replies.get(&entry.message);
        let Some(reply) = replies.and_then(|replies| replies.values().find(|said| said.commitment == *commitment)) else {
            // Its reply is missing, which `check_ledger` says; what it did stands all the same.
            if entry.verdict == Entered::Answered {
                model.play(&fact.asks);
            }
            continue;
        };
        if is_denied(reply) {
            // A denial changes nothing, and must be the one that is due.
            let code = match fact.due {
                Due::AnswerAndConflicts(_) => "conflict",
                Due::Denied(code) => code,
                Due::Answer | Due::Nothing => "",
            };
            if code.is_empty() || !reply.text.contains(&format!("\"{code}\"")) {
                verdict.wrong(format!("{} ({:?}) is denied: {}", entry.message, fact.asks, reply.text));
            }
            continue;
        }
        let (expected, found) = (model.play(&fact.asks), said(&fact.asks, &reply.text));
        if expected != found {
            verdict.lost(format!("{} ({:?}) says {found}, but by the ledger's order it is {expected}", entry.message, fact.asks));
        }
        times.push((fact.sent, reply.at, entry.message));
    }
    let mut earliest: Option<(Instant, MessageId)> = None;
    for (sent, answered, id) in times.into_iter().rev() {
        if let Some((before, other)) = earliest
            && before < sent
        {
            verdict.wrong(format!("{other} was answered before {id} was sent, but stands behind it in the ledger"));
        }
        if earliest.is_none_or(|(before, _)| answered < before) {
            earliest = Some((answered, id));
        }
    }
}

fn is_denied(said: &Said) -> bool {
    said.text.contains("\"status\":\"denied\"")
}
