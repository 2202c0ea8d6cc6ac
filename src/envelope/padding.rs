//! Padding: what a reply's length may tell.

/// What follows the claims in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Nothing.
    None,
    /// Spaces up to the next Padmé size, at least 4 KiB. SECURITY: the length then tells at most O(log log length) bits.
    Padme,
}

const SMALLEST: usize = 4096;

impl Padding {
    /// The length of the padded payload.
    #[must_use]
    pub const fn padded(self, length: usize) -> usize {
        match self {
            Self::None => length,
            Self::Padme if length <= SMALLEST => SMALLEST,
            Self::Padme => {
                let mask = granule(length) - 1;
                (length + mask) & !mask
            }
        }
    }

    /// The longest length that, padded, is at most `limit`; 0 if there is none.
    #[must_use]
    pub(super) const fn floor(self, limit: usize) -> usize {
        match self {
            Self::None => limit,
            Self::Padme if limit < SMALLEST => 0,
            Self::Padme => limit & !(granule(limit) - 1),
        }
    }
}

/// The step between Padmé sizes near `length` (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PoPETs
/// 2019, Algorithm 1): `2^(E − S)`, where `E = ⌊log2 length⌋` and `S = ⌊log2 E⌋ + 1`.
const fn granule(length: usize) -> usize {
    let exponent = length.ilog2();
    1 << (exponent - (exponent.ilog2() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_lengths_are_few_and_near() {
        assert_eq!(Padding::None.padded(17), 17);
        for (length, padded) in [(0, 4096), (4096, 4096), (4097, 4352), (4352, 4352), (5000, 5120), (70_000, 71_680), (1 << 22, 1 << 22)] {
            assert_eq!(Padding::Padme.padded(length), padded, "{length}");
        }
        for length in 4096..300_000 {
            let padded = Padding::Padme.padded(length);
            assert!(padded >= length && padded - length <= length / 8, "{length}");
            assert_eq!(Padding::Padme.padded(padded), padded);
            let floor = Padding::Padme.floor(length);
            assert!(floor <= length && Padding::Padme.padded(floor) == floor && Padding::Padme.padded(floor + 1) > length, "{length}");
        }
    }
}
