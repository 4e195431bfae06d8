//! Passkeys, made and used by an authenticator that really signs, and lies.

use serde_json::{Value, json};
use stagedoor_testkit::passkey::{Lie, Passkey};

use crate::stage::{Answer, Browser, PASSWORD, on_both, on_sqlite};

const ORIGIN: &str = "http://stage.test";

async fn make(browser: &Browser<'_>, name: &str, lie: Option<Lie>) -> (Passkey, Answer) {
    let begun = browser.post("/api/v1/me/passkeys/start", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let (passkey, credential) = Passkey::create(&begun.json()["options"], ORIGIN, lie);
    let new = json!({"challenge": begun.at("/challenge"), "name": name, "credential": credential});
    (passkey, browser.post("/api/v1/me/passkeys", new).await)
}

/// A challenge for anybody's passkey, or for those of the ticket's account.
async fn asked(browser: &Browser<'_>, ticket: Option<&str>) -> Value {
    let begun = browser.post("/api/v1/login/passkey/start", json!({"ticket": ticket})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    begun.json()
}

async fn answer(browser: &Browser<'_>, asked: &Value, passkey: &mut Passkey, lie: Option<Lie>) -> Answer {
    let credential = passkey.get(&asked["options"], ORIGIN, lie);
    browser.post("/api/v1/login/passkey", json!({"challenge": asked["challenge"], "credential": credential})).await
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_after_a_password_and_confirms() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let (mut passkey, made) = make(&ada, "telephone", None).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["recovery_codes"].as_array().unwrap().len(), 10);
        stage.pass(1);
        let (mut second, made) = make(&ada, "key ring", None).await;
        assert_eq!((made.status, made.json()["recovery_codes"].clone()), (201, json!([])), "{made:?}");
        let listed = ada.get("/api/v1/me/sign-in").await;
        assert_eq!((listed.at("/passkeys/0/name"), listed.at("/passkeys_work")), ("key ring".into(), "true".into()));

        // Alone: it says who it is.
        let browser = stage.browser();
        let challenge = asked(&browser, None).await;
        assert_eq!(challenge["options"]["publicKey"]["userVerification"], "required");
        assert!(!challenge.to_string().contains(&passkey.id()), "nobody is told which passkeys there are");
        let signed_in = answer(&browser, &challenge, &mut passkey, None).await;
        assert_eq!((signed_in.status, signed_in.at("/username")), (200, "ada".into()), "{signed_in:?}");
        assert_eq!(browser.get("/api/v1/me/browsers").await.at("/data/0/method"), "passkey");
        // The same answer again is too late.
        let again = passkey.get(&challenge["options"], ORIGIN, None);
        let replayed = json!({"challenge": challenge["challenge"], "credential": again});
        stage.browser().post("/api/v1/login/passkey", replayed).await.refused(401, "too_late");

        // After a password: only those of that account are asked for.
        let browser = stage.browser();
        let right = json!({"username": "ada", "password": stage.password()});
        let step = browser.post("/api/v1/login", right).await;
        step.refused(401, "second_factor_required");
        assert_eq!(step.json()["methods"], json!(["passkey", "recovery"]));
        let ticket = step.at("/ticket");
        let challenge = asked(&browser, Some(&ticket)).await;
        assert_eq!(challenge["options"]["publicKey"]["allowCredentials"].as_array().unwrap().len(), 2);
        assert_eq!(answer(&browser, &challenge, &mut second, None).await.status, 200);

        // To confirm, a day later.
        stage.pass(13 * 60 * 60);
        ada.post("/api/v1/tokens", json!({"name": "x"})).await.refused(403, "confirm_sign_in");
        let mine = ada.post("/api/v1/me/confirm/passkey", json!({})).await.json();
        let credential = passkey.get(&mine["options"], ORIGIN, None);
        let shown = json!({"passkey": {"challenge": mine["challenge"], "credential": credential}});
        assert_eq!(ada.post("/api/v1/me/confirm", shown).await.status, 204);
        assert_eq!(ada.post("/api/v1/tokens", json!({"name": "x"})).await.status, 201);

        // One that was removed opens nothing.
        let id = ada.get("/api/v1/me/sign-in").await.at("/passkeys/1/id");
        assert_eq!(ada.delete(&format!("/api/v1/me/passkeys/{id}")).await.status, 204);
        let browser = stage.browser();
        let challenge = asked(&browser, None).await;
        answer(&browser, &challenge, &mut passkey, None).await.refused(401, "wrong_second_factor");
        let challenge = asked(&browser, None).await;
        assert_eq!(answer(&browser, &challenge, &mut second, None).await.status, 200);
        let log = ada.get("/api/v1/log?limit=100").await.text;
        assert!(!log.contains(&second.id()), "the log names no credential");
    })
    .await;
}

