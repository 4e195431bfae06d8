//! One person's traces: all that is kept about an invitee, and taking it away.

use stagedoor_domain::Time;
use stagedoor_domain::access::Digest;
use stagedoor_domain::id::{EventId, FactId, InvitationId, SessionId};

use super::{Db, DbError, Tx};

/// Rows of each kind that are handed out at most: more than a person leaves in years.
pub const ROWS_MAX: u32 = 10_000;

/// A visit of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The session.
    pub session: SessionId,
    /// The browser in words.
    pub device: String,
    /// When it began.
    pub created_at: Time,
    /// When it was last seen.
    pub last_seen_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// Why.
    pub end_reason: Option<String>,
}

/// Their visits, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn visits(db: &Db, id: InvitationId) -> Result<Vec<Visit>, DbError> {
    let sql = "SELECT id, device, created_at, last_seen_at, ended_at, end_reason FROM sessions WHERE invitation_id = $1
               ORDER BY id LIMIT $2";
    let rows = db.all(sql, [id.into(), ROWS_MAX.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Visit {
                session: row.parse("id")?,
                device: row.text("device")?,
                created_at: row.time("created_at")?,
                last_seen_at: row.time("last_seen_at")?,
                ended_at: row.time_maybe("ended_at")?,
                end_reason: row.text_maybe("end_reason")?,
            })
        })
        .collect()
}

/// A message to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The name of the row.
    pub id: stagedoor_domain::id::MessageId,
    /// By what it travelled, what it was for, and where it stands: the names that are in the database.
    pub channel: String,
    /// What it was for.
    pub kind: String,
    /// Where it stands.
    pub state: String,
    /// To whom and what, sealed by their key.
    pub payload: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Time,
    /// When a gateway took it.
    pub sent_at: Option<Time>,
}

/// Messages to them, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn letters(db: &Db, id: InvitationId) -> Result<Vec<Letter>, DbError> {
    let sql =
        "SELECT id, channel, kind, state, payload_sealed, created_at, sent_at FROM messages WHERE invitation_id = $1
               ORDER BY id LIMIT $2";
    let rows = db.all(sql, [id.into(), ROWS_MAX.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Letter {
                id: row.parse("id")?,
                channel: row.text("channel")?,
                kind: row.text("kind")?,
                state: row.text("state")?,
                payload: row.bytes_maybe("payload_sealed")?,
                created_at: row.time("created_at")?,
                sent_at: row.time_maybe("sent_at")?,
            })
        })
        .collect()
}

/// What organisers sorted them under.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn tags(db: &Db, id: InvitationId) -> Result<Vec<String>, DbError> {
    let sql = "SELECT tag FROM invitation_tags WHERE invitation_id = $1 ORDER BY tag LIMIT $2";
    db.all(sql, [id.into(), ROWS_MAX.into()]).await?.iter().map(|row| row.text("tag")).collect()
}

/// Whom they brought.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn guests(db: &Db, id: InvitationId) -> Result<Vec<InvitationId>, DbError> {
    let sql = "SELECT id FROM invitations WHERE guest_of = $1 ORDER BY id LIMIT $2";
    db.all(sql, [id.into(), ROWS_MAX.into()]).await?.iter().map(|row| row.parse("id")).collect()
}

/// The facts that name them, oldest first. Looks through the log of the event.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn facts(db: &Db, event: EventId, id: InvitationId) -> Result<Vec<FactId>, DbError> {
    let sql = "SELECT id FROM facts WHERE event_id = $1 AND data LIKE $2 ORDER BY id LIMIT $3";
    // An id has letters and digits, and one `_` that matches itself.
    let rows = db.all(sql, [event.into(), format!("%\"{id}\"%").into(), ROWS_MAX.into()]).await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

/// Since when the person of one of these numbers wants no messages.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn opted_out(db: &Db, phones: &[Digest]) -> Result<Option<Time>, DbError> {
    for phone in phones {
        if let Some(row) = db.one("SELECT at FROM opt_outs WHERE phone_hash = $1", [(*phone).into()]).await? {
            return Ok(Some(row.time("at")?));
        }
    }
    Ok(None)
}

