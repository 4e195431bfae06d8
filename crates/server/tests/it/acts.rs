//! Every act that matters for security, done over HTTP, and exactly what the log says of it: who, what, to whom, and no
//! secret. What the log does not say of an act it says of none: between two acts it must be silent.

use std::cell::RefCell;
use std::collections::BTreeSet;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use stagedoor_server::access::PublishAttempt;
use tokio_util::sync::CancellationToken;

use crate::stage::{Browser, HOST, PASSWORD, Stage, on_both};

/// An entry of the log: its type, who did it, and the ids it is about.
type Entry = (&'static str, String, Value);

/// Facts that no request of this file makes, and the tests that do: they need an encoder, a gateway, a receiver, a passkey,
/// a clock or the operator.
const ELSEWHERE: &[(&str, &str)] = &[
    ("stream.live", "broadcasting"),
    ("stream.away", "broadcasting"),
    ("stream.ended", "broadcasting"),
    ("publish_token.used", "publishing"),
    ("message.delivered", "messaging"),
    ("webhook.disabled", "hooks"),
    ("session.suspected", "protection"),
    ("event.contacts_erased", "people::tests"),
    ("master_key.changed", "keys"),
    ("master_key.rotated", "keys"),
    ("renewal.started", "codes"),
    ("renewal.ended", "codes"),
];

/// Whoever reads the log while others act.
struct Auditor<'a> {
    ada: Browser<'a>,
    /// Entries that were read before.
    read: RefCell<BTreeSet<String>>,
    /// Types that were seen.
    seen: RefCell<BTreeSet<String>>,
    /// What must stand in no entry.
    secrets: RefCell<Vec<String>>,
    /// Acts of which the log says something else.
    wrong: RefCell<Vec<String>>,
}

impl Auditor<'_> {
    /// What the log says now and did not say before. All of it is read: what was written in one millisecond stands in no
    /// order, so news may be on any page.
    async fn news(&self) -> Vec<Value> {
        let mut news = Vec::new();
        let mut rest = String::new();
        loop {
            let page = self.ada.get(&format!("/api/v1/log?limit=100{rest}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            for secret in self.secrets.borrow().iter() {
                assert!(secret.len() >= 8 && !page.text.contains(secret.as_str()), "{secret} is in the log");
            }
            let page = page.json();
            let mut read = self.read.borrow_mut();
            let entries = page["data"].as_array().unwrap().iter();
            news.extend(entries.filter(|entry| read.insert(entry["id"].as_str().unwrap().to_owned())).cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => rest = format!("&cursor={cursor}"),
                None => return news,
            }
        }
    }

    /// What was made ready is no act of the table.
    async fn ready(&self) {
        self.news().await;
    }

    /// The act wrote these entries and no others.
    fn compare(&self, act: &str, news: Vec<Value>, expected: &[Entry]) {
        let mut told: Vec<_> = news
            .into_iter()
            .map(|entry| (entry["type"].to_string(), entry["actor"].to_string(), entry["data"].to_string()))
            .collect();
        let text = |text: &str| json!(text).to_string();
        let mut wanted: Vec<_> =
            expected.iter().map(|(kind, actor, data)| (text(kind), text(actor), data.to_string())).collect();
        told.sort();
        wanted.sort();
        if told != wanted {
            self.wrong.borrow_mut().push(format!("{act}\n  the log says {told:?}\n  and not     {wanted:?}"));
        }
        self.seen.borrow_mut().extend(expected.iter().map(|(kind, ..)| (*kind).to_owned()));
    }

    async fn tells(&self, act: &str, expected: &[Entry]) {
        let news = self.news().await;
        self.compare(act, news, expected);
    }

    fn hides(&self, secret: impl Into<String>) {
        self.secrets.borrow_mut().push(secret.into());
    }
}

fn entry(kind: &'static str, actor: &str, data: Value) -> Entry {
    (kind, actor.to_owned(), data)
}

async fn id_of(browser: &Browser<'_>) -> String {
    browser.get("/api/v1/me").await.at("/id")
}

