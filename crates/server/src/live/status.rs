//! What is known of a stream right now, as the organiser reads it.
//!
//! A [`StreamStatus`] is a value: it is replaced whole, at most once a second, and handed around behind an `Arc`.
//! It holds no address and no key.

use serde::Serialize;
use stagedoor_domain::event::{Encryption, EncryptionPolicy};
use stagedoor_domain::time::Time;
use utoipa::ToSchema;

/// Where a broadcast stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has published yet.
    Idle,
    /// A publisher is connected.
    Live,
    /// The publisher is gone and may still come back; viewers hold.
    Away,
    /// Over; publishing again begins a new broadcast.
    Ended,
}

impl From<stagedoor_domain::stream::State> for State {
    fn from(state: stagedoor_domain::stream::State) -> Self {
        use stagedoor_domain::stream::State as S;
        match state {
            S::Idle => Self::Idle,
            S::Live => Self::Live,
            S::Away { .. } => Self::Away,
            S::Ended => Self::Ended,
        }
    }
}

/// A stream at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StreamStatus {
    /// Where the broadcast stands.
    pub state: State,
    /// Since when it stands there (RFC 3339, UTC). Absent for a stream that was never live.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Time>,
    /// Who is publishing; absent unless live.
    pub publisher: Option<PublisherStatus>,
    /// What the pictures are; absent until the first one arrived and for sound-only broadcasts.
    pub video: Option<VideoStatus>,
    /// What the sound is; absent until it arrived and for silent broadcasts.
    pub audio: Option<AudioStatus>,
    /// How what is on air is encrypted, which a change of the event's settings does not change; absent unless live or away.
    pub encryption: Option<EncryptionStatus>,
    /// What the broadcaster could do better, most severe first.
    pub advice: Vec<Advice>,
}

impl StreamStatus {
    /// A stream that has not been live yet.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            state: State::Idle,
            since: None,
            publisher: None,
            video: None,
            audio: None,
            encryption: None,
            advice: Vec::new(),
        }
    }
}

/// How a running broadcast is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EncryptionStatus {
    /// `off`, `aes-128` or `cbcs`.
    #[schema(value_type = String, examples("aes-128"))]
    pub method: Encryption,
    /// Seconds for which one key is used at most; means nothing where nothing is encrypted.
    pub key_period_s: u32,
}

impl From<EncryptionPolicy> for EncryptionStatus {
    fn from(EncryptionPolicy { method, key_period_s }: EncryptionPolicy) -> Self {
        Self { method, key_period_s }
    }
}

/// The encoder behind a live stream.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PublisherStatus {
    /// What the encoder calls itself, for example `FMLE/3.0 (compatible; obs-studio/31.0)`; at most 128 characters.
    pub encoder: String,
    /// When it connected (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    pub connected_at: Time,
}

/// The pictures of a live stream, measured over the last seconds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VideoStatus {
    /// RFC 6381 codec string, for example `avc1.64001f`.
    pub codec: String,
    /// The codec's common name, for example `H.264`.
    pub name: String,
    /// Pixels; 0 when the codec configuration does not say.
    pub width: u32,
    /// Pixels; 0 when the codec configuration does not say.
    pub height: u32,
    /// Frames per second, measured.
    pub fps: f64,
    /// Bits per second, measured.
    pub bitrate_bps: u64,
    /// Milliseconds between the last two keyframes; absent before the second one.
    pub keyframe_interval_ms: Option<u64>,
}

/// The sound of a live stream, measured over the last seconds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AudioStatus {
    /// RFC 6381 codec string, for example `mp4a.40.2`.
    pub codec: String,
    /// The codec's common name, for example `AAC`.
    pub name: String,
    /// Hertz.
    pub sample_rate: u32,
    /// Number of channels; 0 when the codec configuration does not say.
    pub channels: u8,
    /// Bits per second, measured.
    pub bitrate_bps: u64,
}

/// How much a piece of advice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Viewers may notice.
    Warning,
    /// Viewers do notice.
    Error,
}

/// One thing the broadcaster could do better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Advice {
    /// Stable name, for example `keyframe_interval_long`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// A sentence for the broadcaster: what was measured, and what to set.
    pub text: String,
}