/// Takes away how somebody is reached, with the key that seals it. Messages to them are forgotten by
/// [`messages::forget`](super::messages::forget).
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget_contact(tx: &mut Tx, id: InvitationId) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET person_key = NULL, contact_sealed = NULL, phone_hash = NULL, email_hash = NULL
               WHERE id = $1";
    tx.execute(sql, [id.into()]).await.map(|_| ())
}

/// What is left of somebody who was erased.
#[derive(Clone, Copy, Debug)]
pub struct Pseudonym<'a> {
    /// What they are called now.
    pub name: &'a str,
    /// A hash that no code has.
    pub code: Digest,
}

/// Takes away everything that tells who somebody of `event` is, and withdraws their invitation; what is left is its id. Says
/// whether there was anybody to erase. Locks their row.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn erase(
    tx: &mut Tx,
    event: EventId,
    id: InvitationId,
    pseudonym: Pseudonym<'_>,
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET name = $1, name_folded = $2, language = '', code_hash = $3, code_sealed = $4,
                   person_key = NULL, contact_sealed = NULL, phone_hash = NULL, email_hash = NULL,
                   state = 'revoked', state_at = $5, revoked_at = COALESCE(revoked_at, $5), erased_at = $5
               WHERE id = $6 AND event_id = $7 AND erased_at IS NULL";
    let args = [
        pseudonym.name.into(),
        pseudonym.name.to_lowercase().into(),
        pseudonym.code.into(),
        Vec::<u8>::new().into(),
        now.into(),
        id.into(),
        event.into(),
    ];
    if tx.execute(sql, args).await? == 0 {
        return Ok(false);
    }
    for sql in [
        "UPDATE invitation_history SET detail = '' WHERE invitation_id = $1",
        "DELETE FROM invitation_tags WHERE invitation_id = $1",
        "UPDATE sessions SET device = '' WHERE invitation_id = $1",
        "UPDATE takeovers SET device = '', place = '' WHERE invitation_id = $1",
    ] {
        tx.execute(sql, [id.into()]).await?;
    }
    Ok(true)
}

/// When the last broadcast of `event` was over, or when it was to begin if there was none; `None` while one runs, and of an
/// event without a date.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn over_since(db: &Db, event: EventId) -> Result<Option<Time>, DbError> {
    let sql = "SELECT MAX(b.ended_at) AS ended, COUNT(b.id) - COUNT(b.ended_at) AS running, MAX(e.starts_at) AS starts
               FROM events e JOIN streams s ON s.event_id = e.id LEFT JOIN broadcasts b ON b.stream_id = s.id
               WHERE e.id = $1";
    let Some(row) = db.one(sql, [event.into()]).await? else { return Ok(None) };
    if row.count("running")? > 0 {
        return Ok(None);
    }
    Ok(row.time_maybe("ended")?.max(row.time_maybe("starts")?))
}

/// Some people of `event` whose contact is still known.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn known(tx: &mut Tx, event: EventId, limit: u32) -> Result<Vec<InvitationId>, DbError> {
    let sql = "SELECT id FROM invitations WHERE event_id = $1 AND person_key IS NOT NULL LIMIT $2";
    tx.all(sql, [event.into(), limit.into()]).await?.iter().map(|row| row.parse("id")).collect()
}

