//! From a template to a delivered message, through the API, and back by signed reports.

use axum::body::Body;
use http::Request;
use serde_json::json;
use stagedoor_domain::access::Organise;
use stagedoor_server::access::{Contact, NewInvitee};
use stagedoor_server::config::{Config, Hidden, Http, Sms, SmsGateway};
use stagedoor_testkit::twilio::{self, Twilio};

use crate::stage::{Answer, Browser, Stage, configured, configured_on_both, on_both, on_sqlite};

async fn invite(stage: &Stage, event: &str, name: &str, phone: &str) -> String {
    let who = stage.access.operator("ada").await.unwrap().unwrap();
    let allowed = stage.access.may(&who, Organise { event: event.parse().unwrap() }).unwrap();
    let contact = Contact { phone: Some(phone.parse().unwrap()), ..Contact::default() };
    let new = NewInvitee { contact, ..NewInvitee::named(name) };
    stage.access.invite(&allowed, who.actor, &new).await.unwrap().invitation.id.to_string()
}

async fn order(admin: &Browser<'_>, event: &str, ids: &[&String]) -> Answer {
    let body = json!({"selection": {"ids": ids}, "channel": "sms", "kind": "invitation"});
    let answer = admin.post(&format!("/api/v1/events/{event}/sends"), body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_template_is_shown_written_previewed_and_taken_back() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}/templates");
        let all = admin.get(&base).await.json();
        assert_eq!(all["data"].as_array().unwrap().len(), 24);
        assert!(all["data"].as_array().unwrap().iter().all(|each| each["built_in"] == true));
        let put = async |path: &str, body| admin.send(http::Method::PUT, &format!("{base}/{path}"), Some(body)).await;
        let written = put("sms/invitation/pt-BR", json!({"body": "Olá {name}: {link}"})).await;
        assert_eq!((written.status, written.at("/language").as_str()), (200, "pt-br"), "{written:?}");
        put("sms/invitation/en", json!({"body": "{code}"})).await;
        let all = admin.get(&base).await.json();
        let own: Vec<_> = all["data"].as_array().unwrap().iter().filter(|each| each["built_in"] == false).collect();
        assert_eq!((all["data"].as_array().unwrap().len(), own.len()), (25, 2));
        for (path, body, pointer) in [
            ("sms/invitation/en", json!({"body": "Come!"}), "/body"),
            ("sms/invitation/en", json!({"body": "{link} {nom}"}), "/body"),
            ("sms/invitation/en", json!({"body": "{link}", "subject": "x"}), "/subject"),
            ("email/invitation/en", json!({"body": "{link}"}), "/subject"),
            ("sms/invitation/en", json!({"body": "x".repeat(1_601)}), "/body"),
        ] {
            let answer = put(path, body).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), pointer, "{path}");
        }
        for path in ["fax/invitation/en", "sms/test/en", "sms/invitation/english", "sms/invitation/e", "sms/direct/en"]
        {
            put(path, json!({"body": "{link}"})).await.refused(404, "not_found");
        }
        let deleted = admin.delete(&format!("{base}/sms/invitation/pt-BR")).await;
        assert_eq!(deleted.status, 204);
        admin.delete(&format!("{base}/sms/invitation/pt-BR")).await.refused(404, "not_found");

        let preview = admin
            .post(&format!("{base}/preview"), json!({"channel": "sms", "body": "Hi {name}, {nom}: {code} – {title}"}))
            .await;
        assert_eq!(preview.status, 200, "{preview:?}");
        assert_eq!(preview.at("/text"), "Hi Ada Lovelace, {nom}: SAMP-LEXX-CODE – Evening");
        assert_eq!(preview.json()["unknown"], json!(["nom"]));
        assert_eq!((preview.at("/encoding").as_str(), preview.json()["segments"].as_u64()), ("ucs2", Some(1)));
        let guest = admin.invite(&event, "Zoë").await;
        let body = json!({"channel": "email", "subject": "{title}", "body": "{name}", "invitation": guest.id});
        let preview = admin.post(&format!("{base}/preview"), body).await.json();
        assert_eq!(
            (&preview["subject"], &preview["text"], &preview["encoding"]),
            (&json!("Evening"), &json!("Zoë"), &json!(null))
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_goes_to_the_outbox_where_its_texts_are_read() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let ada = invite(stage, &event, "Ada", "+33612345678").await;
        stage.pass(1);
        let bob = invite(stage, &event, "Bob", "+33612345679").await;
        let send = order(&admin, &event, &[&ada, &bob]).await;
        assert_eq!((send.at("/state").as_str(), send.json()["total"].as_u64()), ("running", Some(2)));
        assert_eq!(send.json()["eta_ms"], 2_000);
        stage.messages.turn().await.unwrap();
        let path = format!("{base}/sends/{}", send.at("/id"));
        let half = admin.get(&path).await.json();
        assert_eq!((&half["sent"], &half["queued"], &half["eta_ms"]), (&json!(1), &json!(1), &json!(1_000)));
        assert_eq!(admin.post(&format!("{path}/pause"), json!({})).await.at("/paused_because"), "person");
        stage.pass(5);
        stage.messages.turn().await.unwrap();
        let paused = admin.get(&path).await.json();
        assert_eq!((&paused["sent"], &paused["eta_ms"], &paused["state"]), (&json!(1), &json!(null), &json!("paused")));
        assert_eq!(admin.post(&format!("{path}/resume"), json!({})).await.at("/state"), "running");
        for _ in 0..2 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        let done = admin.get(&path).await.json();
        assert_eq!((&done["state"], &done["sent"], &done["spent_milli"]), (&json!("done"), &json!(2), &json!(0)));

        let list = admin.get(&format!("{base}/messages?send={}&state=sent", send.at("/id"))).await;
        let first = &list.json()["data"][1];
        assert_eq!((&first["name"], &first["to"]), (&json!("Ada"), &json!("+33 6 •• •• 56 78")));
        let text = first["text"].as_str().unwrap();
        assert!(text.starts_with("Ada, you are invited to Evening. Come in here: http://stage.test/e/evt_"), "{text}");
        assert!(!list.text.contains("+33612345678"));
        let of_bob = admin.get(&format!("{base}/messages?invitation={bob}")).await.json();
        assert_eq!(of_bob["data"].as_array().unwrap().len(), 1);
        let invitation = admin.get(&format!("{base}/invitations?search=ada")).await;
        assert_eq!(invitation.at("/data/0/state"), "sent");
        let messaging = admin.get(&format!("{base}/messaging")).await.json();
        assert_eq!(
            (&messaging["sms"], &messaging["email"], &messaging["per_second"]),
            (&json!("outbox"), &json!("outbox"), &json!(1))
        );

        // The code in the text opens the door.
        let code = text.rsplit('#').next().unwrap();
        stage.browser().enter(&event, code).await;

        // Once more is a new order, and nobody is told twice.
        let again = order(&admin, &event, &[&ada, &bob]).await;
        stage.messages.turn().await.unwrap();
        let again = admin.get(&format!("{base}/sends/{}", again.at("/id"))).await.json();
        assert_eq!((&again["state"], &again["total"]), (&json!("done"), &json!(0)));
        assert_eq!(admin.get(&format!("{base}/sends?limit=1")).await.json()["data"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_filter_reaches_all_who_match_and_what_makes_no_sense_is_refused() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        for (name, phone) in [("Ada", "+33612345601"), ("Adam", "+33612345602"), ("Bob", "+33612345603")] {
            invite(stage, &event, name, phone).await;
        }
        let selection = json!({"filter": {"search": "ada", "states": ["created"]}});
        let body = json!({"selection": selection, "channel": "sms", "kind": "reminder"});
        let send = admin.post(&format!("{base}/sends"), body).await;
        assert_eq!((send.status, send.json()["total"].as_u64()), (201, Some(2)), "{send:?}");
        for _ in 0..3 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        let list = admin.get(&format!("{base}/messages")).await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), 2);
        let cancelled = admin.post(&format!("{base}/sends/{}/cancel", send.at("/id")), json!({})).await;
        assert_eq!(cancelled.at("/state"), "done", "what is done is done");
        for body in [
            json!({"selection": {"ids": []}, "channel": "sms", "kind": "direct"}),
            json!({"selection": {"ids": []}, "channel": "fax", "kind": "invitation"}),
            json!({"selection": {}, "channel": "sms", "kind": "invitation"}),
            json!({"channel": "sms", "kind": "invitation"}),
        ] {
            admin.post(&format!("{base}/sends"), body).await.refused(422, "invalid");
        }
        admin.get(&format!("{base}/sends/snd_00000000000000000000000000")).await.refused(404, "not_found");
        admin.get(&format!("{base}/messages?state=lost")).await.refused(400, "bad_query");
    })
    .await;
}

