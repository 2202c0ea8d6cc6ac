//! The way of one message, from its delivery to the moment the broker may forget it.
//!
//! Always: read [`Relay::way`] from top to bottom: each step needs the proof that the step before made. A message is settled
//! after its frame is durable, never before; a step that cannot be finished settles nothing or sends the message round the
//! wait queue. Absent: the outbox, which publishes what is journalled on its own way; and any change of a vault but `commit`.

mod blame;
mod catch;
mod deed;
mod disposition;
pub mod ports;
mod reply;
#[cfg(all(test, feature = "daemon"))]
mod tests;
mod turn;

use crate::{
    calendar::Timestamp,
    command::{Command, Context, Denial, Examined, Heads, Outcome, ScannerFault},
    directory::Directory,
    envelope::{self, DecryptionKey, Limits, Padding, SigningKey, SuitePolicy},
    hex,
    identifier::{Kid, MessageId, MessageType, PrincipalId, TenantCode},
    ledger::{Promise, Salt},
    record::PersonId,
    tenant::{Copied, Permit, Route, ScopeError, TenantScope, Verified},
};
use blame::{Blame, Care, PATIENCE};
use catch::CatchPanic;
pub use deed::{deletion_frame, operation_frame};
pub use disposition::{Disposition, Failure};
use ports::{
    Answer, Broker, Clock, DeadLetter, Delivery, Entropy, Examiner, MessageKey, Remembered, Repeated, ReplyKept, Ticket, Vault, VaultFault,
    Vaults,
};
pub(crate) use reply::Composed;
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};
use turn::Turns;

/// What a reply's claims need besides the records: names, ids, times, and 32 categories with their outcomes, in bytes.
const REPLY_FRAME: usize = 8 * 1024;

/// How long an id is kept after its message expired, in seconds (design §2.6).
pub const REMEMBERED_AFTER_EXPIRY: i64 = 600;

/// The relay's own keys.
#[derive(Debug)]
pub struct Keys {
    /// Signs every reply.
    pub signing: SigningKey,
    /// Open what is sent to us; several while one takes over from another.
    pub decryption: BTreeMap<Kid, DecryptionKey>,
}

/// The relay: carries messages.
#[derive(Debug)]
pub struct Relay<S, B, C, E, X> {
    keys: Keys,
    directory: RwLock<Arc<Directory>>,
    policy: SuitePolicy,
    limits: Limits,
    turns: Turns,
    blame: Blame,
    vaults: S,
    broker: B,
    clock: C,
    entropy: E,
    examiner: X,
}

/// What is known of a message, as far as it got. Nothing personal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its tenant.
    pub tenant: Option<TenantCode>,
    /// Its type.
    pub kind: Option<MessageType>,
    /// Its author.
    pub author: Option<PrincipalId>,
    /// Its id.
    pub id: Option<MessageId>,
}

/// How a message's way ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Answered; the entry has this index in the tenant's ledger.
    Answered {
        /// The entry's index.
        index: u64,
    },
    /// Denied with this code; entered like an answer.
    Denied {
        /// The code on the wire.
        code: &'static str,
        /// The entry's index.
        index: u64,
    },
    /// Handling it failed too often: denied without another try.
    Quarantined {
        /// The entry's index.
        index: u64,
        /// SHA-256 of the body.
        digest: [u8; 32],
    },
    /// It was handled before; the same reply is sent again.
    Repeated,
    /// It proved nothing and is in `nakatsugi.dead`.
    DeadLettered {
        /// Why.
        reason: &'static str,
        /// SHA-256 of the body.
        digest: [u8; 32],
    },
    /// It goes round the wait queue.
    Waiting {
        /// Why.
        fault: &'static str,
    },
    /// Handling it failed inside; it goes round the wait queue and is counted.
    Blamed {
        /// SHA-256 of the body.
        digest: [u8; 32],
    },
}

/// Whether a message was handled before.
enum Standing {
    First,
    Repeat,
    Other(Answer, Denial),
}

