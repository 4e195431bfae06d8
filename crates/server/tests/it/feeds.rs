//! WebSockets over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::stage::{Browser, HOST, Stage, on_sqlite};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves the stage on a free port until the test is over.
async fn listening(stage: &Stage) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = stage.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    let stop = stage.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, service) => {}
            () = stop.cancelled() => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    });
    address
}

async fn connect(server: SocketAddr, browser: &Browser<'_>, path: &str, origin: Option<&str>) -> Result<Socket, u16> {
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

async fn next(socket: &mut Socket) -> Option<Value> {
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

const OURS: Option<&str> = Some("http://stage.test");

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
        assert_eq!((&snapshot["viewers"][0]["name"], &snapshot["watching"]), (&json!("A"), &json!(1)));

        let bob = stage.browser();
        bob.enter(&event, &b.code).await;
        let joined = next(&mut feed).await.unwrap();
        assert_eq!(
            (&joined["type"], &joined["joined"][0]["name"], &joined["watching"]),
            (&json!("viewers"), &json!("B"), &json!(2))
        );

        let session = bob.current(&event).await.at("/id");
        assert_eq!(admin.delete(&format!("/api/v1/events/{event}/viewers/{session}")).await.status, 204);
        let left = next(&mut feed).await.unwrap();
        assert_eq!((&left["left"], &left["watching"]), (&json!([session]), &json!(1)));

        stage.pass(60);
        let idle = next(&mut feed).await.unwrap();
        assert_eq!((&idle["changed"][0]["watching"], &idle["watching"]), (&json!(false), &json!(0)));

        assert_eq!(admin.delete(&format!("/api/v1/events/{event}")).await.status, 204);
        while next(&mut feed).await.is_some() {}
    })
    .await;
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
        stage.browser().redeem(&event, &invited.code).await.refused(409, "code_in_use");

        assert_eq!(admin.delete(&format!("/api/v1/events/{event}/invitations/{}", invited.id)).await.status, 204);
        assert_eq!(next(&mut feed).await.unwrap(), json!({"type": "bye", "reason": "revoked"}));
        assert!(next(&mut feed).await.is_none());
        assert_eq!(connect(server, &viewer, &path, OURS).await.err(), Some(401));
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
