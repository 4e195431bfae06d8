//! Sending viewers out: some of them, or everybody at once.
//!
//! The row is the truth, so it is written first; then memory follows, and the next request for media is refused. While the
//! database is away an organiser must not have to wait with somebody who disturbs an evening: memory goes first then, and
//! the order is carried out in the database as soon as it is back. A process that dies in between has forgotten it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::access::{Allowed, EndAll, EndReason, Moderate};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use stagedoor_domain::risk::Tampered;

use super::rooms::Over;
use super::{Access, Ended};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, Tx, events, invitations, sessions, takeovers};

/// Sessions in orders that wait for the database; beyond them an order is refused.
const WAITING_MAX: usize = 20_000;

/// A database that takes longer is as good as away: memory goes first.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

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
    /// Invitations that let nobody in any more and did before.
    pub blocked: usize,
    /// Whether that is written down: not yet while the database is away.
    pub recorded: bool,
}

#[derive(Clone, Debug)]
enum Whom {
    Sessions(Vec<SessionId>),
    /// Somebody whose page or requests were tampered with.
    Suspect(SessionId),
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
    /// Who was named.
    fn sessions(&self) -> &[SessionId] {
        match &self.whom {
            Whom::Sessions(sessions) => sessions,
            Whom::Suspect(session) => std::slice::from_ref(session),
            Whom::Everybody => &[],
        }
    }

    fn over(&self) -> Over {
        let reason = match self.whom {
            Whom::Everybody => EndReason::Ended,
            Whom::Suspect(_) => EndReason::Tampering,
            Whom::Sessions(_) if self.how.block => EndReason::Blocked,
            Whom::Sessions(_) => EndReason::Kicked,
        };
        Over { reason, words: self.how.words.clone() }
    }
}

/// Orders that memory has carried out and the database has not.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: Mutex<VecDeque<(Order, usize)>>,
    /// Held by whoever writes them down: each is written once.
    writing: tokio::sync::Mutex<()>,
}

impl Orders {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Order, usize)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether there was room.
    fn keep(&self, order: Order, sessions: usize) -> bool {
        let mut orders = self.waiting();
        let waiting: usize = orders.iter().map(|(_, sessions)| sessions).sum();
        let fits = waiting.saturating_add(sessions) <= WAITING_MAX;
        if fits {
            orders.push_back((order, sessions.max(1)));
        }
        fits
    }

    fn first(&self) -> Option<Order> {
        self.waiting().front().map(|(order, _)| order.clone())
    }

    fn done(&self) {
        self.waiting().pop_front();
    }

    fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }
}

/// What an order did, as it is written down.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    sessions: usize,
    blocked: usize,
}

