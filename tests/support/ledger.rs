//! The ledger of a tenant, opened in the test's own process by the door that a message takes.
//!
//! Always: the daemon does not run meanwhile; the permit comes from a letter that was encrypted, signed and admitted.

use crate::stage::{Stage, now};
use nakatsugi::{
    broker::names,
    config::{self, Configuration},
    envelope::{self, Limits},
    identifier::{MessageType, TenantCode, VaultName},
    keyring::RootKey,
    ledger::{Commitment, Entry},
    tenant::{Copied, Permit, Route, TenantScope, Verified},
    vault::{Outbox, OutboxLimits, Settings, Tuning, Vaults},
};
use serde_json::json;
use std::sync::Arc;

impl Stage {
    /// Leave to open this tenant's vault, as the daemon would give it to a letter of the municipal system.
    fn permit(&self, configuration: &Configuration, tenant: TenantCode) -> Permit {
        let author = format!("municipal-{tenant}");
        let (peer, kind, id) = (self.site.peer(&author).unwrap(), MessageType::PersonLink, self.id());
        let letter = peer.write(id, tenant, kind, (now(), now().plus_seconds(60)), &json!({})).unwrap();
        let directory = configuration.open_directory().unwrap();
        let (_, keys) = configuration.relay_keys(&directory, now()).unwrap();
        let key = |kid: &_| keys.iter().find(|key| key.kid() == kid);
        let limits = Limits::default();
        let decrypted = envelope::decrypt(&letter.body, key, &configuration.suites, &limits).unwrap();
        let verified = Verified::verify(decrypted, Arc::new(directory), &limits, now()).unwrap();
        let carrier = verified.author().carriers.first().unwrap();
        let route = Route {
            broker: carrier.broker.to_string(),
            exchange: names::IN.to_owned(),
            routing_key: format!("{tenant}.{kind}"),
            user_id: carrier.user.as_ref().map(ToString::to_string),
            kind: Some(kind.to_string()),
            message_id: Some(id.to_string()),
            copied: Copied::No,
        };
        Permit::admit(&verified, &route).unwrap()
    }

    /// Every entry of a tenant's ledger about a message; the daemon must not run. The ledger is recomputed.
    pub(crate) async fn ledger(&self, tenant: TenantCode) -> Vec<(Commitment, Entry)> {
        let (entries, complaints) = self.examine_ledger(tenant).await;
        assert_eq!(complaints, Vec::<String>::new());
        entries
    }

    /// The same, with what is wrong with the ledger or its vault.
    pub(crate) async fn examine_ledger(&self, tenant: TenantCode) -> (Vec<(Commitment, Entry)>, Vec<String>) {
        let (entries, complaints) = self.examine_entries(tenant).await;
        let read = |(commitment, entry): (Commitment, Vec<u8>)| (commitment, serde_json::from_slice(&entry).unwrap());
        (entries.into_iter().map(read).collect(), complaints)
    }

    /// Every entry of a tenant's ledger as it is, opened in this process, and what is wrong with it or its vault.
    pub(crate) async fn examine_entries(&self, tenant: TenantCode) -> (Vec<(Commitment, Vec<u8>)>, Vec<String>) {
        let configuration = Configuration::load(&self.site.configuration_path()).unwrap();
        let settings = Settings {
            data: self.data(),
            root_key: RootKey::from_bytes(*config::read_root_key(&configuration.keys.root).unwrap()),
            environment: configuration.env.to_string(),
            entropy: Arc::new(self.entropy.clone()),
            outbox: Outbox::new(OutboxLimits::default()),
            listen: Arc::new(|_| ()),
            anchors: None,
            tuning: Tuning::default(),
        };
        let vaults = Vaults::new(self.filter, settings).unwrap();
        let scope = TenantScope::open(self.permit(&configuration, tenant), &vaults).await.unwrap();
        let entries: Vec<_> =
            (0..).map_while(|index| scope.vault().entry(index).unwrap()).map(|(commitment, sealing)| (commitment, sealing.entry)).collect();
        let care = vaults.resume(VaultName::Tenant(tenant)).await.unwrap();
        let mut complaints = Vec::new();
        match care.recompute_ledger() {
            Ok(recomputed) if recomputed == care.ledger() && recomputed.size() == entries.len() as u64 => {}
            other => complaints.push(format!("the tree head of {tenant} is not that of its {} entries: {other:?}", entries.len())),
        }
        if care.outstanding() != 0 {
            complaints.push(format!("{} parcels are left in the outbox of {tenant}", care.outstanding()));
        }
        drop((scope, care));
        vaults.close_all().await;
        (entries, complaints)
    }
}
