//! The filter that makes sled durable: `sync_file_range` answers ENOSYS, so sled falls back to a real fsync.
//!
//! Always: no vault opens without [`FilterInstalled`], and only [`install`] makes one. Sled 0.34.7 syncs with
//! `sync_file_range`, which waits for data but neither for metadata nor for the disk's cache, and reuses segments that it
//! believes stable (design §5). Absent: anything for other systems than Linux; sled calls fsync there.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::{collections::BTreeMap, fs, io, sync::OnceLock};
use thiserror::Error;

/// Proof that the filter is in place for every thread of this process.
#[derive(Debug, Clone, Copy)]
pub struct FilterInstalled(());

/// Why the filter could not be put in place.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The number of the system call is known for x86-64, aarch64 and riscv64.
    #[error("the filter for sync_file_range is not known on this architecture")]
    Architecture,
    /// The kernel refused it.
    #[error("the filter for sync_file_range could not be installed")]
    Refused(#[source] seccompiler::Error),
    /// The kernel took it, but its status does not show it.
    #[error("the filter for sync_file_range is not in effect")]
    NotInEffect,
    /// The process's status could not be read.
    #[error("the status of this process could not be read")]
    Status(#[source] io::Error),
}

/// `ENOSYS` (asm-generic/errno.h).
const ENOSYS: u32 = 38;

/// The number of `sync_file_range` (x86: syscall_64.tbl; others: asm-generic/unistd.h).
const fn sync_file_range(arch: TargetArch) -> i64 {
    match arch {
        TargetArch::x86_64 => 277,
        TargetArch::aarch64 | TargetArch::riscv64 => 84,
    }
}

static INSTALLED: OnceLock<()> = OnceLock::new();

/// Puts the filter in place, for this process and all it starts. Call it first, before any thread is made; a second call
/// finds it there.
///
/// # Errors
/// [`FilterError`]; the program must not open a vault then.
pub fn install() -> Result<FilterInstalled, FilterError> {
    if INSTALLED.get().is_some() {
        return Ok(FilterInstalled(()));
    }
    #[cfg(feature = "sabotage")]
    if crate::sabotage::is(crate::sabotage::Sabotage::NoFilter) {
        return Ok(FilterInstalled(()));
    }
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|_| FilterError::Architecture)?;
    let rules = BTreeMap::from([(sync_file_range(arch), Vec::new())]);
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS), arch)
        .and_then(TryInto::try_into)
        .map_err(|error| FilterError::Refused(error.into()))?;
    let before = filters()?;
    seccompiler::apply_filter_all_threads(&program).map_err(FilterError::Refused)?;
    if filters()? <= before {
        return Err(FilterError::NotInEffect);
    }
    INSTALLED.get_or_init(|| ());
    Ok(FilterInstalled(()))
}

/// How many filters are in effect, as the kernel counts them (proc(5)).
fn filters() -> Result<u32, FilterError> {
    let status = fs::read_to_string("/proc/thread-self/status").map_err(FilterError::Status)?;
    let count = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    count.and_then(|count| count.trim().parse().ok()).ok_or(FilterError::NotInEffect)
}
