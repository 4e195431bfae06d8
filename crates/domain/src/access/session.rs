//! The states of what people hold: invitations, sessions, stream keys.

use serde::{Deserialize, Serialize};

use super::takeover::TakeoverState;

/// Why a session is over. A session never comes back from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The viewer left.
    Left,
    /// The invitation was withdrawn.
    Revoked,
    /// An organiser sent this viewer out; the code still works.
    Kicked,
    /// An organiser sent this viewer out for good.
    Blocked,
    /// The page or its requests were tampered with, and the event sends out for it; the code still works.
    Tampering,
    /// The invitation got another code.
    CodeChanged,
    /// The viewer agreed to go on elsewhere, or did not answer.
    TakenOver,
    /// Its code was used again while nobody was watching with it.
    Replaced,
    /// Its time was up.
    Expired,
    /// The event is gone.
    Ended,
}

impl EndReason {
    const ALL: [Self; 10] = [
        Self::Left,
        Self::Revoked,
        Self::Kicked,
        Self::Blocked,
        Self::Tampering,
        Self::CodeChanged,
        Self::TakenOver,
        Self::Replaced,
        Self::Expired,
        Self::Ended,
    ];

    /// `left`, `revoked`, `kicked`, `blocked`, `tampering`, `code_changed`, `taken_over`, `replaced`, `expired` or `ended`:
    /// as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Revoked => "revoked",
            Self::Kicked => "kicked",
            Self::Blocked => "blocked",
            Self::Tampering => "tampering",
            Self::CodeChanged => "code_changed",
            Self::TakenOver => "taken_over",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// May watch until its time is up.
    Active,
    /// Over, and why.
    Ended(EndReason),
}

/// Where an invitation stands. It is about the present code: a new code begins at [`Created`](Self::Created) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationState {
    /// Nobody was told yet.
    Created,
    /// A message with the code waits for its turn.
    Queued,
    /// The message was handed to a gateway.
    Sent,
    /// The gateway says that it arrived.
    Delivered,
    /// The message could not be delivered.
    Failed,
    /// The link in it was opened.
    Opened,
    /// Its code was used at least once.
    Redeemed,
    /// Withdrawn for good.
    Revoked,
    /// Its time was up.
    Expired,
}

impl InvitationState {
    /// Every state, in the order in which they are usually passed.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Queued,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Opened,
        Self::Redeemed,
        Self::Revoked,
        Self::Expired,
    ];

    /// `created`, `queued` …: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Opened => "opened",
            Self::Redeemed => "redeemed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether an invitation in this state may go on to `next`. It never goes back: reports of gateways come late and
    /// in any order, and the later truth stands. The one loop is a message that failed and is tried again.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        if self == Self::Failed && matches!(next, Self::Queued | Self::Sent | Self::Delivered) {
            return true;
        }
        // A message that arrived did not fail, whatever is reported later.
        self != next && self.rank() < next.rank() && !(self == Self::Delivered && next == Self::Failed)
    }

    fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Queued => 1,
            Self::Sent => 2,
            Self::Delivered => 3,
            Self::Failed => 4,
            Self::Opened => 5,
            Self::Redeemed => 6,
            Self::Expired => 7,
            Self::Revoked => 8,
        }
    }
}

/// Where a stream key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// May publish until it expires.
    Active,
    /// Withdrawn for good.
    Revoked,
}

/// Who already watches with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The browser that asks: it shows that session's cookie.
    SameBrowser,
    /// Another browser, seen within the grace.
    Present,
    /// Another browser, not seen for longer than the grace.
    Absent,
}

/// Whether a device has asked to take the code over, seen by whoever presents it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No question is open.
    None,
    /// They have asked themselves; the question is open, and stands here.
    Own(TakeoverState),
    /// Somebody else has asked and was not answered yet, or was given the code and is about to come in.
    Others,
}

/// How an allowed redeemer comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nobody holds the code: a new session.
    Fresh,
    /// The session of this browser goes on.
    Resume,
    /// The absent holder's session ends as [`EndReason::Replaced`], and a new one begins.
    Replace,
    /// The present holder has made way: their session ends as [`EndReason::TakenOver`], and a new one begins.
    TakeOver,
}

impl Entry {
    /// Whether it counts towards the uses of an invitation. Somebody who goes on, in this browser or on another device, is
    /// the same visit: a code for one use survives a telephone whose battery is empty.
    #[must_use]
    pub fn is_another_use(self, takeover: Standing) -> bool {
        match self {
            // Whoever made way may have closed the page before the other one came in.
            Self::Fresh => takeover != Standing::Own(TakeoverState::Approved),
            Self::Resume | Self::Replace | Self::TakeOver => false,
        }
    }

    /// How to come in past `holder`; `None` while the holder is present and did not agree, or another device was first
    /// to ask.
    #[must_use]
    pub fn past(holder: Option<Holder>, takeover: Standing) -> Option<Self> {
        match (holder, takeover) {
            (Some(Holder::SameBrowser), _) => Some(Self::Resume),
            (_, Standing::Others) => None,
            (None, Standing::None | Standing::Own(_)) => Some(Self::Fresh),
            (Some(Holder::Absent), Standing::None | Standing::Own(_)) => Some(Self::Replace),
            (Some(Holder::Present), Standing::Own(TakeoverState::Approved)) => Some(Self::TakeOver),
            (Some(Holder::Present), Standing::None | Standing::Own(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_inverses() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_name(reason.as_str()), Some(reason));
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
        }
        assert_eq!(EndReason::from_name("thrown"), None);
        for state in InvitationState::ALL {
            assert_eq!(InvitationState::from_name(state.as_str()), Some(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.as_str()));
        }
        assert_eq!(InvitationState::from_name("lost"), None);
    }

    #[test]
    fn an_invitation_only_goes_forward_except_that_a_failed_message_is_tried_again() {
        use InvitationState as S;
        let usual = [S::Created, S::Queued, S::Sent, S::Delivered, S::Opened, S::Redeemed, S::Expired, S::Revoked];
        for (at, state) in usual.into_iter().enumerate() {
            for (other_at, other) in usual.into_iter().enumerate() {
                assert_eq!(state.may_become(other), other_at > at, "{state:?} to {other:?}");
            }
        }
        for state in S::ALL {
            assert!(!state.may_become(state));
            assert!(!state.may_become(S::Created), "only a new code begins anew");
            assert_eq!(state.may_become(S::Failed), matches!(state, S::Created | S::Queued | S::Sent), "{state:?}");
            assert_eq!(S::Failed.may_become(state), !matches!(state, S::Created | S::Failed), "{state:?}");
            assert!(!S::Revoked.may_become(state), "withdrawn is for good");
        }
    }
}
