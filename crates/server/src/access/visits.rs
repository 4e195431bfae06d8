//! Who watches may stay: the end of a session that is being watched moves before it comes.
//!
//! The row goes first and memory follows, so that no process that starts knows of an earlier end than the one before it
//! did. The address of the video stays as it is: its token is good for the longest visit there is, and every request asks
//! whether the session goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Facts, Heartbeat, Player, SessionState, Stay, Viewer, Visit, decide};
use stagedoor_domain::id::{EventId, SessionId};

use super::{Access, SAVE_ROWS, Seat};
use crate::config;
use crate::ports::db::{DbError, events, sessions};

/// How long a session may last at most.
pub(super) fn longest(settings: &config::Access) -> Duration {
    Visit::longest(Duration::from_secs(settings.session_s))
}

impl Access {
    fn visit(&self, seat: &Seat) -> Visit {
        Visit { began: seat.created_at, length: Duration::from_secs(self.settings.session_s) }
    }

    /// When a session is over however much it is watched.
    #[must_use]
    pub fn latest_end(&self, seat: &Seat) -> Time {
        self.visit(seat).latest()
    }

    /// The end that a session gets now, if it gets another one.
    fn prolonged(&self, seat: &Seat, now: Time) -> Option<Time> {
        let end = self.visit(seat).prolonged(seat.expires_at(), now)?;
        let viewer = Viewer {
            session: Some(seat.over().map_or(SessionState::Active, SessionState::Ended)),
            expires_at: seat.expires_at(),
            // A session has the epoch of its room and one stream: what is of another is the token that is shown.
            epoch_is_current: true,
            stream_matches: true,
        };
        // A player without a page is somebody too, but for an event that asks the page.
        let heartbeat = if seat.is_watching(now) && !seat.is_silent() { Heartbeat::Fresh } else { Heartbeat::Missing };
        let facts = Facts::Player(Player { viewer, heartbeat });
        decide(Stay { session: seat.session, event: seat.event }, &facts, now).is_ok().then_some(end)
    }

    /// Lets the sessions that are being watched go on: one turn of [`run`](Self::run). While the database is away nothing
    /// is prolonged; what is watched has eleven twelfths of its length left by then.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; what was not written is tried again.
    pub async fn prolong(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut due: BTreeMap<(EventId, Time), Vec<Arc<Seat>>> = BTreeMap::new();
        for seat in self.rooms.all() {
            if let Some(end) = self.prolonged(&seat, now) {
                due.entry((seat.event, end)).or_default().push(seat);
            }
        }
        for ((event, end), seats) in due {
            for some in seats.chunks(SAVE_ROWS) {
                let mut tx = self.db.write().await?;
                // Several sessions: whoever ends several of them waits, or we do.
                events::lock(&mut tx, event).await?;
                let ids: Vec<SessionId> = some.iter().map(|seat| seat.session).collect();
                sessions::prolong(&mut tx, &ids, end).await?;
                let some = some.to_vec();
                self.commit_then(tx, move |_| some.iter().for_each(|seat| seat.stays_until(end))).await?;
            }
        }
        Ok(())
    }
}
