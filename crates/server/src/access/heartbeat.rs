//! Whether viewers' pages are there: each is asked every few seconds, and whoever does not answer falls silent.
//!
//! Silence is a state of the [`Seat`], not of a socket: a page that connects again goes on where it was, and one good
//! answer heals. It is measured from the last good answer, or from when we began to listen: a page is not blamed for a
//! server that starts, that stood still, or that was only just told to ask. Nothing here touches the database, and
//! nothing asks for the wall clock: a machine whose clock is set makes nobody silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::access::Purpose;
use stagedoor_domain::risk::heartbeat::{Answer, Bad, EVERY, HeartbeatKey, Questions, SILENT_AFTER};
use stagedoor_domain::risk::{Action, Signal, Standing, Unmarked};
use tokio_util::sync::CancellationToken;

use super::{Access, Attendance, Room, Seat};

/// How often it is looked who has fallen silent.
const LISTEN: Duration = Duration::from_secs(1);
/// Who did not look for so long was not there to listen: everybody gets their time anew.
const DEAF: Duration = Duration::from_secs(4);
/// A session that fetches media and is silent for so long is [odd](Signal::HeartbeatMissed); again after as long.
const OVERDUE: Duration = Duration::from_secs(60);
/// Where more than half of so many viewers are silent at once, it is not them.
const MANY: usize = 8;

/// What a seat keeps of its page's answers: milliseconds of the monotonic clock.
#[derive(Debug)]
pub(super) struct Pulse {
    heard: AtomicU64,
    silent: AtomicBool,
    /// The guards of its last good answer, and [`SAID`]; 0 before the first.
    standing: AtomicU16,
    /// When its silence was last noted.
    noted: AtomicU64,
    /// Since when its pages are told of a mark; 0 while they are told of none.
    marked: AtomicU64,
}

/// There was an answer.
const SAID: u16 = 1 << 8;

/// When we began to listen, and when we last did.
#[derive(Debug, Default)]
pub(super) struct Listening {
    since: AtomicU64,
    last: AtomicU64,
}

/// When the pages of a room began to be asked; 0 while they are not.
#[derive(Debug, Default)]
pub(super) struct Asking(AtomicU64);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment as it is kept: 0 says "never".
fn moment(now: Duration) -> u64 {
    millis(now).saturating_add(1)
}

impl Pulse {
    /// Of somebody who comes in now.
    pub(super) fn at(now: Duration) -> Self {
        Self {
            heard: AtomicU64::new(moment(now)),
            silent: AtomicBool::new(false),
            standing: AtomicU16::new(0),
            noted: AtomicU64::new(0),
            marked: AtomicU64::new(0),
        }
    }

    fn tell_of_mark(&self, marked: bool, now: Duration) {
        if !marked {
            self.marked.store(0, Ordering::Relaxed);
        } else if self.marked.load(Ordering::Relaxed) == 0 {
            self.marked.store(moment(now), Ordering::Relaxed);
        }
    }

    /// Since when its pages are told of a mark.
    fn told_of_mark(&self) -> Option<Duration> {
        Some(self.marked.load(Ordering::Relaxed)).filter(|since| *since > 0).map(Duration::from_millis)
    }

    fn hear(&self, standing: Option<Standing>, now: Duration) {
        self.heard.store(moment(now), Ordering::Relaxed);
        let said = standing.map_or(0, |standing| SAID | u16::from(standing.bits()));
        if self.standing.load(Ordering::Relaxed) != said {
            self.standing.store(said, Ordering::Relaxed);
        }
        // Most answers change nothing, and a store that is not made takes no cache line.
        if self.silent.load(Ordering::Relaxed) {
            self.silent.store(false, Ordering::Relaxed);
        }
    }

    fn fall(&self, silent: bool) {
        if self.silent.load(Ordering::Relaxed) != silent {
            self.silent.store(silent, Ordering::Relaxed);
        }
    }
}

impl Asking {
    /// Since when the pages are asked, as of `now`.
    fn since(&self, asks: bool, now: Duration) -> Option<u64> {
        if !asks {
            self.0.store(0, Ordering::Relaxed);
            return None;
        }
        match self.0.load(Ordering::Relaxed) {
            0 => {
                self.0.store(moment(now), Ordering::Relaxed);
                Some(moment(now))
            }
            since => Some(since),
        }
    }
}

impl Seat {
    /// Whether nobody answers for this session: [three questions](stagedoor_domain::risk::heartbeat::MISSES) went
    /// without a good answer. Never for an event that does not ask. One good answer heals. What is released for a page
    /// that is there, content keys for one, is not released meanwhile.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.pulse.silent.load(Ordering::Relaxed)
    }

    /// The guards that stand on its device, as its page last said; `None` before its first good answer and while it is
    /// [silent](Self::is_silent), when nobody knows. A page in several tabs says what the last one to answer says.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let [bits, said] = self.pulse.standing.load(Ordering::Relaxed).to_le_bytes();
        (said != 0 && !self.is_silent()).then(|| Standing::of_bits(bits))
    }
}

/// What a page is told about being guarded.
#[derive(Debug)]
pub struct Guard {
    /// What it signs its answers with.
    pub key: HeartbeatKey,
    /// The most that follows when something is odd.
    pub action: Action,
    /// What moves over the picture, if anything does.
    pub watermark: Option<Watermark>,
}

/// The personal mark.
#[derive(Debug)]
pub struct Watermark {
    /// Name, masked number if there is one, and the session's short name: what an organiser finds the viewer by.
    pub lines: Vec<String>,
    /// What its way over the picture is worked out from: the same for the whole session.
    pub seed: [u8; 32],
}

