//! Events, each with the one stream that belongs to it.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::event::Latency;
use stagedoor_domain::id::{EventId, StreamId};

use super::{Db, DbError, Row, Tx, before};

/// What an organiser schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The name of the row.
    pub id: EventId,
    /// Where its media arrives.
    pub stream: StreamId,
    /// What people read.
    pub title: String,
    /// How it is packaged.
    pub latency: Latency,
    /// When it is meant to begin.
    pub starts_at: Option<Time>,
    /// How far back viewers may go.
    pub dvr_window: Duration,
    /// How long viewers hold while the publisher is away.
    pub reconnect_window: Duration,
    /// Raised to end every playback token at once.
    pub epoch: u32,
    /// When it was made.
    pub created_at: Time,
}

/// An event and how many were invited to it.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The event.
    pub event: Event,
    /// Invitations that were not withdrawn.
    pub invited: u64,
    /// Those of them whose code was used.
    pub redeemed: u64,
}

macro_rules! counted_where {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, s.id AS stream_id, e.title, e.latency, e.starts_at, e.dvr_window_ms, e.reconnect_window_ms,
        e.epoch, e.created_at,
        (SELECT COUNT(*) FROM invitations i WHERE i.event_id = e.id AND i.revoked_at IS NULL) AS invited,
        (SELECT COUNT(*) FROM invitations i WHERE i.event_id = e.id AND i.revoked_at IS NULL AND i.redeemed_at IS NOT NULL)
            AS redeemed
    FROM events e JOIN streams s ON s.event_id = e.id ",
            $rest
        )
    };
}

fn counted(row: &Row) -> Result<Counted, DbError> {
    Ok(Counted {
        event: Event {
            id: row.parse("id")?,
            stream: row.parse("stream_id")?,
            title: row.text("title")?,
            latency: row.known("latency", Latency::from_name)?,
            starts_at: row.time_maybe("starts_at")?,
            dvr_window: row.duration("dvr_window_ms")?,
            reconnect_window: row.duration("reconnect_window_ms")?,
            epoch: u32::try_from(row.int("epoch")?).map_err(|_| DbError::Corrupt("epoch".to_owned()))?,
            created_at: row.time("created_at")?,
        },
        invited: row.count("invited")?,
        redeemed: row.count("redeemed")?,
    })
}

/// Adds an event and its stream.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<Organise>, event: &Event) -> Result<(), DbError> {
    let sql =
        "INSERT INTO events (id, title, latency, starts_at, dvr_window_ms, reconnect_window_ms, epoch, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = [
        event.id.into(),
        event.title.as_str().into(),
        event.latency.as_str().into(),
        event.starts_at.into(),
        event.dvr_window.into(),
        event.reconnect_window.into(),
        event.epoch.into(),
        event.created_at.into(),
    ];
    tx.execute(sql, args).await?;
    let sql = "INSERT INTO streams (id, event_id, next_msn, next_discontinuity, next_init) VALUES ($1, $2, 0, 0, 0)";
    tx.execute(sql, [event.stream.into(), event.id.into()]).await.map(|_| ())
}

/// The event called `id`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, id: EventId) -> Result<Option<Counted>, DbError> {
    db.one(counted_where!("WHERE e.id = $1"), [id.into()]).await?.as_ref().map(counted).transpose()
}

/// Events, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, cursor: Option<EventId>, limit: u32) -> Result<Vec<Counted>, DbError> {
    let sql = counted_where!("WHERE e.id < $1 ORDER BY e.id DESC LIMIT $2");
    db.all(sql, [before(cursor, EventId::new).into(), limit.into()]).await?.iter().map(counted).collect()
}

/// Every event: for the table in memory at start.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn all(db: &Db) -> Result<Vec<Event>, DbError> {
    let rows = db.all(counted_where!("ORDER BY e.id"), []).await?;
    rows.iter().map(|row| counted(row).map(|counted| counted.event)).collect()
}

/// Writes the settings of an event; says whether there is one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn update(tx: &mut Tx, _: &Allowed<Organise>, event: &Event) -> Result<bool, DbError> {
    let sql = "UPDATE events SET title = $1, latency = $2, starts_at = $3, dvr_window_ms = $4, reconnect_window_ms = $5
               WHERE id = $6";
    let args = [
        event.title.as_str().into(),
        event.latency.as_str().into(),
        event.starts_at.into(),
        event.dvr_window.into(),
        event.reconnect_window.into(),
        event.id.into(),
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Deletes an event with its stream, keys, invitations and sessions; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(tx: &mut Tx, _: &Allowed<Organise>, id: EventId) -> Result<bool, DbError> {
    Ok(tx.execute("DELETE FROM events WHERE id = $1", [id.into()]).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn an_event_is_kept_changed_listed_and_deleted() {
        both(async |db| {
            let (a, b) = (sample::event(&db).await, sample::event(&db).await);
            assert_eq!(get(&db, a.id).await.unwrap().unwrap().event, a);
            let ids = |list: Vec<Counted>| list.into_iter().map(|counted| counted.event.id).collect::<Vec<_>>();
            assert_eq!(ids(list(&db, None, 1).await.unwrap()), [b.id]);
            assert_eq!(ids(list(&db, Some(b.id), 5).await.unwrap()), [a.id]);
            assert_eq!(all(&db).await.unwrap(), [a.clone(), b.clone()]);

            let changed = Event {
                title: "Другое".into(),
                latency: Latency::Standard,
                starts_at: Some(Time::from_millis(5)),
                ..a.clone()
            };
            let mut tx = db.write().await.unwrap();
            assert!(update(&mut tx, &proof::organise(), &changed).await.unwrap());
            assert!(delete(&mut tx, &proof::organise(), b.id).await.unwrap());
            assert!(!delete(&mut tx, &proof::organise(), b.id).await.unwrap());
            assert!(!update(&mut tx, &proof::organise(), &b).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(all(&db).await.unwrap(), [changed]);
        })
        .await;
    }

    #[tokio::test]
    async fn only_living_invitations_are_counted() {
        both(async |db| {
            let event = sample::event(&db).await;
            for _ in 0..3 {
                sample::invitation(&db, event.id).await;
            }
            let invitation = sample::invitation(&db, event.id).await;
            let mut tx = db.write().await.unwrap();
            super::super::invitations::redeemed(&mut tx, invitation.id, Time::from_millis(1)).await.unwrap();
            tx.commit().await.unwrap();
            let counted = get(&db, event.id).await.unwrap().unwrap();
            assert_eq!((counted.invited, counted.redeemed), (4, 1));
            let mut tx = db.write().await.unwrap();
            let now = Time::from_millis(2);
            super::super::invitations::revoke(&mut tx, &proof::organise(), event.id, invitation.id, now).await.unwrap();
            tx.commit().await.unwrap();
            let counted = get(&db, event.id).await.unwrap().unwrap();
            assert_eq!((counted.invited, counted.redeemed), (3, 0));
        })
        .await;
    }
}
