//! From a publisher's frames to what players fetch: the rules of LL-HLS that only a server can break, on the real media
//! path. Those that concern text alone are tested where the text is made (`media::package`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use stagedoor_media::codec::{Codec, aac, h264};
use stagedoor_media::{Frame, Timescale, Track};
use stagedoor_server::access::{Access, PublishAttempt};
use stagedoor_server::deliver::{Deliver, TokenCheck};
use stagedoor_server::live::{Hub, PublishError, Publisher, State};

use crate::stage::{HOST, Stage, on_both, on_sqlite};

/// High profile, 320×240, made by `ffmpeg -f lavfi -i testsrc2=s=320x240 -c:v libx264`.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0xfb, 0x01, 0x10,
    0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

/// An encoder: 30 pictures a second, a keyframe every second one, sound of 48 kHz.
pub struct Encoder {
    publisher: Publisher,
    video: Arc<Track>,
    audio: Arc<Track>,
    pictures: i64,
    packets: i64,
}

impl Encoder {
    fn new(publisher: Publisher) -> Self {
        let video = Codec::H264(h264::Config::parse(Bytes::from_static(AVCC)).unwrap());
        let audio = Codec::Aac(aac::Config::parse(Bytes::from_static(&[0x11, 0x90])).unwrap());
        let track = |codec| Arc::new(Track { codec, timescale: Timescale::MILLIS });
        Self { publisher, video: track(video), audio: track(audio), pictures: 0, packets: 0 }
    }

    /// Sends what is due in the next `millis` of media, faster than time but not faster than it is read.
    pub async fn send(&mut self, millis: i64) {
        let until = self.pictures * 100 / 3 + millis;
        while self.pictures * 100 / 3 < until {
            let dts = self.pictures * 100 / 3;
            while self.packets * 64 / 3 <= dts {
                let (track, payload) = (self.audio.clone(), Bytes::from_static(&[0x21, 0x00]));
                self.publisher.push(Frame { track, dts: self.packets * 64 / 3, cts: 0, keyframe: true, payload });
                self.packets += 1;
            }
            let keyframe = self.pictures % 60 == 0;
            let payload =
                Bytes::from_static(if keyframe { &[0, 0, 0, 2, 0x65, 0x88] } else { &[0, 0, 0, 2, 0x41, 0x9a] });
            self.publisher.push(Frame { track: self.video.clone(), dts, cts: 0, keyframe, payload });
            self.pictures += 1;
            tokio::task::yield_now().await;
        }
    }
}

/// An event on air, and one who may watch it.
pub struct Show<'a> {
    pub stage: &'a Stage,
    pub event: String,
    pub base: String,
    pub stream: stagedoor_domain::id::StreamId,
    /// Another process than the stage's own that answers.
    pub hub: Option<(Arc<Access>, Arc<Hub>)>,
}

impl<'a> Show<'a> {
    pub async fn open(stage: &'a Stage) -> Self {
        Self::open_with(stage, serde_json::json!({})).await
    }

    pub async fn open_with(stage: &'a Stage, policy: serde_json::Value) -> Self {
        let admin = stage.admin().await;
        let event = admin.create_event_with(serde_json::json!({"title": "Evening", "policy": policy})).await;
        let code = admin.invite(&event, "Bob").await.code;
        let hls = stage.browser().enter(&event, &code).await;
        let base = hls.strip_suffix("index.m3u8").unwrap().strip_prefix(&format!("http://{HOST}")).unwrap().to_owned();
        let stream = base.trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
        Self { stage, event, base, stream, hub: None }
    }

    /// The same for somebody else.
    pub async fn entered(&self, code: &str) -> Self {
        let hls = self.stage.browser().enter(&self.event, code).await;
        let base = hls.strip_suffix("index.m3u8").unwrap().strip_prefix(&format!("http://{HOST}")).unwrap().to_owned();
        Self { stage: self.stage, event: self.event.clone(), base, stream: self.stream, hub: None }
    }

