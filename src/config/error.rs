//! What can be wrong with the configuration and the files it names.
//!
//! Always: the message says the file, the line where there is one, and what was expected; never what a secret file holds.

use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a configuration is not taken.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{}:{line}: {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        expected: String,
    },
    /// A secret lies open.
    #[error("{}: others can read this secret (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A secret is not a file of reasonable size.
    #[error("{}: expected a plain file of at most 64 KiB", path.display())]
    NotASecret {
        /// The file.
        path: PathBuf,
    },
    /// Not the content that such a file has.
    #[error("{}: expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What such a file holds.
        expected: &'static str,
    },
    /// The directory names a broker that the configuration does not have.
    #[error("{}: the directory names the broker {broker}; expected a [[broker]] with this name", path.display())]
    Broker {
        /// The configuration file.
        path: PathBuf,
        /// The broker.
        broker: crate::identifier::BrokerName,
    },
}
