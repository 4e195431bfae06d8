//! Where addresses are: which database says so.

use axum::extract::State;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::Browse;
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser};
use super::problem::{Body, Problem};
use crate::access::About;

/// How this server knows where addresses are.
#[derive(Serialize, ToSchema)]
pub(super) struct Places {
    /// The database in use; `null` when there is none, and no country is known.
    #[schema(value_type = Option<PlaceDatabase>)]
    database: Option<PlaceDatabase>,
}

/// What the database says about itself.
#[derive(Serialize, ToSchema)]
pub(super) struct PlaceDatabase {
    /// What it knows.
    #[serde(rename = "type")]
    #[schema(examples("GeoLite2-City"))]
    kind: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    built_at: Time,
}

/// Whether countries are known: events for certain countries need a database.
#[utoipa::path(get, path = "/api/v1/geo", tag = "operation", operation_id = "read_places",
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Places), (status = "default", body = Body)))]
pub(super) async fn read(State(api): State<Api>, organiser: Organiser) -> Result<Json<Places>, Problem> {
    let _allowed = organiser.may(&api, Browse)?;
    let database = api.access.geo().about().map(|About { kind, built_at }| PlaceDatabase { kind, built_at });
    Ok(Json(Places { database }))
}
