//! The door on both databases.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stagedoor_domain::Time;
use stagedoor_domain::access::{Denied, EndReason, Organise, Pass, Scopes, Secret};
use stagedoor_domain::event::Latency;
use stagedoor_domain::id::{EventId, StreamId};

use super::*;
use crate::ports::db::events::Event;
use crate::ports::db::testing::{both, proof, sample};

mod doubt;
mod guests;
mod handover;
mod removal;
mod renewals;
mod risk;
mod visits;

struct Door {
    access: Arc<Access>,
    event: Event,
    clock: Clock,
}

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn world(db: &Db, clock: &Clock) -> World {
    World { db: db.clone(), clock: clock.clone(), random: Random::system(), bus: Bus::local() }
}

async fn start(db: &Db, clock: &Clock) -> Arc<Access> {
    let master = MasterKey::new([7; 32]);
    Access::start(world(db, clock), config::Access::default(), &master).await.unwrap()
}

async fn open(db: &Db) -> Door {
    let clock = Clock::manual(Time::from_millis(1_795_203_000_000));
    let access = start(db, &clock).await;
    let event = sample::evening(&access.random, clock.now());
    access.create_event(&proof::create(), Actor::Operator, &event).await.unwrap();
    Door { access, event, clock }
}

impl Door {
    async fn invite(&self) -> NewInvitation {
        self.access.invite(&proof::organise(self.event.id), Actor::Operator, &NewInvitee::named("Ada")).await.unwrap()
    }

    async fn redeem(&self, code: &str, cookie: Option<&str>) -> Result<Redeemed, RedeemRefused> {
        self.redeem_from(code, cookie, HOME, None).await
    }

    async fn redeem_from(
        &self,
        code: &str,
        cookie: Option<&str>,
        address: IpAddr,
        proof: Option<&Proof>,
    ) -> Result<Redeemed, RedeemRefused> {
        let event = self.event.id;
        let attempt =
            RedeemAttempt { event, code, address, cookie, ticket: None, asking: None, device: "Firefox", proof };
        self.access.redeem(attempt).await
    }

    /// A device that has asked before, if it has.
    async fn redeem_asking(&self, code: &str, asking: Option<&Secret>) -> Result<Redeemed, RedeemRefused> {
        let (event, asking) = (self.event.id, asking.map(Secret::expose));
        let device = "Chrome on Android";
        let attempt =
            RedeemAttempt { event, code, address: HOME, cookie: None, ticket: None, asking, device, proof: None };
        self.access.redeem(attempt).await
    }

    fn watch(&self, token: &str) -> Result<Allowed<Watch>, Denied> {
        self.access.watch(token, &self.event.stream.to_string())
    }
}

fn at(address: IpAddr) -> Arrival<'static> {
    Arrival { address, device: "Firefox on Linux", familiar: None }
}

