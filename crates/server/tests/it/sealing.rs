//! Encrypted broadcasts: what is served, who gets keys, and what is kept of them.

use std::collections::{BTreeMap, BTreeSet};

use aes::Aes128;
use cbc::cipher::{Array, BlockModeDecrypt as _, KeyIvInit as _, consts::U16};
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use stagedoor_domain::id::EventId;
use stagedoor_server::access::{Access, MasterKey, Report};
use stagedoor_server::{config, ports::blobs::Blobs, ports::random::Random};
use tokio_util::sync::CancellationToken;

use crate::broadcasting::Show;
use crate::stage::{Stage, on_both, on_sqlite};

/// A part of the answer that must be the same for everybody who gets no key.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

async fn ask(stage: &Stage, method: Method, path: &str) -> Refusal {
    let uri: Uri = path.parse().unwrap();
    let response = stage.deliver.respond(&method, &uri, &HeaderMap::new()).await;
    let (parts, mut body) = response.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let body = std::iter::from_fn(|| body.take_next()).flatten().collect();
    Refusal { status: parts.status.as_u16(), headers, body }
}

impl Refusal {
    fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// As a player does: with the key that the gate gave it and the initialization vector of its line in the playlist.
fn decrypt(key: &[u8], iv: u128, sealed: &[u8]) -> Vec<u8> {
    let (key, iv): ([u8; 16], _) = (key.try_into().unwrap(), iv.to_be_bytes());
    let mut out = sealed.to_vec();
    let (blocks, rest) = Array::<u8, U16>::slice_as_chunks_mut(&mut out);
    assert!(rest.is_empty(), "whole blocks");
    cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into()).decrypt_blocks(blocks);
    let padding = usize::from(*out.last().unwrap());
    assert!((1..=16).contains(&padding) && out.ends_with(&vec![padding as u8; padding]), "the key is another one");
    out.truncate(out.len() - padding);
    out
}

/// The numbers of the keys that a playlist names, in its order.
fn keys_in(playlist: &str) -> Vec<u64> {
    let uris = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-KEY:")?.split("../key/").nth(1));
    uris.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// The initialization vectors of the keys that a playlist names, by their numbers.
fn ivs_in(playlist: &str) -> BTreeMap<u64, u128> {
    let lines = playlist.lines().filter(|line| line.starts_with("#EXT-X-KEY:METHOD=AES-128"));
    lines
        .map(|line| (keys_in(line)[0], u128::from_str_radix(line.split(",IV=0x").nth(1).unwrap(), 16).unwrap()))
        .collect()
}

/// The page of the one viewer says something.
fn report(stage: &Stage, event: &str) {
    let event: EventId = event.parse().unwrap();
    for seat in stage.access.room(event).unwrap().seats() {
        seat.attend().reported(Report::default(), stage.clock.now());
    }
}

/// With keys of two segments each: behind two of two seconds a long one would not fit into seven seconds any more.
async fn sealed<'a>(stage: &'a Stage, method: &str) -> Show<'a> {
    Show::open_with(stage, json!({"encryption": {"method": method, "key_period_s": 7}})).await
}

#[tokio::test]
async fn every_part_and_segment_is_sealed_and_its_key_opens_it() {
    on_both(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let _encoder = show.on_air().await;
        for kind in ["video", "audio"] {
            show.reaches(kind, 3).await;
            let playlist = show.get(&format!("{kind}/index.m3u8")).await.text();
            let keys = keys_in(&playlist);
            assert_eq!(keys, [0, 2], "two segments each: {playlist}");
            let ivs = ivs_in(&playlist);
            assert_ne!(ivs[&0], ivs[&2], "{playlist}");
            let header = show.get(&format!("{kind}/init.0.mp4")).await.bytes;
            assert_eq!(&header[4..8], b"ftyp", "headers are kept clear");
            let mut secrets = BTreeSet::new();
            for msn in 0..3_u64 {
                let number = msn / 2 * 2;
                let key = show.get(&format!("key/{number}")).await;
                assert_eq!((key.status.as_u16(), key.bytes.len()), (200, 16));
                assert_eq!(key.header("cache-control"), "no-store");
                let segment = show.get(&format!("{kind}/{msn}.m4s")).await.bytes;
                let plain = decrypt(&key.bytes, ivs[&number], &segment);
                assert_eq!(&plain[4..8], b"moof");
                let part = decrypt(&key.bytes, ivs[&number], &show.get(&format!("{kind}/{msn}.0.m4s")).await.bytes);
                assert_eq!(part, plain[..part.len()], "a part is sealed on its own, under the same key");
                assert!(!segment.windows(4).any(|four| four == b"moof" || four == b"mdat"));
                // What stands behind a key in a playlist is encrypted, with the same initialization vector: draft 4.4.4.5.
                let name = format!("init.0.{number}.mp4");
                assert!(playlist.contains(&format!("\n#EXT-X-MAP:URI=\"{name}\"\n")), "{playlist}");
                let sealed = show.get(&format!("{kind}/{name}")).await.bytes;
                let plain = decrypt(&key.bytes, ivs[&number], &sealed);
                let (opened, empty) = plain.split_at(header.len());
                assert_eq!((opened, &empty[4..8]), (&header[..], &b"free"[..]));
                secrets.insert(key.bytes);
            }
            assert_eq!(secrets.len(), 2);
        }
        // Of a key that there is not there is no header either.
        assert_eq!(show.get("video/init.0.1.mp4").await.status.as_u16(), 404);
    })
    .await;
}

