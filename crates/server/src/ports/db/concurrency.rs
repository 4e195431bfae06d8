//! How many watched an event, over time: a sample every ten seconds.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::id::EventId;

use super::{Db, DbError, Row, Tx};

/// How many watched at once, at most, in the time up to `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The end of that time.
    pub at: Time,
    /// How many, at most.
    pub watching: u64,
}

fn sample(row: &Row) -> Result<Sample, DbError> {
    Ok(Sample { at: row.time("at")?, watching: row.count("watching")? })
}

/// Adds a sample; of two for the same moment the larger one stays. An event that is gone meanwhile has none.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, event: EventId, sample: Sample) -> Result<(), DbError> {
    // The row above is read by the statement itself, so that an event deleted a moment ago fails nothing.
    let sql = "INSERT INTO concurrency (event_id, at, watching)
               SELECT e.id, CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM events e WHERE e.id = $1
               ON CONFLICT (event_id, at) DO UPDATE SET watching = excluded.watching
                   WHERE concurrency.watching < excluded.watching";
    tx.execute(sql, [event.into(), sample.at.into(), sample.watching.into()]).await.map(|_| ())
}

/// The samples in `from..to`, the largest of each `step`, oldest first. The caller's step bounds their number.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn history(db: &Db, event: EventId, from: Time, to: Time, step: Duration) -> Result<Vec<Sample>, DbError> {
    let sql = "SELECT MAX(at) AS at, MAX(watching) AS watching FROM concurrency
               WHERE event_id = $1 AND at >= $2 AND at < $3 GROUP BY at / $4 ORDER BY 1";
    let args = [event.into(), from.into(), to.into(), step.max(Duration::from_millis(1)).into()];
    db.all(sql, args).await?.iter().map(sample).collect()
}

/// The largest sample of an event, the first of them when there are several.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn peak(db: &Db, event: EventId) -> Result<Option<Sample>, DbError> {
    let sql = "SELECT at, watching FROM concurrency WHERE event_id = $1 ORDER BY watching DESC, at LIMIT 1";
    db.one(sql, [event.into()]).await?.as_ref().map(sample).transpose()
}

/// The largest sample of each event that has one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn peaks(db: &Db) -> Result<Vec<(EventId, u64)>, DbError> {
    let sql = "SELECT event_id, MAX(watching) AS watching FROM concurrency GROUP BY event_id";
    db.all(sql, []).await?.iter().map(|row| Ok((row.parse("event_id")?, row.count("watching")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample as rows};
    use super::*;

    fn at(seconds: i64, watching: u64) -> Sample {
        Sample { at: Time::from_millis(seconds * 1_000), watching }
    }

    #[tokio::test]
    async fn history_is_the_largest_of_each_step_and_the_peak_is_the_largest_of_all() {
        both(async |db| {
            let event = rows::event(&db).await.id;
            let other = rows::event(&db).await.id;
            assert_eq!(peak(&db, event).await.unwrap(), None);
            let mut tx = db.write().await.unwrap();
            for sample in [at(10, 3), at(20, 9), at(30, 4), at(70, 9), at(80, 0)] {
                insert(&mut tx, event, sample).await.unwrap();
            }
            insert(&mut tx, other, at(10, 100)).await.unwrap();
            // The same moment again: the larger one stays.
            insert(&mut tx, event, at(10, 2)).await.unwrap();
            insert(&mut tx, event, at(30, 5)).await.unwrap();
            tx.commit().await.unwrap();

            let all = async |from: i64, to: i64, step| {
                let (from, to) = (Time::from_millis(from * 1_000), Time::from_millis(to * 1_000));
                history(&db, event, from, to, Duration::from_secs(step)).await.unwrap()
            };
            assert_eq!(all(0, 100, 10).await, [at(10, 3), at(20, 9), at(30, 5), at(70, 9), at(80, 0)]);
            assert_eq!(all(20, 80, 10).await, [at(20, 9), at(30, 5), at(70, 9)]);
            assert_eq!(all(0, 100, 60).await, [at(30, 9), at(80, 9)]);
            assert_eq!(all(0, 100, 0).await.len(), 5, "no step is the smallest one");
            assert_eq!(peak(&db, event).await.unwrap(), Some(at(20, 9)), "the first of two");
            let mut peaks = peaks(&db).await.unwrap();
            peaks.sort_unstable();
            let mut wanted = vec![(event, 9), (other, 100)];
            wanted.sort_unstable();
            assert_eq!(peaks, wanted);
        })
        .await;
    }

    #[tokio::test]
    async fn an_event_that_is_gone_has_no_samples_and_fails_nothing() {
        both(async |db| {
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, rows::event_id(), at(10, 3)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(peaks(&db).await.unwrap(), []);
        })
        .await;
    }
}