#[track_caller]
fn done(step: SignIn) -> SignedIn {
    match step {
        SignIn::Done(signed_in) => *signed_in,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_code_opens_a_session_whose_token_watches_its_own_stream_only() {
    both(async |db| {
        let door = open(&db).await;
        let invited = door.invite().await;
        let redeemed = door.redeem(&invited.code.to_string(), None).await.unwrap();
        let token = door.access.playback_token(&redeemed.seat);
        let allowed = door.watch(&token).unwrap();
        assert_eq!((allowed.session, allowed.event), (redeemed.seat.session, door.event.id));
        let other = StreamId::new(door.access.random.uuid(door.clock.now())).to_string();
        assert_eq!(door.access.watch(&token, &other), Err(Denied::OtherStream));
        assert_eq!(door.access.watch(&token, "index"), Err(Denied::OtherStream));
        assert_eq!(door.watch("nonsense"), Err(Denied::Unknown));
        door.clock.advance(Duration::from_secs(12 * 60 * 60));
        assert_eq!(door.watch(&token), Err(Denied::Expired));
        door.access.expire().await.unwrap();
        assert_eq!(door.watch(&token), Err(Denied::Unknown));
        assert_eq!(redeemed.seat.over(), Some(EndReason::Expired));
    })
    .await;
}

#[tokio::test]
async fn a_second_browser_waits_until_the_first_is_gone_and_then_replaces_it() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        let first = door.redeem(&code, None).await.unwrap();
        let token = door.access.playback_token(&first.seat);
        assert!(matches!(door.redeem(&code, None).await, Err(RedeemRefused::Asked(_))));
        assert!(matches!(door.redeem(&code, Some("other")).await, Err(RedeemRefused::TakeoverPending)));

        let again = door.redeem(&code, Some(first.cookie.expose())).await.unwrap();
        assert_eq!(again.seat.session, first.seat.session, "the same browser goes on");
        assert_eq!(again.cookie, first.cookie);

        door.clock.advance(Duration::from_secs(29));
        assert!(door.watch(&token).is_ok());
        door.clock.advance(Duration::from_secs(29));
        let Err(RedeemRefused::Asked(asked)) = door.redeem(&code, None).await else { panic!("seen 29 s ago") };
        door.clock.advance(Duration::from_secs(2));
        let mut ended = door.access.ended();
        let second = door.redeem_asking(&code, asked.ticket.as_ref()).await.unwrap();
        assert_ne!(second.seat.session, first.seat.session);
        assert_eq!(ended.try_recv(), Ok((first.seat.session, EndReason::Replaced)));
        assert_eq!(first.seat.ended().await.reason, EndReason::Replaced);
        assert_eq!(door.watch(&token), Err(Denied::Unknown));
        let why = door.access.why_ended(door.event.id, first.cookie.expose()).await.unwrap();
        assert_eq!(why, Some(EndReason::Replaced));
        assert!(door.access.seat(door.event.id, first.cookie.expose()).is_none());
        assert!(door.access.seat(door.event.id, second.cookie.expose()).is_some());
    })
    .await;
}

#[tokio::test]
async fn who_is_withdrawn_kicked_or_leaves_is_out_at_once() {
    both(async |db| {
        let door = open(&db).await;
        let (a, b, c) = (door.invite().await, door.invite().await, door.invite().await);
        let mut seats = Vec::new();
        for invited in [&a, &b, &c] {
            seats.push(door.redeem(&invited.code.to_string(), None).await.unwrap().seat);
        }
        let tokens: Vec<_> = seats.iter().map(|seat| door.access.playback_token(seat)).collect();
        let event = door.event.id;
        assert!(door.access.withdraw(&proof::organise(event), Actor::Operator, a.invitation.id).await.unwrap());
        assert!(!door.access.withdraw(&proof::organise(event), Actor::Operator, a.invitation.id).await.unwrap());
        assert_eq!(door.watch(&tokens[0]), Err(Denied::Unknown));
        assert!(matches!(door.redeem(&a.code.to_string(), None).await, Err(RedeemRefused::AccessEnded)));

        for sessions in [1, 0] {
            let how = SendOut::default();
            let sent =
                door.access.kick(&proof::moderate(event), Actor::Operator, &[seats[1].session], how).await.unwrap();
            assert_eq!(sent, SentOut { sessions, blocked: 0, recorded: true });
        }
        assert_eq!(door.watch(&tokens[1]), Err(Denied::Unknown));
        assert!(door.redeem(&b.code.to_string(), None).await.is_ok(), "a kick ends the session, not the invitation");

        assert!(door.watch(&tokens[2]).is_ok());
        door.access.leave(&seats[2]).await.unwrap();
        assert_eq!(door.watch(&tokens[2]), Err(Denied::Unknown));
        let reasons: Vec<_> = seats.iter().map(|seat| seat.over().unwrap()).collect();
        assert_eq!(reasons, [EndReason::Revoked, EndReason::Kicked, EndReason::Left]);
    })
    .await;
}

