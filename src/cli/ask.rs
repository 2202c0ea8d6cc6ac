//! `nakatsugi ask`: one message as a principal, and its reply.

use super::{CliError, Outside};
use crate::identifier::{MessageType, TenantCode};
use clap::Args;
use std::path::PathBuf;

/// Sign and send one message as a principal, and wait for the reply.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the principal that asks, with its `peer.toml`.
    #[arg(long, value_name = "FOLDER")]
    pub as_peer: PathBuf,
    /// The tenant.
    #[arg(long, value_name = "CODE")]
    pub tenant: TenantCode,
    /// The type of the message.
    #[arg(value_name = "TYPE")]
    pub kind: MessageType,
    /// The file with the body, as JSON; `-` for the input.
    #[arg(value_name = "BODY")]
    pub body: PathBuf,
    /// How many seconds to wait for the reply.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub within: u32,
}

pub(super) fn run(_arguments: &Arguments, _outside: &mut Outside<'_>) -> Result<(), CliError> {
    Err(CliError::NotWired("ask"))
}
