//! Stream keys: what a publisher shows.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Broadcast, CreateEvent, Digest, KeyState};
use stagedoor_domain::event::{EncryptionPolicy, Latency, Policy};
use stagedoor_domain::id::{BroadcastId, EventId, KeyId, StreamId};
use stagedoor_domain::network::Network;
use stagedoor_domain::publish::{Limits, Origin};

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
    /// What organisers call it; may be empty.
    pub name: String,
    /// Only from these ranges of addresses; empty for all.
    pub networks: Vec<Network>,
    /// What may be sent with it, instead of what the event allows.
    pub limits: Option<Limits>,
    /// Good for one broadcast, with all its reconnections.
    pub one_time: bool,
    /// That broadcast is over.
    pub used_up: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was withdrawn.
    pub revoked_at: Option<Time>,
    /// When a publisher last came with it.
    pub last_used_at: Option<Time>,
    /// From where its last broadcast came.
    pub last_origin: Option<Origin>,
    /// The same in words: `Lyon, France`.
    pub last_place: Option<String>,
}

impl StreamKey {
    /// A key without restrictions, not sealed yet.
    #[must_use]
    pub fn new(id: KeyId, event: EventId, now: Time) -> Self {
        Self {
            id,
            event,
            sealed: Vec::new(),
            hint: String::new(),
            name: String::new(),
            networks: Vec::new(),
            limits: None,
            one_time: false,
            used_up: false,
            created_at: now,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            last_origin: None,
            last_place: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> KeyState {
        if self.revoked_at.is_some() { KeyState::Revoked } else { KeyState::Active }
    }
}

/// What a publisher who is known is about to publish to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The event.
    pub event: EventId,
    /// Its stream.
    pub stream: StreamId,
    /// How the event is packaged.
    pub latency: Latency,
    /// How far back viewers may go.
    pub dvr_window: std::time::Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: std::time::Duration,
    /// How what is shown is encrypted.
    pub encryption: EncryptionPolicy,
    /// What an encoder may send.
    pub limits: Limits,
}

macro_rules! key_where {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.event_id, k.key_sealed, k.hint, k.name, k.networks, k.limits, k.one_time, k.created_at,
                 k.expires_at, k.revoked_at, k.last_used_at, k.last_country, k.last_place, k.last_network,
                 CAST(CASE WHEN k.one_time AND k.broadcast_id IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM broadcasts b WHERE b.id = k.broadcast_id AND b.ended_at IS NULL)
                     THEN 1 ELSE 0 END AS BIGINT) AS spent
             FROM stream_keys k ",
            $rest
        )
    };
}

fn key(row: &Row) -> Result<StreamKey, DbError> {
    let country = row.parse_maybe("last_country")?;
    let block: Option<Network> = row.parse_maybe("last_network")?;
    Ok(StreamKey {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        sealed: row.bytes("key_sealed")?,
        hint: row.text("hint")?,
        name: row.text("name")?,
        networks: row.known("networks", |json| serde_json::from_str(json).ok())?,
        limits: match row.text_maybe("limits")? {
            Some(json) => Some(serde_json::from_str(&json).map_err(|_| DbError::Corrupt("limits".to_owned()))?),
            None => None,
        },
        one_time: row.bool("one_time")?,
        used_up: row.int("spent")? != 0,
        created_at: row.time("created_at")?,
        expires_at: row.time_maybe("expires_at")?,
        revoked_at: row.time_maybe("revoked_at")?,
        last_used_at: row.time_maybe("last_used_at")?,
        last_origin: block.map(|block| Origin { country, block }),
        last_place: row.text_maybe("last_place")?,
    })
}

fn json<T: serde::Serialize>(value: &T, column: &str) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|_| DbError::Corrupt(column.to_owned()))
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
    let sql = "INSERT INTO stream_keys (id, event_id, key_hash, key_sealed, hint, name, networks, limits, one_time,
                   created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let args = [
        key.id.into(),
        key.event.into(),
        hash.into(),
        key.sealed.clone().into(),
        key.hint.as_str().into(),
        key.name.as_str().into(),
        json(&key.networks, "networks")?.into(),
        key.limits.map(|limits| json(&limits, "limits")).transpose()?.into(),
        key.one_time.into(),
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
    let sql = key_where!("WHERE k.event_id = $1 AND k.id < $2 ORDER BY k.id DESC LIMIT $3");
    let rows = db.all(sql, [event.into(), before(cursor, KeyId::new).into(), limit.into()]).await?;
    rows.iter().map(key).collect()
}

/// The newest key of an event that works at `now`; one that is good for more than one broadcast, if there is such a key.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn current(db: &Db, event: EventId, now: Time) -> Result<Option<StreamKey>, DbError> {
    let sql = key_where!(
        "WHERE k.event_id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
             AND (NOT k.one_time OR k.broadcast_id IS NULL OR EXISTS (
                 SELECT 1 FROM broadcasts b WHERE b.id = k.broadcast_id AND b.ended_at IS NULL))
         ORDER BY k.one_time, k.id DESC LIMIT 1"
    );
    db.one(sql, [event.into(), now.into()]).await?.as_ref().map(key).transpose()
}

