//! Cuts the frames of one broadcast into parts and segments.
//!
//! Sound and pictures go through one segmenter, so that segment numbers, discontinuities and dates align between their
//! renditions. Pictures lead: segments begin at keyframes, and sound is cut at the first packet at or after the first
//! picture. Without pictures, sound is cut by duration.
//!
//! # Time
//!
//! Source time stamps are moved onto one output timeline in 1/90000 s that begins at [`START`], never goes back and has
//! one fixed relation to the wall clock, taken from the first frames. While time stamps run on, the media clock rules;
//! when they jump, or the publisher comes back, the place of what follows is taken from the wall clock, so that the
//! timeline keeps step with the world over any hole. The hole itself is filled with gaps.
//!
//! # Bounds
//!
//! Sound that waits for pictures is held for [`STALL`] of media at most, a part has at most 32 MiB and 2,000 samples,
//! and at most [`GAP_MAX`] of gaps is written for one absence.
//!
//! # Source
//!
//! draft-pantos-hls-rfc8216bis-22 sections 4.4.3.1 (durations), 4.4.4.9 (parts), 6.2.1 (gaps, dates) and 6.2.4
//! (alignment of renditions). Deviation: a picture that lasts longer than the part target, which a publisher with a
//! variable frame rate can send, is announced with the part target's duration.

mod cadence;
mod lane;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Latency, Piece, TARGET_DURATION, Tracks};
use crate::codec::{Codec, opus};
use crate::container::mp4::{self, Sample};
use crate::frame::{Frame, Kind};
use crate::time::{Timescale, WallTime};
use lane::{Cut, HOLE, Lane, Sink};

const SECOND: i64 = 90_000;
/// Output time of a broadcast's first frame, in 1/90000 s. Not zero, so that a decode time before the first
/// presentation time is not negative.
const START: i64 = 10 * SECOND;
/// A time stamp further than this ahead of where it was expected is a jump.
const JUMP: i64 = SECOND;
/// Time stamps this little behind are an encoder's untidiness, and not a jump.
const BACKWARD: i64 = SECOND / 5;
/// When one track is this far behind the other, the missing time is written as gaps. Long enough for encoders that
/// interleave badly, short enough that players still have something buffered.
const STALL: i64 = 2 * SECOND;
/// How long to look for a second track when the caller does not say what to expect.
const DISCOVERY: Duration = Duration::from_secs(1);
/// Bounds on what is held during discovery and while sound waits for pictures.
const HELD_FRAMES_MAX: usize = 1_024;
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest absence that is written as gaps; of a longer one only the end is.
const GAP_MAX: i64 = 3_600 * SECOND;
/// A part may be this much longer than its target: time stamps are rounded, and the next frame would not make it in.
const ROUNDING: i64 = SECOND / 1_000;
/// Composition offsets beyond this are not believed.
const CTS_MAX: i64 = 5 * SECOND;
/// A segment may last this long before it must be cut without a keyframe: it still rounds to the target duration.
///
/// Not quite 4.5 s, because sound ends a packet later than pictures.
const SEGMENT_MAX: i64 = 4 * SECOND + SECOND / 5;
/// Sound is cut at the presentation time of a segment's first picture, but not later than this behind its decode time:
/// composition offsets that vary must not make a segment of sound longer than the target duration.
const BOUNDARY_CTS_MAX: i64 = 3 * SECOND / 20;

/// How a [`Segmenter`] works.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How long parts and segments are.
    pub latency: Latency,
    /// Which tracks will come. `None`: whatever comes within a second of the first frame.
    pub expect: Option<Tracks>,
    /// Where numbers begin, for a broadcast that is not the first at its address.
    pub first: First,
    /// Continue a broadcast that another segmenter began, after a restart of the process.
    pub resume: Option<Resume>,
}

/// The first numbers of a broadcast: above all that were ever used at the same address, because what has been served
/// under a number is cached under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct First {
    /// Media sequence number of the first segment.
    pub msn: u64,
    /// Number of the first initialization segment.
    pub init: u32,
}

/// Where an earlier segmenter of the same broadcast stopped.
///
/// The new one begins as if the publisher were away since `ended`: [`Segmenter::wake`] covers the hole with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The first segment number that is free.
    pub next_msn: u64,
    /// [`Segmenter::origin`] of the earlier one.
    pub origin: WallTime,
    /// When the last segment that is kept ended.
    pub ended: WallTime,
    /// PART-TARGET of the earlier one; `None` in [`Latency::Standard`].
    pub part_target: Option<Duration>,
    /// The initialization segment that the video rendition's last segment names, if there is that rendition.
    pub video_init: Option<u32>,
    /// The initialization segment that the audio rendition's last segment names, if there is that rendition.
    pub audio_init: Option<u32>,
}

/// What a segmenter did not use or could not keep to, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames before a keyframe at which decoding could start.
    pub before_keyframe: u64,
    /// Frames whose time was over already.
    pub too_late: u64,
    /// Frames of a track that appeared after the renditions were decided.
    pub late_track: u64,
    /// Jumps of time stamps.
    pub jumps: u64,
    /// Segments that had to begin without a keyframe, because the keyframe interval is too long.
    pub forced_cuts: u64,
}

