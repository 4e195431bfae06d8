//! What one rendition can still be asked for.
//!
//! A [`Window`] takes pieces, keeps the last segments' bytes, tells which segments to store and which stored ones may
//! be forgotten, and gives out [`Snapshot`]s for rendering. It renders nothing per viewer and does no IO: storing is
//! asked for by [`Window::to_spill`] and confirmed by [`Window::spilled`].
//!
//! # Bounds
//!
//! Bytes of a segment are kept in memory until it is stored and older than six target durations (parts are listed for
//! three and must be downloadable for three more, L13). When storing does not keep up, the oldest segments in memory
//! beyond [`Limits::memory_bytes_max`] are given up: they leave the playlist from its beginning, and are counted.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::hls::{self, KeyLine};
use super::{Body, Piece, TARGET_DURATION};
use crate::frame::Kind;
use crate::seal::Sealed;
use crate::time::WallTime;

/// How much a window keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far back the playlist reaches; at least six segments and three target durations are kept anyway (L16).
    pub window: Duration,
    /// Bytes of media in memory at most.
    pub memory_bytes_max: u64,
}

impl Default for Limits {
    /// Fifteen minutes, and 64 MiB: more than a minute at 8 Mb/s, where 24 s are needed when storing keeps up.
    fn default() -> Self {
        Self { window: Duration::from_secs(15 * 60), memory_bytes_max: 64 * 1024 * 1024 }
    }
}

/// Segments that a live playlist keeps at least, whatever the window.
const SEGMENTS_MIN: usize = 6;
/// Segments that a window lists at most: a day of the shortest segments a publisher can provoke would not fit anyone.
const SEGMENTS_MAX: usize = 20_000;

/// A point in a rendition: the first part that does not exist yet.
///
/// Ordered as the parts are. Part `n` of segment `m` exists when the edge is greater than `(m, n)`; segment `m` is
/// complete when `edge.msn > m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The segment that is open, or the one that opens next.
    pub msn: u64,
    /// How many parts of it there are.
    pub part: u32,
}

/// Where a segment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// In memory: its parts in order, whose concatenation is the segment.
    Memory(Vec<Bytes>),
    /// Stored by the caller; so many bytes.
    Spilled {
        /// Size of the segment.
        bytes: u64,
    },
}

/// A finished segment that wants to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Media sequence number.
    pub msn: u64,
    /// Its parts in order.
    pub bytes: Vec<Bytes>,
}

/// A stored segment, as remembered across a restart of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    /// Media sequence number.
    pub msn: u64,
    /// EXTINF.
    pub duration: Duration,
    /// EXT-X-PROGRAM-DATE-TIME.
    pub wall: WallTime,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// The initialization segment it needs.
    pub init: u32,
    /// It has no media.
    pub gap: bool,
    /// Size of the stored bytes; 0 for a gap.
    pub bytes: u64,
    /// The number of its key; `None` for one in the clear.
    pub key: Option<u64>,
}

/// The text of one segment in a playlist, made once.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) msn: u64,
    pub(super) init: u32,
    pub(super) discontinuity: bool,
    /// `EXT-X-KEY`, with its line end; `None` in the clear.
    pub(super) key: Option<Arc<KeyLine>>,
    /// Since the segment that is open began, or how long it is.
    pub(super) duration: Duration,
    /// `EXT-X-PROGRAM-DATE-TIME`, with its line end.
    pub(super) date: String,
    /// `EXT-X-PART` lines, as many as there are.
    pub(super) parts: Arc<str>,
    /// `EXT-X-GAP`, `EXTINF` and the URI; empty while the segment is open.
    pub(super) tail: String,
    pub(super) part_count: u32,
    pub(super) gap: bool,
}

