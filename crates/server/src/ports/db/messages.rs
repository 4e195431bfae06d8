//! Single messages, and how fast and for how much an event sends them.
//!
//! A message that was claimed is `sending` before anybody asks the gateway, and its `claim` is raised each time somebody
//! takes it into their hands: an answer is written down only under the number it was asked with.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::id::{EventId, InvitationId, MessageId, SendId};
use stagedoor_domain::message::{Channel, Failure, Kind, State};

use super::{Db, DbError, Row, Tx, before};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the row.
    pub id: MessageId,
    /// About which event.
    pub event: EventId,
    /// The order it belongs to; without one it is a single act.
    pub send: Option<SendId>,
    /// To whom; without one it goes to whoever its payload says.
    pub invitation: Option<InvitationId>,
    /// By what it travels.
    pub channel: Channel,
    /// What it is for.
    pub kind: Kind,
    /// Of its order.
    pub round: u32,
    /// Which of the invitee's codes it carries.
    pub code_generation: u32,
    /// Where it stands.
    pub state: State,
    /// Why it failed, or was not sent.
    pub failure: Option<Failure>,
    /// To whom and what, sealed.
    pub payload: Option<Vec<u8>>,
    /// What the gateway calls it.
    pub reference: Option<String>,
    /// How often somebody took it into their hands.
    pub claim: u32,
    /// When it was claimed for sending.
    pub claimed_at: Option<Time>,
    /// How often the gateway was asked to take it.
    pub attempts: u32,
    /// How often the gateway was asked whether it has it.
    pub looks: u32,
    /// How many of these did not find it.
    pub missing: u32,
    /// What it cost.
    pub cost_milli: u64,
    /// Of whose budget that was taken.
    pub cost_prefix: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When the gateway took it.
    pub sent_at: Option<Time>,
}

/// A message with the name of its invitee, and what opens its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The message.
    pub message: Message,
    /// Who it is to; empty when that is nobody invited.
    pub name: String,
    /// The sealed key of that person.
    pub person_key: Option<Vec<u8>>,
}

/// What of the gateway's answer is written down.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Why, for what failed or was not sent.
    pub failure: Option<Failure>,
    /// What the gateway calls it, when it is news.
    pub reference: Option<String>,
    /// When the gateway took it, when it is news.
    pub sent_at: Option<Time>,
    /// Not before this moment, for what is queued again.
    pub not_before: Option<Time>,
    /// What is kept of it.
    pub payload: Option<Vec<u8>>,
    /// Whether its cost is given back.
    pub refund: bool,
}

/// What is added by hand: a message outside of a send.
#[derive(Clone, Debug)]
pub struct NewSingle {
    /// The name of the row.
    pub id: MessageId,
    /// About which event.
    pub event: EventId,
    /// To whom.
    pub invitation: Option<InvitationId>,
    /// By what it travels.
    pub channel: Channel,
    /// What it is for.
    pub kind: Kind,
    /// To whom and what, sealed.
    pub payload: Vec<u8>,
}

macro_rules! columns {
    () => {
        "m.id, m.event_id, m.send_id, m.invitation_id, m.channel, m.kind, m.round, m.code_generation, m.state, \
         m.failure, m.payload_sealed, m.reference, m.claim, m.claimed_at, m.attempts, m.looks, m.missing, \
         m.cost_milli, m.cost_prefix, m.created_at, m.sent_at"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM messages m ", $rest)
    };
}

macro_rules! next_of_send {
    () => {
        select!(
            "WHERE m.send_id = $1 AND m.state = 'queued' AND m.held IS NULL AND m.not_before <= $2 ORDER BY m.id LIMIT 1"
        )
    };
}

fn small(row: &Row, column: &str) -> Result<u32, DbError> {
    u32::try_from(row.int(column)?).map_err(|_| DbError::Corrupt(column.to_owned()))
}

fn message(row: &Row) -> Result<Message, DbError> {
    let failure: Option<String> = row.parse_maybe("failure")?;
    Ok(Message {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        send: row.parse_maybe("send_id")?,
        invitation: row.parse_maybe("invitation_id")?,
        channel: row.known("channel", Channel::from_name)?,
        kind: row.known("kind", Kind::from_name)?,
        round: small(row, "round")?,
        code_generation: small(row, "code_generation")?,
        state: row.known("state", State::from_name)?,
        failure: failure
            .map(|name| Failure::from_name(&name).ok_or_else(|| DbError::Corrupt("failure".to_owned())))
            .transpose()?,
        payload: row.bytes_maybe("payload_sealed")?,
        reference: row.parse_maybe("reference")?,
        claim: small(row, "claim")?,
        claimed_at: row.time_maybe("claimed_at")?,
        attempts: small(row, "attempts")?,
        looks: small(row, "looks")?,
        missing: small(row, "missing")?,
        cost_milli: row.count("cost_milli")?,
        cost_prefix: row.parse_maybe("cost_prefix")?,
        created_at: row.time("created_at")?,
        sent_at: row.time_maybe("sent_at")?,
    })
}

