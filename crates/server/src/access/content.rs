//! The key gate: who gets what a broadcast is encrypted with.
//!
//! ```text
//! live::packager ─▶ make_content_key ─▶ in memory at once, sealed into a row by whoever keeps segments
//! GET …/key/{msn}, POST …/licence ─▶ read_key: token → session → heartbeat → decide(ReadKey) ─▶ content_key
//! ```
//!
//! A request touches memory only, as for every part. What a session asks for is counted: a key again and again is
//! odd, and too many keys at once have to wait. Nothing is written down for a key that is given: that would be a row for
//! every viewer and every period.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Allowed, Denied, Facts, Heartbeat, Player, ReadKey, Reveal, Sealed, SessionState, Viewer, decide,
};
use stagedoor_domain::id::{ContentKeyId, StreamId};
use stagedoor_domain::risk::Signal;
use stagedoor_media::seal::ContentKey;

use super::Access;
use crate::ports::db::DbError;
use crate::ports::db::content_keys::{self, ContentKeyRow};

/// How often a player asks for a key: one loads pictures and sound apart, and each of them asks.
const EXPECTED: u8 = 2;
/// Keys whose requests are counted, for each session: more than are at the live edge.
const COUNTED: usize = 16;
/// Requests of a session in [`WINDOW`]: as many as there are keys in ten minutes that somebody jumps through.
const REQUESTS_MAX: u32 = 100;
/// See [`REQUESTS_MAX`].
const WINDOW: Duration = Duration::from_secs(10);

/// Keys of broadcasts, in memory.
#[derive(Debug, Default)]
pub(super) struct Content {
    keys: RwLock<HashMap<StreamId, BTreeMap<u64, Arc<ContentKey>>>>,
}

/// What one session asked for lately.
#[derive(Debug, Default)]
pub(super) struct Asked {
    since: Time,
    requests: u32,
    /// Keys with how often and since when, oldest first.
    keys: VecDeque<(Option<u64>, u8, Time)>,
}

/// What follows from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Usual,
    /// This key more often in [`WINDOW`] than twice what is expected: said once each time.
    Again,
    TooMany,
}

impl Asked {
    /// A request for this key, or for one that there is not: of those, all together count as one.
    fn ask(&mut self, key: Option<u64>, now: Time) -> Verdict {
        if now.since(self.since) >= WINDOW {
            self.since = now;
            self.requests = 0;
        }
        self.requests = self.requests.saturating_add(1);
        if self.requests > REQUESTS_MAX {
            return Verdict::TooMany;
        }
        // Somebody who opens the page again begins anew, and keys may last for minutes.
        self.keys.retain(|(_, _, since)| now.since(*since) < WINDOW);
        let times = match self.keys.iter_mut().find(|(asked, ..)| *asked == key) {
            Some((_, times, _)) => times,
            None => {
                if self.keys.len() >= COUNTED {
                    self.keys.pop_front();
                }
                self.keys.push_back((key, 0, now));
                match self.keys.back_mut() {
                    Some((_, times, _)) => times,
                    None => return Verdict::Usual,
                }
            }
        };
        *times = times.saturating_add(1);
        if *times == 2 * EXPECTED + 1 { Verdict::Again } else { Verdict::Usual }
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// They may not have it, or there is none: which of the two is not said.
    Refused(Denied),
    /// They may, and ask too often.
    TooMany,
}

impl Access {
    /// A new key for the segments of a stream from `first_msn` on: known at once, and sealed for whoever keeps it.
    pub fn make_content_key(&self, stream: StreamId, first_msn: u64) -> (Arc<ContentKey>, ContentKeyRow) {
        let id = ContentKeyId::new(self.random.uuid(self.clock.now()));
        let bytes: [u8; 32] = self.random.bytes();
        let key = Arc::new(content_key(id, first_msn, bytes));
        let sealed = self.keys.vault.seal_bytes(Sealed::ContentKey(id), &bytes, &self.random);
        self.know_content_key(stream, &key);
        (key, ContentKeyRow { id, stream, first_msn, sealed })
    }

    fn know_content_key(&self, stream: StreamId, key: &Arc<ContentKey>) {
        let mut keys = self.content.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.entry(stream).or_default().insert(key.first_msn, Arc::clone(key));
    }

    /// Takes up the keys of a stream that a process before this one kept.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement. A key that cannot be opened is left out and told about.
    pub async fn load_content_keys(&self, stream: StreamId) -> Result<(), DbError> {
        let now = self.clock.now();
        for row in content_keys::of(&self.db, stream).await? {
            let reveal = Reveal { event: None, sealed: Sealed::ContentKey(row.id) };
            let opened = decide(reveal, &Facts::Server, now)
                .ok()
                .and_then(|allowed| self.keys.vault.open_bytes(&allowed, &row.sealed).ok())
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            match opened {
                Some(bytes) => self.know_content_key(stream, &Arc::new(content_key(row.id, row.first_msn, bytes))),
                None => {
                    tracing::error!(%stream, key = %row.id, "a key cannot be opened: its segments cannot be played")
                }
            }
        }
        Ok(())
    }

    /// The key of a stream by its number, for the server's own use: to say its name in a playlist.
    #[must_use]
    pub fn named_content_key(&self, stream: StreamId, first_msn: u64) -> Option<Arc<ContentKey>> {
        let keys = self.content.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&stream)?.get(&first_msn).cloned()
    }

