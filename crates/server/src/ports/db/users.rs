//! People who organise, and their signed-in browsers.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Digest, Role};
use stagedoor_domain::id::UserId;

use super::{Db, DbError, Row, Tx};

/// A person who organises.
#[derive(Clone, Debug)]
pub struct User {
    /// The name of the row.
    pub id: UserId,
    /// What they type to sign in; unique.
    pub username: String,
    /// Argon2id in PHC form.
    pub password: String,
    /// What they may do.
    pub role: Role,
    /// When the account was made.
    pub created_at: Time,
}

fn user(row: &Row) -> Result<User, DbError> {
    Ok(User {
        id: row.parse("id")?,
        username: row.text("username")?,
        password: row.text("password")?,
        role: row.known("role", Role::from_name)?,
        created_at: row.time("created_at")?,
    })
}

/// Adds an account.
///
/// # Errors
///
/// [`DbError::Exists`] for a name that is taken.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), DbError> {
    let sql = "INSERT INTO users (id, username, password, role, created_at) VALUES ($1, $2, $3, $4, $5)";
    let args = [
        user.id.into(),
        user.username.as_str().into(),
        user.password.as_str().into(),
        user.role.as_str().into(),
        user.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The account of `username`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, username, password, role, created_at FROM users WHERE username = $1";
    db.one(sql, [username.into()]).await?.as_ref().map(user).transpose()
}

/// Whether there is any account.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn any(db: &Db) -> Result<bool, DbError> {
    Ok(db.one("SELECT id FROM users LIMIT 1", []).await?.is_some())
}

/// Gives `user` another password and signs all their browsers out.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_password(tx: &mut Tx, user: UserId, password: &str) -> Result<(), DbError> {
    tx.execute("UPDATE users SET password = $1 WHERE id = $2", [password.into(), user.into()]).await?;
    tx.execute("DELETE FROM user_sessions WHERE user_id = $1", [user.into()]).await.map(|_| ())
}

/// Remembers a browser that signed in, and forgets those whose time was up at `now`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn sign_in(tx: &mut Tx, user: UserId, cookie: Digest, now: Time, expires_at: Time) -> Result<(), DbError> {
    tx.execute("DELETE FROM user_sessions WHERE expires_at <= $1", [now.into()]).await?;
    let sql = "INSERT INTO user_sessions (cookie_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, [cookie.into(), user.into(), now.into(), expires_at.into()]).await.map(|_| ())
}

/// Whose browser shows this cookie, and until when. Also returns what has expired: judging is not this file's matter.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_cookie(db: &Db, cookie: Digest) -> Result<Option<(User, Time)>, DbError> {
    let sql = "SELECT u.id, u.username, u.password, u.role, u.created_at, s.expires_at
               FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE s.cookie_hash = $1";
    let row = db.one(sql, [cookie.into()]).await?;
    row.map(|row| Ok((user(&row)?, row.time("expires_at")?))).transpose()
}

/// Forgets a browser.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn sign_out(tx: &mut Tx, cookie: Digest) -> Result<(), DbError> {
    tx.execute("DELETE FROM user_sessions WHERE cookie_hash = $1", [cookie.into()]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn an_account_is_found_by_name_and_by_cookie() {
        both(async |db| {
            assert!(!any(&db).await.unwrap());
            let user = sample::user(&db, "ada").await;
            assert!(any(&db).await.unwrap());
            assert_eq!(by_username(&db, "ada").await.unwrap().unwrap().id, user);
            assert!(by_username(&db, "eve").await.unwrap().is_none());

            let (now, end) = (Time::from_millis(10), Time::from_millis(20));
            let mut tx = db.write().await.unwrap();
            sign_in(&mut tx, user, [1; 32], now, end).await.unwrap();
            tx.commit().await.unwrap();
            let (found, expires_at) = by_cookie(&db, [1; 32]).await.unwrap().unwrap();
            assert_eq!((found.id, expires_at), (user, end));
            assert!(by_cookie(&db, [2; 32]).await.unwrap().is_none());

            let mut tx = db.write().await.unwrap();
            sign_in(&mut tx, user, [2; 32], end, Time::from_millis(30)).await.unwrap();
            sign_out(&mut tx, [9; 32]).await.unwrap();
            tx.commit().await.unwrap();
            assert!(by_cookie(&db, [1; 32]).await.unwrap().is_none(), "expired ones are forgotten");

            let mut tx = db.write().await.unwrap();
            set_password(&mut tx, user, "new").await.unwrap();
            tx.commit().await.unwrap();
            assert!(by_cookie(&db, [2; 32]).await.unwrap().is_none(), "a new password signs all browsers out");
            assert_eq!(by_username(&db, "ada").await.unwrap().unwrap().password, "new");
        })
        .await;
    }

    #[tokio::test]
    async fn a_name_is_taken_once_and_signing_out_forgets_the_browser() {
        both(async |db| {
            let user = sample::user(&db, "ada").await;
            let mut tx = db.write().await.unwrap();
            let again = by_username(&db, "ada").await.unwrap().unwrap();
            assert!(matches!(insert(&mut tx, &again).await, Err(DbError::Exists)));
            drop(tx);
            let mut tx = db.write().await.unwrap();
            sign_in(&mut tx, user, [1; 32], Time::from_millis(1), Time::from_millis(9)).await.unwrap();
            sign_out(&mut tx, [1; 32]).await.unwrap();
            tx.commit().await.unwrap();
            assert!(by_cookie(&db, [1; 32]).await.unwrap().is_none());
        })
        .await;
    }
}
