//! What is noticed about viewers, and what is done about it: told to the viewer at once, written down as soon as it can
//! be, shown to organisers.
//!
//! ```text
//! noticed ─▶ the seat's ledger ─▶ judge ─▶ caution ─▶ the page
//!                                  └─▶ a notice ─▶ queue ─▶ an incident, a fact ─▶ sent out, where the law says so
//! ```
//!
//! What is noticed is kept in memory with the seat and gone with it: nobody is remembered for it beyond the incident.
//! The queue is bounded; what does not fit is counted, and the seat shows it all the same.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::agent::Agent;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use stagedoor_domain::incident::Kind;
use stagedoor_domain::risk::travel::Spot;
use stagedoor_domain::risk::{Action, Ledger, Signal, Tampered, Verdict, ledger, traffic};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::removal::PATIENCE;
use super::{Access, Seat};
use crate::facts::incident::{self, Raise};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::DbError;

/// Notices that wait to be written down; more at once are an attack on the log.
const NOTICES_MAX: usize = 1_024;
/// The same browser that is another one is noted again after so long.
const ODD_AGENT_AGAIN: Duration = Duration::from_secs(30);
/// How long writing down waits for a database that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// What the viewer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caution {
    /// How: [`Action::Warn`], [`Action::Blur`] or [`Action::Pause`].
    pub action: Action,
    /// For what: [bits](Signal::bit).
    pub signals: u32,
}

/// What organisers see of a seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Points, rounded.
    pub points: u32,
    /// The signals that count for them: [bits](Signal::bit).
    pub signals: u32,
}

/// What a seat keeps about all this.
#[derive(Debug)]
pub(super) struct Kept {
    inner: Mutex<Inner>,
    /// [`Suspicion`] for whoever only looks: points above, signals below.
    shown: AtomicU64,
    caution: watch::Sender<Option<Caution>>,
    /// Bytes of media since somebody last looked.
    taken: AtomicU64,
    /// Windows one after the other in which that was too much.
    greedy: AtomicU8,
    /// The hash of the `User-Agent` that was last found to be its own.
    agent: AtomicU64,
    /// When another one was last noted: milliseconds of the monotonic clock.
    odd_agent: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    /// Most people have none.
    ledger: Option<Box<Ledger>>,
    /// Where the page last came from, and when.
    spot: Option<(Spot, Duration)>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            shown: AtomicU64::new(0),
            caution: watch::Sender::new(None),
            taken: AtomicU64::new(0),
            greedy: AtomicU8::new(0),
            agent: AtomicU64::new(0),
            odd_agent: AtomicU64::new(0),
        }
    }
}

impl Kept {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, ledger: &Ledger, now: Duration) {
        let shown = u64::from(ledger.score(now).points()) << 32 | u64::from(ledger.standing(now));
        self.shown.store(shown, Ordering::Relaxed);
    }

    /// Lets what was noticed lose its points; whoever has none left is as if nothing had been.
    pub(super) fn fade(&self, now: Duration) {
        if self.shown.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut inner = self.inner();
        let Some(ledger) = &inner.ledger else { return };
        self.show(ledger, now);
        if ledger.is_blank(now) {
            inner.ledger = None;
            self.caution.send_if_modified(|caution| caution.take().is_some());
        }
    }
}

impl Seat {
    /// What organisers see of what was noticed.
    #[must_use]
    pub fn suspicion(&self) -> Suspicion {
        let shown = self.risk.shown.load(Ordering::Relaxed);
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        Suspicion { points: half(shown >> 32), signals: half(shown) }
    }

    /// What the viewer is told, until they have read it.
    #[must_use]
    pub fn cautioned(&self) -> watch::Receiver<Option<Caution>> {
        self.risk.caution.subscribe()
    }

    /// The viewer has read what they were told.
    pub fn acknowledge(&self) {
        if let Some(ledger) = &mut self.risk.inner().ledger {
            ledger.acknowledge();
        }
        self.risk.caution.send_if_modified(|caution| caution.take().is_some());
    }

