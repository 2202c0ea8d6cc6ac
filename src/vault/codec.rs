//! Numbers and blocks as bytes, big-endian.
//!
//! Always: reading never goes past the end; it answers `None`. Absent: any meaning.

/// Appends to a buffer.
pub(super) trait Put {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    /// A length of four bytes, then the bytes.
    fn block(&mut self, bytes: &[u8]);
    /// A length of one byte, then the text; no name here is longer than 64.
    fn name(&mut self, text: &str);
}

impl Put for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }
    fn block(&mut self, bytes: &[u8]) {
        self.u32(len32(bytes.len()));
        self.extend_from_slice(bytes);
    }
    fn name(&mut self, text: &str) {
        self.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.extend_from_slice(text.as_bytes());
    }
}

/// A length as it is written.
// INVARIANT: nothing here comes near 4 GiB: a longer frame than `LONGEST_FRAME` is refused before it is written. Held by
// `commit::a_frame_that_is_too_long_is_refused_and_the_vault_goes_on`.
pub(super) fn len32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Reads from the front.
#[derive(Clone, Copy)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
    pub(super) fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).ok()?)
    }
    pub(super) fn name(&mut self) -> Option<&'a str> {
        let length = self.u8()?;
        std::str::from_utf8(self.bytes(usize::from(length))?).ok()
    }
    pub(super) const fn end(self) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { None }
    }
}
