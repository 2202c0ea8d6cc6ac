//! What a demonstration, the tests and the benchmark stand on: a private broker and its certificates.

mod error;
pub mod node;
pub mod pki;

pub use error::{NodeError, PkiError};
