//! Playlist requests: the first byte says how far the broadcast is, the rest is the query.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stagedoor_media::package::hls::{self, Directives, Verdict};
use stagedoor_media::package::{Body, Limits, Piece, Window};
use stagedoor_media::{Kind, WallTime};

fuzz_target!(|data: &[u8]| {
    let Some((&progress, query)) = data.split_first() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let Ok(directives) = Directives::parse(query) else { return };
    let mut window = Window::new(Kind::Video, Limits { window: Duration::from_secs(20), ..Limits::default() });
    let mut add = |body| window.add(Piece { rendition: Kind::Video, body });
    let second = Duration::from_secs(1);
    add(Body::Begin { part_target: (progress & 1 == 0).then_some(Duration::from_millis(501)) });
    for msn in 0..u64::from(progress >> 3) {
        let (wall, discontinuity, init) = (WallTime(0), false, 0);
        add(Body::SegmentStart { msn, wall, discontinuity, init });
        for index in 0..u32::from(progress & 6) {
            let bytes = Bytes::from_static(b"part");
            add(Body::Part { msn, index, duration: second / 2, independent: true, bytes, gap: false });
        }
        if msn + 1 < u64::from(progress >> 3) {
            add(Body::SegmentEnd { msn, duration: second, wall, discontinuity, init, gap: false });
        }
    }
    let snapshot = window.snapshot();
    if let Verdict::Wait { until } = snapshot.verdict(&directives) {
        assert!(snapshot.edge() <= until, "what is waited for does not exist");
    }
    assert!(hls::media_playlist(&snapshot, &[], directives.form()).starts_with("#EXTM3U\n"));
});
