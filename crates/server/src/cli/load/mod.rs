//! `stagedoor load`: viewers that behave like hls.js, in numbers, and what they and the server went through.
//!
//! ```text
//! sessions ─▶ URLs ─▶ threads (one runtime each) ─▶ viewers ─▶ Stats per thread ─▶ one report
//! codes ─▶ threads ─▶ pages of a storm ─▶ Tally per thread ─▶ one report
//! ```
//!
//! The generator usually runs on the machine of the server, so it must be cheap; see `http` and `playlist` for how. It
//! deliberately does not decode media, speak TLS or HTTP/2, or draw conclusions beyond `holds`.

mod http;
mod page;
mod playback;
mod playlist;
mod process;
mod raw;
mod report;
mod sessions;
mod stats;
mod storm;
mod viewer;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use self::http::{Connection, Scratch, Url};
use self::page::Page;
use self::playback::Playback;
use self::playlist::CacheUse;
use self::process::Usage;
use self::raw::{Flood, Target};
use self::report::{Cost, Entrance, Outline, Raw, Viewers};
use self::sessions::{Door, Made};
use self::stats::{FirstSeen, Stats};
use self::viewer::{Clock, Context, Kicks, Progress};
use crate::cli::limits;

/// More viewers or connections than this are a typing error.
const VIEWERS_MAX: usize = 1_000_000;
/// The warm-up of a flood.
const WARM_UP: Duration = Duration::from_secs(1);
/// Files beside the viewers' connections.
const FILES_BESIDE: u64 = 64;
/// A viewer who was sent out meets a refusal sooner than this, or never.
const KICKED_REFUSED_MAX: Duration = Duration::from_secs(5);

/// Arguments of `stagedoor load`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["url", "urls", "api", "raw"]))]
pub struct LoadArgs {
    /// Playlist that all viewers load: of any LL-HLS or HLS server, plain http.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// File with a playlist URL per line, one for each viewer.
    #[arg(long, value_name = "FILE")]
    pub urls: Option<PathBuf>,

    /// Stagedoor server at which each viewer redeems a code of its own first.
    #[arg(long, value_name = "URL", requires = "event")]
    pub api: Option<String>,

    /// API token of an organiser, to make the invitations.
    #[arg(long, value_name = "TOKEN", env = "STAGEDOOR_API_TOKEN", hide_env_values = true)]
    pub api_token: Option<String>,

    /// Event to watch.
    #[arg(long, value_name = "EVENT")]
    pub event: Option<String>,

    /// File with an access code per line, instead of making invitations.
    #[arg(long, value_name = "FILE", requires = "api")]
    pub codes: Option<PathBuf>,

    /// Write the playlist URLs of the sessions made, for --urls in the next run; the invitations are kept then.
    #[arg(long, value_name = "FILE", requires = "api")]
    pub save_urls: Option<PathBuf>,

    /// Let everybody redeem a code within seconds and then hold the page's WebSocket open, without playing.
    #[arg(long, requires = "api", conflicts_with = "save_urls")]
    pub join_storm: bool,

    /// Pages a second of a storm.
    #[arg(long, default_value_t = 350.0, value_name = "N")]
    pub rate: f64,

    /// At the end of a storm, end all sessions of the event and see how soon everybody is out.
    #[arg(long, requires = "join_storm", requires = "api_token")]
    pub end_all: bool,

    /// In a storm, each page asks for the newest content key once in so many seconds, at a moment of its own.
    #[arg(long, value_name = "SECONDS", requires = "join_storm", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub keys: Option<u64>,

    /// Send so many of the viewers out while they play, and see how soon they are refused.
    #[arg(long, default_value_t = 0, value_name = "N", requires = "api_token", conflicts_with = "join_storm")]
    pub kicks: usize,

    /// Flood one URL instead of watching: answers and bytes per second of processor time.
    #[arg(long, value_name = "URL")]
    pub raw: Option<String>,

    /// Viewers.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub viewers: usize,

    /// Connections of a flood.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub connections: usize,

    /// Seconds over which the viewers arrive.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub ramp: f64,

    /// Seconds after the ramp, or after everybody has come, before measuring begins.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub settle: f64,

    /// Seconds that are measured.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub duration: f64,

    /// Seconds an answer may take, beyond what a blocking reload may wait.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub timeout: f64,

    /// Threads of the generator. One is enough for tens of thousands of requests per second.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub threads: usize,

    /// Process of the server, to report its processor time and memory; may be given several times.
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<u32>,

