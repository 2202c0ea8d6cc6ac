//! A peer: the other side of a conversation, as `ask`, the demo, the benchmark and the tests need it.
//!
//! Always: a reply counts only after it decrypted with the peer's key and verified under the relay's. Absent: the relay's
//! insides; a peer knows what `schemas/` tells any other.

mod settings;

use crate::{
    broker::{
        BrokerError, BrokerSettings, Delivery, Intake, IntakeSettings, Observer, Publication, Publisher, PublisherSettings, Purpose,
        Source, Unpublished, Unroutable, names,
    },
    calendar::Timestamp,
    envelope::{self, Draft, EnvelopeError, Limits, Padding, SealingError, SuitePolicy, claims_digest},
    identifier::{MessageId, MessageType, PrincipalId, TenantCode},
    ledger::{Commitment, Promise},
};
use ring::rand::SystemRandom;
use serde::Serialize;
use serde_json::value::RawValue;
pub use settings::{FILE, PeerBroker, PeerKeys, PeerSettings, PeerSettingsError};
use std::{path::Path, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::sync::mpsc;

/// A principal that can speak: its keys and names, no connection.
#[derive(Debug)]
pub struct Peer {
    settings: PeerSettings,
    keys: PeerKeys,
}

/// A message ready to be sent, as often as one likes.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its id.
    pub id: MessageId,
    /// Its type.
    pub kind: MessageType,
    /// Whom it concerns.
    pub tenant: TenantCode,
    /// The envelope.
    pub body: Arc<[u8]>,
}

/// A reply that decrypted and verified.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its id.
    pub id: MessageId,
    /// What it answers.
    pub re: Option<MessageId>,
    /// Its type.
    pub kind: MessageType,
    /// The tenant it is from.
    pub tenant: TenantCode,
    /// What it says.
    pub body: Box<RawValue>,
    /// The promise of the ledger's entry.
    pub promise: Promise,
    /// What the ledger committed to.
    pub commitment: Commitment,
}

/// Why a reply is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// It did not decrypt or verify.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It names another signing key than the relay's.
    #[error("the reply is signed with an unknown key")]
    UnknownKey,
    /// It is not from the relay, or not for this peer.
    #[error("the reply is not from the relay to this peer")]
    Parties,
    /// It makes no promise.
    #[error("the reply has no promise")]
    NoPromise,
}

impl Peer {
    /// A peer with its keys.
    #[must_use]
    pub const fn new(settings: PeerSettings, keys: PeerKeys) -> Self {
        Self { settings, keys }
    }

