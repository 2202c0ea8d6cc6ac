//! The outside world in its two smallest parts: the clock and the random source.

use crate::{
    calendar::Timestamp,
    relay::ports::{Clock, Entropy},
};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock. The only place that reads it.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else takes its time from")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The operating system's random source.
#[derive(Debug, Clone)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// The source, once it has given its first bytes.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn open() -> Result<Self, ring::error::Unspecified> {
        let random = SystemRandom::new();
        random.fill(&mut [0; 1])?;
        Ok(Self(random))
    }
}

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "getrandom(2) does not fail once it has succeeded; going on without would reuse salts")]
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes).expect("the random source has answered before");
        bytes
    }
}
