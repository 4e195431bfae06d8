//! The database: SQLite or PostgreSQL behind one SQL text.
//!
//! A file per table holds its row type, its queries and their tests, which run on both databases. Queries use `$1`
//! arguments, TEXT ids, BIGINT milliseconds, BOOLEAN and BYTEA, and nothing that only one of the two understands.
//!
//! Reads go through [`Db`], writes through a [`Tx`]. On SQLite there is one writing connection, and its transactions
//! begin immediately, so a read inside one cannot be overtaken; PostgreSQL runs at READ COMMITTED, so a transaction that
//! must not be overtaken begins with an `UPDATE` of the row it is about. Durability on SQLite is that of WAL with
//! `synchronous = NORMAL`: nothing is lost when the process dies; the last moments may be when the power does.
//!
//! # The order of rows
//!
//! Whoever holds several rows takes them in one order, so that no two transactions wait for each other for ever:
//!
//! 1. what is worked off in steps: an import, an order for new codes;
//! 2. the event ([`events::lock`]): whoever will hold more than one invitation of it, or more than one session;
//! 3. its pace ([`messages::wake`], [`messages::take_turn`]): whoever will write to it later;
//! 4. an order to send;
//! 5. invitations ([`invitations::lock`], [`sessions::hold_invitation`]);
//! 6. the session of an invitation, then the question about its code, then messages to its person;
//! 7. what is only added, and incidents.
//!
//! Of the rows of one event, whoever holds the event may take several of one kind in any order. Only the deletion of an
//! event takes everything at once: a transaction that PostgreSQL ends because of it is told
//! [`DbError::Unavailable`], and is true or not as a whole.

mod value;

pub mod admission;
pub mod api_tokens;
pub mod broadcasts;
pub mod browsers;
pub mod concurrency;
pub mod content_keys;
pub mod deliveries;
pub mod events;
pub mod factors;
pub mod facts;
pub mod fold;
pub mod imports;
pub mod incidents;
pub mod invitation_tags;
pub mod invitations;
pub mod log;
pub mod message_templates;
pub mod messages;
pub mod names;
pub mod opt_outs;
pub mod personal;
pub mod renewals;
pub mod sealed;
pub mod segments;
pub mod selection;
pub mod sends;
pub mod sessions;
pub mod settings;
pub mod stream_keys;
pub mod streams;
pub mod takeovers;
pub mod teams;
pub mod users;
pub mod webhooks;

#[cfg(test)]
pub(crate) mod testing;

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

pub use value::{Row, Value};

/// How long a query may wait for a connection before the caller is told that the database is not available.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Reading connections on SQLite: each is a thread; more than the cores of a small machine only queue elsewhere.
const SQLITE_READERS: u32 = 4;
/// Pages of 4 KiB that the writing connection of SQLite holds, as a negative number of KiB: those that a list of a hundred
/// thousand people writes into again and again.
const SQLITE_CACHE_KIB: &str = "-8192";
/// Pages of the write-ahead log after which it is written home: 64 MiB, in which the same page is found many times over.
const SQLITE_CHECKPOINT_PAGES: &str = "16384";
/// Connections to PostgreSQL: far below its default limit of 100, for several processes and an operator's own.
const POSTGRES_CONNECTIONS: u32 = 16;

/// The statements that bring an empty or older database to the present form, in order. Never change one that was
/// released: its checksum is compared.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../../migrations/0001_first.sql")),
    (2, "invitation only", include_str!("../../../migrations/0002_invitation_only.sql")),
    (3, "invitations", include_str!("../../../migrations/0003_invitations.sql")),
    (4, "messages", include_str!("../../../migrations/0004_messages.sql")),
    (5, "takeovers", include_str!("../../../migrations/0005_takeovers.sql")),
    (6, "accounts", include_str!("../../../migrations/0006_accounts.sql")),
    (8, "room", include_str!("../../../migrations/0008_room.sql")),
    (9, "admission", include_str!("../../../migrations/0009_admission.sql")),
    (10, "people", include_str!("../../../migrations/0010_people.sql")),
    (14, "renewals", include_str!("../../../migrations/0014_renewals.sql")),
    (16, "counted", include_str!("../../../migrations/0016_counted.sql")),
    (17, "content keys", include_str!("../../../migrations/0017_content_keys.sql")),
    (19, "publishing", include_str!("../../../migrations/0019_publishing.sql")),
    (20, "held", include_str!("../../../migrations/0020_held.sql")),
    (21, "selections", include_str!("../../../migrations/0021_selections.sql")),
];

