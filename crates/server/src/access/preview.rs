//! Organisers see what viewers see, without a seat: a preview is in nobody's count, holds no code, and shows up in no list.
//!
//! It is a playback token like any other, for a session that exists only here. It works as long as the person's page
//! asks for it again from time to time, so that it ends soon after they sign out, and stops with everybody else's when
//! the event's epoch is raised.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::token::Claims;
use stagedoor_domain::access::{Allowed, Denied, Facts, Look, SessionState, Viewer, Watch, decide};
use stagedoor_domain::id::{EventId, SessionId, StreamId, UserId};

use super::{Access, Who};

/// A preview that its page has not asked for again in this time is over.
const HELD: Duration = Duration::from_secs(600);
/// How long a preview can be held with one address; after it the page gets another one.
const ADDRESS: Duration = Duration::from_secs(12 * 3_600);
/// More organisers do not look at once; the one that was not asked for the longest gives way.
const PREVIEWS_MAX: usize = 1_000;

/// Everything that is previewed now.
#[derive(Debug, Default)]
pub(super) struct Previews(Mutex<HashMap<SessionId, Held>>);

#[derive(Debug)]
struct Held {
    who: Who,
    event: EventId,
    stream: StreamId,
    /// When its address ends.
    expires_at: Time,
    /// When it ends unless it is asked for again.
    until: Time,
}

/// Where somebody may look.
#[derive(Debug)]
pub struct Preview {
    /// For the path of media URLs.
    pub token: String,
    /// What is shown.
    pub stream: StreamId,
    /// When it ends unless it is asked for again.
    pub until: Time,
}

impl Previews {
    /// Holds a preview: the one this person has of the event, or another one.
    fn hold(&self, who: &Who, event: EventId, stream: StreamId, made: SessionId, now: Time) -> (SessionId, Time, Time) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, preview| preview.until > now);
        let mine = held.iter().find(|(_, preview)| of(preview, who.user) && preview.event == event);
        let session = mine.map_or(made, |(session, _)| *session);
        if !held.contains_key(&session)
            && held.len() >= PREVIEWS_MAX
            && let Some(oldest) = held.iter().min_by_key(|(_, preview)| preview.until).map(|(session, _)| *session)
        {
            held.remove(&oldest);
        }
        let expires_at = now.plus(ADDRESS);
        let preview =
            held.entry(session).or_insert_with(|| Held { who: who.clone(), event, stream, expires_at, until: now });
        // As they are now: a role may have changed since.
        preview.who = who.clone();
        preview.until = now.plus(HELD).min(preview.expires_at);
        (session, preview.expires_at, preview.until)
    }
}

fn of(preview: &Held, user: UserId) -> bool {
    preview.who.user == user
}

impl Access {
    /// Lets somebody look at what the event's viewers see; asked again, holds the same address longer. `None` when the
    /// event is gone.
    #[must_use]
    pub fn preview(&self, allowed: &Allowed<Look>, who: &Who) -> Option<Preview> {
        let room = self.rooms.room(allowed.event)?;
        let now = self.clock.now();
        let made = SessionId::new(self.random.uuid(now));
        let (session, expires_at, until) = self.previews.hold(who, room.event, room.stream, made, now);
        let claims = Claims { session, stream: room.stream, epoch: room.epoch(), expires_at };
        Some(Preview { token: self.keys.token.sign(&claims), stream: room.stream, until })
    }

    /// Whether a token that is nobody's seat is somebody's preview.
    pub(super) fn watch_preview(&self, claims: &Claims, wanted: StreamId, now: Time) -> Result<Allowed<Watch>, Denied> {
        let held = self.previews.0.lock().unwrap_or_else(PoisonError::into_inner);
        let preview = held.get(&claims.session).ok_or(Denied::Unknown)?;
        let event = preview.event;
        let _allowed = self.may(&preview.who, Look { event })?;
        let room = self.rooms.room(event).ok_or(Denied::Unknown)?;
        let facts = Facts::Viewer(Viewer {
            session: Some(SessionState::Active),
            expires_at: claims.expires_at.min(preview.until),
            epoch_is_current: room.epoch() == claims.epoch,
            stream_matches: claims.stream == wanted && preview.stream == wanted,
        });
        decide(Watch { session: claims.session, stream: wanted, event }, &facts, now)
    }
}
