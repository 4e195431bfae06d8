//! What must not be told: secrets in logs, metrics, facts and errors; and what people type, breaking a line of the log.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use serde_json::json;
use stagedoor_server::facts::dispatch;
use tracing_subscriber::fmt::MakeWriter;

use crate::stage::{HOST, Stage, on_sqlite};

/// Everything that was logged, as bytes.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What somebody types who wants to write a line of their own, or to clear the reader's screen.
const BREAKERS: [&str; 6] = [
    "x\r\n2026-11-21T00:00:00Z ERROR forged",
    "x\n{\"level\":\"ERROR\",\"forged\":true}",
    "x\u{1b}[2J\u{1b}[31mforged",
    "x\"},\"forged\":\"",
    "x\u{2028}forged\u{0}",
    "x\u{9b}31mforged",
];

/// A whole evening: everybody does what they do, rightly and wrongly. What must stay secret is in the answer, with what
/// was answered to those who did something wrong.
async fn evening(stage: &Stage) -> (Vec<String>, String) {
    let mut errors = String::new();
    let admin = stage.admin().await;
    let mut secrets = vec![stage.password().to_owned(), admin.cookie_header("/").replace("stagedoor_user=", "")];
    let event = admin.create_event("Evening").await;
    let token = admin.token("deploy").await;
    let invited = admin.invite(&event, "Grace").await;
    let ingest = admin.get(&format!("/api/v1/events/{event}/ingest")).await;
    let stream_key = ingest.at("/stream_key");
    let hook = admin.post("/api/v1/webhooks", json!({"url": "https://hooks.example.org/T0PSECRETPATH"})).await;
    let person = json!({"name": "Hedy", "phone": "+33612345678", "email": "hedy@secret.example"});
    errors +=
        &admin.post(&format!("/api/v1/events/{event}/invitations"), person).await.text.replace("+33612345678", "");
    let viewer = stage.browser();
    let media = viewer.enter(&event, &invited.code).await;
    let playback = media.split("/live/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let viewer_cookie = viewer.cookie_header(&format!("/api/v1/events/{event}")).replace("stagedoor_viewer=", "");
    for secret in [&token, &invited.code, &stream_key, &playback, &viewer_cookie] {
        assert!(secret.len() >= 12, "{secret}");
        secrets.push(secret.clone());
    }
    secrets.push(hook.at("/secret"));
    secrets.extend(["T0PSECRETPATH", "+33612345678", "33612345678", "hedy@secret.example"].map(str::to_owned));

    // Everything once more, wrongly: with the secrets in the wrong places.
    errors.clear();
    let stranger = stage.browser();
    for secret in secrets.clone() {
        for (method, path) in [
            (Method::GET, format!("/api/v1/events/{secret}")),
            (Method::POST, format!("/api/v1/events/{event}/sessions?code={secret}")),
            (Method::DELETE, format!("/api/v1/tokens/{secret}")),
        ] {
            let path: String = path.chars().filter(|letter| letter.is_ascii_graphic()).collect();
            errors += &stranger.send(method, &path, None).await.text;
        }
        errors += &stranger.redeem(&event, &secret).await.text;
        errors += &stranger.post("/api/v1/login", json!({"username": secret, "password": secret})).await.text;
        errors += &stage.media(&format!("/live/{secret}/str_x/video/index.m3u8")).await.1;
        let request = http::Request::get("/api/v1/me").header("authorization", format!("Bearer {secret}x"));
        errors += &stranger.raw(request.body(axum::body::Body::empty()).unwrap()).await.text;
    }
    for breaker in BREAKERS {
        errors += &admin.post("/api/v1/events", json!({"title": breaker})).await.text;
        errors += &admin.post(&format!("/api/v1/events/{event}/invitations"), json!({"name": breaker})).await.text;
        errors += &admin.post("/api/v1/webhooks", json!({"url": breaker, "types": [breaker]})).await.text;
        errors += &stranger.post("/api/v1/login", json!({"username": breaker, "password": breaker})).await.text;
        errors += &stranger.redeem(&event, breaker).await.text;
        let agent: String = breaker.chars().filter(|letter| !letter.is_control()).collect();
        let request = http::Request::get("/nowhere").header("host", HOST).header("user-agent", agent);
        errors += &stranger.raw(request.body(axum::body::Body::empty()).unwrap()).await.text;
    }
    dispatch::turn(&stage.world).await.unwrap();
    stage.sealer.turn().await.unwrap();
    (secrets, errors)
}

#[tokio::test]
async fn no_secret_and_no_forged_line_is_in_logs_metrics_facts_or_errors() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(captured.clone())
        .with_ansi(false)
        .json()
        .finish();
    // For this thread, on which the whole test runs.
    let _guard = tracing::subscriber::set_default(subscriber);
    on_sqlite(async |stage| {
        let (secrets, errors) = evening(stage).await;
        let admin = stage.admin().await;
        let mut log = String::new();
        let mut cursor = String::new();
        loop {
            let page = admin.get(&format!("/api/v1/log?limit=100{cursor}")).await;
            log += &page.json()["data"].to_string();
            match page.json()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let export = admin.get("/api/v1/log/export").await.text;
        let metrics = stagedoor_server::telemetry::metrics().unwrap().render();
        tracing::warn!("the last line");
        let logged = captured.text();
        assert!(logged.contains("the last line"), "nothing was captured");
        for (place, text) in
            [("logs", &logged), ("metrics", &metrics), ("log", &log), ("export", &export), ("errors", &errors)]
        {
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{secret} is in the {place}");
            }
            // Escaped inside a JSON text it is harmless; as a line of its own, or raw, it is not.
            for line in text.lines() {
                assert!(!line.trim_start().starts_with("2026-11-21T00:00:00Z ERROR"), "{place}: {line}");
                assert!(!line.chars().any(|letter| letter.is_control() && letter != '\t'), "{place}: {line:?}");
            }
        }
        for line in logged.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("every line is one JSON object");
            assert!(line.get("forged").is_none(), "{line}");
        }
    })
    .await;
}

