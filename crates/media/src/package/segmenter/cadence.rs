//! How far apart the pictures of a track are.

/// How many intervals are remembered: long enough to see a pattern, short enough to notice a change within a second.
const REMEMBERED: usize = 16;
/// How many intervals must be known before a frame's duration is predicted from them.
const STEADY_AFTER: usize = 8;
/// 2 ms: time stamps in whole milliseconds make equal intervals differ by one.
const JITTER_TICKS: i64 = 180;

/// The last intervals between decode times, in 1/90000 s.
#[derive(Clone, Debug, Default)]
pub(super) struct Cadence {
    intervals: [i64; REMEMBERED],
    count: usize,
    /// What the parameter sets claim, as an interval.
    claimed: Option<i64>,
}

impl Cadence {
    /// `frame_rate` is what the parameter sets say (numerator, denominator).
    pub(super) fn new(frame_rate: Option<(u32, u32)>) -> Self {
        let claimed = frame_rate.filter(|(num, _)| *num > 0).map(|(num, den)| {
            let (num, den) = (i64::from(num), i64::from(den));
            (den * 90_000 + num / 2) / num
        });
        Self { claimed, ..Self::default() }
    }

    pub(super) fn observe(&mut self, interval: i64) {
        self.intervals[self.count % REMEMBERED] = interval;
        // Keeps counting in a range where the ring index stays right.
        self.count = if self.count + 1 == 2 * REMEMBERED { REMEMBERED } else { self.count + 1 };
    }

    pub(super) fn observed(&self) -> usize {
        self.count.min(REMEMBERED)
    }

    fn recent(&self) -> &[i64] {
        &self.intervals[..self.observed()]
    }

    /// The typical interval. The parameter sets are believed when what is seen agrees with them, because their value is
    /// exact and time stamps are rounded.
    pub(super) fn interval(&self) -> Option<i64> {
        let recent = self.recent();
        if recent.is_empty() {
            return self.claimed;
        }
        let count = i64::try_from(recent.len()).unwrap_or(1);
        let mean = ((recent.iter().sum::<i64>() + count / 2) / count).max(1);
        // Rounding to milliseconds moves a mean of few intervals by at most 1 ms divided by their number.
        let tolerance = mean / 100 + 90 / count;
        match self.claimed {
            Some(claimed) if (claimed - mean).abs() <= tolerance => Some(claimed),
            _ => Some(mean),
        }
    }

    /// The interval, if every recent one was equal to it but for rounding: the next picture can be expected then.
    pub(super) fn steady(&self) -> Option<i64> {
        let interval = self.interval()?;
        let steady = self.observed() >= STEADY_AFTER
            && self.recent().iter().all(|recent| (recent - interval).abs() <= JITTER_TICKS);
        steady.then_some(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_believed_when_what_is_seen_agrees() {
        let mut cadence = Cadence::new(Some((30_000, 1_001)));
        assert_eq!(cadence.interval(), Some(3_003));
        for interval in [33, 34, 33, 33, 34, 33, 34, 33] {
            cadence.observe(interval * 90);
        }
        assert_eq!(cadence.steady(), Some(3_003));
    }

    #[test]
    fn a_wrong_claim_is_not_believed() {
        let mut cadence = Cadence::new(Some((60, 1)));
        for _ in 0..8 {
            cadence.observe(3_600);
        }
        assert_eq!(cadence.steady(), Some(3_600));
    }

    #[test]
    fn one_irregular_interval_ends_steadiness_for_a_while() {
        let mut cadence = Cadence::new(None);
        (0..20).for_each(|_| cadence.observe(3_600));
        assert!(cadence.steady().is_some());
        cadence.observe(7_200);
        assert!(cadence.steady().is_none());
        (0..REMEMBERED).for_each(|_| cadence.observe(3_600));
        assert_eq!(cadence.steady(), Some(3_600));
    }
}
