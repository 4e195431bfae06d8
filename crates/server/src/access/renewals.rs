//! New codes for many: an order, carried out in steps.
//!
//! Whoever orders it is answered at once. Who is meant is written down with the order, so that a step is a row, and it is
//! one transaction: every session on an old code ends, the codes are replaced, messages are queued, and the step is done.
//! A process that dies between two steps leaves an order that the next process finds where it was; one that dies within a
//! step leaves it undone. Nobody gets two codes for one order, and nobody is left out.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::access::{Allowed, Facts, Organise, decide};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{InvitationId, RenewalId};
use tokio_util::sync::CancellationToken;

use super::codes::Telling;
use super::many::STEP;
use super::{Access, ContactError, Ended};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::renewals::{self, Renewal, State, Step};
use crate::ports::db::{DbError, Tx, events, messages, sends};

/// How often orders are looked for without a hint: those of a process that died, or of another one.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A step that cannot be done is tried so often before its order is given up. While the database is away, nothing is.
const TRIES: u32 = 5;

impl Access {
    /// Orders new codes for these invitees of the event of the permission, and that they are told.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] while another order of the event is carried out.
    pub async fn order_renewal(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        people: &[InvitationId],
        telling: Option<&Telling>,
        words: Option<&str>,
    ) -> Result<Renewal, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let (step, total) = (usize::try_from(STEP).unwrap_or(usize::MAX), people.len() as u64);
        let mut tx = self.db.write().await?;
        if telling.is_some() {
            messages::wake(&mut tx, event, now).await?;
        }
        let send = match telling {
            None => None,
            Some(telling) => Some(self.order_telling(&mut tx, allowed, actor, total, telling).await?.id),
        };
        let renewal = Renewal {
            id: RenewalId::new(self.random.uuid(now)),
            event,
            state: State::Running,
            actor: actor.name(),
            send,
            words: words.map(str::to_owned),
            total,
            steps: people.len().div_ceil(step) as u64,
            step: 0,
            seen: 0,
            changed: 0,
            sessions_ended: 0,
            created_at: now,
            ended_at: None,
        };
        renewals::insert(&mut tx, allowed, &renewal, people.chunks(step)).await?;
        let count = u32::try_from(total).unwrap_or(u32::MAX);
        let fact = Fact::RenewalStarted { event, renewal: renewal.id, count };
        facts::append(&mut tx, &self.random, now, actor, fact).await?;
        tx.commit().await?;
        self.renewing.notify_one();
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(renewal)
    }

    /// Calls an order of the event of the permission off: who has no new code yet keeps the old one. Says whether it was
    /// being carried out.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn cancel_renewal(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        id: RenewalId,
    ) -> Result<bool, DbError> {
        match renewals::get(&self.db, allowed.event, id).await? {
            Some(_) => self.end_renewal(id, actor, State::Cancelled).await,
            None => Ok(false),
        }
    }

    /// Carries orders out until `stop`. What a process that died began is gone on with.
    pub async fn give_new_codes(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.turn_renewals(&stop).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "an order for new codes waits");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.renewing.notified() => {}
            }
        }
    }

    /// Carries out what was ordered: one turn of [`give_new_codes`](Self::give_new_codes). One step of each order after
    /// the other, so that a short one does not wait for a long one.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]; what was not done is done by a later turn.
    pub async fn turn_renewals(&self, stop: &CancellationToken) -> Result<(), DbError> {
        loop {
            let open = renewals::running(&self.db).await?;
            if open.is_empty() {
                return Ok(());
            }
            for id in open {
                if stop.is_cancelled() {
                    return Ok(());
                }
                self.try_step(id).await?;
            }
        }
    }

    /// A step of an order, and no more of it when that cannot be done.
    async fn try_step(&self, id: RenewalId) -> Result<(), DbError> {
        for _ in 0..TRIES {
            match self.renewal_step(id).await {
                Ok(_) => return Ok(()),
                Err(ContactError::Db(error @ DbError::Unavailable(_))) => return Err(error),
                Err(error) => {
                    tracing::warn!(renewal = %id, error = &error as &dyn std::error::Error, "a step to new codes failed");
                }
            }
        }
        tracing::error!(renewal = %id, "an order for new codes cannot be carried out; the rest keeps the old ones");
        self.end_renewal(id, Actor::System, State::Failed).await.map(|_| ())
    }

    /// The next step of an order, in one transaction; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`ContactError`]; then nothing of the step has happened.
    pub async fn renewal_step(&self, id: RenewalId) -> Result<bool, ContactError> {
        let mut tx = self.db.write().await?;
        // In the order of rows.
        let Some((renewal, people)) = renewals::take_step(&mut tx, id).await? else { return Ok(false) };
        let (event, now) = (renewal.event, self.clock.now());
        let allowed = decide(Organise { event }, &Facts::Server, now)?;
        let actor = Actor::named(&renewal.actor).unwrap_or(Actor::System);
        events::lock(&mut tx, event).await?;
        let mut send = None;
        if let Some(id) = renewal.send {
            messages::wake(&mut tx, event, now).await?;
            // Called off meanwhile: then codes are replaced, and nobody is told.
            send = sends::lock_unexpanded(&mut tx, id).await?;
        }
        let words = renewal.words.as_deref().map(Arc::from);
        let (theirs, ended) = self.renew_in(&mut tx, &allowed, actor, &people, words).await?;
        if let Some(send) = &send {
            self.tell_each(&mut tx, send, &theirs).await?;
        }
        let step = Step { seen: people.len() as u64, changed: theirs.len() as u64, sessions_ended: ended.len() as u64 };
        renewals::step_done(&mut tx, &renewal, step).await?;
        if renewal.step + 1 >= renewal.steps {
            self.end_in_renewal(&mut tx, id, Actor::System, State::Done).await?;
        }
        self.commit(tx, ended).await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        self.bus.hint(Hint::Event(event, Topic::Messages));
        Ok(true)
    }

    async fn end_renewal(&self, id: RenewalId, actor: Actor, state: State) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        let Some(renewal) = self.end_in_renewal(&mut tx, id, actor, state).await? else { return Ok(false) };
        self.commit(tx, Ended::default()).await?;
        self.bus.hint(Hint::Event(renewal.event, Topic::Invitations));
        self.bus.hint(Hint::Event(renewal.event, Topic::Messages));
        Ok(true)
    }

    /// Ends an order as a part of `tx`: what it told people is complete.
    async fn end_in_renewal(
        &self,
        tx: &mut Tx,
        id: RenewalId,
        actor: Actor,
        state: State,
    ) -> Result<Option<Renewal>, DbError> {
        let now = self.clock.now();
        let Some(renewal) = renewals::end(tx, id, state, now).await? else { return Ok(None) };
        let event = renewal.event;
        if let Some(send) = renewal.send {
            messages::wake(tx, event, now).await?;
            sends::fully_expanded(tx, send).await?;
        }
        let changed = u32::try_from(renewal.changed).unwrap_or(u32::MAX);
        let fact = Fact::RenewalEnded { event, renewal: id, changed };
        facts::append(tx, &self.random, now, actor, fact).await?;
        Ok(Some(renewal))
    }
}
