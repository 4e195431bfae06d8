//! What organisers see of a room, worked out once for all who look.
//!
//! A board compares the room with what it showed last, at most [five times a second](LOOK), and keeps what changed as
//! finished text, numbered, in a ring of bounded size. A socket is a place in that ring: it reads from there at its own
//! pace, and when the ring has passed it, it begins anew with a snapshot. So a slow page costs nobody anything, a page
//! that comes back with the last number it saw misses nothing, and ten organisers cost little more than one.
//!
//! Nothing runs in the background: whichever socket's turn comes first looks for all of them, and a room that nobody
//! looks at costs nothing. A board outlives its last socket for some minutes, so that a page that reloads can go on.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::id::{EventId, SessionId};
use stagedoor_domain::risk::{Guard, Signal};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Api;
use super::invitations::{Guards, Shown, Viewer};
use crate::access::{Report, Room, Seat, Suspicion};
use crate::live::StreamStatus;
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, events, incidents};

/// At most one look at the room in this time: soon enough to look live, and five messages a second at most.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// The stream, the counters and hints are told at most this often each.
const SLOW: Duration = Duration::from_secs(1);
/// What the database counts is counted at most this often while it changes …
const COUNT: Duration = Duration::from_secs(3);
/// … and this often when nobody said that it did.
const COUNT_ANYWAY: Duration = Duration::from_secs(20);
/// Telephone numbers are looked up so many at a time …
const REACH_MAX: usize = 500;
/// … at most this often: whoever has just come has a number within the second.
const REACH: Duration = Duration::from_millis(250);
/// Rows in a message: some 100 kB, which a page takes in without a stutter.
const ROWS_MAX: usize = 400;
/// Text that is kept to be read or read again: at two thousand changes a second, some twenty seconds.
const RING_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Messages kept, so that a quiet room does not keep a whole evening.
const RING_MESSAGES_MAX: usize = 2_000;
/// A board that nobody looked at for so long is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The boards of all rooms that somebody looks at.
#[derive(Debug, Default)]
pub struct Boards(Mutex<HashMap<EventId, Arc<Board>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Boards {
    /// The board of a room; made when there is none.
    pub(super) fn of(&self, api: &Api, room: &Arc<Room>) -> Arc<Board> {
        let mut boards = lock(&self.0);
        boards.retain(|event, board| *event == room.event || board.is_wanted());
        let made = || Arc::new(Board::new(api, room));
        let board = boards.entry(room.event).or_insert_with(made);
        Arc::clone(board)
    }
}

/// What one room looks like.
#[derive(Debug)]
pub(super) struct Board {
    room: Arc<Room>,
    state: Mutex<State>,
    /// Held by whoever counts.
    counting: tokio::sync::Mutex<()>,
    /// Held by whoever looks numbers up.
    reaching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// The number of the last message.
    seq: u64,
    ring: VecDeque<Entry>,
    ring_bytes: usize,
    known: HashMap<SessionId, Known>,
    /// Marks what was there in this look.
    round: u32,
    watching: u64,
    pages: Option<Pages>,
    waiting: u64,
    looked: Option<Instant>,
    slow: Option<Instant>,
    stream: watch::Receiver<Arc<StreamStatus>>,
    hints: Receiver<Hint>,
    topics: BTreeSet<Topic>,
    counted: Option<Instant>,
    recount: bool,
    counts: Counts,
    counters: Option<Counters>,
    /// Somebody's number may not have been looked up.
    strangers: bool,
    reached: Option<Instant>,
}

/// What was last shown of a seat.
#[derive(Debug)]
struct Known {
    seat: Arc<Seat>,
    shown: Shown,
    round: u32,
}

/// A message that has been written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    /// It is about rows, which not everybody wants.
    pub(super) rows: bool,
    pub(super) text: Utf8Bytes,
}

/// What only the database knows.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    invited: u64,
    redeemed: u64,
    incidents: u64,
}

