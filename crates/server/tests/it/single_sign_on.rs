//! Signing in at an identity provider that really answers, signs, and lies.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stagedoor_domain::Time;
use stagedoor_server::config::{Config, Hidden, Oidc};
use stagedoor_testkit::oidc::{Algorithm, CLIENT, Lie, Person, Provider, SECRET};

use crate::leaks::Captured;
use crate::stage::{Answer, Browser, PASSWORD, STARTED, Stage, configured, configured_on_both};

/// What the clock of the provider shows at first: what the stage's does.
fn seconds(time: Time) -> i64 {
    time.millis() / 1_000
}

async fn provider(algorithm: Algorithm) -> Provider {
    Provider::start(algorithm, seconds(STARTED)).await
}

fn trusting(provider: &Provider) -> Config {
    let roles = [("crew", "moderator"), ("heads", "admin"), ("board", "owner")];
    let oidc = Oidc {
        issuer: Some(provider.url().to_owned()),
        client_id: Some(CLIENT.to_owned()),
        client_secret: Some(Hidden::new(SECRET)),
        name: "Example Org".to_owned(),
        roles: roles.map(|(group, role)| (group.to_owned(), role.to_owned())).into(),
        ..Oidc::default()
    };
    Config { oidc, ..Config::default() }
}

/// Where the provider sends a browser, as a path of ours.
async fn at_the_provider(url: &str) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 303, "{answer:?}");
    let location = answer.headers()["location"].to_str().unwrap();
    location.strip_prefix("http://stage.test").unwrap().to_owned()
}

async fn set_out(browser: &Browser<'_>, body: Value) -> String {
    let way = browser.post("/api/v1/login/provider", body).await;
    assert_eq!(way.status, 200, "{way:?}");
    way.at("/url")
}

/// There and back.
async fn journey(browser: &Browser<'_>) -> Answer {
    let back = at_the_provider(&set_out(browser, json!({"next": "/events/evt_1"})).await).await;
    browser.get(&back).await
}

/// Back with a problem, and nobody is signed in.
#[track_caller]
fn refused(answer: &Answer, problem: &str) {
    let to = format!("/sign-in?problem={problem}");
    assert_eq!((answer.status, answer.header("location")), (303, to.as_str()), "{answer:?}");
    let cookies = answer.headers.get_all("set-cookie").iter();
    assert!(cookies.filter_map(|value| value.to_str().ok()).all(|cookie| !cookie.starts_with("stagedoor_user=")));
}

