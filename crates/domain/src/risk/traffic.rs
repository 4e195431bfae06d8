//! Whether more media is fetched than can be watched.
//!
//! What a session fetches is weighed against what the stream brought forth in the same time. A player fetches the edge
//! once, and fills its buffer once more after each jump; a program that empties the recording, or fetches several
//! renditions or for several people, fetches more than that for as long as it runs.

use std::time::Duration;

/// How long is added up before it is judged.
pub const WINDOW: Duration = Duration::from_secs(120);
/// So many windows one after the other: somebody who jumps about stops doing it.
pub const WINDOWS: u8 = 2;
/// What may be fetched on top of the time itself: several fillings of a player's buffer.
const AHEAD: Duration = Duration::from_secs(45);

/// Whether `taken` bytes in a `window` are more than 1.5 times what the stream brought forth in it, `made` bytes, and
/// the filling of some buffers on top. While the stream brings nothing forth there is nothing to weigh against.
#[must_use]
pub fn is_too_much(taken: u64, made: u64, window: Duration) -> bool {
    let (taken, made) = (u128::from(taken), u128::from(made));
    let window_ms = window.as_millis();
    if made == 0 || window_ms == 0 {
        return false;
    }
    // taken > made * 1.5 + made * ahead / window, without fractions.
    taken * 2 * window_ms > made * (3 * window_ms + 2 * AHEAD.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn watching_and_jumping_now_and_then_is_not_too_much_and_emptying_the_recording_is() {
        // A megabyte a second.
        let made = 120_000_000;
        let second = 1_000_000;
        for (seconds, too_much, who) in [
            (0, false, "nobody"),
            (120, false, "a player"),
            (120 + 30, false, "a player that has just begun"),
            (120 + 3 * 30, false, "three jumps"),
            (225, false, "the most"),
            (226, true, "more than the most"),
            (240, true, "two players"),
            (900, true, "fifteen minutes of recording"),
        ] {
            assert_eq!(is_too_much(seconds * second, made, WINDOW), too_much, "{who}");
        }
        assert!(!is_too_much(u64::MAX, 0, WINDOW), "nothing to weigh against");
        assert!(!is_too_much(u64::MAX, 5, Duration::ZERO));
        assert!(is_too_much(u64::MAX, u64::MAX / 4, WINDOW));
    }

    proptest! {
        #[test]
        fn fetching_more_is_never_less_odd(taken: u64, more: u64, made: u64) {
            let odd = is_too_much(taken, made, WINDOW);
            prop_assert!(!odd || is_too_much(taken.saturating_add(more), made, WINDOW));
        }
    }
}