impl Access {
    /// Sends viewers of the event of the permission out. Whoever is not there any more is left alone; only somebody who is
    /// to be kept out is kept out all the same, and sent out of wherever they came in since.
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
        let mut whom: Vec<_> = sessions.to_vec();
        whom.sort_unstable();
        whom.dedup();
        if !how.block {
            whom.retain(|session| self.is_in(*session, event));
        }
        if whom.is_empty() {
            return Ok(SentOut { sessions: 0, blocked: 0, recorded: true });
        }
        self.order(Order { event, actor, whom: Whom::Sessions(whom), how }).await
    }

    /// Sends out somebody whose page or requests were tampered with: on the word of the law, not of an organiser.
    ///
    /// # Errors
    ///
    /// As [`kick`](Self::kick).
    pub(super) async fn send_out_for_tampering(
        &self,
        _: Tampered,
        event: EventId,
        session: SessionId,
        words: Arc<str>,
    ) -> Result<SentOut, DbError> {
        let how = SendOut { words: Some(words), block: false };
        self.order(Order { event, actor: Actor::System, whom: Whom::Suspect(session), how }).await
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

    fn is_in(&self, session: SessionId, event: EventId) -> bool {
        self.rooms.with(session, |seat| seat.is_some_and(|seat| seat.event == event))
    }

    async fn order(&self, order: Order) -> Result<SentOut, DbError> {
        // What is under way when the patience ends may be done all the same: done again, it changes nothing.
        let carried_out = tokio::time::timeout(PATIENCE, self.carry_out(&order)).await;
        let away = match carried_out.unwrap_or_else(|_| Err(DbError::late())) {
            Ok(Done { sessions, blocked }) => return Ok(SentOut { sessions, blocked, recorded: true }),
            Err(error @ DbError::Unavailable(_)) => error,
            Err(error) => return Err(error),
        };
        let Some(room) = self.rooms.room(order.event) else { return Err(away) };
        let whom: Vec<_> = match &order.whom {
            Whom::Sessions(_) | Whom::Suspect(_) => {
                order.sessions().iter().copied().filter(|it| self.is_in(*it, order.event)).collect()
            }
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
        let blocked = if order.how.block { whom.len() } else { 0 };
        Ok(SentOut { sessions: whom.len(), blocked, recorded: false })
    }

    /// Lets nobody in past an order that was given while the database was away; a database that cannot take the order in
    /// time cannot let anybody in either.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub(super) async fn caught_up(&self) -> Result<(), DbError> {
        tokio::time::timeout(PATIENCE, self.catch_up()).await.unwrap_or_else(|_| Err(DbError::late()))
    }

    /// Writes down the orders that waited for the database: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; the orders go on waiting while the database is away.
    pub async fn catch_up(&self) -> Result<(), DbError> {
        if self.orders.is_empty() {
            return Ok(());
        }
        let _turn = self.orders.writing.lock().await;
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

    /// One transaction.
    async fn carry_out(&self, order: &Order) -> Result<Done, DbError> {
        let (event, actor) = (order.event, order.actor);
        let (mut tx, mut ended) = (self.db.write().await?, Ended::default());
        // Orders about one event come one after the other.
        events::lock(&mut tx, event).await?;
        let mut done = Done::default();
        match &order.whom {
            Whom::Sessions(_) | Whom::Suspect(_) => {
                let sessions = order.sessions();
                let mut rows = Vec::with_capacity(sessions.len());
                for session in sessions {
                    rows.extend(sessions::read(&mut tx, *session).await?.filter(|row| row.event == event));
                }
                // As everybody holds several invitations: two who do wait for each other, and not both for ever.
                rows.sort_unstable_by_key(|row| (row.invitation, row.id));
                for row in rows {
                    let was_active = self.end_in(&mut tx, (row.id, event), order.over(), actor, &mut ended).await?;
                    done.sessions += usize::from(was_active);
                    if order.how.block {
                        ended = ended.and(self.keep_out(&mut tx, order, row.invitation, &mut done).await?);
                    }
                }
            }
            Whom::Everybody => {
                let now = self.clock.now();
                let epoch = events::raise_epoch(&mut tx, event).await?.ok_or(DbError::Gone)?;
                for session in sessions::end_all(&mut tx, event, order.over().reason, now).await? {
                    ended.sessions.push((session, order.over()));
                }
                done.sessions = ended.sessions.len();
                for question in takeovers::cancel_all(&mut tx, event, now).await? {
                    let (takeover, state) = (question.id, question.state);
                    let fact = Fact::TakeoverChanged { event, takeover, state };
                    facts::append(&mut tx, &self.random, now, actor, fact).await?;
                    ended.questions.push(question);
                }
                let fact = Fact::SessionsEnded { event, count: done.sessions as u64, epoch };
                facts::append(&mut tx, &self.random, now, actor, fact).await?;
                ended.epoch = Some((event, epoch));
            }
        }
        self.commit(tx, ended).await?;
        if done.blocked > 0 {
            self.bus.hint(Hint::Event(event, Topic::Invitations));
        }
        Ok(done)
    }

    /// Keeps the invitee out to whom a session of the order belongs, also where they came in since it was given.
    async fn keep_out(
        &self,
        tx: &mut Tx,
        order: &Order,
        invitation: InvitationId,
        done: &mut Done,
    ) -> Result<Ended, DbError> {
        let (event, now) = (order.event, self.clock.now());
        if invitations::block(tx, event, invitation, now).await? {
            done.blocked += 1;
            let fact = Fact::InvitationBlocked { event, invitation };
            facts::append(tx, &self.random, now, order.actor, fact).await?;
        }
        let since = self.end_sessions_of(tx, order.actor, &[invitation], order.over()).await?;
        done.sessions += since.len();
        Ok(since)
    }
}
