//! Lists of invitees that come in: where each one stands, and what was wrong with its lines.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::id::{EventId, ImportId};

use super::{Db, DbError, Many, Row, Tx, before};

/// Lines with errors that are kept; beyond them they are counted.
pub const ERRORS_KEPT: u64 = 10_000;

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The name of the row.
    pub id: ImportId,
    /// To what it invites.
    pub event: EventId,
    /// Where it stands.
    pub state: State,
    /// What the file was called.
    pub name: String,
    /// Bytes of text.
    pub bytes: u64,
    /// When it arrived.
    pub created_at: Time,
    /// When an organiser said start.
    pub started_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// What the file is sealed with, sealed by the vault; taken away with the file.
    pub file_key: Option<Vec<u8>>,
    /// JSON: how the file is written.
    pub shape: String,
    /// JSON: what an organiser chose.
    pub settings: String,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed: a stable name.
    pub failure: Option<String>,
}

/// Where a list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for an organiser.
    Uploaded,
    /// It is being read.
    Running,
    /// It was read to its end.
    Done,
    /// It cannot be read on.
    Failed,
    /// An organiser stopped it, or nobody ever started it.
    Cancelled,
}

impl State {
    const ALL: [Self; 5] = [Self::Uploaded, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// `uploaded`, `running` …: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
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

/// How far a list was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of text that are done.
    pub position: u64,
    /// The line that comes next, counted from 1; 0 before anything was read.
    pub line: u64,
    /// Rows read.
    pub rows: u64,
    /// People invited.
    pub created: u64,
    /// Rows about people who were invited already.
    pub merged: u64,
    /// Lines with errors.
    pub errors: u64,
}

/// What was wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted within the list, from 1.
    pub number: u64,
    /// The line, counted from 1.
    pub line: u64,
    /// The field, or nothing.
    pub field: String,
    /// A stable name.
    pub problem: String,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, event_id, state, name, bytes, created_at, started_at, ended_at, file_key, shape, settings, position,
                 line, rows_done, created, merged, errors, failure FROM imports ",
            $rest
        )
    };
}

fn import(row: &Row) -> Result<Import, DbError> {
    Ok(Import {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        state: row.known("state", State::from_name)?,
        name: row.text("name")?,
        bytes: row.count("bytes")?,
        created_at: row.time("created_at")?,
        started_at: row.time_maybe("started_at")?,
        ended_at: row.time_maybe("ended_at")?,
        file_key: row.bytes_maybe("file_key")?,
        shape: row.text("shape")?,
        settings: row.text("settings")?,
        progress: Progress {
            position: row.count("position")?,
            line: row.count("line")?,
            rows: row.count("rows_done")?,
            created: row.count("created")?,
            merged: row.count("merged")?,
            errors: row.count("errors")?,
        },
        failure: row.text_maybe("failure")?,
    })
}

/// Adds a list that arrived.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(tx: &mut Tx, _: &Allowed<Organise>, import: &Import) -> Result<(), DbError> {
    let sql =
        "INSERT INTO imports (id, event_id, state, name, bytes, created_at, file_key, shape, settings, position, line)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let args = [
        import.id.into(),
        import.event.into(),
        import.state.as_str().into(),
        import.name.as_str().into(),
        import.bytes.into(),
        import.created_at.into(),
        import.file_key.clone().into(),
        import.shape.as_str().into(),
        import.settings.as_str().into(),
        import.progress.position.into(),
        import.progress.line.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// One list of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: ImportId) -> Result<Option<Import>, DbError> {
    let row = db.one(select!("WHERE id = $1 AND event_id = $2"), [id.into(), event.into()]).await?;
    row.as_ref().map(import).transpose()
}

/// The lists of `event`, newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(db: &Db, event: EventId, cursor: Option<ImportId>, limit: u32) -> Result<Vec<Import>, DbError> {
    let sql = select!("WHERE event_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = db.all(sql, [event.into(), before(cursor, ImportId::new).into(), limit.into()]).await?;
    rows.iter().map(import).collect()
}

