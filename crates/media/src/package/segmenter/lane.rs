//! One rendition's side of the segmenter: samples gather into parts, parts into segments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cadence::Cadence;
use super::{Piece, START};
use crate::container::mp4::{self, Sample};
use crate::frame::{Kind, Track};
use crate::package::Body;
use crate::time::{Timescale, WallTime};

/// A part is closed early beyond this many bytes or samples, so that a publisher cannot make it grow without end by
/// sending time stamps that stand still.
const PART_BYTES_MAX: usize = 32 * 1024 * 1024;
const PART_SAMPLES_MAX: usize = 2_000;

/// Missing sound shorter than this (in 1/90000 s) is left as it is; longer holes are written as gaps.
pub(super) const HOLE: i64 = 90_000 / 5;

/// Where pieces go, and what every lane must know to make them.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) out: VecDeque<Piece>,
    /// How long a part may be; unknown until the first part.
    pub(super) part_target: Option<Duration>,
    /// Whether playlists list parts.
    pub(super) announce_parts: bool,
    /// The wall time of [`START`]; unknown until the first frame.
    pub(super) origin: WallTime,
    /// A date has been handed out: the origin may not move any more.
    pub(super) origin_used: bool,
}

impl Sink {
    pub(super) fn wall(&self, position: i64) -> WallTime {
        WallTime(self.origin.0.saturating_add(position.saturating_sub(START).div_euclid(90)))
    }

    pub(super) fn position(&self, wall: WallTime) -> i64 {
        START.saturating_add(wall.0.saturating_sub(self.origin.0).saturating_mul(90))
    }

    fn push(&mut self, rendition: Kind, body: Body) {
        self.out.push_back(Piece { rendition, body });
    }
}

/// Where a segment begins, as decided by the lane that leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) msn: u64,
    /// Presentation time of the segment's first frame, in 1/90000 s.
    pub(super) at: i64,
    pub(super) discontinuity: bool,
}

#[derive(Debug)]
struct Open {
    msn: u64,
    discontinuity: bool,
    /// Where its first part begins, and the date of that; unknown until then.
    announced: Option<(i64, WallTime)>,
    parts: u32,
    has_media: bool,
}

#[derive(Debug, Default)]
struct Building {
    start: i64,
    /// Presentation time of the first sample.
    first_pts: i64,
    samples: Vec<Sample>,
    bytes: usize,
    independent: bool,
}

/// The state of one rendition. All positions without further word are in ticks of `scale`.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) kind: Kind,
    pub(super) track: Option<Arc<Track>>,
    /// Takes effect at the next cut.
    pub(super) next_track: Option<Arc<Track>>,
    pub(super) scale: Timescale,
    pub(super) cadence: Cadence,
    /// What to add to a source time in 1/90000 s to get a time of the output.
    pub(super) offset: i64,
    /// The source time at which the next frame is expected, in 1/90000 s.
    pub(super) expected: Option<i64>,
    /// Frames of the source before a keyframe are of no use.
    pub(super) wait_key: bool,
    /// No frame came for so long that gaps are written in its place.
    pub(super) absent: bool,
    /// Frames that begin before this output time (1/90000 s) belong to a time that is over.
    pub(super) not_before: i64,
    /// The end of what has been placed, or, while `last_open`, the start of the last sample.
    position: i64,
    /// Something has been placed, so that `position` is more than a guess.
    touched: bool,
    /// The last sample's duration is not known yet.
    last_open: bool,
    init: Option<u32>,
    init_sent: bool,
    begun: bool,
    open: Option<Open>,
    cuts: VecDeque<Cut>,
    /// The date of the last segment.
    last_wall: WallTime,
    part: Building,
    sequence: u32,
}

impl Lane {
    pub(super) fn new(kind: Kind, position: i64) -> Self {
        Self {
            kind,
            track: None,
            next_track: None,
            scale: Timescale::VIDEO,
            cadence: Cadence::default(),
            offset: 0,
            expected: None,
            wait_key: kind == Kind::Video,
            absent: false,
            not_before: i64::MIN,
            position,
            touched: false,
            last_open: false,
            init: None,
            init_sent: true,
            begun: false,
            open: None,
            cuts: VecDeque::new(),
            last_wall: WallTime::default(),
            part: Building::default(),
            sequence: 0,
        }
    }

    /// Continues the numbering of a rendition whose last initialization segment was `init`.
    pub(super) fn resume(&mut self, init: u32) {
        self.init = Some(init);
    }

    /// Makes `track` the one that samples belong to from here on.
    pub(super) fn set_track(&mut self, track: Arc<Track>) {
        let scale = mp4::timescale(&track.codec);
        self.position = self.scale.rescale(self.position, scale);
        self.scale = scale;
        self.cadence = Cadence::new(track.codec.frame_rate());
        self.track = Some(track);
        self.init = Some(self.init.map_or(0, |last| last.saturating_add(1)));
        self.init_sent = false;
    }

