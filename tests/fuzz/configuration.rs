//! A configuration file: taken whole, or refused with the line of its mistake.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        nakatsugi::fuzzing::configuration(text);
    }
});
