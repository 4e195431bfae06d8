//! Sending viewers out: some of them, or everybody at once.
//!
//! The row is the truth, so it is written first; then memory follows, and the next request for media is refused. While the
//! database is away an organiser must not have to wait with somebody who disturbs an evening: memory goes first then, and
//! the order is carried out in the database as soon as it is back. A process that dies in between has forgotten it.

use std::sync::{Arc, Mutex, PoisonError};

use stagedoor_domain::access::{Allowed, EndAll, EndReason, Moderate};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};

use super::rooms::Over;
use super::{Access, Ended};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, events, invitations, sessions, takeovers};

/// Sessions in orders that wait for the database; beyond them an order is refused.
const WAITING_MAX: usize = 20_000;

/// How somebody is sent out.
#[derive(Clone, Debug, Default)]
pub struct SendOut {
    /// What they are told, in the organiser's words.
    pub words: Option<Arc<str>>,
    /// Their invitations do not let them in again.
    pub block: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentOut {
    /// Sessions that are over.
    pub sessions: usize,
    /// Whether that is written down: not yet while the database is away.
    pub recorded: bool,
}

#[derive(Clone, Debug)]
enum Whom {
    Sessions(Vec<SessionId>),
    Everybody,
}

#[derive(Clone, Debug)]
struct Order {
    event: EventId,
    actor: Actor,
    whom: Whom,
    how: SendOut,
}

impl Order {
    fn over(&self) -> Over {
        let reason = match self.whom {
            Whom::Everybody => EndReason::Ended,
            Whom::Sessions(_) if self.how.block => EndReason::Blocked,
            Whom::Sessions(_) => EndReason::Kicked,
        };
        Over { reason, words: self.how.words.clone() }
    }
}

/// Orders that memory has carried out and the database has not.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Vec<(Order, usize)>>);

impl Orders {
    /// Says whether there was room.
    fn keep(&self, order: Order, sessions: usize) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: usize = orders.iter().map(|(_, sessions)| sessions).sum();
        let fits = waiting.saturating_add(sessions) <= WAITING_MAX;
        if fits {
            orders.push((order, sessions.max(1)));
        }
        fits
    }

    fn first(&self) -> Option<Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).first().map(|(order, _)| order.clone())
    }

    fn done(&self) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !orders.is_empty() {
            orders.remove(0);
        }
    }
}

impl Access {
    /// Sends viewers of the event of the permission out. Whoever is not there any more is left alone.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; [`DbError::Unavailable`] only when too many orders wait already.
    pub async fn kick(
        &self,
        allowed: &Allowed<Moderate>,
        actor: Actor,
        sessions: &[SessionId],
        how: SendOut,
    ) -> Result<SentOut, DbError> {
        let event = allowed.event;
        let mut here: Vec<_> = sessions.to_vec();
        here.sort_unstable();
        here.dedup();
        here.retain(|session| self.rooms.with(*session, |seat| seat.is_some_and(|seat| seat.event == event)));
        if here.is_empty() {
            return Ok(SentOut { sessions: 0, recorded: true });
        }
        self.order(Order { event, actor, whom: Whom::Sessions(here), how }).await
    }

    /// Ends every session of the event of the permission at once: their tokens are of an earlier epoch from then on.
    ///
    /// # Errors
    ///
    /// As [`kick`](Self::kick); [`DbError::Gone`] without such an event.
    pub async fn end_all(
        &self,
        allowed: &Allowed<EndAll>,
        actor: Actor,
        words: Option<Arc<str>>,
    ) -> Result<SentOut, DbError> {
        let how = SendOut { words, block: false };
        self.order(Order { event: allowed.event, actor, whom: Whom::Everybody, how }).await
    }

