//! Doors open: everybody comes within a few seconds, and then everybody's page is open.
//!
//! Each page is what a browser's would be: a connection of its own, the code redeemed, the line stood in when there is
//! one, then a WebSocket over which it reports every few seconds and answers when it is asked whether it is there. Pages
//! arrive by the clock, not when the one before was served, so that a slow server meets a crowd and not a polite queue; a
//! redemption's time begins when it was *due*. Content keys are asked for once everybody has come.
//!
//! ```text
//! codes ─▶ due ─▶ POST sessions ─▶ (line) ─▶ WebSocket ─▶ holding ─▶ (end all) ─▶ bye, refused
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use super::http::{Connection, Credentials, HeaderBlock, Scratch, Take, Url};
use super::page::{self, REPORT, REPORT_TEXT, Socket};
use super::report::Storm;
use super::sessions;
use super::stats::Histogram;
use super::viewer::Clock;
use super::{DoorPlan, LoadArgs, Plan, Reading, lines, on_a_thread};

/// A page that is not in after this long has failed, however often it was told to wait.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a storm looks whether everybody has come.
const LOOK: Duration = Duration::from_millis(100);
/// After the end of all sessions, every so many-th page asks again and again until it is refused.
const PROBES_EVERY: usize = 50;
/// How often it asks.
const PROBE: Duration = Duration::from_millis(50);
/// A page that is not told and not refused after this long still watches.
const END_MAX: Duration = Duration::from_secs(10);

/// Runs a storm as the arguments say.
///
/// # Errors
///
/// Why there is nothing to report, as a sentence.
pub async fn run(args: &LoadArgs, plan: &Plan) -> Result<Storm, String> {
    if !(0.1..=100_000.0).contains(&args.rate) {
        return Err("--rate must be between 0.1 and 100000 pages a second".to_owned());
    }
    let (Some(api), Some(event)) = (&args.api, &args.event) else {
        return Err("--api needs --event".to_owned());
    };
    let door = DoorPlan { api: api.clone(), token: args.api_token.clone(), event: event.clone() };
    let given = args.codes.as_deref().map(lines).transpose()?.unwrap_or_default();
    let (count, plan_of_door) = (args.viewers, door.clone());
    let (codes, invitations) =
        on_a_thread(move || async move { sessions::codes(Rc::new(plan_of_door.build()?), given, count).await }).await?;
    let base = Url::parse(api)?;
    let redeem = base.join(&format!("/api/v1/events/{event}/sessions"))?;
    let address = base.resolve().await?;

    let clock = Clock::start();
    let (tell, phase) = watch::channel(Phase::Coming);
    let keys = args.keys.map(Duration::from_secs);
    let shared = Arc::new(Shared { clock, settled: 0.into(), open: 0.into(), phase, timeout: plan.timeout, keys });
    let before = Reading::take(&args.server_pid, clock);
    let mut tallies = Vec::new();
    for thread in 0..plan.threads {
        let due = |number: usize| (number as f64 / args.rate * 1e6) as i64;
        let mine = codes.iter().enumerate().skip(thread).step_by(plan.threads);
        let mine = mine.map(|(number, code)| Page { number, due_us: due(number), code: code.clone() }).collect();
        let (shared, redeem) = (Arc::clone(&shared), redeem.clone());
        tallies.push(on_a_thread(move || async move { Ok(pages(shared, redeem, address, mine).await) }));
    }
    let tallies = futures_util::future::join_all(tallies);
    let keep_time = async {
        let show = io::stderr().is_terminal() && !args.json;
        while shared.settled.load(Ordering::Relaxed) < count {
            tokio::time::sleep(LOOK).await;
            if show {
                let open = shared.open.load(Ordering::Relaxed);
                let _ = write!(io::stderr(), "\r{open} of {count} pages open   ");
            }
        }
        let came = Reading::take(&args.server_pid, clock);
        tell.send_replace(Phase::Open);
        tokio::time::sleep(plan.settle).await;
        let calm = Reading::take(&args.server_pid, clock);
        tokio::time::sleep(plan.duration).await;
        let held = Reading::take(&args.server_pid, clock);
        let open = shared.open.load(Ordering::Relaxed);
        let mut end_all_ms = None;
        if args.end_all {
            let door = door.clone();
            let ended = on_a_thread(move || async move {
                let door = door.build()?;
                let mut connection = Connection::new(address, Scratch::new());
                let asked_us = clock.now_us();
                sessions::end_all(&door, &mut connection).await?;
                Ok((asked_us, clock.now_us()))
            })
            .await;
            match ended {
                Ok((asked_us, answered_us)) => {
                    end_all_ms = Some((answered_us - asked_us) as f64 / 1e3);
                    tell.send_replace(Phase::Ended(answered_us));
                    let until = tokio::time::Instant::now() + END_MAX;
                    while shared.open.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < until {
                        tokio::time::sleep(LOOK).await;
                    }
                }
                Err(problem) => {
                    tell.send_replace(Phase::Over);
                    return Err(problem);
                }
            }
        }
        tell.send_replace(Phase::Over);
        Ok((came, calm, held, open, end_all_ms))
    };
    let (tallies, kept) = tokio::join!(tallies, keep_time);
    on_a_thread(move || async move {
        sessions::remove(&door.build()?, invitations).await;
        Ok(())
    })
    .await?;
    let (came, calm, held, open, end_all_ms) = kept?;
    let mut all = Tally::default();
    for tally in tallies {
        all.merge(&tally?);
    }
    let mut report = Storm::new(count, args.rate, open, &all);
    report.coming = before.costs(&came, all.redeemed, 0).0;
    report.holding = calm.costs(&held, 0, 0).0;
    report.end_all_ms = end_all_ms;
    if let (Some(before), Some(held), true) = (before.server, held.server, open > 0) {
        report.server_bytes_per_page = Some((held.rss as f64 - before.rss as f64) / open as f64);
    }
    Ok(report)
}

