//! A full house, and the line in front of it.

use serde_json::{Value, json};
use stagedoor_server::access::{Access, MasterKey};
use stagedoor_server::config;
use stagedoor_server::ports::World;
use stagedoor_server::ports::bus::Bus;
use stagedoor_server::ports::random::Random;

use crate::stage::{Answer, Browser, on_both, on_sqlite};

async fn event(admin: &Browser<'_>, admission: Value) -> String {
    let answer = admin.post("/api/v1/events", json!({"title": "Evening", "policy": {"admission": admission}})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.at("/id")
}

async fn invited(admin: &Browser<'_>, event: &str, count: usize) -> Vec<String> {
    let mut codes = Vec::new();
    for number in 0..count {
        codes.push(admin.invite(event, &format!("Guest {number}")).await.code);
    }
    codes
}

impl Browser<'_> {
    async fn standing(&self, event: &str) -> Answer {
        self.get(&format!("/api/v1/events/{event}/queue/current")).await
    }
}

#[track_caller]
fn waits(answer: &Answer, status: u16, position: u32) {
    assert_eq!((answer.status, answer.at("/waiting")), (status, "queue".into()), "{answer:?}");
    assert_eq!(answer.json()["queue"]["position"], position, "{answer:?}");
    assert_eq!(answer.json()["queue"]["ahead"], position - 1);
}

#[tokio::test]
async fn a_full_house_makes_a_line_and_who_leaves_lets_the_next_one_in() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 3).await;
        let (one, two, three) = (stage.browser(), stage.browser(), stage.browser());
        one.enter(&event, &codes[0]).await;
        waits(&two.redeem(&event, &codes[1]).await, 202, 1);
        waits(&three.redeem(&event, &codes[2]).await, 202, 2);
        // Refreshing, asking and sending the code again keep the place.
        waits(&three.redeem(&event, &codes[2]).await, 202, 2);
        waits(&two.standing(&event).await, 200, 1);
        waits(&three.standing(&event).await, 200, 2);
        assert_eq!(one.redeem(&event, &codes[0]).await.status, 201, "who is in stays in");
        assert_eq!(stage.access.queueing(event.parse().unwrap()), 2);

        let gone = one.delete(&format!("/api/v1/events/{event}/sessions/current")).await;
        assert_eq!(gone.status, 204);
        waits(&three.standing(&event).await, 200, 1);
        assert_eq!(two.standing(&event).await.json(), json!({"admitted": true}));
        two.enter(&event, &codes[1]).await;
        waits(&three.standing(&event).await, 200, 1);
        assert_eq!(three.delete(&format!("/api/v1/events/{event}/queue/current")).await.status, 204);
        three.standing(&event).await.refused(404, "no_place");
        stage.access.turn_lines().await.unwrap();
        assert_eq!(stage.access.queueing(event.parse().unwrap()), 0);
    })
    .await;
}

#[tokio::test]
async fn only_a_right_code_gets_a_place_and_only_a_genuine_ticket_keeps_it() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 4).await;
        stage.browser().enter(&event, &codes[0]).await;
        let stranger = stage.browser();
        stranger.redeem(&event, "2345-6789-ABCD").await.refused(403, "code_invalid");
        stranger.standing(&event).await.refused(404, "no_place");
        let guest = stage.browser();
        waits(&guest.redeem(&event, &codes[1]).await, 202, 1);
        let ticket = guest.cookie_header(&format!("/api/v1/events/{event}/"));
        for forged in [ticket.replace('=', "=A"), ticket[..ticket.len() - 4].to_owned(), "stagedoor_queue=".to_owned()]
        {
            let request = http::Request::get(format!("/api/v1/events/{event}/queue/current")).header("cookie", &forged);
            stranger.raw(request.body(axum::body::Body::empty()).unwrap()).await.refused(404, "no_place");
        }
        // The same code on two devices has one place.
        let tablet = stage.browser();
        waits(&tablet.redeem(&event, &codes[1]).await, 202, 1);
        waits(&stage.browser().redeem(&event, &codes[2]).await, 202, 2);
        // Whoever is not let in anyway is told so at once.
        let id = admin.get(&format!("/api/v1/events/{event}/invitations?search=Guest%203")).await.at("/data/0/id");
        assert!(admin.delete(&format!("/api/v1/events/{event}/invitations/{id}")).await.status < 300);
        stage.browser().redeem(&event, &codes[3]).await.refused(410, "access_ended");
        // Somebody whose device died takes their own seat, not a place in line.
        stage.pass(60);
        stage.browser().enter(&event, &codes[0]).await;
    })
    .await;
}

