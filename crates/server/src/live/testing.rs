//! Frames for this module's tests.

use std::sync::Arc;

use bytes::Bytes;
use stagedoor_media::codec::{Codec, aac, h264};
use stagedoor_media::{Frame, Timescale, Track};

/// High profile, 320×240: made by `ffmpeg -f lavfi -i testsrc2=s=320x240 -c:v libx264`.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0xfb, 0x01, 0x10,
    0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

/// A picture at `dts` milliseconds.
pub fn video_frame(dts: i64, keyframe: bool) -> Frame {
    let codec = Codec::H264(h264::Config::parse(Bytes::from_static(AVCC)).unwrap());
    let track = Arc::new(Track { codec, timescale: Timescale::MILLIS });
    Frame { track, dts, cts: 0, keyframe, payload: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]) }
}

/// A packet of sound at `dts` milliseconds.
pub fn audio_frame(dts: i64) -> Frame {
    let codec = Codec::Aac(aac::Config::parse(Bytes::from_static(&[0x11, 0x90])).unwrap());
    let track = Arc::new(Track { codec, timescale: Timescale::MILLIS });
    Frame { track, dts, cts: 0, keyframe: true, payload: Bytes::from_static(&[0x21, 0x00]) }
}
