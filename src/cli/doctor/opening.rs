//! Opening every vault, as a start would: stores are compared with their manifests, journals replayed, what is damaged rebuilt.
//!
//! Always: one after the other, and closed again; nothing that a vault holds is read. Absent: a vault that does not exist.

use super::finding::Finding;
use crate::{
    cli::{CliError, vaults},
    config::Configuration,
    vault::{VaultEvent, filter},
};
use std::{
    io::{IsTerminal as _, Write as _, stderr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime;

const ABOUT: &str = "opening";

/// Opens and closes each vault of the configuration's data folder.
pub(super) fn all(config: &Path) -> Vec<Finding> {
    open(config).unwrap_or_else(|error| vec![Finding::error(ABOUT, error)])
}

fn open(config: &Path) -> Result<Vec<Finding>, CliError> {
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let listen = move |event| listener.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    let vaults = vaults::of(&configuration, filter, Arc::new(listen))?;
    let names = vaults.names()?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(CliError::Runtime)?;
    let mut found = Vec::new();
    runtime.block_on(async {
        for (done, name) in names.iter().enumerate() {
            if stderr().is_terminal() {
                // Progress is for whoever watches.
                let _ = write!(stderr(), "\r{done} of {} vaults opened", names.len());
            }
            if let Err(fault) = vaults.resume(*name).await {
                let words = format!("{name}: {fault}");
                let next = "its tenant is not served: restore this vault from its backup, and keep what is there for whoever looks into it";
                found.push(Finding::failed(ABOUT, words, next));
            }
        }
        vaults.close_all().await;
    });
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r{:40}\r", "");
    }
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    for event in told.iter() {
        if let VaultEvent::StoreRebuilding { vault, .. } = event {
            let next = "nothing: it is whole again; if it happens often, look at the disk";
            found.push(Finding::warning(ABOUT, format!("{vault}: its store was rebuilt from the journal"), next));
        }
    }
    found.push(Finding::good(ABOUT, format!("{} vaults were opened and closed", names.len())));
    Ok(found)
}
