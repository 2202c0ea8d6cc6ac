//! What to do next, for everything that a command can fail with.
//!
//! Always: the table is exhaustive; each line says one thing that the reader can do.

use super::{CliError, ShareError, backup_errors, demo::SiteError, peer::PeerSettingsError};
use crate::{
    broker::BrokerError,
    config::{ConfigError, OpenError},
    daemon::ServeError,
    directory::DirectoryError,
    vault::{CreateError, DataFolderError, RootError},
};
use std::io;

const FORBIDDEN: &str = "run it as the user whom the site belongs to, or give this user the right to read it";

impl CliError {
    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::Config(error)
            | Self::Open(OpenError::Config(error))
            | Self::Serve(ServeError::Config(error) | ServeError::Directory(OpenError::Config(error))) => match error {
                ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => FORBIDDEN,
                ConfigError::Read { path, .. } if path.ends_with("root.key") => {
                    "name the right file in the configuration; a lost root key comes back from its shares: nakatsugi keys shares restore"
                }
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
            Self::Site(SiteError::Broker(_)) => "see that the broker runs, and that its address and the files in --certificates are right",
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
