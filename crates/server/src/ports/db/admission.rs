//! Which events have a line at the door.

use stagedoor_domain::Time;
use stagedoor_domain::id::EventId;

use super::{Db, DbError, Tx};

/// Notes that there is a line in front of `event` at `now`.
///
/// # Errors
///
/// [`DbError::Gone`] when there is no such event.
pub async fn standing(tx: &mut Tx, event: EventId, now: Time) -> Result<(), DbError> {
    let sql = "INSERT INTO admission_lines (event_id, seen_at) VALUES ($1, $2)
               ON CONFLICT (event_id) DO UPDATE SET seen_at = excluded.seen_at";
    tx.execute(sql, [event.into(), now.into()]).await.map(|_| ())
}

/// Notes that there is none any more.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn gone(tx: &mut Tx, event: EventId) -> Result<(), DbError> {
    tx.execute("DELETE FROM admission_lines WHERE event_id = $1", [event.into()]).await.map(|_| ())
}

/// Events with a line, and when it was last seen.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn all(db: &Db) -> Result<Vec<(EventId, Time)>, DbError> {
    let rows = db.all("SELECT event_id, seen_at FROM admission_lines ORDER BY event_id", []).await?;
    rows.iter().map(|row| Ok((row.parse("event_id")?, row.time("seen_at")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn a_line_is_noted_until_it_is_gone_or_its_event_is() {
        both(async |db| {
            let (a, b) = (sample::event(&db).await, sample::event(&db).await);
            let mut tx = db.write().await.unwrap();
            for (event, at) in [(a.id, 1), (b.id, 2), (a.id, 3)] {
                standing(&mut tx, event, Time::from_millis(at)).await.unwrap();
            }
            tx.commit().await.unwrap();
            let mut expected = vec![(a.id, Time::from_millis(3)), (b.id, Time::from_millis(2))];
            expected.sort_unstable();
            assert_eq!(all(&db).await.unwrap(), expected);
            let mut tx = db.write().await.unwrap();
            gone(&mut tx, a.id).await.unwrap();
            super::super::events::delete(&mut tx, &proof::organise(b.id)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(all(&db).await.unwrap(), []);
        })
        .await;
    }
}
