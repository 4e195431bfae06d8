//! A publisher's handle on its broadcast, and who may hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::publish::{Excess, Gauge, Limits, Verdict};
use stagedoor_media::{Frame, Kind, Track};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::packager::Wanted;
use super::ring::Ring;
use crate::ports::clock::Clock;

/// How long a connected publisher is given to show a sign of life when another one asks for its place.
///
/// An encoder sends at least ten packets a second; two seconds of silence are a dead connection, and short enough for
/// an encoder that reconnects not to give up.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Why a publisher has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The same encoder has connected again.
    TakenOver,
    /// The stream key was revoked.
    Revoked,
    /// Whoever signed its publish token is trusted no more.
    Withdrawn,
    /// The stream key or publish token ended, and so did the time that a broadcast is given after that.
    Expired,
    /// It sent more than it may.
    Exceeded(Excess),
    /// The organiser ended the broadcast.
    Ended,
    /// The server is stopping.
    Stopping,
}

/// Someone else publishes on this stream and is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupied;

/// The one place for a publisher on a stream.
#[derive(Default)]
pub(super) struct Place {
    occupant: Mutex<Option<Arc<Occupant>>>,
    /// How many have been in this place.
    taken: AtomicU64,
    /// Held by the one contender whose question is being answered.
    asking: tokio::sync::Mutex<()>,
}

/// Whoever is in a place.
pub(super) struct Occupant {
    number: u64,
    /// Grows with every sign of life.
    signs: AtomicU64,
    stop: CancellationToken,
    reason: Mutex<StopReason>,
    /// What it sends too much of at the moment.
    above: Mutex<Option<Excess>>,
}

impl Place {
    /// Takes the place, from a connection that shows no sign of life for as long as `patience` lasts if need be.
    ///
    /// # Errors
    ///
    /// [`Occupied`] when whoever holds it is alive, or when another contender is asking already.
    pub(super) async fn take(&self, patience: impl Future<Output = ()>) -> Result<Ticket, Occupied> {
        let _asking = self.asking.try_lock().map_err(|_| Occupied)?;
        let holder = self.occupant().clone();
        if let Some(holder) = holder
            && !holder.stop.is_cancelled()
        {
            let before = holder.signs.load(Ordering::Relaxed);
            tokio::select! {
                () = holder.stop.cancelled() => {}
                () = patience => {
                    if holder.signs.load(Ordering::Relaxed) != before {
                        return Err(Occupied);
                    }
                }
            }
            holder.stop(StopReason::TakenOver);
        }
        let occupant = Arc::new(Occupant {
            number: self.taken.fetch_add(1, Ordering::Relaxed) + 1,
            signs: AtomicU64::new(0),
            stop: CancellationToken::new(),
            reason: Mutex::new(StopReason::Stopping),
            above: Mutex::default(),
        });
        *self.occupant() = Some(occupant.clone());
        Ok(Ticket(occupant))
    }

    /// Asks whoever publishes to stop.
    pub(super) fn stop(&self, reason: StopReason) {
        if let Some(occupant) = self.occupant().take() {
            occupant.stop(reason);
        }
    }

