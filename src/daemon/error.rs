//! Why the daemon does not serve.

use crate::{
    broker::BrokerError,
    config::{ConfigError, OpenError},
    vault::{CreateError, DataFolderError},
};
use std::io;
use thiserror::Error;

/// Why the daemon did not start, or ended without having been told to.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration or a key in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// The data folder.
    #[error("the data folder cannot be used: {0}")]
    DataFolder(#[from] DataFolderError),
    /// A file of the daemon's own in the data folder.
    #[error("the data folder cannot be written: {0}")]
    Io(#[from] io::Error),
    /// A broker lacks what must exist.
    #[error("{broker}: {source}")]
    Topology {
        /// Its name and address.
        broker: String,
        /// What it lacks.
        source: BrokerError,
    },
    /// The platform vault could not be made.
    #[error("the platform vault could not be made: {0}")]
    PlatformVault(CreateError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Entropy,
}

impl ServeError {
    /// A code for it, in events.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Config(_) => "configuration",
            Self::Directory(_) => "directory",
            Self::DataFolder(_) | Self::Io(_) => "data-folder",
            Self::Topology { .. } => "topology",
            Self::PlatformVault(_) => "platform-vault",
            Self::Entropy => "entropy",
        }
    }
}
