//! New codes for many, on both databases: in which order, in which steps, and what is left of it when it breaks.

use std::collections::BTreeSet;

use stagedoor_domain::access::{InvitationState, TakeoverState};
use stagedoor_domain::id::InvitationId;
use stagedoor_domain::message::Channel;
use tokio_util::sync::CancellationToken;

use super::handover::{asked, invite_many};
use super::*;
use crate::ports::db::renewals::{self, Renewal, State};
use crate::ports::db::{Tx, invitations, sends, takeovers};

/// Three steps, the last of them short.
const PEOPLE: usize = 1_201;

fn by_text_message() -> Telling {
    Telling { channel: Channel::Sms, organiser: "Ada".into(), base_url: "http://stage.test".into() }
}

async fn order(door: &Door, people: &[InvitationId]) -> Renewal {
    let allowed = proof::organise(door.event.id);
    let mut people = people.to_vec();
    people.sort_unstable();
    let telling = by_text_message();
    door.access
        .order_renewal(&allowed, Actor::Operator, &people, Some(&telling), Some("See your messages."))
        .await
        .unwrap()
}

async fn turn(access: &Access) {
    access.turn_renewals(&CancellationToken::new()).await.unwrap();
}

async fn now(door: &Door, renewal: &Renewal) -> Renewal {
    renewals::get(&door.access.db, door.event.id, renewal.id).await.unwrap().unwrap()
}

/// How many people have had how many codes, and how many messages with a new one there are.
async fn tally(db: &Db) -> (Vec<(i64, i64)>, i64) {
    let sql = "SELECT code_generation AS g, COUNT(*) AS n FROM invitations GROUP BY code_generation ORDER BY 1";
    let codes = db.all(sql, []).await.unwrap();
    let sql = "SELECT COUNT(*) AS n FROM messages m JOIN invitations i ON i.id = m.invitation_id
               WHERE m.kind = 'new_code' AND m.code_generation = i.code_generation";
    let told = db.one(sql, []).await.unwrap().unwrap().int("n").unwrap();
    let twice = "SELECT invitation_id FROM messages GROUP BY invitation_id HAVING COUNT(*) > 1";
    assert!(db.all(twice, []).await.unwrap().is_empty(), "nobody is told twice");
    (codes.iter().map(|row| (row.int("g").unwrap(), row.int("n").unwrap())).collect(), told)
}

/// The language of those to whom the database refuses every message.
const UNTOLD: &str = "xx";

async fn speak(db: &Db, id: InvitationId, language: &str) {
    let mut tx = db.write().await.unwrap();
    tx.execute("UPDATE invitations SET language = $1 WHERE id = $2", [language.into(), id.into()]).await.unwrap();
    tx.commit().await.unwrap();
}