#[tokio::test]
async fn every_act_that_matters_for_security_is_one_entry_with_who_and_whom_and_no_secret() {
    on_both(async |stage| {
        let log = Auditor {
            ada: stage.admin().await,
            read: RefCell::default(),
            seen: RefCell::default(),
            secrets: RefCell::default(),
            wrong: RefCell::default(),
        };
        log.hides(stage.password());
        log.hides(PASSWORD);
        signing_in(stage, &log).await;
        accounts(stage, &log).await;
        the_house(&log).await;
        let event = the_event(stage, &log).await;
        invitees(&log, &event).await;
        lists(stage, &log, &event).await;
        viewers(stage, &log, &event).await;
        takeovers(stage, &log, &event).await;
        messages(stage, &log, &event).await;
        incidents(stage, &log, &event).await;

        let wrong = log.wrong.borrow();
        assert!(wrong.is_empty(), "{} acts:\n{}", wrong.len(), wrong.join("\n"));
        let source = include_str!("../../../domain/src/fact.rs");
        let kinds = source.split("#[serde(rename = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let kinds: BTreeSet<String> = kinds.filter(|kind| kind.contains('.')).map(str::to_owned).collect();
        let mut known = log.seen.borrow().clone();
        known.extend(ELSEWHERE.iter().map(|(kind, _)| (*kind).to_owned()));
        let missing: Vec<_> = kinds.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "no act above writes {missing:?}: do it here, or say in ELSEWHERE where it is done"
        );
    })
    .await;
}

async fn signing_in(stage: &Stage, log: &Auditor<'_>) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    log.ready().await;

    let browser = stage.browser();
    let credentials = json!({"username": "ada", "password": stage.password()});
    assert!(browser.post("/api/v1/login", credentials.clone()).await.status < 300);
    log.hides(browser.cookie_header("/").split(['=', ';']).nth(1).unwrap());
    log.tells("somebody signs in", &[entry("user.signed_in", &me, json!({"user": me}))]).await;

    let wrong = json!({"username": "ada", "password": "Tr0ub4dor&3"});
    log.hides("Tr0ub4dor&3");
    assert_eq!(stage.browser().post("/api/v1/login", wrong).await.status, 401);
    log.tells("somebody fails to", &[entry("user.sign_in_refused", "stranger", json!({"way": "password"}))]).await;

    let confirmed = browser.post("/api/v1/me/confirm", json!({"password": stage.password()})).await;
    assert!(confirmed.status < 300, "{confirmed:?}");
    log.tells("somebody shows again that it is them", &[entry("user.confirmed", &me, json!({"user": me}))]).await;

    let signed_out = [entry("user.signed_out", &me, json!({"user": me}))];
    assert!(browser.post("/api/v1/logout", json!({})).await.status < 300);
    log.tells("somebody signs out", &signed_out).await;
    assert!(browser.post("/api/v1/logout", json!({})).await.status < 300);
    log.tells("nobody signs out", &[]).await;

    assert!(browser.post("/api/v1/login", credentials).await.status < 300);
    log.ready().await;
    let listed = ada.get("/api/v1/me/browsers").await.json();
    let others = listed["data"].as_array().unwrap().iter().filter(|other| other["current"] == json!(false));
    let other = others.map(|other| other["id"].as_str().unwrap()).next().unwrap();
    assert!(ada.delete(&format!("/api/v1/me/browsers/{other}")).await.status < 300);
    log.tells("somebody signs another browser out", &signed_out).await;

    let made = ada.post("/api/v1/tokens", json!({"name": "deploy", "scopes": ["read"]})).await;
    let token = made.at("/id");
    log.hides(made.at("/token"));
    log.tells("a token is made", &[entry("api_token.created", &me, json!({"token": token, "user": me}))]).await;
    assert!(ada.delete(&format!("/api/v1/tokens/{token}")).await.status < 300);
    log.tells("a token is withdrawn", &[entry("api_token.revoked", &me, json!({"token": token}))]).await;
}