#[tokio::test]
async fn somebody_in_a_mapped_group_gets_an_account_and_its_role_at_every_sign_in() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let there = provider(algorithm).await;
        configured_on_both(trusting(&there), async |stage| {
            let ways = stage.browser().get("/api/v1/login").await;
            assert_eq!(ways.at("/provider/name"), "Example Org", "{ways:?}");
            there.seat(Some(Person::new("subject-1", "Grace Hopper", &["all", "crew"])));
            let browser = stage.browser();
            let url = set_out(&browser, json!({"next": "/events/evt_1"})).await;
            for part in ["response_type=code", "code_challenge_method=S256", "code_challenge=", "nonce=", "state="] {
                assert!(url.contains(part), "{part}: {url}");
            }
            let back = browser.get(&at_the_provider(&url).await).await;
            assert_eq!((back.status, back.header("location")), (303, "/events/evt_1"), "{back:?}");
            let me = browser.get("/api/v1/me").await;
            assert_eq!(
                (me.at("/username"), me.at("/name"), me.at("/role")),
                ("grace-hopper".into(), "Grace Hopper".into(), "moderator".into())
            );
            let listed = browser.get("/api/v1/me/browsers").await;
            assert_eq!(listed.at("/data/0/method"), "provider");

            // Another role there is another role here, at the next sign-in; open pages notice too.
            there.seat(Some(Person::new("subject-1", "Grace Hopper", &["crew", "heads"])));
            let again = stage.browser();
            assert_eq!(journey(&again).await.status, 303);
            let row = again.get("/api/v1/me").await;
            assert_eq!((row.at("/id"), row.at("/role")), (me.at("/id"), "admin".into()));
            assert_eq!(browser.get("/api/v1/me").await.at("/role"), "admin");

            // No group, no way in; and never an account for somebody new.
            there.seat(Some(Person::new("subject-1", "Grace Hopper", &["all"])));
            refused(&journey(&stage.browser()).await, "no_role");
            there.seat(Some(Person::new("subject-2", "Eve", &[])));
            refused(&journey(&stage.browser()).await, "no_role");
            there.seat(None);
            refused(&journey(&stage.browser()).await, "provider_refused");

            // A name that is taken is another person, however alike.
            there.seat(Some(Person::new("subject-3", "ada", &["board"])));
            let other = stage.browser();
            journey(&other).await;
            let me = other.get("/api/v1/me").await;
            assert_eq!((me.at("/username"), me.at("/role")), ("ada-2".into(), "owner".into()));
            let log = stage.admin().await.get("/api/v1/log?type=user.role_changed&limit=100").await;
            assert_eq!(log.json()["data"].as_array().unwrap().len(), 1, "{log:?}");
            assert_eq!((log.at("/data/0/data/from"), log.at("/data/0/data/to")), ("moderator".into(), "admin".into()));
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_true_lets_nobody_in() {
    let there = provider(Algorithm::Rs256).await;
    configured(trusting(&there), async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        for lie in [
            Lie::OtherAudience,
            Lie::OtherParty,
            Lie::OtherIssuer,
            Lie::Expired,
            Lie::OtherNonce,
            Lie::NoNonce,
            Lie::NoSubject,
            Lie::AlgNone,
            Lie::SharedSecret,
            Lie::PublicKeyAsSecret,
            Lie::OtherKey,
            Lie::OwnKey,
            Lie::OtherWords,
            Lie::OtherAccessToken,
            Lie::NoIdToken,
            Lie::MixedUp,
            Lie::Nameless,
        ] {
            there.lie(lie);
            let browser = stage.browser();
            let back = journey(&browser).await;
            refused(&back, "provider_refused");
            assert!(!browser.has_cookies(), "{lie:?}");
        }
        let people = stage.admin().await.get("/api/v1/users").await;
        assert_eq!(people.json()["data"].as_array().unwrap().len(), 1, "nobody got an account: {people:?}");
        // And once it tells the truth:
        let browser = stage.browser();
        assert_eq!(journey(&browser).await.header("location"), "/events/evt_1");
        assert_eq!(browser.get("/api/v1/me").await.at("/role"), "admin");
    })
    .await;
}

#[tokio::test]
async fn who_is_not_let_in_by_the_providers_word_is_in_the_log_and_a_flood_is_not() {
    let there = provider(Algorithm::Es256).await;
    configured_on_both(trusting(&there), async |stage| {
        let ada = stage.admin().await;
        let me = ada.get("/api/v1/me").await.at("/id");
        let written = async |actor: &str| {
            let log = ada.get("/api/v1/log?type=user.sign_in_refused&limit=100").await.json();
            let entries = log["data"].as_array().unwrap();
            assert!(entries.iter().all(|entry| entry["data"] == json!({"way": "provider"})), "{entries:?}");
            entries.iter().filter(|entry| entry["actor"] == json!(actor)).count()
        };
        // No role, and an answer that is forged.
        there.seat(Some(Person::new("subject-2", "Eve", &[])));
        refused(&journey(&stage.browser()).await, "no_role");
        assert_eq!(written("stranger").await, 1);
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        there.lie(Lie::OwnKey);
        refused(&journey(&stage.browser()).await, "provider_refused");
        assert_eq!(written("stranger").await, 2);
        // An account there that is linked to another one here: whoever tried is signed in.
        assert_eq!(journey(&stage.browser()).await.header("location"), "/events/evt_1");
        let way = ada.post("/api/v1/me/provider", json!({"next": "/settings/account"})).await;
        refused(&ada.get(&at_the_provider(&way.at("/url")).await).await, "linked");
        assert_eq!((written("stranger").await, written(&me).await), (2, 1));

        // Nobody was refused where nobody was asked.
        there.lie(Lie::Broken);
        refused(&journey(&stage.browser()).await, "provider_unavailable");
        refused(&stage.browser().get("/api/v1/login/provider/callback?code=x&state=x").await, "too_late");
        assert_eq!(written("stranger").await, 2);
        // Five a minute of one address.
        there.seat(Some(Person::new("subject-2", "Eve", &[])));
        let eve = stage.browser();
        for _ in 0..7 {
            refused(&journey(&eve).await, "no_role");
        }
        assert_eq!(written("stranger").await, 7);
    })
    .await;
}

#[tokio::test]
async fn a_journey_is_one_browsers_and_ends_once() {
    let there = provider(Algorithm::Es256).await;
    configured(trusting(&there), async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        // The same answer twice.
        let browser = stage.browser();
        let back = at_the_provider(&set_out(&browser, json!({})).await).await;
        assert_eq!(browser.get(&back).await.header("location"), "/");
        let exchanges = there.exchanges();
        refused(&browser.get(&back).await, "too_late");
        // In another browser: an attacker sends somebody a link that would sign them in as the attacker.
        let (mallory, victim) = (stage.browser(), stage.browser());
        let link = at_the_provider(&set_out(&mallory, json!({})).await).await;
        refused(&victim.get(&link).await, "too_late");
        let theirs = at_the_provider(&set_out(&victim, json!({})).await).await;
        refused(&victim.get(&link).await, "too_late");
        assert_eq!(there.exchanges(), exchanges, "the provider is not even asked");

        // The attacker's code in the victim's journey: the verifier is another one.
        let part = |url: &str, name: &str| {
            let query = url.split_once('?').unwrap().1;
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap().to_owned()
        };
        let other = at_the_provider(&set_out(&mallory, json!({})).await).await;
        let injected = theirs.replace(&part(&theirs, "code"), &part(&other, "code"));
        refused(&victim.get(&injected).await, "provider_refused");
        // A code that was spent at the provider.
        let first = at_the_provider(&set_out(&victim, json!({})).await).await;
        let second = at_the_provider(&set_out(&victim, json!({})).await).await;
        let _ = first;
        let spent = second.replace(&part(&second, "code"), &part(&other, "code"));
        refused(&victim.get(&spent).await, "provider_refused");

        for path in ["", "?code=x", "?state=x", "?code=x&state=x", "?error=access_denied&state=x&code=x"] {
            let answer = stage.browser().get(&format!("/api/v1/login/provider/callback{path}")).await;
            assert!(answer.header("location").starts_with("/sign-in?problem="), "{path}: {answer:?}");
        }
        // Five minutes are enough.
        let late = at_the_provider(&set_out(&victim, json!({})).await).await;
        stage.pass(300);
        refused(&victim.get(&late).await, "too_late");
        // Nobody is led to another site by signing in.
        there.set_now(seconds(stage.clock.now()));
        let back = at_the_provider(&set_out(&victim, json!({"next": "https://evil.example/"})).await).await;
        assert_eq!(victim.get(&back).await.header("location"), "/");
    })
    .await;
}

