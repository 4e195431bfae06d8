//! People, teams and how they sign in.

use std::time::Instant;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::feeds::{OURS, connect, listening, next};
use crate::stage::{Answer, Browser, PASSWORD, Stage, on_both, on_sqlite};

async fn sign_in(browser: &Browser<'_>, username: &str, password: &str) -> Answer {
    browser.post("/api/v1/login", json!({"username": username, "password": password})).await
}

/// What an app shows at this moment for a secret in base32.
fn code(stage: &Stage, secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).with_account_name("ada").build().unwrap();
    let now = u64::try_from(stage.clock.now().millis()).unwrap() / 1_000;
    totp.generate(now).to_string()
}

/// Turns one-time passwords on; the secret and the recovery codes.
pub async fn enrol(stage: &Stage, browser: &Browser<'_>) -> (String, Vec<String>) {
    let begun = browser.post("/api/v1/me/totp", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let secret = begun.at("/secret");
    let first = json!({"ticket": begun.at("/ticket"), "code": code(stage, &secret)});
    let confirmed = browser.post("/api/v1/me/totp/confirm", first).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].as_array().unwrap().clone();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn an_account_is_made_with_a_password_that_is_good_once() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let new = json!({"username": "Bob", "name": "Bob B.", "role": "moderator"});
        let made = ada.post("/api/v1/users", new.clone()).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(
            (made.at("/username"), made.at("/role"), made.at("/waiting")),
            ("bob".into(), "moderator".into(), "true".into())
        );
        let again = ada.post("/api/v1/users", new).await;
        again.refused(422, "invalid");
        assert_eq!(again.at("/errors/0/pointer"), "/username");

        let bob = stage.browser();
        let once = sign_in(&bob, "bob", &made.at("/one_time_password")).await;
        once.refused(401, "new_password_required");
        assert!(!bob.has_cookies());
        let own = |ticket: String, password: &str| json!({"ticket": ticket, "password": password});
        bob.post("/api/v1/login/password", own(once.at("/ticket"), "short")).await.refused(422, "invalid");
        let own = own(once.at("/ticket"), PASSWORD);
        let chosen = bob.post("/api/v1/login/password", own.clone()).await;
        assert_eq!(chosen.status, 200, "{chosen:?}");
        bob.post("/api/v1/login/password", own).await.refused(401, "too_late");
        let me = bob.get("/api/v1/me").await;
        assert_eq!(
            (me.at("/name"), me.json()["rights"].clone()),
            ("Bob B.".into(), json!(["look", "moderate", "end_all"]))
        );
        let used = sign_in(&stage.browser(), "bob", &made.at("/one_time_password")).await;
        used.refused(401, "wrong_credentials");

        // One that nobody used in a week opens nothing.
        let late = ada.post("/api/v1/users", json!({"username": "carol", "role": "analyst"})).await;
        stage.pass(7 * 24 * 60 * 60);
        sign_in(&stage.browser(), "carol", &late.at("/one_time_password")).await.refused(401, "wrong_credentials");
    })
    .await;
}

