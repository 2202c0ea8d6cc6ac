//! What was measured, and what follows from it.

use std::time::Duration;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Echo,
    Floor,
    Relay,
}

impl Subject {
    pub(super) const ALL: [Self; 3] = [Self::Echo, Self::Floor, Self::Relay];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Floor => "floor",
            Self::Relay => "relay",
        }
    }
}

/// One round under full load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Requests answered in the steady part of the round, a second.
    pub(super) rate: f64,
    /// Requests answered in all.
    pub(super) requests: u64,
    /// Processor time over the whole round: of the subject, the broker, and the load.
    pub(super) processor: [Duration; 3],
    /// Growth of the data folder.
    pub(super) disk: i64,
}

impl Round {
    /// Processor time per request in µs: subject, broker, load.
    pub(super) fn micros(&self) -> [f64; 3] {
        self.processor.map(|time| time.as_secs_f64() * 1e6 / self.requests.max(1) as f64)
    }
}

/// All that is known of one subject.
#[derive(Debug, Default, Clone)]
pub(super) struct Measured {
    pub(super) rounds: Vec<Round>,
    /// From publish to reply at the given rate, sorted.
    pub(super) latencies: Vec<Duration>,
    /// Resident memory now and at its most, in KiB.
    pub(super) memory: (u64, u64),
}

/// What is known of the relay besides its load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    /// From the start of the process, stopped in order before, to the first reply.
    pub(super) start: Duration,
    /// The share of one core that it takes when nobody asks.
    pub(super) idle: f64,
}

impl Measured {
    pub(super) fn rate(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.rate))
    }

    pub(super) fn micros(&self) -> [f64; 3] {
        [0, 1, 2].map(|place| median(self.rounds.iter().map(|round| round.micros().get(place).copied().unwrap_or_default())))
    }

    /// Bytes on disk per request, over all rounds: the journal grows in steps.
    pub(super) fn disk(&self) -> f64 {
        let requests: u64 = self.rounds.iter().map(|round| round.requests).sum();
        self.rounds.iter().map(|round| round.disk).sum::<i64>() as f64 / requests.max(1) as f64
    }

    /// The latency that this share of requests does not exceed.
    pub(super) fn latency(&self, share: f64) -> Duration {
        let place = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// The ratio of each round of one subject to the round of another that ran beside it: the median.
pub(super) fn ratio(of: &Measured, to: &Measured) -> f64 {
    median(of.rounds.iter().zip(&to.rounds).map(|(of, to)| of.rate / to.rate))
}

/// The middle one, or between the two in the middle.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half.wrapping_sub(1)), values.get(half)) {
        (Some(low), Some(high)) if values.len().is_multiple_of(2) => (low + high) / 2.0,
        (_, Some(middle)) => *middle,
        (_, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn a_percentile_is_a_latency_that_was_seen() {
        let latencies = (1..=1000).map(Duration::from_millis).collect();
        let measured = Measured { latencies, ..Measured::default() };
        assert_eq!(measured.latency(0.5), Duration::from_millis(500));
        assert_eq!(measured.latency(0.999), Duration::from_millis(999));
        assert_eq!(Measured::default().latency(0.5), Duration::ZERO);
    }
}
