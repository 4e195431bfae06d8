//! Measures a publisher's frames and says in words what could be better.
//!
//! What is too much, and what ends, is said here too; who stops a publisher is the packager and its own gate.
//!
//! Frames go in as they arrive, once a second a [`Meter`] is asked for its reading. It keeps a handful of counters and
//! looks at nothing but sizes and media time, so it costs nothing beside the packaging.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::publish::{Excess, GRACE, Remaining};
use stagedoor_media::{Frame, Kind, Track};

use super::publisher::StopReason;
use super::status::{Advice, AudioStatus, Severity, VideoStatus};

/// A keyframe interval above this makes joining slow and cuts segments without a keyframe.
const KEYFRAME_INTERVAL_MAX: Duration = Duration::from_millis(4_000);

/// Readings average over this much media: long enough to be calm, short enough to notice a change.
const SPAN: Duration = Duration::from_secs(5);

/// Counts what one track sends.
#[derive(Default)]
struct Gauge {
    track: Option<Arc<Track>>,
    /// Media time and size of the frames of the last [`SPAN`], oldest first; bounded by [`Gauge::FRAMES_MAX`].
    recent: std::collections::VecDeque<(Duration, u32)>,
    bytes: u64,
}

impl Gauge {
    /// 5 s of 240 frames a second; beyond it the span just becomes shorter.
    const FRAMES_MAX: usize = 1_200;

    fn push(&mut self, frame: &Frame) {
        if self.track.as_ref().is_none_or(|track| !Arc::ptr_eq(track, &frame.track)) {
            self.track = Some(frame.track.clone());
        }
        let at = frame.track.timescale.duration(frame.dts);
        if self.recent.back().is_some_and(|&(last, _)| at < last || at.saturating_sub(last) > SPAN) {
            self.clear();
        }
        let size = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        self.recent.push_back((at, size));
        self.bytes += u64::from(size);
        while self.recent.len() > Self::FRAMES_MAX
            || self.recent.front().is_some_and(|&(first, _)| at.saturating_sub(first) > SPAN)
        {
            let Some((_, size)) = self.recent.pop_front() else { break };
            self.bytes -= u64::from(size);
        }
    }

    fn clear(&mut self) {
        self.recent.clear();
        self.bytes = 0;
    }

    /// Media time covered by the counted frames, without the last one's own duration.
    fn span(&self) -> Duration {
        match (self.recent.front(), self.recent.back()) {
            (Some(&(first, _)), Some(&(last, _))) => last.saturating_sub(first),
            _ => Duration::ZERO,
        }
    }

    fn bitrate_bps(&self) -> u64 {
        let span = self.span();
        let last = self.recent.back().map_or(0, |&(_, size)| u64::from(size));
        if span.is_zero() {
            return 0;
        }
        let bits = u128::from(self.bytes - last) * 8 * 1_000_000;
        u64::try_from(bits / span.as_micros().max(1)).unwrap_or(u64::MAX)
    }

    fn frames_per_second(&self) -> f64 {
        let span = self.span().as_secs_f64();
        let intervals = u32::try_from(self.recent.len().saturating_sub(1)).unwrap_or(u32::MAX);
        if span > 0.0 { (f64::from(intervals) / span * 10.0).round() / 10.0 } else { 0.0 }
    }
}

/// Measures one publisher.
#[derive(Default)]
pub(super) struct Meter {
    video: Gauge,
    audio: Gauge,
    keyframe_at: Option<Duration>,
    keyframe_interval: Option<Duration>,
}

impl Meter {
    /// Counts `frame`.
    pub(super) fn push(&mut self, frame: &Frame) {
        match frame.track.kind() {
            Kind::Video => {
                if frame.keyframe {
                    let at = frame.track.timescale.duration(frame.dts);
                    self.keyframe_interval = self.keyframe_at.and_then(|last| at.checked_sub(last));
                    self.keyframe_at = Some(at);
                }
                self.video.push(frame);
            }
            Kind::Audio => self.audio.push(frame),
        }
    }

