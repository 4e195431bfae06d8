//! Browsers that somebody is signed in with.

use stagedoor_domain::Time;
use stagedoor_domain::access::Digest;
use stagedoor_domain::id::{BrowserId, UserId};

use super::{Db, DbError, Row, Tx};

/// A signed-in browser; what its cookie says is not in it.
#[derive(Clone, Debug)]
pub struct Browser {
    /// The name of the row.
    pub id: BrowserId,
    /// Who is signed in.
    pub user: UserId,
    /// `Firefox on Linux`.
    pub device: String,
    /// How they signed in.
    pub method: Method,
    /// When.
    pub created_at: Time,
    /// Until when.
    pub expires_at: Time,
    /// When it last asked for something, to the minute.
    pub last_seen_at: Time,
    /// When they last showed that it is them.
    pub confirmed_at: Time,
    /// When they last showed a second factor, if they have.
    pub second_factor_at: Option<Time>,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With their password, and a second factor when they have one.
    Password,
    /// With a passkey.
    Passkey,
    /// At the organisation's identity provider.
    Provider,
}

impl Method {
    /// As in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Provider => "provider",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Password, Self::Passkey, Self::Provider].into_iter().find(|method| method.as_str() == name)
    }
}

/// Browsers of one person that a list shows; whoever has more has lost count of them.
const SHOWN_MAX: u32 = 100;

fn browser(row: &Row) -> Result<Browser, DbError> {
    Ok(Browser {
        id: row.parse("id")?,
        user: row.parse("user_id")?,
        device: row.text("device")?,
        method: row.known("method", Method::from_name)?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        last_seen_at: row.time("last_seen_at")?,
        confirmed_at: row.time("confirmed_at")?,
        second_factor_at: row.time_maybe("second_factor_at")?,
    })
}

/// Remembers a browser that signed in, and forgets those of everybody whose time was up when it did.
///
/// # Errors
///
/// [`DbError::Gone`] when the account is gone.
pub async fn insert(tx: &mut Tx, browser: &Browser, cookie: Digest) -> Result<(), DbError> {
    tx.execute("DELETE FROM user_sessions WHERE expires_at <= $1", [browser.created_at.into()]).await?;
    let sql = "INSERT INTO user_sessions (id, cookie_hash, user_id, device, method, created_at, expires_at,
               last_seen_at, confirmed_at, second_factor_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let args = [
        browser.id.into(),
        cookie.into(),
        browser.user.into(),
        browser.device.as_str().into(),
        browser.method.as_str().into(),
        browser.created_at.into(),
        browser.expires_at.into(),
        browser.last_seen_at.into(),
        browser.confirmed_at.into(),
        browser.second_factor_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The browser that shows this cookie. Also returns what has expired: judging is not this file's matter.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_cookie(db: &Db, cookie: Digest) -> Result<Option<Browser>, DbError> {
    let sql = "SELECT id, user_id, device, method, created_at, expires_at, last_seen_at, confirmed_at, second_factor_at
               FROM user_sessions WHERE cookie_hash = $1";
    db.one(sql, [cookie.into()]).await?.as_ref().map(browser).transpose()
}

/// The browser with this id.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_id(db: &Db, id: BrowserId) -> Result<Option<Browser>, DbError> {
    let sql = "SELECT id, user_id, device, method, created_at, expires_at, last_seen_at, confirmed_at, second_factor_at
               FROM user_sessions WHERE id = $1";
    db.one(sql, [id.into()]).await?.as_ref().map(browser).transpose()
}

/// The browsers of `user` that are signed in at `now`, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_user(db: &Db, user: UserId, now: Time) -> Result<Vec<Browser>, DbError> {
    let sql = "SELECT id, user_id, device, method, created_at, expires_at, last_seen_at, confirmed_at, second_factor_at
               FROM user_sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY id DESC LIMIT $3";
    let rows = db.all(sql, [user.into(), now.into(), SHOWN_MAX.into()]).await?;
    rows.iter().map(browser).collect()
}

/// Notes that a browser asked for something.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn seen(tx: &mut Tx, id: BrowserId, now: Time) -> Result<(), DbError> {
    tx.execute("UPDATE user_sessions SET last_seen_at = $1 WHERE id = $2", [now.into(), id.into()]).await.map(|_| ())
}

/// Notes that whoever sits there showed again that it is them, with a second factor or without.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn confirm(tx: &mut Tx, id: BrowserId, now: Time, second_factor: bool) -> Result<(), DbError> {
    let sql = "UPDATE user_sessions SET confirmed_at = $1, second_factor_at = COALESCE($2, second_factor_at)
               WHERE id = $3";
    tx.execute(sql, [now.into(), second_factor.then_some(now).into(), id.into()]).await.map(|_| ())
}

