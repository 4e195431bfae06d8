//! Events, each with the one stream that belongs to it.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, CreateEvent, Organise};
use stagedoor_domain::event::{Latency, Policy};
use stagedoor_domain::id::{EventId, StreamId, TeamId, UserId};

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
    /// Whose it is; `None` for everybody's who has an account.
    pub team: Option<TeamId>,
    /// Who gets in, how many, and how they are written to.
    pub policy: Policy,
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
        e.epoch, e.team_id, e.policy, e.created_at,
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
            team: row.parse_maybe("team_id")?,
            policy: row.known("policy", |json| serde_json::from_str(json).ok())?,
            created_at: row.time("created_at")?,
        },
        invited: row.count("invited")?,
        redeemed: row.count("redeemed")?,
    })
}

fn json(policy: &Policy) -> Result<String, DbError> {
    serde_json::to_string(policy).map_err(|_| DbError::Corrupt("policy".to_owned()))
}

/// Adds an event and its stream.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<CreateEvent>, event: &Event) -> Result<(), DbError> {
    let sql = "INSERT INTO events (id, title, latency, starts_at, dvr_window_ms, reconnect_window_ms, epoch, team_id,
                   policy, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let args = [
        event.id.into(),
        event.title.as_str().into(),
        event.latency.as_str().into(),
        event.starts_at.into(),
        event.dvr_window.into(),
        event.reconnect_window.into(),
        event.epoch.into(),
        event.team.into(),
        json(&event.policy)?.into(),
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

/// Events, newest first: those of the teams of `member` and everybody's, or with `None` all of them.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    member: Option<UserId>,
    cursor: Option<EventId>,
    limit: u32,
) -> Result<Vec<Counted>, DbError> {
    let cursor = before(cursor, EventId::new);
    let rows = match member {
        None => {
            let sql = counted_where!("WHERE e.id < $1 ORDER BY e.id DESC LIMIT $2");
            db.all(sql, [cursor.into(), limit.into()]).await?
        }
        Some(member) => {
            let sql = counted_where!(
                "WHERE e.id < $1 AND (e.team_id IS NULL OR EXISTS
                    (SELECT 1 FROM team_members m WHERE m.team_id = e.team_id AND m.user_id = $2))
                 ORDER BY e.id DESC LIMIT $3"
            );
            db.all(sql, [cursor.into(), member.into(), limit.into()]).await?
        }
    };
    rows.iter().map(counted).collect()
}

/// What an event is called and when it begins: what messages say about it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn heading(db: &Db, id: EventId) -> Result<Option<(String, Option<Time>)>, DbError> {
    let row = db.one("SELECT title, starts_at FROM events WHERE id = $1", [id.into()]).await?;
    row.map(|row| Ok((row.text("title")?, row.time_maybe("starts_at")?))).transpose()
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

/// Writes the settings of the event of the permission; says whether there is one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn update(tx: &mut Tx, allowed: &Allowed<Organise>, event: &Event) -> Result<bool, DbError> {
    let sql =
        "UPDATE events SET title = $1, latency = $2, starts_at = $3, dvr_window_ms = $4, reconnect_window_ms = $5,
                   team_id = $6, policy = $7
               WHERE id = $8";
    let args = [
        event.title.as_str().into(),
        event.latency.as_str().into(),
        event.starts_at.into(),
        event.dvr_window.into(),
        event.reconnect_window.into(),
        event.team.into(),
        json(&event.policy)?.into(),
        allowed.event.into(),
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Makes every token that was given out so far one of an earlier epoch; the new epoch, or `None` without such an event.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn raise_epoch(tx: &mut Tx, id: EventId) -> Result<Option<u32>, DbError> {
    let row = tx.one("UPDATE events SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch", [id.into()]).await?;
    row.map(|row| row.small("epoch")).transpose()
}

/// The event called `id`, inside a transaction.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn read(tx: &mut Tx, id: EventId) -> Result<Option<Event>, DbError> {
    let row = tx.one(counted_where!("WHERE e.id = $1"), [id.into()]).await?;
    Ok(row.as_ref().map(counted).transpose()?.map(|counted| counted.event))
}

/// Holds an event's row until the transaction ends.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock(tx: &mut Tx, id: EventId) -> Result<(), DbError> {
    tx.execute("UPDATE events SET title = title WHERE id = $1", [id.into()]).await.map(|_| ())
}

/// Deletes the event of the permission with its stream, keys, invitations and sessions; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(tx: &mut Tx, allowed: &Allowed<Organise>) -> Result<bool, DbError> {
    Ok(tx.execute("DELETE FROM events WHERE id = $1", [allowed.event.into()]).await? > 0)
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
            assert_eq!(ids(list(&db, None, None, 1).await.unwrap()), [b.id]);
            assert_eq!(ids(list(&db, None, Some(b.id), 5).await.unwrap()), [a.id]);
            assert_eq!(all(&db).await.unwrap(), [a.clone(), b.clone()]);

            let changed = Event {
                title: "Другое".into(),
                latency: Latency::Standard,
                starts_at: Some(Time::from_millis(5)),
                policy: serde_json::from_str(r#"{"access":{"countries":["FR"]},"admission":{"capacity":9}}"#).unwrap(),
                ..a.clone()
            };
            let mut tx = db.write().await.unwrap();
            assert!(update(&mut tx, &proof::organise(a.id), &changed).await.unwrap());
            assert!(delete(&mut tx, &proof::organise(b.id)).await.unwrap());
            assert!(!delete(&mut tx, &proof::organise(b.id)).await.unwrap());
            assert!(!update(&mut tx, &proof::organise(b.id), &b).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(all(&db).await.unwrap(), [changed]);
        })
        .await;
    }

    #[tokio::test]
    async fn people_see_the_events_of_their_teams_and_everybodys() {
        both(async |db| {
            let (ada, eve) = (sample::user(&db, "ada").await, sample::user(&db, "eve").await);
            let (shared, theirs) = (sample::event(&db).await, sample::event(&db).await);
            let team = super::super::teams::Team {
                id: TeamId::new(sample::uuid()),
                name: "Choir".into(),
                created_at: Time::from_millis(1),
            };
            let mut tx = db.write().await.unwrap();
            super::super::teams::insert(&mut tx, &proof::administer(), &team).await.unwrap();
            super::super::teams::join(&mut tx, &proof::administer(), team.id, ada).await.unwrap();
            let changed = Event { team: Some(team.id), ..theirs.clone() };
            assert!(update(&mut tx, &proof::organise(theirs.id), &changed).await.unwrap());
            tx.commit().await.unwrap();
            for (member, seen) in [
                (None, vec![theirs.id, shared.id]),
                (Some(ada), vec![theirs.id, shared.id]),
                (Some(eve), vec![shared.id]),
            ] {
                let found = list(&db, member, None, 9).await.unwrap();
                assert_eq!(found.iter().map(|counted| counted.event.id).collect::<Vec<_>>(), seen);
            }
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
            super::super::invitations::revoke(&mut tx, &proof::organise(event.id), invitation.id, now).await.unwrap();
            tx.commit().await.unwrap();
            let counted = get(&db, event.id).await.unwrap().unwrap();
            assert_eq!((counted.invited, counted.redeemed), (3, 0));
        })
        .await;
    }
}