    pub async fn publish(&self, hub: &Arc<Hub>) -> Result<Encoder, PublishError> {
        let ingest = self.stage.admin().await.get(&format!("/api/v1/events/{}/ingest", self.event)).await;
        let attempt = PublishAttempt { key: &ingest.at("/stream_key"), address: [127, 0, 0, 1].into() };
        let allowed = self.stage.access.publish(attempt).await.unwrap();
        hub.publish(allowed, "test encoder").await.map(Encoder::new)
    }

    pub async fn on_air(&self) -> Encoder {
        let mut encoder = self.publish(&self.stage.hub).await.unwrap();
        encoder.send(7_000).await;
        self.reaches("video", 3).await;
        encoder
    }

    /// Waits until segment `msn - 1` is complete.
    pub async fn reaches(&self, kind: &str, msn: u64) {
        let path = format!("{kind}/index.m3u8?_HLS_msn={}", msn - 1);
        loop {
            let answer = self.get(&path).await;
            if answer.status == StatusCode::OK {
                return;
            }
            // Before the first part there is nothing to wait on.
            assert!([StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&answer.status), "{answer:?}");
            tokio::task::yield_now().await;
        }
    }

    pub async fn get(&self, path: &str) -> Fetched {
        self.get_with(path, HeaderMap::new()).await
    }

    async fn get_with(&self, path: &str, headers: HeaderMap) -> Fetched {
        let uri: Uri = format!("{}{path}", self.base).parse().unwrap();
        let response = match &self.hub {
            None => self.stage.deliver.respond(&Method::GET, &uri, &headers).await,
            Some((access, hub)) => {
                let deliver = Deliver::new(access.clone(), hub.clone(), TokenCheck::EveryRequest);
                deliver.respond(&Method::GET, &uri, &headers).await
            }
        };
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.take_next() {
            bytes.extend_from_slice(&piece);
        }
        Fetched { status: parts.status, headers: parts.headers, bytes }
    }
}

#[derive(Debug)]
pub struct Fetched {
    pub status: StatusCode,
    headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Fetched {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The number after `tag` in a playlist.
    fn number(&self, tag: &str) -> u64 {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(tag)).unwrap_or_else(|| panic!("no {tag}: {text}"));
        line.parse().unwrap()
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

#[tokio::test]
async fn l4_a_blocked_request_is_answered_when_its_part_is_there() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let mut encoder = show.on_air().await;
        let edge = show.get("video/index.m3u8").await.text().matches("URI=\"3.").count();
        let path = format!("video/index.m3u8?_HLS_msn=3&_HLS_part={}", edge + 1);
        let mut blocked = std::pin::pin!(show.get(&path));
        assert!(futures_util::poll!(blocked.as_mut()).is_pending());
        encoder.send(1_500).await;
        let answer = soon(blocked).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(
            answer.text().contains(&format!("3.{}.m4s", edge + 1)) || answer.text().contains("\n3.m4s"),
            "{answer:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn l5_and_l6_bad_directives_are_refused_at_once() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        for (query, code) in [
            ("_HLS_part=0", "bad_directive"),
            ("_HLS_msn=x", "bad_directive"),
            ("_HLS_msn=-1", "bad_directive"),
            ("_HLS_msn=3&_HLS_part=1.5", "bad_directive"),
            ("_HLS_msn=5", "too_far_ahead"),
            ("_HLS_msn=99999999999999999999", "too_far_ahead"),
            ("_HLS_msn=3&_HLS_part=400", "too_far_ahead"),
        ] {
            let answer = show.get(&format!("video/index.m3u8?{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
            assert!(answer.text().contains(code), "{query}: {}", answer.text());
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    })
    .await;
}

#[tokio::test]
async fn l7_a_request_blocked_for_three_target_durations_gets_503() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        // Connected but silent, so that no gaps are written either.
        let _encoder = show.on_air().await;
        let started = std::time::Instant::now();
        let answer = show.get("video/index.m3u8?_HLS_msn=4").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "1");
        let waited = started.elapsed();
        assert!((11..20).contains(&waited.as_secs()), "{waited:?}");
    })
    .await;
}