async fn accounts(stage: &Stage, log: &Auditor<'_>) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    log.ready().await;
    let made = ada.post("/api/v1/users", json!({"username": "bob", "role": "moderator"})).await;
    let bob = made.at("/id");
    log.hides(made.at("/one_time_password"));
    let told = entry("user.created", &me, json!({"user": bob, "role": "moderator"}));
    log.tells("an account is made", &[told]).await;

    let path = format!("/api/v1/users/{bob}");
    assert!(ada.patch(&path, json!({"role": "analyst"})).await.status < 300);
    let told = entry("user.role_changed", &me, json!({"user": bob, "from": "moderator", "to": "analyst"}));
    log.tells("an account gets another role", &[told]).await;
    for (disabled, kind) in [(true, "user.disabled"), (false, "user.enabled")] {
        assert!(ada.patch(&path, json!({"disabled": disabled})).await.status < 300);
        log.tells("an account is shut or opened", &[entry(kind, &me, json!({"user": bob}))]).await;
    }
    let anew = ada.post(&format!("{path}/password"), json!({})).await;
    log.hides(anew.at("/one_time_password"));
    log.tells("an account gets a new password", &[entry("user.password_changed", &me, json!({"user": bob}))]).await;

    // Bob by himself: a password of his own, a second factor, and what he does when it is lost.
    let browser = stage.browser();
    let once = json!({"username": "bob", "password": anew.at("/one_time_password")});
    let ticket = browser.post("/api/v1/login", once).await.at("/ticket");
    assert_eq!(
        browser.post("/api/v1/login/password", json!({"ticket": ticket, "password": PASSWORD})).await.status,
        200
    );
    let changed = entry("user.password_changed", &bob, json!({"user": bob}));
    let signed_in = entry("user.signed_in", &bob, json!({"user": bob}));
    log.tells("somebody chooses their own password", &[changed.clone(), signed_in.clone()]).await;
    let (secret, codes) = crate::accounts::enrol(stage, &browser).await;
    log.hides(secret);
    codes.iter().for_each(|code| log.hides(code.as_str()));
    let added = |factor: &str| entry("user.factor_added", &bob, json!({"user": bob, "factor": factor}));
    log.tells("a second factor is added", &[added("totp"), added("recovery")]).await;
    let elsewhere = stage.browser();
    let step = elsewhere.post("/api/v1/login", json!({"username": "bob", "password": PASSWORD})).await;
    let recovery = json!({"ticket": step.at("/ticket"), "recovery": codes[0]});
    let answer = elsewhere.post("/api/v1/login/second-factor", recovery).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let used = entry("user.recovery_used", &bob, json!({"user": bob}));
    log.tells("a recovery code is used", &[used, signed_in]).await;
    assert!(ada.delete(&format!("{path}/second-factor")).await.status < 300);
    let removed = |factor: &str| entry("user.factor_removed", &me, json!({"user": bob, "factor": factor}));
    log.tells("second factors are taken away", &[removed("totp"), removed("recovery")]).await;

    let team = ada.post("/api/v1/teams", json!({"name": "Choir"})).await.at("/id");
    log.tells("a team is made", &[entry("team.created", &me, json!({"team": team}))]).await;
    let member = format!("/api/v1/teams/{team}/members/{bob}");
    assert!(ada.put(&member, json!({})).await.status < 300);
    log.tells("somebody joins it", &[entry("team.joined", &me, json!({"team": team, "user": bob}))]).await;
    assert!(ada.delete(&member).await.status < 300);
    log.tells("somebody leaves it", &[entry("team.left", &me, json!({"team": team, "user": bob}))]).await;
    assert!(ada.delete(&format!("/api/v1/teams/{team}")).await.status < 300);
    log.tells("a team is deleted", &[entry("team.deleted", &me, json!({"team": team}))]).await;
    assert!(ada.delete(&path).await.status < 300);
    log.tells("an account is deleted", &[entry("user.deleted", &me, json!({"user": bob}))]).await;
}

