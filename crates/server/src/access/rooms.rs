//! Who is in: every active session, in memory. The database is the truth; this is what makes a media request cost a
//! microsecond and survive a database that is away.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Digest, EndReason};
use stagedoor_domain::event::Policy;
use stagedoor_domain::id::{EventId, InvitationId, SessionId, StreamId, TakeoverId, TeamId};
use tokio::sync::{broadcast, watch};

use super::content::Asked;
use super::details::{self, Details};
use super::heartbeat::{Asking, Pulse};
use super::risk;
use crate::ports::db::events::Event;
use crate::ports::db::takeovers::Takeover;

/// Parts of the table with a lock each: a viewer who comes or goes holds up one media request in a hundred, for less
/// than a microsecond.
const SHARDS: usize = 128;
/// Closed questions that a seat remembers: more than are asked while somebody may still tell an old one.
const CLOSED_MAX: usize = 8;
/// Ended sessions that a slow listener may be behind before it misses some.
const ENDED_BACKLOG: usize = 1_024;

/// An event as the door sees it.
#[derive(Debug)]
pub struct Room {
    /// The event.
    pub event: EventId,
    /// Its stream.
    pub stream: StreamId,
    epoch: Arc<AtomicU32>,
    settings: RwLock<Settings>,
    seats: RwLock<HashMap<SessionId, Arc<Seat>>>,
    refused: AtomicU64,
    audience: Audience,
    /// Since when its pages are asked whether they are there.
    pub(super) asking: Asking,
    /// Held by whoever writes down what memory keeps as well.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// How many watched, for those who were not looking.
#[derive(Debug, Default)]
struct Audience {
    /// The most at once since the last sample.
    most: AtomicU64,
    /// The most at once ever.
    peak: AtomicU64,
    /// The last sample that was kept.
    kept: AtomicU64,
}

/// What an organiser may change about an event while it runs.
#[derive(Debug)]
struct Settings {
    team: Option<TeamId>,
    policy: Arc<Policy>,
    title: Arc<str>,
    starts_at: Option<Time>,
}

impl Settings {
    fn of(event: &Event) -> Self {
        Self {
            team: event.team,
            policy: Arc::new(event.policy.clone()),
            title: event.title.as_str().into(),
            starts_at: event.starts_at,
        }
    }
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
    /// The browser in words.
    pub device: String,
    /// When it was opened.
    pub created_at: Time,
    pub(super) cookie: Digest,
    /// When it ends by itself, in milliseconds; it only moves forward.
    expires_at: AtomicI64,
    /// The room's own: reading it moves no counter that other viewers' requests move as well.
    epoch: Arc<AtomicU32>,
    /// Seconds since 1970: a media request costs one relaxed store.
    last_seen: AtomicI64,
    /// When its page last reported, in milliseconds; 0 for never. Media requests do not count: they are no page.
    heard: AtomicI64,
    /// The keys it asked for lately.
    keys: Mutex<Asked>,
    /// What the database knows of `last_seen`.
    pub(super) saved_seen: AtomicI64,
    report: Mutex<Report>,
    /// Its pages that are in the foreground.
    looking: AtomicU32,
    /// When one of them last said so.
    looked: AtomicI64,
    /// The last question whether its code may go on elsewhere.
    asked: watch::Sender<Option<Arc<Takeover>>>,
    /// The last questions that are closed.
    closed: Mutex<VecDeque<TakeoverId>>,
    pub(super) details: details::Kept,
    pub(super) pulse: Pulse,
    pub(super) risk: risk::Kept,
    over: watch::Sender<Option<Over>>,
}

/// Why a session is over, and what the organiser says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Why.
    pub reason: EndReason,
    /// In the organiser's words.
    pub words: Option<Arc<str>>,
}

impl From<EndReason> for Over {
    fn from(reason: EndReason) -> Self {
        Self { reason, words: None }
    }
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
    /// Whether the page is in the foreground.
    pub visible: Option<bool>,
}

/// What a new seat is made from.
pub(super) struct NewSeat {
    pub(super) session: SessionId,
    pub(super) invitation: InvitationId,
    pub(super) name: String,
    pub(super) device: String,
    pub(super) created_at: Time,
    /// When it was made here, on the monotonic clock.
    pub(super) came: Duration,
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

    /// Every token with an earlier epoch opens nothing from now on.
    pub(super) fn raise_epoch(&self, epoch: u32) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    /// Whose event it is; `None` for everybody's who has an account.
    #[must_use]
    pub fn team(&self) -> Option<TeamId> {
        read(&self.settings).team
    }