/// One message of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: MessageId) -> Result<Option<Listed>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", COALESCE(i.name, '') AS name, i.person_key FROM messages m LEFT JOIN invitations i ON i.id = m.invitation_id
         WHERE m.id = $1 AND m.event_id = $2"
    );
    db.one(sql, [id.into(), event.into()]).await?.as_ref().map(listed).transpose()
}

fn listed(row: &Row) -> Result<Listed, DbError> {
    Ok(Listed { message: message(row)?, name: row.text("name")?, person_key: row.bytes_maybe("person_key")? })
}

/// Which messages are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of this order.
    pub send: Option<SendId>,
    /// To this invitee.
    pub invitation: Option<InvitationId>,
    /// That stand here.
    pub state: Option<State>,
}

/// The messages of an event, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    event: EventId,
    filter: Filter,
    cursor: Option<MessageId>,
    limit: u32,
) -> Result<Vec<Listed>, DbError> {
    macro_rules! page {
        ($which:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                ", COALESCE(i.name, '') AS name, i.person_key
                 FROM messages m LEFT JOIN invitations i ON i.id = m.invitation_id WHERE m.event_id = $1 AND m.id < $2
                 AND (CAST($3 AS TEXT) IS NULL OR m.state = $3)
                 AND (CAST($4 AS TEXT) IS NULL OR m.send_id = $4)
                 AND (CAST($5 AS TEXT) IS NULL OR m.invitation_id = $5) ",
                $which,
                " ORDER BY m.id DESC LIMIT $6"
            )
        };
    }
    // One text each, so that each finds its index.
    let sql = match (filter.invitation, filter.send) {
        (Some(_), _) => page!("AND m.invitation_id = $5"),
        (None, Some(_)) => page!("AND m.send_id = $4"),
        (None, None) => page!(""),
    };
    let args = [
        event.into(),
        before(cursor, MessageId::new).into(),
        filter.state.map(State::as_str).into(),
        filter.send.into(),
        filter.invitation.into(),
        limit.into(),
    ];
    db.all(sql, args).await?.iter().map(listed).collect()
}

/// What becomes of one invitee of a send when its messages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// There is a message now that waits for its turn.
    Queued,
    /// There was one already, or the invitation is gone.
    Nothing,
}

/// Makes the message of a send to one invitee, once. One of an earlier send that certainly did not go out is queued
/// again and belongs to this send from then on.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn make(
    tx: &mut Tx,
    id: MessageId,
    send: &super::sends::Send,
    invitation: InvitationId,
    now: Time,
) -> Result<Made, DbError> {
    let sql =
        "INSERT INTO messages (id, event_id, send_id, invitation_id, channel, kind, round, code_generation, state,
                   claim, attempts, looks, missing, not_before, segments, cost_milli, created_at)
               SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), i.id, CAST($4 AS TEXT), CAST($5 AS TEXT),
                   CAST($6 AS BIGINT), i.code_generation, 'queued', 0, 0, 0, 0, CAST($7 AS BIGINT), 0, 0,
                   CAST($8 AS BIGINT)
               FROM invitations i
               WHERE i.id = $9 AND i.event_id = $2 AND i.revoked_at IS NULL AND i.erased_at IS NULL
               ON CONFLICT DO NOTHING";
    let args = [
        id.into(),
        send.event.into(),
        send.id.into(),
        send.channel.as_str().into(),
        send.kind.as_str().into(),
        send.round.into(),
        send.not_before.into(),
        now.into(),
        invitation.into(),
    ];
    if tx.execute(sql, args).await? > 0 {
        return Ok(Made::Queued);
    }
    let sql =
        "UPDATE messages SET send_id = $1, state = 'queued', failure = NULL, held = NULL, attempts = 0, looks = 0,
                   missing = 0, not_before = $2
               WHERE invitation_id = $3 AND kind = $4 AND channel = $5 AND round = $6 AND send_id IS NOT NULL
               AND code_generation = (SELECT code_generation FROM invitations WHERE id = $3)
               AND state IN ('failed', 'suppressed') AND failure <> 'unknown'";
    let args = [
        send.id.into(),
        send.not_before.into(),
        invitation.into(),
        send.kind.as_str().into(),
        send.channel.as_str().into(),
        send.round.into(),
    ];
    Ok(if tx.execute(sql, args).await? > 0 { Made::Queued } else { Made::Nothing })
}