/// Lists of `event` that wait or are being read.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn open(db: &Db, event: EventId) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) AS open FROM imports WHERE event_id = $1 AND state IN ('uploaded', 'running')";
    db.one(sql, [event.into()]).await?.map_or(Ok(0), |row| row.count("open"))
}

/// The oldest list that is to be read.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn running(db: &Db) -> Result<Option<Import>, DbError> {
    let row = db.one(select!("WHERE state = 'running' ORDER BY id LIMIT 1"), []).await?;
    row.as_ref().map(import).transpose()
}

/// Lists that arrived before `then` and that nobody started; a few of them.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn forgotten(db: &Db, then: Time) -> Result<Vec<Import>, DbError> {
    let rows = db.all(select!("WHERE state = 'uploaded' AND created_at < $1 LIMIT 20"), [then.into()]).await?;
    rows.iter().map(import).collect()
}

/// Whether there is a list called `id` whose file is still needed.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn needs_file(db: &Db, id: ImportId) -> Result<bool, DbError> {
    let sql = "SELECT 1 AS one FROM imports WHERE id = $1 AND file_key IS NOT NULL";
    Ok(db.one(sql, [id.into()]).await?.is_some())
}

/// Begins to read a list; says whether there was one to begin.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn start(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    id: ImportId,
    settings: &str,
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE imports SET state = 'running', settings = $1, started_at = $2
               WHERE id = $3 AND event_id = $4 AND state = 'uploaded'";
    Ok(tx.execute(sql, [settings.into(), now.into(), id.into(), allowed.event.into()]).await? > 0)
}

/// Goes on from `position` to `progress`; says whether the list is still read from there. Locks its row: whatever else
/// is in the transaction happens once.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn progress(tx: &mut Tx, id: ImportId, position: u64, progress: &Progress) -> Result<bool, DbError> {
    let sql = "UPDATE imports SET position = $1, line = $2, rows_done = $3, errors = $4
               WHERE id = $5 AND state = 'running' AND position = $6";
    let args = [
        progress.position.into(),
        progress.line.into(),
        progress.rows.into(),
        progress.errors.into(),
        id.into(),
        position.into(),
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

/// Counts the people of a batch.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(tx: &mut Tx, id: ImportId, created: u32, merged: u32) -> Result<(), DbError> {
    let sql = "UPDATE imports SET created = created + $1, merged = merged + $2 WHERE id = $3";
    tx.execute(sql, [created.into(), merged.into(), id.into()]).await.map(|_| ())
}

/// People invited, and rows about people who were invited already, as the transaction sees them.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn taken(tx: &mut Tx, id: ImportId) -> Result<(u32, u32), DbError> {
    let row = tx.one("SELECT created, merged FROM imports WHERE id = $1", [id.into()]).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.small("created")?, row.small("merged")?)))
}

/// Ends a list, whatever is left of it; says whether it was still open. The key of its file is taken away.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn end(
    tx: &mut Tx,
    id: ImportId,
    state: State,
    failure: Option<&'static str>,
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE imports SET state = $1, failure = $2, ended_at = $3, file_key = NULL
               WHERE id = $4 AND state IN ('uploaded', 'running')";
    Ok(tx.execute(sql, [state.as_str().into(), failure.into(), now.into(), id.into()]).await? > 0)
}

static ERRORS: Many = Many::new("INSERT INTO import_errors (import_id, number, line, field, problem) VALUES ", 5, "");

/// Keeps what was wrong with lines.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn add_errors(tx: &mut Tx, id: ImportId, errors: &[LineError]) -> Result<(), DbError> {
    let rows = errors.iter().map(|error| {
        vec![
            id.into(),
            error.number.into(),
            error.line.into(),
            error.field.as_str().into(),
            error.problem.as_str().into(),
        ]
    });
    tx.many(&ERRORS, rows.collect()).await
}

