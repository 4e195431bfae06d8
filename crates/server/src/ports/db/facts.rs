//! The log of facts: what happened, where it stands in the sealed chain, and whether it was handed on.

use stagedoor_domain::Time;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, FactId};

use super::{Db, DbError, Row, Tx, before};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the row.
    pub id: FactId,
    /// When it happened.
    pub at: Time,
    /// Who did it: the id of a user, a token or a session, or `operator`, `publisher`, `system`, `stranger`.
    pub actor: String,
    /// What happened.
    pub fact: Fact,
}

/// An entry as it is read: also one that another version wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name of the row.
    pub id: FactId,
    /// When it happened.
    pub at: Time,
    /// Who did it.
    pub actor: String,
    /// The fact's type.
    pub kind: String,
    /// The event it belongs to, if any.
    pub event: Option<EventId>,
    /// The fact as JSON.
    pub data: String,
    /// Its place in the chain, once it is sealed.
    pub seq: Option<u64>,
    /// The hash of the entry in the chain, once it is sealed.
    pub hash: Option<String>,
}

/// Which entries are looked for; every field narrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this event.
    pub event: Option<EventId>,
    /// By them.
    pub actor: Option<String>,
    /// A type (`stream.live`), or the beginning of some (`stream.`).
    pub kind: Option<String>,
    /// Not before.
    pub from: Option<Time>,
    /// Before.
    pub to: Option<Time>,
}

/// Adds an entry.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, entry: &Entry) -> Result<(), DbError> {
    #[derive(serde::Deserialize)]
    struct Tagged {
        #[serde(rename = "type")]
        kind: String,
    }
    let corrupt = |_| DbError::Corrupt("data".to_owned());
    let data = serde_json::to_string(&entry.fact).map_err(corrupt)?;
    let Tagged { kind } = serde_json::from_str(&data).map_err(corrupt)?;
    let sql = "INSERT INTO facts (id, at, event_id, actor, kind, data, dispatched)
               VALUES ($1, $2, $3, $4, $5, $6, FALSE)";
    let args = [
        entry.id.into(),
        entry.at.into(),
        entry.fact.event().into(),
        entry.actor.as_str().into(),
        kind.into(),
        data.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

fn kept(row: &Row) -> Result<Kept, DbError> {
    Ok(Kept {
        id: row.parse("id")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        kind: row.text("kind")?,
        event: row.parse_maybe("event_id")?,
        data: row.text("data")?,
        seq: row.int_maybe("seq")?.map(u64::try_from).transpose().map_err(|_| DbError::Corrupt("seq".to_owned()))?,
        hash: row.parse_maybe("hash")?,
    })
}

macro_rules! kept_where {
    ($rest:literal) => {
        concat!("SELECT id, at, actor, kind, event_id, data, seq, hash FROM facts ", $rest)
    };
}

/// What is [`Wanted`], newest first. The narrowest of event, actor and type that is given decides which index is read.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn find(db: &Db, wanted: &Wanted, cursor: Option<FactId>, limit: u32) -> Result<Vec<Kept>, DbError> {
    let sql = match (&wanted.actor, wanted.event, &wanted.kind) {
        (Some(_), _, _) => kept_where!(
            "WHERE actor = $1 AND ($2 IS NULL OR event_id = $2) AND ($3 IS NULL OR (kind >= $3 AND kind <= $4))
             AND at >= $5 AND at < $6 AND id < $7 ORDER BY id DESC LIMIT $8"
        ),
        (None, Some(_), _) => kept_where!(
            "WHERE ($1 IS NULL OR actor = $1) AND event_id = $2 AND ($3 IS NULL OR (kind >= $3 AND kind <= $4))
             AND at >= $5 AND at < $6 AND id < $7 ORDER BY id DESC LIMIT $8"
        ),
        (None, None, Some(_)) => kept_where!(
            "WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR event_id = $2) AND kind >= $3 AND kind <= $4
             AND at >= $5 AND at < $6 AND id < $7 ORDER BY id DESC LIMIT $8"
        ),
        (None, None, None) => kept_where!(
            "WHERE ($1 IS NULL OR actor = $1) AND ($2 IS NULL OR event_id = $2)
             AND ($3 IS NULL OR (kind >= $3 AND kind <= $4))
             AND at >= $5 AND at < $6 AND id < $7 ORDER BY id DESC LIMIT $8"
        ),
    };
    // A group ends where the letter after its dot begins; a single type is from itself to itself.
    let last = wanted.kind.as_ref().map(|kind| match kind.strip_suffix('.') {
        Some(group) => format!("{group}.zzzz"),
        None => kind.clone(),
    });
    let args = [
        wanted.actor.clone().into(),
        wanted.event.into(),
        wanted.kind.clone().into(),
        last.into(),
        wanted.from.unwrap_or(Time::from_millis(0)).into(),
        wanted.to.unwrap_or(Time::from_millis(i64::MAX)).into(),
        before(cursor, FactId::new).into(),
        limit.into(),
    ];
    db.all(sql, args).await?.iter().map(kept).collect()
}

