//! Sessions: one viewer let in by one code.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Digest, EndReason, SessionState};
use stagedoor_domain::id::{EventId, InvitationId, SessionId};

use super::{Db, DbError, Row, Tx, Value};

/// A viewer's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name of the row.
    pub id: SessionId,
    /// What is watched.
    pub event: EventId,
    /// Whose code opened it.
    pub invitation: InvitationId,
    /// The hash of the cookie that carries it.
    pub cookie: Digest,
    /// The browser in words, `Chrome on Android`.
    pub device: String,
    /// When it was opened.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// When it last asked for something, to the minute.
    pub last_seen_at: Time,
    /// Whether it is over, and why.
    pub state: SessionState,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, event_id, invitation_id, cookie_hash, device, created_at, expires_at, last_seen_at, end_reason
             FROM sessions ",
            $rest
        )
    };
}

fn session(row: &Row) -> Result<Session, DbError> {
    let ended = row.parse_maybe::<String>("end_reason")?;
    Ok(Session {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        invitation: row.parse("invitation_id")?,
        cookie: row.digest("cookie_hash")?,
        device: row.text("device")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        last_seen_at: row.time("last_seen_at")?,
        state: match ended {
            None => SessionState::Active,
            Some(name) => SessionState::Ended(
                EndReason::from_name(&name).ok_or_else(|| DbError::Corrupt("end_reason".to_owned()))?,
            ),
        },
    })
}

/// Adds an active session.
///
/// # Errors
///
/// [`DbError::Exists`] while the invitation has another active one: the database keeps that promise by itself.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), DbError> {
    let sql =
        "INSERT INTO sessions (id, event_id, invitation_id, cookie_hash, device, created_at, expires_at, last_seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = [
        session.id.into(),
        session.event.into(),
        session.invitation.into(),
        session.cookie.into(),
        session.device.as_str().into(),
        session.created_at.into(),
        session.expires_at.into(),
        session.last_seen_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The active session of an invitation, held by the transaction that is about to replace it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn active_of(tx: &mut Tx, invitation: InvitationId) -> Result<Option<Session>, DbError> {
    let sql = "UPDATE sessions SET device = device WHERE invitation_id = $1 AND ended_at IS NULL
               RETURNING id, event_id, invitation_id, cookie_hash, device, created_at, expires_at, last_seen_at, end_reason";
    tx.one(sql, [invitation.into()]).await?.as_ref().map(session).transpose()
}

/// Whether an invitation has an active session, by a reader that may be a moment behind.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn is_held(db: &Db, invitation: InvitationId) -> Result<bool, DbError> {
    let sql = "SELECT id FROM sessions WHERE invitation_id = $1 AND ended_at IS NULL";
    Ok(db.one(sql, [invitation.into()]).await?.is_some())
}

/// The session that a browser with this cookie has in `event`, also when it is over.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_cookie(db: &Db, event: EventId, cookie: Digest) -> Result<Option<Session>, DbError> {
    let sql = select!("WHERE cookie_hash = $1 AND event_id = $2");
    db.one(sql, [cookie.into(), event.into()]).await?.as_ref().map(session).transpose()
}

/// Every active session with the name of its invitee: for the table in memory at start.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn all_active(db: &Db) -> Result<Vec<(Session, String)>, DbError> {
    let sql = "SELECT s.id, s.event_id, s.invitation_id, s.cookie_hash, s.device, s.created_at, s.expires_at,
                   s.last_seen_at, s.end_reason, i.name
               FROM sessions s JOIN invitations i ON i.id = s.invitation_id WHERE s.ended_at IS NULL";
    db.all(sql, []).await?.iter().map(|row| Ok((session(row)?, row.text("name")?))).collect()
}

/// Every active session by its name.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn ids_active(db: &Db) -> Result<Vec<SessionId>, DbError> {
    let rows = db.all("SELECT id FROM sessions WHERE ended_at IS NULL", []).await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