#[derive(Debug)]
enum Phase {
    /// Frames are held until it is clear which tracks there are.
    Discovering {
        since: Option<WallTime>,
    },
    /// Frames become parts.
    Live,
    /// The publisher is gone.
    Away,
    /// The publisher is back, but nothing to start with has arrived.
    Returning {
        since: WallTime,
    },
    Ended,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Segmenter {
    latency: Latency,
    expect: Option<Tracks>,
    phase: Phase,
    /// Video first when there is video: the first lane leads.
    lanes: Vec<Lane>,
    sink: Sink,
    next_msn: u64,
    first_init: u32,
    /// Where the segment that is open begins, as its cut said, in 1/90000 s.
    segment_at: i64,
    /// While the publisher is away: the end of the gaps written so far.
    gap_at: i64,
    /// The last keyframe's position and the distance to the one before it.
    last_keyframe: Option<i64>,
    keyframe_interval: Option<i64>,
    /// Something changed that decoders must be told of at the next keyframe.
    discontinuity_due: bool,
    /// Frames in discovery; later, sound that waits for pictures, with its output time.
    held: VecDeque<(Frame, WallTime)>,
    held_bytes: usize,
    waiting: VecDeque<(Frame, i64)>,
    waiting_bytes: usize,
    /// Decode time of the last picture: sound before it can be placed.
    video_front: i64,
    counters: Counters,
}

impl Segmenter {
    /// A segmenter for one broadcast.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let announce_parts = config.latency.has_parts();
        let mut segmenter = Self {
            latency: config.latency,
            expect: config.expect,
            phase: Phase::Discovering { since: None },
            lanes: Vec::new(),
            sink: Sink { announce_parts, ..Sink::default() },
            next_msn: config.first.msn,
            first_init: config.first.init,
            segment_at: START,
            gap_at: START,
            last_keyframe: None,
            keyframe_interval: None,
            discontinuity_due: false,
            held: VecDeque::new(),
            held_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            video_front: START,
            counters: Counters::default(),
        };
        if !announce_parts {
            // Nobody sees these parts, so they need not fit the frame rate.
            segmenter.sink.part_target = Some(config.latency.part_nominal() + Duration::from_millis(1));
        }
        if let Some(resume) = config.resume {
            segmenter.resume(&resume);
        }
        segmenter
    }

    fn resume(&mut self, resume: &Resume) {
        self.next_msn = resume.next_msn;
        self.sink.origin = resume.origin;
        self.sink.origin_used = true;
        if self.sink.announce_parts {
            self.sink.part_target = Some(resume.part_target.unwrap_or(self.latency.part_nominal()));
        }
        let position = self.sink.position(resume.ended).max(START);
        for (kind, init) in [(Kind::Video, resume.video_init), (Kind::Audio, resume.audio_init)] {
            if let Some(init) = init {
                let mut lane = Lane::new(kind, position);
                lane.resume(init);
                self.lanes.push(lane);
            }
        }
        if !self.lanes.is_empty() {
            self.phase = Phase::Away;
            self.gap_at = position;
            self.cut(position, false);
            self.apply_all_cuts();
        }
    }

    /// The wall time that output time zero of the broadcast stands for, to be kept for [`Resume`]. `None` before the
    /// first part.
    #[must_use]
    pub fn origin(&self) -> Option<WallTime> {
        self.sink.origin_used.then_some(self.sink.origin)
    }

    /// PART-TARGET, in whole milliseconds; `None` before the first part and in [`Latency::Standard`].
    #[must_use]
    pub fn part_target(&self) -> Option<Duration> {
        if self.sink.announce_parts { self.sink.part_target } else { None }
    }

    /// The renditions, once they are decided.
    #[must_use]
    pub fn tracks(&self) -> Option<Tracks> {
        let has = |kind| self.lanes.iter().any(|lane| lane.kind == kind);
        (!self.lanes.is_empty()).then(|| Tracks { video: has(Kind::Video), audio: has(Kind::Audio) })
    }

    /// The distance between the last two keyframes.
    #[must_use]
    pub fn keyframe_interval(&self) -> Option<Duration> {
        self.keyframe_interval.map(|ticks| Timescale::VIDEO.duration(ticks))
    }

    /// Whether every segment so far could be decoded by itself.
    #[must_use]
    pub fn independent_segments(&self) -> bool {
        self.counters.forced_cuts == 0
    }

    /// What was not used.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The next piece, or `None` when more frames are needed.
    pub fn poll(&mut self) -> Option<Piece> {
        self.sink.out.pop_front()
    }

    /// Takes a frame that arrived at `wall`.
    ///
    /// `wall` should follow a clock that is not set back while the broadcast runs. It places the beginning, what
    /// follows a jump and what follows an absence; between those, time stamps rule.
    pub fn push(&mut self, frame: Frame, wall: WallTime) {
        match self.phase {
            Phase::Discovering { .. } => self.discover(frame, wall),
            Phase::Live => self.accept(frame, wall),
            Phase::Away => {
                self.phase = Phase::Returning { since: wall };
                for lane in &mut self.lanes {
                    lane.wait_key = lane.kind == Kind::Video;
                }
                self.come_back(frame, wall);
            }
            Phase::Returning { .. } => self.come_back(frame, wall),
            Phase::Ended => self.counters.too_late += 1,
        }
    }

