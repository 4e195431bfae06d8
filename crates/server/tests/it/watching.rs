//! Invitees: from the code to the video, and out again.

use serde_json::json;

use crate::feeds::{OURS, Socket, connect, listening, next};
use crate::stage::{Browser, on_both, on_sqlite};

#[tokio::test]
async fn an_invitee_redeems_a_code_and_gets_to_the_video() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "Bob").await;
        let bob = stage.browser();

        let door = bob.get(&format!("/api/v1/events/{event}/door")).await;
        assert_eq!((door.status, door.at("/title"), door.at("/state")), (200, "Evening".into(), "idle".into()));

        let answer = bob.redeem(&event, &invited.code.to_lowercase().replace('-', " ")).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(
            (answer.at("/title"), answer.at("/name"), answer.at("/state")),
            ("Evening".into(), "Bob".into(), "idle".into())
        );
        assert_eq!(answer.at("/feed"), format!("/api/v1/events/{event}/sessions/current/feed"));
        assert!(answer.header("set-cookie").contains(&format!("Path=/api/v1/events/{event};")));
        let hls = answer.at("/playback/hls");
        assert!(hls.starts_with("http://stage.test/live/") && hls.ends_with("/index.m3u8"), "{hls}");
        assert!(stage.lets_in(&hls).await);

        let current = bob.current(&event).await;
        assert_eq!((current.status, current.at("/id")), (200, answer.at("/id")));
        assert!(stage.lets_in(&current.at("/playback/hls")).await);

        let viewers = admin.get(&format!("/api/v1/events/{event}/viewers")).await.json();
        assert_eq!(viewers["data"][0]["name"], "Bob");
        assert_eq!(viewers["data"][0]["watching"], true);
        let shown = admin.get(&format!("/api/v1/events/{event}")).await.json();
        assert_eq!((&shown["watching"], &shown["invited"], &shown["redeemed"]), (&json!(1), &json!(1), &json!(1)));

        let left = bob.delete(&format!("/api/v1/events/{event}/sessions/current")).await;
        assert_eq!(left.status, 204);
        assert!(!bob.has_cookies());
        assert!(!stage.lets_in(&hls).await);
        bob.current(&event).await.refused(401, "no_session");
        assert_eq!(stage.browser().redeem(&event, &invited.code).await.status, 201, "free at once");
    })
    .await;
}

#[tokio::test]
async fn a_second_browser_has_to_ask_while_the_first_watches() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let (first, second) = (stage.browser(), stage.browser());
        let hls = first.enter(&event, &code).await;
        assert_eq!(second.redeem(&event, &code).await.at("/waiting"), "takeover");

        let again = first.redeem(&event, &code).await;
        assert_eq!(
            (again.status, again.at("/id")),
            (201, first.current(&event).await.at("/id")),
            "same browser resumes"
        );

        stage.pass(20);
        assert!(stage.lets_in(&hls).await);
        stage.pass(20);
        assert_eq!(second.redeem(&event, &code).await.at("/waiting"), "takeover");
        stage.pass(11);
        let other = second.enter(&event, &code).await;
        assert!(stage.lets_in(&other).await && !stage.lets_in(&hls).await);
        first.current(&event).await.refused(401, "access_ended");
    })
    .await;
}

#[tokio::test]
async fn withdrawing_kicking_and_deleting_end_the_media_at_once() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let (a, b, c) =
            (admin.invite(&event, "A").await, admin.invite(&event, "B").await, admin.invite(&event, "C").await);
        let browsers = [stage.browser(), stage.browser(), stage.browser()];
        let mut urls = Vec::new();
        for (browser, invited) in browsers.iter().zip([&a, &b, &c]) {
            urls.push(browser.enter(&event, &invited.code).await);
        }

        assert_eq!(admin.delete(&format!("{base}/invitations/{}", a.id)).await.status, 204);
        assert!(!stage.lets_in(&urls[0]).await);
        browsers[0].redeem(&event, &a.code).await.refused(410, "access_ended");
        browsers[0].current(&event).await.refused(401, "access_ended");
        admin.delete(&format!("{base}/invitations/{}", a.id)).await.refused(404, "not_found");

        let session = browsers[1].current(&event).await.at("/id");
        assert_eq!(admin.post(&format!("{base}/viewers/{session}/kick"), json!({})).await.status, 200);
        assert!(!stage.lets_in(&urls[1]).await);
        assert!(stage.lets_in(&urls[2]).await, "nobody else is affected");

        assert_eq!(admin.delete(&base).await.status, 204);
        assert!(!stage.lets_in(&urls[2]).await);
        browsers[2].redeem(&event, &c.code).await.refused(404, "not_found");
        admin.get(&base).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn an_organiser_who_is_known_sends_viewers_out_while_the_database_is_away() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let (moderator, analyst) =
            (stage.person(&admin, "mo", "moderator").await, stage.person(&admin, "an", "analyst").await);
        let gone = stage.person(&admin, "go", "moderator").await;
        let base = format!("/api/v1/events/{event}");
        let mut people = Vec::new();
        for name in ["A", "B", "C"] {
            let code = admin.invite(&event, name).await.code;
            let browser = stage.browser();
            let hls = browser.enter(&event, &code).await;
            people.push((browser.current(&event).await.at("/id"), hls));
        }
        assert_eq!(gone.get("/api/v1/me").await.status, 200);
        let cookie = gone.cookie_header("/");
        assert_eq!(gone.post("/api/v1/logout", json!({})).await.status, 204);
        for person in [&admin, &moderator, &analyst] {
            assert_eq!(person.get(&base).await.status, 200);
        }
        stage.db.close().await;

        let kick = async |who: &Browser<'_>, session: &str| {
            who.post(&format!("{base}/viewers/{session}/kick"), json!({"reason": "Bye"})).await
        };
        kick(&analyst, &people[0].0).await.refused(403, "role_too_low");
        let path = format!("{base}/viewers/{}/kick", people[0].0);
        let request = http::Request::post(path).header("origin", "http://stage.test").header("cookie", cookie);
        let request = request.header("content-type", "application/json");
        gone.raw(request.body("{}".into()).unwrap()).await.refused(503, "unavailable");
        assert!(stage.lets_in(&people[0].1).await);
        let kicked = kick(&moderator, &people[0].0).await;
        assert_eq!((kicked.status, kicked.json()), (202, json!({"sessions": 1, "recorded": false})));
        assert!(!stage.lets_in(&people[0].1).await, "out at once");
        assert!(stage.lets_in(&people[1].1).await);
        admin.get(&base).await.refused(503, "unavailable");
        let all = admin.post(&format!("{base}/viewers/end-all"), json!({})).await;
        assert_eq!((all.status, all.json()), (202, json!({"sessions": 2, "recorded": false})));
        assert!(!stage.lets_in(&people[1].1).await && !stage.lets_in(&people[2].1).await);
        stage.pass(601);
        kick(&moderator, &people[0].0).await.refused(503, "unavailable");
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_twelve_hours_after_it_was_last_watched() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let bob = stage.browser();
        let hls = bob.enter(&event, &code).await;
        let first_end = bob.current(&event).await.at("/expires_at");
        stage.pass(12 * 60 * 60 - 1);
        assert!(stage.lets_in(&hls).await);
        stage.access.prolong().await.unwrap();
        let current = bob.current(&event).await;
        assert_eq!(current.at("/playback/hls"), hls, "the address stays");
        assert!(current.at("/expires_at") > first_end);
        stage.pass(12 * 60 * 60 - 1);
        assert!(stage.lets_in(&hls).await, "beyond the end that it had");
        stage.pass(1);
        assert!(!stage.lets_in(&hls).await, "nothing was prolonged since");
        bob.current(&event).await.refused(401, "access_ended");
        assert_eq!(bob.redeem(&event, &code).await.status, 201, "the code still works");
    })
    .await;
}

