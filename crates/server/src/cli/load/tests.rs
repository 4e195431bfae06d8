//! The generator against a small LL-HLS server on a real socket: that it plays, and that it notices lies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use clap::Parser;

use super::*;

/// Short, so that a test takes a second or two.
const PART_MS: u64 = 100;
const PARTS: u64 = 4;
/// Parts that exist when the server starts.
const HEAD_START: u64 = 40;

/// What the fixture server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Answers a blocking reload at once, without the part.
    DoesNotBlock,
    /// The media sequence goes back now and then.
    GoesBack,
    /// No part is served for a while, longer than viewers have in hand.
    Freezes,
    /// The right to watch ends after a second.
    Refuses,
    /// The broadcast ends after a second.
    Ends,
    /// Parts are HTML.
    WrongBytes,
    /// A delta update skips more than the viewer can know.
    SkipsTooMuch,
}

#[derive(Clone)]
struct Fixture {
    began: Instant,
    wall_ms: u64,
    fault: Fault,
}

impl Fixture {
    /// How many parts exist now.
    fn parts(&self) -> u64 {
        let mut ms = self.began.elapsed().as_millis() as u64;
        match self.fault {
            Fault::Freezes if ms > 800 => ms = if ms < 2000 { 800 } else { ms },
            Fault::Ends => ms = ms.min(1000),
            _ => {}
        }
        HEAD_START + ms / PART_MS
    }

    fn refuses(&self) -> bool {
        self.fault == Fault::Refuses && self.began.elapsed() > Duration::from_secs(1)
    }

    fn playlist(&self, skip: bool) -> String {
        let parts = self.parts();
        let (first, open) = (2u64, parts / PARTS);
        let mut text = String::from(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.1\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6,PART-HOLD-BACK=0.4\n",
        );
        let went_back = self.fault == Fault::GoesBack && parts.is_multiple_of(3);
        text += &format!("#EXT-X-MEDIA-SEQUENCE:{}\n", if went_back { first - 1 } else { first });
        let mut from = first;
        if skip {
            from = if self.fault == Fault::SkipsTooMuch { open + 1 } else { open.saturating_sub(3).max(first) };
            text += &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={}\n", from - first);
        }
        text += "#EXT-X-MAP:URI=\"init.mp4\"\n";
        for msn in from..=open {
            let at = humantime(self.wall_ms + (msn * PARTS) * PART_MS - HEAD_START * PART_MS);
            text += &format!("#EXT-X-PROGRAM-DATE-TIME:{at}\n");
            for part in 0..(parts - msn * PARTS).min(PARTS) {
                let independent = if part == 0 { ",INDEPENDENT=YES" } else { "" };
                text += &format!("#EXT-X-PART:DURATION=0.1,URI=\"{msn}.{part}.m4s\"{independent}\n");
            }
            if msn < open {
                text += &format!("#EXTINF:0.4,\n{msn}.m4s\n");
            }
        }
        if self.fault == Fault::Ends && self.began.elapsed() > Duration::from_secs(1) {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }
}

/// Milliseconds since 1970 as RFC 3339; days are enough of a calendar for a test that runs today.
fn humantime(ms: u64) -> String {
    let (mut days, in_day) = ((ms / 86_400_000) as i64, ms % 86_400_000);
    let mut year = 1970;
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hours, minutes, seconds) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year}-{:02}-{:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", month + 1, days + 1, ms % 1000)
}

async fn media_playlist(State(fixture): State<Arc<Fixture>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<u64>().ok());
    if let (Some(msn), Some(part)) = (number("_HLS_msn"), number("_HLS_part")) {
        let wanted = msn * PARTS + part + 1;
        while fixture.fault != Fault::DoesNotBlock
            && fixture.parts() < wanted
            && !(fixture.fault == Fault::Ends && fixture.began.elapsed() > Duration::from_secs(1))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    if fixture.refuses() {
        return StatusCode::FORBIDDEN.into_response();
    }
    fixture.playlist(query.contains_key("_HLS_skip")).into_response()
}

async fn file(State(fixture): State<Arc<Fixture>>, Path((_, name)): Path<(String, String)>) -> Response {
    match (fixture.fault, name.as_str()) {
        _ if fixture.refuses() => StatusCode::FORBIDDEN.into_response(),
        (_, "init.mp4") => b"\0\0\0\x08ftyp\0\0\0\x08moov".to_vec().into_response(),
        (Fault::WrongBytes, _) => "<!doctype html>".into_response(),
        _ => [b"\0\0\0\x08moof".to_vec(), vec![7; 100_000]].concat().into_response(),
    }
}

async fn serve(fault: Fault) -> String {
    let wall_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let fixture = Arc::new(Fixture { began: Instant::now(), wall_ms, fault });
    let multivariant = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",DEFAULT=YES,URI=\"audio/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1000000,AUDIO=\"a\"\nvideo/index.m3u8\n";
    let app = Router::new()
        .route("/live/index.m3u8", get(move || async move { multivariant }))
        .route("/live/{rendition}/index.m3u8", get(media_playlist))
        .route("/live/{rendition}/{name}", get(file))
        .with_state(fixture);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/live/index.m3u8")
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: LoadArgs,
}

