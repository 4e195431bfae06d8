//! How long a session lasts: as long as somebody watches and a while longer, up to a bound.

use std::time::Duration;

use crate::time::Time;

/// The time that a session has.
///
/// It ends when nobody has watched for [`length`](Self::length). Being watched moves that end
/// ([`prolonged`](Self::prolonged)), up to [`latest`](Self::latest), whoever is still there then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// When the session was opened.
    pub began: Time,
    /// How long it goes on without being watched.
    pub length: Duration,
}

impl Visit {
    /// The longest a session may last, unless one that nobody watches is allowed to last longer: a week outlasts every
    /// conference, and an address that was copied does not open anything for ever.
    pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// An end is moved by a twelfth of the length at least: once an hour for twelve hours, so that a whole audience that
    /// stays is a few statements an hour.
    const STEPS: u32 = 12;

    /// How long any session of this length may last at most.
    #[must_use]
    pub fn longest(length: Duration) -> Duration {
        length.max(Self::LONGEST)
    }

    /// When this one is over, however much it is watched.
    #[must_use]
    pub fn latest(self) -> Time {
        self.began.plus(Self::longest(self.length))
    }

    /// The end of a session that is watched at `now`, in place of `end`; `None` while that one is good enough.
    #[must_use]
    pub fn prolonged(self, end: Time, now: Time) -> Option<Time> {
        let later = now.plus(self.length).min(self.latest());
        let worth_it = later.since(end) >= self.length / Self::STEPS || later == self.latest();
        (later > end && worth_it).then_some(later)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const BEGAN: Time = Time::from_millis(1_795_203_000_000);

    #[test]
    fn an_end_moves_once_an_hour_and_never_beyond_a_week() {
        let visit = Visit { began: BEGAN, length: 12 * HOUR };
        let after = |hours: u32| BEGAN.plus(hours * HOUR);
        let first = after(12);
        assert_eq!(visit.prolonged(first, BEGAN), None);
        assert_eq!(visit.prolonged(first, BEGAN.plus(HOUR - Duration::from_millis(1))), None);
        assert_eq!(visit.prolonged(first, after(1)), Some(after(13)));
        assert_eq!(visit.prolonged(first, after(11)), Some(after(23)), "whoever was away for eleven hours");
        assert_eq!(visit.prolonged(after(167), BEGAN.plus(156 * HOUR + HOUR / 2)), Some(after(168)));
        assert_eq!(visit.prolonged(after(168), after(167)), None);
        assert_eq!(visit.latest(), after(168));
        let long = Visit { began: BEGAN, length: 200 * HOUR };
        assert_eq!((long.latest(), long.prolonged(after(200), after(20))), (after(200), None));
    }

    proptest! {
        #[test]
        fn an_end_only_moves_forward_and_within_its_bounds(
            length_ms in 1_u64..2_000_000_000,
            end in 0_i64..2_000_000_000,
            now in -1_000_i64..2_000_000_000,
        ) {
            let visit = Visit { began: Time::from_millis(0), length: Duration::from_millis(length_ms) };
            let (end, now) = (Time::from_millis(end), Time::from_millis(now));
            if let Some(later) = visit.prolonged(end, now) {
                prop_assert!(later > end && later <= visit.latest() && later <= now.plus(visit.length));
            } else {
                let missed = now.plus(visit.length).min(visit.latest()).since(end);
                prop_assert!(missed < visit.length / Visit::STEPS || missed.is_zero());
            }
        }
    }
}