async fn the_house(log: &Auditor<'_>) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    log.hides("T0PSECRETPATH");
    let made = ada.post("/api/v1/webhooks", json!({"url": "https://hooks.example.org/T0PSECRETPATH"})).await;
    let webhook = made.at("/id");
    log.hides(made.at("/secret"));
    let data = json!({"webhook": webhook});
    log.tells("a webhook is made", &[entry("webhook.created", &me, data.clone())]).await;
    let path = format!("/api/v1/webhooks/{webhook}");
    assert!(ada.patch(&path, json!({"types": ["event.*"]})).await.status < 300);
    log.tells("a webhook is changed", &[entry("webhook.changed", &me, data.clone())]).await;
    log.hides(ada.post(&format!("{path}/rotate"), json!({})).await.at("/secret"));
    log.tells("a webhook gets a new secret", &[entry("webhook.rotated", &me, data.clone())]).await;
    let delivery = ada.post(&format!("{path}/test"), json!({})).await.at("/id");
    log.tells("a test tells nobody anything", &[]).await;
    assert!(ada.post(&format!("{path}/deliveries/{delivery}/replay"), json!({})).await.status < 300);
    let told = entry("webhook.replayed", &me, json!({"webhook": webhook, "delivery": delivery}));
    log.tells("a delivery is sent again", &[told]).await;
    assert!(ada.delete(&path).await.status < 300);
    log.tells("a webhook is deleted", &[entry("webhook.deleted", &me, data)]).await;

    assert!(ada.get("/api/v1/log/export").await.status < 300);
    log.tells("the log is taken away", &[entry("log.exported", &me, json!({}))]).await;
}

/// The event that the rest happens in.
async fn the_event(stage: &Stage, log: &Auditor<'_>) -> String {
    let ada = &log.ada;
    let me = id_of(ada).await;
    let event = ada.create_event("Evening").await;
    let about = json!({"event": event});
    log.tells("an event is made", &[entry("event.created", &me, about.clone())]).await;
    let path = format!("/api/v1/events/{event}");
    let policy = json!({"policy": {"messages": {"per_second": 100}}});
    assert!(ada.patch(&path, policy).await.status < 300);
    log.tells("its settings change", &[entry("event.changed", &me, about.clone())]).await;
    let template = format!("{path}/templates/sms/invitation/en");
    assert!(ada.put(&template, json!({"body": "{name}: {link}"})).await.status < 300);
    log.tells("its texts change", &[entry("event.changed", &me, about.clone())]).await;
    assert!(ada.delete(&template).await.status < 300);
    log.tells("its texts change back", &[entry("event.changed", &me, about)]).await;

    let made = ada.post(&format!("{path}/stream-keys"), json!({})).await;
    let (key, text) = (made.at("/id"), made.at("/key"));
    log.hides(text.as_str());
    let about = json!({"event": event, "key": key});
    log.tells("a stream key is made", &[entry("stream_key.created", &me, about.clone())]).await;
    let attempt = PublishAttempt { key: &text, address: [192, 0, 2, 1].into() };
    let allowed = stage.access.publish(attempt).await.unwrap();
    stage.access.published(&allowed).await.unwrap();
    log.tells("an encoder comes with it", &[entry("stream_key.used", "publisher", about.clone())]).await;
    let elsewhere = PublishAttempt { address: [198, 51, 100, 1].into(), ..attempt };
    let allowed = stage.access.publish(elsewhere).await.unwrap();
    log.ready().await;
    stage.access.published(&allowed).await.unwrap();
    let news = log.news().await;
    let suspected = news.into_iter().filter(|entry| entry["type"] != "incident.raised").collect();
    let because = json!({"event": event, "key": key, "because": "other_network"});
    log.compare("it comes from elsewhere", suspected, &[entry("stream_key.suspected", "system", because)]);
    assert!(ada.patch(&format!("{path}/stream-keys/{key}"), json!({"name": "Camera 2"})).await.status < 300);
    log.tells("a stream key is changed", &[entry("stream_key.changed", &me, about.clone())]).await;
    let rotated = ada.post(&format!("{path}/stream-keys/{key}/rotate"), json!({})).await;
    log.hides(rotated.at("/new/key"));
    let successor = rotated.at("/new/id");
    let told = [
        entry("stream_key.created", &me, json!({"event": event, "key": successor})),
        entry("stream_key.rotated", &me, json!({"event": event, "key": key, "successor": successor})),
    ];
    log.tells("a stream key gets a successor", &told).await;
    assert!(ada.delete(&format!("{path}/stream-keys/{key}")).await.status < 300);
    log.tells("a stream key is withdrawn", &[entry("stream_key.revoked", &me, about)]).await;
    let shown = ada.get(&format!("{path}/ingest")).await;
    log.hides(shown.at("/stream_key"));
    let told = entry("stream_key.revealed", &me, json!({"event": event, "key": shown.at("/key_id")}));
    log.tells("a stream key is shown", &[told]).await;

    let other = ada.create_event("Another").await;
    log.ready().await;
    assert!(ada.delete(&format!("/api/v1/events/{other}")).await.status < 300);
    log.tells("an event is deleted", &[entry("event.deleted", &me, json!({"event": other}))]).await;
    event
}

