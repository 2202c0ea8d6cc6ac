//! The five things the way needs from outside: vaults, a broker, a clock, entropy, and somebody who looks into files.
//!
//! Always: defined here, where they are used; the edges implement them. A vault is reached only with a `Permit`, and what
//! it offers names no tenant: it holds one.

use crate::{
    calendar::Timestamp,
    command::{Examined, ScannerFault},
    identifier::{MessageId, MessageType, PersonName, PrincipalId},
    ledger::{Commitment, Sealing},
    record::{ContentName, File, FileContent, PersonChange, PersonId, PersonNeed, View},
    tenant::{Permit, Route, Unscoped},
};
use std::{fmt, future::Future, sync::Arc};
use thiserror::Error;

/// Opens vaults.
pub trait Vaults: Send + Sync {
    /// An open vault.
    type Vault: Vault;

    /// Opens the vault that the permit names, or finds it open. Only a `TenantScope` gets at what was opened.
    fn open(&self, permit: &Permit) -> impl Future<Output = Result<Unscoped<Self::Vault>, VaultFault>> + Send;
}

/// One tenant's vault.
pub trait Vault: Send + Sync {
    /// What is remembered of a message, if it was handled before.
    ///
    /// # Errors
    /// [`VaultFault`] if the vault cannot be read.
    fn recall(&self, message: &MessageKey) -> Result<Option<Remembered>, VaultFault>;

    /// The person whom a name leads to.
    ///
    /// # Errors
    /// [`VaultFault`] if the vault cannot be read.
    fn person(&self, name: &PersonName) -> Result<Option<PersonId>, VaultFault>;

    /// Shows what a command needs to see: one answer per need, in the same order.
    ///
    /// # Errors
    /// [`VaultFault`] if a row that should be there is missing or does not open: never taken for "nothing".
    fn view(&self, needs: &[PersonNeed]) -> Result<View, VaultFault>;

    /// The bytes of these attachments, in their order. Each must have stood in the list that a view showed in the same turn.
    ///
    /// # Errors
    /// [`VaultFault`] if one is missing or does not open.
    fn contents(&self, names: &[ContentName]) -> Result<Vec<FileContent>, VaultFault>;

    /// The latest time up to which ids are forgotten: a message that expired by then cannot be told from a repeat.
    fn floor(&self) -> Timestamp;

    /// Whether there is room for anything new. Asked before a message is handled: one that must wait costs little.
    ///
    /// # Errors
    /// [`VaultFault`] if there is none.
    fn takes_in(&self) -> Result<(), VaultFault>;

    /// Makes a frame durable and applies it: afterwards all of it is in effect, or nothing happened.
    /// Its parcels are in the outbox from then on.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the frame back.
    fn commit(&self, frame: Frame) -> impl Future<Output = Result<Journalled, VaultFault>> + Send;

    /// Puts the parcels of a message that was handled before into the outbox again, byte for byte.
    fn repeat(&self, message: &MessageKey) -> impl Future<Output = Result<Repeated, VaultFault>> + Send;
}

/// The broker, as far as the way needs it; what is in the outbox is published behind the vault's back.
pub trait Broker: Send + Sync {
    /// Publishes what is invalid to `nakatsugi.dead`, still encrypted, and waits for the confirm.
    fn bury(&self, letter: DeadLetter<'_>) -> impl Future<Output = Result<(), BrokerFault>> + Send;

    /// Whether more replies to this principal make sense now.
    ///
    /// # Errors
    /// [`BrokerFault::ReaderBehind`].
    fn can_reach(&self, recipient: &PrincipalId) -> Result<(), BrokerFault>;
}

/// The right to settle one delivery, once. Dropped unsettled, it settles nothing, and the broker delivers again.
pub trait Ticket: Send {
    /// All is done: the broker may forget the message.
    fn ack(self);

    /// Not now: the message goes round the wait queue.
    fn wait(self);
}

/// A delivery: bytes, how they came, and the right to settle them.
#[derive(Debug)]
pub struct Delivery<T> {
    /// The envelope.
    pub body: Vec<u8>,
    /// How it came.
    pub route: Route,
    /// How often the process died while this message alone was in flight.
    pub suspicion: u32,
    /// The right to settle it.
    pub ticket: T,
}

/// A message that proves nothing, on its way to `nakatsugi.dead`.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// Why; a stable code.
    pub reason: &'static str,
    /// SHA-256 of the body, in hexadecimal: its id from now on.
    pub digest: String,
    /// How it came.
    pub route: &'a Route,
    /// The envelope, as it came.
    pub body: &'a [u8],
}

/// Why the broker side cannot serve a message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BrokerFault {
    /// A dead letter was not confirmed.
    #[error("the broker did not confirm the dead letter")]
    Unconfirmed,
    /// The author does not fetch its replies, or they cannot be delivered: more would only pile up.
    #[error("too many replies to this author cannot be delivered")]
    ReaderBehind,
}

/// A point in time, asked for once per message.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Random bytes: ids and salts. (Keys and nonces of envelopes are ring's own.)
pub trait Entropy: Send + Sync {
    /// 32 fresh random bytes.
    fn bytes(&self) -> [u8; 32];

