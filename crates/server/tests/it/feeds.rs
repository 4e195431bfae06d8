//! WebSockets over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use stagedoor_domain::access::Organise;
use stagedoor_server::access::{Contact, NewInvitee, Report};
use stagedoor_testkit::geo::sample;

use crate::provenance::places;
use crate::stage::{Browser, HOST, Stage, on_sqlite};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves the stage on a free port until the test is over.
pub async fn listening(stage: &Stage) -> SocketAddr {
    serving(stage, stage.router.clone()).await
}

async fn serving(stage: &Stage, router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stop = stage.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, service) => {}
            () = stop.cancelled() => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    });
    address
}

pub async fn connect(
    server: SocketAddr,
    browser: &Browser<'_>,
    path: &str,
    origin: Option<&str>,
) -> Result<Socket, u16> {
    let mut request = format!("ws://{server}{path}").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("host", HOST.parse().unwrap());
    headers.insert("cookie", browser.cookie_header(path).parse().unwrap());
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next message; what only shows that somebody is there, and comes now and then, is let go.
pub async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        let message = heard(socket).await?;
        if message["type"] != "challenge" && message["type"] != "alive" {
            return Some(message);
        }
    }
}

async fn heard(socket: &mut Socket) -> Option<Value> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("a message in time");
        match message {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(_))) | None => return None,
            Some(Ok(_)) => {}
            Some(Err(_)) => return None,
        }
    }
}

pub const OURS: Option<&str> = Some("http://stage.test");

/// The next message of a kind; others in between are let go.
pub async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = heard(socket).await.expect("a message");
        if message["type"] == kind {
            return message;
        }
    }
}

#[tokio::test]
async fn an_organiser_sees_people_come_and_go_without_asking() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let (a, b) = (admin.invite(&event, "A").await, admin.invite(&event, "B").await);
        stage.browser().enter(&event, &a.code).await;
        let path = format!("/api/v1/events/{event}/feed");
        let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
        let snapshot = next(&mut feed).await.unwrap();
        assert_eq!((&snapshot["type"], &snapshot["stream"]["state"]), (&json!("snapshot"), &json!("idle")));
        assert_eq!((&snapshot["viewers"][0]["name"], &snapshot["more"]), (&json!("A"), &json!(false)));
        assert_eq!(
            snapshot["counters"],
            json!({
                "watching": 1, "peak": 1, "inside": 1, "invited": 2, "redeemed": 1, "waiting": 0, "refused": 0, "incidents": 0,
                "pages": {"answering": 0, "marked": 0, "silent": 0}
            })
        );

        let bob = stage.browser();
        bob.enter(&event, &b.code).await;
        let joined = next_of(&mut feed, "viewers").await;
        assert_eq!((&joined["joined"][0]["name"], &joined["watching"]), (&json!("B"), &json!(2)));
        let counters = next_of(&mut feed, "counters").await;
        assert_eq!((&counters["counters"]["watching"], &counters["counters"]["peak"]), (&json!(2), &json!(2)));

        let session = bob.current(&event).await.at("/id");
        let kicked = admin.post(&format!("/api/v1/events/{event}/viewers/{session}/kick"), json!({})).await;
        assert_eq!(kicked.json(), json!({"sessions": 1, "recorded": true}));
        let left = next_of(&mut feed, "viewers").await;
        assert_eq!((&left["left"], &left["watching"]), (&json!([session]), &json!(1)));

        stage.pass(60);
        let idle = next_of(&mut feed, "viewers").await;
        assert_eq!((&idle["changed"][0]["watching"], &idle["watching"]), (&json!(false), &json!(0)));
        assert!(idle["changed"][0].get("name").is_none(), "what cannot change is not said again");

        assert_eq!(admin.delete(&format!("/api/v1/events/{event}")).await.status, 204);
        while next(&mut feed).await.is_some() {}
    })
    .await;
}

#[tokio::test]
async fn an_organiser_to_whom_nothing_was_said_for_ten_seconds_hears_that_the_server_is_there() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/feed");
        let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
        let mut figures = connect(server, &admin, &format!("{path}?rows=false"), OURS).await.unwrap();
        let mut last = next(&mut feed).await.unwrap()["seq"].as_u64().unwrap();
        next(&mut figures).await.unwrap();

        stage.pass(10);
        let sign = loop {
            let message = heard(&mut feed).await.unwrap();
            let Some(seq) = message["seq"].as_u64() else { break message };
            last = seq;
            stage.pass(10);
        };
        assert_eq!(sign, json!({"type": "alive"}));
        assert_eq!(next_of(&mut figures, "alive").await, json!({"type": "alive"}));

        // It takes no number and does not come again before its time: what is said next goes on from before it.
        admin.invite(&event, "A").await;
        assert_eq!(heard(&mut feed).await.unwrap()["seq"], json!(last + 1));
        drop(feed);
        let mut feed = connect(server, &admin, &format!("{path}?after={last}"), OURS).await.unwrap();
        assert_eq!(next(&mut feed).await.unwrap(), json!({"type": "resumed", "seq": last}));
    })
    .await;
}

