//! Orders to send something to many.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::id::{EventId, InvitationId, SendId};
use stagedoor_domain::message::{Channel, Failure, Kind, PauseCause, SendState, State};

use super::{Db, DbError, Row, Tx, before};

/// The selection of an order whose messages are made: it means nobody. Whom it meant once may be somebody's name or the
/// hash of their number, and nobody asks for it again.
pub const NOBODY: &str = r#"{"ids":[]}"#;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The name of the row.
    pub id: SendId,
    /// About which event.
    pub event: EventId,
    /// By what it travels.
    pub channel: Channel,
    /// What it is for.
    pub kind: Kind,
    /// Zero, or higher for an order to say the same thing once more.
    pub round: u32,
    /// Where it stands.
    pub state: SendState,
    /// Why it waits.
    pub paused_because: Option<PauseCause>,
    /// To whom, as JSON; [`NOBODY`] once their messages are made.
    pub selection: String,
    /// The last invitation that a message was made for.
    pub cursor: Option<InvitationId>,
    /// Whether there is a message for everybody who was meant.
    pub expanded: bool,
    /// Messages; while they are being made, as many as are expected.
    pub total: u64,
    /// Whom the texts name as who invites.
    pub organiser: String,
    /// How links begin.
    pub base_url: String,
    /// Not before this moment.
    pub not_before: Time,
    /// When it was ordered.
    pub created_at: Time,
}

/// How far the messages of a send are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// They wait for their turn, or are in the gateway's hands.
    pub queued: u64,
    /// The gateway took them.
    pub sent: u64,
    /// They arrived.
    pub delivered: u64,
    /// They will not arrive.
    pub failed: u64,
    /// They were deliberately not sent.
    pub suppressed: u64,
    /// What they cost.
    pub spent_milli: u64,
}

macro_rules! columns {
    () => {
        "id, event_id, channel, kind, round, state, paused_because, selection, cursor, expanded, total, organiser, \
         base_url, not_before, created_at"
    };
}

fn send(row: &Row) -> Result<Send, DbError> {
    let because: Option<String> = row.parse_maybe("paused_because")?;
    Ok(Send {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        channel: row.known("channel", Channel::from_name)?,
        kind: row.known("kind", Kind::from_name)?,
        round: u32::try_from(row.int("round")?).map_err(|_| DbError::Corrupt("round".to_owned()))?,
        state: row.known("state", SendState::from_name)?,
        paused_because: because
            .map(|name| PauseCause::from_name(&name).ok_or_else(|| DbError::Corrupt("paused_because".to_owned())))
            .transpose()?,
        selection: row.text("selection")?,
        cursor: row.parse_maybe("cursor")?,
        expanded: row.bool("expanded")?,
        total: row.count("total")?,
        organiser: row.text("organiser")?,
        base_url: row.text("base_url")?,
        not_before: row.time("not_before")?,
        created_at: row.time("created_at")?,
    })
}

/// Adds an order; its messages are made from its selection by whoever sends.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<Organise>, send: &Send) -> Result<(), DbError> {
    let sql = concat!(
        "INSERT INTO sends (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    let args = [
        send.id.into(),
        send.event.into(),
        send.channel.as_str().into(),
        send.kind.as_str().into(),
        send.round.into(),
        send.state.as_str().into(),
        send.paused_because.map(PauseCause::as_str).into(),
        send.selection.as_str().into(),
        send.cursor.into(),
        send.expanded.into(),
        send.total.into(),
        send.organiser.as_str().into(),
        send.base_url.as_str().into(),
        send.not_before.into(),
        send.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The highest round of this channel and kind that was ordered.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn last_round(tx: &mut Tx, event: EventId, channel: Channel, kind: Kind) -> Result<u32, DbError> {
    let sql = "SELECT COALESCE(MAX(round), 0) AS last FROM sends WHERE event_id = $1 AND channel = $2 AND kind = $3";
    let row = tx.one(sql, [event.into(), channel.as_str().into(), kind.as_str().into()]).await?;
    let last = row.map_or(Ok(0), |row| row.int("last"))?;
    u32::try_from(last).map_err(|_| DbError::Corrupt("round".to_owned()))
}

/// One order of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: SendId) -> Result<Option<Send>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM sends WHERE id = $1 AND event_id = $2");
    db.one(sql, [id.into(), event.into()]).await?.as_ref().map(send).transpose()
}

/// The orders of `event`, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, event: EventId, cursor: Option<SendId>, limit: u32) -> Result<Vec<Send>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM sends WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = db.all(sql, [event.into(), before(cursor, SendId::new).into(), limit.into()]).await?;
    rows.iter().map(send).collect()
}

