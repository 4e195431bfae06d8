//! Organisers: events, keys, invitations, tokens.

use std::net::IpAddr;

use axum::body::Body;
use http::Request;
use serde_json::json;
use stagedoor_server::access::PublishAttempt;
use stagedoor_server::live::StopReason;

use crate::stage::{on_both, on_sqlite};

#[tokio::test]
async fn an_event_is_made_changed_listed_and_deleted() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let starts = "2026-11-20T19:30:00.000Z";
        let body = json!({"title": "  Evening ", "latency": "ultra", "starts_at": starts, "dvr_window_ms": 60_000});
        let made = admin.post("/api/v1/events", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        assert_eq!(
            (&made["title"], &made["latency"], &made["starts_at"]),
            (&json!("Evening"), &json!("ultra"), &json!(starts))
        );
        assert_eq!((&made["dvr_window_ms"], &made["reconnect_window_ms"]), (&json!(60_000), &json!(60_000)));
        assert_eq!((&made["stream"]["state"], &made["watching"]), (&json!("idle"), &json!(0)));
        let path = format!("/api/v1/events/{}", made["id"].as_str().unwrap());
        assert_eq!(made["viewer_url"], format!("http://stage.test/e/{}", made["id"].as_str().unwrap()));

        let changed = admin.patch(&path, json!({"title": "Later", "starts_at": null})).await.json();
        assert_eq!(
            (&changed["title"], &changed["starts_at"], &changed["latency"]),
            (&json!("Later"), &json!(null), &json!("ultra"))
        );
        assert_eq!(admin.get(&path).await.json(), changed);

        for number in 0..4 {
            stage.pass(1);
            admin.create_event(&format!("Event {number}")).await;
        }
        let first = admin.get("/api/v1/events?limit=2").await;
        let next = admin.get(&format!("/api/v1/events?limit=2&cursor={}", first.at("/next_cursor"))).await;
        let last = admin.get(&format!("/api/v1/events?limit=2&cursor={}", next.at("/next_cursor"))).await;
        let titles: Vec<_> = [&first, &next, &last]
            .iter()
            .flat_map(|page| page.json()["data"].as_array().unwrap().clone())
            .map(|event| event["title"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(titles, ["Event 3", "Event 2", "Event 1", "Event 0", "Later"]);
        assert_eq!(last.json()["next_cursor"], json!(null));

        assert_eq!(admin.delete(&path).await.status, 204);
        admin.get(&path).await.refused(404, "not_found");
        admin.patch(&path, json!({"title": "x"})).await.refused(404, "not_found");
        admin.delete(&path).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_right_is_named_field_by_field() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        for (body, pointer) in [
            (json!({"title": "  "}), "/title"),
            (json!({"title": "x".repeat(201)}), "/title"),
            (json!({"title": "a\nb"}), "/title"),
            (json!({"title": 7}), "/title"),
            (json!({"title": "x", "latency": "fast"}), "/latency"),
            (json!({"title": "x", "starts_at": "tomorrow"}), "/starts_at"),
            (json!({"title": "x", "dvr_window_ms": 59_999}), "/dvr_window_ms"),
            (json!({"title": "x", "dvr_window_ms": 86_400_001}), "/dvr_window_ms"),
            (json!({"title": "x", "dvr_window_ms": -1}), "/dvr_window_ms"),
            (json!({"title": "x", "reconnect_window_ms": 3_600_001}), "/reconnect_window_ms"),
        ] {
            let answer = admin.post("/api/v1/events", body.clone()).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), pointer, "{body}");
        }
        for body in [json!({}), json!([]), json!("x"), json!({"title": "x", "titel": "y"})] {
            admin.post("/api/v1/events", body).await.refused(422, "invalid");
        }
        for query in ["limit=0", "limit=101"] {
            admin.get(&format!("/api/v1/events?{query}")).await.refused(422, "invalid");
        }
        admin.get("/api/v1/events?limit=-1").await.refused(400, "bad_query");
        for (query, name) in [("limti=5", "limti"), ("limit=5&state=live", "state"), ("%3Cb%3E=1", "<b>"), ("=", "")] {
            let refused = admin.get(&format!("/api/v1/events?{query}")).await;
            refused.refused(400, "bad_query");
            assert_eq!(refused.at("/detail"), format!("There is no parameter `{name}` here, only: limit, cursor."));
        }
        admin.get("/api/v1/events?cursor=evt_x").await.refused(422, "invalid");
    })
    .await;
}

