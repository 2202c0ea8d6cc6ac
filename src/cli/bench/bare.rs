//! The bare relay: the other end of the scale. It takes a message in, publishes a reply of the same size as the relay's,
//! confirmed, and acknowledges; as floor it also does the cryptography of one request and one sync per group.
//!
//! ```text
//! echo   consume → publish → confirm → ack
//! floor  consume → decrypt, verify, sign, encrypt (one task each) → group: write, fdatasync → ack
//!                                                                    └ publish → confirm
//! ```
//!
//! Always: the fastest that lapin allows: no rounds, no tasks but for the cryptography, acknowledgements together. Absent:
//! everything that makes a relay correct: deduplication, scope, vault, ledger, outbox, recovery.

use super::failed;
use crate::{
    broker::{Partition, Purpose, names},
    cli::{CliError, peer::PeerSettings},
    config::Configuration,
    daemon::{SystemClock, broker_settings},
    envelope::{self, EncryptionKey, Limits, SuitePolicy, VerificationKey},
    identifier::{MessageClass, MessageType},
    relay::ports::Clock as _,
};
use clap::Args;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesOrdered};
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::{FieldTable, ShortString},
};
use ring::rand::SystemRandom;
use std::{
    fs::File,
    io::{Read as _, Write as _, stderr, stdin},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    runtime,
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

/// How many messages are handed on together at most.
const TOGETHER: usize = 64;
/// The file that is synced; written round and round, so that it never grows.
const FILE: u64 = 64 << 20;

/// A bare relay.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The partition whose queue it serves.
    #[arg(long)]
    partition: u16,
    /// The bytes of a reply, as the relay's are.
    #[arg(long)]
    reply: usize,
    /// The folder of the principal that asks and is answered.
    #[arg(long)]
    asker: PathBuf,
}

/// What is done for a message besides carrying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Nothing,
    Cryptography,
}

/// The keys of both sides, and what is answered.
struct Cryptography {
    relay: crate::relay::Keys,
    asked_by: VerificationKey,
    answered_to: EncryptionKey,
    payload: Vec<u8>,
}

impl Cryptography {
    /// Exactly the operations of one request, on its real envelope.
    fn once(&self, body: &[u8]) -> Option<Vec<u8>> {
        let limits = Limits::default();
        let decrypted = envelope::decrypt(body, |kid| self.relay.decryption.get(kid), &SuitePolicy::default(), &limits).ok()?;
        decrypted.verify(&self.asked_by, &limits).ok()?;
        Some(self.answer())
    }

    fn answer(&self) -> Vec<u8> {
        let random = SystemRandom::new();
        let signed = envelope::sign(&self.payload, &self.relay.signing, &random);
        signed.and_then(|signed| envelope::encrypt(&signed, &self.answered_to, &random)).unwrap_or_default()
    }
}

/// Serves until whoever started it is gone.
pub(super) fn run(config: &Path, arguments: &Arguments, work: Work) -> Result<(), CliError> {
    let configuration = Configuration::load(config)?;
    let directory = configuration.open_directory()?;
    let (signing, decryption) = configuration.relay_keys(&directory, SystemClock.now())?;
    let settings = PeerSettings::read(&arguments.asker)?;
    let asker = settings.keys()?;
    let mut keys = Cryptography {
        relay: crate::relay::Keys { signing, decryption: decryption.into_iter().map(|key| (key.kid().clone(), key)).collect() },
        asked_by: asker.signing.public(),
        answered_to: asker.decryption.public(),
        payload: Vec::new(),
    };
    // Two layers of base64 make of nine bytes sixteen; the rest is tried.
    keys.payload = vec![b' '; arguments.reply.saturating_sub(keys.answer().len()) * 9 / 16];
    while keys.answer().len() < arguments.reply {
        keys.payload.push(b' ');
    }
    let queue = names::queue(MessageClass::SelfInfo, Partition(arguments.partition));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let prefetch = configuration.limits.prefetch;
    let line = Line { recipient: settings.id.to_string() };
    let folder = config.parent().unwrap_or(Path::new(".")).to_owned();
    runtime.spawn(async move {
        let served = serve(&configuration, &queue, prefetch, line, Arc::new(keys), work, &folder).await;
        if let Err(error) = served {
            let _ = writeln!(stderr(), "nakatsugi bench: {error}");
            std::process::exit(1);
        }
    });
    // The other end closes when the benchmark ends, however it ends.
    let _ = stdin().read_to_end(&mut Vec::new());
    runtime.shutdown_background();
    Ok(())
}