/// Adds a message outside of a send.
///
/// # Errors
///
/// [`DbError::Gone`] without such an event or invitation.
pub async fn insert_single(tx: &mut Tx, new: &NewSingle, now: Time) -> Result<(), DbError> {
    // First the pace, then the row, which holds its invitation.
    wake(tx, new.event, now).await?;
    let sql = "INSERT INTO messages (id, event_id, invitation_id, channel, kind, round, code_generation, state,
                   payload_sealed, claim, attempts, looks, missing, not_before, segments, cost_milli, created_at)
               VALUES ($1, $2, $3, $4, $5, 0, 0, 'queued', $6, 0, 0, 0, 0, $7, 0, 0, $7)";
    let args = [
        new.id.into(),
        new.event.into(),
        new.invitation.into(),
        new.channel.as_str().into(),
        new.kind.as_str().into(),
        new.payload.clone().into(),
        now.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Calls off what waits to tell somebody an older code than they have now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn supersede(tx: &mut Tx, invitation: InvitationId) -> Result<(), DbError> {
    let sql = "UPDATE messages SET state = 'suppressed', failure = 'superseded', held = NULL
               WHERE invitation_id = $1 AND send_id IS NOT NULL AND state = 'queued'
               AND code_generation < (SELECT code_generation FROM invitations WHERE id = $1)";
    tx.execute(sql, [invitation.into()]).await.map(|_| ())
}

/// A person decides: what failed is tried again, also when nobody knows whether it went out. Says whether it had failed.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn retry(tx: &mut Tx, event: EventId, id: MessageId, now: Time) -> Result<bool, DbError> {
    // First the pace, then the row.
    wake(tx, event, now).await?;
    let sql = "UPDATE messages SET state = 'queued', failure = NULL, held = NULL, attempts = 0, looks = 0, missing = 0,
                   not_before = $1
               WHERE id = $2 AND event_id = $3 AND state IN ('failed', 'suppressed')
               RETURNING send_id";
    let Some(row) = tx.one(sql, [now.into(), id.into(), event.into()]).await? else { return Ok(false) };
    if let Some(send) = row.parse_maybe::<SendId>("send_id")? {
        let sql = "UPDATE sends SET state = 'running' WHERE id = $1 AND state IN ('done', 'cancelled')";
        tx.execute(sql, [send.into()]).await?;
    }
    Ok(true)
}

/// A person decides: messages of a send that failed behind `after`, in the order of their ids and at most `limit`, are
/// tried again; not those of which nobody knows whether they went out. Returns which.
///
/// # Errors
///
/// [`DbError::Gone`] without such an event.
pub async fn retry_failed(
    tx: &mut Tx,
    (event, send): (EventId, SendId),
    after: Option<MessageId>,
    now: Time,
    limit: u32,
) -> Result<Vec<MessageId>, DbError> {
    wake(tx, event, now).await?;
    // The conditions stand twice: on PostgreSQL whoever waited for a row sees only the outer ones again.
    let sql = "UPDATE messages SET state = 'queued', failure = NULL, held = NULL, attempts = 0, looks = 0, missing = 0,
                   not_before = $1
               WHERE state = 'failed' AND failure <> 'unknown' AND id IN
                   (SELECT id FROM messages WHERE send_id = $2 AND event_id = $3 AND state = 'failed'
                    AND failure <> 'unknown' AND id > $4 ORDER BY id LIMIT $5)
               RETURNING id";
    let after = after.unwrap_or(MessageId::new(uuid::Uuid::nil()));
    let rows = tx.all(sql, [now.into(), send.into(), event.into(), after.into(), limit.into()]).await?;
    let mut tried = rows.iter().map(|row| row.parse("id")).collect::<Result<Vec<_>, _>>()?;
    tried.sort_unstable();
    if !tried.is_empty() {
        let sql = "UPDATE sends SET state = 'running' WHERE id = $1 AND state IN ('done', 'cancelled')";
        tx.execute(sql, [send.into()]).await?;
    }
    Ok(tried)
}

/// The message of a send whose turn it is.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn next_of_send(tx: &mut Tx, send: SendId, now: Time) -> Result<Option<Message>, DbError> {
    tx.one(next_of_send!(), [send.into(), now.into()]).await?.as_ref().map(message).transpose()
}

/// The message outside of all sends whose turn it is.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn next_single(tx: &mut Tx, event: EventId, now: Time) -> Result<Option<Message>, DbError> {
    let sql = select!(
        "WHERE m.event_id = $1 AND m.send_id IS NULL AND m.state = 'queued' AND m.not_before <= $2 ORDER BY m.id LIMIT 1"
    );
    tx.one(sql, [event.into(), now.into()]).await?.as_ref().map(message).transpose()
}

/// When the next queued message of an event may go that may not go now: a single one, or one of a running send; of the
/// sends only those of one kind, if it is said which.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn next_due(tx: &mut Tx, event: EventId, now: Time, only: Option<Kind>) -> Result<Option<Time>, DbError> {
    let sql = "SELECT MIN(m.not_before) AS due FROM messages m LEFT JOIN sends s ON s.id = m.send_id
               WHERE m.event_id = $1 AND m.state = 'queued' AND m.held IS NULL AND m.not_before > $2
               AND (m.send_id IS NULL OR (s.state = 'running' AND (CAST($3 AS TEXT) IS NULL OR s.kind = $3)))";
    let args = [event.into(), now.into(), only.map(Kind::as_str).into()];
    tx.one(sql, args).await?.map_or(Ok(None), |row| row.time_maybe("due"))
}

