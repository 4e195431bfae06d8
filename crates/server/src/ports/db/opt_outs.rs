//! Who asked for no more text messages, by the keyed hash of their number. It holds for every event of the house.

use stagedoor_domain::Time;
use stagedoor_domain::access::Digest;

use super::{Db, DbError, Tx};

/// Notes that the person of this number wants no more messages.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn add(tx: &mut Tx, phone: Digest, now: Time) -> Result<(), DbError> {
    let sql = "INSERT INTO opt_outs (phone_hash, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, [phone.into(), now.into()]).await.map(|_| ())
}

/// Notes that the person of this number, under whichever hash, wants messages again.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn remove(tx: &mut Tx, phones: &[Digest]) -> Result<(), DbError> {
    for phone in phones {
        tx.execute("DELETE FROM opt_outs WHERE phone_hash = $1", [(*phone).into()]).await?;
    }
    Ok(())
}

/// Whether the person of this number, under whichever hash, wants no messages.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn contains(tx: &mut Tx, phones: &[Digest]) -> Result<bool, DbError> {
    for phone in phones {
        if tx.one("SELECT at FROM opt_outs WHERE phone_hash = $1", [(*phone).into()]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many invitees of an event want no messages.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_event(db: &Db, event: stagedoor_domain::id::EventId) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) AS n FROM opt_outs o JOIN invitations i ON i.phone_hash = o.phone_hash
               WHERE i.event_id = $1";
    db.one(sql, [event.into()]).await?.map_or(Ok(0), |row| row.count("n"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn a_person_leaves_the_list_and_comes_back() {
        both(async |db| {
            let mut tx = db.write().await.unwrap();
            for _ in 0..2 {
                add(&mut tx, [1; 32], Time::from_millis(1)).await.unwrap();
            }
            assert!(contains(&mut tx, &[[1; 32]]).await.unwrap());
            assert!(!contains(&mut tx, &[[2; 32]]).await.unwrap());
            remove(&mut tx, &[[9; 32], [1; 32]]).await.unwrap();
            assert!(!contains(&mut tx, &[[1; 32]]).await.unwrap());
            drop(tx);
            assert_eq!(of_event(&db, sample::event_id()).await.unwrap(), 0);
        })
        .await;
    }
}
