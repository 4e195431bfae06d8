//! The law: one `match` that says who may do what.
//!
//! The guard gathers [`Facts`], [`decide`] judges them, and an [`Allowed`] is the only proof there is. Nothing here looks
//! anything up, and nothing elsewhere has an opinion. `access_table.txt` lists every verdict and is compared in a test.

use std::net::IpAddr;
use std::time::Duration;

use super::heartbeat::Heartbeat;
use super::role::{Role, Scope, Scopes};
use super::session::{Entry, Holder, InvitationState, KeyState, SessionState, Standing};
use crate::event::{EncryptionPolicy, Latency, UnknownCountry};
use crate::id::{
    ContentKeyId, EventId, ImportId, InvitationId, KeyId, MessageId, SessionId, StreamId, UserId, WebhookId,
};
use crate::publish;
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
    fn kind(&self) -> Kind;

    /// The event it is about: only people whose teams it belongs to reach it. `None` for what concerns no event, or
    /// where what is presented names the event itself.
    fn event(&self) -> Option<EventId> {
        None
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! actions {
    ($($name:ident),* ; within an event: $($inside:ident),*) => {
        /// Which action; the left side of the law.
        #[doc(hidden)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($name,)* $($inside,)*
            Govern,
            GovernOwners,
            RevealCode,
            RevealStreamKey,
            RevealContact,
            RevealOwn,
        }

        impl Kind {
            #[cfg(test)]
            const ALL: &[Self] = &[
                $(Self::$name,)* $(Self::$inside,)*
                Self::Govern, Self::GovernOwners,
                Self::RevealCode, Self::RevealStreamKey, Self::RevealContact, Self::RevealOwn,
            ];
        }

        $(
            impl sealed::Sealed for $name {}
            impl Action for $name {
                fn kind(&self) -> Kind {
                    Kind::$name
                }
            }
        )*
        $(
            impl sealed::Sealed for $inside {}
            impl Action for $inside {
                fn kind(&self) -> Kind {
                    Kind::$inside
                }
                fn event(&self) -> Option<EventId> {
                    Some(self.event)
                }
            }
        )*
    };
}
actions!(
    Watch, ReadKey, Stay, Publish, Approach, Redeem, Bring, Profile, Secure, MintToken, Browse, CreateEvent, Administer, Audit;
    within an event: Look, Organise, Moderate, EndAll, Broadcast, SeePeople, Export
);

impl sealed::Sealed for Govern {}
impl Action for Govern {
    fn kind(&self) -> Kind {
        if self.holds == Some(Role::Owner) || self.gets == Some(Role::Owner) {
            Kind::GovernOwners
        } else {
            Kind::Govern
        }
    }
}

impl sealed::Sealed for Reveal {}
impl Action for Reveal {
    fn kind(&self) -> Kind {
        match self.sealed {
            Sealed::Code(_) => Kind::RevealCode,
            Sealed::StreamKey(_) => Kind::RevealStreamKey,
            Sealed::Contact(_) | Sealed::Message(_) => Kind::RevealContact,
            Sealed::ImportFile(_)
            | Sealed::Totp(_)
            | Sealed::Webhook(_)
            | Sealed::ContentKey(_)
            | Sealed::Signing
            | Sealed::Keys => Kind::RevealOwn,
        }
    }

    fn event(&self) -> Option<EventId> {
        self.event
    }
}

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

/// Have a key of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadKey {
    /// Who watches.
    pub session: SessionId,
    /// Of which stream.
    pub stream: StreamId,
    /// The event it belongs to.
    pub event: EventId,
}

/// Go on watching beyond the end that a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Who watches.
    pub session: SessionId,
    /// In which event.
    pub event: EventId,
}

/// Send media into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where to.
    pub stream: StreamId,
    /// The event it belongs to.
    pub event: EventId,
    /// With what.
    pub with: Pass,
    /// From where.
    pub address: IpAddr,
    /// Until when that is good; a broadcast goes on for [`publish::GRACE`] after it.
    pub expires_at: Option<Time>,
    /// What may be sent.
    pub limits: publish::Limits,
    /// How the event wants to be packaged.
    pub latency: Latency,
    /// How far back viewers may go.
    pub dvr_window: Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: Duration,
    /// How what is shown is encrypted.
    pub encryption: EncryptionPolicy,
}

/// What lets a publisher in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A stream key.
    Key(KeyId),
    /// A stream key that is good for one broadcast.
    OneTimeKey(KeyId),
    /// A token that somebody signed whom this installation trusts, with this key.
    Token(Signer),
}

/// Which public key a token was signed with: the SHA-256 of the key in its DER form (`SubjectPublicKeyInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer(pub [u8; 32]);

