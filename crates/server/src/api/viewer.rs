//! What an invitee's browser does: look at the door, say that a link was opened, redeem a code, come back, leave.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::admission::{KEPT, Wait};
use stagedoor_domain::agent::Agent;
use stagedoor_domain::id::{EventId, SessionId};
use stagedoor_domain::risk::heartbeat;
use utoipa::ToSchema;

use super::Api;
use super::account::set_cookie;
use super::extract::{self, Address, BaseUrl, Json, Path, QUEUE_COOKIE, TAKEOVER_COOKIE, VIEWER_COOKIE, room};
use super::policy::ActionName;
use super::problem::{Body, Problem};
use super::takeovers::{TakeoverAsked, ticket_cookie};
use crate::access::{
    ApproachRefused, Asked, Guard, InLine, NotQueued, PROOF_BITS, Proof, Queued, RedeemAttempt, RedeemRefused, Seat,
};
use crate::live;

/// What anybody may know about an event.
#[derive(Serialize, ToSchema)]
pub(super) struct Door {
    /// The event.
    #[schema(value_type = String)]
    event: EventId,
    /// What people read.
    title: String,
    /// When it is meant to begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Time>,
    /// Whether it is on air.
    state: live::State,
    /// Why a code would not be looked at from where you are: `country_refused` or `network_refused`.
    refusal: Option<&'static str>,
}

/// The door of an event, before a code was entered.
#[utoipa::path(get, path = "/api/v1/events/{event}/door", tag = "viewer", params(("event" = String, Path)),
    security(()), responses((status = 200, body = Door), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn door(
    State(api): State<Api>,
    Address(address): Address,
    Path(event): Path<EventId>,
) -> Result<Json<Door>, Problem> {
    let refusal = match api.access.approach(event, address) {
        Ok(_) => None,
        Err(ApproachRefused::NoEvent) => return Err(Problem::not_found()),
        Err(ApproachRefused::Country) => Some("country_refused"),
        Err(ApproachRefused::Network) => Some("network_refused"),
    };
    let room = room(&api, event)?;
    let state = api.hub.status(room.stream).state;
    Ok(Json(Door { event, title: room.title().to_string(), starts_at: room.starts_at(), state, refusal }))
}

/// A code, and the solved challenge if one was asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redeem {
    /// As typed or pasted: case, spaces and dashes do not matter.
    #[schema(max_length = 64, examples("ABCD-EFGH-JKLM"))]
    code: String,
    proof: Option<Proof>,
}

/// The code of a link that was opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    /// As it stands in the link.
    #[schema(max_length = 64, examples("ABCD-EFGH-JKLM"))]
    code: String,
}

/// The link of an invitation was opened, for the organiser to see. The answer is always the same and says nothing about
/// the code; a wrong one counts as when somebody comes in with it.
#[utoipa::path(post, path = "/api/v1/events/{event}/openings", tag = "viewer", operation_id = "open_link",
    params(("event" = String, Path)), security(()), request_body = Opening,
    responses((status = 204, description = "Heard: whether the code is right, or is looked at at all, is not said"),
        (status = "default", body = Body)))]
pub(super) async fn opened(
    State(api): State<Api>,
    Address(address): Address,
    Path(event): Path<EventId>,
    Json(body): Json<Opening>,
) -> StatusCode {
    api.access.opened(event, &body.code, address).await;
    StatusCode::NO_CONTENT
}

/// A viewer's session.
#[derive(Serialize, ToSchema)]
pub(super) struct ViewerSession {
    /// The session.
    #[schema(value_type = String)]
    id: SessionId,
    /// The event.
    #[schema(value_type = String)]
    event: EventId,
    /// What people read.
    title: String,
    /// The invitee.
    name: String,
    /// When the event is meant to begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Time>,
    /// Whether it is on air.
    state: live::State,
    /// When the session ends by itself. While it is watched, this moves on; the address of the video stays the same.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    playback: Playback,
    /// The WebSocket to keep open.
    feed: String,
    /// How the page shows that it is there, and what it is to draw; `null` where the event does not ask for it.
    guard: Option<ViewerGuard>,
}

/// How a page shows that it is there.
#[derive(Serialize, ToSchema)]
pub(super) struct ViewerGuard {
    /// What answers to challenges are signed with, by HMAC-SHA-256: 32 bytes in base64url without padding. The same for
    /// the whole session.
    heartbeat_key: String,
    /// How often a challenge comes, in seconds.
    #[schema(examples(5))]
    heartbeat_s: u64,
    /// The most that follows when something odd is noticed.
    action: ActionName,
    /// What moves over the picture; `null` where nothing does.
    watermark: Option<ViewerWatermark>,
}

