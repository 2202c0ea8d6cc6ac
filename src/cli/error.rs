//! What a command can fail with: what, where, and what to do next.
//!
//! Always: the table of exit codes and the table of next steps are exhaustive.

use super::{Exit, ShareError, backup_errors, demo::SiteError, peer::PeerSettingsError};
use crate::{
    broker::{BrokerError, BrokerSettings, Unpublished},
    config::{ConfigError, OpenError},
    daemon::ServeError,
    directory::{CatalogueError, DirectoryError, RecipientError},
    envelope::SealingError,
    identifier::{MessageId, MessageType, PrincipalId, TenantCode, VaultName},
    telemetry::TelemetryError,
    vault::{
        CreateError, DataFolderError, FilterError, Flaw, RootError,
        backup::{BackupError, ExportError},
    },
};
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a command did not do what it should.
#[derive(Debug, Error)]
pub enum CliError {
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A directory that cannot be signed as it is.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DirectoryError,
    },
    /// A catalogue that is not one.
    #[error("{}: {source}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CatalogueError,
    },
    /// The key that should sign is not the authority's.
    #[error("{}: this key does not belong to the authority that {} names", key.display(), authority.display())]
    OtherAuthority {
        /// The private key.
        key: PathBuf,
        /// The public key.
        authority: PathBuf,
    },
    /// The authority's key lies elsewhere, as it should.
    #[error("{}: the authority's private key is not here", .0.display())]
    NoAuthorityKey(PathBuf),
    /// A name that cannot be an AMQP user, or is too long to name keys.
    #[error("{0} cannot name keys and an AMQP user")]
    UnfitName(PrincipalId),
    /// A municipal system without a tenant.
    #[error("a municipal system speaks for at least one tenant")]
    ForNobody,
    /// The relay has no keys that count now.
    #[error("the directory has no keys of the relay that count now")]
    RelayKeysOver,
    /// There is something already.
    #[error("{}: there is something here already, and nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// A file or folder cannot be made.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Shares that do not fit together, or a number of them that makes no sense.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// A file with a share.
    #[error("{}: {source}", path.display())]
    ShareFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ShareError,
    },
    /// Shares that give another key than the root key's file.
    #[error("{}: these shares do not give this root key", .0.display())]
    OtherRootKey(PathBuf),
    /// Files that must lie elsewhere before a production daemon starts.
    #[error("{}: this must not lie on the machine that serves", .0.display())]
    LeftBehind(PathBuf),
    /// A tenant that the directory does not have.
    #[error("tenant {0} does not stand in the directory")]
    UnknownTenant(TenantCode),
    /// A vault that is there already.
    #[error("{code}: {source}")]
    Vault {
        /// The tenant.
        code: TenantCode,
        /// Why.
        source: CreateError,
    },
    /// A vault that is not as it should be.
    #[error("{vault}: {flaw}")]
    Flaw {
        /// Which.
        vault: VaultName,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The running daemon cannot be asked.
    #[error("{}: the running daemon cannot be asked: {source}", path.display())]
    Daemon {
        /// Its admin socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An operation was not begun.
    #[error("nothing was done: {0}")]
    Refused(String),
    /// Some of an operation could not be done.
    #[error("{0} of them could not be done")]
    NotDone(usize),
    /// What was to be confirmed was not.
    #[error("not confirmed; nothing was done")]
    NotConfirmed,
    /// The new root key needs a place for its recovery shares.
    #[error("the recovery shares of the new root key need a place")]
    NoPlaceForShares,
    /// A backup, or a vault that comes back from one.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// An export that does not open.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A principal to whom a tenant is not exported.
    #[error("{id}: {source}")]
    Recipient {
        /// Who.
        id: PrincipalId,
        /// Why.
        source: RecipientError,
    },
    /// Folders in which no backup should lie.
    #[error("{0}")]
    BackupPlace(&'static str),
    /// A folder without a backup of the vault.
    #[error("{}: there is no backup of it here", .0.display())]
    NoBackup(PathBuf),
    /// Vaults, or the keyrings, that were not backed up.
    #[error("{failed} of what should be backed up is not")]
    NotBackedUp {
        /// How many.
        failed: usize,
    },
    /// Backups that did not come back as they should.
    #[error("{failed} of the backups did not come back as they should")]
    DrillFailed {
        /// How many.
        failed: usize,
    },
    /// A vault that is back but for the last step.
    #[error("{vault}: everything is ready; the last step needs the daemon stopped, for a moment")]
    Restored {
        /// Which.
        vault: VaultName,
    },
    /// The running daemon.
    #[error("{}: the running daemon: {words}", socket.display())]
    BackupDaemon {
        /// Its socket.
        socket: PathBuf,
        /// What it said, or what the system did.
        words: String,
    },
    /// The data folder cannot be used.
    #[error("{}: {source}", path.display())]
    DataFolder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: DataFolderError,
    },
    /// Vaults cannot be used safely on this system.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The log could not begin.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A key could not be made.
    #[error("a key could not be made: {0}")]
    Key(#[from] crate::envelope::KeyError),
    /// The output is closed.
    #[error("the output could not be written: {0}")]
    Output(#[from] io::Error),
    /// The daemon did not start.
    #[error(transparent)]
    Serve(ServeError),
    /// A broker.
    #[error("{broker}: {source}")]
    Broker {
        /// Its name and address.
        broker: String,
        /// Why.
        source: BrokerError,
    },
    /// The configuration names no such broker.
    #[error("the configuration names no broker of this name")]
    UnknownBroker,
    /// The runtime could not be started.
    #[error("threads could not be started: {0}")]
    Runtime(io::Error),
    /// A peer's folder.
    #[error(transparent)]
    Peer(#[from] PeerSettingsError),
    /// The body of a message.
    #[error("{}: {message}", path.display())]
    Body {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A message could not be signed or encrypted.
    #[error(transparent)]
    Seal(SealingError),
    /// The broker did not take a message.
    #[error("the message was not sent: {0}")]
    Unsent(Unpublished),
    /// No reply in time.
    #[error("no reply to {id} came within {seconds} seconds")]
    NoReply {
        /// The message that was sent.
        id: MessageId,
        /// How long was waited.
        seconds: u32,
    },
    /// The relay answered that it will not.
    #[error("denied: {code}")]
    Denied {
        /// The code, as `schemas/README.md` has it.
        code: String,
    },
    /// A file of rows.
    #[error("{}: {message}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and on which line.
        message: String,
    },
    /// The demonstration's site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The demonstration went wrong.
    #[error("the demonstration failed: {0}")]
    Demo(String),
    /// Checks that failed.
    #[error("{failed} of {checks} checks failed")]
    Unhealthy {
        /// How many failed.
        failed: usize,
        /// Of how many.
        checks: usize,
    },
    /// A file that is not what it should be.
    #[error("{}: {faults} {} to be mended", path.display(), if *faults == 1 { "place is" } else { "places are" })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// How many places are wrong.
        faults: usize,
    },
    /// A JSON file that says nothing about what it is.
    #[error("{}: this is neither a directory, a catalogue nor the claims of a message", .0.display())]
    UnknownKind(PathBuf),
    /// A schema that came along is broken.
    #[error("a schema of this build is broken: {0}")]
    Schema(String),
    /// A type of which no file is loaded.
    #[error("{0} is nothing to load a file of")]
    NotLoaded(MessageType),
    /// Rows of a file were refused.
    #[error("{} refused; {} says which and why", if *refused == 1 { "1 row was".to_owned() } else { format!("{refused} rows were") }, report.display())]
    RowsRefused {
        /// How many.
        refused: u64,
        /// How many were not.
        others: u64,
        /// Where they stand.
        report: PathBuf,
    },
    /// Nothing was answered for long.
    #[error("nothing was answered any more; the first {done} lines of the file are")]
    Stalled {
        /// How many lines are answered.
        done: u64,
    },
    /// Ctrl-C while a file was loaded.
    #[error("stopped; the first {done} lines of the file are answered")]
    LoadStopped {
        /// How many lines are answered.
        done: u64,
    },
    /// A message of a load was denied.
    #[error("the message with line {line} was denied: {code}")]
    LoadDenied {
        /// The code, as `schemas/README.md` has it.
        code: String,
        /// The line at which it begins.
        line: u64,
    },
    /// Ctrl-C before it was done.
    #[error("interrupted; everything that was started is stopped")]
    Interrupted,
    /// The benchmark went wrong.
    #[error("the benchmark failed: {0}")]
    Bench(String),
}

impl CliError {
    /// What goes wrong with this broker.
    pub(super) fn of(broker: &BrokerSettings) -> impl Fn(BrokerError) -> Self {
        move |source| Self::Broker { broker: broker.to_string(), source }
    }

    /// How the program ends.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Open(_) | Self::LeftBehind(_) => Exit::Config,
            Self::NoAuthorityKey(_) => Exit::NoInput,
            Self::RelayKeysOver => Exit::Config,
            Self::Directory { .. }
            | Self::Catalogue { .. }
            | Self::OtherAuthority { .. }
            | Self::ShareFile { .. }
            | Self::OtherRootKey(_)
            | Self::UnknownTenant(_)
            | Self::Flaw { .. }
            | Self::Invalid { .. }
            | Self::RowsRefused { .. } => Exit::Data,
            Self::Share(ShareError::Count | ShareError::Threshold) => Exit::Usage,
            Self::Share(_) => Exit::Data,
            Self::Backup(error) => backup_errors::exit(error),
            Self::Export(error) => backup_errors::export_exit(error),
            Self::Recipient { .. } => Exit::Data,
            Self::BackupPlace(_) => Exit::Usage,
            Self::NoBackup(_) => Exit::NoInput,
            Self::NotBackedUp { .. } | Self::DrillFailed { .. } => Exit::Unavailable,
            Self::Restored { .. } | Self::BackupDaemon { .. } => Exit::TryAgain,
            Self::Exists(_) | Self::Write { .. } => Exit::CannotCreate,
            Self::Vault { source, .. } => match source {
                CreateError::Exists | CreateError::Folder(_) => Exit::CannotCreate,
                CreateError::Keyring(_) | CreateError::Root(RootError::Keyring(_)) => Exit::Software,
                CreateError::Root(RootError::Io(_)) => Exit::CannotCreate,
            },
            Self::Daemon { .. } | Self::Refused(_) | Self::NotDone(_) => Exit::TryAgain,
            Self::NotConfirmed | Self::NoPlaceForShares => Exit::Usage,
            Self::DataFolder { source, .. } => match source {
                DataFolderError::InUse => Exit::TryAgain,
                DataFolderError::Folder(_) => Exit::CannotCreate,
            },
            Self::Serve(error) => match error {
                ServeError::Config(_) | ServeError::Directory(_) => Exit::Config,
                ServeError::DataFolder(DataFolderError::InUse) => Exit::TryAgain,
                ServeError::DataFolder(DataFolderError::Folder(_)) | ServeError::Io(_) | ServeError::PlatformVault(_) => Exit::CannotCreate,
                ServeError::Topology { .. } => Exit::Unavailable,
                ServeError::Entropy => Exit::Software,
            },
            Self::Broker { source, .. } if source.is_transient() => Exit::TryAgain,
            Self::Filter(_) | Self::Broker { .. } | Self::Unhealthy { .. } | Self::Unsent(_) | Self::Demo(_) | Self::Bench(_) => {
                Exit::Unavailable
            }
            Self::NoReply { .. } | Self::Stalled { .. } | Self::LoadStopped { .. } => Exit::TryAgain,
            Self::LoadDenied { .. } | Self::Denied { .. } => Exit::Unavailable,
            Self::Interrupted => Exit::Interrupted,
            Self::UnknownBroker | Self::UnfitName(_) | Self::ForNobody | Self::UnknownKind(_) | Self::NotLoaded(_) => Exit::Usage,
            Self::Peer(_) | Self::Body { .. } | Self::Rows { .. } => Exit::NoInput,
            Self::Site(_) => Exit::CannotCreate,
            Self::Telemetry(_) | Self::Key(_) | Self::Seal(_) | Self::Runtime(_) | Self::Schema(_) => Exit::Software,
            Self::Output(_) => Exit::Output,
        }
    }
}
