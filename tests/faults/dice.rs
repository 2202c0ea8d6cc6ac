//! Numbers that follow from a seed (splitmix64), so that a fault can be seen again.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Of one fault: they follow from the seed of the run and the fault's name alone.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        // FNV-1a
        Self(name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `sides`.
    pub(crate) fn below(&mut self, sides: u32) -> u32 {
        u32::try_from(self.next() % u64::from(sides)).unwrap()
    }

    pub(crate) fn pause(&mut self, longest: Duration) -> Duration {
        Duration::from_millis(self.next() % u64::try_from(longest.as_millis()).unwrap().max(1))
    }
}