    fn occupant(&self) -> std::sync::MutexGuard<'_, Option<Arc<Occupant>>> {
        self.occupant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupant {
    /// Asks it to stop; the first reason counts.
    pub(super) fn stop(&self, reason: StopReason) {
        if !self.stop.is_cancelled() {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
            self.stop.cancel();
        }
    }

    /// Why it has to stop; `Stopping` as long as nobody asked it to.
    pub(super) fn reason(&self) -> StopReason {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it sends too much of at the moment.
    pub(super) fn above(&self) -> Option<Excess> {
        *self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to publish that [`Place::take`] gave.
pub(super) struct Ticket(Arc<Occupant>);

impl Ticket {
    /// Tells this ticket from every other one of its place.
    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether its place was taken over, or its holder was asked to go.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Whoever holds it.
    pub(super) fn occupant(&self) -> Arc<Occupant> {
        self.0.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.stop.cancel();
    }
}

/// Puts frames into a broadcast. Dropping it says that the publisher is gone.
pub struct Publisher {
    ticket: Ticket,
    ring: Ring,
    wanted: Arc<watch::Sender<Wanted>>,
    clock: Clock,
    gate: Mutex<Gate>,
}

/// Holds a publisher's frames against its limits.
struct Gate {
    limits: Limits,
    gauge: Gauge,
    /// The pictures whose size was looked at.
    track: Option<Arc<Track>>,
}

impl Gate {
    fn judge(&mut self, frame: &Frame, now: Duration) -> Option<Verdict> {
        let picture = frame.track.kind() == Kind::Video;
        if picture && self.track.as_ref().is_none_or(|track| !Arc::ptr_eq(track, &frame.track)) {
            self.track = Some(frame.track.clone());
            let size = frame.track.codec.resolution();
            if let Some(excess) = size.and_then(|(width, height)| self.limits.size(width, height)) {
                return Some(Verdict::Stop(excess));
            }
        }
        self.gauge.frame(frame.payload.len(), picture, now)
    }
}

impl Publisher {
    pub(super) fn new(
        ticket: Ticket,
        ring: Ring,
        wanted: Arc<watch::Sender<Wanted>>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let gate = Mutex::new(Gate { limits, gauge: Gauge::new(limits, clock.elapsed()), track: None });
        Self { ticket, ring, wanted, clock, gate }
    }

    /// Hands a frame to everyone who reads this broadcast; never waits. A publisher that sends more than it may is stopped
    /// here, and the frame goes nowhere.
    pub fn push(&self, frame: Frame) {
        let occupant = &self.ticket.0;
        if occupant.stop.is_cancelled() {
            return;
        }
        let verdict = self.gate.lock().unwrap_or_else(PoisonError::into_inner).judge(&frame, self.clock.elapsed());
        let above = match verdict {
            Some(Verdict::Stop(excess)) => {
                metrics::counter!("ingest_publishers_stopped_total", "reason" => excess.as_str()).increment(1);
                return occupant.stop(StopReason::Exceeded(excess));
            }
            Some(Verdict::Above(excess)) => Some(Some(excess)),
            Some(Verdict::Within) => Some(None),
            None => None,
        };
        if let Some(above) = above {
            *occupant.above.lock().unwrap_or_else(PoisonError::into_inner) = above;
        }
        self.ring.push(frame);
    }

    /// The connection is alive: something arrived on it.
    pub fn sign_of_life(&self) {
        self.ticket.0.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// Resolves when this publisher has to stop, or its broadcast is over. Cancel-safe.
    pub async fn stopped(&self) -> StopReason {
        tokio::select! {
            // Whoever was asked to stop hears why, also when the packager is gone by then.
            biased;
            () = self.ticket.0.stop.cancelled() => self.ticket.0.reason(),
            // The packager is gone: it ended just as this publisher came in. Publishing again begins a new broadcast.
            () = self.wanted.closed() => StopReason::Stopping,
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mine = self.ticket.number();
        self.wanted.send_if_modified(|wanted| wanted.detach(mine));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_living_publisher_keeps_its_place() {
        let place = Arc::new(Place::default());
        let first = place.take(ready(())).await.ok().unwrap();
        let (over, patience) = oneshot::channel::<()>();
        let (began, begins) = oneshot::channel::<()>();
        let second = tokio::spawn({
            let place = place.clone();
            async move {
                let patience = async {
                    began.send(()).unwrap();
                    patience.await.unwrap();
                };
                place.take(patience).await.is_err()
            }
        });
        begins.await.unwrap();
        first.0.signs.fetch_add(1, Ordering::Relaxed);
        over.send(()).unwrap();
        assert!(second.await.unwrap());
        assert!(!first.0.stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_silent_publisher_is_taken_over_and_told_so() {
        let place = Place::default();
        let first = place.take(ready(())).await.ok().unwrap();
        let _second = place.take(ready(())).await.ok().unwrap();
        assert!(first.0.stop.is_cancelled());
        assert_eq!(*first.0.reason.lock().unwrap(), StopReason::TakenOver);
    }

    #[tokio::test]
    async fn a_publisher_that_left_is_not_waited_for() {
        let place = Place::default();
        drop(place.take(pending()).await.ok().unwrap());
        assert!(place.take(pending()).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_contenders_never_are_two_in_the_place() {
        for _ in 0..200 {
            let place = Arc::new(Place::default());
            let contenders: Vec<_> = (0..16)
                .map(|_| {
                    let place = place.clone();
                    tokio::spawn(async move { place.take(ready(())).await.ok() })
                })
                .collect();
            let mut winners = Vec::new();
            for contender in contenders {
                winners.extend(contender.await.unwrap());
            }
            let alive = winners.iter().filter(|ticket| !ticket.0.stop.is_cancelled()).count();
            assert_eq!(alive, 1);
        }
    }
}
