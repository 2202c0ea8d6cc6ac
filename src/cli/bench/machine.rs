//! What the system says of processes and files: processor time, memory, disk; and of itself.

use super::failed;
use crate::cli::CliError;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

/// Processor time that a process has used, all its threads, in user and kernel mode (`proc(5)`, fields 14 and 15 of stat).
pub(super) fn processor_time(pid: u32) -> Result<Duration, CliError> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
    // The name in the second field may hold anything but ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Ok(Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Memory of a process in KiB: resident now, and at its most.
pub(super) fn memory(pid: u32) -> Result<(u64, u64), CliError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(failed)?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next());
    let number = |name: &str| line(name).and_then(|number| number.parse().ok()).unwrap_or_default();
    Ok((number("VmRSS:"), number("VmHWM:")))
}

/// Bytes that a folder takes on disk.
pub(super) fn disk(folder: &Path) -> u64 {
    // What goes away while we look takes nothing.
    fs::read_dir(folder).into_iter().flatten().flatten().fold(0, |sum, entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => sum + disk(&entry.path()),
        Ok(metadata) => sum + metadata.blocks() * 512,
        Err(_) => sum,
    })
}

/// The processors of this machine, in words.
pub(super) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {}, Linux {}", model.map_or("unknown processor", |(_, name)| name.trim()), kernel.trim())
}