/// What a claim writes down before the gateway is asked.
#[derive(Clone, Debug)]
pub struct Claim {
    /// To whom and what, sealed.
    pub payload: Vec<u8>,
    /// Which of the invitee's codes it carries.
    pub code_generation: u32,
    /// How many parts it has.
    pub segments: u32,
    /// What it costs.
    pub cost_milli: u64,
    /// Of whose budget that is taken.
    pub cost_prefix: Option<String>,
    /// When it is claimed.
    pub now: Time,
    /// Until when nobody else looks for it.
    pub lease_until: Time,
}

/// Takes a queued message into somebody's hands: its number from now on, or `None` when it is not queued any more. The
/// cost is taken from the event's purse.
///
/// # Errors
///
/// [`DbError::Exists`] when another message carries the same thing already.
pub async fn claim(tx: &mut Tx, message: &Message, claim: &Claim) -> Result<Option<u32>, DbError> {
    let sql =
        "UPDATE messages SET state = 'sending', claim = claim + 1, attempts = attempts + 1, looks = 0, missing = 0,
                   payload_sealed = $1, code_generation = $2, segments = $3, cost_milli = $4, cost_prefix = $5,
                   claimed_at = $6, lease_until = $7
               WHERE id = $8 AND state = 'queued' RETURNING claim";
    let args = [
        claim.payload.clone().into(),
        claim.code_generation.into(),
        claim.segments.into(),
        claim.cost_milli.into(),
        claim.cost_prefix.as_deref().into(),
        claim.now.into(),
        claim.lease_until.into(),
        message.id.into(),
    ];
    let Some(row) = tx.one(sql, args).await? else { return Ok(None) };
    let cost = i64::try_from(claim.cost_milli).unwrap_or(i64::MAX);
    spend(tx, message.event, claim.cost_prefix.as_deref(), cost).await?;
    small(&row, "claim").map(Some)
}

/// Whether another message says the same thing to the same person with a newer code.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn has_twin(tx: &mut Tx, message: &Message, code_generation: u32) -> Result<bool, DbError> {
    let sql = "SELECT id FROM messages WHERE invitation_id = $1 AND kind = $2 AND code_generation = $3 AND channel = $4
               AND round = $5 AND send_id IS NOT NULL AND id <> $6";
    let args = [
        message.invitation.into(),
        message.kind.as_str().into(),
        code_generation.into(),
        message.channel.as_str().into(),
        message.round.into(),
        message.id.into(),
    ];
    Ok(tx.one(sql, args).await?.is_some())
}

/// Passes a queued message over until its send is resumed.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn hold(tx: &mut Tx, id: MessageId, why: &str) -> Result<(), DbError> {
    let sql = "UPDATE messages SET held = $1 WHERE id = $2 AND state = 'queued'";
    tx.execute(sql, [why.into(), id.into()]).await.map(|_| ())
}

/// Takes messages into hand whose lease is over: somebody died with them, or their outcome was not known. Each has a new
/// number and a new lease.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn take_over(tx: &mut Tx, now: Time, lease_until: Time, limit: u32) -> Result<Vec<Message>, DbError> {
    let sql = concat!(
        "UPDATE messages AS m SET claim = claim + 1, looks = looks + 1, lease_until = $1
         WHERE state = 'sending' AND lease_until <= $2
         AND id IN (SELECT id FROM messages WHERE state = 'sending' AND lease_until <= $2 ORDER BY lease_until LIMIT $3)
         RETURNING ",
        "id, event_id, send_id, invitation_id, channel, kind, round, code_generation, state, failure, payload_sealed,
         reference, claim, claimed_at, attempts, looks, missing, cost_milli, cost_prefix, created_at, sent_at"
    );
    let rows = tx.all(sql, [lease_until.into(), now.into(), limit.into()]).await?;
    rows.iter().map(message).collect()
}

/// Leaves a message in nobody's hands until `look_at`: its outcome is not known. Says whether the number still holds.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn doubt(tx: &mut Tx, message: &Message, missing: u32, look_at: Time) -> Result<bool, DbError> {
    let sql = "UPDATE messages SET lease_until = $1, missing = $2 WHERE id = $3 AND claim = $4 AND state = 'sending'";
    let args = [look_at.into(), missing.into(), message.id.into(), message.claim.into()];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Writes down what became of a message, if it still stands where `message` says and nobody else has it in hand; says
/// whether it did.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn settle(tx: &mut Tx, message: &Message, to: State, settled: Settled) -> Result<bool, DbError> {
    if !message.state.may_become(to) {
        return Ok(false);
    }
    let sql = "UPDATE messages SET state = $1, failure = $2, reference = COALESCE($3, reference),
                   sent_at = COALESCE($4, sent_at), not_before = COALESCE($5, not_before), payload_sealed = $6,
                   lease_until = NULL, held = NULL, cost_milli = CASE WHEN $7 THEN 0 ELSE cost_milli END
               WHERE id = $8 AND state = $9 AND claim = $10";
    let args = [
        to.as_str().into(),
        settled.failure.map(Failure::as_str).into(),
        settled.reference.into(),
        settled.sent_at.into(),
        settled.not_before.into(),
        settled.payload.into(),
        settled.refund.into(),
        message.id.into(),
        message.state.as_str().into(),
        message.claim.into(),
    ];
    if tx.execute(sql, args).await? == 0 {
        return Ok(false);
    }
    if settled.refund && message.cost_milli > 0 {
        let cost = i64::try_from(message.cost_milli).unwrap_or(i64::MAX);
        spend(tx, message.event, message.cost_prefix.as_deref(), -cost).await?;
    }
    Ok(true)
}

