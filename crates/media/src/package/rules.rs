//! The rules of LL-HLS that can be decided without a network, each with the test that is named after it.
//!
//! L7, L20, L21 and L22 are about answers over HTTP and are tested where those are made.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

use super::hls::{self, BadDirective, Directives, Form, RenditionInfo, RenditionReport, Skip, Verdict};
use super::testing::*;
use super::*;

// ---- a player's view of a playlist

#[derive(Clone, Debug, PartialEq, Default)]
struct PartLine {
    uri: String,
    duration: f64,
    independent: bool,
    gap: bool,
}

/// What applies to a segment once everything before it has been read.
#[derive(Clone, Debug, PartialEq, Default)]
struct SegmentLines {
    map: Option<String>,
    date: Option<String>,
    discontinuity: bool,
    gap: bool,
    duration: f64,
    uri: String,
    parts: Vec<PartLine>,
}

#[derive(Clone, Debug, PartialEq, Default)]
struct Playlist {
    version: u64,
    target: u64,
    part_target: Option<f64>,
    hold_back: Option<f64>,
    part_hold_back: Option<f64>,
    can_skip_until: Option<f64>,
    can_skip_dateranges: bool,
    can_block: bool,
    msn: u64,
    discontinuity_sequence: Option<u64>,
    skipped: Option<u64>,
    segments: Vec<SegmentLines>,
    open: SegmentLines,
    hints: Vec<String>,
    reports: Vec<(String, u64, Option<u64>)>,
    ended: bool,
    has_type: bool,
}

fn parse(text: &str) -> Playlist {
    assert!(text.starts_with("#EXTM3U\n") && text.ends_with('\n'));
    let options = ParsingOptionsBuilder::new().with_parsing_for_all_tags().build();
    let mut reader = Reader::from_str(text, options);
    let mut list = Playlist::default();
    let mut next = SegmentLines::default();
    while let Some(line) = reader.read_line().expect("every line is valid") {
        match line {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => match tag {
                Tag::Version(tag) => list.version = tag.version(),
                Tag::Targetduration(tag) => list.target = tag.target_duration(),
                Tag::ServerControl(tag) => {
                    list.hold_back = tag.hold_back();
                    list.part_hold_back = tag.part_hold_back();
                    list.can_skip_until = tag.can_skip_until();
                    list.can_skip_dateranges = tag.can_skip_dateranges();
                    list.can_block = tag.can_block_reload();
                }
                Tag::PartInf(tag) => list.part_target = Some(tag.part_target()),
                Tag::MediaSequence(tag) => list.msn = tag.media_sequence(),
                Tag::DiscontinuitySequence(tag) => list.discontinuity_sequence = Some(tag.discontinuity_sequence()),
                Tag::Skip(tag) => list.skipped = Some(tag.skipped_segments()),
                Tag::Discontinuity(_) => next.discontinuity = true,
                Tag::Map(tag) => next.map = Some(tag.uri().to_owned()),
                Tag::ProgramDateTime(tag) => next.date = Some(format!("{:?}", tag.program_date_time())),
                Tag::Gap(_) => next.gap = true,
                Tag::Part(tag) => next.parts.push(PartLine {
                    uri: tag.uri().to_owned(),
                    duration: tag.duration(),
                    independent: tag.independent(),
                    gap: tag.gap(),
                }),
                Tag::Inf(tag) => next.duration = tag.duration(),
                Tag::PreloadHint(tag) => list.hints.push(tag.uri().to_owned()),
                Tag::RenditionReport(tag) => {
                    list.reports.push((tag.uri().to_owned(), tag.last_msn(), tag.last_part()));
                }
                Tag::Endlist(_) => list.ended = true,
                Tag::PlaylistType(_) => list.has_type = true,
                Tag::M3u(_) => {}
                other => panic!("a tag that a live playlist does not have: {other:?}"),
            },
            HlsLine::Uri(uri) => {
                next.uri = uri.into_owned();
                // A map applies until the next one.
                let map = next.map.clone();
                list.segments.push(std::mem::take(&mut next));
                next.map = map;
            }
            other => panic!("an unknown line: {other:?}"),
        }
    }
    list.open = next;
    list
}

fn window_with(kind: Kind, pieces: &[Piece]) -> Window {
    let mut window = Window::new(kind, Limits::default());
    pieces.iter().cloned().for_each(|piece| window.add(piece));
    window
}

/// Pieces of a broadcast that is still running.
fn running(latency: Latency, source: &Source, millis: u64) -> Vec<Piece> {
    push_all(&mut segmenter(latency, source), source.frames(0, millis))
}

fn full(window: &Window) -> String {
    hls::media_playlist(&window.snapshot(), &[], Form::Full)
}

fn directives(query: &str) -> Directives {
    Directives::parse(query).expect("a good query")
}

// ---- L1, L2, L3

#[test]
fn l1_part_hold_back_is_at_least_three_part_targets() {
    for latency in [Latency::Ultra, Latency::Low] {
        let list = parse(&full(&window_with(Kind::Video, &running(latency, &Source::default(), 5_000))));
        let (hold_back, target) = (list.part_hold_back.unwrap(), list.part_target.unwrap());
        assert!(hold_back >= 3.0 * target - 1e-9, "{hold_back} and {target}");
    }
}

#[test]
fn l2_hold_back_is_three_targets_and_can_skip_until_is_six() {
    for latency in [Latency::Ultra, Latency::Low, Latency::Standard] {
        let list = parse(&full(&window_with(Kind::Audio, &running(latency, &Source::default(), 5_000))));
        assert_eq!(list.target, 4);
        assert!(list.hold_back.unwrap() >= 12.0);
        assert!(list.can_skip_until.unwrap() >= 24.0);
        assert!(!list.can_skip_dateranges);
        assert!(list.can_block);
    }
}