impl<S: Vaults, B: Broker, C: Clock, E: Entropy, X: Examiner> Relay<S, B, C, E, X> {
    /// A relay with its own keys, under this policy and directory, over these five edges.
    pub fn new(
        keys: Keys,
        directory: Directory,
        policy: SuitePolicy,
        limits: Limits,
        (vaults, broker, clock, entropy, examiner): (S, B, C, E, X),
    ) -> Self {
        let directory = RwLock::new(Arc::new(directory));
        Self { keys, directory, policy, limits, turns: Turns::default(), blame: Blame::default(), vaults, broker, clock, entropy, examiner }
    }

    /// Exchanges the directory; messages on their way keep the one they began with.
    pub fn exchange_directory(&self, directory: Directory) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
    }

    /// The directory as it is now.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Carries one message and settles its delivery.
    ///
    /// # Cancel safety
    /// Dropped before its end it settles nothing: the broker delivers again, and what was journalled is recognised.
    pub async fn carry<T: Ticket>(&self, delivery: Delivery<T>) -> (Known, End) {
        let Delivery { body, route, suspicion, ticket } = delivery;
        let care = self.blame.care(&body, suspicion);
        let mut known = Known::default();
        if suspicion > PATIENCE {
            // Even its denial ended the process: it is not run at all.
            let end = self.bury("quarantined", &body, &route).await;
            settle(ticket, &end);
            return (known, end);
        }
        let way = CatchPanic(Box::pin(self.way(&body, &route, care, &mut known))).await;
        let failure = match way {
            Ok(Ok(end)) => {
                self.blame.forget(&body);
                ticket.ack();
                return (known, end);
            }
            Ok(Err(failure)) => failure,
            Err(catch::Panicked) => Failure::Bug,
        };
        let end = match (failure.disposition(), care) {
            (Disposition::DeadLetter(reason), Care::Ordinary | Care::Quarantined) => self.bury(reason, &body, &route).await,
            // Not even its denial could be made.
            (Disposition::Blame, Care::Quarantined) => self.bury("quarantined", &body, &route).await,
            (Disposition::Blame, Care::Ordinary) => {
                let digest = sha256(&body);
                self.blame.count(digest);
                End::Blamed { digest }
            }
            (Disposition::Wait(fault), Care::Ordinary | Care::Quarantined) => End::Waiting { fault },
        };
        settle(ticket, &end);
        (known, end)
    }

    /// The way: decrypt → verify → scope → ( deduplicate → handle → encrypt → journal ) in turn.
    async fn way(&self, body: &[u8], route: &Route, care: Care, known: &mut Known) -> Result<End, Failure> {
        let (now, directory) = (self.clock.now(), self.directory());

        // SECURITY: each copy would cost a whole way, and what is buried at once can neither wait nor be blamed.
        if route.copied == Copied::Yes {
            return Err(ScopeError::Copied.into());
        }
        let decrypted = envelope::decrypt(body, |kid| self.keys.decryption.get(kid), &self.policy, &self.limits)?;
        let verified = Verified::verify(decrypted, directory, &self.limits, now)?;
        known.note(&verified);
        let command = Command::decode(verified.kind(), verified.body())?;
        self.broker.can_reach(&verified.author().id).map_err(Failure::Broker)?;
        let permit = Permit::admit(&verified, route)?;
        // While its vault cannot be opened a message waits, but not beyond the time in which its id could still be remembered.
        let scope = TenantScope::open(permit, &self.vaults).await.map_err(|fault| verified.waits_for(fault, now))?;

        #[cfg(feature = "sabotage")]
        let early = {
            let message = MessageKey { author: verified.author().id.clone(), id: verified.id(), answer: Answer::First };
            let early = crate::sabotage::is(crate::sabotage::Sabotage::DeduplicateEarly);
            early.then(|| deduplicate(&scope, &message, &verified, now)).transpose()?
        };
        let mut message = MessageKey { author: verified.author().id.clone(), id: verified.id(), answer: Answer::First };
        let examined = self.examine(&scope, &message, &verified, &command, care).await?;
        let _turn = self.turns.take(&scope, &message, &command.names()).await?;
        #[cfg(feature = "sabotage")]
        let _turn = (!crate::sabotage::is(crate::sabotage::Sabotage::ReleaseTurnsEarly)).then_some(_turn);

        let standing = deduplicate(&scope, &message, &verified, now)?;
        #[cfg(feature = "sabotage")]
        let standing = early.unwrap_or(standing);
        let outcome = match standing {
            Standing::First => {
                scope.vault().takes_in()?;
                self.handle(&scope, &verified, command, examined, care, now)?
            }
            Standing::Repeat => match scope.vault().repeat(&message).await? {
                Repeated::Sent => return Ok(End::Repeated),
                Repeated::Gone => return Err(Failure::Expired),
            },
            Standing::Other(answer, denial) => {
                message.answer = answer;
                if scope.vault().recall(&message)?.is_some() {
                    // Made anew, other bytes would go out under the same id.
                    return match scope.vault().repeat(&message).await? {
                        Repeated::Sent => Ok(End::Repeated),
                        Repeated::Gone => Err(Failure::Expired),
                    };
                }
                scope.vault().takes_in()?;
                denied(denial, &verified)?
            }
        };
        let denial = outcome.denial.clone();
        #[cfg(feature = "sabotage")]
        crate::sabotage::linger(&outcome);

        let composed = Composed::compose(&verified, message, outcome, Salt(self.entropy.bytes()), now)?;
        let encrypted = composed.sign(&self.keys.signing)?.encrypt(now)?;
        let journalled = scope.vault().commit(encrypted.into_frame()).await?;

        let index = journalled.index;
        Ok(match denial {
            None => End::Answered { index },
            Some(Denial::Quarantined) => End::Quarantined { index, digest: sha256(body) },
            Some(denial) => End::Denied { code: denial.code(), index },
        })
    }

    /// Examine: files are looked into before the turn, for that is slow; not those of a message that will not be handled.
    async fn examine<V: Vault>(
        &self,
        scope: &TenantScope<V>,
        message: &MessageKey,
        verified: &Verified,
        command: &Command,
        care: Care,
    ) -> Result<Result<Vec<Examined>, ScannerFault>, Failure> {
        let files = command.files();
        let handled = care == Care::Ordinary && verified.author().may_author(verified.kind());
        // What is remembered stays remembered until it has expired; a message that is answered already is never handled.
        if files.is_empty() || !handled || scope.vault().recall(message)?.is_some() {
            return Ok(Ok(Vec::new()));
        }
        Ok(self.examiner.examine(files).await)
    }

    /// Handle: what the author may not do is denied; what it may is done by the command.
    fn handle<V: Vault>(
        &self,
        scope: &TenantScope<V>,
        verified: &Verified,
        command: Command,
        examined: Result<Vec<Examined>, ScannerFault>,
        care: Care,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        if care == Care::Quarantined {
            return denied(Denial::Quarantined, verified);
        }
        if !verified.author().may_author(verified.kind()) {
            return denied(Denial::NotAllowed, verified);
        }
        #[cfg(feature = "sabotage")]
        crate::sabotage::taste(verified.body().get());
        let examined = match examined {
            Ok(examined) => examined,
            Err(fault) => return denied(fault.into(), verified),
        };
        let fresh = || PersonId(self.entropy.half());
        let heads = Heads::of(scope.vault().view(&command.first_needs())?);
        let context = Context {
            now,
            author: verified.author(),
            tenant: verified.directory().tenant(&verified.tenant()).ok_or(Failure::Bug)?,
            catalogue: verified.directory().catalogue(),
            heads: &heads,
            fresh: &fresh,
            room: self.limits.longest_payload(Padding::Padme).saturating_sub(REPLY_FRAME),
            examined: &examined,
        };
        let mut view = scope.vault().view(&command.needs(&context))?;
        let wanted = command.wants(&context, &view);
        let contents = scope.vault().contents(&wanted)?;
        view.contents.extend(wanted.into_iter().zip(contents));
        command.handle(&context, view).map_err(|_| Failure::Bug)
    }

    /// Puts a message aside that proves nothing, and enters it in the platform vault, once.
    async fn bury(&self, reason: &'static str, body: &[u8], route: &Route) -> End {
        let digest = sha256(body);
        if let Err(fault) = self.enter_stranger(reason, &digest, route).await {
            return self.failed(Failure::Vault(fault), digest);
        }
        match self.broker.bury(DeadLetter { reason, digest: hex::encode(&digest), route, body }).await {
            Ok(()) => End::DeadLettered { reason, digest },
            Err(fault) => self.failed(Failure::Broker(fault), digest),
        }
    }

    /// What becomes of a message that should be put aside and cannot be now: it waits.
    fn failed(&self, failure: Failure, digest: [u8; 32]) -> End {
        match failure.disposition() {
            Disposition::Wait(fault) | Disposition::DeadLetter(fault) => End::Waiting { fault },
            Disposition::Blame => End::Blamed { digest },
        }
    }

    async fn enter_stranger(&self, reason: &'static str, digest: &[u8; 32], route: &Route) -> Result<(), VaultFault> {
        let now = self.clock.now();
        let scope = TenantScope::open(Permit::platform(), &self.vaults).await?;
        let frame = reply::stranger_frame(&self.directory().relay().id, reason, digest, route, Salt(self.entropy.bytes()), now);
        let _turn = self.turns.take(&scope, &frame.message, &BTreeSet::new()).await?;
        if scope.vault().recall(&frame.message)?.is_none() {
            scope.vault().commit(frame).await?;
        }
        Ok(())
    }
}

