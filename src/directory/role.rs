//! Roles, and what each may say at most.
//!
//! Always: the table is exhaustive: a new message type or role does not compile until somebody decided who may author it.
//! A principal's own list (`may`) can only be narrower.

use crate::identifier::MessageType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The national portal (開示システム).
    DisclosureSystem,
    /// A tenant's own system (既存業務・統合宛名システム).
    MunicipalSystem,
    /// A person acting for the body that uses individual numbers (個人番号利用事務実施者).
    Official,
    /// This relay.
    Relay,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::DisclosureSystem, Self::MunicipalSystem, Self::Official, Self::Relay];

    /// The role as it stands in the directory and in ledger entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DisclosureSystem => "disclosure-system",
            Self::MunicipalSystem => "municipal-system",
            Self::Official => "official",
            Self::Relay => "relay",
        }
    }

    /// Whether a principal of this role may author messages of this type at all (design §4).
    #[must_use]
    pub const fn may_author(self, kind: MessageType) -> bool {
        match kind {
            MessageType::SelfInfoRequest => matches!(self, Self::DisclosureSystem),
            MessageType::RecordPut
            | MessageType::RecordDelete
            | MessageType::AttachmentPut
            | MessageType::AttachmentDelete
            | MessageType::PersonLink
            | MessageType::PersonRestrict
            | MessageType::PersonErase => matches!(self, Self::MunicipalSystem),
            MessageType::SelfInfoReply | MessageType::RecordReply | MessageType::PersonReply => matches!(self, Self::Relay),
        }
    }

    /// Whether a principal of this role may stand for every tenant at once.
    #[must_use]
    pub const fn may_act_for_all(self) -> bool {
        match self {
            Self::DisclosureSystem | Self::Relay => true,
            Self::MunicipalSystem | Self::Official => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_relay_takes_in_it_never_authors_and_each_type_has_one_role() {
        for kind in MessageType::ALL {
            let authors: Vec<_> = Role::ALL.into_iter().filter(|role| role.may_author(kind)).collect();
            assert_eq!(authors.len(), 1, "{kind}");
            assert_eq!(authors == [Role::Relay], kind.class().is_none(), "{kind}");
        }
    }

    #[test]
    fn text_and_serde_agree_on_every_role() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
    }
}
