//! New codes for many: orders that are carried out step by step.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::{Look, Organise};
use stagedoor_domain::id::{EventId, RenewalId, SendId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, room};
use super::problem::{Body, Problem};
use crate::ports::db::renewals::{self, Renewal, State as OrderState};

/// Where an order for new codes stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RenewalState {
    /// People get their codes step by step.
    Running,
    /// Everybody has theirs.
    Done,
    /// It cannot go on. Who has no new code keeps the old one.
    Failed,
    /// Somebody called it off. Who has no new code keeps the old one.
    Cancelled,
}

impl From<OrderState> for RenewalState {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Running => Self::Running,
            OrderState::Done => Self::Done,
            OrderState::Failed => Self::Failed,
            OrderState::Cancelled => Self::Cancelled,
        }
    }
}

/// An order for new codes, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Renewal)]
pub(super) struct RenewalView {
    #[schema(value_type = String, examples("rnw_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: RenewalId,
    state: RenewalState,
    /// People who were meant when it was ordered.
    total: u64,
    /// People whose turn it was.
    seen: u64,
    /// Those of them who have another code now. Whose invitation was withdrawn, has expired or was erased is not among them.
    changed: u64,
    /// Sessions on the old codes.
    sessions_ended: u64,
    /// The order that tells them.
    #[schema(value_type = Option<String>)]
    send: Option<SendId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
}

impl From<Renewal> for RenewalView {
    fn from(renewal: Renewal) -> Self {
        let Renewal { id, state, total, seen, changed, sessions_ended, send, created_at, ended_at, .. } = renewal;
        Self { id, state: state.into(), total, seen, changed, sessions_ended, send, created_at, ended_at }
    }
}

/// The orders for new codes of an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/renewals", operation_id = "list_renewals", tag = "people",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<RenewalView>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RenewalView>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let limit = paging.limit()?;
    let rows = renewals::list(&api.db, event, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |renewal| renewal.id.to_string(), RenewalView::from)))
}

/// One order for new codes.
#[utoipa::path(get, path = "/api/v1/events/{event}/renewals/{renewal}", operation_id = "read_renewal", tag = "people",
    params(("event" = String, Path), ("renewal" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = RenewalView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, renewal)): Path<(EventId, RenewalId)>,
) -> Result<Json<RenewalView>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let row = renewals::get(&api.db, event, renewal).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(row.into()))
}

/// Call an order for new codes off. Who has a new code keeps it, and is told; who has none keeps the old one.
#[utoipa::path(delete, path = "/api/v1/events/{event}/renewals/{renewal}", operation_id = "cancel_renewal",
    tag = "people", params(("event" = String, Path), ("renewal" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Called off"), (status = 404, body = Body, description = "Not running"),
        (status = "default", body = Body)))]
pub(super) async fn cancel(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, renewal)): Path<(EventId, RenewalId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    match api.access.cancel_renewal(&allowed, organiser.0.actor, renewal).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
