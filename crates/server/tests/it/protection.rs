//! What a viewer's page is asked and told, what organisers see of it, and what it comes to: over real sockets.

use futures_util::SinkExt;
use serde_json::{Value, json};
use stagedoor_domain::id::SessionId;
use stagedoor_domain::risk::HeartbeatKey;
use tokio_tungstenite::tungstenite::Message;

use crate::feeds::{OURS, Socket, connect, listening, next, next_of};
use crate::stage::{Browser, Stage, on_both, on_sqlite};

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// Answers the next question as a page does; what is `wrong` is put in its place.
async fn answer(socket: &mut Socket, key: &HeartbeatKey, wrong: Value) {
    answer_with(socket, key, "1f", wrong).await;
}

/// The same, with these guards.
async fn answer_with(socket: &mut Socket, key: &HeartbeatKey, guard: &str, wrong: Value) {
    let nonce = next_of(socket, "challenge").await["nonce"].as_str().unwrap().to_owned();
    let mac = key.sign(&nonce, guard, Some(1_500), 42);
    let mut answer =
        json!({"type": "heartbeat", "nonce": nonce, "guard": guard, "position_ms": 1_500, "frames": 42, "mac": mac});
    for (name, value) in wrong.as_object().unwrap() {
        answer[name] = value.clone();
    }
    say(socket, answer).await;
}

fn pass(stage: &Stage, seconds: u64) {
    for _ in 0..seconds {
        stage.pass(1);
        stage.access.listen();
    }
}

async fn viewer_of(admin: &Browser<'_>, event: &str) -> Value {
    admin.get(&format!("/api/v1/events/{event}/viewers")).await.json()["data"][0].clone()
}

/// Waits until the server has taken in what was said, which nothing else tells.
async fn until(admin: &Browser<'_>, event: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let viewer = viewer_of(admin, event).await;
        if holds(&viewer) {
            return viewer;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it never came to that: {}", viewer_of(admin, event).await);
}

async fn protect(admin: &Browser<'_>, event: &str, protection: Value) {
    let body = json!({"policy": {"protection": protection}});
    let answer = admin.patch(&format!("/api/v1/events/{event}"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_page_gets_a_key_and_answers_with_it_and_nothing_else_heals() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        stage.access.listen();
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let ada = admin.invite(&event, "Ada").await;
        let viewer = stage.browser();
        let entered = viewer.redeem(&event, &ada.code).await.json();
        let guard = &entered["guard"];
        assert_eq!((&guard["heartbeat_s"], &guard["action"]), (&json!(5), &json!("log")));
        assert_eq!(guard["watermark"], Value::Null);
        assert_eq!(viewer.current(&event).await.json()["guard"], *guard, "the same for the whole session");
        let key = HeartbeatKey::read(guard["heartbeat_key"].as_str().unwrap()).unwrap();

        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        // The room is a second old before anybody listens in it.
        pass(stage, 19);
        assert_eq!(viewer_of(&admin, &event).await["silent"], json!(true));
        for wrong in [
            json!({"mac": "A".repeat(43)}),
            json!({"mac": null}),
            json!({"frames": 43}),
            json!({"frames": -1}),
            json!({"guard": "1F"}),
            json!({"position_ms": null}),
            json!({"nonce": "AAAAAAAAAAAAAAAAAAAAAA"}),
            json!({"type": "report"}),
        ] {
            // A socket each: a page that says nonsense is not thrown out for it, and asked again when it comes back.
            let mut socket = connect(server, &viewer, &path, OURS).await.unwrap();
            answer(&mut socket, &key, wrong.clone()).await;
            say(&mut socket, json!({"type": "signals", "signals": [{"name": "hidden"}]})).await;
            say(&mut socket, json!({"type": "report", "stalls": 1})).await;
            until(&admin, &event, |viewer| viewer["stalls"] == 1).await;
            assert_eq!(viewer_of(&admin, &event).await["silent"], json!(true), "{wrong}");
            say(&mut socket, json!({"type": "report", "stalls": 0})).await;
            until(&admin, &event, |viewer| viewer["stalls"] == 0).await;
        }
        let mut socket = connect(server, &viewer, &path, OURS).await.unwrap();
        answer(&mut socket, &key, json!({})).await;
        until(&admin, &event, |viewer| viewer["silent"] == json!(false)).await;

        protect(&admin, &event, json!({"guard": false})).await;
        assert_eq!(viewer.current(&event).await.json()["guard"], Value::Null);
        pass(stage, 60);
        assert_eq!(viewer_of(&admin, &event).await["silent"], json!(false), "nobody asks");
    })
    .await;
}

#[tokio::test]
async fn organisers_see_how_many_pages_answer_and_which_guards_stand_on_each() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        stage.access.listen();
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        protect(&admin, &event, json!({"watermark": true})).await;
        let mut feed = connect(server, &admin, &format!("/api/v1/events/{event}/feed"), OURS).await.unwrap();
        let pages = json!({"answering": 0, "marked": 0, "silent": 0});
        assert_eq!(next(&mut feed).await.unwrap()["counters"]["pages"], pages, "nobody is there");
        let mut told = async |answering: u64, marked: u64, silent: u64| {
            let pages = json!({"answering": answering, "marked": marked, "silent": silent});
            while next_of(&mut feed, "counters").await["counters"]["pages"] != pages {}
        };

        let (ada, bob) = (admin.invite(&event, "Ada").await, admin.invite(&event, "Bob").await);
        let viewer = stage.browser();
        let entered = viewer.redeem(&event, &ada.code).await.json();
        let key = HeartbeatKey::read(entered["guard"]["heartbeat_key"].as_str().unwrap()).unwrap();
        assert_eq!(viewer_of(&admin, &event).await["guards_missing"], Value::Null, "nobody knows yet");
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        for (guards, marked, missing) in [
            ("ff", 1, json!([])),
            ("fe", 0, json!(["watermark_dom"])),
            // A browser that can say neither what is covered nor what is painted.
            ("d7", 1, json!(["watermark_occlusion", "watermark_pixels"])),
        ] {
            let mut socket = connect(server, &viewer, &path, OURS).await.unwrap();
            answer_with(&mut socket, &key, guards, json!({})).await;
            until(&admin, &event, |viewer| viewer["guards_missing"] == missing).await;
            told(1, marked, 0).await;
        }

        // Bob's page never says a word, and Ada's falls silent.
        let silent = stage.browser();
        silent.redeem(&event, &bob.code).await;
        pass(stage, 19);
        for browser in [&viewer, &silent] {
            let mut socket = connect(server, browser, &path, OURS).await.unwrap();
            say(&mut socket, json!({"type": "report", "stalls": 1})).await;
        }
        told(0, 0, 2).await;
        let viewers = admin.get(&format!("/api/v1/events/{event}/viewers")).await.json();
        assert!(viewers["data"].as_array().unwrap().iter().all(|viewer| viewer["guards_missing"].is_null()));

        protect(&admin, &event, json!({"guard": false})).await;
        while next_of(&mut feed, "counters").await["counters"]["pages"] != Value::Null {}
    })
    .await;
}

