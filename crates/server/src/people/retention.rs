//! Forgetting in time: how people are reached is erased so many days after an event, as its organiser decided.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::EventId;
use tokio_util::sync::CancellationToken;

use super::People;
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, events, messages, personal};

/// How often events are looked at: days are counted.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// People of a transaction: a few milliseconds in which nobody else writes.
const BATCH: u32 = 200;

impl People {
    /// Erases contacts whose time is up: one turn of [`run`](Self::run). Names stay in the list; telephone numbers, addresses,
    /// notes and what was written to people are gone.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; what was not erased is the next time.
    pub async fn retain(&self, stop: &CancellationToken) -> Result<(), DbError> {
        for event in events::all(&self.world.db).await? {
            let Some(days) = event.policy.privacy.retention_days else { continue };
            let Some(over) = personal::over_since(&self.world.db, event.id).await? else { continue };
            if over.plus(DAY * days) <= self.world.clock.now() {
                self.forget_contacts(event.id, stop).await?;
            }
        }
        Ok(())
    }

    async fn forget_contacts(&self, event: EventId, stop: &CancellationToken) -> Result<(), DbError> {
        while !stop.is_cancelled() {
            let mut tx = self.world.db.write().await?;
            events::lock(&mut tx, event).await?;
            let people = personal::known(&mut tx, event, BATCH).await?;
            let tests = personal::forget_tests(&mut tx, event).await?;
            if people.is_empty() {
                if tests > 0 {
                    tx.commit().await?;
                }
                return Ok(());
            }
            for person in &people {
                personal::forget_contact(&mut tx, *person).await?;
                messages::forget(&mut tx, *person).await?;
            }
            let count = u32::try_from(people.len()).unwrap_or(u32::MAX);
            let now = self.world.clock.now();
            facts::append(&mut tx, &self.world.random, now, Actor::System, Fact::ContactsErased { event, count })
                .await?;
            tx.commit().await?;
            self.scrub.store(true, Ordering::Relaxed);
            self.world.bus.hint(Hint::Event(event, Topic::Invitations));
        }
        Ok(())
    }
}
