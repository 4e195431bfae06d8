//! The log of facts.

use stagedoor_domain::Time;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, FactId};

use super::{Db, DbError, Tx, before};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the row.
    pub id: FactId,
    /// When it happened.
    pub at: Time,
    /// Who did it: the id of a user, a token or a session, or `operator`, `publisher`, `system`, `stranger`.
    pub actor: String,
    /// What happened.
    pub fact: Fact,
}

/// Adds an entry.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, entry: &Entry) -> Result<(), DbError> {
    let data = serde_json::to_string(&entry.fact).map_err(|_| DbError::Corrupt("data".to_owned()))?;
    let sql = "INSERT INTO facts (id, at, event_id, actor, data) VALUES ($1, $2, $3, $4, $5)";
    let args = [entry.id.into(), entry.at.into(), entry.fact.event().into(), entry.actor.as_str().into(), data.into()];
    tx.execute(sql, args).await.map(|_| ())
}

/// What happened around an event, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_event(db: &Db, event: EventId, cursor: Option<FactId>, limit: u32) -> Result<Vec<Entry>, DbError> {
    let sql = "SELECT id, at, actor, data FROM facts WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let rows = db.all(sql, [event.into(), before(cursor, FactId::new).into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                id: row.parse("id")?,
                at: row.time("at")?,
                actor: row.text("actor")?,
                fact: row.known("data", |data| serde_json::from_str(data).ok())?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    #[tokio::test]
    async fn the_log_is_read_newest_first_and_survives_its_event() {
        both(async |db| {
            let event = sample::event_id();
            let entry = |fact| Entry {
                id: FactId::new(sample::uuid()),
                at: Time::from_millis(3),
                actor: "operator".into(),
                fact,
            };
            let entries =
                [entry(Fact::EventDeleted { event }), entry(Fact::EventCreated { event }), entry(Fact::SignInRefused)];
            let mut tx = db.write().await.unwrap();
            for entry in &entries {
                insert(&mut tx, entry).await.unwrap();
            }
            tx.commit().await.unwrap();
            assert_eq!(of_event(&db, event, None, 1).await.unwrap(), [entries[1].clone()]);
            assert_eq!(of_event(&db, event, Some(entries[1].id), 9).await.unwrap(), [entries[0].clone()]);
        })
        .await;
    }
}
