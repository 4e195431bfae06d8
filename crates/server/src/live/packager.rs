//! Turns one broadcast's frames into what its channel serves, and follows its states.
//!
//! One task per broadcast. It reads the ring, drives the pure [`Segmenter`], puts pieces into the renditions' windows
//! and makes them visible, and keeps the status true. It does not decide who may
//! publish and never waits for storage: finished segments are handed to the [`Archive`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::access::{Pass, Signer};
use stagedoor_domain::id::{BroadcastId, KeyId};
use stagedoor_domain::network::Network;
use stagedoor_domain::publish::Remaining;
use stagedoor_domain::stream::{Broadcast, State as Phase};
use stagedoor_domain::time::Time;
use stagedoor_media::package::hls::{self, RenditionInfo, RenditionReport};
use stagedoor_media::package::{Body, Piece, Segmenter, Snapshot, StoredSegment, Window};
use stagedoor_media::seal::Sealed;
use stagedoor_media::{Frame, Kind, Track, WallTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::archive::Archive;
use super::channel::{Channel, Rendition};
use super::health::{self, Meter};
use super::plan::Plan;
use super::playlist::Text;
use super::publisher::{Occupant, StopReason};
use super::ring::Subscriber;
use super::sealing::Sealing;
use super::status::{Advice, PublisherStatus, State, StreamStatus};
use crate::ports::clock::Clock;
use crate::ports::db::segments::Numbered;
use crate::ports::db::streams::Numbers;

/// How often health figures are renewed.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Segment numbers promised ahead: some seconds, in which the database may be slow.
const RESERVE_MSN: u64 = 4;

/// Frames taken from the ring before pieces are published: a burst must not delay them for long.
const BATCH_MAX: usize = 64;

/// What the hub wants of a broadcast; the packager follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    publisher: Option<Arc<Attached>>,
    end: bool,
}

/// A publisher that has been let in.
pub(super) struct Attached {
    /// Its ticket's number.
    pub number: u64,
    /// Its place.
    pub occupant: Arc<Occupant>,
    /// What it came with.
    pub pass: Pass,
    /// From where.
    pub address: IpAddr,
    /// When that ends.
    pub expires_at: Expiry,
    /// What its encoder calls itself.
    pub encoder: String,
    /// When it connected.
    pub connected_at: Time,
}

/// When what a publisher came with ends; an organiser may move it while it is on air.
pub(super) struct Expiry(AtomicI64);

impl Expiry {
    /// Later than every moment: it does not end.
    const NEVER: i64 = i64::MAX;

    pub(super) fn new(at: Option<Time>) -> Self {
        Self(AtomicI64::new(at.map_or(Self::NEVER, Time::millis)))
    }

    pub(super) fn set(&self, at: Option<Time>) {
        self.0.store(at.map_or(Self::NEVER, Time::millis), Ordering::Relaxed);
    }

    fn remaining(&self, now: Time) -> Remaining {
        let at = self.0.load(Ordering::Relaxed);
        Remaining::of((at != Self::NEVER).then(|| Time::from_millis(at)), now)
    }
}

impl Attached {
    /// What the broadcaster should know about key and limits.
    fn advice(&self, now: Time) -> Vec<Advice> {
        let above = self.occupant.above().map(health::above);
        above.into_iter().chain(health::ending(self.expires_at.remaining(now))).collect()
    }

