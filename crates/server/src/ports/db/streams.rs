//! Streams: where an event's media goes, and the numbers that must never be used twice.

use stagedoor_domain::id::StreamId;

use super::{Db, DbError, Row};

/// The numbers that the next broadcast on a stream begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// No segment with this media sequence number or a higher one was ever shown.
    pub next_msn: u64,
    /// The discontinuity sequence number after the last one used.
    pub next_discontinuity: u64,
    /// The init segment id after the last one used.
    pub next_init: u32,
}

impl Numbers {
    fn read(row: &Row) -> Result<Self, DbError> {
        let next_init = u32::try_from(row.count("next_init")?).map_err(|_| DbError::Corrupt("next_init".to_owned()))?;
        Ok(Self { next_msn: row.count("next_msn")?, next_discontinuity: row.count("next_discontinuity")?, next_init })
    }
}

/// The numbers to go on with; zeros for a stream that is not known.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn numbers(db: &Db, stream: StreamId) -> Result<Numbers, DbError> {
    let sql = "SELECT next_msn, next_discontinuity, next_init FROM streams WHERE id = $1";
    db.one(sql, [stream.into()]).await?.map_or(Ok(Numbers::default()), |row| Numbers::read(&row))
}

/// Promises that numbers from these on have not been used. Numbers never go back: a lower one is ignored.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn reserve(db: &Db, stream: StreamId, numbers: Numbers) -> Result<(), DbError> {
    let sql = "UPDATE streams SET \
        next_msn = CASE WHEN next_msn < $2 THEN $2 ELSE next_msn END, \
        next_discontinuity = CASE WHEN next_discontinuity < $3 THEN $3 ELSE next_discontinuity END, \
        next_init = CASE WHEN next_init < $4 THEN $4 ELSE next_init END \
        WHERE id = $1";
    let mut tx = db.write().await?;
    let values = [stream.into(), numbers.next_msn.into(), numbers.next_discontinuity.into(), numbers.next_init.into()];
    tx.execute(sql, values).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn numbers_never_go_back() {
        both(async |db| {
            let stream = sample::event(&db).await.stream;
            assert_eq!(numbers(&db, stream).await.unwrap(), Numbers::default());
            let high = Numbers { next_msn: 812, next_discontinuity: 3, next_init: 2 };
            reserve(&db, stream, high).await.unwrap();
            reserve(&db, stream, Numbers { next_msn: 811, next_discontinuity: 9, next_init: 1 }).await.unwrap();
            let expected = Numbers { next_msn: 812, next_discontinuity: 9, next_init: 2 };
            assert_eq!(numbers(&db, stream).await.unwrap(), expected);
        })
        .await;
    }
}