#[tokio::test]
async fn in_quiet_hours_an_order_waits_until_the_morning_and_a_new_code_goes_out() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let quiet = json!({"from_minute": 19 * 60, "to_minute": 8 * 60, "utc_offset_minutes": 0});
        let evening = json!({"title": "Evening", "policy": {"messages": {"quiet_hours": quiet}}});
        let event = admin.create_event_with(evening).await;
        let base = format!("/api/v1/events/{event}");
        let ada = invite(stage, &event, "Ada", "+33612345678").await;
        let bob = invite(stage, &event, "Bob", "+33612345679").await;
        let waits = order(&admin, &event, &[&ada, &bob]).await;
        assert_eq!((waits.at("/state"), waits.at("/paused_because")), ("paused".into(), "quiet_hours".into()));
        let renewal = json!({"selection": {"ids": [ada]}, "send": {"channel": "sms"}});
        let renewed = admin.post(&format!("{base}/invitations/regenerate"), renewal).await;
        let path = format!("{base}/sends/{}", renewed.at("/send"));
        let goes = admin.get(&path).await.json();
        assert_eq!(
            (&goes["state"], &goes["paused_because"], &goes["eta_ms"]),
            (&json!("running"), &json!(null), &json!(1_000))
        );
        for _ in 0..3 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        let went = admin.get(&path).await.json();
        assert_eq!((&went["state"], &went["sent"]), (&json!("done"), &json!(1)));
        let path = format!("{base}/sends/{}", waits.at("/id"));
        let asleep = admin.get(&path).await.json();
        assert_eq!((&asleep["state"], &asleep["sent"]), (&json!("paused"), &json!(0)));

        stage.pass(13 * 3_600);
        for _ in 0..4 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        let done = stage.admin().await.get(&path).await.json();
        assert_eq!((&done["state"], &done["sent"]), (&json!("done"), &json!(2)));
    })
    .await;
}