/// Checks L3 on the parts of a rendition.
fn check_part_durations(segments: &[SegmentFacts], target: Duration) {
    for segment in segments {
        for (place, part) in segment.parts.iter().enumerate() {
            assert!(part.duration <= target, "{:?} is longer than {target:?}", part.duration);
            let last = place + 1 == segment.parts.len();
            let before_gap = segment.parts.get(place + 1).is_some_and(|next| next.gap);
            if !last && !part.gap && !before_gap {
                let enough = target.mul_f64(0.85);
                assert!(part.duration >= enough, "segment {} part {place}: {:?}", segment.msn, part.duration);
            }
        }
    }
}

fn target_of(pieces: &[Piece]) -> Option<Duration> {
    pieces.iter().find_map(|piece| match piece.body {
        Body::Begin { part_target } => Some(part_target),
        _ => None,
    })?
}

fn any_source() -> impl Strategy<Value = Source> {
    let rates = prop::sample::select(vec![
        (24_000, 1_001),
        (24, 1),
        (25, 1),
        (30_000, 1_001),
        (30, 1),
        (50, 1),
        (60_000, 1_001),
        (60, 1),
        (15, 1),
        (10, 1),
    ]);
    // AAC-LC at 48, 44.1, 32, 22.05 and 16 kHz, and HE-AAC at 24/48 kHz; then Opus.
    let sound = prop::sample::select(vec!["1190", "1210", "1290", "1390", "1410", "2b118800", "opus"]);
    (rates, sound, prop::sample::select(vec![0, 40, 80]), 0..3_u64, 0..1_000_000_i64).prop_map(
        |(rate, sound, cts_ms, gop_seconds, clock_ms)| Source {
            audio: Some(if sound == "opus" { opus_track() } else { aac_track(sound) }),
            rate,
            gop: rate.0 / rate.1 * (gop_seconds + 1),
            cts_ms,
            clock_ms,
            ..Source::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn l3_parts_are_at_most_the_part_target_and_at_least_85_percent_of_it(
        source in any_source(),
        ultra in any::<bool>(),
    ) {
        let latency = if ultra { Latency::Ultra } else { Latency::Low };
        let pieces = broadcast(latency, &source, 9);
        let target = target_of(&pieces).unwrap();
        prop_assert_eq!(target.subsec_nanos() % 1_000_000, 0);
        for kind in [Kind::Video, Kind::Audio] {
            let segments = segments(&pieces, kind);
            prop_assert!(segments.len() >= 2);
            check_part_durations(&segments, target);
        }
    }
}

#[test]
fn l3_a_picture_that_outlasts_the_part_target_is_announced_with_it() {
    let source = Source { audio: None, ..Source::default() };
    let mut segmenter = segmenter(Latency::Ultra, &source);
    let mut pieces = push_all(&mut segmenter, source.frames(0, 2_000));
    // A slide: one picture every 700 ms.
    let slow =
        Source { rate: (10, 7), gop: 3, clock_ms: 2_100, wall: NEW_YEAR.plus(Duration::from_millis(2_100)), ..source };
    pieces.extend(push_all(&mut segmenter, slow.frames(0, 9_000)));
    let target = target_of(&pieces).unwrap();
    for part in segments(&pieces, Kind::Video).iter().flat_map(|segment| &segment.parts) {
        assert!(part.duration <= target);
    }
}

// ---- L4 to L9

/// 2 s segments of four parts: 0 to 3 finished, 4 open with two parts.
fn five_segments() -> Snapshot {
    let source = Source::default();
    let window = window_with(Kind::Video, &running(Latency::Low, &source, 9_020));
    let snapshot = window.snapshot();
    assert_eq!(snapshot.edge(), Edge { msn: 4, part: 2 });
    snapshot
}

#[test]
fn l4_a_request_waits_for_what_does_not_exist_yet() {
    let snapshot = five_segments();
    let ready = |query| assert_eq!(snapshot.verdict(&directives(query)), Verdict::Ready, "{query}");
    let wait = |query, msn, part| {
        let until = Edge { msn, part };
        assert_eq!(snapshot.verdict(&directives(query)), Verdict::Wait { until }, "{query}");
        assert!(snapshot.edge() <= until);
    };
    ready("");
    ready("_HLS_msn=3");
    wait("_HLS_msn=4", 4, u32::MAX);
    wait("_HLS_msn=5", 5, u32::MAX);
    ready("_HLS_msn=4&_HLS_part=1");
    wait("_HLS_msn=4&_HLS_part=2", 4, 2);
    wait("_HLS_msn=5&_HLS_part=0", 5, 0);
    // Past the last part of a finished segment: the first of the next.
    ready("_HLS_msn=2&_HLS_part=4");
    ready("_HLS_msn=3&_HLS_part=3");
    ready("_HLS_msn=3&_HLS_part=4");
}

#[test]
fn l4_past_the_last_part_of_the_last_segment_is_the_first_part_of_the_next() {
    let source = Source::default();
    // Up to the keyframe that ends segment 3: nothing of segment 4 exists.
    let snapshot = window_with(Kind::Video, &running(Latency::Low, &source, 8_010)).snapshot();
    assert_eq!(snapshot.edge(), Edge { msn: 4, part: 0 });
    let until = Edge { msn: 4, part: 0 };
    assert_eq!(snapshot.verdict(&directives("_HLS_msn=3&_HLS_part=4")), Verdict::Wait { until });
    assert_eq!(snapshot.verdict(&directives("_HLS_msn=3&_HLS_part=3")), Verdict::Ready);
}

#[test]
fn l4_a_wait_for_a_part_that_never_comes_moves_to_the_next_segment() {
    // Four parts per segment: part 5 of the open segment is waited for, and then the segment ends.
    let open = five_segments();
    let wanted = directives("_HLS_msn=4&_HLS_part=5");
    assert_eq!(open.verdict(&wanted), Verdict::Wait { until: Edge { msn: 4, part: 5 } });
    let source = Source::default();
    let ended = window_with(Kind::Video, &running(Latency::Low, &source, 10_010)).snapshot();
    assert_eq!(ended.edge(), Edge { msn: 5, part: 0 });
    assert_eq!(ended.verdict(&wanted), Verdict::Wait { until: Edge { msn: 5, part: 0 } });
}

#[test]
fn l5_a_part_without_a_segment_and_numbers_that_are_none_are_refused() {
    assert_eq!(Directives::parse("_HLS_part=3"), Err(BadDirective::PartWithoutMsn));
    for query in ["_HLS_msn=", "_HLS_msn=-1", "_HLS_msn=+1", "_HLS_msn=1.0", "_HLS_msn=x", "_HLS_msn=%31"] {
        assert_eq!(Directives::parse(query), Err(BadDirective::NotANumber { name: "_HLS_msn" }), "{query}");
    }
    assert_eq!(Directives::parse("_HLS_msn=1&_HLS_part=a"), Err(BadDirective::NotANumber { name: "_HLS_part" }));
}

#[test]
fn l6_what_nobody_who_follows_the_playlist_asks_for_is_too_far() {
    let snapshot = five_segments();
    let verdict = |query| snapshot.verdict(&directives(query));
    // The last finished segment is 3, so 5 is the furthest.
    assert!(matches!(verdict("_HLS_msn=5"), Verdict::Wait { .. }));
    assert_eq!(verdict("_HLS_msn=6"), Verdict::TooFar);
    assert_eq!(verdict("_HLS_msn=99999999999999999999999"), Verdict::TooFar);
    // PART-TARGET is 0.501 s: 3 s are six parts. The last part is 4.1.
    assert!(matches!(verdict("_HLS_msn=4&_HLS_part=7"), Verdict::Wait { .. }));
    assert_eq!(verdict("_HLS_msn=4&_HLS_part=8"), Verdict::TooFar);
    assert_eq!(verdict("_HLS_msn=5&_HLS_part=6"), Verdict::TooFar);
    assert_eq!(verdict("_HLS_msn=4&_HLS_part=99999999999999999999"), Verdict::TooFar);
}

#[test]
fn l8_a_segment_that_is_gone_gives_the_current_playlist() {
    let source = Source { audio: None, ..Source::default() };
    let limits = Limits { window: Duration::from_secs(12), ..Limits::default() };
    let mut window = Window::new(Kind::Video, limits);
    running(Latency::Low, &source, 40_000).into_iter().for_each(|piece| window.add(piece));
    let snapshot = window.snapshot();
    assert!(parse(&hls::media_playlist(&snapshot, &[], Form::Full)).msn > 5);
    assert_eq!(snapshot.verdict(&directives("_HLS_msn=0")), Verdict::Ready);
    assert_eq!(snapshot.verdict(&directives("_HLS_msn=1&_HLS_part=77")), Verdict::Ready);
}

#[test]
fn l9_directives_mean_nothing_once_the_playlist_has_ended() {
    let window = window_with(Kind::Video, &broadcast(Latency::Low, &Source::default(), 60));
    let snapshot = window.snapshot();
    assert_eq!(snapshot.verdict(&directives("_HLS_msn=500&_HLS_part=9")), Verdict::Ready);
    let asked = directives("_HLS_msn=500&_HLS_skip=YES");
    let list = parse(&hls::media_playlist(&snapshot, &[], asked.form()));
    assert!(list.ended && list.skipped.is_none());
    assert!(list.hints.is_empty(), "nothing is about to come");
}

// ---- L10, L11

/// One event of a random timeline.
#[derive(Clone, Debug)]
struct Happening {
    millis: u64,
    discontinuity: bool,
    new_init: bool,
    gap: bool,
    parts: u32,
}

fn any_happening() -> impl Strategy<Value = Happening> {
    (100_u64..4_400, prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1), 1_u32..6)
        .prop_map(|(millis, discontinuity, new_init, gap, parts)| Happening {
            millis,
            discontinuity,
            new_init,
            gap,
            parts,
        })
}

/// Adds a segment to a window; with `finish` false it stays open.
fn happen(window: &mut Window, msn: u64, wall: &mut WallTime, init: &mut u32, happening: &Happening, finish: bool) {
    let add = |window: &mut Window, body| window.add(Piece { rendition: Kind::Video, body });
    *init += u32::from(happening.new_init);
    let (discontinuity, init, gap) = (happening.discontinuity, *init, happening.gap);
    add(window, Body::SegmentStart { msn, wall: *wall, discontinuity, init });
    let duration = Duration::from_millis(happening.millis);
    for index in 0..happening.parts {
        let bytes = if gap { Bytes::new() } else { Bytes::from(vec![1; 10]) };
        let duration = duration / happening.parts;
        add(window, Body::Part { msn, index, duration, independent: index == 0, bytes, gap });
    }
    if finish {
        add(window, Body::SegmentEnd { msn, duration, wall: *wall, discontinuity, init, gap });
        *wall = wall.plus(duration);
    }
}

/// What a player makes of a delta update and the playlist it had.
fn merge(old: &Playlist, delta: &Playlist) -> Playlist {
    let mut merged = delta.clone();
    let Some(skipped) = merged.skipped.take() else { return merged };
    let from = usize::try_from(delta.msn - old.msn).unwrap();
    let until = from + usize::try_from(skipped).unwrap();
    let mut segments = old.segments[from..until].to_vec();
    segments.extend(merged.segments);
    merged.segments = segments;
    merged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn l10_merging_a_delta_update_into_an_old_playlist_gives_the_full_one(
        happenings in prop::collection::vec(any_happening(), 2..40),
        v2 in any::<bool>(),
        window_seconds in 12_u64..60,
        last_is_open in any::<bool>(),
    ) {
        let limits = Limits { window: Duration::from_secs(window_seconds), ..Limits::default() };
        let mut window = Window::new(Kind::Video, limits);
        window.add(Piece { rendition: Kind::Video, body: Body::Begin { part_target: Some(Duration::from_millis(501)) } });
        let (mut wall, mut init) = (NEW_YEAR, 0);
        // Playlists that a client may still have, with the media time at which it read them.
        let mut olds: Vec<(Duration, String)> = Vec::new();
        let mut elapsed = Duration::ZERO;
        for (msn, happening) in happenings.iter().enumerate() {
            let finish = msn + 1 < happenings.len() || !last_is_open;
            happen(&mut window, msn as u64, &mut wall, &mut init, happening, finish);
            elapsed += Duration::from_millis(if finish { happening.millis } else { 0 });
            olds.push((elapsed, full(&window)));
        }
        let whole = parse(&full(&window));
        let form = Form::Delta(if v2 { Skip::V2 } else { Skip::V1 });
        let delta_text = hls::media_playlist(&window.snapshot(), &[], form);
        let delta = parse(&delta_text);
        if let Some(skipped) = delta.skipped {
            prop_assert!(skipped > 0);
            prop_assert_eq!(delta.version, if v2 { 10 } else { 9 });
            // L11: the first segment that is kept says what it needs.
            let first = &delta.segments[0];
            prop_assert!(first.map.is_some() && first.date.is_some());
            prop_assert!(delta_text.len() < full(&window).len());
        }
        let mut compared = 0;
        // Such a client read its playlist less than half the skip boundary ago.
        for (_, old) in olds.iter().filter(|(at, _)| elapsed - *at < Duration::from_secs(12)) {
            let merged = merge(&parse(old), &delta);
            let mut expected = whole.clone();
            expected.version = merged.version;
            // Parts of old segments may have been listed when the old playlist was read; they mean nothing any more.
            let without_parts = |mut list: Playlist| {
                list.segments.iter_mut().for_each(|segment| segment.parts.clear());
                list
            };
            prop_assert_eq!(without_parts(merged), without_parts(expected));
            compared += 1;
        }
        prop_assert!(compared > 0);
    }
}

#[test]
fn l10_nothing_to_skip_gives_the_full_playlist() {
    let window = window_with(Kind::Video, &running(Latency::Low, &Source::default(), 20_000));
    assert_eq!(hls::media_playlist(&window.snapshot(), &[], Form::Delta(Skip::V1)), full(&window));
    assert_eq!(hls::media_playlist(&window.snapshot(), &[], Form::Delta(Skip::V2)), full(&window));
}

#[test]
fn l11_a_delta_update_restates_map_and_date_of_its_first_segment() {
    let window = window_with(Kind::Video, &running(Latency::Low, &Source::default(), 60_000));
    let list = parse(&hls::media_playlist(&window.snapshot(), &[], Form::Delta(Skip::V1)));
    assert!(list.skipped.unwrap() > 10);
    let first = &list.segments[0];
    assert_eq!(first.map.as_deref(), Some("init.0.mp4"));
    assert!(first.date.is_some());
}

// ---- L12 to L15

#[test]
fn l12_the_hint_names_the_next_part_and_only_that() {
    let source = Source::default();
    let list = parse(&full(&window_with(Kind::Video, &running(Latency::Low, &source, 9_020))));
    assert_eq!(list.hints, ["4.2.m4s"]);
    let list = parse(&full(&window_with(Kind::Video, &running(Latency::Low, &source, 10_010))));
    assert_eq!(list.hints, ["5.0.m4s"], "a finished segment is followed by the first part of the next");
    let standard = window_with(Kind::Video, &running(Latency::Standard, &source, 9_020));
    assert!(parse(&full(&standard)).hints.is_empty());
}

#[test]
fn l12_nothing_is_hinted_at_while_gaps_are_written() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Low, &source);
    let mut pieces = push_all(&mut segmenter, source.frames(0, 5_000));
    segmenter.away();
    segmenter.wake(source.wall.plus(Duration::from_secs(12)));
    pieces.extend(drain(&mut segmenter));
    assert!(parse(&full(&window_with(Kind::Video, &pieces))).hints.is_empty());
}

