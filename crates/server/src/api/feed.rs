//! WebSockets: what organisers see live, and how viewers hear about the broadcast and the end of their access.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{EndReason, Look, TakeoverState};
use stagedoor_domain::id::{EventId, TakeoverId};
use stagedoor_domain::risk::heartbeat::{self, Answer, Questions};
use stagedoor_domain::risk::{Signal, Unmarked};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::board::{self, Board, OrganiserMessage};
use super::extract::{self, Organiser, Path, Query, room};
use super::policy::ActionName;
use super::problem::{Body, Problem};
use super::takeovers::StateName;
use crate::access::{Attendance, Caution, Inside, Occupied, Over, Report, Seat, Who};
use crate::live;
use crate::ports::db::takeovers::Takeover;
use crate::telemetry;

/// How often a feed looks after itself.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// How often a viewer's feed looks whether anybody is there, and asks its page: ten thousand of them do. A page that is
/// told nothing three times takes its connection for lost.
const LOOK_AROUND: Duration = heartbeat::EVERY;
/// … at moments that are so far apart.
const GRID: Duration = Duration::from_millis(100);
/// Messages with signals that a page may send between two questions; more are not read.
const SIGNALS_MESSAGES_MAX: u8 = 4;
/// Signals of one message that are read.
const SIGNALS_MAX: usize = 8;
/// A client that does not take a message in this time is gone.
const SEND_MAX: Duration = Duration::from_secs(10);
/// The server asks for a sign of life this often …
const PING: Duration = Duration::from_secs(20);
/// … and gives up after this long without one.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a closed feed waits for the other side to close as well.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// An organiser's page to which nothing was said for so long is told that we are there, since browsers keep pings to
/// themselves. A third of the silence after which it takes its connection for lost.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Who holds a feed is read again at least this often.
const REREAD: Duration = Duration::from_secs(30);
/// A report is a hundred bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// What a page says fits many times; the library's own 128 KiB would be most of what an open page costs.
const READ_BUFFER_BYTES: usize = 1024;

/// A request to become a WebSocket.
pub(super) struct Upgrade {
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    /// The connection's place in the house, which the socket goes on holding.
    inside: Option<Inside>,
}

impl FromRequestParts<Api> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let inside = parts.extensions.get::<Inside>().cloned();
        Ok(Self { socket: WebSocketUpgrade::from_request_parts(parts, api).await, inside })
    }
}

/// A WebSocket that may open: its messages and buffers are bounded, and it has a place among those of its holder.
pub(super) struct Bounded {
    upgrade: WebSocketUpgrade,
    places: (Option<Inside>, Occupied),
}

impl Upgrade {
    /// Lets it become one of `whose`: of a session, a question, or an organiser.
    pub(super) fn bounded(self, api: &Api, whose: uuid::Uuid) -> Result<Bounded, Problem> {
        let upgrade = self.socket.map_err(|_| {
            Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "This is a WebSocket: connect to it as one.")
        })?;
        let Some(place) = api.access.feed(whose) else {
            let detail = "Too many connections of this kind are open. Close some tabs.";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_feeds", detail).retry_after(SILENCE_MAX));
        };
        let upgrade = upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_frame_size(MESSAGE_BYTES_MAX)
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0);
        Ok(Bounded { upgrade, places: (self.inside, place) })
    }
}

impl Bounded {
    /// Answers, and talks once the other side has heard it.
    pub(super) fn talk<T: Future<Output = ()> + Send + 'static>(
        self,
        talk: impl FnOnce(WebSocket) -> T + Send + 'static,
    ) -> Response {
        let Self { upgrade, places } = self;
        let task = move |socket| {
            telemetry::contained("feed", async move {
                talk(socket).await;
                drop(places);
            })
        };
        upgrade.on_upgrade(task).into_response()
    }
}

/// A socket with deadlines.
pub(super) struct Socket {
    inner: WebSocket,
    heard: Instant,
    pinged: Instant,
    ping: Duration,
}

/// The other side is gone, or as good as.
pub(super) struct Gone;

impl Socket {
    fn new(inner: WebSocket) -> Self {
        Self::pinged_every(inner, PING)
    }