/// Makes the database itself refuse a message to somebody for as long as a session of theirs is alive, or their code is
/// the one they had at first.
async fn refuse_what_is_told_too_early(db: &Db) {
    let mut tx = db.write().await.unwrap();
    let statements: &[&'static str] = match &tx {
        Tx::Sqlite(_) => &["CREATE TRIGGER told_too_early BEFORE INSERT ON messages
            WHEN EXISTS (SELECT 1 FROM sessions s WHERE s.invitation_id = NEW.invitation_id AND s.ended_at IS NULL)
              OR EXISTS (SELECT 1 FROM invitations i WHERE i.id = NEW.invitation_id AND (i.code_generation = 1 OR i.language = 'xx'))
            BEGIN SELECT RAISE(ABORT, 'told too early'); END"],
        Tx::Postgres(_) => &[
            "CREATE FUNCTION told_too_early() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
             IF EXISTS (SELECT 1 FROM sessions s WHERE s.invitation_id = NEW.invitation_id AND s.ended_at IS NULL)
               OR EXISTS (SELECT 1 FROM invitations i WHERE i.id = NEW.invitation_id AND (i.code_generation = 1 OR i.language = ''xx''))
             THEN RAISE EXCEPTION ''told too early''; END IF; RETURN NEW; END'",
            "CREATE TRIGGER told_too_early BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION told_too_early()",
        ],
    };
    for statement in statements {
        tx.execute(statement, []).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn every_session_on_an_old_code_is_dead_before_a_message_with_a_new_one_exists() {
    both(async |db| {
        let door = open(&db).await;
        let codes = invite_many(&door, PEOPLE).await;
        let people: Vec<_> = codes.iter().map(|(id, _)| *id).collect();
        refuse_what_is_told_too_early(&db).await;
        let mut inside = Vec::new();
        for at in [0, 600, PEOPLE - 1] {
            inside.push(door.redeem(&codes[at].1, None).await.unwrap().seat);
        }
        // The trigger bites: whoever queues first is refused.
        let (allowed, telling) = (proof::organise(door.event.id), by_text_message());
        let mut tx = db.write().await.unwrap();
        let send = door.access.order_telling(&mut tx, &allowed, Actor::Operator, 1, &telling).await.unwrap();
        let early = door.access.tell_each(&mut tx, &send, &people[..1]).await;
        assert!(matches!(early, Err(DbError::Failed(_))), "{early:?}");
        drop(tx);

        // The one way and the other: at once, and in steps.
        let renewed = door.access.renew(&allowed, Actor::Operator, &people[..3], Some(&telling), None).await.unwrap();
        assert_eq!((renewed.changed, renewed.sessions_ended), (3, 1));
        assert_eq!(inside[0].over(), Some(EndReason::CodeChanged));
        let renewal = order(&door, &people[3..]).await;
        turn(&door.access).await;
        let done = now(&door, &renewal).await;
        assert_eq!((done.state, done.changed, done.sessions_ended), (State::Done, PEOPLE as u64 - 3, 2));
        for seat in &inside[1..] {
            let over = Over { reason: EndReason::CodeChanged, words: Some("See your messages.".into()) };
            assert_eq!(seat.ended().await, over);
        }
        assert_eq!(tally(&db).await, (vec![(2, PEOPLE as i64)], PEOPLE as i64));
        for at in [0, 5, 600, PEOPLE - 1] {
            assert!(matches!(door.redeem(&codes[at].1, None).await, Err(RedeemRefused::CodeInvalid)));
        }
    })
    .await;
}

#[tokio::test]
async fn an_order_that_breaks_off_between_two_steps_or_within_one_is_gone_on_with_and_done_once() {
    both(async |db| {
        let door = open(&db).await;
        let mut codes = invite_many(&door, PEOPLE).await;
        codes.sort_unstable();
        let people: Vec<_> = codes.iter().map(|(id, _)| *id).collect();
        refuse_what_is_told_too_early(&db).await;
        let late = door.redeem(&codes[PEOPLE - 1].1, None).await.unwrap().seat;
        let renewal = order(&door, &people).await;
        assert_eq!((renewal.total, renewal.steps), (PEOPLE as u64, 3));
        // Whoever comes while it is carried out was not meant.
        let newcomer = door.invite().await;
        assert!(door.access.renewal_step(renewal.id).await.unwrap());
        assert_eq!(tally(&db).await, (vec![(1, PEOPLE as i64 - 499), (2, 500)], 500));

        // The process dies; the next one begins a step that the database breaks off at its last message.
        let access = start(&db, &door.clock).await;
        speak(&db, people[999], UNTOLD).await;
        let before = tally(&db).await;
        let broken = access.renewal_step(renewal.id).await;
        assert!(matches!(broken, Err(ContactError::Db(DbError::Failed(_)))), "{broken:?}");
        assert_eq!(tally(&db).await, before, "nothing of it happened");
        assert!(late.over().is_none());
        speak(&db, people[999], "").await;

        turn(&access).await;
        let done = now(&door, &renewal).await;
        assert_eq!((done.state, done.seen, done.changed), (State::Done, PEOPLE as u64, PEOPLE as u64));
        assert_eq!((done.sessions_ended, done.ended_at), (1, Some(door.clock.now())));
        assert_eq!(tally(&db).await, (vec![(1, 1), (2, PEOPLE as i64)], PEOPLE as i64));
        let newcomer = invitations::by_id(&db, newcomer.invitation.id).await.unwrap().unwrap();
        assert_eq!(newcomer.code_generation, 1);
        turn(&access).await;
        turn(&door.access).await;
        assert_eq!(tally(&db).await.1, PEOPLE as i64, "an order that is through is through");
        let send = sends::get(&db, door.event.id, done.send.unwrap()).await.unwrap().unwrap();
        assert_eq!((send.expanded, send.total), (true, PEOPLE as u64));
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_called_off_leaves_the_rest_their_codes_and_makes_room_for_another() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let codes = invite_many(&door, PEOPLE).await;
        let mut people: Vec<_> = codes.iter().map(|(id, _)| *id).collect();
        people.sort_unstable();
        let code = |id: InvitationId| codes.iter().find(|(each, _)| *each == id).unwrap().1.clone();
        let (first, last) = (people[0], people[PEOPLE - 1]);
        let (early, late) =
            (door.redeem(&code(first), None).await.unwrap().seat, door.redeem(&code(last), None).await.unwrap().seat);
        let renewal = order(&door, &people).await;
        let (allowed, telling) = (proof::organise(event), by_text_message());
        let second = door.access.order_renewal(&allowed, Actor::Operator, &people, Some(&telling), None).await;
        assert!(matches!(second, Err(DbError::Exists)), "{second:?}");
        assert!(door.access.renewal_step(renewal.id).await.unwrap());
        let elsewhere = proof::organise(EventId::new(door.access.random.uuid(door.clock.now())));
        assert!(!door.access.cancel_renewal(&elsewhere, Actor::Operator, renewal.id).await.unwrap());
        assert!(door.access.cancel_renewal(&allowed, Actor::Operator, renewal.id).await.unwrap());
        assert!(!door.access.cancel_renewal(&allowed, Actor::Operator, renewal.id).await.unwrap(), "once");
        assert!(!door.access.renewal_step(renewal.id).await.unwrap());
        turn(&door.access).await;
        let over = now(&door, &renewal).await;
        assert_eq!((over.state, over.seen, over.changed, over.sessions_ended), (State::Cancelled, 500, 500, 1));
        assert_eq!((early.over(), late.over()), (Some(EndReason::CodeChanged), None));
        assert_eq!(tally(&db).await, (vec![(1, PEOPLE as i64 - 500), (2, 500)], 500));
        let send = sends::get(&db, event, over.send.unwrap()).await.unwrap().unwrap();
        assert_eq!((send.expanded, send.total), (true, 500), "those who have a new code are told");

        // Of another one nobody is told when its messages were called off, and everybody has a new code all the same.
        let renewal = order(&door, &people).await;
        let mut tx = db.write().await.unwrap();
        assert!(sends::cancel(&mut tx, &allowed, renewal.send.unwrap()).await.unwrap());
        tx.commit().await.unwrap();
        turn(&door.access).await;
        let done = now(&door, &renewal).await;
        assert_eq!((done.state, done.changed, done.sessions_ended), (State::Done, PEOPLE as u64, 1));
        let queued = "SELECT COUNT(*) AS n FROM messages WHERE send_id = $1";
        let queued = db.one(queued, [renewal.send.into()]).await.unwrap().unwrap().int("n").unwrap();
        assert_eq!(queued, 0);
        assert_eq!(late.over(), Some(EndReason::CodeChanged));
    })
    .await;
}

#[tokio::test]
async fn who_is_withdrawn_or_over_gets_no_new_code_and_an_order_that_cannot_go_on_says_so() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let allowed = proof::organise(event);
        let mut people: Vec<_> = invite_many(&door, 1_001).await.iter().map(|(id, _)| *id).collect();
        people.sort_unstable();
        let at = door.clock.now();
        let mut tx = db.write().await.unwrap();
        assert!(invitations::revoke(&mut tx, &allowed, people[0], at).await.unwrap());
        assert!(invitations::advance(&mut tx, people[1], InvitationState::Expired, at, "").await.unwrap());
        tx.execute("UPDATE invitations SET erased_at = 1 WHERE id = $1", [people[2].into()]).await.unwrap();
        tx.commit().await.unwrap();
        let renewal = order(&door, &people).await;
        turn(&door.access).await;
        let done = now(&door, &renewal).await;
        assert_eq!((done.state, done.seen, done.changed), (State::Done, 1_001, 998));
        assert_eq!(tally(&db).await, (vec![(1, 3), (2, 998)], 998));

        let renewal = order(&door, &people).await;
        let mut tx = db.write().await.unwrap();
        tx.execute("UPDATE renewal_steps SET people = $1", [vec![1_u8; 5].into()]).await.unwrap();
        tx.commit().await.unwrap();
        turn(&door.access).await;
        let failed = now(&door, &renewal).await;
        assert_eq!((failed.state, failed.seen), (State::Failed, 0));
        assert_eq!(tally(&db).await.0, [(1, 3), (2, 998)], "the rest keeps what it has");
        let kinds = "SELECT data FROM facts WHERE data LIKE '%renewal.%' ORDER BY id";
        let rows = db.all(kinds, []).await.unwrap();
        let written: BTreeSet<_> =
            rows.iter().map(|row| row.text("data").unwrap().contains("renewal.started")).collect();
        assert_eq!((rows.len(), written.len()), (4, 2), "each began and ended");
    })
    .await;
}

