//! Incidents: what was noticed, and that somebody has seen it.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::{Audit, Look, Moderate};
use stagedoor_domain::id::{EventId, IncidentId, InvitationId, SessionId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, room};
use super::problem::{Body, Problem};
use crate::facts::incident;
use crate::ports::db::incidents::{self, Incident as Row};

/// Something odd that was noticed.
#[derive(Serialize, ToSchema)]
pub(super) struct Incident {
    /// The incident.
    #[schema(value_type = String, examples("inc_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: IncidentId,
    /// The event; absent for the whole installation.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
    /// What: `code_guessing`, `stream_away`, `stream_lost`, `gateway_failing`, `webhook_disabled`, `budget_reached`,
    /// `repeated_takeovers`, `tampering`, `key_elsewhere`, `key_while_live`. There will be more.
    #[schema(examples("stream_away"))]
    kind: &'static str,
    /// How loudly: `info`, `warning`, `critical`.
    #[schema(examples("warning"))]
    severity: &'static str,
    /// A sentence for a person.
    text: String,
    /// The viewer it is about.
    #[schema(value_type = Option<String>)]
    session: Option<SessionId>,
    /// The invitation it is about.
    #[schema(value_type = Option<String>)]
    invitation: Option<InvitationId>,
    /// When it was first noticed.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// When it was last noticed.
    #[schema(value_type = String, format = DateTime)]
    last_at: Time,
    /// How often it was noticed.
    times: u64,
    /// When somebody said that they have seen it, or when it was over by itself; then `text` ends with how.
    #[schema(value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Time>,
}

impl From<Row> for Incident {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            event: row.event,
            kind: row.kind.as_str(),
            severity: row.kind.severity().as_str(),
            text: row.text,
            session: row.session,
            invitation: row.invitation,
            at: row.at,
            last_at: row.last_at,
            times: row.times,
            acknowledged_at: row.acknowledged_at,
        }
    }
}

async fn page(api: &Api, event: Option<EventId>, paging: &Paging) -> Result<Json<Page<Incident>>, Problem> {
    let limit = paging.limit()?;
    let rows = incidents::list(&api.db, event, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.to_string(), Incident::from)))
}

/// The incidents of an event. The same thing again is counted until somebody acknowledges it.
#[utoipa::path(get, path = "/api/v1/events/{event}/incidents", operation_id = "list_event_incidents", tag = "log",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Incident>), (status = "default", body = Body)))]
pub(super) async fn of_event(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Incident>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    page(&api, Some(event), &paging).await
}

/// The incidents of all events and of the installation.
#[utoipa::path(get, path = "/api/v1/incidents", operation_id = "list_incidents", tag = "log",
    params(Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Incident>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Incident>>, Problem> {
    let _allowed = organiser.may(&api, Audit)?;
    page(&api, None, &paging).await
}

/// Say that you have seen an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{incident}/acknowledge", operation_id = "acknowledge_incident", tag = "log",
    params(("incident" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 204, description = "Acknowledged, also when it was before"),
        (status = 404, body = Body),
        (status = "default", body = Body),
    ))]
pub(super) async fn acknowledge(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<IncidentId>,
) -> Result<StatusCode, Problem> {
    let found = incidents::get(&api.db, id).await?;
    match found.as_ref().map(|incident| incident.event) {
        Some(Some(event)) => organiser.may(&api, Moderate { event }).map(|_| ())?,
        // Of the installation, or none: who may not know gets the same answer.
        Some(None) | None => organiser.may(&api, Audit).map(|_| ())?,
    }
    let incident = found.ok_or_else(Problem::not_found)?;
    incident::acknowledge(&api.world(), organiser.0.actor, &incident).await?;
    Ok(StatusCode::NO_CONTENT)
}