/// The personal mark.
#[derive(Serialize, ToSchema)]
pub(super) struct ViewerWatermark {
    /// Name, masked number if there is one, and the session's short name.
    #[schema(examples(json!(["Ada Lovelace", "+33 6 •• •• 12 34", "7Q2M-XK"])))]
    lines: Vec<String>,
    /// What its way over the picture is worked out from: 32 bytes in hexadecimal, the same for the whole session.
    seed: String,
}

impl From<Guard> for ViewerGuard {
    fn from(guard: Guard) -> Self {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            heartbeat_key: guard.key.expose(),
            heartbeat_s: heartbeat::EVERY.as_secs(),
            action: guard.action.into(),
            watermark: guard.watermark.map(|mark| ViewerWatermark { lines: mark.lines, seed: hex(mark.seed) }),
        }
    }
}

/// Where the video is.
#[derive(Serialize, ToSchema)]
pub(super) struct Playback {
    /// The multivariant playlist. The token in it is this session's: whoever has the address watches as this session.
    #[schema(examples("https://stage.example.org/live/TOKEN/str_01kaf3x6m8e9t8s2v4w6y8z0ab/index.m3u8"))]
    hls: String,
}

/// Asks memory only: ten thousand people come in at once, and those who are in reload while the database is away.
fn session(api: &Api, base: &str, seat: &Seat) -> Result<ViewerSession, Problem> {
    let room = room(api, seat.event)?;
    let token = api.access.playback_token(seat);
    Ok(ViewerSession {
        id: seat.session,
        event: seat.event,
        title: room.title().to_string(),
        name: seat.name().to_string(),
        starts_at: room.starts_at(),
        state: api.hub.status(seat.stream).state,
        expires_at: seat.expires_at(),
        playback: Playback { hls: format!("{base}/live/{token}/{}/index.m3u8", seat.stream) },
        feed: format!("/api/v1/events/{}/sessions/current/feed", seat.event),
        guard: api.access.guard(seat).map(ViewerGuard::from),
    })
}

pub(super) fn cookie_path(event: EventId) -> String {
    format!("/api/v1/events/{event}")
}

/// Come in with a code. The same browser goes on with its session; another one replaces it when nobody is watching.
/// Otherwise whoever is watching is asked, and you wait.
#[utoipa::path(post, path = "/api/v1/events/{event}/sessions", tag = "viewer", params(("event" = String, Path)),
    security(()), request_body = Redeem,
    responses((status = 201, body = ViewerSession),
        (status = 202, body = Waiting, description = "The code is right, and you wait"),
        (status = 403, body = Body, description = "`code_invalid`, or `blocked` by the organiser; \
            `country_refused` or `network_refused`, whatever the code"),
        (status = 404, body = Body, description = "No such event"),
        (status = 409, body = Body, description = "`takeover_pending`: another device has asked whoever is watching with \
            this code, and was not answered yet"),
        (status = 410, body = Body,
            description = "`access_ended`: the invitation was withdrawn; `invitation_expired`; `used_up`"),
        (status = 429, body = Body,
            description = "`too_many_attempts` or `too_many_takeovers` with `Retry-After`, or `proof_required` with `challenge` and `bits`: find a \
                number whose SHA-256 of `challenge:number` begins with that many zero bits, and send both as `proof`"),
        (status = "default", body = Body)))]
pub(super) async fn redeem(
    State(api): State<Api>,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    headers: HeaderMap,
    Json(body): Json<Redeem>,
) -> Result<Response, Problem> {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let attempt = RedeemAttempt {
        event,
        code: &body.code,
        address,
        cookie: extract::cookie(&headers, VIEWER_COOKIE),
        ticket: extract::cookie(&headers, QUEUE_COOKIE),
        asking: extract::cookie(&headers, TAKEOVER_COOKIE),
        device: &Agent::of(agent).to_string(),
        proof: body.proof.as_ref(),
    };
    let (asked, stood) = (attempt.asking.is_some(), attempt.ticket.is_some());
    let redeemed = match api.access.redeem(attempt).await {
        Ok(redeemed) => redeemed,
        Err(RedeemRefused::Queued(place)) => return Ok(in_line(event, &base, &place)),
        Err(RedeemRefused::Asked(question)) => return Ok(asking(event, &base, &question)),
        Err(other) => return Err(refused(other)),
    };
    let seat = &redeemed.seat;
    api.access.came_from(seat, address);
    api.access.shows_agent(seat, agent.as_bytes());
    api.access.know_number(seat).await;
    // Whether the session goes on is the server's to say, not the cookie's.
    let age = api.access.latest_end(seat).since(api.clock.now()).as_secs();
    let mut cookies = vec![set_cookie(VIEWER_COOKIE, redeemed.cookie.expose(), &cookie_path(event), age, &base)];
    // Whoever is in waits for nothing any more.
    if asked {
        cookies.push(ticket_cookie(event, &base, ""));
    }
    if stood {
        cookies.push(queue_cookie(event, &base, ""));
    }
    let cookies = AppendHeaders(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)));
    let session = session(&api, &base, seat)?;
    Ok((StatusCode::CREATED, cookies, Json(session)).into_response())
}

