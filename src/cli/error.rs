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

const FORBIDDEN: &str = "run it as the user whom the site belongs to, or give this user the right to read it";

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

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::Config(error) | Self::Open(OpenError::Config(error)) | Self::Serve(ServeError::Config(error)) => match error {
                ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => FORBIDDEN,
                ConfigError::Read { .. } => "name the right file, with --config or in the configuration; a new site: nakatsugi init FOLDER",
                ConfigError::Line { .. } => "mend this line, then run: nakatsugi directory sign --key FILE",
                ConfigError::Permissions { .. } => "if others could read it, take it for known: make a new one",
                ConfigError::NotASecret { .. } | ConfigError::Content { .. } => {
                    "restore the file, or name the right one in the configuration"
                }
                ConfigError::Broker { .. } => {
                    "add it to the configuration or mend the directory, then run: nakatsugi directory sign --key FILE"
                }
            },
            Self::Open(OpenError::RelayKey { .. }) => "enter its public key under the relay, then run: nakatsugi directory sign --key FILE",
            Self::Open(OpenError::Directory { source, .. }) => match source {
                DirectoryError::Signature | DirectoryError::Digest(_) => {
                    "if you changed it, run: nakatsugi directory sign --key FILE; if you did not, somebody did: find out who, restore it"
                }
                DirectoryError::Shape(_) => {
                    "to see all that is wrong: nakatsugi validate FILE; then run: nakatsugi directory sign --key FILE"
                }
                DirectoryError::TooLarge
                | DirectoryError::Format
                | DirectoryError::Environment { .. }
                | DirectoryError::Catalogue(_)
                | DirectoryError::Rules(_)
                | DirectoryError::Stale { .. }
                | DirectoryError::Sign => "mend it, then run: nakatsugi directory sign --key FILE",
            },
            Self::Directory { source: DirectoryError::Shape(_), .. } => {
                "to see all that is wrong: nakatsugi validate FILE; then sign again; nothing was written"
            }
            Self::Directory { .. } | Self::Catalogue { .. } => "mend it and sign again; nothing was written",
            Self::OtherAuthority { .. } => "sign with the authority's key: nakatsugi directory sign --key FILE",
            Self::UnfitName(_) => "take a shorter name",
            Self::ForNobody => "say for which: --tenant 142051; several times for several tenants",
            Self::RelayKeysOver => "make new ones, enter them under the relay, then run: nakatsugi directory sign --key FILE",
            Self::NoAuthorityKey(_) => "give it from where it is kept: nakatsugi directory sign --key FILE",
            Self::Exists(_) => "choose another place, or move away what is there",
            Self::Write { .. } => "see that the folder exists, is yours, and has room",
            Self::Share(ShareError::Count | ShareError::Threshold) => "for example: --shares 5 --threshold 3",
            Self::Share(_) | Self::ShareFile { .. } => "give the files of enough shares of one root key, each once",
            Self::OtherRootKey(_) => {
                "the shares are of another root key, or one is damaged; until a drill succeeds, this key has no recovery"
            }
            Self::LeftBehind(_) => "move it to another place, each share to another person; then start again",
            Self::UnknownTenant(_) => "add the tenant to the directory, then run: nakatsugi directory sign --key FILE",
            Self::Vault { source, .. } => match source {
                CreateError::Exists => "nothing needs to be done; to see the tenants: nakatsugi tenant list",
                CreateError::Folder(_) | CreateError::Root(RootError::Io(_)) => "see that the data folder is yours and has room",
                CreateError::Keyring(_) | CreateError::Root(RootError::Keyring(_)) => "this is our fault: please report it",
            },
            Self::Backup(error) => backup_errors::next(error),
            Self::Export(error) => backup_errors::export_next(error),
            Self::Recipient { .. } => "name a municipal system of this tenant; who is one is for the signed directory to say",
            Self::BackupPlace(_) => "give two folders outside the data folder, best on other machines: --to FOLDER --keys-to FOLDER",
            Self::NoBackup(_) => "name the folder with the backups, or the backup",
            Self::NotBackedUp { .. } => "mend what stands beside each of them, then run the same command again",
            Self::DrillFailed { .. } => "do what stands beside each of them; until a drill succeeds, there is no backup",
            Self::Restored { .. } => "stop the daemon, run the same command again, which takes a moment now, and start it",
            Self::BackupDaemon { .. } => "see that the daemon runs and that you are its user or root; then run the same command again",
            Self::Flaw { .. } => "see what else is wrong: nakatsugi doctor",
            Self::Daemon { .. } => "ask as the daemon's own user or as root; if something else has the data folder, wait until it is done",
            Self::Refused(_) | Self::NotDone(_) => "see the log for the cause, then run it again: it goes on where it was",
            Self::NotConfirmed => "type the tenant's code when asked, or add --yes",
            Self::NoPlaceForShares => "name a folder that is not there: --shares-to FOLDER",
            Self::DataFolder { source, .. } => match source {
                DataFolderError::InUse => "stop the daemon first",
                DataFolderError::Folder(_) => "see that the data folder is yours and has room",
            },
            Self::Filter(_) => "run on Linux 4.14 or newer, with seccomp allowed",
            Self::Serve(error) => match error {
                ServeError::Config(_) | ServeError::Directory(_) => "mend it, then run: nakatsugi directory sign --key FILE",
                ServeError::DataFolder(DataFolderError::InUse) => "stop the daemon that has it first",
                ServeError::DataFolder(DataFolderError::Folder(_)) | ServeError::Io(_) | ServeError::PlatformVault(_) => {
                    "see that the data folder is yours and has room"
                }
                ServeError::Topology { source: BrokerError::Missing(_) | BrokerError::Different { .. }, .. } => {
                    "run: nakatsugi topology apply, with the operator's certificate"
                }
                ServeError::Topology { .. } => "see that the [[broker]] table's address and its three PEM files are right",
                ServeError::Entropy => "this is the system's fault: see that getrandom(2) answers",
            },
            Self::Broker { source: BrokerError::Credentials { .. }, .. } => {
                "have it issued (PEM), and name it in the [[broker]] table of the configuration, or in peer.toml"
            }
            Self::Broker { source: BrokerError::NotAllowed { .. }, .. } => {
                "only the operator may declare: give --certificate FILE --key FILE; others get their rights from topology definitions"
            }
            Self::Broker { source: BrokerError::Missing(_) | BrokerError::Different { .. }, .. } => {
                "run: nakatsugi topology apply, with the operator's certificate"
            }
            Self::Broker { .. } => "see that the broker runs, and that its address and the certificates in the configuration are right",
            Self::UnknownBroker => "name one of the [[broker]] tables of the configuration",
            Self::Runtime(_) => "see how many processes and threads this user may have",
            Self::Peer(PeerSettingsError::Secret(ConfigError::Permissions { .. })) => {
                "if others could read it, take it for known: make a new principal, and revoke this one in the directory"
            }
            Self::Peer(_) => "give --as-peer the folder of a principal, with peer.toml and its keys",
            Self::Body { .. } => {
                "give a file with one JSON object, as schemas/body describes it; to see all that is wrong: nakatsugi validate"
            }
            Self::Unsent(_) => {
                "see that the tenant stands in the directory, that topology apply was run since, and that this principal may send \
                 messages of this type to it"
            }
            Self::NoReply { .. } => {
                "see that the daemon runs; what it could not believe stands in its log as message.dead-lettered; \
                 the same command with --id and this id asks again without asking twice"
            }
            Self::Denied { .. } => "schemas/README.md says what the code means; asking again in the same way changes nothing",
            Self::Rows { .. } => {
                "give a file with one row on each line, as schemas/body describes a row; to see all that is wrong: \
                 nakatsugi validate --type TYPE FILE.ndjson"
            }
            Self::Site(_) => "see that the folder is empty and yours, and that RabbitMQ is installed: deploy/needs rabbitmq-server",
            Self::Demo(_) => "run it again with --keep FOLDER and read serve.log in that folder",
            Self::Unhealthy { .. } => "do what stands beside each of them, then run: nakatsugi doctor",
            Self::Invalid { .. } => "mend these places; the schemas and their descriptions lie in schemas/",
            Self::UnknownKind(_) => "if it is a message's body, say of which type: --type record.put",
            Self::NotLoaded(_) => "load record.put, record.delete, person.link, person.restrict or person.erase",
            Self::RowsRefused { others: 0, .. } => "mend these rows and load the file again; none of it is in effect",
            Self::RowsRefused { .. } => "mend these rows and load them from a file of their own; the others are in effect",
            Self::Stalled { .. } => {
                "see that the daemon runs and this tenant's vault is open, and that its log has no message.dead-lettered for these lines; \
                 then run the same command again: it goes on"
            }
            Self::LoadStopped { .. } => "run the same command again: it goes on",
            Self::LoadDenied { .. } => "schemas/README.md says what the code means; then run the same command again: it goes on",
            Self::Interrupted => "run it again when there is time",
            Self::Bench(_) => {
                "run it again with --keep FOLDER and read serve.log in that folder; a machine that is busy otherwise measures nothing"
            }
            Self::Telemetry(_) | Self::Key(_) | Self::Seal(_) | Self::Schema(_) => "this is our fault: please report it",
            Self::Output(_) => "see that the output is open and has room",
        }
    }
}
