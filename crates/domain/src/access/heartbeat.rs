//! Whether somebody still sits where a session says they do: a condition for the keys of what is shown.

use std::time::Duration;

use crate::time::Time;

/// What was heard of a session's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heartbeat {
    /// It said something a moment ago.
    Fresh,
    /// It had no time to say anything yet.
    Joining,
    /// It fell silent, or never said a word.
    Missing,
}

impl Heartbeat {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Joining, Self::Missing];
    /// A page reports every five seconds: three that are lost are a network, more are an absence.
    pub const FRESH_FOR: Duration = Duration::from_secs(15);
    /// A page that has just joined, or comes back after the server was away, has this long to open its feed.
    pub const JOINING_FOR: Duration = Duration::from_secs(20);

    /// How it stands at `now` with a page that could speak from `since` on and was last `heard` then, if ever.
    #[must_use]
    pub fn at(now: Time, since: Time, heard: Option<Time>) -> Self {
        match heard {
            Some(heard) if now.since(heard) < Self::FRESH_FOR => Self::Fresh,
            _ if now.since(since) < Self::JOINING_FOR => Self::Joining,
            _ => Self::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_time_to_join_and_may_miss_three_beats() {
        let at = |now, heard: Option<i64>| {
            Heartbeat::at(Time::from_millis(now), Time::from_millis(0), heard.map(Time::from_millis))
        };
        assert_eq!(at(0, None), Heartbeat::Joining);
        assert_eq!(at(19_999, None), Heartbeat::Joining);
        assert_eq!(at(20_000, None), Heartbeat::Missing);
        assert_eq!(at(114_999, Some(100_000)), Heartbeat::Fresh);
        assert_eq!(at(115_000, Some(100_000)), Heartbeat::Missing);
        assert_eq!(at(17_000, Some(1_000)), Heartbeat::Joining);
    }
}
