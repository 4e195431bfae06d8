//! What an invitee's browser does: look at the door, redeem a code, come back, leave.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::id::{EventId, SessionId};
use utoipa::ToSchema;

use super::account::set_cookie;
use super::extract::{self, Address, BaseUrl, Json, Path, VIEWER_COOKIE, room};
use super::problem::{Body, Problem};
use super::{Api, device};
use crate::access::{PROOF_BITS, Proof, RedeemAttempt, RedeemRefused, Seat};
use crate::live;
use crate::ports::db::events;

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
}

/// The door of an event, before a code was entered.
#[utoipa::path(get, path = "/api/v1/events/{event}/door", tag = "viewer", params(("event" = String, Path)),
    security(()), responses((status = 200, body = Door), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn door(State(api): State<Api>, Path(event): Path<EventId>) -> Result<Json<Door>, Problem> {
    room(&api, event)?;
    let row = events::get(&api.db, event).await?.ok_or_else(Problem::not_found)?.event;
    let state = api.hub.status(row.stream).state;
    Ok(Json(Door { event, title: row.title, starts_at: row.starts_at, state }))
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
    /// When the session ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    playback: Playback,
    /// The WebSocket to keep open.
    feed: String,
}

/// Where the video is.
#[derive(Serialize, ToSchema)]
pub(super) struct Playback {
    /// The multivariant playlist. The token in it is this session's: whoever has the address watches as this session.
    #[schema(examples("https://stage.example.org/live/TOKEN/str_01kaf3x6m8e9t8s2v4w6y8z0ab/index.m3u8"))]
    hls: String,
}

async fn session(api: &Api, base: &str, seat: &Seat) -> Result<ViewerSession, Problem> {
    let row = events::get(&api.db, seat.event).await?.ok_or_else(Problem::not_found)?.event;
    let token = api.access.playback_token(seat);
    Ok(ViewerSession {
        id: seat.session,
        event: seat.event,
        title: row.title,
        name: seat.name.clone(),
        starts_at: row.starts_at,
        state: api.hub.status(seat.stream).state,
        expires_at: seat.expires_at,
        playback: Playback { hls: format!("{base}/live/{token}/{}/index.m3u8", seat.stream) },
        feed: format!("/api/v1/events/{}/sessions/current/feed", seat.event),
    })
}

fn cookie_path(event: EventId) -> String {
    format!("/api/v1/events/{event}")
}

/// Come in with a code. The same browser goes on with its session; another one replaces it when nobody is watching.
#[utoipa::path(post, path = "/api/v1/events/{event}/sessions", tag = "viewer", params(("event" = String, Path)),
    security(()), request_body = Redeem,
    responses((status = 201, body = ViewerSession),
        (status = 403, body = Body, description = "`code_invalid`"),
        (status = 404, body = Body, description = "No such event"),
        (status = 409, body = Body, description = "`code_in_use`: somebody else is watching with this code"),
        (status = 410, body = Body, description = "`access_ended`: the invitation was withdrawn"),
        (status = 429, body = Body,
            description = "`too_many_attempts` with `Retry-After`, or `proof_required` with `challenge` and `bits`: find a \
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
        device: &device::describe(agent),
        proof: body.proof.as_ref(),
    };
    let redeemed = api.access.redeem(attempt).await.map_err(refused)?;
    let seat = &redeemed.seat;
    let age = seat.expires_at.since(api.clock.now()).as_secs();
    let cookie = set_cookie(VIEWER_COOKIE, redeemed.cookie.expose(), &cookie_path(event), age, &base);
    let session = session(&api, &base, seat).await?;
    Ok((StatusCode::CREATED, [(SET_COOKIE, cookie)], Json(session)).into_response())
}

fn refused(refused: RedeemRefused) -> Problem {
    match refused {
        RedeemRefused::NoEvent => Problem::not_found(),
        RedeemRefused::CodeInvalid => Problem::new(
            StatusCode::FORBIDDEN,
            "code_invalid",
            "This code does not open this event. Check the letters and try again.",
        ),
        RedeemRefused::CodeInUse => Problem::new(
            StatusCode::CONFLICT,
            "code_in_use",
            "Someone is already watching with this code. When they stop, it can be used here after half a minute.",
        ),
        RedeemRefused::AccessEnded => {
            Problem::new(StatusCode::GONE, "access_ended", "This invitation was withdrawn by the organiser.")
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

/// My session, with a fresh playback token.
#[utoipa::path(get, path = "/api/v1/events/{event}/sessions/current", tag = "viewer",
    params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 200, body = ViewerSession),
        (status = 401, body = Body, description = "`no_session`, or `access_ended` when there was one"),
        (status = "default", body = Body)))]
pub(super) async fn current(
    State(api): State<Api>,
    viewer: extract::Viewer,
    BaseUrl(base): BaseUrl,
) -> Result<Json<ViewerSession>, Problem> {
    Ok(Json(session(&api, &base, &viewer.0).await?))
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
