//! FLV tags, which is how RTMP carries media, and the demuxer that turns them into [`Frame`]s.
//!
//! ```text
//! Tag ─▶ legacy or enhanced header ─▶ packet { codec, sequence start | coded frame | end } ─▶ lane ─▶ Frame
//! ```
//!
//! One lane per kind holds the track that the last sequence header described. A frame without one cannot be decoded and
//! is dropped and counted. Payloads are never copied, only their headers are cut off.
//!
//! What it deliberately does not do: repair time. Time stamps are unwrapped and otherwise passed on as they are; jumps
//! are for the segmenter to judge.
//!
//! # Source
//!
//! Adobe, *Video File Format Specification 10.1* (2010), annex E.4. Veovera, *Enhanced RTMP v1 and v2*: "Enhanced Audio",
//! "Enhanced Video", "Multitrack". Outside of both: codec id 12 for HEVC, with the layout of AVC, which encoders used
//! before Enhanced RTMP and some still do.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::codec::{Codec, CodecError, aac, av1, h264, h265, opus};
use crate::frame::{Frame, Kind, Track};
use crate::rtmp::amf0;
use crate::time::Timescale;

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

/// What comes out of the demuxer.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A frame, in milliseconds.
    Frame(Frame),
    /// What the encoder says about itself. Never needed to decode, often wrong.
    Metadata(Metadata),
    /// The encoder ends this kind of media; what follows begins with a sequence header.
    EndOfSequence(Kind),
}

/// The part of `onMetaData` that people want to see. What the encoder left out, or what cannot be true, is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The name of the encoder, `obs-output module (libobs version 30.2.3)`, at most 255 bytes.
    pub encoder: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Kilobits per second that the video encoder aims at.
    pub video_kbps: Option<u32>,
    /// Kilobits per second that the audio encoder aims at.
    pub audio_kbps: Option<u32>,
}

/// What was left out of the output, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Video frames that came before a usable sequence header.
    pub video_before_header: u64,
    /// Audio frames that came before a usable sequence header.
    pub audio_before_header: u64,
    /// Messages with tracks of a multitrack broadcast but without track 0.
    pub other_tracks: u64,
    /// Tags that carry nothing for us: seek commands, colour metadata, cues, empty frames, packet types to come.
    pub ignored: u64,
    /// Video frames whose keyframe flag says other than the coded picture.
    pub keyframe_flags_wrong: u64,
}

/// Why a tag cannot be used. The demuxer can be fed further: other tags are not affected.
///
/// The text is written for the person at the encoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DemuxError {
    /// The tag contradicts its format.
    #[error("The encoder sent {what} that cannot be read.")]
    Malformed {
        /// What it should have been: `an H.264 header`.
        what: &'static str,
        /// What exactly is wrong, when a codec configuration is.
        #[source]
        cause: Option<CodecError>,
    },
    /// The tag is well-formed, but this server cannot carry its codec.
    #[error("{what}")]
    Unsupported {
        /// A whole sentence, with the remedy: `VP9 video is not supported: choose H.264, HEVC or AV1 in the encoder.`
        what: String,
    },
}

/// The codecs that have a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodecId {
    H264,
    H265,
    Av1,
    Aac,
    Opus,
}

impl CodecId {
    /// Whether coded frames begin with a composition time. AV1 has none: its frames leave in decoding order.
    fn has_composition_time(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }

    fn header_name(self) -> &'static str {
        match self {
            Self::H264 => "an H.264 header",
            Self::H265 => "an HEVC header",
            Self::Av1 => "an AV1 header",
            Self::Aac => "an AAC header",
            Self::Opus => "an Opus header",
        }
    }

    fn parse(self, record: Bytes) -> Result<Codec, DemuxError> {
        let parsed = match self {
            Self::H264 => h264::Config::parse(record).map(Codec::H264),
            Self::H265 => h265::Config::parse(record).map(Codec::H265),
            Self::Av1 => av1::Config::parse(record).map(Codec::Av1),
            Self::Aac => aac::Config::parse(record).map(Codec::Aac),
            Self::Opus if record.is_empty() => opus::Config::parse(Bytes::from_static(OPUS_STEREO)).map(Codec::Opus),
            Self::Opus => opus::Config::parse(record).map(Codec::Opus),
        };
        parsed.map_err(|cause| match cause {
            CodecError::Unsupported { what } => DemuxError::Unsupported {
                what: format!(
                    "This broadcast uses {what}, which is not supported: choose another profile in the encoder."
                ),
            },
            cause => DemuxError::Malformed { what: self.header_name(), cause: Some(cause) },
        })
    }
}