    /// So many bytes of media were handed over to it. The media path: an atomic add.
    pub fn took(&self, bytes: u64) {
        self.risk.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Judges what was fetched since the last time, when the stream brought forth `made` bytes in this window; `None`
    /// only forgets it. Says whether it is odd.
    pub fn weigh(&self, made: Option<u64>, window: Duration) -> bool {
        let taken = self.risk.taken.swap(0, Ordering::Relaxed);
        let too_much = made.is_some_and(|made| traffic::is_too_much(taken, made, window));
        if !too_much {
            self.risk.greedy.store(0, Ordering::Relaxed);
            return false;
        }
        self.risk.greedy.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= traffic::WINDOWS
    }
}

/// Something to be written down.
#[derive(Debug)]
struct Notice {
    event: EventId,
    session: SessionId,
    invitation: InvitationId,
    signal: Signal,
    points: u32,
    action: Action,
    text: String,
    tampered: Option<Tampered>,
}

/// Notices in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Mutex<VecDeque<Notice>>,
    more: Notify,
}

impl Notices {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn push(&self, notice: Notice) {
        let mut waiting = self.waiting();
        if waiting.len() >= NOTICES_MAX {
            metrics::counter!("risk_notices_dropped_total").increment(1);
            return;
        }
        waiting.push_back(notice);
        drop(waiting);
        self.more.notify_one();
    }
}

/// What somebody who is sent out is told: what was seen, and what to do about it.
fn words(signals: u32) -> Arc<str> {
    let seen: Vec<_> = Signal::of_bits(signals).map(|signal| signal.about().seen).collect();
    format!(
        "This event does not allow copying, and this was seen: {}. If you did nothing of the kind, close what may cause \
         it, enter your code again, and show this text to whoever invited you.",
        seen.join("; ")
    )
    .into()
}

impl Access {
    /// Something was noticed about the viewer in `seat`; `detail` is a page's own word for it. The viewer is told at
    /// once what the event's policy says; organisers see it in the room, and hear of it when it counts.
    pub fn noticed(&self, seat: &Seat, signal: Signal, detail: &str) {
        let Some(room) = self.rooms.room(seat.event) else { return };
        let (policy, now) = (room.policy().protection.action, self.clock.elapsed());
        let mut inner = seat.risk.inner();
        let ledger = inner.ledger.get_or_insert_default();
        let news = ledger.note(signal, now);
        let (score, verdict) = (ledger.score(now), ledger.judge(policy, now));
        seat.risk.show(ledger, now);
        metrics::counter!("risk_signals_total", "signal" => signal.as_str()).increment(1);
        if let Verdict::Caution(action) = verdict {
            seat.risk.caution.send_replace(Some(Caution { action, signals: ledger.standing(now) }));
        }
        let tells = news && signal.about().points > 0 && score.is_flagged();
        if !tells && verdict == Verdict::Nothing {
            return;
        }
        let tampered = match verdict {
            Verdict::SendOut(proof) => Some(proof),
            Verdict::Nothing | Verdict::Caution(_) => None,
        };
        let text = ledger.evidence(Some((signal, &ledger::detail(detail))), now);
        drop(inner);
        self.notices.push(Notice {
            event: seat.event,
            session: seat.session,
            invitation: seat.invitation,
            signal,
            points: score.points(),
            action: verdict.action(),
            text: format!("{text} {}", done(verdict.action())),
            tampered,
        });
    }

    /// A page of `seat` is at `address` now: kept for organisers to see, and held against where it was before.
    pub fn came_from(&self, seat: &Seat, address: IpAddr) {
        let (place, now) = (self.geo.place(address), self.clock.elapsed());
        seat.details.came_from(&place);
        let spot = place.spot();
        if spot == Spot::default() {
            return;
        }
        let before = seat.risk.inner().spot.replace((spot, now));
        if let Some((before, then)) = before
            && before.is_beyond_reach(&spot, now.saturating_sub(then))
        {
            self.noticed(seat, Signal::ImpossibleTravel, "");
        }
    }

