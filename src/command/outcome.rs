//! What handling a message comes to: the new state of persons, what the ledger says, and the reply. A denial is one too.

use super::Denial;
use crate::{
    calendar::Timestamp,
    ledger::{CategoryOutcome, Declared, LegalBasis, Verdict},
    record::{PersonChange, PersonId},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::fmt;

/// What handling a message comes to.
pub struct Outcome {
    /// Persons as they are from now on.
    pub changes: Vec<PersonChange>,
    /// What the ledger says about it.
    pub facts: Facts,
    /// The reply's body, as JSON.
    pub body: Box<RawValue>,
    /// The denial, if it is one.
    pub denial: Option<Denial>,
}

/// The part of a ledger entry that only the handler knows.
#[derive(Debug)]
pub struct Facts {
    /// The law that allows it.
    pub basis: LegalBasis,
    /// How and when the person was authenticated.
    pub authenticated: Option<(String, Timestamp)>,
    /// Whom it concerns.
    pub subjects: Vec<PersonId>,
    /// What came of each category.
    pub categories: Vec<CategoryOutcome>,
    /// Which officials vouch for which files.
    pub declarations: Vec<Declared>,
}

impl Facts {
    /// Nothing but the law that allows it.
    #[must_use]
    pub const fn of(basis: LegalBasis) -> Self {
        Self { basis, authenticated: None, subjects: Vec::new(), categories: Vec::new(), declarations: Vec::new() }
    }
}

impl fmt::Debug for Outcome {
    /// SECURITY: without the body, which is what the person reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcome({} changes, {:?})", self.changes.len(), self.denial)
    }
}

impl Outcome {
    /// An answer that changes these persons.
    ///
    /// # Errors
    /// serde's, if the body cannot be written; that is a bug.
    pub fn answered(changes: Vec<PersonChange>, facts: Facts, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self { changes, facts, body: to_raw_value(body)?, denial: None })
    }

    /// A refusal; nothing changes.
    ///
    /// # Errors
    /// serde's, if the body cannot be written; that is a bug.
    pub fn denied(denial: Denial, basis: LegalBasis) -> Result<Self, serde_json::Error> {
        let facts = Facts::of(basis);
        Ok(Self { changes: Vec::new(), facts, body: to_raw_value(&denial.body())?, denial: Some(denial) })
    }

    /// Answered or denied.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.denial {
            None => Verdict::Answered,
            Some(_) => Verdict::Denied,
        }
    }
}
