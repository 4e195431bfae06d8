//! Codes through the API: new ones for many, races about one, and guests with one of their own.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use stagedoor_server::config::{Config, Hidden, Http, Sms, SmsGateway};
use stagedoor_server::ports::db::{Db, Tx};
use stagedoor_testkit::twilio::{self, Behave, Twilio};
use tokio_util::sync::CancellationToken;

use crate::messaging::report;
use crate::stage::{Answer, Browser, HOST, Stage, configured_on_both, on_both};

/// More than get new codes while a request waits.
const PEOPLE: u32 = 1_005;

fn phone(number: u32) -> String {
    format!("+336{number:08}")
}

/// Everybody of a list, as an organiser brings it.
async fn import(stage: &Stage, admin: &Browser<'_>, event: &str, people: u32) {
    let rows = (0..people).map(|number| format!("Guest {number:04},{}\n", phone(number)));
    let list = format!("Name,Phone\n{}", rows.collect::<String>());
    let upload = Request::post(format!("/api/v1/events/{event}/imports"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", "text/csv");
    let import = admin.raw(upload.body(Body::from(list)).unwrap()).await.at("/id");
    let start = json!({"mapping": {"name": 0, "phone": 1}});
    assert_eq!(admin.post(&format!("/api/v1/events/{event}/imports/{import}/start"), start).await.status, 202);
    stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
}

async fn code_of(admin: &Browser<'_>, event: &str, name: &str) -> (String, String) {
    let found = admin.get(&format!("/api/v1/events/{event}/invitations?search={}", name.replace(' ', "%20"))).await;
    let id = found.at("/data/0/id");
    let code = admin.get(&format!("/api/v1/events/{event}/invitations/{id}/code")).await.at("/code");
    (id, code)
}

#[tokio::test]
async fn everybody_gets_a_new_code_step_by_step_and_whoever_looks_sees_how_far_it_is() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        import(stage, &admin, &event, PEOPLE).await;
        let (_, code) = code_of(&admin, &event, "Guest 0007").await;
        let viewer = stage.browser();
        let media = viewer.enter(&event, &code).await;

        let everybody = json!({"selection": {"filter": {}}});
        let counted = admin.post(&format!("{base}/invitations/count"), everybody).await;
        assert_eq!(counted.json(), json!({"people": PEOPLE, "watching": 1}));
        let outside = json!({"selection": {"filter": {"states": ["created"]}}});
        let counted = admin.post(&format!("{base}/invitations/count"), outside).await;
        assert_eq!(counted.json(), json!({"people": PEOPLE - 1, "watching": 0}));

        let body = json!({"selection": {"filter": {}}, "send": {"channel": "sms"}, "reason": "See your messages."});
        let moderator = stage.person(&admin, "mo", "moderator").await;
        moderator.post(&format!("{base}/invitations/regenerate"), body.clone()).await.refused(403, "role_too_low");
        let ordered = admin.post(&format!("{base}/invitations/regenerate"), body.clone()).await;
        assert_eq!((ordered.status, ordered.at("/renewal/state")), (202, "running".into()), "{ordered:?}");
        assert_eq!((ordered.at("/changed"), ordered.at("/send")), ("0".into(), ordered.at("/renewal/send")));
        admin.post(&format!("{base}/invitations/regenerate"), body).await.refused(409, "renewal_running");
        let path = format!("{base}/renewals/{}", ordered.at("/renewal/id"));
        moderator.delete(&path).await.refused(403, "role_too_low");
        assert_eq!(moderator.get(&path).await.at("/total"), PEOPLE.to_string());
        assert!(stage.lets_in(&media).await, "nothing was done yet");

        // The process that took the order has died; the next one finds it, and a process that was slow does nothing twice.
        let (next, _) = stage.restarted().await;
        next.turn_renewals(&CancellationToken::new()).await.unwrap();
        stage.access.turn_renewals(&CancellationToken::new()).await.unwrap();
        let done = admin.get(&path).await.json();
        assert_eq!((&done["state"], &done["changed"]), (&json!("done"), &json!(PEOPLE)));
        assert_eq!((&done["seen"], &done["sessions_ended"]), (&json!(PEOPLE), &json!(1)));
        let list = admin.get(&format!("{base}/renewals")).await.json();
        assert_eq!(list["data"], json!([done]));
        stage.browser().redeem(&event, &code).await.refused(403, "code_invalid");
        let (_, new) = code_of(&admin, &event, "Guest 0007").await;
        assert_ne!(new, code);
        let send = admin.get(&format!("{base}/sends/{}", ordered.at("/send"))).await.json();
        assert_eq!((&send["total"], &send["queued"]), (&json!(PEOPLE), &json!(PEOPLE)));
        assert_eq!(admin.delete(&path).await.status, 404, "it is over");
        let other = admin.create_event("Other").await;
        let elsewhere = path.replace(&event, &other);
        admin.get(&elsewhere).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_guest_of_a_guest_list_brings_a_friend_who_watches_beside_them() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let guests = format!("{base}/sessions/current/guests");
        let made = admin.post(&format!("{base}/invitations"), json!({"name": "Ada", "plus_ones": 2})).await;
        let (host, code) = (made.at("/id"), made.at("/code"));
        let viewer = stage.browser();
        viewer.get(&guests).await.refused(401, "no_session");
        viewer.post(&guests, json!({"name": "Bob"})).await.refused(401, "no_session");
        let media = viewer.enter(&event, &code).await;
        assert_eq!(viewer.get(&guests).await.json(), json!({"guests": [], "left": 2}));
        let bob = viewer.post(&guests, json!({"name": " Bob "})).await;
        assert_eq!((bob.status, bob.at("/name"), bob.at("/left")), (201, "Bob".into(), "1".into()), "{bob:?}");
        assert_eq!(bob.at("/link"), format!("http://{HOST}/e/{event}#{}", bob.at("/code")));
        let listed = viewer.get(&guests).await.json();
        assert_eq!(listed["guests"][0]["code"], bob.json()["code"], "it is shown again while it waits");
        for (body, status, code) in [
            (json!({"name": ""}), 422, "invalid"),
            (json!({"name": "x".repeat(201)}), 422, "invalid"),
            (json!({"name": "a\nb"}), 422, "invalid"),
            (json!({"name": "Eve", "plus_ones": 9}), 422, "invalid"),
        ] {
            viewer.post(&guests, body).await.refused(status, code);
        }
        let friend = stage.browser();
        let theirs = friend.enter(&event, &bob.at("/code")).await;
        assert!(stage.lets_in(&media).await && stage.lets_in(&theirs).await, "at the same time");
        friend.post(&guests, json!({"name": "Eve"})).await.refused(409, "no_guests_left");
        let listed = viewer.get(&guests).await.json();
        assert_eq!(listed["guests"], json!([{"name": "Bob", "state": "redeemed"}]));
        stage.pass(1);
        assert_eq!(viewer.post(&guests, json!({"name": "Carl"})).await.status, 201);
        viewer.post(&guests, json!({"name": "Dan"})).await.refused(409, "no_guests_left");

        // The organiser sees who brought whom, and one more is theirs to give.
        let detail = admin.get(&format!("{base}/invitations/{host}")).await.json();
        assert_eq!(detail["guests"].as_array().unwrap().len(), 2);
        assert_eq!((&detail["guests"][0]["name"], &detail["guests"][0]["guest_of"]), (&json!("Bob"), &json!(host)));
        let log = admin.get(&format!("/api/v1/log?event={event}&limit=100")).await.text;
        assert_eq!(log.matches("\"invitation.guest_brought\"").count(), 2, "{log}");
        assert_eq!(admin.patch(&format!("{base}/invitations/{host}"), json!({"plus_ones": 3})).await.status, 200);
        assert_eq!(viewer.get(&guests).await.at("/left"), "1");

        // Without a host, nobody's guest.
        assert_eq!(admin.delete(&format!("{base}/invitations/{host}")).await.status, 204);
        assert!(!stage.lets_in(&media).await && !stage.lets_in(&theirs).await);
        stage.browser().redeem(&event, &bob.at("/code")).await.refused(410, "access_ended");
        viewer.get(&guests).await.refused(401, "access_ended");
    })
    .await;
}