#[tokio::test]
async fn a_policy_is_made_changed_section_by_section_and_kept() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let body = json!({"title": "Evening", "policy": {"access": {"countries": ["fr"], "networks": ["10.0.0.0/8"]}}});
        let made = admin.post("/api/v1/events", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let policy = made.json()["policy"].clone();
        assert_eq!(
            policy["access"],
            json!({"countries": ["FR"], "unknown_country": "deny", "networks": ["10.0.0.0/8"]})
        );
        assert_eq!(policy["takeover"], json!({"answer_s": 60, "unanswered": "deny"}));
        assert_eq!((&made.json()["team_id"], &policy["admission"]["capacity"]), (&json!(null), &json!(null)));

        let path = format!("/api/v1/events/{}", made.at("/id"));
        let changed = admin.patch(&path, json!({"policy": {"admission": {"capacity": 200, "per_second": 50}}})).await;
        let changed = changed.json()["policy"].clone();
        assert_eq!(changed["admission"], json!({"capacity": 200, "per_second": 50}));
        assert_eq!(changed["access"], policy["access"], "another section stays");
        let replaced = admin.patch(&path, json!({"policy": {"admission": {"per_second": 5}}})).await.json();
        assert_eq!(replaced["policy"]["admission"], json!({"capacity": null, "per_second": 5}));
        assert_eq!(admin.get(&path).await.json()["policy"], replaced["policy"]);
        let room = stage.access.room(made.at("/id").parse().unwrap()).unwrap();
        assert_eq!(room.policy().admission.per_second, Some(5), "the door knows at once");
    })
    .await;
}

#[tokio::test]
async fn two_who_change_an_event_at_the_same_moment_both_have_their_way() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}");
        for round in 1..=20 {
            let title = format!("Evening {round}");
            let (a, b, c) = tokio::join!(
                admin.patch(&path, json!({"policy": {"admission": {"capacity": round}}})),
                admin.patch(&path, json!({"policy": {"takeover": {"answer_s": 20 + round}}})),
                admin.patch(&path, json!({"title": title})),
            );
            assert_eq!((a.status, b.status, c.status), (200, 200, 200));
            let kept = admin.get(&path).await.json();
            let policy = &kept["policy"];
            assert_eq!(policy["admission"]["capacity"], round);
            assert_eq!(policy["takeover"]["answer_s"], 20 + round);
            assert_eq!(kept["title"], title);
            // The door goes by what memory knows.
            let room = stage.access.room(event.parse().unwrap()).unwrap();
            assert_eq!(room.policy().admission.capacity, Some(round));
            assert_eq!((room.policy().takeover.answer_s, &*room.title()), (20 + round, title.as_str()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_where_it_is_wrong() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}");
        let before = admin.get(&path).await.json();
        for (policy, pointer) in [
            (json!({"admission": {"capacity": 0}}), "/policy/admission/capacity"),
            (json!({"takeover": {"answer_s": 5}}), "/policy/takeover/answer_s"),
            (json!({"takeover": {"unanswered": "maybe"}}), "/policy/takeover/unanswered"),
            (json!({"access": {"countries": ["FR", "France"]}}), "/policy/access/countries/1"),
            (json!({"access": {"networks": ["10.0.0.0/99"]}}), "/policy/access/networks/0"),
            (json!({"messages": {"per_second": 0}}), "/policy/messages/per_second"),
            (json!({"admission": {"capacty": 1}}), "/policy/admission/capacty"),
            (json!({"admision": {}}), "/policy/admision"),
        ] {
            for answer in [
                admin.patch(&path, json!({"policy": policy})).await,
                admin.post("/api/v1/events", json!({"title": "x", "policy": policy})).await,
            ] {
                answer.refused(422, "invalid");
                assert_eq!(answer.at("/errors/0/pointer"), pointer, "{policy}");
            }
        }
        assert_eq!(admin.get(&path).await.json(), before, "nothing of it was kept");
        for team in [json!("team_x"), json!("tem_01kaf3x6m8e9t8s2v4w6y8z0ab"), json!(7)] {
            let answer = admin.patch(&path, json!({"team_id": team})).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), "/team_id", "{team}");
        }
        assert_eq!(admin.patch(&path, json!({"team_id": null})).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn invitations_are_searched_paged_and_their_codes_shown_again() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}/invitations");
        let ada = admin.invite(&event, "Ada Žižková").await;
        for number in 0..3 {
            stage.pass(1);
            admin.invite(&event, &format!("Guest {number}")).await;
        }
        let found = admin.get(&format!("{base}?search=%C5%BDI%C5%BDK")).await.json();
        assert_eq!(found["data"].as_array().unwrap().len(), 1);
        assert_eq!((&found["data"][0]["id"], &found["data"][0]["state"]), (&json!(ada.id), &json!("created")));
        let page = admin.get(&format!("{base}?search=guest&limit=2")).await;
        let rest = admin.get(&format!("{base}?search=guest&limit=2&cursor={}", page.at("/next_cursor"))).await;
        assert_eq!(rest.at("/data/0/name"), "Guest 0");

        let code = admin.get(&format!("{base}/{}/code", ada.id)).await;
        assert_eq!(code.at("/code"), ada.code);
        assert_eq!(code.at("/link"), format!("http://stage.test/e/{event}#{}", ada.code));

        stage.browser().enter(&event, &ada.code).await;
        let found = admin.get(&format!("{base}?search=ada")).await.json();
        assert_eq!(found["data"][0]["state"], "redeemed");
        assert_eq!(found["data"][0]["session"]["name"], "Ada Žižková");

        let other = admin.create_event("Another").await;
        admin.get(&format!("/api/v1/events/{other}/invitations/{}/code", ada.id)).await.refused(404, "not_found");
        admin.delete(&format!("/api/v1/events/{other}/invitations/{}", ada.id)).await.refused(404, "not_found");
        stage.browser().redeem(&other, &ada.code).await.refused(403, "code_invalid");
    })
    .await;
}