/// How far the messages of the event's sends from `first` to `last` (by their ids) are, in the order of their ids.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn tallies(db: &Db, event: EventId, first: SendId, last: SendId) -> Result<Vec<(SendId, Tally)>, DbError> {
    let sql = "SELECT send_id, state, COUNT(*) AS n, CAST(COALESCE(SUM(cost_milli), 0) AS BIGINT) AS cost FROM messages
               WHERE send_id >= $1 AND send_id <= $2 AND event_id = $3 GROUP BY send_id, state ORDER BY send_id, state";
    let mut tallies: Vec<(SendId, Tally)> = Vec::new();
    for row in db.all(sql, [first.into(), last.into(), event.into()]).await? {
        let id: SendId = row.parse("send_id")?;
        if tallies.last().is_none_or(|(last, _)| *last != id) {
            tallies.push((id, Tally::default()));
        }
        let Some((_, tally)) = tallies.last_mut() else { continue };
        let n = row.count("n")?;
        tally.spent_milli += row.count("cost")?;
        match row.known("state", State::from_name)? {
            State::Queued | State::Sending => tally.queued += n,
            State::Sent => tally.sent += n,
            State::Delivered => tally.delivered += n,
            State::Failed => tally.failed += n,
            State::Suppressed => tally.suppressed += n,
        }
    }
    Ok(tallies)
}

/// Why messages of the event's sends from `first` to `last` (by their ids) failed, and how many for each reason: in the
/// order of the sends' ids, the most frequent reason first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn failures(
    db: &Db,
    event: EventId,
    first: SendId,
    last: SendId,
) -> Result<Vec<(SendId, Failure, u64)>, DbError> {
    let sql = "SELECT send_id, failure, COUNT(*) AS n FROM messages
               WHERE send_id >= $1 AND send_id <= $2 AND event_id = $3 AND state = 'failed' AND failure IS NOT NULL
               GROUP BY send_id, failure ORDER BY send_id, n DESC, failure";
    let rows = db.all(sql, [first.into(), last.into(), event.into()]).await?;
    rows.iter()
        .map(|row| Ok((row.parse("send_id")?, row.known("failure", Failure::from_name)?, row.count("n")?)))
        .collect()
}

/// Lets an order of the event of the permission go on that waits; says whether it does now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn resume(tx: &mut Tx, allowed: &Allowed<Organise>, id: SendId) -> Result<bool, DbError> {
    let sql = "UPDATE sends SET state = 'running', paused_because = NULL
               WHERE id = $1 AND event_id = $2 AND state = 'paused'";
    if tx.execute(sql, [id.into(), allowed.event.into()]).await? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE messages SET held = NULL WHERE send_id = $1 AND state = 'queued' AND held IS NOT NULL";
    tx.execute(sql, [id.into()]).await.map(|_| true)
}

/// Makes a running order wait; says whether it does now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn pause(tx: &mut Tx, event: EventId, id: SendId, because: PauseCause) -> Result<bool, DbError> {
    let sql = "UPDATE sends SET state = 'paused', paused_because = $1
               WHERE id = $2 AND event_id = $3 AND state = 'running'";
    Ok(tx.execute(sql, [because.as_str().into(), id.into(), event.into()]).await? > 0)
}

/// Calls an order of the event of the permission off; what waits is not sent. Says whether there was anything to call
/// off.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn cancel(tx: &mut Tx, allowed: &Allowed<Organise>, id: SendId) -> Result<bool, DbError> {
    let sql = "UPDATE sends SET state = 'cancelled', paused_because = NULL, expanded = TRUE, selection = $3
               WHERE id = $1 AND event_id = $2 AND state IN ('running', 'paused')";
    if tx.execute(sql, [id.into(), allowed.event.into(), NOBODY.into()]).await? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE messages SET state = 'suppressed', failure = 'cancelled', held = NULL
               WHERE send_id = $1 AND state = 'queued'";
    tx.execute(sql, [id.into()]).await?;
    let sql = "UPDATE sends SET total = (SELECT COUNT(*) FROM messages WHERE send_id = $1) WHERE id = $1";
    tx.execute(sql, [id.into()]).await.map(|_| true)
}

/// The running orders of an event whose time has come, of one kind only if it is said which, oldest first: as many as
/// are looked at in one turn.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn running(tx: &mut Tx, event: EventId, now: Time, only: Option<Kind>) -> Result<Vec<Send>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM sends WHERE event_id = $1 AND state = 'running' AND not_before <= $2
         AND (CAST($3 AS TEXT) IS NULL OR kind = $3) ORDER BY id LIMIT 100"
    );
    tx.all(sql, [event.into(), now.into(), only.map(Kind::as_str).into()]).await?.iter().map(send).collect()
}