#[tokio::test]
async fn l8_a_segment_that_is_gone_gives_the_current_playlist() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let answer = show.get("video/index.m3u8?_HLS_msn=0&_HLS_part=0").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text().contains("\n2.m4s"));
    })
    .await;
}

#[tokio::test]
async fn l9_the_end_answers_everyone_who_is_blocked() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let path = "audio/index.m3u8?_HLS_msn=4";
        let mut blocked: Vec<_> = (0..100).map(|_| Box::pin(show.get(path))).collect();
        for request in &mut blocked {
            assert!(futures_util::poll!(request.as_mut()).is_pending());
        }
        stage.hub.end(show.stream);
        let ended = std::time::Instant::now();
        for request in blocked {
            let answer = soon(request).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.text().ends_with("#EXT-X-ENDLIST\n"), "{}", answer.text());
        }
        assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
        let late = show.get("audio/index.m3u8?_HLS_msn=900&_HLS_skip=YES").await;
        assert!(late.text().ends_with("#EXT-X-ENDLIST\n") && !late.text().contains("EXT-X-SKIP"));
    })
    .await;
}

#[tokio::test]
async fn l12_a_hinted_part_is_sent_when_it_is_whole_and_no_other_is_waited_for() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let mut encoder = show.on_air().await;
        let text = show.get("video/index.m3u8").await.text();
        let hint = text.lines().find_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")).unwrap();
        let hinted = format!("video/{}", hint.trim_end_matches('"'));
        let mut waiting = std::pin::pin!(show.get(&hinted));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        for absent in ["video/3.90.m4s", "video/4.1.m4s", "video/900.0.m4s", "video/3.m4s", "video/init.9.mp4"] {
            let answer = show.get(absent).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{absent}");
            assert_eq!(answer.header("cache-control"), "no-store", "{absent}");
        }
        encoder.send(1_000).await;
        let part = soon(waiting).await;
        assert_eq!(part.status, StatusCode::OK);
        assert_eq!(&part.bytes[4..8], b"moof");
    })
    .await;
}

#[tokio::test]
async fn l16_numbers_go_on_after_a_restart_and_the_window_is_still_there() {
    on_both(async |stage| {
        let show = Show::open(stage).await;
        let mut encoder = show.on_air().await;
        encoder.send(2_000).await;
        show.reaches("video", 4).await;
        let before = show.get("video/index.m3u8").await;
        drop(encoder);
        stage.hub.stop().await;

        // The same database, another process.
        stage.pass(10);
        let hub = stage.another_hub();
        hub.restore().await.unwrap();
        assert_eq!(hub.status(show.stream).state, State::Away);
        let channel = hub.channel(show.stream).unwrap();
        let rendition = channel.rendition(stagedoor_media::Kind::Video).unwrap();
        let playlist = rendition.playlist();
        let text = String::from_utf8(playlist.text(stagedoor_media::package::hls::Form::Full).plain.to_vec()).unwrap();
        assert!(rendition.edge().msn > 4, "numbers of segments that were begun are spent");
        for segment in ["\n0.m4s", "\n1.m4s", "\n2.m4s", "\n3.m4s"] {
            assert!(text.contains(segment), "{segment}: {text}");
        }
        assert!(text.contains("#EXT-X-GAP"), "{text}");
        let sequence = |text: &str, tag: &str| -> u64 {
            text.lines().find_map(|line| line.strip_prefix(tag)).unwrap().parse().unwrap()
        };
        for tag in ["#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:"] {
            assert_eq!(sequence(&text, tag), before.number(tag), "{tag}");
        }
        let resumed = show.publish(&hub).await.unwrap();
        let live = async { channel.status().wait_for(|status| status.state == State::Live).await.is_ok() };
        assert!(tokio::time::timeout(Duration::from_secs(10), live).await.unwrap(), "the same broadcast goes on");
        drop(resumed);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn l17_a_stored_segment_is_the_sum_of_its_parts() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let mut parts = Vec::new();
        for index in 0.. {
            let part = show.get(&format!("video/1.{index}.m4s")).await;
            if part.status != StatusCode::OK {
                break;
            }
            parts.extend(part.bytes);
        }
        let segment = show.get("video/1.m4s").await;
        assert_eq!(segment.status, StatusCode::OK);
        assert!(!parts.is_empty());
        assert_eq!(segment.bytes, parts);
    })
    .await;
}