impl Pass {
    /// The stream key, if it is one.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Key(key) | Self::OneTimeKey(key) => Some(key),
            Self::Token(_) => None,
        }
    }

    /// Who signed the token, if it is one.
    #[must_use]
    pub fn signer(self) -> Option<Signer> {
        match self {
            Self::Key(_) | Self::OneTimeKey(_) => None,
            Self::Token(signer) => Some(signer),
        }
    }
}

/// Stand at the door of an event: asked before anything that is presented there is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approach {
    /// The event.
    pub event: EventId,
}

/// Come in with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeem {
    /// The event.
    pub event: EventId,
    /// The invitation whose code was presented.
    pub invitation: InvitationId,
}

/// Bring a guest along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bring {
    /// The event.
    pub event: EventId,
    /// The invitation of whoever brings them.
    pub host: InvitationId,
}

macro_rules! within_an_event {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Which event.
            pub event: EventId,
        }
    )*};
}
within_an_event! {
    /// See an event, its stream, its figures and its room, with telephone numbers masked.
    Look;
    /// Change an event, its invitations and its messages.
    Organise;
    /// Act on viewers: kick, block, write to one.
    Moderate;
    /// End every session of an event at once.
    EndAll;
    /// Make and withdraw stream keys, end the broadcast.
    Broadcast;
    /// See telephone numbers, addresses and notes in the clear.
    SeePeople;
    /// Take a list of people out of the house.
    Export;
}

/// See and change one's own account: password, second factor, signed-in browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile;

/// Change how one signs in: password, second factor, passkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure;

/// Make, change, disable or delete an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Govern {
    /// Whose account.
    pub user: UserId,
    /// The role it has; `None` for one that is being made.
    pub holds: Option<Role>,
    /// The role it gets; `None` when that is not what changes.
    pub gets: Option<Role>,
}

/// See which of the organisation's events are theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Browse;

/// Make an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateEvent;

/// Teams, webhooks and settings of the organisation; see its accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Administer;

/// Read and export the log of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit;

/// Take a secret out of the vault to show it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// The event it belongs to, if any.
    pub event: Option<EventId>,
    /// What.
    pub sealed: Sealed,
}

/// What the vault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The text of a stream key.
    StreamKey(KeyId),
    /// The code of an invitation.
    Code(InvitationId),
    /// How to reach an invitee: telephone number, e-mail address, note.
    Contact(InvitationId),
    /// What an uploaded list of invitees is sealed with while it waits. The server's own.
    ImportFile(ImportId),
    /// To whom a message goes and what it says.
    Message(MessageId),
    /// The secret behind somebody's one-time passwords. The server's own: nobody sees it again.
    Totp(UserId),
    /// What deliveries to a webhook are signed with. The server's own.
    Webhook(WebhookId),
    /// What a stretch of a broadcast is encrypted with. Viewers get it from memory, by a permission of their own.
    ContentKey(ContentKeyId),
    /// What checkpoints of the log are signed with. The server's own.
    Signing,
    /// What hashes are keyed with, and what signed tokens before. The server's own.
    Keys,
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
    /// A genuine playback token was presented to get a key; or a session is about to end by time.
    Player(Player),
    /// A known stream key was presented.
    Publisher(Publisher),
    /// A publish token with a genuine signature was presented.
    PublishToken(PublishToken),
    /// Somebody stands at the door; nothing they present was looked at yet.
    Visitor(Visitor),
    /// A known code was presented.
    Invitee(Invitee),
    /// A viewer with a session asks about the guests of their own invitation.
    Host(Host),
    /// A known cookie or API token of an organiser was presented.
    Organiser(Organiser),
    /// The server itself carries out what somebody was allowed to order: it sends a code, it signs a delivery.
    Server,
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

/// Facts about a playback token, its session, and whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Player {
    /// The token and its session.
    pub viewer: Viewer,
    /// What was heard of its page.
    pub heartbeat: Heartbeat,
}

/// Facts about a stream key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its state.
    pub key: KeyState,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// Where the encoder is, against the key's ranges of addresses.
    pub network: Range,
    /// It is good for one broadcast, and that one is over.
    pub used_up: bool,
}

/// Facts about a publish token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishToken {
    /// It is from the issuer, and for the audience, that this installation was told of.
    pub for_us: bool,
    /// When it begins to be good.
    pub not_before: Option<Time>,
    /// When it ends.
    pub expires_at: Time,
}

/// Facts about where somebody is, held against an event's rules
/// ([`AccessPolicy::visitor`](crate::event::AccessPolicy::visitor)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Against its ranges of addresses.
    pub network: Range,
    /// Against its countries.
    pub country: Provenance,
}

/// An address against an event's ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// It lies in one of them, or the event has none.
    Inside,
    /// It lies in none of them.
    Outside,
}

/// A country against an event's countries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// It is one of them, or the event has none.
    Listed,
    /// It is none of them.
    Unlisted,
    /// Nobody knows the country, and the event says what becomes of those.
    Unknown(UnknownCountry),
}