    /// The end of what has been placed, in 1/90000 s.
    pub(super) fn end(&self) -> i64 {
        self.scale.rescale(self.position, Timescale::VIDEO)
    }

    /// The end of what has been placed, in ticks of `scale`.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Nothing has been placed since the last discontinuity.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    pub(super) fn last_is_open(&self) -> bool {
        self.last_open
    }

    /// Nothing of the segment that is open has been handed out or gathered.
    pub(super) fn is_fresh(&self) -> bool {
        self.cuts.is_empty() && self.part.samples.is_empty() && self.open.as_ref().is_none_or(|open| open.parts == 0)
    }

    pub(super) fn has_segment(&self) -> bool {
        self.open.is_some()
    }

    /// Where the segment that is open begins; its first part may still be gathering.
    pub(super) fn segment_start(&self) -> Option<i64> {
        let open = self.open.as_ref()?;
        match open.announced {
            Some((start, _)) => Some(start),
            None => (!self.part.samples.is_empty()).then_some(self.part.start),
        }
    }

    pub(super) fn part_is_empty(&self) -> bool {
        self.part.samples.is_empty()
    }

    pub(super) fn part_start(&self) -> i64 {
        self.part.start
    }

    pub(super) fn part_is_full(&self) -> bool {
        self.part.bytes >= PART_BYTES_MAX || self.part.samples.len() >= PART_SAMPLES_MAX
    }

    /// The next segment begins at `cut`: at once when nothing has been gathered for it yet in this lane.
    pub(super) fn schedule(&mut self, cut: Cut) {
        self.cuts.push_back(cut);
    }

    /// Gives the segment that is open, of which nothing was handed out, another beginning.
    pub(super) fn restart_segment(&mut self, cut: Cut) {
        self.cuts.clear();
        self.open = Some(Open::new(cut));
        self.not_before_discontinuity(cut);
    }

    fn not_before_discontinuity(&mut self, cut: Cut) {
        if cut.discontinuity {
            self.not_before = cut.at;
            // Sound begins where it says, and not where what came before it ended.
            self.touched = false;
        }
    }

    /// Whether a discontinuity is due, or was after `position` (1/90000 s).
    pub(super) fn has_discontinuity_after(&self, position: i64) -> bool {
        self.not_before > position || self.cuts.iter().any(|cut| cut.discontinuity)
    }

    /// Nothing has been placed yet, and the first frame begins at `position`.
    pub(super) fn begin_at(&mut self, position: i64) {
        self.position = position;
    }

    /// Applies all cuts at or before `at` (1/90000 s).
    pub(super) fn apply_cuts(&mut self, at: i64, sink: &mut Sink) {
        while let Some(&cut) = self.cuts.front()
            && cut.at <= at
        {
            self.cuts.pop_front();
            if self.kind == Kind::Audio && cut.at - self.end() > HOLE {
                // Segments begin at the same time in both renditions, so what is missing belongs to this one.
                self.fill(cut.at, sink);
            }
            self.finish_segment(cut.at, sink);
            if cut.discontinuity
                && let Some(track) = self.next_track.take()
            {
                self.set_track(track);
            }
            self.open = Some(Open::new(cut));
            self.not_before_discontinuity(cut);
        }
    }

    /// Makes the last sample end at `position`.
    pub(super) fn settle_last(&mut self, position: i64) {
        if let Some(last) = self.part.samples.last_mut()
            && self.last_open
        {
            let duration = (position - self.position).max(1);
            last.duration = u32::try_from(duration).unwrap_or(u32::MAX);
            self.position += duration;
            self.last_open = false;
        }
    }

    /// Adds a sample that begins at `start`. With a duration of zero its end is not known yet.
    pub(super) fn add(&mut self, start: i64, sample: Sample) {
        debug_assert!(!self.last_open, "the last sample is settled first");
        if self.part.samples.is_empty() {
            self.part.start = start;
            self.part.first_pts = start + i64::from(sample.cts);
        }
        self.touched = true;
        self.part.bytes += sample.payload.len();
        self.part.independent |= sample.keyframe;
        self.position = start + i64::from(sample.duration);
        self.last_open = sample.duration == 0;
        self.part.samples.push(sample);
    }

    /// Hands out what has been gathered as a part.
    pub(super) fn close_part(&mut self, sink: &mut Sink) {
        if self.part.samples.is_empty() {
            return;
        }
        if self.last_open {
            let interval = self.cadence.interval().unwrap_or(3_000);
            self.settle_last(self.position + interval);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let start = self.part.start;
        let decode_time = u64::try_from(start).unwrap_or(0);
        let bytes = mp4::fragment(self.kind, self.sequence, decode_time, &self.part.samples);
        let independent = self.part.independent;
        let first_pts = self.part.first_pts;
        self.part.samples.clear();
        self.part.bytes = 0;
        self.part.independent = false;
        let duration = self.position - start;
        self.hand_out(Handing { start, first_pts, duration, independent, media: Some(bytes) }, sink);
    }

    /// Hands out gaps from the end of what was placed to `until` (1/90000 s).
    pub(super) fn fill(&mut self, until: i64, sink: &mut Sink) {
        self.close_part(sink);
        let until = Timescale::VIDEO.rescale(until, self.scale);
        let step = self.part_ticks(sink).max(1);
        while self.position < until {
            self.touched = true;
            let start = self.position;
            let duration = step.min(until - start);
            self.position += duration;
            self.hand_out(Handing { start, first_pts: start, duration, independent: false, media: None }, sink);
        }
    }

    /// As [`fill`](Self::fill), and begins the segments whose cuts lie on the way.
    pub(super) fn fill_through(&mut self, until: i64, sink: &mut Sink) {
        while let Some(cut) = self.cuts.front().map(|cut| cut.at)
            && cut <= until
        {
            self.fill(cut, sink);
            self.apply_cuts(cut, sink);
        }
        self.fill(until, sink);
    }

    /// Moves the end of what was placed to `end` (1/90000 s) without a part for it.
    pub(super) fn stretch(&mut self, end: i64) {
        self.position = self.position.max(Timescale::VIDEO.rescale(end, self.scale));
    }

    /// The part target in ticks of `scale`, rounded down.
    pub(super) fn part_ticks(&self, sink: &Sink) -> i64 {
        let target = sink.part_target.unwrap_or(Duration::from_secs(1));
        let ticks = target.as_millis() * u128::from(self.scale.ticks_per_second()) / 1_000;
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    fn hand_out(&mut self, handing: Handing, sink: &mut Sink) {
        self.announce(handing.start, handing.first_pts, sink);
        let target = sink.part_target.unwrap_or(Duration::MAX);
        let duration = self.scale.duration(handing.duration);
        let Some(open) = self.open.as_mut() else { return };
        let index = open.parts;
        open.parts += 1;
        open.has_media |= handing.media.is_some();
        let part = Body::Part {
            msn: open.msn,
            index,
            // A picture that outlasts the target stays on the screen; the announced duration may not exceed it (L3).
            duration: duration.min(target),
            independent: handing.independent,
            gap: handing.media.is_none(),
            bytes: handing.media.unwrap_or_default(),
        };
        sink.push(self.kind, part);
    }

    fn announce(&mut self, start: i64, first_pts: i64, sink: &mut Sink) {
        self.begin(sink);
        if let (Some(track), Some(id), false) = (&self.track, self.init, self.init_sent) {
            self.init_sent = true;
            sink.push(self.kind, Body::Init { id, track: track.clone(), bytes: mp4::init(track) });
        }
        let Some(open) = self.open.as_mut() else { return };
        if open.announced.is_none() {
            sink.origin_used = true;
            // Composition offsets may vary, but dates may not go back.
            let start_common = self.scale.rescale(start, Timescale::VIDEO);
            let offset = self.scale.rescale(first_pts, Timescale::VIDEO) - start_common;
            let wall = sink.wall(super::boundary(start_common, offset)).max(self.last_wall);
            self.last_wall = wall;
            open.announced = Some((start, wall));
            let (msn, discontinuity, init) = (open.msn, open.discontinuity, self.init.unwrap_or(0));
            sink.push(self.kind, Body::SegmentStart { msn, wall, discontinuity, init });
        }
    }

    fn begin(&mut self, sink: &mut Sink) {
        if !self.begun {
            self.begun = true;
            let part_target = if sink.announce_parts { sink.part_target } else { None };
            sink.push(self.kind, Body::Begin { part_target });
        }
    }

    /// Ends the segment that is open, which is to last until `at` (1/90000 s) if nothing of it was received.
    pub(super) fn finish_segment(&mut self, at: i64, sink: &mut Sink) {
        self.close_part(sink);
        let Some(open) = &self.open else { return };
        if open.parts == 0 {
            // The other lane has this segment, so this one must: numbers mean the same time everywhere.
            let one_ms_later = self.end().saturating_add(90);
            self.fill(at.max(one_ms_later), sink);
        }
        let Some(open) = self.open.take() else { return };
        let Some((start, wall)) = open.announced else { return };
        let end = Body::SegmentEnd {
            msn: open.msn,
            duration: self.scale.duration(self.position - start),
            wall,
            discontinuity: open.discontinuity,
            init: self.init.unwrap_or(0),
            gap: !open.has_media,
        };
        sink.push(self.kind, end);
    }

    pub(super) fn finish(&mut self, sink: &mut Sink) {
        self.begin(sink);
        sink.push(self.kind, Body::End);
    }
}

struct Handing {
    start: i64,
    first_pts: i64,
    duration: i64,
    independent: bool,
    media: Option<Bytes>,
}

impl Open {
    fn new(cut: Cut) -> Self {
        Self { msn: cut.msn, discontinuity: cut.discontinuity, announced: None, parts: 0, has_media: false }
    }
}
