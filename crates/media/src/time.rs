//! Media time: integer ticks with a scale, never floats.
//!
//! A time stamp is an `i64` number of ticks; how long a tick lasts is said by the [`Timescale`] of the
//! [`Track`](crate::Track) it belongs to. Values are rescaled at container borders only.

use std::num::NonZeroU32;
use std::time::Duration;

/// Ticks per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// One tick is a millisecond, as in FLV and RTMP.
    pub const MILLIS: Self = Self::new_const(1_000);
    /// One tick is 1/90000 s, as in MPEG-TS and, here, every video track in fMP4.
    pub const VIDEO: Self = Self::new_const(90_000);

    const fn new_const(ticks_per_second: u32) -> Self {
        match NonZeroU32::new(ticks_per_second) {
            Some(value) => Self(value),
            None => panic!("a timescale of zero"),
        }
    }

    /// A scale of `ticks_per_second`, or `None` for zero.
    #[must_use]
    pub fn new(ticks_per_second: u32) -> Option<Self> {
        NonZeroU32::new(ticks_per_second).map(Self)
    }

    /// Ticks per second.
    #[must_use]
    pub fn ticks_per_second(self) -> u32 {
        self.0.get()
    }

    /// `ticks` of this scale expressed in `to`, rounded to nearest (halves away from zero), saturating.
    #[must_use]
    pub fn rescale(self, ticks: i64, to: Self) -> i64 {
        if self == to {
            return ticks;
        }
        let numerator = i128::from(ticks) * i128::from(to.0.get());
        let denominator = i128::from(self.0.get());
        let half = if numerator < 0 { -denominator / 2 } else { denominator / 2 };
        let rounded = (numerator + half) / denominator;
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// A non-negative number of ticks as a duration; negative ticks give zero.
    #[must_use]
    pub fn duration(self, ticks: i64) -> Duration {
        let Ok(ticks) = u64::try_from(ticks) else { return Duration::ZERO };
        let scale = u64::from(self.0.get());
        let nanos = (ticks % scale) * 1_000_000_000 / scale;
        Duration::new(ticks / scale, u32::try_from(nanos).unwrap_or(999_999_999))
    }

    /// A duration in ticks of this scale, rounded to nearest, saturating.
    #[must_use]
    pub fn ticks(self, duration: Duration) -> i64 {
        let ticks = (duration.as_nanos() * u128::from(self.0.get()) + 500_000_000) / 1_000_000_000;
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }
}

/// Wall clock: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Attached to media once, when a broadcast is admitted; from there on it follows the media clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub i64);

impl WallTime {
    /// This moment plus `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_to_nearest_and_keeps_the_sign() {
        assert_eq!(Timescale::MILLIS.rescale(1, Timescale::VIDEO), 90);
        assert_eq!(Timescale::VIDEO.rescale(3_003, Timescale::MILLIS), 33);
        assert_eq!(Timescale::VIDEO.rescale(-3_003, Timescale::MILLIS), -33);
    }

    #[test]
    fn rescaling_saturates_instead_of_wrapping() {
        assert_eq!(Timescale::MILLIS.rescale(i64::MAX, Timescale::VIDEO), i64::MAX);
        assert_eq!(Timescale::MILLIS.rescale(i64::MIN, Timescale::VIDEO), i64::MIN);
    }

    #[test]
    fn ticks_and_durations_agree() {
        let scale = Timescale::new(48_000).expect("not zero");
        assert_eq!(scale.ticks(scale.duration(1_024)), 1_024);
        assert_eq!(scale.duration(-1), Duration::ZERO);
    }
}