/// Sealed entries after number `after` up to number `last`, in the order of the chain.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn sealed(db: &Db, after: u64, last: u64, limit: u32) -> Result<Vec<Kept>, DbError> {
    let sql = kept_where!("WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3");
    db.all(sql, [after.into(), last.into(), limit.into()]).await?.iter().map(kept).collect()
}

/// How many entries are not sealed yet, counted up to `most`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count_unsealed(db: &Db, most: u32) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) AS n FROM (SELECT 1 FROM facts WHERE seq IS NULL LIMIT $1) AS bounded";
    db.one(sql, [most.into()]).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Whether an entry waits to be handed on.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn any_undispatched(db: &Db) -> Result<bool, DbError> {
    Ok(db.one("SELECT id FROM facts WHERE dispatched = FALSE LIMIT 1", []).await?.is_some())
}

/// The oldest entries that are not sealed yet. Whoever asks holds the [`log`](super::log)'s head.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn unsealed(tx: &mut Tx, limit: u32) -> Result<Vec<Kept>, DbError> {
    tx.all(kept_where!("WHERE seq IS NULL ORDER BY id LIMIT $1"), [limit.into()]).await?.iter().map(kept).collect()
}

/// Gives an entry its place in the chain.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn seal(tx: &mut Tx, id: FactId, seq: u64, hash: &str) -> Result<(), DbError> {
    let sql = "UPDATE facts SET seq = $1, hash = $2 WHERE id = $3";
    tx.execute(sql, [seq.into(), hash.into(), id.into()]).await.map(|_| ())
}

/// The oldest entries that were not handed on yet. Whoever asks holds the dispatcher's [head](super::log).
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn undispatched(tx: &mut Tx, limit: u32) -> Result<Vec<Kept>, DbError> {
    let sql = kept_where!("WHERE dispatched = FALSE ORDER BY id LIMIT $1");
    tx.all(sql, [limit.into()]).await?.iter().map(kept).collect()
}

/// Notes that an entry was handed on.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn dispatched(tx: &mut Tx, id: FactId) -> Result<(), DbError> {
    tx.execute("UPDATE facts SET dispatched = TRUE WHERE id = $1", [id.into()]).await.map(|_| ())
}

