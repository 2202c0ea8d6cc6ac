//! The life of a person's code, as a state machine: pure, one step for each `person.link` that counts.
//!
//! ```text
//!                 linked                        relinked, or a code that once led to somebody else
//!  unacquired ─────────────► linked ─────────────────────────────────┐
//!      │                      │  ▲ └─ linked, another code (replaced)  ▼
//!      │                      │  └──────────── confirmed ──────── unconfirmed ─┐ linked or relinked
//!      │              revoked │                                    ▲   │  ▲    │
//!      │                      ▼             linked or relinked     │   │  └────┘
//!      │                   revoked ────────────────────────────────┘   │
//!      │                      ▲                    revoked             │
//!      │                      └────────────────────────────────────────┘
//!      └── relinked, or a code that once led to somebody else ──► unconfirmed
//! ```
//!
//! Always: a code leads to one person, and a person has one code at a time; those before stay in the history, each with its
//! end. An unconfirmed link provides nothing until the tenant confirms that code and person belong together. A revoked link
//! leads nowhere, and only a newer `person.link` revives it, unconfirmed. Absent: revisions, and who else has the code; the
//! command judges both before a step is taken.

use super::{CodeEnd, Confirmation, FormerName, Head};
use crate::{calendar::Timestamp, identifier::PersonCode};
use serde::Deserialize;

/// How many former codes of a person are remembered; each is part of the person's head row.
const FORMER_CODES: usize = 64;

/// Where the life of a person's code stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// There is no code yet.
    Unacquired,
    /// The code leads to the person.
    Linked,
    /// It does, and provision is suspended until the tenant confirms it.
    Unconfirmed,
    /// There is no code any more.
    Revoked,
}

/// What a `person.link` says of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkStep {
    /// It is the person's code: the first one, or one that takes the place of another.
    #[default]
    Linked,
    /// It is the person's code, and what stood before was wrong.
    Relinked,
    /// It was checked: code and person belong together.
    Confirmed,
    /// It is the person's code no longer.
    Revoked,
}

/// Whom a code led to before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// To nobody else.
    Clean,
    /// To somebody else.
    LedElsewhere,
}

/// What a step changes about codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeChange {
    /// The code that leads to the person from now on.
    pub taken: Option<PersonCode>,
    /// The code that no longer does.
    pub released: Option<PersonCode>,
}

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRefusal {
    /// What would be confirmed or revoked is not the person's code.
    NotLinked,
    /// The person has had as many codes as are remembered.
    TooManyCodes,
}

impl Head {
    /// Where the life of the person's code stands.
    #[must_use]
    pub fn link_state(&self) -> LinkState {
        match (&self.code, self.confirmation, self.former.is_empty()) {
            (Some(_), Confirmation::NotNeeded, _) => LinkState::Linked,
            (Some(_), Confirmation::Awaited, _) => LinkState::Unconfirmed,
            (None, _, false) => LinkState::Revoked,
            (None, _, true) => LinkState::Unacquired,
        }
    }

    /// Takes a step of the code's life.
    ///
    /// # Errors
    /// [`LinkRefusal`]; nothing changed.
    pub fn step(&mut self, step: LinkStep, code: &PersonCode, past: Past, now: Timestamp) -> Result<CodeChange, LinkRefusal> {
        let same = self.code.as_ref() == Some(code);
        match (step, same) {
            (LinkStep::Confirmed | LinkStep::Revoked, false) => Err(LinkRefusal::NotLinked),
            (LinkStep::Confirmed, true) => {
                self.confirmation = Confirmation::NotNeeded;
                Ok(CodeChange::default())
            }
            (LinkStep::Revoked, true) => {
                let released = self.release(CodeEnd::Revoked, now)?;
                self.confirmation = Confirmation::NotNeeded;
                Ok(CodeChange { taken: None, released })
            }
            (LinkStep::Linked, true) => Ok(CodeChange::default()),
            (LinkStep::Relinked, true) => {
                self.confirmation = Confirmation::Awaited;
                Ok(CodeChange::default())
            }
            (LinkStep::Linked | LinkStep::Relinked, false) => {
                let suspect = step == LinkStep::Relinked || past == Past::LedElsewhere || self.link_state() == LinkState::Revoked;
                let released = self.release(CodeEnd::Replaced, now)?;
                self.code = Some(code.clone());
                if suspect {
                    self.confirmation = Confirmation::Awaited;
                }
                Ok(CodeChange { taken: Some(code.clone()), released })
            }
        }
    }