    /// Send only Host and Accept-Encoding, not the headers of a browser.
    #[arg(long)]
    pub minimal_headers: bool,

    /// Stop at the first error or stall.
    #[arg(long)]
    pub fail_fast: bool,

    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the load test and prints its report on standard output.
///
/// Exit code 0: measured (whether it holds is in the report). 1: nothing could be measured; the reason is on standard
/// error. 2: `--fail-fast` met an error or a stall.
pub async fn run(args: LoadArgs) -> ExitCode {
    match measure(&args).await {
        Ok(Outcome::Measured) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(2),
        Err(problem) => {
            let _ = writeln!(io::stderr(), "stagedoor load: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Measured,
    Failed,
}

async fn measure(args: &LoadArgs) -> Result<Outcome, String> {
    let plan = Plan::new(args)?;
    let usage = process::total(&args.server_pid);
    if usage.is_none() {
        return Err(format!("no process with the number {:?}", args.server_pid));
    }
    let files = limits::raise_files();
    if let Some(url) = &args.raw {
        enough_files(files, args.connections as u64)?;
        let report = flood(args, &plan, Url::parse(url)?).await?;
        print(args, &report, |out| report.table(out))?;
        return Ok(Outcome::Measured);
    }
    if args.join_storm {
        // A page has one connection at a time; the pages that probe have two.
        enough_files(files, args.viewers as u64 + args.viewers as u64 / 16)?;
        let report = storm::run(args, &plan).await?;
        print(args, &report, |out| report.table(out))?;
        return Ok(if args.fail_fast && report.errors > 0 { Outcome::Failed } else { Outcome::Measured });
    }
    // A picture, a sound, and a page where there are sessions.
    enough_files(files, (2 + u64::from(args.api.is_some())) * args.viewers as u64)?;
    let (urls, door, made) = viewer_urls(args).await?;
    let pages = made.as_ref().map(|made| made.pages.clone()).unwrap_or_default();
    let entrance = made.as_ref().map(|made| Entrance { sessions: made.urls.len(), seconds: made.seconds });
    let sent_out = match (&door, &made) {
        (Some(door), Some(made)) if args.kicks > 0 => Some((door.clone(), made.sessions.clone())),
        _ if args.kicks > 0 => return Err("--kicks needs --api: viewers with sessions of their own".to_owned()),
        _ => None,
    };
    let result = watch(args, &plan, (&urls, &pages), sent_out).await;
    if let (Some(door), Some(made), None) = (door, made, &args.save_urls) {
        on_a_thread(move || async move {
            sessions::remove(&door.build()?, made.invitations).await;
            Ok(())
        })
        .await?;
    }
    let mut report = result?;
    report.entrance = entrance;
    print(args, &report, |out| report.table(out))?;
    Ok(if args.fail_fast && (report.errors > 0 || report.stalls > 0) { Outcome::Failed } else { Outcome::Measured })
}

/// The times of a run, checked.
#[derive(Debug, Clone, Copy)]
struct Plan {
    ramp: Duration,
    settle: Duration,
    duration: Duration,
    timeout: Duration,
    threads: usize,
}

impl Plan {
    fn new(args: &LoadArgs) -> Result<Plan, String> {
        let seconds = |name: &str, value: f64, least: f64| {
            if (least..=604_800.0).contains(&value) {
                Ok(Duration::from_secs_f64(value))
            } else {
                Err(format!("--{name} must be between {least} and 604800 seconds"))
            }
        };
        for (name, count) in [("viewers", args.viewers), ("connections", args.connections), ("threads", args.threads)] {
            if count == 0 || count > VIEWERS_MAX {
                return Err(format!("--{name} must be between 1 and {VIEWERS_MAX}"));
            }
        }
        Ok(Plan {
            ramp: seconds("ramp", args.ramp, 0.0)?,
            settle: seconds("settle", args.settle, 0.0)?,
            duration: seconds("duration", args.duration, 0.1)?,
            timeout: seconds("timeout", args.timeout, 0.1)?,
            threads: args.threads.min(256),
        })
    }
}

fn enough_files(limit: Option<u64>, needed: u64) -> Result<(), String> {
    match limit {
        Some(limit) if limit < needed + FILES_BESIDE => Err(format!(
            "{needed} connections need more open files than the {limit} allowed here: raise the hard limit (ulimit -Hn, \
             LimitNOFILE= in the unit), or ask for fewer viewers"
        )),
        _ => Ok(()),
    }
}

/// What makes a [`Door`] on the thread that uses it.
#[derive(Debug, Clone)]
struct DoorPlan {
    api: String,
    token: Option<String>,
    event: String,
}

impl DoorPlan {
    fn build(&self) -> Result<Door, String> {
        Ok(Door { api: Url::parse(&self.api)?, token: self.token.clone(), event: self.event.clone() })
    }
}

/// The playlist of each viewer, from whichever source was named.
async fn viewer_urls(args: &LoadArgs) -> Result<(Vec<Url>, Option<DoorPlan>, Option<Made>), String> {
    let count = args.viewers;
    if let Some(url) = &args.url {
        return Ok((vec![Url::parse(url)?; count], None, None));
    }
    if let Some(path) = &args.urls {
        let urls = lines(path)?.iter().take(count).map(|line| Url::parse(line)).collect::<Result<Vec<_>, _>>()?;
        if urls.len() < count {
            return Err(format!("{} has {} URLs, not enough for {count} viewers", path.display(), urls.len()));
        }
        return Ok((urls, None, None));
    }
    let (Some(api), Some(event)) = (&args.api, &args.event) else {
        return Err("--api needs --event".to_owned());
    };
    let door = DoorPlan { api: api.clone(), token: args.api_token.clone(), event: event.clone() };
    let codes = args.codes.as_deref().map(lines).transpose()?.unwrap_or_default();
    let plan = door.clone();
    let made = on_a_thread(move || async move { sessions::make(Rc::new(plan.build()?), codes, count).await }).await?;
    if let Some(path) = &args.save_urls {
        let text: String = made.urls.iter().map(|url| format!("http://{}{}\n", url.authority, url.path)).collect();
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok((made.urls.clone(), Some(door), Some(made)))
}

fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Runs a future that may not move between threads on a thread of its own with a small runtime.
async fn on_a_thread<T, F, W>(work: W) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>>,
    W: FnOnce() -> F + Send + 'static,
{
    let (done, result) = oneshot::channel();
    let spawned = thread::Builder::new().name("load".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(LocalSet::new().run_until(work())),
            Err(error) => Err(format!("no runtime: {error}")),
        };
        let _ = done.send(outcome);
    });
    spawned.map_err(|error| format!("no thread: {error}"))?;
    result.await.map_err(|_| "a thread of the generator broke".to_owned())?
}

/// Processor time and memory of the server and of this process at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    server: Option<Usage>,
    own: Option<Usage>,
    at_us: i64,
}

impl Reading {
    fn take(pids: &[u32], clock: Clock) -> Reading {
        let server = if pids.is_empty() { None } else { process::total(pids) };
        Reading { server, own: process::usage(std::process::id()), at_us: clock.now_us() }
    }

    fn costs(&self, after: &Reading, answers: u64, bytes: u64) -> (Option<Cost>, Option<Cost>) {
        let seconds = (after.at_us - self.at_us) as f64 / 1e6;
        let between = |before: Option<Usage>, after: Option<Usage>| {
            Some(Cost::between(&before?, &after?, seconds, answers, bytes))
        };
        (between(self.server, after.server), between(self.own, after.own))
    }
}

/// What a thread brings home.
#[derive(Debug, Default)]
struct Harvest {
    ramp: Stats,
    steady: Stats,
    cache: CacheUse,
}

/// Sends `count` of the viewers out, one after the other over `during`, each at its time whether or not the one before
/// was answered late. A refused request is the end: half a measurement would mislead.
async fn send_out(
    door: DoorPlan,
    sessions: Vec<String>,
    (count, during): (usize, Duration),
    clock: Clock,
    kicks: Arc<Kicks>,
) -> Result<usize, String> {
    let door = door.build()?;
    let mut connection = Connection::new(door.api.resolve().await?, Scratch::new());
    let began = tokio::time::Instant::now();
    let count = count.min(sessions.len());
    for number in 0..count {
        tokio::time::sleep_until(began + during.mul_f64(number as f64 / count as f64)).await;
        let viewer = number * sessions.len() / count;
        kicks.begin(viewer);
        sessions::kick(&door, &mut connection, &sessions[viewer]).await?;
        kicks.answered(viewer, clock.now_us());
    }
    Ok(count)
}

async fn watch(
    args: &LoadArgs,
    plan: &Plan,
    (urls, pages): (&[Url], &[Page]),
    sent_out: Option<(DoorPlan, Vec<String>)>,
) -> Result<Viewers, String> {
    let mut addresses: HashMap<String, SocketAddr> = HashMap::new();
    for url in urls {
        if !addresses.contains_key(&url.authority) {
            addresses.insert(url.authority.clone(), url.resolve().await?);
        }
    }
    let clock = Clock::start();
    let steady_from = plan.ramp + plan.settle;
    let first = Arc::new(FirstSeen::new());
    let progress = Arc::new(Progress::default());
    let kicks = Arc::new(Kicks::none(urls.len()));
    let stop = CancellationToken::new();
    let mut harvests = Vec::new();
    for thread in 0..plan.threads {
        // Viewer i starts at its i-th share of the ramp, on thread i modulo the number of threads.
        let mine: Vec<Seated> = urls
            .iter()
            .enumerate()
            .skip(thread)
            .step_by(plan.threads)
            .map(|(number, url)| {
                let after = plan.ramp.mul_f64(number as f64 / urls.len() as f64);
                let (url, address) = (url.clone(), addresses[&url.authority]);
                Seated { number, after, url, address, page: pages.get(number).cloned() }
            })
            .collect();
        let (first, progress, stop) = (Arc::clone(&first), Arc::clone(&progress), stop.clone());
        let kicks = Arc::clone(&kicks);
        let (timeout, minimal_headers) = (plan.timeout, args.minimal_headers);
        harvests.push(on_a_thread(move || async move {
            let context = Rc::new(Context {
                clock,
                scratch: Scratch::new(),
                cache: RefCell::default(),
                stats: Default::default(),
                steady_from_us: Cell::new(i64::try_from(steady_from.as_micros()).unwrap_or(i64::MAX)),
                first,
                progress,
                kicks,
                timeout,
                minimal_headers,
            });
            Ok(watch_on_this_thread(context, mine, stop).await)
        }));
    }
    // The threads must run while this task keeps the time.
    let harvests = futures_util::future::join_all(harvests);
    let keep_time = async {
        let before_steady = pause(args, &progress, steady_from).await;
        let before = Reading::take(&args.server_pid, clock);
        // Whoever is sent out last has a few seconds to be refused.
        let during = plan.duration.saturating_sub(KICKED_REFUSED_MAX).max(plan.duration / 2);
        let kicking = sent_out.map(|(door, sessions)| {
            let (kicks, count) = (Arc::clone(&kicks), args.kicks);
            tokio::spawn(on_a_thread(move || send_out(door, sessions, (count, during), clock, kicks)))
        });
        let complete = before_steady && pause(args, &progress, plan.duration).await;
        let after = Reading::take(&args.server_pid, clock);
        let kicked = match kicking {
            Some(kicking) if complete => kicking.await.unwrap_or_else(|error| Err(error.to_string())),
            _ => Ok(0),
        };
        stop.cancel();
        (before, after, complete, kicked)
    };
    let (harvests, (before, after, complete, kicked)) = tokio::join!(harvests, keep_time);
    let kicked = kicked?;
    let Harvest { mut ramp, mut steady, mut cache } = Harvest::default();
    for harvest in harvests {
        let harvest = harvest?;
        ramp.merge(&harvest.ramp);
        steady.merge(&harvest.steady);
        cache.hits += harvest.cache.hits;
        cache.misses += harvest.cache.misses;
    }
    let mut measured_s = (after.at_us - before.at_us) as f64 / 1e6;
    if steady.answers() == 0 && !complete {
        // Stopped before the measured phase: what there is, is better than nothing.
        std::mem::swap(&mut ramp, &mut steady);
        measured_s = after.at_us as f64 / 1e6;
    }
    let outline = Outline {
        viewers: urls.len(),
        joined: progress.joined.load(Ordering::Relaxed),
        refused: progress.refused.load(Ordering::Relaxed),
        ended: progress.ended.load(Ordering::Relaxed),
        kicked,
        measured_s,
        interrupted: !complete,
    };
    let mut report = Viewers::new(outline, &ramp, &steady, cache);
    let bytes = steady.playlist_bytes + steady.media_bytes;
    (report.server, report.generator) = before.costs(&after, steady.answers(), bytes);
    Ok(report)
}

/// Somebody who is about to watch.
struct Seated {
    number: usize,
    /// When they come, after the beginning.
    after: Duration,
    url: Url,
    address: SocketAddr,
    /// The page around the player; none without a session of its own.
    page: Option<Page>,
}

async fn watch_on_this_thread(context: Rc<Context>, viewers: Vec<Seated>, stop: CancellationToken) -> Harvest {
    let began = tokio::time::Instant::now();
    let mut playbacks = Vec::with_capacity(viewers.len());
    let mut tasks = tokio::task::JoinSet::new();
    for Seated { number, after, url, address, page } in viewers {
        let playback = Rc::new(RefCell::new(Playback::new(0, 1)));
        playbacks.push(Rc::clone(&playback));
        let context = Rc::clone(&context);
        tasks.spawn_local(async move {
            tokio::time::sleep_until(began + after).await;
            let timeout = context.timeout;
            let beside = async {
                if let Some(page) = page {
                    page.stay(address, timeout).await;
                }
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = viewer::watch(context, number, url, address, playback) => {}
                () = beside => {}
            }
        });
    }
    let all_done = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = stop.cancelled() => {}
        () = all_done => {
            // The report still covers the time that was asked for.
            stop.cancelled().await;
        }
    }
    let now_us = context.clock.now_us();
    drop(tasks);
    for playback in playbacks {
        if let Some(stood_us) = playback.borrow().standing(now_us) {
            let mut stats = context.stats(now_us);
            stats.stalls += 1;
            stats.stalled_us += stood_us;
        }
    }
    let [ramp, steady] = &context.stats;
    let cache = context.cache.borrow().usage();
    Harvest { ramp: ramp.take(), steady: steady.take(), cache }
}

/// Waits, showing progress on a terminal; `false` when told to stop (Ctrl-C, or the first error with `--fail-fast`).
async fn pause(args: &LoadArgs, progress: &Progress, duration: Duration) -> bool {
    let until = tokio::time::Instant::now() + duration;
    let show = io::stderr().is_terminal() && !args.json;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.tick().await;
    let mut last = progress.answers.load(Ordering::Relaxed);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return true,
            _ = tokio::signal::ctrl_c() => return false,
            _ = tick.tick() => {}
        }
        let now = progress.answers.load(Ordering::Relaxed);
        let (joined, errors) = (progress.joined.load(Ordering::Relaxed), progress.errors.load(Ordering::Relaxed));
        let stalls = progress.stalls.load(Ordering::Relaxed);
        if show {
            let rate = now - last;
            let _ = write!(io::stderr(), "\r{joined} watching, {rate} requests/s, {errors} errors, {stalls} stalls   ");
        }
        last = now;
        if args.fail_fast && errors + stalls > 0 {
            return false;
        }
    }
}

