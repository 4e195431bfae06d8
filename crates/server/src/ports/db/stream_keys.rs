//! Stream keys: what a publisher shows.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Broadcast, CreateEvent, Digest, KeyState};
use stagedoor_domain::event::Latency;
use stagedoor_domain::id::{EventId, KeyId, StreamId};

use super::{Db, DbError, Row, Tx, before};

/// A key's row; its text is only in it sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// The name of the row.
    pub id: KeyId,
    /// The event it publishes to.
    pub event: EventId,
    /// The text, sealed by the vault.
    pub sealed: Vec<u8>,
    /// Its last letters.
    pub hint: String,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was withdrawn.
    pub revoked_at: Option<Time>,
    /// When a publisher was last let in with it.
    pub last_used_at: Option<Time>,
}

impl StreamKey {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> KeyState {
        if self.revoked_at.is_some() { KeyState::Revoked } else { KeyState::Active }
    }
}

/// What a publisher with a known key is about to publish to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The key.
    pub key: StreamKey,
    /// Its event's stream.
    pub stream: StreamId,
    /// How the event is packaged.
    pub latency: Latency,
    /// How far back viewers may go.
    pub dvr_window: std::time::Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: std::time::Duration,
}

fn key(row: &Row) -> Result<StreamKey, DbError> {
    Ok(StreamKey {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        sealed: row.bytes("key_sealed")?,
        hint: row.text("hint")?,
        created_at: row.time("created_at")?,
        expires_at: row.time_maybe("expires_at")?,
        revoked_at: row.time_maybe("revoked_at")?,
        last_used_at: row.time_maybe("last_used_at")?,
    })
}

/// Adds a key.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<Broadcast>, key: &StreamKey, hash: Digest) -> Result<(), DbError> {
    add(tx, key, hash).await
}

/// Adds the key that a new event begins with.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert_first(tx: &mut Tx, _: &Allowed<CreateEvent>, key: &StreamKey, hash: Digest) -> Result<(), DbError> {
    add(tx, key, hash).await
}

async fn add(tx: &mut Tx, key: &StreamKey, hash: Digest) -> Result<(), DbError> {
    let sql = "INSERT INTO stream_keys (id, event_id, key_hash, key_sealed, hint, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = [
        key.id.into(),
        key.event.into(),
        hash.into(),
        key.sealed.clone().into(),
        key.hint.as_str().into(),
        key.created_at.into(),
        key.expires_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// All keys of an event, also withdrawn ones, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, event: EventId, cursor: Option<KeyId>, limit: u32) -> Result<Vec<StreamKey>, DbError> {
    let sql = "SELECT id, event_id, key_sealed, hint, created_at, expires_at, revoked_at, last_used_at FROM stream_keys
               WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let rows = db.all(sql, [event.into(), before(cursor, KeyId::new).into(), limit.into()]).await?;
    rows.iter().map(key).collect()
}

/// The newest key of an event that works at `now`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn current(db: &Db, event: EventId, now: Time) -> Result<Option<StreamKey>, DbError> {
    let sql = "SELECT id, event_id, key_sealed, hint, created_at, expires_at, revoked_at, last_used_at FROM stream_keys
               WHERE event_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
               ORDER BY id DESC LIMIT 1";
    db.one(sql, [event.into(), now.into()]).await?.as_ref().map(key).transpose()
}

/// The key with this hash, in whatever state, and where it leads.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_hash(db: &Db, hash: Digest) -> Result<Option<Target>, DbError> {
    let sql = "SELECT k.id, k.event_id, k.key_sealed, k.hint, k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
                   s.id AS stream_id, e.latency, e.dvr_window_ms, e.reconnect_window_ms
               FROM stream_keys k JOIN events e ON e.id = k.event_id JOIN streams s ON s.event_id = e.id
               WHERE k.key_hash = $1";
    let row = db.one(sql, [hash.into()]).await?;
    row.map(|row| {
        Ok(Target {
            key: key(&row)?,
            stream: row.parse("stream_id")?,
            latency: row.known("latency", Latency::from_name)?,
            dvr_window: row.duration("dvr_window_ms")?,
            reconnect_window: row.duration("reconnect_window_ms")?,
        })
    })
    .transpose()
}

/// Notes that a publisher was let in.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn used(tx: &mut Tx, id: KeyId, now: Time) -> Result<(), DbError> {
    tx.execute("UPDATE stream_keys SET last_used_at = $1 WHERE id = $2", [now.into(), id.into()]).await.map(|_| ())
}

/// Withdraws a key of the event of the permission; says whether there was one to withdraw.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn revoke(tx: &mut Tx, allowed: &Allowed<Broadcast>, id: KeyId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE stream_keys SET revoked_at = $1 WHERE id = $2 AND event_id = $3 AND revoked_at IS NULL";
    Ok(tx.execute(sql, [now.into(), id.into(), allowed.event.into()]).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn a_key_leads_to_its_stream_until_it_is_withdrawn() {
        both(async |db| {
            let event = sample::event(&db).await;
            let (old, new) = (sample::stream_key(&db, event.id, 1).await, sample::stream_key(&db, event.id, 2).await);
            let now = Time::from_millis(50);
            assert_eq!(current(&db, event.id, now).await.unwrap().as_ref(), Some(&new));
            assert_eq!(list(&db, event.id, None, 9).await.unwrap(), [new.clone(), old.clone()]);
            assert_eq!(list(&db, event.id, Some(new.id), 9).await.unwrap(), std::slice::from_ref(&old));

            let target = by_hash(&db, [2; 32]).await.unwrap().unwrap();
            assert_eq!((&target.key, target.stream, target.latency), (&new, event.stream, event.latency));
            assert_eq!((target.dvr_window, target.reconnect_window), (event.dvr_window, event.reconnect_window));
            assert!(by_hash(&db, [9; 32]).await.unwrap().is_none());

            let mut tx = db.write().await.unwrap();
            used(&mut tx, new.id, now).await.unwrap();
            let stranger = sample::event_id();
            assert!(!revoke(&mut tx, &proof::broadcast(stranger), new.id, now).await.unwrap());
            assert!(revoke(&mut tx, &proof::broadcast(event.id), new.id, now).await.unwrap());
            assert!(!revoke(&mut tx, &proof::broadcast(event.id), new.id, now).await.unwrap());
            tx.commit().await.unwrap();
            let target = by_hash(&db, [2; 32]).await.unwrap().unwrap();
            assert_eq!((target.key.state(), target.key.last_used_at), (KeyState::Revoked, Some(now)));
            assert_eq!(current(&db, event.id, now).await.unwrap().as_ref(), Some(&old));
        })
        .await;
    }
}