#[tokio::test]
async fn what_is_weighed_is_what_was_taken_and_not_what_a_broken_line_left_behind() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let room = stage.access.room(show.event.parse().unwrap()).unwrap();
        // Against a stream of next to nothing any piece of media is too much, the second time.
        let is_greedy = || {
            let mut odd = false;
            room.each(|seat| odd |= seat.weigh(Some(1), Duration::from_secs(120)));
            odd
        };
        let uri: Uri = format!("{}video/1.m4s", show.base).parse().unwrap();
        for _ in 0..3 {
            let answer = stage.deliver.respond(&Method::GET, &uri, &HeaderMap::new()).await;
            assert_eq!(answer.status(), StatusCode::OK);
            drop(answer);
            assert!(!is_greedy(), "nothing of it was taken");
        }
        for odd in [false, true] {
            assert!(!show.get("video/1.m4s").await.bytes.is_empty());
            assert_eq!(is_greedy(), odd);
        }
        let _playlist = show.get("video/index.m3u8").await;
        assert!(!is_greedy(), "playlists are not media");
    })
    .await;
}

#[tokio::test]
async fn l20_playlists_are_gzipped_and_say_what_they_are() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let gzip = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"))]);
        for path in ["index.m3u8", "video/index.m3u8", "audio/index.m3u8?_HLS_skip=YES"] {
            let plain = show.get(path).await;
            let packed = show.get_with(path, gzip.clone()).await;
            for answer in [&plain, &packed] {
                assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
                assert_eq!(answer.header("vary"), "accept-encoding");
                assert_eq!(answer.header("access-control-allow-origin"), "*");
            }
            assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
            let mut unpacked = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.bytes[..]), &mut unpacked).unwrap();
            assert_eq!(unpacked, plain.text());
        }
        for (path, content_type) in [
            ("video/init.0.mp4", "video/mp4"),
            ("audio/init.0.mp4", "audio/mp4"),
            ("video/1.m4s", "video/mp4"),
            ("audio/1.0.m4s", "audio/mp4"),
        ] {
            let answer = show.get_with(path, gzip.clone()).await;
            assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, content_type), "{path}");
            assert_eq!(answer.header("content-encoding"), "", "media is not compressed twice");
        }
    })
    .await;
}