#[test]
fn l13_parts_are_listed_for_three_targets_and_downloadable_for_three_more() {
    let source = Source { audio: None, ..Source::default() };
    let mut window = Window::new(Kind::Video, Limits::default());
    for piece in running(Latency::Low, &source, 60_020) {
        window.add(piece);
        // Storing is prompt.
        for spill in window.to_spill() {
            window.spilled(spill.msn);
        }
    }
    let list = parse(&full(&window));
    let last = list.msn + list.segments.len() as u64 - 1;
    for (segment, msn) in list.segments.iter().zip(list.msn..) {
        let age = 2 * (last - msn);
        assert_eq!(!segment.parts.is_empty(), age < 12, "segment {msn} ended {age} s ago");
        assert_eq!(window.part(msn, 0).is_some(), age < 24, "segment {msn} ended {age} s ago");
        assert!(window.segment(msn).is_some());
    }
    // 24 s of media and the segment that is open: nothing more in memory.
    assert!(window.memory_bytes() < 26 * 30 * 100);
}

#[test]
fn l14_while_the_publisher_is_away_gaps_come_within_a_part_target() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Low, &source);
    push_all(&mut segmenter, source.frames(0, 5_000));
    let target = segmenter.part_target().unwrap();
    segmenter.away();
    drain(&mut segmenter);
    let mut now = segmenter.next_wake().unwrap();
    assert!(now.since(source.wall.plus(Duration::from_secs(5))) <= target + Duration::from_millis(100));
    let mut pieces = Vec::new();
    for _ in 0..40 {
        segmenter.wake(now);
        let written = drain(&mut segmenter);
        for kind in [Kind::Video, Kind::Audio] {
            let gaps = |piece: &&Piece| matches!(piece.body, Body::Part { gap: true, .. }) && piece.rendition == kind;
            assert_eq!(written.iter().filter(gaps).count(), 1, "each wake brings one gap to each rendition");
        }
        pieces.extend(written);
        let next = segmenter.next_wake().unwrap();
        assert!(next > now && next.since(now) <= target, "{next:?} after {now:?}");
        now = next;
    }
    let ends = pieces.iter().filter(|piece| matches!(piece.body, Body::SegmentEnd { .. })).count();
    assert!(ends >= 8, "20 s of absence are four segments or more in each rendition, and not {ends}");
}

