//! A code changes hands: a second device asks, the first one answers.
//!
//! Somebody comes with a code that is in use by a device that is there. Nobody is thrown out and nobody is turned away:
//! the *holder* is asked, the *contender* waits. This is the whole life of that question, as a value:
//!
//! ```text
//!            consent · holder gone or unseen · time is up and nobody is looking
//!   Pending ───────────────────────────────────────────▶ Approved ──claim──▶ Claimed
//!      │ decline        ▶ Declined                          │ not claimed in time  ▶ Expired
//!      │ time is up     ▶ Expired                           │
//!      └ contender gone, code dead, holder sent out ────────┴──────────────────────▶ Cancelled
//! ```
//!
//! The holder watches on until the contender *claims*: one transaction ends the one session and begins the other, so
//! there is no moment with two of them and none without. Whoever is approved and does not come within [`CLAIM`] has
//! changed nothing.
//!
//! What it deliberately does not do: look at a clock, or know who is present. `model` explores every interleaving of
//! three devices, an organiser and time with this type and the law.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::session::EndReason;
use crate::event::Unanswered;
use crate::time::Time;

#[cfg(test)]
mod model;

/// How long an approved contender has to come in: a page does so within a second; a phone whose screen went dark
/// meanwhile needs a moment.
pub const CLAIM: Duration = Duration::from_secs(15);

/// How long a contender may say nothing before it counts as gone: its page holds a WebSocket open, or asks every few
/// seconds.
pub const CONTENDER_SILENT: Duration = Duration::from_secs(20);

/// For how long questions are counted. The next two numbers are about this time.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Questions about one code in a [`WINDOW`]: a family moves to another screen and back; whoever is asked more often is
/// being pestered.
pub const ASKED_MAX: usize = 5;

/// From this many questions in a [`WINDOW`] on, an organiser hears of it.
pub const ASKED_OFTEN: usize = 3;

/// Where the question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeoverState {
    /// The holder has not answered yet.
    Pending,
    /// The contender may come in.
    Approved,
    /// The contender has come in.
    Claimed,
    /// The holder said no.
    Declined,
    /// Nobody answered in time, or nobody came in in time.
    Expired,
    /// The question has no object any more.
    Cancelled,
}

/// Something that bears on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeoverInput {
    /// The holder's page says yes.
    Consent,
    /// The holder's page says no.
    Decline,
    /// The time for an answer is over.
    AnswerTimeUp {
        /// The holder's page was open and in the foreground.
        attending: bool,
        /// What the event decided for a holder who looks on and does not answer.
        unanswered: Unanswered,
    },
    /// The holder was not seen for the grace: nobody is there to be asked.
    HolderUnseen,
    /// The holder's session is over.
    HolderOver(EndReason),
    /// The contender gave up, or was not heard of for [`CONTENDER_SILENT`].
    ContenderGone,
    /// The contender comes in.
    Claim,
    /// The approved contender did not come within [`CLAIM`].
    ClaimTimeUp,
    /// The code was changed, or the invitation withdrawn or blocked.
    CodeDead,
}

/// Where the one who is asked is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderIs {
    /// At an open page in the foreground.
    Attending,
    /// Seen lately; the page is hidden, or its feed is gone.
    Away,
    /// Not seen for the grace.
    Unseen,
    /// Out.
    Over(EndReason),
}

/// What time has to say about an open question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The time.
    pub now: Time,
    /// Until when the holder may answer.
    pub answer_until: Time,
    /// Until when the contender may come in, once approved.
    pub claim_until: Option<Time>,
    /// When the contender was last heard of.
    pub heard_at: Time,
    /// The one who is asked.
    pub holder: HolderIs,
    /// What the event decided for a holder who looks on and does not answer.
    pub unanswered: Unanswered,
}

impl Circumstances {
    /// What has come to pass for a question in `state` by time alone, if anything.
    #[must_use]
    pub fn due(&self, state: TakeoverState) -> Option<TakeoverInput> {
        use TakeoverInput as I;
        let inputs = [
            match self.holder {
                HolderIs::Over(reason) => Some(I::HolderOver(reason)),
                HolderIs::Unseen => Some(I::HolderUnseen),
                HolderIs::Attending | HolderIs::Away => None,
            },
            (self.now.since(self.heard_at) >= CONTENDER_SILENT).then_some(I::ContenderGone),
            (self.now >= self.answer_until).then_some(I::AnswerTimeUp {
                attending: self.holder == HolderIs::Attending,
                unanswered: self.unanswered,
            }),
            self.claim_until.is_some_and(|until| self.now >= until).then_some(I::ClaimTimeUp),
        ];
        inputs.into_iter().flatten().find(|input| state.next(*input).is_some())
    }
}