async fn invitees(log: &Auditor<'_>, event: &str) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    let base = format!("/api/v1/events/{event}/invitations");
    for secret in ["+33612345678", "612345678", "hedy@secret.example", "likes jazz"] {
        log.hides(secret);
    }
    let person = json!({"name": "Hedy", "phone": "+33612345678", "email": "hedy@secret.example", "note": "likes jazz"});
    let made = ada.post(&base, person).await;
    assert_eq!(made.status, 201, "{made:?}");
    let hedy = made.at("/id");
    log.hides(made.at("/code"));
    let about = json!({"event": event, "invitation": hedy});
    let one = |kind| [entry(kind, &me, about.clone())];
    log.tells("somebody is invited", &one("invitation.created")).await;
    let path = format!("{base}/{hedy}");
    assert!(ada.patch(&path, json!({"plus_ones": 1})).await.status < 300);
    log.tells("an invitation is changed", &one("invitation.changed")).await;
    assert!(ada.get(&format!("{path}/contact")).await.status < 300);
    log.tells("a contact is shown", &one("invitation.contact_revealed")).await;
    assert_eq!(ada.get(&format!("{path}/code")).await.at("/code"), made.at("/code"));
    log.tells("a code is shown", &one("invitation.code_revealed")).await;
    assert!(ada.get(&path).await.status < 300);
    assert!(ada.get(&format!("{base}?search=hedy")).await.status < 300);
    log.tells("looking at masks is no act", &[]).await;
    let these = json!({"ids": [hedy]});
    assert!(ada.post(&format!("{base}/tags"), json!({"selection": these, "add": ["vip"]})).await.status < 300);
    log.tells("invitees are tagged", &[entry("invitation.tagged", &me, json!({"event": event, "count": 1}))]).await;

    let renewed = ada.post(&format!("{base}/regenerate"), json!({"selection": these})).await;
    assert_eq!(renewed.at("/changed"), "1");
    let told = entry("invitation.codes_replaced", &me, json!({"event": event, "count": 1, "invitation": hedy}));
    log.tells("a code is replaced", &[told]).await;
    log.hides(ada.get(&format!("{path}/code")).await.at("/code"));
    let ruth = ada.invite(event, "Ruth").await;
    log.hides(ruth.code.as_str());
    log.ready().await;
    let everybody = json!({"selection": {"filter": {}}, "send": {"channel": "sms"}});
    let renewed = ada.post(&format!("{base}/regenerate"), everybody).await;
    let told = [
        entry("invitation.codes_replaced", &me, json!({"event": event, "count": 2})),
        entry("send.created", &me, json!({"event": event, "send": renewed.at("/send")})),
    ];
    log.tells("all codes are replaced and told", &told).await;
    let send = renewed.at("/send");
    assert!(ada.post(&format!("/api/v1/events/{event}/sends/{send}/cancel"), json!({})).await.status < 300);
    log.tells("an order is called off", &[entry("send.cancelled", &me, json!({"event": event, "send": send}))]).await;

    assert!(ada.post(&format!("{path}/block"), json!({"reason": "Sorry"})).await.status < 300);
    log.tells("an invitee is kept out", &one("invitation.blocked")).await;
    assert!(ada.post(&format!("{path}/unblock"), json!({})).await.status < 300);
    log.tells("an invitee is let in again", &one("invitation.unblocked")).await;
    assert!(ada.get(&format!("{path}/personal-data")).await.status < 300);
    log.tells("somebody's data is handed out", &one("invitation.personal_data_exported")).await;
    assert!(ada.delete(&format!("{path}/personal-data")).await.status < 300);
    log.tells("somebody is forgotten", &one("invitation.erased")).await;
    assert!(ada.delete(&format!("{base}/{}", ruth.id)).await.status < 300);
    let told = entry("invitation.revoked", &me, json!({"event": event, "invitation": ruth.id}));
    log.tells("an invitation is withdrawn", &[told]).await;
}