    /// A page of `seat`, or a program that fetches its media, calls itself `agent`. The media path: a look at the name that
    /// costs nothing while it stays the same.
    pub fn shows_agent(&self, seat: &Seat, agent: &[u8]) {
        let hash = hash_of(agent);
        if seat.risk.agent.load(Ordering::Relaxed) != hash {
            self.is_another_agent(seat, hash, agent);
        }
    }

    fn is_another_agent(&self, seat: &Seat, hash: u64, agent: &[u8]) {
        let (came_in, shows) = (Agent::named(&seat.device), Agent::of(&String::from_utf8_lossy(agent)));
        if came_in.may_be(&shows) {
            seat.risk.agent.store(hash, Ordering::Relaxed);
            return;
        }
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let noted = seat.risk.odd_agent.load(Ordering::Relaxed);
        if noted == 0 || now.saturating_sub(noted) >= u64::try_from(ODD_AGENT_AGAIN.as_millis()).unwrap_or(u64::MAX) {
            seat.risk.odd_agent.store(now, Ordering::Relaxed);
            self.noticed(seat, Signal::FingerprintChange, &format!("{came_in}, then {shows}"));
        }
    }

    /// Writes down what was noticed, as it comes, until `stop`.
    pub(super) async fn keep_noticing(&self, stop: &CancellationToken) {
        loop {
            let written = self.write_notices().await;
            let more = async {
                match &written {
                    Ok(()) => self.notices.more.notified().await,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = more => {}
            }
        }
        if let Err(error) = self.write_notices().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was noticed last cannot be written down");
        }
    }

    /// Writes down what was noticed so far: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]: the rest waits. Whoever is to be sent out is sent out all the same.
    pub async fn write_notices(&self) -> Result<(), DbError> {
        loop {
            let Some(mut notice) = self.notices.waiting().pop_front() else { return Ok(()) };
            let written = tokio::time::timeout(PATIENCE, self.write_notice(&notice)).await;
            let written = written.unwrap_or_else(|_| Err(DbError::late()));
            if let Some(proof) = notice.tampered.take() {
                let signals = self.rooms.with(notice.session, |seat| seat.map_or(0, |seat| seat.suspicion().signals));
                let sent_out = self.send_out_for_tampering(proof, notice.event, notice.session, words(signals)).await;
                if let Err(error) = sent_out {
                    // What goes on is noticed again, and judged anew.
                    tracing::error!(error = &error as &dyn std::error::Error, "a viewer cannot be sent out");
                }
            }
            match written {
                Ok(()) => {}
                Err(error @ DbError::Unavailable(_)) => {
                    self.notices.waiting().push_front(notice);
                    return Err(error);
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "what was noticed cannot be written down"
                    );
                }
            }
        }
    }

    async fn write_notice(&self, notice: &Notice) -> Result<(), DbError> {
        let Notice { event, session, invitation, signal, points, action, .. } = *notice;
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        let fact = Fact::SessionSuspected { event, session, signal, points, action };
        facts::append(&mut tx, &self.random, now, Actor::System, fact).await?;
        let raise = Raise::new(Kind::Tampering, Some(event)).invitation(invitation).session(session);
        let raise = Raise { text: Some(notice.text.clone()), ..raise };
        incident::raise_in(&mut tx, &self.random, now, &raise).await?;
        tx.commit().await?;
        self.bus.hint(Hint::Facts);
        self.bus.hint(Hint::Event(event, Topic::Incidents));
        Ok(())
    }
}

/// What was done, for an organiser.
fn done(action: Action) -> &'static str {
    match action {
        Action::Log => "Nothing was done about it.",
        Action::Warn => "The viewer was told.",
        Action::Blur => "The picture is blurred until the viewer has read why.",
        Action::Pause => "Playing stopped until the viewer has read why.",
        Action::Kick => "The viewer was sent out; the code still works.",
    }
}

/// Tells names apart; whoever wants to be taken for another program copies its name and needs no collision.
fn hash_of(agent: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(agent);
    // 0 says that none was seen yet.
    hasher.finish().max(1)
}
