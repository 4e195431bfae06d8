//! Webhooks: where facts are delivered to.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Administer, Allowed};
use stagedoor_domain::id::{EventId, WebhookId};

use super::{Db, DbError, Row, Tx, before};

/// Where facts are delivered to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The name of the row.
    pub id: WebhookId,
    /// The address. It may hold a secret of the receiver, so it is shown to administrators only and never logged.
    pub url: String,
    /// Names of facts and of groups of facts; none means all.
    pub types: Vec<String>,
    /// Facts of this event only.
    pub event: Option<EventId>,
    /// Why nothing is sent there; `None` while something is.
    pub disabled: Option<Disabled>,
    /// The signing secret.
    pub secret: Vec<u8>,
    /// The secret before, and until when it still signs.
    pub previous: Option<(Vec<u8>, Time)>,
    /// Nothing is sent there until then.
    pub paused_until: Time,
    /// When it was made.
    pub created_at: Time,
}

/// Why nothing is sent to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disabled {
    /// An administrator turned it off.
    ByHand,
    /// The receiver answered 410.
    Gone,
    /// A delivery was tried for days in vain.
    Failing,
    /// More deliveries wait than are kept.
    Backlog,
}

impl Disabled {
    /// The name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Backlog => "backlog",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::ByHand, Self::Gone, Self::Failing, Self::Backlog].into_iter().find(|reason| reason.as_str() == name)
    }
}

macro_rules! webhook_where {
    ($rest:literal) => {
        concat!(
            "SELECT id, url, types, event_id, disabled_because, secret_sealed, previous_sealed, previous_until,
             paused_until, created_at FROM webhooks ",
            $rest
        )
    };
}

fn webhook(row: &Row) -> Result<Webhook, DbError> {
    let disabled: Option<String> = row.parse_maybe("disabled_because")?;
    let disabled =
        disabled.map(|name| Disabled::from_name(&name).ok_or(DbError::Corrupt("disabled_because".to_owned())));
    let previous = match row.time_maybe("previous_until")? {
        Some(until) => Some((row.bytes("previous_sealed")?, until)),
        None => None,
    };
    Ok(Webhook {
        id: row.parse("id")?,
        url: row.text("url")?,
        types: row.text("types")?.split_whitespace().map(str::to_owned).collect(),
        event: row.parse_maybe("event_id")?,
        disabled: disabled.transpose()?,
        secret: row.bytes("secret_sealed")?,
        previous,
        paused_until: row.time("paused_until")?,
        created_at: row.time("created_at")?,
    })
}

/// Adds a webhook.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] without its event.
pub async fn insert(tx: &mut Tx, _: &Allowed<Administer>, webhook: &Webhook) -> Result<(), DbError> {
    let sql = "INSERT INTO webhooks (id, url, types, event_id, state, secret_sealed, paused_until, created_at)
               VALUES ($1, $2, $3, $4, 'active', $5, $6, $7)";
    let args = [
        webhook.id.into(),
        webhook.url.as_str().into(),
        webhook.types.join(" ").into(),
        webhook.event.into(),
        webhook.secret.clone().into(),
        webhook.paused_until.into(),
        webhook.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The webhook called `id`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, id: WebhookId) -> Result<Option<Webhook>, DbError> {
    db.one(webhook_where!("WHERE id = $1"), [id.into()]).await?.as_ref().map(webhook).transpose()
}

/// Webhooks, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, cursor: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>, DbError> {
    let sql = webhook_where!("WHERE id < $1 ORDER BY id DESC LIMIT $2");
    let args = [before(cursor, WebhookId::new).into(), limit.into()];
    db.all(sql, args).await?.iter().map(webhook).collect()
}

/// Webhooks that are not disabled, at most `limit`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn active(db: &Db, limit: u32) -> Result<Vec<Webhook>, DbError> {
    let sql = webhook_where!("WHERE state = 'active' ORDER BY id LIMIT $1");
    db.all(sql, [limit.into()]).await?.iter().map(webhook).collect()
}

/// Webhooks that have a delivery which is due and nobody's, in the order of their ids and at most `limit`; not those that are
/// disabled or paused.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn due(db: &Db, now: Time, limit: u32) -> Result<Vec<WebhookId>, DbError> {
    // One look into the index for each webhook, however many deliveries wait.
    let sql = "SELECT w.id FROM webhooks w WHERE w.state = 'active' AND w.paused_until <= $1 AND EXISTS
                   (SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id AND d.state = 'waiting' AND d.due_at <= $1
                    AND d.leased_until <= $1)
               ORDER BY w.id LIMIT $2";
    db.all(sql, [now.into(), limit.into()]).await?.iter().map(|row| row.parse("id")).collect()
}

/// How many there are.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(tx: &mut Tx) -> Result<u64, DbError> {
    tx.one("SELECT COUNT(*) AS n FROM webhooks", []).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Writes address, types, event and state; says whether there is such a webhook. One that is turned on again is not paused.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] without its event.