/// Where a storm stands, told to every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Pages come in, and stay.
    Coming,
    /// Whoever was to come has come.
    Open,
    /// The organiser's request to end all sessions was answered at this moment, microseconds of the run.
    Ended(i64),
    /// Go home.
    Over,
}

/// What all threads share.
struct Shared {
    /// The time of the run.
    clock: Clock,
    /// Pages that are in, or have failed.
    settled: AtomicUsize,
    /// Pages whose socket is open.
    open: AtomicUsize,
    /// Where the storm stands.
    phase: watch::Receiver<Phase>,
    /// Seconds a single answer may take.
    timeout: Duration,
    /// How often a page asks for a key, if at all.
    keys: Option<Duration>,
}

/// What a thread's pages went through.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Codes redeemed.
    pub redeemed: u64,
    /// Pages that stood in line first.
    pub queued: u64,
    /// Answers that said "later".
    pub told_to_wait: u64,
    /// Answers that put a page further back than the one before.
    pub pushed_back: u64,
    /// Due to session, of pages that did not stand in line.
    pub redemption: Histogram,
    /// Due to session, of pages that did.
    pub line: Histogram,
    /// How far the time that a page was first told it would wait was from the time it did.
    pub eta_off: Histogram,
    /// Session to open socket.
    pub opening: Histogram,
    /// Asking for a content key to having it.
    pub key: Histogram,
    /// Questions whether a page is there that were answered.
    pub answered: u64,
    /// Sockets that were lost without a word.
    pub lost: u64,
    /// Goodbyes by reason.
    pub byes: BTreeMap<String, u64>,
    /// End of all sessions to goodbye.
    pub bye: Histogram,
    /// End of all sessions to the first refusal, of the pages that asked without pause.
    pub refusal: Histogram,
    /// Pages that were not refused after the end.
    pub still_in: u64,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Tally) {
        self.redeemed += other.redeemed;
        self.queued += other.queued;
        self.told_to_wait += other.told_to_wait;
        self.pushed_back += other.pushed_back;
        self.redemption.merge(&other.redemption);
        self.line.merge(&other.line);
        self.eta_off.merge(&other.eta_off);
        self.opening.merge(&other.opening);
        self.key.merge(&other.key);
        self.answered += other.answered;
        self.lost += other.lost;
        self.bye.merge(&other.bye);
        self.refusal.merge(&other.refusal);
        self.still_in += other.still_in;
        for (all, more) in [(&mut self.byes, &other.byes), (&mut self.errors, &other.errors)] {
            for (kind, count) in more {
                *all.entry(kind.clone()).or_default() += count;
            }
        }
    }
}