    /// Moves the code into the history.
    fn release(&mut self, end: CodeEnd, until: Timestamp) -> Result<Option<PersonCode>, LinkRefusal> {
        // One place is kept, so that the last code can still be revoked.
        let room = match end {
            CodeEnd::Replaced => FORMER_CODES,
            CodeEnd::Revoked => FORMER_CODES + 1,
        };
        if self.former.len() >= room {
            return Err(LinkRefusal::TooManyCodes);
        }
        let released = self.code.take();
        self.former.extend(released.clone().map(|code| FormerName { code, until, end }));
        Ok(released)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn code(byte: u8) -> PersonCode {
        PersonCode::from_bytes([byte; 32])
    }

    /// Steps from the beginning, and where they lead; a code above 9 led to somebody else before.
    fn walked(steps: &[(LinkStep, u8)]) -> (LinkState, Option<PersonCode>, usize) {
        let mut head = Head::default();
        for (step, byte) in steps {
            let past = if *byte > 9 { Past::LedElsewhere } else { Past::Clean };
            head.step(*step, &code(*byte), past, NOW).unwrap();
        }
        (head.link_state(), head.code.clone(), head.former.len())
    }

    #[test]
    fn each_step_leads_where_the_drawing_says() {
        use LinkStep::{Confirmed, Linked, Relinked, Revoked};
        for (steps, state, held, former) in [
            (vec![], LinkState::Unacquired, None, 0),
            (vec![(Linked, 1)], LinkState::Linked, Some(1), 0),
            (vec![(Linked, 1), (Linked, 1)], LinkState::Linked, Some(1), 0),
            (vec![(Linked, 1), (Linked, 2)], LinkState::Linked, Some(2), 1),
            (vec![(Linked, 1), (Confirmed, 1)], LinkState::Linked, Some(1), 0),
            (vec![(Relinked, 1)], LinkState::Unconfirmed, Some(1), 0),
            (vec![(Linked, 11)], LinkState::Unconfirmed, Some(11), 0),
            (vec![(Linked, 1), (Relinked, 1)], LinkState::Unconfirmed, Some(1), 0),
            (vec![(Linked, 1), (Relinked, 2)], LinkState::Unconfirmed, Some(2), 1),
            (vec![(Linked, 1), (Linked, 12)], LinkState::Unconfirmed, Some(12), 1),
            (vec![(Relinked, 1), (Linked, 1)], LinkState::Unconfirmed, Some(1), 0),
            (vec![(Relinked, 1), (Linked, 2)], LinkState::Unconfirmed, Some(2), 1),
            (vec![(Relinked, 1), (Confirmed, 1)], LinkState::Linked, Some(1), 0),
            (vec![(Linked, 1), (Revoked, 1)], LinkState::Revoked, None, 1),
            (vec![(Relinked, 1), (Revoked, 1)], LinkState::Revoked, None, 1),
            (vec![(Linked, 1), (Revoked, 1), (Linked, 1)], LinkState::Unconfirmed, Some(1), 1),
            (vec![(Linked, 1), (Revoked, 1), (Linked, 2), (Confirmed, 2)], LinkState::Linked, Some(2), 1),
        ] {
            assert_eq!(walked(&steps), (state, held.map(code), former), "{steps:?}");
        }
    }

    #[test]
    fn only_the_persons_own_code_is_confirmed_or_revoked() {
        for before in [Head::default(), Head { code: Some(code(1)), ..Head::default() }] {
            for step in [LinkStep::Confirmed, LinkStep::Revoked] {
                let mut head = before.clone();
                assert_eq!(head.step(step, &code(2), Past::Clean, NOW), Err(LinkRefusal::NotLinked));
                assert_eq!(head, before);
            }
        }
    }

    #[test]
    fn the_history_is_kept_as_far_as_it_goes_and_the_last_code_can_be_revoked() {
        let mut head = Head::default();
        for byte in 0..=64 {
            assert!(head.step(LinkStep::Linked, &code(byte), Past::Clean, NOW).is_ok());
        }
        assert_eq!(head.step(LinkStep::Linked, &code(99), Past::Clean, NOW), Err(LinkRefusal::TooManyCodes));
        assert!(head.step(LinkStep::Revoked, &code(64), Past::Clean, NOW).is_ok());
        assert_eq!((head.former[0].end, head.former[64].end), (CodeEnd::Replaced, CodeEnd::Revoked));
        assert_eq!(head.former[64].code, code(64));
    }

    proptest! {
        /// From wherever one comes: what was once in doubt provides again only after a confirmation.
        #[test]
        fn a_doubt_ends_only_by_confirmation(steps in prop::collection::vec((0_usize..4, 0_u8..14), 0..40)) {
            let kinds = [LinkStep::Linked, LinkStep::Relinked, LinkStep::Confirmed, LinkStep::Revoked];
            let mut head = Head::default();
            let mut doubted = false;
            for (kind, byte) in steps {
                let past = if byte > 9 { Past::LedElsewhere } else { Past::Clean };
                let (before, taken) = (head.link_state(), head.code != Some(code(byte)));
                if head.step(kinds[kind], &code(byte), past, NOW).is_ok() {
                    doubted = match kinds[kind] {
                        LinkStep::Confirmed => false,
                        LinkStep::Relinked | LinkStep::Revoked => true,
                        LinkStep::Linked => doubted || (taken && (past == Past::LedElsewhere || before == LinkState::Revoked)),
                    };
                }
                prop_assert_eq!(head.link_state() == LinkState::Linked, head.code.is_some() && !doubted);
            }
        }
    }
}