/// The orders of an event that are under way: what is ahead of each other.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn open(db: &Db, event: EventId) -> Result<Vec<Send>, DbError> {
    let sql =
        concat!("SELECT ", columns!(), " FROM sends WHERE event_id = $1 AND state = 'running' ORDER BY id LIMIT 100");
    db.all(sql, [event.into()]).await?.iter().map(send).collect()
}

/// When the next running order of an event begins that has not begun.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn next_begin(tx: &mut Tx, event: EventId, now: Time) -> Result<Option<Time>, DbError> {
    let sql =
        "SELECT MIN(not_before) AS begin FROM sends WHERE event_id = $1 AND state = 'running' AND not_before > $2";
    tx.one(sql, [event.into(), now.into()]).await?.map_or(Ok(None), |row| row.time_maybe("begin"))
}

/// Some orders whose messages are not all made, and are not made by whoever gives out the new codes that they tell.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn unexpanded(db: &Db) -> Result<Vec<(EventId, SendId)>, DbError> {
    let sql = "SELECT event_id, id FROM sends s WHERE NOT expanded
               AND NOT EXISTS (SELECT 1 FROM renewals r WHERE r.send_id = s.id AND r.state = 'running')
               ORDER BY id LIMIT 100";
    let rows = db.all(sql, []).await?;
    rows.iter().map(|row| Ok((row.parse("event_id")?, row.parse("id")?))).collect()
}

/// An order whose messages are not all made, held until the transaction ends.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock_unexpanded(tx: &mut Tx, id: SendId) -> Result<Option<Send>, DbError> {
    let sql = concat!("UPDATE sends SET total = total WHERE id = $1 AND NOT expanded RETURNING ", columns!());
    tx.one(sql, [id.into()]).await?.as_ref().map(send).transpose()
}

/// Notes how far messages were made.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn expanded_to(tx: &mut Tx, id: SendId, cursor: InvitationId) -> Result<(), DbError> {
    tx.execute("UPDATE sends SET cursor = $1 WHERE id = $2", [cursor.into(), id.into()]).await.map(|_| ())
}

/// Notes that all messages are made, and how many they are; whom they were meant for is forgotten.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn fully_expanded(tx: &mut Tx, id: SendId) -> Result<(), DbError> {
    let sql = "UPDATE sends SET expanded = TRUE, selection = $2,
                   total = (SELECT COUNT(*) FROM messages WHERE send_id = $1)
               WHERE id = $1";
    tx.execute(sql, [id.into(), NOBODY.into()]).await.map(|_| ())
}