#[tokio::test]
async fn a_right_password_lets_one_browser_in_whatever_came_second() {
    on_both(async |stage| {
        let ada = stage.admin().await;
        let (mut passkey, made) = make(&ada, "telephone", None).await;
        let recovery = made.json()["recovery_codes"].clone();
        let password = async |browser: &Browser<'_>| {
            let right = json!({"username": "ada", "password": stage.password()});
            browser.post("/api/v1/login", right).await.at("/ticket")
        };
        let by_code = async |browser: &Browser<'_>, ticket: &str, code: &Value| {
            browser.post("/api/v1/login/second-factor", json!({"ticket": ticket, "recovery": code})).await
        };
        let browser = stage.browser();
        let ticket = password(&browser).await;
        let (first, second) = (asked(&browser, Some(&ticket)).await, asked(&browser, Some(&ticket)).await);
        assert_eq!(answer(&browser, &first, &mut passkey, None).await.status, 200);
        // The passkey used the password up: for another challenge of its, for a recovery code, for a third challenge.
        let thief = stage.browser();
        answer(&thief, &second, &mut passkey, None).await.refused(401, "too_late");
        by_code(&thief, &ticket, &recovery[0]).await.refused(401, "too_late");
        thief.post("/api/v1/login/passkey/start", json!({"ticket": ticket})).await.refused(409, "too_late");
        assert!(!thief.has_cookies());
        assert_eq!(ada.get("/api/v1/me/sign-in").await.at("/recovery_left"), "10");

        // And the other way round.
        let ticket = password(&thief).await;
        let challenge = asked(&thief, Some(&ticket)).await;
        assert_eq!(by_code(&browser, &ticket, &recovery[1]).await.status, 200);
        answer(&thief, &challenge, &mut passkey, None).await.refused(401, "too_late");

        // Two right ones at once: one is in.
        let ticket = password(&thief).await;
        let (one, two) = tokio::join!(by_code(&browser, &ticket, &recovery[2]), by_code(&thief, &ticket, &recovery[3]));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{one:?} {two:?}");
    })
    .await;
}

#[tokio::test]
async fn an_authenticator_that_lies_opens_nothing() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        for lie in [
            Lie::Unverified,
            Lie::Absent,
            Lie::OtherOrigin,
            Lie::LikeOrigin,
            Lie::OtherSite,
            Lie::OtherChallenge,
            Lie::OtherKind,
        ] {
            let (_, made) = make(&ada, "x", Some(lie)).await;
            made.refused(422, "wrong_second_factor");
        }
        let (mut passkey, _) = make(&ada, "telephone", None).await;
        let browser = stage.browser();
        let challenge = asked(&browser, None).await;
        assert_eq!(answer(&browser, &challenge, &mut passkey, None).await.status, 200);
        for lie in [
            Lie::Unverified,
            Lie::Absent,
            Lie::OtherOrigin,
            Lie::LikeOrigin,
            Lie::OtherSite,
            Lie::OtherChallenge,
            Lie::OtherKind,
            Lie::OtherKey,
            Lie::OtherWords,
            Lie::OtherUser,
            Lie::Copy,
        ] {
            let browser = stage.browser();
            let challenge = asked(&browser, None).await;
            let refused = answer(&browser, &challenge, &mut passkey, Some(lie)).await;
            refused.refused(401, "wrong_second_factor");
            assert!(!browser.has_cookies(), "{lie:?}");
            // Its challenge is used up by a wrong answer too.
            answer(&browser, &challenge, &mut passkey, None).await.refused(401, "too_late");
        }
        let challenge = asked(&browser, None).await;
        assert_eq!(answer(&browser, &challenge, &mut passkey, None).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_passkey_is_for_its_owner_and_a_challenge_for_its_purpose() {
    on_sqlite(async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "analyst").await;
        let (mut adas, _) = make(&ada, "telephone", None).await;
        let (mut bobs, _) = make(&bob, "telephone", None).await;
        // Bob's passkey is no second factor of ada's.
        let browser = stage.browser();
        let right = json!({"username": "ada", "password": stage.password()});
        let ticket = browser.post("/api/v1/login", right).await.at("/ticket");
        let challenge = asked(&browser, Some(&ticket)).await;
        answer(&browser, &challenge, &mut bobs, None).await.refused(401, "wrong_second_factor");
        // Nor does it confirm that it is ada.
        let mine = ada.post("/api/v1/me/confirm/passkey", json!({})).await.json();
        let shown = json!({"passkey": {"challenge": mine["challenge"], "credential": bobs.get(&mine["options"], ORIGIN, None)}});
        ada.post("/api/v1/me/confirm", shown).await.refused(403, "wrong_confirmation");
        // A challenge that bob began makes no passkey of ada's, and one for signing in makes none at all.
        let begun = bob.post("/api/v1/me/passkeys/start", json!({})).await.json();
        let (_, credential) = Passkey::create(&begun["options"], ORIGIN, None);
        let stolen = json!({"challenge": begun["challenge"], "name": "x", "credential": credential});
        ada.post("/api/v1/me/passkeys", stolen).await.refused(409, "too_late");
        // The same credential twice is refused, whoever brings it.
        let begun = bob.post("/api/v1/me/passkeys/start", json!({})).await;
        let excluded = begun.json()["options"]["publicKey"]["excludeCredentials"].to_string();
        assert!(excluded.contains(&bobs.id()) && !excluded.contains(&adas.id()), "{excluded}");
        // A disabled account is let in by nothing.
        let id = bob.get("/api/v1/me").await.at("/id");
        assert_eq!(ada.patch(&format!("/api/v1/users/{id}"), json!({"disabled": true})).await.status, 200);
        let challenge = asked(&browser, None).await;
        answer(&browser, &challenge, &mut bobs, None).await.refused(401, "wrong_second_factor");
        // Late is late.
        let challenge = asked(&browser, None).await;
        stage.pass(300);
        answer(&browser, &challenge, &mut adas, None).await.refused(401, "too_late");
        // Taken away by an admin: the password alone opens again.
        assert_eq!(ada.patch(&format!("/api/v1/users/{id}"), json!({"disabled": false})).await.status, 200);
        assert_eq!(ada.delete(&format!("/api/v1/users/{id}/second-factor")).await.status, 204);
        let right = json!({"username": "bob", "password": PASSWORD});
        assert_eq!(stage.browser().post("/api/v1/login", right).await.status, 200);
        let challenge = asked(&browser, None).await;
        answer(&browser, &challenge, &mut bobs, None).await.refused(401, "wrong_second_factor");
    })
    .await;
}
