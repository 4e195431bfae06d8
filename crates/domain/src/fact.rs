//! What has happened and is worth remembering: the entries of the log.
//!
//! A fact names things by their ids and never carries a code, a token, a key, an address or a name of a person.

use serde::{Deserialize, Serialize};

use crate::access::{EndReason, Role, TakeoverState};
use crate::id::{
    BroadcastId, DeliveryId, EventId, ImportId, IncidentId, InvitationId, KeyId, MessageId, RenewalId, SendId,
    SessionId, StreamId, TakeoverId, TeamId, TokenId, UserId, WebhookId,
};
use crate::incident;
use crate::message::{Failure, PauseCause};
use crate::publish::Suspicion;
use crate::risk;
use crate::webhook::Endpoint;

/// What shows, beside a password, that somebody is who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// One-time passwords from an app.
    Totp,
    /// A passkey.
    Passkey,
    /// Codes for when the others are lost.
    Recovery,
    /// An account at the organisation's identity provider.
    Provider,
}

/// By what somebody failed to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Their name and their password.
    Password,
    /// Six digits or a recovery code: the password was right, or they were signed in.
    SecondFactor,
    /// A passkey.
    Passkey,
    /// The word of the organisation's identity provider.
    Provider,
}

/// Whom of an event's invitees a list has. What they were looked for by is not told: it may be somebody's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whom {
    /// All of them.
    Everybody,
    /// Those who match a filter.
    Matching,
    /// Those who were named one by one.
    Named,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "the fields are the ids that the variant's sentence names")]
