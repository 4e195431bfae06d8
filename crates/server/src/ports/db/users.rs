//! People who organise.
//!
//! Whatever changes an account demands the permission for exactly that account, and is written so that there is always
//! an owner who can sign in.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Administer, Allowed, Govern, Role};
use stagedoor_domain::id::UserId;

use super::{Db, DbError, Row, Tx, before};

/// A person who organises.
#[derive(Clone, Debug)]
pub struct User {
    /// The name of the row.
    pub id: UserId,
    /// What they type to sign in; unique.
    pub username: String,
    /// What others call them; may be empty.
    pub name: String,
    /// Argon2id in PHC form; empty for somebody who signs in at the identity provider only.
    pub password: String,
    /// Until when the password is good for choosing another, and for nothing else.
    pub once_until: Option<Time>,
    /// What they may do.
    pub role: Role,
    /// Since when the account opens nothing.
    pub disabled_at: Option<Time>,
    /// The secret behind their one-time passwords, sealed.
    pub totp: Option<Vec<u8>>,
    /// Who they are at the identity provider: issuer and subject.
    pub subject: Option<(String, String)>,
    /// When the account was made.
    pub created_at: Time,
}

fn user(row: &Row) -> Result<User, DbError> {
    let issuer: Option<String> = row.parse_maybe("oidc_issuer")?;
    let subject: Option<String> = row.parse_maybe("oidc_subject")?;
    Ok(User {
        id: row.parse("id")?,
        username: row.text("username")?,
        name: row.text("name")?,
        password: row.text("password")?,
        once_until: row.time_maybe("once_until")?,
        role: row.known("role", Role::from_name)?,
        disabled_at: row.time_maybe("disabled_at")?,
        totp: row.bytes_maybe("totp_sealed")?,
        subject: issuer.zip(subject),
        created_at: row.time("created_at")?,
    })
}

/// An account as a list shows it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The account.
    pub user: User,
    /// How many passkeys it has.
    pub passkeys: u64,
    /// When one of its browsers was last seen.
    pub last_seen_at: Option<Time>,
}

/// Adds the first account of an installation, or one that the identity provider vouches for. Everybody else needs a
/// permission: [`insert_by`].
///
/// # Errors
///
/// [`DbError::Exists`] for a name or a subject that is taken.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), DbError> {
    let sql =
        "INSERT INTO users (id, username, name, password, once_until, role, oidc_issuer, oidc_subject, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let (issuer, subject) = user.subject.clone().unzip();
    let args = [
        user.id.into(),
        user.username.as_str().into(),
        user.name.as_str().into(),
        user.password.as_str().into(),
        user.once_until.into(),
        user.role.as_str().into(),
        issuer.into(),
        subject.into(),
        user.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Adds an account that somebody makes for somebody else, with the role of the permission.
///
/// # Errors
///
/// As [`insert`].
pub async fn insert_by(tx: &mut Tx, allowed: &Allowed<Govern>, user: &User) -> Result<(), DbError> {
    let user = User { id: allowed.user, role: allowed.gets.unwrap_or(Role::Analyst), ..user.clone() };
    insert(tx, &user).await
}

/// The account of `username`, disabled or not.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, username, name, password, once_until, role, disabled_at, totp_sealed, oidc_issuer,
               oidc_subject, created_at FROM users WHERE username = $1";
    db.one(sql, [username.into()]).await?.as_ref().map(user).transpose()
}

/// The account with this id, disabled or not.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_id(db: &Db, id: UserId) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, username, name, password, once_until, role, disabled_at, totp_sealed, oidc_issuer,
               oidc_subject, created_at FROM users WHERE id = $1";
    db.one(sql, [id.into()]).await?.as_ref().map(user).transpose()
}

/// The account that the identity provider knows as this subject, disabled or not.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_subject(db: &Db, issuer: &str, subject: &str) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, username, name, password, once_until, role, disabled_at, totp_sealed, oidc_issuer,
               oidc_subject, created_at FROM users WHERE oidc_issuer = $1 AND oidc_subject = $2";
    db.one(sql, [issuer.into(), subject.into()]).await?.as_ref().map(user).transpose()
}

