//! Base64url as JOSE writes it (RFC 7515 §2), one spelling per value: no padding, no spare bits, no white space.

use super::EnvelopeError;
use crate::wiped::Wiped;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Decodes exactly `N` bytes.
pub(super) fn decode_array<const N: usize>(text: impl AsRef<[u8]>) -> Result<[u8; N], EnvelopeError> {
    let mut bytes = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(EnvelopeError::BadEncoding),
    }
}

/// Decodes into the front of `buffer`.
pub(super) fn decode_into<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], EnvelopeError> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| EnvelopeError::BadEncoding)?;
    buffer.get(..length).ok_or(EnvelopeError::BadEncoding)
}

/// Decodes into one allocation that never moves, so that wiping it wipes all.
pub(super) fn decode(text: &[u8]) -> Result<Wiped, EnvelopeError> {
    let mut bytes = Wiped::with_capacity(text.len() / 4 * 3 + 3);
    URL_SAFE_NO_PAD.decode_vec(text, &mut bytes).map_err(|_| EnvelopeError::BadEncoding)?;
    Ok(bytes)
}

/// How long `length` bytes are when encoded.
pub(super) const fn encoded(length: usize) -> usize {
    length.saturating_mul(4).div_ceil(3)
}

/// Appends the encoding of `bytes`.
pub(super) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded(bytes.len()), 0);
    let written = out.get_mut(start..).and_then(|tail| URL_SAFE_NO_PAD.encode_slice(bytes, tail).ok());
    // INVARIANT: `encoded` is exact (`encoded_length_is_exact`), so this always has written to the end.
    debug_assert_eq!(written, Some(out.len() - start));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_length_is_exact() {
        for length in 0..200 {
            let bytes = vec![0xa5; length];
            let mut out = b"x".to_vec();
            append(&bytes, &mut out);
            assert_eq!(out.len(), 1 + encoded(length));
            assert_eq!(**decode(&out[1..]).unwrap(), *bytes);
        }
    }

    #[test]
    fn every_second_spelling_is_refused() {
        assert_eq!(decode_array::<1>("AQ"), Ok([1]));
        for text in ["AR", "AQ==", "AQ=", "A", "AQ\n", " AQ", "AQA", "+w", "/w", ""] {
            assert_eq!(decode_array::<1>(text), Err(EnvelopeError::BadEncoding), "{text:?}");
        }
        assert_eq!(decode(b"AAB").map(|bytes| bytes.len()), Err(EnvelopeError::BadEncoding));
    }
}
