//! The demuxer: headers of every generation, time, parameters that change, and what is dropped.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use stagedoor_media::codec::Codec;
use stagedoor_media::container::flv::{DemuxError, Demuxer, Metadata, Output, Tag, TagKind};
use stagedoor_media::rtmp::amf0::Writer;
use stagedoor_media::{Frame, Kind, Timescale};

use crate::captures::{Capture, capture};

// Access units as an encoder would send them, as far as the demuxer looks at them.
const H264_IDR: &[u8] = &[0, 0, 0, 2, 0x65, 0x88];
const H264_OTHER: &[u8] = &[0, 0, 0, 2, 0x41, 0x9a];
const HEVC_IDR: &[u8] = &[0, 0, 0, 3, 0x26, 0x01, 0xaf];
const AV1_KEY: &[u8] = &[0x32, 0x02, 0x10, 0x00];
const AAC_FRAME: &[u8] = &[0x21, 0x10, 0x04];

fn record(capture: &Capture, kind: Kind) -> Bytes {
    match &capture.track(kind).codec {
        Codec::H264(config) => config.record.clone(),
        Codec::H265(config) => config.record.clone(),
        Codec::Av1(config) => config.record.clone(),
        Codec::Aac(config) => config.record.clone(),
        Codec::Opus(config) => config.record.clone(),
    }
}

fn avcc() -> Bytes {
    record(&capture!("ffmpeg-h264-aac"), Kind::Video)
}

fn other_avcc() -> Bytes {
    record(&capture!("gstreamer-h264-aac"), Kind::Video)
}

fn hvcc() -> Bytes {
    record(&capture!("ffmpeg9-hevc-aac"), Kind::Video)
}

fn av1c() -> Bytes {
    record(&capture!("ffmpeg9-av1-opus"), Kind::Video)
}

fn asc() -> Bytes {
    record(&capture!("ffmpeg-h264-aac"), Kind::Audio)
}

fn tag(kind: TagKind, timestamp_ms: u32, parts: &[&[u8]]) -> Tag {
    Tag { kind, timestamp_ms, payload: parts.concat().into() }
}

fn video(timestamp_ms: u32, parts: &[&[u8]]) -> Tag {
    tag(TagKind::Video, timestamp_ms, parts)
}

fn audio(timestamp_ms: u32, parts: &[&[u8]]) -> Tag {
    tag(TagKind::Audio, timestamp_ms, parts)
}

fn h264_header() -> Tag {
    video(0, &[&[0x17, 0, 0, 0, 0], &avcc()])
}

fn h264(timestamp_ms: u32, cts: i32, payload: &[u8]) -> Tag {
    let head = if payload == H264_IDR { 0x17 } else { 0x27 };
    video(timestamp_ms, &[&[head, 1], &cts.to_be_bytes()[1..], payload])
}

fn aac_header() -> Tag {
    audio(0, &[&[0xaf, 0], &asc()])
}

fn aac(timestamp_ms: u32) -> Tag {
    audio(timestamp_ms, &[&[0xaf, 1], AAC_FRAME])
}

struct Run {
    demuxer: Demuxer,
    outputs: Vec<Output>,
}

impl Run {
    fn new() -> Self {
        Self { demuxer: Demuxer::new(), outputs: Vec::new() }
    }

    fn of(tags: impl IntoIterator<Item = Tag>) -> Self {
        let mut run = Self::new();
        for tag in tags {
            run.feed(tag).unwrap();
        }
        run
    }

    fn feed(&mut self, tag: Tag) -> Result<(), DemuxError> {
        let result = self.demuxer.feed(tag);
        while let Some(output) = self.demuxer.poll() {
            self.outputs.push(output);
        }
        result
    }

    fn frames(&self) -> Vec<&Frame> {
        self.outputs
            .iter()
            .filter_map(|output| if let Output::Frame(frame) = output { Some(frame) } else { None })
            .collect()
    }

    fn times(&self) -> Vec<i64> {
        self.frames().iter().map(|frame| frame.dts).collect()
    }
}

// ---- headers of every generation

#[test]
fn legacy_h264_becomes_frames_without_their_header() {
    let run = Run::of([h264_header(), h264(0, 80, H264_IDR), h264(40, 0, H264_OTHER)]);
    let frames = run.frames();
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].dts, frames[0].cts, frames[0].pts(), frames[0].keyframe), (0, 80, 80, true));
    assert_eq!((frames[1].dts, frames[1].cts, frames[1].keyframe), (40, 0, false));
    assert_eq!(frames[0].payload, H264_IDR);
    assert_eq!(frames[0].track.timescale, Timescale::MILLIS);
}