/// The migration with a part for each database: triggers have no common language.
const LOG: (i64, &str) = (7, "log");
const LOG_SQLITE: &str =
    concat!(include_str!("../../../migrations/0007_log.sql"), include_str!("../../../migrations/0007_log_sqlite.sql"));
const LOG_POSTGRES: &str = concat!(
    include_str!("../../../migrations/0007_log.sql"),
    include_str!("../../../migrations/0007_log_postgres.sql")
);

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The URL is none that we understand.
    #[error("database.url must begin with sqlite:// or postgres://")]
    Url,
    /// It cannot be reached, or all connections are busy. Trying again later may work.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A row with this unique value exists already.
    #[error("the row exists already")]
    Exists,
    /// What the row belongs to does not exist any more.
    #[error("the row's owner is gone")]
    Gone,
    /// A statement failed: a bug, or a database that somebody else changed.
    #[error("a database statement failed")]
    Failed(#[source] sqlx::Error),
    /// A stored value does not mean what it should.
    #[error("column {0} holds a value that makes no sense")]
    Corrupt(String),
    /// The tables could not be brought to the present form.
    #[error("the database could not be migrated")]
    Migrate(#[source] MigrateError),
}

impl DbError {
    /// It may answer, but not in the time that there is.
    #[must_use]
    pub fn late() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(database) if database.is_unique_violation() => Self::Exists,
            E::Database(database) if database.is_foreign_key_violation() => Self::Gone,
            E::Database(database) if passes(&**database) => Self::Unavailable(error),
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

/// Whether what the database says may be otherwise in a moment.
fn passes(error: &(dyn DatabaseError + 'static)) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        // The line broke (08), nothing is left to work with (53), somebody stopped or is starting it (57P), its disk
        // failed (58), it is a standby (25006), or two waited for each other and one had to give way (40).
        let passing = ["08", "40", "53", "57P", "58"];
        return passing.iter().any(|class| code.starts_with(class)) || code == "25006";
    }
    // SQLite: busy or locked for longer than the busy timeout, or a disk that is full or gone.
    matches!(code.parse::<i32>().unwrap_or(0) & 0xff, 5 | 6 | 10 | 13 | 14)
}

/// A pool of connections; cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// A file.
    Sqlite {
        /// Connections that only read.
        readers: SqlitePool,
        /// The one connection that writes.
        writer: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

/// A transaction. Dropped without [`commit`](Self::commit), it never happened.
#[derive(Debug)]
pub enum Tx {
    /// On the one writing connection.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// At READ COMMITTED.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Runs one query on whichever executor, with the arguments bound for whichever database.
macro_rules! run {
    ($kind:ident, $executor:expr, $sql:expr, $args:expr, $how:ident) => {
        run!(kept = true, $kind, $executor, $sql, $args, $how)
    };
    (kept = $kept:literal, $kind:ident, $executor:expr, $sql:expr, $args:expr, $how:ident) => {{
        let mut query = sqlx::query::<sqlx::$kind>($sql).persistent($kept);
        for value in $args {
            query = match value {
                Value::Text(value) => query.bind(value),
                Value::Int(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query.$how($executor).await
    }};
}

impl Db {
    /// Opens `url` (`sqlite://PATH` or `postgres://…`) and brings its tables to the present form. A SQLite file is made
    /// when there is none.
    ///
    /// # Errors
    ///
    /// [`DbError::Url`], [`DbError::Unavailable`] and [`DbError::Migrate`].
    pub async fn open(url: &str) -> Result<Self, DbError> {
        let db = if let Some(path) = url.strip_prefix("sqlite://") {
            Self::open_sqlite(Path::new(path)).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|_| DbError::Url)?;
            let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE);
            Self::Postgres(pool.connect_with(options).await?)
        } else {
            return Err(DbError::Url);
        };
        db.migrate().await?;
        fold::refold(&db).await?;
        Ok(db)
    }

    async fn open_sqlite(path: &Path) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(ACQUIRE)
            .foreign_keys(true)
            // What is deleted is overwritten with zeros: who is erased must not be left in unused pages.
            .pragma("secure_delete", "ON");
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
        let writing = options
            .clone()
            .pragma("cache_size", SQLITE_CACHE_KIB)
            .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT_PAGES);
        let writer = pool(1).connect_with(writing).await?;
        let readers = pool(SQLITE_READERS).connect_with(options.pragma("query_only", "ON")).await?;
        Ok(Self::Sqlite { readers, writer })
    }

    async fn migrate(&self) -> Result<(), DbError> {
        let log = match self {
            Self::Sqlite { .. } => LOG_SQLITE,
            Self::Postgres(_) => LOG_POSTGRES,
        };
        let mut migrations: Vec<_> = MIGRATIONS.iter().copied().chain([(LOG.0, LOG.1, log)]).collect();
        migrations.sort_unstable_by_key(|(version, _, _)| *version);
        let migrations = migrations.into_iter().map(|(version, name, sql)| {
            let text = sqlx::SqlStr::from_static(sql);
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text, false)
        });
        let migrator = Migrator::with_migrations(migrations.collect());
        match self {
            Self::Sqlite { writer, .. } => migrator.run(writer).await,
            Self::Postgres(pool) => migrator.run(pool).await,
        }
        .map_err(DbError::Migrate)
    }

    /// All rows of a reading query. The query bounds their number.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn all(&self, sql: &'static str, args: impl IntoIterator<Item = Value>) -> Result<Vec<Row>, DbError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                run!(Sqlite, readers, sql, args, fetch_all)?.into_iter().map(Row::from).collect()
            }
            Self::Postgres(pool) => run!(Postgres, pool, sql, args, fetch_all)?.into_iter().map(Row::from).collect(),
        })
    }

    /// As [`all`](Self::all), for a question whose best way depends on its arguments: PostgreSQL plans it for them every time,
    /// where it would otherwise settle for one plan that knows none of them.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn all_planned(
        &self,
        sql: &'static str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite { .. } => self.all(sql, args).await,
            Self::Postgres(pool) => {
                let rows = run!(kept = false, Postgres, pool, sql, args, fetch_all)?;
                Ok(rows.into_iter().map(Row::from).collect())
            }
        }
    }

    /// The only row of a reading query, if there is one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn one(&self, sql: &'static str, args: impl IntoIterator<Item = Value>) -> Result<Option<Row>, DbError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => run!(Sqlite, readers, sql, args, fetch_optional)?.map(Row::from),
            Self::Postgres(pool) => run!(Postgres, pool, sql, args, fetch_optional)?.map(Row::from),
        })
    }

    /// Begins a writing transaction; on SQLite it waits for its turn.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] when none can begin within five seconds.
    pub async fn write(&self) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.one("SELECT 1 AS one", []).await.map(|_| ())
    }

    /// Takes away what was deleted where it may still be read beside the tables: SQLite's write-ahead log is written home and
    /// emptied. Says whether it is gone; while somebody reads, it is not. PostgreSQL does it in its own time.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn scrub(&self) -> Result<bool, DbError> {
        let Self::Sqlite { writer, .. } = self else { return Ok(true) };
        let mut connection = writer.acquire().await?;
        // Nobody who wants to write waits long for one who reads.
        sqlx::query("PRAGMA busy_timeout = 100").execute(&mut *connection).await?;
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        let patience = format!("PRAGMA busy_timeout = {}", ACQUIRE.as_millis());
        sqlx::query(sqlx::AssertSqlSafe(patience)).execute(&mut *connection).await?;
        Ok(Row::from(emptied?).int("busy")? == 0)
    }

    /// Closes all connections after their running statement.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Runs a statement and says how many rows it touched.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] for a unique value that is taken; any other [`DbError`] of a statement.
    pub async fn execute(&mut self, sql: &'static str, args: impl IntoIterator<Item = Value>) -> Result<u64, DbError> {
        Ok(match self {
            Self::Sqlite(tx) => run!(Sqlite, &mut **tx, sql, args, execute)?.rows_affected(),
            Self::Postgres(tx) => run!(Postgres, &mut **tx, sql, args, execute)?.rows_affected(),
        })
    }

    /// All rows of a query inside this transaction; also of a statement with `RETURNING`.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub async fn all(&mut self, sql: &'static str, args: impl IntoIterator<Item = Value>) -> Result<Vec<Row>, DbError> {
        Ok(match self {
            Self::Sqlite(tx) => run!(Sqlite, &mut **tx, sql, args, fetch_all)?.into_iter().map(Row::from).collect(),
            Self::Postgres(tx) => run!(Postgres, &mut **tx, sql, args, fetch_all)?.into_iter().map(Row::from).collect(),
        })
    }

    /// The only row of a query inside this transaction; also of a statement with `RETURNING`.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub async fn one(
        &mut self,
        sql: &'static str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, DbError> {
        Ok(match self {
            Self::Sqlite(tx) => run!(Sqlite, &mut **tx, sql, args, fetch_optional)?.map(Row::from),
            Self::Postgres(tx) => run!(Postgres, &mut **tx, sql, args, fetch_optional)?.map(Row::from),
        })
    }

    /// Makes it true.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Rows that [`Tx::many`] writes with one statement.