#[tokio::test]
async fn a_licence_has_the_keys_that_were_named_and_the_samples_name_them() {
    on_sqlite(async |stage| {
        let show = sealed(stage, "cbcs").await;
        let _encoder = show.on_air().await;
        let playlist = show.get("video/index.m3u8").await.text();
        let line = playlist.lines().find(|line| line.starts_with("#EXT-X-KEY")).unwrap();
        assert!(line.contains("METHOD=SAMPLE-AES") && line.contains("KEYFORMAT=\"org.w3.clearkey\""), "{line}");
        let hex = line.split("KEYID=0x").nth(1).unwrap().split(',').next().unwrap();
        let kid: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let has = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
        let init = show.get("video/init.0.mp4").await.bytes;
        for mark in [&b"encv"[..], b"cbcs", b"tenc", b"pssh", &kid] {
            assert!(has(&init, mark), "the header has {mark:?}");
        }
        let part = show.get("video/0.0.m4s").await.bytes;
        for mark in [&b"senc"[..], b"saiz", b"saio", b"seig", b"pssh", &kid] {
            assert!(has(&part, mark), "a part has {mark:?}");
        }
        let segment = show.get("video/0.m4s").await.bytes;
        assert_eq!(segment[..part.len()], part, "a segment is its parts");

        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let uri: Uri = format!("{}licence", show.base).parse().unwrap();
        let licence = |kid: &[u8]| {
            let body = json!({"kids": [base64.encode(kid)], "type": "temporary"}).to_string();
            let response = stage.deliver.licence(&uri, body.as_bytes());
            let (parts, mut body) = response.into_parts();
            let bytes: Vec<u8> = std::iter::from_fn(|| body.take_next()).flatten().collect();
            (parts.status.as_u16(), parts.headers, serde_json::from_slice::<Value>(&bytes).unwrap())
        };
        let (status, headers, body) = licence(&kid);
        assert_eq!((status, headers["cache-control"].as_bytes()), (200, &b"no-store"[..]));
        let secret = base64.decode(body["keys"][0]["k"].as_str().unwrap()).unwrap();
        assert_eq!(body["keys"][0]["kid"], base64.encode(&kid));
        assert_eq!(secret, show.get("key/0").await.bytes, "one key, whoever asks how");
        let (status, headers, refused) = licence(&[9; 16]);
        assert_eq!((status, headers["cache-control"].as_bytes()), (403, &b"no-store"[..]));
        assert_eq!(refused["code"], "playback_refused");
        stage.pass(20);
        assert_eq!(licence(&kid).0, 403, "the same gate");
    })
    .await;
}

