//! Questions whether a code may go on elsewhere, open and answered. The time has come for none of them by itself: see
//! `access::takeovers`.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Digest, TakeoverState};
use stagedoor_domain::id::{EventId, InvitationId, SessionId, TakeoverId};

use super::{Db, DbError, Row, Tx};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The name of the row.
    pub id: TakeoverId,
    /// What is watched.
    pub event: EventId,
    /// Whose code it is about.
    pub invitation: InvitationId,
    /// Who is asked.
    pub session: SessionId,
    /// The hash of the cookie of whoever asks.
    pub ticket: Digest,
    /// Their browser in words.
    pub device: String,
    /// Where they are: a city, a country, or that nobody knows.
    pub place: String,
    /// Where it stands.
    pub state: TakeoverState,
    /// When it was asked.
    pub asked_at: Time,
    /// Until when it may be answered.
    pub answer_until: Time,
    /// Until when the contender may come in, once approved.
    pub claim_until: Option<Time>,
    /// When the contender was last heard of, to some seconds.
    pub heard_at: Time,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, event_id, invitation_id, session_id, ticket_hash, device, place, state, asked_at, answer_until,
                 claim_until, heard_at
             FROM takeovers ",
            $rest
        )
    };
}

fn takeover(row: &Row) -> Result<Takeover, DbError> {
    Ok(Takeover {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        invitation: row.parse("invitation_id")?,
        session: row.parse("session_id")?,
        ticket: row.digest("ticket_hash")?,
        device: row.text("device")?,
        place: row.text("place")?,
        state: row.known("state", TakeoverState::from_name)?,
        asked_at: row.time("asked_at")?,
        answer_until: row.time("answer_until")?,
        claim_until: row.time_maybe("claim_until")?,
        heard_at: row.time("heard_at")?,
    })
}

/// Adds an open question.
///
/// # Errors
///
/// [`DbError::Exists`] while another one about the same code is open: the database keeps that promise by itself.
pub async fn insert(tx: &mut Tx, new: &Takeover) -> Result<(), DbError> {
    let sql =
        "INSERT INTO takeovers (id, event_id, invitation_id, session_id, ticket_hash, device, place, state, asked_at,
                   answer_until, claim_until, heard_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let args = [
        new.id.into(),
        new.event.into(),
        new.invitation.into(),
        new.session.into(),
        new.ticket.into(),
        new.device.as_str().into(),
        new.place.as_str().into(),
        new.state.as_str().into(),
        new.asked_at.into(),
        new.answer_until.into(),
        new.claim_until.into(),
        new.heard_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The open question about a code.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn open_of(tx: &mut Tx, invitation: InvitationId) -> Result<Option<Takeover>, DbError> {
    let sql = select!("WHERE invitation_id = $1 AND closed_at IS NULL");
    tx.one(sql, [invitation.into()]).await?.as_ref().map(takeover).transpose()
}

/// One question, inside the transaction that is about to answer it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn read(tx: &mut Tx, id: TakeoverId) -> Result<Option<Takeover>, DbError> {
    tx.one(select!("WHERE id = $1"), [id.into()]).await?.as_ref().map(takeover).transpose()
}

/// One question.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, id: TakeoverId) -> Result<Option<Takeover>, DbError> {
    db.one(select!("WHERE id = $1"), [id.into()]).await?.as_ref().map(takeover).transpose()
}

/// Every open question, oldest first: at most one for each code that is in use.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn open(db: &Db) -> Result<Vec<Takeover>, DbError> {
    db.all(select!("WHERE closed_at IS NULL ORDER BY id"), []).await?.iter().map(takeover).collect()
}

/// Writes where a question stands now and until when it may be claimed; says whether it still stood at `from`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn step(tx: &mut Tx, from: TakeoverState, to: &Takeover, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE takeovers SET state = $1, claim_until = $2, closed_at = $3 WHERE id = $4 AND state = $5";
    let closed = (!to.state.is_open()).then_some(now);
    let args = [to.state.as_str().into(), to.claim_until.into(), closed.into(), to.id.into(), from.as_str().into()];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Closes every open question of an event as cancelled; which they were.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn cancel_all(tx: &mut Tx, event: EventId, now: Time) -> Result<Vec<Takeover>, DbError> {
    let sql = "UPDATE takeovers SET state = 'cancelled', closed_at = $1 WHERE event_id = $2 AND closed_at IS NULL
               RETURNING id, event_id, invitation_id, session_id, ticket_hash, device, place, state, asked_at,
                   answer_until, claim_until, heard_at";
    tx.all(sql, [now.into(), event.into()]).await?.iter().map(takeover).collect()
}

/// Notes that the contender was heard of; never moves it back.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn heard(tx: &mut Tx, id: TakeoverId, now: Time) -> Result<(), DbError> {
    let sql = "UPDATE takeovers SET heard_at = $1 WHERE id = $2 AND closed_at IS NULL AND heard_at < $1";
    tx.execute(sql, [now.into(), id.into()]).await.map(|_| ())
}

/// When it was last asked about a code after `since`: the newest first, at most `limit`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn asked(tx: &mut Tx, invitation: InvitationId, since: Time, limit: u32) -> Result<Vec<Time>, DbError> {
    let sql =
        "SELECT asked_at FROM takeovers WHERE invitation_id = $1 AND asked_at > $2 ORDER BY asked_at DESC LIMIT $3";
    let rows = tx.all(sql, [invitation.into(), since.into(), limit.into()]).await?;
    rows.iter().map(|row| row.time("asked_at")).collect()
}

