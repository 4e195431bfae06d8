//! One viewer: what hls.js would ask for, in its order and at its times.
//!
//! A viewer loads the multivariant playlist, takes the first variant and its default audio, and then runs one loop per
//! rendition, each on its own keep-alive connection:
//!
//! ```text
//! first playlist ─▶ init, parts from the hold-back to the edge ─▶ blocking reload of (msn, part), as a delta ─▶ the new part ─┐
//!                                                                  ▲                                                         │
//!                                                                  └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Servers without parts or without blocking reload are polled as the draft says. Nothing here waits for another
//! viewer; a viewer that errs backs off and tries again until the run ends, unless it is told that it may not watch.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::http::{Answer, Connection, HeaderBlock, Scratch, Take, Url};
use super::playback::Playback;
use super::playlist::{self, Cache, Map, Media};
use super::stats::{FirstSeen, Problem, Stats};

/// The first pause after an error; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest pause after an error.
const BACKOFF_MAX: Duration = Duration::from_secs(4);
/// Redirects followed on the way to the multivariant playlist (cookie checks of other servers).
const REDIRECTS_MAX: usize = 3;
/// Attempts for one part or segment before it is skipped.
const FETCH_ATTEMPTS: usize = 3;

/// The time of a run: microseconds since it began, and what that is by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    wall_start_us: i64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), wall_start_us: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX) }
    }

    /// Microseconds since the start of the run.
    pub fn now_us(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// A wall clock time as microseconds of the run.
    pub fn at_wall(&self, wall_us: i64) -> i64 {
        wall_us.saturating_sub(self.wall_start_us)
    }
}

/// Counters that all threads share, for the progress line only.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests answered.
    pub answers: AtomicU64,
    /// Errors.
    pub errors: AtomicU64,
    /// Interruptions of playback.
    pub stalls: AtomicU64,
    /// Viewers that have had their first picture.
    pub joined: AtomicU64,
    /// Viewers that were told that they may not watch.
    pub refused: AtomicU64,
    /// Viewers that saw the end of the broadcast.
    pub ended: AtomicU64,
}

/// When each viewer was sent out: shared by who sends them out and who is refused.
#[derive(Debug)]
pub struct Kicks(Vec<AtomicI64>);

impl Kicks {
    const NOT: i64 = i64::MIN;
    const REFUSED: i64 = i64::MIN + 1;
    const UNDER_WAY: i64 = i64::MAX;

    /// Nobody of so many viewers.
    pub fn none(viewers: usize) -> Kicks {
        Kicks((0..viewers).map(|_| AtomicI64::new(Kicks::NOT)).collect())
    }

    /// The request is about to be sent: from now on a refusal is no error.
    pub fn begin(&self, viewer: usize) {
        if let Some(slot) = self.0.get(viewer) {
            slot.store(Kicks::UNDER_WAY, Ordering::Relaxed);
        }
    }

