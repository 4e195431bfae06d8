//! For whoever runs the server.

use std::net::IpAddr;

use stagedoor_server::config::Config;

use crate::stage::{configured, on_both, on_sqlite};

#[tokio::test]
async fn readiness_follows_the_database_and_the_stop() {
    on_both(async |stage| {
        let probe = stage.browser();
        assert_eq!(probe.get("/livez").await.status, 200);
        let ready = probe.get("/readyz").await.json();
        assert_eq!(ready["database"], true);
        assert_eq!(ready["serving"], true);
        stage.stop.cancel();
        let stopping = probe.get("/readyz").await;
        assert_eq!((stopping.status, stopping.at("/serving")), (503, "false".into()));
        stage.db.close().await;
        let gone = probe.get("/readyz").await;
        assert_eq!((gone.status, gone.at("/database")), (503, "false".into()));
        assert_eq!(probe.get("/livez").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn who_watches_goes_on_watching_without_the_database_and_nobody_new_gets_in() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let (a, b) = (admin.invite(&event, "A").await, admin.invite(&event, "B").await);
        let url = stage.browser().enter(&event, &a.code).await;
        stage.db.close().await;
        assert!(stage.lets_in(&url).await);
        let refused = stage.browser().redeem(&event, &b.code).await;
        refused.refused(503, "unavailable");
        assert!(!refused.header("retry-after").is_empty());
        admin.get("/api/v1/me").await.refused(503, "unavailable");
    })
    .await;
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_name_nobody() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        stage.browser().get("/metrics").await.refused(404, "not_found");
        let local = stage.browser_at(IpAddr::from([127, 0, 0, 1]));
        let metrics = local.get("/metrics").await;
        assert_eq!(metrics.status, 200);
        assert!(metrics.text.contains("http_requests_total{status=\"2xx\"}"), "{}", metrics.text);
        assert!(!metrics.text.contains(&event) && !metrics.text.contains(&admin.address.to_string()));
    })
    .await;
}

#[tokio::test]
async fn every_answer_has_an_id_and_the_headers_that_keep_browsers_safe() {
    on_sqlite(async |stage| {
        let browser = stage.browser();
        for path in ["/livez", "/nothing", "/api/v1/me", "/api/v1/openapi.json"] {
            let answer = browser.get(path).await;
            assert!(answer.header("x-request-id").starts_with("req_"), "{path}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("x-frame-options", "DENY"),
                ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ] {
                assert_eq!(answer.header(name), value, "{path}");
            }
        }
        assert_eq!(browser.get("/livez").await.header("strict-transport-security"), "");
    })
    .await;
}

#[tokio::test]
async fn links_and_cookies_follow_the_public_address() {
    let mut config = Config::default();
    config.http.public_url = Some("https://stage.example.org/".into());
    config.rtmp.public_url = Some("rtmp://ingest.example.org".into());
    configured(config, async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let answer = stage.browser().redeem(&event, &code).await;
        assert!(answer.at("/playback/hls").starts_with("https://stage.example.org/live/"));
        assert!(answer.header("set-cookie").ends_with("; Secure"));
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
        let ingest = admin.get(&format!("/api/v1/events/{event}/ingest")).await;
        assert_eq!(ingest.at("/rtmp/server"), "rtmp://ingest.example.org/live");
    })
    .await;
}
