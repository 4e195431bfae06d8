//! The law: one `match` that says who may do what.
//!
//! The guard gathers [`Facts`], [`decide`] judges them, and an [`Allowed`] is the only proof there is. Nothing here looks
//! anything up, and nothing elsewhere has an opinion. `access_table.txt` lists every verdict and is compared in a test.

use std::time::Duration;

use super::session::{Entry, Holder, InvitationState, KeyState, Role, SessionState};
use crate::event::Latency;
use crate::id::{EventId, InvitationId, KeyId, SessionId, StreamId};
use crate::time::Time;

/// Proof that `A` was decided to be allowed. It carries the action, so that what was asked is what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a permission that nobody uses was asked for in vain"]
pub struct Allowed<A>(A);

impl<A> std::ops::Deref for Allowed<A> {
    type Target = A;
    fn deref(&self) -> &A {
        &self.0
    }
}

/// Something that needs permission. Implemented here only.
pub trait Action: sealed::Sealed {
    #[doc(hidden)]
    const KIND: Kind;
}

mod sealed {
    pub trait Sealed {}
}

/// Which action; the left side of the law.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Watch,
    Publish,
    Redeem,
    Organise,
    Reveal,
    MintToken,
}

macro_rules! actions {
    ($($name:ident),*) => {$(
        impl sealed::Sealed for $name {}
        impl Action for $name {
            const KIND: Kind = Kind::$name;
        }
    )*};
}
actions!(Watch, Publish, Redeem, Organise, Reveal, MintToken);

/// Read one playlist, part, segment or header of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who watches.
    pub session: SessionId,
    /// What.
    pub stream: StreamId,
    /// The event it belongs to.
    pub event: EventId,
}

/// Send media into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where to.
    pub stream: StreamId,
    /// The event it belongs to.
    pub event: EventId,
    /// With which key.
    pub key: KeyId,
    /// How the event wants to be packaged.
    pub latency: Latency,
    /// How far back viewers may go.
    pub dvr_window: Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: Duration,
}

/// Come in with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeem {
    /// The event.
    pub event: EventId,
    /// The invitation whose code was presented.
    pub invitation: InvitationId,
}

/// Read and change events, invitations, keys and viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Organise;

/// Take a secret out of the vault to show it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal(pub Sealed);

/// What the vault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The text of a stream key.
    StreamKey(KeyId),
    /// The code of an invitation.
    Code(InvitationId),
}

/// Make or withdraw an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintToken;

/// What the guard found out about whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Nothing that we know was presented, or it was forged.
    Nobody,
    /// A genuine playback token was presented.
    Viewer(Viewer),
    /// A known stream key was presented.
    Publisher(Publisher),
    /// A known code was presented.
    Invitee(Invitee),
    /// A known cookie or API token of an organiser was presented.
    Organiser(Organiser),
}

/// Facts about a playback token and its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The session's state; `None` when there is no such session (any more).
    pub session: Option<SessionState>,
    /// The earlier of the token's and the session's end.
    pub expires_at: Time,
    /// The token was made in the event's present epoch.
    pub epoch_is_current: bool,
    /// The token names the stream that is asked for.
    pub stream_matches: bool,
}

/// Facts about a stream key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its state.
    pub key: KeyState,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
}

/// Facts about an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// Its state.
    pub invitation: InvitationState,
    /// Who watches with its code at this moment.
    pub holder: Option<Holder>,
}

/// Facts about an organiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Organiser {
    /// What they may do.
    pub role: Role,
    /// How they showed who they are.
    pub credential: Credential,
    /// When that ends by itself.
    pub expires_at: Option<Time>,
}

/// How an organiser showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A person signed in by a browser.
    Cookie,
    /// A program with an API token.
    Token,
    /// Whoever runs the server on its own machine.
    Operator,
}

