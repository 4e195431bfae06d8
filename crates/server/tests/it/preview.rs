//! Organisers see what viewers see.

use serde_json::json;

use crate::stage::on_sqlite;

#[tokio::test]
async fn an_organiser_looks_without_being_counted_and_only_while_the_page_asks() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/preview");
        let answer = admin.post(&path, json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let hls = answer.at("/hls");
        assert!(hls.starts_with("http://stage.test/live/") && hls.ends_with("/index.m3u8"), "{hls}");
        assert!(stage.lets_in(&hls).await);
        let shown = admin.get(&format!("/api/v1/events/{event}")).await.json();
        assert_eq!((&shown["watching"], &shown["invited"]), (&json!(0), &json!(0)));
        assert_eq!(admin.get(&format!("/api/v1/events/{event}/viewers")).await.json()["data"], json!([]));

        // Asked again in time, it is the same address and goes on.
        stage.pass(500);
        assert_eq!(admin.post(&path, json!({})).await.at("/hls"), hls);
        stage.pass(500);
        assert!(stage.lets_in(&hls).await);
        stage.pass(101);
        assert!(!stage.lets_in(&hls).await, "nobody asked for ten minutes");
        let later = admin.post(&path, json!({})).await.at("/hls");
        assert_ne!(later, hls);
        assert!(stage.lets_in(&later).await);

        // Another event's stream, and an event that is gone.
        let other = admin.create_event("Matinee").await;
        let others = admin.post(&format!("/api/v1/events/{other}/preview"), json!({})).await.at("/hls");
        let token = |url: &str| url.split('/').nth(4).unwrap().to_owned();
        assert!(!stage.lets_in(&others.replace(&token(&others), &token(&later))).await);
        assert_eq!(admin.delete(&format!("/api/v1/events/{event}")).await.status, 204);
        assert!(!stage.lets_in(&later).await);
        assert!(stage.lets_in(&others).await);
    })
    .await;
}

#[tokio::test]
async fn a_preview_is_not_for_strangers_and_not_for_events_that_do_not_exist() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/preview");
        assert_eq!(stage.browser().post(&path, json!({})).await.status, 401);
        let code = admin.invite(&event, "A").await.code;
        let viewer = stage.browser();
        viewer.enter(&event, &code).await;
        assert_eq!(viewer.post(&path, json!({})).await.status, 401);
        let other = "/api/v1/events/evt_01kaf3x6m8e9t8s2v4w6y8z0ab/preview";
        assert_eq!(admin.post(other, json!({})).await.status, 404);
    })
    .await;
}