#[derive(Debug)]
struct Segment {
    entry: Arc<Entry>,
    /// Part bytes and whether each is a gap; empty once only stored.
    parts: Vec<(Bytes, bool)>,
    /// What the segment itself is made of, where that is not its parts one after the other.
    shares: Vec<Bytes>,
    /// What it has behind its last part.
    closing: Bytes,
    bytes: u64,
    stored: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Window {
    kind: Kind,
    limits: Limits,
    part_target: Option<Duration>,
    listed: VecDeque<Segment>,
    /// No longer in the playlist, but still downloadable; with the media time at which each may be forgotten.
    removed: VecDeque<(Segment, Duration)>,
    open: Option<Segment>,
    open_parts_text: String,
    inits: BTreeMap<u32, Bytes>,
    next_msn: u64,
    discontinuity_sequence: u64,
    /// Media that has gone through since the beginning: a clock for retention.
    elapsed: Duration,
    listed_duration: Duration,
    /// The longest playlist that was ever given out.
    longest: Duration,
    memory_bytes: u64,
    expired: Vec<u64>,
    given_up: u64,
    ended: bool,
}

impl Window {
    /// An empty window of one rendition.
    #[must_use]
    pub fn new(kind: Kind, limits: Limits) -> Self {
        Self {
            kind,
            limits,
            part_target: None,
            listed: VecDeque::new(),
            removed: VecDeque::new(),
            open: None,
            open_parts_text: String::new(),
            inits: BTreeMap::new(),
            next_msn: 0,
            discontinuity_sequence: 0,
            elapsed: Duration::ZERO,
            listed_duration: Duration::ZERO,
            longest: Duration::ZERO,
            memory_bytes: 0,
            expired: Vec::new(),
            given_up: 0,
            ended: false,
        }
    }

    /// Lists stored segments again after a restart, before the first piece is added.
    ///
    /// `discontinuity_sequence` is that of the first of `segments`, and `inits` are the initialization segments they
    /// name; `line` knows the `EXT-X-KEY` line of a key by its number, and a segment whose key it does not know becomes a
    /// gap. Segments must be in order and without holes; what comes before the last hole is not listed.
    pub fn restore(
        &mut self,
        segments: Vec<StoredSegment>,
        discontinuity_sequence: u64,
        inits: impl IntoIterator<Item = (u32, Bytes)>,
        mut line: impl FnMut(u64) -> Option<Arc<KeyLine>>,
    ) {
        self.inits.extend(inits);
        self.discontinuity_sequence = discontinuity_sequence;
        for stored in segments {
            if !self.listed.is_empty() && stored.msn != self.next_msn {
                for segment in self.listed.drain(..) {
                    self.discontinuity_sequence += u64::from(segment.entry.discontinuity);
                    self.expired.push(segment.entry.msn);
                }
                self.listed_duration = Duration::ZERO;
            }
            let mut entry = Entry::opened(stored.msn, stored.wall, stored.discontinuity, stored.init);
            entry.key = stored.key.and_then(&mut line);
            let unreadable = stored.key.is_some() && entry.key.is_none();
            entry.close(stored.duration, stored.gap || unreadable, Arc::from(""), 0);
            self.next_msn = stored.msn.saturating_add(1);
            self.elapsed += stored.duration;
            self.listed_duration += stored.duration;
            let segment = Segment {
                entry: Arc::new(entry),
                parts: Vec::new(),
                shares: Vec::new(),
                closing: Bytes::new(),
                bytes: stored.bytes,
                stored: true,
            };
            self.listed.push_back(segment);
        }
        self.shorten();
    }

    /// Takes a piece of this rendition; others are ignored.
    pub fn add(&mut self, piece: Piece) {
        self.add_sealed(Sealed { piece, key: None, line: None, share: None });
    }