async fn lists(stage: &Stage, log: &Auditor<'_>, event: &str) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    let upload = Request::post(format!("/api/v1/events/{event}/imports?name=guests.csv"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", "text/csv");
    let made = ada.raw(upload.body(Body::from("Name,Phone\nGrace,+33612340001\nHopper,\n")).unwrap()).await;
    log.hides("+33612340001");
    let import = made.at("/id");
    log.tells("a list that only lies there", &[]).await;
    let start = json!({"mapping": {"name": 0, "phone": 1}});
    let path = format!("/api/v1/events/{event}/imports/{import}/start");
    assert!(ada.post(&path, start).await.status < 300);
    let told = entry("import.started", &me, json!({"event": event, "import": import}));
    log.tells("a list is imported", &[told]).await;
    stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
    let ended = json!({"event": event, "import": import, "created": 2, "merged": 0});
    log.tells("it is read to its end", &[entry("import.ended", "system", ended)]).await;

    let taken = ada.get(&format!("/api/v1/events/{event}/invitations/export?format=csv&search=grace")).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let told = json!({"event": event, "count": 1, "whom": "matching"});
    log.tells("a list is taken away", &[entry("invitation.list_exported", &me, told)]).await;
}

async fn viewers(stage: &Stage, log: &Auditor<'_>, event: &str) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    let base = format!("/api/v1/events/{event}");
    let [one, two, three] =
        [ada.invite(event, "One").await, ada.invite(event, "Two").await, ada.invite(event, "Three").await];
    log.ready().await;
    let mut sessions = Vec::new();
    for guest in [&one, &two, &three] {
        let browser = stage.browser();
        let hls = browser.enter(event, &guest.code).await;
        log.hides(guest.code.as_str());
        log.hides(hls.split("/live/").nth(1).unwrap().split('/').next().unwrap());
        let session = browser.current(event).await.at("/id");
        let about = json!({"event": event, "session": session, "invitation": guest.id});
        log.tells("a code is redeemed", &[entry("session.started", &session, about)]).await;
        sessions.push((browser, session));
    }
    let path = format!("{base}/invitations/{}", three.id);
    assert!(ada.patch(&path, json!({"plus_ones": 1})).await.status < 300);
    let told = entry("invitation.changed", &me, json!({"event": event, "invitation": three.id}));
    log.tells("somebody may bring a guest", &[told]).await;
    let (browser, session) = &sessions[2];
    let brought = browser.post(&format!("{base}/sessions/current/guests"), json!({"name": "Plus one"})).await;
    assert_eq!(brought.status, 201, "{brought:?}");
    log.hides(brought.at("/code"));
    let list = ada.get(&format!("{base}/invitations?search=plus")).await;
    let guest = list.at("/data/0/id");
    let told = [
        entry("invitation.created", session, json!({"event": event, "invitation": guest})),
        entry("invitation.guest_brought", session, json!({"event": event, "invitation": three.id, "guest": guest})),
    ];
    log.tells("somebody brings a guest", &told).await;
    let ended = |session: &str, reason: &str| json!({"event": event, "session": session, "reason": reason});
    let refused = |reason: &str, invitation: &str| {
        let about = json!({"event": event, "reason": reason, "invitation": invitation});
        entry("session.refused", "stranger", about)
    };

    log.hides("AAAA-BBBB-CCCC");
    assert_eq!(stage.browser().redeem(event, "AAAA-BBBB-CCCC").await.status, 403);
    let nobodys = entry("session.refused", "stranger", json!({"event": event, "reason": "wrong_code"}));
    log.tells("a wrong code is refused", &[nobodys]).await;

    let (browser, session) = &sessions[0];
    assert!(browser.delete(&format!("{base}/sessions/current")).await.status < 300);
    log.tells("somebody leaves", &[entry("session.ended", session, ended(session, "left"))]).await;
    let (_, session) = &sessions[1];
    let kick = json!({"reason": "You know why", "block": true});
    log.hides("You know why");
    assert!(ada.post(&format!("{base}/viewers/{session}/kick"), kick).await.status < 300);
    let told = [
        entry("session.ended", &me, ended(session, "blocked")),
        entry("invitation.blocked", &me, json!({"event": event, "invitation": two.id})),
    ];
    log.tells("somebody is sent out for good", &told).await;
    assert_eq!(stage.browser().redeem(event, &two.code).await.status, 403);
    log.tells("who is kept out is refused", &[refused("blocked", &two.id)]).await;
    let over = ada.post(&format!("{base}/viewers/end-all"), json!({"reason": "Good night"})).await;
    assert_eq!(over.at("/sessions"), "1", "{over:?}");
    let told = entry("event.sessions_ended", &me, json!({"event": event, "count": 1, "epoch": 1}));
    log.tells("everybody is sent home", &[told]).await;

    // An invitation that is withdrawn takes its session along, and its code is refused from then on.
    let browser = stage.browser();
    browser.enter(event, &one.code).await;
    let session = browser.current(event).await.at("/id");
    log.ready().await;
    assert!(ada.delete(&format!("{base}/invitations/{}", one.id)).await.status < 300);
    let told = [
        entry("invitation.revoked", &me, json!({"event": event, "invitation": one.id})),
        entry("session.ended", &me, ended(&session, "revoked")),
    ];
    log.tells("somebody who watches is not invited any more", &told).await;
    assert_eq!(stage.browser().redeem(event, &one.code).await.status, 410);
    log.tells("who is not invited any more is refused", &[refused("withdrawn", &one.id)]).await;
}

