//! The body of each type of command: decoded or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nakatsugi::{command::Command, identifier::MessageType};
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let Ok(body) = serde_json::from_slice::<&RawValue>(bytes) else { return };
    let kind = MessageType::ALL[usize::from(*choice) % MessageType::ALL.len()];
    if let Ok(command) = Command::decode(kind, body) {
        let _ = command.names();
    }
});