#[tokio::test]
async fn a_test_goes_to_oneself_and_a_few_words_to_one_invitee() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let body = json!({"channel": "sms", "body": "{name}: {code}", "to": "+33612345678"});
        let test = admin.post(&format!("{base}/templates/test"), body).await;
        assert_eq!(
            (test.status, test.at("/kind"), test.at("/to")),
            (202, "test".into(), "+33 6 •• •• 56 78".into()),
            "{test:?}"
        );
        stage.messages.turn().await.unwrap();
        stage.pass(1);
        let list = admin.get(&format!("{base}/messages")).await;
        assert_eq!((list.at("/data/0/text"), list.at("/data/0/state")), ("ada: SAMP-LEXX-CODE".into(), "sent".into()));
        for to in ["0612345678", "x", "ada@example.org"] {
            let body = json!({"channel": "sms", "body": "x", "to": to});
            admin.post(&format!("{base}/templates/test"), body).await.refused(422, "invalid");
        }
        let ada = invite(stage, &event, "Ada", "+33612345678").await;
        let body = json!({"channel": "sms", "body": "We begin late, {name}."});
        let direct = admin.post(&format!("{base}/invitations/{ada}/message"), body.clone()).await;
        assert_eq!(direct.status, 202, "{direct:?}");
        stage.messages.turn().await.unwrap();
        let list = admin.get(&format!("{base}/messages?invitation={ada}")).await;
        assert_eq!((list.at("/data/0/text"), list.at("/data/0/kind")), ("We begin late, Ada.".into(), "direct".into()));
        let nobody = admin.invite(&event, "Nobody").await;
        admin.post(&format!("{base}/invitations/{}/message", nobody.id), body).await.refused(422, "invalid");
        let retry = format!("{base}/messages/{}/retry", list.at("/data/0/id"));
        admin.post(&retry, json!({})).await.refused(409, "not_failed");
    })
    .await;
}

