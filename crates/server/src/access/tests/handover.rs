//! A code changes hands, on both databases.

use std::sync::atomic::{AtomicUsize, Ordering};

use stagedoor_domain::access::{Code, Purpose, TakeoverState};
use stagedoor_domain::event::{TakeoverPolicy, Unanswered};
use stagedoor_domain::id::InvitationId;

use super::*;
use crate::ports::db::invitations::{Hashes, Invitation};
use crate::ports::db::{incidents, invitations, takeovers};

/// Invites many at once.
pub(super) async fn invite_many(door: &Door, count: usize) -> Vec<(InvitationId, String)> {
    let now = door.clock.now();
    let random = &door.access.random;
    let (mut rows, mut codes) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let code = Code::from_random(random.bytes());
        let id = InvitationId::new(random.uuid(now));
        let hash = door.access.keys.hash.digest(Purpose::Code, code.as_bytes());
        rows.push((Invitation::new(id, door.event.id, "Ada", vec![1], now), Hashes::of_code(hash)));
        codes.push((id, code.to_string()));
    }
    let mut tx = door.access.db.write().await.unwrap();
    invitations::insert_all(&mut tx, &proof::organise(door.event.id), &rows).await.unwrap();
    tx.commit().await.unwrap();
    codes
}

#[track_caller]
pub(super) fn asked(redeemed: Result<Redeemed, RedeemRefused>) -> Asked {
    match redeemed {
        Err(RedeemRefused::Asked(asked)) => asked,
        other => panic!("{other:?}"),
    }
}

/// Sets how long there is to answer and what becomes of no answer.
async fn takeover_policy(door: &Door, unanswered: Unanswered) {
    let edit = |event: &mut Event| -> Result<(), DbError> {
        event.policy.takeover = TakeoverPolicy { answer_s: 60, unanswered };
        Ok(())
    };
    assert!(door.access.edit_event(&proof::organise(door.event.id), Actor::Operator, edit).await.unwrap());
}

/// A page of the holder in the foreground says so.
fn look(seat: &Seat, clock: &Clock, attendance: &mut Attendance<'_>) {
    assert!(seat.over().is_none());
    attendance.reported(Report { visible: Some(true), ..Report::default() }, clock.now());
}