#[tokio::test]
async fn every_asker_is_told_when_the_code_they_ask_for_is_replaced() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let allowed = proof::organise(event);
        let codes = invite_many(&door, 4).await;
        let mut askers = Vec::new();
        for (at, (_, code)) in codes.iter().enumerate() {
            let holder = door.redeem(code, None).await.unwrap().seat;
            let question = asked(door.redeem_asking(code, None).await);
            match at {
                // Asked, and not answered.
                0 => {}
                // Given way: the holder's session lives on until the other one comes.
                1 => {
                    let state = door.access.answer(&holder, question.takeover, true).await.unwrap();
                    assert_eq!(state, Some(TakeoverState::Approved));
                }
                // The holder has left: nobody holds the code, and the question is open.
                2 => door.access.leave(&holder).await.unwrap(),
                // The row of the session is over, and nobody has told the question.
                _ => {
                    let mut tx = db.write().await.unwrap();
                    sessions::end(&mut tx, holder.session, EndReason::Ended, door.clock.now()).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
            let ticket = question.ticket.unwrap();
            let follows =
                door.access.follow_takeover(event, question.takeover, ticket.expose()).await.unwrap().unwrap();
            askers.push((question.takeover, ticket, follows));
        }
        assert_eq!(takeovers::open(&db).await.unwrap().len(), 4);
        let live = sessions::all_active(&db).await.unwrap().len();
        assert_eq!(live, 2, "two of the four codes are held by nobody");

        let people: Vec<_> = codes.iter().map(|(id, _)| *id).collect();
        let renewed = door.access.renew(&allowed, Actor::Operator, &people, None, None).await.unwrap();
        assert_eq!((renewed.changed, renewed.sessions_ended), (4, 2));
        assert!(takeovers::open(&db).await.unwrap().is_empty());
        for ((takeover, ticket, mut follows), (_, code)) in askers.into_iter().zip(&codes) {
            assert_eq!(follows.borrow_and_update().state, TakeoverState::Cancelled, "who follows it is told");
            let standing = door.access.takeover(event, takeover, ticket.expose()).await.unwrap().unwrap();
            assert_eq!(standing.state, TakeoverState::Cancelled, "who asks is told");
            let again = door.redeem_asking(code, Some(&ticket)).await;
            assert!(matches!(again, Err(RedeemRefused::CodeInvalid)), "{again:?}");
        }
    })
    .await;
}
