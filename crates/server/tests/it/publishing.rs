//! Who may publish, until when, from where and how much: stream keys, publish tokens, and what organisers are told.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Denied, Publish};
use stagedoor_domain::publish::GRACE;
use stagedoor_media::codec::{Codec, h264};
use stagedoor_media::{Frame, Timescale, Track};
use stagedoor_server::access::{PUBLISH_TOKEN_TYPE, PublishAttempt, PublishDenied};
use stagedoor_server::config::{self, Config};
use stagedoor_server::facts::dispatch;
use stagedoor_server::live::{PublishError, Publisher, StopReason};
use stagedoor_server::ports::random::Random;
use stagedoor_testkit::geo;

use crate::stage::{Browser, Stage, configured, on_both, on_sqlite};

/// High profile, 320×240, made by `ffmpeg -f lavfi -i testsrc2=s=320x240 -c:v libx264`.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0xfb, 0x01, 0x10,
    0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

const HOME: [u8; 4] = [203, 0, 113, 9];

/// An event and whoever organises it.
struct Desk<'a> {
    stage: &'a Stage,
    ada: Browser<'a>,
    event: String,
}

impl<'a> Desk<'a> {
    async fn open(stage: &'a Stage) -> Self {
        let ada = stage.admin().await;
        let event = ada.create_event("Evening").await;
        Self { stage, ada, event }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/events/{}{rest}", self.event)
    }

    /// A new stream key: its row and its text.
    async fn key(&self, body: Value) -> (String, String) {
        let made = self.ada.post(&self.path("/stream-keys"), body).await;
        assert_eq!(made.status, 201, "{made:?}");
        (made.at("/id"), made.at("/key"))
    }

    async fn row(&self, key: &str) -> Value {
        let keys = self.ada.get(&self.path("/stream-keys")).await.json();
        keys["data"].as_array().unwrap().iter().find(|row| row["id"] == key).unwrap().clone()
    }

    async fn incidents(&self) -> Vec<Value> {
        let listed = self.ada.get(&self.path("/incidents")).await.json();
        listed["data"].as_array().unwrap().clone()
    }

    async fn advice(&self) -> Value {
        self.ada.get(&self.path("")).await.json()["stream"]["advice"].clone()
    }

