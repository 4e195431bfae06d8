//! Links that are opened before anybody comes in with them: what organisers see of it, and that nobody else learns
//! anything.

use std::net::IpAddr;

use serde_json::{Value, json};
use stagedoor_server::ports::bus::{Hint, Topic};
use stagedoor_testkit::geo::sample;

use crate::provenance::{places, seen};
use crate::stage::{Answer, Browser, Invited, Stage, on_both, on_sqlite};

const WRONG: &str = "2345-6789-ABCD";

/// As the page says it when it is loaded with a code in its address.
async fn open(page: &Browser<'_>, event: &str, code: &str) -> Answer {
    let answer = page.post(&format!("/api/v1/events/{event}/openings"), json!({"code": code})).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{answer:?}");
    assert!(answer.header("set-cookie").is_empty() && !page.has_cookies(), "no session, no cookie");
    answer
}

/// The steps of an invitation once all that was said is written down; the last one is where it stands.
async fn steps(stage: &Stage, admin: &Browser<'_>, event: &str, invited: &Invited) -> Vec<String> {
    stage.access.write_openings().await.unwrap();
    let detail = admin.get(&format!("/api/v1/events/{event}/invitations/{}", invited.id)).await.json();
    let history = detail["history"].as_array().unwrap();
    let steps: Vec<_> = history.iter().map(|step| step["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(steps.last().map(String::as_str), detail["state"].as_str());
    steps
}

#[tokio::test]
async fn a_link_that_is_opened_is_a_step_that_organisers_see_and_no_step_back() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let (bob, eve) = (admin.invite(&event, "Bob").await, admin.invite(&event, "Eve").await);
        let mut hints = stage.world.bus.listen();
        for _ in 0..2 {
            open(&stage.browser(), &event, &bob.code).await;
        }
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "opened"], "once");
        let mut told = 0;
        while let Ok(hint) = hints.try_recv() {
            told += usize::from(hint == Hint::Event(event.parse().unwrap(), Topic::Invitations));
        }
        assert_eq!(told, 1, "the control room is told");
        let list = admin.get(&format!("/api/v1/events/{event}/invitations?states=opened")).await.json();
        assert_eq!((&list["matching"], &list["data"][0]["name"]), (&json!(1), &json!("Bob")));
        assert_eq!((&list["by_state"]["opened"], &list["by_state"]["created"]), (&json!(1), &json!(1)));

        stage.browser().enter(&event, &bob.code).await;
        stage.browser().enter(&event, &eve.code).await;
        for code in [&bob.code, &eve.code] {
            open(&stage.browser(), &event, code).await;
        }
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "opened", "redeemed"]);
        assert_eq!(steps(stage, &admin, &event, &eve).await, ["created", "redeemed"], "who is in has no link to open");
    })
    .await;
}

#[tokio::test]
async fn what_is_said_of_a_code_that_was_replaced_is_no_step() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let bob = admin.invite(&event, "Bob").await;
        open(&stage.browser(), &event, &bob.code).await;
        let path = format!("/api/v1/events/{event}/invitations");
        let anew = json!({"selection": {"ids": [bob.id]}});
        assert_eq!(admin.post(&format!("{path}/regenerate"), anew).await.at("/changed"), "1");
        // What was said about the old code is about no code any more.
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "created"]);
        open(&stage.browser(), &event, &bob.code).await;
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "created"], "the old link opens nothing");
        let code = admin.get(&format!("{path}/{}/code", bob.id)).await.at("/code");
        open(&stage.browser(), &event, &code).await;
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "created", "opened"]);
    })
    .await;
}