#[test]
fn legacy_aac_becomes_frames() {
    let run = Run::of([aac_header(), aac(0), aac(21)]);
    assert_eq!(run.times(), [0, 21]);
    assert!(run.frames().iter().all(|frame| frame.keyframe && frame.payload == AAC_FRAME));
}

#[test]
fn hevc_under_its_old_codec_id_becomes_frames() {
    let run = Run::of([video(0, &[&[0x1c, 0, 0, 0, 0], &hvcc()]), video(40, &[&[0x1c, 1, 0, 0, 40], HEVC_IDR])]);
    assert!(matches!(run.frames()[0].track.codec, Codec::H265(_)));
    assert_eq!((run.frames()[0].cts, run.frames()[0].keyframe), (40, true));
}

#[test]
fn every_four_cc_of_enhanced_rtmp_has_its_layout() {
    for (four_cc, record, coded, payload, cts) in [
        (b"avc1", avcc(), &[0, 0, 40][..], H264_IDR, 40),
        (b"hvc1", hvcc(), &[0xff, 0xff, 0xd8], HEVC_IDR, -40),
        (b"av01", av1c(), &[], AV1_KEY, 0),
    ] {
        let run = Run::of([
            video(0, &[&[0x90], four_cc, &record]),
            video(40, &[&[0x91], four_cc, coded, payload]),
            video(80, &[&[0x93], four_cc, payload]),
            video(90, &[&[0x92], four_cc]),
        ]);
        let frames = run.frames();
        assert_eq!(frames.len(), 2, "{four_cc:?}");
        assert_eq!((frames[0].cts, frames[0].keyframe, &frames[0].payload[..]), (cts, true, payload));
        assert_eq!((frames[1].cts, frames[1].keyframe, &frames[1].payload[..]), (0, true, payload));
        assert_eq!(run.outputs.last(), Some(&Output::EndOfSequence(Kind::Video)));
    }
}

#[test]
fn enhanced_audio_becomes_frames() {
    for (four_cc, record) in [(b"mp4a", asc()), (b"Opus", record(&capture!("ffmpeg9-av1-opus"), Kind::Audio))] {
        let run = Run::of([
            audio(0, &[&[0x90], four_cc, &record]),
            audio(20, &[&[0x94], four_cc, &[1, 2, 0, 0, 0, 3]]),
            audio(20, &[&[0x91], four_cc, b"sound"]),
            audio(40, &[&[0x92], four_cc]),
        ]);
        assert_eq!((run.times(), &run.frames()[0].payload[..]), (vec![20], &b"sound"[..]));
        assert_eq!(run.outputs.last(), Some(&Output::EndOfSequence(Kind::Audio)));
        assert_eq!(run.demuxer.counters().ignored, 1, "the multichannel configuration");
    }
}

#[test]
fn an_empty_opus_header_means_stereo() {
    let run = Run::of([audio(0, &[&[0x90], b"Opus"]), audio(0, &[&[0x91], b"Opus", b"sound"])]);
    assert_eq!(run.frames()[0].track.codec.channels(), Some(2));
}

#[test]
fn modifiers_of_any_length_are_passed_over() {
    let nano_offset = [2, 0, 0, 1, 0x01]; // three bytes of time, then: type 0, coded frames
    let long = [&[255_u8, 0x01, 0x00][..], &[9; 257], &[0x07]].concat(); // 257 bytes, then: another modifier
    let run = Run::of([
        video(0, &[&[0x90], b"hvc1", &hvcc()]),
        video(40, &[&[0x97], &long, &nano_offset, b"hvc1", &[0, 0, 7], HEVC_IDR]),
        audio(0, &[&[0x90], b"mp4a", &asc()]),
        audio(10, &[&[0x97], &nano_offset, b"mp4a", AAC_FRAME]),
    ]);
    assert_eq!(run.frames().len(), 2);
    assert_eq!((run.frames()[0].cts, &run.frames()[0].payload[..]), (7, HEVC_IDR));
}

