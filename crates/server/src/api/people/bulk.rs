//! Acts on many at once.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::Organise;
use stagedoor_domain::id::{EventId, SendId};
use stagedoor_domain::message::Channel;
use utoipa::ToSchema;

use super::SelectionBody;
use crate::access::Telling;
use crate::api::Api;
use crate::api::extract::{BaseUrl, Json, Organiser, Path, room};
use crate::api::messages::{MessageChannel, inviter};
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

/// Whose invitations are withdrawn.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Withdrawing {
    selection: SelectionBody,
}

/// How many invitations were withdrawn.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Withdrawn {
    /// Invitations; those that had been withdrawn before are not counted.
    changed: u64,
    /// Sessions that ended with them.
    sessions_ended: u64,
}

/// Withdraw many invitations. Their sessions end at once, and their codes never work again.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/revoke", operation_id = "revoke_invitations",
    tag = "people", params(("event" = String, Path)), request_body = Withdrawing,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Withdrawn), (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn revoke_many(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Json(body): Json<Withdrawing>,
) -> Result<Json<Withdrawn>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    room(&api, event)?;
    let selection = body.selection.understood(&api, &organiser, event)?;
    let (changed, sessions_ended) = api.access.withdraw_all(&allowed, organiser.0.actor, &selection).await?;
    Ok(Json(Withdrawn { changed, sessions_ended }))
}

/// People who get new codes in one transaction at most.
const RENEWED_MAX: usize = 1_000;

/// Who gets a new code, and how they are told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Renewing {
    selection: SelectionBody,
    /// Without it nobody is told.
    #[serde(default)]
    send: Option<TellingBody>,
}

/// How new codes are told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCodeMessage)]
pub(in crate::api) struct TellingBody {
    #[schema(value_type = MessageChannel)]
    channel: Channel,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Regenerated)]
pub(in crate::api) struct RenewedView {
    /// People who have another code now. Whose invitation was withdrawn, has expired or was erased is not among them.
    changed: u64,
    /// Sessions on the old codes.
    sessions_ended: u64,
    /// The order that tells them.
    #[schema(value_type = Option<String>)]
    send: Option<SendId>,
}

/// Give up to 1000 people new codes. Every session on an old one has ended, and what waited to tell it is called off,
/// before a new one is queued to go anywhere.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/regenerate", operation_id = "regenerate_codes",
    tag = "people", params(("event" = String, Path)), request_body = Renewing,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = RenewedView), (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn regenerate(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base_url): BaseUrl,
    Path(event): Path<EventId>,
    Json(body): Json<Renewing>,
) -> Result<Json<RenewedView>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    let selection = body.selection.understood(&api, &organiser, event)?;
    let people = api.access.everybody(event, &selection).await?;
    if people.len() > RENEWED_MAX {
        return Err(Problem::field("/selection", "At most 1000 people get new codes at once."));
    }
    let telling = match body.send {
        None => None,
        Some(TellingBody { channel }) => {
            Some(Telling { channel, organiser: inviter(&api, &room, &organiser).await?, base_url })
        }
    };
    let renewed = api.access.renew(&allowed, organiser.0.actor, &people, telling.as_ref()).await?;
    Ok(Json(RenewedView { changed: renewed.changed, sessions_ended: renewed.sessions_ended, send: renewed.send }))
}
