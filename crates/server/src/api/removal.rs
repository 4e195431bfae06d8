//! Sending viewers out, in the organiser's words.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::{EndAll, Moderate};
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Path, Steward, line, room};
use super::problem::{Body, Problem};
use crate::access::{SendOut, SentOut};

/// Sessions sent out with one request at most.
const SESSIONS_MAX: usize = 1_000;

/// How one viewer is sent out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kick {
    /// What they are told: one line, at most 200 characters.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// The invitation does not let them in again.
    #[serde(default)]
    block: bool,
}

/// Who is sent out, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KickMany {
    /// 1 to 1000 sessions of this event. Whoever is not there any more is left alone, or only kept out with `block`.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000)]
    sessions: Vec<SessionId>,
    /// What they are told: one line, at most 200 characters.
    #[schema(max_length = 200)]
    reason: Option<String>,
    /// Their invitations do not let them in again.
    #[serde(default)]
    block: bool,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// What they are told: one line, at most 200 characters.
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    /// Sessions that are over.
    sessions: usize,
    /// Whether that is written down. While the database is away it is `false`, with 202: the viewers are out, and it is
    /// written down as soon as the database is back.
    recorded: bool,
}

/// What those who are sent out read: one line, or nothing.
pub(super) fn words(reason: Option<&str>) -> Result<Option<Arc<str>>, Problem> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    reason.map(|reason| line("/reason", reason).map(Arc::from)).transpose()
}

fn removed(sent: SentOut) -> (StatusCode, Json<Removed>) {
    let SentOut { sessions, recorded, .. } = sent;
    let status = if recorded { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(Removed { sessions, recorded }))
}

/// Send one viewer out. The code still works, unless they are kept out with `block`.
///
/// Then whoever left a moment ago is kept out too, and a device that the code has moved to meanwhile is sent out with them.
#[utoipa::path(post, path = "/api/v1/events/{event}/viewers/{session}/kick", tag = "people", operation_id = "kick_viewer",
    params(("event" = String, Path), ("session" = String, Path)), request_body = Kick,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Removed), (status = 202, body = Removed), (status = 404, body = Body),
        (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn kick(
    State(api): State<Api>,
    Steward(organiser): Steward,
    Path((event, session)): Path<(EventId, SessionId)>,
    Json(kick): Json<Kick>,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    let allowed = organiser.may(&api, Moderate { event })?;
    let how = SendOut { words: words(kick.reason.as_deref())?, block: kick.block };
    match api.access.kick(&allowed, organiser.0.actor, &[session], how).await? {
        SentOut { sessions: 0, blocked: 0, .. } => Err(Problem::not_found()),
        sent => Ok(removed(sent)),
    }
}

/// Send viewers out, all in one transaction.
#[utoipa::path(post, path = "/api/v1/events/{event}/viewers/kick", tag = "people", operation_id = "kick_viewers",
    params(("event" = String, Path)), request_body = KickMany, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Removed), (status = 202, body = Removed), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn kick_many(
    State(api): State<Api>,
    Steward(organiser): Steward,
    Path(event): Path<EventId>,
    Json(kick): Json<KickMany>,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    let allowed = organiser.may(&api, Moderate { event })?;
    room(&api, event)?;
    if kick.sessions.is_empty() || kick.sessions.len() > SESSIONS_MAX {
        return Err(Problem::field("/sessions", "One request names 1 to 1000 sessions."));
    }
    let how = SendOut { words: words(kick.reason.as_deref())?, block: kick.block };
    Ok(removed(api.access.kick(&allowed, organiser.0.actor, &kick.sessions, how).await?))
}

/// End every session of the event at once. The codes still work.
#[utoipa::path(post, path = "/api/v1/events/{event}/viewers/end-all", tag = "people", operation_id = "end_all_sessions",
    params(("event" = String, Path)), request_body = Reason, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Removed), (status = 202, body = Removed), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn end_all(
    State(api): State<Api>,
    Steward(organiser): Steward,
    Path(event): Path<EventId>,
    Json(why): Json<Reason>,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    let allowed = organiser.may(&api, EndAll { event })?;
    room(&api, event)?;
    Ok(removed(api.access.end_all(&allowed, organiser.0.actor, words(why.reason.as_deref())?).await?))
}

/// Keep an invitee out: the session ends at once, and the code lets nobody in until they are let in again.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/{invitation}/block", tag = "people",
    operation_id = "block_invitation", params(("event" = String, Path), ("invitation" = String, Path)),
    request_body = Reason, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Kept out"),
        (status = 404, body = Body, description = "No such invitation, or kept out already"),
        (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn block(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
    Json(why): Json<Reason>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Moderate { event })?;
    match api.access.block(&allowed, organiser.0.actor, invitation, words(why.reason.as_deref())?).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