/// The figures of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Counters {
    /// People watching right now.
    watching: u64,
    /// The most who ever watched at once.
    peak: u64,
    /// Active sessions, watching or not.
    inside: u64,
    /// Invitations that were not withdrawn.
    invited: u64,
    /// Those of them whose code was used.
    redeemed: u64,
    /// People in line before a full house.
    waiting: u64,
    /// How many were turned away for where they came from, since the server started.
    refused: u64,
    /// Incidents that nobody has acknowledged.
    incidents: u64,
    /// What the pages of those who watch say about themselves; `null` where the event does not ask them.
    pages: Option<Pages>,
}

/// The pages of people who are watching. Who is in none of the first and the last has only just come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Pages {
    /// They answer.
    answering: u64,
    /// Of those who answer: the mark is on the picture, as the page says. 0 where the event wants none.
    marked: u64,
    /// Three questions went without a good answer.
    silent: u64,
}

impl Pages {
    fn count(&mut self, shown: &Shown) {
        if shown.watching {
            self.silent += u64::from(shown.silent);
            self.answering += u64::from(shown.guards.is_some());
            self.marked += u64::from(shown.guards.is_some_and(Guards::is_marked));
        }
    }
}

/// What changed of somebody with an active session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewerChange {
    /// The session.
    #[schema(value_type = String)]
    session: SessionId,
    /// When it last asked for something.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    /// Whether it is watching right now.
    watching: bool,
    /// Lines of the picture that is shown, as the page says.
    height: Option<u32>,
    /// Behind the broadcaster, as the page says.
    latency_ms: Option<u32>,
    /// How often the picture stopped, as the page says.
    stalls: Option<u32>,
    /// Whether the page is in the foreground, as it says.
    visible: Option<bool>,
    /// Whether its page does not answer.
    silent: bool,
    /// The guards that are asked for and do not stand; `null` while nobody knows.
    #[schema(value_type = Option<Vec<String>>)]
    guards_missing: Option<Vec<Guard>>,
    /// Points for what was noticed.
    risk: u32,
    /// What was noticed and still counts.
    #[schema(value_type = Vec<String>)]
    signals: Vec<Signal>,
}

impl ViewerChange {
    fn of(seat: &Seat, Shown { watching, report, silent, guards, suspicion, .. }: Shown) -> Self {
        let Report { height, latency_ms, stalls, visible } = report;
        let Suspicion { points, signals } = suspicion;
        let last_seen_at = seat.last_seen();
        let signals = Signal::of_bits(signals).collect();
        Self {
            session: seat.session,
            last_seen_at,
            watching,
            height,
            latency_ms,
            stalls,
            visible,
            silent,
            guards_missing: guards.map(Guards::missing),
            risk: points,
            signals,
        }
    }
}

/// What about an event changed: read it again.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Changed {
    /// Its settings.
    Settings,
    /// Who is invited, and how far each invitation is.
    Invitations,
    /// Lists that are being imported.
    Imports,
    /// Messages on their way, templates.
    Messages,
    /// Somebody asks to take a code over, or was answered.
    Takeovers,
    /// Something suspicious.
    Incidents,
    /// Who is held back at the door.
    Waiting,
}

impl From<Topic> for Changed {
    fn from(topic: Topic) -> Self {
        match topic {
            Topic::Settings => Self::Settings,
            Topic::Invitations => Self::Invitations,
            Topic::Imports => Self::Imports,
            Topic::Messages => Self::Messages,
            Topic::Takeovers => Self::Takeovers,
            Topic::Incidents => Self::Incidents,
            Topic::Waiting => Self::Waiting,
        }
    }
}

const TOPICS: [Topic; 7] = [
    Topic::Settings,
    Topic::Invitations,
    Topic::Imports,
    Topic::Messages,
    Topic::Takeovers,
    Topic::Incidents,
    Topic::Waiting,
];

