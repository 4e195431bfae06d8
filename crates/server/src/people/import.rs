//! A list on its way in: uploaded, understood, read in batches.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::event::Country;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::ImportId;
use stagedoor_domain::sheet::{Columns, Piece, Problem, Splitter, has_header, separator};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::People;
use super::candidate::{candidate, sentence};
use super::file::{Reader, Writer};
use super::text::{Detector, Utf8, Written};
use super::xlsx::{self, WorkbookError};
use crate::access::{ContactError, NewInvitee};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::imports::{self, ERRORS_KEPT, Import, LineError, Progress, State};
use crate::ports::db::{DbError, events};

/// Bytes of a list at most.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Lists of one event that wait or are being read at most: each may be a gibibyte on the disk.
const OPEN_MAX: u64 = 10;
/// A list that nobody started is gone after a day.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows of a transaction at most: tens of milliseconds in which nobody else writes. Hashes are spread over their indices, so
/// that many rows at once write each page once instead of once for each of them.
const BATCH_ROWS: usize = 1_000;
/// Bytes of the cells of a transaction at most, more or less.
const BATCH_BYTES: usize = 256 * 1024;
/// Rows shown before a list is started.
const SAMPLE_ROWS: usize = 5;
/// Rows looked at to guess what is what.
const GUESS_ROWS: usize = 50;
/// Letters of a cell that is shown.
const SHOWN_CHARS: usize = 100;
/// Quotes that are opened and not closed before the whole list is taken for something else.
const UNCLOSED_MAX: u32 = 1_000;
/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// A batch that another writer disturbed is tried again so often.
const TRIES: u32 = 3;

/// How a file is written, and what is probably in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shape {
    written: Written,
    separator: u8,
    header: bool,
    columns: Vec<String>,
    guess: Columns,
}

/// What an organiser chose when they started a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Which column is what.
    pub columns: Columns,
    /// The country of numbers without a country code.
    pub country: Option<Country>,
    /// The language of those who have none; empty for the event's.
    pub language: String,
    /// What everybody on the list is tagged with.
    pub tags: Vec<String>,
}

/// A list that arrives.
#[derive(Debug)]
pub struct Upload<'a> {
    /// What the file is called.
    pub name: &'a str,
    /// Bytes that were announced.
    pub announced: Option<u64>,
}

/// A list, as organisers see it.
#[derive(Clone, Debug)]
pub struct View {
    /// The row.
    pub import: Import,
    /// What the first row says about each column; numbers when it says nothing.
    pub columns: Vec<String>,
    /// Whether the first row is about the columns.
    pub header: bool,
    /// The first rows, as long as the list is not started.
    pub sample: Vec<Vec<String>>,
    /// Which column is what: a guess before it is started, then what was chosen.
    pub mapping: Columns,
    /// Until it is done, while it is read.
    pub eta: Option<Duration>,
}