#[tokio::test]
async fn whoever_gets_no_key_is_told_the_same_and_nobody_keeps_the_answer() {
    on_sqlite(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let _encoder = show.on_air().await;
        let other = sealed(stage, "aes-128").await;
        let _other_encoder = other.on_air().await;
        let good = format!("{}key/0", show.base);
        let (prefix, _) = show.base.trim_end_matches('/').rsplit_once('/').unwrap();
        let forged = good.replacen("/live/", "/live/x", 1);
        let mut refused = Vec::new();
        for path in [
            "/live/none/key/0".to_owned(),
            forged,
            format!("{prefix}/{}/key/0", other.stream),
            format!("{}key/1", show.base),
            format!("{}key/18446744073709551615", show.base),
        ] {
            refused.push((path.clone(), ask(stage, Method::GET, &path).await));
        }
        // A HEAD asks as much as a GET, and what must be answered to a preflight says nothing.
        let head = ask(stage, Method::HEAD, &format!("{}key/1", show.base)).await;
        assert_eq!(head.status, 403);
        let preflight = ask(stage, Method::OPTIONS, &good).await;
        assert_eq!((preflight.status, preflight.body.len()), (204, 0));
        // What no key is called is nothing that is here.
        for name in ["key/0.bin", "key/0/x.css", "key/00", "key/+0", "KEY/0", "video/key/0"] {
            assert_eq!(ask(stage, Method::GET, &format!("{}{name}", show.base)).await.status, 404, "{name}");
        }
        assert_eq!(ask(stage, Method::GET, &good).await.status, 200);
        stage.pass(20);
        refused.push(("silent".to_owned(), ask(stage, Method::GET, &good).await));
        report(stage, &show.event);
        assert_eq!(ask(stage, Method::GET, &good).await.status, 200, "it speaks again, and plays again");
        let admin = stage.admin().await;
        assert_eq!(
            admin.post(&format!("/api/v1/events/{}/viewers/end-all", show.event), json!({})).await.status / 100,
            2
        );
        refused.push(("ended".to_owned(), ask(stage, Method::GET, &good).await));
        for (what, refusal) in &refused {
            assert_eq!(refusal, &refused[0].1, "{what}");
            assert_eq!((refusal.status, refusal.header("cache-control")), (403, "no-store".to_owned()), "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_falls_silent_gets_no_keys_until_it_speaks_again() {
    on_sqlite(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let _encoder = show.on_air().await;
        let status = async || show.get("key/0").await.status.as_u16();
        assert_eq!(status().await, 200, "it has just joined");
        stage.pass(19);
        assert_eq!(status().await, 200);
        stage.pass(1);
        assert_eq!(status().await, 403, "it never said a word");
        assert_eq!(show.get("video/index.m3u8").await.status.as_u16(), 200, "media errors are not guilt");
        report(stage, &show.event);
        assert_eq!(status().await, 200);
        stage.pass(14);
        assert_eq!(status().await, 200, "a beat or two may be lost");
        stage.pass(1);
        assert_eq!(status().await, 403);
    })
    .await;
}

#[tokio::test]
async fn after_a_kick_what_can_be_decrypted_ends_with_the_key_that_was_known() {
    on_both(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let mut encoder = show.on_air().await;
        let known = *keys_in(&show.get("video/index.m3u8").await.text()).last().unwrap();
        assert_eq!(show.get(&format!("key/{known}")).await.status.as_u16(), 200);
        let admin = stage.admin().await;
        let viewers = admin.get(&format!("/api/v1/events/{}/viewers", show.event)).await;
        let kick = format!("/api/v1/events/{}/viewers/{}/kick", show.event, viewers.at("/data/0/session"));
        assert_eq!(admin.post(&kick, json!({})).await.status, 200);
        assert_eq!(show.get(&format!("key/{known}")).await.status.as_u16(), 403, "at once");

        // Somebody else sees which key is used for what; a cache may still give the first one all of it.
        let code = admin.invite(&show.event, "Cleo").await.code;
        let cleo = show.entered(&code).await;
        encoder.send(8_000).await;
        cleo.reaches("video", known + 4).await;
        let playlist = cleo.get("video/index.m3u8").await.text();
        let (mut key, mut decryptable_s) = (0, 0.0);
        for line in playlist.lines() {
            if let Some(next) = keys_in(line).first() {
                key = *next;
            } else if let Some(length) = line.strip_prefix("#EXTINF:") {
                decryptable_s += if key == known { length.trim_end_matches(',').parse::<f64>().unwrap() } else { 0.0 };
            }
        }
        assert!((3.9..=4.1).contains(&decryptable_s), "one key of two segments: {decryptable_s}");
        assert!(keys_in(&playlist).last().unwrap() > &known);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_asked_for_again_and_again_is_an_incident_and_too_many_have_to_wait() {
    on_both(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let _encoder = show.on_air().await;
        let admin = stage.admin().await;
        let incidents = async || {
            stage.access.write_notices().await.unwrap();
            let shown = admin.get(&format!("/api/v1/events/{}/incidents", show.event)).await.json();
            let all = shown["data"].as_array().unwrap().clone();
            all.into_iter().filter(|incident| incident["kind"] == "tampering").collect::<Vec<_>>()
        };
        for _ in 0..4 {
            assert_eq!(show.get("key/0").await.status.as_u16(), 200);
        }
        assert_eq!(show.get("key/2").await.status.as_u16(), 200);
        assert!(incidents().await.is_empty(), "sound and pictures ask apart, and a page is loaded again");
        assert_eq!(show.get("key/0").await.status.as_u16(), 200, "odd, not guilty");
        let raised = incidents().await;
        assert_eq!(raised.len(), 1);
        assert!(raised[0]["session_id"].is_string() || raised[0]["session"].is_string(), "{raised:?}");
        let mut statuses = Vec::new();
        for _ in 0..120 {
            statuses.push(show.get("key/0").await.status.as_u16());
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 100 - 6, "{statuses:?}");
        assert_eq!(*statuses.last().unwrap(), 429);
        report(stage, &show.event);
        stage.pass(10);
        assert_eq!(show.get("key/0").await.status.as_u16(), 200);
        assert_eq!(incidents().await.len(), 1, "said once");
    })
    .await;
}

#[tokio::test]
async fn asking_for_keys_that_there_are_not_is_counted_like_asking_for_those_that_there_are() {
    on_sqlite(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let _encoder = show.on_air().await;
        for number in 0..100 {
            assert_eq!(show.get(&format!("key/{}", 1_000 + number)).await.status.as_u16(), 403, "{number}");
        }
        for path in ["key/2000", "key/0"] {
            assert_eq!(show.get(path).await.status.as_u16(), 429, "{path}");
        }
        report(stage, &show.event);
        stage.pass(10);
        assert_eq!(show.get("key/0").await.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test]
async fn keys_survive_a_restart_and_a_new_master_key_and_stand_nowhere_in_the_clear() {
    on_both(async |stage| {
        let show = sealed(stage, "aes-128").await;
        let encoder = show.on_air().await;
        let mut before = Vec::new();
        for msn in [0_u64, 2] {
            before.push((msn, show.get(&format!("key/{msn}")).await.bytes));
        }
        // The organiser changes their mind: it counts from the next broadcast on.
        let off = json!({"policy": {"encryption": {"method": "off"}}});
        let changed = stage.admin().await.patch(&format!("/api/v1/events/{}", show.event), off).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        drop(encoder);
        stage.hub.stop().await;

        let kept = stage.kept().await;
        for (_, secret) in &before {
            assert!(!kept.windows(16).any(|window| window == secret), "a copy of everything has no key in it");
        }
        let (old, new) = (MasterKey::new([3; 32]), MasterKey::new([4; 32]));
        stage.access.take_up(&new.clone().after(&old)).await.unwrap();
        stage.pass(30);
        let mut passes = 0;
        while !stage.access.rekey(&CancellationToken::new()).await.unwrap() {
            passes += 1;
            assert!(passes < 5);
        }
        let access = Access::start(stage.world.clone(), config::Access::default(), &new).await.unwrap();
        let blobs = Blobs::folder(&stage.media_folder()).unwrap();
        let (db, clock) = (stage.db.clone(), stage.clock.clone());
        let hub = stagedoor_server::live::Hub::start(access.clone(), db, blobs, clock, Random::system());
        hub.restore().await.unwrap();
        let again = Show { hub: Some((access, hub.clone())), ..show };
        let playlist = again.get("video/index.m3u8").await.text();
        assert_eq!(keys_in(&playlist)[..2], [0, 2], "{playlist}");
        for (msn, secret) in &before {
            assert_eq!(&again.get(&format!("key/{msn}")).await.bytes, secret);
            let segment = again.get(&format!("video/{msn}.m4s")).await.bytes;
            assert_eq!(&decrypt(secret, ivs_in(&playlist)[msn], &segment)[4..8], b"moof");
        }
        // It goes on under a new key, by the method with which it began.
        let mut encoder = again.publish(&hub).await.unwrap();
        encoder.send(4_000).await;
        let next = *keys_in(&playlist).last().unwrap() + 1;
        let newest = loop {
            let newest = *keys_in(&again.get("video/index.m3u8").await.text()).last().unwrap();
            if newest >= next {
                break newest;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(again.get(&format!("key/{newest}")).await.bytes.len(), 16);
        drop(encoder);
        hub.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_says_how_it_is_encrypted_and_old_ones_are_not() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let path = format!("/api/v1/events/{event}");
        let shown = admin.get(&path).await.json();
        assert_eq!(shown["policy"]["encryption"], json!({"method": "off", "key_period_s": 10}));
        for (wrong, status) in [(json!({"key_period_s": 3}), 422), (json!({"method": "rot13"}), 422)] {
            let answer = admin.patch(&path, json!({"policy": {"encryption": wrong}})).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
        let show = sealed(stage, "off").await;
        let _encoder = show.on_air().await;
        assert!(keys_in(&show.get("video/index.m3u8").await.text()).is_empty());
        assert_eq!(show.get("key/0").await.status.as_u16(), 403);
        assert_eq!(&show.get("video/0.m4s").await.bytes[4..8], b"moof");
    })
    .await;
}
