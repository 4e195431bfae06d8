//! What is known about one person, and that nothing of it is left when they are erased.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::leaks::Captured;
use crate::stage::{Browser, HOST, Stage, on_both};

/// One number, as people, spreadsheets and programs write it.
const NUMBERS: [&str; 9] = [
    "+33612345678",
    "0033612345678",
    "33612345678",
    "0612345678",
    "06 12 34 56 78",
    "+33 6 12 34 56 78",
    "06.12.34.56.78",
    "06-12-34-56-78",
    "612345678",
];
/// What else leads to her.
const TRACES: [&str; 4] = ["Hopperwhite", "hopperwhite", "grace@secret.example", "likes jazz"];

async fn import(stage: &Stage, admin: &Browser<'_>, event: &str) {
    let mut list = "Name,Phone,E-mail,Note\n".to_owned();
    // Enough that rows share pages with others and pages are split.
    for at in 0..400 {
        if at == 200 {
            list += "Grace Hopperwhite,06 12 34 56 78,grace@secret.example,likes jazz\n";
        }
        list += &format!("Guest {at},074{at:07},guest{at}@example.org,note {at}\n");
    }
    let request = Request::post(format!("/api/v1/events/{event}/imports?name=guests.csv"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", "text/csv");
    let made = admin.raw(request.body(Body::from(list)).unwrap()).await;
    let path = format!("/api/v1/events/{event}/imports/{}", made.at("/id"));
    let chosen =
        json!({"mapping": {"name": 0, "phone": 1, "email": 2, "note": 3}, "default_country": "FR", "tags": ["vip"]});
    let started = admin.post(&format!("{path}/start"), chosen).await;
    assert_eq!(started.status, 202, "{started:?}");
    stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
    let done = admin.get(&path).await;
    assert_eq!((done.at("/created"), done.at("/errors")), ("401".into(), "0".into()), "{done:?}");
}

async fn row(stage: &Stage, name: &str) -> (String, Vec<Vec<u8>>) {
    let sql = "SELECT id, person_key, contact_sealed, phone_hash, email_hash FROM invitations WHERE name = $1";
    let row = stage.db.one(sql, [name.into()]).await.unwrap().unwrap();
    let sealed = ["person_key", "contact_sealed", "phone_hash", "email_hash"].map(|column| row.bytes(column).unwrap());
    (row.text("id").unwrap(), sealed.to_vec())
}

fn has(kept: &[u8], needle: &[u8]) -> bool {
    kept.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn who_is_erased_is_nowhere() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        import(stage, &admin, &event).await;
        let (grace, sealed) = row(stage, "Grace Hopperwhite").await;
        let base = format!("/api/v1/events/{event}/invitations/{grace}");
        let code = admin.get(&format!("{base}/code")).await.at("/code");
        let written =
            admin.post(&format!("{base}/message"), json!({"channel": "sms", "body": "See you, {name}!"})).await;
        assert_eq!(written.status, 202, "{written:?}");
        stage.messages.turn().await.unwrap();
        let viewer = stage.browser();
        let media = viewer.enter(&event, &code).await;

        let known = admin.get(&format!("{base}/personal-data")).await;
        assert_eq!(known.status, 200, "{known:?}");
        for (at, expected) in [
            ("/name", "Grace Hopperwhite"),
            ("/phone", "+33612345678"),
            ("/email", "grace@secret.example"),
            ("/note", "likes jazz"),
            ("/tags/0", "vip"),
            ("/state", "redeemed"),
            ("/messages/0/to", "+33612345678"),
            ("/opted_out_at", "null"),
        ] {
            assert_eq!(known.at(at), expected, "{at}: {known:?}");
        }
        assert_eq!(known.json()["sessions"].as_array().unwrap().len(), 1);
        assert!(known.json()["facts"].as_array().unwrap().len() >= 2, "{known:?}");
        assert!(has(&stage.kept().await, &sealed[0]), "this is not what is kept");
        let elsewhere = format!("{base}/personal-data").replace(&event, "evt_00000000000000000000000000");
        admin.get(&elsewhere).await.refused(404, "not_found");
        stage.browser().get(&format!("{base}/personal-data")).await.refused(401, "signed_out");
        stage.browser().delete(&format!("{base}/personal-data")).await.refused(401, "signed_out");

        // Orders that found her by her name and by her number, which is kept as the hash that her row has.
        for (search, kind) in [("Hopperwhite", "invitation"), (NUMBERS[0], "reminder")] {
            let order = json!({"selection": {"filter": {"search": search}}, "channel": "sms", "kind": kind});
            let ordered = admin.post(&format!("/api/v1/events/{event}/sends"), order).await;
            assert_eq!((ordered.status, ordered.at("/total")), (201, "1".into()), "{ordered:?}");
        }
        let hash = serde_json::to_vec(&sealed[2]).unwrap();
        assert!(has(&stage.kept().await, &hash), "this is not what is kept");
        stage.messages.turn().await.unwrap();

        assert_eq!(admin.delete(&format!("{base}/personal-data")).await.status, 204);
        assert!(!stage.lets_in(&media).await, "the session is over");
        assert_ne!(viewer.current(&event).await.status, 200);
        stage.browser().redeem(&event, &code).await.refused(403, "code_invalid");
        admin.delete(&format!("{base}/personal-data")).await.refused(404, "not_found");
        admin.get(&format!("{base}/code")).await;
        stage.messages.turn().await.unwrap();
        let left = admin.get(&format!("{base}/personal-data")).await;
        assert_eq!(
            (left.at("/name"), left.at("/phone"), left.at("/note")),
            ("Erased".into(), "null".into(), "".into())
        );
        assert_eq!(left.json()["tags"], json!([]));
        assert_eq!(left.at("/messages/0/to"), "null");
        assert_eq!(left.at("/sessions/0/device"), "");

        let kept = stage.kept().await;
        assert!(has(&kept, b"Guest 399") && has(&kept, grace.as_bytes()), "this is not what is kept");
        let logged = captured.bytes();
        let hidden = sealed.iter().chain([&hash]).map(Vec::as_slice);
        for trace in NUMBERS.iter().chain(&TRACES).map(|text| text.as_bytes()).chain(hidden) {
            assert!(!has(&kept, trace), "{} is still kept", String::from_utf8_lossy(trace));
            assert!(!has(&logged, trace), "{} is in the log", String::from_utf8_lossy(trace));
        }
        // Nobody else was touched.
        let (guest, _) = row(stage, "Guest 7").await;
        let known = admin.get(&format!("/api/v1/events/{event}/invitations/{guest}/personal-data")).await;
        assert_eq!(known.at("/phone"), "+33740000007");
        let log = admin.get("/api/v1/log?limit=100").await.text;
        for kind in ["invitation.personal_data_exported", "invitation.erased"] {
            assert!(log.contains(kind), "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn contacts_are_erased_so_many_days_after_the_last_broadcast() {
    on_both(async |stage| {
        let stop = CancellationToken::new();
        let admin = stage.admin().await;
        let policy = json!({"privacy": {"retention_days": 7}});
        let made = admin.post("/api/v1/events", json!({"title": "Evening", "policy": policy})).await;
        let event = made.at("/id");
        assert_eq!(made.at("/policy/privacy/retention_days"), "7");
        import(stage, &admin, &event).await;
        let keeps = admin.create_event("Other").await;
        import(stage, &admin, &keeps).await;
        let known = async |event: &str| {
            let sql = "SELECT COUNT(*) AS n FROM invitations WHERE event_id = $1 AND
                       (person_key IS NOT NULL OR contact_sealed IS NOT NULL OR phone_hash IS NOT NULL OR email_hash IS NOT NULL)";
            stage.db.one(sql, [event.into()]).await.unwrap().unwrap().count("n").unwrap()
        };
        let sql = "INSERT INTO broadcasts (id, stream_id, state, started_at, ended_at)
                   SELECT CAST($1 AS TEXT), id, 'ended', CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM streams";
        stage.people.retain(&stop).await.unwrap();
        assert_eq!(known(&event).await, 401, "there was no broadcast and no date");
        let mut tx = stage.db.write().await.unwrap();
        let sql = sql.replace("FROM streams", "FROM streams WHERE event_id = $3");
        let sql: &'static str = Box::leak(sql.into_boxed_str());
        for (id, event) in [("one", &event), ("two", &keeps)] {
            tx.execute(sql, [id.into(), stage.clock.now().into(), event.as_str().into()]).await.unwrap();
        }
        tx.commit().await.unwrap();
        stage.clock.advance(Duration::from_secs(7 * 86_400 - 1));
        stage.people.retain(&stop).await.unwrap();
        assert_eq!(known(&event).await, 401, "a second too early");
        stage.pass(1);
        stage.people.retain(&stop).await.unwrap();
        stage.people.retain(&stop).await.unwrap();
        assert_eq!((known(&event).await, known(&keeps).await), (0, 401));
        let sql = "SELECT COUNT(*) AS n FROM invitations WHERE event_id = $1 AND name LIKE 'Guest %'";
        let named = stage.db.one(sql, [event.as_str().into()]).await.unwrap().unwrap();
        assert_eq!(named.count("n").unwrap(), 400, "names stay");
        let admin = stage.admin().await;
        let log = admin.get("/api/v1/log?limit=100").await.json();
        let facts = log["data"].as_array().unwrap();
        let erased: Vec<_> = facts.iter().filter(|fact| fact["type"] == "event.contacts_erased").collect();
        let counts: Vec<_> = erased.iter().map(|fact| fact["data"]["count"].as_u64().unwrap()).collect();
        assert_eq!((erased.len(), counts.iter().sum::<u64>()), (3, 401), "{erased:?}");
    })
    .await;
}