#[tokio::test]
async fn an_account_is_linked_by_whoever_is_signed_in_and_by_nothing_else() {
    let there = provider(Algorithm::Es256).await;
    configured_on_both(trusting(&there), async |stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob@example.org", "organiser").await;
        let bobs = bob.get("/api/v1/me").await.at("/id");
        // The same name and address there, verified or not, are somebody else here.
        let twin = Person::new("subject-b", "bob@example.org", &["crew"])
            .with("email", "bob@example.org")
            .with("email_verified", true);
        there.seat(Some(twin.clone()));
        let stranger = stage.browser();
        journey(&stranger).await;
        let me = stranger.get("/api/v1/me").await;
        assert_eq!((me.at("/username"), me.at("/role")), ("bob@example.org-2".into(), "moderator".into()));

        let link = async |browser: &Browser<'_>| {
            let way = browser.post("/api/v1/me/provider", json!({"next": "/settings/account"})).await;
            assert_eq!(way.status, 200, "{way:?}");
            browser.get(&at_the_provider(&way.at("/url")).await).await
        };
        // That subject has its account already.
        refused(&link(&bob).await, "linked");
        there.seat(Some(Person::new("subject-own", "whatever", &["board"])));
        assert_eq!(link(&bob).await.header("location"), "/settings/account");
        assert_eq!(there.prompts().last().unwrap(), "login", "whoever sits at the provider is asked again");
        assert_eq!(bob.get("/api/v1/me/sign-in").await.at("/linked"), "true");
        // From now on both ways lead to one account, whose role is given here: no group makes an owner of it.
        let other = stage.browser();
        journey(&other).await;
        let me = other.get("/api/v1/me").await;
        assert_eq!((me.at("/id"), me.at("/role")), (bobs.clone(), "organiser".into()));
        assert_eq!(bob.delete("/api/v1/me/provider").await.status, 204);
        there.seat(Some(Person::new("subject-own", "whatever", &[])));
        refused(&journey(&stage.browser()).await, "no_role");
        // Whoever has no password keeps the way they have, and a program links nobody.
        stranger.delete("/api/v1/me/provider").await.refused(409, "only_way_in");
        let token = bob.token("ci").await;
        let request = http::Request::post("/api/v1/me/provider")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(axum::body::Body::from("{}"));
        stage.browser().raw(request.unwrap()).await.refused(403, "forbidden");
        stage.browser().post("/api/v1/me/provider", json!({})).await.refused(401, "signed_out");
        // A link that was begun ends with the account.
        there.seat(Some(Person::new("subject-late", "whatever", &[])));
        let way = bob.post("/api/v1/me/provider", json!({})).await.at("/url");
        let back = at_the_provider(&way).await;
        ada.patch(&format!("/api/v1/users/{bobs}"), json!({"disabled": true})).await;
        refused(&bob.get(&back).await, "no_role");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_is_let_in_by_nobody() {
    let there = provider(Algorithm::Es256).await;
    configured_on_both(trusting(&there), async |stage| {
        let ada = stage.admin().await;
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        let grace = stage.browser();
        journey(&grace).await;
        let id = grace.get("/api/v1/me").await.at("/id");
        assert_eq!(ada.patch(&format!("/api/v1/users/{id}"), json!({"disabled": true})).await.status, 200);
        grace.get("/api/v1/me").await.refused(401, "signed_out");
        refused(&journey(&grace).await, "no_role");
        assert_eq!(ada.patch(&format!("/api/v1/users/{id}"), json!({"disabled": false})).await.status, 200);
        assert_eq!(journey(&grace).await.header("location"), "/events/evt_1");
        // The empty password of an account that the provider made is nobody's password.
        let empty = json!({"username": "grace", "password": ""});
        stage.browser().post("/api/v1/login", empty).await.refused(401, "wrong_credentials");
        // The provider does not take away the last owner: somebody is always one.
        let me = ada.get("/api/v1/me").await.at("/id");
        there.seat(Some(Person::new("subject-9", "boss", &["board"])));
        let boss = stage.browser();
        journey(&boss).await;
        assert_eq!(ada.patch(&format!("/api/v1/users/{me}"), json!({"role": "admin"})).await.status, 200);
        there.seat(Some(Person::new("subject-9", "boss", &["crew"])));
        let again = stage.browser();
        journey(&again).await;
        assert_eq!(again.get("/api/v1/me").await.at("/role"), "owner");
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_is_away_or_broken_says_so_and_nobody_waits() {
    let there = provider(Algorithm::Es256).await;
    configured(trusting(&there), async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        for lie in [Lie::Broken, Lie::Endless] {
            there.lie(lie);
            refused(&journey(&stage.browser()).await, "provider_unavailable");
        }
        // Other keys than we know: it is asked again, though not at once for every wrong token.
        assert_eq!(journey(&stage.browser()).await.header("location"), "/events/evt_1");
        there.rotate();
        stage.pass(11);
        assert_eq!(journey(&stage.browser()).await.header("location"), "/events/evt_1");

        let browser = stage.browser();
        let back = at_the_provider(&set_out(&browser, json!({})).await).await;
        there.close();
        refused(&browser.get(&back).await, "provider_unavailable");
        // What is known of it is too old by then.
        stage.pass(60 * 60);
        let away = stage.browser().post("/api/v1/login/provider", json!({})).await;
        away.refused(503, "provider_unavailable");
        assert!(!away.header("retry-after").is_empty());
        // Passwords go on working.
        stage.admin().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_secret_the_exchange_is_protected_by_its_verifier() {
    let there = provider(Algorithm::Es256).await;
    there.ask_for_no_secret();
    let mut config = trusting(&there);
    config.oidc.client_secret = None;
    configured(config, async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        let browser = stage.browser();
        assert_eq!(journey(&browser).await.header("location"), "/events/evt_1");
    })
    .await;
    let there = provider(Algorithm::Es256).await;
    let mut config = trusting(&there);
    config.oidc.client_secret = Some(Hidden::new("another"));
    configured(config, async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        refused(&journey(&stage.browser()).await, "provider_refused");
    })
    .await;
}

#[tokio::test]
async fn no_code_verifier_or_token_of_the_provider_is_in_logs_or_answers() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let there = provider(Algorithm::Es256).await;
    configured(trusting(&there), async |stage| {
        there.seat(Some(Person::new("subject-1", "grace", &["heads"])));
        let mut told = String::new();
        for lie in [None, Some(Lie::OtherNonce), Some(Lie::OtherWords), Some(Lie::NoIdToken), Some(Lie::Broken)] {
            if let Some(lie) = lie {
                there.lie(lie);
            }
            told += &format!("{:?}", journey(&stage.browser()).await);
        }
        let admin = stage.admin().await;
        told += &admin.get("/api/v1/log?limit=100").await.text;
        tracing::warn!("the last line");
        let logged = captured.text();
        assert!(logged.contains("the last line") && logged.contains("identity provider"), "nothing was captured");
        let mut secrets = there.secrets();
        assert!(secrets.len() >= 12, "{secrets:?}");
        secrets.push(SECRET.to_owned());
        // What our own router logs of a request is its path; the provider's tokens are in no line at all.
        for secret in secrets {
            assert!(!told.contains(&secret), "an answer tells {secret}");
            let lines: BTreeMap<_, _> = logged.lines().filter(|line| line.contains(&secret)).map(|l| (l, ())).collect();
            assert!(lines.is_empty(), "{secret} is logged: {lines:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_beside_the_provider_goes_on_working() {
    let there = provider(Algorithm::Es256).await;
    configured(trusting(&there), async |stage: &Stage| {
        let ada = stage.admin().await;
        let bob = stage.person(&ada, "bob", "analyst").await;
        assert_eq!(bob.get("/api/v1/me/sign-in").await.at("/password"), "true");
        let right = json!({"username": "bob", "password": PASSWORD});
        assert_eq!(stage.browser().post("/api/v1/login", right).await.status, 200);
    })
    .await;
}
