//! Orders for new codes on many people: who is meant was written down when it was ordered, in steps, so that nobody slips
//! in or out of a filter while they are carried out.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::id::{EventId, InvitationId, RenewalId, SendId};
use uuid::Uuid;

use super::{Db, DbError, Many, Row, Tx, before};

/// Orders that are looked at in one turn.
const LOOK: u32 = 100;
/// Bytes of an id.
const ID_BYTES: usize = 16;

/// An order for new codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The name of the row.
    pub id: RenewalId,
    /// Whose invitees.
    pub event: EventId,
    /// Where it stands.
    pub state: State,
    /// Who ordered it, as the log names them.
    pub actor: String,
    /// The order that tells people.
    pub send: Option<SendId>,
    /// What those who are watching read.
    pub words: Option<String>,
    /// People who were meant when it was ordered.
    pub total: u64,
    /// In how many steps they get their codes.
    pub steps: u64,
    /// The step that comes next, counted from 0.
    pub step: u64,
    /// People whose turn it was.
    pub seen: u64,
    /// Those of them who have another code now.
    pub changed: u64,
    /// Sessions on old codes.
    pub sessions_ended: u64,
    /// When it was ordered.
    pub created_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
}

/// Where an order for new codes stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// People get their codes step by step.
    Running,
    /// Everybody has theirs.
    Done,
    /// It could not go on; who has no new code keeps the old one.
    Failed,
    /// Called off; who has no new code keeps the old one.
    Cancelled,
}

impl State {
    const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// `running`, `done` …: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// People whose turn it was.
    pub seen: u64,
    /// Those of them who have another code now.
    pub changed: u64,
    /// Sessions on old codes.
    pub sessions_ended: u64,
}

macro_rules! columns {
    () => {
        "id, event_id, state, actor, send_id, words, total, steps, step, seen, changed, sessions_ended, created_at, ended_at"
    };
}

fn renewal(row: &Row) -> Result<Renewal, DbError> {
    Ok(Renewal {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        state: row.known("state", State::from_name)?,
        actor: row.text("actor")?,
        send: row.parse_maybe("send_id")?,
        words: row.text_maybe("words")?,
        total: row.count("total")?,
        steps: row.count("steps")?,
        step: row.count("step")?,
        seen: row.count("seen")?,
        changed: row.count("changed")?,
        sessions_ended: row.count("sessions_ended")?,
        created_at: row.time("created_at")?,
        ended_at: row.time_maybe("ended_at")?,
    })
}

static STEPS: Many = Many::new("INSERT INTO renewal_steps (renewal_id, number, people) VALUES ", 3, "");

/// Adds a running order, with whose turn it is when.
///
/// # Errors
///
/// [`DbError::Exists`] while another one of the event is running: the database keeps that promise by itself.
pub async fn insert(
    tx: &mut Tx,
    _: &Allowed<Organise>,
    new: &Renewal,
    steps: impl Iterator<Item = &[InvitationId]>,
) -> Result<(), DbError> {
    let sql = concat!(
        "INSERT INTO renewals (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    let args = [
        new.id.into(),
        new.event.into(),
        new.state.as_str().into(),
        new.actor.as_str().into(),
        new.send.into(),
        new.words.as_deref().into(),
        new.total.into(),
        new.steps.into(),
        new.step.into(),
        new.seen.into(),
        new.changed.into(),
        new.sessions_ended.into(),
        new.created_at.into(),
        new.ended_at.into(),
    ];
    tx.execute(sql, args).await?;
    let rows = (0_u64..).zip(steps).map(|(number, people)| {
        let people: Vec<u8> = people.iter().flat_map(|id| id.uuid().into_bytes()).collect();
        vec![new.id.into(), number.into(), people.into()]
    });
    tx.many(&STEPS, rows.collect()).await
}

/// One order of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: RenewalId) -> Result<Option<Renewal>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM renewals WHERE id = $1 AND event_id = $2");
    db.one(sql, [id.into(), event.into()]).await?.as_ref().map(renewal).transpose()
}

/// The orders of `event`, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, event: EventId, cursor: Option<RenewalId>, limit: u32) -> Result<Vec<Renewal>, DbError> {
    let sql =
        concat!("SELECT ", columns!(), " FROM renewals WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = db.all(sql, [event.into(), before(cursor, RenewalId::new).into(), limit.into()]).await?;
    rows.iter().map(renewal).collect()
}

/// Orders that are to be gone on with, oldest first: as many as are looked at in one turn.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn running(db: &Db) -> Result<Vec<RenewalId>, DbError> {
    let rows = db.all("SELECT id FROM renewals WHERE state = 'running' ORDER BY id LIMIT $1", [LOOK.into()]).await?;
    rows.iter().map(|row| row.parse("id")).collect()
}

/// A running order and whose turn it is in its next step; held until the transaction ends, so that each step is done once.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn take_step(tx: &mut Tx, id: RenewalId) -> Result<Option<(Renewal, Vec<InvitationId>)>, DbError> {
    let sql = concat!("UPDATE renewals SET step = step WHERE id = $1 AND state = 'running' RETURNING ", columns!());
    let Some(row) = tx.one(sql, [id.into()]).await? else { return Ok(None) };
    let renewal = renewal(&row)?;
    let sql = "SELECT people FROM renewal_steps WHERE renewal_id = $1 AND number = $2";
    let row = tx.one(sql, [id.into(), renewal.step.into()]).await?;
    let bytes = row.map_or(Ok(Vec::new()), |row| row.bytes("people"))?;
    let people = bytes.chunks(ID_BYTES).map(|id| {
        let uuid = Uuid::from_slice(id).map_err(|_| DbError::Corrupt("people".to_owned()))?;
        Ok(InvitationId::new(uuid))
    });
    Ok(Some((renewal, people.collect::<Result<_, DbError>>()?)))
}