    /// The request was answered. Who was refused before is not refused again.
    pub fn answered(&self, viewer: usize, now_us: i64) {
        if let Some(slot) = self.0.get(viewer) {
            let _ = slot.compare_exchange(Kicks::UNDER_WAY, now_us, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether this viewer was sent out, and for the first refusal how long ago (0: the answer is still on its way).
    fn refused(&self, viewer: usize, now_us: i64) -> Option<Option<i64>> {
        let slot = self.0.get(viewer)?;
        if slot.load(Ordering::Relaxed) == Kicks::NOT {
            return None;
        }
        Some(match slot.swap(Kicks::REFUSED, Ordering::Relaxed) {
            Kicks::REFUSED => None,
            Kicks::UNDER_WAY => Some(0),
            at_us => Some(now_us - at_us),
        })
    }
}

/// What all viewers of a thread share.
pub struct Context {
    /// The time of the run.
    pub clock: Clock,
    /// The read buffer.
    pub scratch: Scratch,
    /// Playlists already read.
    pub cache: RefCell<Cache>,
    /// Counts before and after [`Context::steady_from_us`].
    pub stats: [RefCell<Stats>; 2],
    /// When the measured phase begins: microseconds of the run.
    pub steady_from_us: Cell<i64>,
    /// First sights, shared by all threads.
    pub first: Arc<FirstSeen>,
    /// Shared counters.
    pub progress: Arc<Progress>,
    /// Who was sent out, shared by all threads.
    pub kicks: Arc<Kicks>,
    /// How long an answer may take beyond what a blocking reload may wait.
    pub timeout: Duration,
    /// Send few headers instead of a browser's.
    pub minimal_headers: bool,
}

impl Context {
    /// The counters of the phase that `now_us` belongs to.
    pub fn stats(&self, now_us: i64) -> RefMut<'_, Stats> {
        self.stats[usize::from(now_us >= self.steady_from_us.get())].borrow_mut()
    }

    fn problem(&self, problem: Problem) {
        self.progress.errors.fetch_add(1, Ordering::Relaxed);
        self.stats(self.clock.now_us()).problem(problem);
    }

    /// Whether `problem` is the refusal that was to be expected because this viewer was sent out; then it is counted.
    fn was_sent_out(&self, viewer: usize, problem: Problem) -> bool {
        let now_us = self.clock.now_us();
        let refused = if is_refusal(problem) { self.kicks.refused(viewer, now_us) } else { None };
        if let Some(Some(since_us)) = refused {
            self.stats(now_us).kick.record(since_us);
        }
        refused.is_some()
    }

    fn headers(&self, authority: &str, cookie: Option<&str>) -> HeaderBlock {
        if self.minimal_headers {
            HeaderBlock::minimal(authority, cookie)
        } else {
            HeaderBlock::browser(authority, cookie)
        }
    }
}

/// Why a viewer stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The broadcast ended.
    Ended,
    /// The server says that this viewer may not watch.
    Refused,
}

/// Watches until the broadcast ends, the right to watch ends, or the future is dropped.
pub async fn watch(
    context: Rc<Context>,
    viewer: usize,
    url: Url,
    address: SocketAddr,
    playback: Rc<RefCell<Playback>>,
) {
    *playback.borrow_mut() = Playback::new(context.clock.now_us(), 1);
    let mut connection = Connection::new(address, context.scratch.clone());
    let mut backoff = BACKOFF_MIN;
    let opened = loop {
        match open(&context, &mut connection, &url).await {
            Ok(opened) => break opened,
            Err(problem) => {
                if !context.was_sent_out(viewer, problem) {
                    context.problem(problem);
                }
                if is_refusal(problem) {
                    context.progress.refused.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    };
    playback.borrow_mut().tracks(1 + usize::from(opened.audio.is_some()));
    let audio = opened.audio.map(|url| {
        let connection = Connection::new(address, context.scratch.clone());
        let track = Track::new(&context, (viewer, 1), url, connection, opened.headers.clone(), &playback);
        AbortOnDrop(tokio::task::spawn_local(track.follow()))
    });
    let track = Track::new(&context, (viewer, 0), opened.video, connection, opened.headers, &playback);
    let mut stop = track.follow().await;
    if let Some(mut audio) = audio {
        if stop == Stop::Ended {
            stop = (&mut audio.0).await.unwrap_or(stop);
        }
        drop(audio);
    }
    // Who has left does not stall.
    *playback.borrow_mut() = Playback::new(context.clock.now_us(), 1);
    let counter = match stop {
        Stop::Ended => &context.progress.ended,
        Stop::Refused => &context.progress.refused,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A viewer's second loop ends with the viewer.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Opened {
    video: Url,
    audio: Option<Url>,
    headers: HeaderBlock,
}

fn is_refusal(problem: Problem) -> bool {
    matches!(problem, Problem::Status(401 | 403 | 410))
}

/// Loads the multivariant playlist; a media playlist is accepted in its place.
async fn open(context: &Context, connection: &mut Connection, url: &Url) -> Result<Opened, Problem> {
    let mut url = url.clone();
    let mut cookie: Option<String> = None;
    for _ in 0..=REDIRECTS_MAX {
        let headers = context.headers(&url.authority, cookie.as_deref());
        let answer = request(context, connection, &[&url.path], &headers, Take::Text, context.timeout).await?;
        if answer.cookies.is_some() {
            cookie.clone_from(&answer.cookies);
        }
        let now_us = context.clock.now_us();
        if let (301 | 302 | 303 | 307 | 308, Some(location)) = (answer.status, &answer.location) {
            let next = url.join(location).map_err(|_| Problem::Status(answer.status))?;
            if next.authority != url.authority {
                return Err(Problem::Playlist("redirected to another host"));
            }
            url = next;
            continue;
        }
        if answer.status != 200 {
            return Err(Problem::Status(answer.status));
        }
        count_playlist(context, &answer, now_us);
        let text = playlist::text(&connection.body, answer.gzip).map_err(Problem::Playlist)?;
        let headers = context.headers(&url.authority, cookie.as_deref());
        if playlist::is_media(&text) {
            return Ok(Opened { video: url, audio: None, headers });
        }
        let found = playlist::multivariant(&text).map_err(|_| Problem::Playlist("no variant to play"))?;
        let resolve = |reference: &str| {
            let found = url.join(reference).map_err(|_| Problem::Playlist("a reference that cannot be followed"))?;
            if found.authority == url.authority { Ok(found) } else { Err(Problem::Playlist("media on another host")) }
        };
        let audio = found.audio.as_deref().map(resolve).transpose()?;
        return Ok(Opened { video: resolve(&found.video)?, audio, headers });
    }
    Err(Problem::Playlist("too many redirects"))
}

async fn request(
    context: &Context,
    connection: &mut Connection,
    path: &[&str],
    headers: &HeaderBlock,
    take: Take,
    timeout: Duration,
) -> Result<Answer, Problem> {
    let reopened = connection.reopened;
    let answer = match tokio::time::timeout(timeout, connection.get(path, headers, take)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => return Err(Problem::Transport(failure)),
        Err(_) => return Err(Problem::Timeout),
    };
    if connection.reopened != reopened {
        context.stats(context.clock.now_us()).reopened += connection.reopened - reopened;
    }
    Ok(answer)
}

fn count_playlist(context: &Context, answer: &Answer, now_us: i64) {
    context.progress.answers.fetch_add(1, Ordering::Relaxed);
    let mut stats = context.stats(now_us);
    stats.playlists += 1;
    stats.playlist_bytes += answer.bytes;
}

/// What a blocking reload asks for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    msn: u64,
    part: Option<u32>,
    skip: bool,
}

/// A kind of media request, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Init,
    Part,
    Segment,
}

/// One rendition of one viewer.
struct Track {
    context: Rc<Context>,
    /// Whose it is, by number in the whole run.
    viewer: usize,
    /// 0 picture, 1 sound.
    index: u8,
    url: Url,
    connection: Connection,
    headers: HeaderBlock,
    playback: Rc<RefCell<Playback>>,
    /// Next part to fetch: media sequence number, part, and how much of that segment is already here.
    cursor: Option<(u64, u32, i64)>,
    /// End of what was fetched, on the playback's scale.
    end: i64,
    media_sequence: u64,
    /// The first media sequence number not yet seen complete: a delta may not skip beyond it.
    known_msn: u64,
    map: Option<Map>,
    /// Whether what is fetched next is encrypted as a whole.
    sealed: bool,
    query: String,
}

impl Track {
    fn new(
        context: &Rc<Context>,
        (viewer, index): (usize, u8),
        url: Url,
        connection: Connection,
        headers: HeaderBlock,
        playback: &Rc<RefCell<Playback>>,
    ) -> Track {
        Track {
            context: Rc::clone(context),
            viewer,
            index,
            url,
            connection,
            headers,
            playback: Rc::clone(playback),
            cursor: None,
            end: 0,
            media_sequence: 0,
            known_msn: 0,
            map: None,
            sealed: false,
            query: String::new(),
        }
    }

    /// Loads and fetches until the broadcast or the right to watch ends.
    async fn follow(mut self) -> Stop {
        let mut backoff = BACKOFF_MIN;
        let mut awaited: Option<Awaited> = None;
        let mut target = Duration::from_secs(4);
        loop {
            let wait_max = if awaited.is_some() { target * 4 } else { Duration::ZERO };
            let before = self.cursor;
            let outcome = match self.load(awaited, wait_max + self.context.timeout).await {
                Ok(list) => self.fetch_new(&list).await.map(|()| list),
                Err(problem) => Err(problem),
            };
            let list = match outcome {
                Ok(list) => list,
                Err(problem) => {
                    if !self.context.was_sent_out(self.viewer, problem) {
                        self.context.problem(problem);
                    }
                    if is_refusal(problem) {
                        return Stop::Refused;
                    }
                    awaited = None;
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    continue;
                }
            };
            backoff = BACKOFF_MIN;
            target = Duration::from_micros(u64::try_from(list.target_us).unwrap_or(4_000_000));
            if list.ended {
                return Stop::Ended;
            }
            awaited = list.can_block.then(|| {
                let (msn, part) = list.next();
                Awaited { msn, part, skip: list.can_skip_until_us.is_some() }
            });
            if awaited.is_none() {
                // Section 6.3.4: after a change wait one target duration (a part's, with parts), else half of it.
                let period = list.part_target_us.map_or(target, |part| Duration::from_micros(part.unsigned_abs()));
                tokio::time::sleep(if self.cursor == before { period / 2 } else { period }).await;
            }
        }
    }

    /// Loads the playlist and checks what it says against what this viewer knows.
    async fn load(&mut self, awaited: Option<Awaited>, timeout: Duration) -> Result<Rc<Media>, Problem> {
        self.query.clear();
        if let Some(Awaited { msn, part, skip }) = awaited {
            let mark = if self.url.path.contains('?') { '&' } else { '?' };
            // Writing to a String cannot fail.
            let _ = write!(self.query, "{mark}_HLS_msn={msn}");
            if let Some(part) = part {
                let _ = write!(self.query, "&_HLS_part={part}");
            }
            if skip {
                self.query.push_str("&_HLS_skip=YES");
            }
        }
        let path = [self.url.path.as_str(), self.query.as_str()];
        let sent_us = self.context.clock.now_us();
        let answer = request(&self.context, &mut self.connection, &path, &self.headers, Take::Text, timeout).await?;
        let now_us = self.context.clock.now_us();
        if answer.status != 200 {
            return Err(Problem::Status(answer.status));
        }
        count_playlist(&self.context, &answer, now_us);
        let read = self.context.cache.borrow_mut().read(&self.connection.body, answer.gzip);
        let list = read.map_err(Problem::Playlist)?;
        if list.media_sequence < self.media_sequence {
            return Err(Problem::SequenceWentBack);
        }
        self.media_sequence = list.media_sequence;
        if list.skipped > 0 {
            self.context.stats(now_us).deltas += 1;
            if !awaited.is_some_and(|awaited| awaited.skip) {
                return Err(Problem::Playlist("a delta update nobody asked for"));
            }
            if list.media_sequence + list.skipped > self.known_msn {
                return Err(Problem::DeltaHole);
            }
        }
        let (next_msn, next_part) = list.next();
        self.known_msn = self.known_msn.max(next_msn);
        if let Some(awaited) = awaited {
            self.note_wait(&list, awaited, (next_msn, next_part), sent_us, now_us)?;
        }
        Ok(list)
    }

    /// Checks that the awaited part is there, and records how late it came.
    fn note_wait(
        &self,
        list: &Media,
        awaited: Awaited,
        next: (u64, Option<u32>),
        sent_us: i64,
        now_us: i64,
    ) -> Result<(), Problem> {
        let (mut msn, mut part) = (awaited.msn, awaited.part);
        // A part number past the end of a finished segment means the first part of the next one.
        if let (Some(number), Some(segment)) = (part, list.segment(msn))
            && segment.complete()
            && number as usize >= segment.parts.len()
            && !segment.parts.is_empty()
        {
            (msn, part) = (msn + 1, Some(0));
        }
        let there = match part {
            Some(part) => next > (msn, Some(part)),
            None => next.0 > msn,
        };
        if !there {
            return if list.ended { Ok(()) } else { Err(Problem::AwaitedMissing) };
        }
        let end_wall_us = list.segment(msn).and_then(|segment| match part {
            Some(part) => segment.parts.get(part as usize).and_then(|part| Some(part.start_us? + part.duration_us)),
            None => Some(segment.start_us? + segment.duration_us),
        });
        let first_us = self.context.first.note(self.index, msn, part.unwrap_or(u32::MAX), now_us);
        let mut stats = self.context.stats(now_us);
        stats.wait_first.record(now_us - first_us.max(sent_us));
        if let Some(due_us) = end_wall_us.map(|wall| self.context.clock.at_wall(wall)) {
            stats.wait_clock.record(now_us - due_us.max(sent_us));
        }
        Ok(())
    }

    /// Fetches what the list has and this viewer has not.
    async fn fetch_new(&mut self, list: &Media) -> Result<(), Problem> {
        if self.cursor.is_none() && !list.segments.is_empty() {
            self.start(list);
        }
        let Some((mut msn, mut part, mut consumed_us)) = self.cursor else { return Ok(()) };
        loop {
            self.cursor = Some((msn, part, consumed_us));
            let Some(segment) = list.segment(msn) else {
                if msn >= list.next().0 {
                    return Ok(());
                }
                // What comes next is gone: go on from the live edge, as a player does.
                self.context.problem(Problem::FellBehind);
                let end = self.end;
                self.start(list);
                self.end = end;
                match self.cursor {
                    Some(cursor) if cursor.0 > msn => (msn, part, consumed_us) = cursor,
                    _ => return Ok(()),
                }
                continue;
            };
            if segment.map.is_some() && segment.map != self.map {
                if let Some(map) = &segment.map {
                    self.sealed = map.sealed;
                    self.fetch(&map.uri, Piece::Init).await?;
                }
                self.map.clone_from(&segment.map);
            }
            self.sealed = segment.sealed;
            let (uri, duration_us, gap, start_us, piece) = if let Some(part) = segment.parts.get(part as usize) {
                (part.uri.as_str(), part.duration_us, part.gap, part.start_us, Piece::Part)
            } else if let (Some(uri), true) = (&segment.uri, segment.parts.is_empty()) {
                // Its parts are no longer listed, or never were.
                let rest = segment.duration_us - consumed_us;
                (uri.as_str(), rest, segment.gap, segment.start_us.map(|start| start + consumed_us), Piece::Segment)
            } else if segment.complete() {
                (msn, part, consumed_us) = (msn + 1, 0, 0);
                continue;
            } else {
                return Ok(());
            };
            if gap {
                self.context.stats(self.context.clock.now_us()).gap_us += duration_us;
            } else {
                self.fetch(uri, piece).await?;
            }
            self.end += duration_us;
            self.arrived(start_us.map(|start| start + duration_us), gap);
            if piece == Piece::Segment {
                (msn, part, consumed_us) = (msn + 1, 0, 0);
            } else {
                (part, consumed_us) = (part + 1, consumed_us + duration_us);
            }
        }
    }

    /// Moves the virtual playback and records ages. `end_wall_us` is when the newest frame was shown to the camera.
    fn arrived(&self, end_wall_us: Option<i64>, gap: bool) {
        let now_us = self.context.clock.now_us();
        let (change, playhead) = {
            let mut playback = self.playback.borrow_mut();
            (playback.arrived(usize::from(self.index), self.end, now_us), playback.playhead(now_us))
        };
        let mut stats = self.context.stats(now_us);
        if let Some(joined_us) = change.joined_us {
            stats.join.record(joined_us);
            self.context.progress.joined.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(stalled_us) = change.stalled_us {
            stats.stalls += 1;
            stats.stalled_us += stalled_us;
            self.context.progress.stalls.fetch_add(1, Ordering::Relaxed);
        }
        // Only parts fetched as they appear have an age that says something; those of the start are old by intent.
        if let (Some(end_wall_us), false, Some(playhead), None) = (end_wall_us, gap, playhead, change.joined_us) {
            let age_us = now_us - self.context.clock.at_wall(end_wall_us);
            stats.part_age.record(age_us);
            if self.index == 0 {
                stats.glass.record(age_us + (self.end - playhead));
            }
        }
    }

    /// Chooses where to begin: the last point at least the hold-back behind the edge from which decoding can start.
    fn start(&mut self, list: &Media) {
        let (length_us, edge_wall_us) = list.edge();
        let low_latency = list.part_target_us.is_some() && list.can_block;
        let hold_back_us = list.part_hold_back_us.filter(|_| low_latency).unwrap_or(list.hold_back_us);
        let wanted_us = (length_us - hold_back_us).max(0);
        let mut begin_us = 0;
        let mut choice = None;
        for segment in &list.segments {
            if begin_us > wanted_us {
                break;
            }
            choice = Some((segment.msn, 0, 0, begin_us));
            let mut part_us = begin_us;
            for (number, part) in segment.parts.iter().enumerate() {
                if part_us > wanted_us {
                    break;
                }
                // Sound can begin anywhere, a picture at a keyframe.
                if part.independent || self.index != 0 {
                    choice = Some((segment.msn, number as u32, part_us - begin_us, part_us));
                }
                part_us += part.duration_us;
            }
            begin_us += segment.duration_us;
        }
        let Some((msn, part, consumed_us, position_us)) = choice else { return };
        self.cursor = Some((msn, part, consumed_us));
        self.end = self.playback.borrow_mut().opened(edge_wall_us, hold_back_us, length_us - position_us);
    }

    /// Fetches one piece of media; errors are counted here and only the last is returned.
    async fn fetch(&mut self, reference: &str, piece: Piece) -> Result<(), Problem> {
        let simple = !reference.starts_with(['/', '?']) && !reference.contains("..") && !reference.contains(':');
        let absolute = if simple {
            None
        } else {
            let url = self.url.join(reference).map_err(|_| Problem::Playlist("a reference that cannot be followed"))?;
            if url.authority != self.url.authority {
                return Err(Problem::Playlist("media on another host"));
            }
            Some(url.path)
        };
        let mut attempt = 1;
        loop {
            match self.fetch_once(reference, absolute.as_deref(), piece).await {
                Err(problem) if attempt < FETCH_ATTEMPTS && !is_refusal(problem) => {
                    self.context.problem(problem);
                    attempt += 1;
                    tokio::time::sleep(BACKOFF_MIN).await;
                }
                Err(problem) if !is_refusal(problem) => {
                    // A player jumps over what it cannot get; so do we, and the error stays in the report.
                    self.context.problem(problem);
                    return Ok(());
                }
                other => return other,
            }
        }
    }

    async fn fetch_once(&mut self, reference: &str, absolute: Option<&str>, piece: Piece) -> Result<(), Problem> {
        let sent_us = self.context.clock.now_us();
        let whole = [absolute.unwrap_or_default()];
        let relative = [self.url.directory(), reference];
        let path = if absolute.is_some() { &whole[..] } else { &relative[..] };
        let connection = &mut self.connection;
        let timeout = self.context.timeout;
        let answer = request(&self.context, connection, path, &self.headers, Take::Discard, timeout).await?;
        let now_us = self.context.clock.now_us();
        if answer.status != 200 {
            return Err(Problem::Status(answer.status));
        }
        let expected: &[&[u8; 4]] = match piece {
            Piece::Init => &[b"ftyp", b"moov"],
            Piece::Part | Piece::Segment => &[b"moof", b"styp", b"sidx", b"emsg", b"prft"],
        };
        let media = match piece {
            // All that shows without the key: AES-CBC makes whole blocks.
            _ if self.sealed => answer.bytes > 0 && answer.bytes.is_multiple_of(16),
            // Transport stream segments have no map and no boxes.
            Piece::Part | Piece::Segment if self.map.is_none() => true,
            _ => expected.contains(&&answer.box_type),
        };
        if !media {
            return Err(Problem::NotMedia);
        }
        self.context.progress.answers.fetch_add(1, Ordering::Relaxed);
        let mut stats = self.context.stats(now_us);
        stats.media_bytes += answer.bytes;
        match piece {
            Piece::Init => stats.inits += 1,
            Piece::Segment => stats.segments += 1,
            Piece::Part => {
                stats.parts += 1;
                stats.part_fetch.record(now_us - sent_us);
            }
        }
        Ok(())
    }
}
