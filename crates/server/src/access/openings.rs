//! That the link in a message was opened: its page says so once, before anybody presses a button.
//!
//! ```text
//! opened: the place → the limits on guessing → the row → the law → a queue     here whoever said it has an answer
//!                                                                    └─▶ a step of each invitation, many at a time
//! ```
//!
//! Nothing is told to whoever says it: a right code, a wrong one and one that opens nothing any more get one answer,
//! and what only a right one costs is done after it. A wrong one counts as it does at the door, so that nobody guesses
//! here what they may not guess there. There is no session in it and no line in the log: nobody has asked to come in.
//!
//! The queue is in memory and bounded. An opening that is lost is made good by the first use of the code.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Facts, InvitationState, Redeem, Standing, decide};
use stagedoor_domain::id::EventId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Access;
use super::refusals::Before;
use super::removal::PATIENCE;
use super::viewer::invitee;
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, events, invitations};

/// Openings that wait to be written down, about 2 MiB: a full house that opens its links while the database is away.
const WAITING_MAX: usize = 20_000;
/// Openings in one transaction: whoever comes in meanwhile waits for no longer than a fraction of a second.
const STEPS: usize = 100;
/// How long writing down waits for a database that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// A link that was opened by somebody who could come in with it.
#[derive(Clone, Copy, Debug)]
struct Opening {
    welcome: Allowed<Redeem>,
    /// Which of the invitation's codes it was.
    code_generation: u32,
    at: Time,
}

/// Openings in the order in which they were told.
#[derive(Debug, Default)]
pub(super) struct Openings {
    waiting: Mutex<VecDeque<Opening>>,
    more: Notify,
}

impl Openings {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Opening>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, opening: Opening) {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            metrics::counter!("door_openings_dropped_total").increment(1);
            return;
        }
        waiting.push_back(opening);
        drop(waiting);
        self.more.notify_one();
    }

    /// The oldest few.
    fn take(&self) -> Vec<Opening> {
        let mut waiting = self.waiting();
        let some = waiting.len().min(STEPS);
        waiting.drain(..some).collect()
    }

    /// Puts back what could not be written down.
    fn put_back(&self, some: Vec<Opening>) {
        let mut waiting = self.waiting();
        for opening in some.into_iter().rev() {
            waiting.push_front(opening);
        }
    }
}

impl Access {
    /// The link with this code was opened at `address`. What becomes of it is nobody's to know who has only the link.
    pub async fn opened(&self, event: EventId, code: &str, address: IpAddr) {
        // As at the door: before anything they present is looked at.
        let Ok(_approached) = self.approach(event, address) else { return };
        let guesses = self.codes.turn(address).await;
        let (elapsed, now) = (self.clock.elapsed(), self.clock.now());
        // Whoever would wait or prove work at the door is not asked to do it here: the code is not looked at.
        if self.codes.check(address, elapsed).is_err() || self.codes.is_hot(elapsed) {
            return;
        }
        let row = match self.presented(event, code).await {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an opened link cannot be looked up");
                return;
            }
        };
        let Some(row) = row else {
            self.codes.wrong(address, elapsed);
            drop(guesses);
            if self.weather() == Before::Storm {
                self.note_storm(event).await;
            }
            return;
        };
        // Most links are opened again and again: only the first time is a step.
        if !row.state.may_become(InvitationState::Opened) {
            return;
        }
        let facts = Facts::Invitee(invitee(&row, None, Standing::None));
        if let Ok(welcome) = decide(Redeem { event: row.event, invitation: row.id }, &facts, now) {
            self.openings.push(Opening { welcome, code_generation: row.code_generation, at: now });
        }
    }

    /// Writes down which links were opened, as it comes, until `stop`.
    pub(super) async fn keep_writing_openings(&self, stop: &CancellationToken) {
        loop {
            let written = self.write_openings().await;
            let more = async {
                match &written {
                    Ok(()) => self.openings.more.notified().await,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = more => {}
            }
        }
        if let Err(error) = self.write_openings().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the links opened last cannot be written down");
        }
    }

    /// Writes down which links were opened so far: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]: the rest waits.
    pub async fn write_openings(&self) -> Result<(), DbError> {
        loop {
            let mut some = self.openings.take();
            if some.is_empty() {
                return Ok(());
            }
            some.sort_by_key(|opening| opening.welcome.event);
            if let Err(error) = self.write_by_event(&some).await {
                // Also what was written: a step that was made is not made again.
                self.openings.put_back(some);
                return Err(error);
            }
        }
    }

    /// Writes down openings that are sorted by their events, past those that make no sense to the database.
    async fn write_by_event(&self, some: &[Opening]) -> Result<(), DbError> {
        for of_one in some.chunk_by(|one, other| one.welcome.event == other.welcome.event) {
            let written = tokio::time::timeout(PATIENCE, self.write_some(of_one)).await;
            match written.unwrap_or_else(|_| Err(DbError::late())) {
                Ok(()) => {}
                Err(error @ DbError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "opened links cannot be written down");
                }
            }
        }
        Ok(())
    }

    /// Writes down openings of one event.
    async fn write_some(&self, some: &[Opening]) -> Result<(), DbError> {
        let Some(event) = some.first().map(|opening| opening.welcome.event) else { return Ok(()) };
        let mut tx = self.db.write().await?;
        // Several invitations: whoever takes several of them waits, or we do.
        events::lock(&mut tx, event).await?;
        let mut went = false;
        for Opening { welcome, code_generation, at } in some {
            let (invitation, to) = (welcome.invitation, InvitationState::Opened);
            went |= invitations::advance_code(&mut tx, invitation, *code_generation, to, *at, "").await?;
        }
        tx.commit().await?;
        if went {
            self.bus.hint(Hint::Event(event, Topic::Invitations));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::access::Invitee;
    use stagedoor_domain::id::InvitationId;

    use super::*;

    fn opening(number: u32) -> Opening {
        let id = uuid::Uuid::from_u128(u128::from(number));
        let redeem = Redeem { event: EventId::new(uuid::Uuid::nil()), invitation: InvitationId::new(id) };
        let facts = Facts::Invitee(Invitee {
            invitation: InvitationState::Sent,
            expires_at: None,
            blocked: false,
            used_up: false,
            holder: None,
            takeover: Standing::None,
        });
        let at = Time::from_millis(i64::from(number));
        Opening { welcome: decide(redeem, &facts, at).unwrap(), code_generation: 1, at }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_what_was_put_back_comes_first_in_its_order() {
        let openings = Openings::default();
        for number in 0..u32::try_from(WAITING_MAX).unwrap() + 5 {
            openings.push(opening(number));
        }
        assert_eq!(openings.waiting().len(), WAITING_MAX);
        let some = openings.take();
        assert_eq!(some.len(), STEPS);
        openings.put_back(some);
        let times: Vec<_> = openings.take().iter().map(|opening| opening.at).collect();
        assert_eq!(times.first(), Some(&Time::from_millis(0)));
        assert!(times.is_sorted() && times.len() == STEPS);
    }
}