/// To which event a message belongs and to whom it goes, as a reader sees it: what is held before the message itself.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn about(db: &Db, id: MessageId) -> Result<Option<(EventId, Option<InvitationId>)>, DbError> {
    let row = db.one("SELECT event_id, invitation_id FROM messages WHERE id = $1", [id.into()]).await?;
    row.map(|row| Ok((row.parse("event_id")?, row.parse_maybe("invitation_id")?))).transpose()
}

/// The message called `id`, held until the transaction ends.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock(tx: &mut Tx, id: MessageId) -> Result<Option<Message>, DbError> {
    let sql = "UPDATE messages SET claim = claim WHERE id = $1
               RETURNING id, event_id, send_id, invitation_id, channel, kind, round, code_generation, state, failure,
                   payload_sealed, reference, claim, claimed_at, attempts, looks, missing, cost_milli, cost_prefix,
                   created_at, sent_at";
    tx.one(sql, [id.into()]).await?.as_ref().map(message).transpose()
}

/// Forgets what was written to an invitee, and what gateways call it. What is still queued is not sent.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forget(tx: &mut Tx, invitation: InvitationId) -> Result<(), DbError> {
    let sql = "UPDATE messages SET state = 'suppressed', failure = 'not_invited', held = NULL
               WHERE invitation_id = $1 AND state = 'queued'";
    tx.execute(sql, [invitation.into()]).await?;
    let sql = "UPDATE messages SET payload_sealed = NULL, reference = NULL WHERE invitation_id = $1";
    tx.execute(sql, [invitation.into()]).await.map(|_| ())
}

// How fast, and for how much.

/// Says that an event has something to send now, and holds its pace until the transaction ends: before invitations and
/// messages, as [the order of rows](super#the-order-of-rows) says.
///
/// # Errors
///
/// [`DbError::Gone`] without such an event.
pub async fn wake(tx: &mut Tx, event: EventId, now: Time) -> Result<(), DbError> {
    let sql = "INSERT INTO message_pace (event_id, next_at, wake_at, spent_milli) VALUES ($1, $2, $2, 0)
               ON CONFLICT (event_id) DO UPDATE SET wake_at = excluded.wake_at";
    tx.execute(sql, [event.into(), now.into()]).await.map(|_| ())
}

/// Some events that have something to send and may send it now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn awake(db: &Db, now: Time) -> Result<Vec<EventId>, DbError> {
    let sql = "SELECT event_id FROM message_pace WHERE wake_at <= $1 AND next_at <= $1 ORDER BY wake_at LIMIT 100";
    db.all(sql, [now.into()]).await?.iter().map(|row| row.parse("event_id")).collect()
}

/// When there is something to do next: to send, or to look what became of something.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn next_wake(db: &Db) -> Result<Option<Time>, DbError> {
    let sql = "SELECT MIN(CASE WHEN next_at > wake_at THEN next_at ELSE wake_at END) AS at FROM message_pace
               WHERE wake_at IS NOT NULL";
    let send = db.one(sql, []).await?.map_or(Ok(None), |row| row.time_maybe("at"))?;
    let sql = "SELECT MIN(lease_until) AS at FROM messages WHERE state = 'sending'";
    let look = db.one(sql, []).await?.map_or(Ok(None), |row| row.time_maybe("at"))?;
    Ok(match (send, look) {
        (Some(send), Some(look)) => Some(send.min(look)),
        (send, look) => send.or(look),
    })
}

/// What an event has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// In all.
    pub spent_milli: u64,
}

/// Takes the turn of an event's next message, if it has come; the one after it comes `interval` later. Whoever has the
/// turn holds it until the transaction ends.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn take_turn(tx: &mut Tx, event: EventId, now: Time, interval: Duration) -> Result<Option<Turn>, DbError> {
    // A little late does not make the next one later; a long pause is not caught up with.
    let sql = "UPDATE message_pace SET next_at = CASE WHEN next_at + $1 > $2 THEN next_at + $1 ELSE $2 + $1 END
               WHERE event_id = $3 AND wake_at <= $2 AND next_at <= $2 RETURNING spent_milli";
    let row = tx.one(sql, [interval.into(), now.into(), event.into()]).await?;
    row.map(|row| Ok(Turn { spent_milli: row.count("spent_milli")? })).transpose()
}

