//! Where the sealed log ends, who may go on with it, and its checkpoints.

use stagedoor_domain::Time;

use super::{Db, DbError, Row, Tx};

/// Where the chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries are sealed.
    pub seq: u64,
    /// The hash of the last one; 64 zeros before the first.
    pub hash: String,
    /// The entry that the last checkpoint signed.
    pub checkpoint_seq: u64,
    /// When it did.
    pub checkpoint_at: Time,
}

/// A signed line of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that it signs.
    pub seq: u64,
    /// When it was made.
    pub at: Time,
    /// As it is exported.
    pub line: String,
}

fn head(row: &Row) -> Result<Head, DbError> {
    Ok(Head {
        seq: row.count("seq")?,
        hash: row.text("hash")?,
        checkpoint_seq: row.count("checkpoint_seq")?,
        checkpoint_at: row.time("checkpoint_at")?,
    })
}

/// Where the chain ends now.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Corrupt`] when the row is gone.
pub async fn get(db: &Db) -> Result<Head, DbError> {
    let sql = "SELECT seq, hash, checkpoint_seq, checkpoint_at FROM log_heads WHERE name = 'seal'";
    head(&db.one(sql, []).await?.ok_or_else(|| DbError::Corrupt("log_heads".to_owned()))?)
}

/// The right to go on with the chain, until `tx` is over: whoever else asks waits.
///
/// # Errors
///
/// As [`get`].
pub async fn hold(tx: &mut Tx) -> Result<Head, DbError> {
    let sql = "UPDATE log_heads SET name = name WHERE name = 'seal'
               RETURNING seq, hash, checkpoint_seq, checkpoint_at";
    head(&tx.one(sql, []).await?.ok_or_else(|| DbError::Corrupt("log_heads".to_owned()))?)
}

/// The right to hand facts on, until `tx` is over: whoever else asks waits.
///
/// # Errors
///
/// As [`get`].
pub async fn hold_dispatch(tx: &mut Tx) -> Result<(), DbError> {
    let sql = "UPDATE log_heads SET name = name WHERE name = 'dispatch'";
    match tx.execute(sql, []).await? {
        1 => Ok(()),
        _ => Err(DbError::Corrupt("log_heads".to_owned())),
    }
}

/// Moves the end of the chain, which the caller [holds](hold).
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn put(tx: &mut Tx, head: &Head) -> Result<(), DbError> {
    let sql = "UPDATE log_heads SET seq = $1, hash = $2, checkpoint_seq = $3, checkpoint_at = $4 WHERE name = 'seal'";
    let args = [head.seq.into(), head.hash.as_str().into(), head.checkpoint_seq.into(), head.checkpoint_at.into()];
    tx.execute(sql, args).await.map(|_| ())
}

/// Adds a checkpoint.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, checkpoint: &Checkpoint) -> Result<(), DbError> {
    let sql = "INSERT INTO log_checkpoints (seq, at, line) VALUES ($1, $2, $3)";
    let args = [checkpoint.seq.into(), checkpoint.at.into(), checkpoint.line.as_str().into()];
    tx.execute(sql, args).await.map(|_| ())
}

/// The checkpoints after entry `after` up to entry `last`, in order.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn checkpoints(db: &Db, after: u64, last: u64) -> Result<Vec<Checkpoint>, DbError> {
    let sql = "SELECT seq, at, line FROM log_checkpoints WHERE seq > $1 AND seq <= $2 ORDER BY seq";
    let rows = db.all(sql, [after.into(), last.into()]).await?;
    rows.iter()
        .map(|row| Ok(Checkpoint { seq: row.count("seq")?, at: row.time("at")?, line: row.text("line")? }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::both;
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_chain_moves_and_is_held_by_one_at_a_time() {
        both(async |db| {
            let first = get(&db).await.unwrap();
            assert_eq!((first.seq, first.hash.as_str()), (0, "0".repeat(64).as_str()));
            let mut tx = db.write().await.unwrap();
            assert_eq!(hold(&mut tx).await.unwrap(), first);
            hold_dispatch(&mut tx).await.unwrap();
            let second = Head { seq: 3, hash: "ab".into(), checkpoint_seq: 2, checkpoint_at: Time::from_millis(5) };
            put(&mut tx, &second).await.unwrap();
            // Somebody else asks meanwhile, and gets what this one left.
            let other = db.clone();
            let waiting = tokio::spawn(async move {
                let mut tx = other.write().await.unwrap();
                hold(&mut tx).await.unwrap()
            });
            tokio::task::yield_now().await;
            tx.commit().await.unwrap();
            assert_eq!(waiting.await.unwrap(), second);
        })
        .await;
    }

    #[tokio::test]
    async fn checkpoints_are_read_in_order() {
        both(async |db| {
            let mut tx = db.write().await.unwrap();
            let all: Vec<_> = [5, 9, 12]
                .into_iter()
                .map(|seq| Checkpoint { seq, at: Time::from_millis(1), line: format!("{seq}") })
                .collect();
            for checkpoint in all.iter().rev() {
                insert(&mut tx, checkpoint).await.unwrap();
            }
            assert!(matches!(insert(&mut tx, &all[0]).await, Err(DbError::Exists)));
            drop(tx);
            let mut tx = db.write().await.unwrap();
            for checkpoint in all.iter().rev() {
                insert(&mut tx, checkpoint).await.unwrap();
            }
            tx.commit().await.unwrap();
            assert_eq!(checkpoints(&db, 0, 99).await.unwrap(), all);
            assert_eq!(checkpoints(&db, 5, 9).await.unwrap(), all[1..2]);
        })
        .await;
    }
}