/// Facts about an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// Its state.
    pub invitation: InvitationState,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// An organiser keeps them out.
    pub blocked: bool,
    /// It was used as often as it may be.
    pub used_up: bool,
    /// Who watches with its code at this moment.
    pub holder: Option<Holder>,
    /// Whether a device has asked to take it over.
    pub takeover: Standing,
}

/// Facts about an invitee who is inside and may bring guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Their session; `None` when there is no such session (any more).
    pub session: Option<SessionState>,
    /// The state of their invitation.
    pub invitation: InvitationState,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// An organiser keeps them out.
    pub blocked: bool,
    /// They brought fewer guests than they may.
    pub may_bring: bool,
    /// The guest whose code is asked for, if it is one of theirs.
    pub guest: Option<Guest>,
}

/// Somebody's guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Their code still waits for them.
    Expected,
    /// They came, or cannot come any more.
    Gone,
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
    /// What an API token may be used for; [`Scopes::ALL`] for people.
    pub scopes: Scopes,
    /// Whether the event that is asked about is theirs.
    pub reach: Reach,
    /// When this person last showed that it is them, by signing in or again since. Asked of browsers only.
    pub confirmed_at: Time,
}

/// What cannot be undone, or takes something out of the house, asks again whoever signed in longer ago: a working day
/// at the desk needs no second time, a browser that was left signed in overnight does.
pub const CONFIRMED_FOR: Duration = Duration::from_secs(12 * 60 * 60);
/// How one signs in is changed only by somebody who has just done so: a borrowed screen must not become a stolen account.
pub const CONFIRMED_JUST_NOW: Duration = Duration::from_secs(15 * 60);

/// Whether the event that is asked about belongs to a team of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does, or it is everybody's, or no event is asked about.
    Inside,
    /// It belongs to others, or there is none.
    Outside,
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
    /// The event is not shown in their country, or nobody knows which that is.
    #[error("the country is not one of the event's")]
    CountryRefused,
    /// The event is shown in certain networks only.
    #[error("the address is in none of the event's networks")]
    NetworkRefused,
    /// Somebody else is watching with this code.
    #[error("the code is in use")]
    CodeInUse,
    /// An organiser keeps this invitee out.
    #[error("the invitee is kept out")]
    Blocked,
    /// The invitation was used as often as it may be.
    #[error("the invitation is used up")]
    UsedUp,
    /// Their role, or their token's scopes, do not go so far.
    #[error("the role does not allow it")]
    RoleTooLow,
    /// The event is not theirs: to them it does not exist.
    #[error("the event is out of reach")]
    OutOfReach,
    /// They signed in too long ago for this: they must show again that it is them.
    #[error("the sign-in is too old for this")]
    StepUp,
    /// Nothing is heard of the page that is said to watch.
    #[error("nothing is heard of the page")]
    Silent,
    /// Its time has not come, or its end is further off than anybody should promise.
    #[error("its time is not now")]
    NotNow,
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
            Self::CountryRefused => "country_refused",
            Self::NetworkRefused => "network_refused",
            Self::CodeInUse => "code_in_use",
            Self::Blocked => "blocked",
            Self::UsedUp => "used_up",
            Self::RoleTooLow => "role_too_low",
            Self::OutOfReach => "out_of_reach",
            Self::StepUp => "step_up",
            Self::Silent => "silent",
            Self::NotNow => "not_now",
        }
    }
}

