//! Incidents, the open ones told apart by what they are about: the same thing again is counted, not repeated.

use stagedoor_domain::Time;
use stagedoor_domain::id::{EventId, IncidentId, InvitationId, SessionId};
use stagedoor_domain::incident::Kind;

use super::{Db, DbError, Row, Tx, before};

/// Something odd that was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The name of the row.
    pub id: IncidentId,
    /// Where; `None` for the whole installation.
    pub event: Option<EventId>,
    /// What.
    pub kind: Kind,
    /// A sentence for an organiser.
    pub text: String,
    /// The viewer it is about, if any.
    pub session: Option<SessionId>,
    /// The invitation it is about, if any.
    pub invitation: Option<InvitationId>,
    /// When it was first noticed.
    pub at: Time,
    /// When it was last noticed.
    pub last_at: Time,
    /// How often it was noticed.
    pub times: u64,
    /// When somebody said that they have seen it, or when it was over by itself.
    pub acknowledged_at: Option<Time>,
}

impl Incident {
    /// What tells it from other incidents of the same kind that are open.
    fn subject(&self) -> String {
        let part = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
        let event = part(self.event.map(|id| id.to_string()));
        let invitation = part(self.invitation.map(|id| id.to_string()));
        let session = part(self.session.map(|id| id.to_string()));
        format!("{event} {invitation} {session}")
    }
}

/// Adds an incident, or counts it to the open one about the same; says whether it is new. Of an event that is gone there
/// are none.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn raise(tx: &mut Tx, incident: &Incident) -> Result<bool, DbError> {
    let sql = "INSERT INTO incidents (id, event_id, kind, subject, text, session_id, invitation_id, at, last_at, times)
               SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
               WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM events WHERE id = $2)
               ON CONFLICT (kind, subject) WHERE acknowledged_at IS NULL
               DO UPDATE SET times = incidents.times + 1, last_at = excluded.last_at, text = excluded.text
               RETURNING id";
    let args = [
        incident.id.into(),
        incident.event.into(),
        incident.kind.as_str().into(),
        incident.subject().into(),
        incident.text.as_str().into(),
        incident.session.into(),
        incident.invitation.into(),
        incident.at.into(),
        incident.last_at.into(),
        incident.times.into(),
    ];
    match tx.one(sql, args).await? {
        Some(row) => Ok(row.parse::<IncidentId>("id")? == incident.id),
        None => Ok(false),
    }
}

macro_rules! incident_where {
    ($rest:literal) => {
        concat!(
            "SELECT id, event_id, kind, text, session_id, invitation_id, at, last_at, times, acknowledged_at
             FROM incidents ",
            $rest
        )
    };
}

fn incident(row: &Row) -> Result<Incident, DbError> {
    Ok(Incident {
        id: row.parse("id")?,
        event: row.parse_maybe("event_id")?,
        kind: row.known("kind", Kind::from_name)?,
        text: row.text("text")?,
        session: row.parse_maybe("session_id")?,
        invitation: row.parse_maybe("invitation_id")?,
        at: row.time("at")?,
        last_at: row.time("last_at")?,
        times: row.count("times")?,
        acknowledged_at: row.time_maybe("acknowledged_at")?,
    })
}

/// The incidents of an event, newest first; with `None` those of the whole installation and of every event.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    event: Option<EventId>,
    cursor: Option<IncidentId>,
    limit: u32,
) -> Result<Vec<Incident>, DbError> {
    let cursor = before(cursor, IncidentId::new);
    let rows = match event {
        Some(event) => {
            let sql = incident_where!("WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
            db.all(sql, [event.into(), cursor.into(), limit.into()]).await?
        }
        None => {
            let sql = incident_where!("WHERE id < $1 ORDER BY id DESC LIMIT $2");
            db.all(sql, [cursor.into(), limit.into()]).await?
        }
    };
    rows.iter().map(incident).collect()
}

/// One incident.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, id: IncidentId) -> Result<Option<Incident>, DbError> {
    db.one(incident_where!("WHERE id = $1"), [id.into()]).await?.as_ref().map(incident).transpose()
}

