//! What stands in a journal: groups, headers of segments, frames. What decodes encodes to the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakatsugi::fuzzing::frame(data));
