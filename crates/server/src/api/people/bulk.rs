//! Acts on many at once.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::Organise;
use stagedoor_domain::id::{EventId, SendId};
use stagedoor_domain::message::Channel;
use utoipa::ToSchema;

use super::SelectionBody;
use crate::access::{Renewed, Telling};
use crate::api::extract::{BaseUrl, Json, Organiser, Path, room};
use crate::api::messages::{MessageChannel, inviter};
use crate::api::problem::{Body, Problem};
use crate::api::removal::words;
use crate::api::renewals::RenewalView;
use crate::api::{Api, carried_out};
use crate::ports::db::{DbError, selection};

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
    // It is more than one transaction: whoever closes the page half way has asked for all of it.
    let tagged =
        carried_out(async move { Ok(api.access.tag(allowed, organiser.0.actor, selection, add, remove).await?) });
    Ok(Json(Tagged { changed: tagged.await? }))
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
    /// Invitations, guests included; those that had been withdrawn before are not counted.
    changed: u64,
    /// Sessions that ended with them.
    sessions_ended: u64,
}

/// Withdraw many invitations, with those of the guests they brought. Their sessions end at once, and their codes never
/// work again.
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
    // As above.
    let withdrawn =
        carried_out(async move { Ok(api.access.withdraw_all(&allowed, organiser.0.actor, &selection).await?) });
    let (changed, sessions_ended) = withdrawn.await?;
    Ok(Json(Withdrawn { changed, sessions_ended }))
}

/// Who is counted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Counting {
    selection: SelectionBody,
}

/// How many it would be done to.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SelectionCount {
    /// Invitees.
    people: u64,
    /// Those of them who are watching right now.
    watching: u64,
}

/// Count who is meant, and who of them is watching: before something is done to them.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/count", operation_id = "count_invitations",
    tag = "people", params(("event" = String, Path)), request_body = Counting,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = SelectionCount), (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn count_many(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Json(body): Json<Counting>,
) -> Result<Json<SelectionCount>, Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    let selection = body.selection.understood(&api, &organiser, event)?;
    let people = api.access.everybody(event, &selection).await?;
    let (now, mut watching) = (api.clock.now(), 0);
    room.each(|seat| {
        // They come in the order of their ids.
        watching += u64::from(seat.is_watching(now) && people.binary_search(&seat.invitation).is_ok());
    });
    Ok(Json(SelectionCount { people: people.len() as u64, watching }))
}

/// People who get new codes while the request waits; more get them step by step.
const AT_ONCE_MAX: usize = 1_000;
/// People of one order at most: 16 MB of ids.
const ORDERED_MAX: u64 = 1_000_000;

/// Who gets a new code, and how they are told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Renewing {
    selection: SelectionBody,
    /// Without it nobody is told.
    #[serde(default)]
    send: Option<TellingBody>,
    /// What those who are watching read: one line, at most 200 characters.
    #[schema(max_length = 200)]
    reason: Option<String>,
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
    /// With 202: what is still carried out, step by step. `GET …/renewals/{id}` says how far it is.
    renewal: Option<RenewalView>,
}

/// Give people new codes. Every session on an old one has ended, and what waited to tell it is called off, before a new
/// one is queued to go anywhere. Up to 1000 people have theirs with the answer; for more it is ordered, and carried out
/// step by step, also by a server that was restarted meanwhile.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/regenerate", operation_id = "regenerate_codes",
    tag = "people", params(("event" = String, Path)), request_body = Renewing,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = RenewedView), (status = 202, body = RenewedView, description = "Ordered"),
        (status = 409, body = Body, description = "`renewal_running`: one order at a time"),
        (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn regenerate(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base_url): BaseUrl,
    Path(event): Path<EventId>,
    Json(body): Json<Renewing>,
) -> Result<(StatusCode, Json<RenewedView>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    let words = words(body.reason.as_deref())?;
    let selection = body.selection.understood(&api, &organiser, event)?;
    if selection::count(&api.db, event, &selection).await? > ORDERED_MAX {
        let detail = "At most 1000000 people get new codes with one order: choose fewer, by a tag for example.";
        return Err(Problem::field("/selection", detail));
    }
    let people = api.access.everybody(event, &selection).await?;
    let telling = match body.send {
        None => None,
        Some(TellingBody { channel }) => {
            Some(Telling { channel, organiser: inviter(&api, &room, &organiser).await?, base_url })
        }
    };
    let (actor, telling) = (organiser.0.actor, telling.as_ref());
    if people.len() <= AT_ONCE_MAX {
        let renewed = api.access.renew(&allowed, actor, &people, telling, words).await?;
        let Renewed { changed, sessions_ended, send } = renewed;
        return Ok((StatusCode::OK, Json(RenewedView { changed, sessions_ended, send, renewal: None })));
    }
    let ordered = api.access.order_renewal(&allowed, actor, &people, telling, words.as_deref()).await;
    let renewal = ordered.map_err(|error| match error {
        DbError::Exists => Problem::new(
            StatusCode::CONFLICT,
            "renewal_running",
            "New codes are being given out already. Wait until that is done, or call it off.",
        ),
        error => error.into(),
    })?;
    let send = renewal.send;
    let view = RenewedView { changed: 0, sessions_ended: 0, send, renewal: Some(renewal.into()) };
    Ok((StatusCode::ACCEPTED, Json(view)))
}
