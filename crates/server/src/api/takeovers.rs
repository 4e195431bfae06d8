//! A code on a second device: whoever asks waits here, whoever is asked answers here.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::TakeoverState;
use stagedoor_domain::access::takeover::{CLAIM, CONTENDER_SILENT};
use stagedoor_domain::id::{EventId, TakeoverId};
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::ToSchema;

use super::Api;
use super::account::set_cookie;
use super::extract::{self, BaseUrl, Json, Path, TAKEOVER_COOKIE};
use super::feed::{Gone, Socket, TICK, Upgrade};
use super::problem::{Body, Problem};
use super::viewer::cookie_path;
use crate::access::Asked;
use crate::ports::db::takeovers::Takeover;

/// A waiting page is asked for a sign of life this often: its silence is noticed soon.
const PING: Duration = Duration::from_secs(5);

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TakeoverState)]
pub(super) enum StateName {
    /// Not answered yet.
    Pending,
    /// The second device may come in: it sends the code again.
    Approved,
    /// It has come in.
    Claimed,
    /// The first device said no.
    Declined,
    /// Nobody answered in time, or nobody came in in time.
    Expired,
    /// There is nothing to ask any more.
    Cancelled,
}

impl From<TakeoverState> for StateName {
    fn from(state: TakeoverState) -> Self {
        match state {
            TakeoverState::Pending => Self::Pending,
            TakeoverState::Approved => Self::Approved,
            TakeoverState::Claimed => Self::Claimed,
            TakeoverState::Declined => Self::Declined,
            TakeoverState::Expired => Self::Expired,
            TakeoverState::Cancelled => Self::Cancelled,
        }
    }
}

/// A question to the screen that watches with the same code.
#[derive(Serialize, ToSchema)]
pub(super) struct TakeoverAsked {
    /// The question.
    #[schema(value_type = String)]
    id: TakeoverId,
    /// The browser that is asked, in words.
    #[schema(examples("Chrome on Android"))]
    device: String,
    /// Until when it may be answered.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

impl From<&Asked> for TakeoverAsked {
    fn from(asked: &Asked) -> Self {
        Self { id: asked.takeover, device: asked.device.clone(), expires_at: asked.expires_at }
    }
}

/// Where a question stands, for whoever asked it.
#[derive(Serialize, ToSchema)]
pub(super) struct TakeoverStanding {
    state: StateName,
    /// Until when it may be answered; once `approved`, until when to send the code again.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

impl From<&Takeover> for TakeoverStanding {
    fn from(takeover: &Takeover) -> Self {
        Self { state: takeover.state.into(), expires_at: takeover.claim_until.unwrap_or(takeover.answer_until) }
    }
}

/// What a waiting page is told.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ContenderMessage {
    /// Where the question stands: first, and whenever that changes.
    Takeover(TakeoverStanding),
}

/// The cookie that shows whose question it is.
pub(super) fn ticket_cookie(event: EventId, base: &str, ticket: &str) -> String {
    // The longest time to answer, to claim, and to be noticed missing; a page that is slower asks anew.
    let age = if ticket.is_empty() { 0 } else { 120 + CLAIM.as_secs() + CONTENDER_SILENT.as_secs() };
    set_cookie(TAKEOVER_COOKIE, ticket, &cookie_path(event), age, base)
}

fn nobody() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_takeover", "You do not wait for another screen here.")
}

/// What became of my question. Asking is a sign of life: a page that says nothing for 20 s counts as gone.
#[utoipa::path(get, path = "/api/v1/events/{event}/takeovers/{takeover}", tag = "viewer", operation_id = "takeover",
    params(("event" = String, Path), ("takeover" = String, Path)), security(()),
    responses((status = 200, body = TakeoverStanding),
        (status = 404, body = Body, description = "`no_takeover`: this browser has not asked it"),
        (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    Path((event, takeover)): Path<(EventId, TakeoverId)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ticket = extract::cookie(&headers, TAKEOVER_COOKIE).ok_or_else(nobody)?;
    let takeover = api.access.takeover(event, takeover, ticket).await?.ok_or_else(nobody)?;
    let standing = Json(TakeoverStanding::from(&takeover));
    if takeover.state.is_open() {
        return Ok(standing.into_response());
    }
    // The last word: there is nothing more to ask with it.
    Ok(([(SET_COOKIE, ticket_cookie(event, &base, ""))], standing).into_response())
}

/// Ask no more.
#[utoipa::path(delete, path = "/api/v1/events/{event}/takeovers/{takeover}", tag = "viewer",
    operation_id = "give_up_takeover", params(("event" = String, Path), ("takeover" = String, Path)), security(()),
    responses((status = 204, description = "Taken back, or never asked"), (status = "default", body = Body)))]
