use super::*;
use crate::package::Body;
use crate::package::testing::{NEW_YEAR, Source, broadcast, push_all, segmenter, segments};

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

#[test]
fn a_jump_before_the_first_part_does_not_spoil_the_dates() {
    let source = Source::default();
    let frames = source.frames(0, 3_000);
    let mut segmenter = segmenter(Latency::Low, &source);
    let (first, wall) = frames.iter().find(|(frame, _)| frame.track.kind() == Kind::Video).unwrap().clone();
    segmenter.push(first.clone(), wall);
    // Ten years ahead, before the sound that is waited for.
    segmenter.push(Frame { dts: 315_360_000_000, keyframe: false, ..first }, wall);
    let pieces = push_all(&mut segmenter, frames);
    let segments = segments(&pieces, Kind::Video);
    assert!(!segments.is_empty());
    assert!(segments.iter().all(|segment| segment.wall.since(NEW_YEAR) < Duration::from_secs(4)), "{segments:?}");
}

#[test]
fn a_wall_clock_that_is_set_while_time_stamps_jump_costs_an_hour_of_gaps_at_most() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Standard, &source);
    push_all(&mut segmenter, source.frames(0, 3_000));
    let wall = WallTime(NEW_YEAR.0 + 56 * 365 * 86_400_000);
    let later = Source { clock_ms: 9_000_000, wall, ..source };
    let pieces = push_all(&mut segmenter, later.frames(0, 6_000));
    assert!(pieces.len() < 4 * 3_600 * 2, "{} pieces", pieces.len());
}

#[test]
fn parts_with_a_keyframe_are_independent_and_segments_begin_with_one() {
    let source = Source { gop: 30, ..Source::default() };
    let pieces = broadcast(Latency::Low, &source, 9);
    for segment in segments(&pieces, Kind::Video) {
        // A keyframe a second, a part every half second.
        for part in &segment.parts {
            assert_eq!(part.independent, part.index % 2 == 0, "{}.{}", segment.msn, part.index);
        }
    }
    let audio = segments(&pieces, Kind::Audio);
    assert!(audio.iter().all(|segment| segment.parts.iter().all(|part| part.independent)));
}

#[test]
fn a_keyframe_interval_beyond_the_target_is_cut_without_a_keyframe_and_counted() {
    let source = Source { gop: 300, ..Source::default() };
    let mut segmenter = segmenter(Latency::Low, &source);
    let pieces = push_all(&mut segmenter, source.frames(0, 21_000));
    assert!(!segmenter.independent_segments());
    assert_eq!(segmenter.keyframe_interval(), Some(Duration::from_secs(10)));
    let video = segments(&pieces, Kind::Video);
    assert!(video.iter().all(|segment| segment.duration < Duration::from_millis(4_500)));
    assert!(video.iter().any(|segment| !segment.parts[0].independent));
}