#[test]
fn l14_gap_segments_say_so() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Low, &source);
    let mut pieces = push_all(&mut segmenter, source.frames(0, 5_000));
    segmenter.away();
    segmenter.wake(source.wall.plus(Duration::from_secs(15)));
    pieces.extend(drain(&mut segmenter));
    for kind in [Kind::Video, Kind::Audio] {
        let list = parse(&full(&window_with(kind, &pieces)));
        let gaps: Vec<_> = list.segments.iter().filter(|segment| segment.gap).collect();
        assert_eq!(gaps.len(), 2);
        assert!(gaps.iter().all(|segment| segment.parts.iter().all(|part| part.gap)));
        assert!(gaps.iter().all(|segment| (segment.duration - 4.0).abs() < 0.001));
        assert!(list.open.parts.iter().all(|part| part.gap));
    }
}

#[test]
fn l15_what_may_never_change_does_not_and_is_the_same_in_all_renditions() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Low, &source);
    let mut windows = [Window::new(Kind::Video, Limits::default()), Window::new(Kind::Audio, Limits::default())];
    let mut seen = Vec::new();
    let mut run = |segmenter: &mut Segmenter, frames: Vec<_>| {
        for (frame, wall) in frames {
            segmenter.push(frame, wall);
            for piece in drain(segmenter) {
                windows.iter_mut().for_each(|window| window.add(piece.clone()));
            }
            for window in &windows {
                let list = parse(&full(window));
                if list.part_target.is_some() {
                    seen.push((
                        list.target,
                        list.part_target,
                        list.hold_back,
                        list.part_hold_back,
                        list.can_skip_until,
                    ));
                }
            }
        }
    };
    run(&mut segmenter, source.frames(0, 6_000));
    // Another frame rate, other parameters, another clock.
    segmenter.away();
    let wall = source.wall.plus(Duration::from_secs(9));
    let other = Source { video: Some(other_video_track()), rate: (50, 1), gop: 100, clock_ms: 77, wall, ..source };
    run(&mut segmenter, other.frames(0, 6_000));
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

