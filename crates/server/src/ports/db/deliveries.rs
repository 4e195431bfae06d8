//! Deliveries: one fact on its way to one webhook, with every attempt.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::id::{DeliveryId, FactId, WebhookId};

use super::{Db, DbError, Row, Tx, before};

/// One fact on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The name of the row, and what the receiver knows it by.
    pub id: DeliveryId,
    /// Where to.
    pub webhook: WebhookId,
    /// What; `None` for a test.
    pub fact: Option<FactId>,
    /// The fact's type.
    pub kind: String,
    /// What is sent.
    pub body: String,
    /// How it stands.
    pub state: State,
    /// Attempts in this round; a replay begins a new one.
    pub attempts: u32,
    /// When it is sent, or was to be.
    pub due_at: Time,
    /// When it was made.
    pub created_at: Time,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It will be tried, or is being tried.
    Waiting,
    /// It arrived.
    Delivered,
    /// It was given up.
    Failed,
}

impl State {
    /// The name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Delivered, Self::Failed].into_iter().find(|state| state.as_str() == name)
    }
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Time,
    /// What the receiver answered, if it did.
    pub status: Option<u16>,
    /// What kept it from doing so, in words.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
}

macro_rules! delivery_columns {
    () => {
        "id, webhook_id, fact_id, kind, body, state, attempts, due_at, created_at"
    };
}

fn delivery(row: &Row) -> Result<Delivery, DbError> {
    Ok(Delivery {
        id: row.parse("id")?,
        webhook: row.parse("webhook_id")?,
        fact: row.parse_maybe("fact_id")?,
        kind: row.text("kind")?,
        body: row.text("body")?,
        state: row.known("state", State::from_name)?,
        attempts: u32::try_from(row.int("attempts")?).map_err(|_| DbError::Corrupt("attempts".to_owned()))?,
        due_at: row.time("due_at")?,
        created_at: row.time("created_at")?,
    })
}

/// Adds a delivery that waits, unless this webhook has one of this fact already.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] without its webhook.
pub async fn insert(tx: &mut Tx, delivery: &Delivery) -> Result<(), DbError> {
    let sql = "INSERT INTO deliveries
                   (id, webhook_id, fact_id, kind, body, state, attempts, due_at, leased_until, created_at)
               VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, 0, $7) ON CONFLICT (webhook_id, fact_id) DO NOTHING";
    let args = [
        delivery.id.into(),
        delivery.webhook.into(),
        delivery.fact.into(),
        delivery.kind.as_str().into(),
        delivery.body.as_str().into(),
        delivery.due_at.into(),
        delivery.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Takes at most `limit` deliveries of a webhook that are due, and leases them until `lease`: nobody else takes them
/// before. Each counts as one more attempt.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn claim(
    tx: &mut Tx,
    webhook: WebhookId,
    now: Time,
    lease: Time,
    limit: u32,
) -> Result<Vec<Delivery>, DbError> {
    // The conditions stand twice: on PostgreSQL whoever waited for a row sees only the outer ones again. Ordered as the
    // index is: to order those that are due at the same moment, all of them would be read.
    let sql = concat!(
        "UPDATE deliveries SET leased_until = $1, attempts = attempts + 1
         WHERE state = 'waiting' AND leased_until <= $2 AND id IN
             (SELECT id FROM deliveries WHERE webhook_id = $3 AND state = 'waiting' AND due_at <= $2
              AND leased_until <= $2 ORDER BY due_at LIMIT $4)
         RETURNING ",
        delivery_columns!()
    );
    let rows = tx.all(sql, [lease.into(), now.into(), webhook.into(), limit.into()]).await?;
    rows.iter().map(delivery).collect()
}

/// Writes down an attempt.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] when the delivery was deleted meanwhile.
pub async fn attempted(tx: &mut Tx, id: DeliveryId, attempt: &Attempt) -> Result<(), DbError> {
    let sql = "INSERT INTO delivery_attempts (delivery_id, at, status, error, took_ms) VALUES ($1, $2, $3, $4, $5)";
    let args = [
        id.into(),
        attempt.at.into(),
        attempt.status.map(u32::from).into(),
        attempt.error.clone().into(),
        attempt.took.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Ends a delivery, one way or the other.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn finish(tx: &mut Tx, id: DeliveryId, state: State) -> Result<(), DbError> {
    let sql = "UPDATE deliveries SET state = $1, leased_until = 0 WHERE id = $2";
    tx.execute(sql, [state.as_str().into(), id.into()]).await.map(|_| ())
}

/// Puts a delivery off until `due`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn put_off(tx: &mut Tx, id: DeliveryId, due: Time) -> Result<(), DbError> {
    let sql = "UPDATE deliveries SET due_at = $1, leased_until = 0 WHERE id = $2 AND state = 'waiting'";
    tx.execute(sql, [due.into(), id.into()]).await.map(|_| ())
}

/// Sends a delivery of a webhook once more, from the beginning of the schedule; says whether there is such a delivery. One
/// that is being sent right now stays with whoever sends it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn replay(tx: &mut Tx, webhook: WebhookId, id: DeliveryId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE deliveries SET state = 'waiting', attempts = 0, due_at = $1 WHERE id = $2 AND webhook_id = $3";
    Ok(tx.execute(sql, [now.into(), id.into(), webhook.into()]).await? > 0)
}

