//! Bytes as hexadecimal digits.
//!
//! Always: two lower-case digits a byte; only that is read again. Absent: anything secret, which is never written so.

use std::fmt::Write as _;

/// The digits of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of digits that [`encode`] wrote.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.filter(|bytes| encode(bytes) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        assert_eq!(decode(&encode(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        for text in ["0", "0g", "FF", "+1", "００"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