#[tokio::test]
async fn a_raised_capacity_lets_people_in_at_once_and_a_rate_spreads_them() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 6).await;
        stage.browser().enter(&event, &codes[0]).await;
        let guests: Vec<_> = codes[1..].iter().map(|code| (stage.browser(), code)).collect();
        for (position, (guest, code)) in (1..).zip(&guests) {
            waits(&guest.redeem(&event, code).await, 202, position);
        }
        let path = format!("/api/v1/events/{event}");
        let raised = admin.patch(&path, json!({"policy": {"admission": {"capacity": 3}}})).await;
        assert_eq!(raised.status, 200);
        for (guest, code) in &guests[..2] {
            guest.enter(&event, code).await;
        }
        waits(&guests[2].0.standing(&event).await, 200, 1);

        admin.patch(&path, json!({"policy": {"admission": {"per_second": 1}}})).await;
        stage.pass(1);
        for (guest, code) in &guests[2..] {
            guest.enter(&event, code).await;
            let last = &guests[4].0;
            if !std::ptr::eq(guest, last) {
                let standing = last.standing(&event).await.json();
                let ahead = standing["queue"]["ahead"].as_u64().unwrap();
                assert_eq!(standing["queue"]["eta_ms"], (ahead + 1) * 1_000, "{standing}");
            }
            stage.pass(1);
        }
    })
    .await;
}

#[tokio::test]
async fn those_who_vanish_lose_their_place_and_their_seat_to_those_who_wait() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 3).await;
        let (one, two, three) = (stage.browser(), stage.browser(), stage.browser());
        one.enter(&event, &codes[0]).await;
        waits(&two.redeem(&event, &codes[1]).await, 202, 1);
        waits(&three.redeem(&event, &codes[2]).await, 202, 2);
        stage.pass(30);
        waits(&three.standing(&event).await, 200, 1);
        stage.pass(60);
        waits(&three.standing(&event).await, 200, 1);
        stage.access.turn_lines().await.unwrap();
        assert_eq!(one.current(&event).await.status, 200, "not heard from for a minute and a half: a tunnel");
        stage.pass(125);
        waits(&three.standing(&event).await, 200, 1);
        stage.access.turn_lines().await.unwrap();
        one.current(&event).await.refused(401, "access_ended");
        three.enter(&event, &codes[2]).await;
        waits(&one.redeem(&event, &codes[0]).await, 202, 1);
        waits(&two.standing(&event).await, 200, 1);
        stage.pass(301);
        waits(&two.standing(&event).await, 200, 1);
        waits(&one.standing(&event).await, 200, 2);
    })
    .await;
}

