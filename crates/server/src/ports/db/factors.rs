//! Second factors: one-time passwords, recovery codes, passkeys.

use stagedoor_domain::Time;
use stagedoor_domain::access::Digest;
use stagedoor_domain::fact::Factor;
use stagedoor_domain::id::{PasskeyId, UserId};

use super::{Db, DbError, Row, Tx};

/// Passkeys of one person; nobody has more devices.
pub const PASSKEYS_MAX: u32 = 20;

/// Somebody's passkey: its public half.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// The name of the row.
    pub id: PasskeyId,
    /// Whose it is.
    pub user: UserId,
    /// What the authenticator calls it.
    pub credential_id: Vec<u8>,
    /// The public key with its counter, as JSON.
    pub credential: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Time,
    /// When somebody last signed in with it.
    pub last_used_at: Option<Time>,
}

fn passkey(row: &Row) -> Result<Passkey, DbError> {
    Ok(Passkey {
        id: row.parse("id")?,
        user: row.parse("user_id")?,
        credential_id: row.bytes("credential_id")?,
        credential: row.text("credential")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        last_used_at: row.time_maybe("last_used_at")?,
    })
}

/// Gives an account one-time passwords, or takes them away. The step they were confirmed with is used up.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_totp(tx: &mut Tx, user: UserId, sealed: Option<Vec<u8>>, step: u64) -> Result<(), DbError> {
    let sql = "UPDATE users SET totp_sealed = $1, totp_step = $2 WHERE id = $3";
    tx.execute(sql, [sealed.into(), step.into(), user.into()]).await.map(|_| ())
}

/// Uses a step of somebody's one-time passwords up; says no when it, or a later one, was used before.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn use_totp_step(tx: &mut Tx, user: UserId, step: u64) -> Result<bool, DbError> {
    let sql = "UPDATE users SET totp_step = $1 WHERE id = $2 AND totp_step < $1 AND totp_sealed IS NOT NULL";
    Ok(tx.execute(sql, [step.into(), user.into()]).await? > 0)
}

/// Gives an account these recovery codes and no others.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_recovery(tx: &mut Tx, user: UserId, codes: &[Digest]) -> Result<(), DbError> {
    tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", [user.into()]).await?;
    for code in codes {
        let sql = "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)";
        tx.execute(sql, [user.into(), (*code).into()]).await?;
    }
    Ok(())
}

/// Uses a recovery code up; says whether it was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn use_recovery(tx: &mut Tx, user: UserId, code: Digest) -> Result<bool, DbError> {
    let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";
    Ok(tx.execute(sql, [user.into(), code.into()]).await? > 0)
}

/// How many recovery codes `user` has left.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn recovery_left(db: &Db, user: UserId) -> Result<u64, DbError> {
    let row = db.one("SELECT COUNT(*) AS n FROM recovery_codes WHERE user_id = $1", [user.into()]).await?;
    row.map_or(Ok(0), |row| row.count("n"))
}

/// The passkeys of `user`, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn passkeys(db: &Db, user: UserId) -> Result<Vec<Passkey>, DbError> {
    let sql = "SELECT id, user_id, credential_id, credential, name, created_at, last_used_at FROM passkeys
               WHERE user_id = $1 ORDER BY id DESC LIMIT $2";
    db.all(sql, [user.into(), PASSKEYS_MAX.into()]).await?.iter().map(passkey).collect()
}

/// The passkey that an authenticator calls so.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn passkey_by_credential(db: &Db, credential_id: &[u8]) -> Result<Option<Passkey>, DbError> {
    let sql = "SELECT id, user_id, credential_id, credential, name, created_at, last_used_at FROM passkeys
               WHERE credential_id = $1";
    db.one(sql, [credential_id.to_vec().into()]).await?.as_ref().map(passkey).transpose()
}

/// Adds a passkey.
///
/// # Errors
///
/// [`DbError::Exists`] when somebody has it already.
pub async fn insert_passkey(tx: &mut Tx, passkey: &Passkey) -> Result<(), DbError> {
    let sql = "INSERT INTO passkeys (id, user_id, credential_id, credential, name, created_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let args = [
        passkey.id.into(),
        passkey.user.into(),
        passkey.credential_id.clone().into(),
        passkey.credential.as_str().into(),
        passkey.name.as_str().into(),
        passkey.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Notes that somebody signed in with a passkey, and what its authenticator counts.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn passkey_used(tx: &mut Tx, id: PasskeyId, credential: &str, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE passkeys SET credential = $1, last_used_at = $2 WHERE id = $3";
    Ok(tx.execute(sql, [credential.into(), now.into(), id.into()]).await? > 0)
}

/// Removes a passkey of `user`; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete_passkey(tx: &mut Tx, user: UserId, id: PasskeyId) -> Result<bool, DbError> {
    let sql = "DELETE FROM passkeys WHERE id = $1 AND user_id = $2";
    Ok(tx.execute(sql, [id.into(), user.into()]).await? > 0)
}