#[tokio::test]
async fn whether_a_code_is_right_shows_in_no_answer_to_an_opened_link() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let (event, other) = (admin.create_event("Evening").await, admin.create_event("Another").await);
        let (bob, elsewhere) = (admin.invite(&event, "Bob").await, admin.invite(&other, "Eve").await);
        let (gone, blocked) = (admin.invite(&event, "Gone").await, admin.invite(&event, "Blocked").await);
        let path = format!("/api/v1/events/{event}/invitations");
        assert_eq!(admin.delete(&format!("{path}/{}", gone.id)).await.status, 204);
        assert_eq!(admin.post(&format!("{path}/{}/block", blocked.id), json!({})).await.status, 204);
        let expired = {
            let in_a_minute = stage.clock.now().plus(std::time::Duration::from_secs(60));
            let body = json!({"name": "Late", "expires_at": in_a_minute});
            let made = admin.post(&path, body).await;
            assert_eq!(made.status, 201, "{made:?}");
            stage.pass(60);
            Invited { id: made.at("/id"), code: made.at("/code") }
        };

        let expected = seen(&open(&stage.browser(), &event, &bob.code).await);
        for code in [WRONG, "", "short", &elsewhere.code, &gone.code, &blocked.code, &expired.code] {
            assert_eq!(seen(&open(&stage.browser(), &event, code).await), expected, "{code}");
        }
        let nowhere = "evt_01kaf3x6m8e9t8s2v4w6y8z0ab";
        assert_eq!(seen(&open(&stage.browser(), nowhere, &bob.code).await), expected, "no such event");

        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "opened"]);
        assert_eq!(steps(stage, &admin, &event, &gone).await, ["created", "revoked"]);
        for (event, invited) in [(&event, &blocked), (&event, &expired), (&other, &elsewhere)] {
            assert_eq!(steps(stage, &admin, event, invited).await, ["created"]);
        }
        let log = admin.get(&format!("/api/v1/log?event={event}&type=session.*")).await.json();
        assert_eq!(log["data"], json!([]), "nobody asked to come in");
    })
    .await;
}

#[tokio::test]
async fn where_an_event_is_not_shown_no_code_of_an_opened_link_is_looked_at() {
    on_sqlite(async |stage| {
        places(stage).await;
        let admin = stage.admin().await;
        let policy: Value = json!({"access": {"countries": ["FR"]}});
        let event = admin.create_event_with(json!({"title": "Evening", "policy": policy})).await;
        let open_to_all = admin.create_event("Another").await;
        let (bob, eve) = (admin.invite(&event, "Bob").await, admin.invite(&open_to_all, "Eve").await);
        let berlin = stage.browser_at(sample::BERLIN);
        let expected = seen(&open(&berlin, &event, &bob.code).await);
        for _ in 0..10 {
            assert_eq!(seen(&open(&berlin, &event, WRONG).await), expected);
        }
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created"]);
        assert_eq!(
            berlin.redeem(&open_to_all, &eve.code).await.status,
            201,
            "nothing was looked at, so nothing counts"
        );
        open(&stage.browser_at(sample::LYON), &event, &bob.code).await;
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "opened"]);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_code_in_a_link_counts_as_one_at_the_door() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let bob = admin.invite(&event, "Bob").await;
        let guesser = stage.browser();
        for _ in 0..4 {
            open(&guesser, &event, WRONG).await;
        }
        guesser.redeem(&event, WRONG).await.refused(403, "code_invalid");
        guesser.redeem(&event, &bob.code).await.refused(429, "too_many_attempts");
        // Whoever waits is told so at the door and not here, and is not listened to.
        let waiting = seen(&open(&guesser, &event, &bob.code).await);
        assert_eq!(seen(&open(&guesser, &event, WRONG).await), waiting);
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created"]);
        stage.pass(60);
        assert_eq!(seen(&open(&guesser, &event, &bob.code).await), waiting);
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created", "opened"]);
    })
    .await;
}

#[tokio::test]
async fn a_storm_of_links_with_wrong_codes_is_an_incident_and_costs_a_proof_at_the_door() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let bob = admin.invite(&event, "Bob").await;
        for number in 0..100 {
            open(&stage.browser_at(IpAddr::from([203, 0, 113, number])), &event, WRONG).await;
        }
        let incidents = admin.get(&format!("/api/v1/events/{event}/incidents")).await;
        assert_eq!((incidents.at("/data/0/kind"), incidents.at("/data/0/times")), ("code_guessing".into(), "1".into()));
        let page = stage.browser();
        open(&page, &event, &bob.code).await;
        assert_eq!(steps(stage, &admin, &event, &bob).await, ["created"], "no code is looked at");
        page.redeem(&event, &bob.code).await.refused(429, "proof_required");
    })
    .await;
}