    /// Waits until the packager, which looks once a second, has this advice.
    async fn advised(&self, code: &str) -> Value {
        loop {
            let advice = self.advice().await;
            if let Some(found) = advice.as_array().unwrap().iter().find(|advice| advice["code"] == code) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn after(&self, duration: Duration) -> String {
        serde_json::to_value(self.stage.clock.now().plus(duration)).unwrap().as_str().unwrap().to_owned()
    }
}

async fn ask(stage: &Stage, key: &str, address: [u8; 4]) -> Result<Allowed<Publish>, PublishDenied> {
    stage.access.publish(PublishAttempt { key, address: address.into() }).await
}

async fn on_air(stage: &Stage, key: &str, address: [u8; 4]) -> Result<Publisher, PublishError> {
    stage.hub.publish(ask(stage, key, address).await.unwrap(), "test encoder").await
}

fn denied<T>(denied: Denied) -> Result<T, PublishDenied> {
    Err(PublishDenied::Denied(denied))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

fn picture(bytes: usize) -> Frame {
    let codec = Codec::H264(h264::Config::parse(Bytes::from_static(AVCC)).unwrap());
    let track = Arc::new(Track { codec, timescale: Timescale::MILLIS });
    Frame { track, dts: 0, cts: 0, keyframe: true, payload: vec![0; bytes].into() }
}

#[tokio::test]
async fn a_broadcast_whose_key_ends_is_told_so_and_stopped_after_the_grace() {
    on_both(async |stage| {
        let desk = Desk::open(stage).await;
        let hour = Duration::from_secs(3_600);
        let (id, key) = desk.key(json!({"expires_at": desk.after(hour)})).await;
        assert_eq!(desk.row(&id).await["stops_at"], desk.after(hour + GRACE));
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        stage.pass(3_600 - 20 * 60);
        let told = soon(desk.advised("key_ending")).await;
        assert_eq!(told["severity"], "warning");
        let text = told["text"].as_str().unwrap();
        assert!(text.contains("20 minutes") && text.contains("5 minutes"), "{text}");
        stage.pass(20 * 60);
        assert_eq!(ask(stage, &key, HOME).await, denied(Denied::Expired), "nobody comes in any more");
        let grace = async {
            loop {
                let told = desk.advised("key_ending").await;
                if told["severity"] == "error" {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(soon(grace).await["text"].as_str().unwrap().contains("stopped in 5 minutes"));
        stage.pass(GRACE.as_secs());
        assert_eq!(soon(publisher.stopped()).await, StopReason::Expired);
        drop(publisher);
        assert_eq!(soon(desk.advised("key_ended")).await["severity"], "error");
    })
    .await;
}

#[tokio::test]
async fn a_later_end_saves_a_broadcast_and_an_earlier_one_counts_at_once() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({"expires_at": desk.after(Duration::from_secs(60))})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        let row = desk.path(&format!("/stream-keys/{id}"));
        stage.pass(120);
        soon(desk.advised("key_ending")).await;
        let later = json!({"expires_at": desk.after(Duration::from_secs(7_200))});
        assert_eq!(desk.ada.patch(&row, later).await.status, 200);
        stage.pass(GRACE.as_secs());
        let quiet = async {
            while desk.advice().await.as_array().unwrap().iter().any(|advice| advice["code"] == "key_ending") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(quiet).await;
        assert!(futures_util::poll!(std::pin::pin!(publisher.stopped())).is_pending());
        assert!(ask(stage, &key, HOME).await.is_ok());
        let sooner = json!({"expires_at": desk.after(Duration::from_secs(1))});
        assert_eq!(desk.ada.patch(&row, sooner).await.status, 200);
        stage.pass(1 + GRACE.as_secs());
        assert_eq!(soon(publisher.stopped()).await, StopReason::Expired);
    })
    .await;
}

#[tokio::test]
async fn a_rotated_key_and_its_successor_work_side_by_side_until_the_overlap_is_over() {
    on_both(async |stage| {
        let desk = Desk::open(stage).await;
        let limits = json!({"bitrate_kbps": 9_000, "long_side": 1_920, "short_side": 1_080, "fps": 50});
        let new = json!({"name": "Camera 2", "networks": ["203.0.113.0/24"], "limits": limits});
        let (id, old) = desk.key(new).await;
        stage.pass(1);
        let rotate = desk.path(&format!("/stream-keys/{id}/rotate"));
        for wrong in [0, 59, 86_401] {
            desk.ada.post(&rotate, json!({"overlap_s": wrong})).await.refused(422, "invalid");
        }
        let rotated = desk.ada.post(&rotate, json!({"overlap_s": 600})).await;
        assert_eq!(rotated.status, 201, "{rotated:?}");
        assert_eq!(rotated.at("/old/expires_at"), desk.after(Duration::from_secs(600)));
        let (successor, new) = (rotated.at("/new/id"), rotated.at("/new/key"));
        let row = desk.row(&successor).await;
        for same in ["name", "networks", "limits", "one_time"] {
            assert_eq!(row[same], desk.row(&id).await[same], "{same}");
        }
        assert_eq!(row["expires_at"], json!(null));
        assert_eq!(desk.ada.get(&desk.path("/ingest")).await.at("/stream_key"), new);
        assert!(ask(stage, &old, HOME).await.is_ok() && ask(stage, &new, HOME).await.is_ok());
        stage.pass(600);
        assert_eq!(ask(stage, &old, HOME).await, denied(Denied::Expired));
        assert!(ask(stage, &new, HOME).await.is_ok());
        desk.ada.post(&rotate, json!({})).await.refused(404, "not_found");
        let revoked = desk.path(&format!("/stream-keys/{successor}"));
        assert_eq!(desk.ada.delete(&revoked).await.status, 204);
        desk.ada.post(&format!("{revoked}/rotate"), json!({})).await.refused(404, "not_found");
        desk.ada.patch(&revoked, json!({"name": "x"})).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_one_time_key_is_good_for_one_broadcast_with_its_reconnections() {
    on_both(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({"one_time": true})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        drop(publisher);
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        assert_eq!(desk.row(&id).await["used_up"], false);
        // Asked while it was good, and overtaken by the end of its broadcast.
        let late = ask(stage, &key, HOME).await.unwrap();
        assert_eq!(desk.ada.post(&desk.path("/broadcast/end"), json!({})).await.status, 200);
        let _ended_or_over = soon(publisher.stopped()).await;
        drop(publisher);
        let over = async {
            while desk.row(&id).await["used_up"] == false {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(over).await;
        assert!(matches!(soon(stage.hub.publish(late, "late")).await, Err(PublishError::UsedUp)));
        assert_eq!(ask(stage, &key, HOME).await, denied(Denied::UsedUp));
        let rotate = desk.path(&format!("/stream-keys/{id}/rotate"));
        desk.ada.post(&rotate, json!({})).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_key_for_certain_networks_works_nowhere_else() {
    on_both(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({"networks": ["203.0.113.0/24", "2001:db8::/32"]})).await;
        assert!(ask(stage, &key, HOME).await.is_ok());
        assert_eq!(ask(stage, &key, [203, 0, 114, 9]).await, denied(Denied::NetworkRefused));
        let row = desk.path(&format!("/stream-keys/{id}"));
        assert_eq!(desk.ada.patch(&row, json!({"networks": []})).await.status, 200);
        assert!(ask(stage, &key, [203, 0, 114, 9]).await.is_ok());
        for wrong in [json!({"networks": ["here"]}), json!({"networks": ["10.0.0.0/33"]}), json!({"uses": 1})] {
            assert!(matches!(desk.ada.patch(&row, wrong).await.status, 400 | 422));
        }
        let many = json!({"networks": vec!["10.0.0.0/8"; 257]});
        desk.ada.patch(&row, many).await.refused(422, "invalid");
        desk.ada.patch(&row, json!({"limits": {"fps": 0}})).await.refused(422, "invalid");
        desk.ada.patch(&row, json!({"expires_at": "2020-01-01T00:00:00Z"})).await.refused(422, "invalid");
    })
    .await;
}

#[tokio::test]
async fn who_sends_more_than_the_key_allows_is_told_then_stopped_with_the_reason() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let limits = json!({"bitrate_kbps": 1_000, "long_side": 640, "short_side": 360, "fps": 30});
        let (_, key) = desk.key(json!({"limits": limits})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        let mut told = false;
        let mut seconds = 0;
        while futures_util::poll!(std::pin::pin!(publisher.stopped())).is_pending() {
            publisher.push(picture(250_000));
            stage.pass(1);
            seconds += 1;
            assert!(seconds < 60);
            if seconds == 15 {
                let advice = soon(desk.advised("bitrate_above_limit")).await;
                told = advice["text"].as_str().unwrap().contains("1000 kbit/s");
            }
        }
        assert!(told && seconds > 20, "{seconds}");
        let StopReason::Exceeded(excess) = publisher.stopped().await else { panic!("for another reason") };
        assert!(excess.to_string().contains("2000 kbit/s is more than the 1000 kbit/s"), "{excess}");
        drop(publisher);
        assert!(soon(desk.advised("bitrate_above_limit")).await["text"].as_str().unwrap().contains("was stopped"));
    })
    .await;
}

#[tokio::test]
async fn a_picture_larger_than_the_event_allows_is_stopped_at_its_first_frame() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let publish = json!({"bitrate_kbps": 1_000, "long_side": 300, "short_side": 240, "fps": 30});
        let changed = desk.ada.patch(&desk.path(""), json!({"policy": {"publish": publish}})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let wrong = json!({"policy": {"publish": {"long_side": 100, "short_side": 200}}});
        desk.ada.patch(&desk.path(""), wrong).await.refused(422, "invalid");
        let (_, key) = desk.key(json!({})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        publisher.push(picture(10));
        let StopReason::Exceeded(excess) = publisher.stopped().await else { panic!("for another reason") };
        assert!(excess.to_string().contains("320x240 is larger than the 300x240"), "{excess}");
        let (_, own) = desk.key(json!({"limits": {"long_side": 320, "short_side": 240}})).await;
        drop(publisher);
        let publisher = on_air(stage, &own, HOME).await.unwrap();
        publisher.push(picture(10));
        assert!(futures_util::poll!(std::pin::pin!(publisher.stopped())).is_pending(), "its own limits count");
    })
    .await;
}

#[tokio::test]
async fn a_key_from_another_country_or_network_raises_an_incident_and_a_fact() {
    on_both(async |stage| {
        let folder =
            std::env::temp_dir().join(format!("stagedoor-publishing-{}", stage.world.random.uuid(stage.clock.now())));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("places.mmdb");
        std::fs::write(&path, geo::Database::sample().bytes()).unwrap();
        stage.access.geo().read_from(&path).await.unwrap();
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({})).await;
        let publish = async |address: std::net::IpAddr| {
            let allowed = stage.access.publish(PublishAttempt { key: &key, address }).await.unwrap();
            stage.access.published(&allowed).await.unwrap();
        };
        publish(geo::sample::LYON).await;
        publish(geo::sample::LYON).await;
        assert_eq!(desk.incidents().await, [] as [Value; 0]);
        let row = desk.row(&id).await;
        assert_eq!(row["last_place"], "Lyon, France");
        let network = row["last_network"].as_str().unwrap();
        assert!(network.ends_with("/16") && !row.to_string().contains(&geo::sample::LYON.to_string()), "{row}");

        publish(geo::sample::BERLIN).await;
        let incidents = desk.incidents().await;
        assert_eq!((incidents.len(), &incidents[0]["kind"]), (1, &json!("key_elsewhere")));
        let text = incidents[0]["text"].as_str().unwrap();
        assert!(text.contains("Berlin, Germany") && text.contains("Lyon, France") && !text.contains(&key), "{text}");
        // Back and forth: counted, and told three times in ten minutes at the most.
        for _ in 0..20 {
            publish(geo::sample::LYON).await;
            publish(geo::sample::BERLIN).await;
        }
        dispatch::turn(&stage.world).await.unwrap();
        let told = desk.ada.get("/api/v1/log?limit=100&type=stream_key.suspected").await.json();
        let told = told["data"].as_array().unwrap().clone();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0]["data"], json!({"event": desk.event, "key": id, "because": "other_country"}));
        let incidents = desk.incidents().await;
        assert_eq!((incidents.len(), &incidents[0]["times"]), (1, &json!(3)));
        std::fs::remove_dir_all(&folder).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_tried_elsewhere_while_live_raises_an_incident_and_the_first_goes_on() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let (_, key) = desk.key(json!({})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        let alive = async {
            loop {
                publisher.sign_of_life();
                tokio::task::yield_now().await;
            }
        };
        let thief = async {
            let allowed = ask(stage, &key, [198, 51, 100, 1]).await.unwrap();
            (stage.hub.publish(allowed, "thief").await, allowed)
        };
        let ((refused, allowed), ()) = tokio::select! {
            tried = soon(thief) => (tried, ()),
            () = alive => unreachable!(),
        };
        assert!(matches!(refused, Err(PublishError::AlreadyLive { elsewhere: true })));
        stage.access.tried_while_live(&allowed).await.unwrap();
        let incidents = desk.incidents().await;
        assert_eq!((&incidents[0]["kind"], &incidents[0]["severity"]), (&json!("key_while_live"), &json!("critical")));
        let alive = async {
            loop {
                publisher.sign_of_life();
                tokio::task::yield_now().await;
            }
        };
        let own = async { stage.hub.publish(ask(stage, &key, HOME).await.unwrap(), "again").await };
        let refused = tokio::select! {
            tried = soon(own) => tried,
            () = alive => unreachable!(),
        };
        let from_home = matches!(refused, Err(PublishError::AlreadyLive { elsewhere: false }));
        assert!(from_home, "a second encoder in the same house is no thief");
        assert!(futures_util::poll!(std::pin::pin!(publisher.stopped())).is_pending());
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_revoked_lets_nobody_on_air_who_waits_for_the_place() {
    on_both(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        let [thief, late] = [ask(stage, &key, [198, 51, 100, 1]).await.unwrap(), ask(stage, &key, HOME).await.unwrap()];
        let alive = async {
            loop {
                publisher.sign_of_life();
                tokio::task::yield_now().await;
            }
        };
        let revoked = async { desk.ada.delete(&desk.path(&format!("/stream-keys/{id}"))).await };
        // The thief waits for the place first.
        let both = async { tokio::join!(stage.hub.publish(thief, "thief"), revoked) };
        let (refused, revoked) = tokio::select! {
            both = soon(both) => both,
            () = alive => unreachable!(),
        };
        assert_eq!(revoked.status, 204, "{revoked:?}");
        assert!(matches!(refused, Err(PublishError::Revoked)));
        assert_eq!(soon(publisher.stopped()).await, StopReason::Revoked);
        // Nor who was judged before it was revoked and comes after.
        assert!(matches!(soon(stage.hub.publish(late, "late")).await, Err(PublishError::Revoked)));
    })
    .await;
}

#[tokio::test]
async fn an_end_that_was_set_while_a_publisher_was_let_in_counts_for_it() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({})).await;
        let allowed = ask(stage, &key, HOME).await.unwrap();
        let end = desk.after(Duration::from_secs(60));
        let changed = desk.ada.patch(&desk.path(&format!("/stream-keys/{id}")), json!({"expires_at": end})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let publisher = stage.hub.publish(allowed, "test encoder").await.unwrap();
        stage.pass(2);
        soon(desk.advised("key_ending")).await;
        stage.pass(58 + GRACE.as_secs());
        assert_eq!(soon(publisher.stopped()).await, StopReason::Expired);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_takes_effect_when_it_is_repeated() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let (id, key) = desk.key(json!({})).await;
        let publisher = on_air(stage, &key, HOME).await.unwrap();
        // It was committed, and nobody heard of it.
        let mut tx = stage.db.write().await.unwrap();
        let sql = "UPDATE stream_keys SET revoked_at = $1 WHERE id = $2";
        tx.execute(sql, [stage.clock.now().into(), id.as_str().into()]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(futures_util::poll!(std::pin::pin!(publisher.stopped())).is_pending());
        desk.ada.delete(&desk.path(&format!("/stream-keys/{id}"))).await.refused(404, "not_found");
        assert_eq!(soon(publisher.stopped()).await, StopReason::Revoked);
    })
    .await;
}

/// The second one takes the place of the first, whose connection seems dead while the database is busy.
#[tokio::test]
async fn two_who_come_while_the_database_is_busy_begin_one_broadcast() {
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let (_, key) = desk.key(json!({})).await;
        let [main, backup] = [ask(stage, &key, HOME).await.unwrap(), ask(stage, &key, HOME).await.unwrap()];
        let held = stage.db.write().await.unwrap();
        let both = async { tokio::join!(stage.hub.publish(main, "main"), stage.hub.publish(backup, "backup")) };
        let mut both = std::pin::pin!(both);
        assert!(tokio::time::timeout(Duration::from_secs(3), &mut both).await.is_err(), "nothing begins unwritten");
        held.commit().await.unwrap();
        let (main, backup) = soon(both).await;
        assert!(matches!(main, Err(PublishError::AlreadyLive { elsewhere: false })), "it was taken for dead");
        let backup = backup.unwrap();
        let row = stage.db.one("SELECT COUNT(*) AS n FROM broadcasts", []).await.unwrap().unwrap();
        assert_eq!(row.count("n").unwrap(), 1);
        drop(backup);
    })
    .await;
}

/// Another system of the organisation, which signs publish tokens.
struct Studio {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

const ISSUER: &str = "https://studio.example.org";
const AUDIENCE: &str = "https://stage.example.org";

impl Studio {
    fn new() -> Self {
        let ed = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self { ed, ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap() }
    }

    /// What the operator writes down of it.
    fn config(&self) -> Config {
        let block = |prefix: &str, key: &[u8]| {
            let der = [STANDARD.decode(prefix).unwrap(), key.to_vec()].concat();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
        };
        let pem = block("MCowBQYDK2VwAyEA", self.ed.public_key().as_ref())
            + &block("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=", self.ec.public_key().as_ref());
        // One for each studio: tests of one process change theirs.
        let name = Random::system().uuid(Time::from_millis(0)).simple().to_string();
        let path = std::env::temp_dir().join(format!("stagedoor-studio-{name}.pem"));
        std::fs::write(&path, pem).unwrap();
        let publish = config::Publish {
            token_issuer: Some(ISSUER.into()),
            token_audience: Some(AUDIENCE.into()),
            token_keys: Some(path),
        };
        Config { publish, ..Config::default() }
    }

    fn sign(&self, alg: &str, claims: &Value) -> String {
        let header = json!({"alg": alg, "typ": PUBLISH_TOKEN_TYPE}).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = match alg {
            "ES256" => self.ec.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims(event: &str, now: Time) -> Value {
    let now = now.millis() / 1_000;
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": event, "exp": now + 3_600, "nbf": now})
}

#[tokio::test]
async fn a_publish_token_is_as_good_as_a_key_until_its_end() {
    let studio = Studio::new();
    configured(studio.config(), async |stage| {
        let desk = Desk::open(stage).await;
        for alg in ["EdDSA", "ES256"] {
            let token = studio.sign(alg, &claims(&desk.event, stage.clock.now()));
            let allowed = ask(stage, &token, HOME).await.unwrap();
            assert_eq!((allowed.event.to_string(), allowed.with.key()), (desk.event.clone(), None));
        }
        let log = desk.ada.get("/api/v1/log?limit=10&type=publish_token.used").await.json();
        assert_eq!(log["data"][0]["data"], json!({"event": desk.event}));
        let (_, key) = desk.key(json!({})).await;
        assert!(ask(stage, &key, HOME).await.is_ok(), "stream keys go on beside them");

        let token = studio.sign("EdDSA", &claims(&desk.event, stage.clock.now()));
        let publisher = on_air(stage, &token, HOME).await.unwrap();
        stage.pass(3_600);
        assert_eq!(ask(stage, &token, HOME).await, Err(PublishDenied::Token));
        soon(desk.advised("key_ending")).await;
        stage.pass(GRACE.as_secs());
        assert_eq!(soon(publisher.stopped()).await, StopReason::Expired);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_gone_from_the_file_opens_nothing_and_ends_what_is_on_air_by_it() {
    let studio = Studio::new();
    let config = studio.config();
    let path = config.publish.token_keys.clone().unwrap();
    configured(config, async |stage| {
        let desk = Desk::open(stage).await;
        let both = std::fs::read_to_string(&path).unwrap();
        let ed_only = both.rsplit_once("-----BEGIN").unwrap().0;
        let token = |alg| studio.sign(alg, &claims(&desk.event, stage.clock.now()));
        let (going, staying) = (token("ES256"), token("EdDSA"));
        let publisher = on_air(stage, &going, HOME).await.unwrap();
        assert!(!stage.hub.follow_signers().unwrap(), "nothing changed");

        std::fs::write(&path, &both[..both.len() / 2]).unwrap();
        assert!(stage.hub.follow_signers().is_err(), "half a file shuts nobody out");
        assert!(ask(stage, &going, HOME).await.is_ok());

        std::fs::write(&path, ed_only).unwrap();
        assert!(stage.hub.follow_signers().unwrap());
        assert_eq!(soon(publisher.stopped()).await, StopReason::Withdrawn);
        drop(publisher);
        assert_eq!(soon(desk.advised("publish_token_withdrawn")).await["severity"], "error");
        assert_eq!(ask(stage, &going, HOME).await, Err(PublishDenied::Token));

        let publisher = on_air(stage, &staying, HOME).await.unwrap();
        std::fs::write(&path, &both).unwrap();
        assert!(stage.hub.follow_signers().unwrap());
        assert!(ask(stage, &going, HOME).await.is_ok(), "a key that comes back is good again");
        tokio::select! {
            biased;
            reason = publisher.stopped() => panic!("{reason:?}: its key was there all the time"),
            () = std::future::ready(()) => {}
        }
    })
    .await;
}

#[tokio::test]
async fn s1_no_forged_changed_or_untimely_publish_token_is_taken_or_told_from_another() {
    let studio = Studio::new();
    configured(studio.config(), async |stage| {
        let desk = Desk::open(stage).await;
        let now = stage.clock.now().millis() / 1_000;
        let good = claims(&desk.event, stage.clock.now());
        let with = |claim: &str, value: Value| {
            let mut claims = good.clone();
            claims[claim] = value;
            studio.sign("EdDSA", &claims)
        };
        let other = "evt_01kaf3x6m8e9t8s2v4w6y8z0ab";
        let mut forged = vec![
            with("exp", json!(now)),
            with("exp", json!(now - 1)),
            with("exp", json!((now + 3_600) * 1_000)),
            with("exp", json!(now + 32 * 86_400)),
            with("nbf", json!(now + 61)),
            with("nbf", json!((now - 60) * 1_000)),
            with("iss", json!("https://evil.example.org")),
            with("aud", json!("https://evil.example.org")),
            with("sub", json!(other)),
            with("admin", json!(true)),
            "a.b.c".to_owned(),
            "..".to_owned(),
            ".".repeat(1_024),
            "x.".repeat(10_000),
        ];
        for alg in ["none", "HS256", "RS256", "ES384", "PS256"] {
            forged.push(studio.sign(alg, &good));
        }
        for token in ["EdDSA", "ES256"].map(|alg| studio.sign(alg, &good)) {
            for at in 0..token.len() {
                for bit in 0..7 {
                    let mut bytes = token.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    forged.push(String::from_utf8(bytes).unwrap());
                }
                forged.push(token[..at].to_owned());
            }
        }
        let forged: Vec<_> = forged.iter().filter(|text| text.contains('.')).collect();
        assert!(forged.len() >= 5_000, "{}", forged.len());
        for (number, text) in forged.iter().enumerate() {
            // Each from an address of its own: guessing is bounded per address, which is not what is asked here.
            let [.., a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
            assert_eq!(ask(stage, text, [10, a, b, c]).await, Err(PublishDenied::Token), "{text}");
        }
        assert!(ask(stage, &with("nbf", json!(now + 60)), HOME).await.is_ok(), "clocks may differ by a minute");
        let mut guesses = Vec::new();
        for _ in 0..6 {
            guesses.push(ask(stage, "a.b.c", [192, 0, 2, 9]).await);
        }
        assert_eq!(guesses.last(), Some(&Err(PublishDenied::TooManyAttempts)));
    })
    .await;
}

#[tokio::test]
async fn without_keys_of_issuers_a_token_is_an_unknown_stream_key() {
    let studio = Studio::new();
    on_sqlite(async |stage| {
        let desk = Desk::open(stage).await;
        let token = studio.sign("EdDSA", &claims(&desk.event, stage.clock.now()));
        assert_eq!(ask(stage, &token, HOME).await, denied(Denied::Unknown));
    })
    .await;
}