#[tokio::test]
async fn an_organiser_sees_where_people_are_and_their_numbers_masked() {
    on_sqlite(async |stage| {
        places(stage).await;
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let feed = format!("/api/v1/events/{event}/feed");
        let mut feed = connect(server, &admin, &feed, OURS).await.unwrap();
        next_of(&mut feed, "snapshot").await;

        let who = stage.access.operator("ada").await.unwrap().unwrap();
        let allowed = stage.access.may(&who, Organise { event: event.parse().unwrap() }).unwrap();
        let contact = Contact { phone: Some("+33612345678".parse().unwrap()), ..Contact::default() };
        let ada = NewInvitee { contact, ..NewInvitee::named("Ada") };
        let ada = stage.access.invite(&allowed, who.actor, &ada).await.unwrap();
        stage.browser_at(sample::LYON).enter(&event, &ada.code.to_string()).await;
        let known = loop {
            let row = next_of(&mut feed, "viewers").await["joined"][0].take();
            assert_eq!(row["name"], "Ada");
            if !row["phone"].is_null() && !row["place"].is_null() {
                break row;
            }
        };
        assert_eq!((&known["phone"], &known["place"]), (&json!("+33 6 •• •• 56 78"), &json!("Lyon, France")));

        // Whoever comes later finds it in the first message.
        let again = format!("/api/v1/events/{event}/feed");
        let mut again = connect(server, &admin, &again, OURS).await.unwrap();
        let snapshot = next(&mut again).await.unwrap();
        assert_eq!(
            (&snapshot["viewers"][0]["phone"], &snapshot["viewers"][0]["place"]),
            (&known["phone"], &known["place"])
        );
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_with_the_last_number_misses_nothing_and_is_told_nothing_twice() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/feed");
        let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
        let snapshot = next(&mut feed).await.unwrap();
        let mut last = snapshot["seq"].as_u64().unwrap();
        drop(feed);

        // Nobody looks while somebody comes.
        let code = admin.invite(&event, "A").await.code;
        stage.browser().enter(&event, &code).await;
        let mut feed = connect(server, &admin, &format!("{path}?after={last}"), OURS).await.unwrap();
        assert_eq!(next(&mut feed).await.unwrap(), json!({"type": "resumed", "seq": last}));
        let mut names = Vec::new();
        let mut topics = Vec::new();
        while names.is_empty() || topics.is_empty() {
            let message = next(&mut feed).await.unwrap();
            let seq = message["seq"].as_u64().unwrap();
            assert_eq!(seq, last + 1, "numbers have no holes");
            last = seq;
            names.extend(message["joined"].as_array().into_iter().flatten().map(|viewer| viewer["name"].clone()));
            topics.extend(message["topics"].as_array().into_iter().flatten().cloned());
        }
        assert_eq!((names, topics), (vec![json!("A")], vec![json!("invitations")]));

        // A second organiser reads the same numbers.
        let mut other = connect(server, &admin, &format!("{path}?after={}", snapshot["seq"]), OURS).await.unwrap();
        assert_eq!(next(&mut other).await.unwrap()["type"], "resumed");
        assert_eq!(next(&mut other).await.unwrap()["seq"].as_u64().unwrap(), snapshot["seq"].as_u64().unwrap() + 1);

        // Numbers that nobody gave, or that another process gave, lead to everything.
        for after in [0, last + 1_000_000, u64::MAX] {
            let mut feed = connect(server, &admin, &format!("{path}?after={after}"), OURS).await.unwrap();
            assert_eq!(next(&mut feed).await.unwrap()["type"], "snapshot", "{after}");
        }
        stage.pass(60);
        let (_, router) = stage.restarted().await;
        let restarted = serving(stage, router).await;
        let mut feed = connect(restarted, &admin, &format!("{path}?after={last}"), OURS).await.unwrap();
        let snapshot = next(&mut feed).await.unwrap();
        assert_eq!((&snapshot["type"], &snapshot["viewers"][0]["name"]), (&json!("snapshot"), &json!("A")));
        assert_eq!(connect(server, &admin, &format!("{path}?after=x"), OURS).await.err(), Some(400));
    })
    .await;
}