    /// The publisher is gone: what is open is closed, and from here on gaps are due (see [`wake`](Self::wake)).
    pub fn away(&mut self) {
        match self.phase {
            Phase::Discovering { .. } => {
                if self.has_start() {
                    self.start();
                    self.away();
                } else {
                    self.held.clear();
                    self.held_bytes = 0;
                    self.phase = Phase::Discovering { since: None };
                }
            }
            Phase::Live => {
                self.settle();
                let end = self.level();
                self.cut(end, false);
                self.apply_all_cuts();
                self.gap_at = end;
                self.phase = Phase::Away;
            }
            Phase::Returning { .. } => self.phase = Phase::Away,
            Phase::Away | Phase::Ended => {}
        }
    }

    /// When the next gap is due; `None` while the publisher is there.
    #[must_use]
    pub fn next_wake(&self) -> Option<WallTime> {
        match self.phase {
            Phase::Away | Phase::Returning { .. } => {
                // Rounded up: a gap is due when its time is over.
                Some(self.sink.wall(self.gap_at + self.gap_step() + 89))
            }
            Phase::Discovering { .. } | Phase::Live | Phase::Ended => None,
        }
    }

    /// While the publisher is away: writes the gaps that are due at `wall`.
    pub fn wake(&mut self, wall: WallTime) {
        if matches!(self.phase, Phase::Away | Phase::Returning { .. }) {
            self.skip_to_last(wall);
            self.fill_gaps(self.sink.position(wall));
        }
    }

