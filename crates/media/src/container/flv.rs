//! FLV tags: how RTMP carries media.

use bytes::Bytes;

/// What a tag carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18: metadata and cues, as AMF0.
    Script,
}

/// One FLV tag, or one RTMP media message, which is the same without the tag header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Audio, video or script.
    pub kind: TagKind,
    /// Milliseconds on the encoder's clock; returns to zero after 32 bits.
    pub timestamp_ms: u32,
    /// The tag body: one to a few bytes of codec header, then the coded data.
    pub payload: Bytes,
}
