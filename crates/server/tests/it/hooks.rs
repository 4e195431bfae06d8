//! Deliveries to webhooks, to a receiver that really listens.

use std::collections::VecDeque;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use stagedoor_server::config::{Config, Outbound};
use stagedoor_server::facts::dispatch;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::stage::{Browser, Stage, configured, configured_on_both};

/// What arrived at a receiver.
#[derive(Clone, Debug)]
struct Arrived {
    headers: HeaderMap,
    body: String,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Somebody's server, which answers as it is told.
struct Receiver {
    port: u16,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answers: Arc<Mutex<VecDeque<Response>>>,
    more: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, answers) = (Arc::<Mutex<Vec<Arrived>>>::default(), Arc::<Mutex<VecDeque<Response>>>::default());
        let more = Arc::<Notify>::default();
        let (kept, scripted, notify) = (arrived.clone(), answers.clone(), more.clone());
        let hook = async move |headers: HeaderMap, body: Bytes| {
            kept.lock().unwrap().push(Arrived { headers, body: String::from_utf8(body.to_vec()).unwrap() });
            notify.notify_one();
            scripted.lock().unwrap().pop_front().unwrap_or_else(|| StatusCode::NO_CONTENT.into_response())
        };
        let router = Router::new()
            .route("/silent", axum::routing::post(async || pending::<()>().await))
            .fallback(axum::routing::any(hook));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, arrived, answers, more, task }
    }

    fn config(&self) -> Config {
        let outbound = Outbound { ports: vec![self.port], private_networks: vec!["127.0.0.0/8".parse().unwrap()] };
        Config { outbound, ..Config::default() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn will_answer(&self, answer: impl IntoResponse) {
        self.answers.lock().unwrap().push_back(answer.into_response());
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// As many as this, at the latest after ten seconds.
    async fn until(&self, count: usize) {
        let enough = async {
            while self.arrived().len() < count {
                self.more.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap();
    }
}

/// A webhook, and its secret.
async fn hook(admin: &Browser<'_>, url: &str, types: &[&str]) -> (String, String) {
    let made = admin.post("/api/v1/webhooks", json!({"url": url, "types": types})).await;
    assert_eq!(made.status, 201, "{made:?}");
    (made.at("/id"), made.at("/secret"))
}

/// Hands on what happened, and sends what is due.
async fn deliver(stage: &Stage) -> usize {
    dispatch::turn(&stage.world).await.unwrap();
    stage.sender.turn().await.unwrap()
}

fn signature(secret: &str, arrived: &Arrived) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert!((24..=64).contains(&key.len()));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, at) = (arrived.header("webhook-id"), arrived.header("webhook-timestamp"));
    mac.update(format!("{id}.{at}.{}", arrived.body).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

async fn deliveries(admin: &Browser<'_>, webhook: &str) -> Vec<Value> {
    let listed = admin.get(&format!("/api/v1/webhooks/{webhook}/deliveries")).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_fact_arrives_once_signed_as_standard_webhooks_says() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let (webhook, secret) = hook(&admin, &receiver.url("/hook?x=1"), &["event.*"]).await;
        let event = admin.create_event("Evening").await;
        assert_eq!(deliver(stage).await, 1);
        assert_eq!(deliver(stage).await, 0);
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 1);
        let first = &arrived[0];
        assert_eq!(first.header("content-type"), "application/json");
        assert!(first.header("webhook-id").starts_with("dlv_"));
        assert_eq!(first.header("webhook-timestamp"), (stage.clock.now().millis() / 1_000).to_string());
        assert_eq!(first.header("webhook-signature"), signature(&secret, first));
        let body: Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(body["type"], "event.created");
        assert_eq!(body["timestamp"], stage.clock.now().to_string());
        assert_eq!(body["data"]["event"], event);
        let listed = deliveries(&admin, &webhook).await;
        assert_eq!((&listed[0]["state"], &listed[0]["attempts"][0]["status"]), (&json!("delivered"), &json!(204)));
        assert_eq!(listed[0]["id"], first.header("webhook-id"));
        assert_eq!(listed[0]["next_at"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_tried_on_schedule_and_given_up_with_an_incident() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let (webhook, _) = hook(&admin, &receiver.url("/"), &["event.created"]).await;
        admin.create_event("Evening").await;
        let schedule = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (attempt, wait) in (1..).zip(schedule) {
            // A redirect is as much a failure as an error, and leads nowhere.
            receiver.will_answer((StatusCode::TEMPORARY_REDIRECT, [("location", receiver.url("/elsewhere"))]));
            assert_eq!(deliver(stage).await, 1, "attempt {attempt}");
            assert_eq!(receiver.arrived().len(), attempt);
            stage.pass(wait - 1);
            assert_eq!(deliver(stage).await, 0, "too early for attempt {}", attempt + 1);
            // Randomness adds up to a tenth.
            stage.pass(wait / 10 + 2);
        }
        receiver.will_answer(StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(deliver(stage).await, 1);
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 10);
        assert!(arrived.iter().all(|one| one.header("webhook-id") == arrived[0].header("webhook-id")));
        assert!(arrived.iter().all(|one| one.body == arrived[0].body));
        stage.pass(200_000);
        assert_eq!(deliver(stage).await, 0);
        let listed = deliveries(&admin, &webhook).await;
        assert_eq!((&listed[0]["state"], listed[0]["attempts"].as_array().unwrap().len()), (&json!("failed"), 10));
        assert_eq!(listed[0]["attempts"][1]["status"], 307);
        let read = admin.get(&format!("/api/v1/webhooks/{webhook}")).await;
        assert_eq!((read.at("/state"), read.at("/disabled_because")), ("disabled".into(), "failing".into()));
        let incidents = admin.get("/api/v1/incidents").await;
        assert_eq!(
            (incidents.at("/data/0/kind"), incidents.at("/data/0/severity")),
            ("webhook_disabled".into(), "warning".into())
        );
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone_until_it_is_turned_on_and_replayed() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let (webhook, _) = hook(&admin, &receiver.url("/"), &["event.*"]).await;
        let path = format!("/api/v1/webhooks/{webhook}");
        receiver.will_answer(StatusCode::GONE);
        admin.create_event("One").await;
        deliver(stage).await;
        assert_eq!(admin.get(&path).await.at("/disabled_because"), "gone");
        admin.create_event("Two").await;
        assert_eq!(deliver(stage).await, 0);
        let listed = deliveries(&admin, &webhook).await;
        let replay = format!("{path}/deliveries/{}/replay", listed[0]["id"].as_str().unwrap());
        admin.post(&replay, json!({})).await.refused(409, "webhook_disabled");
        admin.post(&format!("{path}/test"), json!({})).await.refused(409, "webhook_disabled");
        assert_eq!(admin.patch(&path, json!({"state": "active"})).await.at("/state"), "active");
        let replayed = admin.post(&replay, json!({})).await;
        assert_eq!((replayed.status, replayed.at("/state")), (202, "waiting".into()));
        assert_eq!(deliver(stage).await, 1);
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 2);
        assert_eq!(arrived[0].header("webhook-id"), arrived[1].header("webhook-id"), "the same message");
        let unknown = format!("{path}/deliveries/dlv_00000000000000000000000000/replay");
        admin.post(&unknown, json!({})).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_less_gets_nothing_at_all_until_then() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let (webhook, _) = hook(&admin, &receiver.url("/"), &["event.*"]).await;
        receiver.will_answer((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "100")]));
        admin.create_event("One").await;
        assert_eq!(deliver(stage).await, 1);
        admin.create_event("Two").await;
        assert_eq!(deliver(stage).await, 0, "the other one waits too");
        assert_ne!(admin.get(&format!("/api/v1/webhooks/{webhook}")).await.at("/paused_until"), "null");
        stage.pass(99);
        assert_eq!(deliver(stage).await, 0);
        stage.pass(2);
        assert_eq!(deliver(stage).await, 2);
    })
    .await;
}

