//! The way of one message.

pub mod ports;
