//! Who may do what on a broker: RabbitMQ definitions (users, virtual host, permissions, topic permissions).
//!
//! Always: users have no password, only a certificate opens; a carrier writes to `nakatsugi.in` alone, and there only
//! keys of its tenants and types; nobody may publish through the default exchange, so nothing reaches a queue around
//! the topic permissions; only the operator configures, and it cannot publish through any topic exchange.
//! SECURITY: RabbitMQ permits every key to a user without a topic permission; so every user of a topic exchange gets one.
//! Absent: exchanges and queues (`topology`).

use super::names::{DEAD, IN, OUT, SIEVE, SORT};
use crate::identifier::{MessageClass, MessageType, TenantCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOTHING: &str = "^$";
const ANYTHING: &str = ".*";

/// Which tenants a carrier speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tenants {
    /// Every tenant: the disclosure system.
    All,
    /// These: a municipal system.
    These(Vec<TenantCode>),
}

/// An AMQP user that brings or fetches messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// The common name of its certificate.
    pub user: String,
    /// What it may bring.
    pub may_write: Vec<(Tenants, MessageType)>,
    /// The queue it may read.
    pub reads: Option<String>,
}

/// Everything that one virtual host needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions {
    /// The virtual host.
    pub vhost: String,
    /// The relay's user.
    pub relay: String,
    /// The user that `topology apply` connects as.
    pub operator: String,
    /// Everybody else.
    pub carriers: Vec<Carrier>,
}

impl Definitions {
    /// The definitions as RabbitMQ imports them (`load_definitions`, `rabbitmqctl import_definitions`).
    #[must_use]
    pub fn to_json(&self) -> String {
        let shared = [DEAD, IN, SIEVE, SORT, OUT].map(escape).join("|");
        let mut permissions = vec![
            // Binding takes the right to write to a queue and read from an exchange; dead-lettering the right to read from
            // the queue and write to the exchange. The queues of readers need neither, so they are not readable.
            self.permission(&self.operator, r"^nakatsugi\.", r"^nakatsugi\.", &anchored(&[ours(), shared])),
            self.permission(&self.relay, NOTHING, &exactly(&[OUT, DEAD]), &anchored(&[ours(), escape(DEAD)])),
        ];
        let mut topics = vec![
            self.topic(&self.operator, IN, NOTHING),
            self.topic(&self.operator, OUT, NOTHING),
            self.topic(&self.operator, SORT, NOTHING),
            self.topic(&self.relay, OUT, ANYTHING),
            self.topic(&self.relay, IN, NOTHING),
        ];
        for carrier in &self.carriers {
            let write = if carrier.may_write.is_empty() { NOTHING.to_owned() } else { exactly(&[IN]) };
            let read = carrier.reads.as_deref().map_or_else(|| NOTHING.to_owned(), |queue| exactly(&[queue]));
            permissions.push(self.permission(&carrier.user, NOTHING, &write, &read));
            topics.push(self.topic(&carrier.user, IN, &carrier.keys()));
            topics.push(self.topic(&carrier.user, OUT, NOTHING));
        }
        let users: Vec<Value> =
            [&self.operator, &self.relay].into_iter().chain(self.carriers.iter().map(|carrier| &carrier.user)).map(user).collect();
        let definitions = json!({
            "users": users,
            "vhosts": [{ "name": self.vhost }],
            "permissions": permissions,
            "topic_permissions": topics,
        });
        format!("{definitions:#}\n")
    }

    fn permission(&self, user: &str, configure: &str, write: &str, read: &str) -> Value {
        json!({ "user": user, "vhost": self.vhost, "configure": configure, "write": write, "read": read })
    }

    fn topic(&self, user: &str, exchange: &str, write: &str) -> Value {
        json!({ "user": user, "vhost": self.vhost, "exchange": exchange, "write": write, "read": ANYTHING })
    }
}