/// Closes a running order that has nothing left: it is done, or waits when some of its messages are held. Says where it
/// stands then, if that is news.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn finish(tx: &mut Tx, id: SendId) -> Result<Option<SendState>, DbError> {
    let sql = "UPDATE sends SET state = 'done' WHERE id = $1 AND state = 'running' AND expanded
               AND NOT EXISTS (SELECT 1 FROM messages WHERE send_id = $1 AND state IN ('queued', 'sending'))";
    if tx.execute(sql, [id.into()]).await? > 0 {
        return Ok(Some(SendState::Done));
    }
    let sql = "UPDATE sends SET state = 'paused', paused_because = 'prefix_budget'
               WHERE id = $1 AND state = 'running' AND expanded
               AND NOT EXISTS (SELECT 1 FROM messages WHERE send_id = $1 AND state = 'sending')
               AND NOT EXISTS (SELECT 1 FROM messages WHERE send_id = $1 AND state = 'queued' AND held IS NULL)";
    Ok((tx.execute(sql, [id.into()]).await? > 0).then_some(SendState::Paused))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::MIGRATIONS;
    use super::super::selection::Selection;
    use super::super::testing::{both, proof, sample};
    use super::*;

    pub(crate) fn sample_send(event: EventId) -> Send {
        Send {
            id: SendId::new(sample::uuid()),
            event,
            channel: Channel::Sms,
            kind: Kind::Invitation,
            round: 0,
            state: SendState::Running,
            paused_because: None,
            selection: "{}".into(),
            cursor: None,
            expanded: false,
            total: 3,
            organiser: "House".into(),
            base_url: "https://stage.example.org".into(),
            not_before: Time::from_millis(10),
            created_at: Time::from_millis(5),
        }
    }

    #[tokio::test]
    async fn an_order_is_paused_resumed_and_called_off_in_its_own_event() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let allowed = proof::organise(event);
            let made = sample_send(event);
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &allowed, &made).await.unwrap();
            assert_eq!(last_round(&mut tx, event, Channel::Sms, Kind::Invitation).await.unwrap(), 0);
            assert_eq!(running(&mut tx, event, Time::from_millis(9), None).await.unwrap(), []);
            assert_eq!(next_begin(&mut tx, event, Time::from_millis(9)).await.unwrap(), Some(Time::from_millis(10)));
            for only in [None, Some(Kind::Invitation)] {
                let running = running(&mut tx, event, Time::from_millis(10), only).await.unwrap();
                assert_eq!(running, std::slice::from_ref(&made));
            }
            assert_eq!(running(&mut tx, event, Time::from_millis(10), Some(Kind::NewCode)).await.unwrap(), []);
            assert_eq!(next_begin(&mut tx, event, Time::from_millis(10)).await.unwrap(), None);
            assert!(!pause(&mut tx, sample::event_id(), made.id, PauseCause::Person).await.unwrap());
            assert!(pause(&mut tx, event, made.id, PauseCause::Budget).await.unwrap());
            assert!(!pause(&mut tx, event, made.id, PauseCause::Person).await.unwrap(), "it waits already");
            tx.commit().await.unwrap();
            assert_eq!(open(&db, event).await.unwrap(), []);
            let now = get(&db, event, made.id).await.unwrap().unwrap();
            assert_eq!((now.state, now.paused_because), (SendState::Paused, Some(PauseCause::Budget)));
            assert_eq!(get(&db, sample::event_id(), made.id).await.unwrap(), None);
            assert_eq!(unexpanded(&db).await.unwrap(), [(event, made.id)]);

            let mut tx = db.write().await.unwrap();
            assert!(!resume(&mut tx, &proof::organise(sample::event_id()), made.id).await.unwrap());
            assert!(resume(&mut tx, &allowed, made.id).await.unwrap());
            assert!(!resume(&mut tx, &allowed, made.id).await.unwrap());
            assert_eq!(lock_unexpanded(&mut tx, made.id).await.unwrap(), Some(made.clone()));
            let cursor = InvitationId::new(sample::uuid());
            expanded_to(&mut tx, made.id, cursor).await.unwrap();
            assert_eq!(finish(&mut tx, made.id).await.unwrap(), None, "messages are still being made");
            fully_expanded(&mut tx, made.id).await.unwrap();
            assert_eq!(lock_unexpanded(&mut tx, made.id).await.unwrap(), None);
            assert_eq!(finish(&mut tx, made.id).await.unwrap(), Some(SendState::Done));
            assert!(!cancel(&mut tx, &allowed, made.id).await.unwrap(), "it is done");
            let second = Send { round: 2, ..sample_send(event) };
            insert(&mut tx, &allowed, &second).await.unwrap();
            assert_eq!(last_round(&mut tx, event, Channel::Sms, Kind::Invitation).await.unwrap(), 2);
            assert!(!cancel(&mut tx, &proof::organise(sample::event_id()), second.id).await.unwrap());
            assert!(cancel(&mut tx, &allowed, second.id).await.unwrap());
            tx.commit().await.unwrap();
            let states: Vec<_> = list(&db, event, None, 9).await.unwrap().into_iter().map(|send| send.state).collect();
            assert_eq!(states, [SendState::Cancelled, SendState::Done]);
            assert_eq!(list(&db, event, Some(second.id), 9).await.unwrap()[0].cursor, Some(cursor));
            assert_eq!(unexpanded(&db).await.unwrap(), []);
        })
        .await;
    }

    #[tokio::test]
    async fn whom_an_order_was_meant_for_is_forgotten_once_its_messages_are_made_or_called_off() {
        let nobody: Selection = serde_json::from_str(NOBODY).unwrap();
        assert_eq!(nobody, Selection::Ids { ids: Vec::new() });
        both(async |db| {
            let event = sample::event(&db).await.id;
            let allowed = proof::organise(event);
            let search = r#"{"filter":{"search":"hopper"}}"#;
            let orders: Vec<_> = (0..3).map(|_| Send { selection: search.into(), ..sample_send(event) }).collect();
            let (made, cancelled, waits) = (orders[0].id, orders[1].id, orders[2].id);
            let mut tx = db.write().await.unwrap();
            for order in &orders {
                insert(&mut tx, &allowed, order).await.unwrap();
            }
            fully_expanded(&mut tx, made).await.unwrap();
            assert!(cancel(&mut tx, &allowed, cancelled).await.unwrap());
            tx.commit().await.unwrap();
            let kept = async |id: SendId| get(&db, event, id).await.unwrap().unwrap().selection;
            assert_eq!([kept(made).await, kept(cancelled).await, kept(waits).await], [NOBODY, NOBODY, search]);

            // Orders from before that was so.
            let mut tx = db.write().await.unwrap();
            tx.execute("UPDATE sends SET selection = $1", [search.into()]).await.unwrap();
            let (.., sql) = MIGRATIONS.iter().copied().find(|(number, ..)| *number == 21).unwrap();
            tx.execute(sql, []).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!([kept(made).await, kept(cancelled).await, kept(waits).await], [NOBODY, NOBODY, search]);
        })
        .await;
    }
}