#[tokio::test]
async fn a_code_for_one_use_changes_hands_and_is_not_lost_with_the_device() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let bob = admin.invite(&event, "Bob").await;
        let path = format!("/api/v1/events/{event}/invitations/{}", bob.id);
        assert_eq!(admin.patch(&path, json!({"max_uses": 1})).await.status, 200);
        let (telephone, laptop, tablet) = (stage.browser(), stage.browser(), stage.browser());
        telephone.enter(&event, &bob.code).await;

        // Asked and given: the same visit goes on elsewhere.
        let asked = laptop.redeem(&event, &bob.code).await;
        assert_eq!((asked.status, asked.at("/waiting")), (202, "takeover".into()), "{asked:?}");
        let question = format!("/api/v1/events/{event}/sessions/current/takeovers/{}", asked.at("/takeover/id"));
        assert_eq!(telephone.post(&question, json!({"approve": true})).await.at("/state"), "approved");
        laptop.enter(&event, &bob.code).await;
        // The laptop's battery is empty.
        stage.pass(60);
        tablet.enter(&event, &bob.code).await;
        assert_eq!(admin.get(&path).await.json()["uses"], 1);

        // Whoever leaves has used it.
        assert_eq!(tablet.delete(&format!("/api/v1/events/{event}/sessions/current")).await.status, 204);
        tablet.redeem(&event, &bob.code).await.refused(410, "used_up");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_renamed_or_gets_another_number_watches_on_and_is_shown_so_at_once() {
    on_both(async |stage| {
        let server = listening(stage).await;
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let body = json!({"name": "Ada Byron", "phone": "+33612345678"});
        let made = admin.post(&format!("{base}/invitations"), body).await;
        let (id, code) = (made.at("/id"), made.at("/code"));
        let viewer = stage.browser();
        let hls = viewer.enter(&event, &code).await;
        let mut feed = connect(server, &admin, &format!("{base}/feed"), OURS).await.unwrap();
        let row = async |feed: &mut Socket, name: &str, phone: &str| {
            // The number is looked up a moment after the row is shown.
            loop {
                let message = next(feed).await.expect("a message");
                let mut rows = ["viewers", "joined"].into_iter().filter_map(|key| message[key].as_array()).flatten();
                if rows.any(|row| row["name"] == name && row["phone"] == phone) {
                    return;
                }
            }
        };
        row(&mut feed, "Ada Byron", "+33 6 •• •• 56 78").await;

        let path = format!("{base}/invitations/{id}");
        assert_eq!(admin.patch(&path, json!({"name": "Ada Lovelace"})).await.status, 200);
        row(&mut feed, "Ada Lovelace", "+33 6 •• •• 56 78").await;
        assert_eq!(admin.patch(&path, json!({"phone": "+33698765432"})).await.status, 200);
        row(&mut feed, "Ada Lovelace", "+33 6 •• •• 54 32").await;
        assert_eq!(admin.get(&format!("{base}/viewers")).await.at("/data/0/name"), "Ada Lovelace");
        assert_eq!(viewer.current(&event).await.at("/name"), "Ada Lovelace");
        // Code and session are the person's, not the number's.
        assert!(stage.lets_in(&hls).await);
        assert_eq!(admin.get(&format!("{path}/code")).await.at("/code"), code);
        let (again, _) = stage.restarted().await;
        assert_eq!(&*again.room(event.parse().unwrap()).unwrap().seats()[0].name(), "Ada Lovelace");
    })
    .await;
}