impl TakeoverState {
    const ALL: [Self; 6] =
        [Self::Pending, Self::Approved, Self::Claimed, Self::Declined, Self::Expired, Self::Cancelled];

    /// Where it goes from here; `None` when `input` comes too late or changes nothing. The first of two answers counts.
    #[must_use]
    pub fn next(self, input: TakeoverInput) -> Option<Self> {
        use TakeoverInput as I;
        match (self, input) {
            (Self::Pending, I::Consent | I::HolderUnseen) => Some(Self::Approved),
            (Self::Pending, I::Decline) => Some(Self::Declined),
            // Somebody who does not see the question cannot have meant no.
            (Self::Pending, I::AnswerTimeUp { attending: false, .. })
            | (Self::Pending, I::AnswerTimeUp { unanswered: Unanswered::Allow, .. }) => Some(Self::Approved),
            (Self::Pending, I::AnswerTimeUp { .. }) => Some(Self::Expired),
            (Self::Pending | Self::Approved, I::HolderOver(reason)) => match reason {
                // The code is free, and this one was first in line.
                EndReason::Left | EndReason::Expired => (self == Self::Pending).then_some(Self::Approved),
                // The organiser has decided something about this invitation: whoever waits asks again, and is judged
                // by what holds now.
                EndReason::Kicked
                | EndReason::Tampering
                | EndReason::Revoked
                | EndReason::CodeChanged
                | EndReason::Blocked
                | EndReason::Ended
                | EndReason::Replaced
                | EndReason::TakenOver => Some(Self::Cancelled),
            },
            (Self::Approved, I::Claim) => Some(Self::Claimed),
            (Self::Approved, I::ClaimTimeUp) => Some(Self::Expired),
            (Self::Pending | Self::Approved, I::ContenderGone | I::CodeDead) => Some(Self::Cancelled),
            (Self::Pending | Self::Approved, _) => None,
            (Self::Claimed | Self::Declined | Self::Expired | Self::Cancelled, _) => None,
        }
    }

    /// Whether something can still come of it: the code is not free for a third device.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }

    /// Whether a question that stands here can still come to stand at `later`: what is told late must not be taken for
    /// news.
    #[must_use]
    pub fn comes_before(self, later: Self) -> bool {
        match self {
            Self::Pending => later != Self::Pending,
            Self::Approved => !later.is_open(),
            Self::Claimed | Self::Declined | Self::Expired | Self::Cancelled => false,
        }
    }