#[test]
fn of_a_multitrack_message_track_0_is_taken_wherever_it_stands() {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..].to_vec();
    let record = hvcc();
    let coded = [&[0, 0, 7][..], HEVC_IDR].concat();
    let run = Run::of([
        video(0, &[&[0x96, 0x00], b"hvc1", &[0], &record]),
        // Many tracks of one codec: 3, then 0.
        video(40, &[&[0x96, 0x11], b"hvc1", &[3, 0, 0, 2, 9, 9], &[0], &size(&coded), &coded]),
        // Many tracks of many codecs: VP9 as 1, HEVC as 0, and something behind it.
        video(
            80,
            &[&[0x96, 0x21], b"vp09", &[1, 0, 0, 1, 9], b"hvc1", &[0], &size(&coded), &coded, b"av01", &[2, 0, 0, 0]],
        ),
        // One track that is not ours, of a codec that we do not know.
        video(80, &[&[0x96, 0x01], b"vp09", &[1, 9, 9]]),
        audio(0, &[&[0x95, 0x00], b"mp4a", &[0], &asc()]),
        audio(5, &[&[0x95, 0x01], b"mp4a", &[0], AAC_FRAME]),
        audio(5, &[&[0x95, 0x01], b"mp4a", &[1], AAC_FRAME]),
    ]);
    assert_eq!(run.times(), [40, 80, 5]);
    assert!(run.frames()[..2].iter().all(|frame| frame.cts == 7 && frame.payload == HEVC_IDR));
    assert_eq!(run.demuxer.counters().other_tracks, 2);
}

#[test]
fn seek_commands_colour_and_packets_to_come_are_ignored() {
    let run = Run::of([
        h264_header(),
        video(0, &[&[0x57, 0]]),
        video(0, &[&[0xd1], b"hvc1", &[0]]),
        video(0, &[&[0x94], b"hvc1", b"colorInfo"]),
        video(0, &[&[0x9f], b"hvc1"]),
        video(0, &[&[0x17, 9, 0, 0, 0]]),
        audio(0, &[&[0xaf, 9]]),
    ]);
    assert!(run.outputs.is_empty());
    assert_eq!(run.demuxer.counters().ignored, 6);
}

#[test]
fn av1_loses_its_temporal_delimiters() {
    let run = Run::of([
        video(0, &[&[0x90], b"av01", &av1c()]),
        video(0, &[&[0x91], b"av01", &[0x12, 0], AV1_KEY]),
        video(40, &[&[0x91], b"av01", &[0x12, 0]]),
    ]);
    assert_eq!(run.frames().len(), 1);
    assert_eq!(run.frames()[0].payload, AV1_KEY);
    assert_eq!(run.demuxer.counters().ignored, 1, "a temporal unit that held nothing else");
}

// ---- time

#[test]
fn composition_times_may_be_negative() {
    let run = Run::of([h264_header(), h264(100, -40, H264_IDR), h264(140, -8_388_608, H264_OTHER)]);
    assert_eq!((run.frames()[0].cts, run.frames()[0].pts()), (-40, 60));
    assert_eq!(run.frames()[1].cts, -8_388_608);
}

#[test]
fn time_goes_on_after_32_bits() {
    let last = u32::MAX;
    let run = Run::of([h264_header(), h264(last - 39, 0, H264_IDR), h264(0, 0, H264_OTHER), h264(40, 0, H264_OTHER)]);
    let start = i64::from(last - 39);
    assert_eq!(run.times(), [start, start + 40, start + 80]);
}

#[test]
fn sound_and_pictures_wrap_together_whichever_is_first() {
    let run = Run::of([
        h264_header(),
        aac_header(),
        h264(u32::MAX - 9, 0, H264_IDR),
        aac(5),
        h264(30, 0, H264_OTHER),
        aac(u32::MAX), // late, from before the wrap
    ]);
    let start = i64::from(u32::MAX - 9);
    assert_eq!(run.times(), [start, start + 15, start + 40, start + 9]);
}

#[test]
fn jumps_of_time_pass_through() {
    let run = Run::of([
        h264_header(),
        h264(1_000, 0, H264_IDR),
        h264(3_600_000, 0, H264_OTHER),
        h264(0, 0, H264_IDR),
        h264(40, 0, H264_OTHER),
    ]);
    assert_eq!(run.times(), [1_000, 3_600_000, 0, 40]);
}

#[test]
fn headers_and_cues_do_not_move_the_clock() {
    let run = Run::of([
        h264_header(),
        h264(0x8000_0000, 0, H264_IDR),
        h264_header(),
        tag(TagKind::Script, 0, &[b"\x02\x00\x01x"]),
        h264(0x8000_0028, 0, H264_OTHER),
    ]);
    assert_eq!(run.times(), [0x8000_0000, 0x8000_0028]);
}

// ---- headers that are missing, repeated, changed, broken

#[test]
fn frames_before_their_header_are_dropped_and_counted() {
    let run =
        Run::of([h264(0, 0, H264_IDR), aac(0), aac(21), h264_header(), aac_header(), h264(40, 0, H264_IDR), aac(42)]);
    assert_eq!(run.times(), [40, 42]);
    let counters = run.demuxer.counters();
    assert_eq!((counters.video_before_header, counters.audio_before_header), (1, 2));
}