/// Whether `action` is allowed to whom the `facts` describe.
///
/// # Errors
///
/// [`Denied`] with the reason.
pub fn decide<A: Action>(action: A, facts: &Facts, now: Time) -> Result<Allowed<A>, Denied> {
    judge(action.kind(), facts, now).map(|()| Allowed(action))
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

        // Who may watch may have the key, and may stay, as long as somebody is there to watch.
        (Kind::ReadKey | Kind::Stay, Facts::Player(player)) => {
            judge(Kind::Watch, &Facts::Viewer(player.viewer), now)?;
            match player.heartbeat {
                Heartbeat::Fresh | Heartbeat::Joining => Ok(()),
                Heartbeat::Missing => Err(Denied::Silent),
            }
        }

        (Kind::Publish, Facts::Publisher(publisher)) => match publisher.key {
            KeyState::Revoked => Err(Denied::Ended),
            KeyState::Active => {
                not_expired(publisher.expires_at, now)?;
                match publisher.network {
                    Range::Outside => Err(Denied::NetworkRefused),
                    Range::Inside if publisher.used_up => Err(Denied::UsedUp),
                    Range::Inside => Ok(()),
                }
            }
        },

        (Kind::Publish, Facts::PublishToken(token)) => {
            if !token.for_us {
                return Err(Denied::Unknown);
            }
            not_expired(Some(token.expires_at), now)?;
            let early = token.not_before.is_some_and(|begins| now.plus(publish::TOKEN_SKEW) < begins);
            if early || token.expires_at > now.plus(publish::TOKEN_LIFE_MAX) { Err(Denied::NotNow) } else { Ok(()) }
        }

        // Judged without a look at what they present: whether a code is right shows in nothing that is said here.
        (Kind::Approach, Facts::Visitor(visitor)) => match (visitor.network, visitor.country) {
            (Range::Outside, _) => Err(Denied::NetworkRefused),
            (Range::Inside, Provenance::Unlisted | Provenance::Unknown(UnknownCountry::Deny)) => {
                Err(Denied::CountryRefused)
            }
            (Range::Inside, Provenance::Listed | Provenance::Unknown(UnknownCountry::Allow)) => Ok(()),
        },

        // Who is refused because the code is in use may ask its holder: see `takeover`.
        (Kind::Redeem, Facts::Invitee(invitee)) => {
            match invitee.invitation {
                InvitationState::Revoked => return Err(Denied::Ended),
                InvitationState::Expired => return Err(Denied::Expired),
                _ if invitee.blocked => return Err(Denied::Blocked),
                _ => not_expired(invitee.expires_at, now)?,
            }
            match Entry::past(invitee.holder, invitee.takeover) {
                Some(entry) if invitee.used_up && entry.is_another_use(invitee.takeover) => Err(Denied::UsedUp),
                Some(_) => Ok(()),
                None => Err(Denied::CodeInUse),
            }
        }

        // A host hands codes out that nobody has used yet; what their guests do with them is not theirs to see.
        (Kind::Bring | Kind::RevealCode, Facts::Host(host)) => {
            match host.session {
                None => return Err(Denied::Unknown),
                Some(SessionState::Ended(_)) => return Err(Denied::Ended),
                Some(SessionState::Active) => {}
            }
            match host.invitation {
                InvitationState::Revoked => return Err(Denied::Ended),
                InvitationState::Expired => return Err(Denied::Expired),
                _ if host.blocked => return Err(Denied::Blocked),
                _ => not_expired(host.expires_at, now)?,
            }
            match (kind, host.guest) {
                (Kind::RevealCode, None) => Err(Denied::Unknown),
                (Kind::RevealCode, Some(Guest::Gone)) => Err(Denied::UsedUp),
                (Kind::RevealCode, Some(Guest::Expected)) => Ok(()),
                _ if host.may_bring => Ok(()),
                _ => Err(Denied::UsedUp),
            }
        }

        // A token cannot make its own successors, and a person's own account is not a program's business: a leaked
        // token ends when it is withdrawn.
        (Kind::MintToken | Kind::Profile | Kind::Secure, Facts::Organiser(organiser)) => match organiser.credential {
            Credential::Cookie | Credential::Operator => {
                not_expired(organiser.expires_at, now)?;
                confirmed(kind, organiser, now)
            }
            Credential::Token => Err(Denied::WrongCredential),
        },

        (
            Kind::Look
            | Kind::Browse
            | Kind::Organise
            | Kind::Moderate
            | Kind::EndAll
            | Kind::Broadcast
            | Kind::SeePeople
            | Kind::Export
            | Kind::RevealCode
            | Kind::RevealStreamKey
            | Kind::RevealContact
            | Kind::CreateEvent
            | Kind::Administer
            | Kind::Govern
            | Kind::GovernOwners
            | Kind::Audit,
            Facts::Organiser(organiser),
        ) => {
            not_expired(organiser.expires_at, now)?;
            // First whether it exists for them at all: the answer to the second question would tell.
            if organiser.reach == Reach::Outside && !organiser.role.sees_every_event() {
                return Err(Denied::OutOfReach);
            }
            // A leaked token must not leave another owner behind.
            if kind == Kind::GovernOwners && organiser.credential == Credential::Token {
                return Err(Denied::WrongCredential);
            }
            let (role_may, scope) = right(kind, organiser.role);
            if !role_may || !organiser.scopes.contains(scope) {
                return Err(Denied::RoleTooLow);
            }
            confirmed(kind, organiser, now)
        }

        // To organise: it reads the list that an organiser gave it, and forgets people when their time is up.
        (Kind::Organise | Kind::RevealCode | Kind::RevealContact | Kind::RevealOwn, Facts::Server) => Ok(()),

        (
            _,
            Facts::Viewer(_)
            | Facts::Player(_)
            | Facts::Publisher(_)
            | Facts::PublishToken(_)
            | Facts::Visitor(_)
            | Facts::Invitee(_)
            | Facts::Host(_)
            | Facts::Organiser(_)
            | Facts::Server,
        ) => Err(Denied::WrongCredential),
    }
}

