//! How much of anything somebody may ask for: requests, bytes, connections, feeds; and those who do not get on with it.
//! Over real sockets, through the same doors as in the field.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use stagedoor_server::access::Door;
use stagedoor_server::config::{self, Config};
use stagedoor_server::deliver::{Deliver, TokenCheck};
use stagedoor_server::http::{self, Service};
use stagedoor_server::ingest::rtmp::{self, Rtmp};
use stagedoor_server::ports::clock::Clock;
use stagedoor_server::ports::random::Random;
use stagedoor_server::ports::tls::Tls;
use stagedoor_testkit::tls::SelfSigned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::broadcasting::Show;
use crate::certificates;
use crate::feeds::{OURS, connect};
use crate::laws::routes;
use crate::stage::{HOST, Stage, configured, on_sqlite};

/// The doors of a stage, open until the test is over.
struct Doors {
    http: SocketAddr,
    https: SocketAddr,
    rtmp: SocketAddr,
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn open(stage: &Stage, router: Router, door: Door) -> Doors {
    let made = SelfSigned::new(HOST);
    let folder = stage.media_folder();
    let files = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&files.0, made.certificate).unwrap();
    std::fs::write(&files.1, made.key).unwrap();
    let config = config::Tls { certificate: Some(files.0), key: Some(files.1), ..config::Tls::default() };
    let tls = Tls::load(&config).unwrap().unwrap();
    let deliver = Arc::new(Deliver::new(stage.access.clone(), stage.hub.clone(), TokenCheck::EveryRequest));
    let service = Service { deliver, router };
    // The session's deadlines are real ones.
    let (clock, random) = (Clock::system(), Random::system());
    let ingest = Rtmp { access: stage.access.clone(), hub: stage.hub.clone(), clock, random };
    let ((http, at), (https, tls_at), (rtmp, rtmp_at)) = (bound().await, bound().await, bound().await);
    let stop = || stage.stop.clone();
    tokio::spawn(http::serve(http, None, service.clone(), door.clone(), stop()));
    tokio::spawn(http::serve(https, Some(tls.https()), service, door.clone(), stop()));
    tokio::spawn(rtmp::serve(rtmp, None, ingest, door, stop()));
    Doors { http: at, https: tls_at, rtmp: rtmp_at }
}

fn wide() -> Door {
    Door::new(10_000, 10_000, &[])
}

/// Status and head of the answer to exactly these bytes; what the server does not want to read is not pressed on it.
async fn exchange(server: SocketAddr, request: &[u8]) -> (u16, String) {
    let stream = TcpStream::connect(server).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sent = async { writer.write_all(request).await };
    let heard = async {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => head.extend_from_slice(&buffer[..read]),
            }
        }
        String::from_utf8_lossy(&head).into_owned()
    };
    let (_whatever_was_taken, head) = tokio::join!(sent, heard);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {head:?}")), head)
}