async fn flood(args: &LoadArgs, plan: &Plan, url: Url) -> Result<Raw, String> {
    let address = url.resolve().await?;
    let clock = Clock::start();
    let stop = CancellationToken::new();
    let mut floods = Vec::new();
    for thread in 0..plan.threads {
        let connections = (args.connections + plan.threads - 1 - thread) / plan.threads;
        let (url, stop, timeout) = (url.clone(), stop.clone(), plan.timeout);
        floods.push(on_a_thread(move || async move {
            let target = Rc::new(Target {
                url,
                address,
                clock,
                steady_from_us: Cell::new(i64::try_from(WARM_UP.as_micros()).unwrap_or(i64::MAX)),
                timeout,
                scratch: Scratch::new(),
                flood: RefCell::default(),
            });
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..connections {
                tasks.spawn_local(raw::ask(Rc::clone(&target)));
            }
            stop.cancelled().await;
            drop(tasks);
            Ok(target.flood.take())
        }));
    }
    let progress = Progress::default();
    let keep_time = async {
        pause(args, &progress, WARM_UP).await;
        let before = Reading::take(&args.server_pid, clock);
        pause(args, &progress, plan.duration).await;
        let after = Reading::take(&args.server_pid, clock);
        stop.cancel();
        (before, after)
    };
    let (floods, (before, after)) = tokio::join!(futures_util::future::join_all(floods), keep_time);
    let mut sum = Flood::default();
    for flood in floods {
        sum.merge(&flood?);
    }
    if sum.answers == 0 {
        let kinds: Vec<String> = sum.errors.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        return Err(format!("no answer from {}{}: {}", url.authority, url.path, kinds.join(", ")));
    }
    let mut report = Raw::new(args.connections, (after.at_us - before.at_us) as f64 / 1e6, &sum);
    (report.server, report.generator) = before.costs(&after, sum.answers, sum.bytes);
    Ok(report)
}

/// Prints a report as it was asked for.
fn print<T: Serialize>(
    args: &LoadArgs,
    report: &T,
    table: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_string(report)
            .map_err(|error| error.to_string())
            .and_then(|text| writeln!(out, "{text}").map_err(|error| error.to_string()))
    } else {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r{:78}\r", "");
        }
        table(&mut out).map_err(|error| error.to_string())
    };
    written.map_err(|error| format!("cannot write the report: {error}"))
}
