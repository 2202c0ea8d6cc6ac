//! What the fuzz targets (`tests/fuzz`) reach that nobody else may: only in builds that `cargo fuzz` makes.

use crate::{config, vault};
pub use ring::rand::SystemRandom;
use std::path::Path;

/// Reads what might stand in a journal.
pub fn frame(bytes: &[u8]) {
    vault::fuzzing::frame(bytes);
}

/// Reads what might stand in a store.
pub fn stored(bytes: &[u8]) {
    vault::fuzzing::stored(bytes);
}

/// Reads a configuration.
pub fn configuration(text: &str) {
    // Taken or refused: either will do.
    let _ = config::fuzzing::parse(Path::new("nakatsugi.toml"), text);
}
