//! What to do when the gateway did not say yes.

use std::time::Duration;

/// How often the gateway is asked to take one message.
pub const ATTEMPTS_MAX: u32 = 8;
/// How often the gateway is asked whether it has a message that it may have taken.
pub const LOOKS_MAX: u32 = 6;

/// The first wait; each one after is twice as long.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait of our own.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The longest wait that a gateway may ask for.
const ASKED_LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long to wait after the gateway refused a message for the `attempts`th time without having taken it; `None` when
/// that was enough. `asked` is the wait that the gateway wants; `jitter` of 0 to 255 adds up to a quarter, so that many
/// messages do not come back at once.
#[must_use]
pub fn backoff(attempts: u32, asked: Option<Duration>, jitter: u8) -> Option<Duration> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let own = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
    let own = own + own / 4 * u32::from(jitter) / 255;
    Some(asked.map_or(own, |asked| asked.min(ASKED_LONGEST).max(own)))
}

/// What is known about a message that the gateway may have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It has it: it was sent.
    Sent,
    /// It still does not have it, long after it would have: it was never taken, and may be sent.
    Again,
    /// It is too early to say, or the gateway does not answer: look again after this time.
    Look(Duration),
    /// There is no way to know. A person decides.
    Unknown,
}

/// Between two looks for the same message: a gateway's own list may be a little behind.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// What to do about a message whose outcome is not known. `found` is what the gateway's list says, `None` when it could
/// not be read; `looks` counts this look, `missing` the looks that did not find it, this one included.
///
/// A message counts as never taken when two looks, a minute apart, do not find it.
#[must_use]
pub fn recover(found: Option<bool>, looks: u32, missing: u32) -> Recovery {
    match found {
        Some(true) => Recovery::Sent,
        Some(false) if missing >= 2 => Recovery::Again,
        _ if looks >= LOOKS_MAX => Recovery::Unknown,
        _ => Recovery::Look(BETWEEN_LOOKS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<_> = (1..=ATTEMPTS_MAX).map(|attempts| backoff(attempts, None, 0)).collect();
        let seconds = [5, 10, 20, 40, 80, 160, 320].map(|seconds| Some(Duration::from_secs(seconds)));
        assert_eq!(waits[..7], seconds);
        assert_eq!(waits[7], None);
        assert_eq!(backoff(1, None, 255), Some(Duration::from_millis(6_250)));
    }

    #[test]
    fn a_gateway_that_asks_for_time_gets_it_within_reason() {
        assert_eq!(backoff(1, Some(Duration::from_secs(30)), 0), Some(Duration::from_secs(30)));
        assert_eq!(backoff(1, Some(Duration::from_secs(1)), 0), Some(Duration::from_secs(5)));
        assert_eq!(backoff(1, Some(Duration::MAX), 0), Some(ASKED_LONGEST));
    }

    #[test]
    fn nothing_is_sent_again_before_two_looks_did_not_find_it() {
        assert_eq!(recover(Some(true), 1, 0), Recovery::Sent);
        assert_eq!(recover(Some(false), 1, 1), Recovery::Look(BETWEEN_LOOKS));
        assert_eq!(recover(Some(false), 2, 2), Recovery::Again);
        assert_eq!(recover(None, 1, 0), Recovery::Look(BETWEEN_LOOKS));
        assert_eq!(recover(Some(false), 4, 1), Recovery::Look(BETWEEN_LOOKS), "looks that failed do not count");
        assert_eq!(recover(None, LOOKS_MAX, 1), Recovery::Unknown);
    }
}
