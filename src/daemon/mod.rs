//! The running daemon.

mod world;

pub use world::{SystemClock, SystemEntropy};
