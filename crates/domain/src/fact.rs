//! What has happened and is worth remembering: the entries of the log.
//!
//! A fact names things by their ids and never carries a code, a token, a key, an address or a name of a person.

use serde::{Deserialize, Serialize};

use crate::access::EndReason;
use crate::id::{BroadcastId, EventId, InvitationId, KeyId, SessionId, StreamId, TokenId, UserId};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "the fields are the ids that the variant's sentence names")]
pub enum Fact {
    /// An organiser signed in.
    #[serde(rename = "user.signed_in")]
    SignedIn { user: UserId },
    /// Somebody failed to sign in.
    #[serde(rename = "user.sign_in_refused")]
    SignInRefused,
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
    /// An organiser looked at a code again.
    #[serde(rename = "invitation.code_revealed")]
    CodeRevealed { event: EventId, invitation: InvitationId },
    /// A viewer was let in.
    #[serde(rename = "session.started")]
    SessionStarted { event: EventId, session: SessionId, invitation: InvitationId },
    /// A session is over.
    #[serde(rename = "session.ended")]
    SessionEnded { event: EventId, session: SessionId, reason: EndReason },
    /// A stream key was made.
    #[serde(rename = "stream_key.created")]
    KeyCreated { event: EventId, key: KeyId },
    /// A stream key was withdrawn.
    #[serde(rename = "stream_key.revoked")]
    KeyRevoked { event: EventId, key: KeyId },
    /// An organiser looked at a stream key again.
    #[serde(rename = "stream_key.revealed")]
    KeyRevealed { event: EventId, key: KeyId },
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
}

impl Fact {
    /// The event this fact belongs to, if any.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        match *self {
            Self::SignedIn { .. } | Self::SignInRefused | Self::TokenCreated { .. } | Self::TokenRevoked { .. } => None,
            Self::EventCreated { event }
            | Self::EventChanged { event }
            | Self::EventDeleted { event }
            | Self::InvitationCreated { event, .. }
            | Self::InvitationRevoked { event, .. }
            | Self::CodeRevealed { event, .. }
            | Self::SessionStarted { event, .. }
            | Self::SessionEnded { event, .. }
            | Self::KeyCreated { event, .. }
            | Self::KeyRevoked { event, .. }
            | Self::KeyRevealed { event, .. }
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
}