// ---- L16 to L19

#[test]
fn l16_a_live_playlist_has_six_segments_and_no_type() {
    let source = Source { audio: None, ..Source::default() };
    // A window that is shorter than what must be kept.
    let limits = Limits { window: Duration::from_secs(1), ..Limits::default() };
    let mut window = Window::new(Kind::Video, limits);
    let mut last_msn = 0;
    for piece in running(Latency::Low, &source, 60_000) {
        window.add(piece);
        let list = parse(&full(&window));
        assert!(!list.has_type && !list.ended);
        assert_eq!(list.discontinuity_sequence, Some(0), "from the first playlist on");
        assert!(list.msn >= last_msn);
        last_msn = list.msn;
        if list.msn > 0 {
            assert!(list.segments.len() >= 6);
            assert!(list.segments.iter().map(|segment| segment.duration).sum::<f64>() >= 12.0);
        }
    }
    assert!(last_msn > 10);
}

#[test]
fn l16_numbers_go_on_after_a_restart_of_the_process() {
    let source = Source::default();
    let mut before = segmenter(Latency::Low, &source);
    let pieces = push_all(&mut before, source.frames(0, 9_020));
    let video = segments(&pieces, Kind::Video);
    let stored: Vec<_> = video
        .iter()
        .map(|segment| StoredSegment {
            msn: segment.msn,
            duration: segment.duration,
            wall: segment.wall,
            discontinuity: segment.discontinuity,
            init: segment.init,
            gap: segment.gap,
            bytes: segment.parts.iter().map(|part| part.bytes.len() as u64).sum(),
            key: None,
        })
        .collect();
    let old = parse(&full(&window_with(Kind::Video, &pieces)));
    let resume = resume_of(&pieces, before.origin().unwrap(), before.part_target()).unwrap();
    drop(before);

    // Four seconds later.
    let back = NEW_YEAR.plus(Duration::from_secs(13));
    let mut after =
        Segmenter::new(Config { latency: Latency::Low, expect: None, resume: Some(resume), ..Config::default() });
    let mut window = Window::new(Kind::Video, Limits::default());
    window.restore(stored, 0, [(0, Bytes::from_static(b"init"))], |_| None);
    after.wake(back);
    let again = Source { wall: back, clock_ms: 5_000_000, ..source };
    drain(&mut after).into_iter().for_each(|piece| window.add(piece));
    push_all(&mut after, again.frames(0, 6_000)).into_iter().for_each(|piece| window.add(piece));

    let list = parse(&full(&window));
    assert_eq!((list.msn, list.part_target), (old.msn, old.part_target));
    let (kept, new) = list.segments.split_at(old.segments.len());
    for (kept, old) in kept.iter().zip(&old.segments) {
        assert_eq!((&kept.uri, &kept.date, kept.duration), (&old.uri, &old.date, old.duration));
    }
    assert!(new[0].gap, "the hole is a gap");
    let resumed = new.iter().find(|segment| !segment.gap).unwrap();
    assert!(resumed.discontinuity);
    assert_eq!(resumed.map.as_deref(), Some("init.1.mp4"));
    assert!(matches!(window.segment(0), Some(Stored::Spilled { bytes }) if bytes > 1_000));
}

