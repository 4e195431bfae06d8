//! FLV tags: the input is a sequence of tags, each behind seven bytes: kind, time (4), length (2), all big-endian.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stagedoor_media::container::flv::{Demuxer, Output, Tag, TagKind};

fuzz_target!(|data: &[u8]| {
    let mut demuxer = Demuxer::new();
    let mut rest = data;
    while let Some((head, behind)) = rest.split_first_chunk::<7>() {
        let [kind, t0, t1, t2, t3, l0, l1] = *head;
        let (payload, behind) = behind.split_at(usize::from(u16::from_be_bytes([l0, l1])).min(behind.len()));
        rest = behind;
        let kind = match kind {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            _ => TagKind::Script,
        };
        let timestamp_ms = u32::from_be_bytes([t0, t1, t2, t3]);
        let fed = demuxer.feed(Tag { kind, timestamp_ms, payload: Bytes::copy_from_slice(payload) });
        if let Err(error) = fed {
            assert!(error.to_string().ends_with('.'), "a sentence: {error}");
        }
        if let Some(output) = demuxer.poll() {
            if let Output::Frame(frame) = output {
                assert!(!frame.payload.is_empty() && frame.payload.len() < payload.len());
                assert!(!frame.track.codec.codec_string().is_empty());
            }
            assert!(demuxer.poll().is_none(), "one output per tag");
        }
    }
});