/// Gives a turn back that was not used: there is nothing to send until `wake_at`, if ever.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn rest(tx: &mut Tx, event: EventId, now: Time, wake_at: Option<Time>) -> Result<(), DbError> {
    let sql = "UPDATE message_pace SET next_at = $1, wake_at = $2 WHERE event_id = $3";
    tx.execute(sql, [now.into(), wake_at.into(), event.into()]).await.map(|_| ())
}

/// Sends nothing of an event before `until`: the gateway wants to be left alone.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn slow_down(tx: &mut Tx, event: EventId, until: Time) -> Result<(), DbError> {
    let sql = "UPDATE message_pace SET next_at = $1 WHERE event_id = $2 AND next_at < $1";
    tx.execute(sql, [until.into(), event.into()]).await.map(|_| ())
}

/// What an event has spent on numbers with a prefix.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn spent_on(tx: &mut Tx, event: EventId, prefix: &str) -> Result<u64, DbError> {
    let sql = "SELECT spent_milli FROM message_spending WHERE event_id = $1 AND prefix = $2";
    tx.one(sql, [event.into(), prefix.into()]).await?.map_or(Ok(0), |row| row.count("spent_milli"))
}

/// What an event has spent in all.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn spent(db: &Db, event: EventId) -> Result<u64, DbError> {
    let sql = "SELECT spent_milli FROM message_pace WHERE event_id = $1";
    db.one(sql, [event.into()]).await?.map_or(Ok(0), |row| row.count("spent_milli"))
}

