//! The binary: arguments → configuration → logs → runtime → exit code.

use clap::Parser as _;
use nakatsugi::{
    cli::{self, Arguments, Exit, Outside},
    daemon::{SystemClock, SystemEntropy},
};
use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            let wrong = message.use_stderr();
            // Nobody is left to tell if this fails.
            let _ = message.print();
            return if wrong { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let Ok(entropy) = SystemEntropy::open() else {
        let _ = writeln!(stderr(), "nakatsugi: the operating system gives no random bytes");
        return Exit::Software.into();
    };
    let mut outside = Outside { clock: &SystemClock, entropy: &entropy, out: &mut stdout() };
    match cli::run(&arguments, &mut outside) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            let _ = writeln!(stderr(), "nakatsugi: {error}\n  next: {}", error.next());
            error.exit().into()
        }
    }
}