    /// One whose other side is missed sooner.
    pub(super) fn pinged_every(inner: WebSocket, ping: Duration) -> Self {
        Self { inner, heard: Instant::now(), pinged: Instant::now(), ping }
    }

    /// Whether the other side has said anything, if only that it is there, since `then`.
    pub(super) fn heard_after(&self, then: Instant) -> bool {
        self.heard > then
    }

    async fn send_raw(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_MAX, self.inner.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    pub(super) async fn send(&mut self, message: &impl Serialize) -> Result<(), Gone> {
        let text = serde_json::to_string(message).map_err(|_| Gone)?;
        self.send_raw(Message::Text(text.into())).await
    }

    /// The next text. Pings are answered and closing is noticed underneath. Cancel safe.
    pub(super) async fn text(&mut self) -> Result<String, Gone> {
        loop {
            let message = match self.inner.recv().await {
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return Err(Gone),
            };
            self.heard = Instant::now();
            if let Message::Text(text) = message {
                return Ok(text.as_str().to_owned());
            }
        }
    }

    /// Called every few seconds: asks for a sign of life, and gives up without one.
    pub(super) async fn keep_alive(&mut self) -> Result<(), Gone> {
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(Gone);
        }
        if self.pinged.elapsed() > self.ping {
            self.pinged = Instant::now();
            self.send_raw(Message::Ping(bytes::Bytes::new())).await?;
        }
        Ok(())
    }

    /// Says goodbye properly, so that the other side need not guess, and stays until it was heard: closing while
    /// something of theirs is still unread resets the connection, and then the last words may be lost with it.
    ///
    /// # Source
    ///
    /// RFC 6455, section 7.1.1: the server closes the connection after both sides have sent a Close frame.
    pub(super) async fn close(mut self) {
        if self.send_raw(Message::Close(None)).await.is_ok() {
            let heard = async { while self.text().await.is_ok() {} };
            let _ = tokio::time::timeout(LINGER_MAX, heard).await;
        }
    }
}

/// Where a feed goes on, and what it is to tell.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The last `seq` that was seen: what came after it is told again when it is still known, otherwise everything.
    after: Option<u64>,
    /// `false` for figures only, without who is watching. By default both.
    rows: Option<bool>,
}

/// Watch an event live: a WebSocket. First a `snapshot`, of which `rows` follow while it says `more`; or `resumed`, when
/// `after` is still known. Then what changes, at most ten messages a second, each with a `seq` to resume from. Who reads
/// too slowly is told everything again instead of all that was missed. Where nothing changes, `alive` comes every ten
/// seconds: half a minute without any message is a lost connection.
#[utoipa::path(get, path = "/api/v1/events/{event}/feed", tag = "people", params(("event" = String, Path), Wanted),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 101, description = "`OrganiserMessage`s follow"), (status = "default", body = Body)))]
pub(super) async fn organiser(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(wanted): Query<Wanted>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let room = room(&api, event)?;
    let upgrade = upgrade.bounded(&api, organiser.0.user.uuid())?;
    let board = api.boards.of(&api, &room);
    Ok(upgrade.talk(move |socket| async move {
        let mut socket = Socket::new(socket);
        if show(&api, organiser.0, &board, &wanted, &mut socket).await.is_ok() {
            socket.close().await;
        }
    }))
}

/// Somebody who holds a feed, as they are now and not as they were when it began: whoever is signed out, disabled, or has
/// lost the role or the team that it needs, sees nothing more within a second.
struct Holder {
    who: Who,
    accounts: watch::Receiver<u64>,
    read: Instant,
    stale: bool,
}

impl Holder {
    fn new(api: &Api, who: Who) -> Self {
        Self { who, accounts: api.access.accounts(), read: Instant::now(), stale: false }
    }

    /// Whether they may still look at `event`.
    async fn may_look(&mut self, api: &Api, event: EventId) -> bool {
        // Another process may have changed something too, and says so to nobody here.
        if self.stale || self.accounts.has_changed().unwrap_or(false) || self.read.elapsed() > REREAD {
            self.stale = false;
            self.accounts.mark_unchanged();
            match api.access.reread(&self.who).await {
                // What somebody sees is drawn for what they may do: with another role their page begins again.
                Ok(Some(who)) if who.role != self.who.role => return false,
                Ok(Some(who)) => (self.who, self.read) = (who, Instant::now()),
                Ok(None) => return false,
                // The database is away: what was true a moment ago holds until it answers.
                Err(_) => {}
            }
        }
        api.access.may(&self.who, Look { event }).is_ok()
    }
}