pub enum Fact {
    /// An organiser signed in.
    #[serde(rename = "user.signed_in")]
    SignedIn { user: UserId },
    /// Somebody signed in showed again that it is them.
    #[serde(rename = "user.confirmed")]
    Confirmed { user: UserId },
    /// An account was made.
    #[serde(rename = "user.created")]
    UserCreated { user: UserId, role: Role },
    /// An account got another role.
    #[serde(rename = "user.role_changed")]
    RoleChanged { user: UserId, from: Role, to: Role },
    /// An account was shut.
    #[serde(rename = "user.disabled")]
    UserDisabled { user: UserId },
    /// An account was opened again.
    #[serde(rename = "user.enabled")]
    UserEnabled { user: UserId },
    /// An account was deleted.
    #[serde(rename = "user.deleted")]
    UserDeleted { user: UserId },
    /// An account got another password.
    #[serde(rename = "user.password_changed")]
    PasswordChanged { user: UserId },
    /// An account got a second factor: one-time passwords or a passkey.
    #[serde(rename = "user.factor_added")]
    FactorAdded { user: UserId, factor: Factor },
    /// An account lost a second factor.
    #[serde(rename = "user.factor_removed")]
    FactorRemoved { user: UserId, factor: Factor },
    /// A recovery code was used instead of a second factor.
    #[serde(rename = "user.recovery_used")]
    RecoveryUsed { user: UserId },
    /// Somebody signed out at one or more of their browsers.
    #[serde(rename = "user.signed_out")]
    SignedOut { user: UserId },
    /// A team was made.
    #[serde(rename = "team.created")]
    TeamCreated { team: TeamId },
    /// A team was deleted.
    #[serde(rename = "team.deleted")]
    TeamDeleted { team: TeamId },
    /// Somebody joined a team.
    #[serde(rename = "team.joined")]
    TeamJoined { team: TeamId, user: UserId },
    /// Somebody left a team.
    #[serde(rename = "team.left")]
    TeamLeft { team: TeamId, user: UserId },
    /// Somebody failed to sign in, or to show again that it is them, and by what. Older entries do not say by what.
    #[serde(rename = "user.sign_in_refused")]
    SignInRefused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<Way>,
    },
    /// An event was created.
    #[serde(rename = "event.created")]
    EventCreated { event: EventId },
    /// An event's settings changed.
    #[serde(rename = "event.changed")]
    EventChanged { event: EventId },
    /// An event was deleted with all that belongs to it.
    #[serde(rename = "event.deleted")]
    EventDeleted { event: EventId },
    /// Somebody was invited.
    #[serde(rename = "invitation.created")]
    InvitationCreated { event: EventId, invitation: InvitationId },
    /// An invitation was withdrawn.
    #[serde(rename = "invitation.revoked")]
    InvitationRevoked { event: EventId, invitation: InvitationId },
    /// What is known about an invitee changed: name, contact, tags, guests, uses, end.
    #[serde(rename = "invitation.changed")]
    InvitationChanged { event: EventId, invitation: InvitationId },
    /// Invitees were tagged, or lost tags.
    #[serde(rename = "invitation.tagged")]
    InvitationsTagged { event: EventId, count: u32 },
    /// Invitees got new codes; sessions on the old ones had ended by then. Who it was, when it was one.
    #[serde(rename = "invitation.codes_replaced")]
    CodesReplaced {
        event: EventId,
        count: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<InvitationId>,
    },
    /// New codes for so many invitees were ordered; they get them step by step.
    #[serde(rename = "renewal.started")]
    RenewalStarted { event: EventId, renewal: RenewalId, count: u32 },
    /// An order for new codes is through, or was called off: so many have theirs.
    #[serde(rename = "renewal.ended")]
    RenewalEnded { event: EventId, renewal: RenewalId, changed: u32 },
    /// An invitee brought somebody along.
    #[serde(rename = "invitation.guest_brought")]
    GuestBrought { event: EventId, invitation: InvitationId, guest: InvitationId },
    /// Somebody who was kept out may come in again.
    #[serde(rename = "invitation.unblocked")]
    InvitationUnblocked { event: EventId, invitation: InvitationId },
    /// How somebody is reached was looked at in the clear.
    #[serde(rename = "invitation.contact_revealed")]
    ContactRevealed { event: EventId, invitation: InvitationId },
    /// Everything that is known about somebody was handed out.
    #[serde(rename = "invitation.personal_data_exported")]
    PersonalDataExported { event: EventId, invitation: InvitationId },
    /// Somebody was forgotten: what is left is this id.
    #[serde(rename = "invitation.erased")]
    PersonErased { event: EventId, invitation: InvitationId },
    /// An event's time to remember people was up: so many are not reached by anything any more. One fact for each step.
    #[serde(rename = "event.contacts_erased")]
    ContactsErased { event: EventId, count: u32 },
    /// A list of invitees began to be read.
    #[serde(rename = "import.started")]
    ImportStarted { event: EventId, import: ImportId },
    /// A list of invitees was read to its end, or as far as it could be.
    #[serde(rename = "import.ended")]
    ImportEnded { event: EventId, import: ImportId, created: u32, merged: u32 },
    /// A list of invitees was taken out of the house: so many people, in the clear.
    #[serde(rename = "invitation.list_exported")]
    PeopleExported { event: EventId, count: u32, whom: Whom },
    /// An organiser looked at a code again.
    #[serde(rename = "invitation.code_revealed")]
    CodeRevealed { event: EventId, invitation: InvitationId },
    /// Messages to some invitees were ordered.
    #[serde(rename = "send.created")]
    SendCreated { event: EventId, send: SendId },
    /// An order waits, and why.
    #[serde(rename = "send.paused")]
    SendPaused { event: EventId, send: SendId, because: PauseCause },
    /// An order goes on.
    #[serde(rename = "send.resumed")]
    SendResumed { event: EventId, send: SendId },
    /// An order was called off.
    #[serde(rename = "send.cancelled")]
    SendCancelled { event: EventId, send: SendId },
    /// So many messages of an order that had failed are tried again.
    #[serde(rename = "send.retried")]
    SendRetried { event: EventId, send: SendId, count: u32 },
    /// Everything that an order asked for was tried.
    #[serde(rename = "send.done")]
    SendDone { event: EventId, send: SendId },
    /// Somebody wrote to one person, or to themself.
    #[serde(rename = "message.ordered")]
    MessageOrdered { event: EventId, message: MessageId },
    /// A gateway took a message.
    #[serde(rename = "message.sent")]
    MessageSent { event: EventId, message: MessageId },
    /// A message arrived.
    #[serde(rename = "message.delivered")]
    MessageDelivered { event: EventId, message: MessageId },
    /// A message was not sent, or did not arrive.
    #[serde(rename = "message.failed")]
    MessageFailed { event: EventId, message: MessageId, reason: Failure },
    /// A viewer was let in.
    #[serde(rename = "session.started")]
    SessionStarted { event: EventId, session: SessionId, invitation: InvitationId },
    /// A session is over.
    #[serde(rename = "session.ended")]
    SessionEnded { event: EventId, session: SessionId, reason: EndReason },
    /// Something odd was noticed about a viewer: what, how many points it made with what was noticed before, and what was
    /// done about it.
    #[serde(rename = "session.suspected")]
    SessionSuspected { event: EventId, session: SessionId, signal: risk::Signal, points: u32, action: risk::Action },
    /// An organiser ended all sessions of an event at once: so many, and every token of an earlier epoch with them. One
    /// fact and not one for each session: the sessions' rows say the rest.
    #[serde(rename = "event.sessions_ended")]
    SessionsEnded { event: EventId, count: u64, epoch: u32 },
    /// An organiser closed an invitation to whoever has its code.
    #[serde(rename = "invitation.blocked")]
    InvitationBlocked { event: EventId, invitation: InvitationId },
    /// A second device asked the holder of a code to make way.
    #[serde(rename = "takeover.asked")]
    TakeoverAsked { event: EventId, takeover: TakeoverId, invitation: InvitationId, session: SessionId },
    /// What became of it so far.
    #[serde(rename = "takeover.changed")]
    TakeoverChanged { event: EventId, takeover: TakeoverId, state: TakeoverState },
    /// A stream key was made.
    #[serde(rename = "stream_key.created")]
    KeyCreated { event: EventId, key: KeyId },
    /// A stream key was withdrawn.
    #[serde(rename = "stream_key.revoked")]
    KeyRevoked { event: EventId, key: KeyId },
    /// An organiser looked at a stream key again.
    #[serde(rename = "stream_key.revealed")]
    KeyRevealed { event: EventId, key: KeyId },
    /// A stream key got another end, other ranges of addresses, limits or a name.
    #[serde(rename = "stream_key.changed")]
    KeyChanged { event: EventId, key: KeyId },
    /// A stream key got a successor, and ends a little later.
    #[serde(rename = "stream_key.rotated")]
    KeyRotated { event: EventId, key: KeyId, successor: KeyId },
    /// An encoder came with a stream key that was good.
    #[serde(rename = "stream_key.used")]
    KeyUsed { event: EventId, key: KeyId },
    /// Somebody else may have a stream key, and why.
    #[serde(rename = "stream_key.suspected")]
    KeySuspected { event: EventId, key: KeyId, because: Suspicion },
    /// An encoder came with a publish token that was good.
    #[serde(rename = "publish_token.used")]
    PublishTokenUsed { event: EventId },
    /// An API token was made.
    #[serde(rename = "api_token.created")]
    TokenCreated { token: TokenId, user: UserId },
    /// An API token was withdrawn.
    #[serde(rename = "api_token.revoked")]
    TokenRevoked { token: TokenId },
    /// A broadcast went on air.
    #[serde(rename = "stream.live")]
    StreamLive { event: EventId, stream: StreamId, broadcast: BroadcastId },
    /// The publisher is gone; the reconnect window runs.
    #[serde(rename = "stream.away")]
    StreamAway { event: EventId, stream: StreamId, broadcast: BroadcastId },
    /// A broadcast is over.
    #[serde(rename = "stream.ended")]
    StreamEnded { event: EventId, stream: StreamId, broadcast: BroadcastId },
    /// Somebody with a code, or without a right one, was not let in. Whose code it was, when it was somebody's.
    #[serde(rename = "session.refused")]
    SessionRefused {
        event: EventId,
        reason: Refusal,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<InvitationId>,
    },
    /// A webhook was made.
    #[serde(rename = "webhook.created")]
    WebhookCreated { webhook: WebhookId },
    /// A webhook's address, types or state changed.
    #[serde(rename = "webhook.changed")]
    WebhookChanged { webhook: WebhookId },
    /// A webhook was deleted.
    #[serde(rename = "webhook.deleted")]
    WebhookDeleted { webhook: WebhookId },
    /// A webhook got a new secret.
    #[serde(rename = "webhook.rotated")]
    WebhookRotated { webhook: WebhookId },
    /// Deliveries to a webhook were given up.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled { webhook: WebhookId },
    /// Somebody sent a delivery once more.
    #[serde(rename = "webhook.replayed")]
    WebhookReplayed { webhook: WebhookId, delivery: DeliveryId },
    /// Something odd was noticed.
    #[serde(rename = "incident.raised")]
    IncidentRaised { event: Option<EventId>, incident: IncidentId, kind: incident::Kind },
    /// Somebody has seen it, or it is over by itself.
    #[serde(rename = "incident.acknowledged")]
    IncidentAcknowledged { event: Option<EventId>, incident: IncidentId },
    /// A new master key was taken up.
    #[serde(rename = "master_key.changed")]
    MasterKeyChanged,
    /// Everything hangs on the new master key; the one before opens nothing any more.
    #[serde(rename = "master_key.rotated")]
    MasterKeyRotated,
    /// Somebody took the log out of the house.
    #[serde(rename = "log.exported")]
    LogExported,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No invitation to the event has the code.
    WrongCode,
    /// Somebody else is watching with it.
    InUse,
    /// The invitation was withdrawn.
    Withdrawn,
    /// The invitation's time is over.
    Expired,
    /// An organiser keeps the invitee out.
    Blocked,
    /// The code opened as many sessions as it may.
    UsedUp,
    /// The event is not shown in their country or network.
    Place,
}

