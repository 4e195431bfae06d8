//! The states of going live.
//!
//! ```text
//! idle ──publish──▶ live ──drop──▶ away ──window over──▶ ended ──publish──▶ live (a new broadcast)
//!                    ▲              │                      ▲
//!                    └───publish────┘      end (from live or away)
//! ```

use std::time::Duration;

/// Where a broadcast stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has published yet.
    Idle,
    /// A publisher is connected.
    Live,
    /// The publisher is gone and may still come back.
    Away {
        /// When the reconnect window closes, on the caller's monotonic clock.
        until: Duration,
    },
    /// Over. Publishing again begins a new broadcast.
    Ended,
}

impl State {
    /// `idle`, `live`, `away` or `ended`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Live => "live",
            Self::Away { .. } => "away",
            Self::Ended => "ended",
        }
    }
}

/// What a successful publish begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A new broadcast: new id, new first frame.
    New,
    /// The broadcast that was away goes on.
    Resumed,
}

/// Somebody else is publishing. Whoever wants to take over says [`Broadcast::drop`] first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this stream is already live")]
pub struct AlreadyLive;

/// The machine. `now` is monotonic, since a moment that the caller chose once: a jump of the wall clock ends no broadcast.
#[derive(Clone, Debug)]
pub struct Broadcast {
    state: State,
    reconnect_window: Duration,
}

impl Broadcast {
    /// A stream on which nothing has happened yet.
    #[must_use]
    pub fn new(reconnect_window: Duration) -> Self {
        Self { state: State::Idle, reconnect_window }
    }

    /// A broadcast that was running when the process before this one ended: its publisher may come back from `now` on.
    #[must_use]
    pub fn restored(reconnect_window: Duration, now: Duration) -> Self {
        Self { state: State::Away { until: now.saturating_add(reconnect_window) }, reconnect_window }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// A publisher has been let in.
    ///
    /// # Errors
    ///
    /// [`AlreadyLive`] while another publisher is connected.
    pub fn publish(&mut self, now: Duration) -> Result<Begun, AlreadyLive> {
        self.tick(now);
        let begun = match self.state {
            State::Live => return Err(AlreadyLive),
            State::Away { .. } => Begun::Resumed,
            State::Idle | State::Ended => Begun::New,
        };
        self.state = State::Live;
        Ok(begun)
    }

    /// The publisher's connection is gone. Does nothing unless live.
    pub fn drop(&mut self, now: Duration) {
        if self.state == State::Live {
            self.state = State::Away { until: now.saturating_add(self.reconnect_window) };
            self.tick(now);
        }
    }

    /// Time has passed: an exhausted reconnect window ends the broadcast.
    pub fn tick(&mut self, now: Duration) {
        if let State::Away { until } = self.state
            && now >= until
        {
            self.state = State::Ended;
        }
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        match self.state {
            State::Away { until } => Some(until),
            _ => None,
        }
    }

    /// The organiser (or a publisher that says goodbye for good) ends it. A stream that never began stays idle.
    pub fn end(&mut self) {
        if self.state != State::Idle {
            self.state = State::Ended;
        }
    }

    /// A changed setting; a window that is already running keeps its end.
    pub fn set_reconnect_window(&mut self, window: Duration) {
        self.reconnect_window = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_publisher_that_returns_inside_the_window_resumes_its_broadcast() {
        let mut broadcast = Broadcast::new(WINDOW);
        assert_eq!(broadcast.publish(at(0)), Ok(Begun::New));
        broadcast.drop(at(10));
        assert_eq!(broadcast.next_wake(), Some(at(70)));
        broadcast.tick(at(69));
        assert_eq!(broadcast.publish(at(69)), Ok(Begun::Resumed));
        assert_eq!(broadcast.next_wake(), None);
    }

    #[test]
    fn the_window_ends_the_broadcast_and_the_next_publish_is_a_new_one() {
        let mut broadcast = Broadcast::new(WINDOW);
        broadcast.publish(at(0)).unwrap();
        broadcast.drop(at(10));
        broadcast.tick(at(70));
        assert_eq!(broadcast.state(), State::Ended);
        assert_eq!(broadcast.publish(at(71)), Ok(Begun::New));
    }

    #[test]
    fn a_late_publish_is_new_even_when_nobody_ticked() {
        let mut broadcast = Broadcast::new(WINDOW);
        broadcast.publish(at(0)).unwrap();
        broadcast.drop(at(10));
        assert_eq!(broadcast.publish(at(500)), Ok(Begun::New));
    }

    #[test]
    fn only_one_publisher_at_a_time() {
        let mut broadcast = Broadcast::new(WINDOW);
        broadcast.publish(at(0)).unwrap();
        assert_eq!(broadcast.publish(at(1)), Err(AlreadyLive));
        assert_eq!(broadcast.state(), State::Live);
    }

    #[test]
    fn ending_works_from_live_and_away_and_leaves_idle_alone() {
        let mut broadcast = Broadcast::new(WINDOW);
        broadcast.end();
        assert_eq!(broadcast.state(), State::Idle);
        broadcast.publish(at(0)).unwrap();
        broadcast.end();
        assert_eq!(broadcast.state(), State::Ended);
        broadcast.drop(at(1));
        assert_eq!(broadcast.state(), State::Ended);
        let mut broadcast = Broadcast::restored(WINDOW, at(5));
        assert_eq!(broadcast.state(), State::Away { until: at(65) });
        broadcast.end();
        assert_eq!(broadcast.state(), State::Ended);
    }

    #[test]
    fn a_window_of_zero_ends_at_once() {
        let mut broadcast = Broadcast::new(Duration::ZERO);
        broadcast.publish(at(0)).unwrap();
        broadcast.drop(at(1));
        assert_eq!(broadcast.state(), State::Ended);
    }
}