/// Holds an invitation's row until the transaction ends: whoever lets somebody in, ends a session or answers a question
/// about its code waits for each other here.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn hold_invitation(tx: &mut Tx, id: InvitationId) -> Result<(), DbError> {
    tx.execute("UPDATE invitations SET name = name WHERE id = $1", [id.into()]).await.map(|_| ())
}

/// The same for the invitation of a session.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn hold(tx: &mut Tx, id: SessionId) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET name = name WHERE id = (SELECT invitation_id FROM sessions WHERE id = $1)";
    tx.execute(sql, [id.into()]).await.map(|_| ())
}

/// One session, inside a transaction.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn read(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, DbError> {
    let sql = select!("WHERE id = $1");
    tx.one(sql, [id.into()]).await?.as_ref().map(session).transpose()
}

/// One session, by a reader that may be a moment behind.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, id: SessionId) -> Result<Option<Session>, DbError> {
    db.one(select!("WHERE id = $1"), [id.into()]).await?.as_ref().map(session).transpose()
}

/// Ends a session; says whether it was active.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn end(tx: &mut Tx, id: SessionId, reason: EndReason, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE id = $3 AND ended_at IS NULL";
    Ok(tx.execute(sql, [now.into(), reason.as_str().into(), id.into()]).await? > 0)
}

/// Ends the sessions of an invitation; says which were active, and in which event.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn end_of(
    tx: &mut Tx,
    invitation: InvitationId,
    reason: EndReason,
    now: Time,
) -> Result<Vec<(SessionId, EventId)>, DbError> {
    let sql = "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE invitation_id = $3 AND ended_at IS NULL
               RETURNING id, event_id";
    let rows = tx.all(sql, [now.into(), reason.as_str().into(), invitation.into()]).await?;
    rows.iter().map(|row| Ok((row.parse("id")?, row.parse("event_id")?))).collect()
}

/// Ends every session of an event; which were active.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn end_all(tx: &mut Tx, event: EventId, reason: EndReason, now: Time) -> Result<Vec<SessionId>, DbError> {
    let sql =
        "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE event_id = $3 AND ended_at IS NULL RETURNING id";
    let rows = tx.all(sql, [now.into(), reason.as_str().into(), event.into()]).await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

/// Sessions that are changed with one statement.
const ROWS: usize = 50;

/// Runs `UPDATE sessions SET` with this beginning, in which `$1` is a moment, on these sessions.
macro_rules! update {
    ($tx:ident, $sessions:ident, $at:ident, $set:literal) => {{
        let sql = concat!(
            "UPDATE sessions SET ",
            $set,
            " AND id IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
             $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, \
             $43, $44, $45, $46, $47, $48, $49, $50, $51)"
        );
        for some in $sessions.chunks(ROWS) {
            // What is missing is filled up with the last one.
            let filling = std::iter::repeat_n(some.last(), ROWS - some.len()).flatten();
            let ids = some.iter().chain(filling).map(|id| Value::from(*id));
            $tx.execute(sql, std::iter::once($at.into()).chain(ids).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }};
}

/// Notes that these sessions were seen at a moment; never moves one back.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn seen(tx: &mut Tx, sessions: &[SessionId], at: Time) -> Result<(), DbError> {
    update!(tx, sessions, at, "last_seen_at = $1 WHERE last_seen_at < $1")
}

