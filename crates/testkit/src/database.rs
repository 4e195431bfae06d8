//! Databases that live as long as a test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Where the tests find PostgreSQL; `make` sets it.
pub const POSTGRES: &str = "STAGEDOOR_TEST_POSTGRES";

/// An empty database, and the promise to take it away.
///
/// [`remove`](Self::remove) takes it away at once; a test that panics leaves that to the drop.
#[derive(Debug)]
pub struct Scratch {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Schema { server: String, name: String },
    Gone,
}

fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("stagedoor_{}_{now}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Scratch {
    /// A file in a folder of its own.
    ///
    /// # Panics
    ///
    /// When the folder cannot be made.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(fresh_name());
        std::fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        Self { url: format!("sqlite://{}", folder.join("test.db").display()), place: Place::Folder(folder) }
    }

    /// A schema of its own on the server named by [`POSTGRES`].
    ///
    /// # Panics
    ///
    /// When there is no such server: a test on both databases that ran on one would prove nothing.
    pub async fn postgres() -> Self {
        let server = std::env::var(POSTGRES).unwrap_or_else(|_| {
            panic!(
                "This test needs PostgreSQL. Run it with `make it`, or set {POSTGRES} to a database where it may create \
                 schemas, for example postgres://postgres@127.0.0.1:5432/test."
            )
        });
        let name = fresh_name();
        statement(&server, format!("CREATE SCHEMA {name}")).await;
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={name}");
        Self { url, place: Place::Schema { server, name } }
    }

    /// For `database.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes the database away.
    pub async fn remove(mut self) {
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Folder(folder) => remove_folder(&folder),
            Place::Schema { server, name } => statement(&server, format!("DROP SCHEMA {name} CASCADE")).await,
            Place::Gone => {}
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Folder(folder) => remove_folder(&folder),
            // Only a test that has already failed comes here; waiting needs a thread, because a drop cannot.
            Place::Schema { server, name } => {
                let drop = async move { statement(&server, format!("DROP SCHEMA {name} CASCADE")).await };
                let thread = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    if let Ok(runtime) = runtime {
                        runtime.block_on(drop);
                    }
                });
                let _ = thread.join();
            }
            Place::Gone => {}
        }
    }
}

fn remove_folder(folder: &std::path::Path) {
    // What is left over in the folder for temporary files harms nobody.
    let _ = std::fs::remove_dir_all(folder);
}

async fn statement(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server)
        .await
        .unwrap_or_else(|error| panic!("PostgreSQL at {POSTGRES} does not answer: {error}"));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("schemas can be made and dropped");
    connection.close().await.expect("the connection closes");
}

/// Every byte that the database at `url` keeps: the files of SQLite, or every row of PostgreSQL as `pg_dump`
/// writes it (binary values in hexadecimal digits, and once more as they are).
///
/// # Panics
///
/// When it cannot be read.
pub async fn dump(url: &str) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(path) = url.strip_prefix("sqlite://") {
        let folder = std::path::Path::new(path).parent().expect("a file is in a folder");
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            all.extend(std::fs::read(entry.expect("the folder is readable").path()).expect("its files are readable"));
        }
        return all;
    }
    let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
    let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("there are tables");
    for table in tables {
        let sql = AssertSqlSafe(format!("SELECT row::text FROM {table} AS row"));
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("a table can be read");
        all.extend(rows.join("\n").into_bytes());
    }
    connection.close().await.expect("the connection closes");
    let text = String::from_utf8_lossy(&all).into_owned();
    for binary in text.split("\\\\x").skip(1) {
        let digits: Vec<u8> = binary.bytes().take_while(u8::is_ascii_hexdigit).collect();
        all.push(b'\n');
        all.extend(
            digits.chunks_exact(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()),
        );
    }
    all
}