#[tokio::test]
async fn roles_are_given_by_those_who_may_and_owners_by_owners() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let me = ada.get("/api/v1/me").await.at("/id");
        let bob = stage.person(&ada, "bob", "admin").await;
        let carol = stage.person(&ada, "carol", "analyst").await;
        let id = async |browser: &Browser<'_>| browser.get("/api/v1/me").await.at("/id");
        let (bobs, carols) = (id(&bob).await, id(&carol).await);
        let user = |id: &str| format!("/api/v1/users/{id}");

        // An admin governs others, but neither makes nor touches an owner, nor becomes one.
        let changed = bob.patch(&user(&carols), json!({"role": "organiser"})).await;
        assert_eq!((changed.status, changed.at("/role")), (200, "organiser".into()));
        bob.patch(&user(&carols), json!({"role": "owner"})).await.refused(403, "role_too_low");
        bob.patch(&user(&bobs), json!({"role": "owner"})).await.refused(403, "role_too_low");
        bob.post("/api/v1/users", json!({"username": "dan", "role": "owner"})).await.refused(403, "role_too_low");
        for (method, path) in [
            ("PATCH", user(&me)),
            ("DELETE", user(&me)),
            ("POST", format!("{}/password", user(&me))),
            ("DELETE", format!("{}/second-factor", user(&me))),
        ] {
            let body = if method == "PATCH" { json!({"disabled": true}) } else { json!({}) };
            bob.send(method.parse().unwrap(), &path, Some(body)).await.refused(403, "role_too_low");
        }

        // What carol may do changes with her next request.
        assert_eq!(carol.post("/api/v1/events", json!({"title": "x"})).await.status, 201);
        assert_eq!(ada.patch(&user(&carols), json!({"role": "analyst"})).await.status, 200);
        carol.post("/api/v1/events", json!({"title": "x"})).await.refused(403, "role_too_low");
        carol.get("/api/v1/users").await.refused(403, "role_too_low");
        carol.patch(&user(&carols), json!({"role": "owner"})).await.refused(403, "role_too_low");

        // Somebody is always owner, and nobody shuts themselves out.
        ada.patch(&user(&me), json!({"role": "admin"})).await.refused(409, "last_owner");
        ada.patch(&user(&me), json!({"disabled": true})).await.refused(409, "yourself");
        ada.delete(&user(&me)).await.refused(409, "yourself");
        assert_eq!(ada.patch(&user(&bobs), json!({"role": "owner"})).await.status, 200);
        assert_eq!(ada.patch(&user(&me), json!({"role": "admin"})).await.status, 200);
        ada.patch(&user(&bobs), json!({"role": "admin"})).await.refused(403, "role_too_low");
        bob.patch(&user(&bobs), json!({"role": "root"})).await.refused(422, "invalid");

        // A disabled account is signed out, and its tokens open nothing.
        let token = carol.token("ci").await;
        assert_eq!(bob.patch(&user(&carols), json!({"disabled": true})).await.status, 200);
        carol.get("/api/v1/me").await.refused(401, "signed_out");
        let request = Request::get("/api/v1/me").header("authorization", format!("Bearer {token}"));
        stage.browser().raw(request.body(Body::empty()).unwrap()).await.refused(401, "signed_out");
        sign_in(&stage.browser(), "carol", PASSWORD).await.refused(401, "wrong_credentials");
        assert_eq!(bob.patch(&user(&carols), json!({"disabled": false})).await.status, 200);
        assert_eq!(sign_in(&carol, "carol", PASSWORD).await.status, 200);

        assert_eq!(bob.delete(&user(&carols)).await.status, 204);
        carol.get("/api/v1/me").await.refused(401, "signed_out");
        bob.get(&user(&carols)).await.refused(404, "not_found");
        let listed = bob.get("/api/v1/users?limit=1").await;
        assert_eq!(listed.json()["data"].as_array().unwrap().len(), 1);
        assert!(!listed.text.contains("argon2"), "{listed:?}");
    })
    .await;
}

#[tokio::test]
async fn a_change_of_an_account_is_whole_or_nothing() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let me = ada.get("/api/v1/me").await.at("/id");
        let path = format!("/api/v1/users/{me}");
        let facts = async || {
            let sql = "SELECT COUNT(*) AS n FROM facts WHERE kind LIKE 'user.%' OR kind LIKE 'role.%'";
            stage.db.one(sql, []).await.unwrap().unwrap().count("n").unwrap()
        };
        let before = facts().await;
        // The name would have been fine; there must be an owner.
        ada.patch(&path, json!({"name": "Countess", "role": "admin"})).await.refused(409, "last_owner");
        assert_eq!(ada.get(&path).await.at("/name"), "");
        assert_eq!(facts().await, before, "and nothing of it is in the log");

        let bob = stage.person(&ada, "bob", "analyst").await;
        let bobs = bob.get("/api/v1/me").await.at("/id");
        let all = json!({"name": "Bob B.", "role": "moderator", "disabled": true});
        let changed = ada.patch(&format!("/api/v1/users/{bobs}"), all).await;
        assert_eq!(
            (changed.status, changed.at("/name"), changed.at("/role")),
            (200, "Bob B.".into(), "moderator".into())
        );
        assert_ne!(changed.at("/disabled_at"), "null");
        let all = json!({"name": "Bob", "role": "analyst", "disabled": false});
        let changed = ada.patch(&format!("/api/v1/users/{bobs}"), all).await;
        assert_eq!(
            (changed.status, changed.at("/role"), changed.at("/disabled_at")),
            (200, "analyst".into(), "null".into())
        );
    })
    .await;
}