    /// The pictures' figures, or `None` before the first frame.
    pub(super) fn video(&self) -> Option<VideoStatus> {
        let codec = &self.video.track.as_ref()?.codec;
        let (width, height) = codec.resolution().unwrap_or((0, 0));
        Some(VideoStatus {
            codec: codec.codec_string(),
            name: codec.name().to_owned(),
            width,
            height,
            fps: self.video.frames_per_second(),
            bitrate_bps: self.video.bitrate_bps(),
            keyframe_interval_ms: self
                .keyframe_interval
                .map(|interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// Frames per second as a fraction; `None` before it can be measured.
    pub(super) fn frame_rate(&self) -> Option<(u32, u32)> {
        // At least a few frames: the first interval alone says little.
        if self.video.recent.len() < 5 {
            return None;
        }
        let span = u32::try_from(self.video.span().as_millis()).ok()?;
        Some((u32::try_from(self.video.recent.len() - 1).ok()?.checked_mul(1_000)?, span)).filter(|&(_, span)| span > 0)
    }

    /// The sound's figures, or `None` before the first frame.
    pub(super) fn audio(&self) -> Option<AudioStatus> {
        let codec = &self.audio.track.as_ref()?.codec;
        Some(AudioStatus {
            codec: codec.codec_string(),
            name: codec.name().to_owned(),
            sample_rate: codec.sample_rate().unwrap_or(0),
            channels: codec.channels().unwrap_or(0),
            bitrate_bps: self.audio.bitrate_bps(),
        })
    }

    /// What the broadcaster could do better, most severe first.
    pub(super) fn advice(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        // The current interval counts too: the longest one is the one that has not ended yet.
        let open = self.keyframe_at.and_then(|key| self.video.recent.back().map(|&(at, _)| at.saturating_sub(key)));
        let interval = self.keyframe_interval.max(open);
        if let Some(interval) = interval.filter(|&interval| interval > KEYFRAME_INTERVAL_MAX) {
            advice.push(Advice {
                code: "keyframe_interval_long",
                severity: Severity::Warning,
                text: format!(
                    "Your keyframe interval is {} s: set it to 2 s in OBS (Settings, Output, Keyframe Interval). \
                     Until then viewers wait longer for the first picture.",
                    tenths(interval)
                ),
            });
        }
        if self.video.track.is_some() && self.audio.track.is_none() {
            advice.push(Advice {
                code: "no_audio",
                severity: Severity::Info,
                text: "There is no sound in this broadcast: check that an audio source is not muted in the encoder."
                    .to_owned(),
            });
        }
        if self.audio.track.is_some() && self.video.track.is_none() {
            advice.push(Advice {
                code: "no_video",
                severity: Severity::Info,
                text: "There are no pictures in this broadcast: viewers hear sound only.".to_owned(),
            });
        }
        if let Some(video) = self.video.track.as_ref()
            && !matches!(video.codec.name(), "H.264")
        {
            advice.push(Advice {
                code: "codec_not_everywhere",
                severity: Severity::Info,
                text: format!(
                    "{} does not play in every browser: choose H.264 in the encoder to reach everyone.",
                    video.codec.name()
                ),
            });
        }
        advice.sort_by_key(|advice| std::cmp::Reverse(advice.severity));
        advice
    }
}

/// What a publisher sends too much of, while it is still let.
pub(super) fn above(excess: Excess) -> Advice {
    let text = format!("{excess} If it goes on, the broadcast is stopped.");
    Advice { code: excess.as_str(), severity: Severity::Warning, text }
}

/// What the broadcaster should know about the end of key or token.
pub(super) fn ending(remaining: Remaining) -> Option<Advice> {
    let (severity, text) = match remaining {
        Remaining::Enough | Remaining::Over => return None,
        Remaining::Ending(rest) => {
            let (rest, grace) = (minutes(rest), minutes(GRACE));
            let text = format!(
                "What this encoder was let in with ends in {rest}. The broadcast goes on for {grace} after that and is then \
                 stopped. Give the stream key a later end, or make a new one."
            );
            (Severity::Warning, text)
        }
        Remaining::Grace(rest) => {
            let rest = minutes(rest);
            let text = format!(
                "What this encoder was let in with has ended: the broadcast is stopped in {rest}, and the encoder cannot \
                 come back. Give the stream key a later end now to go on."
            );
            (Severity::Error, text)
        }
    };
    Some(Advice { code: "key_ending", severity, text })
}

/// Why the publisher who was there last was stopped, where that is for the broadcaster to mend.
pub(super) fn stopped(reason: StopReason) -> Option<Advice> {
    let (code, text) = match reason {
        StopReason::Exceeded(excess) => (excess.as_str(), format!("The encoder was stopped. {excess}")),
        StopReason::Expired => {
            let text = "The encoder was stopped: what it was let in with has ended. Make a new stream key.";
            ("key_ended", text.to_owned())
        }
        StopReason::Revoked => ("key_revoked", "The encoder was stopped: its stream key was revoked.".to_owned()),
        StopReason::Withdrawn => (
            "publish_token_withdrawn",
            "The encoder was stopped: publish tokens of whoever signed its own are not accepted any more.".to_owned(),
        ),
        StopReason::TakenOver | StopReason::Ended | StopReason::Stopping => return None,
    };
    Some(Advice { code, severity: Severity::Error, text })
}

/// `12 minutes`, `1 minute`: begun ones count.
fn minutes(duration: Duration) -> String {
    match duration.as_secs().div_ceil(60) {
        0 | 1 => "1 minute".to_owned(),
        count => format!("{count} minutes"),
    }
}

/// A duration in seconds with at most one decimal.
fn tenths(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    match tenths % 10 {
        0 => format!("{}", tenths / 10),
        rest => format!("{}.{rest}", tenths / 10),
    }
}