/// Ten thousand times on each database, two devices send the same code in the same millisecond.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::print_stderr, reason = "it says what it measured")]
async fn of_two_logins_with_one_code_in_the_same_millisecond_one_is_active() {
    const ROUNDS: usize = 10_000;
    /// Codes that are raced for at the same time.
    const LANES: usize = 16;
    both(async |db| {
        let door = Arc::new(open(&db).await);
        let codes = Arc::new(invite_many(&door, ROUNDS).await);
        let next = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let lanes = (0..LANES).map(|_| {
            let (door, codes, next) = (Arc::clone(&door), Arc::clone(&codes), Arc::clone(&next));
            tokio::spawn(async move {
                while let Some((_, code)) = codes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let racer = || {
                        let (door, code) = (Arc::clone(&door), code.clone());
                        tokio::spawn(async move { door.redeem(&code, None).await })
                    };
                    let racers = [racer(), racer()];
                    let mut won = Vec::new();
                    let mut waits = 0;
                    for racer in racers {
                        match racer.await.unwrap() {
                            Ok(redeemed) => won.push(redeemed),
                            Err(RedeemRefused::Asked(_)) => waits += 1,
                            // So many at once that one of them stands in line: a second later it would ask.
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    assert_eq!((won.len(), waits), (1, 1), "one is in, the other asks");
                    assert!(door.watch(&door.access.playback_token(&won[0].seat)).is_ok());
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.unwrap();
        }
        eprintln!("{ROUNDS} rounds in {:?}: one is in each time, the other asks", begun.elapsed());
        assert_eq!(sessions::all_active(&db).await.unwrap().len(), ROUNDS);
        assert_eq!(door.access.room(door.event.id).unwrap().seated(), ROUNDS, "memory knows the same");
        assert_eq!(takeovers::open(&db).await.unwrap().len(), ROUNDS);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_approved_comes_in_as_the_other_goes_out() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        let holder = door.redeem(&code, None).await.unwrap();
        let token = door.access.playback_token(&holder.seat);
        let first = asked(door.redeem_asking(&code, None).await);
        assert_eq!(first.device, "Firefox");
        let again = asked(door.redeem_asking(&code, first.ticket.as_ref()).await);
        assert_eq!((again.takeover, again.ticket.is_none()), (first.takeover, true), "one question, however often");
        assert!(matches!(door.redeem(&code, None).await, Err(RedeemRefused::TakeoverPending)), "a third device");

        let ticket = first.ticket.unwrap();
        let mut follows =
            door.access.follow_takeover(door.event.id, first.takeover, ticket.expose()).await.unwrap().unwrap();
        assert!(door.access.takeover(door.event.id, first.takeover, "x").await.unwrap().is_none(), "not theirs");
        let told = holder.seat.asked().borrow().clone().unwrap();
        assert_eq!((told.device.as_str(), told.place.as_str()), ("Chrome on Android", "unknown place"));

        assert_eq!(
            door.access.answer(&holder.seat, first.takeover, true).await.unwrap(),
            Some(TakeoverState::Approved)
        );
        assert_eq!(
            door.access.answer(&holder.seat, first.takeover, false).await.unwrap(),
            Some(TakeoverState::Approved)
        );
        assert_eq!(follows.borrow_and_update().state, TakeoverState::Approved);
        assert!(door.watch(&token).is_ok(), "until the other one comes");
        assert!(matches!(door.redeem(&code, None).await, Err(RedeemRefused::TakeoverPending)));

        let new = door.redeem_asking(&code, Some(&ticket)).await.unwrap();
        assert_eq!(door.watch(&token), Err(Denied::Unknown));
        assert!(door.watch(&door.access.playback_token(&new.seat)).is_ok());
        assert_eq!(holder.seat.over(), Some(EndReason::TakenOver));
        assert_eq!(follows.borrow().state, TakeoverState::Claimed);
        assert!(takeovers::open(&db).await.unwrap().is_empty());
        assert_eq!(sessions::all_active(&db).await.unwrap().len(), 1);
        let second = asked(door.redeem_asking(&code, Some(&ticket)).await);
        assert_ne!(second.takeover, first.takeover, "a ticket is good for one question");
    })
    .await;
}

#[tokio::test]
async fn no_answer_means_no_from_somebody_who_looks_and_yes_from_nobody() {
    both(async |db| {
        for (unanswered, attended, state) in [
            (Unanswered::Deny, true, TakeoverState::Expired),
            (Unanswered::Allow, true, TakeoverState::Approved),
            (Unanswered::Deny, false, TakeoverState::Approved),
        ] {
            let door = open(&db).await;
            takeover_policy(&door, unanswered).await;
            let code = door.invite().await.code.to_string();
            let holder = door.redeem(&code, None).await.unwrap();
            let mut attendance = holder.seat.attend();
            let question = asked(door.redeem_asking(&code, None).await);
            let ticket = question.ticket.unwrap();
            for _ in 0..6 {
                door.clock.advance(Duration::from_secs(10));
                if attended {
                    look(&holder.seat, &door.clock, &mut attendance);
                } else {
                    // Hidden, and heard.
                    attendance.reported(Report { visible: Some(false), ..Report::default() }, door.clock.now());
                }
                let standing = door.access.takeover(door.event.id, question.takeover, ticket.expose()).await.unwrap();
                assert_eq!(standing.unwrap().state, TakeoverState::Pending);
                if door.clock.now() < question.expires_at {
                    door.access.turn_takeovers().await.unwrap();
                }
            }
            door.access.turn_takeovers().await.unwrap();
            let standing = door.access.takeover(door.event.id, question.takeover, ticket.expose()).await.unwrap();
            assert_eq!(standing.unwrap().state, state, "{unanswered:?}, attended: {attended}");
            assert_eq!(holder.seat.asked().borrow().as_ref().unwrap().state, state, "the holder is told");
            assert!(holder.seat.over().is_none(), "nobody is thrown out before somebody comes in");
        }
    })
    .await;
}

#[tokio::test]
async fn time_closes_every_question_and_frees_every_code() {
    both(async |db| {
        let door = open(&db).await;
        let (event, clock) = (door.event.id, &door.clock);
        let state = async |asked: &Asked| takeovers::get(&db, asked.takeover).await.unwrap().unwrap().state;

        // A contender who is not heard of.
        let code = door.invite().await.code.to_string();
        let holder = door.redeem(&code, None).await.unwrap();
        let question = asked(door.redeem_asking(&code, None).await);
        clock.advance(Duration::from_secs(19));
        door.access.turn_takeovers().await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Pending);
        clock.advance(Duration::from_secs(1));
        door.access.turn_takeovers().await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Cancelled);

        // A holder who is not seen for the grace.
        let question = asked(door.redeem_asking(&code, None).await);
        clock.advance(Duration::from_secs(10));
        door.access.turn_takeovers().await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Approved);
        // One who was approved, is there, and does not come.
        let heard = async |asked: &Asked| {
            let ticket = asked.ticket.as_ref().unwrap();
            door.access.takeover(event, asked.takeover, ticket.expose()).await.unwrap();
        };
        heard(&question).await;
        clock.advance(Duration::from_secs(15));
        door.access.turn_takeovers().await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Expired);
        assert!(holder.seat.over().is_none());
        assert!(door.redeem(&code, None).await.is_ok(), "nobody is there: no question");

        // A contender who gives up.
        let code = door.invite().await.code.to_string();
        let holder = door.redeem(&code, None).await.unwrap();
        let question = asked(door.redeem_asking(&code, None).await);
        let ticket = question.ticket.as_ref().unwrap();
        door.access.give_up_takeover(event, question.takeover, "x").await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Pending, "not theirs");
        door.access.give_up_takeover(event, question.takeover, ticket.expose()).await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Cancelled);

        // A holder who leaves makes way; one who is sent out does not, and neither does a withdrawn invitation.
        let question = asked(door.redeem_asking(&code, None).await);
        door.access.leave(&holder.seat).await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Approved);
        assert!(matches!(door.redeem(&code, None).await, Err(RedeemRefused::TakeoverPending)), "it was first");
        let holder = door.redeem_asking(&code, question.ticket.as_ref()).await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Claimed);
        let question = asked(door.redeem_asking(&code, None).await);
        let how = SendOut::default();
        door.access.kick(&proof::moderate(event), Actor::Operator, &[holder.seat.session], how).await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Cancelled);
        let invited = door.invite().await;
        let code = invited.code.to_string();
        door.redeem(&code, None).await.unwrap();
        let question = asked(door.redeem_asking(&code, None).await);
        door.access.withdraw(&proof::organise(event), Actor::Operator, invited.invitation.id).await.unwrap();
        assert_eq!(state(&question).await, TakeoverState::Cancelled);
        let ticket = question.ticket.as_ref();
        assert!(matches!(door.redeem_asking(&code, ticket).await, Err(RedeemRefused::AccessEnded)));
        assert!(takeovers::open(&db).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn questions_and_their_timers_survive_a_restart_and_reach_another_process() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        let holder = door.redeem(&code, None).await.unwrap();
        let question = asked(door.redeem_asking(&code, None).await);
        let ticket = question.ticket.unwrap();
        door.clock.advance(Duration::from_secs(25));
        let other =
            Door { access: start(&db, &door.clock).await, event: door.event.clone(), clock: door.clock.clone() };
        let follow = async |door: &Door| {
            door.access.follow_takeover(door.event.id, question.takeover, ticket.expose()).await.unwrap().unwrap()
        };
        let mut there = follow(&other).await;
        assert_eq!(there.borrow_and_update().state, TakeoverState::Pending, "nobody was silent while nobody listened");
        other.access.turn_takeovers().await.unwrap();
        assert!(!there.has_changed().unwrap());
        let seat = other.access.rooms.with(holder.seat.session, |seat| seat.cloned()).unwrap();
        assert_eq!(seat.asked().borrow().as_ref().unwrap().id, question.takeover, "its holder is asked there as well");

        // Answered here, heard there.
        door.access.answer(&holder.seat, question.takeover, false).await.unwrap();
        other.access.turn_takeovers().await.unwrap();
        assert_eq!(there.borrow_and_update().state, TakeoverState::Declined);
        assert_eq!(seat.asked().borrow().as_ref().unwrap().state, TakeoverState::Declined);
        assert!(other.access.questions.known().is_empty());

        // Nobody is unseen because nobody looked: the new process gives the grace anew.
        let question = asked(other.redeem_asking(&code, None).await);
        other.clock.advance(Duration::from_secs(31));
        other.access.contender_is_there(&takeovers::get(&db, question.takeover).await.unwrap().unwrap()).await.unwrap();
        let third =
            Door { access: start(&db, &door.clock).await, event: door.event.clone(), clock: door.clock.clone() };
        third.access.turn_takeovers().await.unwrap();
        let state = async || takeovers::get(&db, question.takeover).await.unwrap().unwrap().state;
        assert_eq!(state().await, TakeoverState::Pending);
        // And its timers run out.
        third.clock.advance(Duration::from_secs(29));
        third.access.contender_is_there(&takeovers::get(&db, question.takeover).await.unwrap().unwrap()).await.unwrap();
        third.access.turn_takeovers().await.unwrap();
        assert_eq!(state().await, TakeoverState::Approved, "a minute is over, and nobody looks");
        third.clock.advance(Duration::from_secs(15));
        third.access.turn_takeovers().await.unwrap();
        assert_eq!(state().await, TakeoverState::Expired, "and nobody came in");
        third.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
        third.access.forget_takeovers().await.unwrap();
        assert_eq!(takeovers::get(&db, question.takeover).await.unwrap(), None, "forgotten after a day");
    })
    .await;
}

