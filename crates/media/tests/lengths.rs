//! Lengths that lie: whatever a length field says, no memory is set aside for bytes that have not arrived.
//!
//! It is not asked which bytes are lengths: every place in what a real encoder sends is overwritten, in every width, with
//! the values that lengths go wrong at, and the allocator counts. One test and no other here: the counter is the process's.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use peak_alloc::PeakAlloc;
use stagedoor_media::container::flv::Demuxer;
use stagedoor_media::rtmp::{Event, Limits, Output, RANDOM_BYTES, Session};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What is not touched: C0, C1 and C2 have no lengths in them.
const HANDSHAKE: usize = 1 + 2 * RANDOM_BYTES;
/// Of each recording: the commands, codec configurations, and the first media.
const BYTES: usize = HANDSHAKE + 1_536;
/// The bound: what may be set aside on somebody's word.
const SET_ASIDE_MAX: usize = 1024 * 1024;

/// Replays a connection up to its frames; gives by how much the heap grew at the most, and how many tags came out.
fn replay(bytes: &[u8]) -> (usize, usize) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let mut session = Session::new(Limits::default(), [0xaa; RANDOM_BYTES], Duration::ZERO);
    let (mut demuxer, mut tags) = (Demuxer::new(), 0);
    for piece in bytes.chunks(1_460) {
        let fed = session.feed(piece, Duration::ZERO);
        session.accept_publish(Duration::ZERO);
        while let Some(output) = session.poll() {
            if let Output::Event(Event::Tag(tag)) = output {
                let _ = demuxer.feed(tag);
                while demuxer.poll().is_some() {}
                tags += 1;
            }
        }
        if fed.is_err() {
            break;
        }
    }
    (HEAP.peak_usage().saturating_sub(before), tags)
}

#[test]
fn no_length_field_sets_memory_aside_for_bytes_that_have_not_arrived() {
    let captures: [(&str, &[u8]); 3] = [
        ("ffmpeg", include_bytes!("../fixtures/rtmp/ffmpeg-h264-aac.rtmp")),
        ("gstreamer", include_bytes!("../fixtures/rtmp/gstreamer-h264-aac.rtmp")),
        ("enhanced", include_bytes!("../fixtures/rtmp/ffmpeg9-av1-opus.rtmp")),
    ];
    let mut tried = 0_u32;
    for (name, capture) in captures {
        let whole = &capture[..capture.len().min(BYTES)];
        let (usual, tags) = replay(whole);
        assert!((1_000..SET_ASIDE_MAX).contains(&usual) && tags > 0, "{name}: {usual} bytes, {tags} tags");
        for at in HANDSHAKE..whole.len() - 4 {
            for width in 1..=4 {
                let max = u32::MAX >> (32 - 8 * width);
                for value in [0, 1, max - 1, max] {
                    let mut bytes = whole.to_vec();
                    let field = &value.to_be_bytes()[4 - width..];
                    bytes[at..at + field.len()].copy_from_slice(field);
                    let grown = replay(&bytes).0.saturating_sub(usual);
                    assert!(grown <= SET_ASIDE_MAX, "{name}: {value:#x} in {width} bytes at {at} costs {grown}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 50_000, "{tried}");
}