/// Acts that matter for security, and the fact that tells of each.
const ACTS: &[(&str, &str)] = &[
    ("somebody is invited", "invitation.created"),
    ("an invitation is withdrawn", "invitation.revoked"),
    ("an invitation is changed", "invitation.changed"),
    ("invitees are tagged", "invitation.tagged"),
    ("an invitee is let in again", "invitation.unblocked"),
    ("a contact is shown", "invitation.contact_revealed"),
    ("codes are replaced", "invitation.codes_replaced"),
    ("new codes for many are ordered", "renewal.started"),
    ("that is through, or called off", "renewal.ended"),
    ("a guest is brought along", "invitation.guest_brought"),
    ("a code is shown", "invitation.code_revealed"),
    ("a list is imported", "import.started"),
    ("a code is redeemed", "session.started"),
    ("somebody is refused", "session.refused"),
    ("somebody is kicked, leaves, or is replaced", "session.ended"),
    ("something odd is noticed about a viewer", "session.suspected"),
    ("a code is asked for by another device", "takeover.asked"),
    ("that is answered", "takeover.changed"),
    ("an invitee is blocked", "invitation.blocked"),
    ("everybody is sent home", "event.sessions_ended"),
    ("a stream key is made", "stream_key.created"),
    ("a stream key is withdrawn", "stream_key.revoked"),
    ("a stream key is changed", "stream_key.changed"),
    ("a stream key gets a successor", "stream_key.rotated"),
    ("somebody else may have a stream key", "stream_key.suspected"),
    ("an encoder comes with a publish token", "publish_token.used"),
    ("a stream key is shown", "stream_key.revealed"),
    ("an encoder comes with it", "stream_key.used"),
    ("somebody publishes", "stream.live"),
    ("an organiser signs in", "user.signed_in"),
    ("somebody fails to", "user.sign_in_refused"),
    ("an API token is made", "api_token.created"),
    ("an API token is withdrawn", "api_token.revoked"),
    ("an event is made", "event.created"),
    ("an event's settings change", "event.changed"),
    ("an event is deleted", "event.deleted"),
    ("a webhook is made", "webhook.created"),
    ("a webhook is changed", "webhook.changed"),
    ("a webhook gets a new secret", "webhook.rotated"),
    ("a webhook is deleted", "webhook.deleted"),
    ("a delivery is sent again", "webhook.replayed"),
    ("the log is exported", "log.exported"),
    ("a list is imported to its end", "import.ended"),
    ("the publisher is gone", "stream.away"),
    ("a broadcast is over", "stream.ended"),
    ("deliveries to a webhook are given up", "webhook.disabled"),
    ("something odd is noticed", "incident.raised"),
    ("somebody has seen it", "incident.acknowledged"),
    ("messages are ordered", "send.created"),
    ("an order is stopped", "send.paused"),
    ("it goes on", "send.resumed"),
    ("it is called off", "send.cancelled"),
    ("what failed of it is tried again", "send.retried"),
    ("it is through", "send.done"),
    ("a message to one person is ordered", "message.ordered"),
    ("a gateway takes a message", "message.sent"),
    ("a message arrives", "message.delivered"),
    ("a message does not go out", "message.failed"),
    ("somebody shows again that it is them", "user.confirmed"),
    ("an account is made", "user.created"),
    ("an account gets another role", "user.role_changed"),
    ("an account is shut", "user.disabled"),
    ("an account is opened again", "user.enabled"),
    ("an account is deleted", "user.deleted"),
    ("a password is changed", "user.password_changed"),
    ("a second factor is added", "user.factor_added"),
    ("a second factor is removed", "user.factor_removed"),
    ("a recovery code is used", "user.recovery_used"),
    ("somebody signs out, here or elsewhere", "user.signed_out"),
    ("a team is made", "team.created"),
    ("a team is deleted", "team.deleted"),
    ("somebody joins a team", "team.joined"),
    ("somebody leaves a team", "team.left"),
    ("a new master key is taken up", "master_key.changed"),
    ("the old one is needed no more", "master_key.rotated"),
    ("somebody's data is handed out", "invitation.personal_data_exported"),
    ("somebody is erased", "invitation.erased"),
    ("an event forgets its people", "event.contacts_erased"),
    ("a list is exported", "invitation.list_exported"),
];

