//! API tokens: programs that act for a person.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Digest, MintToken, Scopes};
use stagedoor_domain::id::{TokenId, UserId};

use super::{Db, DbError, Row, Tx, before};

/// A token's row; its text is not in it.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The name of the row.
    pub id: TokenId,
    /// Whom it acts for.
    pub user: UserId,
    /// What its maker calls it.
    pub name: String,
    /// Its last letters.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
}

fn token(row: &Row) -> Result<ApiToken, DbError> {
    Ok(ApiToken {
        id: row.parse("id")?,
        user: row.parse("user_id")?,
        name: row.text("name")?,
        hint: row.text("hint")?,
        scopes: row.known("scopes", Scopes::from_text)?,
        created_at: row.time("created_at")?,
        expires_at: row.time_maybe("expires_at")?,
        last_used_at: row.time_maybe("last_used_at")?,
    })
}

/// Adds a token.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<MintToken>, token: &ApiToken, hash: Digest) -> Result<(), DbError> {
    let sql = "INSERT INTO api_tokens (id, user_id, name, token_hash, hint, scopes, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = [
        token.id.into(),
        token.user.into(),
        token.name.as_str().into(),
        hash.into(),
        token.hint.as_str().into(),
        token.scopes.to_text().into(),
        token.created_at.into(),
        token.expires_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The tokens of `user` that were not withdrawn, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, user: UserId, cursor: Option<TokenId>, limit: u32) -> Result<Vec<ApiToken>, DbError> {
    let sql = "SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_tokens
               WHERE user_id = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3";
    let rows = db.all(sql, [user.into(), before(cursor, TokenId::new).into(), limit.into()]).await?;
    rows.iter().map(token).collect()
}

/// The token with this hash that was not withdrawn. Also returns what has expired: judging is not this file's matter.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_hash(db: &Db, hash: Digest) -> Result<Option<ApiToken>, DbError> {
    let sql = "SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_tokens
               WHERE token_hash = $1 AND revoked_at IS NULL";
    db.one(sql, [hash.into()]).await?.as_ref().map(token).transpose()
}

/// The token with this id that was not withdrawn.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_id(db: &Db, id: TokenId) -> Result<Option<ApiToken>, DbError> {
    let sql = "SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_tokens
               WHERE id = $1 AND revoked_at IS NULL";
    db.one(sql, [id.into()]).await?.as_ref().map(token).transpose()
}

/// Notes that a token was used.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn used(tx: &mut Tx, id: TokenId, now: Time) -> Result<(), DbError> {
    tx.execute("UPDATE api_tokens SET last_used_at = $1 WHERE id = $2", [now.into(), id.into()]).await.map(|_| ())
}

/// Withdraws a token of `user`; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn revoke(
    tx: &mut Tx,
    _: &Allowed<MintToken>,
    user: UserId,
    id: TokenId,
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE api_tokens SET revoked_at = $1 WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL";
    Ok(tx.execute(sql, [now.into(), id.into(), user.into()]).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn a_token_works_until_it_is_withdrawn() {
        both(async |db| {
            let user = sample::user(&db, "ada").await;
            let mut ids = Vec::new();
            for number in 0..3_u8 {
                let token = ApiToken {
                    id: TokenId::new(sample::uuid()),
                    user,
                    name: format!("t{number}"),
                    hint: "****".into(),
                    scopes: Scopes::ALL,
                    created_at: Time::from_millis(1),
                    expires_at: Some(Time::from_millis(99)),
                    last_used_at: None,
                };
                let mut tx = db.write().await.unwrap();
                insert(&mut tx, &proof::mint(), &token, [number; 32]).await.unwrap();
                tx.commit().await.unwrap();
                ids.insert(0, token.id);
            }
            let first = list(&db, user, None, 2).await.unwrap();
            assert_eq!(first.iter().map(|token| token.id).collect::<Vec<_>>(), ids[..2]);
            let rest = list(&db, user, Some(ids[1]), 2).await.unwrap();
            assert_eq!(rest.iter().map(|token| token.id).collect::<Vec<_>>(), ids[2..]);

            let found = by_hash(&db, [0; 32]).await.unwrap().unwrap();
            assert_eq!((found.id, found.user, found.last_used_at), (ids[2], user, None));
            assert_eq!(found.expires_at, Some(Time::from_millis(99)));
            assert_eq!(by_id(&db, ids[2]).await.unwrap().unwrap().id, ids[2]);
            let mut tx = db.write().await.unwrap();
            used(&mut tx, ids[2], Time::from_millis(7)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(by_hash(&db, [0; 32]).await.unwrap().unwrap().last_used_at, Some(Time::from_millis(7)));

            let mut tx = db.write().await.unwrap();
            let stranger = sample::user_id();
            assert!(!revoke(&mut tx, &proof::mint(), stranger, ids[2], Time::from_millis(8)).await.unwrap());
            assert!(revoke(&mut tx, &proof::mint(), user, ids[2], Time::from_millis(8)).await.unwrap());
            assert!(!revoke(&mut tx, &proof::mint(), user, ids[2], Time::from_millis(8)).await.unwrap());
            tx.commit().await.unwrap();
            assert!(by_hash(&db, [0; 32]).await.unwrap().is_none());
            assert!(by_id(&db, ids[2]).await.unwrap().is_none());
            assert_eq!(list(&db, user, None, 9).await.unwrap().len(), 2);
        })
        .await;
    }
}
