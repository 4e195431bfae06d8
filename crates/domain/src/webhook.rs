//! Webhooks: which facts go to which, when a delivery is tried again, and what an answer means.
//!
//! # Source
//!
//! Standard Webhooks 1.0.0, "Deliverability and reliability". The schedule is the one proposed there; each wait counts
//! from the attempt before.

use std::time::Duration;

use crate::id::{EventId, WebhookId};

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// How long to wait before each attempt: at once, then after ever longer.
const SCHEDULE: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5 * SECOND),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];
/// The most that randomness adds to a wait: a tenth of it. Many deliveries that failed together do not come back together.
const JITTER_DIVISOR: u32 = 10;
/// The longest that a receiver can ask us to wait: longer than the longest wait would only lose the delivery.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * HOUR);
/// How long a receiver that asks for less is left alone when it does not say how long.
const THROTTLED: Duration = Duration::from_secs(MINUTE);

/// Somebody who wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Which webhook.
    pub id: WebhookId,
    /// Facts of this event only; `None` for all facts.
    pub event: Option<EventId>,
    /// Names of facts (`stream.live`) or of groups of them (`stream.*`); none means all.
    pub types: &'a [String],
}

impl Endpoint<'_> {
    /// Whether a fact with this name, of this event, is for them.
    #[must_use]
    pub fn wants(&self, kind: &str, event: Option<EventId>) -> bool {
        let of_event = self.event.is_none_or(|wanted| event == Some(wanted));
        of_event && (self.types.is_empty() || self.types.iter().any(|pattern| matches(pattern, kind)))
    }
}

fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(group) => group.ends_with('.') && kind.starts_with(group),
        None => pattern == kind,
    }
}

/// Whether `pattern` is the name of a fact or of a group of facts.
#[must_use]
pub fn is_type(pattern: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 40
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    pattern.split_once('.').is_some_and(|(group, name)| word(group) && (name == "*" || word(name)))
}

/// What the receiver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; `None` when there was no answer at all.
    pub status: Option<u16>,
    /// When it asks us to come again.
    pub retry_after: Option<Duration>,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// Try this delivery again after `wait`; leave the whole endpoint alone for `pause`.
    Again {
        /// Until the next attempt.
        wait: Duration,
        /// Until anything is sent there again.
        pause: Duration,
    },
    /// That was the last attempt.
    GiveUp,
    /// The receiver says that it wants nothing any more.
    Gone,
}

/// Judges attempt number `attempt`, counted from one. `jitter` is random, over the whole range of `u32`.
#[must_use]
pub fn judge(answer: Answer, attempt: u32, jitter: u32) -> Verdict {
    match answer.status {
        Some(200..=299) => return Verdict::Delivered,
        Some(410) => return Verdict::Gone,
        // Everything else failed, redirects too: whoever moves a webhook changes its address here.
        _ => {}
    }
    let asked = answer.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
    let pause = match answer.status {
        Some(429 | 502 | 504) => asked.unwrap_or(THROTTLED),
        _ => asked.unwrap_or_default(),
    };
    match usize::try_from(attempt).ok().and_then(|attempt| SCHEDULE.get(attempt)) {
        Some(wait) => {
            let spread = u64::try_from((*wait / JITTER_DIVISOR).as_millis()).unwrap_or(0);
            let jitter = Duration::from_millis(spread * u64::from(jitter) / u64::from(u32::MAX));
            Verdict::Again { wait: (*wait + jitter).max(pause), pause }
        }
        None => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn answer(status: u16) -> Answer {
        Answer { status: Some(status), retry_after: None }
    }

    #[test]
    fn a_delivery_is_tried_ten_times_over_about_three_days() {
        let mut waited = Vec::new();
        for attempt in 1..=10 {
            match judge(Answer { status: None, retry_after: None }, attempt, 0) {
                Verdict::Again { wait, pause } => {
                    assert_eq!(pause, Duration::ZERO);
                    waited.push(wait.as_secs());
                }
                verdict => assert_eq!((verdict, attempt), (Verdict::GiveUp, 10)),
            }
        }
        assert_eq!(waited, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    }

    #[test]
    fn randomness_adds_up_to_a_tenth_and_never_takes_away() {
        let wait = |jitter| match judge(answer(500), 2, jitter) {
            Verdict::Again { wait, .. } => wait.as_secs(),
            verdict => panic!("{verdict:?}"),
        };
        assert_eq!((wait(0), wait(u32::MAX / 2), wait(u32::MAX)), (300, 314, 330));
    }

    #[test]
    fn only_two_hundreds_are_success_and_a_redirect_is_a_failure() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(answer(status), 1, 0), Verdict::Delivered);
        }
        for status in [100, 301, 302, 303, 307, 308, 400, 401, 404, 500, 503] {
            assert!(matches!(judge(answer(status), 1, 0), Verdict::Again { .. }), "{status}");
        }
        assert_eq!(judge(answer(410), 1, 0), Verdict::Gone);
        assert_eq!(judge(answer(410), 10, 0), Verdict::Gone);
    }

    #[test]
    fn a_receiver_that_asks_for_less_is_left_alone_as_long_as_it_says() {
        for status in [429, 502, 504] {
            let verdict = judge(answer(status), 1, 0);
            assert_eq!(verdict, Verdict::Again { wait: THROTTLED, pause: THROTTLED }, "{status}");
        }
        let asked = |status, seconds| {
            judge(Answer { status: Some(status), retry_after: Some(Duration::from_secs(seconds)) }, 1, 0)
        };
        let hour = Duration::from_secs(3_600);
        assert_eq!(asked(429, 3_600), Verdict::Again { wait: hour, pause: hour });
        assert_eq!(asked(503, 3_600), Verdict::Again { wait: hour, pause: hour });
        assert_eq!(asked(503, u64::MAX), Verdict::Again { wait: RETRY_AFTER_MAX, pause: RETRY_AFTER_MAX });
    }

    #[test]
    fn an_endpoint_gets_the_types_and_the_event_it_asked_for() {
        let (event, other) = (EventId::new(Uuid::from_u128(1)), EventId::new(Uuid::from_u128(2)));
        let id = WebhookId::new(Uuid::nil());
        let types = ["stream.*".to_owned(), "session.started".to_owned()];
        let some = Endpoint { id, event: Some(event), types: &types };
        assert!(some.wants("stream.live", Some(event)) && some.wants("session.started", Some(event)));
        assert!(!some.wants("stream.live", Some(other)) && !some.wants("stream.live", None));
        assert!(!some.wants("session.ended", Some(event)) && !some.wants("stream_key.created", Some(event)));
        let all = Endpoint { id, event: None, types: &[] };
        assert!(all.wants("user.signed_in", None) && all.wants("stream.live", Some(other)));
    }

    #[test]
    fn types_are_dotted_lower_case_words() {
        for good in ["stream.live", "stream.*", "api_token.created", "a1.b2"] {
            assert!(is_type(good), "{good}");
        }
        for bad in ["", "stream", "stream.", ".live", "*", "*.live", "Stream.live", "a.b.c", "a.b\n", "a.**"] {
            assert!(!is_type(bad), "{bad}");
        }
    }
}