#[tokio::test]
async fn two_owners_who_unmake_each_other_at_once_leave_one() {
    on_both(async |stage| {
        for round in 0..10 {
            let ada = stage.admin().await;
            let bob = stage.person(&ada, &format!("bob{round}"), "owner").await;
            let (adas, bobs) = (ada.get("/api/v1/me").await.at("/id"), bob.get("/api/v1/me").await.at("/id"));
            let unmake = json!({"name": "Nobody", "role": "analyst"});
            let (one, two) =
                tokio::join!(async { ada.patch(&format!("/api/v1/users/{bobs}"), unmake.clone()).await }, async {
                    bob.patch(&format!("/api/v1/users/{adas}"), unmake.clone()).await
                },);
            let done = [&one, &two].iter().filter(|answer| answer.status == 200).count();
            assert_eq!(done, 1, "round {round}: {one:?} {two:?}");
            let sql = "SELECT COUNT(*) AS n FROM users WHERE role = 'owner' AND disabled_at IS NULL";
            assert_eq!(stage.db.one(sql, []).await.unwrap().unwrap().count("n").unwrap(), 1);
            let sql = "SELECT COUNT(*) AS n FROM users WHERE name = 'Nobody'";
            assert_eq!(
                stage.db.one(sql, []).await.unwrap().unwrap().count("n").unwrap(),
                1,
                "who stays keeps the name"
            );
            // For the next round ada is the owner again, and nobody else.
            let mut tx = stage.db.write().await.unwrap();
            let sql = "UPDATE users SET name = '', role = CASE WHEN id = $1 THEN 'owner' ELSE 'analyst' END";
            tx.execute(sql, [adas.as_str().into()]).await.unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_of_a_team_is_seen_by_its_members_only() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "organiser").await;
        let bobs = bob.get("/api/v1/me").await.at("/id");
        let team = ada.post("/api/v1/teams", json!({"name": "Choir"})).await;
        assert_eq!(team.status, 201);
        ada.post("/api/v1/teams", json!({"name": "Choir"})).await.refused(422, "invalid");
        let team = team.at("/id");
        let event = ada.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}");
        assert_eq!(ada.patch(&path, json!({"team_id": team})).await.status, 200);
        bob.get(&path).await.refused(404, "not_found");

        let member = format!("/api/v1/teams/{team}/members/{bobs}");
        bob.put(&member, json!({})).await.refused(403, "role_too_low");
        for _ in 0..2 {
            assert_eq!(ada.put(&member, json!({})).await.status, 204);
        }
        assert_eq!(bob.get(&path).await.status, 200);
        assert_eq!(bob.get("/api/v1/me").await.at("/teams/0/name"), "Choir");
        ada.delete(&format!("/api/v1/teams/{team}")).await.refused(409, "team_has_events");
        assert_eq!(ada.patch(&format!("/api/v1/teams/{team}"), json!({"name": "Chorus"})).await.status, 204);
        assert_eq!(ada.get("/api/v1/teams").await.at("/data/0/members/0"), bobs);
        assert_eq!(ada.delete(&member).await.status, 204);
        ada.delete(&member).await.refused(404, "not_found");
        bob.get(&path).await.refused(404, "not_found");
        let nobody = "usr_01kaf3x6m8e9t8s2v4w6y8z0ab";
        ada.put(&format!("/api/v1/teams/{team}/members/{nobody}"), json!({})).await.refused(404, "not_found");
        assert_eq!(ada.delete(&path).await.status, 204);
        assert_eq!(ada.delete(&format!("/api/v1/teams/{team}")).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_no_code_works_twice() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let begun = ada.post("/api/v1/me/totp", json!({})).await;
        assert!(begun.at("/url").starts_with("otpauth://totp/"));
        assert!(begun.at("/qr").starts_with("data:image/svg+xml;base64,"));
        let wrong = json!({"ticket": begun.at("/ticket"), "code": "000000"});
        ada.post("/api/v1/me/totp/confirm", wrong).await.refused(422, "wrong_second_factor");
        let (secret, recovery) = enrol(stage, &ada).await;
        assert_eq!(recovery.len(), 10);
        assert!(!ada.get("/api/v1/me/sign-in").await.text.contains(&secret), "it is shown once");

        let browser = stage.browser();
        let step = sign_in(&browser, "ada", stage.password()).await;
        step.refused(401, "second_factor_required");
        assert_eq!(step.json()["methods"], json!(["totp", "recovery"]));
        assert!(!browser.has_cookies());
        let second = async |browser: &Browser<'_>, ticket: &str, kind: &str, code: &str| {
            browser.post("/api/v1/login/second-factor", json!({"ticket": ticket, kind: code})).await
        };
        // The code that turned it on is used up, and so is the next one after it was used.
        second(&browser, &step.at("/ticket"), "totp", &code(stage, &secret)).await.refused(401, "wrong_second_factor");
        stage.pass(30);
        let fresh = code(stage, &secret);
        assert_eq!(second(&browser, &step.at("/ticket"), "totp", &fresh).await.status, 200);
        second(&browser, &step.at("/ticket"), "totp", &fresh).await.refused(401, "too_late");
        second(&browser, &step.at("/ticket"), "recovery", &recovery[9]).await.refused(401, "too_late");
        let other = stage.browser();
        let step = sign_in(&other, "ada", stage.password()).await;
        second(&other, &step.at("/ticket"), "totp", &fresh).await.refused(401, "wrong_second_factor");

        // A recovery code works once, however it is typed.
        let typed = recovery[0].to_uppercase().replace('-', " ");
        assert_eq!(second(&other, &step.at("/ticket"), "recovery", &typed).await.status, 200);
        let third = stage.browser();
        let step = sign_in(&third, "ada", stage.password()).await;
        second(&third, &step.at("/ticket"), "recovery", &recovery[0]).await.refused(401, "wrong_second_factor");
        assert_eq!(ada.get("/api/v1/me/sign-in").await.at("/recovery_left"), "9");

        // Five wrong ones, and the address waits; the ticket is gone too.
        for _ in 0..4 {
            second(&third, &step.at("/ticket"), "totp", "000000").await.refused(401, "wrong_second_factor");
        }
        second(&third, &step.at("/ticket"), "totp", "000000").await.refused(429, "too_many_attempts");
        stage.pass(60);
        second(&third, &step.at("/ticket"), "totp", &code(stage, &secret)).await.refused(401, "too_late");

        // Off again, and a password is enough.
        assert_eq!(ada.delete("/api/v1/me/totp").await.status, 204);
        assert_eq!(sign_in(&stage.browser(), "ada", stage.password()).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn tickets_are_for_one_step_of_one_person() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "organiser").await;
        let (secret, _) = enrol(stage, &ada).await;
        let browser = stage.browser();
        let step = sign_in(&browser, "ada", stage.password()).await;
        // A ticket for a second factor chooses no password and confirms no secret.
        let own = json!({"ticket": step.at("/ticket"), "password": PASSWORD});
        browser.post("/api/v1/login/password", own).await.refused(401, "too_late");
        let begun = bob.post("/api/v1/me/totp", json!({})).await;
        let stolen = json!({"ticket": begun.at("/ticket"), "code": code(stage, &begun.at("/secret"))});
        ada.post("/api/v1/me/totp/confirm", stolen).await.refused(409, "too_late");
        let swapped = json!({"ticket": begun.at("/ticket"), "totp": code(stage, &secret)});
        browser.post("/api/v1/login/second-factor", swapped).await.refused(401, "too_late");
        let both = json!({"ticket": "x", "totp": "1", "recovery": "2"});
        browser.post("/api/v1/login/second-factor", both).await.refused(422, "invalid");
        let nothing = json!({"ticket": ""});
        browser.post("/api/v1/login/second-factor", nothing).await.refused(422, "invalid");
        let step = sign_in(&browser, "ada", stage.password()).await;
        stage.pass(300);
        let late = json!({"ticket": step.at("/ticket"), "totp": code(stage, &secret)});
        browser.post("/api/v1/login/second-factor", late).await.refused(401, "too_late");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_undone_asks_again_after_a_day_at_the_desk() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let event = ada.create_event("Evening").await;
        let invited = ada.invite(&event, "Bob").await;
        let reveal = format!("/api/v1/events/{event}/invitations/{}/code", invited.id);
        let token = ada.token("ci").await;
        assert_eq!(ada.get(&reveal).await.status, 200);
        // How one signs in asks sooner than the rest.
        stage.pass(15 * 60);
        ada.post("/api/v1/me/totp", json!({})).await.refused(403, "confirm_sign_in");
        assert_eq!(ada.get(&reveal).await.status, 200);
        stage.pass(12 * 60 * 60);
        ada.get(&reveal).await.refused(403, "confirm_sign_in");
        ada.post("/api/v1/users", json!({"username": "eve", "role": "admin"})).await.refused(403, "confirm_sign_in");
        ada.post("/api/v1/tokens", json!({"name": "x"})).await.refused(403, "confirm_sign_in");
        assert_eq!(ada.get(&format!("/api/v1/events/{event}")).await.status, 200, "the rest goes on");
        let request = Request::get(&reveal).header("authorization", format!("Bearer {token}"));
        let program = stage.browser().raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(program.status, 200, "a program has no one to ask");

        ada.post("/api/v1/me/confirm", json!({"password": "wrong"})).await.refused(403, "wrong_confirmation");
        assert_eq!(ada.get("/api/v1/me").await.status, 200, "a wrong one signs nobody out");
        ada.get(&reveal).await.refused(403, "confirm_sign_in");
        assert_eq!(ada.post("/api/v1/me/confirm", json!({"password": stage.password()})).await.status, 204);
        assert_eq!(ada.get(&reveal).await.status, 200);
        let (secret, _) = enrol(stage, &ada).await;
        stage.pass(13 * 60 * 60);
        ada.get(&reveal).await.refused(403, "confirm_sign_in");
        assert_eq!(ada.post("/api/v1/me/confirm", json!({"totp": code(stage, &secret)})).await.status, 204);
        assert_eq!(ada.get(&reveal).await.status, 200);
        for nonsense in [json!({}), json!({"password": "a", "totp": "b"})] {
            ada.post("/api/v1/me/confirm", nonsense).await.refused(422, "invalid");
        }
        for _ in 0..5 {
            let _ = ada.post("/api/v1/me/confirm", json!({"password": "wrong"})).await;
        }
        let right = json!({"password": stage.password()});
        ada.post("/api/v1/me/confirm", right).await.refused(429, "too_many_attempts");
    })
    .await;
}

