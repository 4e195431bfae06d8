//! Guessing and forging.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;
use stagedoor_server::access::solve;
use stagedoor_server::ports::random::Random;

use crate::broadcasting::Show;
use crate::stage::{on_both, on_sqlite};

#[tokio::test]
async fn six_guesses_a_minute_are_one_too_many() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let guesser = stage.browser();
        for _ in 0..5 {
            guesser.redeem(&event, "ABCD-EFGH-JKLM").await.refused(403, "code_invalid");
        }
        stage.pass(15);
        let refused = guesser.redeem(&event, &code).await;
        refused.refused(429, "too_many_attempts");
        assert_eq!(refused.header("retry-after"), "45");
        assert_eq!(stage.browser().redeem(&event, &code).await.status, 201, "others are not affected");
    })
    .await;
}

#[tokio::test]
async fn an_attack_from_everywhere_costs_everybody_a_proof_and_locks_nobody_out() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        for number in 0..100 {
            let address = IpAddr::from([203, 0, 113, number]);
            stage.browser_at(address).redeem(&event, "ABCD-EFGH-JKLM").await.refused(403, "code_invalid");
        }
        let bob = stage.browser();
        let asked = bob.redeem(&event, &code).await;
        asked.refused(429, "proof_required");
        assert_eq!(asked.at("/bits"), "18");
        let path = format!("/api/v1/events/{event}/sessions");
        let proof = solve(&asked.at("/challenge"));
        let wrong = json!({"code": code, "proof": {"challenge": proof.challenge, "nonce": "0"}});
        bob.post(&path, wrong).await.refused(429, "proof_required");
        let right = json!({"code": code, "proof": {"challenge": proof.challenge, "nonce": proof.nonce}});
        assert_eq!(bob.post(&path, right.clone()).await.status, 201);
        bob.post(&path, right).await.refused(429, "proof_required");
        stage.clock.advance(Duration::from_secs(60));
        assert_eq!(bob.redeem(&event, &code).await.status, 201, "it cools");
    })
    .await;
}

#[tokio::test]
async fn no_forged_token_is_told_from_another() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let (event, other) = (admin.create_event("Evening").await, admin.create_event("Another").await);
        let (a, b) = (admin.invite(&event, "A").await, admin.invite(&other, "B").await);
        let url = stage.browser().enter(&event, &a.code).await;
        let other_url = stage.browser().enter(&other, &b.code).await;
        let parts = |url: &str| {
            let mut parts = url.split('/').skip(4).map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap())
        };
        let ((token, stream), (_, other_stream)) = (parts(&url), parts(&other_url));
        let file = "video/index.m3u8";
        assert!(stage.lets_in(&format!("/live/{token}/{stream}/{file}")).await);
        let refusal = stage.media(&format!("/live/x/{stream}/{file}")).await;
        assert_eq!(refusal.0, 403);

        let mut forged: Vec<String> = Vec::new();
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
        for at in 0..token.len() {
            for letter in LETTERS.iter().filter(|letter| **letter != token.as_bytes()[at]) {
                let mut bytes = token.clone().into_bytes();
                bytes[at] = *letter;
                forged.push(String::from_utf8(bytes).unwrap());
            }
            forged.push(token[..at].to_owned());
            forged.push(token[at + 1..].to_owned());
            forged.push(format!("{}{}", &token[..at], &token[at + 1..]));
        }
        for text in [
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.e30.x",
            "null",
            "undefined",
            "%00",
            "..",
            "%2e%2e",
            "'%20OR%20'1'='1",
            "{{7*7}}",
        ] {
            forged.push(text.to_owned());
        }
        forged.push(format!("{token}="));
        forged.push(token.to_uppercase());
        forged.push(token.chars().rev().collect());
        forged.push("A".repeat(10_000));
        assert!(forged.len() >= 5_000, "{}", forged.len());
        for text in &forged {
            let answer = stage.media(&format!("/live/{text}/{stream}/{file}")).await;
            // What is not even a URL is refused by the parser in front.
            if answer.0 != 400 {
                assert_eq!(answer, refusal, "{text}");
            }
        }
        // The right token for what it is not for.
        for path in [
            format!("/live/{token}/{other_stream}/{file}"),
            format!("/live/{token}/{}/{file}", stream.to_uppercase()),
            format!("/live/{token}/{stream}x/{file}"),
            format!("/live/{token}/"),
            format!("/live/{token}"),
            format!("/live//{token}/{stream}/{file}"),
        ] {
            assert_eq!(stage.media(&path).await, refusal, "{path}");
        }
        stage.pass(12 * 60 * 60);
        assert_eq!(stage.media(&format!("/live/{token}/{stream}/{file}")).await, refusal, "expired");
        // Two sessions guessed each other's stream, nobody was let in by it.
        assert!(!stage.lets_in(&other_url).await);
    })
    .await;
}

#[tokio::test]
async fn names_that_are_code_come_back_as_text() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let nasty = "<img src=x onerror=alert(1)>\"'`${7*7}";
        let event = admin.create_event(nasty).await;
        let code = admin.invite(&event, nasty).await.code;
        let answer = stage.browser().redeem(&event, &code).await;
        assert_eq!((answer.at("/title"), answer.at("/name")), (nasty.to_owned(), nasty.to_owned()));
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(answer.header("cache-control"), "no-store");
    })
    .await;
}

