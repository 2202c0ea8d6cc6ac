//! Writing files: new ones that must not be there, and the replacement of one by another.
//!
//! Always: a secret is unreadable to others from its first byte; what is replaced is replaced whole.

use super::CliError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The owner only.
    Secret,
    /// Everyone.
    Public,
}

/// Makes a folder that is not there.
pub(super) fn folder(path: &Path, access: Access) -> Result<(), CliError> {
    let mode = match access {
        Access::Secret => 0o700,
        Access::Public => 0o755,
    };
    DirBuilder::new().mode(mode).create(path).map_err(|source| refused(path, source))
}

/// Writes a file that is not there.
pub(super) fn create(path: &Path, content: impl AsRef<[u8]>, access: Access) -> Result<(), CliError> {
    let mode = match access {
        Access::Secret => 0o600,
        Access::Public => 0o644,
    };
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(content.as_ref())?;
        file.sync_all()
    });
    written.map_err(|source| refused(path, source))
}

/// Puts new content in the place of a public file.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(beside, error)),
        Ok(()) | Err(_) => {}
    }
    create(beside, content, Access::Public)?;
    fs::rename(beside, path).map_err(|source| refused(path, source))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| refused(folder, source))
}

fn refused(path: &Path, source: io::Error) -> CliError {
    if source.kind() == io::ErrorKind::AlreadyExists {
        return CliError::Exists(path.to_owned());
    }
    CliError::Write { path: path.to_owned(), source }
}