/// Signs the browser with this cookie out; says whose it was, if there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete_by_cookie(tx: &mut Tx, cookie: Digest) -> Result<Option<UserId>, DbError> {
    let sql = "DELETE FROM user_sessions WHERE cookie_hash = $1 RETURNING user_id";
    tx.one(sql, [cookie.into()]).await?.map(|row| row.parse("user_id")).transpose()
}

/// Signs one browser of `user` out; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(tx: &mut Tx, user: UserId, id: BrowserId) -> Result<bool, DbError> {
    let sql = "DELETE FROM user_sessions WHERE id = $1 AND user_id = $2";
    Ok(tx.execute(sql, [id.into(), user.into()]).await? > 0)
}

/// Signs all browsers of `user` out, but for the one they sit at; says how many.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete_others(tx: &mut Tx, user: UserId, but: Option<BrowserId>) -> Result<u64, DbError> {
    // No id is empty: without an exception, none is excepted.
    let but = but.map_or_else(String::new, |id| id.to_string());
    tx.execute("DELETE FROM user_sessions WHERE user_id = $1 AND id <> $2", [user.into(), but.into()]).await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::super::users;
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    fn row(user: UserId, created_at: i64, expires_at: i64) -> Browser {
        Browser {
            id: BrowserId::new(sample::uuid()),
            user,
            device: "Firefox on Linux".into(),
            method: Method::Password,
            created_at: at(created_at),
            expires_at: at(expires_at),
            last_seen_at: at(created_at),
            confirmed_at: at(created_at),
            second_factor_at: None,
        }
    }

    #[tokio::test]
    async fn a_browser_is_known_by_its_cookie_until_it_is_signed_out() {
        both(async |db| {
            let ada = sample::user(&db, "ada").await;
            let (one, two) = (row(ada, 10, 20), row(ada, 11, 30));
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &one, [1; 32]).await.unwrap();
            insert(&mut tx, &two, [2; 32]).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(by_cookie(&db, [1; 32]).await.unwrap().unwrap().id, one.id);
            assert!(by_cookie(&db, [9; 32]).await.unwrap().is_none());
            let listed: Vec<_> = of_user(&db, ada, at(12)).await.unwrap().into_iter().map(|row| row.id).collect();
            assert_eq!(listed, [two.id, one.id]);
            assert_eq!(of_user(&db, ada, at(20)).await.unwrap().len(), 1, "expired ones are not shown");

            let mut tx = db.write().await.unwrap();
            seen(&mut tx, one.id, at(15)).await.unwrap();
            confirm(&mut tx, one.id, at(16), true).await.unwrap();
            confirm(&mut tx, one.id, at(17), false).await.unwrap();
            tx.commit().await.unwrap();
            let found = by_id(&db, one.id).await.unwrap().unwrap();
            assert_eq!((found.last_seen_at, found.confirmed_at), (at(15), at(17)));
            assert_eq!(found.second_factor_at, Some(at(16)), "a password does not take a second factor back");

            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &row(ada, 20, 40), [3; 32]).await.unwrap();
            tx.commit().await.unwrap();
            assert!(by_cookie(&db, [1; 32]).await.unwrap().is_none(), "expired ones are forgotten");

            let mut tx = db.write().await.unwrap();
            assert!(!delete(&mut tx, sample::user_id(), two.id).await.unwrap(), "somebody else's");
            assert!(delete(&mut tx, ada, two.id).await.unwrap());
            assert!(!delete(&mut tx, ada, two.id).await.unwrap());
            assert_eq!(delete_by_cookie(&mut tx, [3; 32]).await.unwrap(), Some(ada));
            assert_eq!(delete_by_cookie(&mut tx, [3; 32]).await.unwrap(), None);
            tx.commit().await.unwrap();
            assert!(of_user(&db, ada, at(12)).await.unwrap().is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn all_browsers_are_signed_out_but_one_and_a_new_password_leaves_none() {
        both(async |db| {
            let (ada, bob) = (sample::user(&db, "ada").await, sample::user(&db, "bob").await);
            let (here, there, bobs) = (row(ada, 1, 90), row(ada, 2, 90), row(bob, 3, 90));
            let mut tx = db.write().await.unwrap();
            for (number, browser) in [&here, &there, &bobs].into_iter().enumerate() {
                insert(&mut tx, browser, [u8::try_from(number).unwrap(); 32]).await.unwrap();
            }
            assert_eq!(delete_others(&mut tx, ada, Some(here.id)).await.unwrap(), 1);
            tx.commit().await.unwrap();
            assert_eq!(of_user(&db, ada, at(5)).await.unwrap()[0].id, here.id);
            let mut tx = db.write().await.unwrap();
            users::set_password(&mut tx, ada, "new", None).await.unwrap();
            assert_eq!(delete_others(&mut tx, bob, None).await.unwrap(), 1);
            tx.commit().await.unwrap();
            assert!(of_user(&db, ada, at(5)).await.unwrap().is_empty());
            assert!(of_user(&db, bob, at(5)).await.unwrap().is_empty());
        })
        .await;
    }
}