#[tokio::test]
async fn deleting_an_event_sends_everybody_home() {
    both(async |db| {
        let door = open(&db).await;
        let invited = door.invite().await;
        let seat = door.redeem(&invited.code.to_string(), None).await.unwrap().seat;
        let token = door.access.playback_token(&seat);
        assert!(door.access.delete_event(&proof::organise(door.event.id), Actor::Operator).await.unwrap());
        assert!(!door.access.delete_event(&proof::organise(door.event.id), Actor::Operator).await.unwrap());
        assert_eq!(door.watch(&token), Err(Denied::Unknown));
        assert_eq!(seat.over(), Some(EndReason::Ended));
        assert!(matches!(door.redeem(&invited.code.to_string(), None).await, Err(RedeemRefused::NoEvent)));
    })
    .await;
}

#[tokio::test]
async fn sessions_codes_and_tokens_survive_a_restart() {
    both(async |db| {
        let door = open(&db).await;
        let invited = door.invite().await;
        let redeemed = door.redeem(&invited.code.to_string(), None).await.unwrap();
        let token = door.access.playback_token(&redeemed.seat);
        let again =
            Door { access: start(&db, &door.clock).await, event: door.event.clone(), clock: door.clock.clone() };
        assert!(again.watch(&token).is_ok());
        assert!(again.access.seat(door.event.id, redeemed.cookie.expose()).is_some());
        assert!(matches!(again.redeem(&invited.code.to_string(), None).await, Err(RedeemRefused::Asked(_))));
        let other = MasterKey::new([8; 32]);
        let clock = door.clock.clone();
        let refused = Access::start(world(&db, &clock), config::Access::default(), &other).await;
        assert!(matches!(refused, Err(StartError::MissingMasterKey { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_eight_who_race_for_a_code_wins() {
    both(async |db| {
        let door = Arc::new(open(&db).await);
        for round in 0..100 {
            let code = door.invite().await.code.to_string();
            let racers: Vec<_> = (0..8_u8)
                .map(|number| {
                    let (door, code) = (Arc::clone(&door), code.clone());
                    let address = IpAddr::from([198, 51, 100, number]);
                    tokio::spawn(async move { door.redeem_from(&code, None, address, None).await })
                })
                .collect();
            let mut won = 0;
            for racer in racers {
                match racer.await.unwrap() {
                    Ok(redeemed) => {
                        won += 1;
                        assert!(door.watch(&door.access.playback_token(&redeemed.seat)).is_ok());
                    }
                    Err(RedeemRefused::Asked(_) | RedeemRefused::TakeoverPending) => {}
                    Err(other) => panic!("round {round}: {other:?}"),
                }
            }
            assert_eq!(won, 1, "round {round}");
        }
        assert_eq!(door.access.room(door.event.id).unwrap().seats().len(), 100);
        assert_eq!(sessions::all_active(&db).await.unwrap().len(), 100);
    })
    .await;
}

#[tokio::test]
async fn five_wrong_codes_make_an_address_wait_and_nobody_else() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        for wrong in ["ABCD-EFGH-JKLM", "x", "", "2222-2222-2222", "ZZZZ-ZZZZ-ZZZZ"] {
            assert!(matches!(door.redeem(wrong, None).await, Err(RedeemRefused::CodeInvalid)));
        }
        door.clock.advance(Duration::from_secs(10));
        let Err(RedeemRefused::TooMany { retry_after }) = door.redeem(&code, None).await else { panic!("let in") };
        assert_eq!(retry_after, Duration::from_secs(50));
        let elsewhere = IpAddr::from([203, 0, 113, 9]);
        assert!(door.redeem_from(&code, None, elsewhere, None).await.is_ok());
        door.clock.advance(retry_after);
        assert!(door.redeem(&code, None).await.is_ok(), "the first wrong one is a minute old");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_sent_at_once_are_counted_one_by_one() {
    both(async |db| {
        let door = Arc::new(open(&db).await);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let door = Arc::clone(&door);
                tokio::spawn(async move { door.redeem("ABCD-EFGH-JKLM", None).await })
            })
            .collect();
        let mut looked_up = 0;
        for task in tasks {
            looked_up += usize::from(matches!(task.await.unwrap(), Err(RedeemRefused::CodeInvalid)));
        }
        assert_eq!(looked_up, 5);
    })
    .await;
}

#[tokio::test]
async fn after_a_hundred_wrong_codes_everybody_proves_work_until_it_cools() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        for number in 0..100 {
            let address = IpAddr::from([203, 0, 113, number]);
            let refused = door.redeem_from("ABCD-EFGH-JKLM", None, address, None).await;
            assert!(matches!(refused, Err(RedeemRefused::CodeInvalid)), "{number}");
        }
        let Err(RedeemRefused::ProofRequired { challenge }) = door.redeem(&code, None).await else { panic!("let in") };
        let bad = Proof { challenge: challenge.clone(), nonce: "1".into() };
        let refused = door.redeem_from(&code, None, HOME, Some(&bad)).await;
        assert!(matches!(refused, Err(RedeemRefused::ProofRequired { .. })));
        let good = solve(&challenge);
        assert!(door.redeem_from(&code, None, HOME, Some(&good)).await.is_ok());
        let twice = door.redeem_from(&code, None, HOME, Some(&good)).await;
        assert!(matches!(twice, Err(RedeemRefused::ProofRequired { .. })), "a proof pays once");
        door.clock.advance(Duration::from_secs(60));
        assert!(!matches!(door.redeem(&code, None).await, Err(RedeemRefused::ProofRequired { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_stream_key_publishes_until_it_is_withdrawn_or_expires() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let later = door.clock.now().plus(Duration::from_secs(10));
        let (row, key) = door
            .access
            .create_key(
                &proof::broadcast(event),
                Actor::Operator,
                NewKey { expires_at: Some(later), ..NewKey::default() },
            )
            .await
            .unwrap();
        let publish = async |key: &str| door.access.publish(PublishAttempt { key, address: HOME }).await;
        let allowed = publish(key.expose()).await.unwrap();
        assert_eq!((allowed.stream, allowed.event, allowed.with), (door.event.stream, event, Pass::Key(row.id)));
        assert_eq!((allowed.latency, allowed.reconnect_window), (Latency::Low, Duration::from_secs(60)));
        door.clock.advance(Duration::from_secs(10));
        assert_eq!(publish(key.expose()).await, Err(PublishDenied::Denied(Denied::Expired)));
        assert!(door.access.revoke_key(&proof::broadcast(event), Actor::Operator, row.id).await.unwrap());
        assert_eq!(publish(key.expose()).await, Err(PublishDenied::Denied(Denied::Ended)));
        for _ in 0..5 {
            assert_eq!(publish("wrong").await, Err(PublishDenied::Denied(Denied::Unknown)));
        }
        assert_eq!(publish(key.expose()).await, Err(PublishDenied::TooManyAttempts));
    })
    .await;
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_signs_in() {
    both(async |db| {
        let door = open(&db).await;
        let made = door.access.first_admin("ada").await.unwrap().unwrap();
        assert!(door.access.first_admin("ada").await.unwrap().is_none());
        let signed_in = done(door.access.sign_in("ada", made.password.expose(), at(HOME)).await.unwrap());
        let who = door.access.organiser_by_cookie(signed_in.cookie.expose()).await.unwrap().unwrap();
        assert_eq!(who.username, "ada");
        assert!(door.access.may(&who, Organise { event: door.event.id }).is_ok());
        door.clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
        let who = door.access.organiser_by_cookie(signed_in.cookie.expose()).await.unwrap().unwrap();
        assert_eq!(door.access.may(&who, Organise { event: door.event.id }), Err(Denied::Expired));
        door.access.sign_out(signed_in.cookie.expose()).await.unwrap();
        assert!(door.access.organiser_by_cookie(signed_in.cookie.expose()).await.unwrap().is_none());

        let reset = door.access.reset_password("ada").await.unwrap().unwrap();
        let old = door.access.sign_in("ada", made.password.expose(), at(HOME)).await;
        assert!(matches!(old, Err(SignInRefused::Wrong)));
        assert!(door.access.sign_in("ada", reset.password.expose(), at(HOME)).await.is_ok());
        for name in ["ada", "eve", "", "ada"] {
            assert!(matches!(door.access.sign_in(name, "wrong", at(HOME)).await, Err(SignInRefused::Wrong)), "{name}");
        }
        let refused = door.access.sign_in("ada", reset.password.expose(), at(HOME)).await;
        assert!(matches!(refused, Err(SignInRefused::TooMany { .. })));
        let elsewhere = IpAddr::from([203, 0, 113, 9]);
        assert!(
            door.access.sign_in("ada", reset.password.expose(), at(elsewhere)).await.is_ok(),
            "the owner is not locked out"
        );
    })
    .await;
}

#[tokio::test]
async fn nothing_secret_is_stored_in_the_clear() {
    let scratch = stagedoor_testkit::database::Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let door = open(&db).await;
    let invited = door.invite().await;
    let admin = door.access.first_admin("ada").await.unwrap().unwrap();
    let signed_in = done(door.access.sign_in("ada", admin.password.expose(), at(HOME)).await.unwrap());
    let (_, key) =
        door.access.create_key(&proof::broadcast(door.event.id), Actor::Operator, NewKey::default()).await.unwrap();
    let (_, token) = door.access.mint_token(&proof::mint(), &signed_in.who, "ci", Scopes::ALL, None).await.unwrap();
    let redeemed = door.redeem(&invited.code.to_string(), None).await.unwrap();
    let mut secrets = vec![invited.code.to_string(), String::from_utf8(invited.code.as_bytes().to_vec()).unwrap()];
    for secret in [&admin.password, &signed_in.cookie, &key, &token, &redeemed.cookie] {
        secrets.push(secret.expose().to_owned());
    }
    secrets.push(door.access.playback_token(&redeemed.seat));
    db.close().await;
    let folder = std::path::Path::new(scratch.url().strip_prefix("sqlite://").unwrap()).parent().unwrap().to_owned();
    let mut searched = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        searched += bytes.len();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "a secret is in the file");
        }
    }
    assert!(searched > 10_000);
    scratch.remove().await;
}

/// `cargo test --release -p stagedoor-server watch_costs -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement: run it in a release build"]
#[expect(clippy::print_stdout, reason = "a measurement")]
async fn what_a_watch_costs() {
    let scratch = stagedoor_testkit::database::Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let door = open(&db).await;
    let now = door.clock.now();
    let access = start(&db, &Clock::system()).await;
    let tokens: Vec<_> = (0..2_000_u32)
        .map(|number| {
            let new = NewSeat {
                session: SessionId::new(access.random.uuid(now)),
                invitation: stagedoor_domain::id::InvitationId::new(access.random.uuid(now)),
                name: String::new(),
                device: String::new(),
                created_at: now,
                came: Duration::ZERO,
                expires_at: Time::from_millis(i64::MAX),
                last_seen: now,
                cookie: *blake3::hash(&number.to_be_bytes()).as_bytes(),
            };
            access.playback_token(&access.rooms.sit(door.event.id, new).unwrap())
        })
        .collect();
    let stream = door.event.stream.to_string();
    for threads in [1, 2] {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for round in 0..200 {
                        for token in &tokens {
                            assert!(access.watch(token, &stream).is_ok(), "{round}");
                        }
                    }
                });
            }
        });
        let each = started.elapsed().as_nanos() / (200 * tokens.len() as u128);
        println!("{threads} thread(s): {each} ns per watch, 2000 sessions");
    }
    db.close().await;
    scratch.remove().await;
}