/// One page to come.
#[derive(Debug, Clone)]
struct Page {
    /// Its number in the whole storm.
    number: usize,
    /// When it comes, microseconds of the run.
    due_us: i64,
    /// Its code.
    code: String,
}

/// Lets `pages` come and go on this thread, until the phase is over.
async fn pages(shared: Arc<Shared>, sessions: Url, address: SocketAddr, pages: Vec<Page>) -> Tally {
    let (scratch, tally, newest) = (Scratch::new(), RefCell::default(), Cell::default());
    let door = Rc::new(Door { shared, sessions, address, scratch, tally, newest });
    let mut tasks = tokio::task::JoinSet::new();
    for page in pages {
        let door = Rc::clone(&door);
        tasks.spawn_local(async move {
            if let Err(problem) = door.attend(page).await {
                *door.tally.borrow_mut().errors.entry(problem).or_default() += 1;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    door.tally.take()
}

/// What the pages of a thread share.
struct Door {
    shared: Arc<Shared>,
    /// Where codes are redeemed.
    sessions: Url,
    address: SocketAddr,
    scratch: Scratch,
    tally: RefCell<Tally>,
    /// The newest key that a playlist named, and when it did, microseconds of the run.
    newest: Cell<Option<(u64, i64)>>,
}

/// What a page holds once it is in.
struct Inside {
    page: page::Page,
    playlist: Url,
}

impl Door {
    /// A page from its arrival to the end of the storm.
    async fn attend(&self, page: Page) -> Result<(), String> {
        let now_us = self.shared.clock.now_us();
        tokio::time::sleep(Duration::from_micros(u64::try_from(page.due_us - now_us).unwrap_or(0))).await;
        let arrived = async {
            let inside = self.come_in(&page).await?;
            let opened_us = self.shared.clock.now_us();
            let socket = inside.page.open(self.address, self.shared.timeout).await?;
            self.tally.borrow_mut().opening.record(self.shared.clock.now_us() - opened_us);
            Ok::<_, String>((inside, socket))
        };
        let arrived = tokio::time::timeout(PATIENCE, arrived).await;
        self.shared.settled.fetch_add(1, Ordering::Relaxed);
        let (inside, socket) = arrived.map_err(|_| format!("not in after {} s", PATIENCE.as_secs()))??;
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        let stay = async {
            tokio::select! {
                () = self.stay(&inside.page, socket) => {}
                () = self.ask_for_keys(page.number, &inside) => {}
            }
        };
        if page.number.is_multiple_of(PROBES_EVERY) {
            tokio::join!(stay, self.probe(&inside));
        } else {
            stay.await;
        }
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Redeems the code, standing in line and waiting as the server says.
    async fn come_in(&self, page: &Page) -> Result<Inside, String> {
        let mut connection = Connection::new(self.address, self.scratch.clone());
        let body = json!({ "code": page.code }).to_string();
        let mut ticket: Option<String> = None;
        loop {
            let credentials = Credentials { bearer: None, cookie: ticket.as_deref() };
            let sent = connection.send_json("POST", &self.sessions, credentials, Some(&body));
            let answer = tokio::time::timeout(self.shared.timeout, sent).await;
            let answer = answer.map_err(|_| "redemption: timeout".to_owned())?;
            let answer = answer.map_err(|failure| format!("redemption: {failure:?}"))?;
            let said: Value = serde_json::from_slice(&connection.body).unwrap_or(Value::Null);
            match answer.status {
                202 => {
                    if ticket.is_none() {
                        self.tally.borrow_mut().queued += 1;
                    }
                    if let Some(cookie) = answer.cookies {
                        ticket = Some(cookie);
                    }
                    self.stand_in_line(&mut connection, ticket.as_deref(), &said).await?;
                }
                200..=299 => {
                    let took = self.shared.clock.now_us() - page.due_us;
                    let mut tally = self.tally.borrow_mut();
                    tally.redeemed += 1;
                    if ticket.is_some() {
                        tally.line.record(took)
                    } else {
                        tally.redemption.record(took)
                    }
                    let text = |pointer| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                    let cookie = answer.cookies.ok_or("redemption: no cookie")?;
                    let page = page::Page::of(&said, cookie, &self.sessions)?;
                    return Ok(Inside { page, playlist: Url::parse(text("/playback/hls"))? });
                }
                429 | 503 => {
                    self.tally.borrow_mut().told_to_wait += 1;
                    tokio::time::sleep(Duration::from_secs(answer.retry_after_s.unwrap_or(1).max(1))).await;
                }
                status => return Err(format!("redemption: status {status}")),
            }
        }
    }

    /// Asks as often as it is told to until it is this page's turn.
    async fn stand_in_line(
        &self,
        connection: &mut Connection,
        ticket: Option<&str>,
        said: &Value,
    ) -> Result<(), String> {
        let url = Url { path: self.sessions.path.replace("/sessions", "/queue/current"), ..self.sessions.clone() };
        let poll = |said: &Value| said.pointer("/queue/poll_ms").and_then(Value::as_u64).unwrap_or(5_000);
        let position = |said: &Value| said.pointer("/queue/position").and_then(Value::as_u64).unwrap_or(0);
        let (mut pause, mut place) = (poll(said), position(said));
        let (stood_us, eta_ms) = (self.shared.clock.now_us(), said.pointer("/queue/eta_ms").and_then(Value::as_i64));
        loop {
            tokio::time::sleep(Duration::from_millis(pause.clamp(100, 60_000))).await;
            let sent = connection.send_json("GET", &url, Credentials { bearer: None, cookie: ticket }, None);
            let answer = tokio::time::timeout(self.shared.timeout, sent).await;
            let answer = answer.map_err(|_| "line: timeout".to_owned())?;
            let answer = answer.map_err(|failure| format!("line: {failure:?}"))?;
            let said: Value = serde_json::from_slice(&connection.body).unwrap_or(Value::Null);
            match answer.status {
                200..=299 if said.pointer("/admitted") == Some(&Value::Bool(true)) => {
                    if let Some(eta_ms) = eta_ms {
                        let waited_us = self.shared.clock.now_us() - stood_us;
                        self.tally.borrow_mut().eta_off.record((waited_us - eta_ms * 1_000).abs());
                    }
                    return Ok(());
                }
                200..=299 => {
                    let before = std::mem::replace(&mut place, position(&said));
                    self.tally.borrow_mut().pushed_back += u64::from(place > before);
                    pause = poll(&said);
                }
                429 | 503 => pause = answer.retry_after_s.unwrap_or(1) * 1_000,
                status => return Err(format!("line: status {status}")),
            }
        }
    }

    /// Holds the socket open until the server says goodbye or the storm is over.
    async fn stay(&self, page: &page::Page, mut socket: Socket) {
        let mut phase = self.shared.phase.clone();
        let mut report = tokio::time::interval(REPORT);
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                _ = report.tick() => {
                    // When the server has just closed, its goodbye is still to be read.
                    let _ = socket.send(Message::text(REPORT_TEXT)).await;
                    continue;
                }
                over = phase.wait_for(|phase| *phase == Phase::Over) => {
                    drop(over);
                    return;
                }
            };
            let Some(Ok(message)) = message else {
                self.tally.borrow_mut().lost += 1;
                return;
            };
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            if let Some(answer) = page.answer(&said) {
                report.reset();
                let _ = page::with_report(&mut socket, answer).await;
                self.tally.borrow_mut().answered += 1;
            }
            if said["type"] != "bye" {
                continue;
            }
            let now_us = self.shared.clock.now_us();
            let reason = said["reason"].as_str().unwrap_or("?").to_owned();
            // Who is told before the organiser's request is answered was told at once.
            let since = match *phase.borrow() {
                Phase::Ended(at_us) => now_us - at_us,
                _ => 0,
            };
            let mut tally = self.tally.borrow_mut();
            tally.bye.record(since);
            *tally.byes.entry(reason).or_default() += 1;
            return;
        }
    }

    /// Asks for the newest key, again and again; never returns.
    async fn ask_for_keys(&self, number: usize, inside: &Inside) {
        let Some(every) = self.shared.keys else { return std::future::pending().await };
        let _ = self.shared.phase.clone().wait_for(|phase| *phase != Phase::Coming).await;
        let headers = HeaderBlock::plain(&inside.playlist.authority);
        // Spread over the period, as players are whose buffers differ.
        let begin = tokio::time::Instant::now() + every.mul_f64((number % 1_000) as f64 / 1_000.0);
        let mut tick = tokio::time::interval_at(begin, every);
        loop {
            tick.tick().await;
            if *self.shared.phase.borrow() != Phase::Open {
                return std::future::pending().await;
            }
            // Not kept: the server closes what rests for as long as a key lasts, and a second open file for each page is
            // more than many machines allow.
            let mut connection = Connection::new(self.address, self.scratch.clone());
            let asked = self.ask_for_key(&mut connection, &headers, inside, every);
            let problem = match tokio::time::timeout(self.shared.timeout, asked).await {
                Ok(Ok(())) => continue,
                Ok(Err(problem)) => problem,
                Err(_) => "key: timeout".to_owned(),
            };
            *self.tally.borrow_mut().errors.entry(problem).or_default() += 1;
        }
    }

    async fn ask_for_key(
        &self,
        connection: &mut Connection,
        headers: &HeaderBlock,
        inside: &Inside,
        every: Duration,
    ) -> Result<(), String> {
        let base = inside.playlist.path.strip_suffix("index.m3u8").unwrap_or_default();
        let fresh_us = i64::try_from(every.as_micros() / 2).unwrap_or(i64::MAX);
        let now_us = self.shared.clock.now_us();
        let newest = match self.newest.get().filter(|(_, at_us)| now_us - at_us < fresh_us) {
            Some((key, _)) => key,
            None => {
                let answer = connection.get(&[base, "video/index.m3u8"], headers, Take::Text).await;
                answer.map_err(|failure| format!("playlist: {failure:?}"))?;
                let text = String::from_utf8_lossy(&connection.body);
                let named = text.rsplit_once("../key/").and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
                let key = named.ok_or("playlist: no key in it")?;
                self.newest.set(Some((key, now_us)));
                key
            }
        };
        let (name, asked_us) = (format!("key/{newest}"), self.shared.clock.now_us());
        let answer = connection.get(&[base, &name], headers, Take::Text).await;
        match answer.map_err(|failure| format!("key: {failure:?}"))?.status {
            200 => self.tally.borrow_mut().key.record(self.shared.clock.now_us() - asked_us),
            status => return Err(format!("key: status {status}")),
        }
        Ok(())
    }

    /// From the end of all sessions on, asks for the playlist until it is refused.
    async fn probe(&self, inside: &Inside) {
        let mut phase = self.shared.phase.clone();
        let told = phase.wait_for(|phase| !matches!(phase, Phase::Coming | Phase::Open)).await;
        let Ok(began) = told.map(|phase| *phase) else { return };
        let Phase::Ended(at_us) = began else { return };
        let mut connection = Connection::new(self.address, self.scratch.clone());
        let headers = HeaderBlock::minimal(&inside.playlist.authority, None);
        let until = tokio::time::Instant::now() + END_MAX;
        while tokio::time::Instant::now() < until {
            let path = [inside.playlist.path.as_str()];
            let sent = connection.get(&path, &headers, Take::Text);
            if let Ok(Ok(answer)) = tokio::time::timeout(self.shared.timeout, sent).await
                && matches!(answer.status, 401 | 403 | 410)
            {
                self.tally.borrow_mut().refusal.record(self.shared.clock.now_us() - at_us);
                return;
            }
            tokio::time::sleep(PROBE).await;
        }
        self.tally.borrow_mut().still_in += 1;
    }
}
