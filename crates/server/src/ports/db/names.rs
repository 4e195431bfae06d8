//! What people call the things that ids name: for the log, which holds ids only.

use std::collections::{BTreeMap, BTreeSet};

use super::{Db, DbError};

/// Ids that are looked up at most: a page of the log has a few hundred.
const IDS_MAX: usize = 600;

/// The names of those ids that have one now. Nothing that was deleted or erased has.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of(db: &Db, ids: impl IntoIterator<Item = &str>) -> Result<BTreeMap<String, String>, DbError> {
    let ids: BTreeSet<&str> = ids.into_iter().collect();
    let mut names = BTreeMap::new();
    for id in ids.into_iter().take(IDS_MAX) {
        let Some((prefix, _)) = id.split_once('_') else { continue };
        let sql = match prefix {
            "usr" => "SELECT username AS name FROM users WHERE id = $1",
            "evt" => "SELECT title AS name FROM events WHERE id = $1",
            "tem" => "SELECT name FROM teams WHERE id = $1",
            "tok" => "SELECT name FROM api_tokens WHERE id = $1",
            "inv" => "SELECT name FROM invitations WHERE id = $1",
            "ses" => {
                "SELECT i.name AS name FROM sessions s JOIN invitations i ON i.id = s.invitation_id WHERE s.id = $1"
            }
            _ => continue,
        };
        if let Some(row) = db.one(sql, [id.into()]).await? {
            names.insert(id.to_owned(), row.text("name")?);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn what_still_exists_has_a_name() {
        both(async |db| {
            let user = sample::user(&db, "ada").await.to_string();
            let event = sample::event(&db).await.id;
            let invitation = sample::invitation(&db, event).await;
            let (event, gone) = (event.to_string(), sample::event_id().to_string());
            let session = sample::session(&invitation, 1);
            let mut tx = db.write().await.unwrap();
            super::super::sessions::insert(&mut tx, &session).await.unwrap();
            tx.commit().await.unwrap();
            let (session, invitation) = (session.id.to_string(), invitation.id.to_string());
            let ids = [&*user, &event, &event, &gone, &session, &invitation, "system", "key_x", ""];
            let names = of(&db, ids).await.unwrap();
            let expected = [(user, "ada"), (event, "Evening"), (session, "Ada"), (invitation, "Ada")]
                .map(|(id, name)| (id, name.to_owned()));
            assert_eq!(names, BTreeMap::from(expected));
        })
        .await;
    }
}
