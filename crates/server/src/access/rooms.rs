//! Who is in: every active session, in memory. The database is the truth; this is what makes a media request cost a
//! microsecond and survive a database that is away.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Digest, EndReason};
use stagedoor_domain::id::{EventId, InvitationId, SessionId, StreamId};
use tokio::sync::watch;

/// Parts of the table with a lock each: a viewer who comes or goes holds up one media request in a hundred, for less
/// than a microsecond.
const SHARDS: usize = 128;

/// An event as the door sees it.
#[derive(Debug)]
pub struct Room {
    /// The event.
    pub event: EventId,
    /// Its stream.
    pub stream: StreamId,
    epoch: Arc<AtomicU32>,
    seats: RwLock<HashMap<SessionId, Arc<Seat>>>,
}

/// An active session. Dropped from the table, it opens nothing any more.
#[derive(Debug)]
pub struct Seat {
    /// The session.
    pub session: SessionId,
    /// The room it is in.
    pub event: EventId,
    /// What it may watch.
    pub stream: StreamId,
    /// Whose code opened it.
    pub invitation: InvitationId,
    /// The invitee.
    pub name: String,
    /// The browser in words.
    pub device: String,
    /// When it was opened.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    pub(super) cookie: Digest,
    /// The room's own: reading it moves no counter that other viewers' requests move as well.
    epoch: Arc<AtomicU32>,
    /// Seconds since 1970: a media request costs one relaxed store.
    last_seen: AtomicI64,
    /// What the database knows of `last_seen`.
    pub(super) saved_seen: AtomicI64,
    report: Mutex<Report>,
    over: watch::Sender<Option<EndReason>>,
}

/// What a viewer's page last said about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Lines of the picture that is shown.
    pub height: Option<u32>,
    /// Behind the broadcaster.
    pub latency_ms: Option<u32>,
    /// How often the picture stopped since the page was opened.
    pub stalls: Option<u32>,
}

/// What a new seat is made from.
pub(super) struct NewSeat {
    pub(super) session: SessionId,
    pub(super) invitation: InvitationId,
    pub(super) name: String,
    pub(super) device: String,
    pub(super) created_at: Time,
    pub(super) expires_at: Time,
    pub(super) last_seen: Time,
    pub(super) cookie: Digest,
}

impl Room {
    /// The epoch that new tokens carry.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Everybody who is in, oldest session first.
    #[must_use]
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        let mut seats: Vec<_> = read(&self.seats).values().cloned().collect();
        seats.sort_unstable_by_key(|seat| seat.session);
        seats
    }

    /// How many are watching at `now`.
    #[must_use]
    pub fn watching(&self, now: Time) -> usize {
        read(&self.seats).values().filter(|seat| seat.is_watching(now)).count()
    }
}

impl Seat {
    /// A request or a report this recent counts as watching: players ask at least every four seconds.
    pub const WATCHING: Duration = Duration::from_secs(12);

    /// When this session last asked for something, to the second.
    #[must_use]
    pub fn last_seen(&self) -> Time {
        Time::from_millis(self.last_seen.load(Ordering::Relaxed).saturating_mul(1_000)).max(self.created_at)
    }

    /// Whether it is watching at `now`.
    #[must_use]
    pub fn is_watching(&self, now: Time) -> bool {
        now.since(self.last_seen()) < Self::WATCHING
    }

    /// What its page last said.
    #[must_use]
    pub fn report(&self) -> Report {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what its page says, and that it is there.
    pub fn reported(&self, report: Report, now: Time) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        self.seen(now);
    }

    pub(super) fn seen(&self, now: Time) {
        let seconds = now.millis().div_euclid(1_000);
        // Most requests of a second change nothing, and a store that is not made does not take the cache line from
        // the other cores.
        if self.last_seen.load(Ordering::Relaxed) != seconds {
            self.last_seen.store(seconds, Ordering::Relaxed);
        }
    }

    /// Whether its token's epoch is the room's.
    pub(super) fn epoch_is(&self, epoch: u32) -> bool {
        self.epoch.load(Ordering::Relaxed) == epoch
    }