#[test]
fn l17_a_removed_segment_stays_downloadable_for_its_length_and_the_longest_playlist() {
    let source = Source { audio: None, ..Source::default() };
    let limits = Limits { window: Duration::from_secs(20), ..Limits::default() };
    let mut window = Window::new(Kind::Video, limits);
    let mut removed_at = BTreeMap::new();
    let mut expired_at = BTreeMap::new();
    let mut elapsed = 0;
    for piece in running(Latency::Low, &source, 120_000) {
        let finished = matches!(piece.body, Body::SegmentEnd { .. });
        window.add(piece);
        if !finished {
            continue;
        }
        elapsed += 2;
        for spill in window.to_spill() {
            window.spilled(spill.msn);
        }
        for msn in window.expired() {
            expired_at.insert(msn, elapsed);
            assert_eq!(window.segment(msn), None);
        }
        let first = parse(&full(&window)).msn;
        for msn in 0..first {
            removed_at.entry(msn).or_insert(elapsed);
            assert_eq!(window.segment(msn).is_some(), !expired_at.contains_key(&msn));
            assert!(window.init(0).is_some());
        }
    }
    assert!(expired_at.len() > 10);
    for (msn, expired) in expired_at {
        let kept = expired - removed_at[&msn];
        assert!(kept >= 2 + 20, "segment {msn} was kept for {kept} s");
        assert!(kept <= 2 + 20 + 4, "segment {msn} was kept for {kept} s");
    }
}

#[test]
fn l18_every_segment_has_a_date_that_follows_the_media_clock() {
    let source = Source { cts_ms: 80, ..Source::default() };
    let pieces = running(Latency::Low, &source, 20_000);
    for kind in [Kind::Video, Kind::Audio] {
        let list = parse(&full(&window_with(kind, &pieces)));
        assert!(list.segments.iter().all(|segment| segment.date.is_some()) && list.open.date.is_some());
        for pair in segments(&pieces, kind).windows(2) {
            let step = pair[1].wall.since(pair[0].wall);
            assert!(step.abs_diff(pair[0].duration) <= Duration::from_millis(2), "{step:?}");
        }
    }
}

#[test]
fn l18_dates_stay_monotonic_when_clocks_jump() {
    let source = Source::default();
    let mut segmenter = segmenter(Latency::Low, &source);
    let mut pieces = push_all(&mut segmenter, source.frames(0, 5_000));
    // The encoder's clock goes back by an hour and the server's by a minute.
    let wall = source.wall.plus(Duration::from_secs(5));
    let jumped = Source { clock_ms: -3_600_000, wall: WallTime(wall.0 - 60_000), ..source };
    pieces.extend(push_all(&mut segmenter, jumped.frames(0, 5_000)));
    assert!(segmenter.counters().jumps > 0);
    for kind in [Kind::Video, Kind::Audio] {
        let segments = segments(&pieces, kind);
        assert!(segments.windows(2).all(|pair| pair[1].wall > pair[0].wall));
        assert!(segments.iter().any(|segment| segment.discontinuity));
    }
}

#[test]
fn l19_rendition_reports_say_where_the_other_rendition_is() {
    let pieces = running(Latency::Low, &Source::default(), 9_020);
    let audio = window_with(Kind::Audio, &pieces).snapshot();
    let reports = [RenditionReport { uri: "../audio/index.m3u8".into(), last: audio.last().unwrap() }];
    let video = window_with(Kind::Video, &pieces).snapshot();
    let list = parse(&hls::media_playlist(&video, &reports, Form::Full));
    assert_eq!(list.reports, [("../audio/index.m3u8".to_owned(), 4, Some(1))]);
    // Without parts there is no last part.
    let pieces = running(Latency::Standard, &Source::default(), 9_020);
    assert_eq!(window_with(Kind::Audio, &pieces).snapshot().last(), Some((1, None)));
}

// ---- L23 to L25

#[test]
fn l23_parameters_may_come_in_any_order_among_others() {
    let wanted = Directives { msn: Some(7), part: Some(2), skip: Some(Skip::V2) };
    assert_eq!(directives("_HLS_msn=7&_HLS_part=2&_HLS_skip=v2"), wanted);
    assert_eq!(directives("x=1&_HLS_skip=v2&_HLS_part=2&&_HLS_pathway=%22A%22&_HLS_msn=7&flag"), wanted);
    assert_eq!(directives("_HLS_skip=NO"), Directives::default());
}

fn info(track: std::sync::Arc<Track>, peak_bps: u64, average_bps: u64) -> RenditionInfo {
    RenditionInfo { codec: track.codec.clone(), peak_bps, average_bps, frame_rate: None }
}

#[test]
fn l24_the_multivariant_playlist_says_everything_that_is_asked_for() {
    let video = info(video_track(), 2_900_000, 2_500_000);
    let audio = info(aac_track("1190"), 130_000, 128_000);
    assert_eq!(
        hls::multivariant(&[video.clone(), audio.clone()], true),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",\
         URI=\"audio/index.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3030000,AVERAGE-BANDWIDTH=2628000,CODECS=\"avc1.640028,mp4a.40.2\",\
         RESOLUTION=1920x1080,FRAME-RATE=30.000,AUDIO=\"audio\"\nvideo/index.m3u8\n"
    );
    assert_eq!(
        hls::multivariant(&[audio], false),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=128000,\
         CODECS=\"mp4a.40.2\"\naudio/index.m3u8\n"
    );
    assert_eq!(
        hls::multivariant(&[video], false),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=2900000,AVERAGE-BANDWIDTH=2500000,\
         CODECS=\"avc1.640028\",RESOLUTION=1920x1080,FRAME-RATE=30.000\nvideo/index.m3u8\n"
    );
}

#[test]
fn l25_part_targets_are_those_of_the_latency_modes() {
    for (latency, millis) in [(Latency::Ultra, Some(201)), (Latency::Low, Some(501)), (Latency::Standard, None)] {
        let pieces = running(latency, &Source::default(), 6_000);
        assert_eq!(target_of(&pieces), millis.map(Duration::from_millis));
    }
}