async fn takeovers(stage: &Stage, log: &Auditor<'_>, event: &str) {
    for (approve, state) in [(true, "approved"), (false, "declined")] {
        let guest = log.ada.invite(event, "Guest").await;
        log.hides(guest.code.as_str());
        let (telephone, laptop) = (stage.browser(), stage.browser());
        telephone.enter(event, &guest.code).await;
        let holder = telephone.current(event).await.at("/id");
        log.ready().await;
        let asked = laptop.redeem(event, &guest.code).await;
        let takeover = asked.at("/takeover/id");
        let about = json!({"event": event, "takeover": takeover, "invitation": guest.id, "session": holder});
        log.tells("another device asks for a code", &[entry("takeover.asked", "stranger", about)]).await;
        let question = format!("/api/v1/events/{event}/sessions/current/takeovers/{takeover}");
        assert_eq!(telephone.post(&question, json!({"approve": approve})).await.at("/state"), state);
        let changed = |state| json!({"event": event, "takeover": takeover, "state": state});
        log.tells("that is answered", &[entry("takeover.changed", &holder, changed(state))]).await;
        if approve {
            laptop.enter(event, &guest.code).await;
            let session = laptop.current(event).await.at("/id");
            let over = json!({"event": event, "session": holder, "reason": "taken_over"});
            let begun = json!({"event": event, "session": session, "invitation": guest.id});
            let told = [
                entry("session.ended", "system", over),
                entry("session.started", &session, begun),
                entry("takeover.changed", "stranger", changed("claimed")),
            ];
            log.tells("the evening moves to the other device", &told).await;
        }
    }
}

