//! Teams: people who share events.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Administer, Allowed};
use stagedoor_domain::id::{TeamId, UserId};

use super::{Db, DbError, Tx};

/// People who share events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// The name of the row.
    pub id: TeamId,
    /// What people call it; unique.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
}

/// Teams at most; nobody's list of them needs pages.
const TEAMS_MAX: u32 = 1_000;
/// Memberships at most: a thousand people in ten teams each.
const MEMBERS_MAX: u32 = 10_000;

/// Adds a team.
///
/// # Errors
///
/// [`DbError::Exists`] for a name that is taken.
pub async fn insert(tx: &mut Tx, _: &Allowed<Administer>, team: &Team) -> Result<(), DbError> {
    let sql = "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, $3)";
    tx.execute(sql, [team.id.into(), team.name.as_str().into(), team.created_at.into()]).await.map(|_| ())
}

/// Every team, by name.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn all(db: &Db) -> Result<Vec<Team>, DbError> {
    let rows = db.all("SELECT id, name, created_at FROM teams ORDER BY name LIMIT $1", [TEAMS_MAX.into()]).await?;
    rows.iter()
        .map(|row| Ok(Team { id: row.parse("id")?, name: row.text("name")?, created_at: row.time("created_at")? }))
        .collect()
}

/// Changes what people call a team; says whether there is one.
///
/// # Errors
///
/// [`DbError::Exists`] for a name that is taken.
pub async fn rename(tx: &mut Tx, _: &Allowed<Administer>, team: TeamId, name: &str) -> Result<bool, DbError> {
    Ok(tx.execute("UPDATE teams SET name = $1 WHERE id = $2", [name.into(), team.into()]).await? > 0)
}

/// Deletes a team; says whether there was one.
///
/// # Errors
///
/// [`DbError::Gone`] while events belong to it.
pub async fn delete(tx: &mut Tx, _: &Allowed<Administer>, team: TeamId) -> Result<bool, DbError> {
    Ok(tx.execute("DELETE FROM teams WHERE id = $1", [team.into()]).await? > 0)
}

/// Who is in which team: every pair.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn members(db: &Db, _: &Allowed<Administer>) -> Result<Vec<(TeamId, UserId)>, DbError> {
    let sql = "SELECT team_id, user_id FROM team_members ORDER BY team_id, user_id LIMIT $1";
    let rows = db.all(sql, [MEMBERS_MAX.into()]).await?;
    rows.iter().map(|row| Ok((row.parse("team_id")?, row.parse("user_id")?))).collect()
}

/// The teams that `user` is in.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_user(db: &Db, user: UserId) -> Result<Vec<TeamId>, DbError> {
    let sql = "SELECT team_id FROM team_members WHERE user_id = $1 ORDER BY team_id LIMIT $2";
    db.all(sql, [user.into(), TEAMS_MAX.into()]).await?.iter().map(|row| row.parse("team_id")).collect()
}

/// Puts `user` into `team`; nothing happens when they are in it.
///
/// # Errors
///
/// [`DbError::Gone`] when there is no such team or user.
pub async fn join(tx: &mut Tx, _: &Allowed<Administer>, team: TeamId, user: UserId) -> Result<(), DbError> {
    let sql = "INSERT INTO team_members (team_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, [team.into(), user.into()]).await.map(|_| ())
}

/// Takes `user` out of `team`; says whether they were in it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn leave(tx: &mut Tx, _: &Allowed<Administer>, team: TeamId, user: UserId) -> Result<bool, DbError> {
    let sql = "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2";
    Ok(tx.execute(sql, [team.into(), user.into()]).await? > 0)
}

/// What a team is called.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn name(db: &Db, id: TeamId) -> Result<Option<String>, DbError> {
    let row = db.one("SELECT name FROM teams WHERE id = $1", [id.into()]).await?;
    row.map(|row| row.text("name")).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn people_join_and_leave_teams() {
        both(async |db| {
            let user = sample::user(&db, "ada").await;
            let team = Team { id: TeamId::new(sample::uuid()), name: "Choir".into(), created_at: Time::from_millis(1) };
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &proof::administer(), &team).await.unwrap();
            join(&mut tx, &proof::administer(), team.id, user).await.unwrap();
            join(&mut tx, &proof::administer(), team.id, user).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(all(&db).await.unwrap(), std::slice::from_ref(&team));
            assert_eq!(of_user(&db, user).await.unwrap(), [team.id]);
            assert_eq!(members(&db, &proof::administer()).await.unwrap(), [(team.id, user)]);

            let mut tx = db.write().await.unwrap();
            assert!(leave(&mut tx, &proof::administer(), team.id, user).await.unwrap());
            assert!(!leave(&mut tx, &proof::administer(), team.id, user).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(of_user(&db, user).await.unwrap(), []);
            let mut tx = db.write().await.unwrap();
            assert!(matches!(insert(&mut tx, &proof::administer(), &team).await, Err(DbError::Exists)));
            drop(tx);
            let mut tx = db.write().await.unwrap();
            assert!(rename(&mut tx, &proof::administer(), team.id, "Chorus").await.unwrap());
            assert!(delete(&mut tx, &proof::administer(), team.id).await.unwrap());
            assert!(!delete(&mut tx, &proof::administer(), team.id).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(all(&db).await.unwrap(), []);
        })
        .await;
    }
}
