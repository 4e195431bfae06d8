//! How sessions end: what a transaction says about them, and what memory does when it is true.
//!
//! A session's row is the truth, its [`Seat`](super::Seat) is what opens media. Whoever ends sessions inside a
//! transaction of their own gets an [`Ended`] and commits with [`Access::commit`]: then nothing can come between the row
//! and the seat, not even a caller who hangs up.

use stagedoor_domain::access::EndReason;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{InvitationId, SessionId};

use super::Access;
use super::rooms::Over;
use crate::facts::{self, Actor};
use crate::ports::db::{DbError, Tx, sessions};

/// Sessions whose rows a transaction has ended. Until [`Access::commit`] they go on.
#[derive(Debug, Default)]
#[must_use = "commit with Access::commit, or these sessions go on in memory"]
pub struct Ended {
    pub(super) sessions: Vec<(SessionId, Over)>,
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
        self
    }
}

impl Access {
    /// Ends whatever sessions `invitations` have, as a part of `tx`; a fact for each of them.
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
            for (session, event) in sessions::end_of(tx, *invitation, reason, now).await? {
                facts::append(tx, &self.random, now, actor, Fact::SessionEnded { event, session, reason }).await?;
                ended.sessions.push((session, reason.into()));
            }
        }
        Ok(ended)
    }

    /// Commits `tx` and lets memory know which sessions that has ended. A caller who is not there any more when the
    /// commit returns changes nothing about that.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of the commit; then nothing has happened.
    pub async fn commit(&self, tx: Tx, ended: Ended) -> Result<(), DbError> {
        let rooms = self.rooms.clone();
        let done = tokio::spawn(async move {
            tx.commit().await?;
            for (session, over) in ended.sessions {
                rooms.forget(session, over);
            }
            Ok(())
        });
        // It neither panics nor is it aborted, except with the whole runtime: then nobody waits here.
        done.await.unwrap_or(Ok(()))
    }
}