async fn serve(
    configuration: &Configuration,
    queue: &str,
    prefetch: u16,
    line: Line,
    keys: Arc<Cryptography>,
    work: Work,
    folder: &Path,
) -> Result<(), CliError> {
    let broker = configuration.brokers.first().ok_or_else(|| failed("no broker"))?;
    let settings = broker_settings(broker);
    let connect = async |purpose| settings.connect(purpose).await.map_err(CliError::of(&settings));
    let (taking, sending) = (connect(Purpose::Consume).await?, connect(Purpose::Publish).await?);
    let (input, deliveries) = consume(&taking, queue, prefetch).await.map_err(failed)?;
    let output = sending.create_channel().await.map_err(failed)?;
    output.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
    let ended = match work {
        Work::Nothing => echo(input, deliveries, output, line, &keys.answer()).await,
        Work::Cryptography => {
            let file = File::create(folder.join("floor")).map_err(failed)?;
            file.write_all_at(&vec![0; usize::try_from(FILE).unwrap_or_default()], 0).and_then(|()| file.sync_all()).map_err(failed)?;
            floor(input, deliveries, output, line, keys, file).await
        }
    };
    ended.map_err(failed)
}

/// Consumes with this many in hand, each to be acknowledged.
pub(super) async fn consume(connection: &Connection, queue: &str, prefetch: u16) -> lapin::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let queue = ShortString::from(queue.to_owned());
    let consumer = channel.basic_consume(queue, ShortString::default(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// Where replies go.
struct Line {
    recipient: String,
}

impl Line {
    async fn publish(&self, channel: &Channel, number: u64, re: Option<ShortString>, body: &[u8]) -> lapin::Result<Confirmed> {
        let kind = MessageType::SelfInfoReply.as_str();
        let key = ShortString::from(format!("{}.{kind}", self.recipient));
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/jose".into())
            .with_type(kind.into())
            .with_message_id(format!("00000000-0000-8000-8000-{number:012x}").into())
            .with_user_id("relay".into());
        if let Some(re) = re {
            properties = properties.with_correlation_id(re);
        }
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        Ok(channel.basic_publish(names::OUT.into(), key, options, body, properties).await?.map(drop_confirmation as fn(_) -> _))
    }
}

type Confirmed = futures_util::future::Map<lapin::PublisherConfirm, fn(lapin::Result<lapin::Confirmation>) -> lapin::Result<()>>;

fn drop_confirmation(answer: lapin::Result<lapin::Confirmation>) -> lapin::Result<()> {
    answer.map(drop)
}

async fn all(confirms: Vec<Confirmed>) -> lapin::Result<()> {
    for confirm in confirms {
        confirm.await?;
    }
    Ok(())
}

async fn echo(input: Channel, deliveries: Consumer, output: Channel, line: Line, reply: &[u8]) -> lapin::Result<()> {
    let mut deliveries = deliveries.ready_chunks(TOGETHER);
    let mut under_way = FuturesOrdered::new();
    let mut number = 0;
    loop {
        tokio::select! {
            some = deliveries.next() => {
                let Some(some) = some else { return Ok(()) };
                let mut confirms = Vec::with_capacity(some.len());
                let mut last = 0;
                for delivery in some {
                    let delivery = delivery?;
                    last = delivery.delivery_tag;
                    number += 1;
                    confirms.push(line.publish(&output, number, delivery.properties.message_id().clone(), reply).await?);
                }
                under_way.push_back(all(confirms).map(move |confirmed| confirmed.map(|()| last)));
            }
            Some(last) = under_way.next() => input.basic_ack(last?, BasicAckOptions { multiple: true }).await?,
        }
    }
}

/// A message whose cryptography is under way.
struct InHand {
    tag: u64,
    re: Option<ShortString>,
    reply: JoinHandle<Option<Vec<u8>>>,
}

async fn floor(
    input: Channel,
    mut deliveries: Consumer,
    output: Channel,
    line: Line,
    keys: Arc<Cryptography>,
    file: File,
) -> lapin::Result<()> {
    let (begun, in_hand) = mpsc::unbounded_channel();
    let (durable, published) = mpsc::unbounded_channel();
    let committing = commit(input, in_hand, durable, Arc::new(file));
    let publishing = publish(output, line, published);
    let taking = async move {
        while let Some(delivery) = deliveries.next().await {
            let Delivery { delivery_tag, properties, data, .. } = delivery?;
            let keys = Arc::clone(&keys);
            let reply = tokio::spawn(async move { keys.once(&data) });
            let _ = begun.send(InHand { tag: delivery_tag, re: properties.message_id().clone(), reply });
        }
        Ok(())
    };
    let (taken, committed, published) = tokio::join!(tokio::spawn(taking).map(joined), tokio::spawn(committing).map(joined), publishing);
    taken.and(committed).and(published)
}

fn joined(result: Result<lapin::Result<()>, tokio::task::JoinError>) -> lapin::Result<()> {
    result.unwrap_or(Ok(()))
}

type Reply = (Option<ShortString>, Vec<u8>);

/// One write and one sync for all that is done meanwhile.
async fn commit(
    input: Channel,
    mut in_hand: mpsc::UnboundedReceiver<InHand>,
    durable: mpsc::UnboundedSender<Vec<Reply>>,
    file: Arc<File>,
) -> lapin::Result<()> {
    let mut at = 0;
    let mut next: Option<InHand> = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match in_hand.recv().await {
                Some(first) => first,
                None => return Ok(()),
            },
        };
        let mut last = first.tag;
        let mut group = vec![(first.re, answer(first.reply).await)];
        while let Ok(more) = in_hand.try_recv() {
            if !more.reply.is_finished() {
                next = Some(more);
                break;
            }
            last = more.tag;
            group.push((more.re, answer(more.reply).await));
        }
        let bytes = group.iter().map(|(_, reply)| reply.as_slice()).collect::<Vec<_>>().concat();
        let length = bytes.len() as u64;
        if at + length > FILE {
            at = 0;
        }
        let (to, place) = (Arc::clone(&file), at);
        // INVARIANT: a write to a file that is there and as long fails only with the disk.
        let _ = spawn_blocking(move || to.write_all_at(&bytes, place).and_then(|()| to.sync_data())).await;
        at += length;
        input.basic_ack(last, BasicAckOptions { multiple: true }).await?;
        let _ = durable.send(group);
    }
}

/// A floor that answers nothing to what it cannot open would be a wrong floor: it ends instead, and the benchmark notices.
async fn answer(reply: JoinHandle<Option<Vec<u8>>>) -> Vec<u8> {
    match reply.await {
        Ok(Some(reply)) => reply,
        Ok(None) | Err(_) => std::process::exit(1),
    }
}

async fn publish(output: Channel, line: Line, mut durable: mpsc::UnboundedReceiver<Vec<Reply>>) -> lapin::Result<()> {
    let mut under_way = FuturesOrdered::new();
    let mut number = 1 << 40;
    loop {
        tokio::select! {
            group = durable.recv() => {
                let Some(group) = group else { return Ok(()) };
                let mut confirms = Vec::with_capacity(group.len());
                for (re, reply) in group {
                    number += 1;
                    confirms.push(line.publish(&output, number, re, &reply).await?);
                }
                under_way.push_back(all(confirms));
            }
            Some(confirmed) = under_way.next() => confirmed?,
        }
    }
}
