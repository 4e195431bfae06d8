//! How often somebody may ask: a steady rate with room for a burst, counted for each address and for each session.
//!
//! What is counted here is every request to the API; wrong guesses have `limits` of their own. One time per key is all that
//! is kept: when everything that was asked so far will have been paid for.
//!
//! # Source
//!
//! The generic cell rate algorithm, ITU-T I.371, annex A. What clients are told follows
//! draft-ietf-httpapi-ratelimit-headers-08: `q` in `w` seconds, `r` of them left, and all of them back after `t` seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::limits::Key;

/// What quotas are counted over.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Keys remembered at a time, twice: about 8 MiB. With more in a minute the oldest half begins anew.
const KEYS_MAX: usize = 50_000;

/// So many requests of each in a minute, all at once or spread. `now` is monotonic.
pub(super) struct Quota {
    each: u32,
    /// How long one request takes to be paid for.
    step: Duration,
    state: Mutex<State>,
}

impl std::fmt::Debug for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quota").field("each", &self.each).finish_non_exhaustive()
    }
}

/// When the last request of each is paid for. What is in neither half owes nothing.
#[derive(Default)]
struct State {
    current: HashMap<Key, Duration>,
    before: HashMap<Key, Duration>,
    turned: Duration,
}

/// Where somebody stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests in a [`WINDOW`].
    pub quota: u32,
    /// How many could follow at once.
    pub remaining: u32,
    /// Until all could.
    pub full_in: Duration,
    /// This one was one too many: until the next may come.
    pub wait: Option<Duration>,
}

impl Quota {
    /// At least one: zero would lock everybody out.
    pub(super) fn new(each: u32) -> Self {
        let each = each.clamp(1, 10_000_000);
        Self { each, step: WINDOW / each, state: Mutex::default() }
    }

    /// Counts a request; one that is refused is not counted, so that asking too often does not lengthen the wait.
    pub(super) fn ask(&self, who: impl Into<Key>, now: Duration) -> Standing {
        let who = who.into();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever was written a window ago is paid for by now: after two turns nothing is lost with it.
        if state.current.len() >= KEYS_MAX || now.saturating_sub(state.turned) >= WINDOW {
            state.before = std::mem::take(&mut state.current);
            state.turned = now;
        }
        let paid = state.current.get(&who).or_else(|| state.before.get(&who)).copied().unwrap_or(now).max(now);
        let owed = paid - now;
        let after = owed + self.step;
        let wait = after.checked_sub(WINDOW).filter(|wait| !wait.is_zero());
        let owed = if wait.is_some() { owed } else { after };
        if wait.is_none() {
            state.current.insert(who, now + after);
        }
        let left = WINDOW.saturating_sub(owed).as_nanos() / self.step.as_nanos().max(1);
        Standing { quota: self.each, remaining: u32::try_from(left).unwrap_or(self.each), full_in: owed, wait }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_of_the_whole_quota_passes_and_what_comes_after_waits_for_its_turn() {
        let quota = Quota::new(60);
        for left in (0..60).rev() {
            let standing = quota.ask(ip("192.0.2.1"), at(100));
            assert_eq!((standing.remaining, standing.wait), (left, None));
            assert_eq!(standing.full_in, at(60 - u64::from(left)));
        }
        let refused = quota.ask(ip("192.0.2.1"), at(100));
        assert_eq!((refused.remaining, refused.wait), (0, Some(at(1))));
        assert_eq!(quota.ask(ip("192.0.2.1"), at(100)).wait, Some(at(1)), "asking too often does not lengthen it");
        assert_eq!(quota.ask(ip("192.0.2.2"), at(100)).wait, None, "others are not affected");
        assert_eq!(quota.ask(ip("192.0.2.1"), at(101)).wait, None);
        assert_eq!(quota.ask(ip("192.0.2.1"), at(101)).wait, Some(at(1)));
        assert_eq!(quota.ask(ip("192.0.2.1"), at(161)).remaining, 59, "a minute later all is back");
    }

    #[test]
    fn forgetting_by_the_minute_gives_nobody_more_than_the_quota_and_a_burst() {
        let quota = Quota::new(600);
        let passed =
            (0..600_000_u64).filter(|tick| quota.ask(ip("192.0.2.1"), Duration::from_millis(*tick)).wait.is_none());
        let passed = passed.count();
        assert!((6_599..=6_601).contains(&passed), "{passed} in ten minutes");
    }

    #[test]
    fn a_million_addresses_use_bounded_memory() {
        let quota = Quota::new(5);
        for number in 0..1_000_000_u32 {
            quota.ask(IpAddr::from(number.to_be_bytes()), at(1));
        }
        let state = quota.state.lock().unwrap();
        assert!(state.current.len() <= KEYS_MAX && state.before.len() <= KEYS_MAX);
    }
}
