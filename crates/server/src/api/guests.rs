//! Whom a viewer brings along.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::Denied;
use stagedoor_domain::id::EventId;
use utoipa::ToSchema;

use super::Api;
use super::extract::{self, Address, BaseUrl, Json, Path, line};
use super::people::{Code, StateName, unreadable};
use super::problem::{Body, Problem};
use super::viewer::kept_out;
use crate::access::{BringRefused, Brought, Guests};

/// Somebody whom you brought along.
#[derive(Serialize, ToSchema)]
pub(super) struct Guest {
    /// As you called them.
    name: String,
    /// Where their invitation stands.
    state: StateName,
    /// Their code and its link, as long as it waits for them: for you to send on.
    #[serde(flatten)]
    code: Option<Code>,
}

/// Your guests.
#[derive(Serialize, ToSchema)]
pub(super) struct GuestList {
    /// In the order in which you brought them.
    guests: Vec<Guest>,
    /// How many more you may bring.
    left: u32,
}

/// Whom you want to bring.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGuest {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// An invitation to send on.
#[derive(Serialize, ToSchema)]
pub(super) struct GuestMade {
    /// As you called them.
    name: String,
    #[serde(flatten)]
    code: Code,
    /// How many more you may bring.
    left: u32,
}

fn refused(refused: BringRefused) -> Problem {
    match refused {
        BringRefused::Denied(Denied::UsedUp) => Problem::new(
            StatusCode::CONFLICT,
            "no_guests_left",
            "You have brought as many guests as you may. Ask the organiser for more.",
        ),
        BringRefused::Denied(Denied::Blocked) => {
            Problem::new(StatusCode::FORBIDDEN, "blocked", "The organiser has closed this invitation for now.")
        }
        BringRefused::Denied(_) => Problem::new(StatusCode::UNAUTHORIZED, "access_ended", "Your access has ended."),
        BringRefused::TooMany { retry_after } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_guests",
            "That were many guests in a minute. Wait a moment and go on.",
        )
        .retry_after(retry_after),
        BringRefused::Db(error) => error.into(),
    }
}

/// Whom I brought along, and how many more I may bring.
#[utoipa::path(get, path = "/api/v1/events/{event}/sessions/current/guests", operation_id = "list_guests",
    tag = "viewer", params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 200, body = GuestList), (status = 401, body = Body),
        (status = 403, body = Body, description = "`country_refused` or `network_refused`"),
        (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    viewer: extract::Viewer,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
) -> Result<Json<GuestList>, Problem> {
    let _approached = api.access.approach(event, address).map_err(kept_out)?;
    let Guests { list, left } = api.access.guests(&viewer.0).await.map_err(unreadable)?;
    let guest = |Brought { name, state, code, .. }: Brought| Guest {
        name,
        state: state.into(),
        code: code.map(|code| Code::new(&base, event, code.expose().to_owned())),
    };
    Ok(Json(GuestList { guests: list.into_iter().map(guest).collect(), left }))
}

/// Bring somebody along. They get a code of their own, and watch at the same time as you.
#[utoipa::path(post, path = "/api/v1/events/{event}/sessions/current/guests", operation_id = "bring_guest",
    tag = "viewer", params(("event" = String, Path)), request_body = NewGuest, security(("viewer_cookie" = [])),
    responses((status = 201, body = GuestMade), (status = 401, body = Body),
        (status = 403, body = Body, description = "`blocked`, `country_refused` or `network_refused`"),
        (status = 409, body = Body, description = "`no_guests_left`"), (status = 422, body = Body),
        (status = 429, body = Body, description = "`too_many_guests`, with `Retry-After`"),
        (status = "default", body = Body)))]
pub(super) async fn bring(
    State(api): State<Api>,
    viewer: extract::Viewer,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(new): Json<NewGuest>,
) -> Result<(StatusCode, Json<GuestMade>), Problem> {
    let _approached = api.access.approach(event, address).map_err(kept_out)?;
    let name = line("/name", &new.name)?;
    let (code, left) = api.access.bring(&viewer.0, &name).await.map_err(refused)?;
    let code = Code::new(&base, event, code.to_string());
    Ok((StatusCode::CREATED, Json(GuestMade { name, code, left })))
}
