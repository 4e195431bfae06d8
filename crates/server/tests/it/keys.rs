//! A new master key while people watch, and what a copy of everything that is kept gives away.

use axum::body::Body;
use http::Request;
use serde_json::json;
use stagedoor_server::access::{Access, MasterKey, StartError, rekeyed};
use stagedoor_server::config;
use tokio_util::sync::CancellationToken;

use crate::stage::{Answer, Browser, HOST, Invited, Stage, on_both};

const PHONE: &str = "+33612345678";
const LIST: &str = "Name,Phone,E-mail,Note\nGrace,06 12 34 56 78,grace@secret.example,likes jazz\nHedy,0611111111,,\n";

fn old() -> MasterKey {
    MasterKey::new([3; 32])
}

fn new() -> MasterKey {
    MasterKey::new([4; 32])
}

async fn start(stage: &Stage, master: &MasterKey) -> Result<std::sync::Arc<Access>, StartError> {
    Access::start(stage.world.clone(), config::Access::default(), master).await
}

/// Reads [`LIST`]; how many were new.
async fn import(stage: &Stage, admin: &Browser<'_>, event: &str) -> u64 {
    let request = Request::post(format!("/api/v1/events/{event}/imports?name=guests.csv"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", "text/csv");
    let made = admin.raw(request.body(Body::from(LIST)).unwrap()).await;
    let path = format!("/api/v1/events/{event}/imports/{}", made.at("/id"));
    let chosen = json!({"mapping": {"name": 0, "phone": 1, "email": 2, "note": 3}, "default_country": "FR"});
    let started = admin.post(&format!("{path}/start"), chosen).await;
    assert_eq!(started.status, 202, "{started:?}");
    stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
    let done = admin.get(&path).await;
    assert_eq!((done.at("/state"), done.at("/errors")), ("done".into(), "0".into()), "{done:?}");
    done.json()["created"].as_u64().unwrap()
}

async fn stream_key(admin: &Browser<'_>, event: &str) -> String {
    admin.get(&format!("/api/v1/events/{event}/ingest")).await.at("/stream_key")
}

async fn code(admin: &Browser<'_>, event: &str, invited: &Invited) -> Answer {
    admin.get(&format!("/api/v1/events/{event}/invitations/{}/code", invited.id)).await
}

async fn kinds(admin: &Browser<'_>) -> Vec<String> {
    let log = admin.get("/api/v1/log?limit=100").await;
    log.json()["data"].as_array().unwrap().iter().map(|fact| fact["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_new_master_key_is_taken_up_while_everybody_watches() {
    on_both(async |stage| {
        let stop = CancellationToken::new();
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let (ada, bob, cleo) =
            (admin.invite(&event, "Ada").await, admin.invite(&event, "Bob").await, admin.invite(&event, "Cleo").await);
        assert_eq!(import(stage, &admin, &event).await, 2);
        let (viewer, second) = (stage.browser(), stage.browser());
        let media = viewer.enter(&event, &ada.code).await;
        let stream_key_before = stream_key(&admin, &event).await;
        let hook = admin.post("/api/v1/webhooks", json!({"url": "https://hooks.example.org/x"})).await;
        assert_eq!(hook.status, 201, "{hook:?}");

        stage.access.take_up(&new().after(&old())).await.unwrap();
        let state = rekeyed(&stage.db).await.unwrap().unwrap();
        assert_eq!(state.hang_on, [old().name(), new().name()]);
        // Nothing was sealed anew yet: everything old works, and everything new.
        assert!(stage.lets_in(&media).await);
        assert_eq!(viewer.current(&event).await.status, 200);
        second.enter(&event, &bob.code).await;
        let dora = admin.invite(&event, "Dora").await;
        stage.browser().enter(&event, &dora.code).await;
        assert_eq!(import(stage, &admin, &event).await, 0, "everybody on the list is known by their number");
        assert_eq!(stream_key(&admin, &event).await, stream_key_before);
        // Somebody who starts now needs both.
        let Err(StartError::MissingMasterKey { missing, given }) = start(stage, &new()).await else {
            panic!("it started")
        };
        assert_eq!((missing, given), (old().name(), new().name()));
        assert!(matches!(start(stage, &old()).await, Err(StartError::MissingMasterKey { .. })));

        // A process that dies in the middle leaves a mixture; the next one goes on.
        stop.cancel();
        assert!(!stage.access.rekey(&stop).await.unwrap(), "it was stopped");
        let again = start(stage, &new().after(&old())).await.unwrap();
        let stop = CancellationToken::new();
        assert!(!again.rekey(&stop).await.unwrap(), "what was on its way may still be sealed by the old key");
        stage.pass(31);
        assert!(again.rekey(&stop).await.unwrap());
        assert_eq!(rekeyed(&stage.db).await.unwrap().unwrap().hang_on, [new().name()]);
        // The first process sees the same and comes to the same end.
        assert!(stage.access.rekey(&stop).await.unwrap());

        // The old key is gone; nobody noticed.
        assert!(stage.lets_in(&media).await);
        assert_eq!(viewer.current(&event).await.status, 200);
        assert_eq!(second.current(&event).await.status, 200);
        stage.browser().enter(&event, &cleo.code).await;
        assert_eq!(code(&admin, &event, &cleo).await.at("/code"), cleo.code);
        assert_eq!(stream_key(&admin, &event).await, stream_key_before);
        assert_eq!(import(stage, &admin, &event).await, 0);
        stage.browser().redeem(&event, "ABCD-EFGH-JKLM").await.refused(403, "code_invalid");
        let restarted = start(stage, &new()).await.unwrap();
        restarted.log_key().await.unwrap();
        assert!(matches!(start(stage, &old()).await, Err(StartError::MissingMasterKey { .. })));
        let kinds = kinds(&admin).await;
        for kind in ["master_key.changed", "master_key.rotated"] {
            assert_eq!(kinds.iter().filter(|known| *known == kind).count(), 1, "{kind} in {kinds:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn somebody_is_found_by_their_whole_number_while_rows_move_to_a_new_key() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        assert_eq!(import(stage, &admin, &event).await, 2);
        let base = format!("/api/v1/events/{event}/invitations");
        let found = async |text: &str| {
            let list = admin.get(&format!("{base}?search={}", text.replace('+', "%2B"))).await.json();
            let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|each| each["name"].clone()).collect();
            (names, list["matching"].as_u64().unwrap())
        };
        let grace = (vec![json!("Grace")], 1);
        assert_eq!(found(PHONE).await, grace);
        stage.access.take_up(&new().after(&old())).await.unwrap();
        // Not one row has moved, somebody new has come, and acts on many find the same people.
        let made = admin.post(&base, json!({"name": "Dora", "phone": "+33612345699"})).await;
        assert_eq!(made.status, 201, "{made:?}");
        for (text, name) in [(PHONE, "Grace"), ("grace@secret.example", "Grace"), ("+33612345699", "Dora")] {
            assert_eq!(found(text).await, (vec![json!(name)], 1), "{text}");
        }
        let tagging = json!({"selection": {"filter": {"search": PHONE}}, "add": ["found"]});
        assert_eq!(admin.post(&format!("{base}/tags"), tagging).await.json(), json!({"changed": 1}));
        let stop = CancellationToken::new();
        assert!(!stage.access.rekey(&stop).await.unwrap());
        assert_eq!(found(PHONE).await, grace, "they have moved, and the change of keys is not over");
        stage.pass(31);
        assert!(stage.access.rekey(&stop).await.unwrap());
        assert_eq!(found(PHONE).await, grace);
        assert_eq!(found("+33612345600").await, (vec![], 0));
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_put_back_on_top_is_taken_up_again() {
    on_both(async |stage| {
        let stop = CancellationToken::new();
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let before = admin.invite(&event, "Ada").await;
        stage.access.take_up(&new().after(&old())).await.unwrap();
        let between = admin.invite(&event, "Bob").await;
        assert!(!stage.access.rekey(&stop).await.unwrap());
        stage.access.take_up(&old().after(&new())).await.unwrap();
        assert!(!stage.access.rekey(&stop).await.unwrap());
        stage.pass(31);
        assert!(stage.access.rekey(&stop).await.unwrap());
        for invited in [before, between] {
            assert_eq!(code(&admin, &event, &invited).await.at("/code"), invited.code);
            stage.browser().enter(&event, &invited.code).await;
        }
        start(stage, &old()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_the_database_gives_no_secret_away() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let ada = admin.invite(&event, "Ada").await;
        assert_eq!(import(stage, &admin, &event).await, 2);
        let viewer = stage.browser();
        let media = viewer.enter(&event, &ada.code).await;
        let cookie = viewer.cookie_header(&format!("/api/v1/events/{event}")).replace("stagedoor_viewer=", "");
        let hook = admin.post("/api/v1/webhooks", json!({"url": "https://hooks.example.org/x"})).await;
        let mut secrets = vec![
            ada.code.clone(),
            ada.code.replace('-', ""),
            PHONE.to_owned(),
            PHONE[1..].to_owned(),
            "612345678".to_owned(),
            "grace@secret.example".to_owned(),
            "likes jazz".to_owned(),
            stream_key(&admin, &event).await,
            hook.at("/secret"),
            admin.token("deploy").await,
            admin.cookie_header("/").replace("stagedoor_user=", ""),
            cookie,
            media.split("/live/").nth(1).unwrap().split('/').next().unwrap().to_owned(),
            stage.password().to_owned(),
        ];
        let keys = [[3_u8; 32], [4; 32]];
        secrets.extend(keys.map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
        let stop = CancellationToken::new();
        for moment in ["before", "while", "after"] {
            if moment == "while" {
                stage.access.take_up(&new().after(&old())).await.unwrap();
                assert!(!stage.access.rekey(&stop).await.unwrap());
            } else if moment == "after" {
                stage.pass(31);
                assert!(stage.access.rekey(&stop).await.unwrap());
            }
            let kept = stage.kept().await;
            let has = |needle: &[u8]| kept.windows(needle.len()).any(|window| window == needle);
            assert!(has(b"Grace") && has(b"Evening"), "this is not what is kept");
            for secret in &secrets {
                assert!(secret.len() >= 9, "{secret}");
                assert!(!has(secret.as_bytes()), "{secret} is kept in the clear {moment} the change of keys");
                assert!(!has(secret.to_lowercase().as_bytes()), "{secret} is kept in lower case {moment}");
            }
            for key in keys {
                assert!(!has(&key), "a master key is kept");
            }
        }
    })
    .await;
}