/// Gives up what waits for webhooks that are disabled; says how many. At most 1,000 at a time, so that nobody waits long for
/// the writer.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn give_up(tx: &mut Tx) -> Result<u64, DbError> {
    let sql = "UPDATE deliveries SET state = 'failed', leased_until = 0 WHERE state = 'waiting' AND id IN
                   (SELECT d.id FROM webhooks w JOIN deliveries d ON d.webhook_id = w.id
                    WHERE w.state = 'disabled' AND d.state = 'waiting' LIMIT 1000)";
    tx.execute(sql, []).await
}

/// Deletes deliveries of a webhook; says how many. At most 1,000 at a time.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn clear(tx: &mut Tx, webhook: WebhookId) -> Result<u64, DbError> {
    let sql = "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE webhook_id = $1 LIMIT 1000)";
    tx.execute(sql, [webhook.into()]).await
}

/// How many deliveries wait for each webhook, the most first; at most `limit` webhooks.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn backlogs(db: &Db, limit: u32) -> Result<Vec<(WebhookId, u64)>, DbError> {
    let sql = "SELECT webhook_id, COUNT(*) AS n FROM deliveries WHERE state = 'waiting'
               GROUP BY webhook_id ORDER BY n DESC LIMIT $1";
    let rows = db.all(sql, [limit.into()]).await?;
    rows.iter().map(|row| Ok((row.parse("webhook_id")?, row.count("n")?))).collect()
}

/// Whether something that was made later has arrived at the webhook.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn arrived_since(tx: &mut Tx, webhook: WebhookId, since: Time) -> Result<bool, DbError> {
    let sql = "SELECT id FROM deliveries WHERE webhook_id = $1 AND created_at > $2 AND state = 'delivered' LIMIT 1";
    Ok(tx.one(sql, [webhook.into(), since.into()]).await?.is_some())
}

/// Deliveries to a webhook, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    webhook: WebhookId,
    cursor: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, DbError> {
    let sql = concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    );
    let args = [webhook.into(), before(cursor, DeliveryId::new).into(), limit.into()];
    db.all(sql, args).await?.iter().map(delivery).collect()
}

/// One delivery of a webhook.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, webhook: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, DbError> {
    let sql = concat!("SELECT ", delivery_columns!(), " FROM deliveries WHERE webhook_id = $1 AND id = $2");
    db.one(sql, [webhook.into(), id.into()]).await?.as_ref().map(delivery).transpose()
}

/// The attempts of a delivery, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn attempts(db: &Db, id: DeliveryId, limit: u32) -> Result<Vec<Attempt>, DbError> {
    let sql = "SELECT at, status, error, took_ms FROM delivery_attempts WHERE delivery_id = $1
               ORDER BY at DESC LIMIT $2";
    let rows = db.all(sql, [id.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            let status = row.int_maybe("status")?.map(u16::try_from).transpose();
            Ok(Attempt {
                at: row.time("at")?,
                status: status.map_err(|_| DbError::Corrupt("status".to_owned()))?,
                error: row.parse_maybe("error")?,
                took: row.duration("took_ms")?,
            })
        })
        .collect()
}

