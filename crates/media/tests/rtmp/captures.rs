//! What real encoders sent, recorded by `fixtures/rtmp/record.sh`, replayed against the session and the demuxer.

use std::sync::Arc;

use stagedoor_media::container::flv::{Counters, DemuxError, Demuxer, Metadata, Output, Tag};
use stagedoor_media::rtmp::{Event, Phase};
use stagedoor_media::{Frame, Kind, Track};

use crate::client::{Server, at};

macro_rules! capture {
    ($name:literal) => {
        Capture::replay(include_bytes!(concat!("../../fixtures/rtmp/", $name, ".rtmp")))
    };
}
pub(crate) use capture;

/// One recorded connection, demuxed.
pub struct Capture {
    pub server: Server,
    pub frames: Vec<Frame>,
    pub metadata: Vec<Metadata>,
    pub ends: Vec<Kind>,
    pub errors: Vec<DemuxError>,
    pub counters: Counters,
}

impl Capture {
    /// In pieces of a size that a socket might give.
    pub fn replay(bytes: &[u8]) -> Self {
        Self::replay_in_pieces(bytes, 1_460)
    }

    fn replay_in_pieces(bytes: &[u8], size: usize) -> Self {
        let mut server = Server::new();
        for piece in bytes.chunks(size) {
            server.feed(piece).unwrap();
            server.session.accept_publish(at(0));
            server.drain();
        }
        let mut capture = Self {
            frames: Vec::new(),
            metadata: Vec::new(),
            ends: Vec::new(),
            errors: Vec::new(),
            counters: Counters::default(),
            server,
        };
        capture.demux(&capture.server.tags());
        capture
    }

    fn demux(&mut self, tags: &[Tag]) {
        let mut demuxer = Demuxer::new();
        for tag in tags {
            self.errors.extend(demuxer.feed(tag.clone()).err());
            while let Some(output) = demuxer.poll() {
                match output {
                    Output::Frame(frame) => self.frames.push(frame),
                    Output::Metadata(metadata) => self.metadata.push(metadata),
                    Output::EndOfSequence(kind) => self.ends.push(kind),
                }
            }
        }
        self.counters = demuxer.counters();
    }

    pub fn of(&self, kind: Kind) -> Vec<&Frame> {
        self.frames.iter().filter(|frame| frame.track.kind() == kind).collect()
    }

    pub fn track(&self, kind: Kind) -> Arc<Track> {
        Arc::clone(&self.of(kind)[0].track)
    }

    fn codec(&self, kind: Kind) -> String {
        self.track(kind).codec.codec_string()
    }

    /// The connection opened, published with the right names, and ended in an orderly way.
    fn assert_orderly(&self) {
        let request = self.server.request();
        assert_eq!((request.app.as_str(), request.name.as_str(), request.key()), ("live", "FIXTURE", Some("FIXTURE")));
        assert!(request.tc_url.starts_with("rtmp://127.0.0.1"));
        assert_eq!(self.server.events.last(), Some(&Event::Unpublish));
        assert_eq!(self.server.session.phase(), Phase::Publish);
        assert_eq!(self.server.session.buffered_bytes(), 0);
    }

    /// Every frame came out, none was strange.
    fn assert_clean(&self) {
        self.assert_orderly();
        assert_eq!(self.errors, []);
        let Counters { video_before_header, audio_before_header, keyframe_flags_wrong, .. } = self.counters;
        assert_eq!((video_before_header, audio_before_header, keyframe_flags_wrong), (0, 0, 0));
        assert!(self.of(Kind::Video).first().is_none_or(|frame| frame.keyframe));
        for kind in [Kind::Video, Kind::Audio] {
            assert!(self.of(kind).windows(2).all(|pair| pair[0].dts < pair[1].dts), "time goes on");
            assert!(self.of(kind).windows(2).all(|pair| Arc::ptr_eq(&pair[0].track, &pair[1].track)), "one track");
        }
    }
}

#[test]
fn ffmpeg_sends_h264_with_b_frames_and_aac() {
    let capture = capture!("ffmpeg-h264-aac");
    capture.assert_clean();
    assert_eq!(capture.codec(Kind::Video), "avc1.640009");
    assert_eq!(capture.codec(Kind::Audio), "mp4a.40.2");
    assert_eq!(capture.track(Kind::Video).codec.resolution(), Some((128, 72)));
    assert_eq!(capture.track(Kind::Audio).codec.sample_rate(), Some(48_000));
    let video = capture.of(Kind::Video);
    assert_eq!((video.len(), capture.of(Kind::Audio).len()), (50, 95));
    assert_eq!(video.iter().filter(|frame| frame.keyframe).count(), 2);
    let mut shown: Vec<i64> = video.iter().map(|frame| frame.pts()).collect();
    assert!(!shown.is_sorted(), "B-frames leave out of order");
    shown.sort_unstable();
    assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == 40), "and are shown every 40 ms");
    assert!(video.iter().all(|frame| frame.cts >= 0));
    assert_eq!(capture.ends, [Kind::Video]);
    let metadata = &capture.metadata[0];
    assert_eq!((metadata.width, metadata.height, metadata.frame_rate), (Some(128), Some(72), Some(25.0)));
    assert!(metadata.encoder.as_ref().unwrap().starts_with("Lavf59"));
}

#[test]
fn ffmpeg_sends_sound_alone() {
    let capture = capture!("ffmpeg-audio-only");
    capture.assert_clean();
    assert_eq!((capture.of(Kind::Video).len(), capture.of(Kind::Audio).len()), (0, 48));
}