// ---- the modes

#[test]
fn standard_playlists_have_no_sign_of_parts() {
    let window = window_with(Kind::Video, &running(Latency::Standard, &Source::default(), 20_000));
    let text = full(&window);
    assert!(!text.contains("PART") && !text.contains("PRELOAD"), "{text}");
    let list = parse(&text);
    assert!(list.segments.iter().all(|segment| (segment.duration - 4.0).abs() < 0.01));
    assert_eq!(list.open, SegmentLines { map: list.open.map.clone(), ..SegmentLines::default() });
}

#[test]
fn a_playlist_reads_like_this() {
    let pieces = running(Latency::Low, &Source::default(), 3_020);
    let window = window_with(Kind::Video, &pieces);
    let expected = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.000,HOLD-BACK=12.000,PART-HOLD-BACK=1.503\n\
        #EXT-X-PART-INF:PART-TARGET=0.501\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
        #EXT-X-MAP:URI=\"init.0.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n\
        #EXT-X-PART:DURATION=0.50033,URI=\"0.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.50000,URI=\"0.1.m4s\"\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"0.2.m4s\"\n#EXT-X-PART:DURATION=0.50000,URI=\"0.3.m4s\"\n\
        #EXTINF:2.00033,\n0.m4s\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"1.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.50000,URI=\"1.1.m4s\"\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.2.m4s\"\n";
    assert_eq!(full(&window), expected);
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (millis, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_868_799_000, "2000-02-29T23:59:59.000Z"),
        (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
        (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        let mut out = String::new();
        hls::write_date(&mut out, WallTime(millis));
        assert_eq!(out, format!("#EXT-X-PROGRAM-DATE-TIME:{text}\n"));
    }
}

#[test]
fn storing_that_does_not_keep_up_costs_the_oldest_segments_and_no_memory() {
    let limits = Limits { memory_bytes_max: 100_000, ..Limits::default() };
    let mut window = Window::new(Kind::Video, limits);
    let add = |window: &mut Window, body| window.add(Piece { rendition: Kind::Video, body });
    let duration = Duration::from_secs(2);
    for msn in 0..100 {
        add(&mut window, Body::SegmentStart { msn, wall: NEW_YEAR, discontinuity: false, init: 0 });
        let bytes = Bytes::from(vec![0; 10_000]);
        add(&mut window, Body::Part { msn, index: 0, duration, independent: true, bytes, gap: false });
        add(&mut window, Body::SegmentEnd { msn, duration, wall: NEW_YEAR, discontinuity: false, init: 0, gap: false });
        assert!(window.memory_bytes() <= 100_000);
    }
    assert_eq!(window.given_up(), 90);
    assert_eq!(parse(&full(&window)).msn, 90);
}

// ---- a publisher that does everything a publisher can do

#[derive(Clone, Debug)]
enum Act {
    Publish {
        millis: u64,
    },
    /// Only this track sends.
    PublishOnly {
        video: bool,
        millis: u64,
    },
    /// All time stamps move.
    Jump {
        millis: i64,
    },
    /// Gone and back after a while.
    Away {
        millis: u64,
        fresh_clock: bool,
    },
    /// Other parameter sets.
    Change {
        video: bool,
    },
    /// The process ends and starts again.
    Restart {
        millis: u64,
    },
    Rate {
        rate: (u64, u64),
        gop: u64,
    },
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (100_u64..7_000).prop_map(|millis| Act::Publish { millis }),
        2 => (any::<bool>(), 100_u64..9_000).prop_map(|(video, millis)| Act::PublishOnly { video, millis }),
        2 => (-100_000_i64..100_000).prop_map(|millis| Act::Jump { millis }),
        2 => (0_u64..20_000, any::<bool>()).prop_map(|(millis, fresh_clock)| Act::Away { millis, fresh_clock }),
        1 => any::<bool>().prop_map(|video| Act::Change { video }),
        1 => (0_u64..20_000).prop_map(|millis| Act::Restart { millis }),
        2 => (prop::sample::select(vec![(30, 1), (25, 1), (60, 1), (24_000, 1_001), (5, 1)]), 1_u64..400)
            .prop_map(|(rate, gop)| Act::Rate { rate, gop }),
    ]
}

/// Plays the acts and returns all pieces, with everything between restarts in one list.
fn play(latency: Latency, acts: &[Act]) -> Vec<Piece> {
    let mut source = Source::default();
    let mut current = segmenter(latency, &source);
    let mut pieces = Vec::new();
    let mut world_ms = 0_u64;
    for act in acts {
        match act {
            Act::Publish { millis } | Act::PublishOnly { millis, .. } => {
                let wall = NEW_YEAR.plus(Duration::from_millis(world_ms));
                let mut sending = Source { wall, ..source.clone() };
                if let Act::PublishOnly { video, .. } = act {
                    if *video { sending.audio = None } else { sending.video = None }
                }
                pieces.extend(push_all(&mut current, sending.frames(0, *millis)));
                world_ms += millis;
                source.clock_ms += i64::try_from(*millis).unwrap();
            }
            Act::Jump { millis } => source.clock_ms += millis,
            Act::Away { millis, fresh_clock } => {
                current.away();
                world_ms += millis;
                let until = NEW_YEAR.plus(Duration::from_millis(world_ms));
                while let Some(wake) = current.next_wake().filter(|wake| *wake <= until) {
                    current.wake(wake);
                }
                if *fresh_clock {
                    source.clock_ms = 0;
                }
            }
            Act::Change { video: true } => {
                let changed = source.video.as_ref().is_some_and(|track| **track == *video_track());
                source.video = Some(if changed { other_video_track() } else { video_track() });
            }
            Act::Change { video: false } => {
                let changed = source.audio.as_ref().is_some_and(|track| **track == *aac_track("1190"));
                source.audio = Some(aac_track(if changed { "1210" } else { "1190" }));
            }
            Act::Rate { rate, gop } => (source.rate, source.gop) = (*rate, *gop),
            Act::Restart { millis } => {
                let (Some(origin), true) = (current.origin(), segments_complete(&pieces)) else { continue };
                // A crash: what was open is lost.
                let Some(resume) = resume_of(&pieces, origin, current.part_target()) else { continue };
                drop_open(&mut pieces);
                world_ms += millis;
                source.clock_ms = 0;
                current = Segmenter::new(Config {
                    latency,
                    expect: Some(source.tracks()),
                    resume: Some(resume),
                    ..Config::default()
                });
                current.wake(NEW_YEAR.plus(Duration::from_millis(world_ms)));
            }
        }
        pieces.extend(drain(&mut current));
    }
    current.end();
    pieces.extend(drain(&mut current));
    pieces
}