    /// Why it was stopped, if that is for the broadcaster to mend.
    fn parting(&self) -> Option<Advice> {
        health::stopped(self.occupant.reason())
    }
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Wanted {
    pub(super) fn attach(&mut self, publisher: Arc<Attached>) {
        self.publisher = Some(publisher);
    }

    /// The publisher with this number is gone; one that has taken its place is not touched.
    pub(super) fn detach(&mut self, number: u64) -> bool {
        let gone = self.publisher.as_ref().is_some_and(|publisher| publisher.number == number);
        if gone {
            self.publisher = None;
        }
        gone
    }

    pub(super) fn end(&mut self) {
        self.end = true;
    }

    /// Whoever publishes with `key`.
    pub(super) fn with_key(&self, key: KeyId) -> Option<&Arc<Attached>> {
        self.publisher.as_ref().filter(|publisher| publisher.pass.key() == Some(key))
    }

    /// Who signed the token that is on air, if it is one.
    pub(super) fn signer(&self) -> Option<Signer> {
        self.publisher.as_ref()?.pass.signer()
    }

    /// Whether `key` is on air from somebody else's address.
    pub(super) fn is_elsewhere(&self, key: KeyId, address: IpAddr) -> bool {
        let here = Network::customer(address);
        self.with_key(key).is_some_and(|publisher| Network::customer(publisher.address) != here)
    }
}

/// Why the packager returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broadcast is over.
    Ended,
    /// The server stops; the broadcast goes on when it is back.
    Suspended,
}

/// What a rendition has shown of itself, for the multivariant playlist.
struct Measured {
    track: Arc<Track>,
    segment_bytes: u64,
    bytes: u64,
    duration: Duration,
    peak_bps: u64,
    has_part: bool,
}

impl Measured {
    fn new(track: Arc<Track>) -> Self {
        Self { track, segment_bytes: 0, bytes: 0, duration: Duration::ZERO, peak_bps: 0, has_part: false }
    }

    fn average_bps(&self) -> u64 {
        bits_per_second(self.bytes, self.duration)
    }
}

/// Where a rendition stands, for the playlists of the others.
fn report(rendition: &Rendition, snapshot: &Snapshot) -> Option<RenditionReport> {
    let last = snapshot.last()?;
    Some(RenditionReport { uri: format!("../{}/index.m3u8", rendition.kind().as_str()), last })
}

fn bits_per_second(bytes: u64, duration: Duration) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000;
    u64::try_from(bits / duration.as_micros().max(1)).unwrap_or(u64::MAX)
}

/// The task's state.
pub(super) struct Packager {
    pub plan: Plan,
    pub broadcast: BroadcastId,
    pub machine: Broadcast,
    pub segmenter: Segmenter,
    pub channel: Arc<Channel>,
    pub frames: Subscriber,
    pub wanted: watch::Receiver<Wanted>,
    pub numbers: watch::Sender<Numbers>,
    pub archive: Archive,
    pub sealing: Option<Sealing>,
    pub clock: Clock,
    attached: Option<Arc<Attached>>,
    /// Why the last publisher was stopped, until another one is there.
    parting: Option<Advice>,
    meter: Meter,
    measured: HashMap<Kind, Measured>,
    advertised_bps: u64,
    state_since: Time,
    status_due: Duration,
    skipped: u64,
    origin: Option<WallTime>,
    first_discontinuity: u64,
    discontinuities: HashMap<Kind, u64>,
    /// What has been used so far ends below these numbers.
    unused: Numbers,
    /// What the database promises to have left.
    reserved: Numbers,
}

/// What a packager is made of.
pub(super) struct Parts {
    pub plan: Plan,
    pub broadcast: BroadcastId,
    pub machine: Broadcast,
    pub segmenter: Segmenter,
    pub channel: Arc<Channel>,
    pub frames: Subscriber,
    pub wanted: watch::Receiver<Wanted>,
    pub first: Numbers,
    pub numbers: watch::Sender<Numbers>,
    pub archive: Archive,
    pub sealing: Option<Sealing>,
    pub clock: Clock,
}

