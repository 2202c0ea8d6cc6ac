//! What a check found.
//!
//! Always: whatever is not as it should be comes with what to do. Names of files, keys, tenants and principals only.

use crate::cli::CliError;
use serde_json::{Value, json};
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Does not work.
    Failed,
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) state: State,
    about: &'static str,
    words: String,
    next: Option<String>,
}

impl Finding {
    pub(super) fn good(about: &'static str, words: impl Into<String>) -> Self {
        Self { state: State::Good, about, words: words.into(), next: None }
    }

    pub(super) fn warning(about: &'static str, words: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: State::Warning, about, words: words.into(), next: Some(next.into()) }
    }

    pub(super) fn failed(about: &'static str, words: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: State::Failed, about, words: words.into(), next: Some(next.into()) }
    }

    /// What a command would have failed with.
    pub(super) fn error(about: &'static str, error: impl Into<CliError>) -> Self {
        let error = error.into();
        Self::failed(about, error.to_string(), error.next())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "state": self.state.as_str(), "about": self.about, "words": self.words, "next": self.next })
    }
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {:<13}  {}", self.state.as_str(), self.about, self.words)?;
        self.next.iter().try_for_each(|next| write!(f, "\n                          next: {next}"))
    }
}