async fn show(api: &Api, who: Who, board: &Board, wanted: &Wanted, socket: &mut Socket) -> Result<(), Gone> {
    let mut holder = Holder::new(api, who);
    let rows = wanted.rows.unwrap_or(true);
    board.count(api).await;
    board.look(api);
    // When something was last said; taken before, so that it is never too late.
    let mut said = api.clock.elapsed();
    let mut told = match wanted.after.filter(|after| board.since(*after).is_some()) {
        Some(after) => {
            socket.send(&OrganiserMessage::Resumed { seq: after }).await?;
            after
        }
        None => everything(board, rows, socket).await?,
    };
    let mut look = tokio::time::interval(board::LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = api.stop.cancelled() => return Ok(()),
            // Whatever an organiser's page says is only a sign of life.
            text = socket.text() => drop(text?),
            Ok(()) = holder.accounts.changed() => {
                holder.stale = true;
                if !holder.may_look(api, board.event()).await {
                    return Ok(());
                }
            }
            _ = tick.tick() => {
                // Signed-in time runs out here as well, and a deleted event has nothing to show.
                let event = board.event();
                if !holder.may_look(api, event).await || api.access.room(event).is_none() {
                    return Ok(());
                }
                socket.keep_alive().await?;
                if api.clock.elapsed().saturating_sub(said) >= QUIET_MAX {
                    said = api.clock.elapsed();
                    socket.send(&OrganiserMessage::Alive).await?;
                }
                board.count(api).await;
            }
            _ = look.tick() => {
                board.reach(api).await;
                board.look(api);
                match board.since(told) {
                    Some(entries) => {
                        for entry in entries {
                            if rows || !entry.rows {
                                said = api.clock.elapsed();
                                socket.send_raw(Message::Text(entry.text)).await?;
                            }
                            told = entry.seq;
                        }
                    }
                    // It did not keep up: what it missed is not kept for it.
                    None => {
                        metrics::counter!("feed_resynchronised_total").increment(1);
                        said = api.clock.elapsed();
                        told = everything(board, rows, socket).await?;
                    }
                }
            }
        }
    }
}

/// Tells everything, some hundred rows at a time, and says from where it goes on.
async fn everything(board: &Board, rows: bool, socket: &mut Socket) -> Result<u64, Gone> {
    let snapshot = board.snapshot();
    let seq = snapshot.seq;
    for message in snapshot.messages(rows) {
        socket.send(&message).await?;
    }
    Ok(seq)
}