#[tokio::test]
async fn a_stream_key_is_shown_replaced_and_withdrawn_with_its_publisher() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let ingest = admin.get(&format!("{base}/ingest")).await;
        let key = ingest.at("/stream_key");
        assert_eq!(ingest.at("/rtmp/server"), "rtmp://stage.test:1935/live");
        assert_eq!(ingest.at("/rtmp/url"), format!("rtmp://stage.test:1935/live/{key}"));

        let attempt = PublishAttempt { key: &key, address: IpAddr::from([192, 0, 2, 7]) };
        let allowed = stage.access.publish(attempt).await.unwrap();
        let publisher = stage.hub.publish(allowed, "test").await.unwrap();
        let row = format!("{base}/stream-keys/{}", ingest.at("/key_id"));
        assert_eq!(admin.delete(&row).await.status, 204);
        assert_eq!(publisher.stopped().await, StopReason::Revoked);
        assert!(stage.access.publish(attempt).await.is_err());
        drop(publisher);
        admin.get(&format!("{base}/ingest")).await.refused(404, "no_key");
        admin.delete(&row).await.refused(404, "not_found");

        let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
        admin.post(&format!("{base}/stream-keys"), past).await.refused(422, "invalid");
        stage.pass(1);
        let made = admin.post(&format!("{base}/stream-keys"), json!({})).await;
        assert_eq!(made.status, 201);
        assert!(made.at("/key").ends_with(&made.at("/hint")[4..]));
        assert_eq!(admin.get(&format!("{base}/ingest")).await.at("/stream_key"), made.at("/key"));
        let keys = admin.get(&format!("{base}/stream-keys")).await.json();
        assert_eq!(keys["data"].as_array().unwrap().len(), 2);
        assert!(!keys.to_string().contains(&made.at("/key")) && !keys.to_string().contains(&key));
        assert_ne!(keys["data"][1]["last_used_at"], json!(null));

        let ended = admin.post(&format!("{base}/broadcast/end"), json!({})).await;
        assert_eq!(ended.status, 200, "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn an_api_token_acts_for_its_maker_but_makes_no_tokens() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let token = admin.token("ci").await;
        assert!(token.starts_with("sd_"));
        let program = stage.browser();
        let call = async |method: &str, path: &str, token: &str, body: &str| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json");
            program.raw(request.body(Body::from(body.to_owned())).unwrap()).await
        };
        assert_eq!(call("GET", "/api/v1/me", &token, "").await.at("/username"), "ada");
        assert_eq!(call("POST", "/api/v1/events", &token, r#"{"title":"x"}"#).await.status, 201);
        call("POST", "/api/v1/tokens", &token, r#"{"name":"more"}"#).await.refused(403, "forbidden");
        for wrong in ["", "sd_", "x", &token[..34], &format!("{token}a"), &token.to_uppercase()] {
            call("GET", "/api/v1/me", wrong, "").await.refused(401, "signed_out");
        }
        let list = admin.get("/api/v1/tokens").await;
        assert_eq!(list.at("/data/0/name"), "ci");
        assert!(!list.text.contains(&token));
        let row = format!("/api/v1/tokens/{}", list.at("/data/0/id"));
        call("DELETE", &row, &token, "").await.refused(403, "forbidden");
        assert_eq!(admin.delete(&row).await.status, 204);
        call("GET", "/api/v1/me", &token, "").await.refused(401, "signed_out");
        admin.delete(&row).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn signing_in_and_out() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        assert_eq!(admin.get("/api/v1/me").await.at("/role"), "owner");
        let stolen = admin.cookie_header("/");
        assert_eq!(admin.post("/api/v1/logout", json!({})).await.status, 204);
        // That somebody has signed in here before stays known; it opens nothing.
        assert!(admin.cookie_header("/api/v1/login").starts_with("stagedoor_familiar="));
        assert!(!stolen.contains("stagedoor_familiar") && admin.cookie_header("/api/v1/me").is_empty(), "{stolen}");
        admin.get("/api/v1/me").await.refused(401, "signed_out");
        let request = Request::get("/api/v1/me").header("cookie", stolen).body(Body::empty()).unwrap();
        stage.browser().raw(request).await.refused(401, "signed_out");

        let stranger = stage.browser();
        for _ in 0..5 {
            let body = json!({"username": "ada", "password": "guess"});
            stranger.post("/api/v1/login", body).await.refused(401, "wrong_credentials");
        }
        let right = json!({"username": "ada", "password": stage.password()});
        let refused = stranger.post("/api/v1/login", right).await;
        refused.refused(429, "too_many_attempts");
        assert_eq!(refused.header("retry-after"), "60");
        let again = stage.admin().await;
        stage.pass(7 * 24 * 60 * 60);
        again.get("/api/v1/me").await.refused(401, "signed_out");
    })
    .await;
}