#[test]
fn ffmpeg_sends_pictures_alone() {
    let capture = capture!("ffmpeg-video-only");
    capture.assert_clean();
    assert_eq!((capture.of(Kind::Video).len(), capture.of(Kind::Audio).len()), (25, 0));
    assert!(capture.of(Kind::Video).iter().all(|frame| frame.cts == 0));
}

#[test]
fn ffmpeg_sends_mp3_and_is_told_what_to_choose_instead() {
    let capture = capture!("ffmpeg-mp3");
    capture.assert_orderly();
    assert!(capture.frames.is_empty());
    let text = "MP3 audio is not supported: choose AAC or Opus in the encoder.";
    assert!(!capture.errors.is_empty() && capture.errors.iter().all(|error| error.to_string() == text));
}

#[test]
fn gstreamer_sends_h264_and_aac() {
    let capture = capture!("gstreamer-h264-aac");
    capture.assert_clean();
    assert!(capture.codec(Kind::Video).starts_with("avc1.42"));
    assert_eq!((capture.of(Kind::Video).len(), capture.of(Kind::Audio).len()), (50, 95));
    assert_eq!(capture.metadata[0].encoder.as_deref(), Some("GStreamer 1.22.0 FLV muxer"));
}

#[test]
fn librtmp_sends_h264() {
    let capture = capture!("librtmp-h264");
    capture.assert_clean();
    assert_eq!(capture.of(Kind::Video).len(), 25);
}

#[test]
fn a_new_ffmpeg_sends_hevc_by_enhanced_rtmp() {
    let capture = capture!("ffmpeg9-hevc-aac");
    capture.assert_clean();
    assert!(capture.codec(Kind::Video).starts_with("hvc1.1.6.L30"));
    assert_eq!(capture.track(Kind::Video).codec.resolution(), Some((128, 72)));
    let video = capture.of(Kind::Video);
    assert_eq!((video.len(), capture.of(Kind::Audio).len()), (50, 95));
    let mut shown: Vec<i64> = video.iter().map(|frame| frame.pts()).collect();
    assert!(!shown.is_sorted());
    shown.sort_unstable();
    assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == 40));
}

#[test]
fn a_new_ffmpeg_sends_av1_and_opus_by_enhanced_rtmp() {
    let capture = capture!("ffmpeg9-av1-opus");
    capture.assert_clean();
    assert_eq!((capture.codec(Kind::Video).as_str(), capture.codec(Kind::Audio).as_str()), ("av01.0.00M.08", "opus"));
    assert_eq!((capture.of(Kind::Video).len(), capture.of(Kind::Audio).len()), (50, 101));
    assert_eq!(capture.of(Kind::Video).iter().filter(|frame| frame.keyframe).count(), 2);
    assert!(capture.of(Kind::Video).iter().all(|frame| !frame.payload.starts_with(&[0x12, 0])));
}

#[test]
fn a_new_ffmpeg_sends_vp9_and_is_told_what_to_choose_instead() {
    let capture = capture!("ffmpeg9-vp9");
    capture.assert_orderly();
    assert!(capture.frames.is_empty());
    let text = "VP9 video is not supported: choose H.264, HEVC or AV1 in the encoder.";
    assert!(!capture.errors.is_empty() && capture.errors.iter().all(|error| error.to_string() == text));
}

#[test]
fn of_two_tracks_the_first_is_taken() {
    let capture = capture!("ffmpeg9-multitrack");
    capture.assert_clean();
    assert_eq!(capture.track(Kind::Video).codec.resolution(), Some((128, 72)));
    assert_eq!(capture.of(Kind::Video).len(), 25);
    assert!(capture.counters.other_tracks >= 25, "{:?}", capture.counters);
}

#[test]
fn captures_give_the_same_frames_in_pieces_of_any_size() {
    for bytes in [
        include_bytes!("../../fixtures/rtmp/ffmpeg-h264-aac.rtmp").as_slice(),
        include_bytes!("../../fixtures/rtmp/gstreamer-h264-aac.rtmp"),
        include_bytes!("../../fixtures/rtmp/ffmpeg9-av1-opus.rtmp"),
    ] {
        let whole = Capture::replay(bytes);
        for size in [1, 7, 129, 65_536] {
            let pieces = Capture::replay_in_pieces(bytes, size);
            assert_eq!(pieces.frames, whole.frames);
            assert_eq!(pieces.server.events, whole.server.events);
        }
    }
}

#[test]
fn a_capture_that_breaks_off_anywhere_is_no_error() {
    let bytes = include_bytes!("../../fixtures/rtmp/ffmpeg9-hevc-aac.rtmp");
    for end in (0..bytes.len()).step_by(97) {
        Capture::replay_in_pieces(&bytes[..end], 10_000);
    }
}

#[test]
fn a_capture_with_damage_anywhere_never_panics() {
    let bytes = include_bytes!("../../fixtures/rtmp/ffmpeg9-multitrack.rtmp");
    for at_byte in (3_073..bytes.len()).step_by(13) {
        let mut damaged = bytes.to_vec();
        damaged[at_byte] ^= 1 << (at_byte % 8);
        let mut server = Server::new();
        let mut demuxer = Demuxer::new();
        for piece in damaged.chunks(4_096) {
            if server.feed(piece).is_err() {
                break;
            }
            server.session.accept_publish(at(0));
            server.drain();
        }
        for tag in server.tags() {
            let _ = demuxer.feed(tag);
            while demuxer.poll().is_some() {}
        }
    }
}
