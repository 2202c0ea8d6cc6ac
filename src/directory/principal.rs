//! A principal: who signs, with which keys, through which carriers, for whom, and what.
//!
//! Always: what is granted here is a ceiling; the way still demands that tenant, type and carrier of each message agree
//! with it (design §2, step 4).

use super::{DatedKey, Role};
use crate::{
    calendar::Timestamp,
    envelope::{EncryptionKey, VerificationKey},
    identifier::{AmqpUser, BrokerName, MessageType, PrincipalId, QueueName, TenantCode},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::BTreeSet, fmt};

/// Anyone who signs messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Its name: `iss` of what it says, `aud` of what it is told.
    pub id: PrincipalId,
    /// What it is.
    pub role: Role,
    /// The keys that verify what it says.
    pub signing: Vec<DatedKey<VerificationKey>>,
    /// The keys that what it is told is encrypted to.
    #[serde(default)]
    pub encryption: Vec<DatedKey<EncryptionKey>>,
    /// Who may bring its messages.
    #[serde(default)]
    pub carriers: Vec<Carrier>,
    /// The tenants it may speak of.
    pub tenants: Tenants,
    /// The message types it may author.
    pub may: BTreeSet<MessageType>,
    /// Where it reads what it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<ReplyQueue>,
}

impl Principal {
    /// The newest of its encryption keys that count at that time.
    #[must_use]
    pub fn encryption_key(&self, at: Timestamp) -> Option<&EncryptionKey> {
        let counting = self.encryption.iter().filter(|dated| dated.at(at).is_ok());
        counting.max_by_key(|dated| dated.not_before).map(|dated| &dated.key)
    }

    /// Whether it may author messages of this type.
    #[must_use]
    pub fn may_author(&self, kind: MessageType) -> bool {
        self.may.contains(&kind)
    }

    /// Whether it may speak of this tenant.
    #[must_use]
    pub fn acts_for(&self, tenant: &TenantCode) -> bool {
        match &self.tenants {
            Tenants::All => true,
            Tenants::Listed(listed) => listed.contains(tenant),
        }
    }

    /// Whether its messages may come from this broker, published by this user; no user where federation cleared it.
    #[must_use]
    pub fn is_carried_by(&self, broker: &str, user: Option<&str>) -> bool {
        self.carriers.iter().any(|carrier| carrier.broker.as_str() == broker && carrier.user.as_ref().map(AmqpUser::as_str) == user)
    }
}

/// Who brings a message: a user of a broker. Not its author.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// The broker that the message was taken from.
    pub broker: BrokerName,
    /// The user that the broker has validated; absent for an upstream broker whose federation clears it, so that the
    /// broker itself is the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<AmqpUser>,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.broker),
            None => write!(f, "anyone@{}", self.broker),
        }
    }
}

/// The queue in which a principal reads what it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyQueue {
    /// The broker.
    pub broker: BrokerName,
    /// The queue, bound to `nakatsugi.out` by `<principal>.#`.
    pub queue: QueueName,
}

/// The tenants a principal may speak of: `"all"`, or a list of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// Every tenant of the directory.
    All,
    /// These.
    Listed(BTreeSet<TenantCode>),
}

impl Serialize for Tenants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Listed(listed) => serializer.collect_seq(listed),
        }
    }
}

impl<'de> Deserialize<'de> for Tenants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tenants;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of tenant codes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tenants, E> {
                if text == "all" { Ok(Tenants::All) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, codes: A) -> Result<Tenants, A::Error> {
                BTreeSet::deserialize(de::value::SeqAccessDeserializer::new(codes)).map(Tenants::Listed)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
