//! The currency of the house: everything above turns bytes into [`Frame`]s, everything below turns frames into bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Codec;
use crate::time::Timescale;

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl Kind {
    /// `video` or `audio`: the name used in URLs, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// What a decoder must know before the first frame. A change of parameters is a new `Track`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The codec with its parsed configuration.
    pub codec: Codec,
    /// The scale of `dts` and `cts` of this track's frames.
    pub timescale: Timescale,
}

impl Track {
    /// Video or audio.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.codec.kind()
    }
}

/// One access unit: a coded picture, or one packet of coded sound.
///
/// Cloning is cheap: the payload and the track are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The parameters this frame decodes with.
    pub track: Arc<Track>,
    /// Decode time in ticks of the track's scale. Unwrapped: it does not return to zero after 32 bits.
    pub dts: i64,
    /// Presentation time minus decode time, in ticks of the track's scale; may be negative.
    pub cts: i32,
    /// Decoding can start here. Always true for audio.
    pub keyframe: bool,
    /// H.264 and HEVC: NAL units, each behind its length in as many bytes as the codec configuration says.
    /// AV1: a temporal unit in low-overhead format without temporal delimiters. AAC: one raw access unit.
    /// Opus: one packet.
    pub payload: Bytes,
}

impl Frame {
    /// Presentation time in ticks of the track's scale.
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.dts.saturating_add(i64::from(self.cts))
    }
}
