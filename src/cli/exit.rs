//! Exit codes: those of sysexits.h, so that a service manager can tell what is worth another try.
//!
//! Always: 78 means "do not restart me, change the configuration"; 75 "try again later".

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// `EX_OK`
    Done = 0,
    /// `EX_USAGE`: the arguments are wrong.
    Usage = 64,
    /// `EX_DATAERR`: a file's content is refused.
    Data = 65,
    /// `EX_NOINPUT`: a file cannot be read.
    NoInput = 66,
    /// `EX_UNAVAILABLE`: this part of the service is not there.
    Unavailable = 69,
    /// `EX_SOFTWARE`: our own fault.
    Software = 70,
    /// `EX_CANTCREAT`: a file or folder cannot be made.
    CannotCreate = 73,
    /// `EX_IOERR`: writing failed.
    Output = 74,
    /// `EX_TEMPFAIL`: later it may work.
    TryAgain = 75,
    /// `EX_CONFIG`: the configuration is wrong.
    Config = 78,
    /// 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
