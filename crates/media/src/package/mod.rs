//! From frames to what an HLS player asks for.
//!
//! ```text
//! Frame → Segmenter → Piece → Window → Snapshot → hls text
//! ```
//!
//! [`Segmenter`] cuts the frames of one broadcast, sound and pictures together, into parts and segments whose numbers
//! align. [`Window`] keeps what one rendition can still be asked for. [`hls`] turns a [`Snapshot`] of a window into the
//! text of a playlist, once for all viewers, and says what a request's directives mean.
//!
//! Nothing here encrypts, stores or sends: pieces are handed out, bytes are shared.

pub mod hls;
#[cfg(test)]
mod rules;
mod segmenter;
#[cfg(test)]
pub(crate) mod testing;
mod window;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::frame::{Kind, Track};
use crate::time::WallTime;

pub use segmenter::{Config, Counters, First, Resume, Segmenter};
pub use window::{Edge, Limits, Snapshot, Spill, Stored, StoredSegment, Window};

/// EXT-X-TARGETDURATION of every playlist: no segment's duration rounds to more than this.
///
/// Constant in every mode, because it may never change while a playlist lives and a keyframe interval of up to four
/// seconds must fit.
pub const TARGET_DURATION: Duration = Duration::from_secs(4);

/// How far behind live a viewer is meant to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Latency {
    /// Parts of about 0.2 s.
    Ultra,
    /// Parts of about 0.5 s.
    #[default]
    Low,
    /// No parts in playlists, segments of 4 s.
    Standard,
}

impl Latency {
    /// How long a part is meant to be; the real target is a whole number of frames near it.
    #[must_use]
    pub fn part_nominal(self) -> Duration {
        match self {
            Self::Ultra => Duration::from_millis(200),
            Self::Low => Duration::from_millis(500),
            // Not announced: a segment is put together from pieces of this length.
            Self::Standard => Duration::from_secs(1),
        }
    }

    /// How long a segment is meant to be: it ends at the first keyframe from here on.
    #[must_use]
    pub fn segment_nominal(self) -> Duration {
        match self {
            Self::Ultra | Self::Low => Duration::from_secs(2),
            Self::Standard => TARGET_DURATION,
        }
    }

    /// Whether playlists list parts.
    #[must_use]
    pub fn has_parts(self) -> bool {
        self != Self::Standard
    }
}

/// Which tracks a broadcast has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// Pictures.
    pub video: bool,
    /// Sound.
    pub audio: bool,
}

impl Tracks {
    /// Whether this kind of track is there.
    #[must_use]
    pub fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Video => self.video,
            Kind::Audio => self.audio,
        }
    }
}

/// What the segmenter hands out, for one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The rendition it belongs to.
    pub rendition: Kind,
    /// What it is.
    pub body: Body,
}

/// The kinds of pieces.
///
/// Per rendition: `Begin` first and once; then segments, each `Init` (when a new one is needed), `SegmentStart`, one
/// `Part` or more, `SegmentEnd`; `End` last. Segment numbers rise by one without holes and mean the same span of time in
/// every rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What holds for the whole life of the rendition.
    Begin {
        /// EXT-X-PART-INF's PART-TARGET, in whole milliseconds; `None` when playlists list no parts.
        part_target: Option<Duration>,
    },
    /// An initialization segment, needed by the segments that name it.
    Init {
        /// Its number, rising from 0 per rendition.
        id: u32,
        /// The track it describes.
        track: Arc<Track>,
        /// `ftyp` and `moov`.
        bytes: Bytes,
    },
    /// A segment begins. Comes together with its first part.
    SegmentStart {
        /// Media sequence number.
        msn: u64,
        /// EXT-X-PROGRAM-DATE-TIME: when its first frame was live.
        wall: WallTime,
        /// EXT-X-DISCONTINUITY stands before it.
        discontinuity: bool,
        /// The initialization segment it needs.
        init: u32,
    },
    /// A part of the segment that is open.
    Part {
        /// The segment's media sequence number.
        msn: u64,
        /// Its place in the segment, from 0 without holes.
        index: u32,
        /// How long it lasts.
        duration: Duration,
        /// It contains a frame at which decoding can start.
        independent: bool,
        /// `moof` and `mdat`; empty for a gap.
        bytes: Bytes,
        /// Nothing was received for this time.
        gap: bool,
    },
    /// The segment that is open is complete: the concatenation of its parts.
    SegmentEnd {
        /// Media sequence number.
        msn: u64,
        /// How long it lasts: EXTINF.
        duration: Duration,
        /// As in its `SegmentStart`.
        wall: WallTime,
        /// As in its `SegmentStart`.
        discontinuity: bool,
        /// As in its `SegmentStart`.
        init: u32,
        /// It consists of gaps only.
        gap: bool,
    },
    /// Nothing follows: EXT-X-ENDLIST.
    End,
}
