//! A publisher for tests: frames with millisecond time stamps, as RTMP brings them.

use std::sync::Arc;
use std::time::Duration;

use super::{Body, Config, Latency, Piece, Segmenter, Tracks};
use crate::codec::testing::hex;
use crate::codec::{Codec, aac, h264, opus};
use crate::frame::{Frame, Kind, Track};
use crate::time::{Timescale, WallTime};

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: WallTime = WallTime(1_767_225_600_000);

pub(crate) fn video_track() -> Arc<Track> {
    // 1080p30; the claimed rate is believed only when the time stamps agree.
    let record = "01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000668ebe3cb22c0fdf8f800";
    let codec = Codec::H264(h264::Config::parse(hex(record)).unwrap());
    Arc::new(Track { codec, timescale: Timescale::MILLIS })
}

pub(crate) fn other_video_track() -> Arc<Track> {
    let record = "0142c01effe100186742c01ed900a02ff9701100000303e90000ea600f162e4801000568cb83cb20";
    let codec = Codec::H264(h264::Config::parse(hex(record)).unwrap());
    Arc::new(Track { codec, timescale: Timescale::MILLIS })
}

pub(crate) fn aac_track(asc: &str) -> Arc<Track> {
    let codec = Codec::Aac(aac::Config::parse(hex(asc)).unwrap());
    Arc::new(Track { codec, timescale: Timescale::MILLIS })
}

pub(crate) fn opus_track() -> Arc<Track> {
    let codec = Codec::Opus(opus::Config::parse(hex("4f707573486561640102380180bb0000000000")).unwrap());
    Arc::new(Track { codec, timescale: Timescale::MILLIS })
}

/// A camera and a microphone.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) video: Option<Arc<Track>>,
    pub(crate) audio: Option<Arc<Track>>,
    /// Frames per second as a fraction.
    pub(crate) rate: (u64, u64),
    /// Frames between keyframes.
    pub(crate) gop: u64,
    /// Composition offset of every picture.
    pub(crate) cts_ms: i32,
    /// What is added to all time stamps.
    pub(crate) clock_ms: i64,
    /// When the first frame is captured.
    pub(crate) wall: WallTime,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            video: Some(video_track()),
            audio: Some(aac_track("1190")),
            rate: (30, 1),
            gop: 60,
            cts_ms: 0,
            clock_ms: 0,
            wall: NEW_YEAR,
        }
    }
}

impl Source {
    /// All frames captured in `[from_ms, to_ms)`, interleaved by time, with their arrival.
    pub(crate) fn frames(&self, from_ms: u64, to_ms: u64) -> Vec<(Frame, WallTime)> {
        let mut frames = Vec::new();
        if let Some(track) = &self.video {
            let (num, den) = self.rate;
            for index in 0.. {
                let at = (index * 1_000 * den * 2 + num) / (num * 2);
                if at >= to_ms {
                    break;
                }
                if at >= from_ms {
                    frames.push((at, self.frame(track, at, index % self.gop == 0, index)));
                }
            }
        }
        if let Some(track) = &self.audio {
            let (length, rate) = match &track.codec {
                Codec::Aac(config) => (u64::from(config.samples_per_frame), u64::from(config.core_rate)),
                _ => (960, 48_000),
            };
            for index in 0.. {
                let at = (index * 1_000 * length * 2 + rate) / (rate * 2);
                if at >= to_ms {
                    break;
                }
                if at >= from_ms {
                    frames.push((at, self.frame(track, at, true, index)));
                }
            }
        }
        frames.sort_by_key(|(at, frame)| (*at, frame.track.kind()));
        let arrival = |at| self.wall.plus(Duration::from_millis(at));
        frames.into_iter().map(|(at, frame)| (frame, arrival(at))).collect()
    }

    fn frame(&self, track: &Arc<Track>, at: u64, keyframe: bool, index: u64) -> Frame {
        // CELT, 20 ms: a valid first byte for Opus; the number tells payloads apart.
        let mut payload = vec![0xfc];
        payload.extend_from_slice(&index.to_be_bytes());
        Frame {
            track: track.clone(),
            dts: i64::try_from(at).unwrap() + self.clock_ms,
            cts: if track.kind() == Kind::Video { self.cts_ms } else { 0 },
            keyframe,
            payload: payload.into(),
        }
    }