/// How many incidents of the event nobody has acknowledged.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count_open(db: &Db, event: EventId) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) AS n FROM incidents WHERE event_id = $1 AND acknowledged_at IS NULL";
    db.one(sql, [event.into()]).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Notes that somebody has seen an incident; says whether it was open.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn acknowledge(tx: &mut Tx, id: IncidentId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE incidents SET acknowledged_at = $1 WHERE id = $2 AND acknowledged_at IS NULL";
    Ok(tx.execute(sql, [now.into(), id.into()]).await? > 0)
}

/// Closes the open incident of this kind about an event as a whole, and adds to its text how it ended; says which it was.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn close(
    tx: &mut Tx,
    kind: Kind,
    event: EventId,
    how: &str,
    now: Time,
) -> Result<Option<IncidentId>, DbError> {
    let sql = "UPDATE incidents SET acknowledged_at = $1, text = text || ' ' || $2
               WHERE kind = $3 AND subject = $4 AND acknowledged_at IS NULL RETURNING id";
    let args = [now.into(), how.into(), kind.as_str().into(), format!("{event} - -").into()];
    tx.one(sql, args).await?.map(|row| row.parse("id")).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    fn odd(event: Option<EventId>, invitation: Option<InvitationId>, at: i64) -> Incident {
        Incident {
            id: IncidentId::new(sample::uuid()),
            event,
            kind: Kind::RepeatedTakeovers,
            text: "Odd.".into(),
            session: None,
            invitation,
            at: Time::from_millis(at),
            last_at: Time::from_millis(at),
            times: 1,
            acknowledged_at: None,
        }
    }

    #[tokio::test]
    async fn the_same_thing_again_is_counted_until_somebody_has_seen_it() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let invitation = InvitationId::new(sample::uuid());
            let (first, second) = (odd(Some(event), Some(invitation), 1), odd(Some(event), Some(invitation), 2));
            let other = odd(Some(event), None, 3);
            let everywhere = odd(None, None, 4);
            let mut tx = db.write().await.unwrap();
            assert!(raise(&mut tx, &first).await.unwrap());
            assert!(!raise(&mut tx, &second).await.unwrap());
            assert!(raise(&mut tx, &other).await.unwrap());
            assert!(raise(&mut tx, &everywhere).await.unwrap());
            assert!(!raise(&mut tx, &odd(Some(sample::event_id()), None, 5)).await.unwrap(), "there is no such event");
            tx.commit().await.unwrap();
            let listed = list(&db, Some(event), None, 9).await.unwrap();
            assert_eq!(listed.iter().map(|incident| incident.id).collect::<Vec<_>>(), [other.id, first.id]);
            assert_eq!((listed[1].times, listed[1].at, listed[1].last_at), (2, first.at, second.at));
            assert_eq!(list(&db, None, Some(everywhere.id), 1).await.unwrap(), std::slice::from_ref(&other));
            assert_eq!(count_open(&db, event).await.unwrap(), 2);

            let mut tx = db.write().await.unwrap();
            assert!(acknowledge(&mut tx, first.id, Time::from_millis(9)).await.unwrap());
            assert!(!acknowledge(&mut tx, first.id, Time::from_millis(9)).await.unwrap());
            assert!(raise(&mut tx, &second).await.unwrap(), "a new one after the old one was seen");
            tx.commit().await.unwrap();
            assert_eq!(get(&db, first.id).await.unwrap().unwrap().acknowledged_at, Some(Time::from_millis(9)));
            assert_eq!(count_open(&db, event).await.unwrap(), 2);

            // What is over by itself is about the event as a whole.
            let mut tx = db.write().await.unwrap();
            let ended =
                close(&mut tx, Kind::RepeatedTakeovers, event, "It ended.", Time::from_millis(12)).await.unwrap();
            assert_eq!(ended, Some(other.id));
            let again =
                close(&mut tx, Kind::RepeatedTakeovers, event, "It ended.", Time::from_millis(13)).await.unwrap();
            assert_eq!(again, None);
            tx.commit().await.unwrap();
            let closed = get(&db, other.id).await.unwrap().unwrap();
            assert_eq!((closed.text.as_str(), closed.acknowledged_at), ("Odd. It ended.", Some(Time::from_millis(12))));
        })
        .await;
    }
}
