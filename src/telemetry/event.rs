//! Every event: its name, its level, its fields.
//!
//! Always: names and fields are stable; `schemas/log/events.schema.json` describes each, and a test holds both together.

pub use super::declare::Event;
use super::declare::{Description, events};
use super::{Digest, Micros, Route, Words};
use crate::{
    envelope::Environment,
    identifier::{AmqpUser, BrokerName, MessageId, MessageType, PrincipalId, QueueName, TenantCode, VaultName},
    ledger::SignedHead,
};

events! {
    /// The daemon has begun; nothing is served yet.
    DaemonStarted = "daemon.started", INFO {
        /// The version of the program.
        version: &'static str,
        /// Trial or production.
        env: Environment,
        /// The process.
        pid: u32,
    }
    /// Messages are served from now on.
    DaemonReady = "daemon.ready", INFO {
        /// How many tenants.
        tenants: u64,
        /// How many partitions.
        partitions: u16,
        /// Since the start.
        micros: Micros,
    }
    /// The daemon was told to stop: nothing new is taken, what is in hand is finished.
    DaemonStopping = "daemon.stopping", INFO {
        /// The signal or command.
        reason: &'static str,
        /// Messages in hand.
        in_hand: u64,
    }
    /// The daemon has stopped with everything in its place.
    DaemonStopped = "daemon.stopped", INFO {
        /// Messages that were not finished in time; they are delivered again.
        unfinished: u64,
    }
    /// The daemon ends without having stopped.
    DaemonFailed = "daemon.failed", ERROR {
        /// A code.
        cause: &'static str,
        /// The system's words for it.
        words: Words,
    }
    /// Operators cannot reach the daemon on this machine; messages are served all the same.
    AdminUnreachable = "admin.unreachable", WARN {
        /// The system's words for it.
        words: Words,
    }
    /// A directory is in use from now on.
    DirectoryLoaded = "directory.loaded", INFO {
        /// Its version.
        version: u64,
        /// How many principals.
        principals: u64,
        /// How many tenants.
        tenants: u64,
    }
    /// A new directory was refused; the one in use stays.
    DirectoryKept = "directory.kept-old", ERROR {
        /// The version that stays.
        version: u64,
        /// Why the new one was refused.
        words: Words,
    }
    /// The configuration or the catalogue is no longer what the directory in use vouches for.
    ConfigurationChanged = "configuration.changed", WARN {
        /// Which file: `configuration` or `catalogue`.
        file: &'static str,
        /// Of the file as it is now; absent if it cannot be read.
        digest: Option<Digest>,
    }
    /// Files that must not lie here do: recovery shares or the authority's key.
    SecretLeftBehind = "secret.left-behind", WARN {
        /// Which kind.
        kind: &'static str,
    }
    /// The virus scanner could not be asked: files are refused until it answers.
    ScannerUnavailable = "scanner.unavailable", ERROR {
        /// What the system says, or the scanner.
        words: Words,
    }
    /// The virus scanner's signatures are older than configured: files are refused until they are renewed.
    ScannerStale = "scanner.stale", ERROR {
        /// How old; absent if they have no date.
        days: Option<u64>,
    }
    /// The virus scanner knows a file, which was refused.
    FileInfected = "file.infected", WARN {
        /// The scanner's name for what it found.
        words: Words,
    }
    /// A PDF broke the process that read it, and was refused.
    FileUnreadable = "file.broke-reader", WARN {
        /// How.
        cause: &'static str,
        /// How long it took.
        micros: Micros,
    }
    /// A connection stands.
    BrokerConnected = "broker.connected", INFO {
        /// The broker.
        broker: Option<BrokerName>,
        /// What the connection is for.
        purpose: &'static str,
    }
    /// A connection could not be made; it is tried again.
    BrokerUnreachable = "broker.unreachable", WARN {
        /// The broker.
        broker: Option<BrokerName>,
        /// What the connection is for.
        purpose: &'static str,
        /// Why.
        words: Words,
        /// When it is tried again.
        retry_micros: Micros,
    }
    /// A connection that stood is gone; it is made again.
    BrokerLost = "broker.lost", WARN {
        /// The broker.
        broker: Option<BrokerName>,
        /// What the connection was for.
        purpose: &'static str,
        /// Why.
        words: Words,
    }
    /// The broker takes no more publications for now.
    BrokerBlocked = "broker.blocked", WARN {
        /// The broker.
        broker: Option<BrokerName>,
        /// Why.
        words: Words,
    }
    /// It takes them again.
    BrokerUnblocked = "broker.unblocked", INFO {
        /// The broker.
        broker: Option<BrokerName>,
    }
    /// The broker refused a publication and closed its channel.
    BrokerRefused = "broker.refused", WARN {
        /// The broker.
        broker: Option<BrokerName>,
        /// Why.
        words: Words,
    }
    /// A queue is being consumed from.
    QueueConsuming = "broker.consuming", INFO {
        /// The broker.
        broker: Option<BrokerName>,
        /// The queue.
        queue: Option<QueueName>,
    }
    /// A queue is missing or no longer gives messages: its tenants are not served from this broker.
    QueueGone = "broker.queue-gone", ERROR {
        /// The broker.
        broker: Option<BrokerName>,
        /// The queue.
        queue: Option<QueueName>,
        /// Why.
        words: Words,
    }
    /// A delivery was dropped unsettled, which is a bug; it comes back when its channel ends.
    DeliveryAbandoned = "broker.abandoned", WARN {
        /// The broker.
        broker: Option<BrokerName>,
        /// The queue.
        queue: Option<QueueName>,
    }
    /// A message was answered or denied, and its ledger entry is durable.
    MessageAnswered = "message.answered", INFO {
        /// Its tenant.
        tenant: TenantCode,
        /// Its type.
        message_type: MessageType,
        /// Its author.
        author: PrincipalId,
        /// Its id.
        jti: MessageId,
        /// `answered` or `denied`.
        outcome: &'static str,
        /// The denial's code on the wire.
        denial: Option<&'static str>,
        /// The entry's index in the tenant's ledger.
        entry: u64,
        /// From delivery to acknowledgement.
        micros: Micros,
    }
    /// A message came again; the same reply is sent again.
    MessageRepeated = "message.repeated", INFO {
        /// Its tenant.
        tenant: TenantCode,
        /// Its type.
        message_type: MessageType,
        /// Its author.
        author: PrincipalId,
        /// Its id.
        jti: MessageId,
    }
    /// A message proved nothing and is in `nakatsugi.dead`.
    MessageDeadLettered = "message.dead-lettered", WARN {
        /// Why.
        reason: &'static str,
        /// Of its body.
        digest: Digest,
        /// Where it was addressed, as far as we know such a place.
        route: Route,
        /// The broker that it came from.
        broker: BrokerName,
        /// The user that the broker had validated.
        user: Option<AmqpUser>,
    }
    /// A message cannot be handled yet and goes round the wait queue.
    MessageWaiting = "message.waiting", WARN {
        /// Its tenant, if that far.
        tenant: Option<TenantCode>,
        /// Its type, if that far.
        message_type: Option<MessageType>,
        /// Why.
        fault: &'static str,
        /// How often it came.
        tries: u64,
    }
    /// A message made us fail three times and is put aside.
    MessageQuarantined = "message.quarantined", ERROR {
        /// Of its body.
        digest: Digest,
        /// How often it came.
        tries: u64,
    }
    /// A parcel is with the broker.
    ParcelPublished = "parcel.published", INFO {
        /// Its type.
        message_type: MessageType,
        /// Its id.
        jti: MessageId,
        /// To whom.
        recipient: PrincipalId,
        /// How often it was tried.
        tries: u64,
        /// From journal to confirmation.
        micros: Micros,
    }
    /// The broker has no queue for a parcel; it is tried again until its deadline.
    ParcelReturned = "parcel.returned", WARN {
        /// Its type.
        message_type: MessageType,
        /// Its id.
        jti: MessageId,
        /// To whom.
        recipient: PrincipalId,
        /// Why.
        words: Words,
    }
    /// A parcel's deadline passed before the broker took it.
    ParcelExpired = "parcel.expired", WARN {
        /// Its type.
        message_type: MessageType,
        /// Its id.
        jti: MessageId,
        /// To whom.
        recipient: PrincipalId,
        /// How often it was tried.
        tries: u64,
    }
    /// A vault serves.
    VaultOpened = "vault.opened", INFO {
        /// Which.
        vault: VaultName,
        /// Parcels that wait to be published.
        outstanding: u64,
        /// Entries in its ledger.
        entries: u64,
        /// How long opening took.
        micros: Micros,
    }
    /// A vault had not been closed: frames were replayed from its journal.
    VaultRecovered = "vault.recovered", INFO {
        /// Which.
        vault: VaultName,
        /// How many frames.
        frames: u64,
        /// Bytes of an unfinished last group that were cut; they were never acknowledged.
        cut: u64,
    }
    /// A vault's store was lost or damaged and is being rebuilt from its journal.
    VaultRebuilding = "vault.rebuilding", WARN {
        /// Which.
        vault: VaultName,
        /// Why.
        reason: &'static str,
    }
    /// A vault's store was rebuilt.
    VaultRebuilt = "vault.rebuilt", WARN {
        /// Which.
        vault: VaultName,
        /// From how many frames.
        frames: u64,
    }
    /// A vault stopped: its tenant is not served until it was opened again.
    VaultStopped = "vault.stopped", ERROR {
        /// Which.
        vault: VaultName,
        /// Why.
        cause: &'static str,
        /// The system's words for it.
        words: Option<Words>,
    }
    /// Store and ledger of a vault are durable up to here.
    VaultCheckpointed = "vault.checkpointed", INFO {
        /// Which.
        vault: VaultName,
        /// Rows that went into the store.
        rows: u64,
        /// Entries in its ledger.
        entries: u64,
        /// The sequence of the next frame.
        sequence: u64,
    }
    /// The ledger of a vault up to here is durable, and anchored where anchors are kept.
    TreeHead = "ledger.tree-head", INFO {
        /// Which.
        vault: VaultName,
        /// How many entries.
        size: u64,
        /// The root of the tree.
        root: Digest,
        /// The head as a signed note (C2SP tlog-checkpoint).
        note: SignedHead,
    }
    /// An anchor of a vault could not be written; it is tried again.
    NotAnchored = "ledger.not-anchored", ERROR {
        /// Which.
        vault: VaultName,
        /// Why.
        words: Words,
    }
    /// A vault was backed up, and the backup read back whole.
    BackupTaken = "vault.backed-up", INFO {
        /// Which.
        vault: VaultName,
        /// How many bytes the backup has.
        bytes: u64,
        /// Entries of its ledger in the backup.
        entries: u64,
        /// How long it took.
        micros: Micros,
    }
    /// A vault, or the keyrings, could not be backed up.
    BackupFailed = "vault.not-backed-up", ERROR {
        /// Which; none for the keyrings.
        vault: Option<VaultName>,
        /// Why.
        words: Words,
    }
    /// The socket for backups could not be made: `nakatsugi backup` does not reach the running daemon.
    BackupUnreachable = "backup.unreachable", ERROR {
        /// Why.
        words: Words,
    }
    /// A vault was closed with everything in its place.
    VaultClosed = "vault.closed", INFO {
        /// Which.
        vault: VaultName,
    }
    /// A closed segment of a vault's journal was rewritten without the replies in it, whose time is over.
    VaultShrunk = "vault.shrunk", INFO {
        /// Which.
        vault: VaultName,
        /// The segment's number.
        segment: u64,
        /// Bytes it took.
        before: u64,
        /// Bytes it takes now.
        after: u64,
    }
    /// A closed segment of a vault's journal could not be rewritten and stays as it is.
    VaultNotShrunk = "vault.not-shrunk", WARN {
        /// Which.
        vault: VaultName,
        /// The segment's number.
        segment: u64,
        /// The system's words for it; none if the segment is damaged.
        words: Option<Words>,
    }
    /// What lives in a vault is being carried over into a new epoch, under a new data key.
    CarryingOver = "vault.carrying-over", INFO {
        /// Which.
        vault: VaultName,
        /// The epoch that is being made.
        epoch: u32,
        /// What is being done: `check`, `copy`, `entries` or `store`.
        step: &'static str,
        /// Rows or entries of this step that are done.
        done: u64,
        /// How many were done in each second since the step began or was taken up again.
        a_second: u64,
    }
    /// A new epoch of a vault has begun, and the data key of the one before is destroyed.
    CarriedOver = "vault.carried-over", INFO {
        /// Which.
        vault: VaultName,
        /// The epoch that has begun.
        epoch: u32,
        /// Rows it began with.
        rows: u64,
        /// Since it was begun or taken up again.
        micros: Micros,
    }
    /// A carry-over of a vault was not finished; the next one goes on where it was.
    NotCarriedOver = "vault.not-carried-over", WARN {
        /// Which.
        vault: VaultName,
        /// Why.
        words: Words,
    }
    /// A vault's journal takes more than 80 % of its quota.
    JournalLarge = "vault.journal-large", WARN {
        /// Which.
        vault: VaultName,
        /// Bytes it takes.
        bytes: u64,
        /// Bytes it may take.
        quota: u64,
    }
    /// A vault's journal has reached its quota: the vault takes in nothing more, its messages wait.
    JournalFull = "vault.journal-full", ERROR {
        /// Which.
        vault: VaultName,
        /// Bytes it takes.
        bytes: u64,
        /// Bytes it may take.
        quota: u64,
    }
    /// A vault's journal takes less than 80 % of its quota again.
    JournalFits = "vault.journal-fits", INFO {
        /// Which.
        vault: VaultName,
        /// Bytes it takes.
        bytes: u64,
        /// Bytes it may take.
        quota: u64,
    }
    /// The disk of the data folder has less than twice what must stay free.
    RoomLow = "data.room-low", WARN {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    }
    /// The disk of the data folder has less than what must stay free: no vault takes in anything more, messages wait.
    RoomOut = "data.room-out", ERROR {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    }
    /// The disk of the data folder has room again.
    RoomBack = "data.room-back", INFO {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    }
    /// The disk was full; the ballast was given up to open a vault.
    BallastFreed = "vault.ballast-freed", ERROR {}
    /// A panic was caught: a bug. Its words are not shown, for they may hold anything.
    PanicCaught = "panic.caught", ERROR {
        /// The source file.
        file: Option<Words>,
        /// The line in it.
        line: Option<u32>,
        /// Of the body of the message that it blames.
        digest: Option<Digest>,
    }
    /// Lines were lost because the output could not be written.
    LinesLost = "telemetry.lost", ERROR {
        /// How many bytes.
        bytes: u64,
    }
}
