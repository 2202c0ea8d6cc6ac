//! What becomes of errors about backups and exports: exit code and next step.
//!
//! Always: both tables are exhaustive.

use super::Exit;
use crate::vault::{
    DataFolderError,
    backup::{BackupError, ExportError},
};

/// How the program ends.
pub(super) const fn exit(error: &BackupError) -> Exit {
    match error {
        BackupError::Io { .. } | BackupError::Place(DataFolderError::Folder(_)) => Exit::CannotCreate,
        BackupError::Exists(_) | BackupError::There(_) => Exit::CannotCreate,
        BackupError::Place(DataFolderError::InUse) | BackupError::Fault(_) | BackupError::Busy | BackupError::CutShort => Exit::TryAgain,
        BackupError::NotABackup(_)
        | BackupError::OtherVault { .. }
        | BackupError::OtherEnvironment(_)
        | BackupError::Sealed(_)
        | BackupError::Content(_)
        | BackupError::KeyBackup(_)
        | BackupError::NoKeyring { .. }
        | BackupError::Keyring(_)
        | BackupError::Tree
        | BackupError::Values { .. }
        | BackupError::Anchor(_)
        | BackupError::Behind { .. }
        | BackupError::Forked => Exit::Data,
    }
}

/// What to do next.
pub(super) const fn next(error: &BackupError) -> &'static str {
    match error {
        BackupError::Io { .. } => {
            "see that the folder exists, is readable, and its disk has room; then run the same command again: it goes on"
        }
        BackupError::Busy => "run the same command again when that is done",
        BackupError::Fault(_) => "see what the log says of this vault, and: nakatsugi doctor",
        BackupError::NotABackup(_) | BackupError::OtherVault { .. } | BackupError::OtherEnvironment(_) => {
            "name the right file; a backup ends in .backup and its first line says whose it is"
        }
        BackupError::Sealed(_) | BackupError::Content(_) => {
            "take another copy or an older backup, and the newest key backup; keep this one for whoever looks into it"
        }
        BackupError::KeyBackup(_) | BackupError::Keyring(_) => "take the newest key backup, and shares of the root key it was made under",
        BackupError::NoKeyring { .. } => "take the newest key backup",
        BackupError::Values { .. } => "take the newest key backup and a backup that was made after the last rotation of keys",
        BackupError::There(_) => "choose another place, or move away what is there",
        BackupError::Exists(_) => "if that vault is lost: stop the daemon, move it away, keep it, and give its journal with --journal",
        BackupError::Place(_) | BackupError::CutShort => {
            "see that no other command works on it, then run the same command again: it goes on"
        }
        BackupError::Tree => "take another copy or an older backup; keep this one for whoever looks into it",
        BackupError::Anchor(_) => "mount the volume of the anchors; restoring without them could bring back an old copy unnoticed",
        BackupError::Behind { .. } => {
            "look for a newer backup, or for the lost vault's journal (--journal); if there is none: --older-than-anchor"
        }
        BackupError::Forked => "find out who made it; it is not brought back",
    }
}

/// How the program ends.
pub(super) const fn export_exit(error: &ExportError) -> Exit {
    match error {
        ExportError::Io { .. } => Exit::CannotCreate,
        ExportError::NotAnExport(_) | ExportError::Foreign(_) | ExportError::Sealed(_) => Exit::Data,
    }
}

/// What to do next.
pub(super) const fn export_next(error: &ExportError) -> &'static str {
    match error {
        ExportError::Io { .. } => "see that the files are readable and the folder can be made",
        ExportError::NotAnExport(_) => "name the file that nakatsugi export has made",
        ExportError::Foreign(_) => "open it as the municipal system that it was made for; its first line says which",
        ExportError::Sealed(_) => "take another copy of the file; what was written so far is not all",
    }
}