/// Lets these sessions, as far as they are active, go on until a moment; never moves an end back.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn prolong(tx: &mut Tx, sessions: &[SessionId], until: Time) -> Result<(), DbError> {
    update!(tx, sessions, until, "expires_at = $1 WHERE ended_at IS NULL AND expires_at < $1")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn an_invitation_has_one_active_session_at_a_time() {
        both(async |db| {
            let event = sample::event(&db).await;
            let invitation = sample::invitation(&db, event.id).await;
            let (first, second) = (sample::session(&invitation, 1), sample::session(&invitation, 2));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &first).await.unwrap();
            tx.commit().await.unwrap();
            let mut tx = db.write().await.unwrap();
            assert!(matches!(insert(&mut tx, &second).await, Err(DbError::Exists)));
            drop(tx);

            let mut tx = db.write().await.unwrap();
            assert_eq!(active_of(&mut tx, invitation.id).await.unwrap(), Some(first.clone()));
            assert!(is_held(&db, invitation.id).await.unwrap());
            hold(&mut tx, first.id).await.unwrap();
            assert_eq!(read(&mut tx, first.id).await.unwrap(), Some(first.clone()));
            assert!(end(&mut tx, first.id, EndReason::Replaced, Time::from_millis(9)).await.unwrap());
            assert!(!end(&mut tx, first.id, EndReason::Revoked, Time::from_millis(9)).await.unwrap());
            insert(&mut tx, &second).await.unwrap();
            tx.commit().await.unwrap();

            let found = by_cookie(&db, event.id, [1; 32]).await.unwrap().unwrap();
            assert_eq!(found.state, SessionState::Ended(EndReason::Replaced));
            assert_eq!(by_cookie(&db, sample::event_id(), [1; 32]).await.unwrap(), None, "of another event");
            assert_eq!(all_active(&db).await.unwrap(), [(second, invitation.name)]);
        })
        .await;
    }

    #[tokio::test]
    async fn the_sessions_of_an_invitation_end_once() {
        both(async |db| {
            let event = sample::event(&db).await;
            let (a, b) = (sample::invitation(&db, event.id).await, sample::invitation(&db, event.id).await);
            let (first, other) = (sample::session(&a, 1), sample::session(&b, 2));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &first).await.unwrap();
            insert(&mut tx, &other).await.unwrap();
            let now = Time::from_millis(9);
            let ended = end_of(&mut tx, a.id, EndReason::CodeChanged, now).await.unwrap();
            assert_eq!(ended, [(first.id, event.id)]);
            assert_eq!(end_of(&mut tx, a.id, EndReason::Revoked, now).await.unwrap(), []);
            tx.commit().await.unwrap();
            let found = by_cookie(&db, event.id, [1; 32]).await.unwrap().unwrap();
            assert_eq!(found.state, SessionState::Ended(EndReason::CodeChanged));
            assert_eq!(ids_active(&db).await.unwrap(), [other.id]);
            assert_eq!(all_active(&db).await.unwrap(), [(other, b.name)]);
        })
        .await;
    }

    #[tokio::test]
    async fn being_seen_never_goes_back() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::session(&sample::invitation(&db, event.id).await, 1);
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &made).await.unwrap();
            for at in [500, 700, 600] {
                seen(&mut tx, &[made.id], Time::from_millis(at)).await.unwrap();
            }
            tx.commit().await.unwrap();
            let found = by_cookie(&db, event.id, [1; 32]).await.unwrap().unwrap();
            assert_eq!(found.last_seen_at, Time::from_millis(700));
        })
        .await;
    }

    #[tokio::test]
    async fn an_end_never_goes_back_and_what_is_over_stays_over() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::session(&sample::invitation(&db, event.id).await, 1);
            let later = made.expires_at.plus(std::time::Duration::from_secs(60));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &made).await.unwrap();
            for until in [later, made.expires_at] {
                prolong(&mut tx, &[made.id], until).await.unwrap();
            }
            assert_eq!(read(&mut tx, made.id).await.unwrap().unwrap().expires_at, later);
            assert!(end(&mut tx, made.id, EndReason::Kicked, later).await.unwrap());
            prolong(&mut tx, &[made.id], later.plus(std::time::Duration::from_secs(60))).await.unwrap();
            let row = read(&mut tx, made.id).await.unwrap().unwrap();
            assert_eq!((row.expires_at, row.state), (later, SessionState::Ended(EndReason::Kicked)));
            tx.commit().await.unwrap();
        })
        .await;
    }
}