/// What the server tells a viewer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ViewerMessage {
    /// Whether the event is on air; first, and whenever it changes.
    State {
        /// Where the broadcast stands.
        state: live::State,
        /// Since when.
        #[schema(value_type = Option<String>, format = DateTime)]
        since: Option<Time>,
    },
    /// Another device has the code and asks to go on there. Answer with `POST …/sessions/current/takeovers/{id}`.
    Takeover {
        /// The question.
        #[schema(value_type = String)]
        id: TakeoverId,
        /// The browser that asks, in words.
        #[schema(examples("Chrome on Android"))]
        device: String,
        /// Where it is: a city, a country, or `unknown place`.
        #[schema(examples("Lyon, France"))]
        place: String,
        /// When it asked.
        #[schema(value_type = String, format = DateTime)]
        at: Time,
        /// Until when to answer.
        #[schema(value_type = String, format = DateTime)]
        expires_at: Time,
    },
    /// Where that question stands now. After `approved` it goes on: the other device comes in, which `bye` tells, or does
    /// not come in time.
    #[serde(rename = "takeover_over")]
    TakeoverOver {
        /// The question.
        #[schema(value_type = String)]
        id: TakeoverId,
        /// How it stands.
        state: StateName,
    },
    /// Sign this and send it back as a `ViewerHeartbeat`: it shows that the page is there. Comes every few seconds. A
    /// page that has no key, or a mark where there is none now or the other way round, gets what it needs with the
    /// session.
    Challenge {
        /// Never the same twice: 16 bytes in base64url without padding.
        #[schema(examples("q83vEjRWeJCrze8SNFZ4kA"))]
        nonce: String,
        /// Whether the picture is to carry the viewer's mark.
        watermark: bool,
    },
    /// Nothing has happened, and the server is there. Comes in the place of `challenge` where the event does not ask: a
    /// page that hears neither for a quarter of a minute has lost its connection.
    Alive,
    /// Something odd was noticed, and this event does something about it. Tell the viewer what, and how to appeal;
    /// after `blur` and `pause` neither picture nor sound until they have read it, which a `ViewerAcknowledge` says.
    /// Told again to a page that comes back before that.
    Caution {
        /// `warn`, `blur` or `pause`.
        action: ActionName,
        /// What was noticed: names from the table in the operator's book.
        #[schema(value_type = Vec<String>, examples(json!(["window_size", "console_reads"])))]
        signals: Vec<Signal>,
    },
    /// The session is over; the last message. After `stopping` it is not: connect again.
    Bye {
        /// Why.
        reason: Bye,
        /// What the organiser says about it, or after `tampering` what was seen and how to appeal: plain text.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

/// Why a feed ends.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bye {
    /// The invitation was withdrawn.
    Revoked,
    /// An organiser sent the viewer out; the code still works.
    Kicked,
    /// An organiser sent the viewer out for good.
    Blocked,
    /// The page or its requests were tampered with; the code still works.
    Tampering,
    /// The invitation got another code.
    CodeChanged,
    /// The viewer goes on watching on another device.
    TakenOver,
    /// The viewer left, or the event is gone.
    Ended,
    /// Its time was up.
    Expired,
    /// The code was used in another browser.
    Replaced,
    /// The server restarts.
    Stopping,
}

impl From<EndReason> for Bye {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Revoked => Self::Revoked,
            EndReason::Kicked => Self::Kicked,
            EndReason::Blocked => Self::Blocked,
            EndReason::Tampering => Self::Tampering,
            EndReason::CodeChanged => Self::CodeChanged,
            EndReason::TakenOver => Self::TakenOver,
            EndReason::Replaced => Self::Replaced,
            EndReason::Expired => Self::Expired,
            EndReason::Left | EndReason::Ended => Self::Ended,
        }
    }
}

/// What a viewer's page tells the server, every five seconds.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "what pages say is documented whole; not all of it is shown yet")]
pub(super) struct ViewerReport {
    /// Always `report`.
    #[serde(rename = "type")]
    kind: String,
    /// Behind the broadcaster.
    latency_ms: Option<f64>,
    /// Lines of the picture that is shown.
    height: Option<f64>,
    /// How often the picture stopped.
    stalls: Option<f64>,
    /// Where the player is in the media.
    position_ms: Option<f64>,
    /// The page is in the foreground.
    visible: Option<bool>,
    /// The player is playing.
    playing: Option<bool>,
}

/// The answer to a challenge.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ViewerHeartbeat<'a> {
    /// Always `heartbeat`.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "it was read before")]
    kind: &'a str,
    /// The challenge's.
    nonce: &'a str,
    /// Which guards stand: a bit each, in one to eight lower-case hexadecimal digits.
    #[schema(examples("1f"))]
    guard: &'a str,
    /// Where the player is in the media.
    position_ms: Option<u64>,
    /// Pictures shown since the page was opened.
    frames: u64,
    /// HMAC-SHA-256 with the session's key over `nonce.guard.position_ms.frames`, in which a position that is `null` is
    /// empty: base64url without padding.
    mac: &'a str,
}

/// What a page noticed about itself.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ViewerSignals<'a> {
    /// Always `signals`.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "it was read before")]
    kind: &'a str,
    /// At most eight.
    #[serde(borrow)]
    #[schema(max_items = 8)]
    signals: Vec<ViewerSignal<'a>>,
}

