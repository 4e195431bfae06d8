//! Events that are shown in certain countries and networks only.

use std::net::IpAddr;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use stagedoor_server::config::Config;
use stagedoor_testkit::geo::{Database, sample};

use crate::stage::{Answer, Browser, Stage, configured, on_both, on_sqlite};

const WRONG: &str = "2345-6789-ABCD";

pub async fn places(stage: &Stage) {
    let file = stage.media_folder().join("places.mmdb");
    std::fs::write(&file, Database::sample().bytes()).unwrap();
    stage.access.geo().read_from(&file).await.unwrap();
}

async fn restricted(admin: &Browser<'_>, access: Value) -> String {
    let answer = admin.post("/api/v1/events", json!({"title": "Evening", "policy": {"access": access}})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.at("/id")
}

/// All that somebody outside can see of an answer, except what is different every time.
pub fn seen(answer: &Answer) -> (u16, String, Vec<String>) {
    // How much more may be asked is the same for right and wrong, and less each time.
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id" && *name != "ratelimit");
    let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    (answer.status, answer.text.clone(), headers)
}

#[tokio::test]
async fn those_in_a_listed_country_come_in_and_others_are_told_why_not() {
    on_both(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event = restricted(&admin, json!({"countries": ["FR"]})).await;
        let code = admin.invite(&event, "Bob").await.code;
        let door = format!("/api/v1/events/{event}/door");
        for (address, refusal) in [
            (sample::BERLIN, json!("country_refused")),
            (sample::NOWHERE, json!("country_refused")),
            (sample::LYON, json!(null)),
        ] {
            assert_eq!(stage.browser_at(address).get(&door).await.json()["refusal"], refusal, "{address}");
        }
        let berlin = stage.browser_at(sample::BERLIN);
        let refused = berlin.redeem(&event, &code).await;
        refused.refused(403, "country_refused");
        assert!(refused.at("/detail").contains("country") && !refused.text.contains("Germany"), "{refused:?}");
        assert!(!berlin.has_cookies(), "no session, no token");
        stage.browser_at(sample::NOWHERE).redeem(&event, &code).await.refused(403, "country_refused");
        stage.browser_at(sample::LYON).enter(&event, &code).await;
        let code = admin.invite(&event, "Eve").await.code;
        stage.browser_at(sample::FRANCE).enter(&event, &code).await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_country_learns_nothing_about_codes() {
    on_sqlite(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event = restricted(&admin, json!({"countries": ["FR"]})).await;
        let right = admin.invite(&event, "Bob").await.code;
        let berlin = stage.browser_at(sample::BERLIN);
        let expected = seen(&berlin.redeem(&event, &right).await);
        for number in 0..40 {
            let code = if number % 2 == 0 { WRONG } else { right.as_str() };
            assert_eq!(seen(&berlin.redeem(&event, code).await), expected, "try {number}");
        }
        for code in ["", "short", "!!!!"] {
            assert_eq!(seen(&berlin.redeem(&event, code).await), expected, "{code}");
        }
        let proof = json!({"code": right, "proof": {"challenge": "x", "nonce": "1"}});
        assert_eq!(seen(&berlin.post(&format!("/api/v1/events/{event}/sessions"), proof).await), expected);
        stage.browser_at(sample::LYON).enter(&event, &right).await;
        // Forty tries that were never looked at count against nobody.
        stage.browser_at(sample::LYON).redeem(&event, WRONG).await.refused(403, "code_invalid");
        let room = stage.access.room(event.parse().unwrap()).unwrap();
        assert_eq!(room.refused(), 45);
    })
    .await;
}

#[tokio::test]
async fn without_a_database_a_list_of_countries_is_closed_unless_the_policy_opens_it() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        assert_eq!(admin.get("/api/v1/geo").await.json(), json!({"database": null}));
        let closed = restricted(&admin, json!({"countries": ["FR"]})).await;
        let code = admin.invite(&closed, "Bob").await.code;
        stage.browser_at(sample::LYON).redeem(&closed, &code).await.refused(403, "country_refused");
        let open = restricted(&admin, json!({"countries": ["FR"], "unknown_country": "allow"})).await;
        let code = admin.invite(&open, "Bob").await.code;
        stage.browser_at(sample::LYON).enter(&open, &code).await;
        places(stage).await;
        assert_eq!(admin.get("/api/v1/geo").await.at("/database/type"), "Test-City");
        let code = admin.invite(&open, "Eve").await.code;
        stage.browser_at(sample::BERLIN).redeem(&open, &code).await.refused(403, "country_refused");
        stage.browser_at(sample::NOWHERE).enter(&open, &code).await;
        stage.browser().get("/api/v1/geo").await.refused(401, "signed_out");
    })
    .await;
}