/// As Twilio posts it to `url`.
pub async fn report(stage: &Stage, url: &str, fields: &[(&str, &str)], signed_for: &str) -> Answer {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = url.strip_prefix("https://stage.test").unwrap();
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", twilio::signature(signed_for, &fields))
        .body(Body::from(twilio::encode_form(&fields)))
        .unwrap();
    stage.browser().raw(request).await
}

#[tokio::test]
async fn signed_reports_in_any_order_lead_to_the_truth_and_unsigned_ones_to_nothing() {
    let server = Twilio::start().await;
    let config = Config {
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
    };
    configured(config, async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let ada = invite(stage, &event, "Ada & co", "+33612345678").await;
        order(&admin, &event, &[&ada]).await;
        // The answer to the request is lost, and a report comes instead of it.
        server.script([twilio::Behave::TakeAndBreak]);
        stage.messages.turn().await.unwrap();
        let taken = server.taken()[0].clone();
        let state = async || admin.get(&format!("{base}/messages")).await.at("/data/0/state");
        assert_eq!(state().await, "sending");
        let says = |status| [("MessageSid", taken.sid.as_str()), ("MessageStatus", status), ("To", "+33612345678")];
        let url = taken.callback.as_str();
        assert!(url.starts_with("https://stage.test/hooks/twilio/status?message=msg_"), "{url}");

        report(stage, url, &says("delivered"), "https://elsewhere.test/").await.refused(403, "not_signed");
        let bare = Request::post(url.strip_prefix("https://stage.test").unwrap()).body(Body::empty()).unwrap();
        stage.browser().raw(bare).await.refused(403, "not_signed");
        assert_eq!(state().await, "sending");

        for (status, expected) in [
            ("delivered", "delivered"),
            ("sent", "delivered"),
            ("delivered", "delivered"),
            ("undelivered", "delivered"),
            ("strange", "delivered"),
        ] {
            assert_eq!(report(stage, url, &says(status), url).await.status, 204, "{status}");
            assert_eq!(state().await, expected, "{status}");
        }
        assert_eq!(admin.get(&format!("{base}/invitations")).await.at("/data/0/state"), "delivered");
        for _ in 0..20 {
            stage.pass(30);
            stage.messages.turn().await.unwrap();
        }
        assert_eq!((server.requests(), server.looks()), (1, 0), "nobody needs to look any more");
        let other = url.replace(&url[url.len() - 4..], "zzzz");
        assert_eq!(report(stage, &other, &says("delivered"), &other).await.status, 204, "an unknown message");

        let inbound = "https://stage.test/hooks/twilio/inbound";
        let says = |body| [("From", "+33612345678"), ("Body", body), ("MessageSid", "SM9")];
        report(stage, inbound, &says("STOP"), url).await.refused(403, "not_signed");
        let opted_out = async || admin.get(&format!("{base}/messaging")).await.json()["opted_out"].as_u64().unwrap();
        for (body, expected) in [("hello", 0), (" Stop ", 1), ("stop", 1), ("HELP", 1), ("START", 0), ("ARRÊT", 1)] {
            let answer = report(stage, inbound, &says(body), inbound).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml"), "{answer:?}");
            assert_eq!(opted_out().await, expected, "{body}");
        }
        // Who opted out is not written to.
        let body = json!({"channel": "sms", "body": "Hello"});
        admin.post(&format!("{base}/invitations/{ada}/message"), body).await;
        stage.messages.turn().await.unwrap();
        let list = admin.get(&format!("{base}/messages?state=suppressed")).await;
        assert_eq!(list.at("/data/0/error"), "opted_out");
        assert_eq!(server.requests(), 1);
    })
    .await;
}

