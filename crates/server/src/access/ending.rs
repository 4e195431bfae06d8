//! How sessions end: what a transaction says about them, and what memory does when it is true.
//!
//! A session's row is the truth, its [`Seat`](super::Seat) is what opens media. Whoever ends sessions inside a
//! transaction of their own gets an [`Ended`] and commits with [`Access::commit`]: then nothing can come between the row
//! and the seat, not even a caller who hangs up.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stagedoor_domain::access::{EndReason, SessionState, TakeoverInput};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};

use super::Access;
use super::rooms::{Over, Room, Rooms};
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
        over: impl Into<Over>,
    ) -> Result<Ended, DbError> {
        let (over, now) = (over.into(), self.clock.now());
        let reason = over.reason;
        let mut ended = Ended::default();
        for invitation in invitations {
            sessions::hold_invitation(tx, *invitation).await?;
            for (session, event) in sessions::end_of(tx, *invitation, reason, now).await? {
                facts::append(tx, &self.random, now, actor, Fact::SessionEnded { event, session, reason }).await?;
                ended.sessions.push((session, over.clone()));
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
        let doubt = Arc::clone(&self.doubt);
        let done = tokio::spawn(async move {
            if let Err(error) = tx.commit().await {
                if let Some(begun) = ended.begun {
                    rooms.remove(begun, EndReason::Ended);
                }
                // It may be true all the same, and only the answer was lost.
                doubt.store(!ended.sessions.is_empty() || doubt.load(Ordering::Relaxed), Ordering::Relaxed);
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

    /// Commits `tx` and then lets `follow` change what memory knows of it, also when the caller is not there any more.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of the commit; then memory stays as it is.
    pub(super) async fn commit_then(
        &self,
        tx: Tx,
        follow: impl FnOnce(&Rooms) + Send + 'static,
    ) -> Result<(), DbError> {
        let rooms = Arc::clone(&self.rooms);
        let done = tokio::spawn(async move {
            tx.commit().await?;
            follow(&rooms);
            Ok(())
        });
        // As above.
        done.await.unwrap_or(Ok(()))
    }

    /// Commits `tx` and then lets `follow` change `room`, in the order of the commits: nobody who changed something before
    /// comes to the room after.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of the commit; then the room stays as it is.
    pub(super) async fn commit_into(
        &self,
        tx: Tx,
        room: Option<Arc<Room>>,
        follow: impl FnOnce(&Room) + Send + 'static,
    ) -> Result<(), DbError> {
        let Some(room) = room else { return tx.commit().await };
        let turn = Arc::clone(room.changing()).lock_owned().await;
        self.commit_then(tx, move |_| {
            follow(&room);
            drop(turn);
        })
        .await
    }

    /// Compares memory with the rows after a commit that was not answered: whoever is out in the database goes out here.
    /// One turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; the doubt stays.
    pub async fn settle_doubts(&self) -> Result<(), DbError> {
        if !self.doubt.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let settled = self.compare().await;
        if settled.is_err() {
            self.doubt.store(true, Ordering::Relaxed);
        }
        settled
    }

    async fn compare(&self) -> Result<(), DbError> {
        // First the seats: whoever sits down while the rows are read is not among them.
        let seats = self.rooms.all();
        let active: HashSet<_> = sessions::ids_active(&self.db).await?.into_iter().collect();
        for seat in seats.iter().filter(|seat| !active.contains(&seat.session)) {
            // Without a row it is about to be committed.
            if let Some(row) = sessions::get(&self.db, seat.session).await?
                && let SessionState::Ended(reason) = row.state
            {
                self.rooms.forget(seat.session, reason);
            }
        }
        Ok(())
    }
}