/// Whether `role` may do `kind`, and which scope a token needs for it.
fn right(kind: Kind, role: Role) -> (bool, Scope) {
    use Role::{Admin, Analyst, Broadcaster, Moderator, Organiser, Owner};
    match kind {
        Kind::Look | Kind::Browse => {
            (matches!(role, Owner | Admin | Organiser | Moderator | Broadcaster | Analyst), Scope::Read)
        }
        Kind::Organise | Kind::CreateEvent => (matches!(role, Owner | Admin | Organiser), Scope::Organise),
        Kind::Moderate | Kind::EndAll => (matches!(role, Owner | Admin | Organiser | Moderator), Scope::Moderate),
        Kind::Broadcast | Kind::RevealStreamKey => {
            (matches!(role, Owner | Admin | Organiser | Broadcaster), Scope::Broadcast)
        }
        Kind::SeePeople | Kind::Export | Kind::RevealCode | Kind::RevealContact => {
            (matches!(role, Owner | Admin | Organiser), Scope::People)
        }
        Kind::Administer | Kind::Govern | Kind::Audit => (matches!(role, Owner | Admin), Scope::Administer),
        // Whoever could make an owner would be one.
        Kind::GovernOwners => (role == Owner, Scope::Administer),
        // Decided above, by other facts.
        Kind::Watch
        | Kind::ReadKey
        | Kind::Stay
        | Kind::Publish
        | Kind::Approach
        | Kind::Redeem
        | Kind::Bring
        | Kind::MintToken
        | Kind::Profile
        | Kind::Secure
        | Kind::RevealOwn => (false, Scope::Administer),
    }
}

/// What somebody with this role may do by a credential with these scopes, in their own events: names for pages, which
/// show what works and hide what would be refused. Nothing is decided by them.
#[must_use]
pub fn rights(role: Role, scopes: Scopes) -> Vec<&'static str> {
    const NAMED: [(Kind, &str); 11] = [
        (Kind::Look, "look"),
        (Kind::CreateEvent, "create_event"),
        (Kind::Organise, "organise"),
        (Kind::Moderate, "moderate"),
        (Kind::EndAll, "end_all"),
        (Kind::Broadcast, "broadcast"),
        (Kind::SeePeople, "see_people"),
        (Kind::Export, "export"),
        (Kind::Administer, "administer"),
        (Kind::GovernOwners, "govern_owners"),
        (Kind::Audit, "audit"),
    ];
    let has = |kind: Kind| {
        let (role_may, scope) = right(kind, role);
        role_may && scopes.contains(scope)
    };
    NAMED.into_iter().filter(|(kind, _)| has(*kind)).map(|(_, name)| name).collect()
}