fn refused(refused: RedeemRefused) -> Problem {
    match refused {
        RedeemRefused::NoEvent => Problem::not_found(),
        RedeemRefused::Approach(refused) => kept_out(refused),
        // Answered before it comes to this: they are no problems.
        RedeemRefused::Queued(_) | RedeemRefused::Asked(_) => Problem::internal(),
        RedeemRefused::QueueFull => queue_full(),
        RedeemRefused::CodeInvalid => Problem::new(
            StatusCode::FORBIDDEN,
            "code_invalid",
            "This code does not open this event. Check the letters and try again.",
        ),
        RedeemRefused::TakeoverPending => Problem::new(
            StatusCode::CONFLICT,
            "takeover_pending",
            "Another device has just asked to watch with this code. Wait a minute and try again.",
        ),
        RedeemRefused::TooManyTakeovers { retry_after } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_takeovers",
            "Whoever is watching with this code was asked several times. Wait a few minutes and ask again.",
        )
        .retry_after(retry_after),
        RedeemRefused::AccessEnded => {
            Problem::new(StatusCode::GONE, "access_ended", "This invitation was withdrawn by the organiser.")
        }
        RedeemRefused::Expired => {
            Problem::new(StatusCode::GONE, "invitation_expired", "This invitation has ended. Ask for a new code.")
        }
        RedeemRefused::Blocked => {
            Problem::new(StatusCode::FORBIDDEN, "blocked", "The organiser has closed this invitation for now.")
        }
        RedeemRefused::UsedUp => {
            Problem::new(StatusCode::GONE, "used_up", "This code was used as often as it may be. Ask for a new one.")
        }
        RedeemRefused::TooMany { retry_after } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_attempts",
            "Too many wrong codes from your network. Wait a moment and try again.",
        )
        .retry_after(retry_after),
        RedeemRefused::ProofRequired { challenge } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "proof_required",
            "Many wrong codes are being tried right now: your browser has to do a little work first.",
        )
        .challenge(challenge, PROOF_BITS),
        RedeemRefused::Db(error) => error.into(),
    }
}

/// What somebody waits for whose code is right.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiting {
    /// `queue`: the house is full, or many come at once. Ask `GET …/queue/current` now and then; when it says
    /// `admitted`, send the code again. `takeover`: whoever is watching with this code is asked. Open
    /// `GET …/takeovers/{id}/feed`, or ask `GET …/takeovers/{id}` now and then; when it says `approved`, send the code
    /// again.
    waiting: &'static str,
    /// With `queue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueuePlace>,
    /// With `takeover`.
    #[serde(skip_serializing_if = "Option::is_none")]
    takeover: Option<TakeoverAsked>,
}

/// A place in line.
#[derive(Serialize, ToSchema)]
pub(super) struct QueuePlace {
    /// 1 for whoever is next.
    position: u32,
    /// People in front who are waiting at this moment.
    ahead: u32,
    /// How long it takes at the present pace; `null` when nobody can tell, because nobody left lately.
    eta_ms: Option<u64>,
    /// When to ask again. A place is kept for five minutes for whoever does not ask.
    poll_ms: u64,
}

/// Where you stand: in line, or called.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueStanding {
    /// A seat waits for you for half a minute: send the code again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    admitted: bool,
    /// `queue` while you wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<&'static str>,
    /// Your place while you wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueuePlace>,
}

impl From<Wait> for QueuePlace {
    fn from(wait: Wait) -> Self {
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            position: wait.ahead.saturating_add(1),
            ahead: wait.ahead,
            eta_ms: wait.eta.map(millis),
            poll_ms: millis(wait.poll),
        }
    }
}

/// The cookie that brings somebody back to their place: renewed with every answer, void after five minutes of silence.
fn queue_cookie(event: EventId, base: &str, ticket: &str) -> String {
    let age = if ticket.is_empty() { 0 } else { KEPT.as_secs() };
    set_cookie(QUEUE_COOKIE, ticket, &cookie_path(event), age, base)
}

fn in_line(event: EventId, base: &str, queued: &Queued) -> Response {
    let cookie = queue_cookie(event, base, queued.ticket.expose());
    let waiting = Waiting { waiting: "queue", queue: Some(queued.wait.into()), takeover: None };
    (StatusCode::ACCEPTED, [(SET_COOKIE, cookie)], Json(waiting)).into_response()
}