/// Forgets what was written to addresses of nobody invited: tests of organisers.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget_tests(tx: &mut Tx, event: EventId) -> Result<u64, DbError> {
    let sql = "UPDATE messages SET payload_sealed = NULL, reference = NULL
               WHERE event_id = $1 AND invitation_id IS NULL AND payload_sealed IS NOT NULL
                   AND state NOT IN ('queued', 'sending')";
    tx.execute(sql, [event.into()]).await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::super::{invitations, opt_outs};
    use super::*;

    const NOBODY: Pseudonym<'_> = Pseudonym { name: "Erased", code: [9; 32] };

    #[tokio::test]
    async fn who_is_erased_leaves_an_id_and_dates() {
        both(async |db| {
            let (event, other) = (sample::event(&db).await, sample::event(&db).await);
            let made = sample::invitation_named(&db, event.id, "Ada", 1).await;
            sample::invitation_named(&db, event.id, "Bob", 2).await;
            let mut tx = db.write().await.unwrap();
            let sql = "UPDATE invitations SET person_key = $1, contact_sealed = $1, phone_hash = $1, email_hash = $1,
                       language = 'fr' WHERE id = $2";
            tx.execute(sql, [vec![5_u8; 32].into(), made.id.into()]).await.unwrap();
            let sql = "INSERT INTO invitation_tags (event_id, tag, invitation_id) VALUES ($1, 'vip', $2)";
            tx.execute(sql, [event.id.into(), made.id.into()]).await.unwrap();
            opt_outs::add(&mut tx, [5; 32], Time::from_millis(3)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(tags(&db, made.id).await.unwrap(), ["vip"]);
            assert_eq!(opted_out(&db, &[[4; 32], [5; 32]]).await.unwrap(), Some(Time::from_millis(3)));
            assert_eq!(opted_out(&db, &[[4; 32]]).await.unwrap(), None);
            assert!(visits(&db, made.id).await.unwrap().is_empty() && letters(&db, made.id).await.unwrap().is_empty());
            assert!(guests(&db, made.id).await.unwrap().is_empty());
            assert!(facts(&db, event.id, made.id).await.unwrap().is_empty());

            let now = Time::from_millis(77);
            let mut tx = db.write().await.unwrap();
            assert_eq!(known(&mut tx, event.id, 9).await.unwrap(), [made.id]);
            assert!(!erase(&mut tx, other.id, made.id, NOBODY, now).await.unwrap(), "of another event");
            assert!(erase(&mut tx, event.id, made.id, NOBODY, now).await.unwrap());
            assert!(!erase(&mut tx, event.id, made.id, NOBODY, now).await.unwrap(), "nobody is erased twice");
            assert!(known(&mut tx, event.id, 9).await.unwrap().is_empty());
            tx.commit().await.unwrap();
            let left = invitations::get(&db, event.id, made.id).await.unwrap().unwrap();
            assert_eq!((left.name.as_str(), left.language.as_str(), left.erased_at), ("Erased", "", Some(now)));
            assert_eq!((left.person_key, left.contact, left.sealed), (None, None, Vec::new()));
            assert!(invitations::by_code(&db, event.id, [1; 32]).await.unwrap().is_none());
            assert!(tags(&db, made.id).await.unwrap().is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn contacts_go_and_names_stay() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::invitation_named(&db, event.id, "Ada", 1).await;
            let mut tx = db.write().await.unwrap();
            tx.execute("UPDATE invitations SET person_key = $1, phone_hash = $1", [vec![5_u8; 32].into()])
                .await
                .unwrap();
            forget_contact(&mut tx, made.id).await.unwrap();
            assert_eq!(forget_tests(&mut tx, event.id).await.unwrap(), 0);
            tx.commit().await.unwrap();
            let left = invitations::get(&db, event.id, made.id).await.unwrap().unwrap();
            assert_eq!((left.name.as_str(), left.person_key, left.erased_at), ("Ada", None, None));
        })
        .await;
    }

    #[tokio::test]
    async fn an_event_is_over_when_its_last_broadcast_is() {
        both(async |db| {
            let event = sample::event(&db).await;
            let at = Time::from_millis;
            assert_eq!(over_since(&db, sample::event_id()).await.unwrap(), None);
            let write = async |sql: &'static str, args: Vec<super::super::Value>| {
                let mut tx = db.write().await.unwrap();
                tx.execute(sql, args).await.unwrap();
                tx.commit().await.unwrap();
            };
            write("UPDATE events SET starts_at = NULL", vec![]).await;
            assert_eq!(over_since(&db, event.id).await.unwrap(), None, "no date and no broadcast");
            write("UPDATE events SET starts_at = 50", vec![]).await;
            assert_eq!(over_since(&db, event.id).await.unwrap(), Some(at(50)));
            let sql =
                "INSERT INTO broadcasts (id, stream_id, state, started_at, ended_at) VALUES ($1, $2, 'ended', 1, $3)";
            write(sql, vec!["a".into(), event.stream.into(), at(90).into()]).await;
            assert_eq!(over_since(&db, event.id).await.unwrap(), Some(at(90)));
            write(sql, vec!["b".into(), event.stream.into(), super::super::Value::Int(None)]).await;
            assert_eq!(over_since(&db, event.id).await.unwrap(), None, "one runs");
        })
        .await;
    }
}