#[tokio::test]
async fn a_full_house_comes_in_pieces_and_only_to_who_wants_it() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        stage.crowd(&event, 1_000).await;
        let (_, router) = stage.restarted().await;
        let server = serving(stage, router).await;
        let path = format!("/api/v1/events/{event}/feed");
        let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
        let snapshot = next(&mut feed).await.unwrap();
        assert_eq!((&snapshot["counters"]["inside"], &snapshot["more"]), (&json!(1_000), &json!(true)));
        let mut names: Vec<_> = snapshot["viewers"].as_array().unwrap().clone();
        loop {
            let rows = next(&mut feed).await.unwrap();
            assert_eq!(rows["type"], "rows");
            names.extend(rows["viewers"].as_array().unwrap().clone());
            if rows["more"] == false {
                break;
            }
        }
        assert_eq!(names.len(), 1_000);
        assert_eq!((&names[0]["name"], &names[999]["name"]), (&json!("Guest 00000"), &json!("Guest 00999")));

        let mut figures = connect(server, &admin, &format!("{path}?rows=false"), OURS).await.unwrap();
        let snapshot = next(&mut figures).await.unwrap();
        assert_eq!((&snapshot["viewers"], &snapshot["more"]), (&json!([]), &json!(false)));
        stage.pass(60);
        let told = next(&mut figures).await.unwrap();
        assert_eq!((&told["type"], &told["counters"]["watching"]), (&json!("counters"), &json!(0)));
        // The change of a thousand rows is more than one message.
        let first = next_of(&mut feed, "viewers").await;
        let second = next_of(&mut feed, "viewers").await;
        let count = |message: &Value| message["changed"].as_array().unwrap().len();
        assert_eq!(count(&first) + count(&second), 1_000);
    })
    .await;
}

/// Ten thousand seats, two thousand reports a second, and what the feed costs. A measurement, not a test: run it alone
/// with `--run-ignored only --no-capture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement says what it measured")]
async fn what_a_full_house_costs() {
    const SEATS: u32 = 10_000;
    const CHANGES: usize = 2_000;
    const SECONDS: u64 = 10;
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        stage.crowd(&event, SEATS).await;
        let (access, router) = stage.restarted().await;
        let server = serving(stage, router).await;
        let path = format!("/api/v1/events/{event}/feed");
        let room = access.room(event.parse().unwrap()).unwrap();
        let seats = room.seats();
        for sockets in [0, 1, 10] {
            let mut readers = Vec::new();
            for _ in 0..sockets {
                let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
                readers.push(tokio::spawn(async move {
                    let (mut messages, mut bytes) = (0_u64, 0_u64);
                    while let Some(Ok(message)) = feed.next().await {
                        messages += 1;
                        bytes += message.len() as u64;
                    }
                    (messages, bytes)
                }));
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            let before = processor();
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let mut at = 0_usize;
            for round in 0..SECONDS * 20 {
                tick.tick().await;
                for _ in 0..CHANGES / 20 {
                    let latency_ms = Some(u32::try_from(round).unwrap() + 1_800);
                    let report = Report { height: Some(720), latency_ms, stalls: Some(0), visible: Some(true) };
                    seats[at % seats.len()].reported(report, stage.clock.now());
                    at += 1;
                }
            }
            let used = processor() - before;
            println!("{sockets} pages: {:.1} % of a core", used / SECONDS as f64 * 100.0);
            for reader in &readers {
                reader.abort();
            }
        }
    })
    .await;
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::test]
async fn a_viewer_hears_the_state_reports_and_is_told_goodbye() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "A").await;
        let viewer = stage.browser();
        viewer.enter(&event, &invited.code).await;
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let mut feed = connect(server, &viewer, &path, OURS).await.unwrap();
        assert_eq!(next(&mut feed).await.unwrap(), json!({"type": "state", "state": "idle", "since": null}));

        stage.pass(25);
        let report = json!({"type": "report", "latency_ms": 1830, "height": 720, "stalls": 2, "position_ms": 5, "visible": true, "playing": true});
        feed.send(Message::text(report.to_string())).await.unwrap();
        feed.send(Message::text("nonsense")).await.unwrap();
        let shown = async || admin.get(&format!("/api/v1/events/{event}/viewers")).await.json()["data"][0].clone();
        let mut viewers = shown().await;
        for _ in 0..50 {
            if viewers["height"] == 720 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            viewers = shown().await;
        }
        assert_eq!((&viewers["height"], &viewers["latency_ms"], &viewers["stalls"]), (&json!(720), &json!(1830), &json!(2)));
        stage.pass(25);
        assert_eq!(stage.browser().redeem(&event, &invited.code).await.status, 202, "seen, and asked");
        assert_eq!(next(&mut feed).await.unwrap()["type"], "takeover");

        assert_eq!(admin.delete(&format!("/api/v1/events/{event}/invitations/{}", invited.id)).await.status, 204);
        assert_eq!(next_of(&mut feed, "bye").await, json!({"type": "bye", "reason": "revoked"}));
        assert!(next(&mut feed).await.is_none());
        assert_eq!(connect(server, &viewer, &path, OURS).await.err(), Some(401));
    })
    .await;
}

