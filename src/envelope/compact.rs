//! The compact serialization: base64url parts between dots (RFC 7515 §7.1, RFC 7516 §7.1).

use super::EnvelopeError;

const fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.')
}

/// The parts of a compact serialization, exactly `N`, all of base64url characters; `malformed` if the count is another.
pub(super) fn split<const N: usize>(text: &[u8], malformed: EnvelopeError) -> Result<[&[u8]; N], EnvelopeError> {
    // Without a short cut, so that it compiles to vector instructions; most texts are good.
    if !text.iter().fold(true, |good, &byte| good & allowed(byte)) {
        return Err(EnvelopeError::BadAlphabet);
    }
    let mut rest = text.split(|&byte| byte == b'.');
    let mut parts = [&[][..]; N];
    for part in &mut parts {
        *part = rest.next().ok_or(malformed)?;
    }
    if rest.next().is_some() { Err(malformed) } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_parts_is_exact() {
        let malformed = EnvelopeError::MalformedJws;
        assert_eq!(split::<3>(b"a.b.c", malformed), Ok([&b"a"[..], b"b", b"c"]));
        assert_eq!(split::<3>(b"..", malformed), Ok([&b""[..], b"", b""]));
        for text in [&b""[..], b"a", b"a.b", b"a.b.c.", b"a.b.c.d"] {
            assert_eq!(split::<3>(text, malformed), Err(malformed));
        }
    }

    #[test]
    fn only_base64url_and_dots_pass() {
        for byte in 0..=u8::MAX {
            let text = [b'a', byte, b'c'];
            let good = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".contains(&byte);
            let parts = split::<1>(&text, EnvelopeError::MalformedJwe);
            match byte {
                b'.' => assert_eq!(parts, Err(EnvelopeError::MalformedJwe)),
                _ if good => assert_eq!(parts, Ok([&text[..]])),
                _ => assert_eq!(parts, Err(EnvelopeError::BadAlphabet)),
            }
        }
    }
}