#[test]
fn frames_of_another_codec_than_the_header_are_dropped_and_counted() {
    let run = Run::of([h264_header(), video(0, &[&[0x91], b"hvc1", &[0, 0, 0], HEVC_IDR])]);
    assert!(run.frames().is_empty());
    assert_eq!(run.demuxer.counters().video_before_header, 1);
}

#[test]
fn sound_alone_and_pictures_alone_need_nothing_else() {
    assert_eq!(Run::of([aac_header(), aac(0)]).frames().len(), 1);
    assert_eq!(Run::of([h264_header(), h264(0, 0, H264_IDR)]).frames().len(), 1);
}

#[test]
fn a_repeated_header_keeps_the_track() {
    let run = Run::of([h264_header(), h264(0, 0, H264_IDR), h264_header(), h264(40, 0, H264_IDR)]);
    assert!(Arc::ptr_eq(&run.frames()[0].track, &run.frames()[1].track));
}

#[test]
fn a_changed_header_is_a_new_track_for_the_frames_behind_it() {
    let other = video(40, &[&[0x17, 0, 0, 0, 0], &other_avcc()]);
    let run = Run::of([h264_header(), h264(0, 0, H264_IDR), other, h264(40, 0, H264_IDR), h264(80, 0, H264_OTHER)]);
    let frames = run.frames();
    assert_ne!(frames[0].track, frames[1].track);
    assert!(Arc::ptr_eq(&frames[1].track, &frames[2].track));
    assert_eq!(run.demuxer.track(Kind::Video), Some(&frames[2].track));
    assert_eq!(run.demuxer.track(Kind::Audio), None);
}

#[test]
fn the_codec_may_change_in_mid_stream() {
    let run = Run::of([
        h264_header(),
        h264(0, 0, H264_IDR),
        video(40, &[&[0x90], b"hvc1", &hvcc()]),
        video(40, &[&[0x93], b"hvc1", HEVC_IDR]),
        h264(80, 0, H264_OTHER),
    ]);
    let names: Vec<_> = run.frames().iter().map(|frame| frame.track.codec.name()).collect();
    assert_eq!(names, ["H.264", "H.265"]);
}

#[test]
fn a_broken_header_ends_the_track_and_a_good_one_begins_the_next() {
    let mut run = Run::of([h264_header(), h264(0, 0, H264_IDR)]);
    let error = run.feed(video(40, &[&[0x17, 0, 0, 0, 0], &avcc()[..6]])).unwrap_err();
    assert_eq!(error.to_string(), "The encoder sent an H.264 header that cannot be read.");
    assert!(std::error::Error::source(&error).is_some());
    run.feed(h264(40, 0, H264_OTHER)).unwrap();
    assert_eq!(run.demuxer.counters().video_before_header, 1);
    run.feed(h264_header()).unwrap();
    run.feed(h264(80, 0, H264_IDR)).unwrap();
    assert_eq!(run.times(), [0, 80]);
}

#[test]
fn the_keyframe_flag_of_the_container_is_not_believed() {
    let run = Run::of([
        h264_header(),
        video(0, &[&[0x27, 1, 0, 0, 0], H264_IDR]),
        video(40, &[&[0x17, 1, 0, 0, 0], H264_OTHER]),
    ]);
    assert_eq!((run.frames()[0].keyframe, run.frames()[1].keyframe), (true, false));
    assert_eq!(run.demuxer.counters().keyframe_flags_wrong, 2);
}

// ---- refusals

