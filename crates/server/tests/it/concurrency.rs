//! How many watched, over time.

use serde_json::json;

use crate::stage::on_both;

#[tokio::test]
async fn an_audience_is_written_down_while_there_is_one_and_its_peak_survives_a_restart() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/concurrency");
        let empty = admin.get(&path).await.json();
        assert_eq!((&empty["data"], &empty["peak"], &empty["step_ms"]), (&json!([]), &json!(null), &json!(10_000)));
        stage.access.sample().await.unwrap();

        for name in ["A", "B"] {
            let code = admin.invite(&event, name).await.code;
            stage.browser().enter(&event, &code).await;
        }
        stage.pass(10);
        stage.access.sample().await.unwrap();
        for _ in 0..3 {
            stage.pass(10);
            stage.access.sample().await.unwrap();
        }
        stage.pass(1);
        let history = admin.get(&format!("{path}?from=2026-11-20T00:00:00Z&to=2026-11-20T23:00:00Z")).await;
        assert_eq!(history.status, 200, "{history:?}");
        let history = admin.get(&path).await.json();
        let watching: Vec<_> = history["data"].as_array().unwrap().iter().map(|one| one["watching"].clone()).collect();
        assert_eq!(watching.first(), Some(&json!(2)));
        assert_eq!(watching.last(), Some(&json!(0)), "the first zero is written, and no other: {history}");
        assert_eq!(history["peak"]["watching"], 2);

        let (access, _) = stage.restarted().await;
        assert_eq!(access.room(event.parse().unwrap()).unwrap().peak(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_time_that_makes_no_sense_is_refused() {
    crate::stage::on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}/concurrency");
        for query in [
            "from=2026-11-21T00:00:00Z&to=2026-11-21T00:00:00Z",
            "from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z",
            "from=2001-01-01T00:00:00Z",
        ] {
            assert_eq!(admin.get(&format!("{path}?{query}")).await.status, 422, "{query}");
        }
        assert_eq!(admin.get(&format!("{path}?from=yesterday")).await.status, 400);
        assert_eq!(stage.browser().get(&path).await.status, 401);
        let other = "/api/v1/events/evt_01kaf3x6m8e9t8s2v4w6y8z0ab/concurrency";
        assert_eq!(admin.get(other).await.status, 404);
    })
    .await;
}