    /// Takes a sealed piece of this rendition; others are ignored.
    pub fn add_sealed(&mut self, sealed: Sealed) {
        let Sealed { piece, key: _, line, share } = sealed;
        if piece.rendition != self.kind {
            return;
        }
        match piece.body {
            Body::Begin { part_target } => self.part_target = part_target,
            Body::Init { id, bytes, .. } => {
                self.inits.insert(id, bytes);
            }
            Body::SegmentStart { msn, wall, discontinuity, init } => {
                self.open_parts_text.clear();
                let entry = Arc::new(Entry { key: line, ..Entry::opened(msn, wall, discontinuity, init) });
                self.open = Some(Segment {
                    entry,
                    parts: Vec::new(),
                    shares: Vec::new(),
                    closing: Bytes::new(),
                    bytes: 0,
                    stored: false,
                });
                self.next_msn = msn;
            }
            Body::Part { msn, index, duration, independent, bytes, gap } => {
                let Some(open) = self.open.as_mut().filter(|open| open.entry.msn == msn) else { return };
                if self.part_target.is_some() {
                    hls::write_part(&mut self.open_parts_text, msn, index, duration, independent, gap);
                }
                let own = share.as_ref().unwrap_or(&bytes).len() as u64;
                open.bytes += own;
                self.memory_bytes += bytes.len() as u64;
                if let Some(share) = share {
                    self.memory_bytes += own;
                    open.shares.push(share);
                }
                open.parts.push((bytes, gap));
                let entry = Arc::make_mut(&mut open.entry);
                entry.parts = Arc::from(self.open_parts_text.as_str());
                entry.part_count = index + 1;
                entry.duration += duration;
                self.give_up_memory();
            }
            Body::SegmentEnd { msn, duration, gap, .. } => {
                let Some(mut segment) = self.open.take().filter(|open| open.entry.msn == msn) else { return };
                let parts = segment.entry.parts.clone();
                let count = segment.entry.part_count;
                Arc::make_mut(&mut segment.entry).close(duration, gap, parts, count);
                if let Some(last) = share {
                    self.memory_bytes += last.len() as u64;
                    segment.bytes += last.len() as u64;
                    segment.closing = last;
                }
                // A gap has nothing to store.
                segment.stored = gap;
                self.next_msn = msn.saturating_add(1);
                self.elapsed += duration;
                self.listed_duration += duration;
                self.listed.push_back(segment);
                self.shorten();
            }
            Body::End => self.ended = true,
        }
    }

    /// Where the rendition stands.
    #[must_use]
    pub fn edge(&self) -> Edge {
        match &self.open {
            Some(open) => Edge { msn: open.entry.msn, part: open.entry.part_count },
            None => Edge { msn: self.next_msn, part: 0 },
        }
    }