    /// Nothing follows: what is open is closed.
    pub fn end(&mut self) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if matches!(self.phase, Phase::Discovering { .. }) && self.has_start() {
            self.start();
        }
        self.settle();
        let fresh = self.lanes.iter().all(Lane::is_fresh);
        let end = if fresh { START } else { self.level() };
        for lane in &mut self.lanes {
            lane.apply_cuts(i64::MAX, &mut self.sink);
            if !fresh {
                lane.finish_segment(end, &mut self.sink);
            }
            lane.finish(&mut self.sink);
        }
        self.phase = Phase::Ended;
    }

    // ---- discovery

    fn discover(&mut self, frame: Frame, wall: WallTime) {
        let Phase::Discovering { since } = &mut self.phase else { return };
        let first = *since.get_or_insert(wall);
        self.held_bytes += frame.payload.len();
        let kind = frame.track.kind();
        let has_keyframe = self.held.iter().any(|(held, _)| held.track.kind() == Kind::Video);
        if kind == Kind::Video && !frame.keyframe && !has_keyframe {
            // Nothing can be shown before a keyframe, so it is not held; but it says that there is video.
            self.held_bytes -= frame.payload.len();
            self.counters.before_keyframe += 1;
            if self.expect.is_none() {
                let audio = self.held.iter().any(|(held, _)| held.track.kind() == Kind::Audio);
                self.expect = Some(Tracks { video: true, audio });
            }
            return;
        }
        self.held.push_back((frame, wall));
        let seen = |wanted| self.held.iter().any(|(held, _)| held.track.kind() == wanted);
        let (video, audio) = (seen(Kind::Video), seen(Kind::Audio));
        let expected = self.expect.unwrap_or(Tracks { video: true, audio: true });
        let complete = (video || !expected.video) && (audio || !expected.audio);
        // A keyframe is waited for longer than a second when there is video: without it there is nothing to start with.
        let waited = wall.since(first) >= DISCOVERY && (video || !self.expect.is_some_and(|tracks| tracks.video));
        let full = self.held.len() >= HELD_FRAMES_MAX || self.held_bytes >= HELD_BYTES_MAX;
        if complete || waited || (full && video) {
            self.start();
        } else if full {
            while self.held.len() > HELD_FRAMES_MAX / 2 || self.held_bytes > HELD_BYTES_MAX / 2 {
                let Some((dropped, _)) = self.held.pop_front() else { break };
                self.held_bytes -= dropped.payload.len();
                self.counters.before_keyframe += 1;
            }
        }
    }

    fn has_start(&self) -> bool {
        let video_expected = self.expect.is_some_and(|tracks| tracks.video);
        self.held.iter().any(|(frame, _)| frame.track.kind() == Kind::Video || !video_expected)
    }

    /// Decides the renditions and takes what was held.
    fn start(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        for kind in [Kind::Video, Kind::Audio] {
            let wanted = self.expect.is_none_or(|tracks| tracks.has(kind));
            if wanted && held.iter().any(|(frame, _)| frame.track.kind() == kind) {
                let mut lane = Lane::new(kind, START);
                if let Some(last) = self.first_init.checked_sub(1) {
                    lane.resume(last);
                }
                self.lanes.push(lane);
            }
        }
        let Some(leader) = self.lanes.first().map(|lane| lane.kind) else { return };
        let Some(place) = held.iter().position(|(frame, _)| frame.track.kind() == leader) else { return };
        let (dts, cts) = source_times(&held[place].0);
        let offset = START - boundary(dts, cts);
        for lane in &mut self.lanes {
            lane.offset = offset;
            if lane.kind == leader {
                lane.begin_at(dts + offset);
            }
        }
        // Better founded by every frame that follows, until the first part is handed out.
        self.sink.origin = held[place].1;
        self.phase = Phase::Live;
        self.cut(START, false);
        for lane in &mut self.lanes {
            lane.apply_cuts(START, &mut self.sink);
            lane.not_before = START;
        }
        for (index, (frame, wall)) in held.into_iter().enumerate() {
            // What came before the first picture belongs to a time before it, or to a clock that was set since.
            if index < place && !(START..START + JUMP).contains(&(source_times(&frame).0 + offset)) {
                self.counters.too_late += 1;
                continue;
            }
            self.accept(frame, wall);
        }
    }

    // ---- coming back

    fn come_back(&mut self, frame: Frame, wall: WallTime) {
        let Phase::Returning { since } = self.phase else { return };
        let kind = frame.track.kind();
        let Some(leader) = self.lanes.first().map(|lane| lane.kind) else { return };
        // Someone may come back without a camera: after a second, sound alone is enough.
        let patient = kind != leader && wall.since(since) < DISCOVERY;
        if !self.lanes.iter().any(|lane| lane.kind == kind) {
            self.counters.late_track += 1;
            return;
        }
        if patient || (kind == Kind::Video && !frame.keyframe) {
            self.counters.before_keyframe += 1;
            return;
        }
        self.skip_to_last(wall);
        let now = self.sink.position(wall);
        self.fill_gaps_exactly(now);
        self.begin_anew(&frame, self.gap_at);
        self.phase = Phase::Live;
        self.accept(frame, wall);
    }

    /// The next segment begins with `frame`, decoded at output time `at`, after a discontinuity.
    fn begin_anew(&mut self, frame: &Frame, at: i64) {
        let (dts, cts) = source_times(frame);
        let is_video = frame.track.kind() == Kind::Video;
        for lane in &mut self.lanes {
            lane.offset = at - dts;
            lane.expected = None;
            lane.absent = lane.kind == Kind::Video && !is_video;
            lane.cadence = cadence::Cadence::new(lane.track.as_ref().and_then(|track| track.codec.frame_rate()));
        }
        self.last_keyframe = None;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.video_front = at;
        self.cut(boundary(at, cts), true);
        self.apply_all_cuts();
    }

    // ---- gaps

    /// How long the next gap is: a part, or what is left of the segment.
    fn gap_step(&self) -> i64 {
        let part = self.part_ticks();
        let left = self.segment_at + Timescale::VIDEO.ticks(TARGET_DURATION) - self.gap_at;
        if left > 0 { left.min(part) } else { part }
    }

    /// Writes the gaps that are over at `until`.
    fn fill_gaps(&mut self, until: i64) {
        while self.gap_at + self.gap_step() <= until {
            self.gap(self.gap_at + self.gap_step());
        }
    }

    /// Writes gaps up to `until`, the last of them as short as it must be.
    fn fill_gaps_exactly(&mut self, until: i64) {
        self.fill_gaps(until);
        if self.gap_at < until {
            self.gap(until);
        }
    }

    /// Fills all lanes with gaps up to `until`, at most [`gap_step`](Self::gap_step) further than `gap_at`.
    fn gap(&mut self, until: i64) {
        self.fix_part_target();
        if self.gap_at - self.segment_at >= Timescale::VIDEO.ticks(TARGET_DURATION) {
            self.cut(self.gap_at, false);
            self.apply_all_cuts();
        }
        for lane in &mut self.lanes {
            lane.fill_through(until, &mut self.sink);
        }
        self.gap_at = until;
        if until - self.segment_at >= Timescale::VIDEO.ticks(TARGET_DURATION) {
            self.cut(until, false);
            self.apply_all_cuts();
        }
    }

    /// Skips all but the last [`GAP_MAX`] before `wall`: a machine that slept for a week must not write a week.
    fn skip_to_last(&mut self, wall: WallTime) {
        let from = self.sink.position(wall).saturating_sub(GAP_MAX);
        if self.gap_at < from {
            // The dates of what follows stay right, because the origin moves by what was left out.
            let skipped_ms = (from - self.gap_at).div_euclid(90);
            self.sink.origin = WallTime(self.sink.origin.0.saturating_add(skipped_ms));
            self.cut(self.gap_at, true);
            self.apply_all_cuts();
        }
    }

    /// Brings all lanes to the end of the longest, and returns that end.
    ///
    /// A difference of a few frames is not worth a gap: the last frame just lasts a little longer.
    fn level(&mut self) -> i64 {
        let end = self.lanes.iter().map(Lane::end).max().unwrap_or(START);
        if self.lanes.len() == 2 && end - self.lanes[0].end() > HOLE {
            self.write_missing_pictures(end);
        }
        for lane in &mut self.lanes {
            if end - lane.end() > SECOND / 10 {
                lane.fill_through(end, &mut self.sink);
            } else {
                lane.stretch(end);
            }
        }
        end
    }

    // ---- frames

    fn accept(&mut self, frame: Frame, wall: WallTime) {
        let kind = frame.track.kind();
        let Some(index) = self.lanes.iter().position(|lane| lane.kind == kind) else {
            self.counters.late_track += 1;
            return;
        };
        let (dts, cts) = source_times(&frame);
        if self.lanes[index].wait_key && !frame.keyframe {
            self.counters.before_keyframe += 1;
            return;
        }
        let lane = &self.lanes[index];
        let jumped = match lane.expected {
            Some(expected) => dts < expected - BACKWARD || dts > expected + JUMP,
            // The first of a track that follows the other must fit what that one is at.
            None if index > 0 => (dts + lane.offset - self.video_front).abs() > STALL,
            None => lane.absent && (dts + lane.offset - self.lanes[1].end()).abs() > STALL,
        };
        if jumped {
            self.counters.jumps += u64::from(!self.lanes[index].wait_key);
            if kind == Kind::Video && !frame.keyframe {
                // Decoders lose their place here anyway; they start again at the next keyframe.
                self.lanes[index].wait_key = true;
                self.counters.before_keyframe += 1;
                return;
            }
            self.relocate(index, &frame, wall);
        }
        if !self.sink.origin_used {
            // Frames can come in a burst at the beginning; the one that came earliest for its time is the truest.
            let position = dts + cts + self.lanes[index].offset;
            let origin = wall.0.saturating_sub((position - START).div_euclid(90));
            self.sink.origin = self.sink.origin.min(WallTime(origin));
        }
        let lane = &mut self.lanes[index];
        lane.wait_key = false;
        let at = dts.saturating_add(lane.offset);
        match kind {
            Kind::Video => {
                let interval = lane.cadence.interval().unwrap_or(0);
                lane.expected = Some(dts + interval.min(2 * SECOND));
                self.picture(&frame, at, i32::try_from(cts).unwrap_or(0));
                self.video_front = self.video_front.max(at);
                self.release_sound();
            }
            Kind::Audio => {
                let scale = mp4::timescale(&frame.track.codec);
                lane.expected = Some(dts + scale.rescale(i64::from(packet_length(&frame)), Timescale::VIDEO));
                self.waiting_bytes += frame.payload.len();
                self.waiting.push_back((frame, at));
                self.release_sound();
            }
        }
        self.mind_stalls();
    }

    /// Finds the place of a track after its time stamps jumped.
    fn relocate(&mut self, index: usize, frame: &Frame, wall: WallTime) {
        let (dts, cts) = source_times(frame);
        let end = self.lanes[index].end();
        // A wall clock that was set far ahead at the same moment is not followed further than gaps can be written.
        let furthest = self.lanes.iter().map(Lane::end).max().unwrap_or(end);
        let now = self.sink.position(wall).min(furthest + GAP_MAX);
        // The track's own offset still holds when frames were lost; the other track's when both clocks were set.
        let own = self.lanes[index].offset;
        let other = self.lanes.iter().find(|lane| lane.kind != frame.track.kind()).map(|lane| lane.offset);
        let fits = |offset: i64| {
            let at = dts.saturating_add(offset);
            at >= end - BACKWARD && (at - now).abs() <= JUMP + STALL / 2
        };
        let kept = [Some(own), other].into_iter().flatten().find(|&offset| fits(offset));
        let offset = kept.unwrap_or_else(|| now.max(end) - dts);
        if index == 0 {
            let at = (dts + offset).max(end);
            // The other lane may already be past this point; both continue from the later one.
            let until = at.min(end + GAP_MAX);
            self.settle();
            self.gap_at = self.lanes.iter().map(Lane::end).min().unwrap_or(until);
            self.fill_gaps_exactly(until);
            let lane = &mut self.lanes[0];
            lane.offset = offset;
            lane.expected = None;
            lane.absent = false;
            self.last_keyframe = None;
            self.cut(boundary(at, cts), true);
            self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
        } else {
            self.lanes[index].offset = offset;
            // The leader jumped a moment ago and this track follows it: that discontinuity covers both.
            let follows = kept.is_some() && self.lanes[index].has_discontinuity_after(end - STALL);
            self.discontinuity_due |= !follows;
        }
    }

    fn picture(&mut self, frame: &Frame, dts: i64, cts: i32) {
        if self.lanes[0].absent {
            if !frame.keyframe {
                self.counters.before_keyframe += 1;
                return;
            }
            if dts < self.lanes[0].end() {
                self.counters.too_late += 1;
                return;
            }
            self.write_missing_pictures(dts);
            let lane = &mut self.lanes[0];
            lane.fill(dts, &mut self.sink);
            lane.absent = false;
            lane.cadence = cadence::Cadence::new(frame.track.codec.frame_rate());
            self.discontinuity_due = false;
            self.last_keyframe = None;
            self.cut(boundary(dts, i64::from(cts)), true);
            self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
        }
        let changed = self.lanes[0].track.as_ref().is_none_or(|track| !Arc::ptr_eq(track, &frame.track));
        if changed && !self.change_leading_track(frame, dts) {
            return;
        }
        let lane = &mut self.lanes[0];
        let interval = lane.cadence.interval().unwrap_or(SECOND / 30);
        let tolerance = interval / 2;
        // Where the frame begins. The previous part may have been closed on a prediction that was off by a rounding;
        // beginning exactly at its end takes that back, and the end of this frame follows its successor's time stamp.
        let start = if lane.last_is_open() {
            lane.cadence.observe((dts - lane.position()).max(1));
            dts.max(lane.position() + 1)
        } else {
            let end = lane.position();
            if let Some(predicted) = lane.cadence.interval()
                && !lane.is_untouched()
            {
                lane.cadence.observe((dts - end + predicted).max(1));
            }
            if (dts - end).abs() <= tolerance { end } else { dts.max(end) }
        };
        // Should the last picture have stayed for so long that the segment would be too long, what is left of its time
        // is the beginning of the next segment, and a gap.
        let latest = lane.segment_start().map_or(start, |begun| begun + SEGMENT_MAX).max(lane.position() + 1);
        lane.settle_last(start.min(latest));
        if start > latest {
            self.fix_part_target();
            self.counters.forced_cuts += 1;
            self.cut(latest, false);
            self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
            self.lanes[0].fill(start, &mut self.sink);
        }
        let lane = &mut self.lanes[0];
        let interval = lane.cadence.interval().unwrap_or(SECOND / 30);
        if self.ends_segment(frame.keyframe, start, interval) {
            let discontinuity = std::mem::take(&mut self.discontinuity_due);
            self.cut(boundary(start, i64::from(cts)), discontinuity);
            self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
        }
        if self.sink.part_target.is_none() {
            let gathered = start - self.lanes[0].part_start();
            let nominal = Timescale::VIDEO.ticks(self.latency.part_nominal());
            let measured = self.lanes[0].cadence.observed() >= 4 && gathered >= nominal / 2;
            if !self.lanes[0].part_is_empty() && (measured || gathered + interval >= nominal) {
                self.fix_part_target();
            }
        }
        let target_known = self.sink.part_target.is_some();
        let lane = &mut self.lanes[0];
        let part_ticks = lane.part_ticks(&self.sink);
        if !lane.part_is_empty() && target_known {
            let gathered = start - lane.part_start();
            // A keyframe begins a part when the part before it is long enough to stand (L3).
            let early = frame.keyframe && gathered * 100 >= part_ticks * 85;
            if gathered + interval > part_ticks + ROUNDING || early || lane.part_is_full() {
                lane.close_part(&mut self.sink);
            }
        }
        lane.add(start, Sample { duration: 0, cts, keyframe: frame.keyframe, payload: frame.payload.clone() });
        // With a steady rhythm the part's end is known now, a frame before the next picture arrives.
        if let Some(steady) = lane.cadence.steady()
            && target_known
            && start + 2 * steady - lane.part_start() > part_ticks + ROUNDING
        {
            lane.settle_last(start + steady);
            lane.close_part(&mut self.sink);
        }
    }

    /// Handles another `Arc` in the leading lane. `false`: the frame cannot be used.
    fn change_leading_track(&mut self, frame: &Frame, dts: i64) -> bool {
        let lane = &mut self.lanes[0];
        match &lane.track {
            Some(track) if **track == *frame.track => lane.track = Some(frame.track.clone()),
            _ if !frame.keyframe => {
                self.counters.before_keyframe += 1;
                return false;
            }
            _ if !lane.is_fresh() => {
                let (_, cts) = source_times(frame);
                lane.settle_last(dts);
                let at = dts.max(lane.end());
                lane.next_track = Some(frame.track.clone());
                self.fix_part_target();
                self.last_keyframe = None;
                self.discontinuity_due = false;
                self.cut(boundary(at, cts), true);
                self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
            }
            _ => lane.set_track(frame.track.clone()),
        }
        true
    }

    /// Whether a picture that begins at `start` begins a new segment.
    fn ends_segment(&mut self, keyframe: bool, start: i64, interval: i64) -> bool {
        let begun = self.lanes[0].segment_start().unwrap_or(start);
        let elapsed = start - begun;
        if keyframe {
            if let Some(last) = self.last_keyframe {
                self.keyframe_interval = Some(start - last);
            }
            self.last_keyframe = Some(start);
        }
        if elapsed <= 0 {
            return false;
        }
        if keyframe {
            let nominal = Timescale::VIDEO.ticks(self.latency.segment_nominal());
            // Waiting for the next keyframe would make the segment too long.
            let next_too_late = self.keyframe_interval.is_some_and(|gop| elapsed + gop > SEGMENT_MAX);
            return self.discontinuity_due || elapsed + interval / 2 >= nominal || next_too_late;
        }
        // Past the target, only a keyframe that is about to come is waited for.
        let about_to_come = match (self.last_keyframe, self.keyframe_interval) {
            (Some(last), Some(gop)) => last + gop <= begun + SEGMENT_MAX && start <= last + gop,
            _ => true,
        };
        let limit = if about_to_come { SEGMENT_MAX } else { Timescale::VIDEO.ticks(TARGET_DURATION) };
        let forced = elapsed + interval > limit;
        self.counters.forced_cuts += u64::from(forced);
        forced
    }

    /// Places the sound that pictures have caught up with.
    fn release_sound(&mut self) {
        let leads = self.lanes.first().is_some_and(|lane| lane.kind == Kind::Audio);
        let index = self.lanes.len().saturating_sub(1);
        while let Some((_, at)) = self.waiting.front() {
            if !leads
                && *at >= self.video_front
                && self.waiting.len() < HELD_FRAMES_MAX
                && self.waiting_bytes < HELD_BYTES_MAX
            {
                break;
            }
            let Some((frame, at)) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= frame.payload.len();
            self.sound(index, &frame, at);
        }
    }

    fn sound(&mut self, index: usize, frame: &Frame, at: i64) {
        let length = i64::from(packet_length(frame));
        let changed = self.lanes[index].track.as_ref().is_none_or(|track| !Arc::ptr_eq(track, &frame.track));
        if changed && !self.change_sound_track(index, frame, at) {
            return;
        }
        let lane = &mut self.lanes[index];
        // The frame fits the parameters that hold, so a change that was announced has been taken back.
        lane.next_track = None;
        let claimed = Timescale::VIDEO.rescale(at, lane.scale);
        let end = lane.position();
        // Packets follow each other on the sample grid. Time stamps in milliseconds jitter around it; only when they
        // have drifted by two packets is the grid moved.
        let off_grid = claimed - end;
        let start = if off_grid.abs() <= 2 * length && !lane.is_untouched() { end } else { claimed.max(end) };
        let start_common = lane.scale.rescale(start, Timescale::VIDEO);
        if off_grid < -2 * length || start_common < lane.not_before {
            self.counters.too_late += 1;
            return;
        }
        if index > 0 && start_common - lane.end() > HOLE {
            // Written as gaps, so that segments begin at the same time in both renditions.
            self.write_missing_sound(start_common);
        }
        let lane = &mut self.lanes[index];
        if index == 0 {
            let begun = lane.segment_start().unwrap_or(start);
            let nominal = lane.scale.ticks(self.latency.segment_nominal());
            let long_enough = start > begun && start + length - begun > nominal;
            if long_enough || (self.discontinuity_due && start > begun) {
                let discontinuity = std::mem::take(&mut self.discontinuity_due);
                self.cut(start_common, discontinuity);
            }
            self.fix_part_target();
        }
        let target_known = self.sink.part_target.is_some();
        let lane = &mut self.lanes[index];
        lane.apply_cuts(start_common, &mut self.sink);
        let part_ticks = lane.part_ticks(&self.sink);
        if !lane.part_is_empty() && target_known {
            let full = start + length - lane.part_start() > part_ticks || lane.part_is_full();
            if full || start != lane.position() {
                lane.close_part(&mut self.sink);
            }
        }
        let duration = u32::try_from(length).unwrap_or(u32::MAX);
        lane.add(start, Sample { duration, cts: 0, keyframe: true, payload: frame.payload.clone() });
        if target_known && start + 2 * length - lane.part_start() > part_ticks {
            lane.close_part(&mut self.sink);
        }
    }

    /// Handles another `Arc` in the audio lane. `false`: the frame cannot be used.
    fn change_sound_track(&mut self, index: usize, frame: &Frame, at: i64) -> bool {
        let lane = &mut self.lanes[index];
        match &lane.track {
            Some(track) if **track == *frame.track => lane.track = Some(frame.track.clone()),
            _ if lane.is_fresh() => lane.set_track(frame.track.clone()),
            _ if index == 0 => {
                lane.next_track = Some(frame.track.clone());
                let end = lane.end();
                self.cut(at.max(end), true);
                self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
            }
            _ => {
                // The new parameters hold from the next segment on, which begins at the next keyframe.
                if lane.next_track.as_ref().is_none_or(|next| !Arc::ptr_eq(next, &frame.track)) {
                    lane.next_track = Some(frame.track.clone());
                    self.discontinuity_due = true;
                }
                lane.apply_cuts(at, &mut self.sink);
                if lane.next_track.is_some() {
                    self.counters.too_late += 1;
                    return false;
                }
            }
        }
        true
    }

    /// When one of two tracks stopped, its missing time is written as gaps, so that its playlist keeps growing.
    fn mind_stalls(&mut self) {
        if self.lanes.len() < 2 {
            return;
        }
        let (pictures, sound) = self.fronts();
        if sound.saturating_sub(pictures) > STALL {
            self.lanes[0].absent = true;
            self.write_missing_pictures(sound - STALL);
            self.release_sound();
        } else if pictures.saturating_sub(sound) > STALL {
            // Whole parts only: there is no hurry, and sound may still come back.
            let missing = pictures - STALL - self.lanes[1].end();
            let part = self.part_ticks();
            self.write_missing_sound(self.lanes[1].end() + missing.max(0) / part * part);
        }
    }

    /// How far pictures and sound have come.
    fn fronts(&self) -> (i64, i64) {
        let pictures = if self.lanes[0].absent { self.lanes[0].end() } else { self.video_front };
        let sound = self.waiting.back().map_or(i64::MIN, |(_, at)| *at).max(self.lanes[1].end());
        (pictures, sound)
    }

    /// Gaps instead of pictures up to `until`. Segments go on without keyframes.
    fn write_missing_pictures(&mut self, until: i64) {
        self.fix_part_target();
        let part = self.part_ticks();
        let nominal = Timescale::VIDEO.ticks(self.latency.segment_nominal());
        self.lanes[0].close_part(&mut self.sink);
        loop {
            let left = self.segment_at + nominal - self.lanes[0].end();
            if left <= 0 {
                self.cut(self.lanes[0].end(), false);
                self.lanes[0].apply_cuts(i64::MAX, &mut self.sink);
                continue;
            }
            let end = self.lanes[0].end() + left.min(part);
            if end > until {
                break;
            }
            self.lanes[0].fill(end, &mut self.sink);
        }
        self.video_front = self.video_front.max(until);
    }

    /// Gaps instead of sound up to `until`, cut where pictures were.
    fn write_missing_sound(&mut self, until: i64) {
        self.fix_part_target();
        self.lanes[1].fill_through(until, &mut self.sink);
    }

    /// The part target, or what it is meant to be while it is not fixed.
    fn part_ticks(&self) -> i64 {
        Timescale::VIDEO.ticks(self.sink.part_target.unwrap_or(self.latency.part_nominal())).max(1)
    }

    // ---- shared steps

    /// Everything gathered or waiting is handed out.
    fn settle(&mut self) {
        self.fix_part_target();
        if self.lanes.len() == 2 {
            // A track that stopped a while ago is brought near the other first, so that the segment does not become
            // longer than the target duration by what the other sent alone.
            let (pictures, sound) = self.fronts();
            if sound.saturating_sub(pictures) > HOLE {
                self.write_missing_pictures(sound);
            }
        }
        let front = std::mem::replace(&mut self.video_front, i64::MAX);
        self.release_sound();
        self.video_front = front;
        for lane in &mut self.lanes {
            lane.close_part(&mut self.sink);
        }
        if self.lanes.len() == 2 {
            let (pictures, sound) = (self.lanes[0].end(), self.lanes[1].end());
            if pictures.saturating_sub(sound) > HOLE {
                self.write_missing_sound(pictures);
            }
        }
    }

    /// The next segment begins at `at` in every lane. Lanes take note when they get there.
    fn cut(&mut self, at: i64, discontinuity: bool) {
        self.segment_at = at;
        let fresh = self.lanes.iter().all(|lane| lane.is_fresh() && lane.has_segment());
        if fresh {
            // Nobody has seen the segment that is open: it begins here instead.
            let cut = Cut { msn: self.next_msn.saturating_sub(1), at, discontinuity };
            for lane in &mut self.lanes {
                lane.restart_segment(cut);
            }
            return;
        }
        let cut = Cut { msn: self.next_msn, at, discontinuity };
        self.next_msn += 1;
        for lane in &mut self.lanes {
            lane.schedule(cut);
        }
    }

    fn apply_all_cuts(&mut self) {
        for lane in &mut self.lanes {
            lane.apply_cuts(i64::MAX, &mut self.sink);
        }
    }

    /// Chooses the part target if that has not been done, by what is known of both tracks.
    fn fix_part_target(&mut self) {
        if self.sink.part_target.is_some() {
            return;
        }
        let mut intervals = [None; 2];
        for (interval, lane) in intervals.iter_mut().zip(&self.lanes) {
            *interval = match lane.kind {
                Kind::Video => Some(nanos(lane.cadence.interval().unwrap_or(SECOND / 30), Timescale::VIDEO)),
                Kind::Audio => {
                    lane.track.as_ref().or_else(|| self.waiting.front().map(|(frame, _)| &frame.track)).map(|track| {
                        nanos(i64::from(typical_packet_length(&track.codec)), mp4::timescale(&track.codec))
                    })
                }
            };
        }
        self.sink.part_target = Some(part_target(self.latency.part_nominal(), &intervals));
    }
}