/// Forgets questions that were closed before `before`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget(tx: &mut Tx, before: Time) -> Result<u64, DbError> {
    tx.execute("DELETE FROM takeovers WHERE closed_at < $1", [before.into()]).await
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::access::EndReason;

    use super::super::invitations::Invitation;
    use super::super::testing::{both, proof, sample};
    use super::super::{events, sessions};
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn question(invitation: &Invitation, session: SessionId, asked: i64) -> Takeover {
        Takeover {
            id: TakeoverId::new(sample::uuid()),
            event: invitation.event,
            invitation: invitation.id,
            session,
            ticket: [7; 32],
            device: "Chrome on Android".into(),
            place: "Lyon, France".into(),
            state: TakeoverState::Pending,
            asked_at: at(asked),
            answer_until: at(asked + 60),
            claim_until: None,
            heard_at: at(asked),
        }
    }

    #[tokio::test]
    async fn a_code_has_one_open_question_at_a_time() {
        both(async |db| {
            let event = sample::event(&db).await;
            let invitation = sample::invitation(&db, event.id).await;
            let session = sample::session(&invitation, 1);
            let (first, second) = (question(&invitation, session.id, 10), question(&invitation, session.id, 20));
            let mut tx = db.write().await.unwrap();
            sessions::insert(&mut tx, &session).await.unwrap();
            insert(&mut tx, &first).await.unwrap();
            tx.commit().await.unwrap();
            let mut tx = db.write().await.unwrap();
            assert!(matches!(insert(&mut tx, &second).await, Err(DbError::Exists)));
            drop(tx);

            let mut tx = db.write().await.unwrap();
            assert_eq!(open_of(&mut tx, invitation.id).await.unwrap(), Some(first.clone()));
            let given = Takeover { state: TakeoverState::Approved, claim_until: Some(at(99)), ..first.clone() };
            assert!(step(&mut tx, TakeoverState::Pending, &given, at(30)).await.unwrap());
            assert!(!step(&mut tx, TakeoverState::Pending, &given, at(30)).await.unwrap(), "it stands elsewhere");
            assert_eq!(read(&mut tx, first.id).await.unwrap(), Some(given.clone()));
            assert!(matches!(insert(&mut tx, &second).await, Err(DbError::Exists)), "approved is open as well");
            drop(tx);

            let mut tx = db.write().await.unwrap();
            let declined = Takeover { state: TakeoverState::Declined, ..first.clone() };
            assert!(step(&mut tx, TakeoverState::Pending, &declined, at(40)).await.unwrap());
            heard(&mut tx, first.id, at(50)).await.unwrap();
            insert(&mut tx, &second).await.unwrap();
            heard(&mut tx, second.id, at(25)).await.unwrap();
            heard(&mut tx, second.id, at(23)).await.unwrap();
            assert_eq!(asked(&mut tx, invitation.id, at(9), 5).await.unwrap(), [at(20), at(10)]);
            assert_eq!(asked(&mut tx, invitation.id, at(10), 5).await.unwrap(), [at(20)]);
            assert_eq!(asked(&mut tx, invitation.id, at(0), 1).await.unwrap(), [at(20)]);
            tx.commit().await.unwrap();
            assert_eq!(get(&db, first.id).await.unwrap(), Some(declined), "closed, and heard no more");
            assert_eq!(open(&db).await.unwrap(), [Takeover { heard_at: at(25), ..second.clone() }]);

            let mut tx = db.write().await.unwrap();
            assert_eq!(forget(&mut tx, at(40)).await.unwrap(), 0);
            assert_eq!(forget(&mut tx, at(41)).await.unwrap(), 1);
            sessions::end(&mut tx, session.id, EndReason::Left, at(60)).await.unwrap();
            events::delete(&mut tx, &proof::organise(event.id)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(get(&db, second.id).await.unwrap(), None, "gone with its event");
        })
        .await;
    }

    #[tokio::test]
    async fn the_open_questions_of_an_event_are_cancelled_at_once_and_no_others() {
        both(async |db| {
            let (event, other) = (sample::event(&db).await, sample::event(&db).await);
            let mut asked = Vec::new();
            for (number, event) in (1..).zip([event.id, event.id, other.id]) {
                let invitation = sample::invitation(&db, event).await;
                let session = sample::session(&invitation, number);
                let question = question(&invitation, session.id, 10);
                let mut tx = db.write().await.unwrap();
                sessions::insert(&mut tx, &session).await.unwrap();
                insert(&mut tx, &question).await.unwrap();
                tx.commit().await.unwrap();
                asked.push(question);
            }
            let mut tx = db.write().await.unwrap();
            let mut cancelled = cancel_all(&mut tx, event.id, at(50)).await.unwrap();
            assert_eq!(cancel_all(&mut tx, event.id, at(50)).await.unwrap(), []);
            tx.commit().await.unwrap();
            cancelled.sort_unstable_by_key(|takeover| takeover.id);
            let expected = asked[..2].iter().cloned();
            let expected: Vec<_> =
                expected.map(|takeover| Takeover { state: TakeoverState::Cancelled, ..takeover }).collect();
            assert_eq!(cancelled, expected);
            assert_eq!(open(&db).await.unwrap(), asked[2..]);
        })
        .await;
    }
}