    pub(crate) fn tracks(&self) -> Tracks {
        Tracks { video: self.video.is_some(), audio: self.audio.is_some() }
    }
}

pub(crate) fn segmenter(latency: Latency, source: &Source) -> Segmenter {
    Segmenter::new(Config { latency, expect: Some(source.tracks()), ..Config::default() })
}

pub(crate) fn drain(segmenter: &mut Segmenter) -> Vec<Piece> {
    std::iter::from_fn(|| segmenter.poll()).collect()
}

pub(crate) fn push_all(segmenter: &mut Segmenter, frames: impl IntoIterator<Item = (Frame, WallTime)>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (frame, wall) in frames {
        segmenter.push(frame, wall);
        pieces.extend(drain(segmenter));
    }
    pieces
}

/// All pieces of a broadcast of `seconds` from beginning to end.
pub(crate) fn broadcast(latency: Latency, source: &Source, seconds: u64) -> Vec<Piece> {
    let mut segmenter = segmenter(latency, source);
    let mut pieces = push_all(&mut segmenter, source.frames(0, seconds * 1_000));
    segmenter.end();
    pieces.extend(drain(&mut segmenter));
    pieces
}

/// A part as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct PartFacts {
    pub(crate) index: u32,
    pub(crate) duration: Duration,
    pub(crate) independent: bool,
    pub(crate) gap: bool,
    pub(crate) bytes: bytes::Bytes,
}

/// A segment as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFacts {
    pub(crate) msn: u64,
    pub(crate) wall: WallTime,
    pub(crate) duration: Duration,
    pub(crate) discontinuity: bool,
    pub(crate) init: u32,
    pub(crate) gap: bool,
    pub(crate) parts: Vec<PartFacts>,
}

/// The finished segments of one rendition. Checks the order of pieces on the way.
pub(crate) fn segments(pieces: &[Piece], kind: Kind) -> Vec<SegmentFacts> {
    let mut done: Vec<SegmentFacts> = Vec::new();
    let mut open: Option<SegmentFacts> = None;
    let mut begun = false;
    let mut inits = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.rendition == kind) {
        match piece.body.clone() {
            Body::Begin { .. } => {
                assert!(!begun, "one Begin");
                begun = true;
            }
            Body::Init { id, .. } => {
                assert!(open.is_none(), "an Init stands between segments");
                inits.push(id);
            }
            Body::SegmentStart { msn, wall, discontinuity, init } => {
                assert!(begun && open.is_none());
                let duration = Duration::ZERO;
                open = Some(SegmentFacts { msn, wall, duration, discontinuity, init, gap: false, parts: Vec::new() });
            }
            Body::Part { msn, index, duration, independent, bytes, gap } => {
                let open = open.as_mut().expect("a part is in a segment");
                assert_eq!((msn, index as usize), (open.msn, open.parts.len()));
                assert_eq!(gap, bytes.is_empty());
                assert!(gap || inits.contains(&open.init), "the Init comes first");
                open.parts.push(PartFacts { index, duration, independent, gap, bytes });
            }
            Body::SegmentEnd { msn, duration, wall, discontinuity, init, gap } => {
                let mut segment = open.take().expect("a segment ends after it began");
                assert_eq!(
                    (msn, wall, discontinuity, init),
                    (segment.msn, segment.wall, segment.discontinuity, segment.init)
                );
                assert!(!segment.parts.is_empty());
                assert_eq!(gap, segment.parts.iter().all(|part| part.gap));
                segment.duration = duration;
                segment.gap = gap;
                if let Some(last) = done.last() {
                    assert_eq!(segment.msn, last.msn + 1, "numbers rise by one");
                }
                done.push(segment);
            }
            Body::End => assert!(open.is_none()),
        }
    }
    done
}

/// The decode time of a part, in ticks of its track.
pub(crate) fn decode_time(part: &[u8]) -> u64 {
    let place = part.windows(4).position(|window| window == b"tfdt").expect("a part has tfdt");
    u64::from_be_bytes(part[place + 8..place + 16].try_into().unwrap())
}
