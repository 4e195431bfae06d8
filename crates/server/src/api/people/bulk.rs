//! Acts on many at once.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::Organise;
use stagedoor_domain::id::EventId;
use utoipa::ToSchema;

use super::SelectionBody;
use crate::api::Api;
use crate::api::extract::{Json, Organiser, Path, room};
use crate::api::problem::{Body, Problem};

/// Which tags are put on whom, and which are taken off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Tagging {
    selection: SelectionBody,
    /// At most 20.
    #[serde(default)]
    #[schema(max_items = 20, required = false)]
    add: Vec<String>,
    /// At most 20.
    #[serde(default)]
    #[schema(max_items = 20, required = false)]
    remove: Vec<String>,
}

/// How many it was done to.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Tagged {
    /// Invitees.
    changed: u64,
}

/// Put tags on many, and take tags off them.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/tags", operation_id = "tag_invitations", tag = "people",
    params(("event" = String, Path)), request_body = Tagging, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Tagged), (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn tag_many(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Json(body): Json<Tagging>,
) -> Result<Json<Tagged>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    room(&api, event)?;
    let (add, remove) = (super::tags("/add", &body.add)?, super::tags("/remove", &body.remove)?);
    if let Some(both) = add.iter().position(|tag| remove.contains(tag)) {
        return Err(Problem::field(&format!("/add/{both}"), "This tag is to be taken off as well."));
    }
    let selection = body.selection.understood(&api, &organiser, event)?;
    let changed = api.access.tag(allowed, organiser.0.actor, selection, add, remove).await?;
    Ok(Json(Tagged { changed }))
}