    /// `pending`, `approved`, `claimed`, `declined`, `expired` or `cancelled`: as in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Claimed => "claimed",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_up(attending: bool, unanswered: Unanswered) -> TakeoverInput {
        TakeoverInput::AnswerTimeUp { attending, unanswered }
    }

    #[test]
    fn the_first_of_two_answers_counts() {
        use TakeoverInput::{Claim, ClaimTimeUp, Consent, ContenderGone, Decline};
        use TakeoverState::{Approved, Cancelled, Claimed, Declined, Expired, Pending};
        assert_eq!(Pending.next(Consent), Some(Approved));
        assert_eq!(Approved.next(Decline), None);
        assert_eq!(Approved.next(Consent), None);
        assert_eq!(Pending.next(Decline), Some(Declined));
        assert_eq!(Declined.next(Consent), None);
        assert_eq!(Pending.next(Claim), None, "nobody takes what was not given");
        assert_eq!(Approved.next(Claim), Some(Claimed));
        assert_eq!(Approved.next(ClaimTimeUp), Some(Expired));
        assert_eq!(Approved.next(ContenderGone), Some(Cancelled));
        assert_eq!(Expired.next(Claim), None);
    }

    #[test]
    fn silence_means_no_only_from_somebody_who_looks() {
        use TakeoverState::{Approved, Expired, Pending};
        assert_eq!(Pending.next(time_up(true, Unanswered::Deny)), Some(Expired));
        assert_eq!(Pending.next(time_up(true, Unanswered::Allow)), Some(Approved));
        assert_eq!(Pending.next(time_up(false, Unanswered::Deny)), Some(Approved));
        assert_eq!(Pending.next(TakeoverInput::HolderUnseen), Some(Approved));
    }

    #[test]
    fn a_holder_who_leaves_makes_way_and_one_who_is_sent_out_does_not() {
        use TakeoverState::{Approved, Cancelled, Pending};
        assert_eq!(Pending.next(TakeoverInput::HolderOver(EndReason::Left)), Some(Approved));
        assert_eq!(Approved.next(TakeoverInput::HolderOver(EndReason::Left)), None, "approved it stays");
        for state in [Pending, Approved] {
            assert_eq!(state.next(TakeoverInput::HolderOver(EndReason::Kicked)), Some(Cancelled));
            assert_eq!(state.next(TakeoverInput::CodeDead), Some(Cancelled));
        }
    }

    #[test]
    fn time_answers_every_open_question_and_changes_no_other() {
        use TakeoverInput as I;
        use TakeoverState::{Approved, Pending};
        let at = Time::from_millis;
        let still = Circumstances {
            now: at(50_000),
            answer_until: at(60_000),
            claim_until: None,
            heard_at: at(49_000),
            holder: HolderIs::Attending,
            unanswered: Unanswered::Deny,
        };
        assert_eq!(still.due(Pending), None);
        let over = HolderIs::Over(EndReason::Left);
        for (changed, input) in [
            (Circumstances { now: at(60_000), heard_at: at(60_000), ..still }, time_up(true, Unanswered::Deny)),
            (
                Circumstances { now: at(60_000), heard_at: at(60_000), holder: HolderIs::Away, ..still },
                time_up(false, Unanswered::Deny),
            ),
            (Circumstances { holder: HolderIs::Unseen, ..still }, I::HolderUnseen),
            (Circumstances { holder: over, ..still }, I::HolderOver(EndReason::Left)),
            (Circumstances { heard_at: at(30_000), ..still }, I::ContenderGone),
        ] {
            assert_eq!(changed.due(Pending), Some(input), "{changed:?}");
        }
        assert_eq!(Circumstances { holder: HolderIs::Away, ..still }.due(Pending), None, "who looks away is asked");

        let given = Circumstances { claim_until: Some(at(65_000)), now: at(64_999), heard_at: at(64_000), ..still };
        assert_eq!(given.due(Approved), None, "the time to answer is over, and was");
        assert_eq!(Circumstances { holder: over, ..given }.due(Approved), None, "approved it stays");
        assert_eq!(Circumstances { now: at(65_000), ..given }.due(Approved), Some(I::ClaimTimeUp));
        assert_eq!(Circumstances { heard_at: at(40_000), ..given }.due(Approved), Some(I::ContenderGone));
        let sent_out = Circumstances { holder: HolderIs::Over(EndReason::Kicked), ..given };
        assert_eq!(sent_out.due(Approved), Some(I::HolderOver(EndReason::Kicked)));

        let long_ago = Circumstances { now: at(9_000_000), ..given };
        for state in TakeoverState::ALL {
            assert_eq!(long_ago.due(state).is_some(), state.is_open(), "{state:?}");
        }
    }

    #[test]
    fn old_news_is_none() {
        use TakeoverState::{Approved, Claimed, Expired, Pending};
        assert!(Pending.comes_before(Approved) && Pending.comes_before(Expired) && Approved.comes_before(Claimed));
        for state in TakeoverState::ALL {
            assert!(!state.comes_before(state) && !state.comes_before(Pending), "{state:?}");
            assert!(state == Pending || !state.comes_before(Approved), "{state:?}");
        }
    }

    #[test]
    fn names_are_inverses_and_only_two_states_are_open() {
        for state in TakeoverState::ALL {
            assert_eq!(TakeoverState::from_name(state.as_str()), Some(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.as_str()));
            let closes = state.next(TakeoverInput::CodeDead).is_some();
            assert_eq!(closes, state.is_open(), "{state:?}");
        }
        assert_eq!(TakeoverState::from_name(""), None);
    }
}