fn by(server: &Twilio) -> Config {
    Config {
        sms: Sms {
            gateway: SmsGateway::Twilio,
            account_sid: Some(twilio::ACCOUNT.into()),
            auth_token: Some(Hidden::new(twilio::TOKEN)),
            from: Some("+15005550006".into()),
            base_url: server.url(),
            price_milli: 100,
            prices_milli: vec![("+44".into(), 250)],
            ..Sms::default()
        },
        ..Config::default()
    }
}

#[tokio::test]
async fn a_report_that_overtakes_the_answer_leaves_whom_the_message_went_to_and_not_what_it_said() {
    let server = Twilio::start().await;
    let config =
        Config { http: Http { public_url: Some("https://stage.test".into()), ..Http::default() }, ..by(&server) };
    configured_on_both(config, async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let ada = invite(stage, &event, "Ada", "+33612345678").await;
        server.script([twilio::Behave::TakeSlowly(std::time::Duration::from_secs(1))]);
        let before = server.taken().len();
        order(&admin, &event, &[&ada]).await;
        let turns = async {
            for _ in 0..3 {
                stage.messages.turn().await.unwrap();
                stage.pass(1);
            }
        };
        let overtaken = async {
            let taken = loop {
                match server.taken().get(before) {
                    Some(taken) => break taken.clone(),
                    None => tokio::task::yield_now().await,
                }
            };
            let fields = [("MessageSid", taken.sid.as_str()), ("MessageStatus", "delivered"), ("To", &taken.to)];
            assert_eq!(report(stage, &taken.callback, &fields, &taken.callback).await.status, 204);
        };
        tokio::join!(turns, overtaken);
        let listed = admin.get(&format!("/api/v1/events/{event}/messages")).await;
        assert_eq!(
            (listed.at("/data/0/state"), listed.at("/data/0/to")),
            ("delivered".into(), "+33 6 •• •• 56 78".into())
        );
        assert!(listed.json()["data"][0]["text"].is_null(), "{listed:?}");
    })
    .await;
}