/// Acts whose fact has its name; whoever makes the act possible writes it, and moves the line up.
const NAMED: &[(&str, &str)] = &[];

#[test]
fn every_act_that_matters_for_security_has_its_fact() {
    let source = include_str!("../../../domain/src/fact.rs");
    for (act, kind) in ACTS.iter().chain(NAMED) {
        assert!(source.contains(&format!("#[serde(rename = \"{kind}\")]")), "{act}: there is no fact {kind}");
    }
    // And it is written somewhere, not only thought of.
    let mut written = String::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                written += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    for (act, kind) in ACTS {
        let after = source.split(&format!("#[serde(rename = \"{kind}\")]")).nth(1).unwrap();
        let variant: String = after.trim_start().chars().take_while(|letter| letter.is_alphanumeric()).collect();
        assert!(written.contains(&format!("Fact::{variant}")), "{act}: nobody writes Fact::{variant}");
    }
}

#[test]
fn every_fact_has_an_act() {
    let source = include_str!("../../../domain/src/fact.rs");
    let kinds = source.split("#[serde(rename = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let kinds: std::collections::BTreeSet<&str> = kinds.filter(|kind| kind.contains('.')).collect();
    assert!(kinds.len() > 60, "{kinds:?}");
    let acts: std::collections::BTreeSet<&str> = ACTS.iter().chain(NAMED).map(|(_, kind)| *kind).collect();
    let without: Vec<_> = kinds.difference(&acts).collect();
    assert!(
        without.is_empty(),
        "Nobody does {without:?}: add a line to ACTS in tests/it/leaks.rs that says who does what, and do it in a test; \
         or take the variant away."
    );
    assert_eq!(ACTS.len() + NAMED.len(), acts.len(), "an act stands in the tables twice");
}

#[test]
fn every_group_of_facts_can_be_chosen_in_the_log_and_for_a_webhook() {
    let page = include_str!("../../../../web/admin/src/model/log.ts");
    let groups = page.split("export const groups = [").nth(1).unwrap().split(']').next().unwrap();
    let known: std::collections::BTreeSet<&str> =
        ACTS.iter().chain(NAMED).filter_map(|(_, kind)| kind.split('.').next()).collect();
    for group in known {
        assert!(
            groups.contains(&format!("\"{group}\"")),
            "nobody can look for {group}.*: add it to groups in web/admin/src/model/log.ts"
        );
    }
}