/// What the server tells an organiser.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum OrganiserMessage {
    /// Everything, first; also later, to who did not keep up.
    Snapshot {
        /// Resume from here, once all rows are there.
        seq: u64,
        /// What is on air.
        stream: StreamStatus,
        /// The figures.
        counters: Counters,
        /// Everybody with an active session, as far as they fit.
        viewers: Vec<Viewer>,
        /// `rows` follow.
        more: bool,
    },
    /// The next rows of a snapshot.
    Rows {
        /// More of everybody with an active session.
        viewers: Vec<Viewer>,
        /// More `rows` follow.
        more: bool,
    },
    /// Nothing was missed: what follows comes after the message with this number.
    Resumed {
        /// The number that was asked for.
        seq: u64,
    },
    /// The stream has changed.
    Stream {
        /// The number of this message.
        seq: u64,
        /// What is on air.
        stream: StreamStatus,
    },
    /// Viewers have come, changed or gone.
    Viewers {
        /// The number of this message.
        seq: u64,
        /// New sessions, and those of which more is known now: they replace what was said before.
        joined: Vec<Viewer>,
        /// Sessions of which something changed, with all that can.
        changed: Vec<ViewerChange>,
        /// Sessions that ended.
        #[schema(value_type = Vec<String>)]
        left: Vec<SessionId>,
        /// People watching right now.
        watching: u64,
    },
    /// The figures have changed.
    Counters {
        /// The number of this message.
        seq: u64,
        /// All of them.
        counters: Counters,
    },
    /// Something that is not in this feed has changed: read it again.
    Changed {
        /// The number of this message.
        seq: u64,
        /// What it is about.
        topics: Vec<Changed>,
    },
    /// Nothing has happened for a while, and the server is there. It has no number, and nothing resumes from it.
    Alive,
}

/// Everything at one moment, still to be written.
pub(super) struct Snapshot {
    pub(super) seq: u64,
    stream: Arc<StreamStatus>,
    counters: Counters,
    rows: Vec<(Arc<Seat>, Shown)>,
}

impl Snapshot {
    /// Its messages, each made when it is asked for: a room of ten thousand is never in memory as text.
    pub(super) fn messages(mut self, rows: bool) -> impl Iterator<Item = OrganiserMessage> {
        if !rows {
            self.rows.clear();
        }
        let Self { seq, stream, counters, rows } = self;
        let chunks = rows.len().div_ceil(ROWS_MAX).max(1);
        (0..chunks).map(move |chunk| {
            let some = rows.iter().skip(chunk * ROWS_MAX).take(ROWS_MAX);
            let viewers = some.map(|(seat, shown)| Viewer::with(seat, *shown)).collect();
            let more = chunk + 1 < chunks;
            match chunk {
                0 => OrganiserMessage::Snapshot { seq, stream: (*stream).clone(), counters, viewers, more },
                _ => OrganiserMessage::Rows { viewers, more },
            }
        })
    }
}

impl Board {
    fn new(api: &Api, room: &Arc<Room>) -> Self {
        let state = State {
            // Numbers go on where those of an earlier board cannot have come to: no room says a thousand things a
            // second.
            seq: u64::try_from(api.clock.now().millis()).unwrap_or(0),
            ring: VecDeque::new(),
            ring_bytes: 0,
            known: HashMap::new(),
            round: 0,
            watching: 0,
            pages: None,
            waiting: 0,
            looked: None,
            slow: None,
            stream: api.hub.watch(room.stream),
            hints: api.bus.listen(),
            topics: BTreeSet::new(),
            counted: None,
            recount: true,
            counts: Counts::default(),
            counters: None,
            strangers: true,
            reached: None,
        };
        Self {
            room: Arc::clone(room),
            state: Mutex::new(state),
            counting: tokio::sync::Mutex::new(()),
            reaching: tokio::sync::Mutex::new(()),
        }
    }

    /// The event it is about.
    pub(super) fn event(&self) -> EventId {
        self.room.event
    }

    fn is_wanted(self: &Arc<Self>) -> bool {
        let idle = || lock(&self.state).looked.is_none_or(|looked| looked.elapsed() > IDLE_MAX);
        Arc::strong_count(self) > 1 || !idle()
    }

