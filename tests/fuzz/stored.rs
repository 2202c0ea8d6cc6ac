//! What stands in a store: sealed values, rows of messages and parcels; and the entries and manifests beside it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakatsugi::fuzzing::stored(data));