#[tokio::test]
async fn a_restart_brings_everybody_back_to_their_place() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 3).await;
        stage.browser().enter(&event, &codes[0]).await;
        let (two, three) = (stage.browser(), stage.browser());
        waits(&two.redeem(&event, &codes[1]).await, 202, 1);
        stage.pass(1);
        waits(&three.redeem(&event, &codes[2]).await, 202, 2);
        stage.access.turn_lines().await.unwrap();

        // The same database, another process; the house is empty by then.
        let world =
            World { db: stage.db.clone(), clock: stage.clock.clone(), random: Random::system(), bus: Bus::local() };
        stage.pass(20);
        let again = Access::start(world, config::Access::default(), &MasterKey::new([3; 32])).await.unwrap();
        let id = event.parse().unwrap();
        let ask = async |browser: &Browser<'_>| {
            let cookie = browser.cookie_header(&format!("/api/v1/events/{event}/queue/current"));
            let ticket = cookie.split("; ").find_map(|pair| pair.strip_prefix("stagedoor_queue=")).unwrap().to_owned();
            match again.queue(id, &ticket).await.unwrap() {
                stagedoor_server::access::InLine::Admitted => None,
                stagedoor_server::access::InLine::Queued(queued) => Some(queued.wait.ahead),
            }
        };
        let seat = again.room(id).unwrap().seats().remove(0);
        again.leave(&seat).await.unwrap();
        assert_eq!(ask(&three).await, Some(0), "the first to come back");
        assert_eq!(ask(&two).await, Some(0), "stood in front");
        assert_eq!(ask(&three).await, Some(1), "nobody is called before all had the time to come back");
        stage.pass(21);
        assert_eq!((ask(&three).await, ask(&two).await), (Some(0), None), "the one in front was called");
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_come_in_any_more_keeps_no_seat_from_those_who_may() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({"capacity": 1})).await;
        let codes = invited(&admin, &event, 3).await;
        let (one, two, three) = (stage.browser(), stage.browser(), stage.browser());
        one.enter(&event, &codes[0]).await;
        waits(&two.redeem(&event, &codes[1]).await, 202, 1);
        stage.pass(1);
        waits(&three.redeem(&event, &codes[2]).await, 202, 2);
        let id = admin.get(&format!("/api/v1/events/{event}/invitations?search=Guest%201")).await.at("/data/0/id");
        assert_eq!(admin.post(&format!("/api/v1/events/{event}/invitations/{id}/block"), json!({})).await.status, 204);
        assert_eq!(one.delete(&format!("/api/v1/events/{event}/sessions/current")).await.status, 204);
        // Their page asks on and on, and was next each time.
        for _ in 0..3 {
            two.standing(&event).await.refused(404, "no_place");
        }
        assert_eq!(three.standing(&event).await.json(), json!({"admitted": true}));
        two.redeem(&event, &codes[1]).await.refused(403, "blocked");
        three.enter(&event, &codes[2]).await;
        assert!(!three.cookie_header(&format!("/api/v1/events/{event}/queue")).contains("stagedoor_queue="), "in");
    })
    .await;
}

/// What the door does on this machine when everybody comes at once. It takes a minute, so it is run by hand:
/// `cargo nextest run -p stagedoor-server --run-ignored only a_storm`; `STORM_PER_SECOND` and `STORM_CODES` change it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
#[expect(clippy::print_stdout, reason = "what it measured")]
async fn a_storm_of_codes_is_let_in_without_an_error() {
    use futures_util::stream::{FuturesUnordered, StreamExt};
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (rate, count) = (number("STORM_PER_SECOND", 350), number("STORM_CODES", 10_000));
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = event(&admin, json!({})).await;
        let codes = invited(&admin, &event, usize::try_from(count).unwrap()).await;
        let (begin, mut passed) = (tokio::time::Instant::now(), std::time::Duration::ZERO);
        let mut storm: FuturesUnordered<_> = (0..)
            .zip(&codes)
            .map(|(number, code)| {
                let at = begin + std::time::Duration::from_micros(number * 1_000_000 / rate);
                let event = &event;
                async move {
                    tokio::time::sleep_until(at).await;
                    let guest = stage.browser();
                    let mut asked = 0;
                    // As the page does: whoever is asked to wait for a moment asks again.
                    let status = loop {
                        let answer = guest.redeem(event, code).await;
                        match answer.status {
                            202 => {
                                asked += 1;
                                let poll = answer.json()["queue"]["poll_ms"].as_u64().unwrap();
                                tokio::time::sleep(std::time::Duration::from_millis(poll)).await;
                            }
                            status => break status,
                        }
                    };
                    (status, at.elapsed(), asked)
                }
            })
            .collect();
        let (mut took, mut waited) = (Vec::new(), 0);
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tokio::select! {
                // The stage's clock stands still otherwise, and so would a line.
                at = tick.tick() => {
                    let behind = at.saturating_duration_since(begin).saturating_sub(passed);
                    stage.clock.advance(behind);
                    passed += behind;
                }
                answer = storm.next() => {
                    let Some((status, elapsed, asked)) = answer else { break };
                    assert_eq!(status, 201);
                    took.push(elapsed);
                    waited += usize::from(asked > 0);
                }
            }
        }
        took.sort_unstable();
        let at = |share: usize| took[(took.len() * share / 1_000).min(took.len() - 1)].as_millis();
        println!(
            "{count} codes at {rate}/s in {:.1} s: p50 {} ms, p99 {} ms, p99.9 {} ms, {waited} stood in line",
            begin.elapsed().as_secs_f64(),
            at(500),
            at(990),
            at(999)
        );
    })
    .await;
}