/// A gateway that tells nobody anything, whose reports are signed.
fn gateway(server: &Twilio) -> Config {
    Config {
        http: Http { public_url: Some("https://stage.test".into()), ..Http::default() },
        sms: Sms {
            gateway: SmsGateway::Twilio,
            account_sid: Some(twilio::ACCOUNT.into()),
            auth_token: Some(Hidden::new(twilio::TOKEN)),
            from: Some("+15005550006".into()),
            base_url: server.url(),
            ..Sms::default()
        },
        ..Config::default()
    }
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    db.one(sql, []).await.unwrap().unwrap().int("n").unwrap()
}

/// Everything that can happen to one invitation, at the same moment, again and again.
#[tokio::test]
async fn whatever_happens_to_a_code_at_once_there_is_one_session_on_it_at_most_and_none_on_an_old_one() {
    const ROUNDS: u32 = 60;
    let server = Twilio::start().await;
    configured_on_both(gateway(&server), async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let policy = json!({"policy": {"messages": {"per_second": 100}}});
        assert_eq!(admin.patch(&format!("/api/v1/events/{event}"), policy).await.status, 200);
        let base = format!("/api/v1/events/{event}/invitations");
        for round in 0..ROUNDS {
            let body = json!({"name": "Ada", "phone": phone(round)});
            let made = admin.post(&base, body).await;
            let (id, code) = (made.at("/id"), made.at("/code"));
            let (holder, other) = (stage.browser(), stage.browser());
            let media = holder.enter(&event, &code).await;
            let order = json!({"selection": {"ids": [&id]}, "channel": "sms", "kind": "reminder"});
            assert_eq!(admin.post(&format!("/api/v1/events/{event}/sends"), order).await.status, 201);
            stage.messages.turn().await.unwrap();
            stage.pass(1);
            let message = server.taken().last().unwrap().clone();
            assert_eq!(message.to, phone(round));
            let says = [("MessageSid", message.sid.as_str()), ("MessageStatus", "delivered"), ("To", "+33600000000")];
            let (path, regenerate) = (format!("{base}/{id}"), format!("{base}/regenerate"));
            let renew = json!({"selection": {"ids": [&id]}, "send": {"channel": "sms"}});
            let revoke = async || match round % 3 {
                0 => Some(admin.delete(&path).await),
                _ => None,
            };
            let (changed, first, second, entered, reported, carried, revoked) = tokio::join!(
                admin.patch(&path, json!({"name": "Ada L.", "plus_ones": 1})),
                admin.post(&regenerate, renew.clone()),
                admin.post(&regenerate, renew.clone()),
                other.redeem(&event, &code),
                report(stage, &message.callback, &says, &message.callback),
                stage.messages.turn(),
                revoke(),
            );
            carried.unwrap();
            let all = [&changed, &first, &second, &entered, &reported];
            assert!(all.iter().all(|answer| answer.status < 500), "round {round}: {all:?}");
            assert_eq!((changed.status, reported.status), (200, 204), "round {round}: {all:?}");
            assert!([201, 202, 403, 409, 410].contains(&entered.status), "round {round}: {entered:?}");
            let renewed = |answer: &Answer| answer.json()["changed"].as_u64().unwrap();
            let codes = renewed(&first) + renewed(&second);
            assert!(codes == 2 || revoked.is_some(), "round {round}: {first:?} {second:?}");

            // The holder is out as soon as there was a new code or none at all; so is whoever came with the old one.
            assert!(!stage.lets_in(&media).await, "round {round}: on an old code");
            if entered.status == 201 {
                assert!(!stage.lets_in(&entered.at("/playback/hls")).await, "round {round}: on an old code as well");
            }
            let row = admin.get(&path).await.json();
            assert_eq!((&row["name"], &row["plus_ones"]), (&json!("Ada L."), &json!(1)), "what was changed is kept");
            assert_eq!(row["session"], Value::Null);
            let expected = if revoked.is_some() { (410, "access_ended") } else { (201, "") };
            let new = admin.get(&format!("{path}/code")).await.at("/code");
            let last = stage.browser().redeem(&event, &new).await;
            assert_eq!(last.status, expected.0, "round {round}: {last:?}");
            let active = "SELECT COUNT(*) AS n FROM sessions WHERE ended_at IS NULL";
            let inside = i64::from(revoked.is_none());
            assert_eq!(count(&stage.db, active).await, inside, "round {round}");
            if revoked.is_none() {
                assert_eq!(admin.delete(&path).await.status, 204);
            }
            for _ in 0..3 {
                stage.messages.turn().await.unwrap();
                stage.pass(1);
            }
        }
        let twice = "SELECT COUNT(*) AS n FROM (SELECT invitation_id FROM sessions WHERE ended_at IS NULL
                     GROUP BY invitation_id HAVING COUNT(*) > 1) AS t";
        assert_eq!(count(&stage.db, twice).await, 0);
    })
    .await;
}