    /// Looks at the room, unless somebody just did.
    pub(super) fn look(&self, api: &Api) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(state)) => state.into_inner(),
            // Somebody is looking.
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        // A little less than between two turns of one socket, or every second turn would be for nothing.
        if state.looked.is_some_and(|looked| looked.elapsed() < LOOK * 9 / 10) {
            return;
        }
        let began = Instant::now();
        state.looked = Some(began);
        state.hear(self.room.event);
        state.seats(&self.room, api.clock.now());
        if state.slow.is_none_or(|slow| slow.elapsed() >= SLOW * 9 / 10) {
            state.slow = Some(began);
            state.waiting = u64::from(api.access.queueing(self.room.event));
            state.rest(&self.room);
        }
        metrics::histogram!("feed_look_seconds").record(began.elapsed());
    }

    /// Asks the database what only it knows, when that is due and nobody else is asking.
    pub(super) async fn count(&self, api: &Api) {
        let Ok(_turn) = self.counting.try_lock() else { return };
        {
            let mut state = lock(&self.state);
            let due = if state.recount { COUNT } else { COUNT_ANYWAY };
            if state.counted.is_some_and(|counted| counted.elapsed() < due) {
                return;
            }
            state.counted = Some(Instant::now());
            state.recount = false;
        }
        let event = self.room.event;
        let read = async { Ok((events::get(&api.db, event).await?, incidents::count_open(&api.db, event).await?)) };
        match read.await {
            Ok((Some(counted), incidents)) => {
                let events::Counted { invited, redeemed, .. } = counted;
                lock(&self.state).counts = Counts { invited, redeemed, incidents };
            }
            Ok((None, _)) => {}
            Err::<_, DbError>(error) => {
                // The figures stay as they were; the next count comes soon.
                tracing::debug!(error = &error as &dyn std::error::Error, "a room cannot be counted");
                lock(&self.state).recount = true;
            }
        }
    }

    /// Looks up telephone numbers of some who came, when that is due and nobody else is doing it. The next look shows them.
    pub(super) async fn reach(&self, api: &Api) {
        let Ok(_turn) = self.reaching.try_lock() else { return };
        let strangers: Vec<Arc<Seat>> = {
            let mut state = lock(&self.state);
            if !state.strangers || state.reached.is_some_and(|reached| reached.elapsed() < REACH) {
                return;
            }
            state.reached = Some(Instant::now());
            let unknown = state.known.values().filter(|known| known.seat.details().phone.is_none());
            let some: Vec<_> = unknown.take(REACH_MAX).map(|known| Arc::clone(&known.seat)).collect();
            state.strangers = some.len() == REACH_MAX;
            some
        };
        if strangers.is_empty() {
            return;
        }
        if let Err(error) = api.access.look_up_phones(&strangers).await {
            // Nobody is shown a wrong number, and the next look-up comes soon.
            tracing::debug!(error = &error as &dyn std::error::Error, "numbers cannot be looked up");
            lock(&self.state).strangers = true;
        }
    }

    /// What came after message `seq`; `None` when not all of that is kept any more, or it never was.
    pub(super) fn since(&self, seq: u64) -> Option<Vec<Entry>> {
        let state = lock(&self.state);
        if seq > state.seq {
            return None;
        }
        // Numbers have no holes: the distance from the end is the number of entries.
        let wanted = usize::try_from(state.seq - seq).ok().filter(|wanted| *wanted <= state.ring.len())?;
        Some(state.ring.range(state.ring.len() - wanted..).cloned().collect())
    }

    /// Everything, as it was shown last.
    pub(super) fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        let mut rows: Vec<_> = state.known.values().map(|known| (Arc::clone(&known.seat), known.shown)).collect();
        let (seq, counters, stream) = (state.seq, state.counters_now(&self.room), Arc::clone(&state.stream.borrow()));
        drop(state);
        rows.sort_unstable_by_key(|(seat, _)| seat.session);
        Snapshot { seq, stream, counters, rows }
    }
}