    /// What is to be rendered now. Costs a reference per listed segment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            part_target: self.part_target,
            media_sequence: self.listed.front().map_or(self.edge().msn, |first| first.entry.msn),
            discontinuity_sequence: self.discontinuity_sequence,
            segments: self.listed.iter().map(|segment| segment.entry.clone()).collect(),
            open: self.open.as_ref().map(|open| open.entry.clone()),
            edge: self.edge(),
            ended: self.ended,
        }
    }

    /// The bytes of an initialization segment that a downloadable segment may need.
    #[must_use]
    pub fn init(&self, id: u32) -> Option<Bytes> {
        self.inits.get(&id).cloned()
    }

    /// The bytes of a part that is in memory. `None` for what does not exist, is a gap or is too old.
    #[must_use]
    pub fn part(&self, msn: u64, index: u32) -> Option<Bytes> {
        let (bytes, gap) = self.find(msn)?.parts.get(usize::try_from(index).ok()?)?;
        (!gap).then(|| bytes.clone())
    }

    /// Where the bytes of a finished segment are. `None` for what does not exist, is open, is a gap or has expired.
    #[must_use]
    pub fn segment(&self, msn: u64) -> Option<Stored> {
        if self.open.as_ref().is_some_and(|open| open.entry.msn == msn) {
            return None;
        }
        let segment = self.find(msn)?;
        if segment.entry.gap {
            return None;
        }
        if segment.parts.is_empty() {
            return Some(Stored::Spilled { bytes: segment.bytes });
        }
        Some(Stored::Memory(segment.media()))
    }

    fn find(&self, msn: u64) -> Option<&Segment> {
        if let Some(open) = self.open.as_ref().filter(|open| open.entry.msn == msn) {
            return Some(open);
        }
        let in_order = |queue_first: Option<u64>| queue_first.and_then(|first| msn.checked_sub(first));
        if let Some(place) = in_order(self.listed.front().map(|segment| segment.entry.msn)) {
            return self.listed.get(usize::try_from(place).ok()?);
        }
        let place = in_order(self.removed.front().map(|(segment, _)| segment.entry.msn))?;
        let (segment, _) = self.removed.get(usize::try_from(place).ok()?)?;
        (segment.entry.msn == msn).then_some(segment)
    }

    /// Finished segments that have not been stored yet, oldest first. Each is returned until
    /// [`spilled`](Self::spilled) is called for it.
    ///
    /// They are offered as soon as they are finished, not when memory wants to let go of them, so that a crash loses
    /// the segment that is open and no more.
    #[must_use]
    pub fn to_spill(&self) -> Vec<Spill> {
        let unstored = self.listed.iter().filter(|segment| !segment.stored);
        unstored.map(|segment| Spill { msn: segment.entry.msn, bytes: segment.media() }).collect()
    }

    /// The caller has stored this segment: memory may let go of it when it is old enough.
    pub fn spilled(&mut self, msn: u64) {
        let listed = self.listed.iter_mut().chain(self.removed.iter_mut().map(|(segment, _)| segment));
        for segment in listed {
            if segment.entry.msn == msn {
                segment.stored = true;
            }
        }
        self.let_go();
    }

    /// Segments that nobody may ask for any more, since the last call: their files may be deleted.
    pub fn expired(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.expired)
    }

    /// Segments that left the playlist early because they could not be stored in time.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Bytes of media in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Takes from the beginning of the playlist what the window does not cover, and forgets what has expired.
    fn shorten(&mut self) {
        while let Some(first) = self.listed.front() {
            let left = self.listed_duration - first.entry.duration;
            let enough = left >= self.limits.window.max(3 * TARGET_DURATION) && self.listed.len() > SEGMENTS_MIN;
            if !enough && self.listed.len() <= SEGMENTS_MAX {
                break;
            }
            self.remove_first();
        }
        self.longest = self.longest.max(self.listed_duration);
        while let Some((segment, _)) = self.removed.front().filter(|(_, until)| *until <= self.elapsed) {
            self.expired.push(segment.entry.msn);
            if let Some((segment, _)) = self.removed.pop_front() {
                self.memory_bytes -= segment.held();
            }
        }
        let oldest = self.removed.front().map(|(segment, _)| segment).or(self.listed.front());
        if let Some(oldest) = oldest {
            // Numbers rise, so what is below the oldest segment's is not needed by any.
            let needed = oldest.entry.init;
            self.inits.retain(|&id, _| id >= needed);
        }
        self.let_go();
    }

    fn remove_first(&mut self) {
        let Some(segment) = self.listed.pop_front() else { return };
        self.listed_duration -= segment.entry.duration;
        self.discontinuity_sequence += u64::from(segment.entry.discontinuity);
        // L17: a client that has just read the longest playlist may still come for its first segment.
        let until = self.elapsed + segment.entry.duration + self.longest;
        self.removed.push_back((segment, until));
    }

    /// Lets go of the bytes of stored segments that are old enough.
    fn let_go(&mut self) {
        let mut age = self.open.as_ref().map_or(Duration::ZERO, |open| open.entry.duration);
        for segment in self.listed.iter_mut().rev() {
            if age >= 6 * TARGET_DURATION && segment.stored {
                self.memory_bytes -= segment.held();
                segment.let_go();
            }
            if age >= 3 * TARGET_DURATION && !segment.entry.parts.is_empty() {
                let mut entry = Entry::clone(&segment.entry);
                entry.parts = Arc::from("");
                segment.entry = Arc::new(entry);
            }
            age += segment.entry.duration;
        }
        for (segment, _) in &mut self.removed {
            if segment.stored && !segment.parts.is_empty() {
                self.memory_bytes -= segment.held();
                segment.let_go();
            }
        }
        self.give_up_memory();
    }

    /// Storing does not keep up: the oldest bytes go, and with them all that is before them in the playlist.
    fn give_up_memory(&mut self) {
        while self.memory_bytes > self.limits.memory_bytes_max {
            let held = |segment: &Segment| segment.held() > 0;
            if let Some(place) = self.removed.iter().position(|(segment, _)| held(segment)) {
                self.memory_bytes -= self.removed[place].0.held();
                self.removed[place].0.let_go();
            } else if self.listed.iter().any(held) {
                self.given_up += 1;
                self.remove_first();
            } else {
                // Only the open segment is left, and the segmenter bounds that.
                break;
            }
        }
    }
}