pub(super) async fn give_up(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    Path((event, takeover)): Path<(EventId, TakeoverId)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(ticket) = extract::cookie(&headers, TAKEOVER_COOKIE) {
        api.access.give_up_takeover(event, takeover, ticket).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, ticket_cookie(event, &base, ""))]).into_response())
}

/// Wait for the answer: a WebSocket that closes after the last word.
#[utoipa::path(get, path = "/api/v1/events/{event}/takeovers/{takeover}/feed", tag = "viewer",
    operation_id = "takeover_feed", params(("event" = String, Path), ("takeover" = String, Path)), security(()),
    responses((status = 101, description = "`ContenderMessage`s follow"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn feed(
    State(api): State<Api>,
    Path((event, takeover)): Path<(EventId, TakeoverId)>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let ticket = extract::cookie(&headers, TAKEOVER_COOKIE).ok_or_else(nobody)?;
    let mut question = api.access.follow_takeover(event, takeover, ticket).await?.ok_or_else(nobody)?;
    let upgrade = upgrade.bounded(&api, takeover.uuid())?;
    Ok(upgrade.talk(move |socket| async move {
        let mut socket = Socket::pinged_every(socket, PING);
        if wait(&api, &mut question, &mut socket).await.is_ok() {
            socket.close().await;
        }
    }))
}

async fn wait(
    api: &Api,
    question: &mut tokio::sync::watch::Receiver<std::sync::Arc<Takeover>>,
    socket: &mut Socket,
) -> Result<(), Gone> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut noted = Instant::now();
    loop {
        let takeover = question.borrow_and_update().clone();
        socket.send(&ContenderMessage::Takeover((&*takeover).into())).await?;
        if !takeover.state.is_open() {
            return Ok(());
        }
        loop {
            tokio::select! {
                () = api.stop.cancelled() => return Ok(()),
                // Closed without a last word only with the whole process.
                changed = question.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                // Whatever a waiting page says is only a sign of life.
                text = socket.text() => drop(text?),
                _ = tick.tick() => {
                    socket.keep_alive().await?;
                    if noted.elapsed() >= PING && socket.heard_after(noted) {
                        noted = Instant::now();
                        // The database is away: then nothing is judged either.
                        let _ = api.access.contender_is_there(&takeover).await;
                    }
                }
            }
        }
    }
}

/// What the first device says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// `true`: the other device may go on, and this one stops when it comes in.
    approve: bool,
}

/// Where the question stands after an answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Answered {
    /// The first answer counts: an answer that comes too late changes nothing.
    state: StateName,
}

/// Say whether another device may go on with my code. Until it comes in, this one watches on.
#[utoipa::path(post, path = "/api/v1/events/{event}/sessions/current/takeovers/{takeover}", tag = "viewer",
    operation_id = "answer_takeover", params(("event" = String, Path), ("takeover" = String, Path)),
    request_body = Answer, security(("viewer_cookie" = [])),
    responses((status = 200, body = Answered), (status = 401, body = Body),
        (status = 404, body = Body, description = "This session was not asked that"),
        (status = "default", body = Body)))]
pub(super) async fn answer(
    State(api): State<Api>,
    viewer: extract::Viewer,
    Path(path): Path<(EventId, TakeoverId)>,
    Json(answer): Json<Answer>,
) -> Result<Json<Answered>, Problem> {
    let state = api.access.answer(&viewer.0, path.1, answer.approve).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(Answered { state: state.into() }))
}