/// How lately a person at a browser must have shown that it is them.
fn confirmed(kind: Kind, organiser: &Organiser, now: Time) -> Result<(), Denied> {
    let within = match kind {
        Kind::EndAll
        | Kind::Export
        | Kind::RevealCode
        | Kind::RevealStreamKey
        | Kind::MintToken
        | Kind::Govern
        | Kind::GovernOwners => CONFIRMED_FOR,
        Kind::Secure => CONFIRMED_JUST_NOW,
        _ => return Ok(()),
    };
    match organiser.credential {
        Credential::Cookie if now >= organiser.confirmed_at.plus(within) => Err(Denied::StepUp),
        // A program has no one to ask, and the operator of the machine needs no leave.
        Credential::Cookie | Credential::Token | Credential::Operator => Ok(()),
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
    use super::super::takeover::TakeoverState;
    use super::*;

    /// A day after the beginning of time, so that there is a yesterday.
    const NOW: Time = Time::from_millis(86_400_000);
    const LATER: Time = Time::from_millis(86_400_001);

    fn now() -> Time {
        NOW
    }

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
                        let viewer = Viewer { session, expires_at, epoch_is_current, stream_matches };
                        let name = format!("{name}{end}{epoch}{stream}");
                        all.push((format!("viewer: {name}"), Facts::Viewer(viewer)));
                        for heartbeat in Heartbeat::ALL {
                            let player = Facts::Player(Player { viewer, heartbeat });
                            all.push((format!("player: {name}, heartbeat {heartbeat:?}").to_lowercase(), player));
                        }
                    }
                }
            }
        }
        for (name, key) in [("active key", KeyState::Active), ("revoked key", KeyState::Revoked)] {
            for (end, expires_at) in [("", None), (", not yet expired", Some(LATER)), (", expired", Some(NOW))] {
                for (why, network, used_up) in [
                    ("", Range::Inside, false),
                    (", other network", Range::Outside, false),
                    (", its one broadcast is over", Range::Inside, true),
                ] {
                    let publisher = Publisher { key, expires_at, network, used_up };
                    all.push((format!("publisher: {name}{end}{why}"), Facts::Publisher(publisher)));
                }
            }
        }
        let far = NOW.plus(publish::TOKEN_LIFE_MAX);
        let usual = PublishToken { for_us: true, not_before: None, expires_at: LATER };
        for (name, token) in [
            ("good", usual),
            ("of another issuer or audience", PublishToken { for_us: false, ..usual }),
            ("expired", PublishToken { expires_at: NOW, ..usual }),
            ("good for as long as may be", PublishToken { expires_at: far, ..usual }),
            ("good for longer", PublishToken { expires_at: far.plus(Duration::from_millis(1)), ..usual }),
            ("begins within the skew", PublishToken { not_before: Some(NOW.plus(publish::TOKEN_SKEW)), ..usual }),
            (
                "begins after it",
                PublishToken {
                    not_before: Some(NOW.plus(publish::TOKEN_SKEW + Duration::from_millis(1))),
                    expires_at: far,
                    ..usual
                },
            ),
        ] {
            all.push((format!("publish token: {name}"), Facts::PublishToken(token)));
        }
        for (where_, network) in [("", Range::Inside), (", other network", Range::Outside)] {
            for (name, country) in [
                ("listed country", Provenance::Listed),
                ("other country", Provenance::Unlisted),
                ("unknown country, denied", Provenance::Unknown(UnknownCountry::Deny)),
                ("unknown country, allowed", Provenance::Unknown(UnknownCountry::Allow)),
            ] {
                all.push((format!("visitor: {name}{where_}"), Facts::Visitor(Visitor { network, country })));
            }
        }
        let usual = Invitee {
            invitation: InvitationState::Created,
            expires_at: None,
            blocked: false,
            used_up: false,
            holder: None,
            takeover: Standing::None,
        };
        for (name, invitee) in [
            ("created", usual),
            ("delivered", Invitee { invitation: InvitationState::Delivered, ..usual }),
            ("redeemed", Invitee { invitation: InvitationState::Redeemed, ..usual }),
            ("revoked", Invitee { invitation: InvitationState::Revoked, ..usual }),
            ("expired", Invitee { invitation: InvitationState::Expired, ..usual }),
            ("not yet ended", Invitee { expires_at: Some(LATER), ..usual }),
            ("ended by time", Invitee { expires_at: Some(NOW), ..usual }),
            ("blocked", Invitee { blocked: true, ..usual }),
            ("used up", Invitee { used_up: true, ..usual }),
        ] {
            for (who, holder) in [
                ("nobody holds it", None),
                ("held by this browser", Some(Holder::SameBrowser)),
                ("holder absent", Some(Holder::Absent)),
                ("holder present", Some(Holder::Present)),
            ] {
                let questions = [
                    ("", Standing::None),
                    (", has asked", Standing::Own(TakeoverState::Pending)),
                    (", was given way", Standing::Own(TakeoverState::Approved)),
                    (", another device has asked", Standing::Others),
                ];
                // What holds for one good invitation holds for all.
                let told_apart = if ["redeemed", "used up"].contains(&name) { questions.len() } else { 1 };
                for (asked, takeover) in questions.into_iter().take(told_apart) {
                    all.push((
                        format!("invitee: {name} invitation, {who}{asked}"),
                        Facts::Invitee(Invitee { holder, takeover, ..invitee }),
                    ));
                }
            }
        }
        let usual = Host {
            session: Some(SessionState::Active),
            invitation: InvitationState::Redeemed,
            expires_at: None,
            blocked: false,
            may_bring: true,
            guest: None,
        };
        for (name, host) in [
            ("inside", usual),
            ("no session", Host { session: None, ..usual }),
            ("ended session", Host { session: Some(SessionState::Ended(EndReason::CodeChanged)), ..usual }),
            ("revoked", Host { invitation: InvitationState::Revoked, ..usual }),
            ("expired", Host { invitation: InvitationState::Expired, ..usual }),
            ("not yet ended", Host { expires_at: Some(LATER), ..usual }),
            ("ended by time", Host { expires_at: Some(NOW), ..usual }),
            ("blocked", Host { blocked: true, ..usual }),
            ("has brought all", Host { may_bring: false, ..usual }),
        ] {
            for (whom, guest) in [
                ("", None),
                (", a guest who is expected", Some(Guest::Expected)),
                (", a guest who came", Some(Guest::Gone)),
            ] {
                all.push((format!("host: {name}{whom}"), Facts::Host(Host { guest, ..host })));
            }
        }
        all.push(("the server itself".to_owned(), Facts::Server));
        all
    }

    const ABSENT: &str = "\u{b7}";

    fn mark(verdict: Result<(), Denied>) -> &'static str {
        match verdict {
            Ok(()) => "yes",
            Err(Denied::StepUp) => "confirm",
            Err(Denied::RoleTooLow | Denied::WrongCredential) => ABSENT,
            Err(denied) => denied.as_str(),
        }
    }

    /// Roles across, actions down: signed in by a browser, within reach, not expired.
    fn matrix(confirmed_at: Time) -> String {
        let mut table = String::from("                  ");
        for role in Role::ALL {
            let _ = write!(table, "{:<12}", role.as_str());
        }
        let _ = writeln!(table, "{:<12}a token needs", "operator");
        for kind in Kind::ALL {
            let person = |role| Facts::Organiser(Organiser { confirmed_at, ..organiser(role) });
            let verdicts: Vec<_> = Role::ALL.into_iter().map(|role| judge(*kind, &person(role), now())).collect();
            let by_operator = judge(*kind, &operator(), now());
            if verdicts.iter().chain([&by_operator]).all(|verdict| *verdict == Err(Denied::WrongCredential)) {
                continue;
            }
            let _ = write!(table, "{:<18}", format!("{kind:?}"));
            for verdict in verdicts {
                let _ = write!(table, "{:<12}", mark(verdict));
            }
            let token = |scopes| {
                Facts::Organiser(Organiser { credential: Credential::Token, scopes, ..organiser(Role::Owner) })
            };
            let scope = Scope::ALL
                .into_iter()
                .find(|scope| judge(*kind, &token([*scope].into_iter().collect()), now()).is_ok());
            let _ = writeln!(table, "{:<12}{}", mark(by_operator), scope.map_or("(never)", Scope::as_str));
        }
        table
    }

    fn operator() -> Facts {
        Facts::Organiser(Organiser { credential: Credential::Operator, expires_at: None, ..organiser(Role::Owner) })
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a committed file is compared")]
    fn the_access_table_is_the_committed_one() {
        let mut table = String::from(
            "# Every verdict of domain::access::decide. Generated: UPDATE=1 cargo test -p stagedoor-domain access_table\n\n\
             ## People and their API tokens\n\n\
             # Within reach and not expired. A token does what its person may and its scopes allow; the middle dot is no.\n",
        );
        table.push_str(&matrix(now()));
        table.push_str("\n# The same for somebody whose sign-in is a day old: `confirm` asks them again.\n");
        table.push_str(&matrix(Time::from_millis(0)));
        table.push_str(
            "\n# An event of other teams is out_of_reach for all but owner and admin, and an expired sign-in opens \
             nothing:\n# tests beside the law go through all of it.\n\n## Everybody else\n",
        );
        for kind in Kind::ALL {
            let mut lines = String::new();
            for (name, facts) in all_facts() {
                match judge(*kind, &facts, now()) {
                    // The rule, said once: a credential is for one thing.
                    Err(Denied::WrongCredential) | Err(Denied::Unknown) if matches!(facts, Facts::Nobody) => continue,
                    Err(Denied::WrongCredential) => continue,
                    Ok(()) => _ = writeln!(lines, "  {:<16} {name}", "ALLOWED"),
                    Err(denied) => _ = writeln!(lines, "  {:<16} {name}", denied.as_str()),
                }
            }
            if !lines.is_empty() {
                let _ = write!(table, "\n{kind:?}\n{lines}");
            }
        }
        table.push_str(
            "\n# Whoever and whatever is not named above is refused: wrong_credential, and unknown for nobody.\n",
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/access_table.txt");
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(path, &table).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert_eq!(table, committed, "run it with UPDATE=1 and read the difference");
    }

    #[test]
    fn the_table_leaves_nothing_out_tokens_reach_and_expiry_follow_the_law() {
        for kind in Kind::ALL {
            assert_eq!(judge(*kind, &Facts::Nobody, now()), Err(Denied::Unknown));
            for role in Role::ALL {
                let person = organiser(role);
                let by_cookie = judge(*kind, &Facts::Organiser(person), now());
                let token = Organiser { credential: Credential::Token, ..person };
                let by_token = judge(*kind, &Facts::Organiser(token), now());
                if by_token.is_ok() {
                    assert!(by_cookie.is_ok(), "{role:?} {kind:?}: a token does not do more than its person");
                }
                let bare = Organiser { scopes: Scopes::NONE, ..token };
                assert!(judge(*kind, &Facts::Organiser(bare), now()).is_err(), "{role:?} {kind:?}");
            }
        }
    }

    #[test]
    fn a_day_old_sign_in_is_asked_again_where_it_matters_and_a_program_is_not() {
        let event = EventId::new(uuid::Uuid::nil());
        let old = Organiser { confirmed_at: Time::from_millis(0), ..organiser(Role::Owner) };
        assert_eq!(decide(Export { event }, &Facts::Organiser(old), now()), Err(Denied::StepUp));
        assert_eq!(decide(EndAll { event }, &Facts::Organiser(old), now()), Err(Denied::StepUp));
        assert!(decide(Moderate { event }, &Facts::Organiser(old), now()).is_ok());
        let program = Organiser { credential: Credential::Token, ..old };
        assert!(decide(Export { event }, &Facts::Organiser(program), now()).is_ok());
        // Nobody is asked for a password only to be told that it was in vain.
        let analyst = Organiser { role: Role::Analyst, ..old };
        assert_eq!(decide(Export { event }, &Facts::Organiser(analyst), now()), Err(Denied::RoleTooLow));
        let edge = |since: Duration| {
            let since = i64::try_from(since.as_millis()).unwrap();
            Organiser { confirmed_at: Time::from_millis(now().millis() - since), ..old }
        };
        let (just, over) = (CONFIRMED_FOR - Duration::from_millis(1), CONFIRMED_FOR);
        assert!(decide(Export { event }, &Facts::Organiser(edge(just)), now()).is_ok());
        assert_eq!(decide(Export { event }, &Facts::Organiser(edge(over)), now()), Err(Denied::StepUp));
        assert_eq!(decide(Secure, &Facts::Organiser(edge(CONFIRMED_JUST_NOW)), now()), Err(Denied::StepUp));
    }

    #[test]
    fn only_owners_touch_owners() {
        let user = UserId::new(uuid::Uuid::nil());
        for role in Role::ALL {
            let facts = Facts::Organiser(organiser(role));
            for (holds, gets) in [
                (Some(Role::Owner), None),
                (Some(Role::Owner), Some(Role::Analyst)),
                (Some(Role::Admin), Some(Role::Owner)),
                (None, Some(Role::Owner)),
            ] {
                assert_eq!(
                    decide(Govern { user, holds, gets }, &facts, now()).is_ok(),
                    role == Role::Owner,
                    "{role:?}"
                );
            }
            let others = Govern { user, holds: Some(Role::Admin), gets: Some(Role::Analyst) };
            assert_eq!(decide(others, &facts, now()).is_ok(), matches!(role, Role::Owner | Role::Admin), "{role:?}");
        }
    }

    #[test]
    fn rights_are_what_the_law_allows() {
        assert_eq!(rights(Role::Analyst, Scopes::ALL), ["look"]);
        assert_eq!(rights(Role::Moderator, Scopes::ALL), ["look", "moderate", "end_all"]);
        assert!(rights(Role::Owner, Scopes::ALL).contains(&"govern_owners"));
        assert!(!rights(Role::Admin, Scopes::ALL).contains(&"govern_owners"));
        assert_eq!(rights(Role::Owner, [Scope::Read].into_iter().collect()), ["look"]);
    }

    #[test]
    fn a_viewers_token_opens_nothing_but_watching() {
        let viewer = Facts::Viewer(Viewer {
            session: Some(SessionState::Active),
            expires_at: LATER,
            epoch_is_current: true,
            stream_matches: true,
        });
        for kind in Kind::ALL {
            assert_eq!(judge(*kind, &viewer, NOW).is_ok(), *kind == Kind::Watch, "{kind:?}");
        }
    }

    fn organiser(role: Role) -> Organiser {
        Organiser {
            role,
            credential: Credential::Cookie,
            expires_at: Some(LATER),
            scopes: Scopes::ALL,
            reach: Reach::Inside,
            confirmed_at: NOW,
        }
    }

    #[test]
    fn nothing_is_open_to_an_expired_sign_in() {
        for role in Role::ALL {
            let facts = Facts::Organiser(Organiser { expires_at: Some(NOW), ..organiser(role) });
            for kind in Kind::ALL {
                assert!(judge(*kind, &facts, NOW).is_err(), "{role:?} {kind:?}");
            }
        }
    }

    #[test]
    fn the_event_of_others_does_not_exist_for_those_who_belong_to_a_team() {
        let event = EventId::new(uuid::Uuid::nil());
        for role in Role::ALL {
            let facts = Facts::Organiser(Organiser { reach: Reach::Outside, ..organiser(role) });
            let seen = decide(Look { event }, &facts, NOW);
            assert_eq!(seen.is_ok(), role.sees_every_event(), "{role:?}");
            assert_ne!(
                decide(Export { event }, &facts, NOW),
                Err(Denied::RoleTooLow),
                "that would tell that it exists"
            );
        }
    }

    #[test]
    fn a_moderator_steers_the_room_and_takes_nobodys_number_home() {
        let event = EventId::new(uuid::Uuid::nil());
        let facts = Facts::Organiser(organiser(Role::Moderator));
        assert!(decide(Moderate { event }, &facts, NOW).is_ok());
        assert_eq!(decide(Export { event }, &facts, NOW), Err(Denied::RoleTooLow));
        assert_eq!(decide(SeePeople { event }, &facts, NOW), Err(Denied::RoleTooLow));
        assert_eq!(decide(Organise { event }, &facts, NOW), Err(Denied::RoleTooLow));
    }

    #[test]
    fn the_proof_carries_what_was_asked() {
        let action = Organise { event: EventId::new(uuid::Uuid::from_u128(7)) };
        let allowed = decide(action, &Facts::Organiser(organiser(Role::Organiser)), NOW).unwrap();
        assert_eq!(*allowed, action);
        assert_eq!(decide(action, &Facts::Nobody, NOW), Err(Denied::Unknown));
    }
}