    /// Why it is over, or `None` while it is not.
    #[must_use]
    pub fn over(&self) -> Option<EndReason> {
        *self.over.borrow()
    }

    /// Waits until it is over.
    pub async fn ended(&self) -> EndReason {
        let mut receiver = self.over.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(reason) => (*reason).unwrap_or(EndReason::Ended),
            // The sender lives in this seat: it cannot be gone while we wait. A wrong guess here ends a session early.
            Err(_) => EndReason::Ended,
        }
    }
}

type Shard<K, V> = RwLock<HashMap<K, V>>;

/// All rooms and seats.
#[derive(Debug)]
pub(super) struct Rooms {
    hasher: RandomState,
    seats: Vec<Shard<SessionId, Arc<Seat>>>,
    cookies: Vec<Shard<Digest, Arc<Seat>>>,
    rooms: RwLock<HashMap<EventId, Arc<Room>>>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            seats: (0..SHARDS).map(|_| Shard::default()).collect(),
            cookies: (0..SHARDS).map(|_| Shard::default()).collect(),
            rooms: RwLock::default(),
        }
    }

    fn shard<'a, K: Hash, V>(&self, shards: &'a [Shard<K, V>], key: &K) -> &'a Shard<K, V> {
        &shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)]
    }

    pub(super) fn open(&self, event: EventId, stream: StreamId, epoch: u32) {
        let room = Room { event, stream, epoch: Arc::new(AtomicU32::new(epoch)), seats: RwLock::default() };
        write(&self.rooms).entry(event).or_insert_with(|| Arc::new(room));
    }

    pub(super) fn room(&self, event: EventId) -> Option<Arc<Room>> {
        read(&self.rooms).get(&event).cloned()
    }

    /// Closes a room; its seats are still to be removed by the caller.
    pub(super) fn close(&self, event: EventId) -> Option<Arc<Room>> {
        write(&self.rooms).remove(&event)
    }

    /// `None` when the room was closed meanwhile.
    pub(super) fn sit(&self, event: EventId, new: NewSeat) -> Option<Arc<Seat>> {
        let room = self.room(event)?;
        let seconds = new.last_seen.millis().div_euclid(1_000);
        let seat = Arc::new(Seat {
            session: new.session,
            event,
            stream: room.stream,
            invitation: new.invitation,
            name: new.name,
            device: new.device,
            created_at: new.created_at,
            expires_at: new.expires_at,
            cookie: new.cookie,
            epoch: Arc::clone(&room.epoch),
            last_seen: AtomicI64::new(seconds),
            saved_seen: AtomicI64::new(seconds),
            report: Mutex::default(),
            over: watch::Sender::new(None),
        });
        write(&room.seats).insert(seat.session, Arc::clone(&seat));
        write(self.shard(&self.cookies, &seat.cookie)).insert(seat.cookie, Arc::clone(&seat));
        write(self.shard(&self.seats, &seat.session)).insert(seat.session, Arc::clone(&seat));
        Some(seat)
    }

    /// Runs `look` on the seat of `session`, if there is one, without taking it out of the table.
    pub(super) fn with<T>(&self, session: SessionId, look: impl FnOnce(Option<&Arc<Seat>>) -> T) -> T {
        look(read(self.shard(&self.seats, &session)).get(&session))
    }

    pub(super) fn by_cookie(&self, cookie: &Digest) -> Option<Arc<Seat>> {
        read(self.shard(&self.cookies, cookie)).get(cookie).cloned()
    }

    /// Takes a seat away; whoever waits for its end is told.
    pub(super) fn remove(&self, session: SessionId, reason: EndReason) -> Option<Arc<Seat>> {
        let seat = write(self.shard(&self.seats, &session)).remove(&session)?;
        write(self.shard(&self.cookies, &seat.cookie)).remove(&seat.cookie);
        if let Some(room) = self.room(seat.event) {
            write(&room.seats).remove(&session);
        }
        seat.over.send_replace(Some(reason));
        Some(seat)
    }

    /// Every seat, for the sweep.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.iter().flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>()).collect()
    }
}