    /// Forgets the keys of a stream from before `first_msn`.
    pub fn forget_content_keys(&self, stream: StreamId, first_msn: u64) {
        let mut keys = self.content.keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_stream) = keys.get_mut(&stream) {
            *of_stream = of_stream.split_off(&first_msn);
            if of_stream.is_empty() {
                keys.remove(&stream);
            }
        }
    }

    /// Whether the token in a media URL may have keys of the stream in it. Asks memory only.
    ///
    /// # Errors
    ///
    /// [`Denied`], for the log. The client is told the same thing whatever it is.
    pub fn read_key(&self, token: &str, stream: &str) -> Result<Allowed<ReadKey>, Denied> {
        let now = self.clock.now();
        let claims = self.keys.token.verify(token, now).map_err(|_| Denied::Unknown)?;
        let wanted: StreamId = stream.parse().map_err(|_| Denied::OtherStream)?;
        self.rooms.with(claims.session, |seat| {
            let Some(seat) = seat else {
                // Whoever previews is signed in and asks for the preview again: that is their sign of life.
                let watch = self.watch_preview(&claims, wanted, now)?;
                let viewer = Viewer {
                    session: Some(SessionState::Active),
                    expires_at: claims.expires_at,
                    epoch_is_current: true,
                    stream_matches: true,
                };
                let facts = Facts::Player(Player { viewer, heartbeat: Heartbeat::Fresh });
                return decide(ReadKey { session: watch.session, stream: wanted, event: watch.event }, &facts, now);
            };
            let viewer = Viewer {
                session: Some(seat.over().map_or(SessionState::Active, SessionState::Ended)),
                expires_at: claims.expires_at.min(seat.expires_at()),
                epoch_is_current: seat.epoch_is(claims.epoch),
                stream_matches: claims.stream == wanted && seat.stream == wanted,
            };
            // A page that is asked and does not answer is not there, whatever else it says.
            let heartbeat = if seat.is_silent() {
                Heartbeat::Missing
            } else {
                Heartbeat::at(now, seat.created_at.max(self.started), seat.heard())
            };
            let facts = Facts::Player(Player { viewer, heartbeat });
            decide(ReadKey { session: seat.session, stream: wanted, event: seat.event }, &facts, now)
        })
    }

    /// The key with this number.
    ///
    /// # Errors
    ///
    /// [`NoKey`].
    pub fn content_key(&self, allowed: &Allowed<ReadKey>, first_msn: u64) -> Result<Arc<ContentKey>, NoKey> {
        let key = self.named_content_key(allowed.stream, first_msn);
        self.note_asked(allowed, key.as_ref().map(|_| first_msn))?;
        key.ok_or(NoKey::Refused(Denied::Unknown))
    }

    /// The key with this KID.
    ///
    /// # Errors
    ///
    /// [`NoKey`].
    pub fn content_key_called(&self, allowed: &Allowed<ReadKey>, id: &[u8; 16]) -> Result<Arc<ContentKey>, NoKey> {
        let found = {
            let keys = self.content.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.get(&allowed.stream).and_then(|keys| keys.values().rev().find(|key| key.id == *id)).cloned()
        };
        self.note_asked(allowed, found.as_ref().map(|key| key.first_msn))?;
        found.ok_or(NoKey::Refused(Denied::Unknown))
    }

    /// Counts a request for a key; `None` for one that there is not, which costs as much as any other.
    fn note_asked(&self, allowed: &Allowed<ReadKey>, first_msn: Option<u64>) -> Result<(), NoKey> {
        let now = self.clock.now();
        let seat = self.rooms.with(allowed.session, |seat| seat.cloned());
        // A preview has no seat, and nobody counts what an organiser asks for.
        let Some(seat) = seat else { return Ok(()) };
        match seat.asked_for_key(|asked| asked.ask(first_msn, now)) {
            Verdict::TooMany => return Err(NoKey::TooMany),
            Verdict::Again => self.noticed(&seat, Signal::KeyRequests, ""),
            Verdict::Usual => {}
        }
        Ok(())
    }
}

fn content_key(id: ContentKeyId, first_msn: u64, bytes: [u8; 32]) -> ContentKey {
    let (mut secret, mut iv) = ([0; 16], [0; 16]);
    secret.copy_from_slice(&bytes[..16]);
    iv.copy_from_slice(&bytes[16..]);
    ContentKey::new(first_msn, id.uuid().into_bytes(), secret, iv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_there_are_not_are_counted_together_and_have_to_wait_like_the_others() {
        let (mut asked, now) = (Asked::default(), Time::from_millis(100_000));
        let verdicts: Vec<_> = (0..101).map(|_| asked.ask(None, now)).collect();
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Again), Some(4));
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::TooMany), Some(100));
        assert_eq!(asked.ask(Some(5), now), Verdict::TooMany, "and with them");
    }

    #[test]
    fn the_fifth_request_for_a_key_is_told_once_and_the_hundred_and_first_waits() {
        let mut asked = Asked::default();
        let now = Time::from_millis(100_000);
        let verdicts: Vec<_> = (0..8).map(|_| asked.ask(Some(5), now)).collect();
        assert_eq!(verdicts.iter().position(|verdict| *verdict == Verdict::Again), Some(4));
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Again).count(), 1);
        for key in 6..98 {
            assert_eq!(asked.ask(Some(key), now), Verdict::Usual, "{key}");
        }
        assert_eq!(asked.ask(Some(200), now), Verdict::TooMany);
        assert_eq!(asked.ask(Some(200), now.plus(WINDOW)), Verdict::Usual);
        assert!(asked.keys.len() <= COUNTED);

        // Who opens the page again while the same key lasts begins anew.
        let mut again = Asked::default();
        for visit in 0..20 {
            let then = now.plus(WINDOW * visit);
            assert_eq!([(); 2].map(|()| again.ask(Some(7), then)), [Verdict::Usual; 2], "{visit}");
        }
    }
}
