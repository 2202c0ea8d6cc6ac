//! The vaults of a site, for commands that need the data folder while no daemon has it.
//!
//! Always: the filter first, as long as there is one thread. Absent: anything that publishes what an outbox holds.

use super::CliError;
use crate::{
    config::{Configuration, read_root_key},
    daemon::SystemEntropy,
    keyring::RootKey,
    vault::{Anchors, FilterInstalled, Listener, Outbox, OutboxLimits, Settings, Tuning, Vaults},
};
use std::{io, sync::Arc};

/// Takes hold of the data folder.
pub(super) fn of(configuration: &Configuration, filter: FilterInstalled, listen: Listener) -> Result<Vaults, CliError> {
    let settings = Settings {
        data: configuration.data.clone(),
        root_key: RootKey::from_bytes(*read_root_key(&configuration.keys.root)?),
        environment: configuration.env.to_string(),
        entropy: Arc::new(SystemEntropy::open().map_err(|_| CliError::Output(io::Error::other("no random bytes")))?),
        outbox: Outbox::new(OutboxLimits::default()),
        listen,
        anchors: configuration.anchors.as_ref().map(|anchors| Anchors::in_folder(anchors.folder.clone())),
        tuning: Tuning::default(),
    };
    Vaults::new(filter, settings).map_err(|source| CliError::DataFolder { path: configuration.data.clone(), source })
}