#[tokio::test]
async fn browsers_are_listed_and_signed_out_one_or_all() {
    on_both(async |stage| {
        let (here, there, elsewhere) = (stage.admin().await, stage.admin().await, stage.admin().await);
        let listed = here.get("/api/v1/me/browsers").await.json();
        let rows = listed["data"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows.iter().filter(|row| row["current"] == json!(true)).count(), 1);
        assert!(!listed.to_string().contains(&here.address.to_string()), "no address is kept");
        let there_id = there.get("/api/v1/me/browsers").await.json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["current"] == json!(true))
            .unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let row = format!("/api/v1/me/browsers/{there_id}");
        assert_eq!(here.delete(&row).await.status, 204);
        here.delete(&row).await.refused(404, "not_found");
        there.get("/api/v1/me").await.refused(401, "signed_out");
        assert_eq!(here.delete("/api/v1/me/browsers").await.at("/signed_out"), "1");
        elsewhere.get("/api/v1/me").await.refused(401, "signed_out");
        assert_eq!(here.get("/api/v1/me").await.status, 200);

        // A new password signs the others out and keeps this one.
        let other = stage.admin().await;
        let change = |present: &str| json!({"present": present, "new": PASSWORD});
        here.put("/api/v1/me/password", change("wrong")).await.refused(403, "wrong_confirmation");
        here.put("/api/v1/me/password", json!({"present": stage.password(), "new": "x"})).await.refused(422, "invalid");
        assert_eq!(here.put("/api/v1/me/password", change(stage.password())).await.status, 204);
        assert_eq!(here.get("/api/v1/me").await.status, 200);
        other.get("/api/v1/me").await.refused(401, "signed_out");
        sign_in(&stage.browser(), "ada", stage.password()).await.refused(401, "wrong_credentials");
        assert_eq!(sign_in(&stage.browser(), "ada", PASSWORD).await.status, 200);
        assert_eq!(here.patch("/api/v1/me", json!({"name": "Ada L."})).await.at("/name"), "Ada L.");
    })
    .await;
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_until_it_expires() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let expires = stage.clock.now().plus(std::time::Duration::from_secs(60));
        let new = json!({"name": "board", "scopes": ["read"], "expires_at": expires});
        let made = ada.post("/api/v1/tokens", new).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["scopes"], json!(["read"]));
        let call = async |method: &str, path: &str, body: Value| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {}", made.at("/token")))
                .header("content-type", "application/json");
            stage.browser().raw(request.body(Body::from(body.to_string())).unwrap()).await
        };
        assert_eq!(call("GET", "/api/v1/me", json!({})).await.json()["rights"], json!(["look"]));
        call("POST", "/api/v1/events", json!({"title": "x"})).await.refused(403, "role_too_low");
        call("GET", "/api/v1/users", json!({})).await.refused(403, "role_too_low");
        stage.pass(60);
        call("GET", "/api/v1/me", json!({})).await.refused(401, "signed_out");
        for (body, pointer) in [
            (json!({"name": "x", "scopes": []}), "/scopes"),
            (json!({"name": "x", "scopes": ["read", "all"]}), "/scopes/1"),
            (json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}), "/expires_at"),
        ] {
            let refused = ada.post("/api/v1/tokens", body).await;
            refused.refused(422, "invalid");
            assert_eq!(refused.at("/errors/0/pointer"), pointer);
        }
        // Not even an owner's token makes another owner.
        let all = ada.token("all").await;
        let request = Request::post("/api/v1/users")
            .header("authorization", format!("Bearer {all}"))
            .header("content-type", "application/json")
            .body(Body::from(r#"{"username":"eve","role":"owner"}"#));
        stage.browser().raw(request.unwrap()).await.refused(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn somebody_who_lost_everything_is_helped_by_an_admin() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "organiser").await;
        let bobs = bob.get("/api/v1/me").await.at("/id");
        enrol(stage, &bob).await;
        let again = ada.post(&format!("/api/v1/users/{bobs}/password"), json!({})).await;
        bob.get("/api/v1/me").await.refused(401, "signed_out");
        let step = sign_in(&bob, "bob", &again.at("/one_time_password")).await;
        let own = json!({"ticket": step.at("/ticket"), "password": "another good password"});
        // A new password does not get past the second factor.
        bob.post("/api/v1/login/password", own).await.refused(401, "second_factor_required");
        assert_eq!(ada.get(&format!("/api/v1/users/{bobs}")).await.at("/second_factor"), "true");
        assert_eq!(ada.delete(&format!("/api/v1/users/{bobs}/second-factor")).await.status, 204);
        assert_eq!(sign_in(&bob, "bob", "another good password").await.status, 200);
    })
    .await;
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let count = |values: &[f64]| values.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count(values);
    let variance = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count(values) - 1.0)
    };
    (mean(a) - mean(b)) / (variance(a) / count(a) + variance(b) / count(b)).sqrt()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figure is what the test is for")]