#[tokio::test]
async fn what_failed_says_why_and_only_that_is_tried_again() {
    let server = Twilio::start().await;
    let config =
        Config { http: Http { public_url: Some("https://stage.test".into()), ..Http::default() }, ..by(&server) };
    configured_on_both(config, async |stage| {
        let before = server.requests();
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let policy = json!({"policy": {"messages": {"per_second": 100}}});
        assert_eq!(admin.patch(&base, policy).await.status, 200);
        let (ada, bob) =
            (invite(stage, &event, "Ada", "+33612345678").await, invite(stage, &event, "Bob", "+33612345679").await);
        let carol = invite(stage, &event, "Carol", "+33612345670").await;
        let go = async |turns: u32| {
            for _ in 0..turns {
                stage.messages.turn().await.unwrap();
                stage.pass(1);
            }
        };
        // Ada's number cannot be, Bob's carrier gives up, Carol's message arrives.
        server.temper(|to, nth| match to.ends_with("678") && nth % 2 == 1 {
            true => twilio::Behave::Refuse(400, 21_211, None),
            false => twilio::Behave::Take,
        });
        let send = order(&admin, &event, &[&ada, &bob, &carol]).await.at("/id");
        go(5).await;
        let path = format!("{base}/sends/{send}");
        let taken = |number: &str| server.taken().into_iter().rev().find(|taken| taken.to == number).unwrap();
        let says = async |taken: &twilio::Taken, status: &str| {
            let fields = [("MessageSid", taken.sid.as_str()), ("MessageStatus", status), ("To", taken.to.as_str())];
            assert_eq!(report(stage, &taken.callback, &fields, &taken.callback).await.status, 204, "{status}");
        };
        let lost = taken("+33612345679");
        says(&lost, "undelivered").await;
        says(&taken("+33612345670"), "delivered").await;
        let now = admin.get(&path).await;
        assert_eq!(
            now.json()["failures"],
            json!([{"error": "bad_address", "count": 1}, {"error": "undelivered", "count": 1}])
        );
        assert_eq!(
            (now.at("/state"), now.at("/failed"), now.at("/delivered")),
            ("done".into(), "2".into(), "1".into())
        );

        assert_eq!(admin.post(&format!("{path}/retry"), json!({})).await.json(), json!({"retried": 2}));
        assert_eq!(
            admin.post(&format!("{path}/retry"), json!({})).await.json(),
            json!({"retried": 0}),
            "pressed twice"
        );
        // What Twilio says once more of the attempt before is no news about the new one.
        for status in ["undelivered", "sent"] {
            says(&lost, status).await;
        }
        let now = admin.get(&path).await;
        assert_eq!((now.at("/state"), now.at("/queued")), ("running".into(), "2".into()), "{now:?}");
        go(5).await;
        let now = admin.get(&path).await;
        assert_eq!((now.at("/state"), now.at("/sent"), now.at("/delivered")), ("done".into(), "2".into(), "1".into()));
        says(&taken("+33612345679"), "delivered").await;
        assert_eq!(admin.get(&path).await.at("/delivered"), "2");
        assert_eq!(server.requests() - before, 5, "Carol got one, the others were tried twice");

        // The attempt before did arrive: the new one is not needed.
        let message = admin.get(&format!("{base}/messages?invitation={ada}")).await.at("/data/0/id");
        let first = taken("+33612345678");
        says(&first, "undelivered").await;
        assert_eq!(admin.post(&format!("{base}/messages/{message}/retry"), json!({})).await.status, 202);
        says(&first, "delivered").await;
        go(5).await;
        assert_eq!(admin.get(&path).await.at("/delivered"), "3");
        assert_eq!(server.requests() - before, 5);
        let elsewhere = admin.create_event("Elsewhere").await;
        let wrong = format!("/api/v1/events/{elsewhere}/sends/{send}/retry");
        admin.post(&wrong, json!({})).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn who_looks_at_incidents_reads_that_the_money_is_spent_and_that_it_went_on() {
    let server = Twilio::start().await;
    configured(by(&server), async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let budget = async |milli: u64| {
            let policy = json!({"policy": {"messages": {"budget_milli": milli, "per_second": 100}}});
            assert_eq!(admin.patch(&base, policy).await.status, 200);
        };
        budget(100).await;
        let (ada, bob) =
            (invite(stage, &event, "Ada", "+33612345678").await, invite(stage, &event, "Bob", "+33612345679").await);
        let send = order(&admin, &event, &[&ada, &bob]).await.at("/id");
        for _ in 0..4 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        assert_eq!(admin.get(&format!("{base}/sends/{send}")).await.at("/paused_because"), "budget");
        let told = admin.get(&format!("{base}/incidents")).await;
        assert_eq!(
            (told.at("/data/0/kind"), told.at("/data/0/severity"), told.at("/data/0/acknowledged_at")),
            ("budget_reached".into(), "critical".into(), "null".into())
        );
        let text = told.at("/data/0/text");
        assert!(text.ends_with("Raise its budget in the settings of the event, then resume the order."), "{text}");
        budget(200).await;
        assert_eq!(admin.post(&format!("{base}/sends/{send}/resume"), json!({})).await.at("/state"), "running");
        for _ in 0..4 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        assert_eq!(admin.get(&format!("{base}/sends/{send}")).await.at("/state"), "done");
        let told = admin.get(&format!("{base}/incidents")).await;
        assert_eq!(told.json()["data"].as_array().unwrap().len(), 1);
        assert_ne!(told.at("/data/0/acknowledged_at"), "null");
        assert!(told.at("/data/0/text").ends_with("The order was resumed."), "{told:?}");
    })
    .await;
}

/// Test S21: what somebody could do to the organiser's purse with a list.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "what it measured")]
async fn ten_thousand_premium_numbers_cost_no_more_than_the_cap() {
    const PEOPLE: usize = 10_000;
    let server = Twilio::start().await;
    configured(by(&server), async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}");
        let policy = json!({"policy": {"messages": {"prefix_budget_milli": [["+44", 1_000]], "per_second": 100}}});
        assert_eq!(admin.patch(&base, policy).await.status, 200);
        let rows = (0..PEOPLE).map(|number| format!("Guest {number},+4479111{number:05}\n"));
        let list = format!("Name,Phone\n{}", rows.collect::<String>());
        let upload = Request::post(format!("{base}/imports"))
            .header("origin", format!("http://{}", crate::stage::HOST))
            .header("content-type", "text/csv");
        let import = admin.raw(upload.body(Body::from(list)).unwrap()).await.at("/id");
        let start = json!({"mapping": {"name": 0, "phone": 1}});
        assert_eq!(admin.post(&format!("{base}/imports/{import}/start"), start).await.status, 202);
        stage.people.turn(&tokio_util::sync::CancellationToken::new(), usize::MAX).await.unwrap();
        let began = std::time::Instant::now();
        // A storm of retries: of every two requests one is refused for now, and the other breaks off when it was taken.
        let storm = [twilio::Behave::Refuse(429, 20_429, Some(1)), twilio::Behave::TakeAndBreak];
        server.script(storm.into_iter().cycle().take(2 * PEOPLE));
        let everybody = json!({"selection": {"filter": {}}, "channel": "sms", "kind": "invitation"});
        let send = admin.post(&format!("{base}/sends"), everybody).await;
        assert_eq!((send.status, send.json()["total"].as_u64()), (201, Some(PEOPLE as u64)), "{send:?}");
        let state = async || admin.get(&format!("{base}/sends/{}", send.at("/id"))).await.json();
        for _ in 0..200 {
            stage.messages.turn().await.unwrap();
            stage.pass(10);
        }
        let stopped = state().await;
        assert_eq!((&stopped["state"], &stopped["paused_because"]), (&json!("paused"), &json!("prefix_budget")));
        let people: std::collections::HashSet<_> = server.taken().into_iter().map(|taken| taken.to).collect();
        assert_eq!((server.taken().len(), people.len()), (4, 4), "1000 buys four of 250, each to somebody else");
        assert_eq!(stopped["spent_milli"], json!(1_000));
        assert_eq!((&stopped["sent"], &stopped["queued"]), (&json!(4), &json!(PEOPLE - 4)));
        let requests = server.requests();
        for _ in 0..50 {
            stage.pass(60);
            stage.messages.turn().await.unwrap();
        }
        assert_eq!(server.requests(), requests, "the gateway is left alone");
        println!("{PEOPLE} premium numbers: 4 written to with {requests} requests, in {:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn without_a_gateway_nobody_may_report() {
    on_sqlite(async |stage| {
        let url = "https://stage.test/hooks/twilio/status?message=msg_00000000000000000000000000";
        report(stage, url, &[("MessageStatus", "delivered")], url).await.refused(404, "not_found");
        let missing = "https://stage.test/hooks/twilio/status";
        report(stage, missing, &[], missing).await.refused(400, "bad_query");
    })
    .await;
}
