//! When messages may go out, and how long the rest of them takes.

use std::time::Duration;

use crate::event::QuietHours;
use crate::time::Time;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

impl QuietHours {
    /// When the silence that `now` lies in ends; `None` outside of it. Quiet hours that begin when they end are none.
    #[must_use]
    pub fn silent_until(&self, now: Time) -> Option<Time> {
        let (length, into) = self.place(now);
        (into < length).then(|| Time::from_millis(now.millis().saturating_add(length - into)))
    }

    /// When the next silence begins, at or after `now`; `None` when there is none, and inside one its own beginning.
    fn silent_from(&self, now: Time) -> Option<Time> {
        let (length, into) = self.place(now);
        let until = if into < length { -into } else { DAY_MS - into };
        (length > 0).then(|| Time::from_millis(now.millis().saturating_add(until)))
    }

    /// How long the silence is, and how long ago it last began, in milliseconds.
    fn place(&self, now: Time) -> (i64, i64) {
        let (from, to) = (i64::from(self.from_minute) * MINUTE_MS, i64::from(self.to_minute) * MINUTE_MS);
        let local = now.millis().saturating_add(i64::from(self.utc_offset_minutes) * MINUTE_MS);
        ((to - from).rem_euclid(DAY_MS), local.saturating_sub(from).rem_euclid(DAY_MS))
    }
}

/// How long `left` messages take from `now` on, at `per_second` and silent in the quiet hours.
///
/// The last message goes out at the end of that time; quiet hours that cover the whole day do not exist.
#[must_use]
pub fn eta(left: u64, per_second: u32, quiet: Option<&QuietHours>, now: Time) -> Duration {
    let work_ms = i64::try_from(left.saturating_mul(1_000).div_ceil(u64::from(per_second.max(1)))).unwrap_or(i64::MAX);
    if work_ms == 0 {
        return Duration::ZERO;
    }
    let Some((quiet, begins)) = quiet.and_then(|quiet| Some((quiet, quiet.silent_from(now)?))) else {
        return millis(work_ms);
    };
    let length = quiet.place(now).0;
    let awake = DAY_MS - length;
    // To the end of a silence that is going on, then whole days of work, then the rest of one.
    let (waited, until_silence) = match quiet.silent_until(now) {
        Some(end) => (end.millis() - now.millis(), awake),
        None => (0, begins.millis() - now.millis()),
    };
    if work_ms <= until_silence {
        return millis(waited.saturating_add(work_ms));
    }
    let rest = work_ms - until_silence;
    // The silence that is met first, and one more after each full day of work.
    let silences = 1 + (rest - 1) / awake;
    millis(waited.saturating_add(work_ms).saturating_add(silences.saturating_mul(length)))
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn night(offset: i16) -> QuietHours {
        QuietHours { from_minute: 21 * 60, to_minute: 8 * 60 + 30, utc_offset_minutes: offset }
    }

    #[test]
    fn a_night_has_midnight_in_it() {
        let night = night(60);
        assert_eq!(night.silent_until(at("2026-11-20T19:59:59.999Z")), None);
        assert_eq!(night.silent_until(at("2026-11-20T20:00:00Z")), Some(at("2026-11-21T07:30:00Z")));
        assert_eq!(night.silent_until(at("2026-11-21T00:00:00Z")), Some(at("2026-11-21T07:30:00Z")));
        assert_eq!(night.silent_until(at("2026-11-21T07:29:59.999Z")), Some(at("2026-11-21T07:30:00Z")));
        assert_eq!(night.silent_until(at("2026-11-21T07:30:00Z")), None);
    }

    #[test]
    fn a_siesta_does_not() {
        let siesta = QuietHours { from_minute: 13 * 60, to_minute: 15 * 60, utc_offset_minutes: -300 };
        assert_eq!(siesta.silent_until(at("2026-11-20T18:00:00Z")), Some(at("2026-11-20T20:00:00Z")));
        assert_eq!(siesta.silent_until(at("2026-11-20T20:00:00Z")), None);
        assert_eq!(siesta.silent_until(at("1969-07-20T19:00:00Z")), Some(at("1969-07-20T20:00:00Z")), "before 1970");
    }

    #[test]
    fn hours_that_end_when_they_begin_are_none() {
        let none = QuietHours { from_minute: 60, to_minute: 60, utc_offset_minutes: 0 };
        assert_eq!(none.silent_until(at("2026-11-20T01:00:00Z")), None);
        assert_eq!(eta(10, 1, Some(&none), at("2026-11-20T00:59:00Z")), Duration::from_secs(10));
    }

    #[test]
    fn what_is_left_takes_as_long_as_it_says() {
        let hours = |hours: u64, minutes: u64| Duration::from_secs(hours * 3_600 + minutes * 60);
        let noon = at("2026-11-20T12:00:00Z");
        assert_eq!(eta(9_660, 1, None, noon), hours(2, 41));
        assert_eq!(eta(0, 1, Some(&night(0)), noon), Duration::ZERO);
        assert_eq!(eta(3, 2, None, noon), Duration::from_millis(1_500));
        // Nine hours until the night; a tenth hour waits for the morning.
        assert_eq!(eta(9 * 3_600, 1, Some(&night(0)), noon), hours(9, 0));
        assert_eq!(eta(10 * 3_600, 1, Some(&night(0)), noon), hours(21, 30));
        // Two nights: 9 hours, then a day of 12.5 hours, then one more hour.
        assert_eq!(eta(81_000, 1, Some(&night(0)), noon), hours(22 + 23, 30));
        assert_eq!(eta(60, 1, Some(&night(0)), at("2026-11-20T23:30:00Z")), hours(9, 1));
    }

    proptest! {
        #[test]
        fn the_eta_is_what_going_minute_by_minute_gives(
            left in 0_u64..20_000, per_second in 1_u32..4, from in 0_u16..1_440, to in 0_u16..1_440, start in 0_i64..2_880,
        ) {
            let quiet = QuietHours { from_minute: from, to_minute: to, utc_offset_minutes: 0 };
            // Whole minutes of work, so that a minute is either worked or silent.
            let left = left / (60 * u64::from(per_second)) * 60 * u64::from(per_second);
            let mut work = left / (60 * u64::from(per_second));
            let mut minute = start;
            while work > 0 {
                if quiet.silent_until(Time::from_millis(minute * MINUTE_MS)).is_none() {
                    work -= 1;
                }
                minute += 1;
            }
            let expected = if left == 0 { 0 } else { minute - start };
            let told = eta(left, per_second, Some(&quiet), Time::from_millis(start * MINUTE_MS));
            prop_assert_eq!(told, millis(expected * MINUTE_MS));
        }
    }
}