async fn the_time_of_a_refusal_does_not_tell_whether_an_account_exists() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        stage.person(&ada, "bob", "analyst").await;
        let gone = ada.post("/api/v1/users", json!({"username": "disabled", "role": "analyst"})).await.at("/id");
        ada.patch(&format!("/api/v1/users/{gone}"), json!({"disabled": true})).await;
        let rounds = std::env::var("STAGEDOOR_TEST_TIMING").map_or(60, |text| text.parse().unwrap());
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let mut texts = Vec::new();
        for round in 0..rounds {
            // A name that is guessed at too often waits: a minute later it does not.
            stage.pass(60);
            // In turns, so that whatever else the machine does falls on all of them.
            for at in 0..3 {
                let at = (at + round) % 3;
                let browser = stage.browser();
                let begun = Instant::now();
                let answer = sign_in(&browser, ["bob", "nobody", "disabled"][at], "a wrong password").await;
                times[at].push(begun.elapsed().as_secs_f64());
                texts.push((answer.status, answer.text));
            }
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "the words are the same too: {texts:?}");
        // The slowest tenth is the machine's, not ours: a thread that had to wait for a core.
        for samples in &mut times {
            samples.sort_by(f64::total_cmp);
            samples.truncate(samples.len() * 9 / 10);
        }
        let (unknown, disabled) = (welch(&times[0], &times[1]), welch(&times[0], &times[2]));
        println!("{rounds} rounds: Welch t {unknown:.2} for an unknown account, {disabled:.2} for a disabled one");
        assert!(unknown.abs() < 4.5 && disabled.abs() < 4.5, "t = {unknown:.2}, {disabled:.2}");
    })
    .await;
}