#[tokio::test]
async fn a_viewer_hears_that_the_server_is_there_whether_its_page_is_asked_or_not() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        for (guard, sign) in [(true, "challenge"), (false, "alive")] {
            let event = admin.create_event("Evening").await;
            let policy = json!({"policy": {"protection": {"guard": guard}}});
            assert_eq!(admin.patch(&format!("/api/v1/events/{event}"), policy).await.status, 200);
            let code = admin.invite(&event, "A").await.code;
            let viewer = stage.browser();
            viewer.enter(&event, &code).await;
            let path = format!("/api/v1/events/{event}/sessions/current/feed");
            let mut feed = connect(server, &viewer, &path, OURS).await.unwrap();
            assert_eq!(heard(&mut feed).await.unwrap()["type"], "state");
            assert_eq!(heard(&mut feed).await.unwrap()["type"], sign, "guard: {guard}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_watches_on_a_replaced_code_reads_why() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "A").await;
        let viewer = stage.browser();
        viewer.enter(&event, &invited.code).await;
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let mut feed = connect(server, &viewer, &path, OURS).await.unwrap();
        let renew = format!("/api/v1/events/{event}/invitations/regenerate");
        let body = |reason: &str| json!({"selection": {"ids": [invited.id]}, "reason": reason});
        admin.post(&renew, body("two\nlines")).await.refused(422, "invalid");
        admin.post(&renew, body(&"x".repeat(201))).await.refused(422, "invalid");
        let renewed = admin.post(&renew, body(" Your old link was on a poster. ")).await;
        assert_eq!((renewed.status, renewed.json()["send"].clone()), (200, json!(null)), "{renewed:?}");
        let bye = json!({"type": "bye", "reason": "code_changed", "message": "Your old link was on a poster."});
        assert_eq!(next_of(&mut feed, "bye").await, bye);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_talking_when_it_is_sent_out_hears_why_and_is_not_cut_off() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "A").await;
        let viewer = stage.browser();
        viewer.enter(&event, &invited.code).await;
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let (mut talk, mut listen) = connect(server, &viewer, &path, OURS).await.unwrap().split();
        listen.next().await.unwrap().unwrap();

        // Whatever moment the end comes, something is under way.
        let talking = tokio::spawn(async move {
            let report = Message::text(json!({"type": "report", "latency_ms": 1830}).to_string());
            while talk.send(report.clone()).await.is_ok() {}
        });
        assert_eq!(admin.delete(&format!("/api/v1/events/{event}/invitations/{}", invited.id)).await.status, 204);
        let mut heard = Vec::new();
        let end = loop {
            match tokio::time::timeout(Duration::from_secs(5), listen.next()).await.expect("an end in time") {
                Some(Ok(message)) => heard.push(message),
                end => break end,
            }
        };
        assert!(end.is_none(), "closed by both sides, not reset: {end:?}");
        let [.., Message::Text(bye), Message::Close(_)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(serde_json::from_str::<Value>(bye).unwrap(), json!({"type": "bye", "reason": "revoked"}));
        talking.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stop_says_goodbye_to_everybody() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "A").await.code;
        let viewer = stage.browser();
        viewer.enter(&event, &code).await;
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let mut feed = connect(server, &viewer, &path, OURS).await.unwrap();
        next(&mut feed).await.unwrap();
        stage.stop.cancel();
        assert_eq!(next(&mut feed).await.unwrap(), json!({"type": "bye", "reason": "stopping"}));
    })
    .await;
}

#[tokio::test]
async fn a_socket_of_another_site_or_without_origin_is_refused() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/feed");
        for origin in [None, Some("http://evil.test"), Some("null")] {
            assert_eq!(connect(server, &admin, &path, origin).await.err(), Some(403), "{origin:?}");
        }
        assert_eq!(connect(server, &stage.browser(), &path, OURS).await.err(), Some(401));
        let mut feed = connect(server, &admin, &path, OURS).await.unwrap();
        next(&mut feed).await.unwrap();
        // More than a sign of life is not read.
        let _ = feed.send(Message::text("x".repeat(10_000))).await;
        while next(&mut feed).await.is_some() {}
        admin.get(&path).await.refused(426, "upgrade_required");
    })
    .await;
}
