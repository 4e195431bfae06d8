//! Viewers are sent out, on both databases.

use stagedoor_domain::access::{EndAll, TakeoverState};
use stagedoor_testkit::database::Scratch;

use super::handover::{asked, invite_many};
use super::*;
use crate::ports::db::{invitations, takeovers};

fn told(words: &str) -> SendOut {
    SendOut { words: Some(words.into()), block: false }
}

#[tokio::test]
async fn who_is_kicked_hears_why_and_who_is_blocked_stays_out() {
    both(async |db| {
        let door = open(&db).await;
        let (a, b, c) = (door.invite().await, door.invite().await, door.invite().await);
        let mut seats = Vec::new();
        for invited in [&a, &b, &c] {
            seats.push(door.redeem(&invited.code.to_string(), None).await.unwrap().seat);
        }
        let event = door.event.id;
        let moderate = proof::moderate(event);
        let sessions = [
            seats[0].session,
            seats[1].session,
            seats[1].session,
            SessionId::new(door.access.random.uuid(door.clock.now())),
        ];
        let sent = door.access.kick(&moderate, Actor::Operator, &sessions, told("Bis bald")).await.unwrap();
        assert_eq!(sent, SentOut { sessions: 2, blocked: 0, recorded: true });
        let over = Over { reason: EndReason::Kicked, words: Some("Bis bald".into()) };
        assert_eq!((seats[0].ended().await, seats[1].ended().await), (over.clone(), over));
        assert!(seats[2].over().is_none());

        let again = door.redeem(&a.code.to_string(), None).await.unwrap();
        let how = SendOut { words: None, block: true };
        door.access.kick(&moderate, Actor::Operator, &[again.seat.session], how).await.unwrap();
        assert_eq!(again.seat.over(), Some(EndReason::Blocked));
        assert!(matches!(door.redeem(&a.code.to_string(), None).await, Err(RedeemRefused::Blocked)));

        let question = asked(door.redeem(&c.code.to_string(), None).await);
        assert!(door.access.block(&moderate, Actor::Operator, c.invitation.id, None).await.unwrap());
        assert!(!door.access.block(&moderate, Actor::Operator, c.invitation.id, None).await.unwrap());
        assert_eq!(seats[2].over(), Some(EndReason::Blocked));
        assert_eq!(takeovers::get(&db, question.takeover).await.unwrap().unwrap().state, TakeoverState::Cancelled);
        assert!(matches!(door.redeem(&c.code.to_string(), None).await, Err(RedeemRefused::Blocked)));
        assert!(door.redeem(&b.code.to_string(), None).await.is_ok(), "kicked, not blocked");
    })
    .await;
}

#[tokio::test]
async fn who_is_to_be_kept_out_is_also_when_they_left_or_moved_a_moment_ago() {
    both(async |db| {
        let door = open(&db).await;
        let (event, moderate) = (door.event.id, proof::moderate(door.event.id));
        let block = || SendOut { words: Some("No filming".into()), block: true };
        let (left, moved, other) = (door.invite().await, door.invite().await, open(&db).await);
        let old = door.redeem(&left.code.to_string(), None).await.unwrap().seat;
        door.access.leave(&old).await.unwrap();
        let sent = door.access.kick(&moderate, Actor::Operator, &[old.session], block()).await.unwrap();
        assert_eq!(sent, SentOut { sessions: 0, blocked: 1, recorded: true });
        assert!(matches!(door.redeem(&left.code.to_string(), None).await, Err(RedeemRefused::Blocked)));

        let old = door.redeem(&moved.code.to_string(), None).await.unwrap().seat;
        door.clock.advance(Duration::from_secs(31));
        let new = door.redeem(&moved.code.to_string(), None).await.unwrap().seat;
        let elsewhere = proof::moderate(other.event.id);
        let sent = door.access.kick(&elsewhere, Actor::Operator, &[old.session], block()).await.unwrap();
        assert_eq!(sent, SentOut { sessions: 0, blocked: 0, recorded: true }, "a session of another event");
        let sent = door.access.kick(&moderate, Actor::Operator, &[old.session], block()).await.unwrap();
        assert_eq!(sent, SentOut { sessions: 1, blocked: 1, recorded: true });
        let over = Over { reason: EndReason::Blocked, words: Some("No filming".into()) };
        assert_eq!(new.ended().await, over);
        assert_eq!(door.access.room(event).unwrap().seated(), 0);
        let again = door.access.kick(&moderate, Actor::Operator, &[old.session], block()).await.unwrap();
        assert_eq!(again, SentOut { sessions: 0, blocked: 0, recorded: true });
    })
    .await;
}