#[tokio::test]
async fn an_attack_from_everywhere_on_one_name_does_not_keep_its_owner_out() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "organiser").await;
        stage.person(&ada, "carol", "organiser").await;
        for name in ["bob", "nobody"] {
            for _ in 0..10 {
                sign_in(&stage.browser(), name, "a wrong password").await.refused(401, "wrong_credentials");
            }
            // Eleven addresses, one name: also the right password waits, whether anybody has the name or not.
            let eleventh = sign_in(&stage.browser(), &name.to_uppercase(), PASSWORD).await;
            eleventh.refused(429, "too_many_attempts");
            assert!((1..=60).contains(&eleventh.header("retry-after").parse::<u64>().unwrap()), "{eleventh:?}");
        }
        // Not at the desk where bob signed in before, and not for others.
        bob.post("/api/v1/logout", json!({})).await;
        bob.get("/api/v1/me").await.refused(401, "signed_out");
        assert_eq!(sign_in(&bob, "bob", PASSWORD).await.status, 200);
        assert_eq!(sign_in(&stage.browser(), "carol", PASSWORD).await.status, 200);
        // What makes a desk familiar is for one name, and cannot be made up.
        sign_in(&ada, "bob", PASSWORD).await.refused(429, "too_many_attempts");
        for forged in ["", ".", "x.y", "x"] {
            let request = Request::post("/api/v1/login")
                .header("origin", "http://stage.test")
                .header("content-type", "application/json")
                .header("cookie", format!("stagedoor_familiar={forged}"))
                .body(Body::from(json!({"username": "bob", "password": PASSWORD}).to_string()));
            stage.browser().raw(request.unwrap()).await.refused(429, "too_many_attempts");
        }
        // A familiar desk is not a licence to guess: its address counts as ever.
        for _ in 0..5 {
            sign_in(&bob, "bob", "a wrong password").await.refused(401, "wrong_credentials");
        }
        sign_in(&bob, "bob", PASSWORD).await.refused(429, "too_many_attempts");
        stage.pass(60);
        assert_eq!(sign_in(&stage.browser(), "bob", PASSWORD).await.status, 200, "it is over when it is over");
    })
    .await;
}