/// What Enhanced RTMP assumes when the Opus header is left empty: stereo, nothing to skip, 48 kHz.
const OPUS_STEREO: &[u8] = b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00";

/// One message for one lane.
#[derive(Debug)]
enum Packet {
    /// A configuration record.
    Start(Bytes),
    /// A coded frame with its composition time and what the container says about it being a keyframe.
    Coded {
        payload: Bytes,
        cts: i32,
        flagged_keyframe: bool,
    },
    End,
}

/// Turns tags into frames.
#[derive(Debug, Default)]
pub struct Demuxer {
    video: Option<Arc<Track>>,
    audio: Option<Arc<Track>>,
    clock: Clock,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Demuxer {
    /// A demuxer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a tag. Each gives at most one output.
    ///
    /// # Errors
    ///
    /// [`DemuxError`] when the tag cannot be used. A sequence header that cannot be used also ends the track before it.
    pub fn feed(&mut self, tag: Tag) -> Result<(), DemuxError> {
        match tag.kind {
            TagKind::Video => self.video_tag(tag.timestamp_ms, tag.payload),
            TagKind::Audio => self.audio_tag(tag.timestamp_ms, tag.payload),
            TagKind::Script => {
                match Metadata::parse(&tag.payload) {
                    Some(metadata) => self.outputs.push_back(Output::Metadata(metadata)),
                    None => self.counters.ignored += 1,
                }
                Ok(())
            }
        }
    }

    /// The next output, or `None` when everything fed has been given.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What was left out.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The track of this kind that frames now belong to; `None` before its sequence header.
    #[must_use]
    pub fn track(&self, kind: Kind) -> Option<&Arc<Track>> {
        match kind {
            Kind::Video => self.video.as_ref(),
            Kind::Audio => self.audio.as_ref(),
        }
    }

    fn video_tag(&mut self, time: u32, mut body: Bytes) -> Result<(), DemuxError> {
        const FRAME_COMMAND: u8 = 5;
        const FRAME_KEY: u8 = 1;
        let head = take_u8(&mut body, VIDEO_TAG)?;
        let enhanced = head & 0x80 != 0;
        let frame_type = head >> 4 & 0x07;
        let flagged_keyframe = frame_type == FRAME_KEY;
        if !enhanced {
            if frame_type == FRAME_COMMAND {
                return self.ignore();
            }
            let codec = legacy_video(head & 0x0f)?;
            let packet_type = take_u8(&mut body, VIDEO_TAG)?;
            let cts = take_i24(&mut body, VIDEO_TAG)?;
            return match packet_type {
                0 => self.packet(time, codec, Packet::Start(body)),
                1 => self.packet(time, codec, Packet::Coded { payload: body, cts, flagged_keyframe }),
                2 => self.packet(time, codec, Packet::End),
                _ => self.ignore(),
            };
        }
        let packet_type = skip_mod_ex(head & 0x0f, &mut body, VIDEO_TAG)?;
        if packet_type == VIDEO_METADATA || frame_type == FRAME_COMMAND {
            return self.ignore();
        }
        let Some((packet_type, four_cc)) =
            choose_track(packet_type == VIDEO_MULTITRACK, packet_type, &mut body, VIDEO_TAG)?
        else {
            self.counters.other_tracks += 1;
            return Ok(());
        };
        let codec = enhanced_video(four_cc)?;
        match packet_type {
            PACKET_START => self.packet(time, codec, Packet::Start(body)),
            PACKET_CODED => {
                let cts = if codec.has_composition_time() { take_i24(&mut body, VIDEO_TAG)? } else { 0 };
                self.packet(time, codec, Packet::Coded { payload: body, cts, flagged_keyframe })
            }
            PACKET_END => self.packet(time, codec, Packet::End),
            VIDEO_CODED_X => self.packet(time, codec, Packet::Coded { payload: body, cts: 0, flagged_keyframe }),
            VIDEO_TS_START => Err(DemuxError::Unsupported {
                what: "AV1 with an MPEG-TS header is not supported: choose another encoder.".to_owned(),
            }),
            _ => self.ignore(),
        }
    }

    fn audio_tag(&mut self, time: u32, mut body: Bytes) -> Result<(), DemuxError> {
        const ENHANCED: u8 = 9;
        let head = take_u8(&mut body, AUDIO_TAG)?;
        if head >> 4 != ENHANCED {
            let codec = legacy_audio(head >> 4)?;
            return match take_u8(&mut body, AUDIO_TAG)? {
                0 => self.packet(time, codec, Packet::Start(body)),
                1 => self.packet(time, codec, Packet::Coded { payload: body, cts: 0, flagged_keyframe: true }),
                _ => self.ignore(),
            };
        }
        let packet_type = skip_mod_ex(head & 0x0f, &mut body, AUDIO_TAG)?;
        let Some((packet_type, four_cc)) =
            choose_track(packet_type == AUDIO_MULTITRACK, packet_type, &mut body, AUDIO_TAG)?
        else {
            self.counters.other_tracks += 1;
            return Ok(());
        };
        let codec = enhanced_audio(four_cc)?;
        match packet_type {
            PACKET_START => self.packet(time, codec, Packet::Start(body)),
            PACKET_CODED => self.packet(time, codec, Packet::Coded { payload: body, cts: 0, flagged_keyframe: true }),
            PACKET_END => self.packet(time, codec, Packet::End),
            _ => self.ignore(),
        }
    }

    fn ignore(&mut self) -> Result<(), DemuxError> {
        self.counters.ignored += 1;
        Ok(())
    }

    fn packet(&mut self, time: u32, codec: CodecId, packet: Packet) -> Result<(), DemuxError> {
        let (lane, kind) = match codec {
            CodecId::H264 | CodecId::H265 | CodecId::Av1 => (&mut self.video, Kind::Video),
            CodecId::Aac | CodecId::Opus => (&mut self.audio, Kind::Audio),
        };
        let (mut payload, cts, flagged_keyframe) = match packet {
            Packet::Start(record) => {
                let before = lane.take();
                let parsed = codec.parse(record)?;
                *lane = match before {
                    Some(track) if track.codec == parsed => Some(track),
                    _ => Some(Arc::new(Track { codec: parsed, timescale: Timescale::MILLIS })),
                };
                return Ok(());
            }
            Packet::End => {
                self.outputs.push_back(Output::EndOfSequence(kind));
                return Ok(());
            }
            Packet::Coded { payload, cts, flagged_keyframe } => (payload, cts, flagged_keyframe),
        };
        // The clock follows every frame, also those that are dropped: headers and cues may carry any time, frames not.
        let dts = self.clock.unwrap(time);
        let Some(track) = lane.as_ref().filter(|track| matches_id(&track.codec, codec)) else {
            match kind {
                Kind::Video => self.counters.video_before_header += 1,
                Kind::Audio => self.counters.audio_before_header += 1,
            }
            return Ok(());
        };
        if codec == CodecId::Av1 {
            strip_temporal_delimiters(&mut payload);
        }
        if payload.is_empty() {
            return self.ignore();
        }
        let keyframe = match &track.codec {
            Codec::H264(config) => h264::is_keyframe(config, &payload),
            Codec::H265(config) => h265::is_keyframe(config, &payload),
            Codec::Av1(config) => av1::is_keyframe(config, &payload),
            Codec::Aac(_) | Codec::Opus(_) => true,
        };
        if keyframe != flagged_keyframe {
            self.counters.keyframe_flags_wrong += 1;
        }
        self.outputs.push_back(Output::Frame(Frame { track: Arc::clone(track), dts, cts, keyframe, payload }));
        Ok(())
    }
}

// The packet types of Enhanced RTMP. The first three are the same for video and audio.
const PACKET_START: u8 = 0;
const PACKET_CODED: u8 = 1;
const PACKET_END: u8 = 2;
const VIDEO_CODED_X: u8 = 3;
const VIDEO_METADATA: u8 = 4;
const VIDEO_TS_START: u8 = 5;
const VIDEO_MULTITRACK: u8 = 6;
const AUDIO_MULTITRACK: u8 = 5;
const PACKET_MOD_EX: u8 = 7;

const VIDEO_TAG: &str = "a video packet";
const AUDIO_TAG: &str = "an audio packet";

fn legacy_video(id: u8) -> Result<CodecId, DemuxError> {
    let name = match id {
        7 => return Ok(CodecId::H264),
        12 => return Ok(CodecId::H265),
        2 => "Sorenson H.263",
        3 | 6 => "Screen",
        4 | 5 => "VP6",
        8 => "H.263",
        9 => "MPEG-4 part 2",
        _ => "This kind of",
    };
    Err(unsupported_video(name))
}

fn enhanced_video(four_cc: [u8; 4]) -> Result<CodecId, DemuxError> {
    let name = match &four_cc {
        b"avc1" => return Ok(CodecId::H264),
        b"hvc1" => return Ok(CodecId::H265),
        b"av01" => return Ok(CodecId::Av1),
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"vvc1" => "VVC",
        _ => "This kind of",
    };
    Err(unsupported_video(name))
}

fn legacy_audio(format: u8) -> Result<CodecId, DemuxError> {
    let name = match format {
        10 => return Ok(CodecId::Aac),
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 | 8 => "G.711",
        11 => "Speex",
        _ => "This kind of",
    };
    Err(unsupported_audio(name))
}

fn enhanced_audio(four_cc: [u8; 4]) -> Result<CodecId, DemuxError> {
    let name = match &four_cc {
        b"mp4a" => return Ok(CodecId::Aac),
        b"Opus" => return Ok(CodecId::Opus),
        b".mp3" => "MP3",
        b"fLaC" => "FLAC",
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        _ => "This kind of",
    };
    Err(unsupported_audio(name))
}

fn unsupported_video(name: &str) -> DemuxError {
    DemuxError::Unsupported {
        what: format!("{name} video is not supported: choose H.264, HEVC or AV1 in the encoder."),
    }
}

fn unsupported_audio(name: &str) -> DemuxError {
    DemuxError::Unsupported { what: format!("{name} audio is not supported: choose AAC or Opus in the encoder.") }
}

fn matches_id(codec: &Codec, id: CodecId) -> bool {
    matches!(
        (codec, id),
        (Codec::H264(_), CodecId::H264)
            | (Codec::H265(_), CodecId::H265)
            | (Codec::Av1(_), CodecId::Av1)
            | (Codec::Aac(_), CodecId::Aac)
            | (Codec::Opus(_), CodecId::Opus)
    )
}

/// Passes over the modifiers in front of a packet and gives the packet type behind them. The only one defined moves the
/// time by less than a millisecond, which the time stamps of this house's RTMP side cannot express.
fn skip_mod_ex(mut packet_type: u8, body: &mut Bytes, what: &'static str) -> Result<u8, DemuxError> {
    while packet_type == PACKET_MOD_EX {
        let mut size = usize::from(take_u8(body, what)?) + 1;
        if size == 256 {
            size = usize::from(take_u16(body, what)?) + 1;
        }
        skip(body, size, what)?;
        packet_type = take_u8(body, what)? & 0x0f;
    }
    Ok(packet_type)
}

/// Reads the FourCC, and in a multitrack message narrows `body` to track 0. Gives the packet type of the track and its
/// FourCC; `None` when track 0 is not in the message.
fn choose_track(
    multitrack: bool,
    packet_type: u8,
    body: &mut Bytes,
    what: &'static str,
) -> Result<Option<(u8, [u8; 4])>, DemuxError> {
    const ONE_TRACK: u8 = 0;
    const MANY_TRACKS_MANY_CODECS: u8 = 2;
    if !multitrack {
        return Ok(Some((packet_type, take_four_cc(body, what)?)));
    }
    let head = take_u8(body, what)?;
    let (multitrack_type, packet_type) = (head >> 4, head & 0x0f);
    let mut four_cc = [0; 4];
    if multitrack_type != MANY_TRACKS_MANY_CODECS {
        four_cc = take_four_cc(body, what)?;
    }
    while !body.is_empty() {
        if multitrack_type == MANY_TRACKS_MANY_CODECS {
            four_cc = take_four_cc(body, what)?;
        }
        let id = take_u8(body, what)?;
        let size = if multitrack_type == ONE_TRACK { body.len() } else { take_u24(body, what)? as usize };
        if body.len() < size {
            return Err(malformed(what));
        }
        if id == 0 {
            body.truncate(size);
            return Ok(Some((packet_type, four_cc)));
        }
        body.advance(size);
    }
    Ok(None)
}

/// fMP4 wants AV1 without temporal delimiters; the specification puts one only at the front of a temporal unit.
fn strip_temporal_delimiters(payload: &mut Bytes) {
    const TEMPORAL_DELIMITER: &[u8] = &[0x12, 0x00];
    while payload.starts_with(TEMPORAL_DELIMITER) {
        payload.advance(TEMPORAL_DELIMITER.len());
    }
}

fn malformed(what: &'static str) -> DemuxError {
    DemuxError::Malformed { what, cause: None }
}

fn skip(body: &mut Bytes, count: usize, what: &'static str) -> Result<(), DemuxError> {
    if body.len() < count {
        return Err(malformed(what));
    }
    body.advance(count);
    Ok(())
}

fn take_u8(body: &mut Bytes, what: &'static str) -> Result<u8, DemuxError> {
    if body.is_empty() { Err(malformed(what)) } else { Ok(body.get_u8()) }
}

fn take_u16(body: &mut Bytes, what: &'static str) -> Result<u16, DemuxError> {
    if body.len() < 2 { Err(malformed(what)) } else { Ok(body.get_u16()) }
}

fn take_u24(body: &mut Bytes, what: &'static str) -> Result<u32, DemuxError> {
    let bytes = *body.first_chunk::<3>().ok_or_else(|| malformed(what))?;
    body.advance(3);
    Ok(u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
}

/// A signed number of 24 bits.
fn take_i24(body: &mut Bytes, what: &'static str) -> Result<i32, DemuxError> {
    // The sign bit is moved to where `i32` has it, and back with the sign.
    Ok((take_u24(body, what)? << 8).cast_signed() >> 8)
}

fn take_four_cc(body: &mut Bytes, what: &'static str) -> Result<[u8; 4], DemuxError> {
    let bytes = *body.first_chunk::<4>().ok_or_else(|| malformed(what))?;
    body.advance(4);
    Ok(bytes)
}

/// Unwraps the 32-bit time stamps of both kinds on one clock: whatever is less than 2³¹ ms (24 days) from the last
/// frame, before or after, is taken to be just that far away.
#[derive(Debug, Default)]
struct Clock {
    last: Option<(u32, i64)>,
}

impl Clock {
    fn unwrap(&mut self, time: u32) -> i64 {
        let unwrapped = match self.last {
            Some((raw, unwrapped)) => unwrapped.saturating_add(i64::from(time.wrapping_sub(raw).cast_signed())),
            None => i64::from(time),
        };
        self.last = Some((time, unwrapped));
        unwrapped
    }
}

impl Metadata {
    /// Reads `onMetaData`; anything else, or what is not AMF0, is `None`.
    fn parse(payload: &[u8]) -> Option<Self> {
        const TEXT_BYTES_MAX: usize = 255;
        let mut reader = amf0::Reader::new(payload);
        if reader.value().ok()??.as_str()? != "onMetaData" {
            return None;
        }
        let object = reader.value().ok()??;
        let number = |name: &str| object.member(name).and_then(amf0::Value::as_number);
        let whole = |name: &str| number(name).filter(|n| (1.0..1e9).contains(n)).map(|n| n.round() as u32);
        let encoder = object.member("encoder").and_then(amf0::Value::as_str).filter(|text| !text.is_empty());
        Some(Self {
            encoder: encoder.map(|text| crate::rtmp::clip(text, TEXT_BYTES_MAX).to_owned()),
            width: whole("width"),
            height: whole("height"),
            frame_rate: number("framerate").filter(|rate| (0.1..1_000.0).contains(rate)),
            video_kbps: whole("videodatarate"),
            audio_kbps: whole("audiodatarate"),
        })
    }
}