#[tokio::test]
async fn two_secrets_sign_for_a_day_after_a_rotation() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let (webhook, old) = hook(&admin, &receiver.url("/"), &[]).await;
        let path = format!("/api/v1/webhooks/{webhook}");
        let rotated = admin.post(&format!("{path}/rotate"), json!({})).await;
        let new = rotated.at("/secret");
        assert_ne!(old, new);
        let signatures = async || {
            // A hook without types hears of the making and turning of itself too.
            deliver(stage).await;
            let before = receiver.arrived().len();
            let test = admin.post(&format!("{path}/test"), json!({})).await;
            assert_eq!(test.status, 202, "{test:?}");
            deliver(stage).await;
            let arrived = receiver.arrived();
            assert_eq!(arrived.len(), before + 1);
            let last = arrived.last().unwrap().clone();
            assert_eq!(serde_json::from_str::<Value>(&last.body).unwrap()["type"], "webhook.test");
            let sent: Vec<String> = last.header("webhook-signature").split(' ').map(str::to_owned).collect();
            (sent, signature(&new, &last), signature(&old, &last))
        };
        let (sent, by_new, by_old) = signatures().await;
        assert_eq!(sent, [by_new, by_old]);
        stage.pass(24 * 60 * 60);
        let admin = stage.admin().await;
        assert_eq!(admin.get(&path).await.at("/previous_secret_until"), "null");
        let (sent, by_new, _) = signatures().await;
        assert_eq!(sent, [by_new]);
        // The secret is shown when it is made, and never again.
        for shown in [admin.get(&path).await, admin.get("/api/v1/webhooks").await] {
            assert!(!shown.text.contains("whsec_"), "{shown:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_on_its_way_when_the_process_died_is_sent_again_as_the_same_message() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        use stagedoor_server::ports::db::deliveries as rows;
        let admin = stage.admin().await;
        let (webhook, _) = hook(&admin, &receiver.url("/"), &["event.*"]).await;
        admin.create_event("One").await;
        dispatch::turn(&stage.world).await.unwrap();
        // Somebody claims it, and is never heard of again.
        let now = stage.clock.now();
        let mut tx = stage.db.write().await.unwrap();
        let lease = now.plus(Duration::from_secs(60));
        let taken = rows::claim(&mut tx, webhook.parse().unwrap(), now, lease, 9).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(deliver(stage).await, 0);
        stage.pass(60);
        assert_eq!(deliver(stage).await, 1);
        assert_eq!(receiver.arrived()[0].header("webhook-id"), taken[0].id.to_string());
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_else() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        hook(&admin, &receiver.url("/silent"), &["event.*"]).await;
        hook(&admin, &receiver.url("/quick"), &["event.*"]).await;
        for number in 0..30 {
            admin.create_event(&format!("Evening {number}")).await;
        }
        dispatch::turn(&stage.world).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(stage.sender.clone().run(stop.clone()));
        // All thirty arrive while the silent one still has its first four.
        receiver.until(30).await;
        running.abort();
    })
    .await;
}