#[tokio::test]
async fn six_digits_are_not_guessed_from_many_addresses() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let (secret, _) = enrol(stage, &ada).await;
        let guess = async |browser: &Browser<'_>, code: &str| {
            let ticket = sign_in(browser, "ada", stage.password()).await.at("/ticket");
            browser.post("/api/v1/login/second-factor", json!({"ticket": ticket, "totp": code})).await
        };
        for _ in 0..50 {
            guess(&stage.browser(), "000000").await.refused(401, "wrong_second_factor");
        }
        stage.pass(30);
        guess(&stage.browser(), &code(stage, &secret)).await.refused(429, "too_many_attempts");
        // Ada herself, where she was before.
        assert_eq!(guess(&ada, &code(stage, &secret)).await.status, 200);
        stage.pass(24 * 60 * 60);
        assert_eq!(guess(&stage.browser(), &code(stage, &secret)).await.status, 200);
    })
    .await;
}

/// What a thief sends from an address of their own, with all the cookies of somebody's browser.
async fn stolen(stage: &Stage, cookies: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", "http://stage.test")
        .header("content-type", "application/json")
        .header("cookie", cookies);
    stage.browser().raw(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn six_digits_are_not_guessed_with_a_stolen_cookie_from_many_addresses() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let (secret, _) = enrol(stage, &ada).await;
        let cookies = ada.cookie_header("/api/v1/login");
        assert!(cookies.contains("stagedoor_familiar="), "what makes a browser familiar was stolen too");
        let confirm = async |shown: Value| stolen(stage, &cookies, "POST", "/api/v1/me/confirm", shown).await;
        for _ in 0..50 {
            confirm(json!({"totp": "000000"})).await.refused(403, "wrong_confirmation");
        }
        stage.pass(30);
        let waits = confirm(json!({"totp": code(stage, &secret)})).await;
        waits.refused(429, "too_many_attempts");
        assert_eq!(waits.header("retry-after"), (24 * 60 * 60 - 30).to_string());
        // They are the same fifty as at the sign-in page, for a browser that is new to her.
        let new = stage.browser();
        let step = sign_in(&new, "ada", stage.password()).await;
        let second = json!({"ticket": step.at("/ticket"), "totp": code(stage, &secret)});
        new.post("/api/v1/login/second-factor", second).await.refused(429, "too_many_attempts");
        // Ada has another way to confirm, and her own desk to sign in at. Neither gives the thief new tries.
        assert_eq!(ada.post("/api/v1/me/confirm", json!({"password": stage.password()})).await.status, 204);
        let step = sign_in(&ada, "ada", stage.password()).await;
        let second = json!({"ticket": step.at("/ticket"), "totp": code(stage, &secret)});
        assert_eq!(ada.post("/api/v1/login/second-factor", second).await.status, 200);
        confirm(json!({"totp": "000000"})).await.refused(429, "too_many_attempts");
        stage.pass(24 * 60 * 60);
        assert_eq!(confirm(json!({"totp": code(stage, &secret)})).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn a_password_is_not_guessed_with_a_stolen_cookie_from_many_addresses() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "organiser").await;
        let cookies = ada.cookie_header("/api/v1/login");
        let confirm = async |password: &str| {
            stolen(stage, &cookies, "POST", "/api/v1/me/confirm", json!({"password": password})).await
        };
        let change = async |present: &str| {
            let body = json!({"present": present, "new": PASSWORD});
            stolen(stage, &cookies, "PUT", "/api/v1/me/password", body).await
        };
        // What is wrong here and there is counted together.
        for _ in 0..5 {
            confirm("a wrong password").await.refused(403, "wrong_confirmation");
            change("a wrong password").await.refused(403, "wrong_confirmation");
        }
        for waits in [confirm(stage.password()).await, change(stage.password()).await] {
            waits.refused(429, "too_many_attempts");
            assert_eq!(waits.header("retry-after"), "60");
        }
        // It is one account that waits, and it is signed in to as ever, which gives the thief no new tries.
        assert_eq!(bob.post("/api/v1/me/confirm", json!({"password": PASSWORD})).await.status, 204);
        assert_eq!(sign_in(&stage.browser(), "ada", stage.password()).await.status, 200);
        confirm("a wrong password").await.refused(429, "too_many_attempts");
        stage.pass(60);
        assert_eq!(change(stage.password()).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn whoever_mistypes_twice_or_is_attacked_by_name_confirms_all_the_same() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let (secret, _) = enrol(stage, &ada).await;
        for _ in 0..10 {
            sign_in(&stage.browser(), "ada", "a wrong password").await.refused(401, "wrong_credentials");
        }
        sign_in(&stage.browser(), "ada", stage.password()).await.refused(429, "too_many_attempts");
        let (wrong, right) = (json!({"password": "oops"}), json!({"password": stage.password()}));
        for _ in 0..2 {
            ada.post("/api/v1/me/confirm", wrong.clone()).await.refused(403, "wrong_confirmation");
        }
        assert_eq!(ada.post("/api/v1/me/confirm", right).await.status, 204);
        stage.pass(60);
        for _ in 0..2 {
            ada.post("/api/v1/me/confirm", json!({"totp": "000000"})).await.refused(403, "wrong_confirmation");
        }
        assert_eq!(ada.post("/api/v1/me/confirm", json!({"totp": code(stage, &secret)})).await.status, 204);
        let change = |present: &str| json!({"present": present, "new": PASSWORD});
        for _ in 0..2 {
            ada.put("/api/v1/me/password", change("oops")).await.refused(403, "wrong_confirmation");
        }
        assert_eq!(ada.put("/api/v1/me/password", change(stage.password())).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn what_changes_about_somebody_reaches_the_pages_they_have_open() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let server = listening(stage).await;
        let team = ada.post("/api/v1/teams", json!({"name": "Choir"})).await.at("/id");
        let event = ada.post("/api/v1/events", json!({"title": "Evening", "team_id": team})).await.at("/id");
        let path = format!("/api/v1/events/{event}/feed");
        let bob = stage.person(&ada, "bob", "organiser").await;
        let bobs = bob.get("/api/v1/me").await.at("/id");
        let (user, member) = (format!("/api/v1/users/{bobs}"), format!("/api/v1/teams/{team}/members/{bobs}"));
        assert_eq!(connect(server, &bob, &path, OURS).await.err(), Some(404));
        ada.put(&member, json!({})).await;
        let cases: [(&str, http::Method, &str, Value); 4] = [
            ("demoted", http::Method::PATCH, &user, json!({"role": "analyst"})),
            ("out of the team", http::Method::DELETE, &member, Value::Null),
            ("disabled", http::Method::PATCH, &user, json!({"disabled": true})),
            ("deleted", http::Method::DELETE, &user, Value::Null),
        ];
        for (what, method, act, body) in cases {
            ada.patch(&user, json!({"disabled": false, "role": "organiser"})).await;
            ada.put(&member, json!({})).await;
            let here = stage.browser();
            assert_eq!(sign_in(&here, "bob", PASSWORD).await.status, 200, "{what}");
            closes_when(server, &here, &path, async || {
                let body = (!body.is_null()).then(|| body.clone());
                let done = ada.send(method.clone(), act, body).await;
                assert!(done.status < 300, "{what}: {done:?}");
            })
            .await;
        }
        // Signed out here, or everywhere from elsewhere.
        let (here, there) = (stage.admin().await, stage.admin().await);
        closes_when(server, &here, &path, async || drop(here.post("/api/v1/logout", json!({})).await)).await;
        let here = stage.admin().await;
        closes_when(server, &here, &path, async || {
            assert_ne!(there.delete("/api/v1/me/browsers").await.at("/signed_out"), "0");
        })
        .await;
        here.get(&path).await.refused(401, "signed_out");
    })
    .await;
}

/// Opens a feed, acts, and waits for its end, which comes sooner than the second at which a feed looks after itself.
async fn closes_when(server: std::net::SocketAddr, browser: &Browser<'_>, path: &str, act: impl AsyncFnOnce()) {
    let mut feed = connect(server, browser, path, OURS).await.unwrap();
    assert_eq!(next(&mut feed).await.unwrap()["type"], "snapshot");
    act().await;
    while next(&mut feed).await.is_some() {}
}
