//! Who signs, and with which key.

use super::{IdentifierError, code::code};
use std::{fmt, str::FromStr};

code! {
    /// Anyone who signs messages: the disclosure system, a municipal system, an official, this relay.
    PrincipalId, IdentifierError::Principal,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
}

code! {
    /// A key's id, unique in the directory (RFC 7515 §4.1.4).
    Kid, IdentifierError::Kid,
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