impl Carrier {
    /// The routing keys that this carrier may write, as one regular expression.
    fn keys(&self) -> String {
        let mut types: BTreeMap<&Tenants, Vec<String>> = BTreeMap::new();
        for (tenants, kind) in &self.may_write {
            types.entry(tenants).or_default().push(escape(kind.as_str()));
        }
        let one = |(tenants, types): (&Tenants, Vec<String>)| {
            let tenants = match tenants {
                Tenants::All => "[0-9]{6}".to_owned(),
                Tenants::These(codes) => codes.iter().map(TenantCode::as_str).collect::<Vec<_>>().join("|"),
            };
            format!(r"(?:{tenants})\.(?:{})", types.join("|"))
        };
        let keys: Vec<_> = types.into_iter().map(one).collect();
        if keys.is_empty() { NOTHING.to_owned() } else { anchored(&keys) }
    }
}

/// A user whom only a certificate opens: an empty hash matches no password.
fn user(name: &String) -> Value {
    json!({ "name": name, "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": [], "limits": {} })
}

/// The queues from which the relay takes in, and the exchanges and queues of waiting and coming back.
fn ours() -> String {
    let classes: Vec<_> = MessageClass::ALL.iter().map(|class| escape(class.as_str())).collect();
    format!(r"nakatsugi\.(?:wait\.|again\.)?(?:{})\.[0-9]+", classes.join("|"))
}

fn exactly(names: &[&str]) -> String {
    anchored(&names.iter().map(|name| escape(name)).collect::<Vec<_>>())
}

/// SECURITY: `\z` and not `$`, which also matches before a final line feed.
fn anchored(alternatives: &[String]) -> String {
    format!(r"^(?:{})\z", alternatives.join("|"))
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        if !character.is_ascii_alphanumeric() && !matches!(character, '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions() -> Definitions {
        let fujisawa = || Tenants::These(vec!["142051".parse().unwrap()]);
        let municipal = Carrier {
            user: "fujisawa".into(),
            may_write: vec![(fujisawa(), MessageType::RecordPut), (fujisawa(), MessageType::PersonLink)],
            reads: Some("nakatsugi.out.fujisawa".into()),
        };
        let disclosure = Carrier { user: "disclosure".into(), may_write: vec![(Tenants::All, MessageType::SelfInfoRequest)], reads: None };
        Definitions { vhost: "relay".into(), relay: "relay".into(), operator: "operator".into(), carriers: vec![municipal, disclosure] }
    }

    fn find(list: &str, user: &str, exchange: Option<&str>) -> Value {
        let document: Value = serde_json::from_str(&definitions().to_json()).unwrap();
        let matches = |entry: &&Value| entry["user"] == user && exchange.is_none_or(|exchange| entry["exchange"] == exchange);
        document[list].as_array().unwrap().iter().find(matches).unwrap().clone()
    }

    #[test]
    fn a_carrier_writes_keys_of_its_tenants_and_types_only() {
        assert_eq!(find("topic_permissions", "fujisawa", Some(IN))["write"], r"^(?:(?:142051)\.(?:record\.put|person\.link))\z");
        assert_eq!(find("topic_permissions", "disclosure", Some(IN))["write"], r"^(?:(?:[0-9]{6})\.(?:self-info\.request))\z");
    }

    #[test]
    fn a_carrier_reads_its_own_queue_and_configures_nothing() {
        let fujisawa = find("permissions", "fujisawa", None);
        assert_eq!(fujisawa["read"], r"^(?:nakatsugi\.out\.fujisawa)\z");
        assert_eq!(fujisawa["write"], r"^(?:nakatsugi\.in)\z");
        assert_eq!(fujisawa["configure"], NOTHING);
        assert_eq!(find("permissions", "disclosure", None)["read"], NOTHING);
    }

    #[test]
    fn every_user_has_a_topic_permission_for_both_topic_exchanges_and_no_password() {
        let document: Value = serde_json::from_str(&definitions().to_json()).unwrap();
        for user in document["users"].as_array().unwrap() {
            assert_eq!(user["password_hash"], "");
            for exchange in [IN, OUT] {
                find("topic_permissions", user["name"].as_str().unwrap(), Some(exchange));
            }
        }
    }
}
