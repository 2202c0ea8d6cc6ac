//! The broker: RabbitMQ over mutual TLS 1.3.
//!
//! Always: what is taken in is settled once or comes back; what is published counts only when the broker confirmed it
//! and did not return it; consuming and publishing use connections of their own, because a broker short of memory
//! blocks a connection that publishes, its acknowledgements too. After any loss everything is built anew: lapin's own
//! recovery is not used. Absent: what a message means; to this folder it is bytes, an id and a route.
//!
//! [`Intake`] takes in, [`Publisher`] sends, [`Topology`] says what must exist, [`Definitions`] who may do what.

mod connect;
mod consume;
mod credentials;

pub mod definitions;
mod delivery;
mod error;
mod event;
pub mod names;
mod publish;
mod settle;
pub mod topology;

pub use connect::BrokerSettings;
pub use consume::{Drained, Intake, IntakeSettings, Source};
pub use definitions::{Carrier, Definitions, Tenants};
pub use delivery::{Delivery, Route};
pub use error::BrokerError;
pub use event::{BrokerEvent, Observer, Purpose};
pub use publish::{Publication, Published, Publisher, PublisherSettings, Unpublished, Unroutable};
pub use settle::Ticket;
pub use topology::{Limits, Partition, Topology};
