use super::*;
use crate::package::Body;
use crate::package::testing::{Source, broadcast, push_all, segments};

#[test]
fn a_broadcast_becomes_segments_of_two_seconds() {
    let pieces = broadcast(Latency::Low, &Source::default(), 9);
    let video = segments(&pieces, Kind::Video);
    assert_eq!(video.len(), 5);
    assert_eq!(segments(&pieces, Kind::Audio).len(), 5);
}

#[test]
fn a_second_broadcast_at_the_same_address_uses_numbers_of_its_own() {
    let source = Source::default();
    let first = First { msn: 812, init: 3 };
    let mut segmenter = Segmenter::new(Config { expect: Some(source.tracks()), first, ..Config::default() });
    let pieces = push_all(&mut segmenter, source.frames(0, 5_000));
    let numbers: Vec<u64> = segments(&pieces, Kind::Video).iter().map(|segment| segment.msn).collect();
    assert_eq!(numbers, [812, 813]);
    for piece in &pieces {
        if let Body::Init { id, .. } = piece.body {
            assert_eq!(id, 3);
        }
    }
}
