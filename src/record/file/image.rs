//! Images: the outer form of PNG and JPEG, from the first byte to the last.
//!
//! Always: nothing is decoded, and nothing stands behind the image's end. Absent: what it shows; an official looks at that.

/// Reads from a slice.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// Whether this is a PNG (W3C PNG §5): the signature, chunks beginning with IHDR, one IDAT at least, IEND as the last.
pub(super) fn is_png(bytes: &[u8]) -> bool {
    fn walk(bytes: &[u8]) -> Option<bool> {
        let mut rest = Bytes(bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?);
        let (mut first, mut data) = (true, false);
        loop {
            let length = usize::try_from(u32::from_be_bytes(rest.array()?)).ok()?;
            let kind: [u8; 4] = rest.array()?;
            let content = rest.take(length)?;
            rest.take(4)?;
            match &kind {
                b"IHDR" if first && length == 13 && content.split_at(8).0.as_chunks().0.iter().all(|side| side != &[0; 4]) => first = false,
                _ if first => return None,
                b"IHDR" => return None,
                b"IDAT" => data = true,
                b"IEND" => return Some(data && length == 0 && rest.0.is_empty()),
                _ => {}
            }
        }
    }
    walk(bytes).unwrap_or(false)
}

/// Whether this is a JPEG (ITU-T T.81 §B): segments with a frame and a scan between SOI and EOI, which is the end.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    const SOI: u8 = 0xd8;
    const EOI: u8 = 0xd9;
    const SOS: u8 = 0xda;
    fn walk(bytes: &[u8]) -> Option<bool> {
        let mut rest = Bytes(bytes.strip_prefix(&[0xff, SOI])?);
        let (mut frame, mut scan) = (false, false);
        loop {
            let [0xff] = rest.array()? else { return None };
            let [mut marker] = rest.array()?;
            while marker == 0xff {
                [marker] = rest.array()?;
            }
            match marker {
                EOI => return Some(frame && scan && rest.0.is_empty()),
                0 | 1 | SOI | 0xd0..=0xd7 => return None,
                _ => {
                    let length = usize::from(u16::from_be_bytes(rest.array()?));
                    rest.take(length.checked_sub(2)?)?;
                    frame |= matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf);
                }
            }
            if marker == SOS {
                scan = true;
                // Entropy-coded data: up to a marker that is neither a stuffed byte nor a restart.
                let ends = |pair: &[u8]| matches!(pair, [0xff, next] if !matches!(next, 0 | 0xd0..=0xd7 | 0xff));
                let end = rest.0.windows(2).position(ends)?;
                rest.take(end)?;
            }
        }
    }
    walk(bytes).unwrap_or(false)
}
