//! The process that reads one PDF: from its input to its output, and then it ends.
//!
//! Always: before the first byte of the file is looked at, the process can open nothing, start nothing and reach nobody, has
//! little memory and little time, and leaves no core. Absent: anything that outlives it.

use super::pdf;
use crate::record::FILE_BYTES;
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::{
    io::{self, Read as _},
    panic,
};

/// The most memory it may write to, in bytes (measured: the largest of 40 ordinary files takes 40 MiB).
const MEMORY: u64 = 384 << 20;
/// The most seconds of a processor.
const PROCESSOR: u64 = 4;

/// Reads a PDF from `input` and says what stands in it on `output`, as JSON.
///
/// # Errors
/// The system's, if the limits cannot be set or the answer cannot be given.
pub fn read_pdf(input: &mut dyn io::Read, output: &mut dyn io::Write) -> io::Result<()> {
    // SECURITY: a panic's words may hold what stands in the file.
    panic::set_hook(Box::new(|_| {}));
    confine()?;
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    input.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    serde_json::to_writer(&mut *output, &pdf::read(bytes))?;
    output.flush()
}

fn confine() -> io::Result<()> {
    let limits = [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nproc, 0), (Resource::Cpu, PROCESSOR), (Resource::Data, MEMORY)];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow, arch).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

/// `EPERM` (asm-generic/errno-base.h).
const EPERM: u32 = 1;

/// What is left to do for whoever only computes: take and give bytes, memory, time, chance, and an end.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