/// Backends that wait for the one with this id, or for one that waits for it.
async fn waiting_for(db: &Db, pid: i64) -> i64 {
    let sql = "WITH first AS (SELECT pid FROM pg_stat_activity WHERE CAST($1 AS INT) = ANY(pg_blocking_pids(pid)))
               SELECT COUNT(*) AS n FROM pg_stat_activity a WHERE a.pid IN (SELECT pid FROM first)
               OR EXISTS (SELECT 1 FROM first f WHERE f.pid = ANY(pg_blocking_pids(a.pid)))";
    db.one(sql, [pid.into()]).await.unwrap().unwrap().int("n").unwrap()
}

/// A report about a message holds it and wants its invitation; a new code holds the invitation and wants the messages that
/// wait to tell the old one. In that order of arrival they waited for each other for ever.
#[tokio::test]
async fn a_report_of_the_gateway_and_a_new_code_do_not_wait_for_each_other() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let server = Twilio::start().await;
    configured_on_both(gateway(&server), async |stage| {
        // SQLite has one writer: nobody holds anything while somebody else does.
        if matches!(stage.db, Db::Sqlite { .. }) {
            return;
        }
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let made = admin.post(&format!("{base}/invitations"), json!({"name": "Ada", "phone": phone(1)})).await;
        let id = made.at("/id");
        // The gateway takes it, says that it has no time, and reports later that it went out: a message that is queued again.
        server.script([Behave::Refuse(429, 20_429, None)]);
        let order = json!({"selection": {"ids": [&id]}, "channel": "sms", "kind": "reminder"});
        admin.post(&format!("{base}/sends"), order).await;
        stage.messages.turn().await.unwrap();
        let message = admin.get(&format!("{base}/messages")).await;
        assert_eq!(message.at("/data/0/state"), "queued", "{message:?}");
        let callback = format!("https://stage.test/hooks/twilio/status?message={}", message.at("/data/0/id"));
        let says = [("MessageSid", "SM1"), ("MessageStatus", "delivered"), ("To", "+33600000001")];

        let mut held: Tx = stage.db.write().await.unwrap();
        let pid = held.one("SELECT CAST(pg_backend_pid() AS BIGINT) AS pid", []).await.unwrap().unwrap();
        let pid = pid.int("pid").unwrap();
        let hold = "UPDATE invitations SET name = name WHERE id = $1";
        held.execute(hold, [id.as_str().into()]).await.unwrap();
        let until = async |n: i64| {
            let begin = Instant::now();
            while waiting_for(&stage.db, pid).await < n {
                assert!(begin.elapsed() < PATIENCE, "nobody waits");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let release = async {
            until(2).await;
            drop(held);
        };
        let late_report = async {
            until(1).await;
            report(stage, &callback, &says, &callback).await
        };
        let renew = json!({"selection": {"ids": [&id]}, "send": {"channel": "sms"}});
        let regenerate = format!("{base}/invitations/regenerate");
        let (renewed, reported, ()) = tokio::join!(admin.post(&regenerate, renew), late_report, release);
        assert_eq!((renewed.status, reported.status), (200, 204), "{renewed:?} {reported:?}");
        assert_eq!(renewed.at("/changed"), "1");
        let log = count(&stage.db, "SELECT COUNT(*) AS n FROM facts WHERE data LIKE '%codes_replaced%'").await;
        assert_eq!(log, 1);
    })
    .await;
}