#[tokio::test]
async fn a_holder_is_asked_five_times_in_ten_minutes_and_an_organiser_hears_of_the_third() {
    both(async |db| {
        let door = open(&db).await;
        let invited = door.invite().await;
        let code = invited.code.to_string();
        let holder = door.redeem(&code, None).await.unwrap();
        let mut attendance = holder.seat.attend();
        for number in 1..=5 {
            look(&holder.seat, &door.clock, &mut attendance);
            let question = asked(door.redeem_asking(&code, None).await);
            door.access.answer(&holder.seat, question.takeover, false).await.unwrap();
            let incidents = incidents::list(&db, Some(door.event.id), None, 10).await.unwrap();
            let times: Vec<_> = incidents.iter().map(|incident| (incident.kind, incident.times)).collect();
            let expected = if number < 3 {
                Vec::new()
            } else {
                vec![(stagedoor_domain::incident::Kind::RepeatedTakeovers, number - 2)]
            };
            assert_eq!(times, expected, "question {number}");
            assert!(incidents.iter().all(|incident| incident.invitation == Some(invited.invitation.id)));
            door.clock.advance(Duration::from_secs(20));
        }
        look(&holder.seat, &door.clock, &mut attendance);
        let Err(RedeemRefused::TooManyTakeovers { retry_after }) = door.redeem_asking(&code, None).await else {
            panic!("asked a sixth time")
        };
        assert_eq!(retry_after, Duration::from_secs(500), "when the first one is ten minutes old");
        let other = door.invite().await.code.to_string();
        door.redeem(&other, None).await.unwrap();
        asked(door.redeem_asking(&other, None).await);
        door.clock.advance(retry_after);
        look(&holder.seat, &door.clock, &mut attendance);
        asked(door.redeem_asking(&code, None).await);
        // Whoever is gone is not asked, however often it was.
        door.clock.advance(Duration::from_secs(31));
        assert!(door.redeem(&code, None).await.is_err(), "the question of a moment ago was first");
        door.access.turn_takeovers().await.unwrap();
        assert!(door.redeem(&code, None).await.is_ok());
    })
    .await;
}