/// One thing that a page noticed.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ViewerSignal<'a> {
    /// A name from the table in the operator's book; others are ignored.
    #[serde(borrow)]
    #[schema(value_type = String, examples("console_reads"))]
    name: Cow<'a, str>,
    /// What exactly, for organisers: at most 80 printable characters of it are kept.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 80)]
    detail: Option<Cow<'a, str>>,
}

/// The viewer has read a caution.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "its type says everything")]
pub(super) struct ViewerAcknowledge {
    /// Always `acknowledge`.
    #[serde(rename = "type")]
    kind: String,
}

/// Keep a viewer's page up to date: a WebSocket. The page sends a `ViewerReport` every five seconds, answers each
/// `challenge` with a `ViewerHeartbeat`, says what it notices with `ViewerSignals`, and that a caution was read with
/// `ViewerAcknowledge`.
#[utoipa::path(get, path = "/api/v1/events/{event}/sessions/current/feed", tag = "viewer",
    params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 101, description = "`ViewerMessage`s follow"), (status = 401, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn viewer(
    State(api): State<Api>,
    viewer: extract::Viewer,
    extract::Address(address): extract::Address,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let upgrade = upgrade.bounded(&api, viewer.0.session.uuid())?;
    api.access.came_from(&viewer.0, address);
    api.access.shows_agent(&viewer.0, headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default());
    Ok(upgrade.talk(move |socket| async move {
        let mut socket = Socket::new(socket);
        if let Ok(bye) = accompany(&api, &viewer.0, &mut socket).await {
            let _ = socket.send(&bye).await;
            socket.close().await;
        }
    }))
}

fn stopping() -> ViewerMessage {
    ViewerMessage::Bye { reason: Bye::Stopping, message: None }
}

impl From<Over> for ViewerMessage {
    fn from(over: Over) -> Self {
        Self::Bye { reason: over.reason.into(), message: over.words.map(|words| words.to_string()) }
    }
}

impl From<&Takeover> for ViewerMessage {
    fn from(question: &Takeover) -> Self {
        match question.state {
            TakeoverState::Pending => Self::Takeover {
                id: question.id,
                device: question.device.clone(),
                place: question.place.clone(),
                at: question.asked_at,
                expires_at: question.answer_until,
            },
            state => Self::TakeoverOver { id: question.id, state: state.into() },
        }
    }
}

impl From<Caution> for ViewerMessage {
    fn from(Caution { action, signals }: Caution) -> Self {
        Self::Caution { action: action.into(), signals: Signal::of_bits(signals).collect() }
    }
}

async fn accompany(api: &Api, seat: &Seat, socket: &mut Socket) -> Result<ViewerMessage, Gone> {
    let mut stream = api.hub.watch_state(seat.stream);
    stream.mark_changed();
    // A page that comes back is told again what it is asked.
    let mut asked = seat.asked();
    asked.mark_changed();
    // As well as of what it did not say that it has read.
    let mut cautioned = seat.cautioned();
    cautioned.mark_changed();
    let mut page =
        Page { attendance: seat.attend(), questions: Questions::default(), unmarked: Unmarked::default(), signals: 0 };
    // On a grid that all of them share: two hundred pages that are asked together cost one awakening, and so do their
    // answers.
    let past = api.clock.elapsed().as_millis() % GRID.as_millis();
    let first = Instant::now() + GRID.saturating_sub(Duration::from_millis(u64::try_from(past).unwrap_or_default()));
    let mut tick = tokio::time::interval_at(first, LOOK_AROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // What all pages wait for is asked about once, not at each awakening: they would queue for it.
    let (mut over, mut stopped) = (std::pin::pin!(seat.ended()), std::pin::pin!(api.stop.cancelled()));
    loop {
        if stream.has_changed().unwrap_or(false) {
            let (state, since) = *stream.borrow_and_update();
            socket.send(&ViewerMessage::State { state, since }).await?;
        }
        if asked.has_changed().unwrap_or(false) {
            let question = asked.borrow_and_update().clone();
            if let Some(question) = question {
                socket.send(&ViewerMessage::from(&*question)).await?;
            }
        }
        if cautioned.has_changed().unwrap_or(false) {
            let caution = *cautioned.borrow_and_update();
            if let Some(caution) = caution {
                socket.send(&ViewerMessage::from(caution)).await?;
            }
        }
        tokio::select! {
            over = &mut over => return Ok(over.into()),
            () = &mut stopped => return Ok(stopping()),
            Ok(()) = asked.changed() => asked.mark_changed(),
            Ok(()) = cautioned.changed() => cautioned.mark_changed(),
            changed = stream.changed() => match changed {
                Ok(()) => stream.mark_changed(),
                Err(_) => return Ok(stopping()),
            },
            text = socket.text() => page.says(api, seat, &text?),
            _ = tick.tick() => {
                socket.keep_alive().await?;
                page.signals = 0;
                let message = match api.access.ask_page(seat, &mut page.questions) {
                    Some((nonce, watermark)) => ViewerMessage::Challenge { nonce, watermark },
                    None => ViewerMessage::Alive,
                };
                socket.send(&message).await?;
            }
        }
    }
}

/// One open page of a session.
struct Page<'a> {
    attendance: Attendance<'a>,
    questions: Questions,
    unmarked: Unmarked,
    /// Messages with signals since the last question.
    signals: u8,
}

/// As much of a message as says what the rest is.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
}