    /// Keeps an invitee out, and ends their session; says whether they were not kept out before.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn block(
        &self,
        allowed: &Allowed<Moderate>,
        actor: Actor,
        invitation: InvitationId,
        words: Option<Arc<str>>,
    ) -> Result<bool, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut tx = self.db.write().await?;
        if !invitations::block(&mut tx, event, invitation, now).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::InvitationBlocked { event, invitation }).await?;
        let mut ended = self.end_sessions_of(&mut tx, actor, &[invitation], EndReason::Blocked).await?;
        for (_, over) in &mut ended.sessions {
            over.words.clone_from(&words);
        }
        self.commit(tx, ended).await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(true)
    }

    async fn order(&self, order: Order) -> Result<SentOut, DbError> {
        let away = match self.carry_out(&order).await {
            Ok(sessions) => return Ok(SentOut { sessions, recorded: true }),
            Err(error @ DbError::Unavailable(_)) => error,
            Err(error) => return Err(error),
        };
        let Some(room) = self.rooms.room(order.event) else { return Err(away) };
        let whom = match &order.whom {
            Whom::Sessions(sessions) => sessions.clone(),
            Whom::Everybody => room.seats().iter().map(|seat| seat.session).collect(),
        };
        if !self.orders.keep(order.clone(), whom.len()) {
            return Err(away);
        }
        tracing::warn!(sessions = whom.len(), "viewers are sent out while the database is away");
        if matches!(order.whom, Whom::Everybody) {
            room.raise_epoch(room.epoch().saturating_add(1));
        }
        for session in &whom {
            self.rooms.forget(*session, order.over());
        }
        Ok(SentOut { sessions: whom.len(), recorded: false })
    }

    /// Writes down the orders that waited for the database: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; the orders go on waiting while the database is away.
    pub async fn catch_up(&self) -> Result<(), DbError> {
        while let Some(order) = self.orders.first() {
            match self.carry_out(&order).await {
                Err(error @ DbError::Unavailable(_)) => return Err(error),
                // Its event is gone, and everybody with it.
                Ok(_) | Err(DbError::Gone) => self.orders.done(),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "an order to send viewers out is lost");
                    self.orders.done();
                }
            }
        }
        Ok(())
    }

    /// One transaction; how many sessions it ended.
    async fn carry_out(&self, order: &Order) -> Result<usize, DbError> {
        let (event, actor, now) = (order.event, order.actor, self.clock.now());
        let (mut tx, mut ended) = (self.db.write().await?, Ended::default());
        // Orders about one event come one after the other.
        events::lock(&mut tx, event).await?;
        let mut count = 0;
        match &order.whom {
            Whom::Sessions(sessions) => {
                for session in sessions {
                    let was_active = self.end_in(&mut tx, (*session, event), order.over(), actor, &mut ended).await?;
                    count += usize::from(was_active);
                    let Some(row) = sessions::read(&mut tx, *session).await?.filter(|_| order.how.block) else {
                        continue;
                    };
                    let invitation = row.invitation;
                    if invitations::block(&mut tx, event, invitation, now).await? {
                        let fact = Fact::InvitationBlocked { event, invitation };
                        facts::append(&mut tx, &self.random, now, actor, fact).await?;
                    }
                }
            }
            Whom::Everybody => {
                let epoch = events::raise_epoch(&mut tx, event).await?.ok_or(DbError::Gone)?;
                for session in sessions::end_all(&mut tx, event, order.over().reason, now).await? {
                    ended.sessions.push((session, order.over()));
                }
                count = ended.sessions.len();
                for question in takeovers::cancel_all(&mut tx, event, now).await? {
                    let (takeover, state) = (question.id, question.state);
                    let fact = Fact::TakeoverChanged { event, takeover, state };
                    facts::append(&mut tx, &self.random, now, actor, fact).await?;
                    ended.questions.push(question);
                }
                let fact = Fact::SessionsEnded { event, count: count as u64, epoch };
                facts::append(&mut tx, &self.random, now, actor, fact).await?;
                ended.epoch = Some((event, epoch));
            }
        }
        self.commit(tx, ended).await?;
        if order.how.block {
            self.bus.hint(Hint::Event(event, Topic::Invitations));
        }
        Ok(count)
    }
}