    /// The principal of a folder with `peer.toml` and its keys.
    ///
    /// # Errors
    /// [`PeerSettingsError`] names the file.
    pub fn open(folder: &Path) -> Result<Self, PeerSettingsError> {
        let settings = PeerSettings::read(folder)?;
        let keys = settings.keys()?;
        Ok(Self::new(settings, keys))
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &PrincipalId {
        &self.settings.id
    }

    /// Signs and encrypts a message.
    ///
    /// # Errors
    /// The body cannot be written as JSON, or the random source failed.
    pub fn write(
        &self,
        id: MessageId,
        tenant: TenantCode,
        kind: MessageType,
        (iat, exp): (Timestamp, Timestamp),
        body: &impl Serialize,
    ) -> Result<Letter, SealingError> {
        let draft = Draft {
            iss: self.settings.id.clone(),
            aud: self.settings.relay.clone(),
            jti: id,
            iat,
            exp,
            env: self.settings.env,
            tenant,
            kind,
            re: None,
            body,
        };
        let random = SystemRandom::new();
        let payload = draft.compose()?.without_promise(Padding::None);
        let body = envelope::encrypt(&envelope::sign(&payload, &self.keys.signing, &random)?, &self.keys.encryption, &random)?;
        Ok(Letter { id, kind, tenant, body: body.into() })
    }

    /// Opens and verifies a reply.
    ///
    /// # Errors
    /// [`ReplyError`]: do not believe it.
    pub fn read(&self, body: &[u8]) -> Result<Reply, ReplyError> {
        let limits = Limits::default();
        let own = |kid: &_| (kid == self.keys.decryption.kid()).then_some(&self.keys.decryption);
        let decrypted = envelope::decrypt(body, own, &SuitePolicy::default(), &limits)?;
        if decrypted.kid() != self.keys.verification.kid() {
            return Err(ReplyError::UnknownKey);
        }
        let authentic = decrypted.verify(&self.keys.verification, &limits)?;
        let claims = authentic.claims()?;
        if claims.iss != self.settings.relay || claims.aud != self.settings.id || claims.env != self.settings.env {
            return Err(ReplyError::Parties);
        }
        let promise = claims.promise.ok_or(ReplyError::NoPromise)?;
        let digest = claims_digest(authentic.payload(), &promise)?;
        Ok(Reply {
            id: claims.jti,
            re: claims.re,
            kind: claims.kind,
            tenant: claims.tenant,
            body: claims.body.to_owned(),
            commitment: Commitment::of(&digest, &promise),
            promise,
        })
    }

    /// Connects to the broker and leaves again, so that whoever waits for a reply knows that one can come.
    ///
    /// # Errors
    /// [`BrokerError`]: a file, the address, the certificate or the broker is not as it must be.
    pub async fn reach(&self) -> Result<(), BrokerError> {
        let connection = self.settings.broker_settings().connect(Purpose::Publish).await?;
        // It is given up either way.
        let _ = connection.close(200, "".into()).await;
        Ok(())
    }

    /// The broker that it talks to.
    #[must_use]
    pub fn broker(&self) -> BrokerSettings {
        self.settings.broker_settings()
    }

    /// The payload of an envelope that is for this peer and from its relay; nothing is known of what it says.
    #[must_use]
    pub fn open_from_relay(&self, envelope: &[u8]) -> Option<Vec<u8>> {
        let limits = Limits::default();
        let own = |kid: &_| (kid == self.keys.decryption.kid()).then_some(&self.keys.decryption);
        let decrypted = envelope::decrypt(envelope, own, &SuitePolicy::default(), &limits).ok()?;
        let authentic =
            (decrypted.kid() == self.keys.verification.kid()).then(|| decrypted.verify(&self.keys.verification, &limits).ok())??;
        Some(authentic.payload().to_vec())
    }

    /// Starts sending.
    #[must_use]
    pub fn publisher(&self, observer: Observer) -> Publisher {
        let settings = PublisherSettings {
            broker: self.settings.broker_settings(),
            user: self.settings.broker.user.clone(),
            lanes: 1,
            round: 512,
            confirmed_within: Duration::from_secs(30),
        };
        Publisher::start(settings, observer)
    }

    /// Starts reading replies, at most `prefetch` unsettled.
    #[must_use]
    pub fn intake(&self, prefetch: u16, observer: Observer) -> (Intake, mpsc::Receiver<Delivery>) {
        let queues = vec![Source { queue: self.settings.queue.as_str().into(), prefetch }];
        Intake::start(IntakeSettings { broker: self.settings.broker_settings(), queues }, observer)
    }
}

impl Letter {
    /// How it goes to the broker.
    #[must_use]
    pub fn publication(&self) -> Publication {
        Publication {
            exchange: names::IN.to_owned(),
            routing_key: format!("{}.{}", self.tenant, self.kind),
            kind: self.kind.to_string(),
            message_id: self.id.to_string(),
            correlation_id: None,
            headers: Vec::new(),
            body: Arc::clone(&self.body),
            unroutable: Unroutable::Returned,
        }
    }

    /// Sends it and waits for the broker's confirmation.
    ///
    /// # Errors
    /// [`Unpublished`] says why it does not count as sent.
    pub async fn send(&self, publisher: &Publisher) -> Result<(), Unpublished> {
        publisher.publish(self.publication()).await.map(drop)
    }
}