/// A key of the event of the permission, for changing it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn read(tx: &mut Tx, allowed: &Allowed<Broadcast>, id: KeyId) -> Result<Option<StreamKey>, DbError> {
    let sql = key_where!("WHERE k.id = $1 AND k.event_id = $2");
    tx.one(sql, [id.into(), allowed.event.into()]).await?.as_ref().map(key).transpose()
}

/// The key with this hash, in whatever state.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_hash(db: &Db, hash: Digest) -> Result<Option<StreamKey>, DbError> {
    db.one(key_where!("WHERE k.key_hash = $1"), [hash.into()]).await?.as_ref().map(key).transpose()
}

/// The key with this id, also one that was withdrawn.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_id(db: &Db, id: KeyId) -> Result<Option<StreamKey>, DbError> {
    db.one(key_where!("WHERE k.id = $1"), [id.into()]).await?.as_ref().map(key).transpose()
}

/// Where whoever publishes to `event` publishes to.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn target(db: &Db, event: EventId) -> Result<Option<Target>, DbError> {
    let sql = "SELECT e.id, s.id AS stream_id, e.latency, e.dvr_window_ms, e.reconnect_window_ms, e.policy
               FROM events e JOIN streams s ON s.event_id = e.id WHERE e.id = $1";
    let row = db.one(sql, [event.into()]).await?;
    row.map(|row| {
        let policy: Policy = row.known("policy", |json| serde_json::from_str(json).ok())?;
        Ok(Target {
            event: row.parse("id")?,
            stream: row.parse("stream_id")?,
            latency: row.known("latency", Latency::from_name)?,
            dvr_window: row.duration("dvr_window_ms")?,
            reconnect_window: row.duration("reconnect_window_ms")?,
            encryption: policy.encryption,
            limits: policy.publish,
        })
    })
    .transpose()
}