#[tokio::test]
async fn however_many_never_answer_those_that_do_are_told_at_once() {
    let receiver = Receiver::open().await;
    configured(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        hook(&admin, &receiver.url("/quick"), &["event.*"]).await;
        admin.create_event("Before").await;
        deliver(stage).await;
        for _ in 0..200 {
            hook(&admin, &receiver.url("/silent"), &["event.*"]).await;
        }
        for number in 0..3 {
            admin.create_event(&format!("Evening {number}")).await;
        }
        dispatch::turn(&stage.world).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(stage.sender.clone().run(stop.clone()));
        receiver.until(4).await;
        admin.create_event("Late").await;
        dispatch::turn(&stage.world).await.unwrap();
        receiver.until(5).await;
        running.abort();
    })
    .await;
}

#[tokio::test]
async fn who_is_turned_off_or_deleted_with_thousands_waiting_leaves_none() {
    let receiver = Receiver::open().await;
    configured_on_both(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        for (act, left) in [("turned off", 2_500), ("deleted", 0)] {
            let (webhook, _) = hook(&admin, &receiver.url("/"), &["event.*"]).await;
            waiting(stage, &webhook, 2_500).await;
            let path = format!("/api/v1/webhooks/{webhook}");
            let answer = match act {
                "deleted" => admin.delete(&path).await,
                _ => admin.patch(&path, json!({"state": "disabled"})).await,
            };
            assert!(answer.status < 300, "{answer:?}");
            let states = "SELECT COUNT(*) AS n, COALESCE(MIN(state), '') AS least, COALESCE(MAX(state), '') AS most
                          FROM deliveries WHERE webhook_id = $1";
            let row = stage.db.one(states, [webhook.as_str().into()]).await.unwrap().unwrap();
            let state = if left > 0 { "failed" } else { "" };
            assert_eq!((row.int("n").unwrap(), row.text("least").unwrap().as_str()), (left, state), "{act}");
            assert_eq!(row.text("most").unwrap(), state, "{act}");
        }
        assert_eq!(deliver(stage).await, 0);
    })
    .await;
}