/// Writes down what came of the next step: the one after it is next.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn step_done(tx: &mut Tx, renewal: &Renewal, step: Step) -> Result<(), DbError> {
    let sql = "UPDATE renewals SET step = step + 1, seen = seen + $1, changed = changed + $2,
                   sessions_ended = sessions_ended + $3 WHERE id = $4";
    let Step { seen, changed, sessions_ended } = step;
    tx.execute(sql, [seen.into(), changed.into(), sessions_ended.into(), renewal.id.into()]).await?;
    let sql = "DELETE FROM renewal_steps WHERE renewal_id = $1 AND number = $2";
    tx.execute(sql, [renewal.id.into(), renewal.step.into()]).await.map(|_| ())
}

/// Ends a running order, whatever is left of it; what it was then, or `None` when it was not running.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn end(tx: &mut Tx, id: RenewalId, state: State, now: Time) -> Result<Option<Renewal>, DbError> {
    let sql = concat!(
        "UPDATE renewals SET state = $1, ended_at = $2 WHERE id = $3 AND state = 'running' RETURNING ",
        columns!()
    );
    let Some(row) = tx.one(sql, [state.as_str().into(), now.into(), id.into()]).await? else { return Ok(None) };
    tx.execute("DELETE FROM renewal_steps WHERE renewal_id = $1", [id.into()]).await?;
    renewal(&row).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::sends::{self, tests::sample_send};
    use super::super::testing::{both, proof, sample};
    use super::*;

    fn new(event: EventId, send: Option<SendId>, people: &[InvitationId]) -> Renewal {
        Renewal {
            id: RenewalId::new(sample::uuid()),
            event,
            state: State::Running,
            actor: "operator".into(),
            send,
            words: Some("See your messages.".into()),
            total: people.len() as u64,
            steps: people.len().div_ceil(2) as u64,
            step: 0,
            seen: 0,
            changed: 0,
            sessions_ended: 0,
            created_at: Time::from_millis(5),
            ended_at: None,
        }
    }

    #[tokio::test]
    async fn an_order_goes_step_by_step_and_there_is_one_at_a_time() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let (organise, at) = (proof::organise(event), Time::from_millis);
            let people: Vec<_> = (0..5).map(|_| InvitationId::new(sample::uuid())).collect();
            let send = sample_send(event);
            let made = new(event, Some(send.id), &people);
            let mut tx = db.write().await.unwrap();
            sends::insert(&mut tx, &organise, &send).await.unwrap();
            insert(&mut tx, &organise, &made, people.chunks(2)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(get(&db, event, made.id).await.unwrap(), Some(made.clone()));
            assert_eq!(get(&db, sample::event_id(), made.id).await.unwrap(), None, "of another event");
            assert_eq!(running(&db).await.unwrap(), [made.id]);
            assert_eq!(sends::unexpanded(&db).await.unwrap(), [], "its messages are made with the codes");
            let second = new(event, None, &people);
            let mut tx = db.write().await.unwrap();
            assert!(matches!(insert(&mut tx, &organise, &second, people.chunks(2)).await, Err(DbError::Exists)));
            drop(tx);

            let mut met = Vec::new();
            for _ in 0..2 {
                let mut tx = db.write().await.unwrap();
                let (now, turn) = take_step(&mut tx, made.id).await.unwrap().unwrap();
                let step = Step { seen: turn.len() as u64, changed: 1, sessions_ended: 3 };
                step_done(&mut tx, &now, step).await.unwrap();
                tx.commit().await.unwrap();
                met.extend(turn);
            }
            assert_eq!(met, people[..4]);
            let mut tx = db.write().await.unwrap();
            let (now, turn) = take_step(&mut tx, made.id).await.unwrap().unwrap();
            assert_eq!((now.step, now.seen, now.changed, now.sessions_ended, turn), (2, 4, 2, 6, vec![people[4]]));
            let ended = end(&mut tx, made.id, State::Cancelled, at(9)).await.unwrap().unwrap();
            assert_eq!((ended.state, ended.changed, ended.ended_at), (State::Cancelled, 2, Some(at(9))));
            assert_eq!(end(&mut tx, made.id, State::Done, at(9)).await.unwrap(), None, "once");
            assert_eq!(take_step(&mut tx, made.id).await.unwrap(), None);
            tx.commit().await.unwrap();
            assert_eq!(sends::unexpanded(&db).await.unwrap(), [(event, send.id)]);
            assert!(running(&db).await.unwrap().is_empty());
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &organise, &second, people.chunks(2)).await.unwrap();
            tx.commit().await.unwrap();
            let ids = |list: Vec<Renewal>| list.iter().map(|each| each.id).collect::<Vec<_>>();
            assert_eq!(ids(list(&db, event, None, 9).await.unwrap()), [second.id, made.id]);
            assert_eq!(ids(list(&db, event, Some(second.id), 9).await.unwrap()), [made.id]);
        })
        .await;
    }
}