    /// What people read.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        Arc::clone(&read(&self.settings).title)
    }

    /// When it is meant to begin.
    #[must_use]
    pub fn starts_at(&self) -> Option<Time> {
        read(&self.settings).starts_at
    }

    /// Who gets in, how many, and how they are written to.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&read(&self.settings).policy)
    }

    /// Held from a commit until memory knows of it, so that what was written last is what memory knows.
    pub(super) fn changing(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.changing
    }

    /// Takes over changed settings.
    pub(super) fn change(&self, event: &Event) {
        *write(&self.settings) = Settings::of(event);
    }

    /// Everybody who is in, oldest session first.
    #[must_use]
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        let mut seats: Vec<_> = read(&self.seats).values().cloned().collect();
        seats.sort_unstable_by_key(|seat| seat.session);
        seats
    }

    /// Whoever is in with an invitation.
    pub(super) fn seat_of(&self, invitation: InvitationId) -> Option<Arc<Seat>> {
        read(&self.seats).values().find(|seat| seat.invitation == invitation).cloned()
    }

    /// How many have a seat, watching or not.
    #[must_use]
    pub fn seated(&self) -> usize {
        read(&self.seats).len()
    }

    /// How many were turned away for where they came from, since this process began.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn refused_one(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `look` on everybody who is in, in no order, without taking them out of the table. Who comes or goes waits
    /// meanwhile: it must be quick.
    pub fn each(&self, mut look: impl FnMut(&Arc<Seat>)) {
        for seat in read(&self.seats).values() {
            look(seat);
        }
    }

    /// How many are watching at `now`.
    #[must_use]
    pub fn watching(&self, now: Time) -> usize {
        read(&self.seats).values().filter(|seat| seat.is_watching(now)).count()
    }

    /// The most who ever watched at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.audience.peak.load(Ordering::Relaxed)
    }

    /// Somebody counted that so many are watching.
    pub fn counted(&self, watching: u64) {
        self.audience.most.fetch_max(watching, Ordering::Relaxed);
        self.audience.peak.fetch_max(watching, Ordering::Relaxed);
    }

    pub(super) fn had_peak(&self, peak: u64) {
        self.audience.peak.fetch_max(peak, Ordering::Relaxed);
        // Until somebody looks, a room that was not empty before may still not be.
        self.audience.kept.store(1, Ordering::Relaxed);
    }

    /// The sample to keep, if there is one: while nobody watches, only the first zero is. The next one begins.
    pub(super) fn sampled(&self, watching: u64) -> Option<u64> {
        self.counted(watching);
        let most = self.audience.most.swap(watching, Ordering::Relaxed);
        let before = self.audience.kept.swap(most, Ordering::Relaxed);
        (most > 0 || before > 0).then_some(most)
    }

    /// A sample could not be kept: the next one is, and is not smaller.
    pub(super) fn sample_lost(&self, most: u64) {
        self.audience.most.fetch_max(most, Ordering::Relaxed);
        self.audience.kept.fetch_max(1, Ordering::Relaxed);
    }
}

impl Seat {
    /// A request or a report this recent counts as watching: players ask at least every four seconds.
    pub const WATCHING: Duration = Duration::from_secs(12);

    /// When it ends by itself, unless it is watched until then.
    #[must_use]
    pub fn expires_at(&self) -> Time {
        Time::from_millis(self.expires_at.load(Ordering::Relaxed))
    }

    /// It goes on until `end`: its row says so.
    pub(super) fn stays_until(&self, end: Time) {
        self.expires_at.fetch_max(end.millis(), Ordering::Relaxed);
    }

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

    /// The invitee, as they are called now.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.details.get().name
    }

    /// What organisers see of whoever sits here.
    #[must_use]
    pub fn details(&self) -> Details {
        self.details.get()
    }

    /// Another number when [`details`](Self::details) say something else.
    #[must_use]
    pub fn details_version(&self) -> u32 {
        self.details.version()
    }

    /// Keeps what its page says, and that it is there.
    pub fn reported(&self, report: Report, now: Time) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        self.heard.store(now.millis(), Ordering::Relaxed);
        self.seen(now);
    }

    /// When its page last reported, if ever since this process began.
    pub(super) fn heard(&self) -> Option<Time> {
        let heard = self.heard.load(Ordering::Relaxed);
        (heard != 0).then(|| Time::from_millis(heard))
    }

    /// Counts a request for a key.
    pub(super) fn asked_for_key<T>(&self, count: impl FnOnce(&mut Asked) -> T) -> T {
        count(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody sits in front of it at `now`: a page with an open feed is in the foreground, and says so.
    #[must_use]
    pub fn is_attended(&self, now: Time) -> bool {
        let looked = Time::from_millis(self.looked.load(Ordering::Relaxed));
        self.looking.load(Ordering::Relaxed) > 0 && now.since(looked) < Self::WATCHING
    }

    /// A page of this session has opened its feed.
    #[must_use]
    pub fn attend(&self) -> Attendance<'_> {
        Attendance { seat: self, visible: false }
    }

    /// The last question whether its code may go on elsewhere, and what becomes of it.
    #[must_use]
    pub fn asked(&self) -> watch::Receiver<Option<Arc<Takeover>>> {
        self.asked.subscribe()
    }

    /// What is known about a question; older news than what is known already is none. A code has one open question at a
    /// time: another one that is open is the next one, whatever the clock said when it was asked, unless it is known to be
    /// closed.
    pub(super) fn ask(&self, question: &Arc<Takeover>) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.contains(&question.id) {
            return;
        }
        if !question.state.is_open() {
            closed.push_back(question.id);
            if closed.len() > CLOSED_MAX {
                closed.pop_front();
            }
        }
        self.asked.send_if_modified(|known| {
            let news = match known.as_ref().filter(|known| known.id == question.id) {
                Some(known) => known.state.comes_before(question.state),
                None => question.state.is_open(),
            };
            if news {
                *known = Some(Arc::clone(question));
            }
            news
        });
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
        self.over.borrow().as_ref().map(|over| over.reason)
    }

    /// Waits until it is over.
    pub async fn ended(&self) -> Over {
        let mut receiver = self.over.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(over) => over.clone().unwrap_or(EndReason::Ended.into()),
            // The sender lives in this seat: it cannot be gone while we wait. A wrong guess here ends a session early.
            Err(_) => EndReason::Ended.into(),
        }
    }
}

