//! Guessing and forging.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use stagedoor_server::access::solve;

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