async fn watch_for(fault: Fault, duration: &str) -> Viewers {
    let url = serve(fault).await;
    let line = ["load", "--url", &url, "--viewers", "6", "--ramp", "0.1", "--settle", "0.5", "--duration", duration];
    let args = Line::try_parse_from(line).unwrap().args;
    let plan = Plan::new(&args).unwrap();
    let (urls, _, _) = viewer_urls(&args).await.unwrap();
    watch(&args, &plan, (&urls, &[]), None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_of_a_sound_server_play_without_an_error() {
    let report = watch_for(Fault::None, "1.5").await;
    assert_eq!((report.joined, report.errors, report.stalls), (6, 0, 0), "{:?}", report.errors_by_kind);
    assert!(report.parts >= 6 * 2 * 10, "about ten parts per second, rendition and viewer: {}", report.parts);
    assert!(report.deltas * 10 >= report.playlists * 9, "reloads are delta updates");
    assert!(report.media_bytes > report.parts * 100_000);
    let age = report.part_age_ms.unwrap();
    assert!(age.p50 < 80.0, "parts are fetched as they appear: {age:?}");
    let glass = report.glass_ms.unwrap();
    assert!((300.0..700.0).contains(&glass.p50), "the playhead is the hold-back behind: {glass:?}");
    assert!(report.playlist_cache[0] > report.playlist_cache[1], "the same text is read once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_without_the_awaited_part_is_found_out() {
    let report = watch_for(Fault::DoesNotBlock, "0.5").await;
    assert!(report.errors_by_kind.contains_key("awaited_part_missing"), "{:?}", report.errors_by_kind);
    assert!(!report.holds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_sequence_that_goes_back_is_found_out() {
    let report = watch_for(Fault::GoesBack, "1").await;
    assert!(report.errors_by_kind.contains_key("media_sequence_went_back"), "{:?}", report.errors_by_kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_with_a_hole_is_found_out() {
    let report = watch_for(Fault::SkipsTooMuch, "0.5").await;
    assert!(report.errors_by_kind.contains_key("delta_hole"), "{:?}", report.errors_by_kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_not_media_are_found_out() {
    let report = watch_for(Fault::WrongBytes, "0.5").await;
    assert!(report.errors_by_kind.contains_key("not_media"), "{:?}", report.errors_by_kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_stream_is_a_stall_for_each_viewer() {
    let report = watch_for(Fault::Freezes, "2.5").await;
    assert_eq!((report.stalls, report.errors), (6, 0), "{:?}", report.errors_by_kind);
    assert!(report.stalled_ms > 6.0 * 500.0, "{}", report.stalled_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_that_may_no_longer_watch_go_home() {
    let report = watch_for(Fault::Refuses, "1.5").await;
    assert_eq!((report.joined, report.refused), (6, 6));
    assert_eq!(report.errors_by_kind.keys().collect::<Vec<_>>(), ["status_403"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_broadcast_is_neither_error_nor_stall() {
    let report = watch_for(Fault::Ends, "1.5").await;
    assert_eq!((report.ended, report.errors, report.stalls), (6, 0, 0), "{:?}", report.errors_by_kind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_counts_answers_and_bytes() {
    let url = serve(Fault::None).await.replace("index.m3u8", "video/12.0.m4s");
    let args = Line::try_parse_from(["load", "--raw", &url, "--connections", "3", "--duration", "0.3"]).unwrap().args;
    let report = flood(&args, &Plan::new(&args).unwrap(), Url::parse(&url).unwrap()).await.unwrap();
    assert_eq!(report.errors, 0);
    assert_eq!(report.bytes, report.answers * 100_008);
    assert!(report.answers > 10);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_words() {
    let args = Line::try_parse_from(["load", "--raw", "http://127.0.0.1:1/", "--duration", "0.1"]).unwrap().args;
    let problem =
        flood(&args, &Plan::new(&args).unwrap(), Url::parse("http://127.0.0.1:1/").unwrap()).await.unwrap_err();
    assert!(problem.contains("× connect"), "{problem}");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    assert!(Line::try_parse_from(["load"]).is_err(), "a target is needed");
    assert!(Line::try_parse_from(["load", "--url", "http://h/", "--raw", "http://h/"]).is_err());
    assert!(Line::try_parse_from(["load", "--api", "http://h/"]).is_err(), "an event is needed");
    assert!(Line::try_parse_from(["load", "--url", "http://h/", "--join-storm"]).is_err(), "a door is needed");
    let storm = ["load", "--api", "http://h/", "--event", "e", "--api-token", "t", "--end-all"];
    assert!(Line::try_parse_from(storm).is_err(), "only what was begun by a storm ends with it");
    for bad in [["--viewers", "0"], ["--duration", "0"], ["--ramp", "-1"], ["--threads", "0"], ["--timeout", "NaN"]] {
        let wrong = format!("{}={}", bad[0], bad[1]);
        let parsed = Line::try_parse_from(["load", "--url", "http://h/", &wrong]).map(|line| Plan::new(&line.args));
        assert!(!matches!(parsed, Ok(Ok(_))), "{bad:?}");
    }
    assert!(enough_files(Some(1024), 2000).is_err());
    assert!(enough_files(None, 1_000_000).is_ok());
}
