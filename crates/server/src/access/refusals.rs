//! What is written down when somebody is not let in.

use std::net::IpAddr;

use stagedoor_domain::fact::{Fact, Refusal};
use stagedoor_domain::id::{EventId, InvitationId};
use stagedoor_domain::incident::Kind;

use super::{Access, RedeemRefused};
use crate::facts::incident::{self, Raise};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::DbError;

/// Refusals of one address that are written down in a minute, at the door and on the way back from the identity provider:
/// as many as a person makes.
pub(super) const NOTES_PER_ADDRESS: u32 = 5;
/// Refusals that are written down in a minute, whoever they are.
pub(super) const NOTES_TOTAL: u32 = 600;

/// Whether wrong codes came faster than people mistype before an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// They did not.
    Calm,
    /// They did.
    Storm,
}

impl Access {
    /// How the door is right now.
    pub(super) fn weather(&self) -> Before {
        if self.codes.is_hot(self.clock.elapsed()) { Before::Storm } else { Before::Calm }
    }

    /// Writes down that somebody was refused, and with whose code, and raises an incident with the wrong code that makes a
    /// storm. Who has to wait or to prove work was not judged, and is not written down: that would be a write for every
    /// request of a flood. For the same reason no more is written down of an address, or of all together, than
    /// [`NOTES_PER_ADDRESS`] and [`NOTES_TOTAL`]: wrong codes are fewer by themselves.
    pub(super) async fn note_refused(
        &self,
        (event, invitation): (EventId, Option<InvitationId>),
        address: IpAddr,
        refused: &RedeemRefused,
        before: Before,
    ) {
        let Some(reason) = reason(refused) else { return };
        if reason != Refusal::WrongCode {
            let elapsed = self.clock.elapsed();
            if self.refusals.check(address, elapsed).is_err() || self.refusals.is_hot(elapsed) {
                metrics::counter!("door_refusals_unwritten_total").increment(1);
                return;
            }
            self.refusals.wrong(address, elapsed);
        }
        if let Err(error) = self.write_refused(event, invitation, reason, before).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal cannot be written down");
        }
    }

    /// Raises the incident of a storm that was made by a wrong code where nobody asked to come in.
    pub(super) async fn note_storm(&self, event: EventId) {
        if let Err(error) = self.raise_storm(event).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a storm of wrong codes cannot be written down");
        }
    }

    async fn raise_storm(&self, event: EventId) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        let raise = Raise::new(Kind::CodeGuessing, Some(event));
        incident::raise_in(&mut tx, &self.random, self.clock.now(), &raise).await?;
        tx.commit().await?;
        self.bus.hint(Hint::Event(event, Topic::Incidents));
        Ok(())
    }

    async fn write_refused(
        &self,
        event: EventId,
        invitation: Option<InvitationId>,
        reason: Refusal,
        before: Before,
    ) -> Result<(), DbError> {
        let now = self.clock.now();
        // A code that was replaced while they waited is nobody's any more.
        let invitation = invitation.filter(|_| reason != Refusal::WrongCode);
        let mut tx = self.db.write().await?;
        let fact = Fact::SessionRefused { event, reason, invitation };
        facts::append(&mut tx, &self.random, now, Actor::Stranger, fact).await?;
        let storm = (before, self.weather()) == (Before::Calm, Before::Storm);
        if storm {
            incident::raise_in(&mut tx, &self.random, now, &Raise::new(Kind::CodeGuessing, Some(event))).await?;
        }
        tx.commit().await?;
        if storm {
            self.bus.hint(Hint::Event(event, Topic::Incidents));
        }
        Ok(())
    }
}

fn reason(refused: &RedeemRefused) -> Option<Refusal> {
    match refused {
        RedeemRefused::CodeInvalid => Some(Refusal::WrongCode),
        RedeemRefused::TakeoverPending | RedeemRefused::TooManyTakeovers { .. } => Some(Refusal::InUse),
        RedeemRefused::AccessEnded => Some(Refusal::Withdrawn),
        RedeemRefused::Expired => Some(Refusal::Expired),
        RedeemRefused::Blocked => Some(Refusal::Blocked),
        RedeemRefused::UsedUp => Some(Refusal::UsedUp),
        RedeemRefused::Approach(_) => Some(Refusal::Place),
        // Asking has a fact of its own.
        RedeemRefused::NoEvent
        | RedeemRefused::Asked(_)
        | RedeemRefused::Queued(_)
        | RedeemRefused::QueueFull
        | RedeemRefused::TooMany { .. }
        | RedeemRefused::ProofRequired { .. }
        | RedeemRefused::Db(_) => None,
    }
}
