//! Incidents: what an organiser should hear about, raised by whoever notices it.

use stagedoor_domain::Time;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, IncidentId, InvitationId, SessionId};
use stagedoor_domain::incident::Kind;

use super::{Actor, append};
use crate::ports::World;
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::incidents::{self, Incident};
use crate::ports::db::{DbError, Tx};
use crate::ports::random::Random;

/// Something odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// What.
    pub kind: Kind,
    /// Where; `None` for the whole installation.
    pub event: Option<EventId>,
    /// The viewer it is about, if any.
    pub session: Option<SessionId>,
    /// The invitation it is about, if any.
    pub invitation: Option<InvitationId>,
    /// A sentence instead of the [usual one](Kind::sentence). Never with a name, a code, a number or an address.
    pub text: Option<String>,
}

impl Raise {
    /// About an event as a whole, in the usual words.
    #[must_use]
    pub fn new(kind: Kind, event: Option<EventId>) -> Self {
        Self { kind, event, session: None, invitation: None, text: None }
    }

    /// About one of its invitations.
    #[must_use]
    pub fn invitation(self, invitation: InvitationId) -> Self {
        Self { invitation: Some(invitation), ..self }
    }

    /// About one of its viewers.
    #[must_use]
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }
}

/// Raises an incident if and when `tx` commits; then the caller hints `Topic::Incidents`. The same thing again, while
/// nobody has acknowledged it, is counted and not repeated. Says whether it is new.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn raise_in(tx: &mut Tx, random: &Random, now: Time, raise: &Raise) -> Result<bool, DbError> {
    let incident = Incident {
        id: IncidentId::new(random.uuid(now)),
        event: raise.event,
        kind: raise.kind,
        text: raise.text.clone().unwrap_or_else(|| raise.kind.sentence().to_owned()),
        session: raise.session,
        invitation: raise.invitation,
        at: now,
        last_at: now,
        times: 1,
        acknowledged_at: None,
    };
    let new = incidents::raise(tx, &incident).await?;
    if new {
        let fact = Fact::IncidentRaised { event: raise.event, incident: incident.id, kind: raise.kind };
        append(tx, random, now, Actor::System, fact).await?;
    }
    Ok(new)
}

/// Raises an incident in a transaction of its own, and hints.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn raise(world: &World, raise: Raise) -> Result<(), DbError> {
    let mut tx = world.db.write().await?;
    raise_in(&mut tx, &world.random, world.clock.now(), &raise).await?;
    tx.commit().await?;
    hint(world, raise.event);
    Ok(())
}

/// Closes an incident about an event that is over by itself, if and when `tx` commits; says whether there was one. Then
/// the caller hints `Topic::Incidents`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn over_in(
    tx: &mut Tx,
    random: &Random,
    now: Time,
    actor: Actor,
    kind: Kind,
    event: EventId,
) -> Result<bool, DbError> {
    let Some(how) = kind.over() else { return Ok(false) };
    let Some(incident) = incidents::close(tx, kind, event, how, now).await? else { return Ok(false) };
    append(tx, random, now, actor, Fact::IncidentAcknowledged { event: Some(event), incident }).await?;
    Ok(true)
}

/// Tells whoever shows incidents that there is something new.
pub fn hint(world: &World, event: Option<EventId>) {
    world.bus.hint(Hint::Facts);
    if let Some(event) = event {
        world.bus.hint(Hint::Event(event, Topic::Incidents));
    }
}

/// Notes that somebody has seen an incident; says whether it was open.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn acknowledge(world: &World, actor: Actor, incident: &Incident) -> Result<bool, DbError> {
    let now = world.clock.now();
    let mut tx = world.db.write().await?;
    if !incidents::acknowledge(&mut tx, incident.id, now).await? {
        return Ok(false);
    }
    let fact = Fact::IncidentAcknowledged { event: incident.event, incident: incident.id };
    append(&mut tx, &world.random, now, actor, fact).await?;
    tx.commit().await?;
    hint(world, incident.event);
    Ok(true)
}