/// Lets so many deliveries wait for a webhook.
pub async fn waiting(stage: &Stage, webhook: &str, count: u32) {
    use stagedoor_domain::id::DeliveryId;
    use stagedoor_server::ports::db::deliveries::{self, Delivery, State};
    let now = stage.clock.now();
    let mut tx = stage.db.write().await.unwrap();
    for _ in 0..count {
        let delivery = Delivery {
            id: DeliveryId::new(stage.world.random.uuid(now)),
            webhook: webhook.parse().unwrap(),
            fact: None,
            kind: "event.created".to_owned(),
            body: json!({"type": "event.created", "timestamp": now.to_string(), "data": {"id": "x".repeat(200)}})
                .to_string(),
            state: State::Waiting,
            attempts: 0,
            due_at: now,
            created_at: now,
        };
        deliveries::insert(&mut tx, &delivery).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_address_that_leads_inside_is_refused_when_it_is_typed() {
    configured(Config::default(), async |stage| {
        let admin = stage.admin().await;
        for url in
            ["http://127.0.0.1/", "http://169.254.169.254/latest", "ftp://example.org/", "http://x:6379/", "x", ""]
        {
            let answer = admin.post("/api/v1/webhooks", json!({"url": url})).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), "/url");
        }
        let good = "https://hooks.example.org/";
        let answer = admin.post("/api/v1/webhooks", json!({"url": good, "types": ["event.*", "Nonsense"]})).await;
        answer.refused(422, "invalid");
        assert_eq!(answer.at("/errors/0/pointer"), "/types/1");
        let gone = "evt_00000000000000000000000000";
        let answer = admin.post("/api/v1/webhooks", json!({"url": good, "event": gone})).await;
        answer.refused(422, "invalid");
        assert_eq!(answer.at("/errors/0/pointer"), "/event");
        let (webhook, _) = hook(&admin, good, &[]).await;
        let path = format!("/api/v1/webhooks/{webhook}");
        admin.patch(&path, json!({"url": "http://10.0.0.1/"})).await.refused(422, "invalid");
        assert_eq!(admin.delete(&path).await.status, 204);
        admin.get(&path).await.refused(404, "not_found");
        // Nobody makes more of them than each fact can be written down for.
        for _ in 1..dispatch::WEBHOOKS_MAX {
            hook(&admin, good, &[]).await;
        }
        hook(&admin, good, &[]).await;
        admin.post("/api/v1/webhooks", json!({"url": good})).await.refused(409, "too_many_webhooks");
        let nobody = stage.browser_at(IpAddr::V4(Ipv4Addr::LOCALHOST));
        nobody.get("/api/v1/webhooks").await.refused(401, "signed_out");
    })
    .await;
}