/// A bound on the guesses of one test: the bench tries a million.
const GUESSES: u64 = 20_000;

#[tokio::test]
async fn names_of_parts_are_not_guessed_around_the_token() {
    on_sqlite(async |stage| {
        let (show, other) = (Show::open(stage).await, Show::open(stage).await);
        let (_encoder, _second) = (show.on_air().await, other.on_air().await);
        let stream = show.base.trim_end_matches('/').rsplit('/').next().unwrap();
        let mine = show.base.split('/').nth(2).unwrap();
        let theirs = other.base.split('/').nth(2).unwrap();
        assert_eq!(stage.media(&format!("{}video/1.m4s", show.base)).await.0, 200, "the part is there");
        let refusal = stage.media(&format!("/live/x/{stream}/video/1.m4s")).await;
        assert_eq!(refusal.0, 403);

        // What is there and what is not there is refused alike, to the letter, whatever stands where the token should.
        let random = Random::seeded(7);
        for number in 0..GUESSES {
            let token = match number % 4 {
                0 => URL_SAFE_NO_PAD.encode(random.bytes::<75>()),
                1 => theirs.to_owned(),
                2 => format!("{}{}", &mine[..99], if mine.ends_with('A') { 'B' } else { 'A' }),
                _ => String::new(),
            };
            let name = match number % 3 {
                0 => format!("video/{}.m4s", number % 7),
                1 => format!("audio/{}.{}.m4s", number % 7, number % 9),
                _ => "index.m3u8".to_owned(),
            };
            assert_eq!(stage.media(&format!("/live/{token}/{stream}/{name}")).await, refusal, "{token} {name}");
        }

        // Ways around: a sibling stream or rendition, other spellings, and whatever a proxy might make of them.
        for path in [
            format!("/live/{theirs}/{stream}/video/1.m4s"),
            format!("/live/{stream}/video/1.m4s"),
            format!("/live//{stream}/video/1.m4s"),
            format!("/live/{theirs}/../{stream}/video/1.m4s"),
            format!("/live/{theirs}/..;/{stream}/video/1.m4s"),
            format!("/live/{theirs}/%2e%2e/{stream}/video/1.m4s"),
            format!("/live/{theirs}%2f{stream}/video/1.m4s"),
            format!("/live/{}/{stream}/video/1.m4s", mine.to_lowercase()),
            format!("/live/{mine}%00/{stream}/video/1.m4s"),
            format!("/live/{mine}/{}/video/1.m4s", stream.to_uppercase()),
            format!("/live/{mine};x/{stream}/video/1.m4s"),
        ] {
            assert_eq!(stage.media(&path).await, refusal, "{path}");
        }
        // With the right, what is spelled otherwise is not there.
        for name in [
            "VIDEO/1.m4s",
            "video//1.m4s",
            "video/./1.m4s",
            "video/../video/1.m4s",
            "video/%31.m4s",
            "video/01.m4s",
            "video/1.m4s/",
            "video/1.m4s;x",
            "video/1.m4s/x.css",
            "video/1.m4s%00",
        ] {
            assert_eq!(stage.media(&format!("{}{name}", show.base)).await.0, 404, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cache_is_told_about_every_request_and_nobody_is_let_in_on_an_old_answer() {
    on_sqlite(async |stage| {
        let show = Show::open(stage).await;
        let stranger = Show::open(stage).await;
        let ask = async |path: &str, method: Method| {
            let answer = stage.deliver.authorize(&method, path);
            assert!(answer.body().is_empty() && answer.headers()["cache-control"] == "no-store");
            answer.status().as_u16()
        };
        let part = format!("{}video/1.m4s", show.base);
        assert_eq!((ask(&part, Method::GET).await, ask(&part, Method::HEAD).await), (204, 204));
        assert_eq!(stage.deliver.authorize(&Method::POST, &part).status(), 405);
        let (token, stream) = (part.split('/').nth(2).unwrap(), stranger.base.split('/').nth(3).unwrap());
        for path in [
            format!("/live/{token}/{stream}/video/1.m4s"),
            format!("/live/x{token}/{stream}/video/1.m4s"),
            format!("/live/{token}"),
            "/live/".to_owned(),
            "/livez".to_owned(),
        ] {
            assert_eq!(ask(&path, Method::GET).await, 403, "{path}");
        }
        // Asking is a sign of life: whoever watches through a cache is watching.
        let admin = stage.admin().await;
        let viewers = async || admin.get(&format!("/api/v1/events/{}/viewers", show.event)).await;
        stage.pass(60);
        assert_eq!(viewers().await.at("/data/0/watching"), "false");
        assert_eq!(ask(&part, Method::GET).await, 204);
        assert_eq!(viewers().await.at("/data/0/watching"), "true");
        let session = viewers().await.at("/data/0/session");
        let path = format!("/api/v1/events/{}/viewers/{session}/kick", show.event);
        assert_eq!(admin.post(&path, json!({})).await.status, 200);
        assert_eq!(ask(&part, Method::GET).await, 403);
    })
    .await;
}