/// Between reading a code and holding its invitation lies a wait, of seconds when many get new codes.
#[tokio::test]
async fn a_code_that_was_replaced_while_its_owner_waited_for_their_turn_opens_nothing() {
    both(async |db| {
        let door = open(&db).await;
        let invited = door.invite().await;
        let code = invited.code.to_string();
        let read = invitations::by_id(&db, invited.invitation.id).await.unwrap().unwrap();
        let renewed =
            door.access.renew(&proof::organise(door.event.id), Actor::Operator, &[read.id], None, None).await.unwrap();
        assert_eq!(renewed.changed, 1);
        let (event, now) = (door.event.id, door.clock.now());
        let attempt = RedeemAttempt {
            event,
            code: &code,
            address: HOME,
            cookie: None,
            ticket: None,
            asking: None,
            device: "Firefox",
            proof: None,
        };
        let entered = door.access.enter(&read, &attempt, now).await;
        assert!(matches!(entered, Err(RedeemRefused::CodeInvalid)), "{entered:?}");
        assert!(sessions::all_active(&db).await.unwrap().is_empty());
    })
    .await;
}

/// A clock that stands still for a moment, or goes back, gives the next question a name that sorts before the last one.
#[tokio::test]
async fn a_holder_hears_of_the_next_question_whatever_the_clock_says() {
    both(async |db| {
        let door = open(&db).await;
        for _ in 0..10 {
            let code = door.invite().await.code.to_string();
            let holder = door.redeem(&code, None).await.unwrap().seat;
            let first = asked(door.redeem_asking(&code, None).await);
            let late = holder.asked().borrow().clone().unwrap();
            assert_eq!(late.id, first.takeover);
            door.access.answer(&holder, first.takeover, false).await.unwrap();
            let second = asked(door.redeem_asking(&code, None).await);
            let now = holder.asked().borrow().clone().unwrap();
            assert_eq!((now.id, now.state), (second.takeover, TakeoverState::Pending));
            // Somebody who read the first one before it was answered tells it now.
            holder.ask(&late);
            assert_eq!(holder.asked().borrow().as_ref().unwrap().id, second.takeover);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_makes_no_sense_keeps_nobody_else_waiting() {
    both(async |db| {
        let door = open(&db).await;
        let broken = door.invite().await.invitation.id;
        let code = door.invite().await.code.to_string();
        door.redeem(&code, None).await.unwrap();
        let question = asked(door.redeem_asking(&code, None).await);
        let mut tx = db.write().await.unwrap();
        let sql = "UPDATE invitations SET expires_at = 1, state = 'nonsense' WHERE id = $1";
        tx.execute(sql, [broken.into()]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(door.access.expire().await, Err(DbError::Corrupt(_))));
        door.clock.advance(Duration::from_secs(31));
        door.access.sweep(1).await.unwrap();
        let question = takeovers::get(&db, question.takeover).await.unwrap().unwrap();
        assert_eq!(question.state, TakeoverState::Approved, "nobody was there to answer");
    })
    .await;
}