#[test]
fn codecs_we_cannot_carry_are_refused_in_words_for_the_person_at_the_encoder() {
    let video_text = |name: &str| format!("{name} video is not supported: choose H.264, HEVC or AV1 in the encoder.");
    let audio_text = |name: &str| format!("{name} audio is not supported: choose AAC or Opus in the encoder.");
    for (tag, text) in [
        (video(0, &[&[0x12, 0]]), video_text("Sorenson H.263")),
        (video(0, &[&[0x14, 0]]), video_text("VP6")),
        (video(0, &[&[0x1f, 0]]), video_text("This kind of")),
        (video(0, &[&[0x90], b"vp09"]), video_text("VP9")),
        (video(0, &[&[0x90], b"vvc1"]), video_text("VVC")),
        (video(0, &[&[0x90], b"\0\xff\n\r"]), video_text("This kind of")),
        (audio(0, &[&[0x2f, 0]]), audio_text("MP3")),
        (audio(0, &[&[0xb2, 0]]), audio_text("Speex")),
        (audio(0, &[&[0x90], b".mp3"]), audio_text("MP3")),
        (audio(0, &[&[0x90], b"fLaC"]), audio_text("FLAC")),
        (audio(0, &[&[0x90], b"ac-3"]), audio_text("AC-3")),
    ] {
        let error = Run::new().feed(tag).unwrap_err();
        assert_eq!(error, DemuxError::Unsupported { what: text.clone() });
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn tags_that_end_inside_their_header_are_refused_and_harm_no_other() {
    let mut run = Run::of([h264_header()]);
    let whole: [&[u8]; 6] = [
        &[0x17, 1, 0, 0],
        &[0x91, b'h', b'v', b'c'],
        &[0x91, b'h', b'v', b'c', b'1', 0, 0],
        &[0x96, 0x11, b'h', b'v', b'c', b'1', 0, 0, 0],
        &[0x96, 0x11, b'h', b'v', b'c', b'1', 0, 0, 0, 9, 1],
        &[0x97, 255, 0xff, 0xff, 1, 2, 3],
    ];
    for bytes in whole {
        let error = run.feed(video(0, &[bytes])).unwrap_err();
        assert_eq!(error.to_string(), "The encoder sent a video packet that cannot be read.");
    }
    for bytes in [&[][..], &[0xaf], &[0x91, b'O'], &[0x95], &[0x97, 5]] {
        let error = run.feed(audio(0, &[bytes])).unwrap_err();
        assert_eq!(error.to_string(), "The encoder sent an audio packet that cannot be read.");
    }
    run.feed(h264(0, 0, H264_IDR)).unwrap();
    assert_eq!(run.frames().len(), 1);
}

#[test]
fn empty_frames_are_ignored() {
    let run = Run::of([h264_header(), aac_header(), h264(0, 0, &[]), audio(0, &[&[0xaf, 1]])]);
    assert!(run.frames().is_empty());
    assert_eq!(run.demuxer.counters().ignored, 2);
}

// ---- metadata

fn metadata(writer: Writer) -> Option<Metadata> {
    let run = Run::of([tag(TagKind::Script, 0, &[&writer.into_bytes()])]);
    run.outputs
        .into_iter()
        .find_map(|output| if let Output::Metadata(metadata) = output { Some(metadata) } else { None })
}

#[test]
fn metadata_is_read_from_an_array_or_an_object() {
    for start in [Writer::new().string("onMetaData").object(), Writer::new().string("onMetaData").ecma_array(9)] {
        let writer = start.name("width").number(1_280.0).name("height").number(720.0).name("framerate").number(29.97);
        let writer = writer.name("videodatarate").number(2_500.4).name("audiodatarate").number(160.0);
        let read = metadata(writer.name("encoder").string("obs-output module").end()).unwrap();
        let expected = Metadata {
            encoder: Some("obs-output module".to_owned()),
            width: Some(1_280),
            height: Some(720),
            frame_rate: Some(29.97),
            video_kbps: Some(2_500),
            audio_kbps: Some(160),
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn metadata_that_cannot_be_true_is_left_out() {
    let writer = Writer::new().string("onMetaData").object().name("width").number(f64::NAN).name("height").number(-1.0);
    let writer = writer.name("framerate").number(f64::INFINITY).name("videodatarate").number(0.0);
    assert_eq!(metadata(writer.name("encoder").string("").end()), Some(Metadata::default()));
}

#[test]
fn an_endless_encoder_name_is_cut() {
    let writer = Writer::new().string("onMetaData").object().name("encoder").string(&"x".repeat(10_000)).end();
    assert_eq!(metadata(writer).unwrap().encoder.unwrap().len(), 255);
}

#[test]
fn other_script_data_is_ignored() {
    assert_eq!(metadata(Writer::new().string("onCuePoint").object().end()), None);
    assert_eq!(metadata(Writer::new().number(1.0)), None);
    let run = Run::of([tag(TagKind::Script, 0, &[&[0x11, 0xff]]), tag(TagKind::Script, 0, &[])]);
    assert_eq!((run.outputs.len(), run.demuxer.counters().ignored), (0, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_never_panics(bodies in prop::collection::vec((0..3_usize, any::<u32>(), prop::collection::vec(any::<u8>(), 0..64)), 1..20)) {
        let mut run = Run::of([h264_header(), aac_header()]);
        for (kind, time, body) in bodies {
            let kind = [TagKind::Video, TagKind::Audio, TagKind::Script][kind];
            let _ = run.feed(tag(kind, time, &[&body]));
        }
    }
}