/// Letters of the end of a session's id that are enough to find it by, and a dash for the eye.
fn short(session: &str) -> String {
    let tail = session.get(session.len().saturating_sub(6)..).unwrap_or_default().to_ascii_uppercase();
    match tail.split_at_checked(4) {
        Some((head, rest)) => format!("{head}-{rest}"),
        None => tail,
    }
}

impl Access {
    fn heartbeat_key(&self, seat: &Seat) -> HeartbeatKey {
        // Of a key that outlives master keys and restarts: a page keeps its own for the whole session.
        HeartbeatKey::new(self.keys.hash.digest(Purpose::Heartbeat, seat.session.uuid().as_bytes()))
    }

    /// What the page of `seat` is told about being guarded; `None` where the event does not ask for it.
    #[must_use]
    pub fn guard(&self, seat: &Seat) -> Option<Guard> {
        let policy = self.rooms.room(seat.event)?.policy().protection;
        if !policy.guard {
            return None;
        }
        seat.pulse.tell_of_mark(policy.watermark, self.clock.elapsed());
        let watermark = policy.watermark.then(|| {
            let details = seat.details();
            let number = details.phone.flatten();
            let session = short(&seat.session.to_string());
            Watermark {
                lines: std::iter::once(details.name.to_string()).chain(number).chain([session]).collect(),
                seed: self.keys.hash.digest(Purpose::Watermark, seat.session.uuid().as_bytes()),
            }
        });
        Some(Guard { key: self.heartbeat_key(seat), action: policy.action, watermark })
    }

    /// The next question to a page of `seat`, and whether the event asks for its mark; `None` where the event does not ask.
    #[must_use]
    pub fn ask_page(&self, seat: &Seat, questions: &mut Questions) -> Option<(String, bool)> {
        let policy = self.rooms.room(seat.event)?.policy().protection;
        policy.guard.then(|| (questions.ask(self.random.bytes()), policy.watermark))
    }

    /// A page of `seat` answers. A good answer heals silence at once.
    ///
    /// # Errors
    ///
    /// [`Bad`]: then it is as if it had said nothing.
    pub fn page_answers(&self, seat: &Seat, questions: &mut Questions, answer: &Answer<'_>) -> Result<(), Bad> {
        questions.judge(&self.heartbeat_key(seat), answer)?;
        seat.pulse.hear(Standing::read(answer.guard), self.clock.elapsed());
        Ok(())
    }

    /// Looks whether a page of `seat`, which has just given a good answer, shows pictures without the mark that the event
    /// asks for and the page was told of; [odd](Signal::WatermarkAbsent) if it goes on. A page that does not say that it is
    /// in the foreground is not judged.
    pub fn look_for_mark(&self, seat: &Seat, page: &Attendance<'_>, unmarked: &mut Unmarked, answer: &Answer<'_>) {
        let policy = self.rooms.room(seat.event).map(|room| room.policy().protection);
        let told = policy.filter(|policy| policy.guard && policy.watermark).and_then(|_| seat.pulse.told_of_mark());
        let (Some(told), Some(standing)) = (told, Standing::read(answer.guard)) else {
            *unmarked = Unmarked::default();
            return;
        };
        if !page.is_visible() {
            unmarked.look_away();
        } else if unmarked.hear(standing, answer.frames, told, self.clock.elapsed()) {
            self.noticed(seat, Signal::WatermarkAbsent, "");
        }
    }

    /// Looks who has fallen silent, once a second, until `stop`.
    pub(super) async fn keep_listening(&self, stop: &CancellationToken) {
        loop {
            self.listen();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LISTEN) => {}
            }
        }
    }

    /// Looks who has fallen silent, and lets suspicions fade: one turn of [`run`](Self::run). Memory only.
    pub fn listen(&self) {
        let now = self.clock.elapsed();
        let last = self.listening.last.swap(moment(now), Ordering::Relaxed);
        if last == 0 || moment(now).saturating_sub(last) > millis(DEAF) {
            self.listening.since.store(moment(now), Ordering::Relaxed);
        }
        let since = self.listening.since.load(Ordering::Relaxed);
        for room in self.rooms.rooms() {
            self.listen_in(&room, since, now);
        }
    }

    fn listen_in(&self, room: &Room, since: u64, now: Duration) {
        let asked = room.asking.since(room.policy().protection.guard, now).map(|asked| asked.max(since));
        let (wall, mut watching, mut silent) = (self.clock.now(), 0_usize, 0_usize);
        let mut overdue = Vec::new();
        room.each(|seat| {
            seat.risk.fade(now);
            let unheard = match asked {
                Some(asked) => moment(now).saturating_sub(seat.pulse.heard.load(Ordering::Relaxed).max(asked)),
                None => 0,
            };
            let is_silent = unheard >= millis(SILENT_AFTER);
            seat.pulse.fall(is_silent);
            if seat.is_watching(wall) {
                watching += 1;
                silent += usize::from(is_silent);
                let noted = seat.pulse.noted.load(Ordering::Relaxed);
                if unheard >= millis(OVERDUE) && moment(now).saturating_sub(noted) >= millis(OVERDUE) {
                    overdue.push(Arc::clone(seat));
                }
            }
        });
        if watching >= MANY && silent * 2 > watching {
            return;
        }
        for seat in overdue {
            seat.pulse.noted.store(moment(now), Ordering::Relaxed);
            self.noticed(&seat, Signal::HeartbeatMissed, "");
        }
    }
}

const _: () = assert!(DEAF.as_millis() < EVERY.as_millis(), "a question that we did not ask is nobody's miss");