#[tokio::test]
async fn what_a_page_notices_is_shown_told_and_written_down_as_the_event_says() {
    on_both(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        protect(&admin, &event, json!({"action": "kick", "watermark": true})).await;
        let ada = admin.invite(&event, "Ada").await;
        let viewer = stage.browser();
        let entered = viewer.redeem(&event, &ada.code).await.json();
        assert_eq!(entered["guard"]["watermark"]["lines"][0], "Ada");
        assert_eq!(entered["guard"]["watermark"]["seed"].as_str().unwrap().len(), 64);
        let hls = entered["playback"]["hls"].as_str().unwrap();
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let mut socket = connect(server, &viewer, &path, OURS).await.unwrap();

        let noticed = json!([
            {"name": "console_reads", "detail": "<b>\u{202e}Error.name</b>"}, {"name": "window_size"},
            {"name": "key_requests"}, {"name": "from_the_future", "detail": 7}
        ]);
        say(&mut socket, json!({"type": "signals", "signals": noticed})).await;
        let noticed = json!([{"name": "console_reads", "detail": "<b>\u{202e}Error.name</b>"}, {"name": "window_size"},
            {"name": "key_requests"}, {"name": "from_the_future"}]);
        say(&mut socket, json!({"type": "signals", "signals": noticed})).await;
        // One for all that was said at once.
        let caution = next_of(&mut socket, "caution").await;
        assert_eq!(
            (&caution["action"], &caution["signals"]),
            (&json!("pause"), &json!(["window_size", "console_reads"]))
        );
        let row = viewer_of(&admin, &event).await;
        assert_eq!((&row["risk"], &row["signals"]), (&json!(4), &json!(["window_size", "console_reads"])));

        // Another page of theirs is told too, until somebody has read it.
        let mut other = connect(server, &viewer, &path, OURS).await.unwrap();
        assert_eq!(next_of(&mut other, "caution").await["action"], "pause");
        say(&mut other, json!({"type": "acknowledge"})).await;
        say(&mut other, json!({"type": "report", "stalls": 3})).await;
        until(&admin, &event, |viewer| viewer["stalls"] == 3).await;
        let mut third = connect(server, &viewer, &path, OURS).await.unwrap();
        assert_eq!(next(&mut third).await.unwrap()["type"], "state");
        stage.access.write_notices().await.unwrap();
        let incidents = admin.get(&format!("/api/v1/events/{event}/incidents")).await.json();
        let incident = &incidents["data"][0];
        assert_eq!((&incident["kind"], &incident["severity"]), (&json!("tampering"), &json!("warning")));
        assert_eq!((&incident["invitation"], &incident["session"]), (&json!(ada.id), &entered["id"]));
        assert!(incident["text"].as_str().unwrap().contains("an open console read"), "{incident}");

        // A second kind of evidence: out, in words, and the code still works.
        say(&mut socket, json!({"type": "signals", "signals": [{"name": "watermark_style", "detail": "opacity 0"}]}))
            .await;
        until(&admin, &event, |viewer| viewer["risk"] == 7).await;
        stage.access.write_notices().await.unwrap();
        let bye = next_of(&mut third, "bye").await;
        assert_eq!(bye["reason"], "tampering");
        let message = bye["message"].as_str().unwrap();
        assert!(
            message.contains("the mark was made invisible") && message.contains("whoever invited you"),
            "{message}"
        );
        assert!(!stage.lets_in(hls).await);
        viewer.current(&event).await.refused(401, "access_ended");
        let logged = admin.get("/api/v1/log?limit=100").await.json();
        let logged = logged["data"].as_array().unwrap();
        let suspected: Vec<_> = logged.iter().filter(|entry| entry["type"] == "session.suspected").collect();
        assert!(suspected.len() >= 2, "{suspected:?}");
        let last = suspected.iter().find(|entry| entry["data"]["signal"] == "watermark_style").unwrap();
        assert_eq!((&last["data"]["action"], &last["data"]["points"]), (&json!("kick"), &json!(7)));
        assert_eq!(last["actor"], "system");
        let ended = logged.iter().find(|entry| entry["type"] == "session.ended").unwrap();
        assert_eq!((&ended["data"]["reason"], &ended["actor"]), (&json!("tampering"), &json!("system")));
        assert_eq!(viewer.redeem(&event, &ada.code).await.status, 201);
        assert_eq!(viewer_of(&admin, &event).await["risk"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_signals_is_not_read_and_nonsense_harms_nobody() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let ada = admin.invite(&event, "Ada").await;
        let viewer = stage.browser();
        viewer.enter(&event, &ada.code).await;
        let path = format!("/api/v1/events/{event}/sessions/current/feed");
        let mut socket = connect(server, &viewer, &path, OURS).await.unwrap();
        // So that no question comes in between, after which more is read.
        next_of(&mut socket, "challenge").await;
        for nonsense in
            ["", "[]", "{}", "null", "\u{0}", r#"{"type":7}"#, r#"{"type":"signals"}"#, r#"{"type":"\u0068eartbeat"}"#]
        {
            socket.send(Message::text(nonsense)).await.unwrap();
        }
        let many: Vec<_> =
            (0..8).map(|_| json!({"name": "hidden"})).chain([json!({"name": "console_reads"})]).collect();
        say(&mut socket, json!({"type": "signals", "signals": many})).await;
        for _ in 0..10 {
            say(&mut socket, json!({"type": "signals", "signals": [{"name": "hidden"}]})).await;
        }
        say(&mut socket, json!({"type": "signals", "signals": [{"name": "watermark_style"}]})).await;
        say(&mut socket, json!({"type": "report", "stalls": 2})).await;
        let row = until(&admin, &event, |viewer| viewer["stalls"] == 2).await;
        assert_eq!(
            (&row["risk"], &row["signals"]),
            (&json!(0), &json!([])),
            "the ninth of one, and what came too often"
        );
    })
    .await;
}

#[tokio::test]
async fn the_room_shows_what_is_noticed_as_it_is_noticed_and_how_it_fades() {
    on_sqlite(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let ada = admin.invite(&event, "Ada").await;
        let viewer = stage.browser();
        let entered = viewer.redeem(&event, &ada.code).await.json();
        let mut feed = connect(server, &admin, &format!("/api/v1/events/{event}/feed"), OURS).await.unwrap();
        let snapshot = next_of(&mut feed, "snapshot").await;
        assert_eq!((&snapshot["viewers"][0]["risk"], &snapshot["viewers"][0]["silent"]), (&json!(0), &json!(false)));
        let session: SessionId = entered["id"].as_str().unwrap().parse().unwrap();
        let room = stage.access.room(event.parse().unwrap()).unwrap();
        let seat = room.seats().into_iter().find(|seat| seat.session == session).unwrap();
        stage.access.noticed(&seat, stagedoor_domain::risk::Signal::ConsoleReads, "");
        stage.access.write_notices().await.unwrap();
        let told = next_of(&mut feed, "viewers").await;
        assert_eq!(
            (&told["changed"][0]["risk"], &told["changed"][0]["signals"]),
            (&json!(3), &json!(["console_reads"]))
        );
        loop {
            let changed = next_of(&mut feed, "changed").await;
            if changed["topics"].as_array().unwrap().contains(&json!("incidents")) {
                break;
            }
        }
        stage.pass(3_600 * 2);
        stage.access.listen();
        let told = next_of(&mut feed, "viewers").await;
        assert_eq!((&told["changed"][0]["risk"], &told["changed"][0]["signals"]), (&json!(0), &json!([])));
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let read = admin.get(&format!("/api/v1/events/{event}")).await.json();
        let default = json!({"guard": true, "action": "log", "watermark": false});
        assert_eq!(read["policy"]["protection"], default);
        for wrong in [json!({"action": "shoot"}), json!({"guard": "yes"}), json!({"watermarks": true})] {
            let body = json!({"policy": {"protection": wrong}});
            assert_eq!(admin.patch(&format!("/api/v1/events/{event}"), body).await.status, 422);
        }
    })
    .await;
}
