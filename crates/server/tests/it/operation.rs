//! For whoever runs the server.

use std::net::IpAddr;

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use stagedoor_server::config::Config;

use crate::stage::{HOST, configured, on_both, on_sqlite};

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
async fn questions_are_answered_while_the_database_is_busy_writing() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let token = admin.token("a script").await;
        let asked = async || {
            let request = Request::get("/api/v1/events").header("host", HOST);
            let request = request.header("authorization", format!("Bearer {token}"));
            stage.browser().raw(request.body(Body::empty()).unwrap()).await.status
        };
        // Long enough for it to be written down again that they were here.
        stage.pass(120);
        let mut writing = stage.db.write().await.unwrap();
        for held in ["UPDATE api_tokens SET name = name", "UPDATE user_sessions SET last_seen_at = last_seen_at"] {
            assert!(writing.execute(held, []).await.unwrap() > 0, "{held}");
        }
        assert_eq!(asked().await, 200);
        assert_eq!(admin.get("/api/v1/events").await.status, 200);
        writing.commit().await.unwrap();
        let used = async || admin.get("/api/v1/tokens").await.json()["data"][0]["last_used_at"].clone();
        assert_eq!(used().await, Value::Null);
        assert_eq!(asked().await, 200);
        assert_eq!(used().await, json!(stage.clock.now()));
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

/// The headers of one answer, and what stands in them for a comparison.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_kind_of_answer_has_the_headers_that_its_kind_needs() {
    let mut config = Config::default();
    config.http.public_url = Some("https://stage.test".into());
    config.access.requests_per_session = 20;
    configured(config, async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let bob = stage.browser();
        let entered = bob.redeem(&event, &code).await;
        let local = stage.browser_at(IpAddr::from([127, 0, 0, 1]));
        let page = admin.get("/").await;
        let mut answers = vec![
            ("page", page),
            ("viewer's page", bob.get(&format!("/e/{event}")).await),
            ("file", bob.get("/assets/admin/none.js").await),
            ("answer", admin.get(&format!("/api/v1/events/{event}")).await),
            ("made", entered),
            ("nothing", bob.delete(&format!("/api/v1/events/{event}/sessions/current")).await),
            ("stranger", stage.browser().get("/api/v1/me").await),
            ("nowhere", stage.browser().get("/nowhere").await),
            ("method", stage.browser().put("/api/v1/login", serde_json::json!({})).await),
            ("too long", stage.browser().get(&format!("/?{}", "x".repeat(14_000))).await),
            ("metrics", local.get("/metrics").await),
            ("health", local.get("/readyz").await),
            ("document", local.get("/api/v1/openapi.json").await),
            ("no socket", admin.get(&format!("/api/v1/events/{event}/feed")).await),
        ];
        let foreign = ::http::Request::post("/api/v1/login").header("origin", "https://evil.example");
        answers.push(("foreign", stage.browser().raw(foreign.body(axum::body::Body::from("{}")).unwrap()).await));
        while admin.get("/api/v1/me").await.status == 200 {}
        answers.push(("too many", admin.get("/api/v1/me").await));
        let codes: Vec<u16> = answers.iter().map(|(_, answer)| answer.status).collect();
        for code in [200, 201, 204, 401, 403, 404, 405, 414, 426, 429] {
            assert!(codes.contains(&code), "no {code} among {codes:?}");
        }
        for (kind, answer) in &answers {
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("permissions-policy", "camera=(), microphone=(), geolocation=(), display-capture=()"),
                ("strict-transport-security", "max-age=31536000"),
            ] {
                assert_eq!(answer.header(name), value, "{kind}");
            }
            for name in ["access-control-allow-origin", "access-control-allow-credentials", "server", "x-powered-by"] {
                assert_eq!(answer.header(name), "", "{kind}: nobody else is granted or told anything");
            }
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{kind}");
            let document = answer.header("content-type").starts_with("text/html");
            for part in ["require-trusted-types-for 'script'", "trusted-types stagedoor default", "object-src 'none'"] {
                assert_eq!(policy.contains(part), document, "{kind}: {policy}");
            }
            let kept = answer.header("cache-control");
            assert!(["no-store", "no-cache"].contains(&kept), "{kind}: {kept}");
        }
    })
    .await;
}

#[tokio::test]
async fn media_is_for_players_on_other_pages_too_and_is_nothing_but_media() {
    on_sqlite(async |stage| {
        let show = crate::broadcasting::Show::open(stage).await;
        let _encoder = show.on_air().await;
        for (name, status) in [
            ("index.m3u8", 200),
            ("video/index.m3u8", 200),
            ("video/init.0.mp4", 200),
            ("video/1.m4s", 200),
            ("video/1.0.m4s", 200),
            ("video/nothing", 404),
            ("video/index.m3u8?_HLS_part=1", 400),
        ] {
            let uri = format!("{}{name}", show.base).parse().unwrap();
            let answer = stage.deliver.respond(&::http::Method::GET, &uri, &HeaderMap::new()).await;
            assert_eq!(answer.status(), status, "{name}");
            for (field, value) in [
                ("x-content-type-options", "nosniff"),
                ("access-control-allow-origin", "*"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("access-control-allow-credentials", ""),
                ("set-cookie", ""),
            ] {
                assert_eq!(header(answer.headers(), field), value, "{name}: {field}");
            }
        }
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