/// Writes name, end, ranges and limits of a key of the event of the permission, as long as it was not withdrawn; says
/// whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn update(tx: &mut Tx, allowed: &Allowed<Broadcast>, key: &StreamKey) -> Result<bool, DbError> {
    let sql = "UPDATE stream_keys SET name = $1, expires_at = $2, networks = $3, limits = $4
               WHERE id = $5 AND event_id = $6 AND revoked_at IS NULL";
    let args = [
        key.name.as_str().into(),
        key.expires_at.into(),
        json(&key.networks, "networks")?.into(),
        key.limits.map(|limits| json(&limits, "limits")).transpose()?.into(),
        key.id.into(),
        allowed.event.into(),
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Spends a key that is good for one broadcast on this one; says whether it was not spent on another before.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn spend(tx: &mut Tx, id: KeyId, broadcast: BroadcastId) -> Result<bool, DbError> {
    let sql = "UPDATE stream_keys SET broadcast_id = $1
               WHERE id = $2 AND (broadcast_id IS NULL OR broadcast_id = $1 OR EXISTS (
                   SELECT 1 FROM broadcasts b
                   WHERE b.id = stream_keys.broadcast_id AND b.origin_ms IS NULL AND b.ended_at IS NULL))";
    Ok(tx.execute(sql, [broadcast.into(), id.into()]).await? > 0)
}

/// Notes where a broadcast with this key comes from; gives where the one before came from.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn came_from(
    tx: &mut Tx,
    id: KeyId,
    origin: &Origin,
    place: &str,
) -> Result<Option<(Origin, Option<String>, String)>, DbError> {
    let Some(row) = tx.one(key_where!("WHERE k.id = $1"), [id.into()]).await? else { return Ok(None) };
    let before = key(&row)?;
    let sql = "UPDATE stream_keys SET last_country = $1, last_place = $2, last_network = $3 WHERE id = $4";
    let country = origin.country.map(|country| country.as_str().to_owned());
    tx.execute(sql, [country.into(), place.into(), origin.block.to_string().into(), id.into()]).await?;
    Ok(before.last_origin.map(|origin| (origin, before.last_place, before.hint)))
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
    use stagedoor_domain::stream::State;

    use super::super::broadcasts;
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

            assert_eq!(by_hash(&db, [2; 32]).await.unwrap().as_ref(), Some(&new));
            assert!(by_hash(&db, [9; 32]).await.unwrap().is_none());
            let target = target(&db, event.id).await.unwrap().unwrap();
            assert_eq!((target.event, target.stream, target.latency), (event.id, event.stream, event.latency));
            assert_eq!((target.dvr_window, target.reconnect_window), (event.dvr_window, event.reconnect_window));
            assert_eq!(target.limits, Limits::default());
            assert!(super::target(&db, sample::event_id()).await.unwrap().is_none());

            let mut tx = db.write().await.unwrap();
            used(&mut tx, new.id, now).await.unwrap();
            let stranger = sample::event_id();
            assert!(!revoke(&mut tx, &proof::broadcast(stranger), new.id, now).await.unwrap());
            assert!(revoke(&mut tx, &proof::broadcast(event.id), new.id, now).await.unwrap());
            assert!(!revoke(&mut tx, &proof::broadcast(event.id), new.id, now).await.unwrap());
            tx.commit().await.unwrap();
            let found = by_hash(&db, [2; 32]).await.unwrap().unwrap();
            assert_eq!((found.state(), found.last_used_at), (KeyState::Revoked, Some(now)));
            assert_eq!(current(&db, event.id, now).await.unwrap().as_ref(), Some(&old));
        })
        .await;
    }

    #[tokio::test]
    async fn what_a_key_is_good_for_is_kept_and_changes_until_it_is_withdrawn() {
        both(async |db| {
            let event = sample::event(&db).await;
            let allowed = proof::broadcast(event.id);
            let key = StreamKey {
                name: "Camera 2".into(),
                networks: vec!["192.0.2.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()],
                limits: Some(Limits { fps: 30, ..Limits::default() }),
                one_time: true,
                expires_at: Some(Time::from_millis(90)),
                ..sample::stream_key(&db, event.id, 7).await
            };
            let key = StreamKey { id: KeyId::new(sample::uuid()), ..key };
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &allowed, &key, [8; 32]).await.unwrap();
            assert_eq!(read(&mut tx, &allowed, key.id).await.unwrap().as_ref(), Some(&key));
            assert_eq!(read(&mut tx, &proof::broadcast(sample::event_id()), key.id).await.unwrap(), None);
            let changed = StreamKey { name: String::new(), networks: vec![], limits: None, expires_at: None, ..key };
            assert!(!update(&mut tx, &proof::broadcast(sample::event_id()), &changed).await.unwrap());
            assert!(update(&mut tx, &allowed, &changed).await.unwrap());
            assert_eq!(read(&mut tx, &allowed, changed.id).await.unwrap().as_ref(), Some(&changed));
            assert!(revoke(&mut tx, &allowed, changed.id, Time::from_millis(5)).await.unwrap());
            assert!(!update(&mut tx, &allowed, &changed).await.unwrap());
            tx.commit().await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_key_for_one_broadcast_is_spent_on_one_and_used_up_with_its_end() {
        both(async |db| {
            let event = sample::event(&db).await;
            let lasting = sample::stream_key(&db, event.id, 2).await;
            let allowed = proof::broadcast(event.id);
            let once = StreamKey {
                one_time: true,
                ..StreamKey::new(KeyId::new(sample::uuid()), event.id, lasting.created_at)
            };
            let broadcast = |number| BroadcastId::new(uuid::Uuid::from_u128(number));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &allowed, &once, [9; 32]).await.unwrap();
            let clear = EncryptionPolicy::default();
            broadcasts::insert(&mut tx, broadcast(1), event.stream, clear, Time::from_millis(1)).await.unwrap();
            assert!(spend(&mut tx, once.id, broadcast(1)).await.unwrap());
            assert!(spend(&mut tx, once.id, broadcast(1)).await.unwrap(), "it reconnects");
            broadcasts::insert(&mut tx, broadcast(2), event.stream, clear, Time::from_millis(2)).await.unwrap();
            assert!(spend(&mut tx, once.id, broadcast(2)).await.unwrap(), "the first one never ran");
            broadcasts::began(&mut tx, broadcast(2), Time::from_millis(3), None).await.unwrap();
            assert!(!spend(&mut tx, once.id, broadcast(1)).await.unwrap());
            tx.commit().await.unwrap();
            let used_up = async || by_hash(&db, [9; 32]).await.unwrap().unwrap().used_up;
            assert!(!used_up().await);
            let now = Time::from_millis(5);
            assert_eq!(current(&db, event.id, now).await.unwrap().unwrap().id, lasting.id, "a lasting one comes first");
            let mut tx = db.write().await.unwrap();
            revoke(&mut tx, &allowed, lasting.id, now).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(current(&db, event.id, now).await.unwrap().unwrap().id, once.id);
            let mut tx = db.write().await.unwrap();
            broadcasts::enter(&mut tx, broadcast(2), State::Ended, now).await.unwrap();
            tx.commit().await.unwrap();
            assert!(used_up().await);
            assert_eq!(current(&db, event.id, now).await.unwrap(), None);
        })
        .await;
    }

    #[tokio::test]
    async fn a_key_knows_where_its_last_broadcast_came_from() {
        both(async |db| {
            let event = sample::event(&db).await;
            let key = sample::stream_key(&db, event.id, 2).await;
            let home = Origin { country: "FR".parse().ok(), block: "198.51.0.0/16".parse().unwrap() };
            let away = Origin { country: None, block: "2001:db8::/32".parse().unwrap() };
            let mut tx = db.write().await.unwrap();
            assert_eq!(came_from(&mut tx, key.id, &home, "Lyon, France").await.unwrap(), None);
            let before = came_from(&mut tx, key.id, &away, "unknown place").await.unwrap();
            assert_eq!(before, Some((home, Some("Lyon, France".to_owned()), key.hint)));
            tx.commit().await.unwrap();
            let found = by_hash(&db, [2; 32]).await.unwrap().unwrap();
            assert_eq!((found.last_origin, found.last_place.as_deref()), (Some(away), Some("unknown place")));
        })
        .await;
    }
}