/// Accounts, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    _: &Allowed<Administer>,
    cursor: Option<UserId>,
    limit: u32,
) -> Result<Vec<Listed>, DbError> {
    let sql = "SELECT u.id, u.username, u.name, u.password, u.once_until, u.role, u.disabled_at, u.totp_sealed,
               u.oidc_issuer, u.oidc_subject, u.created_at,
               (SELECT COUNT(*) FROM passkeys p WHERE p.user_id = u.id) AS passkeys,
               (SELECT MAX(s.last_seen_at) FROM user_sessions s WHERE s.user_id = u.id) AS last_seen_at
               FROM users u WHERE u.id < $1 ORDER BY u.id DESC LIMIT $2";
    let rows = db.all(sql, [before(cursor, UserId::new).into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                user: user(row)?,
                passkeys: row.count("passkeys")?,
                last_seen_at: row.time_maybe("last_seen_at")?,
            })
        })
        .collect()
}

/// Whether there is any account.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn any(db: &Db) -> Result<bool, DbError> {
    Ok(db.one("SELECT id FROM users LIMIT 1", []).await?.is_some())
}

/// Begins every change that could take away an owner: others of its kind wait until this one is done, so that two owners
/// cannot remove each other at the same moment. Whoever changes other rows as well begins with this.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn one_at_a_time(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute("UPDATE users SET role = role WHERE role = 'owner'", []).await.map(|_| ())
}

/// Gives an account the role of the permission. Says no when it no longer has the role that the permission was given
/// for, and when it is the last owner's.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_role(tx: &mut Tx, allowed: &Allowed<Govern>) -> Result<bool, DbError> {
    let (Some(holds), Some(gets)) = (allowed.holds, allowed.gets) else { return Ok(false) };
    one_at_a_time(tx).await?;
    let sql = "UPDATE users SET role = $1 WHERE id = $2 AND role = $3 AND (role <> 'owner' OR EXISTS
               (SELECT 1 FROM users o WHERE o.role = 'owner' AND o.disabled_at IS NULL AND o.id <> $2))";
    let args = [gets.as_str().into(), allowed.user.into(), holds.as_str().into()];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Gives an account the role that the identity provider says, except when it is the last owner's.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_role_by_provider(tx: &mut Tx, id: UserId, role: Role) -> Result<bool, DbError> {
    one_at_a_time(tx).await?;
    let sql = "UPDATE users SET role = $1 WHERE id = $2 AND (role <> 'owner' OR EXISTS
               (SELECT 1 FROM users o WHERE o.role = 'owner' AND o.disabled_at IS NULL AND o.id <> $2))";
    Ok(tx.execute(sql, [role.as_str().into(), id.into()]).await? > 0)
}

/// Disables an account and signs its browsers out. Says no as [`set_role`] does.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn disable(tx: &mut Tx, allowed: &Allowed<Govern>, now: Time) -> Result<bool, DbError> {
    one_at_a_time(tx).await?;
    let sql = "UPDATE users SET disabled_at = COALESCE(disabled_at, $1) WHERE id = $2 AND role = $3
               AND (role <> 'owner' OR EXISTS
               (SELECT 1 FROM users o WHERE o.role = 'owner' AND o.disabled_at IS NULL AND o.id <> $2))";
    let holds = allowed.holds.map(Role::as_str);
    if tx.execute(sql, [now.into(), allowed.user.into(), holds.into()]).await? == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM user_sessions WHERE user_id = $1", [allowed.user.into()]).await?;
    Ok(true)
}

/// Opens a disabled account again.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn enable(tx: &mut Tx, allowed: &Allowed<Govern>) -> Result<bool, DbError> {
    let sql = "UPDATE users SET disabled_at = NULL WHERE id = $1 AND role = $2";
    let holds = allowed.holds.map(Role::as_str);
    Ok(tx.execute(sql, [allowed.user.into(), holds.into()]).await? > 0)
}