fn segments_complete(pieces: &[Piece]) -> bool {
    [Kind::Video, Kind::Audio].iter().all(|kind| {
        pieces.iter().any(|piece| piece.rendition == *kind && matches!(piece.body, Body::SegmentEnd { .. }))
    })
}

/// What a server remembers of finished segments: the ones that both renditions have.
fn resume_of(pieces: &[Piece], origin: WallTime, part_target: Option<Duration>) -> Option<Resume> {
    let last = |kind| {
        pieces.iter().rev().find_map(|piece| match piece.body {
            Body::SegmentEnd { msn, duration, wall, .. } if piece.rendition == kind => Some((msn, wall.plus(duration))),
            _ => None,
        })
    };
    let init = |kind| {
        pieces.iter().rev().find_map(|piece| match piece.body {
            Body::SegmentEnd { init, .. } if piece.rendition == kind => Some(init),
            _ => None,
        })
    };
    let (video, audio) = (last(Kind::Video)?, last(Kind::Audio)?);
    (video.0 == audio.0).then_some(Resume {
        next_msn: video.0 + 1,
        origin,
        ended: video.1.max(audio.1),
        part_target,
        video_init: init(Kind::Video),
        audio_init: init(Kind::Audio),
    })
}

/// Removes the segments that were not finished.
fn drop_open(pieces: &mut Vec<Piece>) {
    for kind in [Kind::Video, Kind::Audio] {
        let end = pieces
            .iter()
            .rposition(|piece| piece.rendition == kind && matches!(piece.body, Body::SegmentEnd { .. }))
            .unwrap();
        let mut place = 0;
        pieces.retain(|piece| {
            place += 1;
            let lost = piece.rendition == kind
                && place > end + 1
                && matches!(piece.body, Body::SegmentStart { .. } | Body::Part { .. });
            !lost
        });
    }
}

/// All that holds whatever a publisher does.
fn check_everything(pieces: &[Piece], latency: Latency) {
    let mut begun = Vec::new();
    let pieces: Vec<Piece> = pieces
        .iter()
        .filter(|piece| match piece.body {
            Body::Begin { part_target } => {
                let first = !begun.iter().any(|(kind, _)| *kind == piece.rendition);
                begun.push((piece.rendition, part_target));
                first
            }
            _ => true,
        })
        .cloned()
        .collect();
    assert!(begun.windows(2).all(|pair| pair[0].1 == pair[1].1), "PART-TARGET is one: {begun:?}");
    let video = segments(&pieces, Kind::Video);
    let audio = segments(&pieces, Kind::Audio);
    for (kind, segments) in [(Kind::Video, &video), (Kind::Audio, &audio)] {
        let scales: BTreeMap<u32, u64> = pieces
            .iter()
            .filter(|piece| piece.rendition == kind)
            .filter_map(|piece| match &piece.body {
                Body::Init { id, track, .. } => {
                    Some((*id, u64::from(crate::container::mp4::timescale(&track.codec).ticks_per_second())))
                }
                _ => None,
            })
            .collect();
        let mut last_time = 0;
        let mut last_wall = WallTime(0);
        for segment in segments.iter() {
            // L14 and the meaning of EXT-X-TARGETDURATION.
            let rounded = (segment.duration.as_millis() + 500) / 1_000;
            assert!(rounded <= 4, "segment {} lasts {:?}", segment.msn, segment.duration);
            // L18
            assert!(segment.wall >= last_wall, "the date of segment {} goes back", segment.msn);
            last_wall = segment.wall;
            for (part, place) in segment.parts.iter().zip(0..) {
                assert_eq!(part.index, place);
                if let (Some(target), true) = (target_of(&pieces), latency.has_parts()) {
                    assert!(part.duration <= target);
                }
                if !part.gap {
                    // In milliseconds, because the scale may change with the parameters.
                    let time = decode_time(&part.bytes) * 1_000 / scales[&segment.init];
                    assert!(time >= last_time, "segment {} part {place} is decoded at {time} ms", segment.msn);
                    last_time = time;
                }
            }
        }
    }
    // L15: numbers mean the same in both renditions.
    if !video.is_empty() && !audio.is_empty() {
        assert_eq!(video.len(), audio.len());
        for (video, audio) in video.iter().zip(&audio) {
            assert_eq!((video.msn, video.discontinuity), (audio.msn, audio.discontinuity));
            let apart = (video.wall.0 - audio.wall.0).abs();
            // A packet, or what was lost around a jump.
            assert!(apart <= 1_000, "segment {} begins {apart} ms apart", video.msn);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn l15_numbers_and_discontinuities_agree_between_renditions_whatever_the_publisher_does(
        acts in prop::collection::vec(any_act(), 1..12),
        latency in prop::sample::select(vec![Latency::Ultra, Latency::Low, Latency::Standard]),
    ) {
        check_everything(&play(latency, &acts), latency);
    }
}
