//! Broadcasts: each run of a stream from going live to its end.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::event::{Encryption, EncryptionPolicy, Latency};
use stagedoor_domain::id::{BroadcastId, EventId, StreamId};
use stagedoor_domain::stream::State;

use super::{Db, DbError, Tx};

/// The latest broadcast of a stream, with what its event says about packaging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Which one.
    pub broadcast: BroadcastId,
    /// On which stream.
    pub stream: StreamId,
    /// Of which event.
    pub event: EventId,
    /// When it ended; absent while it may go on.
    pub ended_at: Option<Time>,
    /// The wall time of its output time zero; absent before its first part.
    pub origin: Option<Time>,
    /// The target duration of its parts; absent before the first one, and when there are none.
    pub part_target: Option<Duration>,
    /// How it is packaged.
    pub latency: Latency,
    /// How far back viewers may go.
    pub dvr_window: Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: Duration,
    /// How it is encrypted, from its beginning to its end.
    pub encryption: EncryptionPolicy,
}

/// Adds a broadcast that has just begun.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(
    tx: &mut Tx,
    broadcast: BroadcastId,
    stream: StreamId,
    encryption: EncryptionPolicy,
    at: Time,
) -> Result<(), DbError> {
    let sql = "INSERT INTO broadcasts (id, stream_id, state, started_at, encryption, key_period_ms) \
               VALUES ($1, $2, 'live', $3, $4, $5)";
    let period = Duration::from_secs(encryption.key_period_s.into());
    let values = [broadcast.into(), stream.into(), at.into(), encryption.method.as_str().into(), period.into()];
    tx.execute(sql, values).await.map(|_| ())
}

/// Writes down what packaging must keep to from the first part to the last.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn began(
    tx: &mut Tx,
    broadcast: BroadcastId,
    origin: Time,
    part_target: Option<Duration>,
) -> Result<(), DbError> {
    let sql = "UPDATE broadcasts SET origin_ms = $2, part_target_ms = $3 WHERE id = $1";
    tx.execute(sql, [broadcast.into(), origin.into(), part_target.into()]).await.map(|_| ())
}

/// Writes down that a broadcast has entered `state`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn enter(tx: &mut Tx, broadcast: BroadcastId, state: State, at: Time) -> Result<(), DbError> {
    let sql = "UPDATE broadcasts SET state = $2, away_at = $3, ended_at = $4 WHERE id = $1";
    let away_at = matches!(state, State::Away { .. }).then_some(at);
    let ended_at = (state == State::Ended).then_some(at);
    tx.execute(sql, [broadcast.into(), state.as_str().into(), away_at.into(), ended_at.into()]).await.map(|_| ())
}

/// The latest broadcast of each stream that ever had one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn latest(db: &Db) -> Result<Vec<Latest>, DbError> {
    let sql = "SELECT b.id AS broadcast, s.id AS stream, e.id AS event, b.ended_at, b.origin_ms, b.part_target_ms, \
        b.encryption, b.key_period_ms, \
        e.latency, e.dvr_window_ms, e.reconnect_window_ms \
        FROM streams s JOIN events e ON e.id = s.event_id \
        JOIN broadcasts b ON b.id = (SELECT MAX(id) FROM broadcasts WHERE stream_id = s.id)";
    db.all(sql, [])
        .await?
        .iter()
        .map(|row| {
            Ok(Latest {
                broadcast: row.parse("broadcast")?,
                stream: row.parse("stream")?,
                event: row.parse("event")?,
                ended_at: row.time_maybe("ended_at")?,
                origin: row.time_maybe("origin_ms")?,
                part_target: row.time_maybe("part_target_ms")?.map(|ms| ms.since(Time::default())),
                latency: row.known("latency", Latency::from_name)?,
                dvr_window: row.duration("dvr_window_ms")?,
                reconnect_window: row.duration("reconnect_window_ms")?,
                encryption: EncryptionPolicy {
                    method: row.known("encryption", Encryption::from_name)?,
                    key_period_s: u32::try_from(row.duration("key_period_ms")?.as_secs()).unwrap_or(u32::MAX),
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    const CBCS: EncryptionPolicy = EncryptionPolicy { method: Encryption::Cbcs, key_period_s: 30 };

    #[tokio::test]
    async fn the_latest_broadcast_of_a_stream_is_found_and_its_end_is_known() {
        both(async |db| {
            let stream = sample::event(&db).await.stream;
            assert_eq!(latest(&db).await.unwrap(), []);
            let id = |number| BroadcastId::new(uuid::Uuid::from_u128(number));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, id(1), stream, EncryptionPolicy::default(), Time::from_millis(10)).await.unwrap();
            enter(&mut tx, id(1), State::Ended, Time::from_millis(20)).await.unwrap();
            insert(&mut tx, id(2), stream, CBCS, Time::from_millis(30)).await.unwrap();
            tx.commit().await.unwrap();
            let found = latest(&db).await.unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].broadcast, found[0].ended_at), (id(2), None));
            assert_eq!(found[0].encryption, CBCS);
            assert_eq!((found[0].origin, found[0].part_target), (None, None));

            let mut tx = db.write().await.unwrap();
            enter(&mut tx, id(2), State::Away { until: Duration::ZERO }, Time::from_millis(40)).await.unwrap();
            began(&mut tx, id(2), Time::from_millis(31), Some(Duration::from_millis(501))).await.unwrap();
            tx.commit().await.unwrap();
            let found = latest(&db).await.unwrap();
            assert_eq!(found[0].ended_at, None);
            assert_eq!(found[0].origin, Some(Time::from_millis(31)));
            assert_eq!(found[0].part_target, Some(Duration::from_millis(501)));

            let mut tx = db.write().await.unwrap();
            enter(&mut tx, id(2), State::Ended, Time::from_millis(50)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(latest(&db).await.unwrap()[0].ended_at, Some(Time::from_millis(50)));
        })
        .await;
    }
}