/// Deletes an account with all that is its own. Says no as [`set_role`] does.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(tx: &mut Tx, allowed: &Allowed<Govern>) -> Result<bool, DbError> {
    one_at_a_time(tx).await?;
    let sql = "DELETE FROM users WHERE id = $1 AND role = $2 AND (role <> 'owner' OR EXISTS
               (SELECT 1 FROM users o WHERE o.role = 'owner' AND o.disabled_at IS NULL AND o.id <> $1))";
    let holds = allowed.holds.map(Role::as_str);
    Ok(tx.execute(sql, [allowed.user.into(), holds.into()]).await? > 0)
}

/// Changes what others call somebody.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn rename(tx: &mut Tx, id: UserId, name: &str) -> Result<bool, DbError> {
    Ok(tx.execute("UPDATE users SET name = $1 WHERE id = $2", [name.into(), id.into()]).await? > 0)
}

/// Gives an account another password and signs all its browsers out. With `once_until` it is good for choosing another.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_password(
    tx: &mut Tx,
    user: UserId,
    password: &str,
    once_until: Option<Time>,
) -> Result<bool, DbError> {
    let sql = "UPDATE users SET password = $1, once_until = $2 WHERE id = $3";
    let set = tx.execute(sql, [password.into(), once_until.into(), user.into()]).await? > 0;
    tx.execute("DELETE FROM user_sessions WHERE user_id = $1", [user.into()]).await?;
    Ok(set)
}

