//! What the people of an organisation may do: roles, and the narrower scopes of API tokens.

use serde::{Deserialize, Serialize};

/// What somebody with an account does for the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, and the only one who makes other owners.
    Owner,
    /// Everything in every event, and people, webhooks, the log; no owners.
    Admin,
    /// Events of their teams: settings, invitations, messages, the room, exports.
    Organiser,
    /// The room of their teams' events: who is watching, kicking, writing to one viewer. No telephone numbers.
    Moderator,
    /// Stream keys and stream health of their teams' events.
    Broadcaster,
    /// Figures of their teams' events; changes nothing.
    Analyst,
}

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Admin, Self::Organiser, Self::Moderator, Self::Broadcaster, Self::Analyst];

    /// `owner`, `admin`, `organiser`, `moderator`, `broadcaster` or `analyst`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Organiser => "organiser",
            Self::Moderator => "moderator",
            Self::Broadcaster => "broadcaster",
            Self::Analyst => "analyst",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether every event is theirs, whatever team it belongs to.
    #[must_use]
    pub fn sees_every_event(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// What an API token may be used for. A token never does more than the person it acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at events, rooms and figures.
    Read,
    /// Change events, invitations and messages.
    Organise,
    /// Act on viewers: kick, block, write to one.
    Moderate,
    /// Read and make stream keys.
    Broadcast,
    /// See and export telephone numbers, addresses and codes.
    People,
    /// Accounts, teams, webhooks, the log.
    Administer,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Organise, Self::Moderate, Self::Broadcast, Self::People, Self::Administer];

    /// As in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Organise => "organise",
            Self::Moderate => "moderate",
            Self::Broadcast => "broadcast",
            Self::People => "people",
            Self::Administer => "administer",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// All of them: a person who is signed in has no narrower limits than their role.
    pub const ALL: Self = Self(0b11_1111);

    /// Whether `scope` is in it.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// The scopes in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    /// `read moderate`: names with a space between, as in the database.
    #[must_use]
    pub fn to_text(self) -> String {
        self.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The inverse of [`to_text`](Self::to_text); `None` for a name that is no scope.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.split_whitespace().map(Scope::from_name).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_inverses() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.as_str()), Some(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.as_str()));
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
        }
        assert_eq!((Role::from_name("root"), Scope::from_name("all")), (None, None));
    }

    #[test]
    fn a_set_of_scopes_survives_its_text() {
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        let some: Scopes = [Scope::People, Scope::Read].into_iter().collect();
        assert_eq!(some.to_text(), "read people");
        assert_eq!(Scopes::from_text("people  read"), Some(some));
        assert_eq!(Scopes::from_text(""), Some(Scopes::NONE));
        assert_eq!(Scopes::from_text("read everything"), None);
        assert!(!some.contains(Scope::Administer));
    }
}
