//! What viewers see, for organisers.

use axum::extract::State;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::Look;
use stagedoor_domain::id::EventId;
use utoipa::ToSchema;

use super::Api;
use super::extract::{BaseUrl, Json, Organiser, Path, room};
use super::problem::{Body, Problem};

/// Where an organiser sees what viewers see.
#[derive(Serialize, ToSchema)]
pub(super) struct Preview {
    /// The multivariant playlist. Whoever has the address can watch until `until`.
    #[schema(examples("https://stage.example.org/live/TOKEN/str_01kaf3x6m8e9t8s2v4w6y8z0ab/index.m3u8"))]
    hls: String,
    /// The address ends then, unless it is asked for again.
    #[schema(value_type = String, format = DateTime)]
    until: Time,
}

/// See what viewers see, without being counted as one. Asked again in time, the same address goes on working.
#[utoipa::path(post, path = "/api/v1/events/{event}/preview", operation_id = "preview", tag = "events",
    params(("event" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Preview), (status = "default", body = Body)))]
pub(super) async fn hold(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
) -> Result<Json<Preview>, Problem> {
    let allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let preview = api.access.preview(&allowed, &organiser.0).ok_or_else(Problem::not_found)?;
    let hls = format!("{base}/live/{}/{}/index.m3u8", preview.token, preview.stream);
    Ok(Json(Preview { hls, until: preview.until }))
}