async fn spend(tx: &mut Tx, event: EventId, prefix: Option<&str>, milli: i64) -> Result<(), DbError> {
    let sql = "UPDATE message_pace SET spent_milli = CASE WHEN spent_milli + $1 > 0 THEN spent_milli + $1 ELSE 0 END
               WHERE event_id = $2";
    tx.execute(sql, [milli.into(), event.into()]).await?;
    if let Some(prefix) = prefix {
        let sql = "INSERT INTO message_spending (event_id, prefix, spent_milli)
                   VALUES ($1, $2, CASE WHEN CAST($3 AS BIGINT) > 0 THEN $3 ELSE 0 END)
                   ON CONFLICT (event_id, prefix) DO UPDATE SET spent_milli =
                       CASE WHEN message_spending.spent_milli + $3 > 0 THEN message_spending.spent_milli + $3 ELSE 0 END";
        tx.execute(sql, [event.into(), prefix.into(), milli.into()]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sends::{self, tests::sample_send};
    use super::super::testing::{both, proof, sample};
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    fn claim_of(cost_milli: u64, lease: i64) -> Claim {
        Claim {
            payload: vec![1],
            code_generation: 1,
            segments: 1,
            cost_milli,
            cost_prefix: Some("+33".into()),
            now: at(20),
            lease_until: at(lease),
        }
    }

    #[tokio::test]
    async fn one_intent_is_one_message_and_only_what_did_not_go_out_is_queued_again() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let invitation = sample::invitation(&db, event).await.id;
            let (first, second) = (sample_send(event), sample_send(event));
            let mut tx = db.write().await.unwrap();
            for send in [&first, &second] {
                sends::insert(&mut tx, &proof::organise(event), send).await.unwrap();
            }
            let id = MessageId::new(sample::uuid());
            let other = MessageId::new(sample::uuid());
            assert_eq!(make(&mut tx, id, &first, invitation, at(5)).await.unwrap(), Made::Queued);
            assert_eq!(make(&mut tx, other, &first, invitation, at(5)).await.unwrap(), Made::Nothing);
            assert_eq!(make(&mut tx, other, &second, invitation, at(5)).await.unwrap(), Made::Nothing);
            let nobody = InvitationId::new(sample::uuid());
            assert_eq!(make(&mut tx, other, &second, nobody, at(5)).await.unwrap(), Made::Nothing);
            let queued = next_of_send(&mut tx, first.id, at(10)).await.unwrap().unwrap();
            assert_eq!((queued.id, queued.state, queued.code_generation), (id, State::Queued, 1));
            assert_eq!(next_of_send(&mut tx, first.id, at(9)).await.unwrap(), None, "not before the send begins");
            if let Tx::Sqlite(_) = &tx {
                let sql = concat!("EXPLAIN QUERY PLAN ", next_of_send!());
                let plan =
                    tx.one(sql, [first.id.into(), at(10).into()]).await.unwrap().unwrap().text("detail").unwrap();
                assert!(plan.contains("messages_to_say"), "thousands that are held are not read each time: {plan}");
            }
            for (failure, again) in [(Failure::Unknown, Made::Nothing), (Failure::Unavailable, Made::Queued)] {
                let settled = Settled { failure: Some(failure), ..Settled::default() };
                assert!(settle(&mut tx, &queued, State::Failed, settled).await.unwrap());
                assert_eq!(make(&mut tx, other, &second, invitation, at(5)).await.unwrap(), again, "{failure:?}");
                if again == Made::Nothing {
                    assert!(retry(&mut tx, event, id, at(6)).await.unwrap(), "a person may");
                }
            }
            assert_eq!(next_of_send(&mut tx, second.id, at(10)).await.unwrap().unwrap().id, id);
            let round = sends::Send { round: 1, ..sample_send(event) };
            sends::insert(&mut tx, &proof::organise(event), &round).await.unwrap();
            assert_eq!(make(&mut tx, other, &round, invitation, at(5)).await.unwrap(), Made::Queued);
            tx.commit().await.unwrap();
            let all = list(&db, event, Filter::default(), None, 9).await.unwrap();
            assert_eq!(all.iter().map(|each| each.message.id).collect::<Vec<_>>(), [other, id]);
            assert_eq!(all[0].name, "Ada");
            let filter = Filter { send: Some(second.id), state: Some(State::Queued), ..Filter::default() };
            assert_eq!(list(&db, event, filter, None, 9).await.unwrap().len(), 1);
            let filter = Filter { invitation: Some(invitation), ..Filter::default() };
            assert_eq!(list(&db, event, filter, Some(other), 9).await.unwrap()[0].message.id, id);
            let filter = Filter { state: Some(State::Sent), ..Filter::default() };
            assert_eq!(list(&db, event, filter, None, 9).await.unwrap(), []);
            assert_eq!(get(&db, event, id).await.unwrap().unwrap().message.send, Some(second.id));
            assert_eq!(get(&db, sample::event_id(), id).await.unwrap(), None);
            let tallies = sends::tallies(&db, event, first.id, round.id).await.unwrap();
            assert_eq!(
                tallies.iter().map(|(id, tally)| (*id, tally.queued)).collect::<Vec<_>>(),
                [(second.id, 1), (round.id, 1)]
            );
        })
        .await;
    }

    #[tokio::test]
    async fn what_failed_for_sure_is_tried_again_in_steps_and_each_once() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let (send, other) = (sample_send(event), sends::Send { round: 1, ..sample_send(event) });
            let elsewhere = (sample::event(&db).await.id, send.id);
            let mut tx = db.write().await.unwrap();
            for send in [&send, &other] {
                sends::insert(&mut tx, &proof::organise(event), send).await.unwrap();
            }
            tx.commit().await.unwrap();
            let mut failed = Vec::new();
            for failure in [Failure::Unavailable, Failure::Unknown, Failure::BadAddress, Failure::Undelivered] {
                let invitation = sample::invitation(&db, event).await.id;
                for send in [&send, &other] {
                    let id = MessageId::new(sample::uuid());
                    let mut tx = db.write().await.unwrap();
                    make(&mut tx, id, send, invitation, at(5)).await.unwrap();
                    let queued = lock(&mut tx, id).await.unwrap().unwrap();
                    let settled = Settled { failure: Some(failure), ..Settled::default() };
                    assert!(settle(&mut tx, &queued, State::Failed, settled).await.unwrap());
                    tx.commit().await.unwrap();
                    if send.round == 0 && failure != Failure::Unknown {
                        failed.push(id);
                    }
                }
            }
            failed.sort_unstable();
            let why = sends::failures(&db, event, send.id, send.id).await.unwrap();
            assert_eq!(why.len(), 4);
            assert!(why.contains(&(send.id, Failure::Unknown, 1)), "{why:?}");
            let mut tx = db.write().await.unwrap();
            sends::fully_expanded(&mut tx, send.id).await.unwrap();
            assert_eq!(
                sends::finish(&mut tx, send.id).await.unwrap(),
                Some(stagedoor_domain::message::SendState::Done)
            );
            assert_eq!(retry_failed(&mut tx, elsewhere, None, at(9), 9).await.unwrap(), []);
            let here = (event, send.id);
            let first = retry_failed(&mut tx, here, None, at(9), 2).await.unwrap();
            assert_eq!(first, failed[..2]);
            // What fails again meanwhile is behind us.
            let again = lock(&mut tx, first[0]).await.unwrap().unwrap();
            let settled = Settled { failure: Some(Failure::BadAddress), ..Settled::default() };
            assert!(settle(&mut tx, &again, State::Failed, settled).await.unwrap());
            assert_eq!(retry_failed(&mut tx, here, first.last().copied(), at(9), 2).await.unwrap(), failed[2..]);
            assert_eq!(retry_failed(&mut tx, here, failed.last().copied(), at(9), 2).await.unwrap(), []);
            assert_eq!(next_of_send(&mut tx, send.id, at(9)).await.unwrap().unwrap().attempts, 0);
            tx.commit().await.unwrap();
            let now = sends::get(&db, event, send.id).await.unwrap().unwrap();
            assert_eq!(now.state, stagedoor_domain::message::SendState::Running);
        })
        .await;
    }

    #[tokio::test]
    async fn a_claim_is_lost_to_whoever_takes_it_over() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let invitation = sample::invitation(&db, event).await.id;
            let send = sample_send(event);
            let mut tx = db.write().await.unwrap();
            sends::insert(&mut tx, &proof::organise(event), &send).await.unwrap();
            make(&mut tx, MessageId::new(sample::uuid()), &send, invitation, at(5)).await.unwrap();
            wake(&mut tx, event, at(5)).await.unwrap();
            let queued = next_of_send(&mut tx, send.id, at(10)).await.unwrap().unwrap();
            assert_eq!(claim(&mut tx, &queued, &claim_of(70, 100)).await.unwrap(), Some(1));
            assert_eq!(claim(&mut tx, &queued, &claim_of(70, 100)).await.unwrap(), None);
            assert_eq!(spent_on(&mut tx, event, "+33").await.unwrap(), 70);
            assert_eq!(take_over(&mut tx, at(99), at(200), 9).await.unwrap(), []);
            let taken = take_over(&mut tx, at(100), at(200), 9).await.unwrap();
            assert_eq!((taken.len(), taken[0].claim, taken[0].looks), (1, 2, 1));
            let late = Message { state: State::Sending, claim: 1, ..queued.clone() };
            assert!(!settle(&mut tx, &late, State::Sent, Settled::default()).await.unwrap());
            assert!(!doubt(&mut tx, &late, 1, at(300)).await.unwrap());
            assert!(doubt(&mut tx, &taken[0], 1, at(300)).await.unwrap());
            assert_eq!(take_over(&mut tx, at(299), at(400), 9).await.unwrap(), []);
            let taken = take_over(&mut tx, at(300), at(400), 9).await.unwrap();
            assert_eq!((taken[0].missing, taken[0].looks, taken[0].claim), (1, 2, 3));
            let refund = Settled { refund: true, not_before: Some(at(500)), ..Settled::default() };
            assert!(settle(&mut tx, &taken[0], State::Queued, refund).await.unwrap());
            assert_eq!(spent_on(&mut tx, event, "+33").await.unwrap(), 0);
            assert_eq!(next_due(&mut tx, event, at(300), None).await.unwrap(), Some(at(500)));
            assert_eq!(next_due(&mut tx, event, at(300), Some(Kind::Invitation)).await.unwrap(), Some(at(500)));
            assert_eq!(next_due(&mut tx, event, at(300), Some(Kind::NewCode)).await.unwrap(), None);
            tx.execute("UPDATE sends SET kind = 'new_code'", []).await.unwrap();
            assert_eq!(next_due(&mut tx, event, at(300), Some(Kind::NewCode)).await.unwrap(), Some(at(500)));
            assert_eq!(lock(&mut tx, queued.id).await.unwrap().unwrap().state, State::Queued);
            forget(&mut tx, invitation).await.unwrap();
            let gone = lock(&mut tx, queued.id).await.unwrap().unwrap();
            assert_eq!((gone.state, gone.payload), (State::Suppressed, None));
            tx.commit().await.unwrap();
            assert_eq!(spent(&db, event).await.unwrap(), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn turns_come_at_the_rate_and_a_pause_is_not_caught_up_with() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let second = Duration::from_secs(1);
            let mut tx = db.write().await.unwrap();
            assert_eq!(take_turn(&mut tx, event, at(0), second).await.unwrap(), None, "nothing to send");
            wake(&mut tx, event, at(0)).await.unwrap();
            let mut taken = Vec::new();
            for now in [0, 1, 999, 1_100, 1_999, 2_000, 9_000, 9_500, 10_000] {
                if take_turn(&mut tx, event, at(now), second).await.unwrap().is_some() {
                    taken.push(now);
                }
            }
            assert_eq!(taken, [0, 1_100, 2_000, 9_000, 10_000]);
            slow_down(&mut tx, event, at(60_000)).await.unwrap();
            assert_eq!(take_turn(&mut tx, event, at(59_999), second).await.unwrap(), None);
            assert!(take_turn(&mut tx, event, at(60_000), second).await.unwrap().is_some());
            rest(&mut tx, event, at(60_000), Some(at(70_000))).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(awake(&db, at(69_999)).await.unwrap(), []);
            assert_eq!(awake(&db, at(70_000)).await.unwrap(), [event]);
            assert_eq!(next_wake(&db).await.unwrap(), Some(at(70_000)));
        })
        .await;
    }

    #[tokio::test]
    async fn a_single_message_needs_no_send() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let invitation = sample::invitation(&db, event).await.id;
            let new = NewSingle {
                id: MessageId::new(sample::uuid()),
                event,
                invitation: Some(invitation),
                channel: Channel::Email,
                kind: Kind::Direct,
                payload: vec![7],
            };
            let mut tx = db.write().await.unwrap();
            insert_single(&mut tx, &new, at(3)).await.unwrap();
            let twice = NewSingle { id: MessageId::new(sample::uuid()), ..new.clone() };
            insert_single(&mut tx, &twice, at(3)).await.unwrap();
            let next = next_single(&mut tx, event, at(3)).await.unwrap().unwrap();
            assert_eq!((next.id, next.payload.clone(), next.send), (new.id, Some(vec![7]), None));
            assert!(!has_twin(&mut tx, &next, 0).await.unwrap(), "single acts have no twins");
            hold(&mut tx, next.id, "x").await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(next_wake(&db).await.unwrap(), Some(at(3)));
        })
        .await;
    }
}