#[tokio::test]
async fn every_route_refuses_what_is_too_large_and_breaks_at_nothing() {
    on_sqlite(async |stage| {
        let doors = open(stage, stage.router.clone(), wide()).await;
        let admin = stage.admin().await;
        let token = admin.token("bounds").await;
        let mut asked = 0;
        for (method, path, _) in routes() {
            // Its own, because some of what is asked for is done.
            let event = admin.create_event("Evening").await;
            let path = path.replace("{event}", &event);
            let path: String = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let head = format!("host: {HOST}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n");
            let long = "x".repeat(70 * 1024);
            // A list of invitees may be long; it has a bound of its own.
            let most: u64 = if method == "POST" && path.ends_with("/imports") { 1 << 31 } else { 70 * 1024 };
            let json = "content-type: application/json\r\n";
            let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
            let announced = format!("content-type: text/csv\r\ncontent-length: {most}\r\n\r\n{long}");
            for (what, request, expected) in [
                ("body", format!("{method} {path} HTTP/1.1\r\n{head}{announced}"), Some([413, 413, 413])),
                ("header", format!("{method} {path} HTTP/1.1\r\n{head}x-long: {long}\r\n\r\n"), Some([431, 431, 400])),
                (
                    "query",
                    format!("{method} {path}?x={} HTTP/1.1\r\n{head}\r\n", &long[..14_000]),
                    Some([414, 414, 414]),
                ),
                ("path", format!("{method} {path}/{} HTTP/1.1\r\n{head}\r\n", &long[..14_000]), Some([414, 414, 414])),
                ("line", format!("{method} {path}?{long} HTTP/1.1\r\n{head}\r\n"), Some([414, 431, 400])),
                // What nobody reads is not too large, but nothing breaks at it.
                ("unannounced body", format!("{method} {path} HTTP/1.1\r\n{head}{json}{chunked}"), None),
            ] {
                let (status, answer) = exchange(doors.http, request.as_bytes()).await;
                match expected {
                    Some(expected) => assert!(expected.contains(&status), "{what} of {method} {path}: {answer}"),
                    None => assert!(status < 500 || path == "/readyz", "{what} of {method} {path}: {answer}"),
                }
                asked += 1;
            }
        }
        assert!(asked > 600, "{asked}");
        // The media path has no body and no query of length either.
        let long = "x".repeat(20_000);
        for request in [
            format!("GET /live/{long}/x/index.m3u8 HTTP/1.1\r\nhost: {HOST}\r\n\r\n"),
            format!("GET /live/x/x/index.m3u8?_HLS_msn={long} HTTP/1.1\r\nhost: {HOST}\r\n\r\n"),
            format!("GET /live/x/x/index.m3u8 HTTP/1.1\r\nhost: {HOST}\r\nx: {long}\r\n\r\n"),
        ] {
            let (status, answer) = exchange(doors.http, request.as_bytes()).await;
            assert!([400, 414, 431].contains(&status), "{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_much_there_is_and_when_there_is_more() {
    let mut config = Config::default();
    config.access.requests_per_address = 30;
    config.access.requests_per_session = 6;
    configured(config, async |stage| {
        let admin = stage.admin().await;
        for left in (0..6).rev() {
            let answer = admin.get("/api/v1/me").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=30;w=60, \"session\";q=6;w=60");
            let session = format!("\"session\";r={left};t={}", (6 - left) * 10);
            assert!(answer.header("ratelimit").ends_with(&session), "{}", answer.header("ratelimit"));
        }
        let refused = admin.get("/api/v1/me").await;
        refused.refused(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), "10");
        assert!(refused.header("ratelimit").ends_with("\"session\";r=0;t=60"), "{refused:?}");
        assert_eq!(refused.header("x-content-type-options"), "nosniff");

        // Another session of the same address goes on, until the address has had its share.
        let neighbour = stage.browser_at(admin.address);
        let passed = async |browser: &crate::stage::Browser<'_>| {
            let mut passed = 0;
            while browser.get("/api/v1/login").await.status != 429 {
                passed += 1;
            }
            passed
        };
        // Signing in was one, and what was refused for the session had counted for the address.
        assert_eq!(passed(&neighbour).await, 30 - 8);
        let refused = neighbour.get("/api/v1/login").await;
        refused.refused(429, "rate_limited");
        assert_eq!(refused.header("ratelimit-policy"), "\"address\";q=30;w=60");
        // What is not the API is not counted, and others have their own.
        assert_eq!(neighbour.get("/livez").await.status, 200);
        assert_eq!(stage.browser().get("/api/v1/login").await.status, 200);
        // Whose cookie it is does not depend on the address, so changing it helps nobody.
        let elsewhere = stage.browser();
        let mut request = ::http::Request::builder().uri("/api/v1/me").body(axum::body::Body::empty()).unwrap();
        request.headers_mut().insert("cookie", admin.cookie_header("/api/v1/me").parse().unwrap());
        elsewhere.raw(request).await.refused(429, "rate_limited");
        stage.pass(60);
        assert_eq!(admin.get("/api/v1/me").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn nobody_holds_more_feeds_than_they_may_and_closing_one_makes_room() {
    let mut config = Config::default();
    config.access.feeds_each = 3;
    configured(config, async |stage| {
        let doors = open(stage, stage.router.clone(), wide()).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let bob = stage.browser();
        bob.enter(&event, &admin.invite(&event, "Bob").await.code).await;
        let other = stage.browser();
        other.enter(&event, &admin.invite(&event, "Eve").await.code).await;
        for (holder, path) in [
            (&bob, format!("/api/v1/events/{event}/sessions/current/feed")),
            (&admin, format!("/api/v1/events/{event}/feed")),
        ] {
            let mut held = Vec::new();
            for _ in 0..3 {
                held.push(connect(doors.http, holder, &path, OURS).await.unwrap());
            }
            assert_eq!(connect(doors.http, holder, &path, OURS).await.err(), Some(429), "{path}");
            let mut first = held.remove(0);
            first.close(None).await.unwrap();
            // The place is free when the server has seen it too.
            while connect(doors.http, holder, &path, OURS).await.map(|socket| held.push(socket)).is_err() {
                tokio::task::yield_now().await;
            }
            assert_eq!(connect(doors.http, holder, &path, OURS).await.err(), Some(429), "{path}");
        }
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        assert!(connect(doors.http, &other, &path, OURS).await.is_ok(), "others have their own");
    })
    .await;
}

/// A connection that comes from this address of the machine.
async fn from(address: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(address), 0)).unwrap();
    socket.connect(server).await.unwrap()
}

/// Whether it is answered; what is closed at once is not.
async fn answered(stream: &mut TcpStream) -> bool {
    let request = format!("GET /livez HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let _closed_already = stream.write_all(request.as_bytes()).await;
    let mut buffer = [0; 1024];
    matches!(stream.read(&mut buffer).await, Ok(read) if buffer[..read].starts_with(b"HTTP/1.1 200"))
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_its_feeds_count() {
    on_sqlite(async |stage| {
        let doors = open(stage, stage.router.clone(), Door::new(100, 3, &[])).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/feed");
        let _feed = connect(doors.http, &admin, &path, OURS).await.unwrap();
        let (mut second, mut third) = (from([127, 0, 0, 1], doors.http).await, from([127, 0, 0, 1], doors.http).await);
        assert!(answered(&mut second).await && answered(&mut third).await);
        // All doors together: the encoder's too, when it is the same door.
        assert!(!answered(&mut from([127, 0, 0, 1], doors.http).await).await);
        assert!(!answered(&mut from([127, 0, 0, 1], doors.https).await).await);
        let mut encoder = from([127, 0, 0, 1], doors.rtmp).await;
        assert!(matches!(encoder.read(&mut [0; 16]).await, Ok(0) | Err(_)));
        assert!(answered(&mut from([127, 0, 0, 2], doors.http).await).await, "others are not affected");
        assert!(answered(&mut second).await, "who is in goes on");
        drop(second);
        // Its place is free when the server has seen that it is gone.
        while !answered(&mut from([127, 0, 0, 1], doors.http).await).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_bug_in_the_task_of_one_connection_ends_no_other() {
    on_sqlite(async |stage| {
        let boom = get(|| async {
            if true {
                panic!("forced by a test")
            }
        });
        let router = Router::new().route("/boom", boom).fallback_service(stage.router.clone());
        let doors = open(stage, router, wide()).await;
        let count = async || {
            let text = stage.browser_at(IpAddr::from([127, 0, 0, 1])).get("/metrics").await.text;
            let line = text.lines().find(|line| line.starts_with("session_panics_total{in=\"http\"}"));
            line.and_then(|line| line.split(' ').next_back()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let before = count().await;
        let mut others = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(doors.http).await.unwrap();
            assert!(answered(&mut stream).await);
            others.push(stream);
        }
        let mut unlucky = TcpStream::connect(doors.http).await.unwrap();
        unlucky.write_all(format!("GET /boom HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(matches!(unlucky.read(&mut [0; 16]).await, Ok(0) | Err(_)), "its connection ends");
        for stream in &mut others {
            assert!(answered(stream).await);
        }
        assert!(count().await > before);
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_a_websocket_and_gets_none_is_hung_up_on_with_the_answer() {
    on_sqlite(async |stage| {
        let doors = open(stage, stage.router.clone(), wide()).await;
        let event = stage.admin().await.create_event("Evening").await;
        for path in [
            "/livez".to_owned(),
            "/live/x/y/index.m3u8".to_owned(),
            format!("/api/v1/events/{event}/feed"),
            format!("/api/v1/events/{event}/sessions/current/feed"),
            format!("/api/v1/events/{event}/takeovers/x/feed"),
        ] {
            let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            let first = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{upgrade}\r\n");
            let second = format!("GET /livez HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
            let mut stream = TcpStream::connect(doors.http).await.unwrap();
            stream.write_all((first + &second).as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            // Sooner than a connection is given up that rests.
            let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard)).await;
            let heard = String::from_utf8_lossy(&heard);
            ended.unwrap_or_else(|_| panic!("{path} goes on: {heard}")).unwrap();
            assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{path}: {heard}");
            assert!(!heard.starts_with("HTTP/1.1 101") && heard.contains("connection: close"), "{path}: {heard}");
        }
    })
    .await;
}

/// How long each of these connections lasted, which say this much and no more.
async fn stuck(server: SocketAddr, count: usize, first: &'static [u8]) -> Vec<Duration> {
    let mut waiting = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let began = Instant::now();
        stream.write_all(first).await.unwrap();
        waiting.push(tokio::spawn(async move {
            let mut buffer = [0; 8192];
            // The server may have said its part of a handshake; then it hangs up.
            while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
            began.elapsed()
        }));
    }
    let mut lasted = Vec::new();
    for task in waiting {
        lasted.push(task.await.unwrap());
    }
    lasted
}

/// The bytes of a TLS record that announces a ClientHello and does not go on.
const HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
const UPGRADE: &[u8] = b"GET /api/v1/events/x/feed HTTP/1.1\r\nhost: stage.test\r\nconnection: upgrade\r\nupgrade: web";
const BODY: &[u8] = b"POST /api/v1/login HTTP/1.1\r\nhost: stage.test\r\ncontent-type: application/json\r\n\
    origin: http://stage.test\r\ncontent-length: 60\r\n\r\n{";

#[tokio::test]
async fn hundreds_who_do_not_get_on_with_it_are_gone_within_ten_seconds_and_viewers_notice_nothing() {
    on_sqlite(async |stage| {
        let doors = open(stage, stage.router.clone(), wide()).await;
        let show = Show::open(stage).await;
        let _encoder = show.on_air().await;
        let each = 300;
        let crowd = async {
            tokio::join!(
                stuck(doors.http, each, b"GET /livez HTTP/1.1\r\nhos"),
                stuck(doors.http, each, UPGRADE),
                stuck(doors.http, each, BODY),
                stuck(doors.https, each, HELLO),
                stuck(doors.rtmp, each, &[3, 0, 0, 0]),
            )
        };
        let request =
            format!("GET {}video/index.m3u8 HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n", show.base);
        let took = std::cell::RefCell::new(Vec::new());
        let viewer = async {
            loop {
                let began = Instant::now();
                let (status, answer) = exchange(doors.http, request.as_bytes()).await;
                assert_eq!(status, 200, "{answer}");
                took.borrow_mut().push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let lasted = tokio::select! {
            lasted = crowd => lasted,
            () = viewer => return,
        };
        let mut took = took.into_inner();
        took.sort_unstable();
        assert!(took.len() > 20, "{}", took.len());
        assert!(took[took.len() * 9 / 10] < Duration::from_secs(1), "{took:?}");
        for (door, lasted) in [
            ("HTTP", &lasted.0),
            ("WebSocket", &lasted.1),
            ("body", &lasted.2),
            ("TLS", &lasted.3),
            ("RTMP", &lasted.4),
        ] {
            let longest = lasted.iter().max().unwrap();
            // Ten seconds by the clock, and what a busy machine takes to notice.
            assert!(*longest <= Duration::from_secs(13), "{door}: {longest:?}");
            let shortest = lasted.iter().min().unwrap();
            assert!(*shortest >= Duration::from_secs(9), "{door}: nobody is hurried: {shortest:?}");
        }
    })
    .await;
}

/// What a client of HTTP/2 begins with, and its SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET /livez` on the first stream: method and scheme by their numbers, host and path in letters.
const LIVEZ: &[u8] = b"\0\0\x16\x01\x05\0\0\0\x01\x82\x87\x01\x0astage.test\x04\x06/livez";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";

/// How long a connection with HTTP/2 lasts that says this and then sends a PING every half second; how many of them were
/// acknowledged, and whether there was an answer.
async fn pinging(server: SocketAddr, first: &[u8]) -> (Duration, usize, bool) {
    let stream = certificates::connect(server, b"h2", HOST).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let began = Instant::now();
    writer.write_all(PREFACE).await.unwrap();
    writer.write_all(first).await.unwrap();
    let pings = async {
        while writer.write_all(PING).await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        std::future::pending::<()>().await;
    };
    let (mut acknowledged, mut answered) = (0, false);
    let hears = async {
        let mut head = [0; 9];
        while reader.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            if reader.read_exact(&mut payload).await.is_err() {
                break;
            }
            acknowledged += usize::from(head[3] == 6 && head[4] == 1);
            answered |= head[3] == 1;
        }
    };
    tokio::select! {
        () = hears => {}
        () = pings => {}
    }
    (began.elapsed(), acknowledged, answered)
}

#[tokio::test]
async fn who_sends_pings_and_asks_for_nothing_is_gone_like_anybody_else_who_is_idle() {
    on_sqlite(async |stage| {
        let doors = open(stage, stage.router.clone(), wide()).await;
        let (silent, once) = tokio::join!(pinging(doors.https, b""), pinging(doors.https, LIVEZ));
        for ((lasted, acknowledged, answered), asked) in [(silent, false), (once, true)] {
            assert_eq!(answered, asked);
            assert!(acknowledged > 5, "{acknowledged}");
            // Ten seconds, two to say goodbye in, and what a busy machine takes to notice.
            let (least, most) = (Duration::from_secs(9), Duration::from_secs(15));
            assert!((least..=most).contains(&lasted), "asked: {asked}, {lasted:?}");
        }
    })
    .await;
}