/// An open feed of a session's page; dropped, the page is gone.
#[derive(Debug)]
pub struct Attendance<'a> {
    seat: &'a Seat,
    visible: bool,
}

impl Attendance<'_> {
    /// Whether the page last said that it is in the foreground.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.visible
    }

    /// The page says something about itself.
    pub fn reported(&mut self, report: Report, now: Time) {
        let visible = report.visible == Some(true);
        if visible {
            self.seat.looked.store(now.millis(), Ordering::Relaxed);
        }
        if visible && !self.visible {
            self.seat.looking.fetch_add(1, Ordering::Relaxed);
        }
        if !visible && self.visible {
            self.seat.looking.fetch_sub(1, Ordering::Relaxed);
        }
        self.visible = visible;
        self.seat.reported(report, now);
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if self.visible {
            self.seat.looking.fetch_sub(1, Ordering::Relaxed);
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
    ended: broadcast::Sender<(SessionId, EndReason)>,
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
            ended: broadcast::Sender::new(ENDED_BACKLOG),
        }
    }

    fn shard<'a, K: Hash, V>(&self, shards: &'a [Shard<K, V>], key: &K) -> &'a Shard<K, V> {
        &shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)]
    }

    pub(super) fn open(&self, event: &Event) {
        let room = Room {
            event: event.id,
            stream: event.stream,
            epoch: Arc::new(AtomicU32::new(event.epoch)),
            settings: RwLock::new(Settings::of(event)),
            seats: RwLock::default(),
            refused: AtomicU64::new(0),
            audience: Audience::default(),
            asking: Asking::default(),
            changing: Arc::default(),
        };
        write(&self.rooms).entry(event.id).or_insert_with(|| Arc::new(room));
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
            device: new.device,
            created_at: new.created_at,
            expires_at: AtomicI64::new(new.expires_at.millis()),
            cookie: new.cookie,
            epoch: Arc::clone(&room.epoch),
            last_seen: AtomicI64::new(seconds),
            heard: AtomicI64::new(0),
            keys: Mutex::default(),
            saved_seen: AtomicI64::new(seconds),
            report: Mutex::default(),
            looking: AtomicU32::new(0),
            looked: AtomicI64::new(0),
            closed: Mutex::default(),
            asked: watch::Sender::new(None),
            details: details::Kept::of(&new.name),
            pulse: Pulse::at(new.came),
            risk: risk::Kept::default(),
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
    pub(super) fn remove(&self, session: SessionId, over: impl Into<Over>) -> Option<Arc<Seat>> {
        let seat = write(self.shard(&self.seats, &session)).remove(&session)?;
        write(self.shard(&self.cookies, &seat.cookie)).remove(&seat.cookie);
        if let Some(room) = self.room(seat.event) {
            write(&room.seats).remove(&session);
        }
        seat.over.send_replace(Some(over.into()));
        Some(seat)
    }

    /// Takes an ended session out of memory and tells everybody who waits for that.
    pub(super) fn forget(&self, session: SessionId, over: impl Into<Over>) {
        let over = over.into();
        let reason = over.reason;
        if self.remove(session, over).is_some() {
            // Nobody listening is fine.
            let _ = self.ended.send((session, reason));
        }
    }

    /// Tells which sessions end, and why.
    pub(super) fn ended(&self) -> broadcast::Receiver<(SessionId, EndReason)> {
        self.ended.subscribe()
    }

    /// Every room.
    pub(super) fn rooms(&self) -> Vec<Arc<Room>> {
        read(&self.rooms).values().cloned().collect()
    }

    /// Every seat, for the sweep.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        self.seats.iter().flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>()).collect()
    }
}
