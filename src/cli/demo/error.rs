//! What can go wrong with a private broker and its certificates.
//!
//! Always: the message says what to do next; a node's own last words are kept, it prints no secrets.

use crate::{
    broker::BrokerError,
    cli::peer::PeerSettingsError,
    config::{ConfigError, OpenError},
    directory::{CatalogueError, DirectoryError},
    envelope::KeyError,
    identifier::IdentifierError,
};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a certificate could not be made.
#[derive(Debug, Error)]
pub enum PkiError {
    /// The certificate itself.
    #[error("the certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A file or folder.
    #[error("{path} could not be written")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a private broker is not there.
#[derive(Debug, Error)]
pub enum NodeError {
    /// No server is installed.
    #[error("rabbitmq-server is not installed; on Debian or Ubuntu run: apt-get install --no-install-recommends rabbitmq-server")]
    NotInstalled,
    /// A file or folder of the node.
    #[error("{path} could not be used")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No free port on the loopback interface.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// A program could not be started.
    #[error("{program} could not be started")]
    Spawn {
        /// Which one.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The node ended while it started.
    #[error("the broker ended while starting; its last words:\n{log}")]
    Ended {
        /// The end of its log.
        log: String,
    },
    /// The node did not get ready in time.
    #[error("the broker was not ready in time; its last words:\n{log}")]
    NotReady {
        /// The end of its log.
        log: String,
    },
    /// The node is not running.
    #[error("the broker is not running")]
    NotRunning,
    /// A signal did not reach it.
    #[error("the broker could not be signalled")]
    Signal(#[source] io::Error),
    /// An administration command failed.
    #[error("rabbitmqctl {command} failed: {output}")]
    Command {
        /// Which one.
        command: String,
        /// What it printed.
        output: String,
    },
}

/// Why a site could not be made.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The broker.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file or folder.
    #[error("{path} could not be written: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A name.
    #[error(transparent)]
    Name(#[from] IdentifierError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration and the directory do not go together.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A peer's folder.
    #[error(transparent)]
    Peer(#[from] PeerSettingsError),
    /// Exchanges and queues.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// Settings that cannot be written down; a bug.
    #[error("the settings cannot be written")]
    Settings,
}