impl State {
    fn say(&mut self, rows: bool, message: impl FnOnce(u64) -> OrganiserMessage) {
        let seq = self.seq + 1;
        let Ok(text) = serde_json::to_string(&message(seq)) else { return };
        self.seq = seq;
        self.ring_bytes += text.len();
        self.ring.push_back(Entry { seq, rows, text: text.into() });
        while self.ring.len() > RING_MESSAGES_MAX || self.ring_bytes > RING_BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.text.len();
        }
    }

    /// Takes in what the bus says about `event`.
    fn hear(&mut self, event: EventId) {
        loop {
            match self.hints.try_recv() {
                Ok(Hint::Event(of, topic)) if of == event => {
                    self.topics.insert(topic);
                    self.recount |= matches!(topic, Topic::Invitations | Topic::Incidents);
                }
                Ok(_) => {}
                // It does not matter which: whoever reads again is right again.
                Err(TryRecvError::Lagged(_)) => {
                    self.topics.extend(TOPICS);
                    self.recount = true;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Compares the seats with what was shown of them.
    fn seats(&mut self, room: &Room, now: Time) {
        self.round = self.round.wrapping_add(1);
        let (round, known) = (self.round, &mut self.known);
        let (mut joined, mut changed, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let (mut watching, mut inside, mut came) = (0, 0_usize, false);
        let protection = room.policy().protection;
        let mut pages = Pages::default();
        room.each(|seat| {
            let shown = Shown::of(seat, protection, now);
            pages.count(&shown);
            watching += u64::from(shown.watching);
            inside += 1;
            match known.get_mut(&seat.session) {
                Some(before) => {
                    before.round = round;
                    if before.shown.details != shown.details {
                        // Changes have what can change often; whoever is told anew replaces what was known.
                        before.shown = shown;
                        joined.push(Viewer::with(seat, shown));
                    } else if before.shown != shown {
                        before.shown = shown;
                        changed.push(ViewerChange::of(seat, shown));
                    }
                }
                None => {
                    joined.push(Viewer::with(seat, shown));
                    known.insert(seat.session, Known { seat: Arc::clone(seat), shown, round });
                    came = true;
                }
            }
        });
        if known.len() > inside {
            known.retain(|session, known| {
                let stays = known.round == round;
                if !stays {
                    left.push(*session);
                }
                stays
            });
        }
        self.watching = watching;
        self.pages = protection.guard.then_some(pages);
        room.counted(watching);
        self.recount |= came;
        self.strangers |= came;
        joined.sort_unstable_by_key(|viewer| viewer.session);
        left.sort_unstable();
        self.tell_viewers(joined, changed, left);
    }

    /// In messages of a size that a page takes in without a stutter.
    fn tell_viewers(&mut self, joined: Vec<Viewer>, changed: Vec<ViewerChange>, left: Vec<SessionId>) {
        let watching = self.watching;
        let (mut joined, mut changed, mut left) =
            (joined.into_iter().peekable(), changed.into_iter().peekable(), left.into_iter().peekable());
        while joined.peek().is_some() || changed.peek().is_some() || left.peek().is_some() {
            let joined: Vec<_> = joined.by_ref().take(ROWS_MAX).collect();
            let changed: Vec<_> = changed.by_ref().take(ROWS_MAX * 2).collect();
            let left: Vec<_> = left.by_ref().take(ROWS_MAX * 8).collect();
            self.say(true, |seq| OrganiserMessage::Viewers { seq, joined, changed, left, watching });
        }
    }

    /// The stream, the figures, and what is not in this feed.
    fn rest(&mut self, room: &Room) {
        if self.stream.has_changed().unwrap_or(false) {
            let stream = (**self.stream.borrow_and_update()).clone();
            self.say(false, |seq| OrganiserMessage::Stream { seq, stream });
        }
        let counters = self.counters_now(room);
        if self.counters != Some(counters) {
            self.counters = Some(counters);
            self.say(false, |seq| OrganiserMessage::Counters { seq, counters });
        }
        if !self.topics.is_empty() {
            let topics = std::mem::take(&mut self.topics).into_iter().map(Changed::from).collect();
            self.say(false, |seq| OrganiserMessage::Changed { seq, topics });
        }
    }

    fn counters_now(&self, room: &Room) -> Counters {
        let Counts { invited, redeemed, incidents } = self.counts;
        let inside = self.known.len() as u64;
        Counters {
            watching: self.watching,
            peak: room.peak(),
            inside,
            invited,
            redeemed,
            waiting: self.waiting,
            refused: room.refused(),
            incidents,
            pages: self.pages,
        }
    }
}