/// Decode time and composition offset of a frame in 1/90000 s of source time.
fn source_times(frame: &Frame) -> (i64, i64) {
    // Bounded so that sums of a few of them cannot overflow, whatever a demuxer made of its input.
    const FAR: i64 = i64::MAX / 16;
    let scale = frame.track.timescale;
    let dts = scale.rescale(frame.dts, Timescale::VIDEO).clamp(-FAR, FAR);
    let cts = match frame.track.kind() {
        Kind::Video => scale.rescale(i64::from(frame.cts), Timescale::VIDEO).clamp(-SECOND, CTS_MAX),
        Kind::Audio => 0,
    };
    (dts, cts)
}

/// Where sound is cut for a segment whose first picture is decoded at `dts` and shown `cts` later.
fn boundary(dts: i64, cts: i64) -> i64 {
    dts + cts.clamp(0, BOUNDARY_CTS_MAX)
}

/// Samples in a packet of sound, at the rate of its MP4 scale.
fn packet_length(frame: &Frame) -> u32 {
    match &frame.track.codec {
        Codec::Opus(_) => opus::packet_samples(&frame.payload).unwrap_or(960),
        codec => typical_packet_length(codec),
    }
}

fn typical_packet_length(codec: &Codec) -> u32 {
    match codec {
        Codec::Aac(config) => config.samples_per_frame,
        _ => 960,
    }
}