/// Two who hold several invitations at once must do so in one order: PostgreSQL gives one of them up otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kicks_of_many_and_new_codes_for_many_at_once_hold_each_other_up_and_not_for_ever() {
    both(async |db| {
        let door = open(&db).await;
        let (event, codes) = (door.event.id, invite_many(&door, 40).await);
        let (moderate, organise) = (proof::moderate(event), proof::organise(event));
        for round in 0..10 {
            let mut sessions = Vec::new();
            // Their sessions begin in the opposite order of their invitations.
            for (invitation, _) in codes.iter().rev() {
                let row = invitations::by_id(&db, *invitation).await.unwrap().unwrap();
                let reveal = stagedoor_domain::access::Reveal {
                    event: Some(event),
                    sealed: stagedoor_domain::access::Sealed::Code(*invitation),
                };
                let code = match round {
                    0 => codes.iter().find(|(id, _)| id == invitation).unwrap().1.clone(),
                    _ => door.access.keys.vault.open(&proof::of(reveal), &row.sealed).unwrap().expose().to_owned(),
                };
                sessions.push(door.redeem(&code, None).await.unwrap().seat.session);
            }
            let people: Vec<_> = codes.iter().map(|(invitation, _)| *invitation).collect();
            let (kicked, renewed) = tokio::join!(
                door.access.kick(&moderate, Actor::Operator, &sessions, SendOut::default()),
                door.access.renew(&organise, Actor::Operator, &people, None, None),
            );
            let (kicked, renewed) = (kicked.unwrap(), renewed.unwrap());
            assert_eq!(kicked.sessions as u64 + renewed.sessions_ended, 40, "each once");
            assert!(kicked.recorded);
            assert_eq!(door.access.room(event).unwrap().seated(), 0);
        }
    })
    .await;
}

/// Ten thousand seats, and one click.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "it says what it measured")]
async fn everybody_is_out_with_one_click() {
    const SEATS: usize = 10_000;
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let now = door.clock.now();
        let mut tx = db.write().await.unwrap();
        drop(tx);
        let codes = invite_many(&door, SEATS).await;
        tx = db.write().await.unwrap();
        for (number, (invitation, _)) in codes.iter().enumerate() {
            let session = sessions::Session {
                id: SessionId::new(door.access.random.uuid(now)),
                event,
                invitation: *invitation,
                cookie: *blake3::hash(&number.to_be_bytes()).as_bytes(),
                device: "Firefox".into(),
                created_at: now,
                expires_at: now.plus(Duration::from_secs(3_600)),
                last_seen_at: now,
                state: SessionState::Active,
            };
            sessions::insert(&mut tx, &session).await.unwrap();
        }
        tx.commit().await.unwrap();
        let door = Door { access: start(&db, &door.clock).await, event: door.event.clone(), clock: door.clock.clone() };
        let seats = door.access.room(event).unwrap().seats();
        let tokens: Vec<_> = seats.iter().map(|seat| door.access.playback_token(seat)).collect();
        let question = asked(door.redeem(&codes[7].1, None).await);
        assert!(tokens.iter().all(|token| door.watch(token).is_ok()));

        let clicked = Instant::now();
        let words = Some("Good night".into());
        let sent = door.access.end_all(&proof::of(EndAll { event }), Actor::Operator, words).await.unwrap();
        let answered = clicked.elapsed();
        assert_eq!(sent, SentOut { sessions: SEATS, blocked: 0, recorded: true });
        assert!(tokens.iter().all(|token| door.watch(token).is_err()));
        eprintln!("{SEATS} sessions: answered after {answered:?}, the last one refused after {:?}", clicked.elapsed());

        let over = Over { reason: EndReason::Ended, words: Some("Good night".into()) };
        for seat in &seats {
            assert_eq!(seat.ended().await, over);
        }
        assert_eq!(door.access.room(event).unwrap().seated(), 0);
        assert!(sessions::all_active(&db).await.unwrap().is_empty());
        assert_eq!(takeovers::get(&db, question.takeover).await.unwrap().unwrap().state, TakeoverState::Cancelled);
        let back = door.redeem(&codes[0].1, None).await.unwrap();
        assert!(door.watch(&door.access.playback_token(&back.seat)).is_ok(), "the codes still work");
        let again = start(&db, &door.clock).await;
        assert!(again.watch(&tokens[0], &door.event.stream.to_string()).is_err(), "also after a restart");
        assert_eq!(again.room(event).unwrap().epoch(), 1);
    })
    .await;
}

