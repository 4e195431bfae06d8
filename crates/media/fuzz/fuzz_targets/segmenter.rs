//! The segmenter against a publisher that does anything. The input is a sequence of events of six bytes: what (1), time
//! (4, signed milliseconds), size or composition offset (1).
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stagedoor_media::codec::{Codec, aac, h264, opus};
use stagedoor_media::package::{Body, Config, Latency, Segmenter, Tracks};
use stagedoor_media::{Frame, Kind, Timescale, Track, WallTime};

const AVCC: &[u8] = b"\x01\x64\0\x28\xff\xe1\0\x1b\x67\x64\0\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\0\0\x03\0\x04\0\0\x03\0\xf0\x3c\x60\xc6\x58\x01\0\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\0";

fn tracks() -> [Arc<Track>; 4] {
    let video = h264::Config::parse(Bytes::from_static(AVCC)).expect("a good record");
    let other = aac::Config::parse(Bytes::from_static(b"\x12\x10")).expect("a good record");
    let sound = aac::Config::parse(Bytes::from_static(b"\x11\x90")).expect("a good record");
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let packets = opus::Config::parse(Bytes::from_static(head)).expect("a good record");
    [Codec::H264(video), Codec::Aac(sound), Codec::Aac(other), Codec::Opus(packets)]
        .map(|codec| Arc::new(Track { codec, timescale: Timescale::MILLIS }))
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, mut rest)) = data.split_first() else { return };
    let latency = [Latency::Ultra, Latency::Low, Latency::Standard][usize::from(mode % 3)];
    let expect = (mode & 0x80 != 0).then_some(Tracks { video: mode & 0x40 != 0, audio: mode & 0x20 != 0 });
    let mut segmenter = Segmenter::new(Config { latency, expect, ..Config::default() });
    let tracks = tracks();
    let mut wall = WallTime(1_767_225_600_000);
    let (mut dts, mut events) = (0i64, 0);
    let mut next_msn: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut target = None;
    let mut check = |segmenter: &mut Segmenter| {
        while let Some(piece) = segmenter.poll() {
            match piece.body {
                Body::Begin { part_target } => target = part_target,
                Body::Part { duration, .. } => assert!(target.is_none_or(|target| duration <= target)),
                Body::SegmentEnd { msn, duration, .. } => {
                    let next = next_msn.entry(piece.rendition).or_insert(0);
                    assert_eq!(msn, *next, "numbers rise by one");
                    *next += 1;
                    assert!(duration < Duration::from_millis(4_500), "a segment of {duration:?}");
                }
                _ => {}
            }
        }
    };
    while let Some((&[what, t0, t1, t2, t3, extra], behind)) = rest.split_first_chunk::<6>() {
        rest = behind;
        events += 1;
        if events > 500 {
            break;
        }
        let millis = i32::from_be_bytes([t0, t1, t2, t3]);
        match what % 16 {
            0 => segmenter.away(),
            1 => {
                wall = wall.plus(Duration::from_millis(u64::from(millis.unsigned_abs() % 30_000)));
                segmenter.wake(wall);
            }
            2 => dts = dts.wrapping_add(i64::from(millis)),
            3 => dts = i64::from(millis) << 32,
            _ => {
                let step = i64::from(millis.unsigned_abs() % 2_000);
                dts = dts.saturating_add(step);
                wall = wall.plus(Duration::from_millis(step.unsigned_abs()));
                let track = tracks[[0, 1, 0, 1, 0, 2, 3, 0][usize::from(what >> 4 & 7)]].clone();
                let frame = Frame {
                    cts: if what & 8 == 0 { 0 } else { i32::from(extra) << 16 },
                    keyframe: track.kind() == Kind::Audio || extra & 3 == 0,
                    payload: Bytes::from_static(&[0xfc; 64]).slice(..usize::from(extra & 63).max(1)),
                    track,
                    dts,
                };
                segmenter.push(frame, wall);
            }
        }
        check(&mut segmenter);
    }
    segmenter.end();
    check(&mut segmenter);
    assert!(segmenter.poll().is_none() && segmenter.next_wake().is_none());
});