/// What was wrong with lines, in their order, behind the error called `after`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn errors(db: &Db, id: ImportId, after: u64, limit: u32) -> Result<Vec<LineError>, DbError> {
    let sql = "SELECT number, line, field, problem FROM import_errors WHERE import_id = $1 AND number > $2
               ORDER BY number LIMIT $3";
    let rows = db.all(sql, [id.into(), after.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(LineError {
                number: row.count("number")?,
                line: row.count("line")?,
                field: row.text("field")?,
                problem: row.text("problem")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::testing::{both, proof, sample};
    use super::*;

    fn new(event: EventId) -> Import {
        Import {
            id: ImportId::new(sample::uuid()),
            event,
            state: State::Uploaded,
            name: "guests.csv".into(),
            bytes: 1_000,
            created_at: Time::from_millis(5),
            started_at: None,
            ended_at: None,
            file_key: Some(vec![1]),
            shape: "{}".into(),
            settings: "{}".into(),
            progress: Progress::default(),
            failure: None,
        }
    }

    #[tokio::test]
    async fn a_list_is_begun_once_and_goes_on_only_from_where_it_is() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = new(event.id);
            let organise = proof::organise(event.id);
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &organise, &made).await.unwrap();
            assert!(
                !start(&mut tx, &proof::organise(sample::event_id()), made.id, "{}", Time::from_millis(6))
                    .await
                    .unwrap()
            );
            tx.commit().await.unwrap();
            assert_eq!(get(&db, event.id, made.id).await.unwrap(), Some(made.clone()));
            assert_eq!(get(&db, sample::event_id(), made.id).await.unwrap(), None);
            assert_eq!(running(&db).await.unwrap(), None);
            assert_eq!(forgotten(&db, Time::from_millis(5)).await.unwrap(), []);
            assert_eq!(forgotten(&db, Time::from_millis(6)).await.unwrap().len(), 1);
            assert_eq!(open(&db, event.id).await.unwrap(), 1);

            let mut tx = db.write().await.unwrap();
            assert!(start(&mut tx, &organise, made.id, "{\"a\":1}", Time::from_millis(6)).await.unwrap());
            assert!(!start(&mut tx, &organise, made.id, "{}", Time::from_millis(7)).await.unwrap());
            let step = Progress { position: 10, line: 2, rows: 1, errors: 1, ..Progress::default() };
            assert!(progress(&mut tx, made.id, 0, &step).await.unwrap());
            assert!(!progress(&mut tx, made.id, 0, &step).await.unwrap(), "somebody else did it");
            count(&mut tx, made.id, 3, 4).await.unwrap();
            tx.commit().await.unwrap();
            let now = running(&db).await.unwrap().unwrap();
            assert_eq!(now.progress, Progress { created: 3, merged: 4, ..step });
            assert_eq!(now.settings, "{\"a\":1}");

            let mut tx = db.write().await.unwrap();
            assert!(end(&mut tx, made.id, State::Failed, Some("damaged"), Time::from_millis(9)).await.unwrap());
            assert!(!end(&mut tx, made.id, State::Done, None, Time::from_millis(9)).await.unwrap());
            tx.commit().await.unwrap();
            let now = get(&db, event.id, made.id).await.unwrap().unwrap();
            assert_eq!((now.state, now.file_key, now.failure.as_deref()), (State::Failed, None, Some("damaged")));
            assert!(!needs_file(&db, made.id).await.unwrap());
            assert_eq!(list(&db, event.id, None, 9).await.unwrap().len(), 1);
            assert_eq!(list(&db, event.id, Some(ImportId::new(Uuid::nil())), 9).await.unwrap(), []);
        })
        .await;
    }

    #[tokio::test]
    async fn a_hundred_and_twenty_errors_come_back_in_their_order() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = new(event.id);
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &proof::organise(event.id), &made).await.unwrap();
            let all: Vec<_> = (1..=120)
                .map(|number| LineError {
                    number,
                    line: number * 2,
                    field: "phone".into(),
                    problem: "invalid_phone".into(),
                })
                .collect();
            add_errors(&mut tx, made.id, &all).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(errors(&db, made.id, 0, 500).await.unwrap(), all);
            assert_eq!(errors(&db, made.id, 100, 5).await.unwrap(), all[100..105]);
        })
        .await;
    }
}