/// The file of a SQLite database, locked by somebody else: what an outage is like.
#[tokio::test]
async fn an_order_given_while_the_database_is_away_holds_at_once_and_is_written_down_later() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let door = open(&db).await;
    let (a, b) = (door.invite().await, door.invite().await);
    let first = door.redeem(&a.code.to_string(), None).await.unwrap().seat;
    let second = door.redeem(&b.code.to_string(), None).await.unwrap().seat;
    let tokens = [&first, &second].map(|seat| door.access.playback_token(seat));
    let event = door.event.id;

    let other = Db::open(scratch.url()).await.unwrap();
    let lock = other.write().await.unwrap();
    let sent = door.access.kick(&proof::moderate(event), Actor::Operator, &[first.session], told("x")).await.unwrap();
    assert_eq!(sent, SentOut { sessions: 1, blocked: 0, recorded: false });
    assert!(door.watch(&tokens[0]).is_err(), "out at once");
    assert!(door.watch(&tokens[1]).is_ok());
    let sent = door.access.end_all(&proof::of(EndAll { event }), Actor::Operator, None).await.unwrap();
    assert_eq!(sent, SentOut { sessions: 1, blocked: 0, recorded: false });
    assert!(door.watch(&tokens[1]).is_err());
    assert_eq!(sessions::all_active(&db).await.unwrap().len(), 2, "not written down");
    assert!(door.access.catch_up().await.is_err(), "still away");

    drop(lock);
    other.close().await;
    // Whoever comes first finds the orders carried out, and what they begin is not ended by them.
    let back = door.redeem(&b.code.to_string(), None).await.unwrap();
    let rows: Vec<_> = sessions::all_active(&db).await.unwrap().into_iter().map(|(row, _)| row.id).collect();
    assert_eq!(rows, [back.seat.session]);
    door.access.catch_up().await.unwrap();
    assert!(door.watch(&door.access.playback_token(&back.seat)).is_ok());
    let row = sessions::get(&db, first.session).await.unwrap().unwrap();
    assert_eq!(row.state, SessionState::Ended(EndReason::Kicked), "the first order was first");
    assert!(invitations::by_id(&db, a.invitation.id).await.unwrap().unwrap().blocked_at.is_none());
    assert_eq!(door.access.room(event).unwrap().epoch(), 1);
    assert!(door.redeem(&a.code.to_string(), None).await.is_ok());
    db.close().await;
    scratch.remove().await;
}

#[tokio::test]
async fn who_is_kept_out_while_the_database_is_away_does_not_slip_in_when_it_returns() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let door = open(&db).await;
    let code = door.invite().await.code.to_string();
    let seat = door.redeem(&code, None).await.unwrap().seat;
    let event = door.event.id;
    let other = Db::open(scratch.url()).await.unwrap();
    let lock = other.write().await.unwrap();
    let how = SendOut { words: None, block: true };
    let sent = door.access.kick(&proof::moderate(event), Actor::Operator, &[seat.session], how).await.unwrap();
    assert_eq!(sent, SentOut { sessions: 1, blocked: 1, recorded: false });
    drop(lock);
    other.close().await;
    // Nobody has seen them for a while: without the order the code would be free.
    door.clock.advance(Duration::from_secs(31));
    assert!(matches!(door.redeem(&code, None).await, Err(RedeemRefused::Blocked)));
    assert!(sessions::all_active(&db).await.unwrap().is_empty());
    db.close().await;
    scratch.remove().await;
}