/// Why not. For logs and counters; what the client is told is the border's decision, and for media always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// Nothing known was presented.
    #[error("nothing known was presented")]
    Unknown,
    /// What was presented is of another kind.
    #[error("this credential is for something else")]
    WrongCredential,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// It was withdrawn, or its session has ended.
    #[error("it was ended")]
    Ended,
    /// The event's epoch was raised since.
    #[error("it is from an earlier epoch")]
    OldEpoch,
    /// It is for another stream.
    #[error("it is for another stream")]
    OtherStream,
    /// Somebody else is watching with this code.
    #[error("the code is in use")]
    CodeInUse,
}

impl Denied {
    /// A stable name for logs and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::WrongCredential => "wrong_credential",
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::OldEpoch => "old_epoch",
            Self::OtherStream => "other_stream",
            Self::CodeInUse => "code_in_use",
        }
    }
}

/// Whether `action` is allowed to whom the `facts` describe.
///
/// # Errors
///
/// [`Denied`] with the reason.
pub fn decide<A: Action>(action: A, facts: &Facts, now: Time) -> Result<Allowed<A>, Denied> {
    judge(A::KIND, facts, now).map(|()| Allowed(action))
}

fn judge(kind: Kind, facts: &Facts, now: Time) -> Result<(), Denied> {
    match (kind, facts) {
        (_, Facts::Nobody) => Err(Denied::Unknown),

        (Kind::Watch, Facts::Viewer(viewer)) => match viewer.session {
            None => Err(Denied::Unknown),
            Some(SessionState::Ended(_)) => Err(Denied::Ended),
            Some(SessionState::Active) if !viewer.epoch_is_current => Err(Denied::OldEpoch),
            Some(SessionState::Active) if now >= viewer.expires_at => Err(Denied::Expired),
            Some(SessionState::Active) if !viewer.stream_matches => Err(Denied::OtherStream),
            Some(SessionState::Active) => Ok(()),
        },

        (Kind::Publish, Facts::Publisher(publisher)) => match publisher.key {
            KeyState::Revoked => Err(Denied::Ended),
            KeyState::Active => not_expired(publisher.expires_at, now),
        },

        // The door for a takeover with consent: a present holder is asked instead of the contender being refused.
        (Kind::Redeem, Facts::Invitee(invitee)) => match (invitee.invitation, Entry::past(invitee.holder)) {
            (InvitationState::Revoked, _) => Err(Denied::Ended),
            (InvitationState::Created | InvitationState::Redeemed, None) => Err(Denied::CodeInUse),
            (InvitationState::Created | InvitationState::Redeemed, Some(_)) => Ok(()),
        },

        (Kind::Organise | Kind::Reveal, Facts::Organiser(organiser)) => match organiser.role {
            Role::Admin => not_expired(organiser.expires_at, now),
        },

        // A token cannot make its own successors: a leaked one ends when it is withdrawn.
        (Kind::MintToken, Facts::Organiser(organiser)) => match (organiser.role, organiser.credential) {
            (Role::Admin, Credential::Cookie | Credential::Operator) => not_expired(organiser.expires_at, now),
            (Role::Admin, Credential::Token) => Err(Denied::WrongCredential),
        },

        (
            Kind::Watch | Kind::Publish | Kind::Redeem | Kind::Organise | Kind::Reveal | Kind::MintToken,
            Facts::Viewer(_) | Facts::Publisher(_) | Facts::Invitee(_) | Facts::Organiser(_),
        ) => Err(Denied::WrongCredential),
    }
}