const MANY: usize = 50;

/// A statement with a list of rows in it: `INSERT INTO t (a, b) VALUES ` and so many `($1, $2)`, then the rest, which has no
/// arguments.
#[derive(Debug)]
pub struct Many {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    /// For one row, and for [`MANY`] on either database: few texts, so that the database prepares each once.
    texts: [OnceLock<String>; 3],
}

impl Many {
    /// A statement whose rows have `columns` arguments each.
    #[must_use]
    pub const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [OnceLock::new(), OnceLock::new(), OnceLock::new()] }
    }

    fn one(&'static self) -> &'static str {
        self.texts[0].get_or_init(|| self.text(1, |at| format!("${at}")))
    }

    /// SQLite is given arguments without names: for each one with a name it looks through all of them.
    fn many(&'static self, tx: &Tx) -> &'static str {
        match tx {
            Tx::Sqlite(_) => self.texts[1].get_or_init(|| self.text(MANY, |_| "?".to_owned())),
            Tx::Postgres(_) => self.texts[2].get_or_init(|| self.text(MANY, |at| format!("${at}"))),
        }
    }

    fn text(&self, rows: usize, argument: impl Fn(usize) -> String) -> String {
        let row = |at: usize| {
            let args: Vec<_> = (1..=self.columns).map(|column| argument(at * self.columns + column)).collect();
            format!("({})", args.join(", "))
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        format!("{}{}{}", self.head, rows.join(", "), self.tail)
    }
}

impl Tx {
    /// Runs a statement for all rows, many of them at a time.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    pub async fn many(&mut self, many: &'static Many, rows: Vec<Vec<Value>>) -> Result<(), DbError> {
        let mut rows = rows.into_iter();
        while rows.len() >= MANY {
            let args: Vec<_> = rows.by_ref().take(MANY).flatten().collect();
            self.execute(many.many(self), args).await?;
        }
        for row in rows {
            self.execute(many.one(), row).await?;
        }
        Ok(())
    }
}

/// Where a page that goes from new to old begins: below the last id of the page before, or at the top.
fn before<I>(cursor: Option<I>, id: impl FnOnce(uuid::Uuid) -> I) -> I {
    cursor.unwrap_or_else(|| id(uuid::Uuid::max()))
}

#[cfg(test)]
mod tests {
    use stagedoor_testkit::database::Scratch;

    use super::testing::{both, values};
    use super::*;

    #[tokio::test]
    async fn values_survive_the_database() {
        both(async |db| {
            let mut tx = db.write().await.unwrap();
            tx.execute("INSERT INTO settings (name, value) VALUES ($1, $2)", ["a".into(), "ä\u{1f600}".into()])
                .await
                .unwrap();
            tx.commit().await.unwrap();
            let row = db.one("SELECT value FROM settings WHERE name = $1", ["a".into()]).await.unwrap().unwrap();
            assert_eq!(row.text("value").unwrap(), "ä\u{1f600}");
            values(&db).await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_dropped_transaction_never_happened_and_the_next_one_can_begin() {
        both(async |db| {
            for _ in 0..20 {
                let mut tx = db.write().await.unwrap();
                tx.execute("INSERT INTO settings (name, value) VALUES ($1, $2)", ["a".into(), "1".into()])
                    .await
                    .unwrap();
                drop(tx);
            }
            assert!(db.one("SELECT value FROM settings WHERE name = 'a'", []).await.unwrap().is_none());
        })
        .await;
    }

    #[tokio::test]
    async fn a_taken_unique_value_is_told_apart_from_a_failure() {
        both(async |db| {
            let insert = "INSERT INTO settings (name, value) VALUES ($1, $2)";
            let mut tx = db.write().await.unwrap();
            tx.execute(insert, ["a".into(), "1".into()]).await.unwrap();
            assert!(matches!(tx.execute(insert, ["a".into(), "2".into()]).await, Err(DbError::Exists)));
            drop(tx);
            let orphan =
                "INSERT INTO streams (id, event_id, next_msn, next_discontinuity, next_init) VALUES ($1, $1, 0, 0, 0)";
            let mut tx = db.write().await.unwrap();
            assert!(matches!(tx.execute(orphan, ["x".into()]).await, Err(DbError::Gone)));
            drop(tx);
            assert!(matches!(db.one("SELECT nonsense FROM settings", []).await, Err(DbError::Failed(_))));
        })
        .await;
    }

    /// Only SQLite has no such moments: it has one writer, and nobody stops it but us.
    #[tokio::test]
    async fn a_postgresql_that_is_stopped_or_lets_another_go_first_is_unavailable_and_not_broken() {
        let scratch = Scratch::postgres().await;
        let db = Db::open(scratch.url()).await.unwrap();
        let insert = "INSERT INTO settings (name, value) VALUES ($1, $1)";
        let mut tx = db.write().await.unwrap();
        for name in ["a", "b"] {
            tx.execute(insert, [name.into()]).await.unwrap();
        }
        tx.commit().await.unwrap();

        let mut tx = db.write().await.unwrap();
        let pid =
            tx.one("SELECT CAST(pg_backend_pid() AS BIGINT) AS pid", []).await.unwrap().unwrap().int("pid").unwrap();
        db.one("SELECT pg_terminate_backend(CAST($1 AS INTEGER), 5000) AS gone", [pid.into()]).await.unwrap();
        let error = tx.execute(insert, ["c".into()]).await.unwrap_err();
        assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
        drop(tx);

        let update = "UPDATE settings SET value = 'x' WHERE name = $1";
        let (mut one, mut other) = (db.write().await.unwrap(), db.write().await.unwrap());
        one.execute(update, ["a".into()]).await.unwrap();
        other.execute(update, ["b".into()]).await.unwrap();
        let (first, second) =
            tokio::join!(async { one.execute(update, ["b".into()]).await.map(|_| drop(one)) }, async {
                other.execute(update, ["a".into()]).await.map(|_| drop(other))
            },);
        let lost = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(matches!(lost[..], [DbError::Unavailable(_)]), "{lost:?}");

        let error = db.one("SELECT $1 AS text", ["\0".into()]).await.unwrap_err();
        assert!(matches!(error, DbError::Failed(_)), "what is wrong stays wrong: {error:?}");
        db.close().await;
        scratch.remove().await;
    }

    #[tokio::test]
    async fn a_url_of_another_kind_is_refused() {
        for url in ["", "mysql://x", "stagedoor.db", "postgres:/x"] {
            assert!(matches!(Db::open(url).await, Err(DbError::Url)), "{url}");
        }
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_unavailable() {
        let error = Db::open("postgres://nobody@127.0.0.1:1/none").await.unwrap_err();
        assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
        let error = Db::open("sqlite:///nonexistent/folder/x.db").await.unwrap_err();
        assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    }
}