/// Why a list is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is larger than a gibibyte, or what is packed in it is.
    #[error("the list is too large")]
    TooLarge,
    /// There are ten of this event already.
    #[error("too many lists wait")]
    TooMany,
    /// It did not arrive whole.
    #[error("the list did not arrive completely")]
    Incomplete,
    /// It is no list that we can read.
    #[error("the list cannot be read")]
    Unreadable,
    /// There is no row in it.
    #[error("the list is empty")]
    Empty,
    /// The disk failed us.
    #[error("the list cannot be kept")]
    Io(#[from] std::io::Error),
    /// The database did not answer.
    #[error("the list cannot be written down")]
    Db(#[from] DbError),
    /// Another master key sealed it.
    #[error("the list cannot be opened")]
    Sealed(#[from] ContactError),
}

impl From<WorkbookError> for ImportError {
    fn from(error: WorkbookError) -> Self {
        match error {
            WorkbookError::Malformed => Self::Unreadable,
            WorkbookError::TooLarge => Self::TooLarge,
            WorkbookError::Io(error) => Self::Io(error),
        }
    }
}

/// What the thread that reads hands over.
struct Batch {
    people: Vec<NewInvitee>,
    wrong: Vec<(u64, &'static str, &'static str)>,
    rows: u64,
    position: u64,
    line: u64,
}

impl Batch {
    fn new() -> Self {
        Self { people: Vec::new(), wrong: Vec::new(), rows: 0, position: 0, line: 0 }
    }
}

impl People {
    fn path(&self, import: ImportId) -> PathBuf {
        self.folder.join(import.to_string())
    }

    /// Takes a list in: sealed on the disk, understood, not yet read.
    ///
    /// # Errors
    ///
    /// [`ImportError`]; then nothing of it is left.
    pub async fn upload<E>(
        &self,
        allowed: &Allowed<Organise>,
        upload: Upload<'_>,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<View, ImportError> {
        if upload.announced.is_some_and(|bytes| bytes > BYTES_MAX) {
            return Err(ImportError::TooLarge);
        }
        if imports::open(&self.world.db, allowed.event).await? >= OPEN_MAX {
            return Err(ImportError::TooMany);
        }
        let now = self.world.clock.now();
        let id = ImportId::new(self.world.random.uuid(now));
        let result = self.keep(allowed, id, &upload, body, now).await;
        if result.is_err() {
            let _gone = std::fs::remove_file(self.path(id));
        }
        result
    }

    async fn keep<E>(
        &self,
        allowed: &Allowed<Organise>,
        id: ImportId,
        upload: &Upload<'_>,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        now: Time,
    ) -> Result<View, ImportError> {
        let mut key: [u8; 32] = self.world.random.bytes();
        let mut writer = Writer::create(&self.path(id), key)?;
        let mut detector = Detector::default();
        let (mut bytes, mut head) = (0_u64, Vec::<u8>::new());
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| ImportError::Incomplete)?;
            bytes += piece.len() as u64;
            if head.len() < xlsx::MAGIC.len() {
                head.extend(piece.iter().take(xlsx::MAGIC.len() - head.len()));
            }
            let max = if head == xlsx::MAGIC { xlsx::BYTES_MAX } else { BYTES_MAX };
            if bytes > max {
                return Err(ImportError::TooLarge);
            }
            detector.see(&piece);
            writer.write_all(&piece)?;
        }
        let path = self.path(id);
        let mut written = detector.written();
        blocking(move || Ok(writer.finish()?)).await?;
        if head == xlsx::MAGIC {
            let text = self.folder.join(format!("{id}.text"));
            let new_key: [u8; 32] = self.world.random.bytes();
            let (from, to) = (path.clone(), text.clone());
            let converted = blocking(move || {
                let mut out = Writer::create(&to, new_key)?;
                xlsx::to_csv(Reader::open(&from, key)?, &mut out)?;
                out.finish()?;
                std::fs::rename(&to, &from)?;
                Ok(())
            });
            if let Err(error) = converted.await {
                let _gone = std::fs::remove_file(text);
                return Err(error);
            }
            (key, written) = (new_key, Written::Utf8);
            bytes = std::fs::metadata(&path)?.len();
        } else if written != Written::Utf8 {
            // How far a list is read is counted in UTF-8: so is how long it is.
            let path = path.clone();
            bytes = blocking(move || Ok(Utf8::new(Reader::open(&path, key)?, written).length()?)).await?;
        }
        let (shape, sample) =
            blocking(move || understand(Utf8::new(Reader::open(&path, key)?, written), written)).await?;
        let import = Import {
            id,
            event: allowed.event,
            state: State::Uploaded,
            name: upload.name.chars().filter(|letter| !letter.is_control()).take(200).collect(),
            bytes,
            created_at: now,
            started_at: None,
            ended_at: None,
            file_key: Some(self.access.seal_file_key(id, &key)),
            shape: json(&shape)?,
            settings: json(&Settings::default())?,
            progress: Progress::default(),
            failure: None,
        };
        let mut tx = self.world.db.write().await?;
        imports::insert(&mut tx, allowed, &import).await?;
        tx.commit().await?;
        self.world.bus.hint(Hint::Event(allowed.event, Topic::Imports));
        let Shape { columns, header, guess, .. } = shape;
        Ok(View { import, columns, header, sample, mapping: guess, eta: None })
    }

    /// A list as organisers see it.
    ///
    /// # Errors
    ///
    /// [`ImportError`], when the row makes no sense.
    pub fn view(&self, import: Import) -> Result<View, ImportError> {
        let shape: Shape = serde_json::from_str(&import.shape).map_err(|_| DbError::Corrupt("shape".to_owned()))?;
        let settings = settings(&import)?;
        let mapping = if import.state == State::Uploaded { shape.guess } else { settings.columns };
        let eta = (import.state == State::Running).then(|| self.eta(&import)).flatten();
        Ok(View { columns: shape.columns, header: shape.header, sample: Vec::new(), mapping, eta, import })
    }

    /// The first rows of a list that waits; empty otherwise.
    ///
    /// # Errors
    ///
    /// [`ImportError`], when the file is damaged.
    pub async fn sample(&self, import: &Import) -> Result<Vec<Vec<String>>, ImportError> {
        let (State::Uploaded, Some(sealed)) = (import.state, &import.file_key) else { return Ok(Vec::new()) };
        let key = self.access.open_file_key(import.event, import.id, sealed)?;
        let shape: Shape = serde_json::from_str(&import.shape).map_err(|_| DbError::Corrupt("shape".to_owned()))?;
        let path = self.path(import.id);
        let written = shape.written;
        blocking(move || understand(Utf8::new(Reader::open(&path, key)?, written), written))
            .await
            .map(|(_, sample)| sample)
    }

    fn eta(&self, import: &Import) -> Option<Duration> {
        let spent = self.world.clock.now().since(import.started_at?);
        let done = import.progress.position;
        if done == 0 || spent < Duration::from_secs(1) {
            return None;
        }
        let left = import.bytes.saturating_sub(done);
        let millis = u128::from(left) * spent.as_millis() / u128::from(done);
        Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// Begins to read a list; says whether there was one to begin.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn start(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        id: ImportId,
        chosen: &Settings,
    ) -> Result<bool, ImportError> {
        let (event, now) = (allowed.event, self.world.clock.now());
        let mut tx = self.world.db.write().await?;
        if !imports::start(&mut tx, allowed, id, &json(chosen)?, now).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.world.random, now, actor, Fact::ImportStarted { event, import: id }).await?;
        tx.commit().await?;
        self.world.bus.hint(Hint::Event(event, Topic::Imports));
        Ok(true)
    }

    /// Stops a list, or throws one away that was not started; who was invited stays. Says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn cancel(&self, allowed: &Allowed<Organise>, actor: Actor, id: ImportId) -> Result<bool, ImportError> {
        match imports::get(&self.world.db, allowed.event, id).await? {
            Some(import) => self.end(&import, actor, State::Cancelled, None).await,
            None => Ok(false),
        }
    }

    /// Reads `batches` batches of lists that organisers started, at most: one turn of [`run`](Self::run). Lists that
    /// nobody started for a day, and files of none, are thrown away.
    ///
    /// # Errors
    ///
    /// [`ImportError`] for what may be better later; what cannot be is written down with the list.
    pub async fn turn(&self, stop: &CancellationToken, batches: usize) -> Result<(), ImportError> {
        let now = self.world.clock.now();
        let then = Time::from_millis(now.millis() - i64::try_from(FORGOTTEN.as_millis()).unwrap_or(i64::MAX));
        for import in imports::forgotten(&self.world.db, then).await? {
            self.end(&import, Actor::System, State::Cancelled, None).await?;
        }
        self.tidy().await?;
        let mut left = batches;
        while left > 0
            && !stop.is_cancelled()
            && let Some(import) = imports::running(&self.world.db).await?
        {
            match self.read(&import, stop, &mut left).await {
                Ok(Some((state, failure))) => {
                    self.end(&import, Actor::System, state, failure).await?;
                }
                Ok(None) => {}
                Err(ImportError::Io(error)) => {
                    tracing::error!(import = %import.id, %error, "a list of invitees cannot be read on");
                    self.end(&import, Actor::System, State::Failed, Some("damaged")).await?;
                }
                Err(ImportError::Sealed(error)) if !matches!(error, ContactError::Db(_)) => {
                    tracing::error!(import = %import.id, error = &error as &dyn std::error::Error, "a list cannot be opened");
                    self.end(&import, Actor::System, State::Failed, Some("damaged")).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Throws away files that belong to no list: a process died between the one and the other.
    async fn tidy(&self) -> Result<(), ImportError> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = name.trim_end_matches(".text").parse::<ImportId>();
            let Ok(id) = id else { continue };
            // One that is just arriving has no row yet.
            let age = path.metadata().and_then(|file| file.modified()).ok().and_then(|at| at.elapsed().ok());
            let old = age.is_none_or(|age| age > Duration::from_secs(60 * 60));
            if old && !imports::needs_file(&self.world.db, id).await? {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Ends a list and takes its file away.
    async fn end(
        &self,
        import: &Import,
        actor: Actor,
        state: State,
        failure: Option<&'static str>,
    ) -> Result<bool, ImportError> {
        let (event, now) = (import.event, self.world.clock.now());
        let mut tx = self.world.db.write().await?;
        if !imports::end(&mut tx, import.id, state, failure, now).await? {
            return Ok(false);
        }
        if import.state == State::Running {
            let (created, merged) = imports::taken(&mut tx, import.id).await?;
            let fact = Fact::ImportEnded { event, import: import.id, created, merged };
            facts::append(&mut tx, &self.world.random, now, actor, fact).await?;
        }
        tx.commit().await?;
        match std::fs::remove_file(self.path(import.id)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        for topic in [Topic::Imports, Topic::Invitations] {
            self.world.bus.hint(Hint::Event(event, topic));
        }
        Ok(true)
    }

    /// Reads a list from where it is; how it ended, or `None` when it did not or somebody else ended it.
    async fn read(
        &self,
        import: &Import,
        stop: &CancellationToken,
        left: &mut usize,
    ) -> Result<Option<(State, Option<&'static str>)>, ImportError> {
        let Some(sealed) = &import.file_key else { return Ok(Some((State::Failed, Some("damaged")))) };
        let key = self.access.open_file_key(import.event, import.id, sealed)?;
        let shape: Shape = serde_json::from_str(&import.shape).map_err(|_| DbError::Corrupt("shape".to_owned()))?;
        let chosen = settings(import)?;
        let language = chosen.language.clone();
        let tags = chosen.tags.clone();
        let reader = Utf8::new(Reader::open(&self.path(import.id), key)?, shape.written);
        let (send, mut batches) = mpsc::channel(1);
        let from = import.progress;
        let thread = tokio::task::spawn_blocking(move || {
            let rows = Rows { shape: &shape, columns: &chosen.columns, country: chosen.country, language: &language };
            rows.read(reader, from, &send)
        });
        let mut progress = from;
        let mut told = self.world.clock.elapsed();
        while let Some(batch) = batches.recv().await {
            if *left == 0 || stop.is_cancelled() {
                // The thread notices that nobody listens; what it has read is read again.
                return Ok(None);
            }
            *left -= 1;
            if !self.write(import, &mut progress, &batch, &tags).await? {
                return Ok(None);
            }
            let now = self.world.clock.elapsed();
            if now.saturating_sub(told) >= TELL_EVERY {
                told = now;
                for topic in [Topic::Imports, Topic::Invitations] {
                    self.world.bus.hint(Hint::Event(import.event, topic));
                }
            }
        }
        match thread.await {
            Ok(Ok(Ended::Whole)) => Ok(Some((State::Done, None))),
            Ok(Ok(Ended::TooManyQuotes)) => Ok(Some((State::Failed, Some("unclosed_quotes")))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(Some((State::Failed, Some("damaged")))),
        }
    }

    /// One batch and where to go on, in one transaction; false when the list is not ours to read any more.
    async fn write(
        &self,
        import: &Import,
        progress: &mut Progress,
        batch: &Batch,
        tags: &[String],
    ) -> Result<bool, ImportError> {
        let next = Progress {
            position: batch.position,
            line: batch.line,
            rows: progress.rows + batch.rows,
            errors: progress.errors + batch.wrong.len() as u64,
            ..*progress
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let mut tx = self.world.db.write().await?;
            if !imports::progress(&mut tx, import.id, progress.position, &next).await? {
                return Ok(false);
            }
            // Whoever invites one of them by hand at this moment waits for us, or we for them.
            events::lock(&mut tx, import.event).await?;
            let taken = match self.access.take_in(&mut tx, import.event, batch.people.clone(), tags).await {
                Ok(taken) => taken,
                Err(ContactError::Db(DbError::Exists)) if tries < TRIES => continue,
                Err(error) => return Err(error.into()),
            };
            let kept = ERRORS_KEPT.saturating_sub(progress.errors);
            let numbered =
                batch.wrong.iter().zip(progress.errors + 1..).take(usize::try_from(kept).unwrap_or(usize::MAX));
            let errors: Vec<_> = numbered
                .map(|((line, field, problem), number)| LineError {
                    number,
                    line: *line,
                    field: (*field).to_owned(),
                    problem: (*problem).to_owned(),
                })
                .collect();
            imports::add_errors(&mut tx, import.id, &errors).await?;
            imports::count(&mut tx, import.id, taken.created, taken.merged).await?;
            tx.commit().await?;
            *progress = next;
            return Ok(true);
        }
    }

    /// What was wrong with the lines of a list, as a sheet: a page of it, and where the next one begins.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn error_rows(&self, import: ImportId, after: u64) -> Result<(String, Option<u64>), DbError> {
        const PAGE: u32 = 1_000;
        let errors = imports::errors(&self.world.db, import, after, PAGE).await?;
        let mut text = String::new();
        for error in &errors {
            let cells = [
                error.line.to_string(),
                error.field.clone(),
                error.problem.clone(),
                sentence(&error.problem).to_owned(),
            ];
            text.push_str(&stagedoor_domain::sheet::csv_row(&cells));
        }
        Ok((text, errors.last().map(|error| error.number)))
    }
}

fn json(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|_| DbError::Corrupt("settings".to_owned()))
}

fn settings(import: &Import) -> Result<Settings, DbError> {
    serde_json::from_str(&import.settings).map_err(|_| DbError::Corrupt("settings".to_owned()))
}

/// Runs what may take a while where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(ImportError::Unreadable),
    }
}

/// How a file is written and what is in its first rows.
fn understand<R: std::io::Read>(
    mut reader: Utf8<R>,
    written: Written,
) -> Result<(Shape, Vec<Vec<String>>), ImportError> {
    const LOOK: usize = 128 * 1024;
    let (mut text, mut piece) = (String::new(), String::new());
    let mut whole = true;
    while reader.next(&mut piece)? {
        text.push_str(&piece);
        if text.len() >= LOOK {
            whole = false;
            break;
        }
    }
    let separator = separator(&text);
    let mut splitter = Splitter::new(separator);
    splitter.feed(text.as_bytes());
    let mut rows = Vec::new();
    while rows.len() <= GUESS_ROWS
        && let Some(piece) = splitter.next(whole)
    {
        if let Piece::Record(record) = piece {
            rows.push(record.cells);
        }
    }
    let first = rows.first().ok_or(ImportError::Empty)?.clone();
    let header = has_header(&first);
    let below = if header { &rows[1..] } else { &rows[..] };
    let columns = first.iter().enumerate().map(|(at, cell)| match cell.trim() {
        text if header && !text.is_empty() => text.chars().take(SHOWN_CHARS).collect(),
        _ => (at + 1).to_string(),
    });
    let shown = |row: &Vec<String>| row.iter().map(|cell| cell.chars().take(SHOWN_CHARS).collect()).collect();
    let sample = below.iter().take(SAMPLE_ROWS).map(shown).collect();
    // The first person's name says nothing about the columns.
    let words = if header { first.clone() } else { vec![String::new(); first.len()] };
    let guess = Columns::guess(&words, below);
    Ok((Shape { written, separator, header, columns: columns.collect(), guess }, sample))
}

/// How reading ended.
enum Ended {
    /// At the end of the text, or nobody listens any more.
    Whole,
    /// This is no list.
    TooManyQuotes,
}

/// What rows are read with.
struct Rows<'a> {
    shape: &'a Shape,
    columns: &'a Columns,
    country: Option<Country>,
    language: &'a str,
}

impl Rows<'_> {
    /// Reads rows from where `from` says and hands them over in batches.
    fn read<R: std::io::Read>(
        &self,
        mut reader: Utf8<R>,
        from: Progress,
        send: &mpsc::Sender<Batch>,
    ) -> std::io::Result<Ended> {
        let mut splitter = Splitter::resume(self.shape.separator, from.position, from.line.max(1));
        let mut skip = usize::try_from(from.position).unwrap_or(usize::MAX);
        let mut header = self.shape.header && from.position == 0;
        let mut text = String::new();
        let mut batch = Batch::new();
        let (mut bytes, mut unclosed) = (0_usize, 0_u32);
        loop {
            let more = reader.next(&mut text)?;
            let fresh = text.as_bytes().get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(text.len());
            splitter.feed(fresh);
            while let Some(piece) = splitter.next(!more) {
                match piece {
                    Piece::Record(record) if header => {
                        header = false;
                        batch.position = record.end;
                    }
                    Piece::Record(record) => {
                        batch.rows += 1;
                        batch.position = record.end;
                        bytes += record.cells.iter().map(String::len).sum::<usize>();
                        match candidate(&record.cells, self.columns, self.country, self.language) {
                            Ok(person) => batch.people.push(person),
                            Err(wrong) => batch.wrong.push((record.line, wrong.field, wrong.problem)),
                        }
                    }
                    Piece::Bad { line, end, problem } => {
                        batch.rows += 1;
                        batch.position = end;
                        let problem = match problem {
                            Problem::TooLong => "too_long",
                            Problem::UnclosedQuote => {
                                unclosed += 1;
                                "unclosed_quote"
                            }
                        };
                        batch.wrong.push((line, "", problem));
                    }
                }
                batch.line = splitter.line();
                if batch.people.len() + batch.wrong.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                    bytes = 0;
                    if send.blocking_send(std::mem::replace(&mut batch, Batch::new())).is_err() {
                        return Ok(Ended::Whole);
                    }
                }
                if unclosed >= UNCLOSED_MAX {
                    return Ok(Ended::TooManyQuotes);
                }
            }
            if !more {
                break;
            }
        }
        if batch.rows > 0 {
            // Nobody listens: then nobody needs it.
            let _ = send.blocking_send(batch);
        }
        Ok(Ended::Whole)
    }
}