fn not_expired(expires_at: Option<Time>, now: Time) -> Result<(), Denied> {
    match expires_at {
        Some(end) if now >= end => Err(Denied::Expired),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::session::EndReason;
    use super::*;

    const NOW: Time = Time::from_millis(1_000);
    const LATER: Time = Time::from_millis(1_001);

    const KINDS: [Kind; 6] = [Kind::Watch, Kind::Publish, Kind::Redeem, Kind::Organise, Kind::Reveal, Kind::MintToken];

    /// Every combination of facts that the law can tell apart, each with its description.
    fn all_facts() -> Vec<(String, Facts)> {
        let mut all = vec![("nobody".to_owned(), Facts::Nobody)];
        for (name, session) in [
            ("no session", None),
            ("ended session", Some(SessionState::Ended(EndReason::Revoked))),
            ("active session", Some(SessionState::Active)),
        ] {
            for (end, expires_at) in [("", LATER), (", expired", NOW)] {
                for (epoch, epoch_is_current) in [("", true), (", old epoch", false)] {
                    for (stream, stream_matches) in [("", true), (", other stream", false)] {
                        all.push((
                            format!("viewer: {name}{end}{epoch}{stream}"),
                            Facts::Viewer(Viewer { session, expires_at, epoch_is_current, stream_matches }),
                        ));
                    }
                }
            }
        }
        for (name, key) in [("active key", KeyState::Active), ("revoked key", KeyState::Revoked)] {
            for (end, expires_at) in [("", None), (", not yet expired", Some(LATER)), (", expired", Some(NOW))] {
                all.push((format!("publisher: {name}{end}"), Facts::Publisher(Publisher { key, expires_at })));
            }
        }
        for (name, invitation) in [
            ("created", InvitationState::Created),
            ("redeemed", InvitationState::Redeemed),
            ("revoked", InvitationState::Revoked),
        ] {
            for (who, holder) in [
                ("nobody holds it", None),
                ("held by this browser", Some(Holder::SameBrowser)),
                ("holder absent", Some(Holder::Absent)),
                ("holder present", Some(Holder::Present)),
            ] {
                all.push((
                    format!("invitee: {name} invitation, {who}"),
                    Facts::Invitee(Invitee { invitation, holder }),
                ));
            }
        }
        for (name, credential) in
            [("cookie", Credential::Cookie), ("token", Credential::Token), ("operator", Credential::Operator)]
        {
            for (end, expires_at) in [("", Some(LATER)), (", expired", Some(NOW))] {
                all.push((
                    format!("organiser: admin by {name}{end}"),
                    Facts::Organiser(Organiser { role: Role::Admin, credential, expires_at }),
                ));
            }
        }
        all
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a committed file is compared")]
    fn the_access_table_is_the_committed_one() {
        let mut table = String::from(
            "# Every verdict of domain::access::decide. Generated: UPDATE=1 cargo test -p stagedoor-domain access_table\n",
        );
        for kind in KINDS {
            let _ = writeln!(table, "\n{kind:?}");
            for (name, facts) in all_facts() {
                let verdict = match judge(kind, &facts, NOW) {
                    Ok(()) => "ALLOWED",
                    // Said once per kind below, so that the interesting lines stay visible.
                    Err(Denied::WrongCredential) if kind != Kind::MintToken || !name.starts_with("organiser") => {
                        continue;
                    }
                    Err(denied) => denied.as_str(),
                };
                let _ = writeln!(table, "  {verdict:<16} {name}");
            }
            let _ = writeln!(table, "  {:<16} everybody else", Denied::WrongCredential.as_str());
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/access_table.txt");
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(path, &table).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert_eq!(table, committed, "run it with UPDATE=1 and read the difference");
    }

    #[test]
    fn a_viewers_token_opens_nothing_but_watching() {
        let viewer = Facts::Viewer(Viewer {
            session: Some(SessionState::Active),
            expires_at: LATER,
            epoch_is_current: true,
            stream_matches: true,
        });
        for kind in KINDS {
            assert_eq!(judge(kind, &viewer, NOW).is_ok(), kind == Kind::Watch, "{kind:?}");
        }
    }

    #[test]
    fn the_proof_carries_what_was_asked() {
        let facts =
            Facts::Organiser(Organiser { role: Role::Admin, credential: Credential::Operator, expires_at: None });
        let allowed = decide(Organise, &facts, NOW).unwrap();
        assert_eq!(*allowed, Organise);
        assert_eq!(decide(Organise, &Facts::Nobody, NOW), Err(Denied::Unknown));
    }
}