    /// 16 of them, for an id.
    fn half(&self) -> [u8; 16] {
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.bytes();
        half
    }
}

/// Looks into files before they are kept.
pub trait Examiner: Send + Sync {
    /// What came of each file, in their order: scanned where a scanner is configured, read, and judged by
    /// [`Inspected::judge`](crate::record::Inspected::judge). It takes as long as it takes: nobody's turn waits for it, and
    /// no worker of the runtime is held up.
    ///
    /// # Errors
    /// [`ScannerFault`] if they could not be scanned: none of them may be kept.
    fn examine(&self, files: Vec<File>) -> impl Future<Output = Result<Vec<Examined>, ScannerFault>> + Send;
}

/// By what a message is recognised when it comes again: its author and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// The author.
    pub author: PrincipalId,
    /// The author's id for it.
    pub id: MessageId,
    /// Which answer to that id; every answer is remembered, so that its repeats are byte-identical too.
    pub answer: Answer,
}

/// Which answer to a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To the message that first had the id.
    First,
    /// To another message with the same id, told apart by its digest: a denial.
    Conflict([u8; 32]),
    /// To the first message, after its reply's bytes were let go: `already-answered`.
    Again,
}

/// What is remembered of a message that was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 of its JWS payload.
    pub digest: [u8; 32],
    /// Whether its reply's bytes are still kept.
    pub reply: ReplyKept,
    /// The promise that stands in its reply, for `already-answered`.
    pub promise: [u8; 32],
}

/// Whether a reply's bytes are still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKept {
    /// They can be sent again.
    Yes,
    /// They were published, and the request has expired.
    Gone,
}

/// What [`Vault::repeat`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The same bytes are in the outbox.
    Sent,
    /// The bytes are gone.
    Gone,
}

/// All that one message changes, in one durable step.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message.
    pub message: MessageKey,
    /// SHA-256 of its JWS payload.
    pub digest: [u8; 32],
    /// When the message expires; its id is kept 10 minutes longer.
    pub expires: Timestamp,
    /// The persons as they are from now on.
    pub changes: Vec<PersonChange>,
    /// What the ledger commits to.
    pub commitment: Commitment,
    /// Salt and entry, to be sealed beside the log.
    pub sealing: Sealing,
    /// What to send.
    pub parcels: Vec<Parcel>,
}

impl fmt::Debug for Frame {
    /// Sizes only: the changes hold what is known of persons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, changes, parcels) = (self.message.id, self.changes.len(), self.parcels.len());
        write!(f, "Frame(for {id}: {changes} persons, {parcels} parcels)")
    }
}

/// An encrypted message on its way out. Nothing in it is personal but the body, and the body is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its id, the same in every repeat.
    pub id: MessageId,
    /// Its type.
    pub kind: MessageType,
    /// The message it answers.
    pub re: Option<MessageId>,
    /// To whom.
    pub recipient: PrincipalId,
    /// After this it is of no use to the recipient.
    pub deadline: Timestamp,
    /// The envelope.
    pub body: Arc<[u8]>,
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} {} to {}, {} bytes)", self.kind, self.id, self.recipient, self.body.len())
    }
}

/// Proof that a frame is durable and applied.
#[derive(Debug, PartialEq, Eq)]
pub struct Journalled {
    /// Its index in the ledger.
    pub index: u64,
}

/// Why a vault could not serve. Ours, never the author's: the message goes round the wait queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VaultFault {
    /// No vault was made for this tenant.
    #[error("no vault exists for this tenant; make one with: nakatsugi tenant add")]
    Missing,
    /// The tenant's share has not been handed over.
    #[error("the vault is locked")]
    Locked,
    /// A sync failed, the disk is full, or damage was found; it serves again after recovery.
    #[error("the vault has stopped: {0}")]
    Stopped(StopCause),
}

/// Why a vault stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StopCause {
    /// A write or sync of the journal failed.
    #[error("its journal could not be written")]
    Journal,
    /// A valid group stands after an invalid one, or a frame does not authenticate.
    #[error("its journal is damaged")]
    JournalDamaged,
    /// A row is missing, or does not open.
    #[error("its store is damaged")]
    StoreDamaged,
    /// The store could not be opened, read or written.
    #[error("its store cannot be used")]
    Store,
    /// The keyring is missing, or does not open under this root key.
    #[error("its keyring does not open")]
    Keyring,
    /// The manifest is missing, damaged, or does not agree with the store.
    #[error("its manifest does not agree with what is there")]
    Manifest,
    /// The ledger could not be written.
    #[error("its ledger could not be written")]
    Ledger,
    /// Its newest anchor cannot be read, so nobody can say whether it is an old copy.
    #[error("its newest anchor cannot be read")]
    Anchor,
    /// It lacks entries that its newest anchor speaks of: an old copy.
    #[error("it is older than its newest anchor")]
    Behind,
    /// Its ledger is not the one that its newest anchor speaks of.
    #[error("its ledger is another than that of its newest anchor")]
    Forked,
    /// The disk is full, or the quota is reached.
    #[error("there is no room left for it")]
    NoRoom,
}