impl Segment {
    fn held(&self) -> u64 {
        let parts = self.parts.iter().map(|(bytes, _)| bytes);
        parts.chain(&self.shares).map(|bytes| bytes.len() as u64).sum::<u64>() + self.closing.len() as u64
    }

    fn let_go(&mut self) {
        self.parts = Vec::new();
        self.shares = Vec::new();
        self.closing = Bytes::new();
    }

    fn media(&self) -> Vec<Bytes> {
        let mut media = if self.shares.is_empty() { self.own_parts() } else { self.shares.clone() };
        media.extend((!self.closing.is_empty()).then(|| self.closing.clone()));
        media
    }

    fn own_parts(&self) -> Vec<Bytes> {
        self.parts.iter().filter(|(_, gap)| !gap).map(|(bytes, _)| bytes.clone()).collect()
    }
}

impl Entry {
    fn opened(msn: u64, wall: WallTime, discontinuity: bool, init: u32) -> Self {
        let mut date = String::with_capacity(56);
        hls::write_date(&mut date, wall);
        Self {
            msn,
            init,
            discontinuity,
            key: None,
            duration: Duration::ZERO,
            date,
            parts: Arc::from(""),
            tail: String::new(),
            part_count: 0,
            gap: false,
        }
    }

    fn close(&mut self, duration: Duration, gap: bool, parts: Arc<str>, part_count: u32) {
        self.duration = duration;
        self.gap = gap;
        self.parts = parts;
        self.part_count = part_count;
        self.tail = String::with_capacity(48);
        if gap {
            self.tail.push_str("#EXT-X-GAP\n");
        }
        self.tail.push_str("#EXTINF:");
        hls::write_seconds(&mut self.tail, duration);
        // Writing to a String cannot fail.
        let _ = writeln!(self.tail, ",\n{}.m4s", self.msn);
    }
}

/// A window at one moment, ready to be rendered by [`hls::media_playlist`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) part_target: Option<Duration>,
    pub(super) media_sequence: u64,
    pub(super) discontinuity_sequence: u64,
    pub(super) segments: Vec<Arc<Entry>>,
    pub(super) open: Option<Arc<Entry>>,
    pub(super) edge: Edge,
    pub(super) ended: bool,
}

impl Snapshot {
    /// Where the rendition stands.
    #[must_use]
    pub fn edge(&self) -> Edge {
        self.edge
    }

    /// The playlist has EXT-X-ENDLIST.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// PART-TARGET, when the playlist lists parts.
    #[must_use]
    pub fn part_target(&self) -> Option<Duration> {
        self.part_target
    }

    /// Finished segments in the playlist.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The number of the last part that exists, as rendition reports say it: segment and part.
    #[must_use]
    pub fn last(&self) -> Option<(u64, Option<u32>)> {
        let with_parts = |msn, parts: u32| (msn, self.part_target.and(parts.checked_sub(1)));
        match (&self.open, self.segments.last()) {
            (Some(open), _) if open.part_count > 0 && self.part_target.is_some() => {
                Some(with_parts(open.msn, open.part_count))
            }
            (_, Some(last)) => Some(with_parts(last.msn, last.part_count)),
            (_, None) => None,
        }
    }
}