impl Packager {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            plan,
            broadcast,
            machine,
            segmenter,
            channel,
            frames,
            wanted,
            first,
            numbers,
            archive,
            sealing,
            clock,
        } = parts;
        let state_since = clock.now();
        Self {
            plan,
            broadcast,
            machine,
            segmenter,
            channel,
            frames,
            wanted,
            numbers,
            archive,
            sealing,
            clock,
            attached: None,
            parting: None,
            meter: Meter::default(),
            measured: HashMap::new(),
            advertised_bps: 0,
            state_since,
            status_due: Duration::ZERO,
            skipped: 0,
            origin: None,
            first_discontinuity: first.next_discontinuity,
            discontinuities: HashMap::new(),
            unused: first,
            reserved: first,
        }
    }

    /// Runs until the broadcast is over or the server stops.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Outcome {
        self.wanted.mark_changed();
        self.tell_status();
        let outcome = loop {
            let live = self.machine.state() == Phase::Live;
            let pause = self.next_wake().saturating_sub(self.clock.elapsed());
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.take_waiting_frames();
                    self.segmenter.away();
                    self.publish_pieces();
                    break Outcome::Suspended;
                }
                changed = self.wanted.changed() => {
                    if changed.is_err() || self.follow() {
                        break Outcome::Ended;
                    }
                }
                frame = self.frames.next(), if live => {
                    let Some(frame) = frame else { break Outcome::Ended };
                    self.push(frame);
                    self.take_waiting_frames();
                }
                () = tokio::time::sleep(pause) => {}
            }
            if self.tick() {
                break Outcome::Ended;
            }
            self.publish_pieces();
        };
        if outcome == Outcome::Ended {
            self.segmenter.end();
            self.publish_pieces();
            self.machine.end();
            self.enter(Phase::Ended);
        }
        self.archive.reserve(self.plan.stream, self.unused);
        self.numbers.send_replace(self.unused);
        outcome
    }

    /// Does what the hub wants; true when that is the end.
    fn follow(&mut self) -> bool {
        let wanted = self.wanted.borrow_and_update().clone();
        let number = |publisher: &Option<Arc<Attached>>| publisher.as_ref().map(|publisher| publisher.number);
        if number(&wanted.publisher) != number(&self.attached) {
            if let Some(gone) = self.attached.take() {
                self.parting = gone.parting();
                self.take_waiting_frames();
                self.segmenter.away();
                self.machine.drop(self.clock.elapsed());
            }
            if wanted.publisher.is_some() {
                self.attached = wanted.publisher;
                self.parting = None;
                self.meter = Meter::default();
                // Cannot be refused: the place is taken by one publisher at a time, and it was dropped just above.
                let _begun = self.machine.publish(self.clock.elapsed());
            }
            if !wanted.end {
                self.enter(self.machine.state());
            }
        }
        if wanted.end {
            self.take_waiting_frames();
        }
        wanted.end
    }

    /// What time alone brings; true when that is the end.
    fn tick(&mut self) -> bool {
        let now = self.clock.elapsed();
        self.machine.tick(now);
        if self.machine.state() == Phase::Ended {
            return true;
        }
        match &self.attached {
            None => self.segmenter.wake(self.wall()),
            Some(attached) if attached.expires_at.remaining(self.clock.now()) == Remaining::Over => {
                attached.occupant.stop(StopReason::Expired);
            }
            Some(_) => {}
        }
        if now >= self.status_due {
            self.status_due = now + STATUS_EVERY;
            self.tell_status();
            self.reserve();
        }
        false
    }

    /// Has numbers promised that are still to be used, so that a process that dies has used none beyond them.
    fn reserve(&mut self) {
        let unused = self.unused;
        if unused.next_msn + RESERVE_MSN / 2 > self.reserved.next_msn
            || unused.next_discontinuity >= self.reserved.next_discontinuity
            || unused.next_init >= self.reserved.next_init
        {
            self.reserved = Numbers {
                next_msn: unused.next_msn + RESERVE_MSN,
                next_discontinuity: unused.next_discontinuity + 2,
                next_init: unused.next_init.saturating_add(2),
            };
            self.archive.reserve(self.plan.stream, self.reserved);
        }
    }

    fn next_wake(&self) -> Duration {
        let now = self.clock.elapsed();
        let mut wake = self.status_due.max(now);
        if let Some(until) = self.machine.next_wake() {
            wake = wake.min(until);
        }
        if self.attached.is_none()
            && let Some(due) = self.segmenter.next_wake()
        {
            wake = wake.min(now + due.since(self.wall()));
        }
        wake
    }

    fn take_waiting_frames(&mut self) {
        for _ in 0..BATCH_MAX {
            let Some(frame) = self.frames.try_next() else { break };
            self.push(frame);
        }
    }

    fn push(&mut self, frame: Frame) {
        self.meter.push(&frame);
        let wall = self.wall();
        self.segmenter.push(frame, wall);
    }

    fn wall(&self) -> WallTime {
        WallTime(self.clock.now().millis())
    }

    /// Has a new state written down and tells everyone.
    fn enter(&mut self, state: Phase) {
        self.state_since = self.clock.now();
        self.tell_status();
        self.archive.entered(self.plan, self.broadcast, state, self.state_since);
    }

    fn tell_status(&mut self) {
        let skipped = self.frames.skipped();
        metrics::counter!("live_frames_skipped_total").increment(skipped - self.skipped);
        self.skipped = skipped;
        let state = State::from(self.machine.state());
        let on_air = matches!(state, State::Live | State::Away);
        self.channel.set_status(StreamStatus {
            state,
            since: Some(self.state_since),
            publisher: self.attached.as_ref().map(|attached| PublisherStatus {
                encoder: attached.encoder.clone(),
                connected_at: attached.connected_at,
            }),
            video: self.meter.video(),
            audio: self.meter.audio(),
            encryption: on_air.then(|| self.plan.encryption.into()),
            advice: match &self.attached {
                Some(attached) => {
                    let mut advice = attached.advice(self.clock.now());
                    advice.extend(self.sealing.as_ref().and_then(Sealing::advice));
                    advice.extend(self.meter.advice());
                    advice.sort_by_key(|advice| std::cmp::Reverse(advice.severity));
                    advice
                }
                None => self.parting.clone().into_iter().collect(),
            },
        });
    }

    /// Puts finished pieces where players find them.
    fn publish_pieces(&mut self) {
        let mut changed = false;
        while let Some(piece) = self.segmenter.poll() {
            changed = true;
            if let Some(sealed) = self.seal(piece) {
                self.add(sealed);
            }
        }
        if !changed {
            return;
        }
        let renditions: Vec<_> =
            [Kind::Video, Kind::Audio].into_iter().filter_map(|kind| self.channel.rendition(kind)).collect();
        let snapshots: Vec<_> = renditions.iter().map(|rendition| rendition.window().snapshot()).collect();
        let reports: Vec<_> =
            renditions.iter().zip(&snapshots).map(|(rendition, snapshot)| report(rendition, snapshot)).collect();
        for (place, (rendition, snapshot)) in renditions.iter().zip(snapshots).enumerate() {
            let others = reports.iter().enumerate().filter(|&(other, _)| other != place);
            rendition.publish(snapshot, others.filter_map(|(_, report)| report.clone()).collect());
        }
        // It is decided at the first part, and moves after a very long absence.
        if let Some(origin) = self.segmenter.origin().filter(|&origin| self.origin != Some(origin)) {
            self.origin = Some(origin);
            self.archive.began(self.broadcast, Time::from_millis(origin.0), self.segmenter.part_target());
        }
        self.advertise();
    }

    /// A piece as it is served; `None` for one that nobody can use.
    fn seal(&mut self, piece: Piece) -> Option<Sealed> {
        let Some(sealing) = &mut self.sealing else {
            return Some(Sealed { piece, key: None, line: None, share: None });
        };
        let sealed = sealing.seal(piece, self.unused.next_msn);
        for key in sealing.made() {
            self.archive.content_key(key);
        }
        sealed
    }

    fn add(&mut self, sealed: Sealed) {
        let kind = sealed.piece.rendition;
        match &sealed.piece.body {
            Body::Init { id, track, bytes } => {
                self.measured.insert(kind, Measured::new(track.clone()));
                self.advertised_bps = 0;
                self.archive.init(self.plan.stream, kind, *id, bytes.clone());
                self.unused.next_init = self.unused.next_init.max(id.saturating_add(1));
                self.with_window(kind, |window| window.add_sealed(sealed));
            }
            Body::Part { bytes, duration, gap, .. } => {
                if let Some(measured) = self.measured.get_mut(&kind)
                    && !gap
                {
                    let size = sealed.share.as_ref().unwrap_or(bytes).len() as u64;
                    measured.segment_bytes += size;
                    measured.bytes += size;
                    measured.duration += *duration;
                    if !measured.has_part {
                        measured.has_part = true;
                        measured.peak_bps = bits_per_second(size, *duration);
                    }
                }
                self.with_window(kind, |window| window.add_sealed(sealed));
            }
            Body::SegmentEnd { msn, duration, wall, discontinuity, init, gap } => {
                let mut segment = StoredSegment {
                    msn: *msn,
                    duration: *duration,
                    wall: *wall,
                    discontinuity: *discontinuity,
                    init: *init,
                    gap: *gap,
                    bytes: 0,
                    key: sealed.key,
                };
                if let Some(measured) = self.measured.get_mut(&kind) {
                    segment.bytes = std::mem::take(&mut measured.segment_bytes);
                    segment.bytes += sealed.share.as_ref().map_or(0, Bytes::len) as u64;
                    if !segment.gap {
                        measured.peak_bps = measured.peak_bps.max(bits_per_second(segment.bytes, segment.duration));
                    }
                }
                self.with_window(kind, |window| window.add_sealed(sealed));
                if let Some(rendition) = self.channel.rendition(kind) {
                    let numbered = Numbered { segment, discontinuity_sequence: *self.discontinuities(kind) };
                    self.archive.segment(self.plan.stream, &rendition, numbered);
                }
            }
            Body::SegmentStart { msn, discontinuity, .. } => {
                self.unused.next_msn = self.unused.next_msn.max(msn.saturating_add(1));
                if *discontinuity {
                    *self.discontinuities(kind) += 1;
                    let count = *self.discontinuities(kind);
                    self.unused.next_discontinuity = self.unused.next_discontinuity.max(count);
                }
                self.with_window(kind, |window| window.add_sealed(sealed));
            }
            Body::Begin { .. } if self.channel.rendition(kind).is_none() => {
                let mut window = self.window(kind);
                window.add_sealed(sealed);
                self.channel.set_rendition(Arc::new(Rendition::new(kind, window)));
            }
            Body::Begin { .. } | Body::End => self.with_window(kind, |window| window.add_sealed(sealed)),
        }
    }

    fn with_window(&self, kind: Kind, change: impl FnOnce(&mut Window)) {
        if let Some(rendition) = self.channel.rendition(kind) {
            change(&mut rendition.window());
        }
    }

    fn window(&self, kind: Kind) -> Window {
        let mut window = self.plan.window(kind);
        window.restore(Vec::new(), self.first_discontinuity, [], |_| None);
        window
    }

    /// How many discontinuities a rendition has had. Both have the same ones, but not at the same moment.
    fn discontinuities(&mut self, kind: Kind) -> &mut u64 {
        let first = self.first_discontinuity;
        self.discontinuities.entry(kind).or_insert(first)
    }

    /// Writes the multivariant playlist anew when there is something to say.
    fn advertise(&mut self) {
        if self.measured.is_empty() || self.measured.values().any(|measured| !measured.has_part) {
            return;
        }
        let peak: u64 = self.measured.values().map(|measured| measured.peak_bps).sum();
        // A tenth more or less changes no player's choice.
        if self.advertised_bps > 0 && peak <= self.advertised_bps + self.advertised_bps / 10 {
            return;
        }
        self.advertised_bps = peak;
        let renditions: Vec<_> = [Kind::Video, Kind::Audio]
            .into_iter()
            .filter_map(|kind| self.measured.get(&kind))
            .map(|measured| RenditionInfo {
                codec: measured.track.codec.clone(),
                peak_bps: measured.peak_bps,
                average_bps: measured.average_bps(),
                frame_rate: self.meter.frame_rate(),
            })
            .collect();
        let text = Text::new(hls::multivariant(&renditions, self.segmenter.independent_segments()));
        self.archive.multivariant(self.plan.stream, text.plain.clone());
        self.channel.set_multivariant(Some(text));
    }
}
