//! The running daemon: the relay between its brokers and its vaults, from start to an orderly stop.
//!
//! ```text
//! brokers → intake → relay → vaults → outbox → post → brokers
//!                       timers · signals · reload · backup
//! ```
//!
//! Always: what is not finished at the end is settled by nobody, so the broker delivers it again and the vault recognises
//! it. Absent: any decision about a message; the relay makes them.

pub mod admin;
pub mod backup;
mod error;
mod intake;
pub mod operations;
mod post;
mod registrar;
mod reload;
mod report;
mod serve;
mod suspects;
mod timers;
mod vault_events;
mod world;

pub use error::ServeError;
pub use registrar::Registrar;
pub use serve::{broker_settings, serve, topology};
pub use suspects::{Caution, Leave, Suspects};
pub use world::{SystemClock, SystemEntropy};
