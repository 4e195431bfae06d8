//! The states of what people hold: invitations, sessions, stream keys, roles.

use serde::{Deserialize, Serialize};

/// Why a session is over. A session never comes back from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// The viewer left.
    Left,
    /// An organiser ended it, or withdrew the invitation.
    Revoked,
    /// Its code was used again while nobody was watching with it.
    Replaced,
    /// Its time was up.
    Expired,
    /// The event is gone.
    Ended,
}

impl EndReason {
    const ALL: [Self; 5] = [Self::Left, Self::Revoked, Self::Replaced, Self::Expired, Self::Ended];

    /// `left`, `revoked`, `replaced`, `expired` or `ended`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Revoked => "revoked",
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

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationState {
    /// Its code was never used.
    Created,
    /// Its code was used at least once.
    Redeemed,
    /// Withdrawn for good.
    Revoked,
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

/// How an allowed redeemer comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nobody holds the code: a new session.
    Fresh,
    /// The session of this browser goes on.
    Resume,
    /// The absent holder's session ends as [`EndReason::Replaced`], and a new one begins.
    Replace,
}

impl Entry {
    /// How to come in past `holder`; `None` while the holder is present.
    #[must_use]
    pub fn past(holder: Option<Holder>) -> Option<Self> {
        match holder {
            None => Some(Self::Fresh),
            Some(Holder::SameBrowser) => Some(Self::Resume),
            Some(Holder::Absent) => Some(Self::Replace),
            Some(Holder::Present) => None,
        }
    }
}

/// What a person may do as an organiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
}

impl Role {
    /// `admin`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin].into_iter().find(|role| role.as_str() == name)
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
        assert_eq!(EndReason::from_name("kicked"), None);
        assert_eq!(Role::from_name("admin"), Some(Role::Admin));
        assert_eq!(Role::from_name("root"), None);
    }
}