/// Settles a delivery as its message ended: all is done, or not now.
fn settle<T: Ticket>(ticket: T, end: &End) {
    match end {
        End::Waiting { .. } | End::Blamed { .. } => ticket.wait(),
        End::DeadLettered { .. } | End::Answered { .. } | End::Denied { .. } | End::Quarantined { .. } | End::Repeated => ticket.ack(),
    }
}

/// Deduplicate: the first act of the turn. `exp` is judged only for a message that comes for the first time.
fn deduplicate<V: Vault>(scope: &TenantScope<V>, message: &MessageKey, verified: &Verified, now: Timestamp) -> Result<Standing, Failure> {
    #[cfg(feature = "sabotage")]
    if crate::sabotage::is(crate::sabotage::Sabotage::ForgetIds) {
        return Ok(Standing::First);
    }
    match scope.vault().recall(message)? {
        Some(Remembered { digest, .. }) if digest != *verified.digest() => {
            let conflict = Answer::Conflict(*verified.digest());
            let known = scope.vault().recall(&MessageKey { answer: conflict, ..message.clone() })?.is_some();
            if known || verified.expires() > now { Ok(Standing::Other(conflict, Denial::Conflict)) } else { Err(Failure::Expired) }
        }
        Some(Remembered { reply: ReplyKept::Yes, .. }) => Ok(Standing::Repeat),
        Some(Remembered { reply: ReplyKept::Gone, promise, .. }) => {
            Ok(Standing::Other(Answer::Again, Denial::AlreadyAnswered(Promise(promise))))
        }
        // SECURITY: a clock set back must not let a replay pass whose id is already forgotten.
        None if verified.expires() <= scope.vault().floor() => Err(Failure::Expired),
        None if verified.expires() <= now => Err(Failure::Expired),
        // It was refused as a conflict with a message that is forgotten by now: refused it stays.
        None => {
            let conflict = Answer::Conflict(*verified.digest());
            let refused = scope.vault().recall(&MessageKey { answer: conflict, ..message.clone() })?.is_some();
            Ok(if refused { Standing::Other(conflict, Denial::Conflict) } else { Standing::First })
        }
    }
}

fn denied(denial: Denial, verified: &Verified) -> Result<Outcome, Failure> {
    Outcome::denied(denial, Command::basis(verified.kind())).map_err(|_| Failure::Bug)
}

impl Verified {
    /// What becomes of a message whose vault cannot serve now.
    fn waits_for(&self, fault: VaultFault, now: Timestamp) -> Failure {
        if self.expires().plus_seconds(REMEMBERED_AFTER_EXPIRY) <= now { Failure::Expired } else { Failure::Vault(fault) }
    }
}

impl Known {
    fn note(&mut self, verified: &Verified) {
        *self = Self {
            tenant: Some(verified.tenant()),
            kind: Some(verified.kind()),
            author: Some(verified.author().id.clone()),
            id: Some(verified.id()),
        };
    }
}

impl Answer {
    /// Tells the ids of different answers to one message apart.
    const fn ordinal(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Again => 1,
            Self::Conflict(_) => 2,
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