/// What follows from a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is delivered to a webhook.
    Deliver(WebhookId),
    /// It is worth an organiser's attention.
    Raise(incident::Kind),
}

/// A fact as the log holds it.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    /// What its `type` says. Also of a fact that this version does not know.
    pub kind: &'a str,
    /// The event it belongs to, if any.
    pub event: Option<EventId>,
    /// The kind of the fact before it about the same event's stream, where that matters.
    pub before: Option<&'a str>,
}

/// What follows from a fact for those who want to be told.
#[must_use]
pub fn reactions(happened: Happened<'_>, endpoints: &[Endpoint<'_>]) -> Vec<Reaction> {
    let told = endpoints.iter().filter(|endpoint| endpoint.wants(happened.kind, happened.event));
    let mut reactions: Vec<_> = told.map(|endpoint| Reaction::Deliver(endpoint.id)).collect();
    match (happened.kind, happened.before) {
        ("stream.away", _) => reactions.push(Reaction::Raise(incident::Kind::StreamAway)),
        // An encoder that says goodbye, or an organiser who ends the broadcast, was not away before.
        ("stream.ended", Some("stream.away")) => reactions.push(Reaction::Raise(incident::Kind::StreamLost)),
        _ => {}
    }
    reactions
}

impl Fact {
    /// The event this fact belongs to, if any.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        match *self {
            Self::SignedIn { .. }
            | Self::Confirmed { .. }
            | Self::UserCreated { .. }
            | Self::RoleChanged { .. }
            | Self::UserDisabled { .. }
            | Self::UserEnabled { .. }
            | Self::UserDeleted { .. }
            | Self::PasswordChanged { .. }
            | Self::FactorAdded { .. }
            | Self::FactorRemoved { .. }
            | Self::RecoveryUsed { .. }
            | Self::SignedOut { .. }
            | Self::TeamCreated { .. }
            | Self::TeamDeleted { .. }
            | Self::TeamJoined { .. }
            | Self::TeamLeft { .. }
            | Self::SignInRefused { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::WebhookCreated { .. }
            | Self::WebhookChanged { .. }
            | Self::WebhookDeleted { .. }
            | Self::WebhookRotated { .. }
            | Self::WebhookDisabled { .. }
            | Self::WebhookReplayed { .. }
            | Self::MasterKeyChanged
            | Self::MasterKeyRotated
            | Self::LogExported => None,
            Self::IncidentRaised { event, .. } | Self::IncidentAcknowledged { event, .. } => event,
            Self::EventCreated { event }
            | Self::EventChanged { event }
            | Self::EventDeleted { event }
            | Self::InvitationCreated { event, .. }
            | Self::InvitationRevoked { event, .. }
            | Self::CodeRevealed { event, .. }
            | Self::InvitationChanged { event, .. }
            | Self::InvitationsTagged { event, .. }
            | Self::CodesReplaced { event, .. }
            | Self::RenewalStarted { event, .. }
            | Self::RenewalEnded { event, .. }
            | Self::GuestBrought { event, .. }
            | Self::InvitationUnblocked { event, .. }
            | Self::ContactRevealed { event, .. }
            | Self::PersonalDataExported { event, .. }
            | Self::PersonErased { event, .. }
            | Self::ContactsErased { event, .. }
            | Self::ImportStarted { event, .. }
            | Self::ImportEnded { event, .. }
            | Self::PeopleExported { event, .. }
            | Self::SendCreated { event, .. }
            | Self::SendPaused { event, .. }
            | Self::SendResumed { event, .. }
            | Self::SendCancelled { event, .. }
            | Self::SendRetried { event, .. }
            | Self::SendDone { event, .. }
            | Self::MessageOrdered { event, .. }
            | Self::MessageSent { event, .. }
            | Self::MessageDelivered { event, .. }
            | Self::MessageFailed { event, .. }
            | Self::SessionStarted { event, .. }
            | Self::SessionEnded { event, .. }
            | Self::SessionRefused { event, .. }
            | Self::SessionSuspected { event, .. }
            | Self::SessionsEnded { event, .. }
            | Self::InvitationBlocked { event, .. }
            | Self::TakeoverAsked { event, .. }
            | Self::TakeoverChanged { event, .. }
            | Self::KeyCreated { event, .. }
            | Self::KeyRevoked { event, .. }
            | Self::KeyRevealed { event, .. }
            | Self::KeyChanged { event, .. }
            | Self::KeyRotated { event, .. }
            | Self::KeyUsed { event, .. }
            | Self::KeySuspected { event, .. }
            | Self::PublishTokenUsed { event, .. }
            | Self::StreamLive { event, .. }
            | Self::StreamAway { event, .. }
            | Self::StreamEnded { event, .. } => Some(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_fact_survives_its_json() {
        let fact = Fact::SessionEnded {
            event: EventId::new(Uuid::from_u128(1)),
            session: SessionId::new(Uuid::from_u128(2)),
            reason: EndReason::Revoked,
        };
        let json = serde_json::to_string(&fact).unwrap();
        assert!(json.starts_with(r#"{"type":"session.ended","#), "{json}");
        assert_eq!(serde_json::from_str::<Fact>(&json).unwrap(), fact);
        assert_eq!(fact.event(), Some(EventId::new(Uuid::from_u128(1))));
    }

    #[test]
    fn an_entry_that_was_written_with_less_in_it_is_read_all_the_same() {
        let read = |json: &str| serde_json::from_str::<Fact>(json).unwrap();
        let (fact, json) = (Fact::SignInRefused { way: None }, r#"{"type":"user.sign_in_refused"}"#);
        assert_eq!((read(json), serde_json::to_string(&fact).unwrap().as_str()), (fact, json));
        let fact = Fact::SignInRefused { way: Some(Way::SecondFactor) };
        assert_eq!(read(r#"{"type":"user.sign_in_refused","way":"second_factor"}"#), fact);

        let event = EventId::new(Uuid::from_u128(1));
        let fact = Fact::SessionRefused { event, reason: Refusal::Blocked, invitation: None };
        let json = format!(r#"{{"type":"session.refused","event":"{event}","reason":"blocked"}}"#);
        assert_eq!((read(&json), serde_json::to_string(&fact).unwrap()), (fact, json));
        let invitation = InvitationId::new(Uuid::from_u128(2));
        let json =
            format!(r#"{{"type":"session.refused","event":"{event}","reason":"blocked","invitation":"{invitation}"}}"#);
        let fact = Fact::SessionRefused { event, reason: Refusal::Blocked, invitation: Some(invitation) };
        assert_eq!((read(&json), serde_json::to_string(&fact).unwrap()), (fact, json));
    }

    #[test]
    fn a_fact_goes_to_whoever_asked_and_an_encoder_that_is_lost_is_an_incident() {
        let id = WebhookId::new(Uuid::from_u128(9));
        let (all, other) = (Vec::new(), vec!["user.*".to_owned()]);
        let endpoints = [
            Endpoint { id, event: None, types: &all },
            Endpoint { id: WebhookId::new(Uuid::nil()), event: None, types: &other },
        ];
        let follows = |kind, before| reactions(Happened { kind, event: None, before }, &endpoints);
        assert_eq!(follows("stream.live", None), [Reaction::Deliver(id)]);
        assert_eq!(follows("from.the_future", None), [Reaction::Deliver(id)]);
        let raise = Reaction::Raise;
        assert_eq!(
            follows("stream.away", Some("stream.live")),
            [Reaction::Deliver(id), raise(incident::Kind::StreamAway)]
        );
        assert_eq!(
            follows("stream.ended", Some("stream.away")),
            [Reaction::Deliver(id), raise(incident::Kind::StreamLost)]
        );
        assert_eq!(follows("stream.ended", Some("stream.live")), [Reaction::Deliver(id)]);
        assert_eq!(follows("webhook.disabled", None), [Reaction::Deliver(id)]);
    }
}