fn asking(event: EventId, base: &str, asked: &Asked) -> Response {
    let waiting = Waiting { waiting: "takeover", queue: None, takeover: Some(asked.into()) };
    match &asked.ticket {
        Some(ticket) => {
            let cookie = ticket_cookie(event, base, ticket.expose());
            (StatusCode::ACCEPTED, [(SET_COOKIE, cookie)], Json(waiting)).into_response()
        }
        None => (StatusCode::ACCEPTED, Json(waiting)).into_response(),
    }
}

fn queue_full() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "queue_full",
        "So many people are at the door that there is no place in line. Try again in half a minute.",
    )
    .retry_after(std::time::Duration::from_secs(30))
}

/// Where I stand in line. Asking keeps the place.
#[utoipa::path(get, path = "/api/v1/events/{event}/queue/current", tag = "viewer", operation_id = "queue_standing",
    params(("event" = String, Path)), security(()),
    responses((status = 200, body = QueueStanding),
        (status = 404, body = Body, description = "`no_place`: send the code to get one"),
        (status = 403, body = Body, description = "`country_refused` or `network_refused`"),
        (status = "default", body = Body)))]
pub(super) async fn queue(
    State(api): State<Api>,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let _approached = api.access.approach(event, address).map_err(kept_out)?;
    let no_place = || Problem::new(StatusCode::NOT_FOUND, "no_place", "You do not stand in line here.");
    let ticket = extract::cookie(&headers, QUEUE_COOKIE).ok_or_else(no_place)?;
    match api.access.queue(event, ticket).await {
        Ok(InLine::Admitted) => Ok(Json(QueueStanding { admitted: true, waiting: None, queue: None }).into_response()),
        Ok(InLine::Queued(queued)) => {
            let cookie = queue_cookie(event, &base, queued.ticket.expose());
            let standing = QueueStanding { admitted: false, waiting: Some("queue"), queue: Some(queued.wait.into()) };
            Ok(([(SET_COOKIE, cookie)], Json(standing)).into_response())
        }
        Err(NotQueued::NoPlace) => Err(no_place()),
        Err(NotQueued::Full) => Err(queue_full()),
    }
}

/// Go home: the place is somebody else's.
#[utoipa::path(delete, path = "/api/v1/events/{event}/queue/current", tag = "viewer", operation_id = "leave_queue",
    params(("event" = String, Path)), security(()),
    responses((status = 204, description = "Gone, or never stood there"), (status = "default", body = Body)))]
pub(super) async fn leave_queue(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(ticket) = extract::cookie(&headers, QUEUE_COOKIE) {
        api.access.leave_queue(event, ticket);
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, queue_cookie(event, &base, ""))]).into_response())
}

/// The same words for the right code and for a wrong one.
pub(super) fn kept_out(refused: ApproachRefused) -> Problem {
    match refused {
        ApproachRefused::NoEvent => Problem::not_found(),
        ApproachRefused::Country => Problem::new(
            StatusCode::FORBIDDEN,
            "country_refused",
            "This event is not shown in the country you seem to be in. If you use a VPN, turn it off and try again.",
        ),
        ApproachRefused::Network => Problem::new(
            StatusCode::FORBIDDEN,
            "network_refused",
            "This event is shown in certain networks only, and yours is none of them.",
        ),
    }
}

/// My session, with a fresh playback token.
#[utoipa::path(get, path = "/api/v1/events/{event}/sessions/current", tag = "viewer",
    params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 200, body = ViewerSession),
        (status = 401, body = Body, description = "`no_session`, or `access_ended` when there was one"),
        (status = 403, body = Body, description = "`country_refused` or `network_refused`: the session waits for your \
            return to where it may be watched"),
        (status = "default", body = Body)))]
pub(super) async fn current(
    State(api): State<Api>,
    viewer: extract::Viewer,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
) -> Result<Json<ViewerSession>, Problem> {
    let _approached = api.access.approach(viewer.0.event, address).map_err(kept_out)?;
    api.access.know_number(&viewer.0).await;
    Ok(Json(session(&api, &base, &viewer.0)?))
}

/// Leave. The code can be used elsewhere at once.
#[utoipa::path(delete, path = "/api/v1/events/{event}/sessions/current", tag = "viewer",
    params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 204, description = "Left"), (status = 401, body = Body), (status = "default", body = Body)))]
pub(super) async fn leave(
    State(api): State<Api>,
    viewer: extract::Viewer,
    BaseUrl(base): BaseUrl,
) -> Result<Response, Problem> {
    api.access.leave(&viewer.0).await?;
    let gone = set_cookie(VIEWER_COOKIE, "", &cookie_path(viewer.0.event), 0, &base);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}
