//! The names of things: each type can only hold a valid one.
//!
//! Always: a value of these types passed its check digit, alphabet and length. Person codes and integrated addressee
//! numbers are secret: their types have no `Display`, print nothing in `Debug` and are wiped when dropped.
//! Absent: any look-up of what a name stands for.

mod code;
mod error;
mod message;
mod network;
mod principal;
mod secret;
mod tenant;
pub(crate) mod text;

pub use code::{Affair, Category, ItemCode, LayoutVersion};
pub use error::IdentifierError;
pub use message::{MessageClass, MessageId, MessageType};
pub use network::{AmqpUser, BrokerName, QueueName};
pub use principal::{Kid, PrincipalId};
pub use secret::{AddresseeNumber, PersonCode, PersonName};
pub use tenant::{TenantCode, VaultName};
