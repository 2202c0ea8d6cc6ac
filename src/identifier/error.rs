//! What can be wrong with a name.
//!
//! Always: the message says which rule was broken, never the value: it may be secret or hostile.

use thiserror::Error;

/// Why a text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentifierError {
    /// Not six digits with the check digit of the local government codes.
    #[error("a tenant code has 6 digits, the last of them a check digit")]
    Tenant,
    /// Not `TM` and 14 digits.
    #[error("a category is TM and 14 digits")]
    Category,
    /// Not 10 digits or `TK` and 14 digits.
    #[error("an item code is 10 digits, or TK and 14 digits")]
    Item,
    /// Not `JM` and 14 digits.
    #[error("an affair is JM and 14 digits")]
    Affair,
    /// Not four characters from `0-9A-Z`.
    #[error("a layout version or data set has 4 characters from 0-9 and A-Z")]
    Layout,
    /// Not 43 characters of base64url without spare bits.
    #[error("a person code has 43 characters of base64url")]
    PersonCode,
    /// Not 15 digits.
    #[error("an integrated addressee number has 15 digits")]
    Addressee,
    /// Not 1–64 visible ASCII characters.
    #[error("a key, number, unit or user has 1 to 64 visible ASCII characters")]
    RecordName,
    /// Not a name that a file may have.
    #[error(
        "a file's name has 1 to 100 characters, no control characters and none of / \\ : * ? \" < > |, and no dot or space at its edges"
    )]
    FileName,
    /// Not 64 digits of lower-case hexadecimal.
    #[error("a digest has 64 digits of lower-case hexadecimal")]
    FileDigest,
    /// Not a lower-case UUID with hyphens.
    #[error("a message id is a UUID in lower case with hyphens")]
    Message,
    /// Not a known message type.
    #[error("this message type is not known")]
    MessageType,
    /// Not 1–64 characters from `a-z0-9.-`.
    #[error("a principal is named by 1 to 64 characters from a-z, 0-9, dot and hyphen")]
    Principal,
    /// Not 1–64 characters from `A-Za-z0-9._-`.
    #[error("a key id has 1 to 64 characters from A-Z, a-z, 0-9, dot, underscore and hyphen")]
    Kid,
    /// Not 1–64 characters from `a-z0-9-`.
    #[error("a broker is named by 1 to 64 characters from a-z, 0-9 and hyphen")]
    Broker,
    /// Not 1–255 visible ASCII characters.
    #[error("an AMQP user or queue has 1 to 255 visible ASCII characters")]
    Amqp,
}
