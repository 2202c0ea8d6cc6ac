//! Asking for an operation: of the running daemon if there is one, otherwise it is done here.
//!
//! Always: what comes of each vault is printed as it comes, and how far it is meanwhile; it ends with an error if anything was not
//! done. Absent: deciding what is done.

use super::{CliError, Outside, vaults};
use crate::{
    config::Configuration,
    daemon::{
        Registrar, SystemEntropy,
        admin::{self, DONE, Line},
        operations::{self, Operations, Report, Request},
    },
    identifier::VaultName,
    vault::{CreateError, DataFolderError, FilterInstalled, VaultEvent, Vaults},
};
use std::{
    io::{self, BufRead as _, BufReader, Write},
    os::unix::net::UnixStream,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};
use tokio::runtime;

/// Asks for it, and prints what comes of it.
pub(super) fn ask(
    configuration: &Configuration,
    filter: FilterInstalled,
    request: &Request,
    outside: &mut Outside<'_>,
) -> Result<(), CliError> {
    let (hear, heard) = mpsc::channel();
    let told = hear.clone();
    let listen = Arc::new(move |event: VaultEvent| {
        if let Some(words) = admin::progress(&event) {
            // Nobody listens any more at the end.
            let _ = told.send(Line::Progress(words));
        }
    });
    let not_done = match vaults::of(configuration, filter, listen) {
        Ok(vaults) => {
            let working = here(configuration, vaults, request.clone(), hear)?;
            let not_done = print(heard.into_iter().map(Ok), outside.out);
            working.join().map_err(|_| CliError::Refused("the operation ended by itself".to_owned()))?;
            not_done?
        }
        Err(CliError::DataFolder { source: DataFolderError::InUse, .. }) => there(configuration, request, outside.out)?,
        Err(error) => return Err(error),
    };
    if not_done == 0 { Ok(()) } else { Err(CliError::NotDone(not_done)) }
}

/// One or the other line, for people. Returns whether it says that something was not done.
fn say(line: &Line, out: &mut dyn Write) -> Result<bool, CliError> {
    match line {
        Line::Report(Report { vault, words, done }) => {
            writeln!(out, "{vault}: {words}")?;
            Ok(!done)
        }
        Line::Progress(words) => {
            writeln!(out, "  {words}")?;
            Ok(false)
        }
        Line::End(words) if words == DONE => Ok(false),
        Line::End(words) => Err(CliError::Refused(words.clone())),
    }
}

/// Prints lines up to the end. Returns how many said that something was not done.
fn print(lines: impl Iterator<Item = Result<Line, CliError>>, out: &mut dyn Write) -> Result<usize, CliError> {
    let mut count = 0;
    for line in lines {
        let line = line?;
        count += usize::from(say(&line, out)?);
        if matches!(line, Line::End(_)) {
            return Ok(count);
        }
    }
    Err(CliError::Refused("the operation ended by itself".to_owned()))
}

/// Has the running daemon do it.
fn there(configuration: &Configuration, request: &Request, out: &mut dyn Write) -> Result<usize, CliError> {
    let path = admin::socket(&configuration.data);
    let unreachable = |source| CliError::Daemon { path: path.clone(), source };
    let mut stream = UnixStream::connect(&path).map_err(unreachable)?;
    let mut text = serde_json::to_vec(request).map_err(io::Error::from)?;
    text.push(b'\n');
    stream.write_all(&text).map_err(unreachable)?;
    let line = |line: io::Result<String>| serde_json::from_str(&line.map_err(unreachable)?).map_err(|error| unreachable(error.into()));
    print(BufReader::new(stream).lines().map(line), out)
}

/// Does it in this process.
fn here(configuration: &Configuration, vaults: Vaults, request: Request, say: mpsc::Sender<Line>) -> Result<JoinHandle<()>, CliError> {
    let directory = configuration.open_directory()?;
    let entropy = SystemEntropy::open().map_err(|_| CliError::Output(io::Error::other("no random bytes")))?;
    match vaults.create(VaultName::Platform) {
        Ok(()) | Err(CreateError::Exists) => {}
        Err(error) => return Err(CliError::Refused(error.to_string())),
    }
    operations::take_up_next_root(&vaults, &configuration.keys.root)?;
    let registrar = Registrar::new(vaults.clone(), directory.relay().id.clone(), configuration.signing_key()?, entropy);
    let operations = Operations::new(vaults.clone(), registrar, configuration);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(CliError::Runtime)?;
    let operator = rustix::process::getuid().as_raw();
    Ok(thread::spawn(move || {
        let performed = runtime.block_on(async {
            let performed = operations.perform(operator, &request, |report| drop(say.send(Line::Report(report)))).await;
            vaults.close_all().await;
            performed
        });
        // Nobody listens any more if the output is closed.
        let _ = say.send(Line::End(performed.map_or_else(|fault| fault.to_string(), |()| DONE.to_owned())));
    }))
}