/// Takes every second factor away from an account, for somebody who has lost theirs; says which there were.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget_all(tx: &mut Tx, user: UserId) -> Result<Vec<Factor>, DbError> {
    let mut gone = Vec::new();
    for (factor, sql) in [
        (Factor::Totp, "UPDATE users SET totp_sealed = NULL, totp_step = 0 WHERE id = $1 AND totp_sealed IS NOT NULL"),
        (Factor::Passkey, "DELETE FROM passkeys WHERE user_id = $1"),
        (Factor::Recovery, "DELETE FROM recovery_codes WHERE user_id = $1"),
    ] {
        if tx.execute(sql, [user.into()]).await? > 0 {
            gone.push(factor);
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::super::users;
    use super::*;

    #[tokio::test]
    async fn a_step_is_used_once_and_never_backwards() {
        both(async |db| {
            let ada = sample::user(&db, "ada").await;
            let mut tx = db.write().await.unwrap();
            assert!(!use_totp_step(&mut tx, ada, 5).await.unwrap(), "without one-time passwords none is right");
            set_totp(&mut tx, ada, Some(vec![7]), 5).await.unwrap();
            assert!(!use_totp_step(&mut tx, ada, 5).await.unwrap());
            assert!(use_totp_step(&mut tx, ada, 7).await.unwrap());
            assert!(!use_totp_step(&mut tx, ada, 6).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(users::by_id(&db, ada).await.unwrap().unwrap().totp, Some(vec![7]));
        })
        .await;
    }

    #[tokio::test]
    async fn a_recovery_code_is_used_once_by_its_owner() {
        both(async |db| {
            let (ada, bob) = (sample::user(&db, "ada").await, sample::user(&db, "bob").await);
            let mut tx = db.write().await.unwrap();
            set_recovery(&mut tx, ada, &[[1; 32], [2; 32]]).await.unwrap();
            assert!(!use_recovery(&mut tx, bob, [1; 32]).await.unwrap());
            assert!(use_recovery(&mut tx, ada, [1; 32]).await.unwrap());
            assert!(!use_recovery(&mut tx, ada, [1; 32]).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(recovery_left(&db, ada).await.unwrap(), 1);
            let mut tx = db.write().await.unwrap();
            set_recovery(&mut tx, ada, &[[3; 32]]).await.unwrap();
            assert!(!use_recovery(&mut tx, ada, [2; 32]).await.unwrap(), "new codes replace the old");
            tx.commit().await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn passkeys_come_and_go_with_their_owner() {
        both(async |db| {
            let (ada, bob) = (sample::user(&db, "ada").await, sample::user(&db, "bob").await);
            let new = Passkey {
                id: PasskeyId::new(sample::uuid()),
                user: ada,
                credential_id: vec![1, 2],
                credential: "{}".into(),
                name: "Phone".into(),
                created_at: Time::from_millis(1),
                last_used_at: None,
            };
            let mut tx = db.write().await.unwrap();
            insert_passkey(&mut tx, &new).await.unwrap();
            tx.commit().await.unwrap();
            let mut tx = db.write().await.unwrap();
            let again = Passkey { id: PasskeyId::new(sample::uuid()), user: bob, ..new.clone() };
            assert!(matches!(insert_passkey(&mut tx, &again).await, Err(DbError::Exists)));
            drop(tx);
            let mut tx = db.write().await.unwrap();
            assert!(passkey_used(&mut tx, new.id, "{\"n\":1}", Time::from_millis(5)).await.unwrap());
            tx.commit().await.unwrap();
            let found = passkey_by_credential(&db, &[1, 2]).await.unwrap().unwrap();
            assert_eq!((found.user, found.credential.as_str()), (ada, "{\"n\":1}"));
            assert_eq!(found.last_used_at, Some(Time::from_millis(5)));
            assert!(passkey_by_credential(&db, &[1]).await.unwrap().is_none());
            let mut tx = db.write().await.unwrap();
            assert!(!delete_passkey(&mut tx, bob, new.id).await.unwrap());
            assert!(delete_passkey(&mut tx, ada, new.id).await.unwrap());
            insert_passkey(&mut tx, &new).await.unwrap();
            assert_eq!(forget_all(&mut tx, ada).await.unwrap(), [Factor::Passkey]);
            assert_eq!(forget_all(&mut tx, ada).await.unwrap(), []);
            tx.commit().await.unwrap();
            assert!(passkeys(&db, ada).await.unwrap().is_empty());
        })
        .await;
    }
}
