//! How sessions end: what a transaction says about them, and what memory does when it is true.
//!
//! A session's row is the truth, its [`Seat`](super::Seat) is what opens media. Whoever ends sessions inside a
//! transaction of their own gets an [`Ended`] and commits with [`Access::commit`]: then nothing can come between the row
//! and the seat, not even a caller who hangs up.

use std::sync::Arc;

use stagedoor_domain::access::{EndReason, TakeoverInput};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};

use super::Access;
use super::rooms::Over;
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::takeovers::Takeover;
use crate::ports::db::{DbError, Tx, sessions, takeovers};

/// Sessions whose rows a transaction has ended, and what else memory is to learn. Until [`Access::commit`] they go on.
#[derive(Debug, Default)]
#[must_use = "commit with Access::commit, or these sessions go on in memory"]
pub struct Ended {
    pub(super) sessions: Vec<(SessionId, Over)>,
    /// Questions that have moved.
    pub(super) questions: Vec<Takeover>,
    /// The session that the transaction has begun: without a commit it never was.
    pub(super) begun: Option<SessionId>,
    /// Tokens of an earlier epoch open nothing any more.
    pub(super) epoch: Option<(EventId, u32)>,
}

impl Ended {
    /// How many sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there was nothing to end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What two parts of one transaction have ended.
    pub fn and(mut self, other: Self) -> Self {
        self.sessions.extend(other.sessions);
        self.questions.extend(other.questions);
        self.begun = self.begun.or(other.begun);
        self.epoch = self.epoch.or(other.epoch);
        self
    }
}

/// What it means for a question about a code that the session with it, or all that the code opened, is over.
fn input(reason: EndReason) -> TakeoverInput {
    match reason {
        EndReason::CodeChanged | EndReason::Revoked | EndReason::Blocked => TakeoverInput::CodeDead,
        reason => TakeoverInput::HolderOver(reason),
    }
}

impl Access {
    /// Ends whatever sessions `invitations` have, as a part of `tx`; a fact for each of them. Whoever was asking to take
    /// one over is answered.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn end_sessions_of(
        &self,
        tx: &mut Tx,
        actor: Actor,
        invitations: &[InvitationId],
        reason: EndReason,
    ) -> Result<Ended, DbError> {
        let now = self.clock.now();
        let mut ended = Ended::default();
        for invitation in invitations {
            sessions::hold_invitation(tx, *invitation).await?;
            for (session, event) in sessions::end_of(tx, *invitation, reason, now).await? {
                facts::append(tx, &self.random, now, actor, Fact::SessionEnded { event, session, reason }).await?;
                ended.sessions.push((session, reason.into()));
            }
            if let Some(question) = takeovers::open_of(tx, *invitation).await? {
                self.step(tx, question, input(reason), actor, &mut ended).await?;
            }
        }
        Ok(ended)
    }

    /// Ends one session, as a part of `tx`; says whether it was active.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub(super) async fn end_in(
        &self,
        tx: &mut Tx,
        (session, event): (SessionId, EventId),
        over: impl Into<Over>,
        actor: Actor,
        ended: &mut Ended,
    ) -> Result<bool, DbError> {
        let over = over.into();
        sessions::hold(tx, session).await?;
        let Some(row) = sessions::read(tx, session).await? else { return Ok(false) };
        let was_active = self.end_row(tx, (session, event), over.clone(), actor, ended).await?;
        if was_active && let Some(question) = takeovers::open_of(tx, row.invitation).await? {
            self.step(tx, question, input(over.reason), actor, ended).await?;
        }
        Ok(was_active)
    }

    /// Ends the row of a session and nothing else: for whoever holds its invitation and takes the code over.
    pub(super) async fn end_row(
        &self,
        tx: &mut Tx,
        (session, event): (SessionId, EventId),
        over: Over,
        actor: Actor,
        ended: &mut Ended,
    ) -> Result<bool, DbError> {
        let (now, reason) = (self.clock.now(), over.reason);
        let was_active = sessions::end(tx, session, reason, now).await?;
        if was_active {
            facts::append(tx, &self.random, now, actor, Fact::SessionEnded { event, session, reason }).await?;
        }
        // Also a row that was ended by somebody else: memory may not have heard of it.
        ended.sessions.push((session, over));
        Ok(was_active)
    }

    /// Commits `tx` and lets memory know which sessions that has ended and which questions have moved. A caller who is
    /// not there any more when the commit returns changes nothing about that.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of the commit; then nothing has happened.
    pub async fn commit(&self, tx: Tx, ended: Ended) -> Result<(), DbError> {
        let (rooms, questions, bus) = (Arc::clone(&self.rooms), Arc::clone(&self.questions), self.bus.clone());
        let done = tokio::spawn(async move {
            if let Err(error) = tx.commit().await {
                if let Some(begun) = ended.begun {
                    rooms.remove(begun, EndReason::Ended);
                }
                return Err(error);
            }
            // First what refuses everybody at once.
            if let Some((event, epoch)) = ended.epoch
                && let Some(room) = rooms.room(event)
            {
                room.raise_epoch(epoch);
            }
            for (session, over) in ended.sessions {
                rooms.forget(session, over);
            }
            for question in ended.questions {
                let event = question.event;
                questions.tell(&rooms, question);
                bus.hint(Hint::Event(event, Topic::Takeovers));
            }
            Ok(())
        });
        // It neither panics nor is it aborted, except with the whole runtime: then nobody waits here.
        done.await.unwrap_or(Ok(()))
    }
}