/// Remembers who somebody is at the identity provider, or forgets it.
///
/// # Errors
///
/// [`DbError::Exists`] when another account is that subject's.
pub async fn set_subject(tx: &mut Tx, user: UserId, subject: Option<(&str, &str)>) -> Result<(), DbError> {
    let (issuer, subject) = subject.unzip();
    let sql = "UPDATE users SET oidc_issuer = $1, oidc_subject = $2 WHERE id = $3";
    tx.execute(sql, [issuer.into(), subject.into(), user.into()]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    fn govern(user: UserId, holds: Role, gets: Option<Role>) -> Allowed<Govern> {
        proof::of(Govern { user, holds: Some(holds), gets })
    }

    #[tokio::test]
    async fn an_account_is_found_by_name_id_and_subject() {
        both(async |db| {
            assert!(!any(&db).await.unwrap());
            let id = sample::user(&db, "ada").await;
            assert!(any(&db).await.unwrap());
            let ada = by_username(&db, "ada").await.unwrap().unwrap();
            assert_eq!((ada.id, ada.disabled_at, ada.subject.clone()), (id, None, None));
            assert!(by_username(&db, "eve").await.unwrap().is_none());
            assert_eq!(by_id(&db, id).await.unwrap().unwrap().username, "ada");

            let mut tx = db.write().await.unwrap();
            set_subject(&mut tx, id, Some(("https://id.example", "7"))).await.unwrap();
            assert!(rename(&mut tx, id, "Ada L.").await.unwrap());
            tx.commit().await.unwrap();
            let found = by_subject(&db, "https://id.example", "7").await.unwrap().unwrap();
            assert_eq!((found.id, found.name.as_str()), (id, "Ada L."));
            assert!(by_subject(&db, "https://id.example", "8").await.unwrap().is_none());

            let mut tx = db.write().await.unwrap();
            assert!(matches!(insert(&mut tx, &ada).await, Err(DbError::Exists)), "a name is taken once");
            drop(tx);
            let bob = sample::user(&db, "bob").await;
            let mut tx = db.write().await.unwrap();
            let twice = set_subject(&mut tx, bob, Some(("https://id.example", "7"))).await;
            assert!(matches!(twice, Err(DbError::Exists)), "a subject has one account");
            drop(tx);

            let first = list(&db, &proof::administer(), None, 1).await.unwrap();
            let rest = list(&db, &proof::administer(), Some(first[0].user.id), 9).await.unwrap();
            assert_eq!((first[0].user.id, rest.len(), rest[0].user.id), (bob, 1, id));
            assert_eq!((rest[0].passkeys, rest[0].last_seen_at), (0, None));
        })
        .await;
    }

    #[tokio::test]
    async fn the_last_owner_stays_one() {
        both(async |db| {
            let ada = sample::user(&db, "ada").await;
            let to_admin = govern(ada, Role::Owner, Some(Role::Admin));
            let mut tx = db.write().await.unwrap();
            assert!(!set_role(&mut tx, &to_admin).await.unwrap());
            assert!(!set_role_by_provider(&mut tx, ada, Role::Analyst).await.unwrap());
            assert!(!disable(&mut tx, &govern(ada, Role::Owner, None), Time::from_millis(5)).await.unwrap());
            assert!(!delete(&mut tx, &govern(ada, Role::Owner, None)).await.unwrap());
            tx.commit().await.unwrap();

            let bob = sample::user(&db, "bob").await;
            let mut tx = db.write().await.unwrap();
            assert!(disable(&mut tx, &govern(bob, Role::Owner, None), Time::from_millis(5)).await.unwrap());
            assert!(!set_role(&mut tx, &to_admin).await.unwrap(), "a disabled owner is no owner");
            assert!(enable(&mut tx, &govern(bob, Role::Owner, None)).await.unwrap());
            assert!(set_role(&mut tx, &to_admin).await.unwrap());
            assert!(!set_role(&mut tx, &to_admin).await.unwrap(), "the permission was for an owner's account");
            assert!(set_role_by_provider(&mut tx, ada, Role::Analyst).await.unwrap());
            assert!(delete(&mut tx, &govern(ada, Role::Analyst, None)).await.unwrap());
            tx.commit().await.unwrap();
            assert!(by_id(&db, ada).await.unwrap().is_none());
        })
        .await;
    }

    #[tokio::test]
    async fn two_owners_who_remove_each_other_at_once_leave_one() {
        both(async |db| {
            for round in 0..20 {
                let (ada, bob) =
                    (sample::user(&db, &format!("ada{round}")).await, sample::user(&db, &format!("bob{round}")).await);
                let demote = async |user| {
                    let mut tx = db.write().await.unwrap();
                    let done = set_role(&mut tx, &govern(user, Role::Owner, Some(Role::Analyst))).await;
                    // One of two that wait for each other may be sent away by the database; it has changed nothing.
                    match done {
                        Ok(done) => tx.commit().await.map(|()| done).unwrap_or(false),
                        Err(_) => false,
                    }
                };
                let (one, two) = tokio::join!(demote(ada), demote(bob));
                assert!(!(one && two), "round {round}");
                // For the next round nobody else is an owner.
                let mut tx = db.write().await.unwrap();
                let sql = "UPDATE users SET role = 'analyst' WHERE id = $1 OR id = $2";
                tx.execute(sql, [ada.into(), bob.into()]).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_new_password_is_kept_with_its_end() {
        both(async |db| {
            let ada = sample::user(&db, "ada").await;
            let mut tx = db.write().await.unwrap();
            assert!(set_password(&mut tx, ada, "new", Some(Time::from_millis(9))).await.unwrap());
            assert!(!set_password(&mut tx, sample::user_id(), "new", None).await.unwrap());
            tx.commit().await.unwrap();
            let ada = by_username(&db, "ada").await.unwrap().unwrap();
            assert_eq!((ada.password.as_str(), ada.once_until), ("new", Some(Time::from_millis(9))));
        })
        .await;
    }

    #[tokio::test]
    async fn an_account_that_somebody_makes_has_the_role_of_their_permission() {
        both(async |db| {
            let ada = sample::user(&db, "ada").await;
            let owner = by_id(&db, ada).await.unwrap().unwrap();
            let id = sample::user_id();
            let allowed = proof::of(Govern { user: id, holds: None, gets: Some(Role::Moderator) });
            let mut tx = db.write().await.unwrap();
            insert_by(&mut tx, &allowed, &User { username: "bob".into(), ..owner }).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(by_id(&db, id).await.unwrap().unwrap().role, Role::Moderator);
        })
        .await;
    }
}
