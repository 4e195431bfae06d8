//! What the installation remembers about itself.

use super::{Db, DbError, Tx};

/// The value called `name`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, name: &str) -> Result<Option<String>, DbError> {
    let row = db.one("SELECT value FROM settings WHERE name = $1", [name.into()]).await?;
    row.map(|row| row.text("value")).transpose()
}

/// The value called `name`, for a transaction that must not be overtaken: nobody else changes it before its end.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock(tx: &mut Tx, name: &str) -> Result<Option<String>, DbError> {
    let sql = "UPDATE settings SET value = value WHERE name = $1 RETURNING value";
    tx.one(sql, [name.into()]).await?.map(|row| row.text("value")).transpose()
}

/// Forgets the value called `name`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn remove(tx: &mut Tx, name: &str) -> Result<(), DbError> {
    tx.execute("DELETE FROM settings WHERE name = $1", [name.into()]).await.map(|_| ())
}

/// Remembers `value` as `name`, in place of what was there.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn put(tx: &mut Tx, name: &str, value: &str) -> Result<(), DbError> {
    let sql =
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(sql, [name.into(), value.into()]).await.map(|_| ())
}

/// Remembers `value` as `name`, unless there is something already.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn put_first(tx: &mut Tx, name: &str, value: &str) -> Result<(), DbError> {
    let sql = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    tx.execute(sql, [name.into(), value.into()]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::testing::both;
    use super::*;

    #[tokio::test]
    async fn a_setting_is_kept_and_replaced() {
        both(async |db| {
            assert_eq!(get(&db, "a").await.unwrap(), None);
            for value in ["1", "2"] {
                let mut tx = db.write().await.unwrap();
                put(&mut tx, "a", value).await.unwrap();
                tx.commit().await.unwrap();
                assert_eq!(get(&db, "a").await.unwrap().as_deref(), Some(value));
            }
            let mut tx = db.write().await.unwrap();
            put_first(&mut tx, "a", "3").await.unwrap();
            put_first(&mut tx, "b", "1").await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(get(&db, "a").await.unwrap().as_deref(), Some("2"));
            assert_eq!(get(&db, "b").await.unwrap().as_deref(), Some("1"));
            let mut tx = db.write().await.unwrap();
            assert_eq!(lock(&mut tx, "a").await.unwrap().as_deref(), Some("2"));
            remove(&mut tx, "a").await.unwrap();
            assert_eq!(lock(&mut tx, "a").await.unwrap(), None);
            tx.commit().await.unwrap();
        })
        .await;
    }
}
