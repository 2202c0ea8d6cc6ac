//! `nakatsugi ask`: one message as a principal, and its reply.
//!
//! Always: what is printed decrypted with the principal's key and verified under the relay's. The principal's queue belongs to
//! this command while it runs: replies to other messages stay in the queue. A denial is printed, and ends with 69.

use super::{CliError, Outside, peer::Peer, validate};
use crate::{
    broker::Observer,
    identifier::{MessageId, MessageType, TenantCode},
    tenant::lifetime,
};
use clap::Args;
use serde_json::{json, value::RawValue};
use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime, time::timeout};

/// Sign and send one message as a principal, and wait for the reply.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  nakatsugi ask --as-peer peers/disclosure --tenant 142051 self-info.request body.json")]
pub struct Arguments {
    /// The folder of the principal that asks, with its `peer.toml`.
    #[arg(long, value_name = "FOLDER")]
    pub as_peer: PathBuf,
    /// The tenant.
    #[arg(long, value_name = "CODE")]
    pub tenant: TenantCode,
    /// The type of the message.
    #[arg(value_name = "TYPE", value_parser = super::command_type())]
    pub kind: MessageType,
    /// The file with the body, as JSON; `-` for the input.
    #[arg(value_name = "BODY")]
    pub body: PathBuf,
    /// The id of an earlier message, as it was shown: with the same body it is the same message, and gets the same reply.
    #[arg(long, value_name = "UUID")]
    pub id: Option<MessageId>,
    /// How many seconds to wait for the reply.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub within: u32,
    /// Print the reply with its id and promise as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(arguments: &Arguments, outside: &mut Outside<'_>) -> Result<(), CliError> {
    let peer = Peer::open(&arguments.as_peer)?;
    let body = body(&arguments.body)?;
    // The relay tells nobody why it could not believe a message, so what can be seen here is said here.
    if let Some(message) = validate::body_fault(arguments.kind, body.get())? {
        return Err(CliError::Body { path: arguments.body.clone(), message });
    }
    let now = outside.clock.now();
    let id = arguments.id.unwrap_or_else(|| {
        let [random @ .., _, _, _, _, _, _] = outside.entropy.half();
        MessageId::dated(now, &random)
    });
    // The id says when its message was first made, so that the same message can be made again.
    let issued = id.made().unwrap_or(now);
    let times = (issued, issued.plus_seconds(lifetime(arguments.kind).min(600)));
    let letter = peer.write(id, arguments.tenant, arguments.kind, times, &body).map_err(CliError::Seal)?;

    let no_reply = || CliError::NoReply { id, seconds: arguments.within };
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(CliError::Runtime)?;
    let reply = runtime.block_on(async {
        // What is wrong on our side or at the broker is said now; later it would look like a reply that does not come.
        peer.reach().await.map_err(CliError::of(&peer.broker()))?;
        let quiet: Observer = Arc::new(|_| {});
        let publisher = peer.publisher(Arc::clone(&quiet));
        let (_intake, mut replies) = peer.intake(64, quiet);
        let wait = Duration::from_secs(arguments.within.into());
        let answered = timeout(wait, async {
            letter.send(&publisher).await.map_err(CliError::Unsent)?;
            if io::stderr().is_terminal() {
                // For whoever watches; nobody misses a line that could not be shown.
                let _ = writeln!(io::stderr(), "sent as {id}; waiting for the reply, {} seconds at most", arguments.within);
            }
            while let Some(delivery) = replies.recv().await {
                // The broker does not vouch for the property; the claim inside decides.
                let ours = delivery.route.correlation_id.as_deref() == Some(id.to_string().as_str());
                if let (true, Ok(reply)) = (ours, peer.read(&delivery.body))
                    && reply.re == Some(id)
                {
                    delivery.ticket.ack();
                    // Time for the acknowledgement to leave before the connection goes.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    return Ok(reply);
                }
            }
            Err(no_reply())
        });
        answered.await.unwrap_or_else(|_| Err(no_reply()))
    })?;
    let value: serde_json::Value = serde_json::from_str(reply.body.get()).map_err(|_| no_reply())?;
    if arguments.json {
        let line = json!({
            "id": id, "reply": reply.id, "type": reply.kind, "body": reply.body, "promise": reply.promise.to_string(),
        });
        writeln!(outside.out, "{line}")?;
    } else {
        writeln!(outside.out, "{value:#}")?;
    }
    let text = |member: &str| value.get(member).and_then(serde_json::Value::as_str);
    match (text("status"), text("code")) {
        (Some("denied"), Some(code)) => Err(CliError::Denied { code: code.to_owned() }),
        _ => Ok(()),
    }
}

fn body(path: &Path) -> Result<Box<RawValue>, CliError> {
    let unreadable = |source| CliError::Body { path: path.to_owned(), message: format!("cannot be read: {source}") };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else {
        fs::read_to_string(path).map_err(unreadable)?
    };
    let wrong = |error: serde_json::Error| CliError::Body {
        path: path.to_owned(),
        message: format!("is not JSON at line {} column {}", error.line(), error.column()),
    };
    serde_json::from_str(&text).map_err(wrong)
}