#[tokio::test]
async fn l21_what_can_change_is_cached_briefly_and_what_cannot_is_immutable() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        for (path, cache) in [
            ("index.m3u8", "max-age=1"),
            ("video/index.m3u8", "max-age=1"),
            ("video/index.m3u8?_HLS_msn=2", "max-age=24"),
            ("video/init.0.mp4", "max-age=3600, immutable"),
            ("video/1.m4s", "max-age=3600, immutable"),
            ("audio/1.0.m4s", "max-age=3600, immutable"),
            ("video/77.m4s", "no-store"),
        ] {
            assert_eq!(show.get(path).await.header("cache-control"), cache, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn l22_media_is_never_redirected_and_only_read() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        for path in ["index.m3u8", "video/index.m3u8", "video/1.m4s", "video/", "video", "", "nonsense", "video/../x"] {
            let status = show.get(path).await.status;
            assert!(!status.is_redirection(), "{path}: {status}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let uri: Uri = format!("{}index.m3u8", show.base).parse().unwrap();
            let answer = stage.deliver.respond(&method, &uri, &HeaderMap::new()).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
    })
    .await;
}

#[tokio::test]
async fn l23_parameters_come_in_any_order_and_strangers_are_ignored() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let expected = show.get("video/index.m3u8?_HLS_msn=2&_HLS_part=1").await;
        for query in ["_HLS_part=1&_HLS_msn=2", "a=b&_HLS_msn=2&&c&_HLS_part=1&_HLS_primary_id=x"] {
            let answer = show.get(&format!("video/index.m3u8?{query}")).await;
            assert_eq!(answer.text(), expected.text(), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_broadcast_goes_away_comes_back_and_ends() {
    on_both(async |stage| {
        let show = Show::open(stage).await;
        let encoder = show.on_air().await;
        stage.pass(2);
        let mut status = stage.hub.watch(show.stream);
        soon(status.wait_for(|status| status.state == State::Live && status.video.is_some())).await.unwrap();
        assert_eq!(status.borrow().publisher.as_ref().unwrap().encoder, "test encoder");
        drop(encoder);
        soon(status.wait_for(|status| status.state == State::Away)).await.unwrap();
        assert!(status.borrow().publisher.is_none());

        stage.pass(30);
        let back = show.publish(&stage.hub).await.unwrap();
        soon(status.wait_for(|status| status.state == State::Live)).await.unwrap();
        drop(back);
        soon(status.wait_for(|status| status.state == State::Away)).await.unwrap();

        stage.pass(61);
        soon(status.wait_for(|status| status.state == State::Ended)).await.unwrap();
        assert!(show.get("video/index.m3u8").await.text().ends_with("#EXT-X-ENDLIST\n"));

        // The next broadcast uses numbers that were never used.
        let last = show.get("video/index.m3u8").await.text().matches("#EXTINF").count() as u64;
        let mut next = show.publish(&stage.hub).await.unwrap();
        next.send(3_000).await;
        soon(async {
            while show.get("video/index.m3u8").await.status != StatusCode::OK {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let playlist = show.get("video/index.m3u8").await;
        assert!(playlist.number("#EXT-X-MEDIA-SEQUENCE:") >= last, "{}", playlist.text());
        assert!(!playlist.text().contains("init.0.mp4"), "{}", playlist.text());
    })
    .await;
}

#[tokio::test]
async fn while_the_publisher_is_away_the_playlist_grows_by_gaps() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        drop(show.on_air().await);
        let mut status = stage.hub.watch(show.stream);
        soon(status.wait_for(|status| status.state == State::Away)).await.unwrap();
        stage.pass(20);
        show.reaches("video", 6).await;
        show.reaches("audio", 6).await;
        let text = show.get("audio/index.m3u8").await.text();
        assert!(text.contains("#EXT-X-GAP\n#EXTINF:4.00000,\n"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_second_encoder_is_refused_while_the_first_is_alive() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let encoder = show.on_air().await;
        let alive = async {
            loop {
                encoder.publisher.sign_of_life();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = alive => {}
            second = show.publish(&stage.hub) => {
                assert!(matches!(second, Err(PublishError::AlreadyLive { .. })));
            }
        }
        let taken_over = show.publish(&stage.hub).await;
        assert!(taken_over.is_ok(), "a dead connection gives its place up");
        soon(encoder.publisher.stopped()).await;
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_stops_its_publisher() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let encoder = show.on_air().await;
        let admin = stage.admin().await;
        let keys = format!("/api/v1/events/{}/stream-keys", show.event);
        let key = admin.get(&keys).await.at("/data/0/id");
        assert_eq!(admin.delete(&format!("{keys}/{key}")).await.status, 204);
        soon(encoder.publisher.stopped()).await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_event_leaves_no_media_behind() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let folder = stage.media_folder().join("live").join(show.stream.to_string());
        soon(async {
            while !folder.join("video/0.m4s").exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let deleted = stage.admin().await.delete(&format!("/api/v1/events/{}", show.event)).await;
        assert_eq!(deleted.status, 204);
        soon(async {
            while !files(&folder).is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(show.get("index.m3u8").await.status, StatusCode::FORBIDDEN);
    })
    .await;
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}