#[tokio::test]
async fn ranges_of_addresses_are_kept_and_both_rules_must_fit() {
    on_sqlite(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event =
            restricted(&admin, json!({"networks": ["203.0.113.0/24", "2001:db8::/32"], "countries": ["FR"]})).await;
        let code = admin.invite(&event, "Bob").await.code;
        let somewhere: IpAddr = "203.0.114.1".parse().unwrap();
        stage.browser_at(somewhere).redeem(&event, &code).await.refused(403, "network_refused");
        stage.browser_at("2001:db8:e::1".parse().unwrap()).redeem(&event, &code).await.refused(403, "country_refused");
        stage.browser_at(sample::LYON).enter(&event, &code).await;
    })
    .await;
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_somebody_is() {
    let mut config = Config::default();
    config.http.trusted_proxies = vec!["192.0.2.80".parse().unwrap()];
    configured(config, async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event = restricted(&admin, json!({"countries": ["FR"]})).await;
        let code = admin.invite(&event, "Bob").await.code;
        let through = async |peer: IpAddr, says: &str| {
            let body = json!({"code": code}).to_string();
            let request = Request::post(format!("/api/v1/events/{event}/sessions"))
                .header("content-type", "application/json")
                .header("x-forwarded-for", says)
                .body(Body::from(body));
            stage.browser_at(peer).raw(request.unwrap()).await
        };
        let (proxy, lyon) = ("192.0.2.80".parse().unwrap(), sample::LYON.to_string());
        through(sample::BERLIN, &lyon).await.refused(403, "country_refused");
        through(proxy, "198.51.100.7").await.refused(403, "country_refused");
        through(proxy, &format!("{lyon}, 198.51.100.7")).await.refused(403, "country_refused");
        assert_eq!(through(proxy, &format!("198.51.100.7, {lyon}")).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_loaded_again_elsewhere_is_refused_and_its_session_waits() {
    on_sqlite(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event = restricted(&admin, json!({"countries": ["FR"]})).await;
        let code = admin.invite(&event, "Bob").await.code;
        let mut bob = stage.browser_at(sample::LYON);
        bob.enter(&event, &code).await;
        bob.address = sample::BERLIN;
        bob.current(&event).await.refused(403, "country_refused");
        bob.redeem(&event, &code).await.refused(403, "country_refused");
        bob.address = sample::LYON;
        assert_eq!(bob.current(&event).await.status, 200, "back home");

        let path = format!("/api/v1/events/{event}");
        admin.patch(&path, json!({"policy": {"access": {"countries": ["FR", "DE"]}}})).await;
        bob.address = sample::BERLIN;
        assert_eq!(bob.current(&event).await.status, 200, "the organiser opened it");
    })
    .await;
}

#[tokio::test]
async fn a_flood_from_a_country_that_is_not_listed_is_counted_and_fills_no_log() {
    on_both(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let event = restricted(&admin, json!({"countries": ["FR"]})).await;
        let written = async || {
            let log = admin.get(&format!("/api/v1/log?event={event}&type=session.refused&limit=100")).await;
            log.json()["data"].as_array().unwrap().len()
        };
        let berlin = stage.browser_at(sample::BERLIN);
        for _ in 0..20 {
            berlin.redeem(&event, WRONG).await.refused(403, "country_refused");
        }
        assert_eq!(written().await, 5);
        stage.browser_at(sample::NOWHERE).redeem(&event, WRONG).await.refused(403, "country_refused");
        assert_eq!(written().await, 6, "others are written down all the same");
        assert_eq!(stage.access.room(event.parse().unwrap()).unwrap().refused(), 21, "all are counted");
        stage.pass(61);
        berlin.redeem(&event, WRONG).await;
        assert_eq!(written().await, 7);
    })
    .await;
}
