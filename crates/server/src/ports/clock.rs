//! What time it is. Only this file asks the operating system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use stagedoor_domain::Time;

/// A clock; cheap to clone, and all clones show the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock. The wall time is read once, at the start, and then runs on monotonically: when somebody
    /// sets the machine's clock, no token ends early and no playlist goes back. Slow corrections by NTP are followed,
    /// because they steer the monotonic clock as well.
    System {
        /// The wall time at `started`.
        anchor: Time,
        /// When this clock was made.
        started: Instant,
    },
    /// A clock that stands still until a test moves it.
    Manual(Arc<Manual>),
}

/// The hands of [`Clock::Manual`].
#[derive(Debug)]
pub struct Manual {
    anchor: Time,
    elapsed_ms: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::System { anchor: Time::from_millis(0).plus(since_1970), started: Instant::now() }
    }

    /// A clock that shows `anchor` until it is [advanced](Self::advance).
    #[must_use]
    pub fn manual(anchor: Time) -> Self {
        Self::Manual(Arc::new(Manual { anchor, elapsed_ms: AtomicU64::new(0) }))
    }

    /// The wall time. Never goes back.
    #[must_use]
    pub fn now(&self) -> Time {
        let anchor = match self {
            Self::System { anchor, .. } => anchor,
            Self::Manual(manual) => &manual.anchor,
        };
        anchor.plus(self.elapsed())
    }

    /// Monotonic time since this clock was made: what machines are told as `now`.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::System { started, .. } => started.elapsed(),
            Self::Manual(manual) => Duration::from_millis(manual.elapsed_ms.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward, in whole milliseconds. The machine's clock is not ours to move: then it does
    /// nothing.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(manual) = self {
            manual.elapsed_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Time::from_millis(5));
        let other = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!((other.now(), other.elapsed()), (Time::from_millis(2_005), Duration::from_secs(2)));
    }
}