/// Forgets deliveries that ended and are older than `before`; says how many. At most 1,000 at a time, so that nobody waits
/// long for the writer.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget(tx: &mut Tx, before: Time) -> Result<u64, DbError> {
    let sql = "DELETE FROM deliveries WHERE id IN
               (SELECT id FROM deliveries WHERE created_at < $1 AND state <> 'waiting' LIMIT 1000)";
    tx.execute(sql, [before.into()]).await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::super::webhooks::{self, tests::sample_webhook};
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn waiting(webhook: WebhookId, fact: Option<FactId>, due: i64) -> Delivery {
        Delivery {
            id: DeliveryId::new(sample::uuid()),
            webhook,
            fact,
            kind: "stream.live".into(),
            body: "{}".into(),
            state: State::Waiting,
            attempts: 0,
            due_at: at(due),
            created_at: at(due),
        }
    }

    #[tokio::test]
    async fn a_delivery_is_claimed_once_and_again_when_its_lease_is_over() {
        both(async |db| {
            let webhook = sample_webhook(&db).await.id;
            let (a, b, later) = (waiting(webhook, None, 1), waiting(webhook, None, 2), waiting(webhook, None, 99));
            let mut tx = db.write().await.unwrap();
            for delivery in [&a, &b, &later] {
                insert(&mut tx, delivery).await.unwrap();
            }
            tx.commit().await.unwrap();
            let claimed = async |now, lease, limit| {
                let mut tx = db.write().await.unwrap();
                let mut taken = claim(&mut tx, webhook, at(now), at(lease), limit).await.unwrap();
                tx.commit().await.unwrap();
                taken.sort_by_key(|delivery| delivery.id);
                taken.iter().map(|delivery| (delivery.id, delivery.attempts)).collect::<Vec<_>>()
            };
            let any_due = async |now| webhooks::due(&db, at(now), 9).await.unwrap() == [webhook];
            assert!(!any_due(0).await);
            assert!(any_due(5).await);
            assert_eq!(claimed(5, 50, 1).await, [(a.id, 1)]);
            assert_eq!(claimed(5, 50, 9).await, [(b.id, 1)]);
            assert!(!any_due(49).await);
            assert_eq!(claimed(49, 100, 9).await, []);
            assert_eq!(claimed(50, 100, 9).await, [(a.id, 2), (b.id, 2)]);
            assert_eq!(backlogs(&db, 9).await.unwrap(), [(webhook, 3)]);
            let mut tx = db.write().await.unwrap();
            finish(&mut tx, a.id, State::Delivered).await.unwrap();
            put_off(&mut tx, b.id, at(200)).await.unwrap();
            assert!(arrived_since(&mut tx, webhook, at(0)).await.unwrap());
            assert!(!arrived_since(&mut tx, webhook, at(1)).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(claimed(199, 300, 9).await, [(later.id, 1)]);
            assert_eq!(claimed(200, 300, 9).await, [(b.id, 3)]);
            assert_eq!(get(&db, webhook, a.id).await.unwrap().unwrap().state, State::Delivered);
        })
        .await;
    }

    #[tokio::test]
    async fn a_fact_is_delivered_to_a_webhook_once() {
        both(async |db| {
            let (one, two) = (sample_webhook(&db).await.id, sample_webhook(&db).await.id);
            let fact = FactId::new(sample::uuid());
            let first = waiting(one, Some(fact), 1);
            let mut tx = db.write().await.unwrap();
            for delivery in [&first, &waiting(one, Some(fact), 2), &waiting(two, Some(fact), 3)] {
                insert(&mut tx, delivery).await.unwrap();
            }
            tx.commit().await.unwrap();
            assert_eq!(list(&db, one, None, 9).await.unwrap(), [first]);
            assert_eq!(list(&db, two, None, 9).await.unwrap().len(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn attempts_are_listed_and_a_replay_begins_again() {
        both(async |db| {
            let webhook = sample_webhook(&db).await.id;
            let (a, b) = (waiting(webhook, None, 1), waiting(webhook, None, 2));
            let attempt = |millis, status| Attempt {
                at: at(millis),
                status,
                error: status.is_none().then(|| "nobody answered".to_owned()),
                took: Duration::from_millis(7),
            };
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &a).await.unwrap();
            insert(&mut tx, &b).await.unwrap();
            claim(&mut tx, webhook, at(5), at(6), 1).await.unwrap();
            attempted(&mut tx, a.id, &attempt(5, None)).await.unwrap();
            attempted(&mut tx, a.id, &attempt(6, Some(500))).await.unwrap();
            assert_eq!(give_up(&mut tx).await.unwrap(), 0, "somebody still listens");
            assert!(webhooks::disable(&mut tx, webhook, webhooks::Disabled::Gone).await.unwrap());
            assert_eq!(give_up(&mut tx).await.unwrap(), 2);
            assert!(replay(&mut tx, webhook, a.id, at(9)).await.unwrap());
            assert!(!replay(&mut tx, WebhookId::new(sample::uuid()), a.id, at(9)).await.unwrap());
            tx.commit().await.unwrap();
            let a = get(&db, webhook, a.id).await.unwrap().unwrap();
            assert_eq!((a.state, a.attempts, a.due_at), (State::Waiting, 0, at(9)));
            assert_eq!(attempts(&db, a.id, 9).await.unwrap(), [attempt(6, Some(500)), attempt(5, None)]);
            let mut tx = db.write().await.unwrap();
            assert_eq!(forget(&mut tx, at(100)).await.unwrap(), 1, "the one that waits is kept");
            tx.commit().await.unwrap();
            assert_eq!(list(&db, webhook, None, 9).await.unwrap(), [a]);
            let mut tx = db.write().await.unwrap();
            assert_eq!(clear(&mut tx, webhook).await.unwrap(), 1);
            assert_eq!(clear(&mut tx, webhook).await.unwrap(), 0);
            tx.commit().await.unwrap();
            assert_eq!(list(&db, webhook, None, 9).await.unwrap(), []);
        })
        .await;
    }
}