pub async fn update(tx: &mut Tx, _: &Allowed<Administer>, webhook: &Webhook) -> Result<bool, DbError> {
    let sql = "UPDATE webhooks SET url = $1, types = $2, event_id = $3, state = $4, disabled_because = $5,
               paused_until = $6 WHERE id = $7";
    let args = [
        webhook.url.as_str().into(),
        webhook.types.join(" ").into(),
        webhook.event.into(),
        state(webhook.disabled).into(),
        webhook.disabled.map(Disabled::as_str).map(str::to_owned).into(),
        webhook.paused_until.into(),
        webhook.id.into(),
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

fn state(disabled: Option<Disabled>) -> &'static str {
    if disabled.is_some() { "disabled" } else { "active" }
}

/// Puts a new secret in place; the old one signs as well until `until`. Says whether there is such a webhook.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn rotate(
    tx: &mut Tx,
    _: &Allowed<Administer>,
    id: WebhookId,
    secret: Vec<u8>,
    until: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE webhooks SET previous_sealed = secret_sealed, previous_until = $1, secret_sealed = $2
               WHERE id = $3";
    Ok(tx.execute(sql, [until.into(), secret.into(), id.into()]).await? > 0)
}

/// Deletes a webhook with its deliveries; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(tx: &mut Tx, _: &Allowed<Administer>, id: WebhookId) -> Result<bool, DbError> {
    Ok(tx.execute("DELETE FROM webhooks WHERE id = $1", [id.into()]).await? > 0)
}

/// Stops sending to a webhook; says whether something was sent there until now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn disable(tx: &mut Tx, id: WebhookId, because: Disabled) -> Result<bool, DbError> {
    let sql = "UPDATE webhooks SET state = 'disabled', disabled_because = $1 WHERE id = $2 AND state = 'active'";
    Ok(tx.execute(sql, [because.as_str().into(), id.into()]).await? > 0)
}

/// Leaves a webhook alone until then, or longer if that was said before.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn pause(tx: &mut Tx, id: WebhookId, until: Time) -> Result<(), DbError> {
    let sql = "UPDATE webhooks SET paused_until = $1 WHERE id = $2 AND paused_until < $1";
    tx.execute(sql, [until.into(), id.into()]).await.map(|_| ())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    pub(crate) async fn sample_webhook(db: &Db) -> Webhook {
        let webhook = Webhook {
            id: WebhookId::new(sample::uuid()),
            url: "https://hooks.example.org/a".into(),
            types: vec!["stream.*".into(), "session.started".into()],
            event: None,
            disabled: None,
            secret: vec![1],
            previous: None,
            paused_until: Time::from_millis(0),
            created_at: Time::from_millis(1),
        };
        let mut tx = db.write().await.unwrap();
        insert(&mut tx, &proof::administer(), &webhook).await.unwrap();
        tx.commit().await.unwrap();
        webhook
    }

    #[tokio::test]
    async fn a_webhook_is_kept_changed_rotated_disabled_and_deleted() {
        both(async |db| {
            let allowed = proof::administer();
            let (a, b) = (sample_webhook(&db).await, sample_webhook(&db).await);
            assert_eq!(get(&db, a.id).await.unwrap(), Some(a.clone()));
            assert_eq!(list(&db, None, 9).await.unwrap(), [b.clone(), a.clone()]);
            assert_eq!(list(&db, Some(b.id), 9).await.unwrap(), std::slice::from_ref(&a));
            let event = sample::event(&db).await.id;
            let mut changed = Webhook {
                url: "http://other.example/".into(),
                types: Vec::new(),
                event: Some(event),
                disabled: Some(Disabled::ByHand),
                ..a.clone()
            };
            let mut tx = db.write().await.unwrap();
            assert_eq!(count(&mut tx).await.unwrap(), 2);
            assert!(update(&mut tx, &allowed, &changed).await.unwrap());
            assert!(rotate(&mut tx, &allowed, a.id, vec![2], Time::from_millis(9)).await.unwrap());
            assert!(!disable(&mut tx, a.id, Disabled::Gone).await.unwrap(), "it was disabled already");
            assert!(disable(&mut tx, b.id, Disabled::Gone).await.unwrap());
            pause(&mut tx, b.id, Time::from_millis(50)).await.unwrap();
            pause(&mut tx, b.id, Time::from_millis(40)).await.unwrap();
            tx.commit().await.unwrap();
            changed.secret = vec![2];
            changed.previous = Some((vec![1], Time::from_millis(9)));
            assert_eq!(get(&db, a.id).await.unwrap(), Some(changed));
            let b = get(&db, b.id).await.unwrap().unwrap();
            assert_eq!((b.disabled, b.paused_until), (Some(Disabled::Gone), Time::from_millis(50)));
            assert!(active(&db, 9).await.unwrap().is_empty());
            let mut tx = db.write().await.unwrap();
            assert!(delete(&mut tx, &allowed, a.id).await.unwrap());
            assert!(!delete(&mut tx, &allowed, a.id).await.unwrap());
            assert!(!update(&mut tx, &allowed, &Webhook { id: a.id, ..b }).await.unwrap());
        })
        .await;
    }
}