/// The type of the newest fact about the event's stream before `id`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn stream_before(tx: &mut Tx, event: EventId, id: FactId) -> Result<Option<String>, DbError> {
    let sql = "SELECT kind FROM facts WHERE event_id = $1 AND id < $2
               AND kind IN ('stream.live', 'stream.away', 'stream.ended') ORDER BY id DESC LIMIT 1";
    tx.one(sql, [event.into(), id.into()]).await?.map(|row| row.text("kind")).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    fn entry(at: i64, actor: &str, fact: Fact) -> Entry {
        Entry { id: FactId::new(sample::uuid()), at: Time::from_millis(at), actor: actor.into(), fact }
    }

    #[tokio::test]
    async fn the_log_is_read_newest_first_by_whatever_narrows_it() {
        both(async |db| {
            let (event, other) = (sample::event_id(), sample::event_id());
            let entries = [
                entry(1, "operator", Fact::EventCreated { event }),
                entry(2, "usr_1", Fact::EventCreated { event: other }),
                entry(3, "usr_1", Fact::EventChanged { event }),
                entry(4, "stranger", Fact::SignInRefused { way: None }),
            ];
            let mut tx = db.write().await.unwrap();
            for entry in &entries {
                insert(&mut tx, entry).await.unwrap();
            }
            tx.commit().await.unwrap();
            let found = async |wanted: Wanted, cursor, limit| {
                let kept = find(&db, &wanted, cursor, limit).await.unwrap();
                kept.iter()
                    .map(|kept| entries.iter().position(|entry| entry.id == kept.id).unwrap())
                    .collect::<Vec<_>>()
            };
            let all = Wanted::default();
            assert_eq!(found(all.clone(), None, 9).await, [3, 2, 1, 0]);
            assert_eq!(found(all.clone(), Some(entries[2].id), 1).await, [1]);
            assert_eq!(found(Wanted { event: Some(event), ..all.clone() }, None, 9).await, [2, 0]);
            assert_eq!(found(Wanted { actor: Some("usr_1".into()), ..all.clone() }, None, 9).await, [2, 1]);
            assert_eq!(found(Wanted { kind: Some("event.created".into()), ..all.clone() }, None, 9).await, [1, 0]);
            assert_eq!(found(Wanted { kind: Some("event.".into()), ..all.clone() }, None, 9).await, [2, 1, 0]);
            let (from, to) = (Some(Time::from_millis(2)), Some(Time::from_millis(4)));
            assert_eq!(found(Wanted { from, to, ..all.clone() }, None, 9).await, [2, 1]);
            let narrow =
                Wanted { event: Some(event), actor: Some("usr_1".into()), kind: Some("event.".into()), from, to };
            assert_eq!(found(narrow, None, 9).await, [2]);
            let kept = find(&db, &all, None, 1).await.unwrap().remove(0);
            assert_eq!((kept.kind.as_str(), kept.event, kept.seq), ("user.sign_in_refused", None, None));
        })
        .await;
    }

    #[tokio::test]
    async fn a_fact_is_handed_on_once_and_sealed_once() {
        both(async |db| {
            let event = sample::event_id();
            let entries =
                [entry(1, "operator", Fact::EventCreated { event }), entry(2, "a", Fact::SignInRefused { way: None })];
            let mut tx = db.write().await.unwrap();
            for entry in &entries {
                insert(&mut tx, entry).await.unwrap();
            }
            tx.commit().await.unwrap();
            assert!(any_undispatched(&db).await.unwrap());
            assert_eq!(count_unsealed(&db, 9).await.unwrap(), 2);
            let mut tx = db.write().await.unwrap();
            assert_eq!(undispatched(&mut tx, 1).await.unwrap()[0].id, entries[0].id);
            assert_eq!(unsealed(&mut tx, 9).await.unwrap().len(), 2);
            for (seq, entry) in (1..).zip(&entries) {
                dispatched(&mut tx, entry.id).await.unwrap();
                seal(&mut tx, entry.id, seq, "ab").await.unwrap();
            }
            tx.commit().await.unwrap();
            assert!(!any_undispatched(&db).await.unwrap());
            assert_eq!(count_unsealed(&db, 9).await.unwrap(), 0);
            let sealed = sealed(&db, 1, 9, 9).await.unwrap();
            assert_eq!((sealed.len(), sealed[0].seq, sealed[0].hash.as_deref()), (1, Some(2), Some("ab")));
            let mut tx = db.write().await.unwrap();
            assert!(seal(&mut tx, entries[0].id, 7, "cd").await.is_err(), "sealed twice");
        })
        .await;
    }

    #[tokio::test]
    async fn the_database_itself_refuses_to_change_or_delete_what_is_in_the_log() {
        both(async |db| {
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &entry(1, "operator", Fact::SignInRefused { way: None })).await.unwrap();
            let sql = "INSERT INTO log_checkpoints (seq, at, line) VALUES (1, 1, 'x')";
            tx.execute(sql, []).await.unwrap();
            tx.commit().await.unwrap();
            for sql in [
                "DELETE FROM facts",
                "UPDATE facts SET data = '{}'",
                "UPDATE facts SET at = 2",
                "UPDATE facts SET actor = 'system'",
                "UPDATE facts SET kind = 'event.created'",
                "UPDATE facts SET event_id = 'evt_1'",
                "UPDATE facts SET id = 'fct_1'",
                "DELETE FROM log_checkpoints",
                "UPDATE log_checkpoints SET line = 'y'",
            ] {
                let mut tx = db.write().await.unwrap();
                let error = tx.execute(sql, []).await.unwrap_err();
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                assert!(cause.contains("the log is append-only"), "{sql}: {cause}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn the_stream_before_is_found_in_the_same_event() {
        both(async |db| {
            use stagedoor_domain::id::{BroadcastId, StreamId};
            let (event, other) = (sample::event_id(), sample::event_id());
            let (stream, broadcast) = (StreamId::new(sample::uuid()), BroadcastId::new(sample::uuid()));
            let entries = [
                entry(1, "publisher", Fact::StreamLive { event, stream, broadcast }),
                entry(2, "publisher", Fact::StreamAway { event: other, stream, broadcast }),
                entry(3, "operator", Fact::EventChanged { event }),
                entry(4, "publisher", Fact::StreamEnded { event, stream, broadcast }),
            ];
            let mut tx = db.write().await.unwrap();
            for entry in &entries {
                insert(&mut tx, entry).await.unwrap();
            }
            let before = stream_before(&mut tx, event, entries[3].id).await.unwrap();
            assert_eq!(before.as_deref(), Some("stream.live"));
            assert_eq!(stream_before(&mut tx, event, entries[0].id).await.unwrap(), None);
        })
        .await;
    }
}
