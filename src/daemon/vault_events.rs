//! What vaults say, for the log and for whoever listens beside it.

use crate::{
    telemetry,
    vault::{Listener, VaultEvent},
};
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many events one who listens may be behind before some are lost to it.
const BEHIND: usize = 64;

/// What vaults say.
#[derive(Debug, Clone)]
pub(super) struct VaultEvents(broadcast::Sender<VaultEvent>);

impl VaultEvents {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }

    /// What the vaults are to be given: everything goes into the log first.
    pub(super) fn listener(&self) -> Listener {
        let heard = self.0.clone();
        Arc::new(move |event: VaultEvent| {
            // Mostly nobody listens.
            let _ = heard.send(event.clone());
            telemetry::vault(event);
        })
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<VaultEvent> {
        self.0.subscribe()
    }
}