async fn messages(stage: &Stage, log: &Auditor<'_>, event: &str) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    let base = format!("/api/v1/events/{event}");
    let person = json!({"name": "Rosalind", "phone": "+33612340002"});
    log.hides("+33612340002");
    let rosalind = ada.post(&format!("{base}/invitations"), person).await.at("/id");
    let nobody = ada.invite(event, "Nobody").await;
    log.ready().await;
    let order = json!({"selection": {"ids": [rosalind, nobody.id]}, "channel": "sms", "kind": "invitation"});
    let send = ada.post(&format!("{base}/sends"), order).await.at("/id");
    let about = json!({"event": event, "send": send});
    log.tells("messages are ordered", &[entry("send.created", &me, about.clone())]).await;
    let path = format!("{base}/sends/{send}");
    assert!(ada.post(&format!("{path}/pause"), json!({})).await.status < 300);
    let paused = json!({"event": event, "send": send, "because": "person"});
    log.tells("an order is stopped", &[entry("send.paused", &me, paused)]).await;
    assert!(ada.post(&format!("{path}/resume"), json!({})).await.status < 300);
    log.tells("it goes on", &[entry("send.resumed", &me, about.clone())]).await;
    for _ in 0..4 {
        stage.messages.turn().await.unwrap();
        stage.pass(1);
    }
    let of =
        async |invitation: &str| ada.get(&format!("{base}/messages?invitation={invitation}")).await.at("/data/0/id");
    let (sent, failed) = (of(&rosalind).await, of(&nobody.id).await);
    let why = json!({"event": event, "message": failed, "reason": "no_address"});
    let told = [
        entry("message.sent", "system", json!({"event": event, "message": sent})),
        entry("message.failed", "system", why.clone()),
        entry("send.done", "system", about.clone()),
    ];
    log.tells("it is carried out", &told).await;
    assert!(ada.post(&format!("{base}/messages/{failed}/retry"), json!({})).await.status < 300);
    let told = entry("message.ordered", &me, json!({"event": event, "message": failed}));
    log.tells("one that failed is tried again", &[told]).await;
    for _ in 0..3 {
        stage.messages.turn().await.unwrap();
        stage.pass(1);
    }
    let told = [entry("message.failed", "system", why), entry("send.done", "system", about.clone())];
    log.tells("and fails again", &told).await;

    let retry = format!("{path}/retry");
    assert_eq!(ada.post(&retry, json!({})).await.at("/retried"), "1");
    let told = entry("send.retried", &me, json!({"event": event, "send": send, "count": 1}));
    log.tells("all that failed is tried again", &[told]).await;
    for _ in 0..3 {
        stage.messages.turn().await.unwrap();
        stage.pass(1);
    }
    log.ready().await;

    log.hides("Where are you?");
    let words = json!({"channel": "sms", "body": "Where are you?"});
    let written = ada.post(&format!("{base}/invitations/{rosalind}/message"), words).await;
    let told = entry("message.ordered", &me, json!({"event": event, "message": written.at("/id")}));
    log.tells("somebody is written to", &[told]).await;
}

async fn incidents(stage: &Stage, log: &Auditor<'_>, event: &str) {
    let ada = &log.ada;
    let me = id_of(ada).await;
    for _ in 0..25 {
        let guesser = stage.browser();
        for _ in 0..4 {
            guesser.redeem(event, "AAAA-BBBB-CCCC").await;
        }
    }
    let listed = ada.get(&format!("/api/v1/events/{event}/incidents")).await;
    let incident = listed.at("/data/0/id");
    let raised = log.news().await.into_iter().filter(|entry| entry["type"] == "incident.raised").collect();
    let about = json!({"event": event, "incident": incident, "kind": "code_guessing"});
    log.compare("something odd is noticed", raised, &[entry("incident.raised", "system", about)]);
    log.ready().await;
    assert!(ada.post(&format!("/api/v1/incidents/{incident}/acknowledge"), json!({})).await.status < 300);
    let about = json!({"event": event, "incident": incident});
    log.tells("somebody has seen it", &[entry("incident.acknowledged", &me, about)]).await;
}