impl Page<'_> {
    /// The page says something. What makes no sense is as if it had not been said.
    fn says(&mut self, api: &Api, seat: &Seat, text: &str) {
        let Ok(kind) = serde_json::from_str::<Kind<'_>>(text) else { return };
        match &*kind.name {
            "report" => {
                if let Some(report) = understood(text) {
                    self.attendance.reported(report, api.clock.now());
                }
            }
            "heartbeat" => {
                let Ok(said) = serde_json::from_str::<ViewerHeartbeat<'_>>(text) else { return };
                let ViewerHeartbeat { nonce, guard, position_ms, frames, mac, .. } = said;
                let answer = Answer { nonce, guard, position_ms, frames, mac };
                match api.access.page_answers(seat, &mut self.questions, &answer) {
                    Ok(()) => api.access.look_for_mark(seat, &self.attendance, &mut self.unmarked, &answer),
                    Err(bad) => {
                        tracing::debug!(session = %seat.session, error = &bad as &dyn std::error::Error, "no good answer");
                    }
                }
            }
            "signals" if self.signals < SIGNALS_MESSAGES_MAX => {
                self.signals += 1;
                let Ok(said) = serde_json::from_str::<ViewerSignals<'_>>(text) else { return };
                for said in said.signals.iter().take(SIGNALS_MAX) {
                    if let Some(signal) = Signal::from_page(&said.name) {
                        api.access.noticed(seat, signal, said.detail.as_deref().unwrap_or_default());
                    }
                }
            }
            "acknowledge" => seat.acknowledge(),
            _ => {}
        }
    }
}

/// A report as far as it can be believed: numbers that no player has are left out. Anything else is ignored.
fn understood(text: &str) -> Option<Report> {
    let report: ViewerReport = serde_json::from_str(text).ok()?;
    if report.kind != "report" {
        return None;
    }
    let number = |value: Option<f64>, most: f64| {
        let value = value.filter(|value| (0.0..=most).contains(value))?;
        // In range and not negative: exact enough for a table.
        Some(value.round() as u32)
    };
    Some(Report {
        height: number(report.height, 16_384.0),
        latency_ms: number(report.latency_ms, 86_400_000.0),
        stalls: number(report.stalls, 1_000_000.0),
        visible: report.visible,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_believed_as_far_as_it_makes_sense() {
        let report = understood(
            r#"{"type":"report","latency_ms":1830.4,"height":720,"stalls":-1,"position_ms":null,"visible":true}"#,
        );
        assert_eq!(
            report,
            Some(Report { height: Some(720), latency_ms: Some(1_830), stalls: None, visible: Some(true) })
        );
        for nonsense in ["", "[]", "{}", r#"{"type":"x"}"#, r#"{"type":"report","height":"720"}"#, "\u{0}"] {
            assert_eq!(understood(nonsense), None, "{nonsense}");
        }
        assert_eq!(understood(r#"{"type":"report","height":1e300}"#), Some(Report::default()));
    }
}