fn nanos(ticks: i64, scale: Timescale) -> u64 {
    // Rounded up, so that a whole number of frames is not a nanosecond too short.
    u64::try_from(scale.duration(ticks).as_nanos() + 1).unwrap_or(u64::MAX)
}

/// The part target for tracks whose frames last `intervals` nanoseconds: near `nominal`, a whole number of frames of
/// one track, and such that every track fills at least 85 % of it with whole frames (L3).
///
/// One millisecond is added because time stamps are rounded to milliseconds.
fn part_target(nominal: Duration, intervals: &[Option<u64>]) -> Duration {
    let nominal_ns = u64::try_from(nominal.as_nanos()).unwrap_or(u64::MAX);
    let announced = |length_ns: u64| length_ns / 1_000_000 + 1;
    let fits = |length_ns: u64| {
        let target_ns = announced(length_ns) * 1_000_000;
        intervals.iter().flatten().all(|&interval| {
            let filled = target_ns / interval.max(1) * interval;
            filled * 100 >= target_ns * 85
        })
    };
    let candidates = intervals.iter().flatten().filter(|&&interval| interval > 0).flat_map(|&interval| {
        let most = (2 * nominal_ns / interval).clamp(1, 1_000);
        (1..=most).map(move |count| count * interval)
    });
    let distance = |length: &u64| length.abs_diff(nominal_ns);
    let best = candidates.clone().filter(|&length| length >= nominal_ns / 2 && fits(length)).min_by_key(distance);
    let length = best.or_else(|| candidates.min_by_key(distance)).unwrap_or(nominal_ns);
    Duration::from_millis(announced(length))
}

#[cfg(test)]
mod tests;
